"""Who really sent this: SPF, DKIM and DMARC at port 25, from nsd's zones to the reply, the mailbox and the record."""
import email
import re
import sys
import unittest

from client import deliver, empty, fetch_all, message, new_key, submit, txt_strings, wait_message
from nameserver import NameServer
from postern import Instance, wait_for

sys.path.append("/usr/lib/python3/dist-packages")
import dkim  # noqa: E402  (python3-dkim)

ALICE = "alice@example.test"
NO = "v=spf1 -all"
YES = "v=spf1 ip4:127.0.0.1 -all"


def zone(spf, dmarc, key=None):
    records = f'@ TXT "{spf}"\nbounce TXT "{spf}"\n'
    if dmarc:
        records += f'_dmarc TXT "v=DMARC1; {dmarc}"\n'
    if key:
        records += f's._domainkey TXT {txt_strings("v=DKIM1; k=rsa; p=" + key)}\n'
    return records


def signed(data, domain, key):
    return dkim.sign(data, b"s", domain.encode(), key) + data


class AuthTest(unittest.TestCase):
    settings = ["auth.local_networks=yes", "auth.iprev=no", "auth.mailing_lists=list.example",
                "auth.trusted_sealers=sealer.example", "server.hostname=mx.example.test",
                "auth.dnsbl=bl.example=127.0.0.2:6 bl2.example:6 refused.example:50"]

    @classmethod
    def setUpClass(cls):
        cls.key, public = new_key()
        zones = {
            "good.example": zone(YES, "p=reject", public),
            "reject.example": zone(NO, "p=reject; sp=quarantine", public),
            "junk.example": zone(NO, "p=quarantine", public),
            "none.example": zone(NO, "p=none", public),
            "list.example": zone(YES, "p=none", public),
            "silent.example": zone(NO, ""),
            "open.example": zone("v=spf1 +all", "p=none", public),
            "wide.example": zone("v=spf1 include:open.example -all", "p=reject"),
            "sealer.example": zone(YES, "p=none", public),
            "liar.example": zone(YES, "p=none", public),
            "example": "",  # the tree walk ends there
            "bl.example": "1.0.0.127 A 127.0.0.2\n1.0.0.127 TXT \"we do not like it\"\n",
            "bl2.example": "2.0.0.127 A 127.0.0.2\n",
            "refused.example": "1.0.0.127 A 127.255.255.254\n",
        }
        cls.dns = cls.enterClassContext(NameServer(zones))
        cls.p = cls.enterClassContext(Instance(settings=cls.settings + ["auth.dnsbl_reject=1000"], dns=cls.dns.address))

    def setUp(self):
        for name in ("INBOX", "Junk"):
            empty(self.p, ALICE, name)

    def deliver(self, subject, author, sender=None, sign=None, headers="", p=None):
        data = message(subject, sender=author, headers=headers)
        if sign:
            data = signed(data, sign, self.key)
        code, lines = deliver((p or self.p).port("smtp"), data, sender=sender if sender is not None else author)
        return code, lines[-1]

    def arrives(self, name="INBOX"):
        raw = wait_for(lambda: fetch_all(self.p, ALICE, name))[0]
        return email.message_from_bytes(raw), raw

    def results(self, m):
        self.assertEqual(len(m.get_all("Authentication-Results")), 1)
        return self.results_of("mx.example.test", m)

    def results_of(self, host, m):
        first = " ".join(m.get_all("Authentication-Results")[0].split())
        self.assertTrue(first.startswith(host + ";"), first)
        return first

    def test_spf_vouches(self):
        self.assertEqual(self.deliver("spf", "ann@good.example")[0], 250)
        m, raw = self.arrives()
        r = self.results(m)
        self.assertIn("spf=pass", r)
        self.assertIn("smtp.mailfrom=ann@good.example", r)
        self.assertIn("dmarc=pass", r)
        self.assertIn("header.from=good.example", r)
        self.assertTrue(m["Received-SPF"].startswith("pass"))
        names = [line.split(b":")[0] for line in raw.split(b"\r\n\r\n")[0].split(b"\r\n") if not line.startswith((b" ", b"\t"))]
        at = names.index(b"Authentication-Results")
        self.assertEqual(names[at:at + 3], [b"Authentication-Results", b"Received-SPF", b"Received"])

    def test_dkim_vouches(self):
        self.assertEqual(self.deliver("dkim", "ann@reject.example", sender="x@silent.example", sign="reject.example")[0], 250)
        r = self.results(self.arrives()[0])
        self.assertIn("spf=fail", r)
        self.assertIn("dkim=pass header.d=reject.example header.s=s", r)
        self.assertIn("dmarc=pass", r)

    def test_reject(self):
        code, line = self.deliver("forged", "ann@reject.example", sender="x@good.example")
        self.assertEqual(code, 550)
        self.assertRegex(line, r"^550 5\.7\.1 DMARC: .*reject\.example.* \(id [0-9a-z]{10}\)$")
        ident = line[-11:-1]
        events = wait_for(lambda: self.p.events(ident))
        self.assertEqual([e["code"] for e in events], ["refused_message"])
        self.assertEqual(fetch_all(self.p), [])

    def test_signature_broken(self):
        data = signed(message("changed", sender="ann@reject.example"), "reject.example", self.key).replace(b"Hello", b"Hallo")
        code, lines = deliver(self.p.port("smtp"), data, sender="x@good.example")
        self.assertEqual(code, 550, lines)

    def test_subdomain_goes_to_junk(self):
        self.assertEqual(self.deliver("sub", "ann@bounce.reject.example", sender="x@good.example")[0], 250)
        self.arrives("Junk")

    def test_quarantine(self):
        self.assertEqual(self.deliver("junk", "ann@junk.example", sender="x@good.example")[0], 250)
        r = self.results(self.arrives("Junk")[0])
        self.assertIn("dmarc=fail (p=quarantine dis=junk)", r)

    def test_none(self):
        self.assertEqual(self.deliver("none", "ann@none.example", sender="x@good.example")[0], 250)
        self.assertIn("dmarc=fail (p=none dis=accept)", self.results(self.arrives()[0]))

    def test_spf_alone_never_refuses(self):
        self.assertEqual(self.deliver("hard fail", "ann@silent.example")[0], 250)
        r = self.results(self.arrives()[0])
        self.assertIn("spf=fail", r)
        self.assertIn("dmarc=none", r)

    def test_spf_that_lets_everybody_in(self):
        """D10: DMARC passes, as its RFC has it, but a record that names everybody is no proof: Junk, unless a signature is."""
        for domain in ("open.example", "wide.example"):
            with self.subTest(domain=domain):
                code, line = self.deliver(f"of {domain}", f"ann@{domain}")
                self.assertEqual(code, 250)
                raw = wait_message(self.p, f"of {domain}", name="Junk")
                self.assertIn("dmarc=pass", self.results(email.message_from_bytes(raw)))
                why = self.p.ctl("why", re.search(r"taken as (\w+)", line)[1]).stdout
                self.assertIn("lets nearly everybody send", why)
        self.assertEqual(self.deliver("open, signed", "ann@open.example", sign="open.example")[0], 250)
        self.assertIn("dkim=pass", self.results(self.arrives()[0]))

    def test_null_sender(self):
        self.assertEqual(self.deliver("bounce", "ann@none.example", sender="")[0], 250)
        self.assertIn("smtp.helo=test.invalid", self.results(self.arrives()[0]))

    def test_list_is_known(self):
        self.assertEqual(self.deliver("list", "ann@reject.example", sender="bounces@list.example")[0], 250)
        self.assertIn("mailing list", self.results(self.arrives()[0]))

    def seal(self, domain, saw="dmarc=pass header.from=reject.example", change=False):
        """What a forwarder hands on: it saw the mail in order, changed it, and sealed it."""
        data = f"Authentication-Results: mx.{domain}; {saw}\r\n".encode() + message("sealed", sender="ann@reject.example")
        data = b"".join(dkim.arc_sign(data, b"s", domain.encode(), self.key, f"mx.{domain}".encode())) + data
        if change:
            data = data.replace(b"Hello", b"Hallo")
        code, lines = deliver(self.p.port("smtp"), data, sender=f"fwd@{domain}")
        return code, lines[-1]

    def test_trusted_sealer(self):
        self.assertEqual(self.seal("sealer.example")[0], 250)
        r = self.results_of("mx.example.test", self.arrives()[0])
        self.assertIn("arc=pass", r)
        self.assertIn("dmarc=fail (p=reject dis=accept)", r)
        self.assertIn("trusted sealer sealer.example", r)

    def test_arc_alone_changes_nothing(self):
        for how in ({"domain": "liar.example"}, {"domain": "sealer.example", "saw": "dmarc=fail header.from=reject.example"},
                    {"domain": "sealer.example", "saw": "dmarc=pass header.from=good.example"},
                    {"domain": "sealer.example", "change": True}):
            with self.subTest(how):
                code, line = self.seal(**how)
                self.assertEqual(code, 550, line)

    def test_two_from_fields(self):
        code, line = self.deliver("two", "ann@good.example", headers="From: bob@reject.example\r\n")
        self.assertEqual(code, 550, line)
        self.assertIn("more than one From", line)

    def test_forged_results_go(self):
        forged = ("Authentication-Results: mx.example.test; dmarc=pass\r\nAUTHENTICATION-RESULTS :\r\n (c) MX.Example.Test\r\n 1; x=y\r\n"
                  "Received-SPF: pass (mx.example.test: x) receiver=mx.example.test\r\nReturn-Path: <evil@x.test>\r\n"
                  "X-Postern-Junk: no\r\n")
        kept = "Authentication-Results: other.example; dmarc=pass\r\n"
        self.assertEqual(self.deliver("forged fields", "ann@good.example", headers=forged + kept)[0], 250)
        m, raw = self.arrives()
        fields = m.get_all("Authentication-Results")
        self.assertEqual(len(fields), 2)
        self.assertIn("other.example", fields[1])
        self.assertEqual(len(m.get_all("Received-SPF")), 1)
        self.assertNotIn(b"evil@x.test", raw)
        self.assertNotIn(b"X-Postern-Junk", raw)

    def test_our_own_people_write_no_results(self):
        forged = ("Authentication-Results: mx.example.test; dmarc=pass\r\nAUTHENTICATION-RESULTS :\r\n (c) MX.Example.Test\r\n 1; x=y\r\n"
                  "Authentication-Results: \"mx.example.test\"; dmarc=pass\r\nX-Postern-Junk: no\r\n")
        kept = ("Authentication-Results: other.example; dmarc=pass\r\nARC-Authentication-Results: i=1; mx.example.test; dmarc=pass\r\n"
                "X-Authentication-Results: mx.example.test; dmarc=pass\r\n")
        submit(self.p, message("from ourselves", sender=ALICE, to=ALICE, headers=forged + kept), [ALICE])
        m, raw = self.arrives()
        self.assertEqual(m.get_all("Authentication-Results"), ["other.example; dmarc=pass"])
        self.assertEqual(len(m.get_all("ARC-Authentication-Results")) + len(m.get_all("X-Authentication-Results")), 2)
        self.assertNotIn(b"X-Postern-Junk", raw)
        self.assertEqual([len(m.get_all(name)) for name in ("From", "Date", "Message-ID")], [1, 1, 1])

    def test_large(self):
        data = signed(message("large", sender="ann@reject.example", body=("0123456789" * 7 + "\r\n") * 20000), "reject.example", self.key)
        code, lines = deliver(self.p.port("smtp"), data, sender="x@good.example")
        self.assertEqual(code, 250, lines)
        m, raw = self.arrives()
        self.assertIn("dkim=pass", self.results(m))
        self.assertTrue(raw.endswith(data))

    def test_lists_of_addresses(self):
        settings = self.settings + ["auth.dnsbl_reject=6"]
        with Instance(settings=settings, dns=self.dns.address) as p:
            code, line = self.deliver("listed", "ann@good.example", p=p)
            self.assertEqual(code, 550)
            self.assertIn("listed by bl.example: we do not like it", line)
        with Instance(settings=settings + ["auth.dnsbl_temporary=yes"], dns=self.dns.address) as p:
            code, line = self.deliver("listed for now", "ann@good.example", p=p)
            self.assertEqual(code, 451)
            self.assertIn("4.7.1 your address 127.0.0.1 is listed by bl.example", line)
            ident = re.search(r"\(id (\w+)\)", line)[1]
            wait_for(lambda: "Put off on" in p.ctl("why", ident, check=False).stdout)
        settings = self.settings + ["auth.dnsbl_reject=7"]
        with Instance(settings=settings, dns=self.dns.address) as p:
            self.assertEqual(self.deliver("half", "ann@good.example", p=p)[0], 250)
            wait_for(lambda: fetch_all(p, ALICE, "Junk"))

    def test_no_resolver(self):
        """What cannot be asked is temperror, and mail is taken."""
        with Instance(settings=["auth.local_networks=yes", "auth.dmarc_reject=yes"]) as p:
            code, line = self.deliver("nobody answers", "ann@reject.example", sender="x@good.example", p=p)
            self.assertEqual(code, 250, line)

    def test_not_asked_about_loopback(self):
        with Instance(dns=self.dns.address) as p:
            self.assertEqual(self.deliver("local", "ann@reject.example", sender="x@good.example", p=p)[0], 250)


if __name__ == "__main__":
    unittest.main()
