"""GNU mailutils' imap4d (Debian: mailutils-imap4d 3.15) as a poor target: IMAP4rev1, LITERAL+, UNSELECT, IDLE,
NAMESPACE, ID, and no UIDPLUS, MULTIAPPEND, CONDSTORE or LIST-STATUS.

Mailboxes are users of a virtual domain of its own, so the login is `{mailbox}@standin` with one password for all;
there is no super user. Storage is Maildir, folders with '/' between levels.

What it really does, tried one by one (a target must be mirrored correctly all the same, or say what it can't):

- Keywords: none. APPEND with one is answered BAD "Unrecognized flag", and nothing is stored; so is STORE.
- APPEND stores **no flags at all**, whatever it was given; STORE afterwards keeps system flags.
- The date given to APPEND is checked and then ignored: INTERNALDATE is the Date header, without one the time of
  arrival. Zones east of about +1000 are refused: NO "Invalid date/time format".
- A refused APPEND uses a UID up. The newest message has another UID at each EXAMINE, until a SELECT makes it last; then
  UIDs are kept, also over sessions and EXPUNGE. UIDVALIDITY is another one after an APPEND, a second or more later.
- Messages of one second get their UIDs in an order of its own (by file name, microseconds without leading zeros).
- A set of UIDs with commas is answered BAD if one of them is not there; a range is not.
- A selected folder is a snapshot: what others (or our own APPEND) bring is seen after selecting it again, NOOP
  tells nothing.
- `UID SEARCH UID 3:*` finds nothing; `3:9`, `UID SEARCH ALL` and `UID FETCH 3:*` are right.
- EXPUNGE announces `* 4 EXPUNGED` instead of `EXPUNGE`, then EXISTS.
- A NUL ends the message there; the rest is dropped. An empty literal (`{0}`) ends the connection.
- APPEND to a folder that isn't there: `NO APPEND [TRYCREATE] failed`, the code behind the word and not before it.
- LIST gives INBOX the delimiter NIL. CREATE of A/B/C makes A and A/B as \\NoSelect, which CREATE then refuses.
- Names are bytes to it: modified UTF-7 goes through unchanged. RENAME and DELETE work.
- In mbox storage it would also add X-UID and Status headers to the messages and shift dates by their zone.
- Each answered command that looks at messages takes 44 ms (Nagle's algorithm against delayed acknowledgement).
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from . import names
from .guard import Guarded, GuardError
from .ports import free_port, private_directory, wait_for
from .wire import Refused, Wire, WireError

PROGRAM = "/usr/sbin/imap4d"
MAIL_UID = MAIL_GID = 65534
DOMAIN = "standin"
LOGIN = "{mailbox}@" + DOMAIN
PASSWORD = "Trusted12"

_CONF = """\
mode daemon;
foreground yes;
pidfile {root}/imap4d.pid;
max-children {children};
logging {{ syslog no; }};
transcript {transcript};
auth {{ authentication generic; authorization virtdomain; }};
virtdomain {{ passwd-dir {root}/users; }};
mailbox {{ mailbox-type maildir; }};
namespace personal {{
  prefix "" {{ directory "{root}/mail/${{user}}/folders"; delimiter "/"; mailbox-type maildir; }};
}};
tcp-wrappers {{ enable no; }};
server 127.0.0.1:{port} {{ timeout 1800; }};
"""


class Imap4d:
    """One server; start() or `with`. Mailboxes must be named before use: here, or by add_mailboxes()."""

    delimiter = "/"

    def __init__(self, mailboxes=(), root=None, port=None, password=PASSWORD, children=100, transcript=False,
                 held=None):
        self._own_root = root is None
        self.root = Path(root) if root else private_directory("imap4d-")
        self.host, self.port, self.password = "127.0.0.1", port or free_port(), password
        self.children, self.transcript, self.held = children, transcript, held
        self._guard = None
        self.root.mkdir(parents=True, exist_ok=True)
        os.chmod(self.root, 0o711)
        for name in ("users", "mail"):
            (self.root / name).mkdir(exist_ok=True)
            os.chmod(self.root / name, 0o755)
        self._hash = subprocess.run(["openssl", "passwd", "-1", "-stdin"], input=password, text=True, check=True,
                                    capture_output=True).stdout.strip()
        (self.root / "users" / DOMAIN).touch(mode=0o600)
        self.add_mailboxes(mailboxes)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.discard()

    def discard(self):
        """Stops, and removes the private directory if it was made here."""
        self.stop()
        if self._own_root:
            shutil.rmtree(self.root, ignore_errors=True)

    def add_mailboxes(self, mailboxes):
        """Also while running."""
        with open(self.root / "users" / DOMAIN, "a", encoding="ascii") as file:
            for mailbox in mailboxes:
                home = self.root / "mail" / str(mailbox)
                # INBOX must exist beforehand: neither STATUS nor APPEND would make it.
                for name in ("folders", "INBOX/cur", "INBOX/new", "INBOX/tmp"):
                    (home / name).mkdir(parents=True, exist_ok=True)
                for path in (home, *home.rglob("*")):
                    os.chown(path, MAIL_UID, MAIL_GID)
                file.write(f"{mailbox}:{self._hash}:{MAIL_UID}:{MAIL_GID}::{home}:/bin/false\n")

    def start(self):
        conf = self.root / "imap4d.conf"
        conf.write_text(_CONF.format(root=self.root, port=self.port, children=self.children,
                                     transcript="yes" if self.transcript else "no"))
        self._guard = Guarded([PROGRAM, f"--config-file={conf}"], log=self.root / "imap4d.log", grace_seconds=2,
                              held=self.held)
        try:
            wait_for(self._answers, 10, "imap4d's greeting")
        except (TimeoutError, GuardError) as error:
            words = self._guard.log_tail()
            self.discard()
            raise GuardError(f"imap4d doesn't start: {error}: {words}") from None
        return self

    def _answers(self):
        if not self._guard.alive():
            raise GuardError("ended at once")
        try:
            with socket.create_connection((self.host, self.port), timeout=5) as probe:
                return probe.recv(100).startswith(b"* OK")
        except OSError:
            return False

    def stop(self, seconds=0.2):
        if self._guard:
            self._guard.stop(seconds)
            self._guard = None

    def kill(self):
        if self._guard:
            self._guard.kill()
            self._guard = None

    def log(self):
        return (self.root / "imap4d.log").read_text(errors="replace")

    @property
    def pid(self):
        return self._guard.pid

    def processes_running(self):
        return self._guard.processes() if self._guard else []

    @property
    def url(self):
        return f"imap://{self.host}:{self.port}"

    def endpoint(self):
        """What compare.Endpoint takes."""
        return {"host": self.host, "port": self.port, "login": LOGIN, "trusted": "mirror",
                "password": self.password}

    def wire(self, mailbox):
        wire = Wire(self.host, self.port)
        try:
            wire.login(LOGIN.format(mailbox=mailbox), self.password)
        except WireError:
            wire.drop()
            raise
        return wire

    def deliver(self, mailbox, folder, *messages):
        """Stores messages as well as this server can: no keywords, flags by STORE."""
        levels = (folder,) if isinstance(folder, str) else tuple(folder)
        name = names.wire_name(levels, self.delimiter)
        with self.wire(mailbox) as wire:
            if levels != ("INBOX",):
                try:
                    wire.run("CREATE", name)
                except Refused as error:
                    if "exists" not in error.text:
                        raise
            for message in messages:
                wire.append(name, [(message.data, (), None)])
                flags = [flag for flag in message.flags if flag.startswith("\\")]
                if flags:
                    _, untagged = wire.run("SELECT", name)
                    last = max(int(answer[0]) for answer in untagged if answer[1:2] == [b"EXISTS"])
                    wire.run(f"STORE {last} +FLAGS.SILENT ({' '.join(flags)})")
                    wire.run("UNSELECT")
