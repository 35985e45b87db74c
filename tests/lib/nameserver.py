"""nsd on a high port of loopback, with the zones of a test."""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from postern import PATIENCE, claim, wait_for

SOA = "$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n"


def free_port(hosts=("127.0.0.1",)):
    """A port that is free on all these addresses, for TCP and UDP, and ours alone until our end (postern.claim)."""
    first = os.getpid() * 10 % 4000
    for port in (10000 + (first + n) % 4000 for n in range(4000)):
        if claim(port, [port]) and all(_is_free(host, port, kind) for host in hosts for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            return port
    raise RuntimeError("no port is free")


def _is_free(host, port, kind):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as s:
        try:
            s.bind((host, port))
            return True
        except OSError:
            return False


class NameServer:
    """zones: {name: records}; those named in signed or bogus are signed with keys of their own, whose anchors are in the file
    .anchor; of the bogus ones a record is changed after signing."""

    def __init__(self, zones, signed=(), bogus=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-nsd-"))
        self.anchor = self.folder / "anchors"
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        files = {name: self._write(name, records) for name, records in zones.items()}
        for name in (*signed, *bogus):
            files[name] = self._sign(name, files[name])
        for name in bogus:
            text = files[name].read_text()
            assert "127.0.0.2" in text
            files[name].write_text(text.replace("127.0.0.2", "127.0.0.3"))
        self._start(files)

    def _write(self, name, records):
        path = self.folder / f"{name}.zone"
        path.write_text(f"$ORIGIN {name}.\n{SOA}{records}")
        return path

    def _sign(self, name, path):
        key = subprocess.run(["ldns-keygen", "-k", "-a", "ECDSAP256SHA256", name], cwd=self.folder, check=True, capture_output=True,
                             text=True).stdout.strip()
        subprocess.run(["ldns-signzone", "-n", "-o", name, path.name, key], cwd=self.folder, check=True, capture_output=True)
        with self.anchor.open("a") as f:
            f.write((self.folder / f"{key}.key").read_text())
        return path.with_suffix(".zone.signed")

    def _start(self, files):
        conf = self.folder / "nsd.conf"
        lines = ["server:", f"  ip-address: 127.0.0.1@{self.port}", "  server-count: 1", '  username: ""', '  chroot: ""',
                 f'  zonesdir: "{self.folder}"', f'  pidfile: "{self.folder}/pid"', '  database: ""', f'  xfrdfile: "{self.folder}/xfrd"',
                 f'  zonelistfile: "{self.folder}/zones"', f'  xfrdir: "{self.folder}"', "  rrl-ratelimit: 0", "remote-control:",
                 "  control-enable: no"]
        for name, path in files.items():
            lines += ["zone:", f'  name: "{name}"', f'  zonefile: "{path}"']
        conf.write_text("\n".join(lines) + "\n")
        self.log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", str(conf)], stdout=self.log, stderr=self.log)
        wait_for(lambda: self.process.poll() is not None or self._answers(next(iter(files))))
        if self.process.poll() is not None:
            raise RuntimeError("nsd does not run:\n" + (self.folder / "log").read_text())

    def _answers(self, name):
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            try:
                s.sendto(b"\0\1\0\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\6\0\1", ("127.0.0.1", self.port))
                return s.recv(512)[3] & 15 == 0
            except OSError:
                return False

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
