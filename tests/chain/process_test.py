"""The jail as one sees it from outside: what each process is allowed, holds, and can reach."""
import base64
import fcntl
import os
import re
import signal
import stat
import threading
import unittest

from client import Wire, deliver, fetch_all, message, submit
from postern import Instance, alive, wait_for
from sink import Sink

ROLES = ("mx", "client", "mda", "office", "relay", "login", "sign")
# What a process may hold open besides its memory files and pipes: paths inside the data folder that are its own affair.
FILES = {"office": r"/store(/|$)", "login": r"/login"}
LISTENERS = {"mx", "client"}


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


class ProcessTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise AssertionError("only root can look into all processes: run this test as root")
        cls.p = cls.enterClassContext(Instance())
        # Some work first: what is opened late shows too.
        deliver(cls.p.port("smtp"), message("work"))
        wait_for(lambda: fetch_all(cls.p))
        cls.pids = {role: cls.p.pids(role)[0] for role in ROLES}

    def test_each_role_is_there_once(self):
        for role in ROLES:
            self.assertEqual(len(self.p.pids(role)), 1, role)

    def test_status(self):
        uids = set()
        for role, pid in self.pids.items():
            with self.subTest(role):
                s = status_of(pid)
                self.assertEqual((s["Seccomp"], s["NoNewPrivs"]), ("2", "1"))
                for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                    self.assertEqual(int(s[name], 16), 0, name)
                self.assertEqual((len(set(s["Uid"].split())), len(set(s["Gid"].split())), s["Groups"].strip()), (1, 1, ""))
                uids.add(s["Uid"].split()[0])
        self.assertEqual(len(uids), len(ROLES))
        self.assertNotIn("0", uids)

    def test_root_is_empty(self):
        """Of the three that keep files it is the folder of these files."""
        for role, pid in self.pids.items():
            with self.subTest(role):
                root = f"/proc/{pid}/root"
                own = {"office": "store", "login": "login", "sign": "keys"}.get(role)
                if own:
                    self.assertTrue(os.path.samefile(root, os.path.join(self.p.folder, own)))
                else:
                    self.assertEqual(os.listdir(root), [])
                    self.assertFalse(os.path.samefile(root, "/"))

    def test_not_dumpable_and_limits(self):
        for role, pid in self.pids.items():
            with self.subTest(role):
                # The files of a process that is not dumpable belong to root.
                self.assertEqual(os.stat(f"/proc/{pid}/mem").st_uid, 0)
                with open(f"/proc/{pid}/limits", encoding="ascii") as f:
                    limits = f.read()
                self.assertRegex(limits, r"Max core file size\s+0\s+0")

    def descriptors(self, pid):
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                yield os.readlink(f"/proc/{pid}/fd/{name}"), os.stat(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                pass

    def test_descriptors(self):
        with open("/proc/net/tcp", encoding="ascii") as a, open("/proc/net/tcp6", encoding="ascii") as b:
            listening = {line.split()[9] for f in (a, b) for line in f if line.split()[3] == "0A"}
        for role, pid in self.pids.items():
            with self.subTest(role):
                held = list(self.descriptors(pid))
                sockets = {re.search(r"\[(\d+)\]", target).group(1) for target, _ in held if target.startswith("socket:")}
                self.assertEqual(bool(sockets & listening), role in LISTENERS)
                for target, st in held:
                    if not target.startswith("/") or target.startswith(("/memfd:", "/dev/null", "/dev/urandom")):
                        continue
                    if stat.S_ISDIR(st.st_mode) or stat.S_ISREG(st.st_mode):
                        self.assertIn(role, FILES, f"{role} holds {target}")
                        self.assertRegex(target, FILES[role])

    def test_no_child_can_be_another(self):
        """Every process runs the same program from the descriptor opened at start, and has no children."""
        programs = {os.readlink(f"/proc/{pid}/exe") for pid in (*self.pids.values(), self.p.process.pid)}
        self.assertEqual(len(programs), 1, programs)
        for pid in self.pids.values():
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                self.assertEqual(f.read(), "")

    def test_data_is_for_its_owner_alone(self):
        for folder, _, files in os.walk(self.p.folder):
            for name in files:
                path = os.path.join(folder, name)
                if name == "test.conf":
                    continue
                mode = os.lstat(path).st_mode
                if stat.S_ISREG(mode):
                    self.assertEqual(mode & 0o077, 0, f"{path} {oct(mode)}")
                    self.assertNotIn(str(os.lstat(path).st_uid), {status_of(self.pids[r])["Uid"].split()[0] for r in ("mx", "client", "mda", "relay")}, path)

    def test_idle_outlives_the_office(self):
        """A new office knows of no watches: sessions ask it anew, or who is idle would hear nothing more."""
        with Instance() as p, Wire(p.port("imap")) as idle:
            idle.line()
            idle.imap("LOGIN alice@example.test alice")
            idle.imap("SELECT INBOX")
            idle.send("i IDLE")
            self.assertTrue(idle.line().startswith(b"+"))
            for n in range(1, 4):
                if n > 1:
                    (office,) = p.pids("office")
                    os.kill(office, signal.SIGKILL)
                    wait_for(lambda: p.pids("office") not in ([], [office]))
                wait_for(lambda: p.queue() is not None)
                for again in (0, 1):  # the first may be found by looking once at the new office, the second only by its word
                    deliver(p.port("smtp"), message("idle"))
                    self.assertEqual(idle.line(), b"* %d EXISTS" % (2 * n - 1 + again))
                    self.assertTrue(idle.line().endswith(b"RECENT"))

    def test_a_relayed_mail_outlives_the_office(self):
        """A new office gives out what is under way, and what it was not told of: neither goes out twice."""
        for ends in ("before", "after"):
            with (self.subTest(ends), Sink("127.0.0.2", 0) as sink,
                  Instance(settings=["relay.smarthost_tls=may", "queue.retry_first=1s"], options=[f"--smarthost=127.0.0.2:{sink.port}"]) as p):
                sink.go_on.clear()
                submit(p, message("once", sender="alice@example.test"), ["x@elsewhere.example"])
                wait_for(lambda sink=sink: "DATA" in sink.commands)
                (office,) = p.pids("office")
                os.kill(office, signal.SIGKILL)
                if ends == "after":
                    wait_for(lambda p=p, office=office: p.pids("office") not in ([], [office]))
                    wait_for(lambda p=p: p.queue() is not None)
                    wait_for(lambda p=p: "@" in p.ctl("queue", "list").stdout)
                sink.go_on.set()
                wait_for(p.queue_is_empty)
                self.assertEqual((sink.commands.count("DATA"), len(sink.messages)), (1, 1))
                self.assertEqual([e["code"] for e in p.events("x@elsewhere.example")].count("relayed"), 1)

    def test_large_messages_outlive_the_office(self):
        """A new office comes while a message goes out in windows: what arrives is the message, to its last byte."""
        mail = message("large", body="".join(f"line {n} of a large message\r\n" for n in range(400000)))
        with Instance() as p, Wire(p.port("imap")) as imap, Wire(p.port("pop3")) as pop3:
            deliver(p.port("smtp"), mail)
            wait_for(p.queue_is_empty)
            imap.line()
            imap.imap("LOGIN alice@example.test alice")
            imap.imap("SELECT INBOX")
            self.log_in(p, pop3)
            for wire, command in ((imap, "f FETCH 1 BODY.PEEK[]"), (pop3, "RETR 1")):
                with self.subTest(command):
                    wire.send(command)
                    first = wire.input.read(1)
                    (office,) = p.pids("office")
                    os.kill(office, signal.SIGKILL)
                    got = first + (wire.imap_line() if wire == imap else b"".join(iter(wire.input.readline, b".\r\n")))
                    self.assertTrue(mail in got, len(got))
                    wait_for(lambda: p.queue() is not None)
            self.assertEqual(imap.line(), b"f OK that is all")

    def test_submission_outlives_sign(self):
        """Each reload starts a new sign process: who sends meanwhile waits for it and is not refused."""
        with Instance() as p, Wire(p.port("submission")) as w:
            p.ctl("dkim", "new", "example.test")
            p.ctl("dkim", "rotate", "example.test")
            w.expect(220)
            w.expect(250, "EHLO laptop.test")
            w.expect(235, "AUTH PLAIN " + base64.b64encode(b"\0alice@example.test\0alice").decode())
            for n in range(3):
                w.expect(250, "MAIL FROM:<alice@example.test>")
                w.expect(250, "RCPT TO:<bob@example.test>")
                w.expect(354, "DATA")
                (sign,) = wait_for(lambda: p.pids("sign"))
                os.kill(sign, signal.SIGKILL)
                w.send(message(f"signed {n}", sender="alice@example.test") + b".\r\n")
                w.expect(250)

    def log_in(self, p, wire):
        wire.line()
        wire.pop3("USER alice@example.test")
        return wire.pop3("PASS alice")[0]

    def test_pop3_lock_outlives_the_office(self):
        """A new office knows of no locks: who held one takes it anew with his next command, or hears that another was faster."""
        with Instance() as p, Wire(p.port("pop3")) as first, Wire(p.port("pop3")) as second, Wire(p.port("pop3")) as third:
            self.assertTrue(self.log_in(p, first).startswith("+OK"))
            for _ in range(2):
                (office,) = p.pids("office")
                os.kill(office, signal.SIGKILL)
                wait_for(lambda office=office: p.pids("office") not in ([], [office]))
                wait_for(lambda: p.queue() is not None)
                if second:
                    self.assertTrue(first.pop3("NOOP")[0].startswith("+OK"))
                    self.assertTrue(self.log_in(p, second).startswith("-ERR [IN-USE]"))
                    second = None
            self.assertTrue(self.log_in(p, third).startswith("+OK"))
            self.assertTrue(first.pop3("NOOP")[0].startswith("-ERR [IN-USE]"))
            self.assertTrue(first.closed())
            self.assertTrue(third.pop3("QUIT")[0].startswith("+OK"))

    def test_the_end_comes_in_no_literal(self):
        """Who is in the middle of a message when we stop gets it short: no word of ours that could be taken for a part of it."""
        with Instance() as p:
            text = b"Subject: large\r\n\r\n" + b"a line of a large message\r\n" * 200000
            with Wire(p.port("imap")) as w, Wire(p.port("pop3")) as pop:
                w.line()
                w.imap("LOGIN alice@example.test alice")
                w.send(b"a APPEND INBOX {%d+}\r\n" % len(text) + text + b"\r\n")
                self.assertTrue(w.imap_answer("a")[0].startswith("OK"))
                w.imap("SELECT INBOX")
                w.send("f FETCH 1 BODY.PEEK[]")
                for command in ("USER alice@example.test", "PASS alice", "RETR 1"):
                    self.assertEqual(pop.line()[:3], b"+OK")
                    pop.send(command)
                got, also = w.input.read(100000), pop.input.read(100000)
                p.process.send_signal(signal.SIGTERM)
                also += pop.input.read()
                got += w.input.read()
            self.assertEqual(p.process.wait(30), 0)
            for heard in (got, also):
                self.assertLess(len(heard), len(text))
                self.assertTrue(heard.split(b"\r\n", 1)[1] in text, heard[-100:])

    def test_an_office_waits_for_the_one_before(self):
        """That of a parent that was killed has 5 s to end; three tries at once would have been the end of the new instance."""
        with Instance() as p:
            p.stop()
            with open(os.path.join(p.folder, "store", "lock"), "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                later = threading.Timer(1.5, lambda: fcntl.flock(lock, fcntl.LOCK_UN))
                later.start()
                p.start()
                later.join()
            deliver(p.port("smtp"), message("there"))

    def test_a_child_ends_with_the_parent(self):
        with Instance() as p:
            pids = p.pids()
            p.process.kill()
            p.process.wait()
            wait_for(lambda: not any(alive(pid) for pid in pids))
            with self.assertRaises(OSError):
                Wire(p.port("smtp"))


if __name__ == "__main__":
    unittest.main()
