"""Programs that keep a copy, or read on a terminal: mbsync both ways, fetchmail, mutt."""
import email
import email.policy
import mailbox as boxes
import os
import pathlib
import pty
import ssl
import tempfile
import unittest

from client import deliver, empty, fetch_all, mailbox, message, run, wait_message
from postern import PATIENCE, Instance

ALICE, BOB = "alice@example.test", "bob@example.test"


class SyncTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = cls.enterClassContext(Instance(plaintext=False))
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.certificate = cls.folder / "certificate.pem"
        cls.certificate.write_text(ssl.get_server_certificate(("127.0.0.1", cls.p.port("imaps"))))

    def setUp(self):
        for user in (ALICE, BOB):
            empty(self.p, user)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def inbound(self, *subjects, user=ALICE):
        for subject in subjects:
            self.assertEqual(deliver(self.p.port("smtp"), message(subject), recipients=[user])[0], 250)
        for subject in subjects:
            wait_message(self.p, f"Subject: {subject}\r\n", user)


class MbsyncTest(SyncTest):
    def sync(self):
        run("mbsync", "-c", self.rc, "-a")
        return boxes.Maildir(self.folder / "mail" / "inbox", create=False)

    def subjects(self, box):
        return sorted(m["Subject"] for m in box)

    def test_both_ways(self):
        (self.folder / "mail").mkdir()
        self.rc = self.write("mbsyncrc", f"""
IMAPAccount p
Timeout {PATIENCE}
Host 127.0.0.1
Port {self.p.port("imaps")}
User {ALICE}
Pass alice
SSLType IMAPS
CertificateFile {self.certificate}

IMAPStore far
Account p

MaildirStore near
Path {self.folder}/mail/
Inbox {self.folder}/mail/inbox
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
CopyArrivalDate yes
""")
        self.inbound("one", "two", "three")
        box = self.sync()
        self.assertEqual(self.subjects(box), ["one", "three", "two"])
        self.assertTrue((self.folder / "mail" / "Archive").is_dir())
        self.change_near(box)
        self.change_far()
        box = self.sync()
        self.assertEqual(self.subjects(box), ["four", "new here", "one", "three"])
        flags = {m["Subject"]: m.get_flags() for m in box}
        self.assertEqual((flags["one"], flags["three"]), ("FS", "R"))
        self.assertEqual(len(fetch_all(self.p)), 4)
        with mailbox(self.p) as client:
            self.assertEqual(len(client.search(None, "FLAGGED SEEN SUBJECT one")[1][0].split()), 1)
            self.assertEqual(len(client.search(None, "SUBJECT two")[1][0].split()), 0)
        self.assertTrue(any(b"new here" in m for m in fetch_all(self.p)))

    def change_near(self, box):
        """One gets flags, two goes, a new one comes, a folder too."""
        for key, m in box.items():
            if m["Subject"] == "one":
                m.set_flags("FS")
                box[key] = m
            elif m["Subject"] == "two":
                m.set_flags("T")
                box[key] = m
        box.add(message("new here").replace(b"\r\n", b"\n"))

    def change_far(self):
        with mailbox(self.p) as client:
            number = client.search(None, "SUBJECT three")[1][0].decode()
            client.store(number, "+FLAGS", r"(\Answered)")
        self.inbound("four")


class FetchmailTest(SyncTest):
    def fetch(self, service, protocol, *more):
        target = self.folder / f"fetched-{service}"
        rc = self.write(f"fetchmailrc-{service}", f"""
poll 127.0.0.1 service {self.p.port(service)} protocol {protocol} auth password timeout {PATIENCE}
  user "{BOB}" password "bob" ssl no sslcertck {' '.join(more)} mda "cat >> {target}"
""")
        env = {**os.environ, "FETCHMAILHOME": str(self.folder), "HOME": str(self.folder)}
        run("fetchmail", "-f", rc, "--nosyslog", "--nodetach", env=env)
        return target.read_bytes()

    def test_pop3s(self):
        self.inbound("fetched by pop", user=BOB)
        self.assertIn(b"fetched by pop", self.fetch("pop3s", "POP3"))
        self.assertEqual(fetch_all(self.p, BOB), [])

    def test_imaps(self):
        self.inbound("fetched by imap", "and another", user=BOB)
        got = self.fetch("imaps", "IMAP", "keep")
        self.assertIn(b"fetched by imap", got)
        self.assertIn(b"and another", got)
        self.assertEqual(len(fetch_all(self.p, BOB)), 2)
        with mailbox(self.p, BOB) as client:
            self.assertEqual(client.search(None, "UNSEEN")[1], [b""])


class MuttTest(SyncTest):
    def rc(self, *more):
        return self.write("muttrc", "\n".join([
            f"set imap_user={ALICE} imap_pass=alice smtp_pass=alice certificate_file={self.certificate}",
            "set ssl_verify_host=no ssl_verify_dates=no ssl_force_tls=yes ssl_starttls=yes header_cache= record=/dev/null postponed=/dev/null",
            f"set my_hdr= from={ALICE} use_from=yes envelope_from=yes realname=Alice quit=yes delete=yes confirmappend=no wait_key=no",
            "set confirmcreate=no move=no beep=no resolve=no smtp_authenticators=plain imap_keepalive=300", *more]).replace("my_hdr= ", "") + "\n")

    def terminal(self, *words):
        """Runs it on a terminal of its own; what it drew."""
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm", HOME=str(self.folder))
            os.execvp(words[0], words)
        drawn = b""
        try:
            while data := os.read(fd, 65536):
                drawn += data
        except OSError:
            pass
        os.waitpid(pid, 0)
        os.close(fd)
        return drawn

    def test_reads_flags_and_deletes(self):
        self.inbound("for mutt", "to throw away")
        out = self.folder / "piped"
        rc = self.rc(f'push "<limit>~s mutt<enter><flag-message><pipe-message>cat > {out}<enter>'
                     '<limit>~s throw<enter><delete-message><sync-mailbox><exit>"')
        drawn = self.terminal("timeout", str(PATIENCE), "mutt", "-F", rc, "-f", f"imaps://127.0.0.1:{self.p.port('imaps')}/INBOX")
        self.assertTrue(out.exists(), drawn[-2000:])
        self.assertIn(b"Subject: for mutt", out.read_bytes(), drawn)
        with mailbox(self.p) as client:
            self.assertEqual(len(client.search(None, "ALL")[1][0].split()), 1)
            self.assertEqual(len(client.search(None, "FLAGGED SUBJECT mutt")[1][0].split()), 1)

    def test_sends(self):
        attachment = self.folder / "plaatje.bin"
        attachment.write_bytes(bytes(range(256)) * 40)
        for scheme, service in (("smtps", "submissions"), ("smtp", "submission")):
            rc = self.rc(f"set smtp_url={scheme}://{ALICE}@127.0.0.1:{self.p.port(service)}/")
            run("mutt", "-F", rc, "-s", f"Grüße über {service}", "-a", str(attachment), "--", BOB, stdin="Dag Bob, één bijlage.\n".encode(),
                env={**os.environ, "HOME": str(self.folder), "LC_ALL": "C.UTF-8"})
            got = email.message_from_bytes(wait_message(self.p, b"plaatje.bin", BOB), policy=email.policy.default)
            self.assertEqual(got["Subject"], f"Grüße über {service}")
            self.assertEqual(got.get_payload(0).get_content().strip(), "Dag Bob, één bijlage.")
            self.assertEqual(got.get_payload(1).get_content(), attachment.read_bytes())
            empty(self.p, BOB)


if __name__ == "__main__":
    unittest.main()
