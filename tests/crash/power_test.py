#!/usr/bin/env python3
"""Power loss (THREATS F03 to F05). All that a whole instance writes below its data folder is recorded from its first start on, through
mail by SMTP, LMTP and APPEND, expunges, a stop in order and a kill; then the disks that a cut may leave behind are built (disk.py), the
store is opened on each (power_check.c), and asked for every message that was acknowledged before the cut.

    tests/run.py crash                                        some hundred states
    POSTERN_STATES=10000 tests/crash/power_test.py            the promise

On a few of them Postern itself is started, and asked through IMAP. The controls ignore syncs, all or those of one kind: then there must be
losses."""
import collections
import contextlib
import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import disk
import ledger
import results
from postern import BINARY, ROOT, Instance, wait_for
from syscall_test import USERS, Work

SEED = int(os.environ.get("POSTERN_SEED", "1"))
STATES = int(os.environ.get("POSTERN_STATES", "400"))
STARTS = max(4, STATES // 200)
ROUNDS = int(os.environ.get("POSTERN_ROUNDS", "4"))
# What must be synced, each for itself: bodies, their names, the database's log.
SYNCS = {"bodies": lambda path: path.endswith(".seg"), "names": lambda path: path.endswith("/mail"), "log": lambda path: path.endswith("-wal")}
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class TimedLedger(ledger.Ledger):
    """Knows when it was told, on the clock that strace writes."""

    def __init__(self, seed):
        super().__init__(seed)
        self.acked_at, self.removing_at, self.removed_at = {}, {}, {}

    def ack(self, number):
        super().ack(number)
        self.acked_at[number] = time.time()

    def remove(self, number, sure):
        super().remove(number, sure)
        # The first time counts: two clients may expunge the same, and what the first did is not undone by what the second asks for.
        (self.removed_at if sure else self.removing_at).setdefault(number, time.time())


class Checker:
    """power_check as a child: a folder in, what is in it out."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def look(self, folder):
        self.process.stdin.write(f"{folder}\n")
        self.process.stdin.flush()
        found = []
        while (line := self.process.stdout.readline().rstrip("\n")) != "end":
            if not line and self.process.poll() is not None:
                return [["problem", f"the checker died: {self.process.returncode}"]]
            found.append(line.split(" ", 1 if line.startswith("problem") else -1))
        return found

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def build_checker():
    build = pathlib.Path(BINARY).parent
    subprocess.run([ROOT / "tools/build.sh", build, "", "power_check"], stdout=subprocess.DEVNULL, check=True)
    return f"{build}/power_check"


def record(folder, book):
    """The life of an instance, as operations on its disk: a first start, an end in order, a start, a kill, a start, a kill."""
    recording = disk.Recording(folder)
    for life, rounds in enumerate((ROUNDS, ROUNDS, 1)):
        log = f"{folder}.trace{life}"
        with Instance(users=USERS, folder=folder, settings=["queue.retry_first=1s", "server.log=warn"], prefix=[*disk.STRACE, "-o", log]) as p:
            work = Work(p, book)
            for n in range(rounds):
                senders = [threading.Thread(target=work.run) for _ in range(3)]
                for s in senders:
                    s.start()
                for s in senders:
                    s.join()
                if n == rounds // 2:
                    time.sleep(1.3)  # so idle that the log of the database is written home
            if life == 0:
                wait_for(p.queue_is_empty)
                p.stop()
            else:
                p.kill()
        wait_for(lambda: not is_open(log))  # strace, which is nobody's child
        recording.read(log)
        os.unlink(log)
    return recording


def is_open(path):
    """Whether any process has it open."""
    for entry in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.path.samefile(entry, path):
                return True
    return False


def verdicts(book, cut, found):
    """{verdict: what} of a disk that was cut at that time."""
    there, bad = collections.Counter(), collections.defaultdict(list)
    uids = collections.Counter()
    for word, *more in found:
        if word == "problem":
            bad["PROBLEM"].append(" ".join(more))
            continue
        if word not in ("message", "queued") or not more[-2:-1] or not more[-2].isdigit():
            bad["PROBLEM"].append(" ".join((word, *more)))  # a disk so broken that its names make no sense
            continue
        address, number, good = more[0], int(more[-2]), more[-1] == "good"
        there[number] += 1
        if word == "message":
            uids[address, more[1]] += 1
        if not good:
            bad["CORRUPT"].append(number)
        if number not in book.sent:
            bad["GHOST"].append(number)
        elif book.sent[number] != address:
            bad["MISDELIVERED"].append(number)
    for number, when in book.acked_at.items():
        if when < cut and number not in there and not book.removing_at.get(number, cut) < cut:
            bad["LOST"].append(number)
    bad["REMOVED_BUT_THERE"] = [n for n, when in book.removed_at.items() if when < cut and n in there]
    bad["DUP"] = [n for n, times in there.items() if times > 1]
    bad["UID"] = [u for u, times in uids.items() if times > 1]
    return {verdict: what for verdict, what in bad.items() if what}


def power_words(raw):
    """(number, "good" or "bad") of a message, as power_check says it."""
    match = ledger.NUMBER.search(raw)
    good = match and hashlib.sha256(raw.split(b"\r\n\r\n", 1)[-1]).hexdigest() == match.group(2).decode()
    return match.group(1).decode() if match else "0", "good" if good else "bad"


class Replay:
    """Builds states in memory and asks the checker about each."""

    def __init__(self, program, recording, book, rng):
        self.recording, self.book, self.rng = recording, book, rng
        self.folder = tempfile.mkdtemp(prefix="postern-disk-", dir=MEMORY)
        self.reserve = f"{self.folder}/reserve"
        with open(self.reserve, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, 16 << 20)
        self.checker = Checker(program)
        self.states, self.with_mail, self.bad = 0, 0, []
        self.first_ack = min(book.acked_at.values())

    def put(self, there, root=None):
        root = root or f"{self.folder}/disk"
        shutil.rmtree(root, ignore_errors=True)
        store = self.recording.root + "/store"
        for path, content in there.items():
            if path != store and not path.startswith(store + "/"):
                continue
            place = root + path[len(store):]
            if content is None:
                os.mkdir(place, 0o700)
            else:
                with open(place, "wb") as f:
                    f.write(content)
        if os.path.isdir(root):
            os.link(self.reserve, f"{root}/reserve")
        return root

    def one(self, there, cut, how):
        self.states += 1
        self.with_mail += cut > self.first_ack
        if self.recording.root + "/store" in there:
            bad = verdicts(self.book, cut, self.checker.look(self.put(there)))
        else:
            bad = verdicts(self.book, cut, [])
        if bad:
            self.bad.append((how, bad))

    def run(self, per_cut, step, ignored=lambda path: False):
        model = disk.Disk(self.recording.root, ignored)
        ops = self.recording.ops
        for k in range(len(ops) + 1):
            cut = ops[k].time if k < len(ops) else float("inf")
            if k % step == SEED % step or k == len(ops):
                for kept in disk.choices(model.pending(), self.rng, per_cut):
                    self.one(model.build(kept), cut, (k, kept))
            if k < len(ops):
                model.do(ops[k])

    def close(self):
        self.checker.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class LedgerTest(unittest.TestCase):
    def test_two_clients_expunge_the_same(self):
        """Between the two requests the message is gone, and that is right."""
        book = TimedLedger(1)
        number = book.new(["a@example.test"])[0]
        book.ack(number)
        book.remove(number, sure=False)
        time.sleep(0.01)
        cut = time.time()
        time.sleep(0.01)
        book.remove(number, sure=False)
        self.assertEqual(verdicts(book, cut, []), {})
        self.assertEqual(verdicts(book, book.acked_at[number] + 1e-6, []), {"LOST": [number]})


class PowerTest(unittest.TestCase):
    maxDiff = 200

    @classmethod
    def setUpClass(cls):
        random.seed(SEED)
        cls.work = tempfile.mkdtemp(prefix="postern-power-")
        os.chmod(cls.work, 0o711)
        cls.program = build_checker()
        cls.book = TimedLedger(SEED)
        folder = f"{cls.work}/data"
        os.mkdir(folder, 0o711)
        cls.recording = record(folder, cls.book)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.work, ignore_errors=True)

    def replay(self, states, ignored=lambda path: False):
        rng = random.Random(SEED)
        cuts = len(self.recording.ops) + 1
        per_cut = 6 if states < cuts * 6 else -(-states // cuts)
        run = Replay(self.program, self.recording, self.book, rng)
        run.run(per_cut, max(1, cuts * per_cut // states), ignored)
        run.close()
        return run

    def explain(self, run):
        """The first few bad states, and what the disk did before each."""
        lines = []
        for (k, kept), bad in run.bad[:: max(1, len(run.bad) // 3)][:4]:
            lines += [f"cut before operation {k}: {str(bad)[:400]}", f"    choices {str(kept)[:200]}"]
            lines += [f"    {i} {self.recording.ops[i]}" for i in range(max(0, k - 6), min(k + 2, len(self.recording.ops)))]
        return "\n".join(lines)

    def test_nothing_acknowledged_is_lost(self):
        run = self.replay(STATES)
        lost = sum("LOST" in bad for _, bad in run.bad)
        print(f"    operations {len(self.recording.ops)}, states {run.states}, acknowledged {len(self.book.acked)}, seed {SEED}", flush=True)
        results.record("disk states after a power cut with an acknowledged message lost", lost,
                       f"{run.states} states, {run.with_mail} with acknowledged mail", "0",
                       "POSTERN_STATES=10000 tests/crash/power_test.py")
        self.assertEqual(run.bad, [], "\n" + self.explain(run))
        self.assertGreater(len(self.book.acked), 10)

    def some_states(self):
        """(cut, what is there) of a few cuts with acknowledged mail, on a disk that got a part of what was under way."""
        ops, model, rng = self.recording.ops, disk.Disk(self.recording.root), random.Random(SEED)
        first = next(k for k, op in enumerate(ops) if op.time > min(self.book.acked_at.values()))
        wanted = set(rng.sample(range(first, len(ops)), STARTS))
        for k, op in enumerate(ops):
            if k in wanted:
                yield op.time, model.build(rng.choice(list(disk.choices(model.pending(), rng, 6))))
            model.do(op)

    def furnish(self, replay, there, folder):
        """A data folder with that store; keys and passwords are as they were at the end."""
        last = self.recording.root
        shutil.copytree(last, folder, ignore=lambda at, _: ["store", "run"] if at == last else [])
        os.chmod(folder, 0o711)
        replay.put(there, f"{folder}/store")
        os.unlink(f"{folder}/store/reserve")  # it is the replay's; office makes its own
        for name in ("login", "keys", "store"):
            owner = os.stat(f"{last}/{name}")
            for path in (pathlib.Path(folder, name), *pathlib.Path(folder, name).rglob("*")):
                os.chown(path, owner.st_uid, owner.st_gid)

    def test_postern_starts_and_has_it(self):
        """As the processes that there are then: office, mda and IMAP in the place of power_check."""
        replay = Replay(self.program, self.recording, self.book, random.Random(SEED))
        self.addCleanup(replay.close)
        os.chmod(replay.folder, 0o711)
        for n, (cut, there) in enumerate(self.some_states()):
            folder = f"{replay.folder}/start{n}"
            self.furnish(replay, there, folder)
            with Instance(users=USERS, folder=folder, settings=["queue.retry_first=1s", "server.log=error"]) as p:
                wait_for(p.queue_is_empty)
                found = [["message", user, str(uid), *power_words(raw)]
                         for user, password in USERS.items() for uid, raw in ledger.imap_messages(p.port("imap"), user, password)]
            self.assertEqual(verdicts(self.book, cut, found), {}, f"state {n} of {STARTS}")
            shutil.rmtree(folder)

    def test_control_without_syncs_there_are_losses(self):
        for name, ignored in {"all": lambda path: True, **SYNCS}.items():
            with self.subTest(ignored=name):
                run = self.replay(60, ignored)
                lost = sum("LOST" in bad for _, bad in run.bad)
                print(f"    control, syncs ignored ({name}): {lost} of {run.states} states lost mail", flush=True)
                self.assertGreater(lost, run.states // 10)


if __name__ == "__main__":
    unittest.main()
