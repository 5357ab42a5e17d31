"""mirror-scanner alone, with a private database and stand-in sites; the test plays the copier and the API.

What the copier would store is taken from production by imaplib and hashed here, so that the scanner's comparison is
checked against a second reading of the rules."""
import hashlib
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers import BIN, wait_for  # noqa: E402
from standin.guard import Guarded  # noqa: E402
from standin.mariadb import MariaDB  # noqa: E402
from standin.product import site, yaml_text  # noqa: E402

SYSTEM_FLAGS = ["\\answered", "\\deleted", "\\draft", "\\flagged", "\\seen"]
COUNT = iter(range(1, 1000))


class Scanned:
    """One scanner over any number of production sites; routes lead to one target that nobody enters."""

    def __init__(self, folder, productions, look_seconds=1, imap=None, **scan):
        self.folder = Path(folder)
        self.database = MariaDB()
        self.config = self.folder / "mirror.yaml"
        self.log_file = self.folder / "scanner.log"
        self.productions = productions
        names = ["production", *(f"production{i}" for i in range(2, len(productions) + 1))]
        sites = [site(name, server, **(imap or {})) for name, server in zip(names, productions)]
        sites.append({"name": "dr", "imap": {"host": "127.0.0.1", "port": 9, "tls": "never"},
                      "trusted_server": {"name": "mirror", "password_file": "dr.secret"}})
        for name, server in zip([*names, "dr"], [*productions, productions[0]]):
            self.secret(name, server.password)
        self.settings = {
            "data_dir": str(self.database.data_dir), "sites": sites, "log": {"level": "debug"},
            "routes": [{"name": f"{name}-dr", "from": name, "to": "dr"} for name in names],
            "scan": {"look_interval_seconds": look_seconds, **scan},
        }
        self.config.write_text(yaml_text(self.settings) + "\n")
        self.guard = None

    def secret(self, name, text):
        path = self.folder / f"{name}.secret"
        path.unlink(missing_ok=True)
        path.touch(0o600)
        path.write_text(text + "\n")

    def __enter__(self):
        self.database.start()
        (self.database.data_dir / "run").mkdir(0o700, exist_ok=True)
        subprocess.run([BIN / "mirror-supervisor", "--config", self.config, "--migrate"], check=True, timeout=60,
                       capture_output=True)
        return self

    def __exit__(self, *_):
        if self.guard:
            self.guard.kill()
        self.database.discard()

    # --- the process ---

    def start(self):
        self.guard = Guarded([BIN / "mirror-scanner", "--config", self.config, "--instance", "0"], self.log_file)
        return self

    def stop(self):
        """SIGTERM; its exit status."""
        status, left = self.guard.stop(20)
        self.guard = None
        assert not left
        return status

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def lines(self, pattern):
        return [line for line in self.log().splitlines() if re.search(pattern, line)]

    def wait_line(self, pattern, seconds=15, count=1):
        wait_for(lambda: len(self.lines(pattern)) >= count, seconds,
                 lambda: f"{count} x {pattern!r} in the log:\n{self.log()[-4000:]}")
        return self.lines(pattern)

    def complaints(self):
        return self.lines(r"^\S+ +(warn|error) ")

    # --- the store ---

    def sql(self, statement):
        return [line.split("\t") for line in self.database.sql(statement, "mirror").splitlines()]

    def number(self, statement):
        return int(self.sql(statement)[0][0])

    def subscribe(self, mailbox, route="production-dr"):
        """What the API does; nothing is wanted yet. Returns the mirror's number."""
        number = next(COUNT) + 1000
        self.sql(f"INSERT IGNORE INTO mailbox (number, added_at) VALUES ('{mailbox}', UTC_TIMESTAMP(6))")
        self.sql(f"""INSERT INTO mirror (mirror_id, mailbox_id, route_id, wanted_seq, done_seq, due_at)
                     SELECT {number}, mailbox_id, route_id, 1, 1, UTC_TIMESTAMP(6) FROM mailbox, route
                     WHERE number = '{mailbox}' AND route.name = '{route}'""")
        return number

    def look_from_now(self, mailbox, site_name="production"):
        self.sql(f"""INSERT INTO look (mailbox_id, site_id, due_at) SELECT mailbox_id, site_id, UTC_TIMESTAMP(6)
                     FROM mailbox, site WHERE number = '{mailbox}' AND site.name = '{site_name}'""")

    def wanted(self, mirror):
        """How often it was raised since the copier was last done."""
        return self.number(f"SELECT wanted_seq - done_seq FROM mirror WHERE mirror_id = {mirror}")

    def priority(self, mirror):
        return self.number(f"SELECT priority FROM mirror WHERE mirror_id = {mirror}")

    def proven_age(self, mirror):
        """Seconds since it was last proven equal; large if never."""
        return float(self.sql(f"""SELECT COALESCE(TIMESTAMPDIFF(MICROSECOND, proven_at, UTC_TIMESTAMP(6)) / 1e6, 1e9)
                                  FROM mirror WHERE mirror_id = {mirror}""")[0][0])

    def wait_wanted(self, mirror, seconds=10):
        wait_for(lambda: self.wanted(mirror) > 0, seconds, lambda: f"mirror {mirror} wanted:\n{self.log()[-4000:]}")

    def wait_proven(self, mirror, seconds=10):
        """Until a look that began after now found it equal."""
        self.sql(f"UPDATE mirror SET proven_at = NULL WHERE mirror_id = {mirror}")
        wait_for(lambda: self.proven_age(mirror) < 1e9, seconds,
                 lambda: f"mirror {mirror} proven:\n{self.log()[-4000:]}")

    def play_copier(self, mirror, production, mailbox, condstore=True):
        """Stores the marks of production as it is now, as one whole pass would, and clears what was wanted."""
        self.sql(f"DELETE FROM folder WHERE mirror_id = {mirror}")
        for name, figures, digest in marks_of(production, mailbox):
            modseq = figures["HIGHESTMODSEQ"] if condstore else "NULL"
            self.sql(f"""INSERT INTO folder (mirror_id, name, target_name, source_uidvalidity, source_uidnext,
                         source_exists, source_unseen, source_highestmodseq, source_flags_digest) VALUES
                         ({mirror}, '{name}', '{name}', {figures["UIDVALIDITY"]}, {figures["UIDNEXT"]},
                         {figures["MESSAGES"]}, {figures["UNSEEN"]}, {modseq}, x'{digest}')""")
        self.sql(f"""UPDATE mirror SET done_seq = wanted_seq, behind_since = NULL, priority = 5
                     WHERE mirror_id = {mirror}""")

    def copier_lives(self, owner="test:copier:0:1:1"):
        self.sql(f"""REPLACE INTO worker (owner, program, started_at, seen_at)
                     VALUES ('{owner}', 'copier', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL 1 HOUR)""")

    def pipe(self, name):
        return self.database.data_dir / "run" / f"{name}.0"


def canonical(flags):
    """A message's flags as the digest has them: system flags in their order, keywords sorted, in lower case."""
    lower = {flag.lower() for flag in flags} - {"\\recent"}
    return " ".join([flag for flag in SYSTEM_FLAGS if flag in lower] +
                    sorted(flag for flag in lower if not flag.startswith("\\")))


def marks_of(production, mailbox):
    """[(folder, {STATUS item: text}, digest of flags in hex)]."""
    connection = production.imap(mailbox)
    connection.noop()
    found = []
    for line in connection.list()[1]:
        if re.search(rb"\\no(select|nexistent)\b", line.lower()):
            continue
        name = line.decode().rsplit(" ", 1)[1].strip('"')
        text = connection.status(name, "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)")[1][0].decode()
        figures = dict(re.findall(r"([A-Z]+) (\d+)", text.rsplit("(", 1)[1]))
        connection.select(name, readonly=True)
        lines = []
        for answer in connection.uid("FETCH", "1:*", "(FLAGS)")[1]:
            if answer:
                uid = re.search(rb"UID (\d+)", answer)[1].decode()
                flags = re.search(rb"FLAGS \(([^)]*)\)", answer)[1].decode().split()
                lines.append((int(uid), canonical(flags)))
        text = "".join(f"{uid} {flags}\n" for uid, flags in sorted(lines))
        found.append((name, figures, hashlib.sha256(text.encode()).hexdigest()))
    connection.logout()
    return found
