#!/usr/bin/python3
"""Whose is a From field? Ours (verdict/dmarc_author.c) beside three others: Python's two parsers (email.utils, of RFC 2822's forms, and
email.headerregistry, a grammar) and libopendkim's dkim_mail_parse (THREATS H01, D01). usage: author_diff.py [COUNT [SEED]]

Made from the grammar (display names, quoted strings, comments, folding, routes left out), one author: all four must name the domain that was meant.
Broken at random: where we name one domain, and the grammar's parser finds no fault in the field, it names the same, or DMARC would judge
somebody whom a mail program does not show. Those it finds fault with, and those the two others read in another way, are only counted.

Not made: what RFC 5322 calls obsolete (routes, blanks and comments around "@" and dots), literals, groups: verdict/dmarc_test.c has those."""
import ctypes
import email._parseaddr  # what email.utils reads with; its own strict mode counts commas, those in comments too
import email.headerregistry
import os
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("POSTERN_BUILD", ROOT / "build-test"))
FIELD = email.headerregistry.HeaderRegistry()


class Ours:
    def __init__(self):
        subprocess.run([ROOT / "tools/build.sh", str(BUILD), "", "author_tool"], check=True, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen([BUILD / "author_tool"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, value):
        """The kind, and the domains."""
        self.process.stdin.write(value.encode().hex() + "\n")
        self.process.stdin.flush()
        kind, *domains = self.process.stdout.readline().split()
        return kind, domains

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Opendkim:
    def __init__(self):
        self.library = ctypes.CDLL("libopendkim.so.11")

    def ask(self, value):
        line = ctypes.create_string_buffer(value.encode())
        user, domain = ctypes.c_char_p(), ctypes.c_char_p()
        if self.library.dkim_mail_parse(line, ctypes.byref(user), ctypes.byref(domain)) != 0 or not domain.value:
            return []
        return [domain.value.decode(errors="replace").lower()]


def domain_of(address):
    return address.rpartition("@")[2].lower()


def by_utils(value):
    return [domain_of(a) for _, a in email._parseaddr.AddressList(value.replace("\r\n", "")).addresslist if "@" in a]  # pylint: disable=protected-access


def by_grammar(value):
    """The domains, and whether it found no fault."""
    try:
        field = FIELD("From", value.replace("\r\n", ""))
        return [a.domain.lower() for a in field.addresses if a.domain], not field.defects
    except Exception:  # it has faults of its own
        return [], False


class Fields:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def atom(self):
        return "".join(self.r.choices("abcdefgxyz0189!#$&'*+-/=?^_`{|}~", k=self.r.randint(1, 8)))

    def label(self):
        return self.r.choice("abcdexyz") + "".join(self.r.choices("abcxyz0189-", k=self.r.randint(0, 6))) + self.r.choice("abc019")

    def domain(self):
        return ".".join(self.label() for _ in range(self.r.randint(2, 4)))

    def quoted(self, tame=False):
        text = "".join(self.r.choices("abc xyz.,;:<>()[]" + ("" if tame else "@@"), k=self.r.randint(1, 12)))
        return '"' + text + ("" if tame or self.r.random() < 0.7 else '\\"') + '"'

    def comment(self, depth=0):
        inner = self.r.choice(("c", "a@b.example", "<a@b.example>", "x, y", "\\)", ""))
        if depth < 3 and self.r.random() < 0.3:
            inner += self.comment(depth + 1)
        return f"({inner})"

    def blank(self):
        return self.r.choice((" ", " ", "  ", "\t", "\r\n ", "\r\n\t"))

    def gap(self):
        return self.r.choice(("", self.blank(), self.blank() + self.comment() + self.blank()))

    def mailbox(self):
        r, domain = self.r, self.domain()
        local = self.quoted(tame=True) if r.random() < 0.15 else ".".join(self.atom() for _ in range(r.randint(1, 3)))
        address = f"{local}@{domain}"
        if r.random() < 0.3:
            return " " + address + self.gap(), domain
        name = self.blank().join(r.choice((self.atom, self.atom, self.quoted))() for _ in range(r.randint(0, 4)))
        return " " + name + self.gap() + f"<{address}>" + self.gap(), domain

    def broken(self):
        r = self.r
        value = self.mailbox()[0]
        if r.random() < 0.3:
            value += r.choice((",", ";", " ", "")) + self.mailbox()[0]
        for _ in range(r.randint(1, 3)):
            i = r.randrange(len(value) + 1)
            value = value[:i] + r.choice('@<>(),:;."\\[] \t') + value[i + r.randint(0, 1):]
        return value.replace("\r", "").replace("\n", "")


def differences(count, seed):
    """What must not be, and how often the others read a broken field in another way than we do."""
    fields, ours, opendkim = Fields(seed), Ours(), Opendkim()
    wrong, judged, faultless, utils, dkim = [], 0, 0, 0, 0
    for _ in range(count):
        value, domain = fields.mailbox()
        answers = {"ours": ours.ask(value)[1], "email.utils": by_utils(value), "grammar": by_grammar(value)[0], "libopendkim": opendkim.ask(value.replace("\r\n", ""))}
        wrong += [(value, f"{who} {said}, meant {domain}") for who, said in answers.items() if said != [domain]]
        value = fields.broken()
        kind, domains = ours.ask(value)
        theirs, clean = by_grammar(value)
        judged += kind == "one"
        faultless += kind == "one" and clean
        if kind == "one" and clean and set(theirs) != set(domains):
            wrong.append((value, f"ours {domains}, grammar {theirs}"))
        utils += kind == "one" and set(by_utils(value)) != set(domains)
        dkim += kind == "one" and opendkim.ask(value) != domains
    ours.close()
    if not faultless:
        wrong.append(("", "nothing that was broken could be compared"))
    return wrong, judged, faultless, utils, dkim


def main():
    count, seed = (int(w) for w in (sys.argv[1:] + ["2000", "6376"][len(sys.argv) - 1:]))
    wrong, judged, faultless, utils, dkim = differences(count, seed)
    for value, why in wrong[:20]:
        print(f"DIFFERENT {value!r}: {why}")
    print(f"{count} good fields and {count} broken ones, seed {seed}: {len(wrong)} differences. Of the broken, {judged} have one author for us, {faultless} of them without a "
          f"fault for the grammar; email.utils names others in {utils} of these, libopendkim in {dkim}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
