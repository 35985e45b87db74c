"""Mail of our own people leaves with DKIM signatures that Debian's python3-dkim accepts; a domain without keys sends unsigned."""
import json
import re
import subprocess
import unittest

import client
from postern import Instance

CHECK = """
import sys, dkim
from dkim.dnsplug import get_txt
records = dict(line.split(' ', 1) for line in open(sys.argv[1]).read().splitlines())
message = sys.stdin.buffer.read()
d = dkim.DKIM(message)
count = sum(1 for n, v in d.headers if n.lower() == b'dkim-signature')
for i in range(count):
    d = dkim.DKIM(message)
    print(d.verify(idx=i, dnsfunc=lambda name, timeout=5: records[name.decode().rstrip('.')].encode()))
"""


class SigningTest(unittest.TestCase):
    @staticmethod
    def records_of(p, domain):
        """A file of name and value of each DKIM record that the domain is to publish."""
        records = p.folder + "/records"
        with open(records, "w", encoding="ascii") as f:
            for r in json.loads(p.ctl("dns", "records", domain, "--json").stdout):
                if "._domainkey." in r["name"]:
                    f.write(f"{r['name'].rstrip('.')} {r['value']}\n")
        return records

    @staticmethod
    def verify(records, raw):
        return subprocess.run(["/usr/bin/python3", "-c", CHECK, records], input=raw, capture_output=True, check=True).stdout.split()

    def test_signed_twice_and_verified(self):
        with Instance(domains=["example.test", "plain.test"],
                      users={"alice@example.test": "alice", "bob@example.test": "bob", "pat@plain.test": "pat"}) as p:
            p.ctl("dkim", "new", "example.test")
            p.ctl("dkim", "rotate", "example.test")
            listed = p.ctl("dkim", "list", "example.test", "--json").stdout
            keys = json.loads(listed)
            self.assertEqual(sorted(k["algorithm"] for k in keys), ["ed25519-sha256", "rsa-sha256"])
            records = self.records_of(p, "example.test")
            for number, body in enumerate(("short\r\n", "", "long line " * 90 + "\r\n.dot\r\n" * 30, "x\r\n" * 400000)):
                message = f"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: signed {number}\r\n\r\n{body}"
                client.submit(p, message.encode(), ["bob@example.test"])
                raw = client.wait_message(p, f"Subject: signed {number}\r\n", "bob@example.test")
                self.assertEqual(len(re.findall(rb"(?m)^DKIM-Signature:", raw)), 2)
                self.assertEqual(self.verify(records, raw), [b"True", b"True"], raw[:3000])
            client.submit(p, b"From: pat@plain.test\r\nSubject: unsigned\r\n\r\nx\r\n", ["bob@example.test"], sender="pat@plain.test")
            self.assertNotIn(b"DKIM-Signature", client.wait_message(p, "Subject: unsigned", "bob@example.test"))

    def test_a_report_is_signed_by_our_domain_around_the_host(self):
        """The host is mail.example.test: what its mailer-daemon writes is signed by example.test, by a permit that came with the job."""
        with Instance(domains=["example.test"], users={"alice@example.test": "alice"}) as p:
            p.ctl("dkim", "new", "example.test")
            p.ctl("dkim", "rotate", "example.test")
            records = self.records_of(p, "example.test")
            client.submit(p, b"From: alice@example.test\r\nSubject: to nowhere\r\n\r\nx\r\n", ["x@nowhere.invalid"],
                          sender="alice@example.test")
            raw = client.wait_message(p, "From: Mail Delivery System", "alice@example.test")
            self.assertEqual(re.findall(rb"\bd=([a-z.]+);", raw.partition(b"\r\n\r\n")[0]), [b"example.test"] * 2)
            self.assertEqual(self.verify(records, raw), [b"True", b"True"], raw[:3000])


if __name__ == "__main__":
    unittest.main()
