"""An IMAP server that says what stands in files: tests/dialogue/*.txt, whose README.md describes them.

    with Scripted("vanished.txt", "cut-in-literal.txt", server=dovecot) as production:
        ... site("production", dovecot, port=production.port) ...
        production.assert_played()

With `server` a real server is behind it: dialogues may pass commands on, and mailboxes in no dialogue are served by it.
A client that says what its dialogue does not expect is answered BAD, and assert_played() fails with what was said and what
was expected; so it does where the dialogue demands what nobody said.
"""

import difflib
import re
import select
import time
from dataclasses import dataclass, field
from pathlib import Path

from .relay import LITERAL, Relay

DIALOGUES = Path(__file__).resolve().parents[1] / "dialogue"
HEADINGS = re.compile(r"(?:(\d+|maybe) )?(?:C: (.*)|(connect))$")
STEPS = re.compile(r"(?:(S|s|slow \d+): ?|(take|now) )(.*)$|(hang|cut|pass|swallow|again)$")
WITH_TEXT = re.compile(r"\{([=#^])(\w+)(?: (\d+))?\}")
TICK = 0.05  # of what is said slowly


class DialogueError(Exception):
    """A file that is no dialogue."""


@dataclass
class Exchange:
    """What the client says, and what the server does then. `times`: how often at most; None: as often as it is said."""
    place: str
    pattern: str
    times: int = None
    demanded: bool = True
    after: str = None  # the name of a moment; before it, the exchange does not count
    written: list = field(default_factory=list)  # [(step, text)] as in the file
    steps: list = field(default_factory=list)  # [(step, bytes)]
    played: int = 0

    def fits(self, command):
        glob = ".*".join(map(re.escape, self.pattern.split("...")))
        return (self.times is None or self.played < self.times) and re.fullmatch(glob, command, re.I | re.S)


class Dialogue:
    """One file: {mailbox (None: before the login): [Exchange]}, and its texts. Mailboxes of one heading share a list."""

    def __init__(self, path):
        self.path, self.texts = path, {}
        self.sections = {None: []}
        self._section, self._text, self._exchange, self._after = self.sections[None], None, None, None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                self._take_line(line, f"{path.name}:{number}")
        self._finish()

    def _finish(self):
        """Texts may stand behind what says them, and be exchanged for others of the same name (like)."""
        for section in self.sections.values():
            for exchange in section:
                exchange.steps = [(step, self._bytes(text, exchange.place)) for step, text in exchange.written]

    def _take_line(self, line, place):
        if match := re.fullmatch(r"\|(?:\*(\d+))?(?: (.*))?", line):
            self.texts[self._text] += (_unescape(match[2] or "") + b"\r\n") * int(match[1] or 1)
        elif match := re.fullmatch(r"text (\w+)", line):
            self._text = match[1]
            self.texts[self._text] = b""
        elif match := re.fullmatch(r"mailbox (\d+)(?:-(\d+))?", line):
            self._section = []
            for mailbox in range(int(match[1]), int(match[2] or match[1]) + 1):
                self.sections[str(mailbox)] = self._section
        elif match := re.fullmatch(r"after (\w+)|always", line):
            self._after = match[1]
        elif match := re.fullmatch(r"like (\S+)", line):
            self._take_over(Dialogue(self.path.parent / match[1]))
        elif match := HEADINGS.match(line):
            times = int(match[1]) if match[1] and match[1] != "maybe" else None
            self._exchange = Exchange(place, match[2] or match[3], times, match[1] != "maybe" and match[2] != "...",
                                      self._after)
            self._section.append(self._exchange)
        elif (match := STEPS.match(line)) and self._exchange:
            self._exchange.written.append((match[1] or match[2] or match[4], match[3] or ""))
        else:
            raise DialogueError(f"{place}: not understood: {line}")

    def _take_over(self, other):
        """What the other file says of its mailbox, behind our own lines and with our own texts."""
        self.texts = {**other.texts, **self.texts}
        section = next(section for mailbox, section in other.sections.items() if mailbox)
        for exchange in section:
            exchange.demanded = False
        self._section += section

    def _bytes(self, text, place):
        """With escapes, and with texts: {=NAME} as a literal, {^NAME} its header, {#NAME} its size."""
        pieces, end = [], 0
        for match in WITH_TEXT.finditer(text):
            kind, name, size = match.groups()
            if name not in self.texts:
                raise DialogueError(f"{place}: no text {name}")
            body = self.texts[name]
            if kind == "^":
                head, blank, _ = body.partition(b"\r\n\r\n")
                body = head + blank
            literal = b"{%d}\r\n%s" % (int(size or len(body)), body)
            pieces += [_unescape(text[end:match.start()]), b"%d" % len(body) if kind == "#" else literal]
            end = match.end()
        return b"".join([*pieces, _unescape(text[end:])])


def _unescape(text):
    return re.sub(rb"\\(x[0-9a-fA-F]{2}|.)", _escaped, text.encode("utf-8"))


def _escaped(match):
    known = {b"n": b"\n", b"r": b"\r", b"0": b"\0", b"t": b"\t"}
    return bytes.fromhex(match[1][1:].decode()) if len(match[1]) == 3 else known.get(match[1], b"\\" + match[1])


class Scripted(Relay):
    """`names`: the files that it plays."""

    def __init__(self, *names, server=None):
        self.dialogues = [Dialogue(DIALOGUES / name) for name in names]
        self.surprises = []
        self.moments = set()  # (mailbox, name)
        super().__init__(server)

    def assert_played(self):
        """All that clients said was expected, and all that is demanded was said."""
        missing = sorted({f"{exchange.place}: nobody said: {exchange.pattern}" for dialogue in self.dialogues
                          for section in dialogue.sections.values() for exchange in section
                          if exchange.demanded and exchange.played == 0})
        assert not self.surprises + missing, "\n\n".join(self.surprises + missing)

    # --- the parts of a connection ---

    def greet(self, session):
        exchange = self._find(None, "connect")
        if not exchange and self.server:
            return super().greet(session)
        if self.server:
            session.upstream.line()
        if exchange:
            return self._play(session, exchange)
        session.say(b"* OK ready\r\n")
        return True

    def serve(self, session):
        exchange = self._find(session.mailbox, session.command)
        if exchange:
            return self._play(session, exchange)
        scripted = self._exchanges(session.mailbox) if session.mailbox else []
        has_pass = any(step in ("pass", "swallow") for exchange in scripted for step, _ in exchange.steps)
        is_login = session.command.upper().startswith("LOGIN ")
        if self.server and (not scripted or has_pass and is_login):
            return self.pass_on(session)
        return self._by_itself(session)

    def _exchanges(self, mailbox):
        return [exchange for dialogue in self.dialogues for exchange in dialogue.sections.get(mailbox, ())]

    def _find(self, mailbox, command):
        with self._lock:
            for exchange in self._exchanges(mailbox):
                if exchange.fits(command) and (not exchange.after or (mailbox, exchange.after) in self.moments):
                    exchange.played += 1
                    return exchange
        return None

    def _by_itself(self, session):
        """What is the same in all dialogues; anything else is a surprise."""
        word = session.command.partition(" ")[0].upper()
        if word == "ID" and self.server:
            return self.pass_on(session)  # by which a site is known again: the same for all mailboxes
        told = {"CAPABILITY": b"* CAPABILITY IMAP4rev1%s\r\n" % (b" ID" if self.server else b""), "LOGIN": b"",
                "LOGOUT": b"* BYE see you\r\n"}
        if word in told:
            session.say(told[word] + session.tag + b" OK done\r\n")
            return word != "LOGOUT"
        self._be_surprised(session)
        session.say(session.tag + b" BAD that is not in the dialogue\r\n")
        return self._take_all(session, session.line, unasked=True)

    def _be_surprised(self, session):
        """What was said, and what was expected, the nearest first."""
        expected = sorted(self._exchanges(session.mailbox),
                          key=lambda one: -difflib.SequenceMatcher(None, one.pattern, session.command).ratio())
        lines = [f"mailbox {session.mailbox}: the client said what its dialogue does not expect",
                 f"  said:     {session.command[:300]}"]
        lines += [f"  expected: {one.pattern}   ({one.place}{f', {one.played} of {one.times} times' if one.times else ''})"
                  for one in expected[:8]]
        text = "\n".join(lines)
        with self._lock:
            if text not in self.surprises:
                self.surprises.append(text)

    def answer(self, session, chunks):
        return None if session.muted and not chunks[0].startswith(b"+") else chunks

    # --- steps ---

    def _play(self, session, exchange):
        """May the session go on? What the client's line announces is taken, unless a step did."""
        before, taken = None, False
        for step in exchange.steps:
            if step[0] == "again":
                while self._step(session, *before):
                    pass
            elif not self._step(session, *step):
                return False
            before, taken = step, taken or step[0] in ("take", "pass", "swallow")
        return taken or self._take_all(session, session.line, unasked=True)

    def _step(self, session, step, data):
        data = re.sub(rb"^\$(?= )", session.tag, data)
        if step in ("S", "s"):
            session.say(data + (b"\r\n" if step == "S" else b""))
        elif step.startswith("slow"):
            self._say_slowly(session, data + b"\r\n", int(step.split()[1]))
        elif step == "take":
            return self._take_all(session, session.line) if data == b"all" else session.stream.copy(int(data), None)
        elif step == "now":
            self.moments.add((session.mailbox, data.decode()))
        elif step == "hang":
            # Nothing is read any more; only the end of the connection ends it.
            poll = select.poll()
            poll.register(session.sock, select.POLLRDHUP)
            poll.poll()
        elif step in ("pass", "swallow"):
            session.muted = step == "swallow"
            return self.pass_on(session)
        return step not in ("cut", "hang")

    @staticmethod
    def _say_slowly(session, data, bytes_per_second):
        """No faster than that; the end of the connection ends it."""
        piece = max(1, int(bytes_per_second * TICK))
        for start in range(0, len(data), piece):
            session.say(data[start:start + piece])
            time.sleep(len(data[start:start + piece]) / bytes_per_second)

    @staticmethod
    def _take_all(session, line, unasked=False):
        """The literals that the line announces, and the lines after them; `unasked`: only what needs no "+" from us."""
        while (literal := LITERAL.search(line)) and (literal[2] or not unasked):
            if not session.stream.copy(int(literal[1]), None):
                return False
            line = session.stream.line()
        return bool(line)
