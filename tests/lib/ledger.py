"""The ledger: numbered messages with hashes, what was acknowledged, and what is found afterwards. It lives outside of what
is being killed. Verdicts as in THREATS 5: LOST, CORRUPT, MISDELIVERED, DUP, GHOST, and by class Watch UID and MODSEQ. Messages go in by SMTP
(Sender), LMTP, submission and APPEND; they are looked for through IMAP (check) and in the files themselves (check_raw).
tests/crash/ledger_test.py shows of each verdict that it is given."""
import base64
import collections
import hashlib
import imaplib
import random
import re
import socket
import threading

import rawstore
from client import insist, patiently, trusting
from postern import PATIENCE

NUMBER = re.compile(rb"^X-Ledger: (\d+) ([0-9a-f]{64})\r\n", re.M)


class Ledger:
    def __init__(self, seed=1):
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.next = 1
        self.sent = {}  # number -> recipient
        self.acked = set()
        self.refused = set()
        self.removing = set()  # asked to be expunged: may be there or not
        self.removed = set()  # expunged, and acknowledged: gone for good

    def new(self, recipients, size=None, sender="ledger@elsewhere.test"):
        """A message (bytes, CRLF) to one of the recipients."""
        with self.lock:
            number = self.next
            self.next += 1
            recipient = self.random.choice(recipients)
            length = size if size is not None else self.random.choice((200, 1000, 5000, 5000, 20000))
            seed = self.random.getrandbits(32)
            self.sent[number] = recipient
        rng = random.Random(seed)
        lines = []
        left = length
        while left > 0:
            n = min(left, 70)
            lines.append("".join(rng.choices("abcdefghij .KLMNOP0123456789", k=n)))
            left -= n + 2
        body = "\r\n".join(lines).encode() + b"\r\n"
        digest = hashlib.sha256(body).hexdigest()
        head = (f"From: {sender}\r\nTo: {recipient}\r\nSubject: number {number}\r\nMessage-ID: <{number}@ledger.test>\r\n"
                f"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nX-Ledger: {number} {digest}\r\n\r\n").encode()
        return number, recipient, head + body

    def ack(self, number):
        with self.lock:
            self.acked.add(number)

    def refuse(self, number):
        with self.lock:
            self.refused.add(number)

    def remove(self, number, sure):
        with self.lock:
            (self.removed if sure else self.removing).add(number)


class Sender(threading.Thread):
    """Sends as fast as it is acknowledged; reconnects when the server goes away, and counts that message as unknown."""
    hello, sender = "EHLO", "ledger@elsewhere.test"

    def __init__(self, ledger, port, recipients, stop):
        super().__init__(daemon=True)
        self.ledger, self.port, self.recipients, self.stop = ledger, port, recipients, stop

    def run(self):
        while not self.stop.is_set():
            try:
                self._session()
            except OSError:
                self.stop.wait(0.02)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE / 2)

    def reply(self, f):
        while True:
            line = f.readline()
            if not line.endswith(b"\r\n"):
                raise OSError("gone")
            if line[3:4] != b"-":
                return line

    def log_in(self, s, f):
        """Nothing to do on port 25."""

    def _session(self):
        with self.connect() as s:
            f = s.makefile("rb")
            if not self.reply(f).startswith(b"220"):
                return
            s.sendall(f"{self.hello} ledger.test\r\n".encode())
            self.reply(f)
            self.log_in(s, f)
            while not self.stop.is_set():
                self._message(s, f)

    def _message(self, s, f):
        number, recipient, message = self.ledger.new(self.recipients, sender=self.sender)
        s.sendall(f"MAIL FROM:<{self.sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
        answers = [self.reply(f), self.reply(f), self.reply(f)]
        if not answers[2].startswith(b"354"):
            self.ledger.refuse(number)
            s.sendall(b"RSET\r\n")
            self.reply(f)
            return
        s.sendall(re.sub(rb"(?m)^\.", b"..", message) + b".\r\n")
        answer = self.reply(f)
        if answer.startswith(b"250"):
            self.ledger.ack(number)
        elif answer.startswith(b"5"):
            self.ledger.refuse(number)
        # 4xx: it could not be sure, and neither can we: unknown, may be there once.


class LmtpSender(Sender):
    hello = "LHLO"


class Submitter(Sender):
    """As a person: TLS from the first byte, login, an own address."""

    def __init__(self, ledger, port, recipients, stop, user, password):
        super().__init__(ledger, port, recipients, stop)
        self.sender = user
        self.token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()

    def connect(self):
        return trusting().wrap_socket(super().connect())

    def log_in(self, s, f):
        s.sendall(f"AUTH PLAIN {self.token}\r\n".encode())
        if not self.reply(f).startswith(b"235"):
            raise OSError("no login now")


class Appender(Sender):
    """APPEND into the user's own INBOX: acknowledged by OK."""

    def __init__(self, ledger, port, stop, user, password):
        super().__init__(ledger, port, [user], stop)
        self.user, self.password = user, password

    def tagged(self, f):
        while True:
            line = f.readline()
            if not line.endswith(b"\r\n"):
                raise OSError("gone")
            if line.startswith(b"t "):
                return line

    def _session(self):
        with self.connect() as s:
            f = s.makefile("rb")
            f.readline()
            s.sendall(f"t LOGIN {self.user} {self.password}\r\n".encode())
            if not self.tagged(f).startswith(b"t OK"):
                raise OSError("no login now")
            while not self.stop.is_set():
                number, _, message = self.ledger.new([self.user])
                s.sendall(f"t APPEND INBOX {{{len(message)}+}}\r\n".encode() + message + b"\r\n")
                answer = self.tagged(f)
                if answer.startswith(b"t OK"):
                    self.ledger.ack(number)
                elif answer.startswith(b"t BAD"):
                    self.ledger.refuse(number)
                # NO: as with 4xx


def answered(answer):
    """(status, data) of a FETCH: NO may be about one message, but [UNAVAILABLE] tells nothing of any."""
    if answer[0] != "OK" and b"[UNAVAILABLE]" in answer[1][0]:
        raise imaplib.IMAP4.error(answer[1][0])
    return answer


def imap_messages(port, user, password, mailboxes=("INBOX",)):
    """Raw messages of the mailboxes, and their UIDs."""
    client = imaplib.IMAP4("127.0.0.1", port, timeout=PATIENCE)
    client.login(user, password)
    try:
        for mailbox in mailboxes:
            count = int(insist(client.select(mailbox, readonly=True))[0])
            for first in range(1, count + 1, 500):
                status, answer = answered(client.fetch(f"{first}:{min(first + 499, count)}", "(UID BODY.PEEK[])"))
                if status != "OK":  # imaplib sets aside what came before a NO: one that cannot be read must not hide the others
                    answer = client.response("FETCH")[1]
                for item in answer:
                    if isinstance(item, tuple):
                        uid = int(re.search(rb"UID (\d+)", item[0]).group(1))
                        yield uid, item[1]
    finally:
        client.logout()


def check(ledger, port, users):
    """Compares what is found by IMAP with what was acknowledged. Answers {verdict: [numbers]}, without empty ones, and how many were found.

    A process may still be restarting after the fault."""
    return patiently(lambda: judge(ledger, ((user, uid, raw) for user, password in users.items()
                                            for uid, raw in imap_messages(port, user, password))))


def check_raw(ledger, folder, users):
    """The same, from the files of the store, without any code of Postern's."""
    return judge(ledger, ((user, uid, raw) for user, mailbox, uid, raw in rawstore.messages(folder) if user in users and mailbox == "INBOX"))


def judge(ledger, messages):
    found = collections.defaultdict(list)
    bad = collections.defaultdict(list)
    seen = set()
    for user, uid, raw in messages:
        if (user, uid) in seen:
            bad["UID"].append((user, uid))
        seen.add((user, uid))
        match = NUMBER.search(raw)
        if not match:
            bad["GHOST"].append((user, uid))
            continue
        number = int(match.group(1))
        body = raw.split(b"\r\n\r\n", 1)[-1]
        if hashlib.sha256(body).hexdigest() != match.group(2).decode():
            bad["CORRUPT"].append(number)
        if number not in ledger.sent:
            bad["GHOST"].append(number)
        elif ledger.sent[number] != user:
            bad["MISDELIVERED"].append(number)
        found[number].append(user)
    bad["LOST"] = sorted(ledger.acked - set(found) - ledger.removing - ledger.removed)
    bad["REMOVED_BUT_THERE"] = sorted(ledger.removed & set(found))
    # A message whose acknowledgement got lost may be there once; nothing may be there twice, since nobody sent it twice.
    bad["DUP"] = sorted(n for n, users_ in found.items() if len(users_) > 1)
    bad["REFUSED_BUT_THERE"] = sorted(n for n in found if n in ledger.refused)
    return {verdict: numbers for verdict, numbers in bad.items() if numbers}, len(found)


Seen = collections.namedtuple("Seen", "validity uidnext highest rows exists uidnext_after highest_after")


class Watch:
    """What a client may rely on from one look to the next, whatever happened between (RFC 3501 2.3.1.1, RFC 7162 3.1): UIDs keep their
    message and only rise, UIDVALIDITY stays, modseqs never fall."""

    def __init__(self, users):
        self.users = users
        self.last = {}  # user -> Seen

    def look(self, port):
        """{"UID" or "MODSEQ": what is wrong}, compared with the look before."""
        bad = collections.defaultdict(list)
        for user, password in self.users.items():
            now = patiently(lambda user=user, password=password: self._see(port, user, password))
            if user in self.last:
                self._compare(user, self.last[user], now, bad)
            self.last[user] = now
        return dict(bad)

    @staticmethod
    def _numbers(client):
        insist(client.select("INBOX", readonly=True))
        return (int(client.response(what)[1][0]) for what in ("UIDVALIDITY", "UIDNEXT", "HIGHESTMODSEQ"))

    @classmethod
    def _see(cls, port, user, password):
        """Mail goes on coming while it looks: the rows are held against the numbers before and after them."""
        client = imaplib.IMAP4("127.0.0.1", port, timeout=PATIENCE)
        try:
            client.login(user, password)
            validity, uidnext, highest = cls._numbers(client)
            rows = {}
            for item in answered(client.uid("FETCH", "1:*", "(MODSEQ BODY.PEEK[HEADER.FIELDS (X-Ledger)])"))[1]:
                if isinstance(item, tuple):
                    number = re.search(rb"X-Ledger: (\d+)", item[1])
                    rows[int(re.search(rb"UID (\d+)", item[0]).group(1))] = (int(number.group(1)) if number else 0,
                                                                            int(re.search(rb"MODSEQ \((\d+)", item[0]).group(1)))
            exists = max(int(n or 0) for n in client.response("EXISTS")[1])
            _, uidnext_after, highest_after = cls._numbers(client)
            return Seen(validity, uidnext, highest, rows, exists, uidnext_after, highest_after)
        finally:
            client.logout()

    @staticmethod
    def _compare(user, old, now, bad):
        if now.validity != old.validity:
            bad["UID"].append(f"{user}: UIDVALIDITY was {old.validity}, is {now.validity}")
        if now.uidnext < old.uidnext_after:
            bad["UID"].append(f"{user}: UIDNEXT was {old.uidnext_after}, is {now.uidnext}")
        if now.highest < old.highest_after:
            bad["MODSEQ"].append(f"{user}: HIGHESTMODSEQ was {old.highest_after}, is {now.highest}")
        if len(now.rows) > now.exists:  # RFC 3501 5.2: a client is told that a message is there before it is told about it
            bad["UID"].append(f"{user}: {len(now.rows)} messages, but EXISTS was {now.exists}")
        for uid, (number, modseq) in now.rows.items():
            if uid >= now.uidnext_after:
                bad["UID"].append(f"{user}: uid {uid} is not below UIDNEXT {now.uidnext_after}")
            if modseq > now.highest_after:
                bad["MODSEQ"].append(f"{user}: uid {uid} has modseq {modseq}, above HIGHESTMODSEQ {now.highest_after}")
            if uid in old.rows:
                if old.rows[uid][0] != number:
                    bad["UID"].append(f"{user}: uid {uid} was message {old.rows[uid][0]}, is {number}")
                if modseq < old.rows[uid][1]:
                    bad["MODSEQ"].append(f"{user}: modseq of uid {uid} was {old.rows[uid][1]}, is {modseq}")
            elif uid < old.uidnext:
                bad["UID"].append(f"{user}: uid {uid} came behind UIDNEXT {old.uidnext}")
