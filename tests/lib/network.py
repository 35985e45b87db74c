"""A network that loses: in its `with`, this thread, threads and programs it starts live in a network of their own (a namespace of Linux) with only
loopback, on which nft drops packets. Root's; the packages are nftables and iproute2."""
import ctypes
import os
import re
import subprocess

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def _checked(result):
    if result:
        raise OSError(ctypes.get_errno(), "network namespace: " + os.strerror(ctypes.get_errno()))


class Network:
    def __init__(self, mtu=None):
        self.mtu = mtu

    def __enter__(self):
        self.before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _checked(LIBC.unshare(CLONE_NEWNET))
        subprocess.run(["ip", "link", "set", "lo", "up", *(["mtu", str(self.mtu)] if self.mtu else [])], check=True)
        return self

    def __exit__(self, *unused):
        _checked(LIBC.setns(self.before, CLONE_NEWNET))
        os.close(self.before)

    @classmethod
    def missing(cls):
        """What keeps this machine from it (no root, a kernel without the modules); None when nothing does."""
        try:
            with cls() as net:
                net.lose(50)
                net.lose(0)
        except (OSError, subprocess.CalledProcessError) as e:
            return f"needs a network namespace of its own and nft: {e}"
        return None

    @staticmethod
    def lose(per_cent, match=""):
        """Of the packets that match (nft's words, as `tcp sport 25`), so many of a hundred; what was lost before no longer is."""
        rules = "table inet loss\ndelete table inet loss\n"
        chance = f"numgen random mod 100 < {per_cent}" if per_cent < 100 else ""
        if per_cent:
            rules += f"table inet loss {{ chain out {{ type filter hook output priority 0; policy accept; {match} {chance} counter drop\n}}\n}}\n"
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)

    @staticmethod
    def lost():
        """Packets dropped since lose()."""
        listed = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        return sum(int(n) for n in re.findall(r"counter packets (\d+)", listed))
