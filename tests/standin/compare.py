"""Compares two messaging systems over IMAP, message by message. It judges the product and shares no code with it.

Compared for every mailbox: the set of folders (by decoded names, whatever the delimiter), and in each folder the
number of messages, their bytes (SHA-256), system flags, keywords, INTERNALDATE (the instant) and the order of UIDs.
\\Recent is left out: it belongs to a session. Nothing is changed on either side (EXAMINE, BODY.PEEK).

Messages that production lost and a person decided to keep can be named beforehand, as production had them (`kept`):
just those must be on the target as well, unaltered.

    compare.py --production imap://mirror@127.0.0.1:1143 --target imap://mirror@127.0.0.1:2143 \\
               --password-file trusted.secret --mailboxes 4701-4720
    compare.py --spec both.json

The last line says `equal: ...` (exit 0) or `NOT equal: ...` (exit 1); exit 2 means that it could not be found out.
"""

import argparse
import hashlib
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import unquote, urlsplit

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "standin"

from .names import levels_of  # noqa: E402
from .wire import Wire, WireError  # noqa: E402

FETCH_BYTES = 8 << 20  # bodies are asked for in sets of about this size
SYSTEM_FLAGS = {"\\seen", "\\answered", "\\flagged", "\\deleted", "\\draft"}
_MONTHS = {name: index + 1 for index, name in enumerate(
    b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())}


@dataclass
class Endpoint:
    """One side. `login` is a template with {mailbox} and {trusted}, or 'sasl-plain'."""
    host: str
    port: int
    trusted: str
    password: str = ""
    password_file: str = None
    login: str = "{mailbox}*{trusted}"
    tls: str = "never"
    ca_file: str = None

    @staticmethod
    def of(spec):
        return spec if isinstance(spec, Endpoint) else Endpoint(**spec)

    def secret(self):
        return Path(self.password_file).read_text().strip() if self.password_file else self.password

    def enter(self, mailbox):
        wire = Wire(self.host, self.port, self.tls, self.ca_file, timeout=60.0)
        try:
            if self.login == "sasl-plain":
                wire.login_plain(mailbox, self.trusted, self.secret())
            else:
                wire.login(self.login.format(mailbox=mailbox, trusted=self.trusted), self.secret())
        except WireError:
            wire.drop()
            raise
        return wire


@dataclass
class Options:
    """What not to hold against a poor target. Keywords and flags are given in any case."""
    ignore_keywords: tuple = ()
    ignore_flags: tuple = ()
    ignore_order: bool = False
    ignore_dates: bool = False
    ignore_folders: tuple = ()     # names with '/' between levels
    normalise_lines: bool = False  # CRLF, LF and CR count as one


@dataclass(frozen=True)
class Stored:
    """One message as a side has it."""
    uid: int
    digest: str
    size: int
    flags: frozenset
    keywords: frozenset
    date: datetime
    label: str

    def plain(self):
        """For JSON; Stored.of() reads it."""
        return {**self.__dict__, "flags": sorted(self.flags), "keywords": sorted(self.keywords),
                "date": self.date.isoformat()}

    @staticmethod
    def of(plain):
        return Stored(**{**plain, "flags": frozenset(plain["flags"]), "keywords": frozenset(plain["keywords"]),
                         "date": datetime.fromisoformat(plain["date"])})


@dataclass(frozen=True)
class Difference:
    mailbox: str
    folder: str
    kind: str  # mailbox folder missing extra bytes flags keywords date order
    text: str

    def __str__(self):
        return f"{self.mailbox} {self.folder}: {self.text}" if self.folder else f"{self.mailbox}: {self.text}"


@dataclass
class Outcome:
    mailboxes: int = 0
    folders: int = 0
    messages: int = 0
    differences: list = field(default_factory=list)
    options: Options = field(default_factory=Options)
    kept: dict = field(default_factory=dict)  # {mailbox: {levels: [Stored]}}, as given

    @property
    def equal(self):
        return not self.differences

    def kept_lines(self):
        """If all is equal: which messages are on the target only, as was wanted; a line for each mailbox."""
        return [] if not self.equal else [
            f"{mailbox}: kept, on the target only: "
            + ", ".join(f"{'/'.join(levels)} {len(messages)}" for levels, messages in sorted(folders.items()))
            for mailbox, folders in self.kept.items()]

    def line(self):
        """The one closing line."""
        if self.equal:
            said = ["bytes" if not self.options.normalise_lines else "bytes but line ends", "flags"]
            said += ["keywords" + (" but " + " ".join(self.options.ignore_keywords)
                                   if self.options.ignore_keywords else "")]
            said += [] if self.options.ignore_dates else ["dates"]
            said += ["folders"] + ([] if self.options.ignore_order else ["order"])
            kept = sum(len(messages) for folders in self.kept.values() for messages in folders.values())
            return (f"equal: {_many(self.mailboxes, 'mailbox')}, {_many(self.folders, 'folder')}, "
                    f"{_many(self.messages, 'message')}{f', and {kept} kept' if kept else ''} ({', '.join(said)})")
        mailboxes = len({difference.mailbox for difference in self.differences})
        return (f"NOT equal: {_many(len(self.differences), 'difference')} in {mailboxes} of "
                f"{_many(self.mailboxes, 'mailbox')}; first: {self.differences[0]}")


def _many(count, noun):
    plural = noun + ("es" if noun.endswith("x") else "s")
    return f"{count} {noun if count == 1 else plural}"


# --- reading one side -------------------------------------------------------------------------------------------

def parse_date(value):
    """b' 3-Mar-2026 09:14:05 +0100' -> the instant in UTC"""
    match = re.fullmatch(rb"\s*(\d+)-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", value)
    if not match:
        raise WireError(f"INTERNALDATE not understood: {value!r}")
    local = datetime(int(match[3]), _MONTHS[match[2].title()], int(match[1]), int(match[4]), int(match[5]),
                     int(match[6]), tzinfo=timezone.utc)
    offset = (int(match[8]) * 3600 + int(match[9]) * 60) * (1 if match[7] == b"+" else -1)
    return datetime.fromtimestamp(local.timestamp() - offset, timezone.utc)


def _digest(body, options):
    if options.normalise_lines:
        body = re.sub(rb"\r\n|\r|\n", b"\n", body)
    return hashlib.sha256(body).hexdigest()


def _label(body):
    """How a person finds the message again: its subject, or its first line."""
    head = body.split(b"\r\n\r\n", 1)[0]
    match = re.search(rb"(?mi)^subject: *([^\r\n]+)", head)
    return (match[1] if match else head.split(b"\r\n")[0]).decode("utf-8", "replace")[:40]


def _read_folder(wire, name, options):
    """[Stored] in UID order."""
    if wire.examine(name) == 0:
        return []
    heads = {}

    def on_head(items):
        if "UID" in items and "FLAGS" in items and "INTERNALDATE" in items:
            heads[int(items["UID"])] = items
    wire.fetch("1:*", "UID FLAGS INTERNALDATE RFC822.SIZE", on_head)
    bodies = {}

    def on_body(items):
        body = items.get("BODY[]")
        if "UID" in items and "BODY[]" in items:
            body = body or b""
            bodies[int(items["UID"])] = (_digest(body, options), len(body), _label(body))
    for uid_set in _uid_sets(heads):
        wire.fetch(uid_set, "UID BODY.PEEK[]", on_body)
    return [_stored(uid, heads[uid], bodies.get(uid), options) for uid in sorted(heads)]


def _uid_sets(heads):
    """The UIDs in portions whose bodies fit into FETCH_BYTES."""
    portion, size = [], 0
    for uid in sorted(heads):
        portion.append(str(uid))
        size += int(heads[uid].get("RFC822.SIZE") or 0)
        if size > FETCH_BYTES or len(portion) >= 500:
            yield ",".join(portion)
            portion, size = [], 0
    if portion:
        yield ",".join(portion)


def _stored(uid, head, body, options):
    digest, size, label = body or ("(no body)", 0, "")
    flags = {flag.decode("utf-8", "replace") for flag in head["FLAGS"]}
    ignored = {flag.lower() for flag in (*options.ignore_flags, *options.ignore_keywords, "\\recent")}
    system = frozenset(flag.lower() for flag in flags if flag.lower() in SYSTEM_FLAGS and flag.lower() not in ignored)
    # Keywords are compared without regard to case, as RFC 3501 leaves that open.
    keywords = frozenset(flag.lower() for flag in flags
                         if flag.lower() not in SYSTEM_FLAGS and flag.lower() not in ignored)
    return Stored(uid, digest, size, system, keywords, parse_date(head["INTERNALDATE"]), label)


def read_mailbox(endpoint, mailbox, options=Options()):
    """{levels: [Stored]} of all folders that can hold messages."""
    found = {}
    with Endpoint.of(endpoint).enter(mailbox) as wire:
        for name, delimiter, attributes in wire.folders():
            levels = levels_of(name, delimiter)
            if attributes & {"\\noselect", "\\nonexistent"} or "/".join(levels) in options.ignore_folders:
                continue
            found[levels] = _read_folder(wire, name, options)
    return found


# --- comparing two, purely --------------------------------------------------------------------------------------

def _pairs(ours, theirs):
    """Pairs of equal bytes, then what is left over on each side. Equal messages are paired like with like: those
    with the same flags and date first, so that a harmless change of order doesn't look like changed flags."""
    waiting = {}
    for message in theirs:
        waiting.setdefault(message.digest, []).append(message)
    pairs, missing = [], []
    for message in ours:
        candidates = waiting.get(message.digest)
        if not candidates:
            missing.append(message)
            continue
        best = max(candidates, key=lambda other: (
            (other.flags == message.flags) + (other.keywords == message.keywords) + (other.date == message.date),
            -other.uid))
        candidates.remove(best)
        pairs.append((message, best))
    extra = sorted((message for rest in waiting.values() for message in rest), key=lambda message: message.uid)
    return pairs, missing, extra


def _set_text(name, ours, theirs):
    lost, added = sorted(ours - theirs), sorted(theirs - ours)
    said = [f"lost {' '.join(lost)}"] if lost else []
    said += [f"has {' '.join(added)} too much"] if added else []
    return f"{name} differ: target {', '.join(said)}"


def _pair_differences(ours, theirs, options):
    """[(kind, text)] of one message that is on both sides."""
    found = []
    if ours.digest != theirs.digest:
        found.append(("bytes", f"bytes differ: {ours.size} here, {theirs.size} on target, "
                               f"sha256 {ours.digest[:12]} and {theirs.digest[:12]}"))
    if ours.flags != theirs.flags:
        found.append(("flags", _set_text("flags", ours.flags, theirs.flags)))
    if ours.keywords != theirs.keywords:
        found.append(("keywords", _set_text("keywords", ours.keywords, theirs.keywords)))
    if ours.date != theirs.date and not options.ignore_dates:
        found.append(("date", f"INTERNALDATE differs: {ours.date:%Y-%m-%d %H:%M:%S}Z here, "
                              f"{theirs.date:%Y-%m-%d %H:%M:%S}Z on target"))
    return found


def _order_difference(pairs):
    """The first message, in production's order, that stands elsewhere on the target."""
    theirs = [other for _, other in pairs]
    for (ours, other), expected in zip(pairs, sorted(theirs, key=lambda message: message.uid)):
        # Which of two equal messages comes first is no order that anybody could see.
        if other.digest != expected.digest:
            return [("order", f"order differs from UID {ours.uid} \"{ours.label}\" on: "
                              f"the target has \"{expected.label}\" there")]
    return []


def compare_folder(ours, theirs, options=Options()):
    """[(kind, text)] between two lists of Stored."""
    pairs, missing, extra = _pairs(ours, theirs)
    # As many left over here as there, of the same subjects: those were altered, not lost.
    if len(missing) == len(extra) and [m.label for m in missing] == [e.label for e in extra]:
        pairs = sorted(pairs + list(zip(missing, extra)), key=lambda pair: pair[0].uid)
        missing, extra = [], []
    found = []
    for message, other in pairs:
        found += [(kind, f"UID {message.uid} \"{message.label}\": {text}")
                  for kind, text in _pair_differences(message, other, options)]
    found += [("missing", f"UID {message.uid} \"{message.label}\" ({message.size} bytes) is missing on the target")
              for message in missing]
    known = {message.digest for message in ours}
    found += [("extra", f"target UID {message.uid} \"{message.label}\" is "
                        + ("there once too often" if message.digest in known else "not on production"))
              for message in extra]
    if not options.ignore_order and not any(kind == "bytes" for kind, _ in found):
        found += _order_difference(pairs)
    return found


def compare_mailbox(mailbox, ours, theirs, options=Options()):
    """[Difference] between two results of read_mailbox()."""
    found = []
    for levels in sorted(ours.keys() | theirs.keys()):
        name = "/".join(levels)
        if levels not in theirs:
            found.append(Difference(mailbox, name, "folder",
                                    f"the folder is missing on the target ({_many(len(ours[levels]), 'message')})"))
        elif levels not in ours:
            found.append(Difference(mailbox, name, "folder",
                                    f"the folder is not on production ({_many(len(theirs[levels]), 'message')})"))
        else:
            found += [Difference(mailbox, name, kind, text)
                      for kind, text in compare_folder(ours[levels], theirs[levels], options)]
    return found


def with_kept(ours, kept):
    """What the target must have: what production has and what is kept, in the order in which it once arrived."""
    wanted = dict(ours)
    for levels, messages in kept.items():
        wanted[levels] = sorted([*ours.get(levels, []), *messages], key=lambda message: message.uid)
    return wanted


def compare(production, target, mailboxes, options=None, on_mailbox=None, kept=None):
    """Outcome over all mailboxes; both sides are read at once. Raises WireError or OSError when one can't be read.

    `kept`: {mailbox: {levels: [Stored]}}, what production had and the target must still have."""
    options = options or Options()
    outcome = Outcome(options=options, kept=kept or {})
    with ThreadPoolExecutor(2) as pool:
        for mailbox in map(str, mailboxes):
            sides = [pool.submit(read_mailbox, side, mailbox, options) for side in (production, target)]
            ours, theirs = (side.result() for side in sides)
            outcome.mailboxes += 1
            outcome.folders += len(ours)
            outcome.messages += sum(map(len, ours.values()))
            wanted = with_kept(ours, outcome.kept.get(mailbox, {}))
            outcome.differences += compare_mailbox(mailbox, wanted, theirs, options)
            if on_mailbox:
                on_mailbox(mailbox)
    return outcome


# --- the command ------------------------------------------------------------------------------------------------

def parse_mailboxes(text):
    """'4701-4703,4710' -> ['4701', '4702', '4703', '4710']; leading zeros are kept."""
    found = []
    for part in filter(None, re.split(r"[,\s]+", text)):
        first, _, last = part.partition("-")
        if last:
            found += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        else:
            found.append(first)
    return found


def _endpoint_of_url(url, arguments, login):
    parts = urlsplit(url)
    if parts.scheme not in ("imap", "imaps") or not parts.hostname:
        raise SystemExit(f"compare: not an address: {url} (imap://TRUSTED@HOST:PORT is wanted)")
    tls = "always" if parts.scheme == "imaps" else "starttls" if arguments.starttls else "never"
    return Endpoint(parts.hostname, parts.port or (993 if tls == "always" else 143), unquote(parts.username or ""),
                    unquote(parts.password or ""), arguments.password_file, login, tls, arguments.ca_file)


def _arguments(argv):
    parser = argparse.ArgumentParser(prog="compare", description=__doc__.split("\n\n")[0])
    parser.add_argument("--spec", help='JSON: {"production": {...}, "target": {...}, "mailboxes": [...], "kept": ...}')
    parser.add_argument("--production", help="imap://TRUSTED[:PASSWORD]@HOST:PORT")
    parser.add_argument("--target", help="the same for the other side")
    parser.add_argument("--password-file", help="the trusted server's password, for both sides")
    parser.add_argument("--login", default="{mailbox}*{trusted}", help="template, or sasl-plain (%(default)s)")
    parser.add_argument("--target-login", help="the target's, if it differs")
    parser.add_argument("--starttls", action="store_true")
    parser.add_argument("--ca-file")
    parser.add_argument("--mailboxes", default="", help="4701-4720,4801")
    parser.add_argument("--ignore-keywords", default="", metavar="A,B")
    parser.add_argument("--ignore-order", action="store_true")
    parser.add_argument("--ignore-dates", action="store_true")
    parser.add_argument("--ignore-folders", default="", metavar="A/B,C")
    parser.add_argument("--normalise-lines", action="store_true", help="line ends don't count")
    parser.add_argument("--show", type=int, default=10, help="differences to print (%(default)s)")
    return parser.parse_args(argv)


def plain_kept(kept):
    """`kept` for the JSON of --spec: {mailbox: [[levels, [message, ...]], ...]}."""
    return {mailbox: [[levels, [message.plain() for message in messages]] for levels, messages in folders.items()]
            for mailbox, folders in kept.items()}


def _kept_of(plain):
    return {mailbox: {tuple(levels): [Stored.of(message) for message in messages] for levels, messages in folders}
            for mailbox, folders in plain.items()}


def _sides(arguments):
    """(production, target, mailboxes, kept)"""
    if arguments.spec:
        spec = json.loads(Path(arguments.spec).read_text())
        return (Endpoint.of(spec["production"]), Endpoint.of(spec["target"]), [str(box) for box in spec["mailboxes"]],
                _kept_of(spec.get("kept", {})))
    if not (arguments.production and arguments.target and arguments.mailboxes):
        raise SystemExit("compare: --spec, or --production, --target and --mailboxes")
    return (_endpoint_of_url(arguments.production, arguments, arguments.login),
            _endpoint_of_url(arguments.target, arguments, arguments.target_login or arguments.login),
            parse_mailboxes(arguments.mailboxes), {})


def main(argv=None):
    arguments = _arguments(argv)
    production, target, mailboxes, kept = _sides(arguments)
    options = Options(ignore_keywords=tuple(filter(None, arguments.ignore_keywords.split(","))),
                      ignore_order=arguments.ignore_order, ignore_dates=arguments.ignore_dates,
                      ignore_folders=tuple(filter(None, arguments.ignore_folders.split(","))),
                      normalise_lines=arguments.normalise_lines)
    try:
        outcome = compare(production, target, mailboxes, options, kept=kept)
    except (OSError, WireError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    for difference in outcome.differences[:arguments.show]:
        print(difference)
    for line in outcome.kept_lines():
        print(line)
    print(outcome.line())
    return 0 if outcome.equal else 1


if __name__ == "__main__":
    sys.exit(main())
