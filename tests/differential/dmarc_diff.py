#!/usr/bin/python3
"""DMARC beside libopendmarc, over random records, author domains and results of SPF and DKIM: the same policy found in the same place, the
same alignment, the same verdict. usage: dmarc_diff.py [COUNT [SEED]]; prints differences, exits 1 when there is one.

libopendmarc is RFC 7489, we are RFC 9989: compared is where both say the same. So the organization is one label below the suffix
"example" and has a record or nobody there has one (a tree walk and the public suffix list then find the same); no np, psd, t, and no pct but 100.

Where libopendmarc 1.4.2 is neither, and what is not generated therefore:
- it aligns names below the author's also in strict mode (RFC 7489 3.1.1, 3.1.2: only an exact match);
- it aligns a public suffix with the names below it;
- it takes a record without "v=" (RFC 7489 6.3: such text must be ignored);
- a signature that failed takes away what one before it had proved: those that fail are told first."""
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("POSTERN_BUILD", ROOT / "build-test"))
POLICIES = ("none", "quarantine", "reject")
OTHERS = ("pct=100", "rua=mailto:r@reports.example", "ruf=mailto:f@reports.example", "fo=1", "fo=d:s", "ri=86400", "rf=afrf", "x=y",
          "unknown=1 2 3")


class Cases:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def cased(self, word):
        return self.r.choice((word, word, word, word.upper(), word.capitalize()))

    def tag(self, name, value):
        blanks = self.r.choice(("", "", "", " ", "  ", "\x20"))
        return f"{name}{blanks}={blanks}{value}{blanks}"

    def record(self):
        r = self.r
        tags = [self.tag("p", self.cased(r.choice(POLICIES)))]
        if r.random() < 0.5:
            tags.append(self.tag("sp", self.cased(r.choice(POLICIES))))
        for name in ("adkim", "aspf"):
            if r.random() < 0.5:
                tags.append(self.tag(name, self.cased(r.choice("rs"))))
        tags += [other for other in OTHERS if r.random() < 0.15]
        r.shuffle(tags)
        return "v=DMARC1" + r.choice((";", "; ", " ;", ";  ")) + r.choice((";", "; ", " ; ")).join(tags) + r.choice(("", "", ";", "; "))

    def not_a_record(self):
        return self.r.choice(("v=DMARC2; p=reject", "v=DKIM1; p=reject", "v=spf1 -all", "something else", "v=DMARC1x; p=reject"))

    def maybe(self, domain, organization):
        """A domain that SPF or DKIM may have spoken for: near the author's, or made to look near."""
        name = organization.partition(".")[0]
        return self.r.choice((domain, domain, organization, organization, "mail." + organization, "x." + domain, "a.b." + organization,
                              "other-" + organization, "x" + organization, name + ".other.example", organization + ".evil.example",
                              "evil.example", name + ".test", name[1:] + ".example"))

    def identifiers(self, domain, organization, record):
        r = self.r
        out = [(r.choice(("mailfrom", "mailfrom", "helo")), r.choice(("pass", "pass", "fail")), self.maybe(domain, organization))]
        out = out if r.random() < 0.7 else []
        for _ in range(r.choice((0, 0, 1, 1, 2, 3))):
            out.append(("dkim", r.choice(("pass", "pass", "fail")), self.maybe(domain, organization)))
        strict = re.findall(r"(adkim|aspf) *= *s", record.lower())
        out = [i for i in out if ("adkim" if i[0] == "dkim" else "aspf") not in strict or not i[2].endswith("." + domain)]
        return sorted(out, key=lambda i: i[1])

    def case(self, i):
        r = self.r
        organization = f"c{i}.example"
        domain = r.choice(("", "", "news.", "a.b.", "x.y.z.")) + organization
        kind = r.random()
        whole = self.record() if kind < 0.85 else self.not_a_record() if kind < 0.92 else ""
        own = whole if domain == organization else self.record() if kind < 0.85 and r.random() < 0.3 else ""
        return domain, organization, own, whole, self.identifiers(domain, organization, own or whole)


def ask(cases, *command):
    lines = ["\t".join((*c[:4], " ".join(" ".join(i) for i in c[4]))) + "\n" for c in cases]
    out = subprocess.run(command, input="".join(lines), capture_output=True, text=True, check=True, timeout=300).stdout
    return out.splitlines()


def peers(folder):
    here = ROOT / "tests" / "differential"
    theirs, suffixes = folder / "theirs", folder / "suffixes"
    subprocess.run([ROOT / "tools/build.sh", BUILD, "", "dmarc_tool"], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["cc", "-O2", "-std=c17", "-D_GNU_SOURCE", str(here / "opendmarc_peer.c"), "-o", str(theirs), "-lopendmarc"], check=True)
    suffixes.write_text("example\ntest\n")
    return (str(BUILD / "dmarc_tool"),), (str(theirs), str(suffixes))


def main():
    count, seed = int((sys.argv[1:2] or ["4000"])[0]), int((sys.argv[2:3] or ["7489"])[0])
    generator = Cases(seed)
    cases = [generator.case(i + 10) for i in range(count)]
    with tempfile.TemporaryDirectory(prefix="postern-dmarc-") as folder:
        ours, theirs = (ask(cases, *command) for command in peers(pathlib.Path(folder)))
    seen, bad = {}, 0
    for case, mine, other in zip(cases, ours, theirs, strict=True):
        verdict = other.partition(" ")[0]
        seen[verdict] = seen.get(verdict, 0) + 1
        if mine != other:
            bad += 1
            if bad <= 10:
                print(f"DIFFERENT {case}\n  postern   {mine}\n  opendmarc {other}")
    print(f"{count} cases, seed {seed}: {bad} differences; opendmarc said {seen}")
    return 1 if bad or len(seen) < 5 else 0


if __name__ == "__main__":
    sys.exit(main())
