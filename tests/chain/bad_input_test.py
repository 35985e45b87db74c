"""Bad input of every kind gets the reply of its RFC, leaves nothing behind, and an event says what happened."""
import re
import socket
import struct
import unittest

from client import Wire, deliver, empty, fetch_all, mailbox, message, wait_message
from postern import PATIENCE, Instance, wait_for

ALICE, BOB = "alice@example.test", "bob@example.test"


def codes(p, word):
    return [e["code"] for e in p.events(word, "--max=1000")]


class BadInputTest(unittest.TestCase):
    settings = ["mail.size=65536", "mail.recipients=100", "limit.errors=100"]

    @classmethod
    def setUpClass(cls):
        cls.p = cls.enterClassContext(Instance(settings=cls.settings))

    def setUp(self):
        for user in (ALICE, BOB):
            empty(self.p, user)

    def open(self, hello="EHLO test.invalid", service="smtp", host="127.0.0.1"):
        w = self.enterContext(Wire(self.p.port(service), host=host))
        w.expect(220)
        if hello:
            w.expect(250, hello)
        return w

    def envelope(self, w, sender="carol@elsewhere.test", recipient=ALICE, options=""):
        w.expect(250, f"MAIL FROM:<{sender}>{options}")
        w.expect(250, f"RCPT TO:<{recipient}>")

    def event(self, word, code):
        wait_for(lambda: code in codes(self.p, word), step=0.2)

    def nothing_came(self):
        wait_for(self.p.queue_rests)
        self.assertEqual(fetch_all(self.p) + fetch_all(self.p, BOB), [])


class SmtpTest(BadInputTest):
    def test_wrong_order(self):
        w = self.open(hello=None)
        for code, command in ((503, "MAIL FROM:<a@b.test>"), (503, "RCPT TO:<a@b.test>"), (503, "DATA"), (250, "EHLO me"), (503, "DATA"),
                              (503, f"RCPT TO:<{ALICE}>"), (250, "MAIL FROM:<a@b.test>"), (503, "MAIL FROM:<c@d.test>"), (503, "DATA"),
                              (250, f"RCPT TO:<{ALICE}>"), (250, "RSET"), (503, "DATA"), (503, f"RCPT TO:<{ALICE}>"), (250, "NOOP")):
            self.assertEqual(w.smtp(command)[0], code, command)
        self.event("127.0.0.1", "refused_command")

    def test_wrong_syntax(self):
        w = self.open()
        for code, command in ((500, "NONSENSE"), (500, ""), (501, "MAIL"), (501, "MAIL FROM"), (501, "MAIL FROM:a@b.test"),
                              (501, "MAIL FROM:<a@b.test"), (501, "MAIL FROM:<a b@c.test>"), (501, "MAIL FROM:<@>"),
                              (501, "MAIL FROM:<a@b..test>"), (501, "MAIL FROM:<a@-b.test>"), (555, "MAIL FROM:<a@b.test> FOO=BAR"),
                              (501, "MAIL FROM:<a@b.test> SIZE=abc"), (501, "MAIL FROM:<a@b.test> BODY=9BIT"), (501, "DATA now"),
                              (501, "RSET now"), (501, "EHLO"), (501, "VRFY"), (502, "EXPN list"), (252, f"VRFY {ALICE}")):
            self.assertEqual(w.smtp(command)[0], code, command)
        w.expect(250, "MAIL FROM:<a@b.test>")
        for code, command in ((501, "RCPT TO:<>"), (501, f"RCPT TO:{ALICE}"), (501, f"RCPT TO:<{ALICE}> NOTIFY=NEVER,SUCCESS"),
                              (555, f"RCPT TO:<{ALICE}> FOO"), (501, f"RCPT TO:<{'a' * 65}@example.test>")):
            self.assertEqual(w.smtp(command)[0], code, command)

    def test_unknown_users(self):
        w = self.open(host="::1")  # of one address so many refusals a minute are kept, and the other tests had theirs
        w.expect(250, "MAIL FROM:<carol@elsewhere.test>")
        self.assertIn("5.1.1", w.expect(550, "RCPT TO:<nobody@example.test>")[-1])
        self.assertRegex(w.expect(550, "RCPT TO:<bob@elsewhere.test>")[-1], r"5\.7\.1|5\.1\.2")
        w.expect(503, "DATA")
        self.event("nobody@example.test", "refused_recipient")
        self.nothing_came()

    def test_long_lines(self):
        w = self.open()
        self.assertIn(w.smtp("NOOP " + "x" * 3000)[0], (500, 501))
        w.expect(250, "NOOP")
        self.envelope(w)
        w.expect(354, "DATA")
        w.send(message("long line", body="x" * 5000 + "\r\n") + b".\r\n")
        # RFC 5321 4.5.3.1.6 sets 1000, and asks to take more where one can; what we take comes out whole.
        code, lines = w.reply()
        self.assertIn(code, (250, 500, 550, 554), lines)
        if code == 250:
            self.assertIn(b"x" * 5000, wait_message(self.p, "long line"))

    def test_too_large(self):
        w = self.open()
        self.assertIn("5.3.4", w.expect(552, "MAIL FROM:<a@b.test> SIZE=70000")[-1])
        self.envelope(w)
        w.expect(354, "DATA")
        w.send(message("oversize", body=("y" * 70 + "\r\n") * 1500) + b".\r\n")  # over twice mail.size the session would end
        self.assertIn("5.3.4", w.expect(552)[-1])
        self.envelope(w)
        self.event("a@b.test", "refused_sender")
        self.event("carol@elsewhere.test", "refused_message")
        self.nothing_came()

    def test_too_many_recipients(self):
        self.p.ctl("alias", "add", "@example.test", ALICE)
        self.addCleanup(self.p.ctl, "alias", "remove", "@example.test")
        w = self.open()
        w.expect(250, "MAIL FROM:<carol@elsewhere.test>")
        for i in range(100):
            w.expect(250, f"RCPT TO:<many{i}@example.test>")
        self.assertIn("4.5.3", w.expect(452, "RCPT TO:<many100@example.test>")[-1])
        w.expect(354, "DATA")
        w.send(message("many") + b".\r\n")
        w.expect(250)
        wait_for(lambda: len(fetch_all(self.p)) >= 1)

    def test_bare_cr_and_lf(self):
        """On every port, for everyone; and the smuggled rest is not heard as commands."""
        smuggled = b"MAIL FROM:<evil@evil.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
        for service, hello in (("smtp", "EHLO me"), ("lmtp", "LHLO me")):
            for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\r\n.\r\r\n", b"\n\n.\r\n", b"bare\rcr", b"bare\nlf"):
                with self.subTest(service=service, end=end), Wire(self.p.port(service)) as w:
                    w.expect(220)
                    w.expect(250, hello)
                    self.envelope(w)
                    w.expect(354, "DATA")
                    w.send(message("smuggler") + b"text" + end + smuggled.replace(b"\r\n.\r\n", b"\r\n..\r\n") + b"\r\n.\r\n")
                    code, lines = w.reply()
                    self.assertTrue(500 <= code < 600, lines)
                    self.assertNotEqual(w.smtp("RSET")[0], 354)
        self.assertEqual(self.open().smtp(b"NOOP\nNOOP\r\n")[0], 521)
        self.event("carol@elsewhere.test", "refused_connection")
        self.nothing_came()

    def test_nul_and_eight_bit(self):
        w = self.open()
        self.assertIn(w.smtp(b"NOOP \0\r\n")[0], (500, 501))
        self.assertIn(w.smtp("MAIL FROM:<é@b.test>")[0], (501, 550, 553))
        self.envelope(w)
        w.expect(354, "DATA")
        w.send(message("nul", body="a\0b\r\n") + b".\r\n")
        code, lines = w.reply()
        if code == 250:
            self.assertIn(b"a\0b", wait_message(self.p, "Subject: nul"))
        else:
            self.assertTrue(500 <= code < 600, lines)

    def test_too_many_errors(self):
        w = self.open()
        said = [w.smtp("NONSENSE")[0] for _ in range(101)]
        self.assertEqual(said, [500] * 100 + [421])
        self.assertTrue(w.closed())

    def test_broken_mime_is_kept_and_shown(self):
        nested = "".join(f"Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n" for i in range(300))
        cases = {"no end": 'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n',
                 "no boundary": "Content-Type: multipart/mixed\r\n\r\nhi\r\n", "bad type": "Content-Type: ;;;=\r\n\r\nhi\r\n",
                 "bad base64": "Content-Transfer-Encoding: base64\r\n\r\n!!!!====\r\n", "deep": nested,
                 "bad charset": "Content-Type: text/plain; charset=\"\\\"\r\nSubject: =?x?Q?=ZZ?=\r\n\r\n\x80\r\n",
                 "many parts": "Content-Type: multipart/mixed; boundary=y\r\n\r\n" + "--y\r\n\r\n" * 5000, "no body": "X: y\r\n"}
        for name, rest in cases.items():
            head = f"From: a@b.test\r\nX-Case: {name}.\r\n"
            self.assertEqual(deliver(self.p.port("smtp"), (head + rest).encode("latin-1"))[0], 250, name)
        for name in cases:
            wait_message(self.p, f"X-Case: {name}.")
        with mailbox(self.p) as client:
            status, got = client.fetch("1:*", "(ENVELOPE BODYSTRUCTURE)")
            self.assertEqual((status, len([g for g in got if b"ENVELOPE" in (g[0] if isinstance(g, tuple) else g)])), ("OK", len(cases)))
        self.assertEqual(self.p.ctl("verify", "--json").returncode, 0)


class PeerTest(BadInputTest):
    def test_silent_peer(self):
        with Instance(settings=["limit.smtp_idle=3s"]) as p, Wire(p.port("smtp")) as w:
            w.expect(220)
            w.expect(250, "EHLO me")
            w.send(f"MAIL FROM:<carol@elsewhere.test>\r\nRCPT TO:<{ALICE}>\r\n".encode())  # at once: we may be slow too
            w.expect(250)
            w.expect(250)
            lines = w.expect(421)
            self.assertIn("4.4.2", lines[-1])
            self.assertTrue(w.closed())
            wait_for(lambda: "timeout" in codes(p, "127.0.0.1"))

    def test_peer_that_vanishes_in_data(self):
        for how in (b"\1\0\0\0\0\0\0\0", None):
            w = self.open()
            self.envelope(w, sender="gone@elsewhere.test")
            w.expect(354, "DATA")
            w.send(message("vanished", body="z" * 70 + "\r\n"))
            if how:
                w.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            w.close()
        self.event("gone@elsewhere.test", "lost")
        self.nothing_came()

    def test_half_closed(self):
        """The peer shuts its sending side: what it said before is answered, then the session ends."""
        w = self.open()
        w.send("NOOP")
        w.socket.shutdown(socket.SHUT_WR)
        w.expect(250)
        self.assertTrue(w.closed())

    def test_half_closed_tls(self):
        for service in ("imaps", "submissions", "pop3s"):
            with self.subTest(service), Wire(self.p.port(service), tls=True) as w:
                w.line()
                raw = socket.socket(fileno=w.socket.detach())
                raw.shutdown(socket.SHUT_WR)
                raw.settimeout(PATIENCE)
                while raw.recv(4096):
                    pass
                raw.close()

    def test_no_tls_at_all(self):
        for service in ("imaps", "submissions", "pop3s"):
            with self.subTest(service), Wire(self.p.port(service)) as w:
                w.send(b"EHLO this is no TLS\r\n" * 3)
                self.assertTrue(w.closed())

    def test_commands_behind_starttls_are_not_heard(self):
        for service in ("smtp", "submission"):
            with self.subTest(service):
                w = self.open(service=service)
                w.send(b"STARTTLS\r\nMAIL FROM:<injected@evil.test>\r\n")
                code, lines = w.reply()
                self.assertIn(code, (503, 554, 421), lines)
        with Wire(self.p.port("imap")) as w:
            w.line()
            w.send(b"a STARTTLS\r\nb LOGIN alice@example.test alice\r\n")
            self.assertFalse(re.search(rb"b OK", w.line() + w.line()))

    def test_many_idle_connections_do_no_harm(self):
        held = [self.open(hello=None) for _ in range(60)]
        self.assertEqual(deliver(self.p.port("smtp"), message("between"))[0], 250)
        del held


class QuotaTest(BadInputTest):
    def test_full_quota(self):
        self.p.ctl("user", "quota", BOB, "10K")
        self.addCleanup(self.p.ctl, "user", "quota", BOB, "0")
        big = message("big", body=("q" * 70 + "\r\n") * 120)
        self.assertEqual(deliver(self.p.port("smtp"), big, recipients=[BOB])[0], 250)
        wait_message(self.p, "Subject: big", BOB)
        w = self.open()
        w.expect(250, f"MAIL FROM:<carol@elsewhere.test> SIZE={len(big)}")
        self.assertIn("4.2.2", w.expect(452, f"RCPT TO:<{BOB}>")[-1])
        # Who does not say the size gets in while there is any room left: what was taken with 250 is never refused afterwards.
        self.assertEqual(deliver(self.p.port("smtp"), big.replace(b"big", b"untold"), recipients=[BOB])[0], 250)
        wait_message(self.p, "Subject: untold", BOB)
        code, lines = deliver(self.p.port("smtp"), big, recipients=[BOB])
        self.assertEqual((code, "4.2.2" in lines[-1]), (452, True), lines)
        self.event(BOB, "deferred_recipient")
        self.p.ctl("alias", "add", "bobby@example.test", BOB)
        self.addCleanup(self.p.ctl, "alias", "remove", "bobby@example.test")
        code, lines = deliver(self.p.port("smtp"), big, recipients=["bobby@example.test"])
        self.assertEqual((code, "4.2.2" in lines[-1]), (452, True), lines)
        # Of several it is closed when all of them are: here Bob, full, and Alice.
        self.p.ctl("alias", "add", "team@example.test", ALICE, "bobby@example.test")
        self.addCleanup(self.p.ctl, "alias", "remove", "team@example.test")
        code, lines = deliver(self.p.port("smtp"), big, recipients=["team@example.test"])
        self.assertEqual(code, 250, lines)
        self.p.ctl("user", "suspend", ALICE)
        self.addCleanup(self.p.ctl, "user", "resume", ALICE)
        code, lines = deliver(self.p.port("smtp"), big, recipients=["team@example.test"])
        self.assertEqual((code, "4.2.2" in lines[-1]), (452, True), lines)
        self.p.ctl("user", "quota", BOB, "0")
        code, lines = deliver(self.p.port("smtp"), big, recipients=["team@example.test"])
        self.assertEqual(code, 250, lines)
        self.p.ctl("user", "suspend", BOB)
        self.addCleanup(self.p.ctl, "user", "resume", BOB)
        code, lines = deliver(self.p.port("smtp"), big, recipients=["team@example.test"])
        self.assertEqual((code, "4.2.1" in lines[-1]), (450, True), lines)
        self.p.ctl("user", "resume", BOB)
        self.p.ctl("user", "quota", BOB, "10K")
        with mailbox(self.p, BOB) as client:
            status, text = client.append("INBOX", "()", None, big)
            self.assertEqual((status, b"[OVERQUOTA]" in text[0]), ("NO", True), text)
        empty(self.p, BOB)
        self.assertEqual(deliver(self.p.port("smtp"), big, recipients=[BOB])[0], 250)


if __name__ == "__main__":
    unittest.main()
