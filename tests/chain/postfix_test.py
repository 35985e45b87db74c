"""Postfix as the other server, in both directions."""
import unittest

from client import Wire, deliver, message, submit, wait_message
from nameserver import NameServer, free_port
from postern import Instance, wait_for
from postfix import Postfix

ALICE = "alice@example.test"
HOST = "127.0.0.5"


class PostfixTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        port = free_port((HOST, "127.0.0.1"))
        cls.dns = cls.enterClassContext(NameServer({"postfix.test": f"@ MX 10 mx\nmx A {HOST}\n"}))
        cls.p = cls.enterClassContext(Instance(settings=[f"relay.port={port}", "queue.retry_first=300ms"], dns=cls.dns.address))
        cls.postfix = cls.enterClassContext(Postfix(HOST, port, relayhost=f"[127.0.0.1]:{cls.p.port('smtp')}"))

    def test_postern_sends_postfix_receives(self):
        body = "Dag,\r\n.een punt vooraan\r\n..twee\r\n" + "een lange regel " * 50 + "\r\neinde\r\n"
        submit(self.p, message("to postfix", sender=ALICE, body=body), ["someone@postfix.test"])
        got = self.postfix.wait_message("Subject: to postfix")
        self.assertIn(b"\n.een punt vooraan\n..twee\n", got)
        self.assertTrue(got.rstrip(b"\n").endswith(b"\neinde"))
        self.assertIn(b"Return-Path: <alice@example.test>", got)

    def test_many_and_large(self):
        body = ("0123456789" * 7 + "\r\n") * 40000
        for i in range(5):
            submit(self.p, message(f"large {i}.", sender=ALICE, body=body if i == 3 else "small\r\n"), ["someone@postfix.test"])
        for i in range(5):
            got = self.postfix.wait_message(f"Subject: large {i}.")
            if i == 3:
                self.assertEqual(got.split(b"\n\n", 1)[1].rstrip(b"\n").replace(b"\n", b"\r\n"), body.rstrip("\r\n").encode())

    def test_postfix_sends_postern_receives(self):
        body = "Hallo,\r\n.punt\r\n\r\nslot\r\n"
        self.assertEqual(deliver(self.postfix.port, message("from postfix", body=body), "someone@postfix.test", [ALICE], HOST)[0], 250)
        got = wait_message(self.p, "Subject: from postfix")
        self.assertIn(b"by mx.postfix.test (Postfix)", got)
        self.assertTrue(got.endswith(b"\r\n\r\n" + body.encode()), got)
        # Postfix takes STARTTLS when it is offered.
        self.assertRegex(got, rb"from mx\.postfix\.test .*\r?\n?.*with ESMTPS")

    def test_postfix_hears_no(self):
        deliver(self.postfix.port, message("to nobody"), "someone@postfix.test", ["nobody@example.test"], HOST)
        got = self.postfix.wait_message("Undelivered Mail Returned")
        self.assertIn(b"5.1.1", got)
        self.assertIn(b"nobody@example.test", got)

    def test_postern_hears_no(self):
        # Not a domain of this Postfix: 554 from its relay restrictions, when asked by a name that leads to it.
        with Wire(self.postfix.port, host=HOST) as w:
            w.expect(220)
            w.expect(250, "EHLO probe.test")
            w.expect(250, "MAIL FROM:<probe@example.test>")
            self.assertIn(w.smtp("RCPT TO:<no such@postfix.test>")[0], (501, 553))
        submit(self.p, message("too long a name", sender=ALICE), [f"{'x' * 60}@nowhere.postfix.test"])
        got = wait_message(self.p, "multipart/report")
        self.assertIn(b"Action: failed", got)

    def test_postfix_waits_while_postern_is_away(self):
        self.p.stop()
        deliver(self.postfix.port, message("while away"), "someone@postfix.test", [ALICE], HOST)
        wait_for(lambda: "Connection refused" in self.postfix.log())
        self.p.start()
        self.postfix.postfix("flush")
        wait_message(self.p, "Subject: while away")


if __name__ == "__main__":
    unittest.main()
