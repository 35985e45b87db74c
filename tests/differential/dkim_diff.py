#!/usr/bin/python3
"""DKIM beside python3-dkim and libopendkim, over random messages: what we sign they must find good, what they sign we must find good, and
about a message that was changed on the way all must say the same. Every canonical form, RSA-2048 and Ed25519.

	dkim_diff.py [--count N] [--seed N]"""
import argparse
import base64
import contextlib
import io
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import dkim

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("POSTERN_BUILD", ROOT / "build-test"))
NOW = 1_700_000_000
CANONS = ("simple", "relaxed")
NAMES = ("From", "To", "Subject", "Date", "Message-ID", "Cc", "X-Thing", "X-Other", "MIME-Version", "Content-Type")


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, **more).stdout


class Peer:
    """A program that answers jobs."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, words, *parts):
        self.process.stdin.write(" ".join(str(w) for w in words).encode() + b"\n" + b"".join(parts))
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip(b"\n").decode()

    def read(self, n):
        return self.process.stdout.read(n)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Bench:
    """The three implementations, with one key of each kind."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-dkim-"))
        self.make_keys()
        self.compile()
        self.ours = Peer(str(BUILD / "dkim_tool"))
        self.opendkim = Peer(str(self.folder / "opendkim"), str(self.folder / "zone.opendkim"), str(self.folder / "rsa.pem"))

    def make_keys(self):
        f = self.folder
        run("openssl", "genrsa", "-traditional", "-out", str(f / "rsa.pem"), "2048")
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", str(f / "ed.pem"))
        rsa = base64.b64encode(run("openssl", "rsa", "-in", str(f / "rsa.pem"), "-pubout", "-outform", "DER")).decode()
        ed = base64.b64encode(run("openssl", "pkey", "-in", str(f / "ed.pem"), "-pubout", "-outform", "DER")[-32:]).decode()
        self.zone = {"r._domainkey.example.org": f"v=DKIM1; k=rsa; p={rsa}", "e._domainkey.example.org": f"v=DKIM1; k=ed25519; p={ed}"}
        self.zone_text = "".join(f"{n}\t{t}\n" for n, t in self.zone.items()).encode()
        (f / "zone.opendkim").write_text("".join(f"{n} {t}\n" for n, t in self.zone.items()))
        self.pem = {"rsa": (f / "rsa.pem").read_bytes(), "ed25519": (f / "ed.pem").read_bytes()}
        seed = run("openssl", "pkey", "-in", str(f / "ed.pem"), "-outform", "DER")[-32:]
        self.dkimpy_key = {"rsa": self.pem["rsa"], "ed25519": base64.b64encode(seed)}

    def compile(self):
        here = ROOT / "tests" / "differential"
        run(str(ROOT / "tools/build.sh"), str(BUILD), "", "dkim_tool")
        run("cc", "-O2", "-std=c17", "-D_GNU_SOURCE", str(here / "opendkim_peer.c"), "-o", str(self.folder / "opendkim"), "-lopendkim")

    def close(self):
        self.ours.close()
        self.opendkim.close()
        shutil.rmtree(self.folder)

    def sign_ours(self, message, piece, algorithm, header, body, length, names):
        words = ("sign", len(self.pem[algorithm]), len(message), piece, NOW, algorithm, header, body, "example.org", algorithm[0],
                 int(length), ":".join(names) if names else "-")
        n = int(self.ours.ask(words, self.pem[algorithm], message))
        return self.ours.read(n)

    def sign_dkimpy(self, message, algorithm, header, body, length, names):
        return dkim.sign(message, algorithm[0].encode(), b"example.org", self.dkimpy_key[algorithm],
                         canonicalize=(header.encode(), body.encode()), length=length,
                         include_headers=[n.lower().encode() for n in names], signature_algorithm=f"{algorithm}-sha256".encode())

    def sign_opendkim(self, message, piece, header, body):
        n = int(self.opendkim.ask(("sign", len(message), piece, header, body, "example.org", "r"), message))
        return b"DKIM-Signature: " + self.opendkim.read(n).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + b"\r\n"

    def verify_ours(self, message, piece):
        return self.ours.ask(("verify", len(self.zone_text), len(message), piece, 1 << 40), self.zone_text, message)

    def verify_dkimpy(self, message):
        def txt(name, timeout=5):
            return self.zone.get(name.decode().rstrip("."))
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                return dkim.verify(message, dnsfunc=txt)
            except Exception:  # a fault of its own is no verdict: it counts as "not good"
                return False

    def verify_opendkim(self, message, piece):
        return self.opendkim.ask(("verify", len(message), piece), message)


class Messages:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def blanks(self):
        return self.r.choice(("", " ", " ", " ", "  ", "\t", " \t ", "   \t"))

    def word(self):
        r = self.r
        return "".join(r.choice("abcdefXYZ019=;:<>@.,-_()\"\\/äé€") for _ in range(r.randint(1, 12)))

    def value(self):
        r = self.r
        words = [self.word() for _ in range(r.randint(0, 8))]
        out = self.blanks()
        for w in words:
            out += w + (r.choice((" ", "  ", "\t", "\r\n ", "\r\n\t", " \r\n  ", "\r\n   \r\n ")) if r.random() < 0.4 else " ")
        return out + w[:1] if words and r.random() < 0.5 else out

    def sender(self):
        """opendkim looks at no signature when it cannot read From."""
        return self.blanks() + self.r.choice(("", "Ann  Example ", "Ann\tExample\r\n  ", '"Ann  E."\r\n\t ')) + "<ann@example.org>" + self.r.choice(("", " ", "\t "))

    def field(self, name):
        r = self.r
        value = self.sender() if name == "From" else self.value()
        name = r.choice((name, name, name.lower(), name.upper()))
        return (name + (" " if r.random() < 0.05 else "") + ":" + value).encode() + b"\r\n"

    def line(self):
        r = self.r
        kind = r.random()
        if kind < 0.15:
            return ""
        if kind < 0.25:
            return r.choice((" ", "\t", "  \t ", " " * 40))
        if kind < 0.3:
            return "x" * r.choice((76, 998, 1000, 2048, 70000))
        return self.blanks() + "".join(self.word() + (self.blanks() or " ") for _ in range(r.randint(1, 12)))

    def body(self):
        r = self.r
        lines = [self.line() for _ in range(r.choice((0, 0, 1, 2, 5, 20, 60)))]
        lines += [r.choice(("", "", " ", "\t"))] * r.choice((0, 0, 0, 1, 2, 40))
        return "".join(line + "\r\n" for line in lines).encode()

    def message(self):
        r = self.r
        names = ["From", "To", "Subject", "Date"] + [r.choice(NAMES[1:]) for _ in range(r.randint(0, 8))]
        r.shuffle(names)
        head = b"".join(self.field(n) for n in names)
        return head + b"\r\n" + self.body(), names

    def signed_names(self, names):
        """From, and some of the others; some once more than they stand there."""
        r = self.r
        chosen = ["From"] + [n for n in names if n != "From" and r.random() < 0.7]
        return chosen + [n for n in set(chosen) if r.random() < 0.3]

    def changed(self, signed):
        """One change behind the signature: some harmless to a canonical form, some not."""
        r = self.r
        at = signed.find(b"\r\nFrom") if r.random() < 0.5 else signed.find(b"\r\n\r\n")
        at = max(at, 0) + 2
        kind = r.randint(0, 7)
        tail = signed[at:]
        if kind == 0:
            return signed + r.choice((b"\r\n", b" \r\n", b"x\r\n", b"\t\r\n\r\n"))
        if kind == 1 and b" " in tail:
            i = at + r.choice([i for i, c in enumerate(tail) if c == 32])
            return signed[:i] + r.choice((b"  ", b"\t", b" \t")) + signed[i + 1:]
        if kind == 2 and tail.count(b"\r\n") > 1:
            i = at + r.choice([i for i in range(len(tail)) if tail[i:i + 2] == b"\r\n"])
            return signed[:i] + r.choice((b" ", b"\t", b"  ")) + signed[i:]
        if kind == 3:
            return b"Subject: another\r\n" + signed
        if kind == 4 and len(tail) > 4:
            i = at + r.choice([i for i, c in enumerate(tail) if c not in b"\r\n:"] or [0])
            return signed[:i] + bytes([r.choice(b"aB 7=")]) + signed[i + 1:]
        if kind == 5:
            head, _, body = signed.partition(b"\r\n\r\n")
            return head + b"\r\nX-Late: 1\r\n\r\n" + body
        if kind == 6:
            return signed.replace(b"\r\nSubject:", b"\r\nsubJect:").replace(b"\r\nTo:", b"\r\nTO :")
        return signed.rstrip(b"\r\n") + b"\r\n"


def parsed_alike(message):
    """False where the others cut the header into other fields than RFC 5322 has it: nothing to compare then."""
    head = message.partition(b"\r\n\r\n")[0]
    return all(b":" in line or line[:1] in b" \t" for line in head.split(b"\r\n")) and b"\r\n \r\n" not in head and \
        not re.search(rb"(?<!\r)\n", message)


def spaced(message):
    """A blank before a colon, which python3-dkim does not read."""
    return re.search(rb"(?m)^[!-9;-~]+[ \t]+:", message.partition(b"\r\n\r\n")[0]) is not None


def tabbed(message):
    """A tab before a colon (RFC 5322 4.5: *WSP), for which libopendkim refuses the whole message, even when that field is not signed."""
    return re.search(rb"(?m)^[!-9;-~]+ *\t[ \t]*:", message.partition(b"\r\n\r\n")[0]) is not None


def overfull(message):
    """Base64 that goes on behind its padding, which RFC 4648 4 does not have: libopendkim stops reading there, for us it is no base64."""
    field = message.partition(b"\r\n\r\n")[0].split(b"\r\n")
    end = next((i for i, line in enumerate(field[1:], 1) if line[:1] not in (b" ", b"\t")), len(field))
    return re.search(rb"\bbh?=[A-Za-z0-9+/\s]*=\s*[A-Za-z0-9+/]", b"\r\n".join(field[:end])) is not None


class Judge:
    def __init__(self, bench, seed):
        self.bench, self.seed, self.messages = bench, seed, Messages(seed)
        self.compared = 0
        self.differences = []

    def same(self, what, ours, theirs, message):
        self.compared += 1
        if ours != theirs:
            self.differences.append((what, ours, theirs, message))

    def compare(self, message, ed25519, clean):
        piece = self.messages.r.choice((1, 2, 3, 17, 4096, 1 << 20))
        answer = self.bench.verify_ours(message, piece)
        ours = answer.startswith("pass")
        if not spaced(message):
            self.same(f"python3-dkim, clean {clean}, we: {answer}", ours, self.bench.verify_dkimpy(message), message)
        if not ed25519 and not tabbed(message) and not (overfull(message) and not clean):
            theirs = self.bench.verify_opendkim(message, piece)
            self.same(f"opendkim: {theirs}, clean {clean}, we: {answer}", ours, theirs.startswith("pass"), message)
        if clean:
            self.same(f"ourselves: {answer}", ours, True, message)

    def round(self):
        r = self.messages.r
        message, names = self.messages.message()
        header, body = r.choice(CANONS), r.choice(CANONS)
        algorithm = r.choice(("rsa", "rsa", "ed25519"))
        length, signed_names = r.random() < 0.2, self.messages.signed_names(names)
        piece = r.choice((1, 7, 1000, 1 << 20))
        signer = r.choice((0, 2) if spaced(message) else (0, 1, 2))
        if signer == 0:
            field = self.bench.sign_ours(message, piece, algorithm, header, body, length, signed_names if r.random() < 0.8 else None)
        elif signer == 1:
            field = self.bench.sign_dkimpy(message, algorithm, header, body, length, signed_names)
        else:
            algorithm = "rsa"
            field = self.bench.sign_opendkim(message, piece, header, body)
        signed = field + message
        self.compare(signed, algorithm == "ed25519", True)
        changed = self.messages.changed(signed)
        if parsed_alike(changed):
            self.compare(changed, algorithm == "ed25519", False)


def differences(count, seed):
    bench = Bench()
    judge = Judge(bench, seed)
    try:
        for _ in range(count):
            judge.round()
    finally:
        bench.close()
    return judge


class DkimDifference(unittest.TestCase):
    def test_random_messages(self):
        judge = differences(300, 6376)
        self.assertGreater(judge.compared, 900)
        self.assertEqual(judge.differences[:3], [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=6376)
    options = parser.parse_args()
    judge = differences(options.count, options.seed)
    for what, ours, theirs, message in judge.differences[:5]:
        print(f"DIFFERENT {what}: we {ours}, they {theirs}\n{message[:3000]!r}\n")
    print(f"{judge.compared} comparisons of {options.count} messages, seed {options.seed}: {len(judge.differences)} differences")
    return 1 if judge.differences or judge.compared < 3 * options.count else 0  # most are asked of all three, twice


if __name__ == "__main__":
    sys.exit(main())
