"""Exim and OpenSMTPD, whose packages cannot stand beside Postfix on one Debian: unpacked apart, and run in a mount namespace of their own in
which they find their programs, users, configuration and spool where they were compiled to look. Mail comes in on a high port of loopback and
goes to Maildirs by their own hand. Debian's defaults, but for names, places, and caps that would refuse the connections."""
import os
import pathlib
import shutil
import subprocess

from systems import DOMAIN, USERS, System, count_maildirs, wait_port

PACKAGES = ("exim4-base", "exim4-daemon-light", "opensmtpd")
UNPACKED = pathlib.Path(os.environ.get("BENCH_PEERS", "/var/tmp/bench-peers"))
SERVICE_UID = 61000
SERVICE_USERS = ("Debian-exim", "opensmtpd", "opensmtpq")


def unpack():
    """{package: folder of its files}; fetched once. Nothing is installed."""
    debs = UNPACKED / "deb"
    debs.mkdir(parents=True, exist_ok=True)
    missing = [p for p in PACKAGES if not list(debs.glob(f"{p}_*.deb"))]
    if missing:
        subprocess.run(["apt-get", "download", "-qq", *missing], cwd=debs, check=True, stderr=subprocess.DEVNULL)
    roots = {}
    for p in PACKAGES:
        roots[p] = UNPACKED / "root" / p
        if not roots[p].exists():
            subprocess.run(["dpkg", "-x", next(debs.glob(f"{p}_*.deb")), roots[p]], check=True)
    return roots


def versions():
    return ", ".join(" ".join(p.name.split("_")[:2]) for p in sorted((UNPACKED / "deb").glob("*.deb"))).replace("%3a", ":")


class Apart(System):
    """Seen from inside: /usr with the package's files, /etc with ours; /run, /var/spool, /var/log are folders of the bench."""
    packages = ()

    def __init__(self, name, folder, base):
        super().__init__(name, folder, base)
        self.process = None
        for sub in ("etc", "run", "spool", "log", "mail", "lib"):
            (self.folder / sub).mkdir()
        people = "".join(f"{u}:x:65534:65534::{self.folder}/mail/{u}:/bin/sh\n" for u in USERS)
        services = "".join(f"{u}:x:{SERVICE_UID + n}:{SERVICE_UID + n}::/nonexistent:/bin/false\n" for n, u in enumerate(SERVICE_USERS))
        groups = "".join(f"{u}:x:{SERVICE_UID + n}:\n" for n, u in enumerate(SERVICE_USERS))
        (self.folder / "etc" / "passwd").write_text(pathlib.Path("/etc/passwd").read_text() + people + services)
        (self.folder / "etc" / "group").write_text(pathlib.Path("/etc/group").read_text() + groups)
        # Nobody's name is asked of the world: names are those of /etc/hosts.
        (self.folder / "etc" / "resolv.conf").write_text("lookup file\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        (self.folder / "etc" / "mailname").write_text(f"mx.{DOMAIN}\n")
        for u in USERS:
            (self.folder / "mail" / u).mkdir()
            shutil.chown(self.folder / "mail" / u, "nobody", "nogroup")

    def launch(self):
        usr = ":".join(str(UNPACKED / "root" / p / "usr") for p in self.packages)
        binds = "".join(f"mount --bind {self.folder}/{sub} {at}\n" for sub, at in (("run", "/run"), ("spool", "/var/spool"), ("log", "/var/log"),
                                                                                   ("lib", "/var/lib")))
        script = (f"set -e\nmount --make-rprivate /\nmount -t overlay overlay -o lowerdir={usr}:/usr /usr\n"
                  f"mount -t overlay overlay -o lowerdir={self.folder}/etc:/etc /etc\n{binds}exec {self.command()}\n")
        with open(f"{self.folder}.log", "ab") as log:
            self.process = self.spawn("unshare", "-m", "sh", "-c", script, stdout=log, stderr=log)
        wait_port(self.smtp)

    def halt(self):
        """Workers of its own go with it: whoever is left in the control group is ended too."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.group.end()

    def arrived(self):
        return count_maildirs(self.folder / "mail")

    def spool(self, name, owner, mode):
        folder = self.folder / "spool" / name
        folder.mkdir()
        os.chown(folder, owner, owner)
        folder.chmod(mode)


class Exim(Apart):
    packages = ("exim4-daemon-light", "exim4-base")

    def __init__(self, folder, base):
        super().__init__("Exim", folder, base)
        self.spool("exim4", SERVICE_UID, 0o750)
        (self.folder / "log" / "exim4").mkdir()
        os.chown(self.folder / "log" / "exim4", SERVICE_UID, SERVICE_UID)
        (self.folder / "etc" / "exim4").mkdir()
        (self.folder / "etc" / "exim4" / "exim4.conf").write_text(f"""primary_hostname = mx.{DOMAIN}
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.smtp}
domainlist local_domains = {DOMAIN}
acl_smtp_rcpt = acl_rcpt
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
smtp_accept_max = 500
smtp_connect_backlog = 500
smtp_accept_max_nonmail = 100000
smtp_accept_queue_per_connection = 0
begin acl
acl_rcpt:
  accept domains = +local_domains
begin routers
local:
  driver = accept
  domains = +local_domains
  local_parts = {' : '.join(USERS)}
  transport = maildir
begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {self.folder}/mail/$local_part_data/Maildir
  user = nobody
  group = nogroup
  delivery_date_add
  envelope_to_add
  return_path_add
begin retry
* * F,2h,1m
begin rewrite
begin authenticators
""")

    def command(self):
        return "/usr/sbin/exim4 -bdf -q30m"


class OpenSmtpd(Apart):
    packages = ("opensmtpd",)

    def __init__(self, folder, base):
        super().__init__("OpenSMTPD", folder, base)
        (self.folder / "spool" / "smtpd").mkdir(mode=0o711)
        (self.folder / "lib" / "opensmtpd" / "empty").mkdir(parents=True)
        (self.folder / "etc" / "smtpd.conf").write_text(f"""listen on 127.0.0.1 port {self.smtp} hostname mx.{DOMAIN}
action "local" maildir "{self.folder}/mail/%{{user.username}}/Maildir"
match from any for domain "{DOMAIN}" action "local"
""")

    def command(self):
        return "/usr/sbin/smtpd -d"


def all_of(folder, base):
    unpack()
    return [Exim(folder / "exim", base), OpenSmtpd(folder / "opensmtpd", base + 500)]
