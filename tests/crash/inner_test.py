#!/usr/bin/env python3
"""Faults from within (THREATS F10, F14, F16): every read and write may do a part of what it was asked for, any call may be interrupted, a disk
is slow, a clock jumps. strace cannot make these, so they are made by the build of the drill (tests/crash/faults.c), for our libraries too.
And a database that somebody else holds (F24). Promised: nothing lost, nothing said twice, and mail goes on when it is over.

    tests/run.py crash

The control is in each test: the same faults must be seen to happen."""
import imaplib
import pathlib
import random
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import ledger
import results
from client import Wire, deliver, message, new_key, submit, trusting, txt_strings, wait_message
from drill import BINARY, INTERRUPT, SHORT, SLOW, clock, drill, fault_everywhere
from nameserver import NameServer
from postern import PATIENCE, Instance, wait_for
from sink import Sink
from syscall_test import SEED, USERS, Work, serves

sys.path.append("/usr/lib/python3/dist-packages")
import dkim  # noqa: E402  (python3-dkim)

COMMAND = "tests/crash/inner_test.py"
DAY = 24


class InnerTest(unittest.TestCase):
    def well_again(self, p, book):
        wait_for(lambda: serves(p))
        wait_for(p.queue_is_empty)
        bad, found = ledger.check(book, p.port("imap"), USERS)
        self.assertEqual(bad, {})
        self.assertEqual(p.ctl("verify", "--json", check=False).returncode, 0)
        return found

    def over_tls(self, p, user):
        """The longest way of bytes that we have: TLS, a large literal in and out again."""
        rng = random.Random(SEED)
        text = b"Subject: tls\r\n\r\n" + b"".join(rng.randbytes(35).hex().encode() + b"\r\n" for _ in range(6000))
        client = imaplib.IMAP4_SSL("127.0.0.1", p.port("imaps"), ssl_context=trusting(), timeout=PATIENCE)
        client.login(user, USERS[user])
        self.assertEqual(client.create("Large")[0], "OK")
        self.assertEqual(client.append("Large", None, None, text)[0], "OK")
        client.select("Large")
        self.assertEqual(client.fetch("1", "(BODY.PEEK[])")[1][0][1], text)
        client.logout()

    def test_short_and_interrupted(self):
        """F10: four of ten reads and writes are short, three of ten calls interrupted, in all processes, for a while; and nobody can tell."""
        book = ledger.Ledger(SEED)
        with Instance(users=USERS, binary=BINARY, settings=["queue.retry_first=300ms", "server.log=warn"]) as p:
            fault_everywhere(p, SHORT, 40)
            fault_everywhere(p, INTERRUPT, 30)
            pids = p.pids()
            for _ in range(6):
                Work(p, book).run()
            self.over_tls(p, "user0@example.test")
            acked = len(book.acked)
            self.assertEqual(p.pids(), pids, "nobody fell over it")
            self.well_again(p, book)
        self.assertEqual(acked, 6 * 5, "every one was taken: 2 by SMTP, 2 by LMTP, 1 by APPEND in each round")
        results.record("messages put off by short and interrupted calls", 6 * 5 - acked, f"{acked} messages, 40 % short, 30 % EINTR", "0", COMMAND)

    def test_slow_disk(self):
        """F14: each sync takes 0.3 s, then 5 s. Slower, no more."""
        book = ledger.Ledger(SEED)
        with Instance(users=USERS, binary=BINARY, settings=["queue.retry_first=300ms", "server.log=warn"]) as p:
            took = []
            for amount in (300, 5000):
                drill(p, "office", SLOW, amount)
                began = time.monotonic()
                Work(p, book).smtp()
                took.append(time.monotonic() - began)
            drill(p, "office", SLOW, 0)
            self.well_again(p, book)
        self.assertGreater(took[0], 0.3, "the fault was there")
        self.assertGreater(took[1], 5, "the fault was there")
        self.assertEqual(len(book.acked), 4)

    def test_clock_forward_and_back(self):
        """F16: a day on, two days back, and to the right time again. What waits is neither bounced nor forgotten; sessions and numbers go on."""
        with Sink("127.0.0.1", 0) as sink, Instance(binary=BINARY, settings=[
                f"relay.smarthost=127.0.0.1:{sink.port}", "relay.smarthost_tls=may", "queue.retry_first=1s", "queue.retry_most=2s",
                "server.log=warn"]) as p:
            client = imaplib.IMAP4("127.0.0.1", p.port("imap"), timeout=PATIENCE)
            client.login("alice@example.test", "alice")
            client.select("INBOX")
            validity = client.response("UIDVALIDITY")[1]
            uids = []
            for n, hours in enumerate((0, DAY - 1, -DAY, 0)):
                clock(p, hours)
                self.assertEqual(deliver(p.port("smtp"), message(f"number{n}"))[0], 250)
                wait_message(p, f"number{n}")
                client.noop()
                uids.append(max(int(u) for u in client.uid("SEARCH", "ALL")[1][0].split()))
            self.assertEqual(uids, sorted(set(uids)), "UIDs only rise")
            client.select("INBOX")
            self.assertEqual(client.response("UIDVALIDITY")[1], validity)
            client.logout()
            self.waits_across(p, sink)

    def waits_across(self, p, sink):
        """A mail that waits for a server is tried again soon after each jump, and arrives once."""
        for n, hours in enumerate((DAY, -DAY, 0)):
            sink.says["RCPT"] = "450 4.2.0 not now"
            sink.commands.clear()
            submit(p, message(f"wait{n}", sender="alice@example.test", to="x@far.test"), ["x@far.test"])
            wait_for(lambda: any(c.startswith("RCPT") for c in sink.commands))
            clock(p, hours)
            sink.says.clear()
            wait_for(lambda n=n: any(f"wait{n}".encode() in m.data for m in sink.messages))
        self.assertEqual(len(sink.messages), 3, "each once")
        wait_for(p.queue_is_empty)

    def test_idle_across_jumps(self):
        """F16: who waits in IDLE, and who is in the middle of a mail, is not thrown out by a clock, and hears the news at each time. A login
        holds for a day: when the clock says it is over, the session ends as news come, and the next one sees them."""
        with Instance(binary=BINARY, settings=["server.log=warn"]) as p, Wire(p.port("imap")) as idle, Wire(p.port("smtp")) as slow:
            idle.line()
            self.assertRegex(idle.imap("LOGIN alice@example.test alice")[0], "^OK")
            self.assertRegex(idle.imap("SELECT INBOX")[0], "^OK")
            idle.send("i IDLE")
            self.assertEqual(idle.line()[:1], b"+")
            slow.expect(220)
            for code, command in ((250, "EHLO slow.test"), (250, "MAIL FROM:<ann@elsewhere.test>"), (250, "RCPT TO:<bob@example.test>"), (354, "DATA")):
                slow.expect(code, command)
            slow.send(b"Subject: slow\r\n\r\n")
            for n, (hours, told) in enumerate(((0, "* 1 EXISTS"), (DAY - 1, "* 2 EXISTS"), (-DAY, "* 3 EXISTS"), (0, "* 4 EXISTS"),
                                               (40 * DAY, "* BYE log in again"))):
                clock(p, hours)
                slow.send(f"at {hours}")
                self.assertEqual(deliver(p.port("smtp"), message(f"at{n}"))[0], 250)
                self.hears(idle, told)
            self.assertTrue(idle.closed())
            slow.expect(451, ".")  # by now nobody can tell how old it is: later, not never
            wait_message(p, "Subject: at4")
            for code, command in ((250, "MAIL FROM:<ann@elsewhere.test>"), (250, "RCPT TO:<bob@example.test>"), (354, "DATA")):
                slow.expect(code, command)
            slow.send(b"Subject: slow\r\n\r\n")
            for hours in (DAY - 1, -DAY, 0):
                clock(p, hours)
                slow.send(f"at {hours}")
            slow.expect(250, ".")
            wait_message(p, "Subject: slow", "bob@example.test")

    def hears(self, wire, line):
        """The news that it is waiting for; others may come before, but no end."""
        heard = []
        while line not in heard:
            heard.append(wire.line().decode())
            self.assertTrue(heard[-1] == line or heard[-1].startswith("* ") and not heard[-1].startswith("* BYE"), heard)

    def test_signatures_across_jumps(self):
        """F16, D14: a signature that holds for an hour, judged by a clock that is right, a day ahead, a day and two behind (a day is forgiven,
        DKIM_AHEAD), and right again. SPF says no, so mail of this domain comes in by its signature alone."""
        private, public = new_key()
        zone = f'@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=reject"\ns._domainkey TXT {txt_strings("v=DKIM1; k=rsa; p=" + public)}\n'
        until = int(time.time()) + 3600
        with NameServer({"signed.example": zone, "example": ""}) as dns, Instance(binary=BINARY, dns=dns.address, settings=[
                "auth.local_networks=yes", "auth.iprev=no", "server.log=warn"]) as p:
            said = []
            for n, hours in enumerate((0, DAY, 1 - DAY, -2 * DAY, 0)):
                clock(p, hours)
                text = message(f"signed{n}", sender="ann@signed.example")
                # dkim.sign has no word for x=; what it writes for i= is followed by it. A tag of no meaning (z1) satisfies its check.
                head = dkim.sign(text, b"s", b"signed.example", private, identity=b"@signed.example; x=%d; z1=signed.example" % until)
                self.assertIn(b"x=%d" % until, head)
                said.append(deliver(p.port("smtp"), head + text, sender="ann@signed.example"))
                if said[-1][0] == 451:  # the id is of a time that the office never saw; the next one is not
                    self.assertIn("the clock has jumped", said[-1][1][0])
                    said[-1] = deliver(p.port("smtp"), head + text, sender="ann@signed.example")
        self.assertEqual([code for code, _ in said], [250, 550, 250, 550, 250], said)
        self.assertIn("DMARC", said[1][1][0])
        self.assertIn("DMARC", said[3][1][0])

    def test_locked_database(self):
        """F24: somebody holds the database for writing, for longer than anybody waits. Reading goes on; writing is put off, then comes."""
        book = ledger.Ledger(SEED)
        with Instance(users=USERS, settings=["queue.retry_first=300ms", "server.log=error"]) as p:
            Work(p, book).run()
            before = len(book.acked)
            other = sqlite3.connect(f"{p.folder}/store/postern.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            Work(p, book).smtp()
            held = len(book.acked)
            self.assertEqual(held, before, "the fault was there")
            bad, _ = ledger.check(book, p.port("imap"), USERS)
            self.assertFalse(set(bad) - {"LOST"}, bad)  # what is on its way to a mailbox is not there yet
            other.execute("ROLLBACK")
            other.close()
            self.well_again(p, book)
            Work(p, book).run()
            self.assertGreater(len(book.acked), held, "it takes mail again")
            self.well_again(p, book)
        print(f"    database held by another for {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    unittest.main()
