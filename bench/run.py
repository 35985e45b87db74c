#!/usr/bin/python3
"""make bench: Postern and Postfix + Dovecot in turn, the same work on the same disk; writes bench/RESULTS.md. README.md explains.

    bench/run.py [--quick] [--rounds N] [--postern BINARY] [--folder DIR] [--output FILE]"""
import argparse
import functools
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import gauge
import measure
from mail import Flood, flood
import peers
import report
from systems import ADDRESSES, ROOT, Postern, PostfixDovecot

PORTS = {"Postern": 26000, "Postfix + Dovecot": 27000}
OTHERS, OTHER_PORTS = ("Exim", "OpenSMTPD"), 28000  # inbound only: they have no IMAP


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="less of everything: to see that it works")
    parser.add_argument("--rounds", type=int, help="of each flood")
    parser.add_argument("--postern", help="the program to measure (default: built here, as a release)")
    parser.add_argument("--folder", default=str(ROOT / "build-bench" / "work"), help="where both keep their data: says which disk")
    parser.add_argument("--output", default=str(ROOT / "bench" / "RESULTS.md"))
    return parser.parse_args()


def plan(quick):
    if quick:
        return {"rounds": 1, "flood": {"Postern": 1000, "Postfix + Dovecot": 300, "Exim": 200, "OpenSMTPD": 200}, "connections": (20,), "mailbox": 2000, "runs": 3, "idle": 100,
                "writes": 1000}
    return {"rounds": 3, "flood": {"Postern": 8000, "Postfix + Dovecot": 1000, "Exim": 600, "OpenSMTPD": 600}, "connections": (20, 30, 50), "mailbox": 20000, "runs": 7,
            "idle": 500, "writes": 1000}


def say(text):
    print(time.strftime("%H:%M:%S "), text, flush=True)


def build(*more):
    subprocess.run([ROOT / "tools/build.sh", "build-bench", "-Dbuildtype=release -Dtests=false", "postern", *more], check=True, stdout=subprocess.DEVNULL)
    return str(ROOT / "build-bench" / "postern")


def inbound(systems, todo, found, what):
    """Rounds in turn, so that a busy minute of the machine does not hit one system alone; the others are in the first.
    A failure of theirs is told, and no end of the rest."""
    for n in range(todo["rounds"]):
        for s in systems if n == 0 else systems[:len(PORTS)]:
            s.start(what.writes)
            found[s.name].setdefault("idle, new", s.group.memory())
            try:
                measure.inbound(s, 10, 100)  # processes are started, mailboxes made
                r = measure.inbound(s, what.connections, todo["flood"][s.name] // (3 if what.writes else 1), functools.partial(flood, kept=what.kept))
            except RuntimeError as e:
                if s.name not in OTHERS:
                    raise
                say(f"{s.name}, {what} connections: {e}")
                continue
            finally:
                s.stop()
            found[s.name]["inbound"].setdefault(what, []).append(r)
            say(f"{s.name}, {what} connections: accepted {r['accepted']:.0f}/s, delivered {r['delivered']:.0f}/s, {r['cpu']:.0f} us CPU a message")


def one_mailbox(s, todo, found):
    """Everything that wants 20,000 messages in one mailbox; nothing else is in it."""
    to = ADDRESSES[0]
    s.start()
    time.sleep(2)
    found["idle, new"] = s.group.memory()
    say(f"{s.name}: idle {found['idle, new'] / 2**20:.1f} MiB")
    s.fill(to, todo["mailbox"])
    for name in ("first", "again"):
        s.stop()
        s.start()
        time.sleep(1)
        found[name] = measure.fetches(s, todo["runs"], to)
        say(f"{s.name}: " + ", ".join(f"{k} {v['cold'] * 1e3:.1f} / {v['warm'] * 1e3:.1f} ms" for k, v in found[name].items()))
    found["connection, 20,000"] = measure.connections(s, todo["idle"] // 5, [to])
    found["expunge"] = measure.expunge(s, to)
    s.stop()
    s.start()
    for address in ADDRESSES:
        s.fill(address, 20)
    found["connection"] = measure.connections(s, todo["idle"], ADDRESSES)
    time.sleep(3)
    found["idle, after"] = s.group.memory()
    say(f"{s.name}: a connection {found['connection'] / 1024:.1f} KiB ({found['connection, 20,000'] / 1024:.1f} with the large mailbox), "
        f"expunge {found['expunge']['EXPUNGE'] * 1e3:.0f} ms, idle afterwards {found['idle, after'] / 2**20:.1f} MiB")
    s.stop()


def main():
    args = arguments()
    todo = plan(args.quick)
    todo["rounds"] = args.rounds or todo["rounds"]
    binary = args.postern or build()
    folder = pathlib.Path(args.folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    begin = time.time()
    facts = gauge.machine(folder)
    say(facts["fdatasync"])

    def make(kind):
        sub = folder / kind
        return [Postern(sub / "postern", PORTS["Postern"], binary), PostfixDovecot(sub / "peer", PORTS["Postfix + Dovecot"])]

    found = {name: {"inbound": {}} for name in [*PORTS, *OTHERS]}
    loads = [gauge.load()]
    systems = []
    try:
        systems = make("flood") + peers.all_of(folder / "flood", OTHER_PORTS)
        for kept in (False, True):
            for connections in todo["connections"]:
                inbound(systems, todo, found, Flood(connections, kept))
        if gauge.can_slow_disk(folder):
            inbound(systems, todo, found, Flood(todo["connections"][-1], writes=todo["writes"]))
        loads += [r["load"] for f in found.values() for runs in f["inbound"].values() for r in runs]
        facts["packages"] += ", " + peers.versions()
        systems += make("mailbox")
        for s in systems[-2:]:
            one_mailbox(s, todo, found[s.name])
            loads.append(gauge.load())
    finally:
        for s in systems:
            s.remove()
    facts["load"] = f"{min(loads):.1f} to {max(loads):.1f}, median {statistics.median(loads):.1f} (one-minute average)"
    facts["duration"] = f"{time.time() - begin:.0f} s"
    pathlib.Path(args.output).write_text(report.text(facts, todo, found, sys.argv), encoding="utf-8")
    say(f"{args.output} is written; {facts['duration']}")


if __name__ == "__main__":
    main()
