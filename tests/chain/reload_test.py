#!/usr/bin/env python3
"""F27: the configuration is read again and again under load by all ways in: good ones, wrong ones, and files of which only a part is written yet.
What `config check` takes is taken, what it refuses changes nothing; no session notices, nothing is lost, and no process grows.

    POSTERN_RELOADS=1000 tests/chain/reload_test.py"""
import imaplib
import os
import pathlib
import poplib
import random
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import ledger
import results
from client import Wire, trusting
from postern import BINARY, PATIENCE, free_base, release, wait_for

RELOADS = int(os.environ.get("POSTERN_RELOADS", "24"))
SEED = int(os.environ.get("POSTERN_SEED", "1"))
USERS = {f"user{n}@example.org": f"secret{n}" for n in range(3)}
# Settings that no session notices, also when the file ends within one of them.
TAIL = """
[mail]
subaddress = "+"
[limit]
workers = {workers}
[queue]
retry_first = "{retry}s"
retry_most = "9m"
"""
WRONG = ("nonsense = 1\n", "[limit]\nworkers = \"many\"\n", "[", "workers = 1\nworkers = 2\n", "\0\0\0\0", "[mail]\nsubaddress = \"\xff\n", "= 3\n")


class Load(threading.Thread):
    """One way in, session after session: how many there were, and what went wrong."""

    def __init__(self, test, way, book):
        super().__init__(daemon=True)
        self.test, self.way, self.book, self.stop, self.done, self.failed = test, way, book, threading.Event(), 0, []

    def run(self):
        while not self.stop.is_set():
            try:
                self.way(self)
                self.done += 1
            except Exception as e:  # whatever it is, it is a session that failed
                self.failed.append(repr(e))
                self.stop.wait(0.1)

    def mail(self, recipients=tuple(USERS)):
        number, recipient, text = self.book.new(list(recipients))
        return number, recipient, text


def port(base, service):
    return base + {"smtp": 25, "submissions": 465, "imap": 143, "imaps": 993, "pop3s": 995}[service]


class ReloadTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-reload-", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o711)
        self.config, self.base, self.rng = self.folder / "postern.conf", free_base(), random.Random(SEED)
        self.addCleanup(release, self.base)
        self.run_postern("setup", "example.org", f"--data={self.folder}/data")
        listen = "".join(f'{service} = ["127.0.0.1:{port(self.base, service)}"]\n' for service in ("smtp", "submissions", "imap", "imaps", "pop3s"))
        self.head = self.config.read_text() + f"\n[login]\nplaintext = true\n[listen]\n{listen}submission = []\n"
        self.config.write_text(self.head + self.tail())
        self.log = self.enterContext(open(self.folder / "log", "w+b"))
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([BINARY, "serve", f"--config={self.config}"], stderr=log)
        self.addCleanup(self.end)
        self.text = b""
        self.hear(b"parent.ready")
        for user, password in USERS.items():
            (self.folder / "password").write_text(password + "\n")
            self.run_postern("user", "add", user, f"--password-file={self.folder}/password")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.assertEqual(self.process.wait(30), 0)
        finally:
            self.process.kill()

    def run_postern(self, *words, check=True):
        return subprocess.run([BINARY, *words, f"--config={self.config}"], check=check, capture_output=True, text=True, timeout=PATIENCE)

    def hear(self, *words):
        """The first of the words that the log says from now on."""
        def look():
            self.text += self.log.read()
            found = [(self.text.index(word), word) for word in words if word in self.text]
            return min(found) if found else None
        at, word = wait_for(look, step=0.01)
        self.text = self.text[self.text.index(b"\n", at) if b"\n" in self.text[at:] else at + len(word):]
        return word

    def tail(self):
        return TAIL.format(workers=self.rng.randint(4, 9), retry=self.rng.randint(1, 9))

    # --- What is done meanwhile ---

    def smtp(self, load):
        with smtplib.SMTP("127.0.0.1", port(self.base, "smtp"), "load.test", PATIENCE) as s:
            number, recipient, text = load.mail()
            s.sendmail("ledger@elsewhere.test", [recipient], text)
            load.book.ack(number)

    def submission(self, load):
        user, password = next(iter(USERS.items()))
        with smtplib.SMTP_SSL("127.0.0.1", port(self.base, "submissions"), "load.test", timeout=PATIENCE, context=trusting()) as s:
            s.login(user, password)
            number, recipient, text = load.book.new(list(USERS), sender=user)
            s.sendmail(user, [recipient], text)
            load.book.ack(number)

    def imap(self, load):
        user, password = "user1@example.org", USERS["user1@example.org"]
        with imaplib.IMAP4_SSL("127.0.0.1", port(self.base, "imaps"), ssl_context=trusting(), timeout=PATIENCE) as c:
            c.login(user, password)
            number, _, text = load.mail([user])
            self.assertEqual(c.append("INBOX", None, None, text)[0], "OK")
            load.book.ack(number)
            c.select("INBOX", readonly=True)
            self.assertEqual(c.fetch("*", "(FLAGS BODY.PEEK[HEADER])")[0], "OK")

    def pop3(self, load):
        c = poplib.POP3_SSL("127.0.0.1", port(self.base, "pop3s"), timeout=PATIENCE, context=trusting())
        c.user("user2@example.org")
        c.pass_(USERS["user2@example.org"])
        count = c.stat()[0]
        if count:
            c.top(count, 1)
        c.quit()

    def stays(self):
        """Two sessions from before the first reload that stay; what they say now."""
        smtp, imap = (self.enterContext(Wire(port(self.base, service))) for service in ("smtp", "imap"))
        smtp.expect(220)
        imap.line()
        imap.imap("LOGIN user0@example.org secret0")
        return lambda: (smtp.smtp("NOOP")[0], bool(imap.imap("NOOP")))

    # --- Reloads ---

    def write(self):
        """Another file in the place of the one that is there; half of them good."""
        good = self.head + self.tail()
        kind = self.rng.choice(("good", "good", "same", "wrong", "cut", "cut", "half"))
        if kind == "wrong":
            good += self.rng.choice(WRONG)
        elif kind == "cut":
            good = good[:self.rng.randrange(len(good))]
        elif kind == "half":  # its length is there, what is in it is not
            at = self.rng.randrange(len(good))
            good = good[:at] + "\0" * (len(good) - at)
        if kind != "same":
            self.config.write_bytes(good.encode("latin-1"))
        return kind

    def reload(self):
        """The kind of file, and whether it was taken."""
        kind = self.write()
        checked = self.run_postern("config", "check", check=False)
        self.process.send_signal(signal.SIGHUP)
        said = self.hear(b"parent.reloaded", b"parent.reload_refused")
        self.assertEqual(said == b"parent.reloaded", checked.returncode == 0, (kind, checked.stderr, self.config.read_bytes()[-80:]))
        self.assertEqual(self.process.poll(), None)
        return kind, checked.returncode == 0

    def sizes(self):
        """{role: (KiB of its own memory, descriptors)}."""
        found = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if self.process.pid not in (int(entry.name), parent):
                    continue
                rollup = (entry / "smaps_rollup").read_text().split("\n")
                memory = sum(int(line.split()[1]) for line in rollup if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
                found[words[1].decode().lstrip("@")] = (memory, len(os.listdir(entry / "fd")))
            except OSError:
                continue
        return found

    def quiet(self):
        """When all processes are there and nobody does anything."""
        last = None
        for _ in range(100):
            now = {role: files for role, (_, files) in self.sizes().items()}
            if now == last and len(now) > 6:
                break
            last = now
            time.sleep(0.3)
        return self.sizes()

    def test_under_load(self):
        book = ledger.Ledger(SEED)
        loads = [Load(self, way, book) for way in (self.smtp, self.smtp, self.submission, self.imap, self.pop3)]
        stays = self.stays()
        for load in loads:
            load.start()
        wait_for(lambda: all(load.done or load.failed for load in loads))
        kinds = []
        for n in range(RELOADS):
            kinds.append(self.reload())
            if n % 80 == 0 or n == RELOADS - 1:  # more often than they may say nothing
                self.assertEqual(stays(), (250, True))
        wait_for(lambda: all(load.done > 1 or load.failed for load in loads))
        for load in loads:
            load.stop.set()
        for load in loads:
            load.join(PATIENCE)
        failed = [(load.way.__name__, why) for load in loads for why in load.failed]
        done, taken = sum(load.done for load in loads), sum(good for _, good in kinds)
        self.config.write_text(self.head + self.tail())
        self.process.send_signal(signal.SIGHUP)
        self.hear(b"parent.reloaded")
        wait_for(lambda: self.run_postern("queue", "list", "--json").stdout.strip() == "[]")
        bad, found = ledger.check(book, port(self.base, "imap"), USERS)
        results.record("sessions that failed while the configuration was read again under load", len(failed),
                       f"{RELOADS} reloads ({RELOADS - taken} of files that are wrong or half written), {done} sessions, {len(book.acked)} messages, "
                       f"{len(bad.get('LOST', ()))} lost", "0", "POSTERN_RELOADS=1000 tests/chain/reload_test.py")
        self.assertEqual((failed, bad), ([], {}))
        self.assertGreaterEqual(found, len(book.acked))
        self.assertTrue(0 < taken < RELOADS, kinds)

    def test_nothing_grows(self):
        for _ in range(8):  # whatever is made once
            self.reload()
        before = self.quiet()
        for _ in range(RELOADS):
            self.reload()
        after = self.quiet()
        self.assertEqual(set(before), set(after))
        grown = {role: after[role][0] - before[role][0] for role in before}
        files = {role: after[role][1] - before[role][1] for role in before}
        results.record("memory that a process grows by when the configuration is read again", f"{max(grown.values()) / 1024:.2f} MiB",
                       f"{RELOADS} reloads, the most of {len(before)} processes; descriptors: {max(files.values())}", "< 1 MiB",
                       "POSTERN_RELOADS=1000 tests/chain/reload_test.py")
        print("   ", grown, flush=True)
        self.assertLessEqual(max(files.values()), 0, files)
        self.assertLess(max(grown.values()), 1024, grown)

    def test_control_a_session_that_fails_is_seen(self):
        load = Load(self, self.pop3, ledger.Ledger(SEED))
        load.start()
        wait_for(lambda: load.done)
        self.process.send_signal(signal.SIGSTOP)
        for pid in self.edges():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: load.failed)
        self.process.send_signal(signal.SIGCONT)
        load.stop.set()
        load.join(PATIENCE)

    def edges(self):
        pids = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == self.process.pid and (entry / "cmdline").read_bytes().split(b"\0")[1] == b"@client":
                    pids.append(int(entry.name))
            except (OSError, IndexError):
                continue
        return pids


if __name__ == "__main__":
    unittest.main()
