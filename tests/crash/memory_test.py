#!/usr/bin/env python3
"""Killed for memory (THREATS F13): an instance in a memory cgroup of 64 MiB is given more mail at once than fits there, by many sessions, while
other mail comes in as ever; the kernel ends one process after another. Promised: nothing acknowledged is lost, parent is not among the dead (it
asks the kernel for that: src/parent/out_of_memory.c), and mail goes on, in the same 64 MiB.

    tests/run.py crash                                  until the kernel has killed twice
    POSTERN_OOM_KILLS=30 tests/crash/memory_test.py     so often

Needs root and a memory controller (version 1 at /sys/fs/cgroup/memory, or version 2) that may be written; says so where there is none.
The control: a parent that is the kernel's first choice is killed, and that is seen."""
import base64
import collections
import contextlib
import hashlib
import os
import pathlib
import random
import re
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import ledger
import results
from client import Wire, deliver_at_last, message
from postern import PATIENCE, Instance, alive, wait_for
from syscall_test import SEED, USERS, VERBOSE

KILLS = int(os.environ.get("POSTERN_OOM_KILLS", "2"))
LIMIT = 64 << 20
AT_ONCE, LARGE = 60, 700_000  # sessions, octets of randomness in the mail of each; kept in memory until a megabyte (OFFICE_LARGE)
ROOT = pathlib.Path("/sys/fs/cgroup")
COMMAND = "POSTERN_OOM_KILLS=30 tests/crash/memory_test.py"


class Group:
    """A memory cgroup with a limit; OSError where there can be none."""

    def __init__(self, limit):
        self.old = (ROOT / "memory" / "cgroup.procs").exists()
        if not self.old:
            if "memory" not in (ROOT / "cgroup.controllers").read_text().split():
                raise OSError("no memory controller at /sys/fs/cgroup")
            (ROOT / "cgroup.subtree_control").write_text("+memory")
        self.folder = ROOT / ("memory" if self.old else "") / f"postern-test-{os.getpid()}"
        self.folder.mkdir()
        try:
            self.limit(limit)
            if not self.old:
                with contextlib.suppress(OSError):
                    (self.folder / "memory.swap.max").write_text("0")
        except OSError:
            self.folder.rmdir()
            raise

    def limit(self, octets):
        (self.folder / ("memory.limit_in_bytes" if self.old else "memory.max")).write_text(str(octets) if octets else "-1" if self.old else "max")

    def kills(self):
        """How many processes the kernel has ended."""
        text = (self.folder / ("memory.oom_control" if self.old else "memory.events")).read_text()
        return int(re.search(r"(?m)^oom_kill (\d+)", text).group(1))

    def prefix(self):
        return ["/bin/sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh"]

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        wait_for(lambda: not (self.folder / "cgroup.procs").read_text())
        self.folder.rmdir()


def large(book):
    """As book.new, but of a size that takes no time to make."""
    number, recipient, text = book.new(list(USERS), 10)
    body = base64.encodebytes(random.Random(number).randbytes(LARGE)).replace(b"\n", b"\r\n")
    head = text.split(b"X-Ledger", 1)[0]
    return number, recipient, head + b"X-Ledger: %d %s\r\n\r\n" % (number, hashlib.sha256(body).hexdigest().encode()) + body


class Large(threading.Thread):
    """One session that says all of its mail but the end, waits for the others, and ends it."""

    def __init__(self, p, book, together):
        super().__init__(daemon=True)
        self.p, self.book, self.together = p, book, together

    def run(self):
        with contextlib.suppress(OSError, AssertionError, ValueError, threading.BrokenBarrierError):
            try:
                self.session()
            finally:
                self.together.abort()

    def session(self):
        with Wire(self.p.port("smtp"), timeout=20) as w:
            number, recipient, text = large(self.book)
            for code, command in ((220, None), (250, "EHLO large.test"), (250, "MAIL FROM:<ledger@elsewhere.test>"),
                                  (250, f"RCPT TO:<{recipient}>"), (354, "DATA")):
                w.expect(code, command)
            w.send(text)
            with contextlib.suppress(threading.BrokenBarrierError):
                self.together.wait(10)
            w.send(b".\r\n")
            code, _ = w.reply()
            if code == 250:
                self.book.ack(number)
            elif code >= 500:
                self.book.refuse(number)


class MemoryTest(unittest.TestCase):
    def group(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, for a memory cgroup")
        try:
            return Group(LIMIT)
        except OSError as e:
            self.skipTest(f"no memory cgroup can be made here: {e}")

    @staticmethod
    def wave(p, book):
        together = threading.Barrier(AT_ONCE)
        sessions = [Large(p, book, together) for _ in range(AT_ONCE)]
        for s in sessions:
            s.start()
        for s in sessions:
            s.join(PATIENCE)

    @staticmethod
    def instance(group):
        return Instance(users=USERS, prefix=group.prefix(), settings=["queue.retry_first=300ms", "server.log=warn", "limit.connections_per_address=400"])

    def test_killed_for_memory(self):
        book, stop = ledger.Ledger(SEED), threading.Event()
        with self.group() as group:
            with self.instance(group) as p:
                parents = [p.process.pid, *p.pids("parent")]
                user, password = next(iter(USERS.items()))
                others = [ledger.Sender(book, p.port("smtp"), list(USERS), stop), ledger.LmtpSender(book, p.port("lmtp"), list(USERS), stop),
                          ledger.Submitter(book, p.port("submissions"), list(USERS), stop, user, password),
                          ledger.Appender(book, p.port("imap"), stop, user, password)]
                for s in others:
                    s.start()
                waves = 0
                while group.kills() < KILLS and waves < 20 + 3 * KILLS:
                    self.wave(p, book)
                    waves += 1
                    if VERBOSE:
                        print(f"    wave {waves}: {group.kills()} killed, {len(book.acked)} acknowledged", flush=True)
                stop.set()
                for s in others:
                    s.join(PATIENCE)
                    self.assertFalse(s.is_alive(), "what it hears after the end would not be counted")
                kills = group.kills()
                self.assertGreaterEqual(kills, KILLS, "the fault was there")
                self.assertEqual([pid for pid in parents if not alive(pid)], [], "parent lives")
                deliver_at_last(p, message("in the same room", to="user0@example.test"), recipients=["user0@example.test"])
                wait_for(p.queue_is_empty)
                group.limit(None)  # the test's own look at everything is no part of it
                bad, found = ledger.check(book, p.port("imap"), USERS)
                self.assertEqual(len(bad.pop("GHOST")), 1, "that one")
                raw, _ = ledger.check_raw(book, p.folder, USERS)
                raw.pop("GHOST")
                self.assertEqual((bad, raw, book.refused), ({}, {}, set()), f"seed {SEED}")
                self.assertEqual(p.ctl("verify", "--json", check=False).returncode, 0)
                who = collections.Counter(re.findall(r"child_killed child=(\w+) instance=\d+ signal=9", p.log_text()))
        told = f"{kills} kills ({', '.join(f'{role} {n}' for role, n in who.items())}), {len(book.acked)} messages"
        results.record("acknowledged messages lost, killed for memory in a cgroup of 64 MiB", 0, told, "0", COMMAND)

    def test_control_parent_first(self):
        """Were parent the one that the kernel thinks worst of, it would be killed, and we would see it."""
        with self.group() as group, self.instance(group) as p:
            for pid in p.pids("parent"):
                pathlib.Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
            for pid in set(p.pids()) - set(p.pids("parent")):
                pathlib.Path(f"/proc/{pid}/oom_score_adj").write_text("0")
            parents = p.pids("parent")
            book = ledger.Ledger(SEED)
            for _ in range(20):
                self.wave(p, book)
                if not all(alive(pid) for pid in parents):
                    break
            self.assertGreater(group.kills(), 0)
            self.assertFalse(all(alive(pid) for pid in parents))


if __name__ == "__main__":
    unittest.main()
