"""bench/RESULTS.md from what was measured: numbers of both, ratios, targets, and how to get them again."""
import statistics
import subprocess
import time

from systems import ROOT

OURS, PEER = "Postern", "Postfix + Dovecot"
OTHERS = ("Exim", "OpenSMTPD")


def _git(*words):
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False).stdout.strip()


def _table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(r) + " |" for r in rows), ""]


def _ratio(a, b):
    if a <= 0:
        return "-"
    r = b / a
    return f"{r:.1f}" if r < 100 else f"{r:.0f}"


def _median(found, name, series, key):
    return statistics.median(r[key] for r in found[name]["inbound"][series])


def _inbound(found):
    rows = []
    for c in found[OURS]["inbound"]:
        for key, unit, target in (("accepted", "/s", ""), ("delivered", "/s", ">= 10 x the peer"), ("cpu", "us CPU a message", "")):
            ours, peer = (_median(found, n, c, key) for n in (OURS, PEER))
            spread = " to ".join(f"{f(r[key] for r in found[OURS]['inbound'][c]):.0f}" for f in (min, max))
            ratio = _ratio(ours, peer) if key == "cpu" else _ratio(peer, ours)
            rows.append([str(c), f"{key}, {unit}" if key != "cpu" else unit, f"{ours:.0f} ({spread})", f"{peer:.0f}", ratio, target])
    return _table(["connections", "", OURS + ", median (all)", PEER, "times better", "target"], rows)


def _others(found):
    """All of them, beside us: the same floods, each with its own delivery to Maildir."""
    rows = []
    for c in found[OURS]["inbound"]:
        for name in (OURS, PEER, *OTHERS):
            if c not in found[name]["inbound"]:
                rows.append([str(c), name, *["did not take all"] * 2, "-", "-", "-"])
                continue
            accepted, delivered, cpu = (_median(found, name, c, key) for key in ("accepted", "delivered", "cpu"))
            ours = {key: _median(found, OURS, c, key) for key in ("delivered", "cpu")}
            rows.append([str(c), name, f"{accepted:.0f}", f"{delivered:.0f}", f"{cpu:.0f}", _ratio(delivered, ours["delivered"]),
                         _ratio(ours["cpu"], cpu)])
    memory = [[name, f"{found[name]['idle, new'] / 2**20:.1f} MiB"] for name in (OURS, PEER, *OTHERS)]
    return [*_table(["connections", "", "accepted, /s", "delivered, /s", "us CPU a message", "Postern delivers times as much",
                     "costs times Postern's CPU"], rows), *_table(["idle, just started", "PSS of all processes"], memory)]


def _mailbox(found):
    targets = {"SELECT": "5 ms", "FLAGS": "15 ms", "ENVELOPE": "150 ms"}
    rows = []
    for name, target in targets.items():
        for key, what in (("cold", "first after a start"), ("warm", "median of the others")):
            ours, peer = (found[n]["again"][name][key] * 1e3 for n in (OURS, PEER))
            rows.append([name, what, f"{ours:.1f} ms", f"{peer:.1f} ms", _ratio(ours, peer), "<= " + target])
            ours, peer = (found[n]["again"][name][key + " cpu"] * 1e3 for n in (OURS, PEER))
            rows.append([name, what + ", CPU of all processes", f"{ours:.1f} ms", f"{peer:.1f} ms", _ratio(ours, peer), ""])
        ours, peer = (found[n]["first"][name]["cold"] * 1e3 for n in (OURS, PEER))
        rows.append([name, "first time ever", f"{ours:.1f} ms", f"{peer:.1f} ms", _ratio(ours, peer), ""])
    for name, what in (("STORE", r"1:* +FLAGS.SILENT (\Deleted)"), ("EXPUNGE", "of all")):
        ours, peer = (found[n]["expunge"][name] * 1e3 for n in (OURS, PEER))
        rows.append([name, what, f"{ours:.0f} ms", f"{peer:.0f} ms", _ratio(ours, peer), ""])
    return _table(["", "", OURS, PEER, "times better", "target"], rows)


def _memory(found):
    rows = []
    for key, what, unit, size, target in (
            ("idle, new", "idle instance, just started", "MiB", 2**20, "<= 60 MiB"),
            ("idle, after", "idle instance, after all this work", "MiB", 2**20, ""),
            ("connection", "an idle IMAP connection, small INBOX, ten accounts", "KiB", 2**10, "<= 32 KiB"),
            ("connection, 20,000", "an idle IMAP connection, INBOX of the large mailbox", "KiB", 2**10, "")):
        ours, peer = (found[n][key] / size for n in (OURS, PEER))
        rows.append([what, f"{ours:.1f} {unit}", f"{peer:.1f} {unit}", _ratio(ours, peer), target])
    return _table(["", OURS, PEER, "times better", "target"], rows)


def text(facts, todo, found, command):
    commit = _git("rev-parse", "--short", "HEAD")
    changed = " (with uncommitted changes in src)" if _git("status", "--porcelain", "-uno", "--", "src") else ""
    lines = ["# Measured beside Postfix + Dovecot, Exim, OpenSMTPD", "",
             f"Written by `{' '.join(['bench/run.py', *command[1:]])}` (`make bench`), {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, "
             f"commit {commit}{changed}.",
             "Same machine, same disk, in turn; README.md says what is measured and how. Other programs may have been running: see load.", "",
             *_table(["machine", ""], [[k, v] for k, v in facts.items()]),
             "## Durable inbound mail, 5 KB, by `smtp-source`, to ten mailboxes", "",
             f"Median of {todo['rounds']} rounds; {todo['flood'][OURS]} messages a round to {OURS}, {todo['flood'][PEER]} to {PEER}. "
             "Delivered: until the last message is in its mailbox. Kept: a connection carries one message after another (`-d`), else a connection a "
             "message, of which the client has three times the work (measured: 390 beside 100 us of CPU). With a disk of so many writes a second: both are held to that by their control "
             "group (blkio), with a third of the messages, since the speed of a virtual disk changes from minute to minute.", "", *_inbound(found),
             "## The same, beside all", "",
             f"Exim and OpenSMTPD (Debian's, unpacked apart) deliver into Maildirs themselves; {todo['flood']['Exim']} messages, one round.", "",
             *_others(found),
             f"## A mailbox of {todo['mailbox']:,} messages of 5 KB, IMAP without TLS", "",
             f"Both were restarted before. The first command of a session after a start, then {todo['runs']} more of each. "
             "First time ever: the first session after the mail came in, when the peer makes its indexes.", "", *_mailbox(found),
             "## Memory: PSS of all processes together", "",
             f"{todo['idle']:,} connections (a fifth of them to the large mailbox): logged in, INBOX selected, in IDLE, no TLS.", "", *_memory(found),
             "## Commands", "", "```",
             "smtp-source [-d] -s CONNECTIONS/10 -l 5120 -m MESSAGES/10 -f carol@elsewhere.example -t userN@example.test 127.0.0.1:PORT   (ten at once)",
             "SELECT INBOX", "FETCH 1:* (FLAGS)", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)", "```", ""]
    return "\n".join(lines)
