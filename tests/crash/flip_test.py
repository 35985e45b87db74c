#!/usr/bin/env python3
"""F25, flipped bits: src/office/store/store_flip_test.c says what is done and judged (a bit, some bits, some octets of one file of a store; opened,
read through every call, verified, at times salvaged). Here it is run for long, on all processors.

    POSTERN_FLIPS=100000 tests/crash/flip_test.py                                   POSTERN_SEED=1 is the first
    POSTERN_FLIPS=1 POSTERN_SEED=4711 build-test/office.store.store_flip_test       one again"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import results
from postern import BINARY, ROOT

FLIPS = int(os.environ.get("POSTERN_FLIPS", "100"))
FIRST = int(os.environ.get("POSTERN_SEED", "1"))
PROCESSES = os.cpu_count() or 1
PROGRAM = "office.store.store_flip_test"
NUMBER = re.compile(r"(\w+) (\d+)")


def run(first, n):
    """{what: how many}, of the trials and of the control; and what was wrong."""
    done = subprocess.run([pathlib.Path(BINARY).parent / PROGRAM], env={**os.environ, "POSTERN_SEED": str(first), "POSTERN_FLIPS": str(n)}, cwd=ROOT,
                          capture_output=True, text=True, errors="replace", check=False)
    said = done.stdout + done.stderr
    lines = {line[:4]: {what: int(n) for what, n in NUMBER.findall(line)} for line in said.split("\n") if line.startswith("# ")}
    if set(lines) != {"# fl", "# co"}:
        raise AssertionError(f"seeds {first} to {first + n - 1}: {PROGRAM} ended with {done.returncode}: {said[-3000:]}")
    return lines["# fl"], lines["# co"], [line for line in said.split("\n") if line.startswith("seed ")]


class FlipTest(unittest.TestCase):
    def test_never_another_content(self):
        subprocess.run([ROOT / "tools/build.sh", pathlib.Path(BINARY).parent, "", PROGRAM], stdout=subprocess.DEVNULL, check=True)
        step = max(1, min(5000, -(-FLIPS // PROCESSES)))
        with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
            done = list(pool.map(lambda at: run(at, min(step, FIRST + FLIPS - at)), range(FIRST, FIRST + FLIPS, step)))
        total = {what: sum(numbers[what] for numbers, _, _ in done) for what in done[0][0]}
        results.record("stores with flipped bits that hand out another content, lose mail without a word, or are not salvaged",
                       total["wrong"] + total["silent"] + total["unsaved"],
                       f"{total['flips']} trials: {total['told']} told of ({total['refused']} at the start), {total['harmless']} without effect, "
                       f"{total['last']} took the last commit of a WAL; {total['salvaged']} salvaged", "0", "POSTERN_FLIPS=100000 tests/crash/flip_test.py")
        self.assertEqual([line for _, _, bad in done for line in bad], [])
        self.assertEqual((total["flips"], total["wrong"], total["silent"], total["unsaved"]), (FLIPS, 0, 0, 0))
        self.assertTrue(all(control["wrong"] > 0 for _, control, _ in done), "nothing is seen without the sums")


if __name__ == "__main__":
    unittest.main()
