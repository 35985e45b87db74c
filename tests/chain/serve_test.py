"""`postern setup` and `postern serve`: a machine made ready, certificates replaced under load without one lost handshake (THREATS T11), bad
configuration and bad certificates that change nothing."""
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

from client import Wire, trusting
from postern import BINARY, PATIENCE, free_base, release, wait_for

ROTATIONS = 5


def make_pair(folder, name):
    """A new pair, put in place the way an ACME client does: by rename."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-keyout", folder / "new.key", "-out", folder / "new.crt"], check=True, capture_output=True)
    (folder / "new.key").rename(folder / "tls.key")
    (folder / "new.crt").rename(folder / "tls.crt")


class ServeTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-serve-"))
        self.folder.chmod(0o711)
        self.config = self.folder / "postern.conf"
        self.base = free_base()
        self.addCleanup(release, self.base)
        self.process = None
        result = self.run_postern("setup", "example.org", f"--data={self.folder}/data")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.said = result.stdout
        make_pair(self.folder, "first")
        self.config.write_text(self.config.read_text() + f"""
[tls]
certificate = ["{self.folder}/tls.crt:{self.folder}/tls.key"]
[listen]
smtp = ["127.0.0.1:{self.base + 25}"]
submissions = []
submission = []
imap = []
imaps = ["127.0.0.1:{self.base + 993}"]
pop3s = []
""")
        self.process = subprocess.Popen([BINARY, "serve", f"--config={self.config}"], stderr=open(self.folder / "log", "wb"))
        wait_for(lambda: b"parent.ready" in self.log())

    def tearDown(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.assertEqual(self.process.wait(30), 0)
            finally:
                self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run_postern(self, *words):
        return subprocess.run([BINARY, *words, f"--config={self.config}"], capture_output=True, text=True, timeout=PATIENCE, check=False)

    def log(self):
        return (self.folder / "log").read_bytes()

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def handshake(self):
        """The subject that the server shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.base + 993), PATIENCE) as s, context.wrap_socket(s) as t:
            t.recv(100)
            der = t.getpeercert(binary_form=True)
        text = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-subject"], input=der, capture_output=True, check=True).stdout
        return text.decode().strip().rsplit("=", 1)[1].strip()

    def test_setup_says_what_to_do(self):
        self.assertIn("example.org.  3600 IN MX    10 mail.example.org.", self.said)
        self.assertIn("postmaster@example.org", self.said)
        again = self.run_postern("setup", "example.org")
        self.assertEqual(again.returncode, 7)
        self.assertIn("postmaster@example.org", self.run_postern("user", "list").stdout)

    def test_setup_that_failed_is_tried_again(self):
        """Nonsense is refused before anything is made, and what fails later leaves no configuration that the next try would stop at."""
        folder = self.folder / "again"
        folder.mkdir(0o711)
        config = folder / "postern.conf"

        def setup(domain, data):
            return subprocess.run([BINARY, "setup", domain, "--hostname=mail.example.org", f"--data={data}", f"--config={config}", "--json"],
                                  capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(setup("not_a_domain!", folder / "data").returncode, 2)
        self.assertEqual(os.listdir(folder), [])
        (folder / "file").touch()
        self.assertNotEqual(setup("example.org", folder / "file" / "data").returncode, 0)
        self.assertFalse(config.exists())
        done = setup("example.org", folder / "data")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual((said["account"], said["hostname"], len(said["password"])), ("postmaster@example.org", "mail.example.org", 20))
        self.assertNotIn("level=info", done.stderr)

    def test_setup_of_a_domain_that_is_not_ascii(self):
        done = subprocess.run([BINARY, "setup", "b\u00fccher.example", f"--data={self.folder}/other", f"--config={self.folder}/other.conf", "--json"],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual((said["account"], said["hostname"]), ("postmaster@xn--bcher-kva.example", "mail.xn--bcher-kva.example"))

    def test_reload_is_of_all_settings(self):
        """Only those that the log names wait for the next start."""
        def rcpt(address):
            with Wire(self.base + 25) as w:
                for code, command in ((220, None), (250, "EHLO me.test"), (250, "MAIL FROM:<a@elsewhere.test>")):
                    w.expect(code, command)
                return w.smtp(f"RCPT TO:<{address}>")[0]

        def handshakes(most):
            context = trusting()
            context.maximum_version = most
            with socket.create_connection(("127.0.0.1", self.base + 993), PATIENCE) as s:
                try:
                    context.wrap_socket(s).close()
                except ssl.SSLError:
                    return False
            return True
        self.assertEqual((rcpt("postmaster+x@example.org"), rcpt("postmaster-x@example.org")), (250, 550))
        self.assertTrue(handshakes(ssl.TLSVersion.TLSv1_2))
        text = self.config.read_text().replace("[tls]\n", '[tls]\nminimum = "1.3"\n')
        self.config.write_text(text + '[mail]\nsubaddress = "-"\n[limit]\nconnections_per_address = 2\n')
        self.hang_up()
        wait_for(lambda: rcpt("postmaster-x@example.org") == 250)
        wait_for(lambda: not handshakes(ssl.TLSVersion.TLSv1_2))
        self.assertTrue(handshakes(ssl.TLSVersion.TLSv1_3))
        self.assertEqual(rcpt("postmaster+x@example.org"), 550)

        def third_is_refused():
            with Wire(self.base + 25) as one, Wire(self.base + 25) as two, Wire(self.base + 25) as three:
                return [w.line()[:3] for w in (one, two, three)] == [b"220", b"220", b"421"]
        wait_for(third_is_refused)

    def test_certificates_under_load(self):
        stop, done, failed = threading.Event(), [], []

        def shake():
            while not stop.is_set():
                try:
                    done.append(self.handshake())
                except OSError as e:
                    failed.append(repr(e))

        threads = [threading.Thread(target=shake) for _ in range(3)]
        for t in threads:
            t.start()
        for i in range(ROTATIONS):
            make_pair(self.folder, f"number{i}")
            self.hang_up()
            wait_for(lambda i=i: done and done[-1] == f"number{i}")
        stop.set()
        for t in threads:
            t.join()
        self.assertEqual(failed, [])
        self.assertGreater(len(done), 2 * ROTATIONS)

    def test_bad_files_change_nothing(self):
        wait_for(lambda: self.handshake() == "first")
        (self.folder / "tls.crt").write_text("not a certificate\n")
        self.hang_up()
        wait_for(lambda: b"sign.bad_pair" in self.log())
        self.assertEqual(self.handshake(), "first")
        good = self.config.read_text()
        self.config.write_text(good + "nonsense = 1\n")
        self.hang_up()
        wait_for(lambda: b"parent.reload_refused" in self.log())
        self.assertEqual(self.handshake(), "first")
        check = self.run_postern("config", "check")
        self.assertEqual(check.returncode, 2)
        self.assertIn("nonsense", check.stderr)
        # A slip in the setting itself: there is no copy of what it names, so all that was good serves on.
        self.config.write_text(good.replace("tls.crt:", "no-such.crt:"))
        self.hang_up()
        wait_for(lambda: b"sign.kept_set" in self.log())
        self.assertEqual(self.handshake(), "first")
        make_pair(self.folder, "second")
        self.config.write_text(good)
        self.hang_up()
        wait_for(lambda: self.handshake() == "second")

    def test_a_disk_that_is_not_there(self):
        """THREATS F26: an empty store in its place would refuse all mail for good, an empty table of logins everybody. So it does not start, and
        makes nothing; mail waits elsewhere."""
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(30), 0)
        self.process = None
        data, away = self.folder / "data", self.folder / "away"
        for name in (".", "store", "login", "keys"):
            with self.subTest(name):
                (data / name).resolve().rename(away)
                if name != "keys":
                    (data / name).mkdir()  # where it is mounted
                result = subprocess.run([BINARY, "serve", f"--config={self.config}"], capture_output=True, text=True, timeout=PATIENCE, check=False)
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertRegex(result.stderr, r"data/(store/postern\.db|login/login\.db|keys) \(is its disk mounted\?")
                made = [path for path in (data / name).rglob("*") if path.name != "lock"]
                self.assertEqual(made, [])
                shutil.rmtree(data / name, ignore_errors=True)
                away.rename((data / name).resolve())
        (data / "login").rename(away)
        self.process = subprocess.Popen([BINARY, "serve", "--new", f"--config={self.config}"], stderr=open(self.folder / "log", "wb"))
        wait_for(lambda: b"parent.ready" in self.log())

    def test_second_instance_is_refused(self):
        other = self.folder / "other.conf"
        other.write_text(f'[server]\ndata = "{self.folder}/data"\n[listen]\nsmtp = []\nsubmissions = []\nsubmission = []\nimap = []\n'
                         'imaps = []\npop3s = []\n')
        result = subprocess.run([BINARY, "serve", f"--config={other}"], capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(result.returncode, 7, result.stderr)


if __name__ == "__main__":
    unittest.main()
