#!/usr/bin/env python3
"""Cost linear in size, for every fuzzer's harness: each word of its dictionary, and each piece of its seeds, is repeated behind each seed up to
16 KiB, and the comparisons that our code makes are counted (tools/cost_main.c). Needs build-fuzz (tools/fuzz.sh makes it).

    tools/cost.py [NAME...]"""
import concurrent.futures
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import results

BUILD = ROOT / "build-fuzz"
# Bounded by their own caps far below these sizes, or threads with timers: what they are made of is measured by the others.
SESSIONS = ("edge.smtp.session_fuzz", "edge.imap.imap_fuzz", "edge.pop3.pop3_fuzz", "bus.server_fuzz", "bus.client_fuzz")
AT_ONCE = 40
GENERAL = [b"a", b" ", b"\r\n", b"\r\n ", b"(", b"<", b"\"", b",", b";", b"=", b"@", b".", b"\\", b"\0", b"\xff", b"\xc3\xa9", b"a.", b"a,", b"a@b,", b"[", b"(a)", b"a=b;"]


def words(name):
    """(seeds, units) from corpus and dictionary."""
    folder, word = ROOT / "src" / pathlib.Path(*name[:-5].split(".")[:-1]), name[:-5].split(".")[-1]
    seeds = [p.read_bytes() for p in sorted((folder / "corpus" / word).glob("*"))] if (folder / "corpus" / word).is_dir() else []
    found = list(GENERAL)
    dictionary = folder / "corpus" / f"{word}.dict"
    if dictionary.exists():
        for text in re.findall(r'"((?:\\.|[^"\\])*)"\s*$', dictionary.read_text(), re.M):
            found.append(re.sub(rb"\\(x[0-9A-Fa-f]{2}|.)", lambda m: bytes([int(m[1][1:], 16)]) if m[1][:1] == b"x" and len(m[1]) == 3 else m[1],
                                text.encode()))
    for seed in seeds:
        found += [line for line in seed.splitlines(keepends=True) if 0 < len(line) < 200][:8]
    return [b"", *seeds], list(dict.fromkeys(u for u in found if u))


def run(program, cases, folder):
    """[(whether more than linear, what the program said)]"""
    paths = {}
    for data in itertools.chain(*cases):
        if data not in paths:
            paths[data] = folder / str(len(paths))
            paths[data].write_bytes(data)
    done = subprocess.run([program, *(paths[data] for case in cases for data in case)], capture_output=True, text=True, check=False,
                          env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    lines = done.stdout.strip().split("\n")
    if done.returncode not in (0, 1) or len(lines) != len(cases):
        return [(True, f"status {done.returncode} after {len(lines)} cases: {done.stderr[-600:]}")]
    return [(line.endswith("MORE"), line) for line in lines]


def measure(name, folder):
    folder = folder / name
    folder.mkdir()
    program = BUILD / name.replace("_fuzz", "_cost")
    if subprocess.run([program], capture_output=True, check=False).returncode != 1:
        return [f"{name}: the control, a loop in a loop, was not noticed"], 0
    seeds, units = words(name)
    cases = [(seed, unit, tail) for seed in seeds[:6] for unit in units for tail in ((b"",) if not seed else (b"", seed))]
    bad = []
    for at in range(0, len(cases), AT_ONCE):
        piece = cases[at:at + AT_ONCE]
        bad += [f"{name}: {case[0][:40]!r} then {case[1]!r} again and again, then {case[2][:20]!r}: {said}"
                for case, (more, said) in zip(piece, run(program, piece, folder)) if more]
    return bad, len(cases)


def main():
    sources = subprocess.run([ROOT / "tools" / "sources.sh", "fuzz"], capture_output=True, text=True, check=True).stdout.split()
    names = sorted({source[4:-2].replace("/", ".") for source in sources} - set(SESSIONS))
    names = [n for n in names if not sys.argv[1:] or n in sys.argv[1:]]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-cost-"))
    try:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            done = list(pool.map(lambda n: measure(n, folder), names))
    finally:
        shutil.rmtree(folder)
    for bad, _ in done:
        print("\n".join(bad[:5]), end="\n" if bad else "")
    if not sys.argv[1:]:
        results.record("patterns that cost a parser more than linear", sum(len(b) for b, _ in done),
                       f"{len(names)} harnesses, {sum(n for _, n in done)} patterns up to 16 KiB", "0", "tools/cost.py")
    return 1 if any(bad for bad, _ in done) or not names else 0


if __name__ == "__main__":
    sys.exit(main())
