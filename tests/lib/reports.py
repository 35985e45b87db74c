"""Reports as others send them, in the styles of large reporters: the files, and the mails that carry them."""
import email.message
import gzip
import io
import json
import zipfile

HEAD = '<?xml version="1.0" encoding="UTF-8" ?>\n'


def row(source, count, disposition="none", dkim="pass", spf="pass", header_from="example.test", selector="s1", more="", ids=""):
    return (f"<record><row><source_ip>{source}</source_ip><count>{count}</count><policy_evaluated><disposition>{disposition}</disposition>"
            f"<dkim>{dkim}</dkim><spf>{spf}</spf>{more}</policy_evaluated></row><identifiers>{ids}<header_from>{header_from}</header_from>"
            f"</identifiers><auth_results><dkim><domain>{header_from}</domain><result>{dkim}</result><selector>{selector}</selector></dkim>"
            f"<spf><domain>{header_from}</domain><result>{spf}</result></spf></auth_results></record>\n")


def aggregate(rows, org="Reporter Inc.", report_id="1", domain="example.test", begin=1795132800, end=1795219199, root="feedback",
              root_end="feedback", policy="<adkim>r</adkim><aspf>r</aspf><p>quarantine</p><sp>none</sp><pct>100</pct>", head=HEAD,
              metadata=""):
    return (f"{head}<{root}>\n<report_metadata><org_name>{org}</org_name><email>noreply@reporter.example</email>"
            f"<report_id>{report_id}</report_id><date_range><begin>{begin}</begin><end>{end}</end></date_range>{metadata}</report_metadata>\n"
            f"<policy_published><domain>{domain}</domain>{policy}</policy_published>\n{''.join(rows)}</{root_end}>\n").encode()


def tls(report_id="t1", domain="example.test", successful=5326, failed=3, org="Reporter Inc.", policy="sts", details=None):
    if details is None:
        details = [{"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.77", "receiving-mx-hostname": "mx.example.test",
                    "receiving-ip": "192.0.2.10", "failed-session-count": failed, "failure-reason-code": "X509_V_ERR"}]
    return json.dumps({
        "organization-name": org, "date-range": {"start-datetime": "2026-11-20T00:00:00Z", "end-datetime": "2026-11-20T23:59:59Z"},
        "contact-info": "tls@reporter.example", "report-id": report_id,
        "policies": [{"policy": {"policy-type": policy, "policy-string": ["version: STSv1", "mode: testing"],
                                 "policy-domain": domain, "mx-host": ["mx.example.test"]},
                      "summary": {"total-successful-session-count": successful, "total-failure-session-count": failed},
                      "failure-details": details}]}).encode()


def zipped(data, name="report.xml"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(name, data)
    return out.getvalue()


def mail(data, maintype="application", subtype="gzip", name="report.xml.gz", sender="noreply@reporter.example", to="dmarc@example.test",
         subject="Report domain: example.test", alone=False):
    """A mail with the file as attachment; alone: as its only content, as Google does."""
    m = email.message.EmailMessage()
    m["From"], m["To"], m["Subject"] = sender, to, subject
    m["Date"], m["Message-ID"] = "Sat, 21 Nov 2026 12:00:00 +0000", f"<{abs(hash((data, subject)))}@reporter.example>"
    if alone:
        m.set_content(data, maintype=maintype, subtype=subtype, filename=name, disposition="attachment")
    else:
        m.set_content("This is a report.\n")
        m.add_attachment(data, maintype=maintype, subtype=subtype, filename=name)
    return m.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def gz(data):
    return gzip.compress(data)


def feedback(kind="abuse", fields="", original="From: alice@example.test\r\nTo: x@reporter.example\r\nSubject: Buy\r\nMessage-ID: <o1@example.test>\r\n",
             sender="fbl@reporter.example", to="abuse@example.test", subject="complaint"):
    return (f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
            f"Message-ID: <{subject}@reporter.example>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
            "--b\r\nContent-Type: text/plain\r\n\r\nSomebody complains.\r\n"
            f"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nUser-Agent: Loop/1\r\nVersion: 1\r\n"
            "Original-Mail-From: <alice@example.test>\r\nOriginal-Rcpt-To: <x@reporter.example>\r\nSource-IP: 192.0.2.10\r\n"
            f"Arrival-Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nReported-Domain: example.test\r\n{fields}\r\n"
            f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{original}\r\n--b--\r\n").encode()
