#!/usr/bin/env python3
"""Random walks through the protocols against models of a few lines. SMTP: what is refused must be, and what was stored went to exactly
those who were accepted in that transaction. IMAP: flags, UIDs and contents after every change, seen by the session that made it and by
another. POP3: what was marked goes at QUIT and never otherwise.

    tests/run.py attack                                        POSTERN_WALKS=40 walks of each
    POSTERN_WALKS=2000 POSTERN_SEED=7 tests/attack/state_test.py

The control breaks a model on purpose; then a walk must fail."""
import collections
import os
import pathlib
import random
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import ledger
import results
from client import Wire, deliver, message
from postern import Instance, wait_for

SEED = int(os.environ.get("POSTERN_SEED", "1"))
WALKS = int(os.environ.get("POSTERN_WALKS", "40"))
STEPS = 40
USERS = {f"user{n}@example.test": f"secret{n}" for n in range(3)}
COMMAND = "POSTERN_WALKS=2000 tests/attack/state_test.py"


class SmtpWalk:
    """The model is: greeted, mail, recipients, chunks. A step is a command and the codes that are right for it."""
    steps = ("ehlo", "helo", "mail", "mail", "mail", "rcpt", "rcpt", "rcpt", "rcpt_unknown", "rcpt_far", "data", "data", "bdat_last", "bdat_part", "rset", "noop",
             "vrfy", "nonsense", "mail_bad", "auth", "help")

    out_of_order = ("mail", "mail_bad", "rcpt", "rcpt_unknown", "rcpt_far", "data")

    def __init__(self, wire, rng, number, forget_rset=False):
        self.w, self.rng, self.forget_rset = wire, rng, forget_rset
        self.number, self.expected = number, {}  # mark of a message -> recipients
        self.greeted = self.esmtp = False
        self.clear()
        self.history = []

    def clear(self):
        self.begun, self.recipients, self.chunks = False, [], b""

    def run(self):
        assert self.w.reply()[0] == 220
        for _ in range(STEPS):
            name = self.rng.choice(self.steps)
            self.history.append(name)
            chunks = self.chunks
            getattr(self, name)()
            if chunks and name in self.out_of_order:
                self.clear()  # whatever is out of order after a BDAT ends the mail (THREATS S05)
        self.say("QUIT", 221)

    def say(self, command, *right):
        code, lines = self.w.smtp(command)
        assert code in right, f"{command!r}: {lines}, expected {right}, after {self.history}"
        return code

    def ehlo(self, verb="EHLO"):
        self.say(f"{verb} x.test", 250)
        self.greeted, self.esmtp = True, verb == "EHLO"
        self.clear()

    def helo(self):
        self.ehlo("HELO")

    def mail(self):
        if not self.greeted or self.begun:
            return self.say("MAIL FROM:<walker@x.test>", 503)
        self.begun = True
        return self.say("MAIL FROM:<walker@x.test>", 250)

    def rcpt(self):
        user = self.rng.choice(list(USERS))
        if not self.begun or self.chunks:
            self.say(f"RCPT TO:<{user}>", 503)
        else:
            self.say(f"RCPT TO:<{user}>", 250)
            self.recipients.append(user)

    def rcpt_unknown(self):
        self.say("RCPT TO:<nobody@example.test>", 550 if self.begun and not self.chunks else 503)

    def rcpt_far(self):
        self.say("RCPT TO:<x@elsewhere.test>", *((550, 554, 551) if self.begun and not self.chunks else (503,)))

    def text(self):
        self.number += 1
        return f"W{self.number:08d}", f"Subject: walk\r\nX-Walk: W{self.number:08d}\r\n\r\nHello.\r\n".encode()

    def data(self):
        if not self.recipients or self.chunks:
            self.say("DATA", 503, 554)
            return
        self.say("DATA", 354)
        mark, text = self.text()
        self.w.send(text + b".\r\n")
        assert self.w.reply()[0] == 250
        self.expected[mark] = set(self.recipients)
        self.clear()

    def bdat(self, last):
        mark, text = self.text()
        self.w.send(f"BDAT {len(text)}{' LAST' if last else ''}\r\n".encode() + text)
        code, lines = self.w.reply()
        if not self.recipients or not self.esmtp:
            assert code in (503, 554), f"BDAT: {lines} after {self.history}"
            return
        assert code == 250, f"BDAT: {lines} after {self.history}"
        first = re.search(rb"W\d{8}", self.chunks + text).group().decode()
        self.chunks += text
        if last:
            self.expected[first] = set(self.recipients)
            self.clear()

    def bdat_last(self):
        self.bdat(True)

    def bdat_part(self):
        self.bdat(False)

    def rset(self):
        self.say("RSET", 250)
        if not self.forget_rset:
            self.clear()

    def noop(self):
        self.say("NOOP", 250)

    def vrfy(self):
        self.say("VRFY user0", 252, 502, 503)

    def help(self):
        self.say("HELP", 214, 502, 503)

    def nonsense(self):
        self.say("XYZZY now", 500, 502)

    def mail_bad(self):
        self.say("MAIL FROM:<a@@b>", *((501, 503, 553) if self.greeted else (503, 501)))

    def auth(self):
        self.say("AUTH PLAIN AAAA", 500, 502, 503, 504, 530, 538, 535, 501)


class ImapWalk:
    """The model: uid -> (mark, flags) of each of two mailboxes. An observer in a session of its own must see the same."""
    flags = (r"\Seen", r"\Flagged", r"\Answered", r"\Deleted", "$Walk")

    def __init__(self, actor, observer, rng, user):
        self.actor, self.observer, self.rng = actor, observer, rng
        self.boxes = {"INBOX": {}, "Archive": {}}
        self.number = 0
        for w in (actor, observer):
            w.line()
            assert w.imap(f"LOGIN {user} {USERS[user]}")[0].startswith("OK")
        self.here = None
        self.history = []

    def ok(self, command):
        self.history.append(command)
        status, lines = self.actor.imap(command)
        assert status.startswith("OK"), f"{command}: {status}, after {self.history[-10:]}"
        return status, lines

    def run(self):
        self.select("INBOX")
        for _ in range(STEPS):
            self.rng.choice((self.append, self.append, self.store, self.store, self.expunge, self.copy, self.move, self.switch))()
            if self.rng.random() < 0.2:
                self.compare()
        self.compare()
        for box in self.boxes:
            self.select(box)
            self.ok(r"STORE 1:* +FLAGS.SILENT (\Deleted)") if self.boxes[box] else None
            self.ok("EXPUNGE")

    def select(self, box):
        self.ok(f"SELECT {box}")
        self.here = box

    def switch(self):
        self.select(self.rng.choice(list(self.boxes)))

    def some(self):
        uids = list(self.boxes[self.here])
        return self.rng.sample(uids, self.rng.randint(1, len(uids))) if uids else []

    def append(self):
        self.number += 1
        mark = f"I{self.number:06d}"
        text = f"X-Walk: {mark}\r\n\r\nHello\r\n".encode()
        status = None
        self.history.append("APPEND")
        self.actor.tag += 1
        self.actor.send(f"t{self.actor.tag} APPEND {self.here} (\\Seen) {{{len(text)}+}}\r\n".encode() + text + b"\r\n")
        status, _ = self.actor.imap_answer(f"t{self.actor.tag}")
        uid = int(re.search(r"APPENDUID \d+ (\d+)", status).group(1))
        assert uid > max(self.boxes[self.here], default=0)
        self.boxes[self.here][uid] = (mark, {r"\Seen"})

    def store(self):
        uids = self.some()
        if not uids:
            return
        mode, flag = self.rng.choice("+-"), self.rng.choice(self.flags)
        self.ok(f"UID STORE {','.join(map(str, uids))} {mode}FLAGS ({flag})")
        for uid in uids:
            mark, had = self.boxes[self.here][uid]
            self.boxes[self.here][uid] = (mark, had | {flag} if mode == "+" else had - {flag})

    def expunge(self):
        self.ok("EXPUNGE")
        box = self.boxes[self.here]
        self.boxes[self.here] = {uid: m for uid, m in box.items() if r"\Deleted" not in m[1]}

    def copy(self, verb="COPY"):
        uids, target = sorted(self.some()), self.rng.choice([b for b in self.boxes if b != self.here])
        if not uids:
            return
        status, lines = self.ok(f"UID {verb} {','.join(map(str, uids))} {target}")
        told = re.search(r"COPYUID \d+ (\S+) ([\d,:]+)", status + " ".join(line.decode() for line in lines))
        given = [n for part in told.group(2).split(",") for n in
                 range(int(part.split(":")[0]), int(part.split(":")[-1]) + 1)]
        assert len(given) == len(uids) and min(given) > max(self.boxes[target], default=0)
        for uid, new in zip(uids, given):
            self.boxes[target][new] = self.boxes[self.here][uid]
            if verb == "MOVE":
                del self.boxes[self.here][uid]

    def move(self):
        self.copy("MOVE")

    def compare(self):
        for w, box in ((self.actor, self.here), (self.observer, "INBOX"), (self.observer, "Archive")):
            if w is self.observer:
                w.imap(f"EXAMINE {box}")
            _, lines = w.imap("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (X-Walk)])")
            seen = {}
            for line in lines:
                uid = re.search(rb"UID (\d+)", line)
                mark = re.search(rb"X-Walk: (\w+)", line)
                if uid and mark:
                    flags = set(re.search(rb"FLAGS \(([^)]*)\)", line).group(1).decode().split()) - {r"\Recent"}
                    seen[int(uid.group(1))] = (mark.group(1).decode(), flags)
            assert seen == self.boxes[box], f"{box}: {seen} != {self.boxes[box]}, after {self.history[-10:]}"


def pop3_open(p, user):
    """A session that is logged in; None while the one before, which just closed, still holds the maildrop."""
    w = Wire(p.port("pop3"))
    w.line()
    assert w.pop3(f"USER {user}")[0].startswith("+OK")
    answer = w.pop3(f"PASS {USERS[user]}")[0]
    assert answer.startswith(("+OK", "-ERR [IN-USE]")), answer
    if answer.startswith("+OK"):
        return w
    w.close()
    return None


def pop3_walk(p, user, rng, there):
    """One session; `there`: marks in order. The new `there`."""
    with wait_for(lambda: pop3_open(p, user)) as w:
        marked = set()
        for _ in range(STEPS):
            n = rng.randint(0, len(there) + 1)
            good = 1 <= n <= len(there) and n not in marked
            verb = rng.choice(("DELE", "RETR", "LIST", "TOP", "RSET", "STAT", "NOOP", "XYZZY"))
            if verb in ("DELE", "LIST"):
                assert w.pop3(f"{verb} {n}")[0].startswith("+OK" if good else "-ERR"), (verb, n, marked)
                marked |= {n} if verb == "DELE" and good else set()
            elif verb in ("RETR", "TOP"):
                first, lines = w.pop3(f"{verb} {n}{' 0' if verb == 'TOP' else ''}", many=True)
                assert first.startswith("+OK" if good else "-ERR"), (verb, n, first)
                assert not good or any(there[n - 1].encode() in line for line in lines), (verb, n)
            elif verb == "RSET":
                assert w.pop3("RSET")[0].startswith("+OK")
                marked = set()
            elif verb == "STAT":
                assert int(w.pop3("STAT")[0].split()[1]) == len(there) - len(marked)
            else:
                assert w.pop3(verb)[0].startswith("+OK" if verb == "NOOP" else "-ERR")
        if rng.random() < 0.5:
            assert w.pop3("QUIT")[0].startswith("+OK")
            return [m for i, m in enumerate(there) if i + 1 not in marked]
    return there


class StateTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = cls.enterClassContext(Instance(users=USERS, settings=["server.log=error", "limit.errors=1000"]))

    def tearDown(self):
        for user, password in USERS.items():
            with Wire(self.p.port("imap")) as w:
                w.line()
                w.imap(f"LOGIN {user} {password}")
                w.imap("SELECT INBOX")
                w.imap(r"STORE 1:* +FLAGS.SILENT (\Deleted)")
                w.imap("EXPUNGE")

    def smtp(self, walks, **how):
        expected = {}
        for n in range(walks):
            with Wire(self.p.port("smtp")) as w:
                walk = SmtpWalk(w, random.Random(SEED * 100003 + n), n * 10000, **how)
                walk.run()
                expected.update(walk.expected)
        return expected

    def test_smtp(self):
        expected = self.smtp(WALKS)
        wait_for(self.p.queue_is_empty)
        found = collections.defaultdict(list)
        for user, password in USERS.items():
            for _, raw in ledger.imap_messages(self.p.port("imap"), user, password):
                found[re.search(rb"X-Walk: (\w+)", raw).group(1).decode()].append(user)
        self.assertEqual({m: sorted(u) for m, u in found.items()}, {m: sorted(u) for m, u in expected.items()})
        results.record("SMTP walks that left their model", 0, f"{WALKS} walks, {len(expected)} messages", "0", COMMAND)

    def test_imap(self):
        for n in range(WALKS):
            with Wire(self.p.port("imap")) as actor, Wire(self.p.port("imap")) as observer:
                ImapWalk(actor, observer, random.Random(SEED * 100003 + n), "user1@example.test").run()
        results.record("IMAP walks that left their model", 0, f"{WALKS} walks of {STEPS} steps", "0", COMMAND)

    def test_pop3(self):
        rng = random.Random(SEED)
        there, user = [], "user2@example.test"
        for n in range(WALKS):
            while len(there) < 6:
                mark = f"P{n:05d}{len(there)}"
                self.assertEqual(deliver(self.p.port("smtp"), message(mark), recipients=[user])[0], 250)
                there.append(mark)
                wait_for(self.p.queue_is_empty)
            there = pop3_walk(self.p, user, rng, there)
        results.record("POP3 walks that left their model", 0, f"{WALKS} walks of {STEPS} steps", "0", COMMAND)

    def test_control_a_wrong_model_is_noticed(self):
        """One that thinks RSET forgets nothing."""
        with self.assertRaises(AssertionError):
            self.smtp(20, forget_rset=True)


if __name__ == "__main__":
    unittest.main()
