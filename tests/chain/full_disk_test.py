"""The disk is full: 452 and NO; reading and deleting go on; with room again, mail flows, and nothing that was taken is lost."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from client import deliver, fetch_all, insist, mailbox, message, wait_message
from postern import Instance, wait_for


def subject_of(raw):
    return re.search(rb"Subject: (.*?)\r", raw).group(1).decode()


class FullDiskTest(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.fail("a small file system can be mounted as root only: run this test as root")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-full-"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=711", "tmpfs", str(self.folder)], check=True)
        self.addCleanup(os.rmdir, self.folder)
        self.addCleanup(subprocess.run, ["umount", str(self.folder)], check=True)

    def fill(self):
        """Takes all room there is, to the last byte."""
        with (self.folder / "filler").open("ab", buffering=0) as f:
            for size in (65536, 4096, 1):
                try:
                    while f.write(b"\0" * size) == size:
                        pass
                except OSError:
                    pass

    def test_full_disk(self):
        body = ("f" * 70 + "\r\n") * 400
        taken = []
        with Instance(folder=str(self.folder)) as p:
            for i in range(20):
                self.assertEqual(deliver(p.port("smtp"), message(f"before {i}.", body=body))[0], 250)
                taken.append(f"before {i}.")
            wait_for(lambda: len(fetch_all(p)) == 20)
            self.fill()
            for i in range(8):
                code, lines = deliver(p.port("smtp"), message(f"full {i}.", body=body))
                if code == 250:
                    taken.append(f"full {i}.")
            self.assertEqual((code, "4.3.1" in lines[-1]), (452, True), lines)
            refused = re.search(r"\(id ([0-9a-z]{10})\)", lines[-1]).group(1)
            with mailbox(p) as client:
                status, text = client.append("Drafts", "()", None, message("no room", body=body * 4))
                self.assertEqual(status, "NO", text)
                # The first to be taken need not be the first to arrive.
                removed = [subject_of(insist(client.fetch(str(n), "(BODY[])"))[0][1]) for n in range(1, 6)]
                insist(client.store("1:5", "+FLAGS", r"(\Deleted)"))
                self.assertEqual(len(insist(client.expunge())), 5)
            (self.folder / "filler").unlink()
            # The office looks for room every 5 s.
            wait_for(lambda: deliver(p.port("smtp"), message("after."))[0] == 250, step=0.3)
            wait_message(p, "Subject: after.")
            taken.append("after.")
            # What the reply names was kept by the edge while there was no room to write it.
            wait_for(lambda: p.ctl("why", refused, check=False).returncode == 0, step=0.3)
            self.assertLess(set(removed), set(taken))
            taken = [subject for subject in taken if subject not in removed]
            self.compare(p, taken)
            p.stop()
            p.start()
            self.compare(p, taken)
            self.assertEqual(p.ctl("verify").returncode, 0)

    def test_started_on_a_full_disk(self):
        """After a crash or a reboot too: SQLite wants room before it reads, and the reserve gives it."""
        with Instance(folder=str(self.folder)) as p:
            for i in range(3):
                self.assertEqual(deliver(p.port("smtp"), message(f"before {i}."))[0], 250)
            wait_for(lambda: len(fetch_all(p)) == 3)
            p.stop()
            self.fill()
            p.start()
            self.assertEqual(len(fetch_all(p)), 3)
            self.assertEqual(deliver(p.port("smtp"), message("full."))[0], 452)
            with mailbox(p) as client:
                insist(client.store("1", "+FLAGS", r"(\Deleted)"))
                self.assertEqual(len(insist(client.expunge())), 1)
            (self.folder / "filler").unlink()
            wait_for(lambda: deliver(p.port("smtp"), message("after."))[0] == 250, step=0.3)
            wait_for(lambda: len(fetch_all(p)) == 3)

    def compare(self, p, expected):
        def subjects():
            return sorted(map(subject_of, fetch_all(p)))
        wait_for(lambda: len(subjects()) >= len(expected))
        self.assertEqual(subjects(), sorted(expected))


if __name__ == "__main__":
    unittest.main()
