#!/usr/bin/env python3
"""The simulator of queue, scheduler and store core (src/office/queue/queue_sim_test.c says what it checks), with many seeds on all
processors; then each rule broken on purpose, which must be noticed.

    tests/run.py sim                                          POSTERN_SEEDS=100
    POSTERN_SEEDS=100000 tests/sim/sim_test.py                POSTERN_SEED=1 is the first; SIM_PROCESSES how many beside each other;
                                                              POSTERN_SIM_MINUTES when it is enough though there were fewer seeds
    build-test/office.queue.queue_sim_test 1 4711             one seed again; `1 4711 uid`: with that rule broken

POSTERN_SIM=path/to/queue_sim_test says which program."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import results

PROGRAM = os.environ.get("POSTERN_SIM", str(ROOT / "build-test" / "office.queue.queue_sim_test"))
SEEDS = int(os.environ.get("POSTERN_SEEDS", "100"))
FIRST = int(os.environ.get("POSTERN_SEED", "1"))
PROCESSES = int(os.environ.get("SIM_PROCESSES", str(os.cpu_count() or 1)))
MINUTES = float(os.environ.get("POSTERN_SIM_MINUTES", "inf"))
# Each rule that is broken on purpose, and as what it must be noticed (a verdict of the simulator's): something else that fails too would not
# show that this is looked at.
RULES = {"promise": ("LOST",), "schedule": ("STARVED",), "once": ("DUPLICATE",), "uid": ("UID",), "wait": ("POLICY",),
         "disk": ("LOST", "CORRUPT", "REMOVED BUT THERE", "MODSEQ")}
CONTROL_SEEDS = 30
SUMMARY = re.compile(r"(\w+) (\d+)(?:,|$)")


def run(count, first, rule="nothing"):
    """{what: how many}, and the lines of seeds that failed."""
    done = subprocess.run([PROGRAM, str(count), str(first), rule], capture_output=True, text=True, check=False)
    summary = [line for line in done.stdout.split("\n") if line.startswith("# ")]
    if not summary:
        raise RuntimeError(f"{PROGRAM} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return ({what: int(n) for what, n in SUMMARY.findall(summary[0].split(";")[1])},
            [line for line in done.stdout.split("\n") if line.startswith("seed ")])


class SimTest(unittest.TestCase):
    def test_no_promise_is_broken(self):
        step = max(1, min(500, SEEDS // PROCESSES))
        chunks = [(min(step, FIRST + SEEDS - at), at) for at in range(FIRST, FIRST + SEEDS, step)]
        until = time.monotonic() + MINUTES * 60
        with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
            done = [d for d in pool.map(lambda chunk: run(*chunk) if time.monotonic() < until else None, chunks) if d]
        total = {what: sum(numbers[what] for numbers, _ in done) for what in done[0][0]}
        bad = [line for _, lines in done for line in lines]
        results.record("simulated histories of queue and store with a broken promise", total["failed"],
                       f"{total['seeds']} seeds, {total['kills']} kills, {total['faults']} faults, {total['acknowledged']} messages", "0",
                       "POSTERN_SEEDS=100000 tests/sim/sim_test.py")
        self.assertEqual(bad, [])
        if MINUTES == float("inf"):
            self.assertEqual(total["seeds"], SEEDS)

    def test_controls_broken_rules_are_noticed(self):
        for rule, verdicts in RULES.items():
            with self.subTest(rule=rule):
                numbers, lines = run(CONTROL_SEEDS, 1, rule)
                self.assertEqual(numbers["seeds"], CONTROL_SEEDS)
                right = [line for line in lines if line.split(": ")[1] in verdicts]
                self.assertGreater(len(right), CONTROL_SEEDS // 10, lines)


if __name__ == "__main__":
    unittest.main()
