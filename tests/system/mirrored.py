"""The whole product between stand-in systems, for the suites that judge what it mirrors: configuration, waiting, what the
servers' own logs say was done, and what production looked like before and after.

Servers count what a client changes (Dovecot.events()) and keep every dialogue (rawlogs), so "nothing was written" is
their word and not the product's."""
import hashlib
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers import free_port, wait_for  # noqa: E402,F401
from standin.compare import Options, compare, read_mailbox  # noqa: E402,F401
from standin.product import Product, site  # noqa: E402
from standin.wire import Refused  # noqa: E402

CHANGING = re.compile(r"^\S+ (?:UID )?(APPEND|STORE|EXPUNGE|COPY|MOVE|CREATE|DELETE|RENAME|CLOSE|SUBSCRIBE)\b", re.I)
SYNC_SECONDS = 40
CONTENT = "folder, message, intent"
FIGURES = ("mirror_id, equal, source_messages, target_messages, missing_messages, refused_messages, altered_messages, "
           "gone_messages, foreign_messages, late_messages, gone_folders, refused_keywords, copied_messages")


def listeners(*ports):
    """Further doors into one Dovecot, for sites that lead to the same store: `extra` of its constructor."""
    return "".join(f"service imap-login {{\n  inet_listener door{port} {{\n    port = {port}\n  }}\n}}\n" for port in ports)


class Mirrored(Product):
    """`sites`: {name: what site() makes}, each with its server's secret; `routes`: {name: (from, to)}; `own`: {route: more keys}."""

    def __init__(self, sites, routes, copiers=4, look_seconds=1, secrets=None, deletions=None, own=None, **more):
        config = {
            "sites": list(sites.values()),
            "routes": [{"name": name, "from": ends[0], "to": ends[1], "late_command_minutes": 0.2,
                        **({"deletions": deletions} if deletions else {}), **(own or {}).get(name, {})}
                       for name, ends in routes.items()],
            "workers": {"scanner": 1, "copier": copiers, "api": 1},
            "scan": {"look_interval_seconds": look_seconds},
            **more,
        }
        super().__init__(config, secrets=secrets)

    # --- doing ---

    def add(self, route, *mailboxes):
        for mailbox in mailboxes:
            self.ctl("mailbox", "add", mailbox, "--route", route).ok()

    def sync(self, *mailboxes, exit=0):
        """Looks now and waits; the exit status must be `exit`."""
        result = self.ctl("sync", "--wait", "--timeout", SYNC_SECONDS, *mailboxes)
        assert result.exit == exit, (f"sync --wait {' '.join(mailboxes)}: exit {result.exit}: {result.err}{result.out}\n"
                                     + self.log_tail(40))
        return result

    def mirror(self, mailbox, route="dr"):
        return self.mirrors()[(mailbox, route)]

    def counted(self, mailbox, route="dr"):
        """Its counts of messages: source, target, missing, refused, altered, gone, foreign, late."""
        return self.mirror(mailbox, route)["messages"]

    def wait_mirror(self, condition, mailbox, route="dr", seconds=15, what="the mirror"):
        """Until condition(mirror) holds; returns the mirror as it was then."""
        def found():
            mirror = self.mirror(mailbox, route)
            return mirror if condition(mirror) else None
        return wait_for(found, seconds, lambda: f"{what}: {self.mirror(mailbox, route)}\n{self.log_tail(30)}")

    def content(self):
        """What must stay as it is while nothing changes: checksums of the tables, and every mirror's figures."""
        return self.sql(f"CHECKSUM TABLE {CONTENT}"), self.sql(f"SELECT {FIGURES} FROM mirror ORDER BY mirror_id")

    def wait_equal(self, production, target, mailbox, options=None, seconds=20):
        """Without being asked: until the comparer finds the mailbox equal."""
        def equal():
            try:
                return compare(production.endpoint(), target.endpoint(), [mailbox], options).equal
            except Refused:  # a mailbox that is being made at this moment
                return False
        wait_for(equal, seconds, lambda: told(production, target, [mailbox], options) + "\n" + self.log_tail(30))

    def complaints(self, *but):
        """Warnings and errors of the log, without those that match one of `but`."""
        return [line for line in self.log().splitlines()
                if re.search(r"^\S+ +(warn|error) ", line) and not any(re.search(text, line) for text in but)]


def told(production, target, mailboxes, options=None):
    """The comparer's words."""
    outcome = compare(production.endpoint(), target.endpoint(), mailboxes, options)
    return "\n".join([outcome.line(), *map(str, outcome.differences[:20])])


def assert_equal(production, target, *mailboxes, **options):
    text = told(production, target, mailboxes, Options(**options))
    assert text.startswith("equal"), text


# --- what servers tell ---

class Changes:
    """What is changed on servers from now on; `seen()` empties it."""

    def __init__(self, *servers):
        self.servers = servers
        self.seen()

    def _events(self):
        for server in self.servers:
            settle_log(server)
        return [server.events() for server in self.servers]

    def now(self):
        """[(mailbox, event)] since."""
        return [(mailbox, event) for events, count in zip(self._events(), self.counts)
                for mailbox, event, _ in events[count:]]

    def of(self, mailbox, event="save"):
        return self.now().count((mailbox, event))

    def seen(self):
        self.counts = [len(events) for events in self._events()]


def settle_log(server):
    """Dovecot's log process writes lines down after the client was answered: a session of ours shows that it caught up."""
    def ends():
        return (server.root / "info.log").read_text(errors="replace").count("imap(marker)<")
    before = ends()
    server.imap("marker").logout()
    wait_for(lambda: ends() > before, 10, "the end of a session in Dovecot's log")


def changing_commands(server):
    """Every command that changes something, of all clients, so far."""
    return [line for line in server.commands() if CHANGING.match(line)]


def sessions_of(server, mailbox):
    """[(commands, answers)] of every session that entered a mailbox; Dovecot's log tells whose process was whose."""
    text = (server.root / "info.log").read_text(errors="replace")
    pids = set(re.findall(rf"Login: user=<{re.escape(mailbox)}>.*?mpid=(\d+)", text))
    return [(sent, got) for name, sent, got in server.rawlogs() if set(re.findall(r"\d+", name)) & pids]


def sessions_at_once(server, mailboxes):
    """The most sessions that some mailboxes had at one time, from the first to the last stamp of each record: the answer
    to LOGOUT is the last, so a session that follows it does not overlap."""
    text = (server.root / "info.log").read_text(errors="replace")
    pids = set(re.findall(rf"Login: user=<(?:{'|'.join(map(re.escape, mailboxes))})>.*?mpid=(\d+)", text))
    steps = []
    for path in (server.root / "rawlog").glob("*.out"):
        stamps = [float(stamp) for stamp in re.findall(rb"(?m)^(\d+\.\d{6}) ", path.read_bytes())]
        if stamps and set(re.findall(r"\d+", path.stem)) & pids:
            steps += [(stamps[0], 1), (stamps[-1], -1)]
    now = most = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


# --- production, before and after (I1) ---

def message_files(server):
    """{path: (SHA-256, time)} of every file that holds messages; in a Maildir its name holds the flags, and its folder
    (new or cur) whether it is recent."""
    return {str(path.relative_to(server.root)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
            for path in (server.root / "mail").rglob("*")
            if path.is_file() and (path.parent.name in ("new", "cur", "tmp") or re.match(r"m\.\d+$", path.name))}


def shown(server, mailbox):
    """What a client is shown: {folder: (figures with \\Recent, [UID, flags, date, size])}."""
    connection = server.imap(mailbox)
    found = {}
    for line in connection.list()[1]:
        name = re.search(rb' (?:"((?:[^"\\]|\\.)*)"|(\S+))$', line)
        name = (name[1] or name[2]).decode()
        if b"\\Noselect" in line:
            continue
        connection.select(f'"{name}"', readonly=True)
        figures = {item: connection.untagged_responses.get(item) for item in ("EXISTS", "RECENT", "UIDVALIDITY", "UIDNEXT")}
        lines = connection.uid("FETCH", "1:*", "(FLAGS INTERNALDATE RFC822.SIZE)")[1] if figures["EXISTS"] != [b"0"] else []
        found[name] = (figures, lines)
    connection.logout()
    return found


def change(server, mailbox, folder, *command):
    """A user's own client changes something by UID, or expunges."""
    connection = server.imap(mailbox)
    status, answer = connection.select(f'"{folder}"')
    assert status == "OK", answer
    status, answer = connection.expunge() if command == ("EXPUNGE",) else connection.uid(*command)
    assert status == "OK", answer
    connection.logout()


def delete(server, mailbox, folder, uids):
    """Somebody deletes messages for good."""
    connection = server.imap(mailbox)
    connection.select(f'"{folder}"')
    connection.uid("STORE", uids, "+FLAGS", "(\\Deleted)")
    status, answer = connection.uid("EXPUNGE", uids)
    assert status == "OK", answer
    connection.logout()


def folders(server, mailbox, *commands):
    """Somebody makes, renames or deletes folders: ("create", "A"), ("rename", "A", "B")."""
    connection = server.imap(mailbox)
    for name, *arguments in commands:
        status, answer = getattr(connection, name)(*(f'"{argument}"' for argument in arguments))
        assert status == "OK", (name, arguments, answer)
    connection.logout()
