"""One sending domain cannot make us ask DNS without end (THREATS D09): zones that give new names for each message, and who stands beside them."""
import email
import socket
import sys
import threading
import time
import unittest

from client import deliver, fetch_all, message, new_key, txt_strings
from nameserver import NameServer
from postern import Instance, wait_for

sys.path.append("/usr/lib/python3/dist-packages")
import dkim  # noqa: E402  (python3-dkim)

RATE = 80
SHARE = RATE // 4  # of one network
MESSAGES = 20
TERMS = " ".join(f"a:%{{l}}.{i}.x.evil.example" for i in range(9))


class Tap:
    """Between the resolver and the name server: the names that were asked for."""

    def __init__(self, port):
        self.names = []
        self.target = ("127.0.0.1", port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
            except OSError:
                return
            self.names.append(self._name(query))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(5)
                s.sendto(query, self.target)
                self.socket.sendto(s.recv(65535), client)

    @staticmethod
    def _name(query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("ascii").lower())
            at += 1 + query[at]
        return ".".join(labels)

    def count(self, ending):
        return len({name for name in list(self.names) if name.endswith(ending)})

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()


class DnsRateTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.key, public = new_key()
        key = txt_strings("v=DKIM1; k=rsa; p=" + public)
        zones = {
            # every name below x has an address that matches nobody, so each term is one question and none is void
            "evil.example": f'@ TXT "v=spf1 {TERMS} +all"\n*.x A 192.0.2.1\n',
            "keys.example": f'@ TXT "v=spf1 +all"\n*._domainkey TXT {key}\n',
            "names.example": '@ TXT "v=spf1 +all"\n_dmarc TXT "v=DMARC1; p=none"\n* A 192.0.2.1\n',
            "good.example": '@ TXT "v=spf1 ip4:127.0.0.1 -all"\n_dmarc TXT "v=DMARC1; p=reject"\n' + f"s._domainkey TXT {key}\n",
            "example": "",
        }
        cls.dns = cls.enterClassContext(NameServer(zones))
        cls.tap = cls.enterClassContext(Tap(cls.dns.port))
        cls.p = cls.enterClassContext(Instance(dns=cls.tap.address, settings=[
            "auth.local_networks=yes", "auth.iprev=no", f"auth.dns_rate={RATE}", "server.hostname=mx.example.test"]))

    def send(self, mark, number, author, sender, selector=None):
        data = message(f"{mark} {number}", sender=author)
        if selector:
            data = dkim.sign(data, selector.encode(), author.split("@")[1].encode(), self.key) + data
        code, lines = deliver(self.p.port("smtp"), data, sender=sender)
        return code, lines[-1]

    def results(self, mark, n):
        """Authentication-Results of all messages so marked, in the order of their numbers."""
        def found():
            mails = [email.message_from_bytes(raw) for raw in fetch_all(self.p)]
            mails = [m for m in mails if m["Subject"].startswith(mark + " ")]
            return mails if len(mails) == n else None
        mails = sorted(wait_for(found), key=lambda m: int(m["Subject"].split()[1]))
        return [" ".join(m["Authentication-Results"].split()) for m in mails]

    def honest_is_unharmed(self, mark):
        code, line = self.send(mark, 1, "ann@good.example", "ann@good.example", "s")
        self.assertEqual(code, 250, line)
        result = self.results(mark, 1)[0]
        for word in ("spf=pass", "dkim=pass", "dmarc=pass"):
            self.assertIn(word, result)

    def test_spf_macros(self):
        start = time.monotonic()
        for i in range(MESSAGES):
            self.assertEqual(self.send("macro", i, f"u{i}@evil.example", f"u{i}@evil.example")[0], 250)
        results = self.results("macro", MESSAGES)
        self.honest_is_unharmed("beside-macro")
        spent = time.monotonic() - start
        self.assertIn("spf=pass", results[0])
        self.assertLessEqual(self.tap.count(".x.evil.example"), SHARE + spent / 60 * SHARE)  # of the 180 of these messages
        late = [r for r in results if "spf=temperror" in r]
        self.assertEqual(len(late), sum("takes too many DNS questions a minute" in r for r in late))
        self.assertEqual(len(late) + sum("spf=pass" in r for r in results), MESSAGES)
        self.assertGreaterEqual(len(late), MESSAGES - 2 - spent / 60 * SHARE / 9)
        told = self.p.ctl("trace", "u19@evil.example").stdout
        self.assertIn("SPF of evil.example: temperror", told)
        self.assertIn("takes too many DNS questions a minute", told)
        self.assertIn("kost te veel DNS-vragen per minuut", self.p.ctl("trace", "u19@evil.example", "--language", "nl").stdout)

    def test_selectors(self):
        n = 2 * SHARE
        start = time.monotonic()
        for i in range(n):
            self.assertEqual(self.send("selector", i, "a@keys.example", "a@keys.example", f"s{i}")[0], 250)
        results = self.results("selector", n)
        self.honest_is_unharmed("beside-selector")
        spent = time.monotonic() - start
        self.assertIn("dkim=pass", results[0])
        self.assertLessEqual(self.tap.count("._domainkey.keys.example"), SHARE + spent / 60 * SHARE)
        self.assertIn('dkim=temperror reason="not asked, mail of its domain takes too many DNS questions a minute"', results[-1])

    def test_author_names(self):
        """A new subdomain in each From. What could not be looked up is put off, whatever the policy: nobody gets past DMARC by asking a lot."""
        replies = [self.send("author", i, f"a@r{i}.names.example", "b@keys.example") for i in range(2 * SHARE)]
        self.assertEqual(replies[0][0], 250)
        self.assertEqual(replies[-1][0], 451, replies[-1])
        self.assertIn("takes too many DNS questions a minute", replies[-1][1])
        self.assertEqual({code for code, line in replies}, {250, 451})
        self.honest_is_unharmed("beside-author")


if __name__ == "__main__":
    unittest.main()
