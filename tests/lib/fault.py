"""Faults made with strace from outside: a process killed, or a call made to fail, at its n-th system call of a kind. Counters
of strace are per thread, so N means "the first thread that comes to its n-th such call"."""
import collections
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

from postern import PATIENCE, wait_for


class Strace:
    """with Strace(pid, "trace=write", "inject=write:signal=KILL:when=3"): ...; `output`: a file, else nothing is kept."""

    def __init__(self, pids, *expressions, output="/dev/null", options=()):
        words = ["strace", "-f", "-o", str(output), *options]
        for pid in pids if isinstance(pids, (list, tuple)) else [pids]:
            words += ["-p", str(pid)]
        for expression in expressions:
            words += ["-e", expression]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.lines = []
        attached = threading.Event()
        self.thread = threading.Thread(target=self._read, args=(attached,), daemon=True)
        self.thread.start()
        if not attached.wait(PATIENCE):
            raise RuntimeError("strace does not attach: " + "".join(self.lines))

    def _read(self, attached):
        for line in self.process.stderr:
            self.lines.append(line.decode("utf-8", "replace"))
            attached.set()
        attached.set()

    def stop(self):
        """Asks again and again: a signal that comes just before strace waits is not seen until its next event."""
        deadline = time.monotonic() + 3
        while self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                pass
        self.thread.join(5)
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()


CALL = re.compile(r"^(\d+) +(\w+)\(")


def count_calls(path):
    """{call: the most that one thread made of it} in a log of strace -f."""
    counts = collections.Counter()
    for line in pathlib.Path(path).read_text(errors="replace").split("\n"):
        match = CALL.match(line)
        if match:
            counts[match.group(1), match.group(2)] += 1
    most = collections.Counter()
    for (_, call), n in counts.items():
        most[call] = max(most[call], n)
    return most


def kill(pid):
    """Whether it was still there to be killed."""
    try:
        os.kill(pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


@contextlib.contextmanager
def standstill(pid):
    """The process does nothing meanwhile; each of its threads stands, for the signal alone only asks them."""
    def stands():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            return all(path.read_text().rsplit(")", 1)[1].split()[0] in "Tt" for path in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"))
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(stands, step=0.01)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def wait_role(p, role):
    """The pid of a role, as soon as one runs."""
    return wait_for(lambda: p.pids(role), step=0.01)[0]
