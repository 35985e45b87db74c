#!/usr/bin/env python3
"""An instance that works for a long time: mail in by SMTP and LMTP, submission, relay to another server, IMAP and POP3 clients that read and
delete, while processes are killed, stopped for seconds, or have calls that fail. Measured is what only shows in time: memory and descriptors
of each process must not rise, and the ledger must be right at the end.

    tests/run.py crash                                       half a minute: that it works
    POSTERN_SOAK_MINUTES=60 tests/soak/soak_test.py          the figure

Memory is what is a process's own: anonymous and shared memory of its PSS, not pages of files, which the kernel takes back. Of each minute the
lowest sample counts, for a login takes 16 MiB while it is checked. A slope is a linear regression over all those of a role in which each process
has a level of its own, for a new one begins low; the first minutes of each are left out. It counts as growth when it is over the tolerance by
three standard errors. Half an hour is the least that is judged: arenas of malloc and threads take minutes to settle.

The office has SQLite's page caches (16 MiB for its writer, 2 for each of 8 readers), which messages fill at 2 KiB each. So for its last life, half
an hour long, they are filled first, by mail to many (measured: it rises to 23 MiB with the first 1,100 to 20 each, and stays there), and all
that came is read by many at once (malloc keeps what client's threads had for it). What comes after is judged. The controls are processes that leak."""
import collections
import concurrent.futures
import contextlib
import imaplib
import math
import os
import pathlib
import poplib
import random
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import ledger
import results
from client import Wire, deliver, message, submit
from fault import Strace, standstill, wait_role
from postern import PATIENCE, Instance, wait_for
from sink import Sink

MINUTES = float(os.environ.get("POSTERN_SOAK_MINUTES", "0.5"))
SEED = int(os.environ.get("POSTERN_SEED", "1"))
HANG_UP = 20  # seconds after which somebody whose answer a fault has swallowed begins anew
SAMPLE = 2 if MINUTES < 5 else 5
WARM = 300 if MINUTES >= 30 else 60 if MINUTES >= 5 else 5  # seconds of a process that do not count: caches fill
JUDGED = 30  # minutes; shorter runs show that it works
FLOOR = 60  # seconds of which the lowest sample counts
LONG_LIFE = 35  # minutes at the end in which the office is left alone
FILLING = 1200 if MINUTES >= JUDGED else 3  # messages to all of FILLED
READERS = 12  # at once, so that each of the office's 8 readers gets work
TOLERANCE = {"memory": 4.0, "descriptors": 2.0}  # MiB and descriptors an hour
KEPT = {f"keep{n}@example.test": f"secret{n}" for n in range(3)}  # nothing is deleted there: the ledger's
CHURNED = {f"churn{n}@example.test": f"secret{n}" for n in range(2)}
FILLED = {f"fill{n}@example.test": f"secret{n}" for n in range(20)}
ROLES = ("office", "mx", "client", "mda", "relay", "sign", "login")
COMMAND = "POSTERN_SOAK_MINUTES=60 tests/soak/soak_test.py"
FAULTS = (("office", "trace=fdatasync", "inject=fdatasync:error=EIO:when=1"), ("office", "trace=pwrite64", "inject=pwrite64:error=ENOSPC:when=3+7"),
          ("mx", "trace=accept4", "inject=accept4:error=EMFILE:when=1+2"), ("relay", "trace=connect", "inject=connect:error=ENETUNREACH:when=1+2"),
          ("client", "trace=sendmsg,write", "inject=write:error=EPIPE:when=5+9"))


def own_memory(pid):
    """MiB that no file stands behind."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(n) for n in re.findall(r"^Pss_(?:Anon|Shmem): +(\d+)", text, re.M)) / 1024


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Slope:
    """y over hours, with a level of its own for each group."""

    def __init__(self):
        self.points = collections.defaultdict(list)

    def add(self, group, hours, y):
        self.points[group].append((hours, y))

    @staticmethod
    def floors(points, floor):
        """The lowest point of each stretch of so many seconds."""
        stretches = {}
        for x, y in points:
            n = (x - points[0][0]) * 3600 // floor
            if n not in stretches or y < stretches[n][1]:
                stretches[n] = x, y
        return list(stretches.values())

    def fit(self, warm=WARM, since=0, floor=FLOOR):
        """(slope an hour, its standard error, points used); warm: seconds of each group that are left out; since: hours, and all before."""
        xx = xy = yy = 0.0
        n = groups = 0
        for points in self.points.values():
            points = self.floors([p for p in points if p[0] >= max(since, points[0][0] + warm / 3600)], floor)
            if len(points) < 3:
                continue
            x0, y0 = (sum(p[i] for p in points) / len(points) for i in (0, 1))
            xx += sum((x - x0) ** 2 for x, _ in points)
            xy += sum((x - x0) * (y - y0) for x, y in points)
            yy += sum((y - y0) ** 2 for _, y in points)
            n, groups = n + len(points), groups + 1
        if n - groups < 2 or xx == 0:
            return 0.0, math.inf, n
        slope = xy / xx
        return slope, math.sqrt(max(yy - slope * xy, 0) / (n - groups - 1) / xx), n

    def grows(self, tolerance, warm=WARM, since=0, floor=FLOOR):
        slope, error, _ = self.fit(warm, since, floor)
        return slope - 3 * error > tolerance


class Sampler(threading.Thread):
    """Every few seconds: memory and descriptors of each process."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.done = pids, threading.Event()
        self.slopes = collections.defaultdict(Slope)  # (what, role)
        self.most = collections.Counter()

    def sample(self):
        hours = time.monotonic() / 3600
        for role, pid in self.pids():
            with contextlib.suppress(OSError):
                for what, value in (("memory", own_memory(pid)), ("descriptors", descriptors(pid))):
                    self.slopes[what, role].add(pid, hours, value)
                    self.most[what, role] = max(self.most[what, role], value)

    def run(self):
        while not self.done.wait(SAMPLE):
            self.sample()


class Worker(threading.Thread):
    """Does one thing again and again; what a fault interrupts is done anew."""

    def __init__(self, name, act, pause, stop):
        super().__init__(daemon=True, name=name)
        self.act, self.pause, self.stop = act, pause, stop
        self.done = self.failed = 0

    def run(self):
        while not self.stop.wait(self.pause):
            try:
                self.act()
                self.done += 1
            except (OSError, EOFError, AssertionError, imaplib.IMAP4.error, poplib.error_proto):
                self.failed += 1


class Traffic:
    """All that people and servers do."""

    def __init__(self, p):
        self.p, self.book, self.rng = p, ledger.Ledger(SEED), random.Random(SEED)
        self.submitted, self.next = set(), 0
        self.stop = threading.Event()
        self.workers = [Worker("in", self.send_kept, 0.3, self.stop), Worker("lmtp", self.send_lmtp, 0.5, self.stop),
                        Worker("churn", self.send_churned, 0.2, self.stop), Worker("submission", self.send_far, 1, self.stop),
                        Worker("imap", self.read_imap, 0.5, self.stop), Worker("pop3", self.read_pop3, 1, self.stop),
                        Worker("browse", self.browse, 0.5, self.stop)]

    def start(self):
        for w in self.workers:
            w.start()

    def end(self):
        self.stop.set()
        for w in self.workers:
            w.join(PATIENCE)

    def send(self, service, users, hello, counted):
        number, to, text = self.book.new(list(users))
        with Wire(self.p.port(service), timeout=HANG_UP) as w:
            w.expect(220)
            w.expect(250, f"{hello} soak.test")
            w.expect(250, "MAIL FROM:<ledger@elsewhere.test>")
            w.expect(250, f"RCPT TO:<{to}>")
            w.expect(354, "DATA")
            w.send(re.sub(rb"(?m)^\.", b"..", text) + b".\r\n")
            if w.reply()[0] == 250 and counted:
                self.book.ack(number)

    def fill(self):
        """Mail to many, for the office's caches."""
        text = message("fill", body="x" * 70 + "\r\n")
        for _ in range(FILLING):
            if deliver(self.p.port("smtp"), text, recipients=list(FILLED))[0] != 250:
                raise AssertionError("the mail to many is not taken")
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            list(pool.map(self.read_all, [*FILLED, *KEPT]))

    def read_all(self, user):
        client = imaplib.IMAP4("127.0.0.1", self.p.port("imap"), timeout=PATIENCE)
        client.login(user, {**FILLED, **KEPT}[user])
        client.select("INBOX", readonly=True)
        client.fetch("1:*", "(ENVELOPE BODY.PEEK[HEADER])")
        client.logout()

    def send_kept(self):
        self.send("smtp", KEPT, "EHLO", True)

    def send_lmtp(self):
        self.send("lmtp", KEPT, "LHLO", True)

    def send_churned(self):
        self.send("smtp", CHURNED, "EHLO", False)

    def send_far(self):
        self.next += 1
        mark = f"soak-{self.next:06d}"
        sender = self.rng.choice(list(KEPT))
        submit(self.p, message(mark, sender=sender, to="x@far.test"), ["x@far.test"], sender=sender)
        self.submitted.add(mark)

    def read_imap(self):
        """Reads and deletes what came, as a phone does."""
        user = "churn0@example.test"
        client = imaplib.IMAP4("127.0.0.1", self.p.port("imap"), timeout=HANG_UP)
        try:
            client.login(user, CHURNED[user])
            status, told = client.select("INBOX")
            assert status == "OK", told
            count = int(told[0])
            if count == 0:
                return
            client.fetch("1:*", "(UID FLAGS ENVELOPE)")
            client.fetch(f"1:{min(count, 5)}", "(BODY[])")
            client.store("1:*", "+FLAGS.SILENT", r"(\Deleted)")
            client.expunge()
        finally:
            with contextlib.suppress(OSError, imaplib.IMAP4.error):
                client.logout()

    def read_pop3(self):
        user = "churn1@example.test"
        client = poplib.POP3("127.0.0.1", self.p.port("pop3"), timeout=HANG_UP)
        try:
            client.user(user)
            client.pass_(CHURNED[user])
            for n in range(1, client.stat()[0] + 1):
                if n <= 5:
                    client.retr(n)
                client.dele(n)
        finally:
            client.quit()

    def browse(self):
        """Looks at a mailbox that only grows, searches it, stays in IDLE a while."""
        user = self.rng.choice(list(KEPT))
        with Wire(self.p.port("imap"), timeout=HANG_UP) as w:
            w.line()
            assert w.imap(f"LOGIN {user} {KEPT[user]}")[0].startswith("OK")
            assert w.imap("EXAMINE INBOX")[0].startswith("OK")
            w.imap(f"SEARCH SUBJECT {self.rng.randint(1, 99)}")
            w.imap("FETCH 1:20 (FLAGS BODY.PEEK[HEADER])")
            w.send("i IDLE")
            w.line()
            self.stop.wait(0.5)
            w.send("DONE")
            w.imap_answer("i")


class Told(collections.Counter):
    """Faults that came to pass, by kind and role; and how many did not, for nobody made that call meanwhile."""
    missed = 0


def misbehave(p, rng, told, spare):
    """One fault; each is over when this returns. spare: a role that is left alone, so that one life of it is long."""
    role = rng.choice([r for r in ROLES if r != spare])
    kind = rng.choice(("kill", "stop", "stop", "fault", "fault"))
    with contextlib.suppress(OSError, AssertionError, RuntimeError):
        if kind == "fault":
            role, *expressions = rng.choice([f for f in FAULTS if f[0] != spare])
            log = pathlib.Path(p.folder) / "soak-fault.log"
            with Strace(wait_role(p, role), *expressions, output=log):
                time.sleep(1)
            if "(INJECTED)" not in log.read_text(errors="replace"):
                told.missed += 1
                return
        elif kind == "stop":
            with standstill(wait_role(p, role)):
                time.sleep(rng.uniform(0.5, 3))
        else:
            os.kill(wait_role(p, role), signal.SIGKILL)
        told[f"{kind} {role}"] += 1


class SoakTest(unittest.TestCase):
    def judge(self, sampler, filled):
        """filled: since when the caches are, the office's and what malloc keeps of the most that was read at once."""
        bad = []
        for (what, role), slope in sorted(sampler.slopes.items()):
            since = filled + WARM / 3600
            value, error, n = slope.fit(since=since)
            print(f"    {role} {what}: {value:+.2f} an hour (standard error {error:.2f}, {n} samples, most {sampler.most[what, role]:.1f})", flush=True)
            if MINUTES >= JUDGED and n < 3:
                bad.append(f"{role} {what}: no process lived long enough to tell")
            if slope.grows(TOLERANCE[what], since=since):
                bad.append(f"{role} {what}: {value:+.2f} an hour, standard error {error:.2f}")
        return bad

    def test_soak(self):
        rng, told = random.Random(SEED), Told()
        sink = self.enterContext(Sink("127.0.0.1", 0))
        with Instance(users={**KEPT, **CHURNED, **FILLED}, settings=["queue.retry_first=1s", "queue.retry_most=5s", "server.log=warn", "relay.smarthost_tls=may",
                                                           "relay.local_networks=yes", f"relay.smarthost=127.0.0.1:{sink.port}"]) as p:
            sampler = Sampler(lambda: [("parent", p.process.pid), *((role, pid) for role in ROLES for pid in p.pids(role))])
            traffic = Traffic(p)
            traffic.start()
            sampler.start()
            until, filled = time.monotonic() + MINUTES * 60, None
            while time.monotonic() < until:
                time.sleep(rng.uniform(5, 60) if MINUTES >= 5 else rng.uniform(1, 3))
                spare = "office" if time.monotonic() > until - LONG_LIFE * 60 else None
                if spare and not filled:
                    traffic.fill()
                    filled = time.monotonic() / 3600
                misbehave(p, rng, told, spare)
            wait_for(lambda: all(w.done for w in traffic.workers))
            traffic.end()
            sampler.done.set()
            wait_for(p.queue_is_empty, step=1)
            bad, found = ledger.check(traffic.book, p.port("imap"), KEPT)
            verified = p.ctl("verify", "--json", check=False)
        relayed = b"".join(re.findall(rb"Subject: soak-\d{6}", b"".join(m.data for m in sink.messages)))
        missing = [mark for mark in traffic.submitted if mark.encode() not in relayed]
        print("    " + ", ".join(f"{w.name} {w.done} (failed {w.failed})" for w in traffic.workers), flush=True)
        print(f"    faults: {dict(told)}, {told.missed} missed; acknowledged {len(traffic.book.acked)}, found {found}", flush=True)
        growing = self.judge(sampler, filled)
        n = (f"{MINUTES:.0f} minutes, {sum(told.values())} faults, {len(traffic.book.acked)} messages in, {len(traffic.submitted)} out, "
             f"{sum(w.done for w in traffic.workers)} sessions")
        if MINUTES >= JUDGED:
            results.record("processes whose memory or descriptors grow", len(growing), n, "0", COMMAND)
            results.record("acknowledged messages lost in a soak", len(bad.get("LOST", ())) + len(missing), n, "0", COMMAND)
            self.assertEqual(growing, [])
        self.assertEqual((bad, missing), ({}, []))
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        self.assertGreater(sum(told.values()), 0, "faults")
        for w in traffic.workers:
            self.assertGreater(w.done, 0, w.name)

    def test_control_a_leak_is_noticed(self):
        """Half a MiB and two descriptors each second, also by one that takes and gives back 16 MiB all the time; and one that only breathes is
        not accused."""
        leak = "x.append(os.urandom(1<<19)); os.open('/',0); os.open('/',0)"
        breath = "y=bytearray(os.urandom(1<<20)*16); time.sleep(random.uniform(.1,.5)); y=None"
        lives = {"leaks": f"{leak}; time.sleep(1)", "both": f"{leak}; {breath}; time.sleep(.7)", "calm": f"{breath}; time.sleep(.3)"}
        with contextlib.ExitStack() as stack:
            made = [stack.enter_context(subprocess.Popen([sys.executable, "-c", f"import os,random,time\nx=[]\nwhile 1:\n {life}"]))
                    for life in lives.values()]
            sampler = Sampler(lambda: zip(lives, (m.pid for m in made)))

            def unnoticed():
                return [(what, life) for life in ("leaks", "both") for what, tolerance in TOLERANCE.items()
                        if not sampler.slopes[what, life].grows(tolerance, 4, floor=2)]

            for n in range(600):  # a busy machine scatters the points: more of them tell all the same
                sampler.sample()
                time.sleep(0.2)
                if n % 50 == 49 and n > 50 and not unnoticed():
                    break
            for m in made:
                m.kill()
        self.assertEqual(unnoticed(), [])
        for what, tolerance in TOLERANCE.items():
            self.assertFalse(sampler.slopes[what, "calm"].grows(tolerance, 4, floor=2), what)


if __name__ == "__main__":
    unittest.main()
