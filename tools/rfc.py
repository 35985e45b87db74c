#!/usr/bin/env python3
"""Builds docs/rfc/index.md from the references in the code ("RFC 5321 4.1.1.3"): which section is implemented where, and every deviation
("not: because ...")."""
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
REFERENCE = re.compile(r"RFC (\d{3,5})(?: ((?:[A-Z]\.)?\d+(?:\.\d+)*|[A-Z](?:\.\d+)+))?")


def section_key(section):
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in section.split(".")] if section else []


def main():
    found = collections.defaultdict(lambda: collections.defaultdict(set))
    deviations = []
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in (".c", ".h", ".tbl") or path.stem.endswith("_fuzz"):
            continue
        name = str(path.relative_to(ROOT))
        for number, line in enumerate(path.read_text().split("\n"), 1):
            for rfc, section in REFERENCE.findall(line):
                found[int(rfc)][section].add(name)
            if re.search(r"\bnot: ", line):
                deviations.append(f"* `{name}:{number}` {line.split('not: ', 1)[1].strip(' */')}")
    out = ["# RFCs in the code", "", "Made by `tools/rfc.py` from the references in `src/`: section, then the files that cite it.", ""]
    for rfc in sorted(found):
        out += [f"## RFC {rfc}", ""]
        for section in sorted(found[rfc], key=section_key):
            files = ", ".join(f"`{f.removeprefix('src/')}`" for f in sorted(found[rfc][section]))
            out.append(f"* {section or 'whole'}: {files}")
        out.append("")
    out += ["## Deviations", "", *deviations, ""]
    (ROOT / "docs" / "rfc").mkdir(parents=True, exist_ok=True)
    (ROOT / "docs" / "rfc" / "index.md").write_text("\n".join(out))


if __name__ == "__main__":
    main()
