#!/usr/bin/env python3
"""The ledger of the fuzzers, docs/fuzz.json (or where POSTERN_FUZZ says): one line a harness with its executions so far, the crashes it ended
in, when it last ran, and of which commit. Kept by tools/fuzz.sh, shown by tools/scoreboard.

    fuzz_ledger.py add NAME CRASHED LOGFILE   what one run of libFuzzer did
    fuzz_ledger.py left NAME TARGET           how many executions are missing
    fuzz_ledger.py mended NAME                all its crashes so far are: each has its test, and its input is among the seeds"""
import datetime
import fcntl
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEDGER = ROOT / os.environ.get("POSTERN_FUZZ", "docs/fuzz.json")


def read():
    """{harness: row}"""
    if not LEDGER.exists():
        return {}
    return {row["harness"]: row for row in map(json.loads, LEDGER.read_text(encoding="utf-8").splitlines())}


def executed(log):
    """-print_final_stats says it at the end; a crash ends before, so then it is the last progress line."""
    stats = re.findall(r"number_of_executed_units: (\d+)", log)
    return int(stats[-1]) if stats else max(map(int, re.findall(r"^#(\d+)\s", log, re.M)), default=0)


def change(name, how):
    with open(ROOT / "build-fuzz" / "ledger.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = read()
        how(rows.setdefault(name, {"harness": name, "executions": 0, "crashes": 0}))
        LEDGER.write_text("".join(json.dumps(rows[n]) + "\n" for n in sorted(rows)), encoding="utf-8")


def add(name, crashed, log):
    def how(row):
        commit = os.environ.get("POSTERN_COMMIT") or subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                                                                    text=True, check=False).stdout
        row["executions"] += executed(pathlib.Path(log).read_text(encoding="utf-8", errors="replace"))
        row["crashes"] += int(crashed)
        row["date"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        row["commit"] = commit.strip()

    change(name, how)


def mended(name):
    change(name, lambda row: row.update(mended=row["crashes"]))


def main():
    if sys.argv[1] == "add":
        add(*sys.argv[2:])
    elif sys.argv[1] == "mended":
        mended(sys.argv[2])
    else:
        print(max(0, int(sys.argv[3]) - read().get(sys.argv[2], {"executions": 0})["executions"]))


if __name__ == "__main__":
    main()
