#!/usr/bin/env python3
"""Loads (THREATS 6): slow connections on every port, a flood of new ones, a flood of wrong passwords, many large mails at once; beside
each an honest sender is timed. Memory is PSS, of all processes together.

    tests/run.py attack                                small
    POSTERN_LOAD=full tests/attack/load_test.py        5,000 slow connections, 100 mails of 50 MB

The control holds the slow connections to a cap that cannot be kept: the same measure must then say no."""
import contextlib
import imaplib
import multiprocessing
import os
import pathlib
import resource
import socket
import ssl
import statistics
import sys
import threading
import time
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import results
from client import Wire, deliver, message
from postern import PATIENCE, Instance

FULL = os.environ.get("POSTERN_LOAD") == "full"
SLOW = 5000 if FULL else 1000
LARGE, LARGE_AT_ONCE = 50 << 20, 100 if FULL else 20
SECONDS = 20 if FULL else 5
GUESSERS = 16
MIB = 1 << 20
SERVICES = ("smtp", "imap", "pop3", "submission", "lmtp", "submissions", "imaps", "pop3s")
TLS = ("submissions", "imaps", "pop3s")  # from the first octet
COMMAND = "POSTERN_LOAD=full tests/attack/load_test.py"


def memory(p):
    """PSS of all processes of the instance, in bytes; files in memory that nobody maps are not in it, see shared_files()."""
    total = 0
    for pid in [p.process.pid, *p.pids()]:
        try:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n"):
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


def shared_files():
    """What memory files take on the whole machine."""
    for line in pathlib.Path("/proc/meminfo").read_text().split("\n"):
        if line.startswith("Shmem:"):
            return int(line.split()[1]) * 1024
    return 0


class Peak(threading.Thread):
    """The most memory while it runs."""

    def __init__(self, p):
        super().__init__(daemon=True)
        self.p, self.done, self.most = p, threading.Event(), 0
        self.before = memory(p) + shared_files()

    def run(self):
        while not self.done.wait(0.1):
            self.most = max(self.most, memory(self.p) + shared_files() - self.before)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.done.set()
        self.join()


def connect(port, n):
    """From one of many addresses, so that the caps on one address are not what is measured."""
    s = socket.socket()
    s.settimeout(PATIENCE)
    s.bind((f"127.1.{n // 200 % 250}.{n % 200 + 1}", 0))
    s.connect(("127.0.0.1", port))
    return s


class Flood:
    """A function (port, n, count) in processes of their own, over and over, n rising."""

    def __init__(self, function, port, processes):
        context = multiprocessing.get_context("fork")
        self.made = context.Value("i", 0)
        self.processes = [context.Process(target=self.run, args=(function, port, k * 20000), daemon=True) for k in range(processes)]

    def run(self, function, port, n):
        while True:
            n += 1
            try:
                function(port, n, self.made)
            except OSError:
                pass

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self.made

    def __exit__(self, *unused):
        for process in self.processes:
            process.terminate()
            process.join()


def knock(port, n, made):
    connect(port, n).close()
    made.value += 1


def guess(port, n, made):
    with connect(port, n) as s:
        s.sendall(b"a LOGIN bob@example.test wrong\r\nb LOGOUT\r\n")
        made.value += 1
        s.settimeout(5)
        while s.recv(4096):
            pass


def honest(p, seconds):
    """Latencies of a sender who does nothing else, and how often it was put off."""
    took, put_off = [], 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            good = deliver(p.port("smtp"), message(f"h{began}"))[0] == 250
        except (OSError, AssertionError):
            good = False
        took.append(time.monotonic() - began)
        put_off += not good
        time.sleep(0.005)
    return took, put_off


def p99(values):
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else values[0]


def client_hello():
    """A whole one, as OpenSSL makes it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="mail.example.test").do_handshake()
    return outgoing.read()


HELLO = client_hello()


class Slow:
    """A client that is slow for ever: where the server has had enough, it comes again."""

    def __init__(self, p, n):
        service = SERVICES[n % len(SERVICES)]
        self.port, self.n, self.again = p.port(service), n, 0
        self.text = HELLO if service in TLS else b"E" * 400
        self.begin()

    def begin(self):
        self.socket, self.said = connect(self.port, self.n), 0
        if self.text is not HELLO:
            self.socket.recv(4096)  # who speaks before the greeting is sent away
        self.socket.setblocking(False)
        self.say(1)

    def say(self, octets):
        self.socket.send(self.text[self.said:self.said + octets])
        self.said += octets

    def ended(self):
        """Whether the server has hung up."""
        try:
            while self.socket.recv(4096):
                pass
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True

    def drip(self):
        try:
            if self.ended():
                self.socket.close()
                self.again += 1
                self.begin()
            self.say(1)
        except OSError:
            pass


def drip(held, told):
    """An octet of each in ten seconds, until told to stop. Handshakes have ten seconds (THREATS T07), so those come again."""
    at = 0
    while not told.poll(10 / len(held) * 50):
        for slow in held[at:at + 50]:
            slow.drip()
        at = at + 50 if at + 50 < len(held) else 0
    told.send(sum(slow.again for slow in held if slow.text is not HELLO))


class LoadTest(unittest.TestCase):
    def setUp(self):
        low, high = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(high, 20000), high))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (low, high))

    def slow(self, p, count):
        """So many connections, over all ports, each of which has said one octet of what a client would and says another every
        ten seconds."""
        return [Slow(p, n) for n in range(count)]

    def test_slowloris(self):
        with Instance(settings=["server.log=error", "limit.connections_per_address=100", "limit.login_time=10m"]) as p:
            calm, _ = honest(p, SECONDS)
            before = memory(p)
            held = self.slow(p, SLOW)
            parent, child = multiprocessing.Pipe()
            # A process of its own: what it does must not be in the honest sender's times.
            dripping = multiprocessing.get_context("fork").Process(target=drip, args=(held, child), daemon=True)
            dripping.start()
            grown = memory(p) - before  # all have said one octet, none has been sent away
            pressed, put_off = honest(p, SECONDS)
            grown = max(grown, memory(p) - before)
            parent.send(None)
            again = parent.recv()
            dripping.join()
            for s in held:
                s.socket.close()
            ratio = p99(pressed) / p99(calm)
        print(f"    slow connections that came again: {again}", flush=True)
        results.record(f"memory growth under {SLOW} slow connections", f"{grown / MIB:.1f} MiB", f"{SLOW} connections", "< 64 MiB", COMMAND)
        results.record(f"honest latency p99 beside {SLOW} slow connections", f"{p99(pressed) * 1000:.1f} ms ({ratio:.2f} x)",
                       f"{len(pressed)} mails", "< 2 x", COMMAND)
        self.assertGreater(before, MIB, "memory is seen")
        self.assertLess(again, SLOW // 100, "they are held")
        self.assertEqual(put_off, 0)
        self.assertLess(grown, 64 * MIB)
        if FULL:
            self.assertLess(p99(pressed), max(2 * p99(calm), 0.5))  # what else the machine does is in it too

    def test_control_the_measure_can_say_no(self):
        """An edge that may hold a few connections only: somebody must be put off, and the harness must see it."""
        with Instance(settings=["server.log=error", "limit.connections=10"]) as p:
            held = [connect(p.port("smtp"), n) for n in range(40)]
            time.sleep(0.3)
            _, put_off = honest(p, 1)
            for s in held:
                s.close()
        self.assertGreater(put_off, 0)

    def test_control_memory_is_seen(self):
        """A process that takes 64 MiB."""
        here, there = multiprocessing.Pipe()

        def take(pipe):
            pipe.recv()
            held = bytearray(64 * MIB)
            pipe.send(len(held))
            pipe.recv()

        taker = multiprocessing.get_context("fork").Process(target=take, args=(there,), daemon=True)
        taker.start()
        p = types.SimpleNamespace(process=taker, pids=lambda: [])
        before = memory(p)
        here.send(None)
        here.recv()
        grown = memory(p) - before
        here.send(None)
        taker.join()
        self.assertGreater(grown, 60 * MIB)

    def test_connection_flood(self):
        with Instance(settings=["server.log=error"]) as p:
            with Peak(p) as peak, Flood(knock, p.port("smtp"), 2) as made:
                took, put_off = honest(p, SECONDS)
        results.record("honest senders put off during a connection flood", f"{100 * put_off / len(took):.1f} %", f"{len(took)} mails, {made.value} connections", "<= 1 %",
                       COMMAND)
        results.record("honest latency p99 during a connection flood", f"{p99(took) * 1000:.1f} ms", f"{len(took)} mails", "< 1 s", COMMAND)
        self.assertGreater(made.value, 10 * SECONDS, "it is a flood")
        self.assertLessEqual(put_off, len(took) / 100)
        self.assertLess(peak.most, 64 * MIB)

    def test_login_flood(self):
        with Instance(settings=["server.log=error"]) as p:
            took = []
            with Peak(p) as peak, Flood(guess, p.port("imap"), GUESSERS) as tried:
                until = time.monotonic() + SECONDS
                while time.monotonic() < until:
                    began = time.monotonic()
                    client = imaplib.IMAP4("127.0.0.1", p.port("imap"), timeout=PATIENCE)
                    self.assertEqual(client.login("alice@example.test", "alice")[0], "OK")
                    took.append(time.monotonic() - began)
                    client.shutdown()
        results.record("honest login p99 during a flood of wrong passwords", f"{p99(took) * 1000:.0f} ms", f"{len(took)} logins, {tried.value} wrong ones",
                       "< 1 s", COMMAND)
        self.assertGreaterEqual(tried.value, GUESSERS, "each has a wrong password under way; that it must wait is the point")
        if FULL:
            self.assertLess(p99(took), 1)
        self.assertLess(peak.most, 256 * MIB)

    def test_large_mails(self):
        """Sent all at once, in pieces by turns, so that all are under way together."""
        piece = (b"x" * 70 + b"\r\n") * 3640
        with Instance(settings=["server.log=error", "mail.size=60M", "limit.connections_per_address=200"]) as p:
            talks = []
            for n in range(LARGE_AT_ONCE):
                w = Wire(p.port("smtp"), timeout=PATIENCE)
                w.expect(220)
                w.expect(250, "EHLO x.test")
                for code, command in ((250, "MAIL FROM:<a@x.test>"), (250, "RCPT TO:<alice@example.test>"), (354, "DATA")):
                    w.expect(code, command)
                w.send(f"Subject: large {n}\r\n\r\n".encode())
                talks.append(w)
            with Peak(p) as peak:
                began = time.monotonic()
                for _ in range(LARGE // len(piece)):
                    for w in talks:
                        w.send(piece)
                codes = []
                for w in talks:
                    w.send(b".\r\n")
                for w in talks:
                    codes.append(w.reply()[0])
                took = time.monotonic() - began
            for w in talks:
                w.close()
        results.record(f"memory growth, {LARGE_AT_ONCE} mails of 50 MB at once", f"{peak.most / MIB:.0f} MiB", f"{took:.0f} s, {codes.count(250)} taken", "< 200 MiB", COMMAND)
        self.assertEqual(set(codes), {250})
        self.assertGreater(peak.most, 0, "memory is seen")
        self.assertLess(peak.most, 200 * MIB)


if __name__ == "__main__":
    unittest.main()
