#!/usr/bin/env python3
"""Processes are killed with SIGKILL at random while messages come in at full speed by SMTP, LMTP, submission and APPEND; afterwards every acknowledged message is
there once and unharmed. POSTERN_KILLS says how often (20 in `make test`, 200 in `make soak`), POSTERN_PER_KILL how many messages come between
two kills at least, POSTERN_SEED which way, POSTERN_KILL_MINUTES when it is enough though there were fewer kills."""
import os
import pathlib
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import fault
import ledger
import results
from postern import PATIENCE, Instance, wait_for

KILLS = int(os.environ.get("POSTERN_KILLS", "20"))
PER_KILL = int(os.environ.get("POSTERN_PER_KILL", "0"))  # messages acknowledged between two kills, at least
SEED = int(os.environ.get("POSTERN_SEED", "1"))
MINUTES = float(os.environ.get("POSTERN_KILL_MINUTES", "inf"))
USERS = {f"user{i}@example.test": f"secret{i}" for i in range(4)}


class KillTest(unittest.TestCase):
    @staticmethod
    def look(watch, p):
        """What is wrong with UIDs and modseqs as a client sees them, between two kills."""
        return [f"{verdict}: {what}" for verdict, list_ in watch.look(p.port("imap")).items() for what in list_]

    def test_nothing_acknowledged_is_lost(self):
        book = ledger.Ledger(SEED)
        rng = random.Random(SEED)
        killed = []
        with Instance(users=USERS, settings=["queue.retry_first=1s", "server.log=warn"]) as p:
            stop = threading.Event()
            user, password = next(iter(USERS.items()))
            senders = [*(ledger.Sender(book, p.port("smtp"), list(USERS), stop) for _ in range(5)),
                       ledger.LmtpSender(book, p.port("lmtp"), list(USERS), stop),
                       ledger.Submitter(book, p.port("submissions"), list(USERS), stop, user, password),
                       ledger.Appender(book, p.port("imap"), stop, user, password)]
            watch, watched = ledger.Watch(USERS), []
            for s in senders:
                s.start()
            roles = ["office", "mx", "mda", "office", "login", "sign", "relay", "client"]
            until, looked = time.monotonic() + MINUTES * 60, 0
            while len(killed) < KILLS and time.monotonic() < until:
                time.sleep(rng.uniform(0.05, 0.6))
                if len(book.acked) < len(killed) * PER_KILL:
                    continue
                role = rng.choice(roles)
                pids = p.pids(role)
                # A process that is not back yet cannot be killed: wait for it, so that each kill counts.
                if pids and fault.kill(rng.choice(pids)):
                    killed.append(role)
                if len(killed) % 20 == 10 and looked < len(killed):
                    watched += self.look(watch, p)
                    looked = len(killed)
            stop.set()
            for s in senders:
                s.join(PATIENCE)
                self.assertFalse(s.is_alive(), "what it hears after the end would not be counted")
            p.kill()  # and the whole instance at once, the way power goes
            p.start()
            wait_for(p.queue_is_empty)
            watched += self.look(watch, p)
            bad, found = ledger.check(book, p.port("imap"), USERS)
            bad_raw, found_raw = ledger.check_raw(book, p.folder, USERS)
            verified = p.ctl("verify", "--json", check=False)
        print(f"    kills {len(killed) + 1}, acknowledged {len(book.acked)}, found {found}, seed {SEED}", flush=True)
        results.record("acknowledged messages lost, random kills under load", len(bad.get("LOST", ())),
                       f"{len(killed) + 1} kills, {len(book.acked)} messages", "0", "POSTERN_KILLS=1000 POSTERN_PER_KILL=101 tests/crash/kill_test.py")
        self.assertEqual((bad, watched), ({}, []))
        self.assertEqual((bad_raw, found_raw), ({}, found))
        self.assertGreater(len(book.acked), 50 * len(killed) // 20)
        self.assertGreater(len(killed), 1)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)


if __name__ == "__main__":
    unittest.main()
