"""mirror-api alone, with a private database; the test plays scanner and copier, by SQL."""
import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import zmtp  # noqa: E402
from helpers import BIN, free_port, wait_for  # noqa: E402
from standin.guard import Guarded  # noqa: E402
from standin.mariadb import MariaDB  # noqa: E402
from standin.product import yaml_text  # noqa: E402


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def problem(self, status):
        """Asserts that it is a problem document with that status, and returns its detail."""
        assert self.status == status, (self.status, self.body)
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.json["status"] == status and self.json["title"] and self.json["type"] == "about:blank"
        return self.json["detail"]


class Served:
    """The program, its configuration and its database."""

    def __init__(self, folder, database, **api):
        self.folder, self.database = Path(folder), database
        self.config, self.log_file = self.folder / "mirror.yaml", self.folder / "api.log"
        self.port = free_port()
        self.settings = {
            "data_dir": str(database.data_dir),
            "sites": [self.site("production", 9), self.site("dr", 10), self.site("branch", 11)],
            "routes": [{"name": "dr", "from": "production", "to": "dr", "target_lag_minutes": 5},
                       {"name": "branch", "from": "production", "to": "branch"}],
            "api": {"listen": f"127.0.0.1:{self.port}", **api},
            "log": {"level": "debug"},
        }
        for name in ("production", "dr", "branch"):
            path = self.folder / f"{name}.secret"
            path.touch(0o600)
            path.write_text("secret\n")
        self.write()
        self.guard = None
        self.tls = None

    @staticmethod
    def site(name, port):
        return {"name": name, "imap": {"host": "127.0.0.1", "port": port, "tls": "never"},
                "trusted_server": {"name": "mirror", "password_file": f"{name}.secret"}}

    def write(self):
        self.config.write_text(yaml_text(self.settings) + "\n")

    # --- the process ---

    def migrate(self):
        (self.database.data_dir / "run").mkdir(0o700, exist_ok=True)
        subprocess.run([BIN / "mirror-supervisor", "--config", self.config, "--migrate"], check=True, timeout=60,
                       capture_output=True)
        return self

    def start(self):
        self.guard = Guarded([BIN / "mirror-api", "--config", self.config, "--instance", "0"], self.log_file)
        wait_for(lambda: self.answers() or not self.guard.alive(), 20, self.log)
        assert self.guard.alive(), self.log()
        return self

    def answers(self):
        try:
            return self.ask("GET", "/health/live", token=None).status == 200
        except OSError:
            return False

    def stop(self):
        status, left = self.guard.stop(30)
        self.guard = None
        assert not left
        return status

    def end(self):
        if self.guard:
            self.guard.kill()
            self.guard = None

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def complaints(self):
        return [line for line in self.log().splitlines()
                if re.search(r"^\S+ +(warn|error) ", line)]

    # --- asking ---

    @property
    def token_file(self):
        return self.database.data_dir / "api.token"

    @property
    def token(self):
        return self.token_file.read_text().strip()

    def connection(self, timeout=20):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, token="", headers=None, timeout=20):
        """`body`: a dict is sent as JSON. `token` "": the right one; None: none."""
        headers = dict(headers or {})
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token or self.token}")
        if isinstance(body, dict):
            body = json.dumps(body)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        connection = self.connection(timeout)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def csv(self, text):
        body = text.encode() if isinstance(text, str) else text
        return self.ask("POST", "/api/v1/import", body, headers={"Content-Type": "text/csv"}, timeout=120)

    def raw(self, data, timeout=20):
        """What comes back for these bytes, until the end of the stream."""
        with socket.create_connection(("127.0.0.1", self.port), timeout) as sock:
            sock.sendall(data)
            got = b""
            while True:
                try:
                    piece = sock.recv(65536)
                except ConnectionResetError:
                    return got
                if not piece:
                    return got
                got += piece

    def ctl(self, *arguments, stdin=None, timeout=60):
        return subprocess.run([BIN / "mirrorctl", "--config", self.config, *map(str, arguments)], input=stdin,
                              capture_output=True, text=True, timeout=timeout, check=False)

    # --- the store ---

    def sql(self, statement):
        return [line.split("\t") for line in self.database.sql(statement, "mirror").splitlines()]

    def mirrored(self, mailbox, where="1", **columns):
        """What a copier writes after a whole pass: equal, proven now; further columns as given."""
        values = {"done_seq": "wanted_seq", "verify_done_seq": "verify_wanted_seq", "equal": "1",
                  "proven_at": "UTC_TIMESTAMP(6)", "behind_since": "NULL", "error": "''", "fail_count": "0",
                  "source_messages": "3", "target_messages": "3", **columns}
        text = ", ".join(f"{name} = {value}" for name, value in values.items())
        self.sql(f"UPDATE mirror SET {text} WHERE mailbox_id = (SELECT mailbox_id FROM mailbox WHERE number = "
                 f"'{mailbox}') AND {where}")

    def held(self, mailbox, count=2, route="dr", kind="mailbox", state="held"):
        """What a copier writes when the brake stops a deletion: a plan with its set. Returns its number."""
        self.sql(f"INSERT INTO plan (kind, state, site_id, route_id, mirror_id, mailbox, reason, messages, made_at) SELECT "
                 f"'{kind}', '{state}', r.from_site_id, r.route_id, m.mirror_id, b.number, '{count} of 40 messages are gone "
                 f"from production: more than 20 and more than 50 %', {count}, UTC_TIMESTAMP(6) - INTERVAL 5 MINUTE "
                 f"FROM mailbox b JOIN mirror m ON m.mailbox_id = b.mailbox_id JOIN route r ON r.route_id = m.route_id "
                 f"WHERE b.number = '{mailbox}' AND r.name = '{route}'")
        plan = int(self.sql("SELECT MAX(plan_id) FROM plan")[0][0])
        for number in range(1, count + 1):
            self.sql(f"INSERT INTO plan_message VALUES ({plan}, {1000 * plan + number}, 'INBOX', 7, {20 + number}, "
                     f"{1772525645 + number}, {68000 + number}, 'open')")
        self.sql(f"UPDATE mirror SET held_messages = held_messages + {count} WHERE mirror_id = (SELECT mirror_id FROM plan "
                 f"WHERE plan_id = {plan})")
        return plan

    def tripped(self, site="production", words="Dovecot, key 4f2a"):
        """What a scanner writes when production answers as another. Returns the plan's number."""
        self.sql(f"INSERT INTO plan (kind, site_id, reason, fingerprint, words, made_at) SELECT 'site', site_id, 'another "
                 f"server answers at its address than before', REPEAT('a', 32), '{words}', UTC_TIMESTAMP(6) - INTERVAL 5 "
                 f"MINUTE FROM site WHERE name = '{site}'")
        return int(self.sql("SELECT MAX(plan_id) FROM plan")[0][0])


def scanners_inbox(data_dir):
    """The scanner's end of the pipe `requests`, bound where the API connects."""
    run = Path(data_dir) / "run"
    run.mkdir(0o700, exist_ok=True)
    return zmtp.Inbox(run / "requests.0")


def tls_context(ca_file):
    context = ssl.create_default_context(cafile=str(ca_file))
    context.check_hostname = False
    return context


__all__ = ["Answer", "MariaDB", "Served", "scanners_inbox", "tls_context"]
