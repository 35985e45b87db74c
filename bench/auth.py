#!/usr/bin/python3
"""What judging costs: signed mail on port 25 with SPF, DKIM and DMARC checked, Postern beside Postfix with opendkim + opendmarc, and Postern
without the checks; writes AUTH.md.

    bench/auth.py [--quick] [--cold] [--rounds N] [--postern BINARY] [--folder DIR] [--output FILE]

With --cold it measures senders that were never seen before, and a key for each of them, and writes the part of AUTH.md about them.

Runs in a network and mount namespace of its own: there nsd is what /etc/resolv.conf names, the client has an address that is not loopback's
(which libspf2 would not ask DNS about), and no packet can leave."""
import argparse
import base64
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

import gauge
import mail
import measure
from run import build, say
from systems import ADDRESSES, DOMAIN, PASSWORD, ROOT, Postern, PostfixDovecot, wait_port

INSIDE = "BENCH_AUTH_INSIDE"
HOST = "192.0.2.10"  # of RFC 5737, on lo
DOMAINS, SELECTOR = 200, "s2026"
NEVER_SEEN = 600  # more of them, for --cold, each with one message
WARMERS = 20  # of the domains, for processes and mailboxes
COLD = "## Senders never seen before"  # d0.example ...: each with its own SPF, key and policy in DNS
PORTS = {"Postern": 26000, "Postern, no checks": 26200, "Postfix + opendkim + opendmarc": 27000}
JUDGES, BARE, PEER = PORTS
TARGET = 2000
CHECKS = ("spf=pass", "dkim=pass", "dmarc=pass")
PACKAGES = ("opendkim", "opendmarc", "nsd")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="less of everything: to see that it works")
    parser.add_argument("--cold", action="store_true", help="a key for each domain, and senders never seen before")
    parser.add_argument("--rounds", type=int, help="of each flood")
    parser.add_argument("--connections", type=int, nargs="*", default=[20, 50])
    parser.add_argument("--only", choices=list(PORTS), help="one system, and nothing is written")
    parser.add_argument("--postern", help="the program to measure (default: built here, as a release)")
    parser.add_argument("--folder", default=str(ROOT / "build-bench" / "auth"), help="where all keep their data: says which disk")
    parser.add_argument("--output", default=str(ROOT / "bench" / "AUTH.md"))
    return parser.parse_args()


def enter():
    """Again, in namespaces of our own."""
    if os.environ.get(INSIDE):
        return
    script = (f"set -e; ip link set lo up; ip addr add {HOST}/32 dev lo; mount --make-rprivate /; conf=$(mktemp); "
              "echo nameserver 127.0.0.1 > $conf; chmod 644 $conf; mount --bind $conf /etc/resolv.conf; rm $conf; exec \"$@\"")
    os.execvpe("unshare", ["unshare", "-nm", "sh", "-c", script, "sh", sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


class NameServer:
    """nsd on port 53: what the sender's domain says of itself."""

    def __init__(self, folder, keys):
        self.folder = folder
        folder.mkdir()
        self._zone("example", "".join(
            f'd{n} MX 10 mx.d{n}\nd{n} TXT "v=spf1 mx -all"\nmx.d{n} A {HOST}\n_dmarc.d{n} TXT "v=DMARC1; p=reject"\n'
            f'{SELECTOR}._domainkey.d{n} TXT "v=DKIM1; k=rsa; p={public[:200]}" "{public[200:]}"\n' for n, public in enumerate(keys)))
        (folder / "nsd.conf").write_text(
            f'server:\n  ip-address: 127.0.0.1\n  ip-address: {HOST}\n  server-count: 1\n  username: ""\n  chroot: ""\n  zonesdir: "{folder}"\n  pidfile: "{folder}/pid"\n'
            f'  database: ""\n  xfrdfile: "{folder}/xfrd"\n  zonelistfile: "{folder}/zones"\n  xfrdir: "{folder}"\n  rrl-ratelimit: 0\n'
            f'remote-control:\n  control-enable: no\nzone:\n  name: "example"\n  zonefile: "example.zone"\n')
        self.group = gauge.Group("nsd")
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", str(folder / "nsd.conf")], preexec_fn=self.group.enter, stdout=log, stderr=log)
        wait_port(53)

    def _zone(self, name, records):
        (self.folder / f"{name}.zone").write_text(f"$ORIGIN {name}.\n$TTL 3600\n@ IN SOA ns hostmaster 1 3600 600 86400 3600\n@ IN NS ns\n"
                                                  f"ns IN A 127.0.0.1\n{records}")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.group.end()
        self.group.remove()


class Judging(Postern):
    settings = ("--dns=127.0.0.1:53", "--set=limit.connections_per_address=2000", "--set=auth.iprev=no",
                f"--set=server.hostname=mx.{DOMAIN}")

    def launch(self):
        self.settings = (*self.settings, f"--set=listen.smtp={HOST}:{self.smtp}")
        super().launch()

    def one(self):
        """The header of a message that has arrived."""
        with socket.create_connection(("127.0.0.1", self.imap), timeout=60) as s, s.makefile("rb") as lines:
            s.sendall(f"a LOGIN {ADDRESSES[0]} {PASSWORD}\r\nb SELECT INBOX\r\nc FETCH * BODY.PEEK[HEADER]\r\nd LOGOUT\r\n".encode())
            return lines.read().decode()


class Unjudging(Judging):
    settings = (*Judging.settings, "--set=auth.spf=no", "--set=auth.dkim=no", "--set=auth.dmarc=no")


OPENDKIM = """Mode v
Socket local:{run}/opendkim.sock
UMask 000
UserID opendkim
Syslog no
AuthservID mx.{domain}
AlwaysAddARHeader yes
Nameservers {host}
"""
OPENDMARC = """Socket local:{run}/opendmarc.sock
UMask 000
UserID opendmarc
Syslog false
AuthservID mx.{domain}
TrustedAuthservIDs mx.{domain}
SPFIgnoreResults true
SPFSelfValidate true
RejectFailures true
FailureReports false
PublicSuffixList {suffixes}
"""
SUFFIXES = "/usr/share/publicsuffix/public_suffix_list.dat"


class PostfixMilters(PostfixDovecot):
    """opendkim with libunbound (which asks no loopback; a file of its settings makes opendkim fail now and then), opendmarc with libspf2."""
    host = HOST

    def __init__(self, folder, base, name):
        self.run = pathlib.Path(folder) / "milter"
        self.milters = []
        super().__init__(folder, base, name)
        self.run.mkdir()
        self.run.chmod(0o777)
        for conf, text in (("opendkim.conf", OPENDKIM), ("opendmarc.conf", OPENDMARC)):
            (self.run / conf).write_text(text.format(run=self.run, host=HOST, domain=DOMAIN, suffixes=SUFFIXES))

    def more(self):
        return {"smtpd_milters": f"unix:{self.run}/opendkim.sock, unix:{self.run}/opendmarc.sock", "milter_default_action": "tempfail",
                "milter_protocol": "6"}

    def launch(self):
        self.milters = [self.spawn(f"/usr/sbin/{name}", "-f", "-c" if name == "opendmarc" else "-x", str(self.run / f"{name}.conf"))
                        for name in ("opendkim", "opendmarc")]
        for name in ("opendkim", "opendmarc"):
            self._wait((self.run / f"{name}.sock").exists)
        super().launch()

    def halt(self):
        super().halt()
        for m in self.milters:
            m.terminate()
        for m in self.milters:
            m.wait(20)
        for left in self.run.glob("*.sock"):
            left.unlink()

    def one(self):
        user = ADDRESSES[0].split("@", maxsplit=1)[0]
        return next((self.folder / "mail" / user / "Maildir" / "new").iterdir()).read_text()


def key(kept):
    """A private key, and p= of its record. They are kept: hundreds take minutes to make."""
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True).stdout)
    private = kept.read_bytes()
    public = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=private, check=True, capture_output=True).stdout
    return private, base64.b64encode(public).decode()


def sign(folder, domains, own_keys):
    """A message of 5 KB for each domain, RSA-2048, relaxed/relaxed, with the dot that ends it. Returns p= of each one's key record."""
    sys.path.append("/usr/lib/python3/dist-packages")
    import dkim  # pylint: disable=import-outside-toplevel
    keys = [key(folder.parent / "auth-keys" / f"{n}.pem") for n in range(domains if own_keys else 1)]
    (folder / "messages").mkdir()
    for n in range(domains):
        private = keys[n % len(keys)][0]
        domain = f"d{n}.example"
        message = re.sub(rb"\r\nCc: [^\r]*", b"", re.sub(rb"^From: [^\r]*", f"From: Carol <carol@{domain}>".encode(), mail.message(n, f"readers@{domain}")))
        signature = dkim.sign(message, SELECTOR.encode(), domain.encode(), private, canonicalize=(b"relaxed", b"relaxed"),
                              include_headers=[b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type"])
        (folder / "messages" / str(n)).write_bytes(signature + message + b".\r\n")
    return [keys[n % len(keys)][1] for n in range(domains)]


def flood_of(folder, program, first=0, domains=DOMAINS):
    """As measure.inbound wants it: these senders in turn, one connection a message."""
    def run(port, recipients, connections, count):
        words = [program, HOST, str(port), str(connections), str(count), str(first), str(domains), folder / "messages", *recipients]
        subprocess.run(words, check=True)
        return count
    return run


def results_of(header):
    """The results that stand in it, one line."""
    fields = re.sub(r"\r?\n[ \t]+", " ", header).splitlines()
    return " ".join(f for f in fields if f.lower().startswith("authentication-results:"))


def flood(s, dns, how, connections, count, before=None):
    """before: what is sent before it is measured: processes are started, mailboxes made and, if it is the same, names known."""
    s.start()
    measure.inbound(s, 10, 2 * DOMAINS, flood=before or how)
    found = results_of(s.one())
    passed = [c for c in CHECKS if c in found]
    if passed != ([] if s.name == BARE else list(CHECKS)):
        raise RuntimeError(f"{s.name}: these results do not fit the checks: {found}\n{s.one()[:3000]}")
    spent = dns.group.cpu()
    r = measure.inbound(s, connections, count, flood=how)
    r["dns"] = (dns.group.cpu() - spent) / count * 1e6
    r["results"] = found
    if os.environ.get("BENCH_AUTH_SHELL"):
        subprocess.run(["sh", "-c", os.environ["BENCH_AUTH_SHELL"]], check=False)
    s.stop()
    say(f"{s.name}, {connections} connections: accepted {r['accepted']:.0f}/s, delivered {r['delivered']:.0f}/s, {r['cpu']:.0f} us CPU a message, "
        f"{r['dns']:.0f} us of nsd")
    return r


def text(facts, found, count, rounds):
    def median(name, c, key):
        return statistics.median(r[key] for r in found[name][c])

    loads = [r["load"] for f in found.values() for rs in f.values() for r in rs]
    lines = ["# Judging on port 25: SPF, DKIM and DMARC", "",
             f"Written by `bench/auth.py`, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC; {facts['processor']}, fdatasync {facts['fdatasync']}; "
             f"one-minute load {min(loads):.1f} to {max(loads):.1f}, at nice {os.getpriority(os.PRIO_PROCESS, 0)}.", "",
             f"Messages of 5 KB of {DOMAINS} domains in turn, signed before (RSA-2048, relaxed/relaxed), SPF by `mx`, From aligned, `p=reject`, each domain "
             f"with records of its own (but one key for all); sent by `bench/smtp_flood.c`, one connection a message, to ten mailboxes: median of {rounds} rounds, {count[JUDGES]} messages a round to Postern, {count[PEER]} to the peer. nsd on loopback, TTL an "
             "hour; each domain is asked for before a round, so within it answers come from caches. From each system one Authentication-Results is read: all three pass. CPU: all processes of the system; client and nsd are not in it.", "",
             "| connections | system | accepted, /s | delivered, /s | us CPU a message | us CPU of nsd | Postern accepts times as many | costs times Postern's CPU |",
             "|" + "---|" * 8]
    for c in found[JUDGES]:
        for name in PORTS:
            accepted, delivered, cpu, dns = (median(name, c, k) for k in ("accepted", "delivered", "cpu", "dns"))
            lines.append(f"| {c} | {name} | {accepted:.0f} | {delivered:.0f} | {cpu:.0f} | {dns:.0f} | {median(JUDGES, c, 'accepted') / accepted:.2f} | "
                         f"{cpu / median(JUDGES, c, 'cpu'):.2f} |")
    best = max(median(JUDGES, c, "accepted") for c in found[JUDGES])
    share = [f"{median(JUDGES, c, 'cpu') - median(BARE, c, 'cpu'):.0f} us ({c} connections)" for c in found[JUDGES]]
    lines += ["", f"Target: accepted >= {TARGET}/s on two cores, client and name server on them too; best here {best:.0f}/s. "
              f"The judge's share, checks on less checks off: {', '.join(share)}.", "",
              "What they said:", "", "```",
              *(found[n][next(iter(found[n]))][0]["results"] for n in (JUDGES, PEER)), "```", "", f"Packages: {facts['packages']}.", ""]
    return "\n".join(lines)


def versions():
    return subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}, ", *PACKAGES], capture_output=True, text=True, check=True).stdout.rstrip(", ")


def measured(args, folder, dns, systems):
    count = {n: 300 if args.quick else 1000 if n == PEER else 5000 for n in PORTS}
    rounds = args.rounds or (1 if args.quick else 3)
    how = flood_of(folder, ROOT / "build-bench" / "smtp_flood")
    facts = gauge.machine(folder)
    facts["packages"] += ", " + versions()
    found = {s.name: {c: [] for c in args.connections} for s in systems}
    for c in args.connections:
        for _ in range(rounds):
            for s in systems:
                found[s.name][c].append(flood(s, dns, how, c, count[s.name]))
    if not args.only:
        output = pathlib.Path(args.output)
        cold = output.read_text(encoding="utf-8").partition(COLD) if output.exists() else ("", "", "")
        output.write_text(text(facts, found, count, rounds) + ("\n" + COLD + cold[2] if cold[1] else ""), encoding="utf-8")
        say(f"{args.output} is written")


def cold_text(facts, found, count, rounds):
    loads = [r["load"] for f in found.values() for rs in f.values() for r in rs]
    lines = [COLD, "", f"Written by `bench/auth.py --cold`, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC; {facts['processor']}; one-minute load "
             f"{min(loads):.1f} to {max(loads):.1f}, at nice {os.getpriority(os.PRIO_PROCESS, 0)}: other work ran beside it, so read the CPU a message, and compare rates in this table only.", "",
             f"The same messages, but a DKIM key for each domain. \"known\": {DOMAINS} domains in turn, asked for before, as above. \"never seen\": {count} domains with one message each, in a "
             f"system that was started anew and has seen {WARMERS} others: each of their questions (SPF, MX and A, key, policy) goes to nsd, and each key is read for the first "
             f"time. {facts['connections']} connections, {count} messages a round, median of {rounds} rounds.", "",
             "| senders | system | accepted, /s | us CPU a message | us CPU of nsd |", "|" + "---|" * 5]
    for how in found:
        for name, rs in found[how].items():
            accepted, cpu, dns = (statistics.median(r[k] for r in rs) for k in ("accepted", "cpu", "dns"))
            lines.append(f"| {how} | {name} | {accepted:.0f} | {cpu:.0f} | {dns:.0f} |")
    return "\n".join(lines) + "\n"


def measured_cold(args, folder, dns, systems):
    count = 200 if args.quick else NEVER_SEEN - WARMERS
    rounds = args.rounds or (1 if args.quick else 3)
    program = ROOT / "build-bench" / "smtp_flood"
    facts = gauge.machine(folder)
    facts["connections"] = args.connections[0]
    warm = flood_of(folder, program)
    hows = {"known": (warm, None), "never seen": (flood_of(folder, program, WARMERS, NEVER_SEEN - WARMERS), flood_of(folder, program, 0, WARMERS))}
    found = {how: {s.name: [] for s in systems} for how in hows}
    for _ in range(rounds):
        for how, (run, before) in hows.items():
            for s in systems:
                say(f"{how}:")
                found[how][s.name].append(flood(s, dns, run, args.connections[0], count, before))
    part = cold_text(facts, found, count, rounds)
    say(part)
    if not args.only:
        output = pathlib.Path(args.output)
        kept = output.read_text(encoding="utf-8").partition(COLD)[0].rstrip("\n") + "\n\n" if output.exists() else ""
        output.write_text(kept + part, encoding="utf-8")


def main():
    args = arguments()
    if not os.environ.get(INSIDE):
        build("smtp_flood")
    binary = args.postern or str(ROOT / "build-bench" / "postern")
    enter()
    folder = pathlib.Path(args.folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    dns = NameServer(folder / "nsd", sign(folder, NEVER_SEEN if args.cold else DOMAINS, args.cold))
    systems = []
    try:
        for n, name in enumerate(PORTS):
            if args.only in (None, name):
                sub = folder / str(n)
                systems.append(PostfixMilters(sub, PORTS[name], name) if name == PEER else
                               (Judging if name == JUDGES else Unjudging)(sub, PORTS[name], binary, name))
        (measured_cold if args.cold else measured)(args, folder, dns, systems)
    except RuntimeError:
        for s in systems:
            s.stop()  # what they wrote stays to be read
        raise
    finally:
        for s in systems:
            if sys.exc_info()[0] is None:
                s.remove()
        dns.stop()


if __name__ == "__main__":
    main()
