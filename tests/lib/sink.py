"""Another mail server, scripted: says what the test wants to each command, and remembers what it was given."""
import base64
import dataclasses
import pathlib
import socket
import socketserver
import ssl
import subprocess
import threading
import time

from postern import PATIENCE


def self_signed(folder, name="sink.test"):
    """A certificate and its key, made for one test: (cert, key)."""
    cert, key = pathlib.Path(folder) / f"{name}.crt", pathlib.Path(folder) / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    f"/CN={name}", "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return str(cert), str(key)


@dataclasses.dataclass
class Received:
    sender: str
    recipients: list
    data: bytes
    connection: int
    tls: bool
    user: str
    time: float


class _Talk(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self):
        sink = self.server.sink
        self.tls, self.user, self.sender, self.recipients = False, None, None, []
        self.number = sink.begin()
        try:
            self.say(sink.greeting)
            while line := self.rfile.readline():
                if not self.command(line.rstrip(b"\r\n").decode("utf-8", "replace")):
                    return
        except OSError:
            pass
        finally:
            sink.end()

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")
        self.wfile.flush()

    def command(self, line):
        sink = self.server.sink
        verb = line.split(" ")[0].upper()
        sink.commands.append(line)
        if verb in sink.says:
            self.say(sink.says[verb])
        elif verb in ("EHLO", "HELO"):
            self.hello()
        elif verb == "STARTTLS":
            return self.start_tls()
        elif verb == "AUTH":
            self.auth(line)
        elif verb == "MAIL":
            self.sender, self.recipients = line.split("<")[1].split(">")[0], []
            self.say(sink.answer(sink.mail, self.sender))
        elif verb == "RCPT":
            self.recipient(line.split("<")[1].split(">")[0])
        elif verb == "DATA":
            return self.data()
        elif verb == "QUIT":
            self.say("221 2.0.0 bye")
            return False
        else:
            self.say("250 2.0.0 ok")
        return True

    def hello(self):
        sink = self.server.sink
        words = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SIZE 20000000"]
        if sink.starttls and not self.tls:
            words.append("STARTTLS")
        if sink.login:
            words.append("AUTH PLAIN LOGIN")
        words = [sink.name, *words]
        for i, word in enumerate(words):
            self.say(f"250{' ' if i + 1 == len(words) else '-'}{word}")

    def start_tls(self):
        sink = self.server.sink
        sink.tls_attempts += 1
        self.say("220 2.0.0 go ahead")
        if sink.starttls == "broken":
            self.connection.sendall(b"this is no TLS record at all, sorry\r\n" * 4)
            return False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*sink.starttls)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.tls = True
        return True

    def auth(self, line):
        words = line.split(" ")
        if words[1].upper() == "PLAIN":
            if len(words) < 3:
                self.say("334 ")
                words.append(self.rfile.readline().decode().strip())
            user, password = base64.b64decode(words[2]).decode().split("\0")[1:]
        else:
            self.say("334 VXNlcm5hbWU6")
            user = base64.b64decode(self.rfile.readline()).decode()
            self.say("334 UGFzc3dvcmQ6")
            password = base64.b64decode(self.rfile.readline()).decode()
        if (user, password) == self.server.sink.login:
            self.user = user
            self.say("235 2.7.0 welcome")
        else:
            self.say("535 5.7.8 no")

    def recipient(self, address):
        sink = self.server.sink
        if sink.login and not self.user:
            self.say("530 5.7.0 login first")
            return
        text = sink.answer(sink.rcpt, address)
        if text.startswith("2"):
            self.recipients.append(address)
        self.say(text)

    def data(self):
        sink = self.server.sink
        if not self.recipients:
            self.say("554 5.5.1 no recipients")
            return True
        self.say("354 go on")
        data = b""
        while not data.endswith(b"\r\n.\r\n"):
            line = self.rfile.readline()
            if not line:
                return False
            data += line
            if data == b".\r\n":
                break
        data = data[:-3].replace(b"\r\n..", b"\r\n.")
        sink.go_on.wait(PATIENCE)
        text = sink.answer(sink.end_of_data, self.recipients[0])
        if text.startswith("2"):
            sink.messages.append(Received(self.sender, self.recipients, data, self.number, self.tls, self.user, time.monotonic()))
        self.say(text)
        return True


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 50

    def handle_error(self, request, client_address):
        """A peer that leaves in the middle of a handshake is no failure of the test."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class Sink:
    """mail, rcpt, end_of_data: a reply, or a function (address, how many times it was asked before) -> reply.
    starttls: None, (cert, key), or "broken". login: (user, password) it demands. says: {verb: reply}, whatever else is set.
    While go_on is clear, nobody hears whether his message was taken."""

    def __init__(self, host, port, name="sink.test", mail="250 2.1.0 ok", rcpt="250 2.1.5 ok", end_of_data="250 2.0.0 taken",
                 starttls=None, login=None, greeting=None, says=None):
        self.name, self.mail, self.rcpt, self.end_of_data = name, mail, rcpt, end_of_data
        self.starttls, self.login, self.says = starttls, login, says or {}
        self.greeting = greeting or f"220 {name} ESMTP"
        self.lock = threading.Lock()
        self.go_on = threading.Event()
        self.go_on.set()
        self.asked, self.commands, self.messages = {}, [], []
        self.connections = self.now = self.most = self.tls_attempts = 0
        self.server = (_Server6 if ":" in host else _Server)((host, port), _Talk)
        self.server.sink = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def begin(self):
        with self.lock:
            self.connections += 1
            self.now += 1
            self.most = max(self.most, self.now)
            return self.connections

    def end(self):
        with self.lock:
            self.now -= 1

    def answer(self, what, address):
        if isinstance(what, str):
            return what
        with self.lock:
            times = self.asked.get((what, address), 0)
            self.asked[(what, address)] = times + 1
        return what(address, times)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()
