#!/usr/bin/python3
"""What verifying a DKIM signature costs: ours, OpenSSL's bare primitives, libopendkim and python3-dkim on the same messages; writes DKIM.md.

    bench/dkim_verify.py [--output FILE]"""
import argparse
import pathlib
import statistics
import subprocess
import time

import gauge
from systems import ROOT

BUILD = ROOT / "build-bench"
WORK = BUILD / "dkim"
SIZES = {5 * 1024: "5 KB", 1024 * 1024: "1 MB"}
NAME = "s._domainkey.example.org"
TARGET = 1.3


def build():
    subprocess.run([ROOT / "tools/build.sh", "build-bench", "-Dbuildtype=release -Dtests=false", "dkim_bench"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["cc", "-std=c17", "-O2", "-D_GNU_SOURCE", ROOT / "bench/opendkim_bench.c", "-lopendkim", "-o", BUILD / "opendkim_bench"], check=True)


def ours():
    """size and canonicalization -> microseconds: bare, bare with the key made from DER, verdict."""
    found = {}
    for line in subprocess.run([BUILD / "dkim_bench", WORK], check=True, capture_output=True, text=True).stdout.splitlines():
        size, canon, *times = line.split()
        found[min(SIZES, key=lambda s, size=size: abs(s - int(size))), canon] = [float(t) for t in times]
    return found


def opendkim(size, canon):
    return float(subprocess.run([BUILD / "opendkim_bench", WORK / "keys", WORK / f"{size}.{canon}", "400" if size < 10**5 else "40"],
                                check=True, capture_output=True, text=True).stdout)


def python(size, canon):
    import dkim  # pylint: disable=import-outside-toplevel
    message, record = (WORK / f"{size}.{canon}").read_bytes(), (WORK / "record").read_bytes()
    turns = []
    for _ in range(9):
        began = time.thread_time()
        if not dkim.verify(message, dnsfunc=lambda name, timeout=5: record):
            raise RuntimeError("python3-dkim does not verify it")
        turns.append((time.thread_time() - began) * 1e6)
    return statistics.median(turns)


def text(found):
    lines = ["# Verifying DKIM: rsa-sha256, 2048 bits", "",
             f"Written by `bench/dkim_verify.py`, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC. Microseconds of CPU a message, medians of turns; load "
             f"{gauge.load():.1f}. Header relaxed. DNS is in memory. *Bare*: SHA-256 over header and body, one `EVP_PKEY_verify` with a key that stands "
             "ready; *with key*: the key made by `d2i_PUBKEY` for each message. Ours keeps the keys of the last 256 senders.", "",
             "| message | body | bare | with key | Postern | times bare | target | libopendkim | python3-dkim |", "|" + "---|" * 9]
    for (size, canon), (bare, key, mine, open_, py) in found.items():
        lines.append(f"| {SIZES[size]} | {canon} | {bare:.1f} | {key:.1f} | {mine:.1f} | {mine / bare:.2f} | <= {TARGET} | {open_:.1f} | {py:.0f} |")
    return "\n".join([*lines, ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--output", default=str(ROOT / "bench" / "DKIM.md"))
    args = parser.parse_args()
    build()
    WORK.mkdir(exist_ok=True)
    found = ours()
    (WORK / "keys").write_text(f"{NAME} {(WORK / 'record').read_text()}\n")
    found = {k: [*v, opendkim(*k), python(*k)] for k, v in found.items()}
    pathlib.Path(args.output).write_text(text(found), encoding="utf-8")
    print(text(found))


if __name__ == "__main__":
    main()
