"""DMARC reports to other domains: mail comes in, passes or fails, and the owner of the domain in From gets the numbers, signed by us."""
import datetime
import email
import email.policy
import gzip
import json
import os
import re
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree

import fault
from client import deliver, message
from nameserver import NameServer
from postern import ROOT, Instance, wait_for
from sink import Sink

sys.path.append("/usr/lib/python3/dist-packages")
import dkim  # noqa: E402  (python3-dkim)

NO = "v=spf1 -all"
YES = "v=spf1 ip4:127.0.0.1 -all"
NS = "{urn:ietf:params:xml:ns:dmarc-2.0}"
SETTINGS = ["auth.local_networks=yes", "auth.iprev=no", "server.hostname=mx.example.test", "relay.local_networks=yes",
            "relay.smarthost_tls=may", "dmarc.report_from=dmarc@example.test", "dmarc.report_org=Example & Sons",
            "auth.mailing_lists=list.example"]


def zone(spf, dmarc, extra=""):
    return f'@ TXT "{spf}"\n_dmarc TXT "v=DMARC1; {dmarc}"\n{extra}'


ZONES = {
    "good.example": zone(YES, "p=reject; rua=mailto:agg@good.example"),
    "reject.example": zone(NO, "p=reject; sp=quarantine; adkim=s; fo=1:d; rua=mailto:agg@reject.example!10m,mailto:x@other.example"),
    "willing.example": '*._report._dmarc TXT "v=DMARC1"\n',
    "named.example": 'outside.example._report._dmarc TXT "v=DMARC1; rua=mailto:real@named.example"\n',
    "thief.example": 'outside.example._report._dmarc TXT "v=DMARC1; rua=mailto:real@good.example"\n',
    "other.example": "",
    "outside.example": zone(NO, "p=quarantine; t=y; rua=mailto:a@willing.example,mailto:b@named.example,mailto:c@thief.example,"
                                "https://outside.example/,mailto:d@other.example"),
    "small.example": zone(NO, "p=none; rua=mailto:agg@small.example!1k"),
    "silent.example": zone(NO, "p=reject"),
    "list.example": zone(YES, "p=none"),
    "fail.example": zone(NO, "p=reject; fo=1; ruf=mailto:ruf@fail.example,mailto:f@willing.example,mailto:x@other.example"),
    "sick.example": zone(NO, "p=none; rua=mailto:a@dead.invalid"),
    "example": "",
}


class Report:
    """A report mail, taken apart."""

    def __init__(self, got):
        self.sender, self.recipients, self.raw = got.sender, sorted(got.recipients), got.data
        self.mail = email.message_from_bytes(got.data, policy=email.policy.default)
        self.file = next(p for p in self.mail.walk() if p.get_content_type() == "application/gzip")
        self.xml = gzip.decompress(self.file.get_payload(decode=True))
        self.root = xml.etree.ElementTree.fromstring(self.xml)
        self.domain = self.text("policy_published/domain")

    def text(self, path):
        return self.root.find("/".join(NS + name for name in path.split("/"))).text

    def rows(self):
        out = []
        for r in self.root.findall(NS + "record"):
            def get(path, r=r):
                found = r.find("/".join(NS + name for name in path.split("/")))
                return None if found is None else found.text
            out.append({"ip": get("row/source_ip"), "count": int(get("row/count")), "did": get("row/policy_evaluated/disposition"),
                        "dkim": get("row/policy_evaluated/dkim"), "spf": get("row/policy_evaluated/spf"),
                        "reason": get("row/policy_evaluated/reason/type"), "from": get("identifiers/header_from"),
                        "envelope": get("identifiers/envelope_from"), "spf_result": get("auth_results/spf/result"),
                        "spf_domain": get("auth_results/spf/domain")})
        return sorted(out, key=lambda row: (row["from"], row["envelope"] or ""))


class DmarcReportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dns = cls.enterClassContext(NameServer(ZONES))

    def setUp(self):
        if time.time() % 86400 > 86400 - 60:  # "today" must be the same day to the end
            time.sleep(60)
        self.sink = self.enterContext(Sink("127.0.0.1", 0))
        self.p = self.start()

    def start(self, *settings, keys=True):
        p = self.enterContext(Instance(settings=[*SETTINGS, *settings], dns=self.dns.address,
                                       options=[f"--smarthost=127.0.0.1:{self.sink.port}"]))
        if keys:
            p.ctl("dkim", "new", "example.test")
            p.ctl("dkim", "rotate", "example.test")
        return p

    def bring(self, author, sender="x@bounce.invalid", headers="", times=1, recipients=("alice@example.test",), subject="x"):
        for _ in range(times):
            reply = deliver(self.p.port("smtp"), message(subject, sender=author, headers=headers), sender=sender,
                            recipients=recipients)[0]
        return reply

    def listed(self, *words):
        return {r["domain"]: r for r in json.loads(self.p.ctl("dmarc", "send", *words, "--json").stdout)}

    def gathered(self, messages):
        """Sessions hand their facts over when they end: wait until all are counted."""
        return wait_for(lambda: (lambda r: r if sum(x["messages"] for x in r.values()) == messages else None)(
            self.listed("--day", "today", "--dry-run")))

    def send(self):
        return self.listed("--day", "today")

    def reports(self, n):
        wait_for(lambda: len(self.sink.messages) >= n)
        return {r.domain: r for r in map(Report, self.sink.messages)}

    def verify_signatures(self, raw):
        """Both signatures, by Debian's python3-dkim, with the records that `dns records` says to publish."""
        records = {r["name"].rstrip("."): r["value"] for r in json.loads(self.p.ctl("dns", "records", "example.test", "--json").stdout)
                   if "._domainkey." in r["name"]}
        n = len(re.findall(rb"(?m)^DKIM-Signature:", raw))
        self.assertEqual(n, 2)
        for i in range(n):
            self.assertTrue(dkim.DKIM(raw).verify(idx=i, dnsfunc=lambda name, timeout=5: records[name.decode().rstrip(".")].encode()))

    def check_form(self, report):
        """RFC 9990 3.6.2: file name, subject, types, one id everywhere; the XML by its schema."""
        got = subprocess.run(["xmllint", "--noout", "--nonet", "--schema", str(ROOT / "tests/data/dmarc-aggregate.xsd"), "-"],
                             input=report.xml, capture_output=True, check=False)
        self.assertEqual(got.returncode, 0, got.stderr.decode() + report.xml.decode())
        ident, begin, end = (report.text("report_metadata/" + x) for x in ("report_id", "date_range/begin", "date_range/end"))
        self.assertRegex(ident, r"^[A-Za-z0-9]+$")
        self.assertEqual(report.file.get_filename(), f"example.test!{report.domain}!{begin}!{end}!{ident}.xml.gz")
        self.assertEqual(report.mail["Subject"], f"Report Domain: {report.domain} Submitter: example.test Report-ID: <{ident}>")
        day = datetime.datetime.fromtimestamp(int(begin), datetime.timezone.utc)
        self.assertEqual((day.hour, day.minute, day.second), (0, 0, 0))
        self.assertLessEqual(int(begin), int(end))
        self.assertEqual(report.sender, "")
        self.assertEqual(report.mail["From"].addresses[0].addr_spec, "dmarc@example.test")
        self.assertEqual(report.mail["Auto-Submitted"], "auto-generated")
        self.assertEqual(report.text("report_metadata/org_name"), "Example & Sons")

    def test_numbers_form_and_signature(self):
        self.assertEqual(self.bring("a@good.example", sender="a@good.example", times=3), 250)
        self.assertEqual(self.bring("a@good.example", sender="b@list.example"), 250)
        self.assertEqual(self.bring("a@reject.example", times=2), 550)
        self.assertEqual(self.bring("a@sub.reject.example", sender=""), 250)
        self.assertEqual(self.bring("a@silent.example"), 550)
        self.gathered(7)
        done = self.send()
        self.assertEqual({d: r["state"] for d, r in done.items()}, {"good.example": "sent", "reject.example": "sent"})
        reports = self.reports(2)
        for r in reports.values():
            self.check_form(r)
            self.verify_signatures(r.raw)
        good = {r["envelope"]: r for r in reports["good.example"].rows()}
        self.assertEqual((good["good.example"]["count"], good["good.example"]["did"], good["good.example"]["spf"]), (3, "pass", "pass"))
        self.assertEqual((good["list.example"]["count"], good["list.example"]["did"], good["list.example"]["reason"]),
                         (1, "none", "mailing_list"))
        bad = {r["from"]: r for r in reports["reject.example"].rows()}
        self.assertEqual((bad["reject.example"]["count"], bad["reject.example"]["did"], bad["reject.example"]["reason"]),
                         (2, "reject", None))
        self.assertEqual((bad["sub.reject.example"]["did"], bad["sub.reject.example"]["envelope"]), ("quarantine", None))
        self.assertEqual([reports["reject.example"].text("policy_published/" + x) for x in ("p", "sp", "adkim", "aspf", "fo", "testing")],
                         ["reject", "quarantine", "s", "r", "1:d", "n"])
        self.assertEqual(reports["reject.example"].recipients, ["agg@reject.example"])
        self.assertIn("x@other.example: its domain did not say", done["reject.example"]["why"])

    def test_destinations_elsewhere(self):
        self.bring("a@outside.example")
        self.gathered(1)
        done = self.send()
        report = self.reports(2)["outside.example"]  # one message, to two servers
        self.assertEqual(sorted(r for m in self.sink.messages for r in m.recipients), ["a@willing.example", "real@named.example"])
        self.assertEqual(len({m.data for m in self.sink.messages}), 1)
        why = done["outside.example"]["why"]
        for part in ("c@thief.example: it names an address at another host", "https://outside.example/: nothing that",
                     "d@other.example: its domain did not say"):
            self.assertIn(part, why)
        self.assertEqual(report.rows()[0]["reason"], "policy_test_mode")
        self.assertEqual(report.text("policy_published/testing"), "y")

    def test_size_limit(self):
        self.bring("a@small.example", times=2)
        self.gathered(2)
        self.assertEqual(self.send()["small.example"]["state"], "sent")  # under 1 KiB, packed
        for i in range(40):
            self.bring("a@small.example", sender=f"{os.urandom(8).hex()}@{os.urandom(8).hex()}.invalid")
        wait_for(lambda: any(r["messages"] == 40 for r in json.loads(
            self.p.ctl("dmarc", "send", "--day", "today", "--dry-run", "--json").stdout)))
        rows = json.loads(self.p.ctl("dmarc", "send", "--day", "today", "--json").stdout)
        self.assertEqual([r["state"] for r in rows], ["sent", "unsent"])
        self.assertIn("takes 1024 bytes", rows[1]["why"])
        self.assertEqual(len(self.sink.messages), 1)

    def test_never_twice(self):
        self.bring("a@good.example", sender="a@good.example", times=2)
        self.gathered(2)
        for _ in range(3):
            self.send()
        self.p.ctl("dmarc", "send")  # of yesterday: nobody asked
        self.bring("a@good.example", sender="a@good.example")
        wait_for(lambda: any(r["state"] == "gathering" for r in json.loads(
            self.p.ctl("dmarc", "send", "--day", "today", "--dry-run", "--json").stdout)))
        self.send()
        wait_for(lambda: len(self.sink.messages) == 2)
        counts = sorted(Report(m).rows()[0]["count"] for m in self.sink.messages)
        self.assertEqual(counts, [1, 2])  # every message in one report
        self.assertEqual(len({Report(m).text("report_metadata/report_id") for m in self.sink.messages}), 2)

    def test_dns_that_does_not_answer_is_asked_again(self):
        self.bring("a@sick.example")
        self.gathered(1)
        row = self.send()["sick.example"]
        self.assertIn(row["state"], ("waiting", "unsent"))
        self.assertEqual(self.sink.messages, [])
        self.assertNotEqual(row["why"], "")

    def test_no_key_no_report(self):
        self.p.stop()
        self.p = self.start(keys=False)
        self.bring("a@good.example", sender="a@good.example")
        self.gathered(1)
        row = self.send()["good.example"]
        self.assertEqual((row["state"], self.sink.messages), ("waiting", []))
        self.assertIn("no active DKIM key of example.test", row["why"])
        self.p.ctl("dkim", "new", "example.test")
        self.p.ctl("dkim", "rotate", "example.test")
        self.assertEqual(self.send()["good.example"]["state"], "sent")

    def test_failure_reports(self):
        """Of single messages: when the administrator allows it, to those who may have them, with persons hidden, so many an hour."""
        self.p.stop()
        self.p = self.start("dmarc.failure_reports=yes", "dmarc.failure_rate=2")
        private = "Auto-Submitted: no\r\nX-Secret: do not tell\r\n"
        self.assertEqual(self.bring("Joe Private <joe.private@fail.example>", sender="bounce.secret@bounce.invalid", headers=private,
                                    times=4, subject="our merger"), 550)
        wait_for(lambda: len(self.sink.messages) >= 4)
        time.sleep(3)
        self.assertEqual(sorted(r for m in self.sink.messages for r in m.recipients),
                         ["f@willing.example"] * 2 + ["ruf@fail.example"] * 2)
        for got in self.sink.messages:
            self.assertEqual(got.sender, "")
            self.verify_signatures(got.data)
            mail = email.message_from_bytes(got.data, policy=email.policy.default)
            self.assertEqual((mail.get_content_type(), mail["Content-Type"].params["report-type"]),
                             ("multipart/report", "feedback-report"))
            text, feedback, headers = mail.iter_parts()
            self.assertEqual((feedback.get_content_type(), headers.get_content_type()),
                             ("message/feedback-report", "text/rfc822-headers"))
            fields = email.message_from_bytes(feedback.get_payload(0).as_bytes() if feedback.is_multipart() else
                                              feedback.get_payload(decode=True))
            self.assertEqual({k: fields[k] for k in ("Feedback-Type", "Auth-Failure", "Identity-Alignment", "Delivery-Result",
                                                     "Reported-Domain", "Source-IP", "Version")},
                             {"Feedback-Type": "auth-failure", "Auth-Failure": "dmarc", "Identity-Alignment": "dkim, spf",
                              "Delivery-Result": "reject", "Reported-Domain": "fail.example", "Source-IP": "127.0.0.1", "Version": "1"})
            self.assertRegex(fields["Authentication-Results"], r"smtp\.mailfrom=[A-Za-z0-9+/]+@bounce\.invalid")
            self.assertIn("dmarc=fail", " ".join(fields["Authentication-Results"].split()))
            self.assertRegex(headers.get_payload(), r"From: <[A-Za-z0-9+/]+@fail\.example>")
            for secret in (b"joe.private", b"Joe Private", b"our merger", b"bounce.secret", b"do not tell", b"alice@"):
                self.assertNotIn(secret, got.data)

    def test_no_failure_reports_unless_allowed_and_none_about_automata(self):
        self.bring("joe@fail.example")
        self.p.stop()
        self.p = self.start("dmarc.failure_reports=yes")
        self.bring("joe@fail.example", sender="")
        self.bring("joe@fail.example", headers="Auto-Submitted: auto-replied\r\n")
        self.bring("joe@fail.example", subject="this one")
        wait_for(lambda: len(self.sink.messages) >= 2)
        time.sleep(2)
        self.assertEqual(len(self.sink.messages), 2)  # of one message, to two servers

    def test_reports_about_reports_are_not_counted(self):
        self.bring("a@good.example", sender="a@good.example", subject="Report Domain: example.test Submitter: good.example")
        self.bring("a@reject.example", subject="Report Domain: example.test Submitter: forged.example")
        self.bring("a@good.example", sender="a@good.example")
        time.sleep(0.5)
        self.assertEqual({d: r["messages"] for d, r in self.gathered(2).items()}, {"good.example": 1, "reject.example": 1})

    def test_killed_at_any_point_sends_once(self):
        """mda, office and all dying while reports are written: after the retry there is one report, with all messages."""
        self.bring("a@good.example", sender="a@good.example", times=2)
        self.bring("a@reject.example")
        self.gathered(3)
        for role in ("mda", "office", "mda", "office"):
            self.p.ctl("dmarc", "send", "--day", "today", "--dry-run", check=False)
            sender = subprocess.Popen([self.p.binary, "dmarc", "send", "--day=today", f"--config={self.p.folder}/test.conf"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.1)
            for pid in self.p.pids(role):
                fault.kill(pid)
            sender.kill()
            sender.wait()
            time.sleep(1)
        def all_sent():
            got = self.p.ctl("dmarc", "send", "--day", "today", "--json", check=False)  # which fails while one of them is not back
            return got.returncode == 0 and all(r["state"] == "sent" for r in json.loads(got.stdout))
        wait_for(all_sent, step=0.2)
        wait_for(lambda: len(self.sink.messages) >= 2)
        time.sleep(2)
        by_id = {}
        for m in self.sink.messages:
            by_id.setdefault(Report(m).text("report_metadata/report_id"), Report(m))
        totals = {}
        for r in by_id.values():
            totals[r.domain] = totals.get(r.domain, 0) + sum(row["count"] for row in r.rows())
        self.assertEqual(totals, {"good.example": 2, "reject.example": 1})
        self.assertEqual(len(by_id), 2)


if __name__ == "__main__":
    unittest.main()
