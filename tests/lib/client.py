"""Clients for whole-system tests: a connection spoken by hand, mailboxes as a client sees them, and programs run with a deadline."""
import base64
import contextlib
import imaplib
import re
import socket
import ssl
import subprocess
import time

from postern import PATIENCE, wait_for

PASSWORDS = {"alice@example.test": "alice", "bob@example.test": "bob"}


def trusting():
    """TLS that takes every certificate: those of `postern dev` are its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # create_default_context() would read all of the system's certificates each time
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Wire:
    """One connection, line by line. `with Wire(port) as w: w.smtp("EHLO me")` answers (code, lines)."""

    def __init__(self, port, tls=False, host="127.0.0.1", timeout=PATIENCE):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.tag = 0
        if tls:
            self.socket = trusting().wrap_socket(self.socket)
        self.input = self.socket.makefile("rb")

    def start_tls(self):
        self.input.close()
        self.socket = trusting().wrap_socket(self.socket)
        self.input = self.socket.makefile("rb")

    def send(self, data):
        """Bytes go as they are; text is a line."""
        self.socket.sendall(data if isinstance(data, bytes) else data.encode() + b"\r\n")

    def line(self):
        """The next line without its end; b"" when the peer has closed."""
        return self.input.readline().rstrip(b"\r\n")

    def reply(self):
        lines = []
        while True:
            line = self.line().decode("utf-8", "replace")
            lines.append(line)
            if not line:
                return 0, lines
            if line[3:4] != "-":
                return int(line[:3]), lines

    def smtp(self, command=None):
        """Sends a command (or nothing) and hears its reply: (code, lines); code 0 when the peer has closed."""
        if command is not None:
            self.send(command)
        return self.reply()

    def expect(self, code, command=None):
        got, lines = self.smtp(command)
        assert got == code, f"{command!r}: expected {code}, got {lines}"
        return lines

    def imap(self, command):
        """A tagged command: (status line, untagged lines before it). Literals in answers stay part of their line."""
        self.tag += 1
        tag = f"t{self.tag}"
        self.send(f"{tag} {command}")
        return self.imap_answer(tag)

    def imap_answer(self, tag):
        untagged = []
        while True:
            line = self.imap_line()
            if not line or line.startswith(tag.encode() + b" "):
                return line.decode("utf-8", "replace")[len(tag) + 1:], untagged
            untagged.append(line)

    def imap_line(self):
        line = self.input.readline()
        while match := re.search(rb"\{(\d+)\}\r\n$", line):
            line += self.input.read(int(match.group(1))) + self.input.readline()
        return line.rstrip(b"\r\n")

    def pop3(self, command, many=False):
        self.send(command)
        first = self.line().decode()
        lines = []
        while many and first.startswith("+OK"):
            line = self.input.readline()
            if line in (b".\r\n", b""):
                break
            lines.append(line.rstrip(b"\r\n"))
        return first, lines

    def closed(self):
        """Whether the peer closes now, saying nothing more."""
        try:
            return self.input.readline() == b""
        except (ConnectionError, ssl.SSLError):
            return True

    def close(self):
        with contextlib.suppress(OSError):
            self.input.close()
            self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def new_key():
    """A private key in PEM, and p= of its DKIM record."""
    private = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True).stdout
    public = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=private, check=True, capture_output=True).stdout
    return private, base64.b64encode(public).decode()


def txt_strings(text):
    """A TXT value as a zone file has it: strings of at most 255 octets."""
    return " ".join(f'"{text[at:at + 250]}"' for at in range(0, len(text), 250))


def message(subject, sender="carol@elsewhere.test", to="alice@example.test", body="Hello.\r\n", headers=""):
    return (f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
            f"Message-ID: <{subject.replace(' ', '-')}@test.invalid>\r\n{headers}\r\n{body}").encode()


def deliver(port, data, sender="carol@elsewhere.test", recipients=("alice@example.test",), host="127.0.0.1"):
    """Hands a message in on port 25; the reply to its last dot, or the first refusal."""
    with Wire(port, host=host) as w:
        w.expect(220)
        w.expect(250, "EHLO test.invalid")
        commands = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{r}>" for r in recipients), "DATA"]
        for command in commands:
            code, lines = w.smtp(command)
            if code not in (250, 354):
                return code, lines
        w.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
        return w.reply()


def submit(p, data, recipients, sender="alice@example.test", options="", rcpt_options=""):
    """Hands a message in as a person does, on 465; the reply to the last dot."""
    token = base64.b64encode(f"\0{sender}\0{p.users[sender]}".encode()).decode()
    with Wire(p.port("submissions"), tls=True) as w:
        w.expect(220)
        w.expect(250, "EHLO laptop.test")
        w.expect(235, f"AUTH PLAIN {token}")
        w.expect(250, f"MAIL FROM:<{sender}>{options}")
        for r in recipients:
            w.expect(250, f"RCPT TO:<{r}>{rcpt_options}")
        w.expect(354, "DATA")
        w.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
        return w.expect(250)


def deliver_at_last(p, data, **how):
    """Hands a message in as a server does: again, until it is taken. It may arrive more than once, when a process dies over it."""
    def taken():
        try:
            return deliver(p.port("smtp"), data, **how)[0] == 250
        except (OSError, AssertionError):
            return False
    wait_for(taken, step=0.2)


def insist(answer):
    """What an imaplib answer brings; NO is an error, which imaplib says of LOGIN alone."""
    status, data = answer
    if status != "OK":
        raise imaplib.IMAP4.error(data[0])
    return data


def patiently(act):
    """What act() gives, asked again while a process is not back after a fault: the connection ends, or [UNAVAILABLE] asks to come again, as a
    client would. Any other error is an error."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return act()
        except (imaplib.IMAP4.error, OSError) as e:
            passing = isinstance(e, (imaplib.IMAP4.abort, OSError)) or "[UNAVAILABLE]" in str(e)
            if not passing or time.monotonic() > until:
                raise
            time.sleep(0.2)


@contextlib.contextmanager
def mailbox(p, user="alice@example.test", name="INBOX", readonly=False):
    """An imaplib client in the selected mailbox."""
    client = imaplib.IMAP4_SSL("127.0.0.1", p.port("imaps"), ssl_context=trusting(), timeout=PATIENCE)
    try:
        client.login(user, p.users[user])
        insist(client.select(name, readonly=readonly))
        yield client
    finally:
        with contextlib.suppress(imaplib.IMAP4.error, OSError):
            client.logout()


def fetch_all(p, user="alice@example.test", name="INBOX"):
    """Raw messages of a mailbox, oldest first."""
    def fetch():
        with mailbox(p, user, name, readonly=True) as client:
            return [item[1] for item in insist(client.fetch("1:*", "(BODY.PEEK[])")) if isinstance(item, tuple)]
    return patiently(fetch)


def wait_message(p, mark, user="alice@example.test", name="INBOX"):
    """The first message that holds these bytes, as soon as it is there."""
    mark = mark.encode() if isinstance(mark, str) else mark
    return wait_for(lambda: next((m for m in fetch_all(p, user, name) if mark in m), None), step=0.1)


def empty(p, user="alice@example.test", name="INBOX"):
    """Also of what is still on its way there."""
    wait_for(p.queue_rests)
    with mailbox(p, user, name) as client:
        insist(client.store("1:*", "+FLAGS.SILENT", r"(\Deleted)"))
        insist(client.expunge())


def run(*words, stdin=None, timeout=PATIENCE, check=True, env=None, cwd=None):
    """A program; its output must come in time. Fails with all it said when it fails."""
    result = subprocess.run(words, input=stdin, capture_output=True, timeout=timeout, check=False, env=env, cwd=cwd)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(words)}: {result.returncode}\n{result.stdout.decode(errors='replace')}"
                             f"{result.stderr.decode(errors='replace')}")
    return result
