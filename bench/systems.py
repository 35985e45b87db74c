"""The systems under test, each in a folder of its own on the same disk, on high ports of loopback; never the one Debian starts."""
import os
import pathlib
import shutil
import socket
import subprocess
import time

import mail
from gauge import Group
from imap import Imap

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOMAIN = "example.test"
USERS = [f"user{n}" for n in range(10)]
PASSWORD = "secret"
ADDRESSES = [f"{u}@{DOMAIN}" for u in USERS]


def count_maildirs(folder):
    """Files are counted, so that asking costs the server nothing."""
    total = 0
    for user in USERS:
        for sub in ("new", "cur"):
            try:
                total += len(os.listdir(folder / user / "Maildir" / sub))
            except FileNotFoundError:
                pass
    return total


def wait_port(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nobody listens on {port}")


class System:
    """What the measurements see: ports smtp, lmtp, imap; start, stop; how many messages have arrived."""

    def __init__(self, name, folder, base):
        self.name, self.folder = name, pathlib.Path(folder)
        self.smtp, self.lmtp, self.imap = base + 25, base + 24, base + 143
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)
        self.group = None

    def start(self, writes=None):
        """writes: the most its disk does in a second."""
        self.group = Group(self.name.lower().replace(" ", "-"))
        if writes:
            self.group.slow_disk(writes, self.folder)
        self.launch()

    def stop(self):
        if self.group is None:
            return
        self.halt()
        self.group.remove()
        self.group = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self, *words, **more):
        return subprocess.Popen(words, preexec_fn=self.group.enter, **more)


class Postern(System):
    settings = ("--dns=127.0.0.1:9", "--set=limit.connections_per_address=2000")

    def __init__(self, folder, base, binary, name="Postern"):
        super().__init__(name, folder, base)
        self.binary, self.base, self.process, self.clients = binary, base, None, []

    def launch(self):
        words = [self.binary, "dev", f"--dir={self.folder}", f"--port-base={self.base}", f"--domain={DOMAIN}", "--plaintext-login", *self.settings]
        with open(f"{self.folder}.log", "ab") as log:
            self.process = self.spawn(*words, *[f"--user={a}:{PASSWORD}" for a in ADDRESSES], stdout=subprocess.PIPE, stderr=log)
        for line in self.process.stdout:
            if line == b"ready\n":
                return
        raise RuntimeError(f"Postern did not start: see {self.folder}.log")

    def halt(self):
        for c in self.clients:
            c.close()
        self.clients = []
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()

    def fill(self, address, count):
        """Messages 0..count-1 into a mailbox, by LMTP."""
        mail.fill(self.lmtp, address, count)

    def arrived(self):
        if not self.clients:
            self.clients = [Imap(self.imap, a, PASSWORD) for a in ADDRESSES]
        return sum(c.status() for c in self.clients)


POSTFIX_SERVICES = """pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class PostfixDovecot(System):
    """Debian's programs with their defaults, but for what names, places, ports and the number of clients ask for."""
    host = "127.0.0.1"

    def __init__(self, folder, base, name="Postfix + Dovecot"):
        super().__init__(name, folder, base)
        self.conf = self.folder / "postfix"
        for name in ("postfix", "queue", "data", "mail", "run"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        shutil.chown(self.folder / "mail", "nobody", "nogroup")
        self.dovecot_conf = self.folder / "dovecot.conf"
        self.dovecot_conf.write_text(self._dovecot())
        self._postfix()
        self.dovecot = None

    def _postfix(self):
        values = {
            "compatibility_level": "3.6", "queue_directory": self.folder / "queue", "data_directory": self.folder / "data",
            "daemon_directory": "/usr/lib/postfix/sbin", "command_directory": "/usr/sbin", "meta_directory": "/etc/postfix",
            "mail_owner": "postfix", "setgid_group": "postdrop", "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
            "myhostname": f"mx.{DOMAIN}", "mydestination": "", "mynetworks": "127.0.0.0/8", "alias_maps": "", "alias_database": "",
            "disable_dns_lookups": "yes", "virtual_mailbox_domains": DOMAIN, "virtual_mailbox_maps": "static:any",
            "virtual_transport": f"lmtp:unix:{self.folder}/run/lmtp", "maillog_file": self.folder / "postfix.log",
            "maillog_file_prefixes": self.folder, "smtpd_client_connection_count_limit": "0"}
        values.update(self.more())
        (self.conf / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in values.items()))
        (self.conf / "master.cf").write_text(f"{self.host}:{self.smtp} inet n - n - - smtpd\n{POSTFIX_SERVICES}")

    def more(self):
        """Settings of Postfix beside those."""
        return {}

    def _dovecot(self):
        return f"""protocols = imap lmtp
listen = 127.0.0.1
base_dir = {self.folder}/run
state_dir = {self.folder}/run
log_path = {self.folder}/dovecot.log
instance_name = postern-bench
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_max_userip_connections = 4000
default_client_limit = 4000
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={self.folder}/mail/%n allow_all_users=yes
}}
service imap-login {{
  process_limit = 2000
  inet_listener imap {{
    port = {self.imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service imap {{
  process_limit = 2000
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.lmtp}
  }}
}}
namespace inbox {{
  inbox = yes
}}
"""

    def launch(self):
        self.dovecot = self.spawn("dovecot", "-F", "-c", str(self.dovecot_conf))
        self._wait(lambda: (self.folder / "run" / "lmtp").exists())
        self._run("start")

    def _run(self, word):
        p = self.spawn("postfix", "-c", str(self.conf), word, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = p.communicate(timeout=60)[0]
        if p.returncode:
            raise RuntimeError(f"postfix {word}: {said.decode(errors='replace')}")

    @staticmethod
    def _wait(condition):
        for _ in range(200):
            if condition():
                return
            time.sleep(0.05)
        raise RuntimeError("Dovecot did not start")

    def halt(self):
        self._run("stop")
        self.dovecot.terminate()
        self.dovecot.wait(20)

    def fill(self, address, count):
        """Files into the Maildir, as Dovecot names them: its delivery has been measured, and takes minutes for as many."""
        folder = self.folder / "mail" / address.split("@")[0] / "Maildir"
        for sub in ("cur", "new", "tmp"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        for n in range(count):
            data = b"Return-Path: <carol@elsewhere.example>\n" + mail.message(n, address).replace(b"\r\n", b"\n")
            name = f"{1790000000 + n}.M{n}P1.bench,S={len(data)},W={len(data) + data.count(10)}"
            (folder / "cur" / f"{name}:2,").write_bytes(data)
        subprocess.run(["chown", "-R", "nobody:nogroup", str(folder.parent)], check=True)

    def arrived(self):
        return count_maildirs(self.folder / "mail")
