#!/usr/bin/env python3
"""Static analysis: gcc -fanalyzer, clang-tidy (.clang-tidy), cppcheck over the whole program; `make analyze`. A finding is fixed, or it is wrong
and stands with its reason in tools/analyze.known (TOOL RULE FILE REASON); anything else fails. Some minutes. A control first: each tool must
find the fault in tools/analyze_control.c, for one that is not there or does not understand us finds nothing either.

    tools/analyze.py [gcc] [cppcheck] [tidy]"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import results

KNOWN = ROOT / "tools" / "analyze.known"
CONTROL = "tools/analyze_control.c"
CPPCHECK = ("cppcheck", "--enable=warning,performance,portability", "--quiet", "--template={file}:{line}: {id}: {message}")
CORES = str(os.cpu_count() or 2)
FINDING = {
    "gcc": re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+):\d+: (?:warning|error): (?P<text>.*) \[-W(?:error=)?(?P<rule>analyzer-[\w-]+)\]$"),
    "tidy": re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+):\d+: (?:warning|error): (?P<text>.*) \[(?P<rule>[\w.-]+)[\w.,-]*\]$"),
    "cppcheck": re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+): (?P<rule>\w+): (?P<text>.*)$"),
}

# A tool that did not do its work: nothing of what it says, or does not, counts.
BROKEN = re.compile(r"^(Error while processing|error: |ninja: error|cppcheck: error|FAILED: )|.*: fatal error: ")


def run(*words, **options):
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, **options)
    return result.stdout + result.stderr


def configure(folder, compiler, *options):
    shutil.rmtree(ROOT / folder, ignore_errors=True)
    said = run("meson", "setup", folder, "-Dtests=false", "-Dwerror=false", *options, env={**os.environ, "CC": compiler})
    if not (ROOT / folder / "build.ninja").exists():
        sys.exit(said)


def gcc():
    configure("build-analyze", "gcc", "-Dc_args=-fanalyzer")
    said = run("ninja", "-k", "0", "-C", "build-analyze", "postern")
    return said if (ROOT / "build-analyze" / "postern").exists() else f"{said}\nFAILED: there is no program"


def cppcheck():
    if not (ROOT / "build-analyze" / "compile_commands.json").exists():
        configure("build-analyze", "gcc", "-Dc_args=-fanalyzer")
    return run(*CPPCHECK, "-j", CORES, "--project=build-analyze/compile_commands.json")


def tidy():
    configure("build-tidy", "clang")
    files = [f for f in run("tools/sources.sh", "code").split() if f != "src/base/fail.c"]
    told = f"--extra-arg=-include{ROOT}/tools/analyze_fail.h"
    return run("xargs", "-P", CORES, "-n", "8", "clang-tidy", "--quiet", "-p", "build-tidy", told, input="\n".join(files)) + \
        run("clang-tidy", "--quiet", "-p", "build-tidy", "src/base/fail.c")


def known():
    """{(tool, rule, file)}; a file of * is every one."""
    rows = set()
    for line in KNOWN.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            tool, rule, file, _reason = line.split(None, 3)
            rows.add((tool, rule, file))
    return rows


def findings(tool, output):
    found = set()
    for line in output.splitlines():
        match = FINDING[tool].match(line)
        if match:
            file = re.sub(r"^.*?(?=(?:src|tools)/)", "", match["file"])
            found.add((file, int(match["line"]), match["rule"], match["text"]))
    return sorted(found)


CONTROLS = {"gcc": ("gcc", "-fanalyzer", "-O2", "-c", "-o", "/dev/null", CONTROL), "cppcheck": (*CPPCHECK, CONTROL),
            "tidy": ("clang-tidy", "--quiet", CONTROL, "--")}
TOOLS = {"gcc": gcc, "cppcheck": cppcheck, "tidy": tidy}


def main():
    open_, told = 0, []
    rows, seen = known(), set()
    for tool in sys.argv[1:] or TOOLS:
        if not findings(tool, run(*CONTROLS[tool])):
            sys.exit(f"{tool} does not find the fault in {CONTROL}")
        said = TOOLS[tool]()
        broken = [line for line in said.splitlines() if BROKEN.match(line)]
        if broken or not (ROOT / ("build-tidy" if tool == "tidy" else "build-analyze") / "compile_commands.json").exists():
            sys.exit(f"{tool} did not do its work: {broken[:3]}")
        found = findings(tool, said)
        for file, line, rule, text in found:
            row = next((r for r in ((tool, rule, file), (tool, rule, "*")) if r in rows), None)
            seen.add(row)
            if row is None:
                print(f"{file}:{line}: {tool} {rule}: {text}")
                open_ += 1
        print(f"{tool}: {len(found)} findings", flush=True)
        told.append(f"{tool} {len(found)}")
        for row in sorted(r for r in rows - seen if r[0] == tool):
            print(f"no longer found, remove it from {KNOWN.name}: {' '.join(row)}")
    print(f"{open_} open")
    if not sys.argv[1:]:
        files = len(run("tools/sources.sh", "code").split())
        results.record("findings of static analysis, neither mended nor explained", open_,
                       f"{files} files; findings with those that are explained: {', '.join(told)}", "0", "make analyze")
    return 1 if open_ else 0


if __name__ == "__main__":
    sys.exit(main())
