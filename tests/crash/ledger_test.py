#!/usr/bin/env python3
"""The ledger itself: messages by all four ways are found through IMAP and in the files; and each verdict is given when its wrong is done on
purpose. A ledger that sees nothing would make every other test here green."""
import imaplib
import pathlib
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import ledger
import pages
import rawstore
from postern import PATIENCE, Instance, wait_for

USERS = {f"user{i}@example.test": f"secret{i}" for i in range(2)}
ONE, TWO = USERS


class LedgerTest(unittest.TestCase):
    def start(self):
        return self.enterContext(Instance(users=USERS, settings=["queue.retry_first=1s", "server.log=error"]))

    def fill(self, p, count=10):
        """count messages at least by each way, one way after the other; {way: numbers acknowledged}."""
        book, ways = ledger.Ledger(), {}
        for way in ("smtp", "lmtp", "submission", "append"):
            before, stop = set(book.acked), threading.Event()
            sender = {"smtp": lambda: ledger.Sender(book, p.port("smtp"), list(USERS), stop),
                      "lmtp": lambda: ledger.LmtpSender(book, p.port("lmtp"), list(USERS), stop),
                      "submission": lambda: ledger.Submitter(book, p.port("submissions"), list(USERS), stop, ONE, USERS[ONE]),
                      "append": lambda: ledger.Appender(book, p.port("imap"), stop, ONE, USERS[ONE])}[way]()
            sender.start()
            wait_for(lambda: len(book.acked) >= len(before) + count)
            stop.set()
            sender.join(PATIENCE)
            ways[way] = book.acked - before
        wait_for(p.queue_is_empty)
        return book, ways

    def both(self, p, book):
        """Through IMAP and in the files: the same verdicts."""
        by_imap, by_files = ledger.check(book, p.port("imap"), USERS), ledger.check_raw(book, p.folder, USERS)
        self.assertEqual(by_imap, by_files)
        return by_imap[0]

    def change(self, p, sql):
        """What no bug of ours may do, done by hand while nobody runs."""
        p.stop()
        with pages.database(p.folder) as db:
            self.assertGreater(db.execute(sql).rowcount, 0)
        p.start()

    def client(self, p, user):
        client = imaplib.IMAP4("127.0.0.1", p.port("imap"), timeout=PATIENCE)
        self.addCleanup(client.shutdown)
        client.login(user, USERS[user])
        client.select("INBOX")
        return client

    def test_all_four_ways_and_what_goes_wrong(self):
        p = self.start()
        book, ways = self.fill(p)
        self.assertEqual(self.both(p, book), {})
        self.assertTrue(all(len(numbers) >= 10 for numbers in ways.values()), ways)
        # refused, but there; removed, but there; never sent
        number = min(ways["smtp"])
        book.refuse(number)
        self.assertEqual(self.both(p, book), {"REFUSED_BUT_THERE": [number]})
        book.refused.clear()
        book.remove(number, True)
        self.assertEqual(self.both(p, book), {"REMOVED_BUT_THERE": [number]})
        book.removed.clear()
        sent = book.sent.pop(number)
        self.assertEqual(self.both(p, book)["GHOST"], [number])
        book.sent[number] = sent
        # a message with no number, a message twice, a message at somebody else's
        client = self.client(p, ONE)
        client.append("INBOX", None, None, b"Subject: ghost\r\n\r\nboo\r\n")
        self.assertEqual([user for user, _ in self.both(p, book)["GHOST"]], [ONE])
        client.uid("STORE", "1:*", "-FLAGS.SILENT", r"(\Deleted)")
        raw = next(raw for uid, raw in ledger.imap_messages(p.port("imap"), ONE, USERS[ONE]))
        number = int(ledger.NUMBER.search(raw).group(1))
        client.append("INBOX", None, None, raw)
        self.assertEqual(self.both(p, book)["DUP"], [number])
        other = self.client(p, TWO)
        other.append("INBOX", None, None, raw)
        self.assertEqual(self.both(p, book)["MISDELIVERED"], [number])
        # one that was acknowledged goes
        client.store("1", "+FLAGS.SILENT", r"(\Deleted)")
        gone = int(ledger.NUMBER.search(client.fetch("1", "(BODY.PEEK[])")[1][0][1]).group(1))
        client.expunge()
        self.assertIn(gone, {number, *self.both(p, book).get("LOST", ())})
        client.store("1:5", "+FLAGS.SILENT", r"(\Deleted)")
        client.expunge()
        self.assertGreaterEqual(len(self.both(p, book)["LOST"]), 4)

    def test_a_changed_byte_is_corrupt(self):
        p = self.start()
        book, _ = self.fill(p, 3)
        raw = next(raw for user, mailbox, _, raw in rawstore.messages(p.folder) if mailbox == "INBOX")
        p.stop()
        path = pathlib.Path(p.folder) / "store" / "mail" / "00000001.seg"
        data = path.read_bytes()
        body = raw.split(b"\r\n\r\n", 1)[1]
        at = data.index(body) + len(body) // 2
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
        p.start()
        number = int(ledger.NUMBER.search(raw).group(1))
        self.assertEqual(ledger.check_raw(book, p.folder, USERS)[0], {"CORRUPT": [number]})
        # Whoever reads through Postern gets nothing rather than something else: the CRC is looked at.
        self.assertEqual(ledger.check(book, p.port("imap"), USERS)[0], {"LOST": [number]})

    def test_watch_sees_uids_and_modseqs_go_wrong(self):
        p = self.start()
        book, _ = self.fill(p, 3)
        watch = ledger.Watch(USERS)
        self.assertEqual(watch.look(p.port("imap")), {})
        self.assertEqual(watch.look(p.port("imap")), {})
        wrongs = (("UPDATE mailbox SET uidvalidity = uidvalidity + 1 WHERE name = 'INBOX'", "UID"),
                  ("UPDATE message_state SET modseq = 1", "MODSEQ"),
                  ("UPDATE message_state SET uid = uid + 100000 WHERE uid = 1", None),
                  ("UPDATE mailbox SET modseq = 2", "MODSEQ"))
        for sql, verdict in wrongs:
            self.change(p, sql)
            if verdict:
                self.assertIn(verdict, watch.look(p.port("imap")), sql)
            else:  # beyond UIDNEXT, and its envelope is not there: Postern leaves it out or it is seen
                bad = watch.look(p.port("imap"))
                self.assertTrue("UID" in bad or ledger.check(book, p.port("imap"), USERS)[0].get("LOST"), bad)


if __name__ == "__main__":
    unittest.main()
