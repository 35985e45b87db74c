#!/usr/bin/env python3
"""Every sentence of evidence that src/verdict writes has its row in src/ctl/reason.tbl (and so its Dutch), and every row is written somewhere;
every check that a decision names has its row in fact.tbl and, where it can decide, one in why.tbl that fits whatever the reply says.
Part of tools/style.py. Sentences are found as string literals with a space in them; what is none, or is put together, is named here."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

# Literals of src/verdict that are no evidence, by file.
OTHER = {
    "auth.c": ["%s=%s dis=%s%s", " t=y"],  # comment in Authentication-Results
    "authres.c": ["; none"],
    "decision_auth.c": [": ", "%s=%s; %.*s"],  # a source, not a reason
    "dkim_body.c": [" "],
    "dkim_canon.c": [" "],
    "dkim_key.c": ["reverse() is for this order", "no signature"],
    "dkim_sign.c": ["DKIM-Signature: v=1;", "this message cannot be signed", "the signature does not fit"],  # our own mail
    "dmarc.c": ["%s%s for %.*s", ", "],  # {passed}: names of mechanisms and domains
    "dnsbl.c": ["other code", "our question was refused", "no answer"],  # results, which are terms
    "spf_macro.c": [" "],
    "spf_width.c": ["IPv4: %llu, IPv6: %llu of /64"],  # what the owner of a record reads, not evidence about mail
    "spf_match.c": ["%s: %.*s"],  # give_up(): its sentences are looked up with ": {name}" behind them
}
PASSED = "%s passed for %.*s, which %s the author's domain %.*s"
FAILED = "neither SPF nor DKIM vouches for the author's domain %.*s (passed: %.*s); %.*s asks for \"%s\"%s"
TESTING = ", while it tests its policy"
SAME = "belongs to the same organization as"
# Put together from parts: what comes of it.
TOGETHER = {
    PASSED: [f"{how} passed for x, which {is_of} the author's domain x" for how in ("SPF", "SPF and DKIM", "a DKIM signature")
             for is_of in ("is", SAME)],
    SAME: [],
    FAILED: [f'neither SPF nor DKIM vouches for the author\'s domain x (passed: nothing); x asks for "reject"{tail}' for tail in ("", TESTING)],
    TESTING: [],
}
# One word, or the inside of another row: not found by the space in them.
WORDS = {"nothing", "SPF"}
# Checks that decide nothing by themselves: DMARC speaks for them.
NEVER_DECIDE = {"iprev", "spf", "dkim", "arc", "others"}

STRING = r'"(?:[^"\\\n]|\\.)*"'


def text_of(literals):
    return "".join(part[1:-1] for part in re.findall(STRING, literals)).replace('\\"', '"')


def strings(path):
    """The literals of a file with their lines; neighbours are one, comments and includes none."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), path.read_text(), flags=re.S)
    text = re.sub(r"^#include.*$", "", text, flags=re.M)
    for match in re.finditer(rf"{STRING}(?:\s*{STRING})*", text):
        yield text_of(match[0]), text[:match.start()].count("\n") + 1


def rows_of(name, macro):
    return [text_of(first) for first in re.findall(rf"^{macro}\(({STRING})", (SRC / "ctl" / name).read_text(), flags=re.M)]


def pattern(row):
    return re.compile("".join(".+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[a-z]+\})", row)))


def fitting(rows, sentence):
    return {row for row, one in rows.items() if one.fullmatch(sentence)} | {row for row in rows if row.startswith(sentence + ": {")}


def sources(folder):
    return sorted(p for p in (SRC / folder).rglob("*.c") if not p.stem.endswith(("_test", "_fuzz")))


def check_reasons(say):
    table = SRC / "ctl" / "reason.tbl"
    rows = {row: pattern(row) for row in rows_of("reason.tbl", "REASON")}
    written, unused = set(WORDS), {(file, text) for file, texts in OTHER.items() for text in texts}
    for path in sources("verdict"):
        for text, line in strings(path):
            if " " not in text:
                continue
            if text in OTHER.get(path.name, []):
                unused.discard((path.name, text))
                continue
            for sentence in TOGETHER.get(text, [re.sub(r"%[-0-9.*]*(?:ll|l|z)?[a-z]", "x", text)]):
                fits = fitting(rows, sentence)
                written |= fits
                if not fits:
                    say(path, line, f'"{sentence}" has no row in src/ctl/reason.tbl, so postern why has no Dutch for it (tools/reasons.py)')
    for row in rows:
        if row not in written:
            say(table, 1, f'nothing in src/verdict says "{row}" any more')
    for file, text in sorted(unused):
        say(ROOT / "tools" / "reasons.py", 1, f'nothing in src/verdict/{file} says "{text}" any more')


def check_facts(say):
    facts = set(rows_of("fact.tbl", "FACT"))
    why = (SRC / "ctl" / "why.tbl").read_text()
    always = set(re.findall(r'^WHY\(\w+, "(\w+)", "", "",', why, flags=re.M))
    named = re.compile(r'\.check = S\("(\w+)"\)|smtp_record_refusal\([^;]*?,\s*"(\w+)",\s*[^"]*?;|event_refused_now\([^;"]*"(\w+)"|'
                       r'decision_want\([^;"]*"(\w+)"')
    for folder in ("verdict", "edge"):
        for path in sources(folder):
            text = path.read_text()
            for match in named.finditer(text):
                name = next(filter(None, match.groups()))
                if name not in facts:
                    say(path, text[:match.start()].count("\n") + 1, f'the check "{name}" has no row in src/ctl/fact.tbl')
    for name in sorted(facts - NEVER_DECIDE - always):
        say(SRC / "ctl" / "why.tbl", 1, f'no row for "{name}" fits every code and word')


def check(say):
    check_reasons(say)
    check_facts(say)
