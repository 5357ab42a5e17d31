"""A private Dovecot 2.3 as a stand-in for a messaging system's store.

Every mailbox number exists. The trusted server enters any mailbox as `4701*mirror` with its own password, or by SASL
PLAIN with the mailbox as authorisation identity; `users_password` lets users in with a password of their own.
Everything lies below one private directory; master and login processes run as Dovecot's own users, mail processes
as `nobody`, and no file of the system is touched.

What a test may want to know:
- `capabilities` replaces the advertised list. That is a lie told to the client only: the commands still work. For a
  server that really can't, put `proxy.Filter` in front.
- `commands()` gives what clients sent after login, `events()` the server's own log of changes (append, flag change,
  expunge, mailbox create and so on).
- `pause()` stops the mail process of a mailbox in its tracks, as a hanging store would; stop() ends it all the same.
"""

import imaplib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

from . import names
from .certificates import make_certificate
from .guard import Guarded, GuardError
from .ports import free_port, private_directory, wait_for
from .wire import Wire, WireError

MAIL_UID = MAIL_GID = 65534  # nobody, nogroup
TRUSTED = "mirror"
PASSWORD = "Trusted12"

_CONF = """\
# A stand-in, made for one run.
base_dir = {root}/run
state_dir = {root}/state
instance_name = standin-{port}
log_path = {root}/error.log
info_log_path = {root}/info.log
log_timestamp = "%Y-%m-%dT%H:%M:%S "
protocols = imap
listen = 127.0.0.1
default_internal_user = dovecot
default_login_user = dovenull
default_internal_group = dovecot
default_process_limit = {processes}
default_client_limit = {clients}
default_vsz_limit = 1G
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
first_valid_gid = 1
mail_location = {location}
mail_fsync = {fsync}
mail_max_userip_connections = {userip}
mailbox_list_index = {list_index}
mail_plugins = $mail_plugins notify mail_log{plugins}
auth_mechanisms = plain login
auth_master_user_separator = {separator}
auth_username_chars =
auth_failure_delay = {failure_delay} secs
auth_verbose = yes
disable_plaintext_auth = no
login_greeting = {greeting}
login_trusted_networks =
ssl = {ssl}
{ssl_files}
{capability}

namespace inbox {{
  inbox = yes
  separator = {delimiter}
}}
passdb {{
  driver = passwd-file
  master = yes
  args = scheme=PLAIN {root}/secrets/trusted
}}
passdb {{
{users}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/mail/%n allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = {imaps}
  }}
  service_count = 0
  process_min_avail = 1
  client_limit = {clients}
  process_limit = 4
  chroot =
}}
service imap {{
  process_limit = {processes}
  service_count = {service_count}
}}
service stats {{
  client_limit = {clients}
}}
service auth {{
  client_limit = {auth_clients}
}}
service anvil {{
  client_limit = {auth_clients}
  # Dovecot slows an address down after refused logins, for a minute; all our clients have the same one.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
plugin {{
  mail_log_events = delete undelete expunge save copy append mailbox_create mailbox_delete mailbox_rename flag_change
  mail_log_fields = uid box msgid size flags
  mail_log_cached_only = no
  quota_rule = *:storage={quota}
  quota = {quota_backend}
}}
protocol imap {{
  {rawlog}
  mail_plugins = $mail_plugins{imap_plugins}
  imap_idle_notify_interval = 30 secs
}}
{extra}
"""


class Dovecot:
    """One server; start() or `with`. Keyword arguments are the choices that tests need."""

    def __init__(self, root=None, storage="maildir", delimiter="/", port=None, trusted=TRUSTED, password=PASSWORD,
                 separator="*", tls=None, capabilities=None, max_userip_connections=1000, users_password=None,
                 fsync="optimized", quota=None, auth_failure_delay=0, greeting="Message store ready.",
                 processes=500, reuse_processes=False, rawlog=True, extra="", held=None):
        self._own_root = root is None
        self.root = Path(root) if root else private_directory("dovecot-")
        self.storage, self.delimiter, self.trusted, self.password = storage, delimiter, trusted, password
        self.separator, self.tls, self.capabilities = separator, tls, capabilities
        self.max_userip_connections, self.users_password, self.fsync = max_userip_connections, users_password, fsync
        self.quota, self.auth_failure_delay, self.greeting = quota, auth_failure_delay, greeting
        self.processes, self.reuse_processes, self.extra, self.held = processes, reuse_processes, extra, held
        self.rawlog = rawlog
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.tls_port = free_port()
        self.certificate = None
        self._guard = None
        self._prepare()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.discard()

    def discard(self):
        """Stops, and removes the private directory if it was made here."""
        self.stop()
        if self._own_root:
            shutil.rmtree(self.root, ignore_errors=True)

    # --- configuration --------------------------------------------------------------------------------------

    def _prepare(self):
        self.root.mkdir(parents=True, exist_ok=True)
        os.chmod(self.root, 0o711)
        for name, mode in (("run", 0o755), ("state", 0o755), ("mail", 0o755), ("rawlog", 0o777), ("secrets", 0o755)):
            path = self.root / name
            path.mkdir(exist_ok=True)
            os.chmod(path, mode)
        os.chown(self.root / "mail", MAIL_UID, MAIL_GID)
        os.chown(self.root / "rawlog", MAIL_UID, MAIL_GID)
        if self.tls:
            self.certificate = make_certificate(self.root / "tls")
        (self.root / "secrets" / "users").touch(mode=0o644)
        self.set_trusted(self.trusted, self.password)

    def _location(self):
        if self.storage == "maildir":
            # LAYOUT=fs keeps every name as it is; with the Maildir++ layout '.' would be special on disk.
            return "maildir:~/Maildir:LAYOUT=fs" if self.delimiter == "/" else "maildir:~/Maildir"
        if self.storage in ("mdbox", "sdbox"):
            return f"{self.storage}:~/{self.storage}"
        raise ValueError(f"storage {self.storage!r}")

    def _write_conf(self):
        clients = self.processes + 100
        tls = self.certificate
        files = (f"ssl_cert = <{tls.cert_file}\nssl_key = <{tls.key_file}\nssl_min_protocol = TLSv1.2"
                 if tls else "")
        # Without any passdb for users Dovecot refuses to start; an empty file lets none in.
        users = (f"  driver = static\n  args = password={self.users_password}" if self.users_password
                 else f"  driver = passwd-file\n  args = {self.root}/secrets/users")
        text = _CONF.format(
            root=self.root, port=self.port, tls_port=self.tls_port if tls else 0, imaps="yes" if tls else "no",
            uid=MAIL_UID, gid=MAIL_GID, location=self._location(), fsync=self.fsync,
            userip=self.max_userip_connections, separator=self.separator, failure_delay=self.auth_failure_delay,
            greeting=self.greeting, ssl="yes" if tls else "no", ssl_files=files, users=users,
            capability=f"imap_capability = {self.capabilities}" if self.capabilities else "",
            delimiter=self.delimiter, processes=self.processes, clients=clients, auth_clients=4 * clients,
            service_count=0 if self.reuse_processes else 1, list_index="yes",
            quota=self.quota or "1T", quota_backend="count:User quota" if self.quota else "",
            plugins=" quota" if self.quota else "", imap_plugins=" imap_quota" if self.quota else "",
            rawlog=f"rawlog_dir = {self.root}/rawlog" if self.rawlog else "", extra=self.extra)
        text = re.sub(r"(?m)^ *quota = *\n", "", text)
        (self.root / "dovecot.conf").write_text(text)

    def set_trusted(self, name, password):
        """The trusted server's name and password; while running, it holds when this returns (up to a second)."""
        self.trusted, self.password = name, password
        path = self.root / "secrets" / "trusted"
        before = path.stat().st_mtime if path.exists() else 0
        fresh = path.with_suffix(".new")
        fresh.write_text(f"{name}:{{PLAIN}}{password}\n")
        os.chmod(fresh, 0o644)
        # Dovecot reads the file again when its time, in whole seconds, or its size changed.
        stamp = int(before) + 2 if before else int(fresh.stat().st_mtime) - 1000
        os.utime(fresh, (stamp, stamp))
        fresh.rename(path)
        if self._guard:
            # It looks at the file at most once in each second of the clock.
            time.sleep(1.02 - time.time() % 1)

    # --- life -----------------------------------------------------------------------------------------------

    def start(self):
        self._write_conf()
        self._guard = Guarded(["/usr/sbin/dovecot", "-F", "-c", self.root / "dovecot.conf"],
                              log=self.root / "dovecot.out", grace_seconds=5, held=self.held)
        try:
            wait_for(self._answers, 15, "Dovecot's greeting")
        except (TimeoutError, GuardError) as error:
            words = self._guard.log_tail() + self.errors()
            self.discard()
            raise GuardError(f"Dovecot doesn't start: {error}: {words}") from None
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
        """Ends the server with all its children, the paused ones too.

        Dovecot's master would wait a second for nothing, and for a paused child for ever: what is left after
        `seconds` is killed.
        """
        if self._guard:
            self._guard.stop(seconds)
            self._guard = None

    def kill(self):
        """Power off."""
        if self._guard:
            self._guard.kill()
            self._guard = None

    def restart(self):
        self.stop()
        return self.start()

    @property
    def pid(self):
        return self._guard.pid

    def processes_running(self):
        return self._guard.processes() if self._guard else []

    # --- what a client needs to know --------------------------------------------------------------------------

    @property
    def url(self):
        return f"imap://{self.host}:{self.port}"

    def endpoint(self):
        """What compare.Endpoint takes."""
        spec = {"host": self.host, "port": self.port, "login": "{mailbox}" + self.separator + "{trusted}",
                "trusted": self.trusted, "password": self.password}
        return spec

    def imap(self, mailbox, tls=None):
        """A logged-in imaplib connection."""
        connection = imaplib.IMAP4(self.host, self.port)
        if tls or (tls is None and self.tls):
            context = ssl.create_default_context(cafile=self.certificate.ca_file)
            connection.starttls(context)
        connection.login(f"{mailbox}{self.separator}{self.trusted}", self.password)
        return connection

    def wire(self, mailbox):
        """A logged-in wire.Wire connection."""
        wire = Wire(self.host, self.port)
        try:
            wire.login(f"{mailbox}{self.separator}{self.trusted}", self.password)
        except WireError:
            wire.drop()
            raise
        return wire

    # --- filling ----------------------------------------------------------------------------------------------

    def deliver(self, mailbox, folder, *messages):
        """Stores messages with their flags and dates; the folder (a name or levels) is made if it isn't there."""
        levels = (folder,) if isinstance(folder, str) else tuple(folder)
        with self.wire(mailbox) as wire:
            self._fill(wire, levels, messages)

    def fill(self, mailbox, folders):
        """{levels: [messages]}: makes the folders, also the empty ones, and stores all."""
        with self.wire(mailbox) as wire:
            for levels, messages in folders.items():
                self._fill(wire, levels, messages)

    def fill_corpus(self, corpus, on_mailbox=None):
        for mailbox in corpus:
            self.fill(mailbox.number, mailbox.folders)
            if on_mailbox:
                on_mailbox(mailbox)

    def _fill(self, wire, levels, messages):
        name = names.wire_name(levels, self.delimiter)
        if levels != ("INBOX",):
            try:
                wire.run("CREATE", name)
            except WireError as error:
                if "exists" not in str(error).lower():
                    raise
        if messages:
            wire.append(name, [(message.data, message.flags, message.internaldate) for message in messages])

    def doveadm(self, *arguments):
        """Runs doveadm against this instance; returns its output."""
        done = subprocess.run(["doveadm", "-c", str(self.root / "dovecot.conf"), *map(str, arguments)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise GuardError(f"doveadm {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def mail_directory(self, mailbox):
        return self.root / "mail" / str(mailbox)

    # --- what happened ------------------------------------------------------------------------------------------

    def errors(self):
        path = self.root / "error.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def events(self, since=0):
        """[(mailbox, event, fields text)] of the mail_log plugin, from the `since`th on."""
        path = self.root / "info.log"
        pattern = re.compile(r"imap\((\S+?)\)<\d+><[^>]*>: (?:Info: )?"
                             r"(save|copy|append|expunge|delete|undelete|flag_change|Mailbox \w+)\b:? ?(.*)")
        text = path.read_text(errors="replace") if path.exists() else ""
        found = [match.groups() for match in pattern.finditer(text)]
        return found[since:]

    def logins(self):
        """The number of successful logins so far."""
        path = self.root / "info.log"
        return path.read_text(errors="replace").count("imap-login: Info: Login:") if path.exists() else 0

    def rawlogs(self):
        """[(session, [command lines], [answer lines])], in the order of the sessions' starts, without the login.

        Literals are cut out of the lines; each leaves its {size} behind.
        """
        found = []
        for path in sorted((self.root / "rawlog").glob("*.in")):
            answers = path.with_suffix(".out")
            found.append((path.stem, rawlog_lines(path.read_bytes()),
                          rawlog_lines(answers.read_bytes()) if answers.exists() else []))
        return found

    def commands(self):
        """All command lines that clients sent after login."""
        return [line for _, sent, _ in self.rawlogs() for line in sent]

    def answers(self):
        """All lines that the server sent after login."""
        return [line for _, _, got in self.rawlogs() for line in got]

    def clear_rawlogs(self):
        for path in (self.root / "rawlog").iterdir():
            path.unlink()

    # --- trouble ------------------------------------------------------------------------------------------------

    def mail_processes(self, mailbox=None):
        """[pid] of imap processes, of one mailbox or all, by doveadm who's list."""
        pids = []
        for line in self.doveadm("who", "-1").splitlines()[1:]:
            fields = line.split()
            if len(fields) >= 3 and (mailbox is None or fields[0] == str(mailbox)):
                pids.append(int(re.sub(r"\D", "", fields[2])))
        return pids

    def pause(self, mailbox=None):
        """SIGSTOP to the mail processes; returns their pids for resume()."""
        pids = self.mail_processes(mailbox)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return pids

    @staticmethod
    def resume(pids):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass


def rawlog_lines(data):
    """The lines of one half of a rawlog: its time stamps and the contents of literals taken out."""
    stream = re.sub(rb"(?m)^\d+\.\d{6} ", b"", data)
    lines, line, position = [], b"", 0
    while position < len(stream):
        end = stream.find(b"\n", position)
        end = len(stream) if end < 0 else end + 1
        piece = stream[position:end].rstrip(b"\r\n")
        position, line = end, line + piece
        literal = re.search(rb"\{(\d+)\+?\}$", piece)
        if literal:
            position += int(literal[1])
            continue
        lines.append(line.decode("utf-8", "replace"))
        line = b""
    return lines + ([line.decode("utf-8", "replace")] if line else [])
