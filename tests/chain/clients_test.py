"""People's programs from Debian against Postern: what swaks, msmtp, curl, mutt and Python's libraries send and read."""
import base64
import imaplib
import pathlib
import poplib
import smtplib
import tempfile
import time
import unittest

from client import Wire, deliver, empty, fetch_all, mailbox, message, run, trusting, wait_message
from postern import PATIENCE, Instance, wait_for

ALICE, BOB = "alice@example.test", "bob@example.test"


class ClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = cls.enterClassContext(Instance(plaintext=False))
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def port(self, service):
        return str(self.p.port(service))

    def arrived(self, subject, user=ALICE):
        return wait_message(self.p, f"Subject: {subject}\r\n", user)


class SwaksTest(ClientsTest):
    def swaks(self, subject, *words, check=True):
        return run("swaks", "--server", "127.0.0.1", "--helo", "laptop.test", "--to", ALICE, "--h-Subject", subject, *words, check=check)

    def test_port_25_starttls(self):
        self.swaks("swaks-25", "--port", self.port("smtp"), "--from", "carol@elsewhere.test", "--tls")
        got = self.arrived("swaks-25")
        self.assertRegex(got, rb"(?s)Return-Path: <carol@elsewhere.test>.*Delivered-To: alice@example.test")
        self.assertRegex(got, rb"with ESMTPS")

    def test_port_587_plain_and_login(self):
        for kind in ("PLAIN", "LOGIN"):
            with self.subTest(kind):
                self.swaks(f"swaks-{kind}", "--port", self.port("submission"), "--from", BOB, "--tls", "--auth", kind, "--auth-user", BOB,
                           "--auth-password", "bob")
                self.assertRegex(self.arrived(f"swaks-{kind}"), rb"with ESMTPSA")

    def test_port_465(self):
        self.swaks("swaks-465", "--port", self.port("submissions"), "--from", BOB, "--tls-on-connect", "--auth", "PLAIN", "--auth-user", BOB,
                   "--auth-password", "bob")
        self.arrived("swaks-465")

    def test_587_wants_login_and_tls(self):
        for words in (["--tls"], []):
            result = self.swaks("swaks-no", "--port", self.port("submission"), "--from", BOB, *words, check=False)
            self.assertNotEqual(result.returncode, 0)
            self.assertRegex(result.stdout, rb"<(~|\*)\* 530 5\.7\.")

    def test_from_must_be_ones_own(self):
        words = ("--port", self.port("submission"), "--tls", "--auth", "PLAIN", "--auth-user", BOB, "--auth-password", "bob")
        result = self.swaks("swaks-forged", *words, "--from", ALICE, check=False)
        self.assertRegex(result.stdout, rb"<~\* 55\d 5\.7\.")
        result = self.swaks("swaks-forged", *words, "--from", BOB, "--h-From", ALICE, check=False)
        self.assertRegex(result.stdout, rb"<~\* 55\d 5\.7\.")
        self.assertNotIn(b"swaks-forged", b"".join(fetch_all(self.p)))


class MsmtpTest(ClientsTest):
    def msmtp(self, port, auth, starttls, subject):
        conf = self.folder / f"msmtp-{subject}"
        conf.write_text(f"account default\nhost 127.0.0.1\nport {self.port(port)}\nfrom {BOB}\nauth {auth}\nuser {BOB}\npassword bob\n"
                        f"tls on\ntls_certcheck off\ntls_starttls {'on' if starttls else 'off'}\n")
        conf.chmod(0o600)
        run("msmtp", "-C", str(conf), ALICE, stdin=message(subject, sender=BOB).replace(b"\r\n", b"\n"))
        self.arrived(subject)

    def test_465(self):
        self.msmtp("submissions", "plain", False, "msmtp-465-plain")
        self.msmtp("submissions", "scram-sha-256", False, "msmtp-465-scram")

    def test_587(self):
        self.msmtp("submission", "plain", True, "msmtp-587-plain")
        self.msmtp("submission", "scram-sha-256", True, "msmtp-587-scram")


class CurlTest(ClientsTest):
    def curl(self, *words, user=ALICE):
        return run("curl", "-sS", "-k", "--max-time", str(PATIENCE), "--ssl-reqd", "--user", f"{user}:{self.p.users[user]}", *words).stdout

    def test_smtp(self):
        for service, scheme, how in (("submissions", "smtps", "PLAIN"), ("submission", "smtp", "PLAIN"), ("submission", "smtp", "LOGIN")):
            subject = f"curl-{service}-{how}"
            path = self.folder / subject
            path.write_bytes(message(subject, sender=BOB))
            self.curl(f"{scheme}://127.0.0.1:{self.port(service)}/laptop.test", "--login-options", f"AUTH={how}", "--mail-from", BOB,
                      "--mail-rcpt", ALICE, "-T", str(path), user=BOB)
            self.arrived(subject)

    def test_imap(self):
        deliver(self.p.port("smtp"), message("curl-imap"))
        self.arrived("curl-imap")
        for service, scheme in (("imaps", "imaps"), ("imap", "imap")):
            url = f"{scheme}://127.0.0.1:{self.port(service)}"
            self.assertIn(b"Archive", self.curl(url + "/"))
            found = self.curl(url + "/INBOX?SUBJECT%20curl-imap")
            number = found.split()[-1].decode()
            self.assertIn(b"Subject: curl-imap", self.curl(f"{url}/INBOX;MAILINDEX={number}"))
            self.assertIn(b"PERMANENTFLAGS", self.curl(url + "/", "-X", "EXAMINE INBOX"))
        path = self.folder / "draft"
        path.write_bytes(message("curl-append"))
        self.curl(f"imaps://127.0.0.1:{self.port('imaps')}/Drafts", "-T", str(path))
        wait_message(self.p, "Subject: curl-append", name="Drafts")

    def test_pop3(self):
        empty(self.p, BOB)
        deliver(self.p.port("smtp"), message("curl-pop"), recipients=[BOB])
        self.arrived("curl-pop", BOB)
        for service, scheme in (("pop3s", "pop3s"), ("pop3", "pop3")):
            url = f"{scheme}://127.0.0.1:{self.port(service)}/"
            self.assertRegex(self.curl(url, user=BOB), rb"1 \d+")
            self.assertIn(b"Subject: curl-pop", self.curl(url + "1", user=BOB))


class PythonTest(ClientsTest):
    """smtplib, imaplib, poplib, each both ways."""

    def test_smtplib(self):
        for service in ("submission", "submissions"):
            make = (lambda: smtplib.SMTP_SSL("127.0.0.1", self.p.port(service), context=trusting())) if service == "submissions" else (
                lambda: smtplib.SMTP("127.0.0.1", self.p.port(service)))
            with make() as client:
                if service == "submission":
                    client.starttls(context=trusting())
                client.login(BOB, "bob")
                self.assertEqual(client.sendmail(BOB, [ALICE], message(f"smtplib-{service}", sender=BOB)), {})
            self.arrived(f"smtplib-{service}")

    def imap(self, service):
        if service == "imaps":
            client = imaplib.IMAP4_SSL("127.0.0.1", self.p.port("imaps"), ssl_context=trusting())
        else:
            client = imaplib.IMAP4("127.0.0.1", self.p.port("imap"))
            client.starttls(trusting())
        self.addCleanup(client.shutdown)
        return client

    def test_imaplib_logs_in_both_ways(self):
        for service in ("imap", "imaps"):
            client = self.imap(service)
            self.assertEqual(client.login(ALICE, "alice")[0], "OK")
            client = self.imap(service)
            self.assertEqual(client.authenticate("PLAIN", lambda _: f"\0{ALICE}\0alice".encode())[0], "OK")
            self.assertRaises(imaplib.IMAP4.error, self.imap(service).login, ALICE, "wrong")

    def test_imaplib_mailboxes_and_search(self):
        client = self.imap("imaps")
        client.login(ALICE, "alice")
        names = b" ".join(client.list()[1])
        for name in (b"INBOX", b"Sent", b"Drafts", b"Junk", b"Trash", b"Archive"):
            self.assertIn(name, names)
        for flag in (rb"\Sent", rb"\Drafts", rb"\Junk", rb"\Trash", rb"\Archive"):
            self.assertIn(flag, names)
        self.assertEqual(client.create("Work/Postern")[0], "OK")
        for i in range(3):
            answer = client.append("Work/Postern", r"(\Seen)" if i == 1 else "()", imaplib.Time2Internaldate(time.time() - 86400 * 3),
                                   message(f"appended {i}", body=f"word{i} common\r\n"))
            self.assertIn(b"APPENDUID", answer[1][0])
        self.assertEqual(client.select("Work/Postern")[1], [b"3"])
        for criteria, expected in (("ALL", b"1 2 3"), ("UNSEEN", b"1 3"), ("BODY word2", b"3"), ('SUBJECT "appended 1"', b"2"),
                                   ("OR BODY word0 BODY word2", b"1 3"), ("NOT TEXT word1", b"1 3"), ("FROM carol SEEN", b"2"),
                                   ("LARGER 100000", b""), ("HEADER Message-ID appended-0", b"1"), ("UID 1:* 1:2", b"1 2")):
            self.assertEqual(client.search(None, f"({criteria})")[1], [expected], criteria)
        envelope = client.fetch("2", "(ENVELOPE BODYSTRUCTURE RFC822.SIZE FLAGS)")[1][0]
        self.assertIn(b'"appended 1"', envelope)
        self.assertIn(b'("text" "plain"', envelope.lower())
        self.assertEqual(client.uid("COPY", "1", "Archive")[0], "OK")
        self.assertRegex(client.response("COPYUID")[1][0], rb"^\d+ 1 \d+$")
        self.assertEqual(client.rename("Work/Postern", "Work/Done")[0], "OK")
        self.assertEqual(client.delete("Work/Done")[0], "OK")

    def test_move_condstore_expunge(self):
        client = self.imap("imaps")
        client.login(ALICE, "alice")
        client.create("Moving")
        for i in range(4):
            client.append("Moving", "()", None, message(f"moving {i}"))
        with Wire(self.p.port("imaps"), tls=True) as w:
            w.line()
            self.assertTrue(w.imap(f"LOGIN {ALICE} alice")[0].startswith("OK"))
            status, untagged = w.imap("SELECT Moving (CONDSTORE)")
            modseq = int(b" ".join(untagged).split(b"HIGHESTMODSEQ ")[1].split(b"]")[0])
            status, untagged = w.imap(f"UID STORE 1 (UNCHANGEDSINCE {modseq}) +FLAGS (\\Flagged)")
            self.assertIn(b"MODSEQ", b" ".join(untagged))
            status, untagged = w.imap(f"UID STORE 1 (UNCHANGEDSINCE {modseq}) +FLAGS (\\Answered)")
            self.assertIn("MODIFIED 1", status)
            status, untagged = w.imap(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})")
            self.assertEqual(len(untagged), 1, untagged)
            status, untagged = w.imap("UID MOVE 2:3 Archive")
            self.assertTrue(status.startswith("OK"), status)
            self.assertIn(b"COPYUID", b" ".join(untagged))
            # Either order is good: from the end, or each as the numbers are after the one before.
            self.assertIn([x for x in untagged if x.endswith(b"EXPUNGE")], ([b"* 3 EXPUNGE", b"* 2 EXPUNGE"], [b"* 2 EXPUNGE"] * 2))
            w.imap(r"UID STORE 1,4 +FLAGS.SILENT (\Deleted)")
            status, untagged = w.imap("UID EXPUNGE 4")
            self.assertEqual([x for x in untagged if x.endswith(b"EXPUNGE")], [b"* 2 EXPUNGE"])
            self.assertEqual(w.imap("UID SEARCH ALL")[1][-1], b"* SEARCH 1")

    def test_idle(self):
        with Wire(self.p.port("imap")) as w:
            w.line()
            self.assertTrue(w.imap("STARTTLS")[0].startswith("OK"))
            w.start_tls()
            w.imap(f"LOGIN {BOB} bob")
            w.imap("SELECT INBOX")
            w.send("i IDLE")
            self.assertTrue(w.line().startswith(b"+"))
            deliver(self.p.port("smtp"), message("idle"), recipients=[BOB])
            while not (line := w.line()).endswith(b"EXISTS"):
                self.assertTrue(line.startswith(b"*"), line)
            w.send("DONE")
            self.assertTrue(w.imap_answer("i")[0].startswith("OK"))

    def test_poplib(self):
        for service in ("pop3", "pop3s"):
            empty(self.p, BOB)
            for i in range(3):
                deliver(self.p.port("smtp"), message(f"pop {i}", body=f".dots {i}\r\n..\r\n"), recipients=[BOB])
                self.arrived(f"pop {i}", BOB)
            client = poplib.POP3_SSL("127.0.0.1", self.p.port(service), context=trusting()) if service == "pop3s" else poplib.POP3(
                "127.0.0.1", self.p.port(service))
            if service == "pop3":
                client.stls(trusting())
            client.user(BOB)
            client.pass_("bob")
            self.assertEqual(client.stat()[0], 3)
            self.assertEqual(len({x.split()[1] for x in client.uidl()[1]}), 3)
            self.assertIn(b".dots 1", client.retr(2)[1])
            self.assertNotIn(b".dots 0", client.top(1, 0)[1])
            client.dele(2)
            client.quit()
            self.assertEqual(len(fetch_all(self.p, BOB)), 2)


class RefusedTest(ClientsTest):
    """Login without TLS, and with wrong passwords."""

    def test_submission_in_clear(self):
        with Wire(self.p.port("submission")) as w:
            w.expect(220)
            self.assertNotIn("AUTH", " ".join(w.expect(250, "EHLO me")))
            token = base64.b64encode(f"\0{BOB}\0bob".encode()).decode()
            self.assertIn(w.smtp(f"AUTH PLAIN {token}")[0], (530, 538))
            w.expect(220, "STARTTLS")
            w.start_tls()
            self.assertIn("AUTH PLAIN", " ".join(w.expect(250, "EHLO me")))
            w.expect(235, f"AUTH PLAIN {token}")

    def test_port_25_has_no_login(self):
        with Wire(self.p.port("smtp")) as w:
            w.expect(220)
            self.assertNotIn("AUTH", " ".join(w.expect(250, "EHLO me")))
            w.expect(220, "STARTTLS")
            w.start_tls()
            self.assertNotIn("AUTH", " ".join(w.expect(250, "EHLO me")))
            self.assertIn(w.smtp("AUTH PLAIN AGJvYgBib2I=")[0], (500, 502, 503))

    def test_imap_in_clear(self):
        with Wire(self.p.port("imap")) as w:
            self.assertNotIn(b"AUTH=", w.line())
            capabilities = w.imap("CAPABILITY")[1][0]
            self.assertIn(b"LOGINDISABLED", capabilities)
            self.assertNotIn(b"AUTH=", capabilities)
            self.assertIn("NO [PRIVACYREQUIRED]", w.imap(f"LOGIN {BOB} bob")[0])
            self.assertTrue(w.imap("AUTHENTICATE PLAIN AGJvYgBib2I=")[0].startswith("NO"))
            w.imap("STARTTLS")
            w.start_tls()
            self.assertTrue(w.imap(f"LOGIN {BOB} bob")[0].startswith("OK"))

    def test_pop3_in_clear(self):
        with Wire(self.p.port("pop3")) as w:
            w.line()
            words = b" ".join(w.pop3("CAPA", many=True)[1])
            self.assertNotIn(b"USER", words)
            self.assertNotIn(b"SASL", words)
            self.assertTrue(w.pop3(f"USER {BOB}")[0].startswith("-ERR"))
            self.assertTrue(w.pop3("AUTH PLAIN AGJvYgBib2I=")[0].startswith("-ERR"))
            self.assertTrue(w.pop3("STLS")[0].startswith("+OK"))
            w.start_tls()
            self.assertIn(b"USER", b" ".join(w.pop3("CAPA", many=True)[1]))

    def test_wrong_passwords_are_events(self):
        token = base64.b64encode(f"\0{ALICE}\0wrong".encode()).decode()
        for service, mechanism in (("submissions", "PLAIN"), ("submissions", "LOGIN"), ("pop3s", "USER")):
            with Wire(self.p.port(service), tls=True) as w:
                w.line()
                if service == "pop3s":
                    w.pop3(f"USER {ALICE}")
                    self.assertTrue(w.pop3("PASS wrong")[0].startswith("-ERR"))
                    continue
                w.expect(250, "EHLO me")
                if mechanism == "LOGIN":
                    w.expect(334, "AUTH LOGIN")
                    w.expect(334, base64.b64encode(ALICE.encode()).decode())
                    w.expect(535, base64.b64encode(b"wrong").decode())
                else:
                    w.expect(535, f"AUTH PLAIN {token}")
        def found():
            return [e["text"] for e in self.p.events(ALICE, "--max=1000") if e["code"] == "login_failed"]
        wait_for(lambda: len(found()) >= 3)
        self.assertEqual(sorted(found()), [f"login as {ALICE} from 127.0.0.1 failed by {m}" for m in ("LOGIN", "PLAIN", "PLAIN")])

    def test_a_wrong_password_waits_longer_each_time(self):
        with Instance(plaintext=False) as p:
            times = []
            for _ in range(5):
                with Wire(p.port("imaps"), tls=True) as w:
                    w.line()
                    began = time.monotonic()
                    status = w.imap(f"LOGIN {BOB} wrong")[0]
                    times.append(time.monotonic() - began)
                    self.assertIn("NO [AUTHENTICATIONFAILED]", status)
            # The third is the first that waits (penalty.h); each waits twice as long. How fast the first ones were is the machine's affair.
            self.assertTrue(all(took > wait for took, wait in zip(times[2:], (0.5, 1, 2))), times)
            events = wait_for(lambda: [e for e in p.events(BOB) if e["code"] == "login_failed"])
            self.assertEqual({(e["stage"], e["text"]) for e in events}, {("imap", f"login as {BOB} from 127.0.0.1 failed by PLAIN")})
            # And the right one is not locked out.
            with mailbox(p, BOB):
                pass


if __name__ == "__main__":
    unittest.main()
