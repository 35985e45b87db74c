#!/usr/bin/env python3
"""House style that a machine can see (STYLE.md): include direction, banned functions, function length, VLAs, README in
each folder, format. Prints one line a finding; exits 1 when there is any."""
import pathlib
import re
import subprocess
import sys

import reasons

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

# A folder may include itself and what stands in its row. Processes never include each other, but for named data tables.
LOW = ["base"]
ALLOWED = {
    "base": [],
    "sql": LOW,
    "text": LOW,
    "verdict": LOW + ["text"],
    "report": LOW + ["text"],
    "config": LOW + ["text"],
    "bus": LOW + ["text", "report", "config"],
    "serve": LOW + ["text", "verdict", "report", "config", "bus"],
}
PROCESS = LOW + ["sql", "text", "verdict", "report", "config", "bus", "serve"]
for name in ("parent", "edge", "mda", "office", "relay", "keys"):
    ALLOWED[name] = PROCESS
# The command line runs instances, works on stores that nobody runs, and asks DNS with the relay's resolver.
ALLOWED["ctl"] = PROCESS + ["parent", "office", "relay", "keys"]
ALLOWED["main.c"] = LOW + ["ctl", "serve"]

BANNED = re.compile(
    r"\b(strcpy|strcat|strncpy|strncat|sprintf|vsprintf|strtok|strtok_r|atoi|atol|atoll|sscanf|gets|alloca|"
    r"setjmp|longjmp|system|popen|execl|execv|execve|rand|srand|strdup|strndup|asprintf|pthread_exit)\s*\(")
HEAP = re.compile(r"\b(malloc|calloc|realloc|free)\s*\(")
MAX_FUNCTION = 100


def strip_comments(text):
    """Comments and strings become spaces, lines stay."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def check_includes(path, text, say):
    top = path.relative_to(SRC).parts[0]
    for line, target in re.findall(r'^(#include "([^"]+)")', text, flags=re.M):
        other = target.split("/")[0]
        if "/" not in target:
            say(path, 1, f"include {target} by its path below src/")
        elif other != top and other not in ALLOWED.get(top, []):
            say(path, 1, f"{top} must not include {target}")
        elif target.endswith("_int.h") and pathlib.Path(target).parent != path.relative_to(SRC).parent:
            say(path, 1, f"{target} is private to its folder")


def check_words(path, code, say):
    in_base = path.relative_to(SRC).parts[0] == "base"
    is_test = path.stem.endswith(("_test", "_fuzz"))
    for number, line in enumerate(code.split("\n"), 1):
        match = BANNED.search(line)
        if match and not (is_test and match.group(1) == "execve"):  # the jail's test shows that it is refused
            say(path, number, f"{match.group(1)} is banned")
        if not in_base and not is_test and HEAP.search(line) and "release" not in line:
            say(path, number, "the heap is for src/base (arenas, buf); a library's pointer is freed by a named release function: "
                "mark the line /* library's */")


def check_functions(path, code, say):
    start = None
    for number, line in enumerate(code.split("\n"), 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start:
            if number - start - 1 > MAX_FUNCTION:
                say(path, start, f"function of {number - start - 1} lines, at most {MAX_FUNCTION}")
            start = None


def check_readmes(say):
    for folder in sorted({p.parent for p in SRC.rglob("*.c") if p.parent != SRC}):
        readme = folder / "README.md"
        if not readme.exists():
            say(folder, 1, "no README.md")
        elif len(readme.read_text().splitlines()) > 80:
            say(readme, 1, "more than 80 lines")


def check_format(files, say):
    result = subprocess.run(["clang-format", "--dry-run", "-Werror", *[str(f) for f in files if f.name != "stubs.h"]], capture_output=True, text=True, check=False)
    seen = set()
    for match in re.finditer(r"^(\S+?):(\d+):\d+: error", result.stderr, flags=re.M):
        if match.group(1) not in seen:
            seen.add(match.group(1))
            say(pathlib.Path(match.group(1)), int(match.group(2)), "not as .clang-format has it (make format)")


def main():
    findings = []

    def say(path, line, what):
        findings.append(f"{path.relative_to(ROOT) if path.is_absolute() else path}:{line}: {what}")

    files = sorted(p for p in SRC.rglob("*.[ch]"))
    for path in files:
        text = path.read_text()
        code = strip_comments(text)
        # A line that frees what a library gave says so in a comment.
        kept = [c if "library's" not in t else "" for c, t in zip(code.split("\n"), text.split("\n"))]
        check_includes(path, text, say)
        check_words(path, "\n".join(kept), say)
        check_functions(path, code, say)
    check_readmes(say)
    reasons.check(say)
    check_format([p for p in files if p.name not in ("message.h", "message_end.h")], say)
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
