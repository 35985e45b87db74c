#!/usr/bin/env python3
"""Kill at every system call (THREATS F01): while one message after another is accepted, submitted, queued, delivered, relayed, appended and
expunged, one process is killed as it enters its n-th call of a kind, for every kind and every n that a run without faults shows. After each
kill the ledger is compared with what IMAP shows, and with what came to the far server.

    tests/run.py crash                                     every POSTERN_SITES_STEP-th site (so many that it takes half a minute)
    POSTERN_SITES_STEP=1 tests/crash/syscall_test.py       all of them
    POSTERN_ROLES="client mda" ...                         of these processes only
    POSTERN_BESIDE=3 ...                                   in so many instances beside each other: most of the time is waiting
    POSTERN_SITE="office pwrite64 20" POSTERN_VERBOSE=1 tests/crash/syscall_test.py    one of them again
"""
import base64
import collections
import concurrent.futures
import os
import imaplib
import pathlib
import random
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import fault
import ledger
import results
from client import Wire
from postern import PATIENCE, Instance, alive, wait_for
from sink import Sink

SEED = int(os.environ.get("POSTERN_SEED", "1"))
ONE = os.environ.get("POSTERN_SITE", "").split()
VERBOSE = bool(os.environ.get("POSTERN_VERBOSE"))
ROLES = os.environ.get("POSTERN_ROLES", "office mx mda client login sign relay").split()
STEP = int(os.environ.get("POSTERN_SITES_STEP", "0"))
BESIDE = int(os.environ.get("POSTERN_BESIDE", "1"))
USERS = {f"user{i}@example.test": f"secret{i}" for i in range(2)}
# To die as a wait begins is to die after the call before; a new thread has done nothing yet, one that ends no more.
NO_SITES = {"futex", "epoll_wait", "poll", "restart_syscall", "clone3", "rseq", "set_robust_list", "exit"}
FAR = "someone@elsewhere.test"
SETTINGS = ["queue.retry_first=1s", "server.log=warn"]
SHORT_SITES = 30
FRESH_AFTER = 3  # kills: parent lets a child that dies again and again wait longer each time; a new parent does not


class Work:
    """What is done at each site. Every step says to the ledger what is certain, and is left when the server goes away."""

    def __init__(self, p, book, timeout=PATIENCE):
        self.p, self.book, self.timeout = p, book, timeout

    def steps(self):
        return self.smtp, self.lmtp, self.append, self.expunge

    def run(self):
        for step in self.steps():
            began = time.monotonic()
            try:
                step()
            except (OSError, imaplib.IMAP4.error, AssertionError, ValueError) as e:
                # Cut off or put off: nothing was promised.
                if VERBOSE:
                    print(f"        {step.__name__} ended after {time.monotonic() - began:.2f} s: {e!r}"[:200])

    def smtp(self, port="smtp", hello="EHLO"):
        with Wire(self.p.port(port), timeout=self.timeout) as w:
            w.expect(220)
            w.expect(250, f"{hello} ledger.test")
            for size in (300, 9000):
                number, recipient, message = self.book.new(list(USERS), size)
                w.expect(250, "MAIL FROM:<ledger@elsewhere.test>")
                w.expect(250, f"RCPT TO:<{recipient}>")
                w.expect(354, "DATA")
                w.send(re.sub(rb"(?m)^\.", b"..", message) + b".\r\n")
                code, _ = w.reply()
                if code == 250:
                    self.book.ack(number)
                elif code >= 500:
                    self.book.refuse(number)

    def lmtp(self):
        self.smtp("lmtp", "LHLO")

    def login(self, user):
        client = imaplib.IMAP4("127.0.0.1", self.p.port("imap"), timeout=self.timeout)
        client.login(user, USERS[user])
        return client

    def append(self):
        number, user, message = self.book.new(list(USERS), 5000)
        client = self.login(user)
        try:
            status, _ = client.append("INBOX", None, None, message)
            if status == "OK":
                self.book.ack(number)
        finally:
            client.shutdown()

    def expunge(self):
        self.expunge_of(random.choice(list(USERS)))

    def expunge_of(self, user, least=8, part=2):
        """The older half of a mailbox goes, so that mailboxes stay short."""
        client = self.login(user)
        try:
            count = int(client.select("INBOX")[1][0])
            if count < least:
                return
            there = client.fetch(f"1:{count // part}", "(UID BODY.PEEK[HEADER.FIELDS (X-Ledger)])")[1]
            pairs = [(re.search(rb"UID (\d+)", i[0]).group(1).decode(), int(re.search(rb": (\d+) ", i[1]).group(1)))
                     for i in there if isinstance(i, tuple)]
            if not pairs:
                return
            uids = ",".join(uid for uid, _ in pairs)
            for _, number in pairs:
                self.book.remove(number, sure=False)
            client.uid("STORE", uids, "+FLAGS.SILENT", r"(\Deleted)")
            if client.uid("EXPUNGE", uids)[0] == "OK":
                for _, number in pairs:
                    self.book.remove(number, sure=True)
        finally:
            client.shutdown()


class WholeWork(Work):
    """And what a person sends, to somebody here and somebody elsewhere: login, sign and relay have a part in it."""

    def __init__(self, p, book, sent_far):
        super().__init__(p, book)
        self.sent_far = sent_far

    def steps(self):
        return *super().steps(), self.submit

    def submit(self):
        user = random.choice(list(USERS))
        token = base64.b64encode(f"\0{user}\0{USERS[user]}".encode()).decode()
        number, recipient, message = self.book.new(list(USERS), 2000, sender=user)
        with Wire(self.p.port("submissions"), tls=True, timeout=self.timeout) as w:
            for code, command in ((220, None), (250, "EHLO ledger.test"), (235, f"AUTH PLAIN {token}"), (250, f"MAIL FROM:<{user}>"),
                                  (250, f"RCPT TO:<{recipient}>"), (250, f"RCPT TO:<{FAR}>"), (354, "DATA")):
                w.expect(code, command)
            w.send(re.sub(rb"(?m)^\.", b"..", message) + b".\r\n")
            code, _ = w.reply()
            if code == 250:
                self.book.ack(number)
                self.sent_far.add(number)
            elif code >= 500:
                self.book.refuse(number)


def came_far(sink):
    """Numbers of the messages that the far server has; more than once is no wrong, for its answer may have been lost."""
    return {int(re.search(rb"^X-Ledger: (\d+) ", m.data, re.M).group(1)) for m in list(sink.messages)}


def instance(sink):
    return Instance(users=USERS, settings=[*SETTINGS, f"relay.smarthost=127.0.0.1:{sink.port}", "relay.smarthost_tls=may"])


def serves(p):
    """Whether both doors answer and the office behind them."""
    try:
        with Wire(p.port("smtp"), timeout=5) as w:
            return w.reply()[0] == 220 and w.smtp("EHLO a.test")[0] == 250 and w.smtp("MAIL FROM:<a@b.test>")[0] == 250 and \
                w.smtp("RCPT TO:<user0@example.test>")[0] == 250
    except (OSError, ValueError):
        return False


def settle(p, role, since):
    """Seconds until it serves again; then the queue runs dry."""
    fault.wait_role(p, role)
    wait_for(lambda: serves(p), step=0.02)
    took = time.monotonic() - since
    wait_for(p.queue_is_empty, step=0.03)
    return took


def sites(p, book):
    """Every (role, call, n) that the work reaches."""
    found = []
    for role in ROLES:
        log = pathlib.Path(p.folder) / f"calls-{role}.log"
        with fault.Strace(fault.wait_role(p, role), "trace=all", output=log):
            for _ in range(2):
                WholeWork(p, book, set()).run()
                wait_for(p.queue_is_empty)
        most = fault.count_calls(log)
        log.unlink()
        # Two runs were counted, so that what is done now and then (expunge) is reached too.
        found += [(role, call, n) for call in sorted(set(most) - NO_SITES) for n in range(1, most[call] + 1)]
    return found


class SyscallTest(unittest.TestCase):
    def fresh(self, p):
        p.kill()
        p.start()

    def one_site(self, p, book, sink, sent_far, site):
        """Whether it was reached, and how long the rest was without service."""
        role, call, n = site
        pid = fault.wait_role(p, role)
        began = time.monotonic()
        with fault.Strace(pid, f"trace=?{call}", f"inject={call}:signal=KILL:when={n}"):
            for _ in range(4):
                WholeWork(p, book, sent_far).run()
                if not alive(pid):
                    break
        hit = not alive(pid)
        worked = time.monotonic() - began
        took = settle(p, role, time.monotonic())
        settled = time.monotonic() - began - worked
        bad, _ = ledger.check(book, p.port("imap"), USERS)
        if VERBOSE:
            print(f"    {role} {call} {n}: {'killed' if hit else 'not reached'}, work {worked:.2f}, service {took:.2f}, queue {settled:.2f} s", flush=True)
        self.assertEqual((bad, sent_far - came_far(sink)), ({}, set()), f"after {role} was killed at {call} {n}, seed {SEED}")
        return hit, took

    def run_sites(self, chosen):
        """One instance with a ledger of its own takes sites until there are none: (kills of each role, longest time without service, messages,
        of them sent elsewhere)."""
        book, kills, longest, sent_far = ledger.Ledger(SEED), collections.Counter(), 0, set()
        with Sink("127.0.0.1", 0) as sink, instance(sink) as p:
            while chosen:
                site = chosen.popleft()
                hit, took = self.one_site(p, book, sink, sent_far, site)
                kills[site[0]] += hit
                if hit and kills.total() % FRESH_AFTER == 0:
                    self.fresh(p)
                longest = max(longest, took if hit else 0)
            verified = p.ctl("verify", "--json", check=False)
        self.assertEqual(verified.returncode, 0, verified.stdout)
        return kills, longest, len(book.acked), len(sent_far)

    @staticmethod
    def some_of(every, step):
        """Every step-th; and of each process two of what it does most, for some do little."""
        chosen = dict.fromkeys(every[SEED % step::step])
        for role in ROLES:
            chosen |= dict.fromkeys([site for site in every if site[0] == role and site[1] in ("recvmsg", "sendmsg")][:2])
        return list(chosen)

    def test_kill_at_every_call(self):
        random.seed(SEED)
        with Sink("127.0.0.1", 0) as sink, instance(sink) as p:
            every = sites(p, ledger.Ledger(SEED))
        step = STEP or max(1, len(every) // SHORT_SITES)
        chosen = collections.deque([(ONE[0], ONE[1], int(ONE[2]))] if ONE else self.some_of(every, step))
        tried = len(chosen)
        with concurrent.futures.ThreadPoolExecutor(BESIDE) as pool:
            done = [run.result() for run in [pool.submit(self.run_sites, chosen) for _ in range(BESIDE)]]
        kills, longest, acked = sum((d[0] for d in done), collections.Counter()), max(d[1] for d in done), sum(d[2] for d in done)
        self.assertGreater(kills.total(), tried * 2 // 3)  # some calls are made only when an instance is new
        if not ONE:
            self.assertEqual({role for role, n in kills.items() if n}, set(ROLES), "each was killed")
            self.assertGreater(sum(d[3] for d in done), 0, "mail went elsewhere")
        if STEP:  # the figure: a machine with other work has others
            self.assertLess(longest, 3)
        told = f"{kills.total()} kills ({', '.join(f'{role} {n}' for role, n in kills.items())}) at {tried} of {len(every)} sites"
        print(f"    {told}, acknowledged {acked}, seed {SEED}", flush=True)
        command = "POSTERN_SITES_STEP=1 tests/crash/syscall_test.py"
        results.record("acknowledged messages lost, kill at each system call", 0, f"{told}, {acked} messages", "0", command)
        results.record("recovery after such a kill, longest time without service", f"{longest:.2f} s", told, "< 3 s", command)

    def test_control_the_ledger_sees_lies(self):
        """Each lie told to the ledger must come back under its name: else zero losses would mean nothing."""
        book = ledger.Ledger(SEED)
        with Instance(users=USERS, settings=["server.log=warn"]) as p:
            lost = book.new(list(USERS))[0]
            book.ack(lost)
            number = {}
            for lie in ("CORRUPT", "MISDELIVERED", "DUP", "REFUSED_BUT_THERE", "REMOVED_BUT_THERE"):
                number[lie], recipient, message = book.new(list(USERS), 1000)
                if lie == "CORRUPT":
                    message = message[:-20] + b"?" + message[-19:]
                if lie == "MISDELIVERED":
                    recipient = next(u for u in USERS if u != recipient)
                for _ in range(2 if lie == "DUP" else 1):
                    self.send(p, recipient, message)
                (book.refuse if lie == "REFUSED_BUT_THERE" else book.ack)(number[lie])
            book.remove(number["REMOVED_BUT_THERE"], sure=True)
            self.send(p, "user0@example.test", b"Subject: from nowhere\r\n\r\nBoo\r\n")
            wait_for(p.queue_is_empty)
            bad, _ = ledger.check(book, p.port("imap"), USERS)
        self.assertEqual(bad["LOST"], [lost])
        for lie, n in number.items():
            self.assertIn(n, bad[lie], lie)
        self.assertEqual(len(bad["GHOST"]), 1)

    def send(self, p, recipient, message):
        with Wire(p.port("smtp")) as w:
            w.expect(220)
            w.expect(250, "EHLO ledger.test")
            w.expect(250, "MAIL FROM:<ledger@elsewhere.test>")
            w.expect(250, f"RCPT TO:<{recipient}>")
            w.expect(354, "DATA")
            w.send(message + b".\r\n")
            w.expect(250)


if __name__ == "__main__":
    unittest.main()
