#!/usr/bin/env python3
"""Framing, exhaustively (THREATS S01 to S04): every string of CR, LF, NUL, '.' and space up to a length stands inside a message, right
before a whole second mail, and comes in by DATA, LMTP, BDAT and APPEND. What is stored must be what a model of a few lines says, octet
for octet, and nothing else: nothing smuggled in. What a person submits goes on to a raw sink, which reads it as strictly: nothing
smuggled out.

    tests/run.py attack                                      up to 4 octets
    POSTERN_FRAMING=7 tests/attack/framing_test.py           up to 7, which is 97,655 strings for each way in

The control asks the model of a lax server, for which LF.LF ends a message: its answers must differ."""
import base64
import collections
import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import re
import socket
import socketserver
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import ledger
import results
from client import Wire
from postern import PATIENCE, Instance, wait_for

LONGEST = int(os.environ.get("POSTERN_FRAMING", "4"))
SPLIT_LONGEST = 3
# What has ended a mail somewhere, and what does: too long for all of its length to be cut everywhere, so by name.
ENDS = (b"\r\n.\r\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n")
THREADS = 6
OCTETS = (b"\r", b"\n", b"\0", b".", b" ")
WAYS = ("data", "lmtp", "bdat", "append", "out")
USERS = {f"{way}@example.test": f"secret-{way}" for way in WAYS}
BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
BATCH = 100  # mails on one connection


def strings(longest):
    for n in range(1, longest + 1):
        for octets in itertools.product(OCTETS, repeat=n):
            yield b"".join(octets)


def name_of(x):
    return "".join({13: "R", 10: "N", 0: "0", 46: "d", 32: "s"}[octet] for octet in x)


def evil(way, name):
    """A whole mail in one write, as a smuggler wants it."""
    text = f"X-Case: evil-{name}\r\n\r\nevil\r\n".encode()
    return f"MAIL FROM:<evil@x.test>\r\nRCPT TO:<{way}@example.test>\r\nBDAT {len(text)} LAST\r\n".encode() + text, text


def content(way, name, x):
    """The message with x in its body; x is followed by the second mail."""
    head = (f"From: {way}@example.test\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <{name}@x.test>\r\n"
            f"X-Case: {name}\r\n\r\na").encode()
    return head + x + evil(way, name)[0]


def stuffed_model(way, name, message, end=b"\r\n.\r\n"):
    """What a strict server stores of `message` .CRLF sent behind DATA: ({case: rest of the message}, whether it is ended for a bare CR
    or LF). Dots of stuffing were not added, so they are taken away."""
    wire = message + b".\r\n"
    at = wire.find(end)
    bare = BARE.search(wire) if end == b"\r\n.\r\n" else None
    if bare and bare.start() < at + len(end):
        return {}, True
    stored = {name: rest_of(re.sub(rb"\r\n\.", b"\r\n", wire[:at + 2]))}
    behind = wire[at + len(end):]
    mail, text = evil(way, name)
    # A second mail counts when it stands at the start of a line: behind nothing, or behind lines that end as lines do.
    junk, found, _ = behind.partition(mail)
    if found and (not junk or junk.endswith(b"\r\n") and not BARE.search(junk)):
        stored[f"evil-{name}"] = rest_of(text)
    return stored, False


def counted_model(name, message):
    return {} if BARE.search(message) else {name: rest_of(message)}


def rest_of(message):
    return message.partition(b"X-Case: ")[2]


class Talk(Wire):
    """From an address of its own, so that no cap on one address is in the way."""
    addresses = itertools.cycle(f"127.0.{n // 250 + 1}.{n % 250 + 1}" for n in range(2000))

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(next(self.addresses), 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tag = 0
        self.input = self.socket.makefile("rb")

    def begin(self, hello):
        self.expect(220)
        self.expect(250, f"{hello} x.test")

    def rest(self):
        """All it says until it closes."""
        try:
            return self.input.read()
        except ConnectionResetError:
            return b""


def envelope(way, recipient=None):
    return f"MAIL FROM:<{way}@example.test>\r\nRCPT TO:<{recipient or way + '@example.test'}>\r\n".encode()


def send_cut(w, wire, name, pieces):
    """In two packets when pieces says so, of which the first ends so many octets into x."""
    if pieces is not None:
        at = wire.index(b"X-Case: " + name.encode() + b"\r\n\r\na") + len(name) + 13 + pieces
        w.send(wire[:at])
        time.sleep(0.002)
        wire = wire[at:]
    w.send(wire)


def case_name(x, pieces):
    return name_of(x) + ("" if pieces is None else f"-{pieces}")


def by_data(port, way, cases, hello="EHLO", pieces=None):
    """Cases that end well share a connection; the others have one each. pieces: where a packet ends, within x."""
    hello = "LHLO" if way == "lmtp" else hello
    calm = [c for c in cases if pieces is None and "RNdRN" not in name_of(c) and not stuffed_model(way, "", content(way, "", c))[1]]
    if calm:
        with Talk(port) as w:
            w.begin(hello)
            for x in calm:
                w.send(envelope(way) + b"DATA\r\n")
                for code in (250, 250, 354):
                    w.expect(code)
                w.send(content(way, name_of(x), x) + b".\r\n")
                w.expect(250)
    for x in set(cases) - set(calm):
        with Talk(port) as w:
            w.begin(hello)
            w.send(envelope(way) + b"DATA\r\n")
            for code in (250, 250, 354):
                w.expect(code)
            name = case_name(x, pieces)
            with contextlib.suppress(OSError):  # it was ended before we had said all
                send_cut(w, content(way, name, x) + b".\r\nQUIT\r\n", name, pieces)
            w.rest()


def by_bdat(port, way, cases, pieces=None):
    """In two chunks, of which the first ends inside of x; or in one, and the packets are cut."""
    with Talk(port) as w:
        w.begin("EHLO")
        for x in cases:
            name = case_name(x, pieces)
            message = content(way, name, x)
            at = message.index(b"\r\n\r\na") + 5 + len(x) // 2 if pieces is None else 0
            first = f"BDAT {at}\r\n".encode() + message[:at] if at else b""
            send_cut(w, envelope(way) + first + f"BDAT {len(message) - at} LAST\r\n".encode() + message[at:], name, pieces)
        w.send(b"QUIT\r\n")
        replies, expected = w.rest().count(b"\r\n"), (4 if pieces is None else 3) * len(cases) + 1
        assert replies == expected, f"{replies} replies to {expected} commands"


def by_append(port, way, cases, pieces=None):
    with Talk(port) as w:
        w.line()
        assert w.imap(f"LOGIN {way}@example.test secret-{way}")[0].startswith("OK")
        for i, x in enumerate(cases):
            name = case_name(x, pieces)
            message = content(way, name, x)
            send_cut(w, f"a{i} APPEND INBOX {{{len(message)}+}}\r\n".encode() + message + b"\r\n", name, pieces)
        w.send(b"z LOGOUT\r\n")
        tagged = len(re.findall(rb"^a\d+ (?:OK|NO)", w.rest(), re.M))
        assert tagged == len(cases), f"{tagged} answers to {len(cases)} commands"


def by_submission(port, way, cases):
    token = base64.b64encode(f"\0{way}@example.test\0secret-{way}".encode()).decode()
    calm = [c for c in cases if "RNdRN" not in name_of(c) and not stuffed_model(way, "", content(way, "", c))[1]]
    if not calm:
        return
    with Talk(port) as w:
        w.begin("EHLO")
        w.expect(235, f"AUTH PLAIN {token}")
        for x in calm:
            w.send(envelope(way, "someone@elsewhere.test") + b"DATA\r\n")
            for code in (250, 250, 354):
                w.expect(code)
            w.send(content(way, name_of(x), x) + b".\r\n")
            w.expect(250)


class RawSink(socketserver.ThreadingTCPServer):
    """Reads what relay says as strictly as can be: lines end with CRLF, a message with CRLF.CRLF. What is no command is a find."""
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        self.messages, self.finds = collections.Counter(), []
        super().__init__(("127.0.0.1", 0), RawTalk)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class RawTalk(socketserver.StreamRequestHandler):
    def until(self, end):
        while end not in self.had:
            try:
                piece = self.request.recv(65536)
            except ConnectionError:
                piece = b""
            if not piece:
                return None
            self.had += piece
        taken, _, self.had = self.had.partition(end)
        return taken

    def say(self, text):
        self.request.sendall(text.encode() + b"\r\n")

    def handle(self):
        self.had = b""
        self.say("220 raw.test")
        while (line := self.until(b"\r\n")) is not None:
            verb = line[:4].upper()
            if verb not in (b"EHLO", b"MAIL", b"RCPT", b"DATA", b"QUIT", b"RSET", b"NOOP") or BARE.search(line) or b"evil" in line:
                self.server.finds.append(line)
            if verb == b"EHLO":
                self.say("250-raw.test\r\n250-PIPELINING\r\n250 8BITMIME")
            elif verb == b"DATA":
                self.say("354 go on")
                if not self.data():
                    return
            else:
                self.say("221 bye" if verb == b"QUIT" else "250 ok")

    def data(self):
        message = self.until(b"\r\n.\r\n")
        if message is None:
            return False
        if BARE.search(message):
            self.server.finds.append(message)
        message = re.sub(rb"\r\n\.", b"\r\n", message + b"\r\n")
        self.server.messages[rest_of(message)] += 1
        self.say("250 taken")
        return True


class FramingTest(unittest.TestCase):
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.sink = RawSink()
        cls.p = cls.enterClassContext(Instance(users=USERS, settings=[
            "limit.errors=1000", "queue.retry_first=1s", "server.log=error", "relay.local_networks=yes", "relay.smarthost_tls=may",
            f"relay.smarthost=127.0.0.1:{cls.sink.server_address[1]}"]))
        # And what may stand between the end of a mail and the next: a command behind NUL LF was once taken there.
        behind = [b"\r\n.\r\n" + x for x in strings(3)]
        cls.every = list(dict.fromkeys([*strings(LONGEST), *behind]))

    @classmethod
    def tearDownClass(cls):
        cls.sink.shutdown()
        cls.sink.server_close()

    def all_by(self, function, service, way, cases=None, **more):
        cases = cases or self.every
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            batches = [cases[i:i + BATCH] for i in range(0, len(cases), BATCH)]
            for done in [pool.submit(function, self.p.port(service), way, b, **more) for b in batches]:
                done.result()

    def compare(self, way, expected, cuts):
        """Expected: a multiset of what stands behind X-Case. Empties the mailbox."""
        wait_for(self.p.queue_is_empty, timeout=300)
        user = f"{way}@example.test"
        found = collections.Counter(rest_of(raw) for _, raw in ledger.imap_messages(self.p.port("imap"), user, USERS[user]))
        smuggled, missing = found - expected, expected - found
        self.assertEqual((list(smuggled)[:3], list(missing)[:3]), ([], []),
                         f"{way}: {smuggled.total()} stored that should not be, {missing.total()} missing")
        results.record(f"smuggled in by {way}", smuggled.total(), f"{len(self.every)} strings up to {LONGEST} octets, {cuts} cut in two", "0",
                       "POSTERN_FRAMING=7 tests/attack/framing_test.py")

    def stuffed(self, way, cases=None, piece=""):
        expected = collections.Counter()
        for x in cases or self.every:
            name = name_of(x) + piece
            expected.update(stuffed_model(way, name, content(way, name, x))[0].values())
        return expected

    def counted(self, way, cases=None, piece=""):
        expected = collections.Counter()
        for x in cases or self.every:
            name = name_of(x) + piece
            expected.update(counted_model(name, content(way, name, x)).values())
        return expected

    def whole_and_cut(self, function, service, way, model):
        """All of them whole, and the short ones and ENDS in two packets, cut at each place."""
        self.all_by(function, service, way)
        expected, cuts = model(way), 0
        short = list(dict.fromkeys([*strings(min(SPLIT_LONGEST, LONGEST)), *ENDS]))
        for at in range(max(map(len, short)) + 1):
            cases = [x for x in short if len(x) >= at]
            self.all_by(function, service, way, cases, pieces=at)
            expected += model(way, cases, f"-{at}")
            cuts += len(cases)
        self.compare(way, expected, cuts)

    def test_data(self):
        self.whole_and_cut(by_data, "smtp", "data", self.stuffed)

    def test_lmtp(self):
        self.whole_and_cut(by_data, "lmtp", "lmtp", self.stuffed)

    def test_bdat(self):
        self.whole_and_cut(by_bdat, "smtp", "bdat", self.counted)

    def test_append(self):
        self.whole_and_cut(by_append, "imap", "append", self.counted)

    def test_out(self):
        self.all_by(by_submission, "submission", "out")
        expected = collections.Counter()
        for x in self.every:
            if "RNdRN" not in name_of(x):
                expected.update(stuffed_model("out", name_of(x), content("out", name_of(x), x))[0].values())
        wait_for(self.p.queue_is_empty, timeout=600)
        got = self.sink.messages
        self.assertEqual(self.sink.finds, [])
        self.assertEqual((list(got - expected)[:3], list(expected - got)[:3]), ([], []))
        results.record("smuggled out by relay", len(self.sink.finds), f"{got.total()} messages", "0",
                       "POSTERN_FRAMING=7 tests/attack/framing_test.py")

    def test_control_a_lax_server_is_found_out(self):
        lax = collections.Counter()
        for x in self.every:
            lax.update(stuffed_model("data", name_of(x), content("data", name_of(x), x), end=b"\n.\n")[0].values())
        strict = self.stuffed("data")
        differ = (lax - strict).total()
        print(f"    control: a server that ends at LF.LF would store {differ} other messages", flush=True)
        self.assertGreater(differ, 0)
        self.assertTrue(any(b"evil-" in m for m in lax - strict))


if __name__ == "__main__":
    unittest.main()
