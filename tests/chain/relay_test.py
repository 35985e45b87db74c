"""Mail to other servers: what DNS says, what the other side says, and what the sender is told."""
import email
import email.policy
import json
import os
import tempfile
import time
import unittest

from client import deliver, empty, fetch_all, message, submit, wait_message
from nameserver import NameServer, free_port
from postern import Instance, wait_for
from sink import Sink, self_signed

ALICE, BOB = "alice@example.test", "bob@example.test"
RECORDS = """
mx     MX 10 host
host   A 127.0.0.2
aonly  A 127.0.0.2
nullmx MX 0 .
six    AAAA ::1
sixmx  MX 10 six
two    MX 5 dead
       MX 10 host
dead   A 127.0.0.4
off    MX 5 dead
itself MX 10 here
here   A 127.0.0.1
empty  TXT "nothing here takes mail"
"""
FAST = ["queue.retry_first=300ms", "queue.retry_most=1s"]


class RelayTest(unittest.TestCase):
    """One nsd and one port for all other servers; each test has its own Postern and sinks."""

    @classmethod
    def setUpClass(cls):
        signed = "mx MX 10 host\nhost A 127.0.0.2\n"
        cls.dns = cls.enterClassContext(NameServer({"relay.test": RECORDS, "signed.test": signed, "bogus.test": signed},
                                                   signed=["signed.test"], bogus=["bogus.test"]))
        cls.port = free_port(("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"))

    def start(self, *settings, options=(), port=None, **more):
        settings = [f"relay.port={port or self.port}", *FAST, *settings]
        return self.enterContext(Instance(settings=settings, options=list(options), dns=self.dns.address, **more))

    def sink(self, host="127.0.0.2", **how):
        return self.enterContext(Sink(host, self.port, **how))

    def gets(self, sink, count=1):
        wait_for(lambda: len(sink.messages) >= count)
        return sink.messages

    def happens(self, p, word, code):
        try:
            return wait_for(lambda: next((e for e in p.events(word) if e["code"] == code), None), step=0.1)
        except AssertionError as e:
            raise AssertionError(f"no event {code}: {p.events(word)}") from e

    def report(self, p, subject="", user=ALICE, mark="multipart/report"):
        """The DSN in a person's INBOX: the message, and the fields of its recipients."""
        raw = wait_message(p, mark, user)
        m = email.message_from_bytes(raw, policy=email.policy.default)
        self.assertEqual(m.get_content_type(), "multipart/report")
        self.assertEqual(m.get_param("report-type"), "delivery-status")
        self.assertEqual(m["Return-Path"], "<>")
        self.assertEqual(m["To"], user)
        self.assertTrue(m["Message-ID"] and m["Date"] and m["Auto-Submitted"].startswith("auto-"))
        parts = m.get_payload()
        self.assertEqual([parts[0].get_content_maintype(), parts[1].get_content_type()], ["text", "message/delivery-status"])
        self.assertIn(parts[2].get_content_type(), ("message/rfc822", "text/rfc822-headers"))
        self.assertIn(subject, parts[2].as_string())
        per_message, *recipients = parts[1].get_payload()
        self.assertTrue(per_message["Reporting-MTA"].startswith("dns;"))
        self.assertTrue(per_message["Arrival-Date"])
        for r in recipients:
            self.assertTrue(r["Final-Recipient"].lower().startswith("rfc822;"), r)
        return m, recipients


class DnsTest(RelayTest):
    def test_hosts_are_found(self):
        p = self.start()
        four, six = self.sink(), self.sink("::1")
        for name, sink in (("mx", four), ("aonly", four), ("two", four), ("six", six), ("sixmx", six)):
            with self.subTest(name):
                before = len(sink.messages)
                submit(p, message(f"to {name}", sender=ALICE), [f"x@{name}.relay.test"])
                got = self.gets(sink, before + 1)[-1]
                self.assertEqual((got.sender, got.recipients), (ALICE, [f"x@{name}.relay.test"]))
                self.assertIn(b"Received: from laptop.test", got.data)
        wait_for(p.queue_is_empty)

    def test_null_mx_and_nothing_fail_at_once(self):
        p = self.start()
        sink = self.sink()
        for name, status in (("nullmx", "5.1.10"), ("empty", "5."), ("not-there", "5.")):
            with self.subTest(name):
                submit(p, message(f"to {name}", sender=ALICE), [f"x@{name}.relay.test"])
                m, [r] = self.report(p, f"to {name}")
                self.assertEqual(r["Action"], "failed")
                self.assertTrue(r["Status"].startswith(status), r["Status"])
                empty(p)
        self.assertEqual(sink.connections, 0)

    def test_signed_is_delivered_bogus_never(self):
        p = self.start(options=[f"--trust-anchor={self.dns.anchor}"])
        good, forged = self.sink(), self.sink("127.0.0.3")
        submit(p, message("to signed", sender=ALICE), ["x@mx.signed.test"])
        submit(p, message("to bogus", sender=ALICE), ["x@mx.bogus.test"])
        self.gets(good)
        self.happens(p, "x@mx.bogus.test", "deferred")
        time.sleep(2)
        self.assertEqual((forged.connections, len(good.messages)), (0, 1))
        self.assertEqual(fetch_all(p), [])
        self.assertIn("x@mx.bogus.test", p.ctl("queue", "list").stdout)

    def test_servfail_is_put_off(self):
        p = self.start()
        submit(p, message("to lame", sender=ALICE), ["x@somewhere.lame.test"])
        self.happens(p, "x@somewhere.lame.test", "deferred")
        time.sleep(1)
        self.assertEqual(fetch_all(p), [])
        self.assertIn("x@somewhere.lame.test", p.ctl("queue", "list").stdout)


class FateTest(RelayTest):
    def test_later_is_tried_again(self):
        p = self.start()
        sink = self.sink(rcpt=lambda address, times: "451 4.7.1 later" if times < 2 else "250 2.1.5 ok")
        submit(p, message("greylisted", sender=ALICE), ["x@mx.relay.test"])
        self.gets(sink)
        self.happens(p, "x@mx.relay.test", "relayed")
        self.assertEqual(len([e for e in p.events("x@mx.relay.test") if e["code"] == "deferred"]), 2)
        self.assertEqual(fetch_all(p), [])

    def test_what_was_tried_is_shown(self):
        p = self.start("queue.retry_first=1h", "queue.retry_most=2h")
        self.sink(rcpt="451 4.7.1 later")
        submit(p, message("tried", sender=ALICE), ["x@two.relay.test", "y@off.relay.test"])

        def waits():
            rows = {r["recipient"]: r for r in json.loads(p.ctl("queue", "list", "--json").stdout) if r["attempts"] == 1 and r["state"] == "waiting"}
            return rows if len(rows) == 2 else None
        number = wait_for(waits)["x@two.relay.test"]["id"]
        rows = {r["recipient"]: r for r in json.loads(p.ctl("queue", "show", number, "--json").stdout)}
        dead, end = rows["x@two.relay.test"]["tried"]  # the first of its hosts does not answer, the second says no
        self.assertEqual((dead["event"], dead["attempt"], dead["host"], dead["address"]), ("attempt", None, "dead.relay.test", "127.0.0.4"))
        self.assertEqual((end["event"], end["attempt"], end["host"], end["reply"]), ("deferred", 1, "host.relay.test", "451 4.7.1 later"))
        self.assertRegex(end["time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        dead, end = rows["y@off.relay.test"]["tried"]
        self.assertEqual((dead["host"], end["reply"]), ("dead.relay.test", rows["y@off.relay.test"]["last_reply"]))
        self.assertNotIn("tried", p.ctl("queue", "show", number).stdout.split("\n", maxsplit=1)[0])

    def test_no_is_reported(self):
        p = self.start()
        self.sink(rcpt=lambda a, n: "550 5.1.1 no such user here" if a.startswith("bad") else "250 2.1.5 ok")
        submit(p, message("one good one bad", sender=ALICE), ["bad@mx.relay.test", "good@mx.relay.test"])
        m, [r] = self.report(p, "one good one bad")
        self.assertIn("bad@mx.relay.test", r["Final-Recipient"])
        self.assertEqual((r["Action"], r["Status"]), ("failed", "5.1.1"))
        self.assertIn("no such user here", r["Diagnostic-Code"])
        self.assertEqual(r["Remote-MTA"], "dns; host.relay.test")
        self.assertNotIn("good@", r["Final-Recipient"])

    def test_no_to_the_message_is_reported(self):
        p = self.start()
        self.sink(end_of_data="554 5.6.0 we do not like it")
        submit(p, message("unwanted", sender=ALICE), ["x@mx.relay.test"])
        r = self.report(p, "unwanted")[1][0]
        self.assertEqual((r["Action"], r["Status"]), ("failed", "5.6.0"))

    def test_null_sender_gets_no_report(self):
        p = self.start()
        p.ctl("alias", "add", "away@example.test", "bad@mx.relay.test")
        sink = self.sink(rcpt="550 5.1.1 no")
        self.assertEqual(deliver(p.port("smtp"), message("from nobody"), sender="", recipients=["away@example.test"])[0], 250)
        wait_for(lambda: sink.connections)
        wait_for(p.queue_is_empty)
        self.assertEqual(fetch_all(p) + fetch_all(p, BOB), [])

    def test_notify_never_and_success(self):
        p = self.start()
        self.sink(rcpt=lambda a, n: "550 5.1.1 no" if a.startswith("bad") else "250 2.1.5 ok")
        submit(p, message("be silent", sender=ALICE), ["bad@mx.relay.test"], rcpt_options=" NOTIFY=NEVER")
        wait_for(p.queue_is_empty)
        self.assertEqual(fetch_all(p), [])
        submit(p, message("to bob", sender=ALICE), [BOB], rcpt_options=" NOTIFY=SUCCESS", options=" RET=HDRS ENVID=abc+2B1")
        m, [r] = self.report(p, "to bob")
        self.assertEqual((r["Action"], r["Status"][0]), ("delivered", "2"))
        self.assertIn("abc+1", m.as_string())

    def test_delay_is_told_once_then_expiry(self):
        p = self.start("queue.delay_notice=1s", "queue.expire=10s")
        self.sink(rcpt="451 4.3.0 not now")
        submit(p, message("slow one", sender=ALICE), ["x@mx.relay.test"])
        r = self.report(p, "slow one", mark="Action: delayed")[1][0]
        self.assertEqual((r["Action"], r["Status"][0]), ("delayed", "4"))
        self.assertTrue(r["Will-Retry-Until"])
        r = self.report(p, "slow one", mark="Action: failed")[1][0]
        self.assertEqual(r["Action"], "failed")
        wait_for(p.queue_is_empty)
        self.assertEqual(len(fetch_all(p)), 2)


class LoopTest(RelayTest):
    def test_mx_that_is_ourselves(self):
        # The port of other servers is our own port 25: the name behind the MX is us.
        with Instance(start=False) as p:
            p.settings, p.dns = [f"relay.port={p.port('smtp')}", *FAST], self.dns.address
            p.start()
            submit(p, message("round and round", sender=ALICE), ["x@itself.relay.test"])
            r = self.report(p, "round and round")[1][0]
            self.assertEqual((r["Action"], r["Status"]), ("failed", "5.4.6"))

    def test_too_many_hops(self):
        p = self.start("mail.hops=10")
        hops = "".join(f"Received: from h{i}.test by h{i + 1}.test; Sat, 21 Nov 2026 12:00:00 +0000\r\n" for i in range(12))
        code, lines = deliver(p.port("smtp"), message("many hops", headers=hops))
        self.assertEqual((code, "5.4.6" in lines[-1]), (554, True), lines)


class ConnectionTest(RelayTest):
    def test_connections_are_used_again(self):
        p = self.start("queue.per_site=1")
        sink = self.sink()
        sink.go_on.clear()  # until all wait: a connection with nothing to do ends after a while
        for i in range(12):
            submit(p, message(f"number {i}", sender=ALICE), [f"x{i}@mx.relay.test"])
        sink.go_on.set()
        self.gets(sink, 12)
        self.assertLessEqual(sink.connections, 3)

    def test_few_connections_to_one_site(self):
        p = self.start("queue.per_site=3")
        sink = self.sink()
        sink.go_on.clear()
        for i in range(15):
            submit(p, message(f"number {i}", sender=ALICE), [f"x{i}@mx.relay.test"])
        wait_for(lambda: sink.now == 3)
        time.sleep(0.5)  # nor do more come
        sink.go_on.set()
        self.gets(sink, 15)
        self.assertEqual(len({m.recipients[0] for m in sink.messages}), 15)
        self.assertEqual(sink.most, 3)

    def test_tls_when_it_is_offered(self):
        p = self.start()
        with tempfile.TemporaryDirectory() as folder:
            sink = self.sink(starttls=self_signed(folder))
            submit(p, message("in secret", sender=ALICE), ["x@mx.relay.test"])
            self.assertTrue(self.gets(sink)[0].tls)
        self.assertIn("TLS", self.happens(p, "x@mx.relay.test", "relayed")["text"])

    def test_broken_tls_falls_back(self):
        p = self.start()
        sink = self.sink(starttls="broken")
        submit(p, message("in the open", sender=ALICE), ["x@mx.relay.test"])
        self.assertFalse(self.gets(sink)[0].tls)
        self.assertGreaterEqual(sink.tls_attempts, 1)


class SmarthostTest(RelayTest):
    def start_with(self, password, *settings):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "password")
        if password:
            with open(path, "w", encoding="ascii") as f:
                f.write(password + "\n")
        sink = self.sink(starttls=self_signed(folder), login=("me", "sesame"))
        p = self.start("relay.smarthost_tls=starttls", "relay.smarthost_user=me",
                       f"relay.smarthost_password_file={path}", *settings,
                       options=[f"--smarthost=127.0.0.2:{self.port}"])
        return p, sink

    def test_login(self):
        p, sink = self.start_with("sesame")
        submit(p, message("by smarthost", sender=ALICE), ["x@anywhere.example"])
        got = self.gets(sink)[0]
        self.assertEqual((got.user, got.tls, got.recipients), ("me", True, ["x@anywhere.example"]))
        submit(p, message("stays here", sender=ALICE), [BOB])
        wait_message(p, "stays here", BOB)
        self.assertEqual(len(sink.messages), 1)

    def test_wrong_password_bounces_nothing(self):
        p, sink = self.start_with("wrong")
        submit(p, message("by smarthost", sender=ALICE), ["x@anywhere.example"])
        self.happens(p, "x@anywhere.example", "deferred")
        self.assertEqual((sink.messages, fetch_all(p)), ([], []))

    def test_no_password_is_no_reason_to_stop(self):
        """relay asks DNS for all others, too."""
        p, sink = self.start_with(None)
        submit(p, message("by smarthost", sender=ALICE), ["x@anywhere.example"])
        self.assertIn("smarthost_password_file", self.happens(p, "x@anywhere.example", "deferred")["text"])
        deliver(p.port("smtp"), message("comes in"))
        wait_message(p, "comes in")
        self.assertEqual(sink.messages, [])


if __name__ == "__main__":
    unittest.main()
