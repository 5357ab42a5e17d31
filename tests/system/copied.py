"""mirror-copier alone, with a private database and two stand-in sites; the test plays the scanner and the API.

Without a supervisor nobody restarts, kills or watches the copiers, so a test may stop, wake and kill them as it likes.
`Steps` counts what a copier does that lasts, at its two doors, and kills it at the n-th.
"""
import os
import re
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers import BIN, wait_for  # noqa: E402
from scanned import Scanned  # noqa: E402
from standin.guard import Guarded  # noqa: E402
from standin.ports import private_directory  # noqa: E402
from standin.product import site, yaml_text  # noqa: E402
from standin.proxy import Filter  # noqa: E402


class Through:
    """A stand-in as it is seen through a proxy: what site() takes."""

    def __init__(self, server, proxy):
        self.server, self.proxy, self.password = server, proxy, server.password

    def endpoint(self):
        return {**self.server.endpoint(), "host": self.proxy.host, "port": self.proxy.port}


class Copied(Scanned):
    """`copy` is that part of the configuration; `site` goes into both sites' imap."""

    def __init__(self, folder, production, target, late_command_minutes=0.01, imap=None, **copy):
        super().__init__(folder, [production])
        # A killed copier's sessions are counted for a while, since the site still has them.
        imap = {"max_sessions": 1000, **(imap or {})}
        self.imap = imap
        self.settings["sites"] = [site("production", production, **imap), site("dr", target, **imap)]
        self.settings["routes"][0]["late_command_minutes"] = late_command_minutes
        self.settings["copy"] = copy
        self.settings["supervisor"] = {"pulse_seconds": 6}
        self.config.write_text(yaml_text(self.settings) + "\n")
        self.copiers = []

    def __exit__(self, *arguments):
        for copier in self.copiers:
            copier.kill()
        super().__exit__(*arguments)

    def other_config(self, name, target, data_dir=None):
        """The same configuration with another door to the target, and to the database if data_dir is given."""
        settings = {**self.settings, "sites": [self.settings["sites"][0], site("dr", target, **self.imap)]}
        if data_dir:
            settings["data_dir"] = str(data_dir)
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml_text(settings) + "\n")
        return path

    def start_copier(self, config=None, instance=0):
        """Its log goes to copier<instance>.log."""
        copier = Guarded([BIN / "mirror-copier", "--config", config or self.config, "--instance", instance],
                         self.folder / f"copier{instance}.log")
        self.copiers.append(copier)
        return copier

    def end_copier(self, copier):
        copier.kill()
        self.copiers.remove(copier)

    def copier_log(self, instance=0):
        path = self.folder / f"copier{instance}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def settled(self, instance=0):
        return settled_in(self.copier_log(instance))

    # --- the store ---

    def want(self, where="TRUE"):
        self.sql(f"UPDATE mirror SET wanted_seq = wanted_seq + 1, due_at = UTC_TIMESTAMP(6) WHERE {where}")

    def leases_are_over(self, *mailboxes):
        """What time would do, for copiers that are dead."""
        numbers = ", ".join(f"'{mailbox}'" for mailbox in mailboxes)
        self.sql(f"""UPDATE mirror m JOIN mailbox b ON b.mailbox_id = m.mailbox_id SET m.lease_until = UTC_TIMESTAMP(6)
                     WHERE m.lease_owner IS NOT NULL AND b.number IN ({numbers})""")

    def claimable(self):
        """Mirrors with work to do, but for those that a dead copier's lease still holds."""
        return self.number(f"""SELECT COUNT(*) FROM mirror WHERE pending
                               AND (lease_until IS NULL OR lease_until <= UTC_TIMESTAMP(6)
                                    OR lease_owner LIKE '%:{self.copiers[-1].pid}:%')""")

    def pending(self):
        return self.number("SELECT COUNT(*) FROM mirror WHERE pending")

    def wait_done(self, seconds=30):
        wait_for(lambda: self.pending() == 0, seconds, lambda: f"all mirrors done:\n{self.copier_log()[-4000:]}")

    def intents(self, state):
        return self.number(f"SELECT COUNT(*) FROM intent WHERE state = '{state}'")

    def wait_ghosts_over(self, seconds=20):
        wait_for(lambda: self.number("SELECT COUNT(*) FROM intent WHERE ghost_until > UTC_TIMESTAMP(6)") == 0, seconds,
                 "the time of the ghosts is over")


def shut(sock):
    """Ends both directions; whoever reads from it wakes up."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    sock.close()


def settled_in(log):
    """(times that open intents of a dead copier were found, settled as present, as absent)"""
    found = re.findall(r"intents left open are settled.*?\bpresent=(\d+) absent=(\d+)", log)
    return len(found), sum(int(present) for present, _ in found), sum(int(absent) for _, absent in found)


# --- killing it at every step -----------------------------------------------------------------------------------------

LASTING = re.compile(rb"(?i)\S+ (APPEND|CREATE|RENAME|(?:UID )?STORE|(?:UID )?EXPUNGE)\b")


class Steps:
    """Counts commands to the target that change it, and COMMITs, each before it is passed on. At number `kill_at` the
    process is killed and neither that command nor anything after it is passed on."""

    def __init__(self):
        self.lock = threading.Lock()
        self.begin(None)

    def begin(self, kill_at):
        self.seen, self.kill_at, self.pid, self.killed = [], kill_at, None, False

    def pass_on(self, what=None):
        """May it be passed on? `what` names a step."""
        with self.lock:
            if self.killed:
                return False
            if what:
                self.seen.append(what)
                if len(self.seen) == self.kill_at:
                    self.killed = True
                    os.kill(self.pid, signal.SIGKILL)
            return not self.killed


class SteppedTarget(Filter):
    """The copier's door to the target."""

    def __init__(self, server, steps, without=()):
        self.steps = steps
        super().__init__(server.host, server.port, without=without)

    def _one_command(self, line, stream, client, state):
        step = LASTING.match(line)
        if not self.steps.pass_on(step and step[1].decode().upper()):
            return False
        return super()._one_command(line, stream, client, state)


class SteppedDatabase:
    """The copier's door to the database: a data_dir whose socket leads to the real one."""

    COM_QUERY = 3

    def __init__(self, database, steps):
        self.database, self.steps = database, steps
        self.data_dir = private_directory("mirror-door-")
        for name in ("run", "run-db"):
            (self.data_dir / name).mkdir(0o700)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.data_dir / "run-db" / "mariadb.sock"))
        self.listener.listen(20)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        shut(self.listener)
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self.database.socket))
            threading.Thread(target=self._down, args=(server, client), daemon=True).start()
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()

    @staticmethod
    def _down(server, client):
        try:
            while data := server.recv(65536):
                client.sendall(data)
        except OSError:
            pass
        shut(client)

    def _up(self, client, server):
        """Packet by packet: three bytes of length, one of sequence; a command is a packet of sequence 0."""
        stream = client.makefile("rb")
        try:
            while len(head := stream.read(4)) == 4:
                body = stream.read(int.from_bytes(head[:3], "little"))
                commit = head[3] == 0 and body[:1] == bytes([self.COM_QUERY]) and body[1:].upper() == b"COMMIT"
                if not self.steps.pass_on("COMMIT" if commit else None):
                    break
                server.sendall(head + body)
        except OSError:
            pass
        shut(server)
