"""Makes up voicemail: messages, greetings and whole corpora, the same ones for the same seed.

The structure is that of RFC 3801 (VPIM v2), the audio GSM 6.10 in WAV (format 0x31) or G.711 mu-law (format 7 and
audio/basic), 3 to 120 seconds long, log-normal with a median of 22 s. Beside the everyday ones there are those that
break copying programs: odd headers, missing and repeated Message-IDs, long lines, empty fields, nested messages.
Everything is made with CRLF line ends, as IMAP carries it.
"""

import base64
import math
import random
import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

ACTIVE_GREETING = "$CNS-Greeting-On"
UNOPENED = "$CNS-Unopened"
GREETINGS = ("Greetings",)
INBOX = ("INBOX",)
FIRST_NUMBER = 4701
HOST = "store.example"
# Zones in which our made-up callers live, in minutes east of Greenwich.
ZONES = (60, 120, 0, -300, -480, 330, 345, 570, 720, -210)
NAMES = ("Jörg Winter", "Anna Schäfer", "Li Wei", "Zoë O'Brien", "Müller, Karl-Heinz", "Bob", "Ægir Þórsson",
         "Łukasz Żak", "Δημήτρης Π.", "山田 太郎", "Nora \"Nono\" Berg", "R&D Support", "Söderström Åsa")
GSM_BLOCK_BYTES = 65  # two GSM frames: 320 samples, 40 ms
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass
class Message:
    """What is to be stored. `kind` says which of the generator's kinds it is, for tests and screens."""
    data: bytes
    flags: tuple = ()
    date: datetime = None
    kind: str = "voice"

    @property
    def internaldate(self):
        return imap_date(self.date)


@dataclass
class Mailbox:
    """Folders by their levels, each a list of messages in the order of arrival."""
    number: str
    name: str
    folders: dict = field(default_factory=dict)

    @property
    def message_count(self):
        return sum(len(messages) for messages in self.folders.values())


def imap_date(date):
    """datetime with zone -> ' 3-Mar-2026 09:14:05 +0100' (RFC 3501, date-time)."""
    if date is None:
        return None
    offset = int(date.utcoffset().total_seconds()) // 60
    return (f"{date.day:2d}-{_MONTHS[date.month - 1]}-{date.year} {date:%H:%M:%S} "
            f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}{abs(offset) % 60:02d}")


def mail_date(date):
    """The Date header: independent of the locale."""
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    return f"{days[date.weekday()]}, {imap_date(date).strip().replace('-', ' ', 2)}"


# --- audio ----------------------------------------------------------------------------------------------------

def _gsm_frame_bits(rng, loud):
    """The parameters of one frame of 20 ms (GSM 06.10, table 1.1) as (value, bits): plausible speech, or a pause."""
    widths = (6, 6, 5, 5, 4, 4, 3, 3)
    params = [(min((1 << w) - 1, max(0, int(rng.gauss(1 << (w - 1), 1 << (w - 2))))), w) for w in widths]
    for _ in range(4):
        level = rng.randint(24, 52) if loud else rng.randint(0, 8)
        params += [(rng.randint(40, 120), 7), (rng.randint(0, 3), 2), (rng.randint(0, 3), 2), (level, 6)]
        params += [(rng.randint(0, 7) if loud else rng.choice((3, 4)), 3) for _ in range(13)]
    return params


def _gsm_block(rng, loud):
    """Two frames packed as Microsoft does it: 520 bits, the least significant first, no gaps."""
    value = shift = 0
    for number, bits in _gsm_frame_bits(rng, loud) + _gsm_frame_bits(rng, loud):
        value |= number << shift
        shift += bits
    return value.to_bytes(GSM_BLOCK_BYTES, "little")


def _ulaw_byte(sample):
    """G.711: one linear sample of 16 bits."""
    sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
    magnitude = min(magnitude, 32635) + 0x84
    exponent = max(0, magnitude.bit_length() - 8)
    return ~(sign | exponent << 4 | (magnitude >> (exponent + 3)) & 0x0F) & 0xFF


def _ulaw_block(rng, loud):
    """160 samples, 20 ms: two partials and a little noise."""
    pitch, formant = rng.uniform(90, 240), rng.uniform(400, 2400)
    level = rng.uniform(2000, 9000) if loud else 60
    out = bytearray()
    for index in range(160):
        t = index / 8000
        wave = math.sin(6.2832 * pitch * t) + 0.5 * math.sin(6.2832 * formant * t) + rng.gauss(0, 0.05)
        out.append(_ulaw_byte(int(level * wave)))
    return bytes(out)


def _riff(tag, fmt_extra, byte_rate, align, bits, samples, data):
    fmt = struct.pack("<HHIIHH", tag, 1, 8000, byte_rate, align, bits) + fmt_extra
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"fact" + struct.pack("<II", 4, samples)
    body += b"data" + struct.pack("<I", len(data)) + data + (b"\0" if len(data) % 2 else b"")
    return b"RIFF" + struct.pack("<I", len(body)) + body


class Audio:
    """Pools of frames, made once; a recording strings them together in phrases and pauses."""

    def __init__(self, rng, pool=96):
        self._gsm = {loud: [_gsm_block(rng, loud) for _ in range(pool)] for loud in (True, False)}
        self._ulaw = {loud: [_ulaw_block(rng, loud) for _ in range(pool // 2)] for loud in (True, False)}

    @staticmethod
    def _speak(rng, pool, blocks):
        parts = []
        while len(parts) < blocks:
            loud = rng.random() < 0.75
            parts += rng.choices(pool[loud], k=rng.randint(5, 40) if loud else rng.randint(2, 15))
        return b"".join(parts[:blocks])

    def gsm_wav(self, rng, seconds):
        blocks = max(1, round(seconds * 25))
        data = self._speak(rng, self._gsm, blocks)
        return _riff(0x31, struct.pack("<HH", 2, 320), 1625, GSM_BLOCK_BYTES, 0, blocks * 320, data)

    def ulaw(self, rng, seconds):
        return self._speak(rng, self._ulaw, max(1, round(seconds * 50)))

    def ulaw_wav(self, rng, seconds):
        data = self.ulaw(rng, seconds)
        return _riff(7, struct.pack("<H", 0), 8000, 1, 8, len(data), data)


# --- MIME by hand: Python's e-mail package would repair what is meant to be odd ----------------------------------

def _base64_lines(data):
    """57 bytes a line, 76 characters, CRLF."""
    return b"".join(base64.b64encode(data[i:i + 57]) + b"\r\n" for i in range(0, len(data), 57))


def _half_encoded(name):
    """Names as some systems write them: the umlaut in an encoded word, the rest around it in clear, inside quotes."""
    out = ""
    for char in name:
        if ord(char) < 128:
            out += "\\" + char if char in '"\\' else char
        else:
            out += "=?UTF-8?Q?" + "".join(f"={byte:02X}" for byte in char.encode()) + "?="
    return f'"{out}"'


def _fully_encoded(name):
    return "=?UTF-8?B?" + base64.b64encode(name.encode()).decode() + "?="


@dataclass
class Part:
    headers: list
    body: bytes

    def render(self):
        return "".join(f"{line}\r\n" for line in self.headers).encode() + b"\r\n" + self.body


def _multipart(subtype, parts, boundary, parameters=""):
    """(Content-Type value, body)"""
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part.render() + b"\r\n" for part in parts)
    return f'multipart/{subtype};{parameters} boundary="{boundary}"', body + b"--" + boundary.encode() + b"--\r\n"


def audio_part(kind, data, disposition='voice=Voice-Message; filename="vm.wav"'):
    return Part([f"Content-Type: {kind}", "Content-Transfer-Encoding: base64",
                 f"Content-Disposition: inline; {disposition}"], _base64_lines(data))


class Generator:
    """Makes messages. Lengths are seconds of audio; `scale` makes all of them shorter for tests that need many."""

    def __init__(self, seed=1, scale=1.0, now=None):
        self.rng = random.Random(seed)
        self.audio = Audio(self.rng)
        self.scale = scale
        self.now = now or datetime(2026, 3, 20, 12, 0, tzinfo=timezone.utc)
        self._serial = 0

    def seconds(self):
        return min(120.0, max(3.0, self.rng.lognormvariate(math.log(22), 0.75)))

    def date(self, days=10.0):
        """An instant of the last days, written in anybody's zone; whole seconds, as IMAP keeps them."""
        zone = timezone(timedelta(minutes=self.rng.choice(ZONES)))
        moment = self.now - timedelta(seconds=self.rng.randint(60, int(days * 86400)))
        return moment.replace(microsecond=0).astimezone(zone)

    def _recording(self, seconds, disposition='voice=Voice-Message; filename="vm.wav"'):
        scaled = seconds * self.scale
        form = self.rng.random()
        if form < 0.70:
            return audio_part("audio/x-wav; codec=31", self.audio.gsm_wav(self.rng, scaled), disposition)
        if form < 0.88:
            return audio_part("audio/wav; codec=7", self.audio.ulaw_wav(self.rng, scaled), disposition)
        if form < 0.96:
            return audio_part("audio/basic", self.audio.ulaw(self.rng, scaled), disposition)
        # ADPCM of 4 bits: any bytes are valid samples.
        return audio_part("audio/32KADPCM", self.rng.randbytes(max(8, int(4000 * scaled))), disposition)

    def _headers(self, to, date, sender, subject, seconds, context="voice-message"):
        self._serial += 1
        name = self.rng.choice(NAMES)
        encode = _half_encoded if self.rng.random() < 0.7 else _fully_encoded
        stamp = int(date.timestamp())
        return {"From": f"{encode(name)} <{sender}@{HOST}>", "To": f"<{to}@{HOST}>", "Date": mail_date(date),
                "Message-ID": f"<{self._serial:x}.{to}.{stamp}@{HOST}>", "Subject": subject,
                "MIME-Version": "1.0 (Voice 2.0)", "Message-Context": context,
                "Content-Duration": str(round(seconds))}

    def _assemble(self, headers, parts, subtype="voice-message", parameters=" version=2.0;"):
        content_type, body = _multipart(subtype, parts, f"=vm-{self._serial:x}", parameters)
        lines = [f"{key}: {value}" if value else f"{key}:" for key, value in headers.items() if value is not None]
        lines.append(f"Content-Type: {content_type}")
        return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body

    def caller(self):
        return str(self.rng.randint(2000000, 9999999))

    def voicemail(self, to, date=None, seconds=None, urgent=False, private=False, odd=None, flags=()):
        """One call-answer message; `odd` is one of ODD_HEADERS or None."""
        date, seconds, sender = date or self.date(), seconds or self.seconds(), self.caller()
        headers = self._headers(to, date, sender, f"Voice message from {sender}", seconds)
        if urgent:
            headers["Importance"] = "high"
        if private:
            headers["Sensitivity"] = "private"
        parts = [self._recording(seconds)]
        if self.rng.random() < 0.3:
            parts.append(self._recording(2, 'voice=Originator-Spoken-Name; filename="name.wav"'))
        if odd:
            ODD_HEADERS[odd](self, headers)
        kind = odd or ("urgent" if urgent else "private" if private else "voice")
        return Message(self._assemble(headers, parts), tuple(flags), date, kind)

    def forwarded(self, to, date=None, flags=()):
        """A comment in front of somebody's message, as message/rfc822, two levels deep now and then."""
        date = date or self.date()
        inner = self.voicemail(self.caller(), date - timedelta(hours=3))
        if self.rng.random() < 0.3:
            inner = self.forwarded(self.caller(), date - timedelta(hours=1))
        headers = self._headers(to, date, self.caller(), "Fwd: Voice message", 8)
        parts = [self._recording(8), Part(["Content-Type: message/rfc822"], inner.data)]
        return Message(self._assemble(headers, parts), tuple(flags), date, "forwarded")

    def fax(self, to, date=None, flags=()):
        date, sender = date or self.date(), self.caller()
        headers = self._headers(to, date, sender, f"Fax from {sender} (2 pages)", 0, "fax-message")
        headers["Content-Duration"] = None
        pages = self.rng.randbytes(max(64, int(30000 * self.scale)))
        tiff = b"II*\0" + struct.pack("<I", 8 + len(pages)) + pages + struct.pack("<HI", 0, 0)
        part = Part(["Content-Type: image/tiff; application=faxbw", "Content-Transfer-Encoding: base64",
                     'Content-Disposition: attachment; filename="fax.tif"', f"Content-Description: VOICE=+1{sender}@{HOST}"],
                    _base64_lines(tiff))
        return Message(self._assemble(headers, [part], "fax-message", ""), tuple(flags), date, "fax")

    def text_and_card(self, to, date=None, flags=()):
        """A text with a vCard, in UTF-8 and 8 bit, with a line far beyond 998 bytes."""
        date, sender = date or self.date(), self.caller()
        headers = self._headers(to, date, sender, "=?UTF-8?Q?R=C3=BCckruf?= please", 0, "text-message")
        text = ("Bitte um Rückruf, danke.\r\n" + "x" * 1500 + "ü\r\n.\r\nFrom the start of a line\r\n").encode()
        card = f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Jörg Winter\r\nTEL:+1{sender}\r\nEND:VCARD\r\n".encode()
        parts = [Part(["Content-Type: text/plain; charset=UTF-8", "Content-Transfer-Encoding: 8bit"], text),
                 Part(["Content-Type: text/directory; charset=UTF-8; profile=vCard",
                       "Content-Transfer-Encoding: 8bit"], card)]
        return Message(self._assemble(headers, parts, "mixed", ""), tuple(flags), date, "text")

    def greeting(self, number, which, active=False, date=None, seconds=8):
        """A greeting is a message whose keyword says that it is the active one."""
        date = date or self.date(300)
        headers = self._headers(number, date, number, f"Personal greeting {which}", seconds, "x-greeting-message")
        disposition = f'voice=Personal-Greeting; filename="greeting{which}.wav"'
        part = audio_part("audio/x-wav; codec=31", self.audio.gsm_wav(self.rng, seconds * self.scale), disposition)
        flags = ("\\Seen",) + ((ACTIVE_GREETING,) if active else ())
        return Message(self._assemble(headers, [part]), flags, date, "greeting")

    def tiny(self, to="4701", size=300, date=None, flags=()):
        """A message of about `size` bytes, for tests that need thousands."""
        date = date or self.date()
        headers = self._headers(to, date, self.caller(), "Voice message", 1)
        text = "".join(f"{key}: {value}\r\n" for key, value in headers.items()) + "\r\n"
        body = base64.b64encode(self.rng.randbytes(max(0, size - len(text)) * 3 // 4)).decode()
        lines = "".join(body[i:i + 76] + "\r\n" for i in range(0, len(body), 76))
        return Message((text + lines).encode(), tuple(flags), date, "tiny")


def _without(name):
    def change(_, headers):
        headers[name] = None
    return change


def _with(name, value):
    def change(_, headers):
        headers[name] = value
    return change


def _long_header(generator, headers):
    headers["X-Route"] = " ".join(generator.caller() for _ in range(200))


ODD_HEADERS = {
    "no message-id": _without("Message-ID"),
    "shared message-id": _with("Message-ID", f"<broadcast.1@{HOST}>"),
    "empty subject": _with("Subject", ""),
    "empty message-id": _with("Message-ID", ""),
    "empty from": _with("From", ""),
    "no date": _without("Date"),
    "comment in version": _with("MIME-Version", "1.0 (Voice (deep \\( comment) 2.0) (again)"),
    "voice address": _with("To", f"VOICE=+15550142@{HOST}"),
    "raw utf-8 name": _with("From", f'"Jörg Wínter" <5550142@{HOST}>'),
    "line over 998": _long_header,
}


# --- whole mailboxes --------------------------------------------------------------------------------------------

EXTRA_FOLDERS = (("Saved",), ("Archiv", "2026", "März"), ("Grüße & mehr",), ("R&D",), ("Archiv", "2025"),
                 ("Entwürfe",), ("日本語",), ("Trash",))


def _state(rng):
    """Flags of a message: new, unopened (header heard, by keyword), heard; some flagged or answered."""
    state = rng.random()
    flags = () if state < 0.35 else (UNOPENED,) if state < 0.5 else ("\\Seen",)
    if flags == ("\\Seen",) and rng.random() < 0.2:
        flags += ("\\Answered",)
    if rng.random() < 0.08:
        flags += ("\\Flagged",)
    if rng.random() < 0.03:
        flags += ("\\Deleted",)
    return flags


def _one(generator, number):
    rng, kind = generator.rng, generator.rng.random()
    flags = _state(rng)
    if kind < 0.06:
        return generator.forwarded(number, flags=flags)
    if kind < 0.11:
        return generator.fax(number, flags=flags)
    if kind < 0.16:
        return generator.text_and_card(number, flags=flags)
    odd = rng.choice(list(ODD_HEADERS)) if rng.random() < 0.25 else None
    return generator.voicemail(number, urgent=rng.random() < 0.1, private=rng.random() < 0.1, odd=odd, flags=flags)


def make_mailbox(generator, number, messages=15, folders=3, greetings=3):
    """One mailbox; about three quarters of its messages lie in INBOX, the others in `folders` further ones."""
    mailbox = Mailbox(str(number), generator.rng.choice(NAMES), {INBOX: []})
    extra = generator.rng.sample(EXTRA_FOLDERS, min(folders, len(EXTRA_FOLDERS)))
    for levels in extra:
        mailbox.folders[levels] = []
    for _ in range(messages):
        levels = generator.rng.choice(extra) if extra and generator.rng.random() < 0.25 else INBOX
        mailbox.folders[levels].append(_one(generator, mailbox.number))
    if greetings:
        active = generator.rng.randrange(greetings)
        mailbox.folders[GREETINGS] = [generator.greeting(mailbox.number, index + 1, index == active)
                                      for index in range(greetings)]
    return mailbox


def make_corpus(generator, mailboxes=20, messages=15):
    """`mailboxes` mailboxes from number 4701 on. The last one is empty, the first holds one message of every odd
    kind, a folder without messages, and one and the same message twice."""
    corpus = []
    for index in range(mailboxes):
        number = FIRST_NUMBER + index
        if index == mailboxes - 1 and mailboxes > 1:
            corpus.append(Mailbox(str(number), "Nobody", {INBOX: []}))
            continue
        mailbox = make_mailbox(generator, number, max(1, round(messages * generator.rng.uniform(0.4, 1.6))))
        if index == 0:
            mailbox.folders[("Archiv", "Empty")] = []
            mailbox.folders[INBOX] += [generator.voicemail(number, odd=odd) for odd in ODD_HEADERS]
            mailbox.folders[INBOX] += [generator.fax(number), generator.forwarded(number),
                                       generator.text_and_card(number)]
            twin = generator.voicemail(number, odd="no message-id", flags=("\\Seen",))
            mailbox.folders[INBOX] += [twin, Message(twin.data, (), twin.date, "twin")]
        corpus.append(mailbox)
    return corpus


def corpus_csv(corpus):
    """The file that `mirrorctl mailbox import` takes."""
    lines = ["mailbox,name"]
    for mailbox in corpus:
        name = mailbox.name.replace('"', '""')
        lines.append(f'{mailbox.number},"{name}"')
    return "\r\n".join(lines) + "\r\n"
