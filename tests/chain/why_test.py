"""Why was this mail refused? Every typical end of a mail, asked by `postern why` with the id that our reply named, in both languages."""
import contextlib
import json
import re
import unittest

import fault
from client import Wire, fetch_all, message, submit
from nameserver import NameServer, free_port
from postern import PATIENCE, Instance, wait_for
from sink import Sink

ALICE = "alice@example.test"
ZONES = {
    "good.example": '@ TXT "v=spf1 ip4:127.0.0.1 ip4:127.0.0.2 -all"\n_dmarc TXT "v=DMARC1; p=reject"\n',
    "reject.example": '@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=reject"\n',
    "junk.example": '@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=quarantine"\n',
    "list.example": '@ TXT "v=spf1 ip4:127.0.0.1 -all"\n',
    "example": "",
    "bl.example": '3.0.0.127 A 127.0.0.2\n3.0.0.127 TXT "we do not like it"\n',
    "half.example": "2.0.0.127 A 127.0.0.2\n",
    "relay.test": "mx MX 10 host\nhost A 127.0.0.5\noff MX 5 dead\ndead A 127.0.0.4\nnullmx MX 0 .\n",
}


ID = re.compile(r"\(id ([0-9a-z]{10})\)")


class WhyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dns = cls.enterClassContext(NameServer(ZONES))
        cls.sink_port = free_port(("127.0.0.4", "127.0.0.5"))
        settings = ["auth.local_networks=yes", "auth.iprev=no", "auth.mailing_lists=list.example", "mail.size=200K",
                    "auth.dnsbl=bl.example:6 half.example:3", "auth.dnsbl_reject=6", f"relay.port={cls.sink_port}",
                    "queue.retry_first=30s", "limit.connections_per_address=100"]
        users = {ALICE: "alice", "full@example.test": "full", "away@example.test": "away"}
        cls.p = cls.enterClassContext(Instance(users=users, settings=settings, dns=cls.dns.address))
        cls.p.ctl("user", "suspend", "away@example.test")

    # --- Asking

    def asked(self, ident, outcome=None):
        """The story as JSON, in English, once it is there; checked for what must hold of every story."""
        def ask():
            got = self.p.ctl("why", ident, "--json", "--language=en", check=False)
            story = json.loads(got.stdout) if got.returncode == 0 else None
            return story if story and outcome in (None, story["outcome"]) else None
        story = wait_for(ask, step=0.1)
        self.check_sums(story)
        self.check_dutch(ident, story)
        return story

    def check_sums(self, story):
        decision = story.get("decision")
        if decision:
            self.assertEqual(decision["total"], sum(f.get("weight", 0) for f in decision["facts"]), story)
        if story["outcome"] in ("refused", "put_off", "junk"):
            self.assertIn(decision["action"], ("reject", "defer", "junk"))
            self.assertIn(decision["decided"], {f["check"] for f in decision["facts"]})

    def check_dutch(self, ident, english):
        got = json.loads(self.p.ctl("why", ident, "--json", "--language=nl").stdout)
        self.assertEqual(got["outcome"], english["outcome"])
        self.assertEqual(len(got["advice"]), len(english["advice"]))
        self.assertNotEqual(got["summary"], english["summary"])
        text = self.p.ctl("why", ident, "--language=nl").stdout
        self.assertEqual(text.splitlines()[0], got["summary"])
        for fact in english.get("decision", {}).get("facts", []):
            if fact["check"] in ("spf", "dkim", "arc", "dmarc", "override") and "reason" in fact:  # evidence of ours, not what others said
                self.assertNotIn(f'({fact["reason"]})', text)
        if english["advice"]:
            self.assertIn("Wat het door had laten gaan:", text)

    def refused(self, reply, code, begin, sentence, advice="", outcome="refused"):
        """reply: (code, lines). Its id leads to this story."""
        self.assertEqual(reply[0], code, reply)
        found = re.search(r" \(id ([0-9a-z]{10})\)$", reply[1][-1])
        self.assertTrue(found, reply)
        story = self.asked(found[1])
        self.assertEqual(story["outcome"], outcome, story)
        self.assertTrue(story["summary"].startswith(begin), story["summary"])
        self.assertIn(sentence, story["summary"])
        self.assertIn(advice, "\n".join(story["advice"]))
        return story

    def taken(self, reply):
        self.assertEqual(reply[0], 250, reply)
        return re.search(r"taken as ([0-9a-z]{13})", reply[1][-1])[1]

    def ends(self, ident, outcome, sentence, advice=""):
        story = self.asked(ident, outcome)
        self.assertIn(sentence, story["summary"])
        self.assertIn(advice, "\n".join(story["advice"]))
        return story

    def incoming(self, subject, author, sender=None, host="127.0.0.1", recipient=ALICE, headers=""):
        """On port 25, from one of the addresses of loopback."""
        with Wire(self.p.port("smtp"), host="127.0.0.1") if host == "127.0.0.1" else from_address(self.p.port("smtp"), host) as w:
            w.expect(220)
            w.expect(250, "EHLO test.invalid")
            for command in (f"MAIL FROM:<{author if sender is None else sender}>", f"RCPT TO:<{recipient}>", "DATA"):
                code, lines = w.smtp(command)
                if code not in (250, 354):
                    return code, lines
            w.send(message(subject, sender=author, headers=headers) + b".\r\n")
            return w.reply()

    # --- What the policy found

    def test_dmarc_reject(self):
        story = self.refused(self.incoming("forged", "ann@reject.example"), 550, "Refused on", "reject.example (DMARC, p=reject",
                             "Add the address 127.0.0.1 to the SPF record of reject.example")
        self.assertIn("Sign it with DKIM as d=reject.example.", story["advice"])
        self.assertEqual([f["check"] for f in story["decision"]["facts"]], ["dnsbl", "dnsbl", "spf", "dkim", "dmarc"])

    def test_dmarc_other_domain(self):
        self.refused(self.incoming("other", "ann@reject.example", sender="x@good.example"), 550, "Refused on", "reject.example",
                     "SPF passed, but for good.example")

    def test_dmarc_quarantine(self):
        story = self.ends(self.taken(self.incoming("quarantine", "ann@junk.example")), "junk", "junk.example (DMARC, p=quarantine")
        self.assertEqual(story["decision"]["action"], "junk")

    def test_list_on_allow_list(self):
        ident = self.taken(self.incoming("list", "ann@reject.example", sender="bounces@list.example"))
        story = self.ends(ident, "delivered", "it is in the mailbox of alice@example.test")
        self.assertEqual(story["decision"]["decided"], "override")
        self.assertEqual(story["decision"]["facts"][-1]["source"], "auth.mailing_lists")

    def test_block_list(self):
        story = self.refused(self.incoming("listed", "ann@good.example", host="127.0.0.3"), 550, "Refused on",
                             "127.0.0.3 is on the list bl.example (127.0.0.2: we do not like it)", "Ask bl.example to remove 127.0.0.3")
        self.assertEqual(story["decision"]["total"], 6)

    def test_half_is_junk(self):
        ident = self.taken(self.incoming("half", "ann@good.example", host="127.0.0.2"))
        self.assertEqual(self.ends(ident, "junk", "on the list half.example", "auth.dnsbl")["decision"]["total"], 3)

    def test_good_mail(self):
        ident = self.taken(self.incoming("=?utf-8?q?caf=C3=A9_meeting?=", "ann@good.example"))
        self.assertEqual(self.ends(ident, "delivered", "alice@example.test")["subject"], "caf\u00e9 meeting")
        for word in ("meeting", "caf\u00e9", "ann@good.example", ident):
            self.assertIn(ident, self.p.ctl("trace", word, "--language=nl").stdout, word)

    # --- Recipients, senders, messages

    def test_recipients(self):
        def to(recipient):
            return self.incoming("to", "ann@good.example", recipient=recipient)
        self.refused(to("nobody@example.test"), 550, "Refused on", "no mailbox nobody@example.test here", "postern user add nobody")
        self.refused(to("x@elsewhere.example"), 550, "Refused on", "passes on no mail of strangers", "Log in first")
        self.refused(to("away@example.test"), 450, "Put off on", "suspended", "postern user resume", outcome="put_off")
        self.p.ctl("user", "quota", "full@example.test", "1")
        with Wire(self.p.port("smtp")) as w:
            w.expect(220)
            w.expect(250, "EHLO test.invalid")
            w.expect(250, "MAIL FROM:<ann@good.example> SIZE=9000")
            self.refused(w.smtp("RCPT TO:<full@example.test>"), 452, "Put off on", "is full", "postern user quota", outcome="put_off")

    def test_messages(self):
        with Wire(self.p.port("smtp")) as w:
            w.expect(220)
            w.expect(250, "EHLO test.invalid")
            self.refused(w.smtp("MAIL FROM:<ann@good.example> SIZE=999999"), 552, "Refused on", "larger than this server takes",
                         "mail.size")
        loop = "Received: from a by b; Sat, 21 Nov 2026 12:00:00 +0000\r\n" * 60
        self.refused(self.incoming("loop", "ann@good.example", headers=loop), 554, "Refused on", "loop", "postern header")

    # --- Before a mail

    def test_greeting(self):
        with fault.standstill(fault.wait_role(self.p, "mx")):  # so that we are faster than the greeting
            w = self.enterContext(Wire(self.p.port("smtp")))
            w.send(b"EHLO early\r\n")
        reply = w.reply()
        self.refused(reply, 554, "Refused on", "spoke before it was greeted", "the server speaks first")

    def test_turned_away(self):
        """One more than an address may have: nobody has a session yet, and still the refusal has its record."""
        with contextlib.ExitStack() as open_ones:
            for _ in range(100):
                open_ones.enter_context(from_address(self.p.port("smtp"), "127.0.0.9")).expect(220)
            with from_address(self.p.port("smtp"), "127.0.0.9") as w:
                story = self.refused(w.reply(), 421, "Put off on", "too many connections from your address", "limit", outcome="put_off")
        self.assertIn({"check": "connection", "input": "127.0.0.9", "result": "421 4.7.0", "reason": "too many connections from your address"},
                      story["decision"]["facts"])

    def test_turned_away_by_imap_and_pop3(self):
        for service, address, greeting, answer in (("imap", "127.0.0.10", r"\* OK", r"\* BYE \[LIMIT\]"), ("pop3", "127.0.0.11", r"\+OK", r"-ERR \[SYS/TEMP\]")):
            with self.subTest(service), contextlib.ExitStack() as open_ones:
                for _ in range(100):
                    self.assertRegex(open_ones.enter_context(from_address(self.p.port(service), address)).line().decode(), greeting)
                with from_address(self.p.port(service), address) as w:
                    line = w.line().decode()
                self.assertRegex(line, answer + r" too many connections from your address \(id [0-9a-z]{10}\)\r?\n?$")
                story = self.asked(ID.search(line)[1], "put_off")
                self.assertIn("too many connections from your address", story["summary"])
                self.assertEqual([(f["check"], f["input"]) for f in story["decision"]["facts"]], [("connection", address)])

    def imap_says(self, wire, command):
        wire.send(command.encode() + b"\r\n")
        return wire.line().decode()

    def test_login_by_imap_and_pop3(self):
        with Wire(self.p.port("imap")) as w:
            w.line()
            ids = [ID.search(self.imap_says(w, f"a LOGIN {name} wrong"))[1] for name in ("alice@example.test", "nobody@example.test")]
        with Wire(self.p.port("pop3")) as w:
            w.line()
            w.send(b"USER alice@example.test\r\nPASS wrong\r\n")
            w.line()
            line = w.line().decode()
        self.assertIn("[AUTH] authentication failed", line)
        ids.append(ID.search(line)[1])
        self.assertEqual(len(set(ids)), 3)
        for ident, name in zip(ids, ("alice", "nobody", "alice")):
            self.assertIn(f"wrong for {name}@example.test", self.asked(ident)["summary"])

    def test_too_many_errors(self):
        for service, bad in (("imap", b"a LOGIN\r\n"), ("pop3", b"PASS x\r\n")):
            with self.subTest(service), Wire(self.p.port(service)) as w:
                w.send(bad * 60)
                lines = []
                while not lines or "too many errors" not in lines[-1]:
                    lines.append(w.line().decode())
                self.assertIn("too many errors", self.asked(ID.search(lines[-1])[1], "put_off")["summary"])

    def test_bare_line_feed(self):
        with Wire(self.p.port("smtp")) as w:
            w.expect(220)
            w.send(b"EHLO x\n")
            self.refused(w.reply(), 521, "Refused on", "CR or LF alone", "CRLF")

    def test_login(self):
        with Wire(self.p.port("submission")) as w:
            w.expect(220)
            w.expect(250, "EHLO laptop")
            self.refused(w.smtp("MAIL FROM:<alice@example.test>"), 530, "Refused on", "nobody had logged in", "Turn on login")
            code, lines = w.smtp("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3cm9uZw==")
            self.assertEqual(code, 535)
            story = self.asked(lines[-1][-11:-1])
            self.assertIn("wrong for alice@example.test", story["summary"])
            w.expect(235, "AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZQ==")
            self.refused(w.smtp("MAIL FROM:<bob@example.test>"), 550, "Refused on", "not of the account", "alias")

    def test_tls_required(self):
        with Instance(plaintext=False) as p:
            with Wire(p.port("submission")) as w:
                w.expect(220)
                w.expect(250, "EHLO laptop")
                code, lines = w.smtp("MAIL FROM:<alice@example.test>")
            self.assertEqual(code, 530)
            text = wait_for(lambda: p.ctl("why", lines[-1][-11:-1], "--language=nl", check=False).stdout, step=0.1)
            self.assertIn("alleen over TLS aangenomen", text)
            self.assertIn("poort 465", text)
            with Wire(p.port("imap")) as w:
                w.line()
                said = [ID.search(self.imap_says(w, "a LOGIN alice@example.test alice"))[1] for _ in range(2)]
            self.assertEqual(said[0], said[1])  # one event a session
            text = wait_for(lambda: p.ctl("why", said[0], "--language=nl", check=False).stdout, 10, 0.1)
            self.assertIn("alleen over TLS aangenomen", text)
            self.assertIn("poort 993", text)

    # --- Going out

    def outgoing(self, recipient):
        lines = submit(self.p, message("out", sender=ALICE, to=recipient), [recipient])
        return re.search(r"taken as ([0-9a-z]{13})", lines[-1])[1]

    def test_other_servers(self):
        answers = {"gone@mx.relay.test": "550 5.1.1 who is that", "full@mx.relay.test": "552 5.2.2 full up",
                   "grey@mx.relay.test": "450 4.7.1 greylisted, come back", "policy@mx.relay.test": "550 5.7.26 not authenticated"}
        with Sink("127.0.0.5", self.sink_port, rcpt=lambda address, times: answers.get(address, "250 2.1.5 ok")):
            self.ends(self.outgoing("well@mx.relay.test"), "relayed", "took it for well@mx.relay.test")
            self.ends(self.outgoing("gone@mx.relay.test"), "failed", "there is no mailbox gone@mx.relay.test", "typing error")
            self.ends(self.outgoing("full@mx.relay.test"), "failed", "is full", "another way")
            self.ends(self.outgoing("grey@mx.relay.test"), "delayed", "greylisting", "tried again")
            self.ends(self.outgoing("policy@mx.relay.test"), "failed", "wants proof that it is yours", "postern dns records")

    def test_no_way_there(self):
        self.ends(self.outgoing("a@off.relay.test"), "delayed", "can be reached", "port 25")
        self.ends(self.outgoing("a@nullmx.relay.test"), "failed", "takes no mail", "null MX")
        self.ends(self.outgoing("a@nowhere.relay.test"), "failed", "nowhere.relay.test", "typing error")

    def test_behind_an_alias(self):
        """One of two is full: the other has it, once; the full one when there is room. The same for a suspended one."""
        self.p.ctl("alias", "add", "both@example.test", ALICE, "full@example.test")
        self.addCleanup(self.p.ctl, "alias", "remove", "both@example.test")
        self.p.ctl("user", "quota", "full@example.test", "1")
        ident = self.taken(self.incoming("one is full", "ann@good.example", recipient="both@example.test"))
        self.ends(ident, "delayed", "the mailbox of full@example.test is full", "postern user quota full@example.test")
        self.p.ctl("user", "quota", "full@example.test", "0")
        self.p.ctl("user", "suspend", "full@example.test")
        self.p.ctl("queue", "retry", "all")
        wait_for(lambda: "account of full@example.test is suspended" in self.asked(ident, "delayed")["summary"])
        self.ends(ident, "delayed", "suspended", "postern user resume full@example.test")
        self.p.ctl("user", "resume", "full@example.test")
        self.p.ctl("queue", "retry", "all")
        self.ends(ident, "delivered", "it is in the mailbox of")
        for user in ALICE, "full@example.test":
            self.assertEqual(sum(b"Subject: one is full" in m for m in fetch_all(self.p, user)), 1, user)

    # --- Again, by today's rules

    def test_replay(self):
        ident = self.taken(self.incoming("again", "ann@good.example"))
        self.ends(ident, "delivered", "alice@example.test")
        dns = f"--dns={self.dns.address}"
        story = json.loads(self.p.ctl("why", ident, "--replay", "--json", "--language=en", dns).stdout)
        then, today = ({f["check"]: f["result"] for f in d["facts"]} for d in (story["decision"], story["replay"]))
        self.assertEqual(today["spf"], then["spf"])
        self.assertEqual(today["dmarc"], then["dmarc"])
        with NameServer({"good.example": ZONES["reject.example"], "example": ""}) as other:
            text = self.p.ctl("why", ident, "--replay", "--language=nl", f"--dns={other.address}").stdout
        self.assertIn("Vandaag zou anders worden beslist: reject, niet accept.", text)
        refused = self.incoming("forged", "ann@reject.example")[1][-1][-11:-1]
        self.asked(refused)
        self.assertEqual(self.p.ctl("why", refused, "--replay", check=False).returncode, 4)

    def test_unknown_ids(self):
        self.assertEqual(self.p.ctl("why", "0000000000", check=False).returncode, 2)
        self.assertEqual(self.p.ctl("why", "0000100000", check=False).returncode, 4)
        self.assertEqual(self.p.ctl("why", "nonsense", check=False).returncode, 2)


def from_address(port, host):
    """A Wire whose own end has this address."""
    import socket
    wire = Wire.__new__(Wire)
    wire.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(host, 0))
    wire.tag = 0
    wire.input = wire.socket.makefile("rb")
    return wire


if __name__ == "__main__":
    unittest.main()
