"""The forgeries of verdict/spoof_test.c (THREATS D01, D02) by SMTP, each with its fields in both orders, to a mailbox where what a person sees is
read with IMAP ENVELOPE: the address that is shown is the one that was judged, and no forged one passes DMARC or lies in the inbox."""
import ast
import email
import pathlib
import re
import unittest

from client import Wire, mailbox
from nameserver import NameServer
from postern import Instance, wait_for

ALICE = "alice@example.test"
SOURCE = pathlib.Path(__file__).resolve().parents[2] / "src" / "verdict" / "spoof_test.c"
SHOWN = "legitimate.example"
STRING = r'"(?:[^"\\]|\\.)*"'


def text_of(literals):
    """C strings beside each other, as bytes."""
    return b"".join(ast.literal_eval("b" + s) if s.isascii() else ast.literal_eval(s).encode() for s in re.findall(STRING, literals))


def forgeries(name):
    """The rows of a table: sender, HELO, fields, more fields."""
    code = SOURCE.read_text(encoding="utf-8")
    macros = dict(re.findall(rf"^#define (\w+) ({STRING})$", code, flags=re.M))
    table = re.sub(r"/\*.*?\*/", "", re.search(rf"{name}\[\] = \{{(.*?)\n\}};", code, flags=re.S)[1], flags=re.S)
    for macro, value in macros.items():
        table = re.sub(rf"\b{macro}\b", lambda m, value=value: value, table)
    strings = rf"(?:{STRING}\s*)+"
    rows = re.findall(rf"\{{\s*({strings}),\s*({strings}),\s*({strings}),\s*({strings})\}}", table)
    return [tuple(text_of(part) for part in row) for row in rows]


class SpoofTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        zones = {
            "legitimate.example": '@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=reject"\n',
            "attack.example": '@ TXT "v=spf1 +all"\nany TXT "v=spf1 +all"\n_dmarc TXT "v=DMARC1; p=none"\n',
            "xn--legitimte-66g.example": '_dmarc TXT "v=DMARC1; p=none"\n',
            "list.example": '@ TXT "v=spf1 +all"\n',
            "example": "",
        }
        cls.dns = cls.enterClassContext(NameServer(zones))
        # What would be refused goes to Junk, so that it can be looked at.
        cls.p = cls.enterClassContext(Instance(dns=cls.dns.address, settings=[
            "auth.local_networks=yes", "auth.iprev=no", "auth.dmarc_reject=no", "server.hostname=mx.example.test"]))

    def send(self, wire, sender, data):
        """Whether it was taken; the sender is one that may send when the trick in it is refused."""
        wire.expect(250, "RSET")
        wire.send(b"MAIL FROM:" + sender + b"\r\n")
        if wire.reply()[0] != 250:
            wire.expect(250, "MAIL FROM:<any@attack.example>")
        wire.expect(250, f"RCPT TO:<{ALICE}>")
        wire.expect(354, "DATA")
        wire.send(data + b"\r\n.\r\n")
        code, lines = wire.reply()
        self.assertIn(code, (250, 550, 554), lines)
        return code == 250

    def shown(self, client, number):
        """The hosts of From as ENVELOPE has them, in lower case, and the message."""
        answer = client.fetch(str(number), "(ENVELOPE)")[1]
        # What is not ASCII comes as a literal: {8}CRLF and the bytes.
        text = b"".join(re.sub(rb"\{\d+\}$", b"", item[0]) + b'"' + item[1] + b'"' if isinstance(item, tuple) else item for item in answer)
        string = rb'(?:NIL|"(?:[^"\\]|\\.)*")'
        author = re.search(rb"ENVELOPE \(" + string + b" " + string + rb" (NIL|\((?:\(" + b" ".join([string] * 4) + rb"\))+\)) ", text)
        self.assertIsNotNone(author, text)
        hosts = re.findall(string + rb" " + string + b" " + string + b" (" + string + rb")\)", author[1])
        hosts = [host.strip(b'"').decode("utf-8", "replace").lower().rstrip(".") for host in hosts if host != b"NIL"]
        return hosts, client.fetch(str(number), "(BODY.PEEK[])")[1][0][1]

    def run_all(self, table, count):
        rows = forgeries(table)
        self.assertEqual(len(rows), count)
        taken = 0
        with Wire(self.p.port("smtp")) as wire:
            wire.expect(220)
            wire.expect(250, "EHLO x")
            for number, (sender, helo, one, two) in enumerate(rows):
                wire.expect(250, f"EHLO {helo.decode()}")
                for order, fields in enumerate((one + two, two + one)):
                    taken += self.send(wire, sender, fields + f"Subject: x\r\n\r\nmark {table} {number}.{order}".encode())
        return taken

    def looked_at(self, name, table):
        """(hosts shown, header.from, the word for DMARC, which one) of each message there."""
        with mailbox(self.p, ALICE, name, readonly=True) as client:
            total = int(client.select(name, readonly=True)[1][0])
            for number in range(1, total + 1):
                hosts, raw = self.shown(client, number)
                mark = re.search(rf"mark {table} \S+".encode(), raw)
                if not mark:
                    continue
                header = email.message_from_bytes(raw)
                results = " ".join(header.get_all("Authentication-Results")[0].split())
                author = re.search(r"header\.from=([^ ;]+)", results)
                yield hosts, author and author[1].strip('"').lower(), re.search(r"dmarc=(\w+)", results)[1], mark[0].decode()

    def check(self, table, count):
        taken = self.run_all(table, count)
        self.assertGreater(taken, count)  # of twice as many: there is something to look at

        def arrived():
            found = {name: list(self.looked_at(name, table)) for name in ("INBOX", "Junk")}
            return found if sum(map(len, found.values())) == taken else None
        found = wait_for(arrived)
        judged = [mail for mails in found.values() for mail in mails if mail[1]]
        self.assertGreaterEqual(len(judged), count)  # DMARC named an author in half of them at least
        self.assertGreater(sum(SHOWN in hosts for hosts, *_ in judged), count // 2)
        for name, mails in found.items():
            for hosts, author, dmarc, mark in mails:
                with self.subTest(mark):
                    if author:
                        self.assertIn(author, [host.encode("idna").decode() if not host.isascii() else host for host in hosts])
                    if SHOWN in hosts:
                        self.assertEqual(name, "Junk")
                        self.assertNotEqual(dmarc, "pass")

    def test_composition(self):
        self.check("composition", 22)

    def test_weak_links(self):
        self.check("weak_links", 14)


if __name__ == "__main__":
    unittest.main()
