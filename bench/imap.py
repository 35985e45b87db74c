"""An IMAP client that does nothing but read: raw bytes up to the tagged line, so that what is measured is the server."""
import socket
import time

BLOCK = 1 << 20


class Imap:
    def __init__(self, port, user, password):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.block = bytearray(BLOCK)
        self.number = 0
        self._line()
        self.command(f"LOGIN {user} {password}")

    def _line(self):
        line = b""
        while not line.endswith(b"\n"):
            piece = self.socket.recv(4096)
            if not piece:
                raise RuntimeError("closed")
            line += piece
        return line

    def command(self, text):
        """Runs it: (seconds, bytes of the answer, its last bytes)."""
        self.number += 1
        tag = b"tag%dgat" % self.number
        begin = time.monotonic()
        self.socket.sendall(tag + b" " + text.encode() + b"\r\n")
        total, tail = 0, b"\n"
        while not (tail.endswith(b"\r\n") and b"\n" + tag + b" " in tail):
            n = self.socket.recv_into(self.block)
            if n == 0:
                raise RuntimeError(f"{text}: closed")
            total += n
            tail = (tail + bytes(self.block[max(0, n - 512):n]))[-512:]
        seconds = time.monotonic() - begin
        if b"\n" + tag + b" OK" not in tail:
            raise RuntimeError(f"{text}: {tail.decode(errors='replace').splitlines()[-1]}")
        return seconds, total, tail

    def status(self, mailbox="INBOX"):
        tail = self.command(f"STATUS {mailbox} (MESSAGES)")[2]
        return int(tail.split(b"(MESSAGES ", 1)[1].split(b")")[0])

    def idle(self):
        """Into IDLE, for good."""
        self.socket.sendall(b"idle IDLE\r\n")
        while not self._line().startswith(b"+"):
            pass

    def close(self):
        self.socket.close()
