"""Reports that others send us: from port 25, unpacked and read in mda, kept by the office, shown by the command line beside our own log."""
import gzip
import json
import pathlib
import subprocess
import time
import unittest
import zlib

import reports
from client import deliver, fetch_all, message, submit, wait_message
from nameserver import NameServer
from postern import PATIENCE, Instance, wait_for
from sink import Sink

ALICE = "alice@example.test"
OURS = "192.0.2.10"


class Reports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dns = cls.enterClassContext(NameServer({
            "reporter.example": '@ TXT "v=spf1 ip4:127.0.0.1 -all"\n_dmarc TXT "v=DMARC1; p=reject"\n',
            "forged.example": '@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=none"\n',
            "silent.example": '@ TXT "v=spf1 ip4:127.0.0.1 -all"\n', "example": ""}))
        cls.sink = Sink("127.0.0.2", 0)
        cls.p = cls.enterClassContext(Instance(
            settings=["auth.local_networks=yes", "auth.iprev=no", "server.hostname=mx.example.test", "relay.smarthost_tls=may"],
            options=[f"--smarthost=127.0.0.2:{cls.sink.port}"], dns=cls.dns.address))
        cls.config = pathlib.Path(cls.p.folder) / "reports.conf"
        cls.config.write_text(f'[server]\ndata = "{cls.p.folder}"\n[reports]\nown_addresses = ["{OURS}"]\n')

    def ctl(self, *words):
        result = subprocess.run([self.p.binary, *words, "--json", f"--config={self.config}"], capture_output=True, text=True, timeout=PATIENCE,
                                check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return json.loads(result.stdout)

    def send(self, data, sender="noreply@reporter.example", to="dmarc@example.test"):
        code, lines = deliver(self.p.port("smtp"), data, sender=sender, recipients=[to])
        self.assertEqual(code, 250, lines)

    def listed(self, *words, **wanted):
        """The one entry of a list whose members are these, as soon as it is there."""
        def look():
            found = [r for r in self.ctl(*words) if all(r[k] == v for k, v in wanted.items())]
            self.assertLess(len(found), 2)
            return found
        return wait_for(look)[0]

    def event(self, word, code):
        """The sentence of the first such event of the message that the word finds."""
        def look():
            return [json.dumps(e) for e in self.p.events(word) if e["code"] == code]
        return wait_for(look)[0]

    def test_styles_of_reporters(self):
        one = reports.row("198.51.100.7", 3)
        new = ("<generator>Gen 1</generator>", "<discovery_method>treewalk</discovery_method><p>reject</p><sp>reject</sp><np>reject</np>"
               "<testing>y</testing>")
        styles = [  # org, what differs in the file, the mail
            ("google.com", {}, lambda x: (reports.zipped(x), dict(subtype="zip", name="google.com!example.test!1!2.zip", alone=True))),
            ("Yahoo", {}, lambda x: (reports.gz(x), dict(subtype="gzip", name="yahoo.com!example.test!1!2.xml.gz"))),
            ("Enterprise Outlook", {"head": '<?xml version="1.0"?>', "root": 'feedback xmlns:xsd="http://www.w3.org/2001/XMLSchema"'},
             lambda x: (reports.gz(x), dict(subtype="octet-stream", name="enterprise!example.test!1!2.xml.gz"))),
            ("AOL", {"head": '<?xml version="1.0" encoding="windows-1252"?>', "root": "ns1:feedback xmlns:ns1='http://dmarc.org/dmarc-xml/0.1'",
                     "root_end": "ns1:feedback"}, lambda x: (reports.gz(x), dict(subtype="x-gzip", name="r.gz"))),
            ("Mail.Ru", {}, lambda x: (x, dict(maintype="text", subtype="xml", name="mail.ru!example.test.xml"))),
            ("Fastmail", {"root": 'feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0"', "metadata": new[0], "policy": new[1]},
             lambda x: (reports.gz(x), dict(subtype="gzip", name="x.xml.gz"))),
        ]
        for i, (org, how, packed) in enumerate(styles):
            with self.subTest(org):
                data, how_mail = packed(reports.aggregate([one], org=org, report_id=f"style-{i}", domain="styles.example.test", **how))
                self.send(reports.mail(data, **how_mail))
                r = self.listed("dmarc", "reports", "styles.example.test", reporter=org)
                self.assertEqual((r["messages"], r["passed"], r["pass_rate"], r["accepted"]), (3, 3, 100.0, 3))
                self.assertEqual((r["sender"], r["proof"]), ("reporter.example", "proven"))
                self.assertEqual((r["begin"], r["end"]), ("2026-11-20T00:00:00Z", "2026-11-20T23:59:59Z"))
                self.assertEqual(r["policy"], "reject (testing)" if org == "Fastmail" else "quarantine")

    def test_sources_and_our_own_log(self):
        for i in range(3):
            submit(self.p, message(f"to the reporter {i}", sender=ALICE, to="x@reporter.example"), ["x@reporter.example"])
        submit(self.p, message("to another", sender=ALICE, to="x@other.example"), ["x@other.example"])
        wait_for(self.p.queue_is_empty)  # the sink has them before our own log knows
        self.assertEqual(len(self.sink.messages), 4)
        now = int(time.time())
        data = reports.aggregate([
            reports.row(OURS, 3), reports.row("198.51.100.1", 5, dkim="pass", spf="fail"),
            reports.row("198.51.100.2", 6, dkim="fail", spf="pass"),
            reports.row("2001:db8::66", 7, "quarantine", "fail", "fail"),
            reports.row("2001:db8::66", 1, "reject", "fail", "fail",
                        more="<reason><type>local_policy</type><comment>looked bad</comment></reason>")],
            report_id="sources", begin=now - 40000, end=now + 40000)
        self.send(reports.mail(reports.gz(data)))
        r = self.listed("dmarc", "reports", "example.test", begin=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 40000)))
        self.assertEqual((r["messages"], r["passed"], r["accepted"], r["quarantined"], r["rejected"]), (22, 14, 14, 7, 1))
        self.assertEqual(r["pass_rate"], 63.6)
        rows = {(x["source"], x["disposition"]): x for x in self.ctl("dmarc", "report", r["id"])}
        ours = rows[OURS, "none"]
        self.assertEqual((ours["whose"], ours["messages"], ours["sent_there"], ours["sent"]), ("ours", 3, 3, 4))
        self.assertEqual([rows[k]["whose"] for k in [("198.51.100.1", "none"), ("198.51.100.2", "none"), ("2001:db8::66", "reject")]],
                         ["signed", "allowed", "unknown"])
        self.assertEqual(rows["2001:db8::66", "reject"]["reasons"], ["local_policy looked bad"])
        self.assertEqual(ours["dkim_results"], ["pass example.test s1"])
        sources = {x["source"]: x for x in self.ctl("dmarc", "sources", "example.test") if x["header_from"] == "example.test"}
        self.assertEqual((sources[OURS]["whose"], sources[OURS]["sent_there"], sources[OURS]["sent"]), ("ours", 3, 4))
        stranger = sources["2001:db8::66"]
        self.assertEqual((stranger["messages"], stranger["quarantined"], stranger["rejected"], stranger["whose"]), (8, 7, 1, "unknown"))
        self.assertEqual((stranger["sent"], stranger["pass_rate"]), (0, 0.0))

    def test_the_same_report_counts_once(self):
        data = reports.gz(reports.aggregate([reports.row("198.51.100.9", 1)], report_id="twice", domain="twice.example.test"))
        self.send(reports.mail(data, subject="first of two"))
        self.listed("dmarc", "reports", "twice.example.test", reporter="Reporter Inc.")
        self.send(reports.mail(data, subject="seconding"))
        self.event("seconding", "report_again")
        self.assertEqual(len(self.ctl("dmarc", "reports", "twice.example.test")), 1)

    def test_who_is_not_proven_is_shown_as_that(self):
        def data(i, count):
            return reports.gz(reports.aggregate([reports.row("198.51.100.3", count)], report_id=f"proof-{i}", domain="proof.example.test"))
        self.send(reports.mail(data(1, 1), sender="noreply@forged.example"), sender="noreply@forged.example")
        self.send(reports.mail(data(2, 2), sender="noreply@silent.example"), sender="noreply@silent.example")
        self.send(reports.mail(data(3, 4)))
        wait_for(lambda: len(self.ctl("dmarc", "reports", "proof.example.test")) == 3)
        found = {r["sender"]: r["proof"] for r in self.ctl("dmarc", "reports", "proof.example.test")}
        self.assertEqual(found, {"forged.example": "forged", "silent.example": "unproven", "reporter.example": "proven"})
        self.assertEqual(self.ctl("dmarc", "sources", "proof.example.test")[0]["messages"], 6)
        self.assertEqual(self.ctl("dmarc", "sources", "proof.example.test", "--forged")[0]["messages"], 7)

    def test_a_user_cannot_prove_a_report_himself(self):
        data = reports.gz(reports.aggregate([reports.row("198.51.100.3", 1)], report_id="own", domain="own.example.test"))
        forged = b"Authentication-Results: mx.example.test; dmarc=pass\r\n"
        submit(self.p, forged + reports.mail(data, sender=ALICE), ["dmarc@example.test"])
        wait_for(lambda: len(self.ctl("dmarc", "reports", "own.example.test")) == 1)
        self.assertEqual(self.ctl("dmarc", "reports", "own.example.test")[0]["proof"], "unproven")

    def test_tls_reports(self):
        self.send(reports.mail(reports.gz(reports.tls()), subtype="tlsrpt+gzip", name="r.json.gz", to="tlsrpt@example.test"),
                  to="tlsrpt@example.test")
        self.send(reports.mail(reports.tls(report_id="t2", policy="tlsa", failed=0, successful=9, details=[]), subtype="tlsrpt+json",
                               name="r.json", to="tlsrpt@example.test"), to="tlsrpt@example.test")
        r = self.listed("tlsrpt", "example.test", report_id="t1")
        self.assertEqual((r["successful"], r["failed"], r["policy"], r["success_rate"]), (5326, 3, "sts", 99.9))
        self.assertEqual(r["failures"], ["3 certificate-expired at mx.example.test [192.0.2.10] from [192.0.2.77] (X509_V_ERR)"])
        r = self.listed("tlsrpt", "example.test", report_id="t2")
        self.assertEqual((r["success_rate"], r["failures"], r["policy"]), (100.0, [], "tlsa"))

    def test_complaints_and_failure_reports(self):
        self.send(reports.feedback(), to="abuse@example.test")
        self.send(reports.feedback("auth-failure", "Auth-Failure: dmarc\r\nDelivery-Result: reject\r\nIdentity-Alignment: none\r\n",
                                   subject="auth"), to="dmarc@example.test")
        r = self.listed("complaints", "example.test", kind="abuse")
        self.assertEqual((r["source"], r["from"], r["to"], r["subject"], r["message_id"]),
                         ("192.0.2.10", ALICE, ["x@reporter.example"], "Buy", "o1@example.test"))
        self.assertEqual(r["arrival"], "2026-11-20T10:00:00Z")
        r = self.listed("dmarc", "failures", "example.test", kind="auth-failure")
        self.assertEqual((r["auth_failure"], r["delivery"]), ("dmarc", "reject"))
        self.assertEqual([x["kind"] for x in self.ctl("complaints", "example.test")], ["abuse"])

    def test_hostile_files_are_ordinary_mail(self):
        bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
        bomb = bomb.compress(b"<feedback>" + b" " * (60 << 20)) + bomb.flush()
        lol = b'<!DOCTYPE feedback [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><feedback>&b;</feedback>'
        fetch = b'<!DOCTYPE feedback SYSTEM "file:///etc/passwd"><feedback/>'
        good = reports.aggregate([reports.row("198.51.100.4", 1)], report_id="hostile", domain="hostile.example.test")
        cases = {"bomb": (bomb, "packed more"), "laughs": (lol, "document type"), "entity": (reports.gz(fetch), "document type"),
                 "twice-packed": (reports.gz(reports.gz(good)), "packed twice"), "cut-off": (reports.gz(good)[:-30], "cut off"),
                 "not-closed": (good[:-20], "not well-formed"), "zip-of-gzip": (reports.zipped(reports.gz(good), "x.xml"), "packed twice"),
                 "no-rows": (reports.aggregate([], report_id="x"), "without a row")}
        for name, (data, why) in cases.items():
            with self.subTest(name):
                self.send(reports.mail(data, subject=f"hostile{name.replace('-', '')}"))
                self.assertIn(why, self.event(f"hostile{name.replace('-', '')}", "report_bad"))
                wait_message(self.p, f"hostile{name.replace('-', '')}")  # with the postmaster, whom nobody would tell otherwise
        self.assertEqual(self.ctl("dmarc", "reports", "hostile.example.test"), [])

    def test_addresses(self):
        """A report is kept as such alone when its address has no mailbox; ordinary mail to it reaches the postmaster."""
        data = reports.gz(reports.aggregate([reports.row("198.51.100.5", 1)], report_id="kept", domain="kept.example.test"))
        self.send(reports.mail(data, subject="keptnowhere"))
        self.listed("dmarc", "reports", "kept.example.test", reporter="Reporter Inc.")
        self.send(message("to abuse by a person", to="abuse@example.test"), to="abuse@example.test")
        wait_message(self.p, "to abuse by a person")
        self.assertFalse([m for m in fetch_all(self.p, ALICE) if b"keptnowhere" in m])
        data = reports.gz(reports.aggregate([reports.row("198.51.100.5", 1)], report_id="box", domain="box.example.test"))
        self.p.ctl("alias", "add", "postmaster@example.test", "bob@example.test")
        self.send(reports.mail(data, subject="inthebox"), to="postmaster@example.test")
        self.listed("dmarc", "reports", "box.example.test", reporter="Reporter Inc.")
        wait_message(self.p, "inthebox", "bob@example.test")
        code, _ = deliver(self.p.port("smtp"), b"x", sender="noreply@reporter.example", recipients=["nobody@example.test"])
        self.assertEqual(code, 550)
        self.send(reports.mail(data, subject="notforreports", to="bob@example.test"), to="bob@example.test")
        wait_message(self.p, "notforreports", "bob@example.test")
        self.assertEqual(len(self.ctl("dmarc", "reports", "box.example.test")), 1)

    def test_many_rows_become_sums(self):
        rows = [reports.row(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", 2 if i < 3 else 1, "none", "fail", "fail") for i in range(5000)]
        data = reports.aggregate(rows, report_id="rows", domain="rows.example.test")
        self.send(reports.mail(gzip.compress(data)))
        r = self.listed("dmarc", "reports", "rows.example.test", reporter="Reporter Inc.")
        self.assertEqual((r["messages"], r["passed"]), (5003, 0))
        rows = self.ctl("dmarc", "report", r["id"])
        self.assertEqual((len(rows), sum(x["messages"] for x in rows)), (2001, 5003))
        self.assertEqual([x["messages"] for x in rows if x["whose"] == "others"], [3000])

    def test_verify_and_text_output(self):
        self.assertEqual(self.p.ctl("verify").returncode, 0)
        self.assertIn("unknown: somebody else", self.p.ctl("dmarc", "sources").stdout)
        for words in (("dmarc", "reports", "--days", "x"), ("dmarc", "report", "nonsense"), ("tlsrpt", "a b")):
            self.assertEqual(self.p.ctl(*words, check=False).returncode, 2, words)
        self.assertEqual(self.p.ctl("dmarc", "report", "0sa4d2gn40001", check=False).returncode, 4)


if __name__ == "__main__":
    unittest.main()
