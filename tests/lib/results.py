"""Figures for docs/SCOREBOARD.md. A harness says what it measured; it is kept only when POSTERN_RESULTS names a file, so that
`make test` leaves the tree alone. One JSON object a line; tools/scoreboard makes the table of it."""
import datetime
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def commit():
    """Of the tree, with a + when the program has changes that are in none; POSTERN_COMMIT says it when it was built from another."""
    if os.environ.get("POSTERN_COMMIT"):
        return os.environ["POSTERN_COMMIT"]
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("status", "--porcelain", "--", "src") else "")


def record(figure, value, n, target, command):
    """figure: what was measured, the same words each time. n: out of how many. target: what was promised. Prints it too."""
    print(f"    {figure}: {value} (N {n}, target {target})", flush=True)
    path = os.environ.get("POSTERN_RESULTS")
    if not path:
        return
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps({"figure": figure, "value": value, "n": n, "target": target, "command": command, "date": now,
                            "commit": commit()}) + "\n")
