"""A throwaway Postfix in a folder of its own: takes mail for its domain into a Maildir, sends the rest to a relay host."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from postern import PATIENCE, wait_for

NOBODY = 65534
SERVICES = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    def __init__(self, host, port, domain="postfix.test", relayhost="", settings=None):
        if os.geteuid() != 0:
            raise RuntimeError("Postfix starts as root only: run this test as root")
        self.host, self.port, self.domain = host, port, domain
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-postfix-"))
        self.folder.chmod(0o755)
        self.conf = self.folder / "etc"
        for name in ("etc", "queue", "data", "mail"):
            (self.folder / name).mkdir()
        os.chown(self.folder / "mail", NOBODY, NOBODY)
        shutil.chown(self.folder / "data", "postfix")
        self._write(relayhost, settings or {})
        self.postfix("start")

    def _write(self, relayhost, settings):
        values = {
            "compatibility_level": "3.6", "queue_directory": self.folder / "queue", "data_directory": self.folder / "data",
            "daemon_directory": "/usr/lib/postfix/sbin", "command_directory": "/usr/sbin", "meta_directory": "/etc/postfix",
            "mail_owner": "postfix", "setgid_group": "postdrop", "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
            "myhostname": f"mx.{self.domain}", "mydestination": "", "mynetworks": "127.0.0.0/8",
            "alias_maps": "", "alias_database": "", "relayhost": relayhost, "disable_dns_lookups": "yes",
            "virtual_mailbox_domains": self.domain, "virtual_mailbox_base": self.folder / "mail", "virtual_mailbox_maps": "static:inbox/",
            "virtual_uid_maps": f"static:{NOBODY}", "virtual_gid_maps": f"static:{NOBODY}", "virtual_minimum_uid": "1",
            "maillog_file": self.folder / "log", "maillog_file_prefixes": self.folder, "smtp_tls_security_level": "may",
            "smtpd_relay_restrictions": "permit_mynetworks, reject", "minimal_backoff_time": "1s", "queue_run_delay": "1s", **settings}
        (self.conf / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in values.items()))
        (self.conf / "master.cf").write_text(f"{self.host}:{self.port} inet n - n - - smtpd{SERVICES}")

    def postfix(self, word, check=True):
        result = subprocess.run(["/usr/sbin/postfix", "-c", str(self.conf), word], capture_output=True, text=True, timeout=PATIENCE, check=False)
        if check and result.returncode:
            raise RuntimeError(f"postfix {word}: {result.stdout}{result.stderr}{self.log()}")

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def messages(self):
        folder = self.folder / "mail" / "inbox" / "new"
        return [p.read_bytes() for p in sorted(folder.iterdir())] if folder.exists() else []

    def wait_message(self, mark):
        try:
            return wait_for(lambda: next((m for m in self.messages() if mark.encode() in m), None), step=0.1)
        except AssertionError as e:
            raise AssertionError(f"Postfix did not get {mark}:\n{self.log()[-3000:]}") from e

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.postfix("stop", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
