"""The measurements. Each takes a system that runs and gives numbers; run.py says in which order, report.py prints them."""
import statistics
import time

import mail
from gauge import load
from imap import Imap
from systems import ADDRESSES, PASSWORD

COMMANDS = {
    "SELECT": "SELECT INBOX",
    "FLAGS": "FETCH 1:* (FLAGS)",
    "ENVELOPE": "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)",
}
POLL = 0.05


def inbound(system, connections, count, flood=mail.flood):
    """A flood on port 25 (see mail.flood): seconds until all are accepted, and until all are in the mailboxes; CPU of all processes."""
    before = system.arrived()
    cpu, begin = system.group.cpu(), time.monotonic()
    count = flood(system.smtp, ADDRESSES, connections, count)
    accepted = time.monotonic() - begin
    deadline = begin + 300
    while system.arrived() - before < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{system.name}: {system.arrived() - before} of {count} messages arrived")
        time.sleep(POLL)
    delivered = time.monotonic() - begin
    return {"accepted": count / accepted, "delivered": count / delivered, "cpu": (system.group.cpu() - cpu) / count * 1e6, "load": load()}


def fetches(system, runs, address):
    """One connection: each command once as the first after the start, then again; seconds: {name: (cold, median of the others)}."""
    client = Imap(system.imap, address, PASSWORD)
    seconds = {name: [] for name in COMMANDS}
    cpu = {name: [] for name in COMMANDS}
    for _ in range(runs + 1):
        for name, command in COMMANDS.items():
            before = system.group.cpu()
            seconds[name].append(client.command(command)[0])
            cpu[name].append(system.group.cpu() - before)
    client.close()
    return {name: {"cold": s[0], "warm": statistics.median(s[1:]), "cold cpu": cpu[name][0], "warm cpu": statistics.median(cpu[name][1:])}
            for name, s in seconds.items()}


def expunge(system, address):
    """All messages of the mailbox marked deleted, then expunged."""
    client = Imap(system.imap, address, PASSWORD)
    client.command("SELECT INBOX")
    store = client.command(r"STORE 1:* +FLAGS.SILENT (\Deleted)")[0]
    gone = client.command("EXPUNGE")[0]
    client.close()
    return {"STORE": store, "EXPUNGE": gone}


def connections(system, count, addresses):
    """Bytes of memory (PSS of all processes) that each idle connection adds: logged in, INBOX selected, in IDLE."""
    first = Imap(system.imap, addresses[0], PASSWORD)  # what the first one makes the programs load is no cost of each
    first.command("SELECT INBOX")
    first.idle()
    time.sleep(0.5)
    before = system.group.memory()
    clients = []
    for n in range(count):
        client = Imap(system.imap, addresses[n % len(addresses)], PASSWORD)
        client.command("SELECT INBOX")
        client.idle()
        clients.append(client)
    time.sleep(2)
    each = (system.group.memory() - before) / count
    for client in [first, *clients]:
        client.close()
    return each
