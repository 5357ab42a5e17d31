"""Proxies to stand in front of a server: one that delays, cuts and stalls, and one that takes capabilities away.

Both run in threads of the test's own process and end with it. `Proxy` moves bytes and understands none of them.
`Filter` understands just enough IMAP (lines and literals) to make a good server really poor: what is taken away is
no longer advertised, its commands are answered BAD, its response codes are gone, and each client that used it
all the same is noted in `violations`.
"""

import re
import socket
import threading
import time

from .wire import quote


class Proxy:
    """Forwards 127.0.0.1:port to (host, target_port). The trouble can be changed while it runs.

    delay_ms              added to every piece, in each direction
    cut_after_bytes       the connection is cut once that many bytes went to the server (`up`) or client (`down`)
    stall()/go_on()       nothing is forwarded meanwhile, and nothing is closed
    refuse = True         new connections are closed at once
    """

    def __init__(self, host, target_port, delay_ms=0, cut_after_up=None, cut_after_down=None):
        self.target = (host, target_port)
        self.delay_ms, self.cut_after_up, self.cut_after_down = delay_ms, cut_after_up, cut_after_down
        self.refuse = False
        self.connections = self.bytes_up = self.bytes_down = self.cuts = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._open = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=500)
        self.host, self.port = self._listener.getsockname()
        self._stopped = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stopped = True
        self._flowing.set()
        _shut(self._listener)
        self._listener.close()
        self.cut_all()

    def stall(self):
        self._flowing.clear()

    def go_on(self):
        self._flowing.set()

    def cut_all(self):
        """Cuts what is open now."""
        with self._lock:
            doomed = list(self._open)
        for sock in doomed:
            _shut(sock)

    def _accept(self):
        while not self._stopped:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.refuse:
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            server = socket.create_connection(self.target, timeout=10)
        except OSError:
            client.close()
            return
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(None)
        with self._lock:
            self._open |= {client, server}
        down = threading.Thread(target=self._pump, args=(server, client, "down"), daemon=True)
        down.start()
        self._pump(client, server, "up")
        down.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()

    def _pump(self, source, sink, direction):
        """One direction until its end; then the other direction is ended too."""
        moved = 0
        try:
            while data := source.recv(65536):
                if self.delay_ms:
                    time.sleep(self.delay_ms / 1000)
                self._flowing.wait()
                limit = self.cut_after_up if direction == "up" else self.cut_after_down
                if limit is not None and moved + len(data) >= limit:
                    sink.sendall(data[:max(0, limit - moved)])
                    self.cuts += 1
                    break
                sink.sendall(data)
                moved += len(data)
                self._count(direction, len(data))
        except OSError:
            pass
        _shut(source)
        _shut(sink)

    def _count(self, direction, size):
        with self._lock:
            if direction == "up":
                self.bytes_up += size
            else:
                self.bytes_down += size


def _shut(sock):
    """Ends both directions; whoever reads from it wakes up."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


# --- an IMAP server made poor -----------------------------------------------------------------------------------

# capability: (what a command that uses it looks like, response codes and items to take out of answers)
FEATURES = {
    "LITERAL+": (rb"\{\d+\+\}$", None),
    "UIDPLUS": (rb"^\S+ UID EXPUNGE\b", rb"\[(?:APPENDUID|COPYUID) [^\]]*\] ?"),
    "MULTIAPPEND": (None, None),  # judged by the number of literals
    "CONDSTORE": (rb"\b(?:CONDSTORE|CHANGEDSINCE|UNCHANGEDSINCE|MODSEQ|HIGHESTMODSEQ)\b",
                  rb"\* OK \[(?:HIGHESTMODSEQ|NOMODSEQ)[^\r\n]*\r\n|\[(?:HIGHESTMODSEQ|MODIFIED) [^\]]*\] ?"),
    "QRESYNC": (rb"\bQRESYNC\b", None),
    "ESEARCH": (rb"\bSEARCH RETURN\b", None),
    "LIST-STATUS": (rb"\bLIST .*\bRETURN \(.*STATUS\b", None),
    "LIST-EXTENDED": (rb"\bLIST (?:\(.*|.*\bRETURN\b)", None),
    "ENABLE": (rb"^\S+ ENABLE\b", None),
    "ID": (rb"^\S+ ID\b", None),
    "IDLE": (rb"^\S+ IDLE\b", None),
    "NAMESPACE": (rb"^\S+ NAMESPACE\b", None),
    "UNSELECT": (rb"^\S+ UNSELECT\b", None),
    "MOVE": (rb"^\S+ (?:UID )?MOVE\b", None),
    "SASL-IR": (rb"^\S+ AUTHENTICATE \S+ \S", None),
}


class Stream:
    """One half of a connection as lines and literals."""

    def __init__(self, sock):
        self.sock, self.waiting = sock, b""

    def line(self):
        while b"\n" not in self.waiting:
            data = self.sock.recv(65536)
            if not data:
                return b""
            self.waiting += data
        line, newline, self.waiting = self.waiting.partition(b"\n")
        return line + newline

    def take(self, size):
        """The next `size` bytes; fewer at the end of the stream."""
        while len(self.waiting) < size and (data := self.sock.recv(65536)):
            self.waiting += data
        taken, self.waiting = self.waiting[:size], self.waiting[size:]
        return taken

    def copy(self, size, sink):
        """The next `size` bytes to sink (None: nowhere); False when the stream ended before."""
        while size:
            data = self.waiting[:size] or self.sock.recv(min(size, 65536))
            if not data:
                return False
            self.waiting = self.waiting[len(data):] if self.waiting else b""
            if sink:
                sink.sendall(data)
            size -= len(data)
        return True


class Filter(Proxy):
    """A Proxy that takes away the capabilities named in `without`, and can speak PROXYAUTH.

    With `proxyauth=(name, password)` it plays a server on which the trusted server logs in under its own name and
    then says PROXYAUTH MAILBOX; towards the real server that is a login as MAILBOX*name. Saying it again changes the
    mailbox: the connection to the real server is made anew.
    """

    def __init__(self, host, target_port, without=(), proxyauth=None, separator="*"):
        self.without = {name.upper() for name in without}
        self.proxyauth, self.separator = proxyauth, separator
        self.violations = []
        self.commands = []
        super().__init__(host, target_port)

    # --- from server to client ------------------------------------------------------------------------------

    def _strip(self, line):
        if b"CAPABILITY" in line.upper():
            line = re.sub(rb"(?i)(\[CAPABILITY|\* CAPABILITY)([^\]\r\n]*)", self._fewer, line)
        for name in self.without:
            pattern = FEATURES[name][1]
            if pattern:
                line = re.sub(pattern, b"", line)
        return line

    def _fewer(self, match):
        words = match[2].decode().split()
        return match[1] + b"".join(b" " + word.encode() for word in words if word.upper() not in self.without)

    def _down(self, server, client, state):
        stream = Stream(server)
        try:
            while line := stream.line():
                line = self._strip(line)
                literal = re.search(rb"\{(\d+)\}\r\n$", line)
                with state["lock"]:
                    client.sendall(line)
                    self._count("down", len(line))
                    if literal and not stream.copy(int(literal[1]), client):
                        break
        except OSError:
            pass
        if state["server"] is server:
            _shut(client)

    # --- from client to server ------------------------------------------------------------------------------

    def _violated(self, line):
        for name in self.without:
            pattern = FEATURES[name][0]
            if pattern and re.search(pattern, line.rstrip(b"\r\n"), re.IGNORECASE):
                return name
        return None

    def _serve(self, client):
        state = {"lock": threading.Lock(), "server": None, "mailbox": None}
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(client)
        try:
            self._connect(client, state)
            stream = Stream(client)
            while line := stream.line():
                if not self._one_command(line, stream, client, state):
                    break
        except OSError:
            pass
        for sock in (client, state["server"]):
            if sock:
                _shut(sock)
                with self._lock:
                    self._open.discard(sock)

    def _connect(self, client, state, login_as=None):
        """To the real server; its greeting goes to the client, unless it is a change of mailbox."""
        old = state["server"]
        server = socket.create_connection(self.target, timeout=20)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(server)
        if login_as:
            answer = _login(server, f"{login_as}{self.separator}{self.proxyauth[0]}", self.proxyauth[1])
            if not answer.startswith(b"p1 OK"):
                _shut(server)
                return answer
        state["server"] = server
        if old:
            _shut(old)
        threading.Thread(target=self._down, args=(server, client, state), daemon=True).start()
        return b"p1 OK"

    def _one_command(self, line, stream, client, state):
        tag, _, rest = line.rstrip(b"\r\n").partition(b" ")
        if self.proxyauth and re.match(rb"(?i)(LOGIN|PROXYAUTH|AUTHENTICATE) ", rest):
            return self._authenticate(tag, rest, stream, client, state)
        literals = 0
        self.commands.append(line.rstrip(b"\r\n").decode("utf-8", "replace"))
        while True:
            refused = self._violated(line)
            literal = re.search(rb"\{(\d+)(\+?)\}\r?\n$", line)
            literals += bool(literal)
            if "MULTIAPPEND" in self.without and literals > 1 and re.match(rb"(?i)APPEND ", rest):
                refused = "MULTIAPPEND"
            if refused:
                return self._refuse(refused, tag, line, literal, stream, client, state)
            state["server"].sendall(line)
            self._count("up", len(line))
            if not literal:
                return True
            if not stream.copy(int(literal[1]), state["server"]):
                return False
            line = stream.line()
            if not line:
                return False

    def _refuse(self, name, tag, line, literal, stream, client, state):
        """BAD, as a server does that never heard of it. Inside a half-sent command only a cut is left."""
        self.violations.append((name, line.rstrip(b"\r\n").decode("utf-8", "replace")))
        if name == "MULTIAPPEND" or (literal and not literal[2]):
            return False
        while literal:
            if not stream.copy(int(literal[1]), None):
                return False
            line = stream.line()
            literal = re.search(rb"\{(\d+)(\+?)\}\r?\n$", line)
        with state["lock"]:
            client.sendall(tag + b" BAD Unknown command or argument\r\n")
        return True

    # --- PROXYAUTH ------------------------------------------------------------------------------------------

    def _authenticate(self, tag, rest, stream, client, state):
        words = _words(rest, stream, client)
        if words is None:
            return False
        command, arguments = words[0].upper(), words[1:]
        self.commands.append(f"{tag.decode()} {command.decode()}")
        if command == b"LOGIN":
            good = [word.decode("utf-8", "replace") for word in arguments] == list(self.proxyauth)
            state["trusted"] = good
            answer = b" OK Logged in" if good else b" NO [AUTHENTICATIONFAILED] Wrong name or password"
        elif command == b"PROXYAUTH" and state.get("trusted") and len(arguments) == 1:
            said = self._connect(client, state, arguments[0].decode("utf-8", "replace"))
            answer = b" OK PROXYAUTH completed" if said.startswith(b"p1 OK") else said[2:].rstrip(b"\r\n")
        else:
            answer = b" NO Not allowed"
        with state["lock"]:
            client.sendall(tag + answer + b"\r\n")
        return True


def _words(rest, stream, client):
    """The words of a short command, literals included; None at the end of the connection."""
    words = []
    while True:
        literal = re.search(rb"\{(\d+)(\+?)\}$", rest)
        text = rest[:literal.start()] if literal else rest
        words += [re.sub(rb"\\(.)", rb"\1", quoted) if quoted else atom
                  for quoted, atom in re.findall(rb'"((?:[^"\\]|\\.)*)"|(\S+)', text)]
        if not literal:
            return words
        if not literal[2]:
            client.sendall(b"+ go on\r\n")
        ours, theirs = socket.socketpair()
        with ours, theirs:
            if not stream.copy(int(literal[1]), ours):
                return None
            words.append(theirs.recv(int(literal[1])) if int(literal[1]) else b"")
        line = stream.line()
        if not line:
            return None
        rest = line.rstrip(b"\r\n")


def _login(server, user, password):
    """Logs in on a fresh connection and returns the tagged answer; nothing of it reaches the client."""
    stream = Stream(server)
    stream.line()
    server.sendall(b"p1 LOGIN " + quote(user) + b" " + quote(password) + b"\r\n")
    while line := stream.line():
        if line.startswith(b"p1 "):
            return line
    return b"p1 NO the server is gone\r\n"
