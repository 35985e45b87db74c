#!/usr/bin/env python3
"""Runs protocol scripts (tests/talk/*/*.talk) against `postern dev`: README.md has the language. Arguments: scripts or folders (all when
there are none), --summary (one "ok NAME" or "not ok NAME" line each, and why not). Scripts that `set` the same share one instance."""
import contextlib
import imaplib
import pathlib
import re
import shlex
import socket
import ssl
import struct
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
from postern import PATIENCE, Instance, wait_for  # noqa: E402

CLIENTS = ("smtp", "lmtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s")
REPLY_CLIENTS = ("smtp", "lmtp", "submission", "submissions")
USERS = {"alice@example.test": "alice", "bob@example.test": "bob"}
ESCAPE = re.compile(rb"\\(r|n|0|\\|x[0-9a-fA-F]{2})")


class Mismatch(Exception):
    pass


def unescape(text):
    def one(match):
        word = match.group(1)
        return bytes.fromhex(word[1:].decode()) if word[:1] == b"x" else {b"r": b"\r", b"n": b"\n", b"0": b"\0", b"\\": b"\\"}[word]
    return ESCAPE.sub(one, text.encode())


def matches(pattern, line):
    """Only '*' is special: any bytes."""
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), line, re.S) is not None


class Client:
    """One connection. `lines` are those of the last reply."""

    def __init__(self, instance, service):
        self.service = service
        self.socket = socket.create_connection(("127.0.0.1", instance.port(service)), PATIENCE)
        self.buffer = b""
        self.lines = []
        if service in ("submissions", "imaps", "pop3s"):
            self.tls()

    def tls(self):
        self.socket = unverified().wrap_socket(self.socket)
        self.buffer = b""

    def line(self):
        while b"\r\n" not in self.buffer:
            piece = self.socket.recv(65536)
            if not piece:
                raise Mismatch(f"the server closed, with {self.buffer!r} left")
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("utf-8", "backslashreplace")

    def reply(self):
        """One line, or for SMTP all lines of a reply."""
        self.lines = [self.line()]
        while self.service in REPLY_CLIENTS and self.lines[-1][3:4] == "-":
            self.lines.append(self.line())

    def hear(self, how, pattern):
        if how == "<":
            self.reply()
        elif how == "<~":
            self.lines = [self.line()]
            while not matches(pattern, self.lines[-1]):
                self.lines.append(self.line())
            return
        found = any(matches(pattern, line) for line in self.lines)
        if found == (how == "<!"):
            raise Mismatch(f"expected {how} {pattern}\n  got " + "\n      ".join(self.lines))

    def say(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # its last words tell why

    def closed(self):
        try:
            rest = self.buffer + self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return
        if rest:
            raise Mismatch(f"expected the end, got {rest!r}")

    def do(self, line):
        word, _, rest = line.partition(" ")
        if word in ("<", "<+", "<!", "<~"):
            self.hear(word, rest)
        elif word == ">":
            self.say(unescape(rest) + b"\r\n")
        elif word == ">>":
            self.say(unescape(rest))
        elif word == "repeat":
            count, _, text = rest.partition(" ")
            self.say(unescape(text) * int(count))
        elif word == "tls":
            self.tls()
        elif word == "closed":
            self.closed()
        elif word == "close":
            self.socket.close()
        elif word == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
        elif word == "sleep":
            time.sleep(float(rest))
        else:
            raise Mismatch(f"no such step: {line}")


def unverified():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Store:
    """What has arrived, as IMAP shows it."""

    def __init__(self, instance):
        self.instance = instance

    @contextlib.contextmanager
    def inbox(self, user):
        imap = imaplib.IMAP4_SSL("127.0.0.1", self.instance.port("imaps"), ssl_context=unverified(), timeout=PATIENCE)
        try:
            imap.login(user, USERS[user])
            imap.select("INBOX")
            yield imap
        finally:
            imap.logout()

    def messages(self, user):
        with self.inbox(user) as imap:
            return [imap.fetch(n, "(BODY.PEEK[])")[1][0][1] for n in imap.search(None, "ALL")[1][0].split()]

    def empty(self):
        """Also of what is still on its way there."""
        wait_for(self.instance.queue_rests)
        for user in USERS:
            with self.inbox(user) as imap:
                if imap.search(None, "ALL")[1][0]:
                    imap.store("1:*", "+FLAGS.SILENT", "(\\Deleted)")
                    imap.expunge()

    def count(self, wanted, users):
        """All that was taken has arrived, and is that many."""
        wait_for(self.instance.queue_rests)
        found = sum(len(self.messages(user)) for user in users)
        if found != wanted:
            raise Mismatch(f"expected {wanted} messages of {' '.join(users)}, found {found}")

    def check(self, line):
        words = shlex.split(line)
        if words[0] == "messages":
            self.count(int(words[1]), words[2:] or list(USERS))
        elif words[0] in ("has", "lacks"):  # has ADDRESS TEXT: the newest message
            newest = self.messages(words[1])[-1]
            if (unescape(words[2]) in newest) != (words[0] == "has"):
                raise Mismatch(f"expected: store {line}\n  got {newest!r}")
        else:
            raise Mismatch(f"no such assertion: store {line}")


def parse(path):
    """Blocks: (number of the line, first word, [steps])."""
    blocks = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] not in " \t":
            word, _, line = line.partition(" ")
            blocks.append((number, word.strip(), []))
        if not blocks:
            raise Mismatch(f"line {number}: a step before any block")
        if line.strip():
            blocks[-1][2].append((number, line.strip(" \t")))
    return blocks


def run_step(instance, clients, word, step):
    if word == "store":
        Store(instance).check(step)
    elif word != "set":
        clients[word].do(step)


def run_blocks(instance, blocks):
    """A block begins a new connection, but `smtp:NAME` goes on with the one of that name."""
    clients = {}
    for begin, word, steps in blocks:
        service, _, name = word.partition(":")
        if service in CLIENTS and not (name and word in clients):
            clients[word] = Client(instance, service)
        elif service not in CLIENTS and word not in ("store", "set"):
            raise Mismatch(f"line {begin}: no such block: {word}")
        for number, step in steps:
            try:
                run_step(instance, clients, word, step)
            except (Mismatch, OSError, imaplib.IMAP4.error) as why:
                raise Mismatch(f"line {number}: {step}\n  {why}") from why
    for client in clients.values():
        client.socket.close()


def settings_of(blocks):
    return tuple(step for _, word, steps in blocks if word == "set" for _, step in steps)


def run_group(settings, scripts, summary):
    failed = 0
    with Instance(users=USERS, settings=settings, plaintext="login.plaintext=no" not in settings) as instance:
        for path, blocks in scripts:
            name = str(path.relative_to(HERE))
            try:
                Store(instance).empty()
                run_blocks(instance, blocks)
                print(f"ok {name}", flush=True)
            except Exception as why:  # one script's trouble is its own
                failed += 1
                print(f"not ok {name}\n  {why}", flush=True)
                if not summary:
                    print(instance.log_text()[-2000:])
    return failed


def main():
    arguments = [a for a in sys.argv[1:] if a != "--summary"]
    roots = [pathlib.Path(a).resolve() for a in arguments] or [HERE]
    paths = sorted({p for root in roots for p in (root.rglob("*.talk") if root.is_dir() else [root])})
    groups = {}
    for path in paths:
        blocks = parse(path)
        groups.setdefault(settings_of(blocks), []).append((path, blocks))
    failed = sum(run_group(settings, scripts, "--summary" in sys.argv) for settings, scripts in groups.items())
    print(f"{len(paths) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
