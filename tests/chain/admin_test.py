"""The command line: every command for people and as JSON, its exit codes and errors; the options of `postern dev`; a crash of each
process; verify and salvage."""
import base64
import concurrent.futures
import imaplib
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import termios
import unittest

import pages
from client import Wire, deliver, deliver_at_last, fetch_all, mailbox, message, submit, wait_message
from postern import BINARY, PATIENCE, Instance, free_base, wait_for

ALICE, BOB = "alice@example.test", "bob@example.test"
ROLES = ("mx", "client", "mda", "office", "relay", "login", "sign")


def postern(*words, stdin=None, env=None):
    return subprocess.run([BINARY, *words], capture_output=True, text=True, input=stdin, timeout=PATIENCE, check=False, env=env)


def make_pair(folder, name, host, days=2):
    """A pair for the host, "CERT:KEY"; with days=-1 it expired yesterday."""
    pair = [f"{folder}/{name}.{suffix}" for suffix in ("crt", "key")]
    request, extensions = pathlib.Path(folder) / f"{name}.csr", pathlib.Path(folder) / f"{name}.ext"
    extensions.write_text(f"subjectAltName=DNS:{host}\n")
    for words in (["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-keyout", pair[1], "-out",
                   request], ["x509", "-req", "-in", request, "-signkey", pair[1], "-days", str(days), "-extfile", extensions, "-out", pair[0]]):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    return ":".join(pair)


class CommandTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = cls.enterClassContext(Instance(settings=["queue.retry_first=1h"]))

    def ok(self, *words, stdin=None):
        return self.p.ctl(*words, stdin=stdin).stdout

    def json(self, *words, stdin=None):
        return json.loads(self.ok(*words, "--json", stdin=stdin))

    def fails(self, status, *words, stdin=None):
        """With this exit status, nothing on stdout, and the error in its form; the same as JSON."""
        got = self.p.ctl(*words, check=False, stdin=stdin)
        self.assertEqual((got.returncode, got.stdout), (status, ""), got.stderr)
        self.assertRegex(got.stderr, r"\Apostern: error E\d{4}: .+\n(  seen: .+\n)?(  do:   .+\n)?\Z")
        error = json.loads(self.p.ctl(*words, "--json", check=False, stdin=stdin).stderr)
        self.assertEqual(set(error), {"error", "what", "seen", "do"})
        self.assertRegex(error["error"], r"^E\d{4}$")

    @staticmethod
    def select(client, name):
        try:
            return client.select(name)[0]
        except imaplib.IMAP4.abort:
            return "BYE"

    def cannot_log_in(self, address):
        with self.assertRaises(imaplib.IMAP4.error), mailbox(self.p, address):
            pass

    def test_domain(self):
        self.ok("domain", "add", "second.test")
        self.assertIn({"domain": "second.test", "accounts": 0, "aliases": 0}, self.json("domain", "list"))
        self.assertIn("second.test", self.ok("domain", "list"))
        self.assertEqual(self.json("domain", "show", "example.test")["accounts"], sorted([ALICE, BOB]))
        self.assertIn(ALICE, self.ok("domain", "show", "EXAMPLE.TEST"))
        self.fails(7, "domain", "add", "second.test")
        for wrong in ("no domain!", "-x-.test", "b\u00fccher.test", "second.test."):
            self.fails(2, "domain", "add", wrong)
        self.fails(4, "domain", "show", "third.test")
        self.fails(4, "domain", "remove", "third.test", "--yes")
        self.fails(7, "domain", "remove", "example.test", "--yes")
        self.ok("domain", "remove", "second.test", "--yes")
        self.assertNotIn("second.test", self.ok("domain", "list"))

    def test_user(self):
        carol = "carol@example.test"
        self.ok("user", "add", carol, "--quota", "2M", stdin="secret one\n")
        self.p.users[carol] = "secret one"
        with mailbox(self.p, carol) as held:
            row = self.json("user", "show", carol)
            self.assertEqual((row["address"], row["state"], row["quota"]), (carol, "active", 2 << 20))
            self.assertIn(carol, [u["address"] for u in self.json("user", "list", "example.test")])
            self.assertIn("2.0M", self.ok("user", "list"))
            self.ok("user", "quota", carol, "0")
            self.assertEqual(self.json("user", "show", carol)["quota"], 0)
            self.ok("user", "passwd", carol, stdin="secret two\n")
            self.assertIn(self.select(held, "Sent"), ("NO", "BYE"))
        self.cannot_log_in(carol)
        self.p.users[carol] = "secret two"
        with mailbox(self.p, carol):
            pass
        self.ok("user", "suspend", carol)
        self.assertEqual(self.json("user", "show", carol)["state"], "suspended")
        self.cannot_log_in(carol)
        self.assertEqual(deliver(self.p.port("smtp"), message("suspended"), recipients=[carol])[0], 450)
        self.ok("user", "resume", carol)
        self.assertEqual(deliver(self.p.port("smtp"), message("resumed"), recipients=[carol])[0], 250)
        wait_message(self.p, "resumed", carol)
        self.fails(7, "user", "add", carol, stdin="x\n")
        self.fails(4, "user", "show", "nobody@example.test")
        self.fails(4, "user", "passwd", "nobody@example.test", stdin="x\n")
        self.fails(4, "user", "add", "someone@elsewhere.test", stdin="x\n")
        self.fails(2, "user", "quota", carol, "many")
        # Names that no mail could reach: each has another form on its way, or none.
        for wrong in ("a..b@example.test", ".x@example.test", '"quoted"@example.test', '"a"b"@example.test', "x@example.test.", "no-at"):
            self.fails(2, "user", "add", wrong, stdin="x\n")
            self.fails(2, "alias", "add", wrong, ALICE)
            self.fails(2, "alias", "add", "wrong@example.test", ALICE, wrong)
        self.ok("user", "remove", carol, "--yes")
        self.assertEqual(deliver(self.p.port("smtp"), message("gone"), recipients=[carol])[0], 550)

    def test_alias(self):
        self.ok("alias", "add", "team@example.test", ALICE, BOB)
        self.assertEqual(self.json("alias", "show", "team@example.test")["targets"], [ALICE, BOB])
        self.assertIn("team@example.test", self.ok("alias", "list"))
        self.assertIn("team@example.test", [a["address"] for a in self.json("alias", "list", "example.test")])
        self.assertEqual(deliver(self.p.port("smtp"), message("to the team"), recipients=["Team+x@Example.Test"])[0], 250)
        for user in (ALICE, BOB):
            wait_message(self.p, "to the team", user)
        self.fails(7, "alias", "add", "team@example.test", ALICE)
        self.fails(2, "alias", "add", "postmaster@example.test", "postmaster@example.test")  # who is somebody only until then
        self.ok("alias", "add", "abuse@example.test", "postmaster@example.test")
        self.fails(2, "alias", "add", "postmaster@example.test", "abuse@example.test")
        self.ok("alias", "remove", "abuse@example.test")
        self.fails(4, "alias", "show", "crew@example.test")
        self.fails(4, "alias", "remove", "crew@example.test")
        self.ok("alias", "remove", "team@example.test")
        self.assertEqual(deliver(self.p.port("smtp"), message("no team"), recipients=["team@example.test"])[0], 550)

    def test_queue_and_trace(self):
        submit(self.p, message("stays in the queue", sender=ALICE), ["x@nowhere.test"])
        def waits():
            rows = [e for e in self.json("queue", "list") if e["recipient"] == "x@nowhere.test"]
            return rows and rows[0]["state"] == "waiting" and rows[0]["attempts"] and rows[0]
        row = wait_for(waits)
        number = row["id"]
        self.assertRegex(number, r"^[0-9a-z]{13}$")
        self.assertEqual((row["sender"], row["attempts"]), (ALICE, 1))
        self.assertIn("x@nowhere.test", self.ok("queue", "show", number))
        self.assertEqual(self.json("queue", "hold", number), {"count": 1})
        self.assertEqual(self.json("queue", "show", number)[0]["state"], "held")
        self.assertIn(f"nothing of {number} waits", self.p.ctl("queue", "retry", number, check=False).stderr)
        self.ok("queue", "release", number)
        self.ok("queue", "retry", number)
        for word in (number, "x@nowhere.test", ALICE, "stays-in-the-queue@test.invalid", "queue", "127.0.0.1"):
            self.assertIn("stays in the queue", self.ok("trace", word), word)
        events = [e["code"] for e in self.p.events(number)]
        for code in ("accepted", "deferred", "held", "released", "retried"):
            self.assertIn(code, events)
        self.ok("queue", "drop", number, "--yes")
        self.assertEqual([e for e in self.json("queue", "list") if e["id"] == number], [])
        self.fails(4, "queue", "show", number)
        self.fails(4, "queue", "retry", number)
        self.fails(2, "queue", "hold", "nonsense")
        self.fails(4, "trace", "never-seen-word")
        self.assertEqual(fetch_all(self.p), [m for m in fetch_all(self.p) if b"multipart/report" not in m])

    def test_long_queue(self):
        """More than `queue list` asks for at once: messages of many recipients, and one whose id is older than that of a later one's entries."""
        def begin(w, n):
            w.expect(220)
            w.expect(250, "EHLO test.invalid")
            w.expect(235, "AUTH PLAIN " + base64.b64encode(b"\0alice@example.test\0alice").decode())
            w.expect(250, f"MAIL FROM:<{ALICE}>")
            for i in range(n):
                w.expect(250, f"RCPT TO:<{n}.{i}@far.test>")
            w.expect(354, "DATA")
        with Wire(self.p.port("submission")) as first, Wire(self.p.port("submission")) as second:
            begin(first, 501)
            begin(second, 502)
            for w in (second, first):
                w.expect(250, message("long", sender=ALICE) + b".\r\n")
        submit(self.p, message("last", sender=ALICE), ["last@far.test"])
        rows = [row["recipient"] for row in self.json("queue", "list") if row["recipient"].endswith("@far.test")]
        self.assertEqual(len(rows), 501 + 502 + 1)
        self.ok("queue", "drop", "all", "--yes")

    def test_status_verify_config_version_help(self):
        self.assertTrue(self.ok("status"))
        self.assertIsInstance(self.json("status"), dict)
        self.assertEqual(self.json("verify")["problem_count"], 0)
        self.assertRegex(self.ok("version"), r"\d+\.\d+\.\d+")
        self.assertIn("Example", self.ok("help", "user", "add").replace("example", "Example"))
        self.assertIn("postern dev", self.ok("help"))
        sample = postern("config", "sample").stdout
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "postern.conf"
            path.write_text(sample)
            self.assertEqual(postern("config", "check", f"--config={path}").returncode, 0)
            self.assertIn("[queue]", postern("config", "show", "--all", f"--config={path}").stdout)

    def can_log_in(self, address, password):
        self.p.users[address] = password
        try:
            with mailbox(self.p, address):
                return True
        except imaplib.IMAP4.error:
            return False

    def test_two_set_one_password(self):
        """At the same moment: whoever is the last, the account can be logged in to, with one that was told to be set."""
        carol = "carol@example.test"
        self.ok("user", "add", carol, stdin="a password\n")
        for i in range(2):
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                def passwd(n, i=i):
                    return self.p.ctl("user", "passwd", carol, check=False, stdin=f"password {i}.{n}\n").returncode
                self.assertEqual(list(pool.map(passwd, range(4))), [0] * 4)
            self.assertTrue(any(self.can_log_in(carol, f"password {i}.{n}") for n in range(4)), i)
        self.p.users.pop(carol)
        self.ok("user", "remove", carol, "--yes")

    def test_a_suspension_while_a_password_is_asked_for(self):
        """The one who is asked for a password knew the account before it was suspended: it stays so, for login and for mail."""
        dave, pipe = "dave@example.test", pathlib.Path(self.p.folder) / "password.pipe"
        self.ok("user", "add", dave, stdin="a password\n")
        os.mkfifo(pipe)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.p.ctl, "user", "passwd", dave, f"--password-file={pipe}")
            with open(pipe, "w", encoding="ascii") as f:  # opens when the command does
                self.ok("user", "suspend", dave)
                f.write("another password\n")
            asked.result()
        self.p.users[dave] = "another password"
        self.assertEqual(self.json("user", "show", dave)["state"], "suspended")
        self.cannot_log_in(dave)
        self.ok("user", "resume", dave)
        with mailbox(self.p, dave):
            pass
        self.p.users.pop(dave)
        self.ok("user", "remove", dave, "--yes")

    def test_domain_remove_beside_user_and_alias_add(self):
        """Whoever is first: there is no name without its domain, and who was told that it is done finds it."""
        for i in range(6):
            self.ok("domain", "add", "race.test")
            words = [["domain", "remove", "race.test", "--yes"], ["alias", "add", "info@race.test", ALICE], ["alias", "add", "@race.test", ALICE],
                     ["user", "add", "u@race.test"], ["user", "add", "v@race.test"]]
            words = words[i % 5:] + words[:i % 5]
            with concurrent.futures.ThreadPoolExecutor(len(words)) as pool:
                answers = list(pool.map(lambda w: self.p.ctl(*w, check=False, stdin="a password\n" if w[0] == "user" else None), words))
            done = {tuple(w[:3]): got.returncode == 0 for w, got in zip(words, answers)}
            domains = [row["domain"] for row in self.json("domain", "list")]
            names = [row["address"] for kind in ("user", "alias") for row in self.json(kind, "list") if row["address"].endswith("@race.test")]
            self.assertEqual("race.test" in domains, not done["domain", "remove", "race.test"])
            self.assertEqual(sorted(names), sorted(w[2] for w, ok in done.items() if w[1] == "add" and ok))
            self.assertTrue("race.test" in domains or not names, (domains, names))
            for address in names:
                self.ok("user" if address[0] in "uv" else "alias", "remove", address, *(["--yes"] if address[0] in "uv" else []))
            if "race.test" in domains:
                self.ok("domain", "remove", "race.test", "--yes")

    def test_usage(self):
        for words in (["frobnicate"], ["user"], ["user", "ad", "x@example.test"], ["user", "add"], ["queue", "list", "--nonsense"],
                      ["domain", "add", "a.test", "b.test"]):
            got = self.p.ctl(*words, check=False)
            self.assertEqual((got.returncode, got.stdout), (2, ""), words)
            self.assertTrue(got.stderr.startswith("postern: error E"), got.stderr)
        self.assertIn("user add", self.p.ctl("user", "ad", "x@example.test", check=False).stderr)
        self.assertIn("postern help user\n", self.p.ctl("user", check=False).stderr)
        self.fails(2, "user", "list", "-x")
        self.fails(2, "frobnicate")

    def test_what_is_not_confirmed_is_not_done(self):
        got = self.p.ctl("user", "remove", BOB, check=False, stdin="alice\n")
        self.assertEqual((got.returncode, got.stdout), (2, ""))
        self.assertIn(f"Type {BOB} to go on", got.stderr)
        got = self.p.ctl("user", "remove", BOB, "--json", check=False, stdin="")
        self.assertEqual((got.returncode, json.loads(got.stderr)["error"]), (2, "E1011"))
        self.ok("user", "show", BOB)

    def test_password_at_a_terminal(self):
        """Ctrl-C at the question: the terminal must not stay without an echo."""
        folder = pathlib.Path(self.p.folder)
        conf = folder / "tty.conf"
        conf.write_text(f'[server]\ndata = "{folder}"\n')
        pid, terminal = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # who starts the tests in the background may ignore it
            os.execv(BINARY, [BINARY, "user", "passwd", ALICE, f"--config={conf}"])
        self.addCleanup(os.close, terminal)
        self.assertIn(b"Password: ", os.read(terminal, 4096))
        self.assertFalse(termios.tcgetattr(terminal)[3] & termios.ECHO)
        os.write(terminal, b"\x03")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), -signal.SIGINT)
        self.assertTrue(termios.tcgetattr(terminal)[3] & termios.ECHO)

    def test_help(self):
        self.assertIn("user passwd", self.ok("help", "user"))
        self.assertNotIn("domain", self.ok("help", "user"))
        for words in (["setup", "-h"], ["user", "remove", ALICE, "--help"], ["dev", "-h"]):
            self.assertIn("Usage: postern " + words[0], postern(*words).stdout)
        self.assertIn({"address": ALICE}, [{"address": row["address"]} for row in self.json("user", "list")])

    def test_files_that_cannot_be_read(self):
        with tempfile.TemporaryDirectory() as folder:
            for words in (["config", "check", f"--config={folder}/none"], ["header", f"{folder}/none"], ["header", "--", "-none"]):
                self.assertEqual(postern(*words).returncode, 4, words)
            self.assertIn("postern setup", postern("status", f"--config={folder}/none").stderr)
            self.assertEqual(postern("header", folder).returncode, 1)
            self.assertEqual(postern("dev", f"--dir={folder}/none/deep").returncode, 4)
            self.fails(4, "user", "passwd", ALICE, f"--password-file={folder}/none")

    def test_nobody_home(self):
        with tempfile.TemporaryDirectory() as folder:
            conf = pathlib.Path(folder) / "postern.conf"
            conf.write_text(f'[server]\ndata = "{folder}"\n')
            got = postern("queue", "list", f"--config={conf}")
            self.assertEqual(got.returncode, 6, got.stderr)
            self.assertIn("E1006", got.stderr)
            self.assertEqual(postern("queue", "list", f"--config={folder}/missing").returncode != 0, True)

    def test_config_errors_say_where(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "bad.conf"
            for text, line, word in (("[queue]\nexpire = 5d\n\nexpira = 4d\n", 4, "expira"), ('[server]\nhostname = "x"\nedges = "many"\n', 3, "number"),
                                     ("[nonsense]\n", 1, "nonsense"), ("[queue]\nper_site = 0\n", 2, "1"), ("[login]\nplaintext = maybe\n", 2, "true or false")):
                path.write_text(text)
                got = postern("config", "check", f"--config={path}")
                self.assertNotEqual(got.returncode, 0)
                self.assertIn(f"bad.conf:{line}", got.stderr)
                self.assertIn(word, got.stderr)

    def test_config_check_looks_at_the_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path, there = pathlib.Path(folder) / "some.conf", pathlib.Path(folder) / "there"
            there.write_text("x\n")
            good = make_pair(folder, "good", "localhost.localdomain")
            for text, key in ((f'[tls]\ncertificate = ["{folder}/none.crt:{there}"]\n', "tls.certificate: cannot read .*none.crt"),
                              (f'[tls]\ncertificate = ["{there}:{folder}"]\n', "tls.certificate: cannot read "),
                              (f'[relay]\nsmarthost = "a.test:25"\nsmarthost_user = "u"\nsmarthost_password_file = "{folder}/none"\n',
                               "relay.smarthost_password_file: cannot read .*none")):
                path.write_text(text)
                got = postern("config", "check", f"--config={path}")
                self.assertEqual((got.returncode, got.stdout), (2, ""), got.stderr)
                self.assertRegex(got.stderr, key)
            path.write_text(f'[tls]\ncertificate = ["{good}"]\n[dns]\ntrust_anchors = ["{folder}/none.key"]\n')
            got = postern("config", "check", f"--config={path}")
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertRegex(got.stderr, "warning: .*dns.trust_anchors: cannot read .*none.key")
            got = postern("config", "check", "--json", f"--config={path}")
            self.assertEqual((len(json.loads(got.stdout)["warnings"]), got.stderr), (1, ""))

    def check_pairs(self, folder, *pairs):
        """Exit status, the error, the warnings; the same for people and as JSON."""
        path = pathlib.Path(folder) / "pairs.conf"
        path.write_text(f'[server]\nhostname = "mx.example.test"\n[tls]\ncertificate = {json.dumps(pairs)}\n')
        text, got = (postern("config", "check", *more, f"--config={path}") for more in ([], ["--json"]))
        self.assertEqual(text.returncode, got.returncode)
        warnings = json.loads(got.stdout)["warnings"] if got.returncode == 0 else []
        self.assertEqual(text.stderr.count("postern: warning: "), len(warnings))
        error = json.loads(got.stderr) if got.stderr else {"what": "", "seen": ""}
        self.assertIn(error["seen"], text.stderr)
        return got.returncode, error["what"] + error["seen"], warnings

    def test_config_check_judges_certificates(self):
        with tempfile.TemporaryDirectory() as folder:
            good, other = make_pair(folder, "good", "mx.example.test"), make_pair(folder, "other", "*.example.net")
            old, wild = make_pair(folder, "old", "mx.example.test", days=-1), make_pair(folder, "wild", "*.example.test")
            for pairs in ([good], [wild], [good, other], [other, wild]):
                self.assertEqual(self.check_pairs(folder, *pairs), (0, "", []), pairs)
            status, what, _ = self.check_pairs(folder, good, f"{good.split(':', maxsplit=1)[0]}:{other.split(':')[1]}")
            self.assertEqual(status, 2)
            self.assertRegex(what, r"pairs.conf: tls.certificate: cannot use .*/other.key is not the key of .*/good.crt")
            status, what, _ = self.check_pairs(folder, ":".join(reversed(good.split(":"))))
            self.assertEqual(status, 2)
            self.assertRegex(what, "good.crt holds no private key")
            status, _, warnings = self.check_pairs(folder, good, old)
            self.assertEqual((status, len(warnings)), (0, 1))
            self.assertRegex(warnings[0], r"tls.certificate: .*/old.crt expired at 20\d\d-\d\d-\d\dT")
            status, _, warnings = self.check_pairs(folder, other)
            self.assertEqual((status, len(warnings)), (0, 1))
            self.assertRegex(warnings[0], "tls.certificate: none is for server.hostname, mx.example.test")
            # A key that only root may read: root is told of it, others that they may not look.
            pathlib.Path(good.split(":")[1]).chmod(0)
            self.assertEqual(self.check_pairs(folder, good), (0, "", []))
            os.chmod(folder, 0o755)
            nobody = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", shutil.copy(BINARY, folder), "config", "check",
                                     f"--config={folder}/pairs.conf"], capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual(nobody.returncode, 5, nobody.stderr)
            self.assertRegex(nobody.stderr, "good.key")


class DevTest(unittest.TestCase):
    def test_a_later_start_finds_all_mail(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            with Instance(folder=f"{folder}/data") as p:
                for i in range(5):
                    deliver(p.port("smtp"), message(f"kept {i}"))
                wait_for(lambda: len(fetch_all(p)) == 5)
                with mailbox(p) as client:
                    client.store("2", "+FLAGS", r"(\Flagged)")
                    before = [line.replace(b" \\Recent", b"").replace(b"\\Recent", b"") for line in client.fetch("1:*", "(UID FLAGS)")[1]]
                self.assertEqual(p.stop(), 0)
                self.assertIsNone(re.search("level=error", p.log_text()), p.log_text())  # so nobody had to be killed
                p.start()
                with mailbox(p) as client:
                    self.assertEqual(client.fetch("1:*", "(UID FLAGS)")[1], before)
                self.assertIn(f"{ALICE} is there already", p.log_text())  # its password stays as it was, and that is said

    def test_sigterm_with_open_sessions(self):
        with Instance() as p, Wire(p.port("imap")) as w, Wire(p.port("smtp")) as s:
            w.line()
            w.imap(f"LOGIN {ALICE} alice")
            w.imap("SELECT INBOX")
            w.send("a IDLE")
            s.expect(220)
            self.assertEqual(p.stop(), 0)
            self.assertNotIn("parent.child_killed", p.log_text())
            self.assertEqual(s.reply()[0], 421)
            self.assertIn(b"BYE", w.socket.recv(4096))

    def test_what_is_in_use_is_said(self):
        with Instance() as p:
            got = postern("dev", f"--port-base={p.base}")
            self.assertEqual((got.returncode, got.stdout), (7, ""), got.stderr)
            self.assertIn(f"127.0.0.1:{p.port('smtp')} (listen.smtp): it is in use", got.stderr)

    def test_nobody_reads_the_table(self):
        """It ends in order: nobody would ever know that it is ready, or where."""
        with tempfile.TemporaryDirectory() as folder, open("/dev/full", "wb") as full:
            os.chmod(folder, 0o711)
            got = subprocess.run([BINARY, "dev", f"--dir={folder}/data", f"--port-base={free_base()}"], stdout=full, stderr=subprocess.PIPE, text=True,
                                 timeout=PATIENCE, check=False)
            self.assertNotEqual(got.returncode, 0)
            self.assertIn("writing the table", got.stderr)
            self.assertIn("child=login instance=0 status=0", got.stderr)  # before it said so

    def test_the_table_shows_what_was_set(self):
        base = free_base()
        process = subprocess.Popen([BINARY, "dev", f"--port-base={base}", "--dns=127.0.0.1:9", "--set=listen.pop3=", f"--set=listen.imaps=127.0.0.1:{base + 1}"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        rows = dict(line.split(None, 1) for line in iter(process.stdout.readline, "ready\n"))
        self.assertNotIn("pop3", rows)
        self.assertEqual(rows["imaps"].split(), [f"127.0.0.1:{base + 1}", "TLS"])
        process.send_signal(signal.SIGHUP)  # the terminal is closed
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertFalse(os.path.exists(rows["folder"].split()[0]))

    def test_throwaway_folder_is_removed(self):
        base = free_base()
        process = subprocess.Popen([BINARY, "dev", f"--port-base={base}", "--dns=127.0.0.1:9", "--domain=one.test", "--domain=two.test",
                                    "--user=ann@two.test:x"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.kill)
        lines = []
        while (line := process.stdout.readline().rstrip("\n")) != "ready":
            self.assertTrue(line)
            lines.append(line)
        folder = lines[0].split()[1]
        self.assertTrue(os.path.isdir(folder))
        for port in (25, 24, 465, 587, 143, 993, 110, 995):
            self.assertTrue(any(f":{base + port} " in x and "[::1]" in x for x in lines), port)
        self.assertEqual(deliver(base + 25, message("x"), recipients=["ann@two.test"])[0], 250)
        self.assertEqual(deliver(base + 25, message("x"), recipients=["ann@one.test"], host="::1")[0], 550)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), 0)
        self.assertFalse(os.path.exists(folder))
        process.stdout.close()

    def test_a_terminal_that_is_closed_leaves_nothing(self):
        process = subprocess.Popen([BINARY, "dev", f"--port-base={free_base()}", "--dns=127.0.0.1:9"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.kill)
        folder = process.stdout.readline().split()[1]
        process.send_signal(signal.SIGHUP)
        self.assertEqual(process.wait(30), 0)
        self.assertFalse(os.path.exists(folder))
        process.stdout.close()

    def test_as_an_ordinary_user(self):
        if os.geteuid() != 0:
            self.fail("needs root, to become somebody else")
        with tempfile.TemporaryDirectory() as folder:
            os.chown(folder, 65534, 65534)
            os.chmod(folder, 0o755)
            binary = shutil.copy(BINARY, folder)
            with Instance(folder=f"{folder}/data", binary=binary, prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]) as p:
                self.assertEqual(deliver(p.port("smtp"), message("unprivileged"))[0], 250)
                wait_message(p, "unprivileged")
                for role in ROLES:
                    [pid] = p.pids(role)
                    with open(f"/proc/{pid}/status", encoding="ascii") as f:
                        s = f.read()
                    self.assertRegex(s, r"Uid:\t65534\t65534\t65534\t65534\n")
                    self.assertRegex(s, r"NoNewPrivs:\t1\nSeccomp:\t2\n")

    def test_options_that_make_no_sense(self):
        for words in (["--port-base=70000"], ["--user=nobody"], ["--set=queue.nonsense=1"], ["--set=queue.expire=soon"], ["--dns=x:y:z"]):
            got = postern("dev", *words)
            self.assertEqual((got.returncode, got.stdout), (2, ""), (words, got.stderr))


class CrashTest(unittest.TestCase):
    def test_each_process_comes_back(self):
        with Instance(settings=["queue.retry_first=300ms"]) as p:
            for role in ROLES:
                with self.subTest(role):
                    [victim] = p.pids(role)
                    others = {r: p.pids(r) for r in ROLES if r != role}
                    os.kill(victim, signal.SIGKILL)
                    wait_for(lambda: [x for x in p.pids(role) if x != victim])
                    self.assertEqual({r: p.pids(r) for r in ROLES if r != role}, others)
                    deliver_at_last(p, message(f"after {role}."))
                    wait_message(p, f"after {role}.")
            self.assertEqual(p.ctl("verify").returncode, 0)

    def test_spoiled_directory(self):
        """A row that makes no sense is named, and everybody else is served; one whose name can be read has its mail wait."""
        carol, dave = "carol@example.test", "dave@example.test"
        with Instance(users={ALICE: "alice", BOB: "bob", carol: "carol", dave: "dave"}) as p:
            p.ctl("alias", "add", "info@example.test", ALICE)
            p.ctl("alias", "add", "behind@example.test", dave, "info@example.test")
            p.stop()
            with pages.database(p.folder) as db:
                db.execute("INSERT INTO domain VALUES (x'00ff')")
                db.execute("UPDATE account SET address = 'BOB' WHERE address = ?", (BOB,))
                db.execute("UPDATE account SET quota_bytes = 'much' WHERE address = ?", (carol,))
                db.execute("INSERT INTO alias VALUES ('info@example.test', 'nobody')")
            offline = p.ctl("verify", "--json", check=False)
            self.assertNotEqual(offline.returncode, 0)
            del p.users[BOB], p.users[carol]  # `dev` would make them again
            p.start()
            deliver(p.port("smtp"), message("still served"), recipients=[dave])
            wait_message(p, "still served", dave)
            s = Wire(p.port("smtp"))
            s.smtp()
            s.smtp("EHLO c.example")
            s.smtp("MAIL FROM:<a@elsewhere.test>")
            self.assertEqual([s.smtp(f"RCPT TO:<{who}>")[0] for who in (carol, "info@example.test", "behind@example.test", BOB, dave)],
                             [450, 450, 450, 550, 250])
            damaged = wait_for(lambda: (lambda lines: lines if len(lines) >= 4 else None)(
                [line for line in p.log_text().splitlines() if "directory.damaged" in line]))
            for name in ("kind=domain", "name=BOB", f"name={carol}", "name=info@example.test"):
                self.assertEqual(sum(name in line for line in damaged), 1, (name, damaged))
            online = p.ctl("verify", "--json", check=False)
            for found in (offline, online):
                problems = "\n".join(json.loads(found.stdout)["problems"])
                self.assertEqual(len(problems.splitlines()), 4, problems)
                for name in ("domain", "account BOB", f"account {carol}", "alias info@example.test"):
                    self.assertIn(name, problems)

    def test_damaged_body(self):
        """A message whose bytes were spoiled on the disk: said to be damaged, not gone; the others are read, before and behind it."""
        with Instance() as p:
            for i in range(3):
                deliver(p.port("smtp"), message(f"whole {i}", body=f"mark-{i}\r\n"))
                wait_for(lambda: len(fetch_all(p)) == i + 1)
            segment = pathlib.Path(p.folder) / "store/mail/00000001.seg"
            with open(segment, "r+b") as f:
                at = segment.read_bytes().index(b"mark-1")
                f.seek(at)
                f.write(b"MARK")
            w = Wire(p.port("imap"))
            w.line()
            def said(command):
                w.send(f"x {command}")
                lines = [w.line().decode()]
                while not lines[-1].startswith("x "):
                    lines.append(w.line().decode())
                return lines
            said(f"login {ALICE} alice")
            said("select inbox")
            lines = said("fetch 1:3 body.peek[]")
            self.assertEqual([m for m in ("mark-0", "mark-1", "MARK-1", "mark-2") if m in lines], ["mark-0", "mark-2"])
            self.assertRegex(lines[-1], r"x NO \[CORRUPTION\]")
            self.assertRegex(said("fetch 2 body[]")[-1], r"x NO \[CORRUPTION\]")
            self.assertEqual(said("search text mark")[0], "* SEARCH 1 3")
            self.assertRegex(said("fetch 2 envelope")[-1], "x OK")
            self.assertIn("damaged", p.ctl("verify", check=False).stdout)

    def test_salvage(self):
        with Instance() as p:
            for i in range(10):
                deliver(p.port("smtp"), message(f"salvaged {i}."), recipients=[ALICE, BOB])
            wait_for(lambda: len(fetch_all(p)) == len(fetch_all(p, BOB)) == 10)
            with mailbox(p) as client:
                client.create("Kept")
                client.uid("MOVE", "3", "Kept")
                client.store("1", "+FLAGS", r"(\Deleted)")
                client.expunge()
            self.assertEqual(p.ctl("salvage", "--yes", check=False).returncode, 7)
            p.ctl("user", "passwd", BOB, stdin="bob 2\n")
            p.stop()
            store = pathlib.Path(p.folder) / "store"
            for path in store.glob("postern.db*"):
                path.unlink()
            report = json.loads(p.ctl("salvage", "--yes", "--json").stdout)
            self.assertEqual((report["accounts"], report["damaged"]), (2, 0))
            self.assertEqual(p.ctl("verify").returncode, 0)
            p.start()
            self.assertEqual((len(fetch_all(p)), len(fetch_all(p, name="Kept"))), (8, 1))
            self.assertEqual(deliver(p.port("smtp"), message("after salvage"))[0], 250)
            wait_message(p, "after salvage")
            with Wire(p.port("imap")) as bob:  # of another generation than the first
                bob.line()
                self.assertRegex(bob.imap(f'LOGIN {BOB} "bob 2"')[0], "^OK")
                self.assertRegex(bob.imap("STATUS INBOX (MESSAGES)")[0], "^OK")
                p.ctl("user", "passwd", BOB, stdin="bob\n")
                self.assertRegex(bob.imap("STATUS INBOX (MESSAGES)")[0], r"^NO \[AUTHENTICATIONFAILED\]")
            self.assertEqual(len(fetch_all(p, BOB)), 10)

    def test_quota_of_nothing_and_a_password_that_cannot_be(self):
        with Instance(settings=["mail.quota=3M"]) as p:
            p.ctl("user", "add", "free@example.test", "--quota=0", stdin="free\n")  # no limit, whatever others have
            quotas = {u["address"]: u["quota"] for u in json.loads(p.ctl("user", "list", "--json").stdout)}
            self.assertEqual(quotas, {ALICE: 3 << 20, BOB: 3 << 20, "free@example.test": 0})
            self.assertEqual(p.ctl("user", "passwd", BOB, stdin="a\tb\n", check=False).returncode, 2)
            self.assertEqual(fetch_all(p, BOB), [])


if __name__ == "__main__":
    unittest.main()
