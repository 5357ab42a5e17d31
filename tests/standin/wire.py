"""A small IMAP client, blocking: what the comparer reads with and what fills the stand-ins.

It is separate from Python's imaplib because literals may stand anywhere (folder names, greetings), because bodies of
many MB should not be taken apart by regular expressions, and because MULTIAPPEND and SASL PLAIN with an
authorisation identity are wanted. Answers are nested lists: an atom or string is bytes, NIL is None.
"""

import base64
import re
import socket
import ssl

MAX_LINE = 1 << 20
_TOKEN = re.compile(rb'\s*(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|((?:[^\s()"\[\]]|\[[^\]]*\])+))')


class WireError(Exception):
    """The server is gone, or speaks no IMAP."""


class Refused(WireError):
    """A command answered NO or BAD; `status` is which, `text` the server's words."""

    def __init__(self, command, status, text):
        super().__init__(f"{command}: {status} {text}")
        self.status, self.text = status, text


def quote(value):
    """A quoted string. For what quoted strings can't hold, use a literal (a bytes part of `run`)."""
    if isinstance(value, str):
        value = value.encode()
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def tokens(chunks):
    """[line piece, literal, line piece, ...] -> nested lists."""
    stack, literals = [[]], iter(chunks[1::2])
    for piece in chunks[0::2]:
        position = 0
        while match := _TOKEN.match(piece, position):
            position = match.end()
            if match[1]:
                stack.append([])
            elif match[2]:
                if len(stack) == 1:
                    raise WireError(f"a parenthesis too many: {piece[:80]!r}")
                inner = stack.pop()
                stack[-1].append(inner)
            elif match[3] is not None:
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", match[3]))
            elif re.fullmatch(rb"~?\{\d+\}", match[4]):
                stack[-1].append(next(literals))
            else:
                stack[-1].append(None if match[4].upper() == b"NIL" else match[4])
        if piece[position:].strip():
            raise WireError(f"not understood: {piece[position:position + 80]!r}")
    return stack[0]


class Wire:
    """One connection. `tls`: 'never', 'starttls' or 'always'; `ca_file` None then means: don't check the certificate."""

    def __init__(self, host, port, tls="never", ca_file=None, timeout=30.0):
        self._socket = socket.create_connection((host, port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._number = 0
        self._capability = None
        if tls == "always":
            self._wrap(host, ca_file)
        self._file = self._socket.makefile("rb")
        self.greeting = self._read()
        if self.greeting[0][:4].upper() not in (b"* OK", b"* PR"):
            raise WireError(f"greeting: {self.greeting[0]!r}")
        if tls == "starttls":
            self.run("STARTTLS")
            self._wrap(host, ca_file)
            self._file = self._socket.makefile("rb")

    def _wrap(self, host, ca_file):
        context = ssl.create_default_context(cafile=ca_file)
        if ca_file is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """LOGOUT where the server still listens, then close."""
        try:
            self.run("LOGOUT")
        except (OSError, WireError):
            pass
        self.drop()

    def drop(self):
        self._file.close()
        self._socket.close()

    def send(self, data):
        self._socket.sendall(data)

    def _read(self):
        """One answer: [line piece, literal, line piece, ...]; the line ends are taken off."""
        chunks = []
        while True:
            line = self._file.readline(MAX_LINE)
            if not line.endswith(b"\n"):
                raise WireError("the server closed the connection" if len(line) < MAX_LINE else "endless line")
            chunks.append(line.rstrip(b"\r\n"))
            match = re.search(rb"\{(\d+)\}\r?\n$", line)
            if not match:
                return chunks
            literal = self._file.read(int(match[1]))
            if len(literal) < int(match[1]):
                raise WireError("the server closed the connection inside a literal")
            chunks.append(literal)

    def run(self, *parts, on_untagged=None):
        """A command; str and bytearray parts are sent as they stand, bytes parts as literals, with blanks between.

        Returns (text after OK, [untagged answers as token lists]); raises Refused at NO and BAD. `on_untagged` gets
        each untagged answer instead of its being collected.
        """
        self._number += 1
        tag = b"t%d" % self._number
        untagged = []
        keep = on_untagged or untagged.append
        line = tag
        for part in parts:
            if isinstance(part, bytes):
                self.send(line + b" {%d}\r\n" % len(part))
                final = self._until_tag_or_plus(tag, keep)
                if final:
                    return self._final(parts, final, untagged)
                line = part
            else:
                line += (b" " if line else b"") + (part.encode() if isinstance(part, str) else bytes(part))
        self.send(line + b"\r\n")
        return self._final(parts, self._until_tag_or_plus(tag, keep, plus=False), untagged)

    def _until_tag_or_plus(self, tag, keep, plus=True):
        """None at a continuation request, else the tagged line."""
        while True:
            chunks = self._read()
            first = chunks[0]
            if first.startswith(b"+") and plus:
                return None
            if first.startswith(tag + b" "):
                return first[len(tag) + 1:]
            if first.startswith(b"* "):
                words = first[2:].split(None, 1)
                if words and words[0].upper() in (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"):
                    keep([words[0].upper(), words[1] if len(words) > 1 else b""])
                else:
                    keep(tokens([first[2:]] + chunks[1:]))

    @staticmethod
    def _final(parts, line, untagged):
        status, _, text = line.decode("utf-8", "replace").partition(" ")
        if status.upper() != "OK":
            raise Refused(str(parts[0]).split()[0], status, text)
        return text, untagged

    # --- the commands that these tools need -----------------------------------------------------------------

    def login(self, user, password):
        self._capability = None
        self.run("LOGIN", bytearray(quote(user)), bytearray(quote(password)))

    def login_plain(self, authzid, user, password):
        """SASL PLAIN with an authorisation identity (RFC 4616)."""
        self._capability = None
        blob = base64.b64encode(f"{authzid}\0{user}\0{password}".encode())
        self._number += 1
        tag = b"t%d" % self._number
        self.send(tag + b" AUTHENTICATE PLAIN\r\n")
        final = self._until_tag_or_plus(tag, lambda _: None)
        if final is None:
            self.send(blob + b"\r\n")
            final = self._until_tag_or_plus(tag, lambda _: None, plus=False)
        self._final(("AUTHENTICATE",), final, [])

    def capabilities(self):
        if self._capability is None:
            _, untagged = self.run("CAPABILITY")
            self._capability = {word.decode().upper() for answer in untagged if _is(answer, 0, b"CAPABILITY")
                                for word in answer[1:]}
        return self._capability

    def folders(self):
        """[(wire name, delimiter or None, {attributes in lower case})]"""
        _, untagged = self.run('LIST "" "*"')
        return [(answer[3], answer[2] and answer[2].decode(), {word.decode().lower() for word in answer[1]})
                for answer in untagged if _is(answer, 0, b"LIST")]

    def delimiter(self):
        _, untagged = self.run('LIST "" ""')
        return next((answer[2].decode() for answer in untagged if _is(answer, 0, b"LIST") and answer[2]), None)

    def examine(self, name):
        """The number of messages."""
        _, untagged = self.run("EXAMINE", bytearray(quote(name)))
        return max((int(answer[0]) for answer in untagged if _is(answer, 1, b"EXISTS")), default=0)

    def fetch(self, uid_set, items, on_message):
        """UID FETCH; on_message({ITEM: value}) for each message."""
        def on_untagged(answer):
            if _is(answer, 1, b"FETCH") and len(answer) > 2:
                pairs = answer[2]
                on_message({pairs[i].decode().upper(): pairs[i + 1] for i in range(0, len(pairs) - 1, 2)})
        self.run(f"UID FETCH {uid_set} ({items})", on_untagged=on_untagged)

    def append(self, name, messages):
        """Stores [(bytes, flags, date string or None)], by MULTIAPPEND and LITERAL+ as far as offered."""
        non_sync = "LITERAL+" in self.capabilities()
        at_once = len(messages) if "MULTIAPPEND" in self.capabilities() else 1
        for start in range(0, len(messages), at_once):
            batch = messages[start:start + at_once]
            if non_sync:
                self._append_pipelined(name, batch)
            else:
                parts = ["APPEND", bytearray(quote(name))]
                for data, flags, date in batch:
                    parts += [_append_head(flags, date), data]
                self.run(*parts)

    def _append_pipelined(self, name, batch):
        self._number += 1
        tag = b"t%d" % self._number
        line = tag + b" APPEND " + quote(name)
        for data, flags, date in batch:
            self.send(line + b" " + _append_head(flags, date) + b" {%d+}\r\n" % len(data))
            self.send(data)
            line = b""
        self.send(b"\r\n")
        self._final(("APPEND",), self._until_tag_or_plus(tag, lambda _: None, plus=False), [])


def _is(answer, index, word):
    """Whether the answer has this word in this place."""
    return len(answer) > index and isinstance(answer[index], bytes) and answer[index].upper() == word


def _append_head(flags, date):
    head = b"(" + " ".join(flags).encode() + b")"
    return bytearray(head + (b' "' + date.encode() + b'"' if date else b""))
