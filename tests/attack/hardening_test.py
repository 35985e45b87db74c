#!/usr/bin/env python3
"""How the program is built (THREATS P05): position independent, all relocations done and read-only before it runs, stack protector, checked
library calls, no executable stack, marked branch targets, no search path of its own. Asked of the file itself, with readelf.

The control is a program built without any of it: the same questions must be answered with no."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import results
from postern import BINARY

SLOPPY = r"""
#include <string.h>
int main(int argc, char **argv) { char b[8]; (void)argc; strcpy(b, argv[0]); return b[0]; }
"""
SLOPPY_FLAGS = ["-O2", "-U_FORTIFY_SOURCE", "-no-pie", "-fno-pie", "-fno-stack-protector", "-fcf-protection=none", "-Wl,-z,norelro", "-Wl,-z,lazy",
                "-Wl,-z,execstack", "-Wl,-rpath,/tmp"]


def readelf(path, *options):
    return subprocess.run(["readelf", "-W", *options, str(path)], capture_output=True, text=True, check=True).stdout


def properties(path):
    """{what: whether it holds}."""
    head, segments, dynamic, symbols = (readelf(path, o) for o in ("-h", "-l", "-d", "--dyn-syms"))
    stack = re.search(r"GNU_STACK .* (R\w*) +0x", segments)
    writable_code = [line for line in segments.split("\n") if "LOAD" in line and "RWE" in line]
    return {
        "position independent": "DYN" in re.search(r"Type:.*", head)[0] and "PIE" in dynamic,
        "relocations read-only": "GNU_RELRO" in segments and "BIND_NOW" in dynamic,
        "stack protector": "__stack_chk_fail" in symbols,
        "checked library calls": len(set(re.findall(r"\b__\w+_chk\b", symbols)) - {"__stack_chk_fail"}) >= 3,
        "no executable stack": stack is not None and "E" not in stack[1],
        "no writable code": not writable_code,
        "no search path": not re.search(r"\((RPATH|RUNPATH)\)", dynamic),
        "marked branch targets": os.uname().machine != "x86_64" or pathlib.Path(path).read_bytes().count(b"\xf3\x0f\x1e\xfa") > 1000,
    }


class HardeningTest(unittest.TestCase):
    def test_the_program(self):
        found = properties(BINARY)
        missing = [what for what, holds in found.items() if not holds]
        results.record("protections the program was built without", len(missing), ", ".join(found), "0", "tests/attack/hardening_test.py")
        self.assertEqual(missing, [])

    def test_control_a_sloppy_program(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "sloppy.c")
            source.write_text(SLOPPY)
            subprocess.run(["gcc", *SLOPPY_FLAGS, str(source), "-o", f"{folder}/sloppy"], check=True, capture_output=True)
            found = properties(f"{folder}/sloppy")
        self.assertEqual([what for what, holds in found.items() if holds and what != "no writable code"], [])


if __name__ == "__main__":
    unittest.main()
