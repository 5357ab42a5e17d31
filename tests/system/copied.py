"""mirror-copier alone, with a private database and two stand-in sites; the test plays the scanner and the API.

Without a supervisor nobody restarts, kills or watches the copiers, so a test may stop, wake and kill them as it likes.
"""
import re
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import zmtp  # noqa: E402
from helpers import BIN, wait_for  # noqa: E402
from scanned import Scanned  # noqa: E402
from standin.guard import Guarded  # noqa: E402
from standin.product import site, yaml_text  # noqa: E402


class Through:
    """A stand-in as it is seen through a proxy: what site() takes."""

    def __init__(self, server, proxy):
        self.server, self.proxy, self.password = server, proxy, server.password

    def endpoint(self):
        return {**self.server.endpoint(), "host": self.proxy.host, "port": self.proxy.port}


class Waker:
    """Plays the scanner's end of the job pipe in `run`: copiers that wait look for work at once, as they do in earnest.
    What happens to a pipe while its copier is killed is of no interest."""
    WAKE_UP = b'{"type":"mirror","version":1,"mirror_id":1,"mailbox":"1","route":"production-dr","wanted_seq":1,"priority":5}'

    def __init__(self, run):
        self.inbox, self.pipes = zmtp.Inbox(Path(run) / "jobs.mirror.0", None), []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                pipe = self.inbox.accept(b"PUSH")
                pipe.socket.setblocking(False)  # a copier that is stopped reads nothing
                self.pipes.append(pipe)
            except (EOFError, ConnectionError):
                pass
            except OSError:
                return

    def wake(self):
        for pipe in list(self.pipes):
            try:
                pipe.send(self.WAKE_UP)
            except BlockingIOError:
                pass  # it has enough of them; should half a message have gone, it makes a new connection
            except OSError:
                self.pipes.remove(pipe)

    def close(self):
        self.inbox.close()
        for pipe in self.pipes:
            pipe.close()


class Copied(Scanned):
    """`copy` is that part of the configuration; `imap` goes into both sites; `without`: capabilities of the target that
    the copier does not use; `deletions`: the route's."""

    def __init__(self, folder, production, target, late_command_minutes=0.01, imap=None, without=(), deletions=None, **copy):
        super().__init__(folder, [production])
        self.production, self.target = production, target
        # A killed copier's sessions are counted for a while, since the site still has them.
        imap = {"max_sessions": 1000, **(imap or {})}
        self.imap = imap
        self.settings["sites"] = [site("production", production, **imap), site("dr", target, **imap)]
        self.settings["sites"][1]["imap"]["disable_capabilities"] = list(without)
        self.settings["routes"][0]["deletions"] = deletions or {}
        self.settings["routes"][0]["late_command_minutes"] = late_command_minutes
        self.settings["copy"] = copy
        self.settings["supervisor"] = {"pulse_seconds": 6}
        self.config.write_text(yaml_text(self.settings) + "\n")
        self.copiers, self.waker = [], None

    def among_many(self):
        """Production has many mailboxes, so that what happens to these is no sign that all of it was exchanged."""
        self.sql("""INSERT INTO look (mailbox_id, site_id, due_at) SELECT 1000000 + seq, site_id, '9999-01-01'
                    FROM seq_1_to_10000, site WHERE name = 'production'""")

    def wake_from(self, run):
        """`run` is that of the copier's data_dir."""
        self.waker = Waker(run)

    def __exit__(self, *arguments):
        for copier in self.copiers:
            copier.kill()
        if self.waker:
            self.waker.close()
        super().__exit__(*arguments)

    def other_config(self, name, target=None, data_dir=None):
        """The same configuration with another door to the target, or to the database."""
        settings = dict(self.settings)
        if target:
            settings["sites"] = [self.settings["sites"][0], site("dr", target, **self.imap)]
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

    def want_mailboxes(self, *mailboxes):
        self.want(f"mailbox_id IN (SELECT mailbox_id FROM mailbox WHERE number IN ({quoted(mailboxes)}))")

    def is_done(self, *mailboxes):
        """Nor is a second look at what was deleted still to come."""
        return 0 == self.number(f"""SELECT COUNT(*) FROM mirror m JOIN mailbox b USING (mailbox_id)
                                    WHERE b.number IN ({quoted(mailboxes)})
                                    AND (m.pending OR b.removing OR m.deletion_due_at IS NOT NULL)""")

    def scan(self, *mailboxes):
        """What the scanner does, and before that time: where a second look at what was deleted waits for its delay, that
        is over now; copiers are woken."""
        waiting = self.sql(f"""SELECT m.mirror_id FROM mirror m JOIN mailbox b USING (mailbox_id) WHERE NOT m.pending
                               AND m.deletion_due_at IS NOT NULL AND b.number IN ({quoted(mailboxes)})""")
        for mirror, in waiting:  # nobody works on them
            self.sql(f"""SET tx_isolation = 'READ-COMMITTED';
                         UPDATE message g JOIN folder f USING (folder_id) SET g.source_gone_at = g.source_gone_at - INTERVAL 1 DAY
                         WHERE f.mirror_id = {mirror};
                         UPDATE folder SET source_gone_at = source_gone_at - INTERVAL 1 DAY WHERE mirror_id = {mirror}""")
            self.want(f"mirror_id = {mirror}")
        self.waker.wake()

    def want(self, where="TRUE"):
        self.sql(f"UPDATE mirror SET wanted_seq = wanted_seq + 1, due_at = UTC_TIMESTAMP(6) WHERE {where}")

    def leases_are_over(self, *mailboxes):
        """What time would do, for copiers that are dead."""
        self.sql(f"""UPDATE mirror m JOIN mailbox b ON b.mailbox_id = m.mailbox_id SET m.lease_until = UTC_TIMESTAMP(6)
                     WHERE m.lease_owner IS NOT NULL AND b.number IN ({quoted(mailboxes)})""")

    def pending(self):
        return self.number("SELECT COUNT(*) FROM mirror WHERE pending")

    def wait_done(self, seconds=30):
        wait_for(lambda: self.pending() == 0, seconds, lambda: f"all mirrors done:\n{self.copier_log()[-4000:]}")

    def intents(self, state):
        return self.number(f"SELECT COUNT(*) FROM intent WHERE state = '{state}'")

    def wait_ghosts_over(self, seconds=20):
        wait_for(lambda: self.number("SELECT COUNT(*) FROM intent WHERE ghost_until > UTC_TIMESTAMP(6)") == 0, seconds,
                 "the time of the ghosts is over")


def quoted(mailboxes):
    """For IN of SQL."""
    return ", ".join(f"'{mailbox}'" for mailbox in mailboxes)


def settled_in(log):
    """(times that open intents of a dead copier were found, settled as present, as absent)"""
    found = re.findall(r"intents left open are settled.*?\bpresent=(\d+) absent=(\d+)", log)
    return len(found), sum(int(present) for present, _ in found), sum(int(absent) for _, absent in found)
