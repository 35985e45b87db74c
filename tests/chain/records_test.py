"""`postern dns records`: a zone that nsd takes, with all that the domain's mail needs, the same as name/value pairs."""
import hashlib
import json
import os
import re
import ssl
import subprocess
import unittest

from nameserver import NameServer
from postern import BINARY, PATIENCE, Instance

HEAD = """$ORIGIN example.test.
@ 3600 IN SOA ns.example.test. hostmaster.example.test. 1 3600 600 86400 600
@ 3600 IN NS ns.example.test.
ns 3600 IN A 192.0.2.53
mail 3600 IN A 192.0.2.25
"""


class RecordsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = cls.enterClassContext(Instance())
        cls.p.ctl("dkim", "new", "example.test")
        cls.p.ctl("dkim", "rotate", "example.test")
        cls.p.ctl("dkim", "new", "example.test")

    def ask(self, *options, last=""):
        more = 'hostname = "mail.example.test"\n[listen]\nimap = []\n' + "".join(
            f'{s} = ["127.0.0.1:{self.p.port(s)}"]\n' for s in ("smtp", "submissions", "submission", "imaps")) + last
        return self.p.ctl("dns", "records", "example.test", *options, more=more).stdout

    def records(self, *options, last=""):
        return json.loads(self.ask("--json", *options, last=last))

    def reports_go(self, last):
        found = {r["name"]: r["value"] for r in self.records(last=last)}
        return [re.search("rua=mailto:(.*)@example.test", found[n + ".example.test"])[1] for n in ("_dmarc", "_smtp._tls")]

    def test_reports_go_where_they_are_read(self):
        self.assertEqual(self.reports_go(""), ["dmarc", "tlsrpt"])
        self.assertEqual(self.reports_go('[reports]\naddresses = ["dmarc@example.test", "tlsrpt@other.test"]\n'), ["dmarc", "postmaster"])

    def test_nsd_takes_the_zone(self):
        zone = os.path.join(self.p.folder, "zone")
        with open(zone, "w", encoding="ascii") as f:
            f.write(HEAD + self.ask("--tlsa"))
        told = subprocess.run(["/usr/sbin/nsd-checkzone", "example.test", zone], capture_output=True, text=True, check=False)
        self.assertIn("zone example.test is ok", told.stdout + told.stderr)

    def test_all_of_them(self):
        found = {(r["name"], r["type"]): r["value"] for r in self.records()}
        self.assertEqual(found["example.test", "MX"], "10 mail.example.test.")
        self.assertEqual(found["example.test", "TXT"], "v=spf1 mx -all")
        self.assertEqual(found["mail.example.test", "TXT"], "v=spf1 a -all")
        self.assertTrue(found["_smtp._tls.example.test", "TXT"].startswith("v=TLSRPTv1; rua="))
        keys = [v for (n, _), v in found.items() if n.endswith("._domainkey.example.test")]
        self.assertEqual(len(keys), 4)  # two active, two published
        for service in ("submissions", "submission", "imaps"):
            priority, weight, port, host = found[f"_{service}._tcp.example.test", "SRV"].split()
            self.assertEqual((int(port), host), (self.p.port(service), "mail.example.test."))
            self.assertEqual((priority, weight), ("0" if service.endswith("s") else "10", "1"))
        self.assertEqual(found["_imap._tcp.example.test", "SRV"], "0 0 0 .")  # RFC 6186 3.4: none of that here
        self.assertFalse(any(t == "TLSA" for _, t in found))

    def test_a_smarthost_sends_for_us(self):
        """From addresses that only its owner knows: "-all" would have our own mail refused."""
        smarthost = '[relay]\nsmarthost = "smtp.provider.example:465"\n'
        found = {r["name"]: r["value"] for r in self.records(last=smarthost) if r["type"] == "TXT"}
        self.assertEqual((found["example.test"], found["mail.example.test"]), ("v=spf1 mx ~all", "v=spf1 a ~all"))
        self.assertIn('; What leaves here goes through smtp.provider.example:465', self.ask(last=smarthost))

    def test_zone_and_pairs_say_the_same(self):
        lines = [l for l in self.ask().splitlines() if not l.startswith(";")]
        pairs = self.records()
        self.assertEqual(len(lines), len(pairs))
        for line, r in zip(lines, pairs):
            name, _, _, kind, value = line.split(None, 4)
            if kind == "TXT":
                value = "".join(re.findall(r'"([^"]*)"', value))
            self.assertEqual((name, kind, value), (r["name"] + ".", r["type"], r["value"]))

    def test_what_is_left_out_is_said(self):
        said = self.ask()
        for word in ("; MTA-STS is left out", "PTR record to mail.example.test"):
            self.assertIn(word, said)

    def test_tlsa_is_of_the_certificate_that_is_shown(self):
        tlsa = [r["value"] for r in self.records("--tlsa") if r["type"] == "TLSA"]
        shown = ssl.get_server_certificate(("127.0.0.1", self.p.port("imaps")))
        key = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=shown.encode(), capture_output=True, check=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
        self.assertEqual(tlsa, ["3 1 1 " + hashlib.sha256(der).hexdigest()])


class CheckTest(unittest.TestCase):
    """`postern dns check`: what is published, looked at by its owner."""

    @classmethod
    def setUpClass(cls):
        cls.dns = cls.enterClassContext(NameServer({
            "good.example": '@ TXT "v=spf1 mx -all"\n@ MX 10 mail\nmail A 192.0.2.1\n',
            "open.example": '@ TXT "v=spf1 mx +all"\n@ MX 10 mail\nmail A 192.0.2.1\n',
            "vague.example": '@ TXT "v=spf1 ip4:192.0.2.1 ?all"\n',
            "wide.example": '@ TXT "v=spf1 ip4:10.0.0.0/8 -all"\n',
            "shared.example": '@ TXT "v=spf1 ip4:192.0.2.1 include:cloud.example -all"\n',
            "cloud.example": '@ TXT "v=spf1 ip4:10.0.0.0/9 ip4:11.0.0.0/9 -all"\n',
            "costly.example": '@ TXT "v=spf1 ' + " ".join(f"a:h{i}.costly.example" for i in range(11)) + ' -all"\n'
                              + "".join(f"h{i} A 192.0.2.{i}\n" for i in range(11)),
        }))

    def check(self, domain, *options):
        return subprocess.run([BINARY, "dns", "check", domain, "--dns", self.dns.address, *options], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)

    def test_warnings(self):
        for domain, code, sentence in (
                ("open.example", "everybody", '"+all" in the record of open.example lets everybody send in this name'),
                ("vague.example", "no_end", "nobody is forbidden to send in this name"),
                ("wide.example", "wide", "IPv4: 16777216"),
                ("shared.example", "shared", "include:cloud.example lets in many addresses that others use as well"),
                ("costly.example", "lookups", "it takes 11 terms that ask DNS, and 10 are allowed"),
                ("mail.good.example", "none", "mail.good.example has no SPF record")):
            with self.subTest(domain):
                told = self.check(domain)
                self.assertEqual(told.returncode, 3, told)
                self.assertRegex(told.stdout, f"WARNING .*{re.escape(sentence)}")
                found = json.loads(self.check(domain, "--json").stdout)
                self.assertEqual([w["code"] for w in found["warnings"]], [code])
                self.assertIn(sentence, found["warnings"][0]["text"])

    def test_numbers(self):
        found = json.loads(self.check("shared.example", "--json").stdout)
        self.assertEqual((found["domain"], found["ipv4"], found["ipv6_64"], found["lookups"]), ("shared.example", 16777217, 0, 1))
        self.assertEqual(found["parts"], [{"term": "", "ipv4": 1, "ipv6_64": 0}, {"term": "include:cloud.example", "ipv4": 16777216, "ipv6_64": 0}])

    def test_good(self):
        told = self.check("good.example")
        self.assertEqual(told.returncode, 0, told)
        self.assertIn("no warnings", told.stdout)
        self.assertIn("1 of 10", told.stdout)


if __name__ == "__main__":
    unittest.main()
