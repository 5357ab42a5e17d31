"""A stand-in between an LDAP client and a real directory that knows the frames of LDAP (RFC 4511, BER), nothing of TLS.

    with LdapRelay(production) as relay:
        ... ldap section with port=relay.port ...
        relay.rule = lambda asked, told: [] if told.kind == "entry" else [told.raw]    # a server that tells no entry
        relay.rule = None                                                             # the truth again

The rule sees each answer with the question that it belongs to, and returns what the client hears instead: a list of bytes.
A session ends at once if it raises Cut (with the last bytes to be heard), and says nothing more if it raises Silence.
`deny` sees each question: what it returns is answered at once, and the server does not hear the question (None: it does).
It runs in threads of the test's own process.
"""
import socket
import threading
from dataclasses import dataclass

from .proxy import _shut

KINDS = {0x60: "bind", 0x61: "bound", 0x63: "search", 0x64: "entry", 0x65: "done", 0x66: "modify", 0x67: "modified", 0x68: "add",
         0x69: "added", 0x4a: "delete", 0x6b: "deleted", 0x6c: "rename", 0x6d: "renamed", 0x73: "reference", 0x79: "intermediate"}
ANSWERS = {"search": 0x65, "modify": 0x67, "add": 0x69, "delete": 0x6b, "rename": 0x6d, "bind": 0x61}
BASE, SUBTREE = 0, 2


class Cut(Exception):
    def __init__(self, last=b""):
        super().__init__()
        self.last = last


class Silence(Exception):
    pass


# --- BER ------------------------------------------------------------------------------------------------------------

def header(data, at=0):
    """(tag, where the content begins, where it ends) of the element at `at`; None: its header is not whole."""
    if len(data) < at + 2:
        return None
    first = data[at + 1]
    more = first & 0x7f if first & 0x80 else 0
    if len(data) < at + 2 + more:
        return None
    length = int.from_bytes(data[at + 2:at + 2 + more], "big") if more else first
    return data[at], at + 2 + more, at + 2 + more + length


def elements(data):
    """[(tag, content)] of what stands in a constructed element."""
    found, at = [], 0
    while at < len(data):
        tag, begin, at = header(data, at)
        found.append((tag, data[begin:at]))
    return found


def element(tag, content):
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes(4, "big")
    return bytes([tag, 0x84]) + length + content


def number(value, tag=0x02):
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


@dataclass
class Message:
    """One LDAPMessage. `dn`: the first text of entries and of requests; `controls`: its raw element, or nothing."""
    raw: bytes

    def __post_init__(self):
        _, begin, end = header(self.raw)
        parts = elements(self.raw[begin:end])
        self.id = int.from_bytes(parts[0][1], "big")
        self.tag, self.body = parts[1]
        self.kind = KINDS.get(self.tag, hex(self.tag))
        self.controls = element(*parts[2]) if len(parts) > 2 else b""

    @property
    def dn(self):
        return (self.body if self.kind == "delete" else elements(self.body)[0][1]).decode("utf-8", "replace")

    @property
    def scope(self):
        return elements(self.body)[1][1][0]

    @property
    def code(self):
        """Of an answer that ends an operation."""
        return elements(self.body)[0][1][0]

    def with_controls(self, controls):
        return element(0x30, number(self.id) + element(self.tag, self.body) + controls)


def ending(asked, code, words="", controls=b""):
    """The last answer to `asked`."""
    body = element(0x0a, bytes([code])) + element(0x04, b"") + element(0x04, words.encode())
    return element(0x30, number(asked.id) + element(ANSWERS[asked.kind], body) + controls)


def reference(asked, url="ldap://127.0.0.1:9/"):
    return element(0x30, number(asked.id) + element(0x73, element(0x04, url.encode())))


def page_control(announced, cookie=b""):
    """Of RFC 2696, as the answer's controls."""
    value = element(0x30, number(announced) + element(0x04, cookie))
    return element(0xa0, element(0x30, element(0x04, b"1.2.840.113556.1.4.319") + element(0x04, value)))


# --- between the two ------------------------------------------------------------------------------------------------

class Session:
    def __init__(self, client, server):
        self.client, self.server, self.asked = client, server, {}
        self._lock = threading.Lock()

    def tell(self, raw):
        with self._lock:
            self.client.sendall(raw)


class LdapRelay:
    def __init__(self, server):
        self.server, self.rule, self.deny = server, None, None
        self._lock, self._open = threading.Lock(), set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.host, self.port = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _shut(self._listener)
        self._listener.close()
        self.cut_all()

    def cut_all(self):
        with self._lock:
            for sock in self._open:
                _shut(sock)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((self.server.host, self.server.port), timeout=20)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            session = Session(client, server)
            with self._lock:
                self._open |= {client, server}
            for source, sink, serve in ((client, server, self._question), (server, client, self._answer)):
                threading.Thread(target=self._run, args=(source, sink, serve, session), daemon=True).start()

    def _run(self, source, sink, serve, session):
        waiting = bytearray()
        try:
            while data := source.recv(1 << 16):
                waiting += data
                while (frame := header(waiting)) and len(waiting) >= frame[2]:
                    serve(Message(bytes(waiting[:frame[2]])), session)
                    del waiting[:frame[2]]
        except Cut as cut:
            self._say(sink, cut.last)
        except Silence:
            return
        except OSError:
            pass
        for sock in (source, sink):
            _shut(sock)
            with self._lock:
                self._open.discard(sock)

    @staticmethod
    def _say(sink, data):
        try:
            sink.sendall(data)
        except OSError:
            pass

    def _question(self, message, session):
        session.asked[message.id] = message
        denied = self.deny(message) if self.deny else None
        if denied:
            session.tell(denied)
        else:
            session.server.sendall(message.raw)

    def _answer(self, message, session):
        rule, question = self.rule, session.asked.get(message.id)
        for raw in rule(question, message) if rule and question else [message.raw]:
            session.tell(raw)
