#!/usr/bin/env python3
"""F29: another program in the place of the one that runs, under load: nobody is refused, sessions that are open hear a last word, what was
acknowledged is there, the process stays the same. And a program that is no good changes nothing. POSTERN_UPGRADES: how many."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import ledger
import results
from client import Wire
from postern import BINARY, PATIENCE, free_base, release, wait_for

UPGRADES = int(os.environ.get("POSTERN_UPGRADES", "3"))
USERS = {f"user{n}@example.org": f"secret{n}" for n in range(2)}


class Counting(ledger.Sender):
    """Counts connections, and those that were refused."""
    refused = taken = 0

    def connect(self):
        try:
            made = super().connect()
        except ConnectionRefusedError:
            self.refused += 1
            raise
        self.taken += 1
        return made


class UpgradeTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-upgrade-", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o711)
        self.program, self.config, self.base = self.folder / "postern", self.folder / "postern.conf", free_base()
        self.addCleanup(release, self.base)
        self.install(BINARY)
        self.run_postern("setup", "example.org", f"--data={self.folder}/data")
        self.config.write_text(self.config.read_text() + f"""
[login]
plaintext = true
[listen]
smtp = ["127.0.0.1:{self.base + 25}"]
submissions = []
submission = []
imap = ["127.0.0.1:{self.base + 143}"]
imaps = []
pop3s = []
""")
        log = self.enterContext(open(self.folder / "log", "ab"))
        self.process = subprocess.Popen([self.program, "serve", f"--config={self.config}"], stderr=log)
        self.addCleanup(self.end)
        self.told("parent.ready", 1)
        for user, password in USERS.items():
            (self.folder / "password").write_text(password + "\n")
            self.run_postern("user", "add", user, f"--password-file={self.folder}/password")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.assertEqual(self.process.wait(30), 0)
        finally:
            self.process.kill()

    def run_postern(self, *words):
        return subprocess.run([self.program, *words, f"--config={self.config}"], check=True, capture_output=True, text=True, timeout=PATIENCE)

    def install(self, source):
        """As a package manager does: by rename."""
        new = self.folder / "postern.new"
        shutil.copy(source, new)
        new.chmod(0o755)
        new.rename(self.program)

    def told(self, event, times):
        wait_for(lambda: (self.folder / "log").read_text().count(event) >= times)

    def runs(self):
        """The file that the process is."""
        return pathlib.Path(f"/proc/{self.process.pid}/exe").stat().st_ino

    def last_words(self):
        """Two sessions that do nothing, and what they hear at the end."""
        smtp, imap = (self.enterContext(Wire(self.base + port)) for port in (25, 143))
        smtp.expect(220)
        imap.line()
        return lambda: (smtp.line()[:3], smtp.closed(), imap.line()[:5], imap.closed())

    def test_under_load(self):
        book, stop = ledger.Ledger(1), threading.Event()
        senders = [Counting(book, self.base + 25, list(USERS), stop) for _ in range(6)]
        for s in senders:
            s.start()
        for n in range(UPGRADES):
            hear = self.last_words()
            self.install(BINARY)
            new = self.program.stat().st_ino
            self.assertNotEqual(self.runs(), new)
            before = len(book.acked)
            self.process.send_signal(signal.SIGUSR2)
            self.told("parent.ready", n + 2)
            self.assertEqual(self.runs(), new)
            self.assertEqual(hear(), (b"421", True, b"* BYE", True))
            wait_for(lambda before=before: len(book.acked) > before + 20)
        stop.set()
        for s in senders:
            s.join(PATIENCE)
        refused, taken = sum(s.refused for s in senders), sum(s.taken for s in senders)
        self.assertGreater(taken, len(senders) * UPGRADES)
        wait_for(lambda: self.run_postern("queue", "list", "--json").stdout.strip() == "[]")
        bad, found = ledger.check(book, self.base + 143, USERS)
        results.record("connections refused while the program is upgraded under load", refused,
                       f"{UPGRADES} upgrades, {taken} connections, {len(book.acked)} messages, {len(bad.get('LOST', ()))} lost", "0",
                       f"POSTERN_UPGRADES={UPGRADES} tests/chain/upgrade_test.py")
        self.assertEqual((bad, refused), ({}, 0))
        self.assertGreaterEqual(found, len(book.acked))
        self.run_postern("verify")

    def test_other_listeners(self):
        """The same program with another [listen]: who is there already is not refused, who is new is heard, who is gone is not."""
        smtp, imap, other = (f'"127.0.0.1:{self.base + n}"' for n in (25, 143, 24))
        self.config.write_text(self.config.read_text().replace(f"smtp = [{smtp}]", f"smtp = [{smtp}, {other}]").replace(f"imap = [{imap}]", "imap = []"))
        book, stop = ledger.Ledger(2), threading.Event()
        sender = Counting(book, self.base + 25, list(USERS), stop)
        sender.start()
        wait_for(lambda: len(book.acked) > 5)
        with self.assertRaises(ConnectionRefusedError):
            Wire(self.base + 24)
        self.process.send_signal(signal.SIGUSR2)
        self.told("parent.ready", 2)
        with Wire(self.base + 24) as w:
            w.expect(220)
        with self.assertRaises(ConnectionRefusedError):
            Wire(self.base + 143)
        stop.set()
        sender.join(PATIENCE)
        self.assertEqual(sender.refused, 0)

    def test_one_that_is_no_good(self):
        """It ends with an error, it does not end, it is no program, it is not there."""
        old = self.runs()
        hangs = self.folder / "hangs"
        subprocess.run(["cc", "-x", "c", "-", "-o", hangs], input=b"#include <unistd.h>\nint main(void) { for (;;) pause(); }\n", check=True)
        for n, bad in enumerate(("/bin/false", hangs, self.config, None), 1):
            with self.subTest(program=bad):
                with Wire(self.base + 25) as w:
                    w.expect(220)
                    if bad:
                        self.install(bad)
                    else:
                        self.program.unlink()
                    self.process.send_signal(signal.SIGUSR2)
                    self.told("parent.upgrade_refused", n)
                    w.expect(250, "EHLO me")
                    self.assertEqual(self.runs(), old)
        self.install(BINARY)

    def test_listeners_that_are_no_longer_wanted(self):
        """[listen] changed: what it names newly is bound, what it no longer names is closed."""
        self.config.write_text(self.config.read_text().replace(f":{self.base + 143}", f":{self.base + 144}"))
        self.process.send_signal(signal.SIGUSR2)
        self.told("parent.ready", 2)
        with Wire(self.base + 144) as w:
            self.assertTrue(w.line().startswith(b"* OK"))
        with self.assertRaises(ConnectionRefusedError):
            Wire(self.base + 143)


if __name__ == "__main__":
    unittest.main()
