"""A Postern instance for tests: `postern dev` as a child, on loopback, stopped at the end."""
import atexit
import contextlib
import errno
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("POSTERN", str(ROOT / "build-test" / "postern"))
# Seconds for what must come, on a machine however slow: nobody waits as long for what does come. Waits for what must not come are
# short, and said where they are.
PATIENCE = 120
PORTS = (24, 25, 110, 143, 465, 587, 993, 995)
claims = {}  # first port -> a socket whose name says to all tests on this machine that the ports are ours


def claim(first, ports):
    """Makes ports of loopback ours until release(first) or our end, though nobody listens there yet; False when they are somebody's."""
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        mark.bind(f"\0postern-test-{first}")
        for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
            for port in ports:
                with socket.socket(family) as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind((host, port))
    except OSError as e:
        if e.errno == errno.EADDRINUSE:
            mark.close()
            return False  # others say that there is no ::1
    claims[first] = mark
    return True


def release(first):
    if first in claims:
        claims.pop(first).close()


atexit.register(lambda: [release(first) for first in list(claims)])


def free_base():
    """A port base whose ports are ours alone (claim). All are below 32768, where the system takes ports for who connects."""
    bases = range(16000, 31600, 200)
    first = os.getpid() % len(bases)
    return next(base for base in (*bases[first:], *bases[:first]) if claim(base, [base + port for port in PORTS]))


def alive(pid):
    """Whether it is there and no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Instance:
    """with Instance(users={"alice@example.test": "alice"}, settings=["queue.retry_first=1s"]) as p: ..."""

    def __init__(self, users=None, domains=None, settings=(), options=(), folder=None, plaintext=True, binary=None, start=True,
                 dns="127.0.0.1:9", prefix=()):
        """dns: the only resolver it asks; by default one that does not answer, so that no test speaks to the world.
        prefix: words before the command (setpriv, nice)."""
        self.base = free_base()
        self.users = users or {"alice@example.test": "alice", "bob@example.test": "bob"}
        self.domains = domains or ["example.test"]
        self.settings = list(settings)
        self.options = list(options)
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="postern-test-", dir="/var/tmp")
        self.plaintext = plaintext
        self.dns = dns
        self.prefix = list(prefix)
        self.binary = binary or BINARY
        self.process = None
        self.log = []
        if start:
            self.start()

    def port(self, service):
        return self.base + {"smtp": 25, "lmtp": 24, "submissions": 465, "submission": 587, "imap": 143, "imaps": 993,
                            "pop3": 110, "pop3s": 995}[service]

    def command(self):
        words = [*self.prefix, self.binary, "dev", f"--dir={self.folder}", f"--port-base={self.base}"]
        if self.dns:
            words.append(f"--dns={self.dns}")
        words += [f"--domain={d}" for d in self.domains]
        words += [f"--user={a}:{p}" for a, p in self.users.items()]
        words += [f"--set={s}" for s in self.settings]
        if self.plaintext:
            words.append("--plaintext-login")
        return words + self.options

    def start(self, timeout=PATIENCE):
        if self.own_folder and os.geteuid() == 0:
            os.chmod(self.folder, 0o711)
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.log_thread = threading.Thread(target=self._read_log, args=(self.process.stderr,), daemon=True)
        self.log_thread.start()
        ready = threading.Event()
        threading.Thread(target=self._wait_ready, args=(self.process.stdout, ready), daemon=True).start()
        deadline = time.monotonic() + timeout
        while not ready.wait(0.05):
            if self.process.poll() is not None or time.monotonic() > deadline:
                status = self.process.poll()
                self.kill()  # and its last words are in the log
                raise RuntimeError(f"postern dev did not get ready (status {status}):\n" + "".join(self.log[-60:]))

    def _read_log(self, stream):
        for line in stream:
            self.log.append(line.decode("utf-8", "replace"))

    @staticmethod
    def _wait_ready(stream, ready):
        for line in stream:
            if line == b"ready\n":
                ready.set()

    def log_text(self):
        return "".join(self.log)

    def stop(self):
        """Ends it in order; the exit status. It promises 5 s, and has a kill for who is later: long before ours it must be gone."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(30)
        finally:
            self.kill()
        return status

    def kill(self):
        """Ends it at once, the way power goes: on return no process of it is left, so its ports and its folder are free."""
        if self.process is None:
            return
        pids = self.pids()
        self.process.kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.log_thread.join(PATIENCE)  # the log ends with the last who could write to it
        wait_for(lambda: not any(alive(pid) for pid in pids))
        self.process = None

    def pids(self, role=None):
        """Pids of its processes, by role ("mx", "office", ...): what stands in argv[1] after '@'."""
        found = []
        children = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append((int(entry.name), words))
        todo = [self.process.pid]
        while todo:
            for pid, words in children.get(todo.pop(), []):
                todo.append(pid)
                name = words[1].decode()[1:] if len(words) > 1 and words[1].startswith(b"@") else "parent"
                if role in (None, name):
                    found.append(pid)
        return found

    def ctl(self, *words, check=True, stdin=None, more=""):
        """A postern command that talks to this instance; more: lines of its configuration, in [server] first."""
        config, text = pathlib.Path(self.folder) / "test.conf", f'[server]\ndata = "{self.folder}"\n{more}'
        if not config.exists() or config.read_text() != text:  # another may be reading it
            config.write_text(text)
        result = subprocess.run([self.binary, *words, f"--config={config}"], capture_output=True, text=True, input=stdin, timeout=PATIENCE,
                                check=False)
        if check and result.returncode:
            raise RuntimeError(f"postern {' '.join(words)}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def events(self, word, *options):
        """What `postern trace` knows of it: the events of all its stories, oldest first."""
        got = self.ctl("trace", word, "--json", *options, check=False)
        return [event for story in json.loads(got.stdout) for event in story["events"]] if got.returncode == 0 else []

    def queue(self):
        """All that waits, as `queue list` says it; None when nobody answers."""
        got = self.ctl("queue", "list", "--json", check=False)
        return json.loads(got.stdout) if got.returncode == 0 else None

    def queue_is_empty(self):
        return self.queue() == []

    def queue_rests(self):
        """Whether all that waits has been tried: what can arrive has arrived."""
        jobs = self.queue()
        return jobs is not None and all(job["attempts"] for job in jobs)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        try:
            self.stop()
        finally:
            self.kill()
            release(self.base)
            if self.own_folder:
                shutil.rmtree(self.folder, ignore_errors=True)


def wait_for(condition, timeout=PATIENCE, step=0.05):
    """Polls until condition() is true and answers what it gave; fails by AssertionError."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(step)
