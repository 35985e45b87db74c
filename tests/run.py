#!/usr/bin/env python3
"""All tests, or the groups that are named: style unit sanitize talk chain crash sim attack (and soak, which is long). Each group
builds what it needs. Ends with one line "N passed, N failed"; exits 1 when anything failed.

What mostly waits runs beside others: files of system tests have instances and ports of their own (tests/lib/postern.py), and none
may mind how fast it is. Only what measures the machine is alone."""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))
CORES = os.cpu_count() or 2
ALONE = ("load_test.py",)  # latencies, and memory files of the whole machine

BUILDS = {
    "build-test": ([], {"CC": "gcc"}),
    "build-clang": ([], {"CC": "clang"}),
    "build-asan": (["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1"], {"CC": "gcc"}),
    "build-tsan": (["-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=1"], {"CC": "clang"}),
    # Every indirect call goes to a function of its type, and undefined behaviour traps. clang 14's tables of CFI and IBT's marks do not agree.
    "build-cfi": (["-Dtests=false", "-Db_lto=true", "-Db_lto_mode=thin",
                   "-Dc_args=['-flto=thin','-fcf-protection=none','-fvisibility=hidden','-fsanitize=cfi','-fsanitize=undefined',"
                   "'-fsanitize-trap=undefined']", "-Dc_link_args=['-flto=thin','-fsanitize=cfi']"], {"CC": "clang", "CC_LD": "lld", "AR": "llvm-ar"}),
    "build-drill": (["-Ddrill=true", "-Dtests=false"], {"CC": "gcc"}),
}
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:abort_on_error=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": f"halt_on_error=1:suppressions={ROOT}/tests/lib/tsan.supp",
}
# TSan costs most where there are threads, and says nothing where there are none.
TSAN_TESTS = ("bus", "serve", "office", "keys", "relay.dns", "relay.mta")
# They fork and enter the jail, which TSan's own threads and maps cannot.
NOT_UNDER_TSAN = ("serve.jail_test",)


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = []

    def add(self, name, good, output=""):
        if good:
            self.passed += 1
        else:
            self.failed.append(name)
            print(f"FAILED {name}")
            print("\n".join("    " + line for line in output.strip().split("\n")[-60:]), flush=True)


def build(name, *targets):
    options, extra = BUILDS[name]
    result = subprocess.run(["tools/build.sh", name, " ".join(options), *targets], cwd=ROOT, env={**os.environ, **extra}, capture_output=True,
                            text=True, check=False)
    return result.returncode == 0, result.stdout + result.stderr


def side_by_side(function, things, at_once=CORES):
    """(thing, what function(thing) gives), in order, so many of them under way."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        yield from zip(things, pool.map(function, things))


def run_unit_test(test):
    env = {**os.environ, **SANITIZER_ENV, "CMOCKA_MESSAGE_OUTPUT": "TAP"}
    try:
        run = subprocess.run(test["cmd"], cwd=ROOT, env=env, capture_output=True, text=True, errors="replace", timeout=300, check=False)
        return run.stdout + run.stderr, run.returncode
    except subprocess.TimeoutExpired as e:
        return f"timed out: {e}", -1


def meson_tests(tally, folder, names=(), without=()):
    """Runs the unit tests of a build, as many at a time as there are processors; every test function of cmocka counts."""
    good, output = build(folder)
    tally.add(f"{folder}: builds", good, output)
    if not good:
        return
    listed = json.loads(subprocess.run(["meson", "introspect", "--tests", str(ROOT / folder)], capture_output=True, text=True,
                                       check=True).stdout)
    tests = [t for t in sorted(listed, key=lambda t: t["name"]) if (not names or t["name"].startswith(tuple(names))) and t["name"] not in without]
    for test, (output, status) in side_by_side(run_unit_test, tests):
        passed = [line for line in output.split("\n") if line.startswith("ok ")]
        failed = [line for line in output.split("\n") if line.startswith("not ok ")]
        for line in passed:
            tally.add(f"{folder} {test['name']} {line}", True)
        for line in failed:
            tally.add(f"{folder} {test['name']} {line}", False, output)
        if status != 0 and not failed or not passed and not failed:
            tally.add(f"{folder} {test['name']}: status {status}", False, output)


def script(tally, *command):
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    tally.add(" ".join(command), run.returncode == 0, run.stdout + run.stderr)


def group_style(tally):
    script(tally, "tools/style.py")


def group_unit(tally):
    meson_tests(tally, "build-test")
    script(tally, "tools/manual.sh", "--check")


def group_sanitize(tally):
    meson_tests(tally, "build-asan")
    meson_tests(tally, "build-tsan", TSAN_TESTS, NOT_UNDER_TSAN)


def group_fuzz(tally):
    """Each fuzzer a few seconds on the same inputs: that it builds, its seeds pass, nothing is found at once. `make fuzz` is the real thing."""
    run = subprocess.run(["tools/fuzz.sh", os.environ.get("FUZZ_SECONDS", "2")], cwd=ROOT, env={"FUZZ_SEED": "1", **os.environ}, capture_output=True, text=True, check=False)
    tally.add("fuzzers", run.returncode == 0, run.stdout + run.stderr)
    script(tally, "tools/cost.py")


def python_file(path):
    """What the tests of a file printed; how many ran, and [name, why] of those that failed."""
    run = subprocess.run([sys.executable, __file__, "--file", path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         errors="replace", check=False)
    output, _, last = run.stdout.rpartition("RESULT ")
    if run.returncode != 0 or not last:
        return run.stdout, 1, [["", f"status {run.returncode}\n{run.stdout[-4000:]}"]]
    return output, *json.loads(last)


def in_this_process(path):
    """The other side of python_file."""
    path, began = pathlib.Path(path), time.monotonic()
    sys.path.insert(0, str(path.parent))
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromName(path.stem).run(result)
    bad = [[str(test), text] for test, text in result.failures + result.errors]
    bad += [[f"{test} skipped", f"{reason}: a test that does not run proves nothing"] for test, reason in result.skipped]
    print(f"{path.relative_to(ROOT)}: {result.testsRun} tests, {time.monotonic() - began:.0f} s")
    print("RESULT", json.dumps([result.testsRun, bad]))


def python_tests(tally, *folders, at_once=2 * CORES):
    good, output = build("build-test", "postern", "power_check")
    tally.add("build-test: postern builds", good, output)
    if not good:
        return
    paths = sorted(path for folder in folders for path in ([ROOT / folder] if folder.endswith(".py") else (ROOT / folder).glob("*_test.py")))
    for some, n in (([p for p in paths if p.name not in ALONE], at_once), ([p for p in paths if p.name in ALONE], 1)):
        for path, (output, ran, bad) in side_by_side(python_file, some, n):
            print(output, end="", flush=True)
            for test, why in bad:
                tally.add(f"{path.name} {test}", False, why)
            tally.passed += max(0, ran - len({test for test, _ in bad}))


def group_differential(tally):
    """The same questions to Postern and to Debian's python3-spf, python3-dkim, libopendkim and libopendmarc; long forms by hand (their own headers say how)."""
    good, output = build("build-test")
    tally.add("build-test: builds", good, output)
    env = {**os.environ, "POSTERN_BUILD": str(ROOT / "build-test"), "PYTHONPATH": str(ROOT / "tests" / "lib")}
    for command in (["tests/differential/spf_diff.py", str(ROOT / "build-test" / "postern"), "300", "3"],
                    ["tests/differential/dkim_diff.py"], ["tests/differential/dmarc_diff.py"],
                    ["tests/differential/author_diff.py"]):
        run = subprocess.run(["/usr/bin/python3", *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        tally.add(command[0], run.returncode == 0, run.stdout + run.stderr)


def group_talk(tally, folder="build-test"):
    good, output = build(folder, "postern")
    tally.add(f"{folder}: postern builds", good, output)
    run = subprocess.run([sys.executable, "tests/talk/run.py", "--summary"], cwd=ROOT, capture_output=True, text=True, check=False,
                         env={**os.environ, "POSTERN": str(ROOT / folder / "postern")})
    for line in run.stdout.split("\n"):
        if line.startswith(("ok ", "not ok ")):
            tally.add("talk " + line, line.startswith("ok "), run.stdout[-4000:] if line.startswith("not") else "")
    if run.returncode and "not ok" not in run.stdout:
        tally.add("talk", False, run.stdout + run.stderr)


def group_cfi(tally):
    group_talk(tally, "build-cfi")


def group_chain(tally):
    python_tests(tally, "tests/chain")


def group_crash(tally):
    good, output = build("build-drill", "postern")
    tally.add("build-drill: builds", good, output)
    python_tests(tally, "tests/crash", "tests/soak")


def group_sim(tally):
    good, output = build("build-test", "office.queue.queue_sim_test")
    tally.add("build-test: the simulator builds", good, output)
    if good:
        python_tests(tally, "tests/sim")


def group_attack(tally):
    good, output = build("build-drill", "postern")
    tally.add("build-drill: builds", good, output)
    python_tests(tally, "tests/attack")


# The long forms of the harnesses in tests/crash and tests/attack: their figures go to the scoreboard.
SOAK = {"POSTERN_KILLS": "1000", "POSTERN_SITES_STEP": "1", "POSTERN_STATES": "10000", "POSTERN_ERRORS": "1", "POSTERN_FRAMING": "7",
        "POSTERN_LOAD": "full", "POSTERN_WALKS": "2000", "POSTERN_SEEDS": "100000", "POSTERN_PER_KILL": "101", "POSTERN_PAIRS": "all",
        "POSTERN_SOAK_MINUTES": "60", "POSTERN_DRILL": "full", "POSTERN_LOSS": "1000", "POSTERN_UPGRADES": "20", "POSTERN_MALLOCS": "400", "POSTERN_OOM_KILLS": "30",
        "POSTERN_FLIPS": "100000", "POSTERN_RELOADS": "1000",
        "POSTERN_RESULTS": str(ROOT / "docs" / "scoreboard.json")}


def group_soak(tally):
    for name, value in SOAK.items():
        os.environ.setdefault(name, value)
    group_cfi(tally)
    group_sim(tally)
    python_tests(tally, "tests/crash", "tests/attack", "tests/soak", "tests/chain/upgrade_test.py", "tests/chain/reload_test.py", at_once=1)  # here the figures count


GROUPS = {name[6:]: function for name, function in globals().items() if name.startswith("group_")}
ALL = ["style", "unit", "differential", "talk", "chain", "crash", "sim", "attack", "sanitize", "fuzz"]


def main():
    if sys.argv[1:2] == ["--file"]:
        return in_this_process(sys.argv[2])
    tally = Tally()
    for name in sys.argv[1:] or ALL:
        began = time.monotonic()
        print(f"== {name}", flush=True)
        GROUPS[name](tally)
        print(f"== {name}: {time.monotonic() - began:.0f} s", flush=True)
    for name in tally.failed:
        print(f"failed: {name}")
    print(f"{tally.passed} passed, {len(tally.failed)} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
