"""Orders to the processes of a build with -Ddrill=true (tests/attack/drill.c, tests/crash/faults.c)."""
import ctypes
import os
import signal

import fault
from postern import ROOT, alive, wait_for

BINARY = os.environ.get("POSTERN_DRILL_BINARY", str(ROOT / "build-drill" / "postern"))
SYSTEM, AUTHORITY, GARBAGE, OVERSIZED, DESCRIPTORS, FLOOD, FORBIDDEN, SHORT, INTERRUPT, SLOW, CLOCK = range(1, 12)
ROLES = ("mx", "client", "mda", "office", "relay", "sign", "login")


def order(pid, stage, index):
    """The signal that the drill waits for, with its value; Python has no sigqueue."""
    if ctypes.CDLL(None, use_errno=True).sigqueue(pid, signal.SIGRTMIN + 1, ctypes.c_void_p(stage | index << 8)):
        raise OSError(ctypes.get_errno(), "sigqueue")


def drill(p, role, stage, index=0):
    """[(try, result, detail)] of one stage, which must come to its end, or to that of the process: parent ends who speaks nonsense to it."""
    began = len(p.log)
    pid = fault.wait_role(p, role)
    order(pid, stage, index)

    def ended():
        killed = stage in (GARBAGE, OVERSIZED, DESCRIPTORS, FLOOD) and not alive(pid)
        lines = [line.split() for line in p.log[began:] if line.startswith(f"drill {role} ")]
        if lines and killed:
            return [line for line in lines if line[3] != "end"] + [None]
        return lines if lines and lines[-1][3] == "end" else None
    try:
        lines = wait_for(ended)
    except AssertionError as e:
        raise AssertionError(f"{role} does not end stage {stage}, {index}: {p.log[began:][-20:]}") from e
    return [(words[3], words[4], words[5]) for words in lines[:-1]]


def fault_everywhere(p, what, amount, roles=ROLES):
    """A fault in processes of an instance; 0 ends it."""
    for role in roles:
        drill(p, role, what, amount)


def clock(p, hours):
    """The clock of the world jumps, for all of them."""
    fault_everywhere(p, CLOCK, 100000 + hours)
