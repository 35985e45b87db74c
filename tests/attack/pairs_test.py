#!/usr/bin/env python3
"""Every pair of commands around errors, STARTTLS and AUTH (STYLE 17: state that survives an error is where mail servers broke). A context
brings a session somewhere (TLS begun, login refused, recipient refused, ...); then each command follows each other, and a model of a few
lines says which replies are right: what a refused command may leave behind is nothing, what TLS may leave behind is nothing.

    tests/run.py attack                                      POSTERN_PAIRS=60 pairs of each protocol, by chance
    POSTERN_PAIRS=all tests/attack/pairs_test.py             all of them: some minutes

The control forgets in its model that TLS makes a session new; a pair must then differ."""
import base64
import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import queue
import random
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import results
from client import Wire
from postern import PATIENCE, Instance

SEED = int(os.environ.get("POSTERN_SEED", "1"))
PAIRS = os.environ.get("POSTERN_PAIRS", "60")
USER, PASSWORD = "alice@example.test", "alice"
BESIDE = 12  # sessions of one protocol at a time: most of the time goes into penalties for wrong passwords, which are waits
POP3_USERS = {f"pop{n}@example.test": f"secret{n}" for n in range(BESIDE)}  # one session has a maildrop at a time; so its wrong passwords slow nobody else down
PLAIN = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
COMMAND = "POSTERN_PAIRS=all tests/attack/pairs_test.py"
STRANGERS = itertools.count()
ADDRESSES = itertools.cycle([f"127.1.{n // 250 + 1}.{n % 250 + 1}" for n in range(60000)])


def stranger():
    """A name nobody has, each time another: what a name is made to wait after many guesses is not in the way."""
    return f"nobody{next(STRANGERS)}@example.test"


class FarWire(Wire):
    """From an address of its own: no cap, and no penalty of another pair, is in the way."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(next(ADDRESSES), 0))
        self.tag = 0
        self.input = self.socket.makefile("rb")

    def end(self):
        """Says no more and waits until the server has let go, of a maildrop for one."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            self.socket.recv(1)


class Smtp:
    """State of one session as RFC 5321, 3207 and 4954 have it; each method sends its command and checks the reply."""
    commands = ("ehlo", "helo", "mail", "mail_bad", "rcpt", "rcpt_bad", "rcpt_far", "data", "bdat", "bdat_part", "rset", "noop", "starttls", "auth",
                "auth_wrong", "auth_cancel", "nonsense")
    contexts = ((), ("ehlo",), ("ehlo", "mail"), ("ehlo", "mail", "rcpt"), ("ehlo", "mail", "rcpt_bad"), ("ehlo", "mail", "rcpt", "rcpt_far"),
                ("ehlo", "starttls"), ("ehlo", "starttls", "ehlo"), ("ehlo", "mail", "rcpt", "starttls"), ("ehlo", "mail", "rcpt", "bdat_part"))
    submission_contexts = (("ehlo", "starttls", "ehlo", "auth"), ("ehlo", "starttls", "ehlo", "auth_wrong"),
                           ("ehlo", "starttls", "ehlo", "auth_cancel"), ("ehlo", "starttls", "ehlo", "auth", "mail"),
                           ("ehlo", "starttls", "ehlo", "auth", "mail", "rcpt_bad"), ("ehlo", "auth"), ("ehlo", "auth", "starttls", "ehlo"),
                           ("ehlo", "starttls", "ehlo", "auth", "mail", "rcpt", "bdat_part"))
    out_of_order = ("mail", "mail_bad", "rcpt", "rcpt_bad", "rcpt_far", "data", "starttls")
    logins = ("auth", "auth_wrong", "auth_cancel")  # unknown where nobody logs in

    def __init__(self, port, submission, forget_tls=False):
        self.w, self.submission, self.forget_tls = FarWire(port), submission, forget_tls
        self.tls = self.greeted = self.esmtp = self.authed = False
        self.clear()
        self.history = []
        assert self.w.reply()[0] == 220

    def clear(self):
        self.begun, self.recipients, self.chunks = False, 0, False

    def do(self, name):
        self.history.append(name)
        chunks = self.chunks
        getattr(self, name)()
        if chunks and (name in self.out_of_order or self.submission and name in self.logins):
            self.clear()  # whatever is out of order after a BDAT ends the mail (THREATS S05)

    def open(self):
        """Whether recipients may come."""
        return self.begun and not self.chunks

    def say(self, command, *right):
        code, lines = self.w.smtp(command)
        assert code in right, f"{lines}, expected {right}, after {self.history}"
        return code

    def ehlo(self, verb="EHLO"):
        code, lines = self.w.smtp(f"{verb} x.test")
        assert code == 250, (lines, self.history)
        told = " ".join(lines)
        if verb == "EHLO":
            assert ("STARTTLS" in told) == (not self.tls), (told, self.history)
            assert ("AUTH" in told) == (self.submission and self.tls and not self.authed), (told, self.history)
        self.greeted, self.esmtp = True, verb == "EHLO"
        self.clear()

    def helo(self):
        self.ehlo("HELO")

    def may_mail(self):
        return self.greeted and not self.begun and (self.authed or not self.submission)

    def mail(self):
        if self.may_mail():
            self.say(f"MAIL FROM:<{USER}>" if self.submission else "MAIL FROM:<w@x.test>", 250)
            self.begun = True
        else:
            self.say("MAIL FROM:<w@x.test>", 503, 530)

    def mail_bad(self):
        self.say("MAIL FROM:<a@@b>", *((501, 553) if self.may_mail() else (501, 503, 530, 553)))

    def rcpt(self):
        self.recipients += self.say(f"RCPT TO:<{USER}>", *((250,) if self.open() else (503, 530))) == 250

    def rcpt_bad(self):
        self.say("RCPT TO:<a@@b>", *((501, 553) if self.open() else (501, 503, 530, 553)))

    def rcpt_far(self):
        if self.open() and self.submission:
            self.recipients += self.say("RCPT TO:<x@elsewhere.test>", 250) == 250
        else:
            self.say("RCPT TO:<x@elsewhere.test>", *((550, 551, 554) if self.open() else (503, 530)))

    def text(self):
        return f"From: {USER}\r\nSubject: pair\r\n\r\nHello\r\n".encode()

    def data(self):
        if self.say("DATA", *((354,) if self.recipients and not self.chunks else (503, 530, 554))) == 354:
            self.w.send(self.text() + b".\r\n")
            assert self.w.reply()[0] == 250, self.history
            self.clear()

    def bdat(self, last=" LAST"):
        text = self.text()
        self.w.send(f"BDAT {len(text)}{last}\r\n".encode() + text)
        code, lines = self.w.reply()
        right = (250,) if self.recipients and self.esmtp else (503, 530, 554)
        assert code in right, (lines, self.history)
        if code == 250 and last:
            self.clear()
        return code == 250

    def bdat_part(self):
        self.chunks |= self.bdat("")

    def rset(self):
        self.say("RSET", 250)
        self.clear()

    def noop(self):
        self.say("NOOP", 250)

    def starttls(self):
        if self.say("STARTTLS", *((220,) if self.esmtp and not self.tls and not self.begun else (502, 503))) == 220:
            self.w.start_tls()
            if not self.forget_tls:
                self.tls, self.greeted, self.esmtp, self.authed = True, False, False, False
                self.clear()
            self.tls = True

    def may_auth(self):
        return self.submission and self.tls and self.esmtp and not self.authed and not self.begun

    def auth(self):
        self.authed |= self.say(f"AUTH PLAIN {PLAIN}", *((235,) if self.may_auth() else (500, 502, 503, 504, 530, 538))) == 235

    def auth_wrong(self):
        wrong = base64.b64encode(f"\0{stranger()}\0wrong".encode()).decode()
        self.say(f"AUTH PLAIN {wrong}", *((535,) if self.may_auth() else (500, 502, 503, 504, 530, 538)))

    def auth_cancel(self):
        if self.say("AUTH PLAIN", *((334,) if self.may_auth() else (500, 502, 503, 504, 530, 538))) == 334:
            self.say("*", 501)

    def nonsense(self):
        self.say("XYZZY now", 500, 502)


class Imap:
    commands = ("capability", "noop", "login", "login_wrong", "starttls", "cancel", "select", "select_missing", "examine", "fetch", "store",
                "close", "unselect", "append", "search_bad", "nonsense")
    contexts = ((), ("starttls",), ("starttls", "login"), ("starttls", "login_wrong"), ("starttls", "cancel"), ("starttls", "login", "select"),
                ("starttls", "login", "examine"), ("starttls", "login", "select", "select_missing"), ("starttls", "login", "select", "close"),
                ("login", "starttls"))

    def __init__(self, port, forget_tls=False):
        self.w, self.forget_tls = FarWire(port), forget_tls
        self.tls = self.authed = self.selected = self.readonly = False
        self.history = []
        assert self.w.line().startswith(b"* OK")

    def do(self, name):
        self.history.append(name)
        getattr(self, name)()

    def say(self, command, *right):
        status, lines = self.w.imap(command)
        assert status.split(" ")[0] in right, f"{status}, expected {right}, after {self.history}"
        return status.startswith("OK"), lines

    def capability(self):
        _, lines = self.say("CAPABILITY", "OK")
        told = b" ".join(lines)
        assert (b"STARTTLS" in told) == (not self.tls and not self.authed), (told, self.history)
        assert (b"LOGINDISABLED" in told) == (not self.tls), (told, self.history)

    def noop(self):
        self.say("NOOP", "OK")

    def login(self):
        right = ("OK",) if self.tls and not self.authed else ("NO", "BAD")
        self.authed |= self.say(f"LOGIN {USER} {PASSWORD}", *right)[0]

    def login_wrong(self):
        self.say(f"LOGIN {stranger()} wrong", "NO", "BAD")

    def starttls(self):
        if self.say("STARTTLS", *(("OK",) if not self.tls and not self.authed else ("NO", "BAD")))[0]:
            self.w.start_tls()
            self.tls = not self.forget_tls

    def cancel(self):
        self.w.tag += 1
        self.w.send(f"t{self.w.tag} AUTHENTICATE PLAIN")
        line = self.w.line()
        may = self.tls and not self.authed
        assert line.startswith(b"+") == may, (line, self.history)
        if may:
            self.w.send("*")
            assert self.w.line().startswith(f"t{self.w.tag} BAD".encode()), self.history

    def open(self, command, readonly):
        ok, _ = self.say(command, *(("OK",) if self.authed else ("NO", "BAD")))
        if ok:
            self.selected, self.readonly = True, readonly

    def select(self):
        self.open("SELECT INBOX", False)

    def examine(self):
        self.open("EXAMINE INBOX", True)

    def select_missing(self):
        self.say("SELECT nowhere", "NO", "BAD")
        self.selected = self.selected and not self.authed  # RFC 3501 6.3.1: then no mailbox is selected

    def fetch(self):
        self.say("FETCH 1:* (FLAGS)", *(("OK",) if self.selected else ("NO", "BAD")))

    def store(self):
        self.say(r"STORE 1 +FLAGS (\Seen)", *(("OK",) if self.selected and not self.readonly else ("NO", "BAD")))

    def close(self, verb="CLOSE"):
        self.say(verb, *(("OK",) if self.selected else ("NO", "BAD")))
        self.selected = False

    def unselect(self):
        self.close("UNSELECT")

    def append(self):
        """A literal that must wait; before login it may be asked for too, but does nothing."""
        self.w.tag += 1
        self.w.send(f"t{self.w.tag} APPEND INBOX {{14}}")
        line = self.w.line()
        assert line.startswith(b"+") or not self.authed, (line, self.history)
        if line.startswith(b"+"):
            self.w.send(b"A: b\r\n\r\nHell\r\n\r\n")
            status, _ = self.w.imap_answer(f"t{self.w.tag}")
            assert status.startswith("OK" if self.authed else ("NO", "BAD")), (status, self.history)

    def search_bad(self):
        self.say("SEARCH ((((", "BAD", "NO")

    def nonsense(self):
        self.say("XYZZY", "BAD")


class Pop3:
    commands = ("capa", "stls", "user", "pass_", "pass_wrong", "cancel", "stat", "list", "retr", "dele", "rset", "noop", "nonsense")
    contexts = ((), ("stls",), ("stls", "user"), ("stls", "user", "pass_wrong"), ("stls", "user", "pass_"), ("stls", "user", "pass_", "dele"),
                ("stls", "cancel"), ("user", "stls"))

    def __init__(self, port, account, forget_tls=False):
        self.name, self.password = account
        self.w, self.forget_tls = FarWire(port), forget_tls
        self.tls = self.authed = self.named = False
        self.history = []
        assert self.w.line().startswith(b"+OK")

    def do(self, name):
        self.history.append(name)
        getattr(self, name)()

    def say(self, command, right, many=False):
        first, lines = self.w.pop3(command, many)
        assert first.startswith("+OK" if right else "-ERR"), f"{first}, expected {right}, after {self.history}"
        return lines

    def capa(self):
        told = b" ".join(self.say("CAPA", True, many=True))
        assert (b"STLS" in told) == (not self.tls and not self.authed), (told, self.history)

    def stls(self):
        right = not self.tls and not self.authed
        self.say("STLS", right)
        if right:
            self.w.start_tls()
            self.tls, self.named = not self.forget_tls, False

    def user(self):
        right = self.tls and not self.authed
        self.say(f"USER {self.name}", right)
        self.named = self.named or right

    def pass_(self):
        right = self.tls and self.named and not self.authed
        self.say(f"PASS {self.password}", right)
        self.authed |= right
        self.named = False

    def pass_wrong(self):
        self.say("PASS wrong", False)
        self.named = False

    def cancel(self):
        right = self.tls and not self.authed
        self.w.send("AUTH PLAIN")
        line = self.w.line()
        assert line.startswith(b"+ " if right else b"-ERR"), (line, self.history)
        if right:
            self.w.send("*")
            assert self.w.line().startswith(b"-ERR"), self.history
            self.named = False

    def stat(self):
        self.say("STAT", self.authed)

    def list(self):
        self.say("LIST", self.authed, many=True)

    def retr(self):
        self.say("RETR 9999", False)

    def dele(self):
        self.say("DELE 9999", False)

    def rset(self):
        self.say("RSET", self.authed)

    def noop(self):
        self.say("NOOP", self.authed)

    def nonsense(self):
        self.say("XYZZY", False)


def pairs_of(contexts, commands):
    found = [(*context, *pair) for context in contexts for pair in itertools.product(commands, repeat=2)]
    return (found if PAIRS == "all" else random.Random(SEED).sample(found, min(int(PAIRS), len(found)))), len(found)


def run_one(make, sequence):
    session = make()
    try:
        for command in sequence:
            session.do(command)
        session.w.end()
    finally:
        session.w.close()


def run_all(make, pairs):
    """make(account) begins a session; (how many of how many)."""
    sequences, of = pairs
    free = queue.SimpleQueue()
    for account in POP3_USERS.items():
        free.put(account)

    def one(sequence):
        account = free.get()
        try:
            run_one(lambda: make(account), sequence)
        finally:
            free.put(account)

    with concurrent.futures.ThreadPoolExecutor(BESIDE) as pool:
        for _ in pool.map(one, sequences):
            pass
    return f"{len(sequences)} of {of} sequences"


class PairsTest(unittest.TestCase):
    """The four protocols at once, and of each some sessions."""

    @classmethod
    def setUpClass(cls):
        p = cls.p = cls.enterClassContext(Instance(users={USER: PASSWORD, **POP3_USERS}, plaintext=False,
                                                   settings=["server.log=error", "limit.errors=1000"]))
        pool = cls.enterClassContext(concurrent.futures.ThreadPoolExecutor(4))
        cls.runs = {
            "SMTP": pool.submit(run_all, lambda _: Smtp(p.port("smtp"), False), pairs_of(Smtp.contexts, Smtp.commands)),
            "submission": pool.submit(run_all, lambda _: Smtp(p.port("submission"), True),
                                      pairs_of(Smtp.contexts + Smtp.submission_contexts, Smtp.commands)),
            "IMAP": pool.submit(run_all, lambda _: Imap(p.port("imap")), pairs_of(Imap.contexts, Imap.commands)),
            "POP3": pool.submit(run_all, lambda account: Pop3(p.port("pop3"), account), pairs_of(Pop3.contexts, Pop3.commands)),
        }

    def check(self, name):
        told = self.runs[name].result()
        results.record(f"{name} command pairs that left their model", 0, told, "0", COMMAND)

    def test_smtp(self):
        self.check("SMTP")

    def test_submission(self):
        self.check("submission")

    def test_imap(self):
        self.check("IMAP")

    def test_pop3(self):
        self.check("POP3")

    def test_control_a_model_that_forgets_tls(self):
        account = next(iter(POP3_USERS.items()))
        for make, sequence in ((lambda: Smtp(self.p.port("smtp"), False, forget_tls=True), ("ehlo", "starttls", "mail")),
                               (lambda: Imap(self.p.port("imap"), forget_tls=True), ("starttls", "login")),
                               (lambda: Pop3(self.p.port("pop3"), account, forget_tls=True), ("stls", "user"))):
            with self.subTest(sequence=sequence), self.assertRaises(AssertionError):
                run_one(make, sequence)


if __name__ == "__main__":
    unittest.main()
