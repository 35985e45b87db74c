#!/usr/bin/env python3
"""No memory (THREATS F12): malloc, calloc, realloc and posix_memalign of one process answer NULL at the n-th call, once or from then on until it
ends; SQLite, OpenSSL, libunbound and libcrypt meet that too (tests/crash/mallocs.c, in the build of the drill). Meanwhile mail is accepted, judged
(SPF, DKIM, DMARC), submitted, queued, delivered, relayed, read by IMAP and POP3, and expunged. A third form: a process is killed, and the one
that comes for it has no memory at its n-th call. Promised: an error for now or the end of that process; never a crash of another kind, never a
verdict that lasts (5xx, a bounce, "wrong password", mail without its signature, forged mail taken); nothing lost, and service comes back.

    tests/run.py crash                                some n of each process
    POSTERN_MALLOCS=400 tests/crash/malloc_test.py   about so many
    POSTERN_MALLOC="login on 20" ...                  one of them again
    POSTERN_ROLES="client mda" ...                    of these processes only

The control: a mail that is taken and then lost for want of memory must be seen."""
import base64
import collections
import concurrent.futures
import contextlib
import hashlib
import imaplib
import mmap
import os
import pathlib
import random
import re
import shutil
import struct
import signal
import sys
import tempfile
import time
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import fault
import ledger
import results
from client import Wire, deliver, new_key, trusting, txt_strings
from drill import BINARY
from nameserver import NameServer
from postern import Instance, wait_for
from sink import Sink, self_signed
from syscall_test import BESIDE, FAR, ROLES, SEED, USERS, VERBOSE, Work, came_far

sys.path.append("/usr/lib/python3/dist-packages")
import dkim  # noqa: E402  (python3-dkim)

MANY = int(os.environ.get("POSTERN_MALLOCS", "0"))
ONE = os.environ.get("POSTERN_MALLOC", "").split()
FORMS = ("once", "on", "start")
MODES = {"off": 0, "count": 1, "once": 2, "on": 3, "start": 2, "planted": 4}
FRESH_AFTER = 12  # ends of processes: parent lets one that ends again and again wait longer each time; a new parent does not
COMMAND = "POSTERN_MALLOCS=400 tests/crash/malloc_test.py"
# Libraries that fall, where nobody but they can mend it. libseccomp 2.5.4 also makes a filter that allows too little, not even to end in order: before
# anybody is served. libunbound 1.17.1 does it as it serves; its process does nothing that another cannot do again.
FALL = {"libseccomp.so.2": ("start",), "libunbound.so.8": FORMS}


class Mallocs:
    """struct mallocs of one process, in memory of both."""

    def __init__(self, p, role):
        self.role = role
        path = pathlib.Path(p.folder) / f"mallocs-{role}"
        path.write_bytes(bytes(4096))
        with path.open("r+b") as f:
            self.memory = mmap.mmap(f.fileno(), 4096)

    def arm(self, form, pid, n=0):
        """pid 0: of who comes next."""
        struct.pack_into("<Q", self.memory, 0, 0)
        struct.pack_into("<4Q128s", self.memory, 8, pid, n, 0, 0, b"")
        struct.pack_into("<Q", self.memory, 0, MODES[form])

    def off(self):
        """(calls counted, failed, in which library the first was, which library fell)."""
        struct.pack_into("<Q", self.memory, 0, 0)
        calls, failed, *names = struct.unpack_from("<2Q64s64s", self.memory, 24)
        return calls, failed, *(name.rstrip(b"\0").decode() for name in names)


class Job(Work):
    """All that a mail server does, once. What is said that should never be said for want of memory is kept in `wrong`."""

    def __init__(self, p, book, world):
        super().__init__(p, book, timeout=10)
        self.world, self.wrong, self.doubted = world, [], []

    def steps(self):
        return self.incoming, self.lmtp, self.mailbox, self.pop3, self.submit

    def run(self):
        for step in self.steps():
            try:
                step()
            except imaplib.IMAP4.error as e:
                if not re.search(r"UNAVAILABLE|LIMIT|SERVERBUG|TRYAGAIN|BYE|EOF|socket error|ECONN|abort", repr(e)) and \
                        not isinstance(e, imaplib.IMAP4.abort):
                    self.wrong.append(f"{step.__name__}: {e}")
            except (OSError, AssertionError, ValueError, EOFError) as e:
                if VERBOSE:
                    print(f"        {step.__name__}: {e!r}"[:200])

    def talk(self, w, command, *codes):
        """One command; for good, nothing is refused."""
        code, lines = w.smtp(command)
        if code >= 500:
            self.wrong.append(f"{command!r}: {lines}")
        assert code in codes, (command, lines)

    def hand_in(self, w, sender, recipients, text, good=True):
        """The code that the last dot got."""
        self.talk(w, f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            self.talk(w, f"RCPT TO:<{recipient}>", 250)
        self.talk(w, "DATA", 354)
        w.send(re.sub(rb"(?m)^\.", b"..", text) + b".\r\n")
        code, lines = w.reply()
        if good and code >= 500:
            self.wrong.append(f"mail: {lines}")
        return code

    def incoming(self):
        """On port 25 with TLS: mail that nobody vouches for, mail that only its signature saves, and mail that must not come in."""
        with Wire(self.p.port("smtp"), timeout=self.timeout) as w:
            self.talk(w, None, 220)
            self.talk(w, "EHLO ledger.test", 250)
            self.talk(w, "STARTTLS", 220)
            w.start_tls()
            self.talk(w, "EHLO ledger.test", 250)
            number, recipient, text = self.book.new(list(USERS), 9000)
            if self.hand_in(w, "ledger@elsewhere.test", [recipient], text) == 250:
                self.book.ack(number)
            number, recipient, text, sender = self.world.signed(self.book)
            if self.hand_in(w, sender, [recipient], text) == 250:
                self.book.ack(number)
            number, recipient, text, sender = self.world.signed(self.book, forged=True)
            if self.hand_in(w, sender, [recipient], text, good=False) == 250:
                self.doubted.append(number)
                self.book.ack(number)
            else:
                self.book.refuse(number)

    def lmtp(self):
        with Wire(self.p.port("lmtp"), timeout=self.timeout) as w:
            self.talk(w, None, 220)
            self.talk(w, "LHLO ledger.test", 250)
            number, recipient, text = self.book.new(list(USERS), 300)
            if self.hand_in(w, "ledger@elsewhere.test", [recipient], text) == 250:
                self.book.ack(number)

    def login(self, user):
        client = imaplib.IMAP4_SSL("127.0.0.1", self.p.port("imaps"), ssl_context=trusting(), timeout=self.timeout)
        client.login(user, USERS[user])
        return client

    def mailbox(self):
        """APPEND, all of INBOX read and searched, half of it expunged."""
        number, user, text = self.book.new(list(USERS), 5000)
        client = self.login(user)
        try:
            status, said = client.append("INBOX", None, None, text)
            if status == "OK":
                self.book.ack(number)
            elif b"UNAVAILABLE" not in said[0]:
                self.wrong.append(f"APPEND: {said}")
            self.read(client)
        finally:
            client.shutdown()
        self.expunge_of(user)

    def read(self, client):
        """What comes with OK is whole."""
        count = int(client.select("INBOX")[1][0])
        if not count:
            return
        status, got = client.fetch("1:*", "(UID ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
        texts = [item[1] for item in got if isinstance(item, tuple)]
        for text in texts:
            self.intact(text, "FETCH")
        if status == "OK" and len(texts) != count:
            self.wrong.append(f"FETCH 1:* says OK after {len(texts)} of {count}")
        status, got = client.search(None, "TEXT", "ledger.test", "NOT", "BODY", "nowhere-in-it")
        if status == "OK" and got[0] is not None and len(got[0].split()) != count:
            self.wrong.append(f"SEARCH says OK with {got} of {count}")

    def intact(self, text, how):
        match = ledger.NUMBER.search(text)
        if not match or hashlib.sha256(text.split(b"\r\n\r\n", 1)[-1]).hexdigest() != match.group(2).decode():
            self.wrong.append(f"{how}: {len(text)} octets, {text[:200]!r}")

    def pop3(self):
        user = random.choice(list(USERS))
        with Wire(self.p.port("pop3"), timeout=self.timeout) as w:
            w.line()
            for command in (f"USER {user}", f"PASS {USERS[user]}", "STAT"):
                said, _ = w.pop3(command)
                if said.startswith("-ERR") and "[SYS/TEMP]" not in said and "[IN-USE]" not in said:
                    self.wrong.append(f"{command}: {said}")
                assert said.startswith("+OK"), said
            if said.split()[1] != "0":
                said, lines = w.pop3("RETR 1", many=True)
                if said.startswith("+OK"):
                    self.intact(b"".join(re.sub(rb"^\.", b"", line) + b"\r\n" for line in lines), "RETR")

    def submit(self):
        user = random.choice(list(USERS))
        token = base64.b64encode(f"\0{user}\0{USERS[user]}".encode()).decode()
        number, recipient, text = self.book.new(list(USERS), 2000, sender=user)
        with Wire(self.p.port("submissions"), tls=True, timeout=self.timeout) as w:
            self.talk(w, None, 220)
            self.talk(w, "EHLO ledger.test", 250)
            self.talk(w, f"AUTH PLAIN {token}", 235)
            if self.hand_in(w, user, [recipient, FAR], text) == 250:
                self.book.ack(number)
                self.world.sent_far.add(number)


class World:
    """Who else there is: a name server with a domain that signs, a server that takes what goes out, one instance, and its ledger."""

    def __init__(self):
        self.book, self.sent_far, self.stack = ledger.Ledger(SEED), set(), contextlib.ExitStack()
        self.random = random.Random(SEED)
        self.private, public = new_key()
        zone = (f'@ TXT "v=spf1 -all"\n* TXT "v=spf1 -all"\n* MX 0 ns\n_dmarc TXT "v=DMARC1; p=reject"\n'
                f'*._domainkey TXT {txt_strings("v=DKIM1; k=rsa; p=" + public)}\n')
        dns = self.stack.enter_context(NameServer({"signed.example": zone, "example": "", "test": "elsewhere A 127.0.0.1\nexample A 127.0.0.1\n"}))
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.sink = self.stack.enter_context(Sink("127.0.0.1", 0, starttls=self_signed(folder)))
        self.p = Instance(users=USERS, binary=BINARY, dns=dns.address, start=False, settings=[
            "auth.local_networks=yes", "auth.iprev=no", "queue.retry_first=200ms", "queue.retry_most=1s", "server.log=warn",
            f"relay.smarthost=127.0.0.1:{self.sink.port}", "relay.smarthost_tls=may"])
        self.mallocs = {role: Mallocs(self.p, role) for role in ROLES}
        self.stack.enter_context(self.p)
        self.p.start()
        self.names, self.doubted = 0, []

    def signed(self, book, forged=False):
        """(number, recipient, text, sender): each of a name that nobody has asked for yet."""
        self.names += 1
        sender = f"ann@n{self.names}.signed.example"
        number, recipient, text = book.new(list(USERS), 1500, sender=sender)
        if not forged:
            text = dkim.sign(text, b"s%d" % self.names, b"signed.example", self.private) + text
        return number, recipient, text, sender

    def job(self):
        """What was said that should not have been."""
        job = Job(self.p, self.book, self)
        job.run()
        self.doubted += job.doubted
        return job.wrong

    def let_in(self):
        """Forged mail that was taken: only when it was not known what its domain wants (dmarc=temperror), and the reader is told so."""
        found, doubted = [], set(self.doubted) - self.book.removing
        for user, password in USERS.items() if doubted else ():
            for _, raw in ledger.imap_messages(self.p.port("imap"), user, password):
                number = int(ledger.NUMBER.search(raw).group(1))
                if number in doubted and b"dmarc=temperror" not in raw:
                    found.append(f"forged mail was taken: {raw[:400]!r}")
        self.doubted.clear()
        return found

    def well(self):
        """Whether mail is judged and taken as ever."""
        number, recipient, text, sender = self.signed(self.book)
        try:
            code = deliver(self.p.port("smtp"), text, sender=sender, recipients=[recipient])[0]
        except (OSError, AssertionError):
            return False
        if code == 250:
            self.book.ack(number)
        return code == 250

    def forget(self):
        """What was lost on purpose is lost: from here on another ledger, and empty mailboxes."""
        self.p.kill()
        shutil.rmtree(f"{self.p.folder}/store")
        self.book, self.sent_far = ledger.Ledger(SEED), set()
        self.p.start()

    def fresh(self):
        self.p.kill()
        self.p.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stack.close()


Outcome = collections.namedtuple("Outcome", "hit ended library fell wrong took")
OUT_OF_MEMORY = re.compile(r"at=\S*base/(arena|buf)\.c:|pthread_create")  # a CHECK of these is the end that was promised


def ends(log, role, library="postern"):
    """What the log says of processes that ended: only this one may, and only because it said so itself. What a library had no memory for, a CHECK
    of what it gave may be about."""
    return [line.strip() for line in log if
            re.search(r"parent\.child_(killed|ended)", line) and (f" child={role} " not in line or re.search(r"signal=(4|7|8|11)\b", line)) or
            "check.failed" in line and library == "postern" and not OUT_OF_MEMORY.search(line)]


def strays(w):
    """What came to the far server and should not have: a report that a mail failed, or mail of another form than that of the runs without faults."""
    got = list(w.sink.messages)
    return [f"went out: {m.sender} {m.recipients} {m.data[:300]!r}" for m in got if m.recipients != [FAR] or b"X-Ledger: " not in m.data]


class MallocTest(unittest.TestCase):
    def settle(self, w, role):
        """Seconds until all is as before."""
        began = time.monotonic()
        fault.wait_role(w.p, role)
        wait_for(w.well, step=0.05)
        took = time.monotonic() - began
        wait_for(w.p.queue_is_empty, step=0.03)
        return took

    def one(self, w, role, form, n):
        """One fault."""
        m, pid, began = w.mallocs[role], fault.wait_role(w.p, role), len(w.p.log)
        m.arm(form, 0 if form == "start" else pid, n)
        if form == "start":
            fault.kill(pid)
            wait_for(lambda: w.p.pids(role) not in ([], [pid]), step=0.01)
        wrong = w.job()
        _, failed, library, fell = m.off()
        took = self.settle(w, role)
        log = [line for line in w.p.log[began:] if form != "start" or "signal=9" not in line]
        falls = form in (*FALL.get(fell, ()), *FALL.get(library, ()))
        wrong += [f"{line} in {fell}" for line in ends(log, role, library) if not (falls and f"child={role} " in line)]
        bad, _ = ledger.check(w.book, w.p.port("imap"), USERS)
        not_come = w.sent_far - came_far(w.sink)
        wrong += [str(found) for found in (bad, not_come) if found] + strays(w) + w.let_in()
        outcome = Outcome(bool(failed), w.p.pids(role) != [pid], library if failed else None, fell, wrong, took)
        if VERBOSE:
            print(f"    {role} {form} {n}: {outcome}", flush=True)
        return outcome

    def count(self, w):
        """{(role, form): calls that the job makes}, once all is warm, and of a start."""
        counts = {}
        for _ in range(2):
            self.assertEqual(w.job(), [])
            self.settle(w, "office")
        for role in ROLES:
            w.mallocs[role].arm("count", fault.wait_role(w.p, role))
        self.assertEqual(w.job(), [])
        self.settle(w, "office")
        for role in ROLES:
            counts[role, "once"] = counts[role, "on"] = w.mallocs[role].off()[0]
            w.mallocs[role].arm("count", 0)
        w.fresh()
        for role in ROLES:
            counts[role, "start"] = w.mallocs[role].off()[0]
        return counts

    @staticmethod
    def choose(counts):
        """Of each process and form the same number, spread evenly; not one after another of the same process, which parent would let wait."""
        rng = random.Random(SEED)
        if not MANY:  # one of each process, where it is reached for certain
            return collections.deque((role, FORMS[(i + SEED) % 3], rng.randint(1, counts[role, FORMS[(i + SEED) % 3]] // 2)) for i, role in enumerate(ROLES))
        each = max(1, MANY // len(counts))
        chosen = []
        for (role, form), calls in counts.items():
            step = max(1.0, calls / each)
            first = rng.random() * step
            chosen += {(role, form, int(first + k * step) + 1) for k in range(each) if first + k * step < calls}
        chosen.sort()
        rng.shuffle(chosen)
        return collections.deque(chosen)

    def run_sites(self, sites, done):
        """One instance takes sites until there are none."""
        with World() as w:
            self.assertEqual(w.job(), [])
            ended = 0
            while sites:
                site = sites.popleft()
                outcome = self.one(w, *site)
                done.append((site, outcome))
                if outcome.wrong:
                    break
                ended += outcome.ended
                if outcome.ended and ended % FRESH_AFTER == 0:
                    w.fresh()
            verified = w.p.ctl("verify", "--json", check=False)
        self.assertEqual(verified.returncode, 0, verified.stdout)
        return len(w.book.acked)

    def test_malloc_fails(self):
        random.seed(SEED)
        with World() as w:
            counts = self.count(w)
        sites = collections.deque([(ONE[0], ONE[1], int(ONE[2]))]) if ONE else self.choose(counts)
        tried, done, acked = len(sites), [], 0
        while sites:  # an instance in which something went wrong is left; the others go on, so that one run finds all there is
            with concurrent.futures.ThreadPoolExecutor(BESIDE) as pool:
                acked += sum(run.result() for run in [pool.submit(self.run_sites, sites, done) for _ in range(BESIDE)])
        self.assertEqual({site: outcome.wrong for site, outcome in done if outcome.wrong}, {}, f"seed {SEED}")
        hit = [(site, outcome) for site, outcome in done if outcome.hit]
        ended, libraries = sum(o.ended for _, o in hit), collections.Counter(o.library for _, o in hit)
        longest = max(o.took for _, o in hit)
        if not ONE:
            self.assertGreater(len(hit), tried * 2 // 3, "faults that came to pass")
            self.assertEqual({site[0] for site, _ in hit}, set(ROLES), "each process had some")
        told = f"{len(hit)} faults of {sum(counts.values())}, {ended} ended a process, {sum(bool(o.fell) for _, o in hit)} of them in a library that fell, " \
            f"{acked} messages"
        print("    in " + ", ".join(f"{name} {n}" for name, n in libraries.most_common()) + f"; longest without service {longest:.2f} s, seed {SEED}",
              flush=True)
        results.record("acknowledged messages lost, or judged wrongly, when malloc gives NULL", 0, told, "0", COMMAND)

    def test_forged_mail(self):
        """Each call of those who have a part in the verdict, and a mail that must not come in: an answer of a name server that there was no memory
        for is no answer."""
        step, calls = 1 if MANY else 60, {}
        with World() as w:
            for role in ("relay", "mx"):
                calls[role], failed = 0, True
                while failed:
                    pid = fault.wait_role(w.p, role)
                    w.mallocs[role].arm("once", pid, step * calls[role] + SEED % step + 1)
                    self.forged(w)
                    failed = w.mallocs[role].off()[1]
                    self.settle(w, role)
                    self.assertEqual(w.let_in(), [], f"{role} once {step * calls[role] + 1}")
                    calls[role] += 1
                    if calls[role] % FRESH_AFTER == 0:  # also because nobody may ask for so many names for long (bus/dns_rate.h)
                        w.fresh()
        results.record("forged mail taken when malloc gives NULL", 0, f"{sum(calls.values())} faults", "0", COMMAND)

    def forged(self, w):
        """One such mail."""
        job = Job(w.p, w.book, w)
        with contextlib.suppress(OSError, AssertionError, ValueError), Wire(w.p.port("smtp"), timeout=30) as wire:
            job.talk(wire, None, 220)
            job.talk(wire, "EHLO ledger.test", 250)
            number, recipient, text, sender = w.signed(w.book, forged=True)
            if job.hand_in(wire, sender, [recipient], text, good=False) == 250:
                w.book.ack(number)
                w.doubted.append(number)
        self.assertEqual(job.wrong, [])

    def test_control(self):
        """A process that goes on after it was told NULL, without what it should have written, is seen; and each wrong verdict, and an end of another
        kind."""
        with World() as w:
            self.assertEqual(w.job(), [])
            self.assertTrue(any(self.planted(w, "office", n) for n in (5, 60, 200)), "nothing seen")
            w.forget()
            w.private, _ = new_key()
            self.assertRegex(str(w.job()), r"mail: .*5\d\d")
            with unittest.mock.patch.dict(USERS, {user: "wrong" for user in USERS}):
                self.assertRegex(str(w.job()), "AUTHENTICATIONFAILED.*PASS wrong.*AUTH PLAIN")
            pid, began = fault.wait_role(w.p, "mda"), len(w.p.log)
            os.kill(pid, signal.SIGBUS)
            wait_for(lambda: ends(w.p.log[began:], "mda"))

    def planted(self, w, role, n):
        """Whether the ledger saw it."""
        w.mallocs[role].arm("planted", fault.wait_role(w.p, role), n)
        w.job()
        failed = w.mallocs[role].off()[1]
        wait_for(lambda: w.p.queue_is_empty() or "a damaged record" in w.p.log_text())  # what can arrive has arrived, but for that one
        bad, _ = ledger.check(w.book, w.p.port("imap"), USERS)
        if VERBOSE:
            print(f"    planted in {role} at {n}: {failed}, {bad}")
        return failed and bad


if __name__ == "__main__":
    unittest.main()
