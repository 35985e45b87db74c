"""Mail for the systems under test: floods by Postfix's smtp-source, and a mailbox filled with messages as people have them."""
import multiprocessing
import random
import socket
import subprocess
import time
from typing import NamedTuple

SIZE = 5 * 1024
WORDS = ("budget meeting Tuesday offer invoice review holiday draft contract release photos project question garden train "
         "address report garage dinner school reminder update parcel ticket order summary planning notes").split()
NAMES = ("Anna de Vries", "Bert Jansen", "Carol O'Neil", "David Smit", "Eva Müller", "Frank van den Berg", "Greta Visser", "Hugo Bakker")


FLOOD_MOST = 120  # seconds


class Flood(NamedTuple):
    """What is sent at a system: over so many connections at once, each kept for all its messages or made anew for each; writes: of the disk, a second."""
    connections: int
    kept: bool = False
    writes: int | None = None

    def __str__(self):
        return f"{self.connections}{', kept' if self.kept else ''}{f', disk of {self.writes:,} writes/s' if self.writes else ''}"


def flood(port, recipients, connections, count, kept=False):
    """`count` messages over `connections` at once, spread over the recipients; returns when all are accepted."""
    share = [(connections // len(recipients), count // len(recipients), r) for r in recipients]
    words = [*(["-d"] if kept else []), "-l", str(SIZE), "-f", "carol@elsewhere.example"]
    sources = [subprocess.Popen(["smtp-source", "-s", str(s), "-m", str(m), *words, "-t", r, f"127.0.0.1:{port}"]) for s, m, r in share]
    deadline = time.monotonic() + FLOOD_MOST
    try:
        if any([p.wait(deadline - time.monotonic()) for p in sources]):
            raise RuntimeError("smtp-source failed")
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not all taken after {FLOOD_MOST} s") from None
    finally:
        for p in sources:
            p.kill()
    return sum(m for _, m, _ in share)


def message(number, to):
    """A letter of about 5 KB with the fields an ENVELOPE has; the same for the same number."""
    chance = random.Random(number)
    sender, other = chance.sample(NAMES, 2)

    def mailbox(name):
        display = name if name.isascii() else f"=?utf-8?q?{name.replace('ü', '=C3=BC').replace(' ', '_')}?="
        return f'"{display}" <{name.split()[0].lower()}@elsewhere.example>' if name.isascii() else f"{display} <eva@elsewhere.example>"

    fields = [f"From: {mailbox(sender)}", f"To: {to}", f"Cc: {mailbox(other)}",
              f"Subject: Re: {' '.join(chance.sample(WORDS, 5))}",
              f"Date: Tue, {1 + number % 28:02} Oct 2026 {number % 24:02}:{number % 60:02}:07 +0200",
              f"Message-ID: <{number}.{chance.getrandbits(64):x}@mail.elsewhere.example>",
              f"In-Reply-To: <{chance.getrandbits(64):x}@mail.elsewhere.example>",
              "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8"]
    body, size = [], sum(len(f) + 2 for f in fields)
    while size < SIZE:
        body.append(" ".join(chance.choices(WORDS, k=10)))
        size += len(body[-1]) + 2
    return "\r\n".join([*fields, "", *body, ""]).encode()


def _fill(port, to, numbers):
    with socket.create_connection(("127.0.0.1", port), timeout=120) as s, s.makefile("rb") as replies:
        def hear(code):
            while True:
                line = replies.readline()
                if line[3:4] != b"-":
                    if not line.startswith(code):
                        raise RuntimeError(f"LMTP: {line!r}")
                    return

        hear(b"220")
        s.sendall(b"LHLO bench.example\r\n")
        hear(b"250")
        for n in numbers:
            s.sendall(f"MAIL FROM:<carol@elsewhere.example>\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode())
            for code in (b"250", b"250", b"354"):
                hear(code)
            s.sendall(message(n, to) + b".\r\n")
            hear(b"250")


def fill(port, to, count, connections=16):
    """Delivers messages 0..count-1 by LMTP; returns the seconds it took."""
    begin = time.monotonic()
    workers = [multiprocessing.Process(target=_fill, args=(port, to, range(i, count, connections))) for i in range(connections)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
        if w.exitcode:
            raise RuntimeError("a message was not taken")
    return time.monotonic() - begin
