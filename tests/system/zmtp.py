"""One end of a pipe of the bus, played by a test: ZMTP 3.0 without authentication over a unix socket."""
import json
import socket
import struct


class Pipe:
    """A peer of libzmq on a connected socket, of the type `kind`."""

    def __init__(self, sock, kind, seconds=10):
        self.socket = sock
        self.socket.settimeout(seconds)
        self.socket.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
        self._read(64)
        ready = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
        self.socket.sendall(bytes([4, len(ready)]) + ready)
        self._frame()

    def _read(self, count):
        got = b""
        while len(got) < count:
            piece = self.socket.recv(count - len(got))
            if not piece:
                raise EOFError("the other end closed the pipe")
            got += piece
        return got

    def _frame(self):
        flags = self._read(1)[0]
        return self._read(struct.unpack(">Q", self._read(8))[0] if flags & 2 else self._read(1)[0])

    def job(self):
        """The next message that comes."""
        return json.loads(self._frame())

    def send(self, body):
        self.socket.sendall(b"\x02" + struct.pack(">Q", len(body)) + body)

    def close(self):
        self.socket.close()


def connect(path, kind=b"PULL"):
    """To the pipe that a program has bound."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return Pipe(sock, kind)


class Inbox:
    """A pipe that the test binds; accept() takes the next program that connects."""

    def __init__(self, path, seconds=20):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(seconds)

    def accept(self, kind=b"PULL"):
        return Pipe(self.listener.accept()[0], kind, 20)

    def close(self):
        self.listener.close()
        self.path.unlink(missing_ok=True)
