#!/usr/bin/env python3
"""Files of the store that are gone, cut, foreign or of another owner, and a disk that can only be read (THREATS F26). Promised: Postern starts and
serves all mail, or it does not start and the log names what is wrong; either way no byte of a segment is touched, so that the right file put
back, or `postern salvage`, is the whole repair.

    tests/run.py crash

The control is the untouched copy: it starts and has all mail. A disk that is not mounted: chain/serve_test.py."""
import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from client import deliver, fetch_all, message
from postern import Instance, wait_for

MAILS = 5
DATABASE, SEGMENT = "store/postern.db", "store/mail/00000001.seg"


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def foreign(path):
    os.chown(path, 0, 0)
    path.chmod(0o600)


def stray_segment(folder):
    (folder / "store/mail/00000099.seg").write_bytes(b"what is this" * 99)


# What is done, and what the log then says.
REFUSED = {
    "no database": (lambda d: (d / DATABASE).unlink(), "segment 1 is newer than the database; see postern salvage"),
    "empty database": (lambda d: os.truncate(d / DATABASE, 0), "segment 1 is newer than the database; see postern salvage"),
    "half a database": (lambda d: cut(d / DATABASE), "stored data is damaged"),
    "foreign database": (lambda d: foreign(d / DATABASE), "postern.db: opening: Permission denied"),
    "no segment": (lambda d: (d / SEGMENT).unlink(), "mail segment 1 has 0 bytes, "),
    "half a segment": (lambda d: cut(d / SEGMENT), " were acknowledged"),
    "foreign segment": (lambda d: foreign(d / SEGMENT), "mail segment 1: opening: Permission denied"),
    "no segments": (lambda d: shutil.rmtree(d / "store/mail"), "mail segment 1 has 0 bytes, "),
    "a stray segment": (stray_segment, "segment 99 is newer than the database"),
}
HARMLESS = {
    "nothing": lambda d: None,
    "strays": lambda d: ((d / "store/mail/notes.txt").write_text("hello"), (d / "store/mail/0000002.seg").mkdir()),
    "no reserve": lambda d: (d / "store/reserve").unlink(),
    "no wal": lambda d: [path.unlink() for path in d.glob("store/postern.db-*")],
    "certificates gone": lambda d: [path.unlink() for path in d.glob("keys/selfsigned.*")],
    "half a certificate": lambda d: cut(d / "keys/selfsigned.crt"),
    "an empty key": lambda d: os.truncate(d / "keys/selfsigned.key", 0),
}


class MissingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-missing-", dir="/var/tmp"))
        cls.folder.chmod(0o711)
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        good = cls.folder / "good"
        good.mkdir(0o711)
        with cls.instance(good) as p:
            for n in range(MAILS):
                assert deliver(p.port("smtp"), message(f"number {n}", body=f"{n}" * 70 + "\r\n"))[0] == 250
            wait_for(lambda: len(fetch_all(p)) == MAILS)
        cls.segment = (good / SEGMENT).read_bytes()

    @staticmethod
    def instance(folder, start=True):
        p = Instance(folder=str(folder), settings=["server.log=warn"], start=False)
        if start:
            p.start()
        return p

    @contextlib.contextmanager
    def copy(self):
        folder = self.folder / "copy"
        subprocess.run(["cp", "-a", self.folder / "good", folder], check=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def digests(self, folder):
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "store/mail").rglob("*.seg")
                if path.is_file()} if (folder / "store/mail").is_dir() else {}

    def refuses(self, folder, said):
        p = self.instance(folder, start=False)
        with self.assertRaisesRegex(RuntimeError, r"\(status 1\)"):
            p.start()
        self.assertIn(said, p.log_text())

    def test_what_it_does_not_start_with(self):
        for name, (spoil, said) in REFUSED.items():
            with self.subTest(name), self.copy() as folder:
                spoil(folder)
                before = self.digests(folder)
                self.refuses(folder, said)
                if name.startswith("no "):
                    self.refuses(folder, said)  # it has not got used to it
                after = self.digests(folder)
                self.assertEqual({path: after[path] for path in before}, before)

    def test_what_does_not_matter(self):
        for name, spoil in HARMLESS.items():
            with self.subTest(name), self.copy() as folder:
                spoil(folder)
                with self.instance(folder) as p:
                    self.assertEqual(len(fetch_all(p)), MAILS)
                    self.assertEqual(deliver(p.port("smtp"), message("one more"))[0], 250)
                    wait_for(lambda p=p: len(fetch_all(p)) == MAILS + 1)
                    self.assertEqual(p.ctl("verify", check=False).returncode, 0)
                self.assertEqual((folder / SEGMENT).read_bytes()[:len(self.segment)], self.segment)

    def test_the_file_put_back_is_the_repair(self):
        for name in (DATABASE, SEGMENT):
            with self.subTest(name), self.copy() as folder:
                (folder / name).rename(folder / "kept")
                self.refuses(folder, "segment 1 ")
                (folder / "kept").rename(folder / name)
                for path in folder.glob("store/postern.db-*"):
                    path.unlink()  # of the database that was made meanwhile
                with self.instance(folder) as p:
                    self.assertEqual(len(fetch_all(p)), MAILS)
                    self.assertEqual(p.ctl("verify", check=False).returncode, 0)

    def test_salvage_is_the_other(self):
        """From the segments alone."""
        with self.copy() as folder:
            (folder / DATABASE).unlink()
            self.refuses(folder, "see postern salvage")
            p = self.instance(folder, start=False)
            p.ctl("salvage", "--yes")
            p.start()
            try:
                self.assertEqual(sorted(m.split(b"Subject: ")[1][:8] for m in fetch_all(p)), [b"number %d" % n for n in range(MAILS)])
            finally:
                p.stop()

    def test_a_disk_to_read_only(self):
        with self.copy() as folder:
            store = folder / "store"
            subprocess.run(["mount", "--bind", store, store], check=True)
            try:
                subprocess.run(["mount", "-o", "remount,bind,ro", store], check=True)
                p = self.instance(folder, start=False)
                with self.assertRaises(RuntimeError):
                    p.start()
                self.assertIn("Read-only file system", p.log_text())
            finally:
                subprocess.run(["umount", store], check=True)
            with self.instance(folder) as p:
                self.assertEqual(len(fetch_all(p)), MAILS)


if __name__ == "__main__":
    unittest.main()
