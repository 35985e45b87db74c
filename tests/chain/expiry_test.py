"""What is remembered has an end (record.keep, record.keep_refused, record.refused_most): also when more grows old than one look removes."""
import contextlib
import json
import pathlib
import sqlite3
import tempfile
import unittest

import pages
from postern import Instance, wait_for

OLD = 9000  # several slices


class ExpiryTest(unittest.TestCase):
    def events(self, p):
        return json.loads(p.ctl("status", "--json").stdout)["events"]

    def age(self, folder):
        """As many refusals, messages' traces and their events from long ago as some weeks of mail leave."""
        with pages.database(folder) as db:
            db.executemany("INSERT INTO event VALUES (?, ?, 1, 'mx', 'refused', '{}')", [((n << 20) | 1, n) for n in range(1, OLD)])
            db.executemany("INSERT INTO event VALUES (?, ?, 1, 'mx', 'accepted', '{}')", [((1 << 52) + n, n) for n in range(OLD)])
            db.executemany("INSERT INTO outgoing_report VALUES (?, 'a.test', 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', 0, 0, '')",
                           [(n,) for n in range(1, 60)])

    def reports(self, folder):
        with contextlib.closing(sqlite3.connect(f"file:{folder}/store/postern.db?mode=ro", uri=True)) as db:
            return db.execute("SELECT count(*) FROM outgoing_report").fetchone()[0]

    def test_all_that_is_old_goes(self):
        with tempfile.TemporaryDirectory(prefix="postern-old-") as folder:
            pathlib.Path(folder).chmod(0o711)
            with Instance(folder=folder) as p:
                p.stop()
                self.age(folder)
                p.start()
                wait_for(lambda: self.events(p) < 100)
                wait_for(lambda: self.reports(folder) == 0)


if __name__ == "__main__":
    unittest.main()
