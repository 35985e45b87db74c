#!/usr/bin/env python3
"""F20: a network that loses packets, with a small MTU. Mail comes in by SMTP, LMTP, submission over TLS and APPEND, and goes out to a server that is
found by DNS, while of all packets, DNS's too, 5, 15 or 30 of a hundred are dropped; and a way that is dead for seconds in the midst of DATA.

    POSTERN_LOSS=1000 tests/crash/loss_test.py   messages in for each rate, and a twentieth as many out (20, at 15 of a hundred, in `make test`)"""
import os
import pathlib
import re
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import ledger
import results
from client import Wire, message, submit
from nameserver import NameServer, free_port
from network import Network
from postern import Instance, wait_for
from sink import Sink

WANTED = int(os.environ.get("POSTERN_LOSS", "20"))
RATES = (5, 15, 30) if WANTED > 100 else (15,)
PATIENCE = 900  # seconds: where 30 of a hundred are lost each way, half of all exchanges fail, and TCP doubles its waits
MTU = 576
USERS = {f"user{i}@example.test": f"secret{i}" for i in range(3)}
USER, PASSWORD = next(iter(USERS.items()))
SILENCE = 3  # seconds a way is dead


class LossTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if missing := Network.missing():
            raise unittest.SkipTest(missing)

    def submit_patiently(self, p, mark):
        """As a person's program does: again until it is taken. It may be there more than once, for an answer may be lost to us."""
        def once():
            try:
                return submit(p, message(mark, sender=USER, to="x@far.test"), ["x@far.test"], sender=USER)
            except (OSError, AssertionError):
                return None
        wait_for(once, timeout=PATIENCE)

    def through(self, rate):
        """(what is wrong, acknowledged, relayed, packets lost) at this rate."""
        book, stop, port = ledger.Ledger(rate), threading.Event(), free_port(("127.0.0.2",))
        with Network(MTU) as net, NameServer({"far.test": "@ MX 10 mx\nmx A 127.0.0.2\n"}) as dns, Sink("127.0.0.2", port) as sink, Instance(
                users=USERS, dns=dns.address, settings=["server.log=warn", "queue.retry_first=1s", "queue.retry_most=2s", f"relay.port={port}",
                                                        "relay.local_networks=yes"]) as p:
            net.lose(rate)
            senders = [*(ledger.Sender(book, p.port("smtp"), list(USERS), stop) for _ in range(8)),
                       *(ledger.LmtpSender(book, p.port("lmtp"), list(USERS), stop) for _ in range(2)),
                       *(ledger.Submitter(book, p.port("submissions"), list(USERS), stop, USER, PASSWORD) for _ in range(4)),
                       *(ledger.Appender(book, p.port("imap"), stop, USER, PASSWORD) for _ in range(2))]
            for s in senders:
                s.start()
            marks = [f"far-{n:04d}" for n in range(max(3, WANTED // 20))]
            for mark in marks:
                self.submit_patiently(p, mark)
            wait_for(lambda: len(book.acked) >= WANTED, timeout=PATIENCE, step=0.5)
            stop.set()
            wait_for(lambda: all(any(mark.encode() in m.data for m in sink.messages) for mark in marks), timeout=PATIENCE, step=0.2)
            lost = net.lost()
            net.lose(0)
            for s in senders:
                s.join(120)
            wait_for(p.queue_is_empty, step=0.2)
            bad, found = ledger.check(book, p.port("imap"), USERS)
            bad_raw, found_raw = ledger.check_raw(book, p.folder, USERS)
        self.assertEqual((bad_raw, found_raw), (bad, found))
        return bad, len(book.acked), len(marks), lost

    def test_mail_comes_and_goes_whatever_is_lost(self):
        for rate in RATES:
            with self.subTest(per_cent=rate):
                bad, acked, out, lost = self.through(rate)
                results.record(f"acknowledged messages lost, {rate} % of packets dropped", len(bad.get("LOST", ())),
                               f"{acked} messages in, {out} out, {lost} packets dropped, MTU {MTU}", "0", "POSTERN_LOSS=1000 tests/crash/loss_test.py")
                self.assertEqual(bad, {})
                self.assertGreater(lost, rate)

    def test_one_way_is_dead_a_while(self):
        """In the midst of DATA, and where the last dot's answer is under way: the mail is there once, or not at all until the way is back."""
        book = ledger.Ledger(1)
        with Network(MTU) as net, Instance(users=USERS, settings=["server.log=warn"]) as p:
            for way in (f"tcp dport {p.port('smtp')}", f"tcp sport {p.port('smtp')}"):
                number, recipient, text = book.new(list(USERS), 5000)
                text = re.sub(rb"(?m)^\.", b"..", text)
                with Wire(p.port("smtp"), timeout=60) as w:
                    w.expect(220)
                    w.expect(250, "EHLO ledger.test")
                    w.expect(250, "MAIL FROM:<ledger@elsewhere.test>")
                    w.expect(250, f"RCPT TO:<{recipient}>")
                    w.expect(354, "DATA")
                    w.send(text[:2500])
                    net.lose(100, way)
                    w.send(text[2500:] + b".\r\n")
                    threading.Event().wait(SILENCE)
                    if "dport" in way:
                        self.assertEqual(ledger.check(book, p.port("imap"), USERS)[1], 0)
                    self.assertGreater(net.lost(), 0)
                    net.lose(0)
                    w.expect(250)
                book.ack(number)
                wait_for(p.queue_is_empty)
            bad, found = ledger.check(book, p.port("imap"), USERS)
        self.assertEqual((bad, found), ({}, 2))

    def test_control_a_network_that_loses_all(self):
        with Network() as net, Instance(users=USERS) as p:
            with Wire(p.port("smtp"), timeout=5) as w:
                w.expect(220)
                net.lose(100)
                w.send("EHLO ledger.test")
                with self.assertRaises(TimeoutError):
                    w.line()
                self.assertGreater(net.lost(), 0)
                net.lose(0)


if __name__ == "__main__":
    unittest.main()
