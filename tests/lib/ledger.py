"""The ledger: numbered messages with hashes, what was acknowledged, and what is found afterwards. It lives outside of what
is being killed. Verdicts as in THREATS 5: LOST, CORRUPT, MISDELIVERED, DUP, GHOST."""
import collections
import hashlib
import imaplib
import random
import re
import socket
import threading

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

    def new(self, recipients, size=None):
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
        head = (f"From: ledger@elsewhere.test\r\nTo: {recipient}\r\nSubject: number {number}\r\nMessage-ID: <{number}@ledger.test>\r\n"
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

    def __init__(self, ledger, port, recipients, stop, pipelined=True):
        super().__init__(daemon=True)
        self.ledger, self.port, self.recipients, self.stop, self.pipelined = ledger, port, recipients, stop, pipelined

    def run(self):
        while not self.stop.is_set():
            try:
                self._session()
            except OSError:
                self.stop.wait(0.02)

    def _session(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as s:
            f = s.makefile("rb")

            def reply():
                while True:
                    line = f.readline()
                    if not line.endswith(b"\r\n"):
                        raise OSError("gone")
                    if line[3:4] != b"-":
                        return line

            if not reply().startswith(b"220"):
                return
            s.sendall(b"EHLO ledger.test\r\n")
            reply()
            while not self.stop.is_set():
                number, recipient, message = self.ledger.new(self.recipients)
                s.sendall(f"MAIL FROM:<ledger@elsewhere.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
                answers = [reply(), reply(), reply()]
                if not answers[2].startswith(b"354"):
                    self.ledger.refuse(number)
                    s.sendall(b"RSET\r\n")
                    reply()
                    continue
                s.sendall(re.sub(rb"(?m)^\.", b"..", message) + b".\r\n")
                answer = reply()
                if answer.startswith(b"250"):
                    self.ledger.ack(number)
                elif answer.startswith(b"5"):
                    self.ledger.refuse(number)
                # 4xx: it could not be sure, and neither can we: unknown, may be there once.


def imap_messages(port, user, password, mailboxes=("INBOX",)):
    """Raw messages of the mailboxes, and their UIDs."""
    client = imaplib.IMAP4("127.0.0.1", port)
    client.login(user, password)
    try:
        for mailbox in mailboxes:
            count = int(client.select(mailbox, readonly=True)[1][0])
            for first in range(1, count + 1, 500):
                answer = client.fetch(f"{first}:{min(first + 499, count)}", "(UID BODY.PEEK[])")[1]
                for item in answer:
                    if isinstance(item, tuple):
                        uid = int(re.search(rb"UID (\d+)", item[0]).group(1))
                        yield uid, item[1]
    finally:
        client.logout()


def check(ledger, port, users):
    """Compares what is found by IMAP with what was acknowledged. Answers {verdict: [numbers]}; empty lists are good."""
    found = collections.defaultdict(list)
    bad = collections.defaultdict(list)
    for user, password in users.items():
        seen_uids = set()
        for uid, raw in imap_messages(port, user, password):
            if uid in seen_uids:
                bad["UID"].append(uid)
            seen_uids.add(uid)
            match = NUMBER.search(raw)
            if not match:
                bad["GHOST"].append((user, uid))
                continue
            number = int(match.group(1))
            body = raw.split(b"\r\n\r\n", 1)[1]
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
