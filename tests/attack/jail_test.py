#!/usr/bin/env python3
"""The jail drill (THREATS P01 to P04): each process in turn acts as if taken over (tests/attack/drill.c, only in a build with
-Ddrill=true) and tries files, network, other processes, privileges, other people's accounts, and nonsense to everybody it can reach. Nothing may
succeed, nobody else may fall, and when the broken process is gone mail goes on.

    tests/run.py attack                              three forbidden calls of each role
    POSTERN_DRILL=full tests/attack/jail_test.py     every forbidden call, more nonsense

The control runs the same drill without the jail: it must report successes."""
import concurrent.futures
import os
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import fault
import results
from client import deliver_at_last, message, wait_message
from drill import AUTHORITY, BINARY, DESCRIPTORS, FLOOD, FORBIDDEN, GARBAGE, OVERSIZED, ROLES, SYSTEM, drill
from postern import ROOT, Instance, alive, wait_for

FULL = bool(os.environ.get("POSTERN_DRILL"))
COMMAND = "POSTERN_DRILL=full tests/attack/jail_test.py"
# What each role must at least have tried: a drill that stops half-way would find nothing too.
LEAST = {SYSTEM: 24, AUTHORITY: 4}
# As what it must be refused: an answer to something else would show that the drill no longer asks what it means to. A process that
# makes a call which is not its own is hung up on.
REASONS = {
    "forged": "DENIED", "none": "DENIED", "other_account": "DENIED", "other_generation": "DENIED", "other_session": "DENIED",
    "other_instance": "DENIED", "longer": "DENIED", "foreign_mailbox": "NOT_FOUND", "permit_other_domain": "DENIED", "permit_longer": "DENIED",
    "dkim_forged": "DENIED", "tls_sign_other": "NOT_FOUND", "foreign_job_message": "DENIED", "foreign_deliver": "DENIED", "foreign_dsn": "DENIED",
    "foreign_attempt": "DENIED", "commit_nothing": "INVALID", "commit_descriptor": "INVALID", "commit_unsealed": "INVALID",
    "commit_overlong": "TOO_LARGE", "commit_as_another": "DENIED", "commit_changed": "DENIED", "commit_forged": "DENIED", "commit_none": "DENIED",
    "commit_login": "DENIED", "commit_relay": "DENIED", "foreign_id": "INVALID", "own_id_again": "UNAVAILABLE", "id_of_tomorrow": "INTERNAL",
    "id_of_long_ago": "INTERNAL", "foreign_attempt_id": "INVALID", "event_of_a_message": "INVALID", "attempt_of_long_ago": "INVALID",
}
WORKS = {"client": {"own_mailboxes", "own_permit", "own_id", "own_attempt_id"}, "mx": {"own_id", "own_attempt_id"}}
HUNG_UP = "UNAVAILABLE"


def is_hole(stage, try_, result, detail):
    """Whether it got what it wanted, or was refused for another reason than the one that counts."""
    if result == "refused" and stage == AUTHORITY:
        return REASONS.get(try_.split(":")[0]) != detail
    if result == "refused" and stage == FORBIDDEN:
        return detail != HUNG_UP
    return result not in ("refused", "works")


def honest(p, mark):
    """A mail comes in and is read."""
    wait_for(lambda: all(p.pids(role) for role in ROLES))
    deliver_at_last(p, message(mark))
    wait_message(p, mark)


class Drill:
    """All stages in one role of one instance."""

    def __init__(self, role, **options):
        self.role, self.options = role, options
        self.tried, self.holes, self.fallen = 0, [], []

    def run(self):
        with Instance(binary=BINARY, settings=["server.log=error"], **self.options) as p:
            honest(p, "before")
            for stage in (SYSTEM, AUTHORITY):
                self.note(stage, drill(p, self.role, stage))
            for stage in (GARBAGE, OVERSIZED, DESCRIPTORS, FLOOD):
                for index in range(8 if FULL else 1):
                    self.attack(p, stage, index)
            if self.role not in ("sign", "login", "office"):  # they call nobody
                at, count = 0, 1
                while at < count:
                    count = self.attack(p, FORBIDDEN, at)
                    at += 1 if FULL else max(1, count // 3 + 1)
            self.spared(p, p.process.pid)
        return self

    def note(self, stage, tries):
        if stage in LEAST and len(tries) < LEAST[stage] and not (stage == AUTHORITY and self.role in ("office", "sign", "login")):
            self.holes.append((self.role, stage, f"only {len(tries)} tries"))
        if stage == AUTHORITY:
            self.holes += [(self.role, stage, w, "is the control, and was not allowed")
                           for w in WORKS.get(self.role, set()) - {try_ for try_, result, _ in tries if result == "works"}]
        self.tried += len(tries)
        self.holes += [(self.role, stage, *t) for t in tries if is_hole(stage, *t)]

    def attack(self, p, stage, index):
        """It is done by a process that is then ended, as parent would end a broken one; all others live on, unharmed."""
        before = {role: p.pids(role) for role in ROLES if role != self.role}
        pid = fault.wait_role(p, self.role)
        tries = drill(p, self.role, stage, index)
        self.note(stage, tries)
        time.sleep(0.2)
        after = {role: p.pids(role) for role in ROLES if role != self.role}
        if before != after or p.process.poll() is not None:
            self.fallen.append((self.role, stage, index, before, after))
        if alive(pid):
            fault.kill(pid)
        wait_for(lambda: p.pids(self.role) not in ([], [pid]))
        honest(p, f"{self.role}-{stage}-{index}")
        return next((int(detail[3:]) for try_, _, detail in tries if try_ == "count"), 0)

    def spared(self, p, pid):
        if not alive(pid):
            self.fallen.append((self.role, "parent"))


class JailTest(unittest.TestCase):
    def drill_all(self, who, **options):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            drills = list(pool.map(lambda role: Drill(role, **options).run(), ROLES))
        tried = sum(d.tried for d in drills)
        results.record(f"jail drill: what a process taken over can reach{who}", sum(len(d.holes) for d in drills),
                       f"{tried} tries in {len(ROLES)} roles", "0", COMMAND)
        results.record(f"jail drill: processes that fell beside it{who}", sum(len(d.fallen) for d in drills), f"{tried} tries", "0", COMMAND)
        self.assertEqual([hole for d in drills for hole in d.holes], [])
        self.assertEqual([fallen for d in drills for fallen in d.fallen], [])

    def test_nothing_succeeds(self):
        self.drill_all("" if os.geteuid() == 0 else ", started by an ordinary user")

    def test_nothing_succeeds_for_an_ordinary_user(self):
        """Uid and root stay then: seccomp and landlock alone must hold."""
        if os.geteuid() != 0:
            return
        folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-drill-", dir="/var/tmp"))
        try:
            folder.chmod(0o711)
            binary = shutil.copy(BINARY, folder / "postern")
            os.chmod(binary, 0o755)
            tried, holes = 0, []
            for role in ROLES if FULL else ("mx", "office", "relay"):
                data = folder / role
                data.mkdir()
                os.chown(data, 65534, 65534)
                with Instance(folder=str(data), binary=binary, prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]) as p:
                    tries = drill(p, role, SYSTEM)
                    honest(p, "after")
                tried += len(tries)
                holes += [(role, *t) for t in tries if t[1] != "refused"]
        finally:
            shutil.rmtree(folder)
        results.record("jail drill: what a process taken over can reach, started by an ordinary user", len(holes), f"{tried} tries", "0", COMMAND)
        self.assertEqual(holes, [])

    def test_control_without_the_jail(self):
        """The same tries succeed when there is no jail; as far as the one who started it may."""
        p = Instance(binary=BINARY, settings=["server.log=error"], start=False)
        pathlib.Path(p.folder, "drill-without-jail").touch()
        must = {"connect", "listen", "fork", "exec", "kill", "read_etc", "read_proc", "write_tmp", "write_data", "administer", "read_database",
                "read_segment", "read_key", "read_passwords", "socket_unix", "code"}
        if os.geteuid() == 0:
            must |= {"ptrace", "read_memory", "take_descriptor", "chroot"}
        p.start()
        with p:
            done = {try_ for role in ("mx", "mda") for try_, result, _ in drill(p, role, SYSTEM) if result == "DONE"}
        print(f"    without the jail: {len(done)} kinds of tries succeed", flush=True)
        self.assertEqual(must - done, set())

    def test_the_program_has_no_drill(self):
        """The normal program does not know the signal: it ends it, like any other process that nobody told."""
        normal = os.environ.get("POSTERN", str(ROOT / "build-test" / "postern"))
        self.assertNotIn(b"drill-without-jail", pathlib.Path(normal).read_bytes())
        self.assertIn(b"drill-without-jail", pathlib.Path(BINARY).read_bytes())


if __name__ == "__main__":
    unittest.main()
