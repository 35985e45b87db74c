"""What a system under test costs: CPU seconds and memory of all its processes, the dead ones too. And what this machine is."""
import os
import pathlib
import platform
import signal
import subprocess
import time

UNIFIED = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
BLKIO = "/sys/fs/cgroup/blkio"
LIMIT = "blkio.throttle.write_iops_device"


class Group:
    """A control group for one system. CPU of processes that ended stays counted, whoever inherited them."""

    def __init__(self, name):
        root = next((r for r in UNIFIED if os.path.exists(f"{r}/cgroup.controllers")), None)
        if root is None or not os.access(root, os.W_OK):
            raise RuntimeError("bench needs root and a writable cgroup2 file system to count the CPU of all processes")
        self.folder = pathlib.Path(root) / f"postern-bench-{os.getpid()}-{name}"
        self.folder.mkdir()
        self.disk = None

    def slow_disk(self, writes, path):
        """Before the first child: the disk that holds `path` does so many writes a second for this group, and no more."""
        self.disk = pathlib.Path(BLKIO) / self.folder.name
        self.disk.mkdir()
        (self.disk / LIMIT).write_text(f"{_disk_of(path)} {writes}")

    def enter(self):
        """Called in a child before exec: it and all its children are counted from here on."""
        for folder in (self.folder, self.disk):
            if folder:
                (folder / "cgroup.procs").write_text(str(os.getpid()))

    def pids(self):
        return [int(p) for p in (self.folder / "cgroup.procs").read_text().split()]

    def end(self):
        """Ends whoever is left in it."""
        for _ in range(100):
            pids = self.pids()
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)

    def cpu(self):
        """Seconds of CPU, user and system, since it was made."""
        fields = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"]) / 1e6

    def memory(self):
        """Proportional set size of all processes together, bytes."""
        return sum(process_pss(p) for p in self.pids())

    def remove(self):
        for folder in filter(None, (self.folder, self.disk)):
            self._remove(folder)

    def _remove(self, folder):
        for _ in range(100):
            try:
                folder.rmdir()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"{folder}: still in use by {self.pids()}")


def can_slow_disk(path):
    return os.access(BLKIO, os.W_OK) and os.path.exists(f"/sys/dev/block/{_disk_of(path)}/queue")


def _disk_of(path):
    device = os.stat(path).st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def process_pss(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            return next((int(line.split()[1]) * 1024 for line in f if line.startswith("Pss:")), 0)
    except OSError:
        return 0  # it ended meanwhile


def load():
    return os.getloadavg()[0]


def syncs_per_second(folder, seconds=2.0):
    """Appends of 4 KiB, each with its fdatasync, by one thread: the beat of this disk."""
    path = os.path.join(folder, "sync-probe")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        begin = time.monotonic()
        count = 0
        while time.monotonic() - begin < seconds:
            os.write(fd, bytes(4096))
            os.fdatasync(fd)
            count += 1
        return count / (time.monotonic() - begin)
    finally:
        os.close(fd)
        os.unlink(path)


def _output(*words):
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    return (result.stdout or result.stderr).strip()


def machine(folder):
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")), "?")
    ram = next(line for line in open("/proc/meminfo", encoding="ascii")).split()[1]
    debian = [line.split() for line in _output("dpkg-query", "-W", "postfix", "dovecot-core", "libsqlite3-0", "libssl3").splitlines()]
    return {
        "processor": f"{os.cpu_count()} x {cpu}",
        "memory": f"{int(ram) / 2**20:.1f} GiB",
        "kernel": platform.release(),
        "file system": _output("findmnt", "-n", "-o", "FSTYPE,SOURCE,OPTIONS", "-T", str(folder)),
        "fdatasync": f"{syncs_per_second(folder):.0f} a second (4 KiB appends, one thread, before the runs)",
        "packages": ", ".join(" ".join(p) for p in debian),
    }
