"""`postern spf`, `auth` and `header`: what people ask about a mail that they have before them. No system runs; no root is needed."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from client import message, new_key, txt_strings
from nameserver import NameServer
from postern import BINARY

sys.path.append("/usr/lib/python3/dist-packages")
import dkim  # noqa: E402  (python3-dkim)

NOBODY = 65534
FROM = ("--ip=192.0.2.1", "--helo=mx.good.example", "--mail-from=ann@good.example")

WAY = """Received: from in.other.example (in.other.example [192.0.2.4]) by mx.example.test (Postern) with ESMTPS id x; Sun, 22 Nov 2026 06:00:10 +0000
Authentication-Results: mx.example.test; spf=pass smtp.mailfrom=a@b.example; dmarc=fail header.from=b.example
Received: from relay.b.example (relay.b.example [192.0.2.4])
\tby in.other.example (Postfix) with ESMTPS id 123; Sun, 22 Nov 2026 06:00:30 +0000
Authentication-Results: in.other.example; dkim=pass header.d=claimed.example
Received: from laptop by relay.b.example with SMTP; Sun, 22 Nov 2026 05:50:00 +0000
From: a@b.example
Subject: x

body
"""


class JudgeCommandsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.key, public = new_key()
        records = ('@ TXT "v=spf1 ip4:192.0.2.1 exp=why.good.example -all"\nwhy TXT "%{i} is none of ours"\n_dmarc TXT "v=DMARC1; p=reject"\n'
                   f's._domainkey TXT {txt_strings("v=DKIM1; k=rsa; p=" + public)}\n')
        text = '@ TXT "v=spf1 a:x.{} -all"\nx A 127.0.0.2\n'
        cls.dns = cls.enterClassContext(NameServer({"good.example": records, "signed.example": text.format("signed.example"),
                                                    "bogus.example": text.format("bogus.example"), "example": ""},
                                                   signed=["signed.example"], bogus=["bogus.example"]))
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-judge-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.folder.chmod(0o755)
        cls.binary = cls.folder / "postern"
        shutil.copy(BINARY, cls.binary)
        cls.anchor = cls.folder / "anchor"
        shutil.copy(cls.dns.anchor, cls.anchor)

    def run_it(self, *words, stdin=None):
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.run([self.binary, *words], input=stdin, capture_output=True, timeout=60, check=False, cwd=self.folder, **user)

    def ask(self, *words, stdin=None):
        got = self.run_it(*words, "--json", stdin=stdin)
        self.assertTrue(got.stdout, got)
        return json.loads(got.stdout), got.returncode

    def dns_is(self):
        return f"--dns={self.dns.address}"

    def signed(self):
        data = message("judged", sender="ann@good.example")
        return dkim.sign(data, b"s", b"good.example", self.key) + data

    # --- spf

    def test_spf(self):
        found, status = self.ask("spf", *FROM, self.dns_is())
        self.assertEqual((status, found["result"], found["identity"], found["domain"]), (0, "pass", "mailfrom", "good.example"))
        self.assertEqual([(a["name"], a["type"]) for a in found["lookups"]], [("good.example", "TXT")])
        found, status = self.ask("spf", "--ip=192.0.2.9", *FROM[1:], self.dns_is())
        self.assertEqual((found["result"], found["explanation"]), ("fail", "192.0.2.9 is none of ours"))
        self.assertEqual(self.ask("spf", "--ip=2001:db8::1", "--helo=good.example", self.dns_is())[0]["identity"], "helo")
        self.assertEqual(self.run_it("spf", "--ip=banana", *FROM[1:], self.dns_is()).returncode, 2)

    def test_trust_anchor(self):
        """One record of bogus.example was changed after signing: without an anchor nobody knows."""
        for domain, client, believed in (("signed.example", "127.0.0.2", "pass"), ("bogus.example", "127.0.0.3", "temperror")):
            words = ("spf", f"--ip={client}", f"--mail-from=a@{domain}", self.dns_is())
            self.assertEqual(self.ask(*words)[0]["result"], "pass")
            self.assertEqual(self.ask(*words, f"--trust-anchor={self.anchor}")[0]["result"], believed)
        self.assertNotEqual(self.run_it(*words, "--trust-anchor=/nowhere").returncode, 0)

    # --- auth

    def test_auth_passes(self):
        found, status = self.ask("auth", *FROM, self.dns_is(), stdin=self.signed())
        self.assertEqual(status, 0)
        self.assertEqual((found["spf"]["result"], found["dkim"][0]["result"], found["dmarc"]["result"]), ("pass", "pass", "pass"))
        self.assertEqual((found["dkim"][0]["domain"], found["dkim"][0]["selector"], found["arc"]["result"]), ("good.example", "s", "none"))
        self.assertTrue(found["dmarc"]["spf_aligned"] and found["dmarc"]["dkim_aligned"])
        asked = {(a["name"], a["type"]) for a in found["asked"]}
        self.assertLessEqual({("good.example", "TXT"), ("s._domainkey.good.example", "TXT"), ("_dmarc.good.example", "TXT")}, asked)
        told = self.run_it("auth", *FROM, self.dns_is(), stdin=self.signed())
        self.assertEqual(told.returncode, 0)
        for word in (b"spf", b"dkim", b"arc", b"dmarc", b"good.example"):
            self.assertIn(word, told.stdout.lower())

    def test_auth_fails(self):
        changed = self.signed().replace(b"Hello", b"Hallo")
        found, status = self.ask("auth", "--ip=192.0.2.9", *FROM[1:], self.dns_is(), stdin=changed)
        self.assertEqual(status, 1)
        self.assertEqual((found["spf"]["result"], found["dkim"][0]["result"], found["dmarc"]["result"]), ("fail", "fail", "fail"))
        self.assertEqual(found["dkim"][0]["reason"], "the body was changed after it was signed")
        self.assertEqual((found["dmarc"]["policy"], found["dmarc"]["disposition"]), ("reject", "refuse"))

    def test_auth_time(self):
        """A signature is judged by the clock that --time says."""
        found, status = self.ask("auth", *FROM, self.dns_is(), "--time=2000-01-01T00:00:00Z", stdin=self.signed())
        self.assertEqual(found["dkim"][0]["reason"], "the signature was made in the future")
        self.assertEqual(status, 0)  # SPF vouches
        self.assertEqual(self.run_it("auth", *FROM, self.dns_is(), "--time=yesterday", stdin=self.signed()).returncode, 2)

    # --- header

    def test_header(self):
        (self.folder / "mail").write_text(WAY)
        (self.folder / "mail").chmod(0o644)
        hops, status = self.ask("header", "mail", "--hostname=mx.example.test")
        self.assertEqual(status, 0)
        self.assertEqual([(h["from"], h["by"], h["tls"], h["delay"], h["written"]) for h in hops], [
            ("laptop", "relay.b.example", "no", "-", "claimed"),
            ("relay.b.example", "in.other.example", "yes", "630 s", "claimed"),
            ("in.other.example", "mx.example.test", "yes", "-20 s (a clock is wrong)", "here")])
        told = self.run_it("header", "mail", "--hostname=mx.example.test").stdout.decode()
        ours, theirs = told.split("in.other.example claims to have found")
        self.assertIn("spf: pass - may this client send for the sender's domain", ours)
        self.assertIn("dmarc: fail", ours)
        self.assertIn("header.d = claimed.example", theirs)
        stranger = self.run_it("header", "mail", "--hostname=elsewhere.test").stdout.decode()
        self.assertIn("mx.example.test claims to have found (nobody here has checked)", stranger)


if __name__ == "__main__":
    unittest.main()
