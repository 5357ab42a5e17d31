"""A stand-in between a client and a real server that understands each command and its answers, one after the other.

`Relay` passes everything on. `Liar` is a server that tells less than is true, or something else: the folder that LIST
leaves out, a SEARCH that ends too early, a UIDNEXT of before. `scripted.Scripted` says what a dialogue says.
All run in threads of the test's own process and end with it.

    with Liar(production) as liar:
        ... site("production", production, port=liar.port) ...
        liar.shorten("4701", "INBOX", [3, 4], search=True)
        liar.tell_truth()
"""

import re
import socket
import threading
import time

from .proxy import Stream, _shut

LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r?\n$")
LOGIN = re.compile(rb'(?i)\S+ LOGIN "?([^" ]+)')
OPENING = re.compile(rb'(?i)\S+ (?:EXAMINE|SELECT) (?:"((?:[^"\\]|\\.)*)"|(\S+))')
LAST_WORD = re.compile(rb' (?:"((?:[^"\\]|\\.)*)"|(\S+))\r\n$')


class Session:
    """One client's connection."""

    def __init__(self, number, sock):
        self.number, self.sock, self.stream = number, sock, Stream(sock)
        self.upstream = None  # a Stream, if a real server is behind
        self.mailbox = self.folder = None
        self.muted = False  # the real server's answers are not told
        self.line = b""  # the command in hand, from its tag to its line end or first literal

    @property
    def tag(self):
        return self.line.split(b" ")[0].strip()

    @property
    def command(self):
        """Without its tag and line end."""
        return self.line.partition(b" ")[2].rstrip(b"\r\n").decode("utf-8", "replace")

    def say(self, data):
        self.sock.sendall(data)


class Relay:
    """`server` is a stand-in with host, port and password; None: nobody is behind (what Scripted may do with)."""

    def __init__(self, server=None):
        self.server = server
        self.password = server.password if server else "Trusted12"
        self.heard = []  # (time, session number, mailbox, command) of all that clients said
        self._open, self._lock, self._sessions = set(), threading.Lock(), 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=500)
        self.host, self.port = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        _shut(self._listener)
        self._listener.close()
        self.cut_all()

    def lead_to(self, server):
        """From now on another server is behind; what is open is cut."""
        self.server = server
        self.cut_all()

    def cut_all(self):
        with self._lock:
            for sock in self._open:
                _shut(sock)

    def endpoint(self):
        """As Dovecot.endpoint()."""
        return {"host": self.host, "port": self.port, "login": "{mailbox}*{trusted}", "trusted": "mirror",
                "password": self.password}

    def commands(self, mailbox):
        """All that was said about one mailbox."""
        with self._lock:
            return [command for _, _, who, command in self.heard if who == mailbox]

    def logins(self, mailbox):
        """[time.monotonic()] of each try to enter it."""
        with self._lock:
            return [when for when, _, who, command in self.heard if who == mailbox and command.upper().startswith("LOGIN ")]

    # --- for those who say something else ---

    def greet(self, session):
        """May the session go on?"""
        greeting = session.upstream.line()
        session.say(greeting)
        return bool(greeting)

    def serve(self, session):
        """One command, in session.line. May the session go on?"""
        return self.pass_on(session)

    def answer(self, session, chunks):
        """What the client hears of an answer of the real server: [line, literal, rest of the line, ...]; None: nothing."""
        return chunks

    # --- passing on ---

    def pass_on(self, session):
        """The command with its literals to the real server, and all its answers back."""
        tag, line = session.tag, session.line
        session.upstream.sock.sendall(line)
        while literal := LITERAL.search(line):
            if not literal[2] and self._answers(session, tag, until_plus=True):
                return True
            if not session.stream.copy(int(literal[1]), session.upstream.sock):
                return False
            line = session.stream.line()
            session.upstream.sock.sendall(line)
        return self._answers(session, tag)

    def _answers(self, session, tag, until_plus=False):
        """True at the tagged answer; False at "+" if that is waited for, and at the end of the connection."""
        while chunks := self._read(session.upstream):
            told = self.answer(session, chunks)
            if told:
                session.say(b"".join(told))
            if chunks[0].startswith(tag + b" "):
                return True
            if until_plus and chunks[0].startswith(b"+"):
                return False
        return False

    @staticmethod
    def _read(stream):
        chunks = [stream.line()]
        while literal := LITERAL.search(chunks[-1]):
            chunks += [stream.take(int(literal[1])), stream.line()]
        return chunks if chunks[0] else []

    # --- connections ---

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sessions += 1
            threading.Thread(target=self._run, args=(Session(self._sessions, client),), daemon=True).start()

    def _run(self, session):
        try:
            with self._lock:
                self._open.add(session.sock)
            if self.server:
                self._connect(session)
            if self.greet(session):
                self._talk(session)
        except OSError:
            pass
        for stream in (session.stream, session.upstream):
            if stream:
                _shut(stream.sock)
                with self._lock:
                    self._open.discard(stream.sock)
                stream.sock.close()

    def _connect(self, session):
        server = socket.create_connection((self.server.host, self.server.port), timeout=20)
        server.settimeout(None)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session.upstream = Stream(server)
        with self._lock:
            self._open.add(server)

    def _talk(self, session):
        going = True
        while going and (line := session.stream.line()):
            session.line = line
            login, opening = LOGIN.match(line), OPENING.match(line)
            if login:
                session.mailbox = login[1].decode().split("*")[0]
            if opening:
                session.folder = (opening[1] or opening[2]).decode("utf-8", "replace")
            with self._lock:
                self.heard.append((time.monotonic(), session.number, session.mailbox, session.command))
            going = self.serve(session)


# --- a server that lies -------------------------------------------------------------------------------------------------


class Liar(Relay):
    """Folders by the name that stands in LIST ("Archive/2026"). Lies may be told and taken back at any time; what is open
    already hears them too. Nothing is changed on the server itself, and EXAMINE opens what LIST leaves out."""

    def __init__(self, server):
        self.tell_truth()
        super().__init__(server)

    def tell_truth(self):
        self._hidden, self._short, self._figures, self._uncounted = set(), {}, {}, set()

    def hide_folder(self, mailbox, folder):
        """LIST leaves it out."""
        self._hidden.add((mailbox, folder))

    def hide_all_folders(self, mailbox):
        """LIST tells nothing."""
        self._hidden.add((mailbox, None))

    def shorten(self, mailbox, folder, uids, search=True, listing=True, counts=False):
        """Some messages are left out: of SEARCH, of listings (FETCH of a set with "*"), of EXISTS and MESSAGES."""
        self._short[mailbox, folder] = (set(uids), search, listing, counts)

    def tell_no_exists(self, mailbox):
        """A folder is opened without a word about how many messages are in it."""
        self._uncounted.add(mailbox)

    def set_figure(self, mailbox, folder, name, value):
        """UIDNEXT, UIDVALIDITY or HIGHESTMODSEQ as EXAMINE, STATUS and LIST-STATUS tell it."""
        self._figures[mailbox, folder, name] = value

    def answer(self, session, chunks):
        line = chunks[0]
        if re.match(rb"(?i)\* LIST ", line):
            return None if self._is_hidden(session, last_word(chunks)) else chunks
        if match := re.match(rb'(?i)(\* STATUS (?:"((?:[^"\\]|\\.)*)"|(\S+)) )(.*)', line, re.S):
            return self._status(session, match)
        if match := re.match(rb"(?i)\* (\d+) EXISTS", line):
            if session.mailbox in self._uncounted:
                return None
            return [b"* %d EXISTS\r\n" % (int(match[1]) - self._left_out(session, session.folder))]
        if re.match(rb"(?i)\* E?SEARCH\b", line):
            return [self._search(session, line)]
        if re.match(rb"(?i)\* \d+ FETCH ", line):
            return None if self._is_left_out(session, b"".join(chunks[0::2])) else chunks
        return [self._with_figures(session, session.folder, line), *chunks[1:]]

    def _is_hidden(self, session, folder):
        return (session.mailbox, folder) in self._hidden or (session.mailbox, None) in self._hidden

    def _status(self, session, match):
        folder = (match[2] or match[3]).decode("utf-8", "replace")
        if session.command.upper().startswith("LIST") and self._is_hidden(session, folder):
            return None
        rest = re.sub(rb"(?i)(MESSAGES) (\d+)",
                      lambda found: b"%s %d" % (found[1], int(found[2]) - self._left_out(session, folder)), match[4])
        return [match[1] + self._with_figures(session, folder, rest)]

    def _with_figures(self, session, folder, line):
        for (mailbox, name, figure), value in list(self._figures.items()):
            if (mailbox, name) == (session.mailbox, folder):
                line = re.sub(rb"(?i)\b(%s) \d+" % figure.encode(), rb"\g<1> %d" % value, line)
        return line

    def _left_out(self, session, folder):
        uids, _, _, counts = self._short.get((session.mailbox, folder), ((), 0, 0, False))
        return len(uids) if counts else 0

    def _is_left_out(self, session, text):
        uids, _, listing, _ = self._short.get((session.mailbox, session.folder), ((), 0, False, 0))
        uid = re.search(rb"\bUID (\d+)", text)
        return bool(listing and uid and int(uid[1]) in uids and re.match(r"(?i)UID FETCH \S*\*", session.command))

    def _search(self, session, line):
        uids, search, _, _ = self._short.get((session.mailbox, session.folder), ((), False, 0, 0))
        if not search:
            return line
        if match := re.match(rb"(?i)(\* ESEARCH.* ALL )([\d:,]+)(.*)", line, re.S):
            left = [uid for uid in expand(match[2]) if uid not in uids]
            text = b",".join(b"%d" % uid for uid in left)
            return match[1] + text + match[3] if left else re.sub(rb" ALL $", b"\r\n", match[1])
        return b" ".join(word for word in line.split() if not word.isdigit() or int(word) not in uids) + b"\r\n"


def last_word(chunks):
    """The name at the end of a LIST answer."""
    if len(chunks) > 1:
        return chunks[1].decode("utf-8", "replace")
    word = LAST_WORD.search(chunks[0])
    return (word[1] or word[2]).decode("utf-8", "replace")


def expand(text):
    """b"1:3,7" -> 1, 2, 3, 7"""
    for piece in text.split(b","):
        first, _, last = piece.partition(b":")
        yield from range(int(first), int(last or first) + 1)
