"""Never an open relay: forms by which others were talked into it (THREATS S17), from outside, by LMTP, and by a person who says who
he is not. Nothing may reach the sink that stands for the rest of the world."""
import unittest

from client import Wire, message
from nameserver import NameServer, free_port
from postern import Instance, wait_for
from sink import Sink

FORMS = [
    "user@elsewhere.test", "USER@ELSEWHERE.TEST", "user@elsewhere.test.", '"user"@elsewhere.test', "user@[127.0.0.2]",
    "user@[IPv6:::1]", "user@127.0.0.2", "user@2130706434", "user@elsewhere", "user", '"user@elsewhere.test"',
    "user%elsewhere.test@example.test", '"user%elsewhere.test"@example.test', "user%elsewhere.test", "user%elsewhere.test@[127.0.0.1]",
    "user%elsewhere.test@mail.example.test", "user%elsewhere.test@", "elsewhere.test!user@example.test", '"elsewhere.test!user"@example.test',
    "elsewhere.test!user", "elsewhere.test!user@[127.0.0.1]", "elsewhere.test!user%elsewhere.test@example.test",
    '"user@elsewhere.test"@example.test', '"user@elsewhere.test"@[127.0.0.1]', "user@elsewhere.test@example.test",
    "user@example.test@elsewhere.test", "@example.test:user@elsewhere.test", "@[127.0.0.1]:user@elsewhere.test",
    "@example.test,@mail.example.test:user@elsewhere.test", "@mail.example.test:user%elsewhere.test@example.test",
    "@elsewhere.test:user@example.test", "user@localhost", "user@[127.0.0.1]", "user@mail.example.test", "user@sub.example.test",
    "user@example.test.elsewhere.test", "user@elsewhere.test\u3002", "user@els\u0435where.test", "user@\uff45lsewhere.test",
    "user@xn--elswhere-z8a.test", "alice+user=elsewhere.test@elsewhere.test", "prvs=1234abcdef=user@elsewhere.test",
    "SRS0=abcd=xy=elsewhere.test=user@example.test", "SRS1=abcd=elsewhere.test==xy=user@example.test", "user(comment)@elsewhere.test",
    "user@elsewhere.test(comment)", "user @elsewhere.test", "user@ elsewhere.test", "alice@example.test,user@elsewhere.test",
    "alice@example.test> <user@elsewhere.test", "user@elsewhere.test ORCPT=rfc822;alice@example.test", "|/bin/sh@example.test",
    "../../user@elsewhere.test", "user\\@elsewhere.test@example.test", "user@elsewhere.test\t", "user@example%2etest@elsewhere.test",
]
SENDERS = ["", "carol@elsewhere.test", "alice@example.test", "postmaster@example.test", "alice@[127.0.0.1]", "alice@mail.example.test"]


class RelayFormsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        port = free_port(("127.0.0.2", "127.0.0.1"))
        cls.dns = cls.enterClassContext(NameServer({"elsewhere.test": "@ MX 10 mx\nmx A 127.0.0.2\n* MX 10 mx\n"}))
        cls.sink = cls.enterClassContext(Sink("127.0.0.2", port))
        cls.p = cls.enterClassContext(Instance(settings=[f"relay.port={port}", "limit.errors=1000", "queue.retry_first=300ms"],
                                               dns=cls.dns.address))

    def tries(self, service, hello, sender, form):
        """Whether the form was taken as a recipient; what was taken is sent, so that one sees where it goes."""
        with Wire(self.p.port(service)) as w:
            w.expect(220)
            w.expect(250, f"{hello} test.invalid")
            code, _ = w.smtp(f"MAIL FROM:<{sender}> SMTPUTF8")
            if code != 250:
                return False
            code, lines = w.smtp(f"RCPT TO:<{form}>")
            self.assertTrue(code in (250, *range(500, 560)), (form, lines))
            if code == 250 and w.smtp("DATA")[0] == 354:
                w.send(message("relayed?") + b".\r\n")
                w.reply()
            return code == 250

    def test_no_form_is_relayed(self):
        self.assertGreaterEqual(len(FORMS), 40)
        taken = [(s, hello, sender, form) for s, hello in (("smtp", "EHLO"), ("lmtp", "LHLO")) for form in FORMS for sender in SENDERS[:3]
                 if self.tries(s, hello, sender, form)]
        taken += [("smtp", "EHLO", sender, FORMS[0]) for sender in SENDERS[3:] if self.tries("smtp", "EHLO", sender, FORMS[0])]
        wait_for(self.p.queue_is_empty)
        self.assertEqual([m.recipients for m in self.sink.messages], [])
        self.assertEqual(self.sink.connections, 0)
        # A source route is to be ignored (RFC 5321 4.1.1.3): this one is for us, and user is nobody here.
        self.assertEqual(taken, [])


if __name__ == "__main__":
    unittest.main()
