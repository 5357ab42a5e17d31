"""What is said of broken configurations, CSV, HTTP requests and messages on the bus: the tables in tests/refusals/ against the
real programs, word for word."""
import http.client
import json
import re
import socket
import subprocess
from types import SimpleNamespace

import pytest

import zmtp
from helpers import BIN, ROOT, wait_for
from refusals import SECRET, Entry, cases, table, to_bytes
from served import MariaDB, Served
from standin.guard import Guarded

# --- configuration ----------------------------------------------------------------------------------------------------

GOOD = """\
sites:
- name: production
  imap:
    host: store.example
    {imap}
  trusted_server:
    {trusted}
  {site}
- name: dr
  imap: {{ host: dr.example }}
  trusted_server: {{ name: mirror, password_file: trusted.secret }}
routes:
- name: dr
  from: production
  to: dr
  {route}
{top}
"""
TRUSTED = ["name: mirror", "password_file: trusted.secret"]


def configuration(entry):
    if entry.all("file"):
        return "\n".join(entry.all("file")) + "\n"
    indented = {"imap": 4, "trusted": 4, "site": 2, "route": 2, "top": 0}
    lines = {name: ("\n" + " " * width).join(entry.all(name) or (TRUSTED if name == "trusted" else ["#"]))
             for name, width in indented.items()}
    return GOOD.format(**lines)


def run_supervisor(folder, *arguments, path="mirror.yaml"):
    """(exit status, words) of one that is to refuse."""
    done = subprocess.run([BIN / "mirror-supervisor", "--config", path, *arguments], cwd=folder, timeout=60,
                          capture_output=True, check=False)
    assert done.stdout == b""
    return done.returncode, done.stderr.decode()


@pytest.fixture
def folder(workdir):
    workdir.chmod(0o755)
    return workdir


def write_files(folder, entry):
    (folder / "mirror.yaml").write_bytes(to_bytes(configuration(entry)))
    secret = folder / "trusted.secret"
    secret.touch(0o600)
    words = entry.all("secret") or [SECRET]
    secret.write_bytes(to_bytes("".join(f"{line}\n" for line in words if line)))
    for mode, name in map(str.split, entry.all("mode")):
        (folder / name).chmod(int(mode, 8))


@pytest.mark.parametrize("entry", cases("config"))
def test_configuration(folder, entry):
    write_files(folder, entry)
    there = sorted(folder.iterdir())
    for arguments in (["--check-config"], []):
        wanted = entry.says.replace("{folder}", str(folder)) + "\n"
        assert run_supervisor(folder, *arguments, path=entry.get("path", "mirror.yaml")) == (1, wanted)
    assert sorted(folder.iterdir()) == there, "nothing was started or made"
    assert SECRET not in entry.says


def test_what_is_doubtful_is_said_by_the_check(folder):
    """Accepted, with a line of the log for each."""
    entry = Entry(0, [("imap", "tls: never"), ("trusted", "name: a name that is long"),
                      ("trusted", "password_file: trusted.secret"), ("top", "copy: { lease_seconds: 30 }")])
    write_files(folder, entry)
    done = subprocess.run([BIN / "mirror-supervisor", "--config", "mirror.yaml", "--check-config"], cwd=folder, timeout=60,
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "mirror.yaml: ok, 2 sites, 1 route\n")
    assert [re.sub(r"^\S+Z |\[\d+\]", "", line) for line in done.stderr.splitlines()] == [
        "warn  supervisor the trusted server's name may not be accepted by the store site=production "
        'name="a name that is long" because="is longer than 10 characters"',
        "warn  supervisor the connection to the store is not encrypted: everybody on the way can read voicemail and password "
        "site=production",
        "warn  supervisor the two ends of a route have different trusted servers; the stores may want the same route=dr",
        "warn  supervisor copy.lease_seconds is not above supervisor.pulse_seconds: a copier that hangs may lose its mailbox "
        "before it is killed"]


# --- mirrorctl's own --------------------------------------------------------------------------------------------------

def run_ctl(folder, entry):
    (folder / "token").touch()
    (folder / "token").chmod(int(entry.get("mode", "0600"), 8))
    (folder / "token").write_bytes(to_bytes("".join(f"{line}\n" for line in entry.all("token"))))
    options = {"--url": "http://127.0.0.1:9", "--token-file": "token", **dict(o.split("=", 1) for o in entry.all("option"))}
    done = subprocess.run([BIN / "mirrorctl", *(f"{name}={value}" for name, value in options.items()), "status"],
                          cwd=folder, timeout=60, capture_output=True, text=True, check=False)
    assert done.stdout == "" and done.returncode == 3
    return re.sub(r"after \d+ ms", "after 0 ms", done.stderr.rstrip("\n"))


@pytest.mark.parametrize("entry", cases("ctl"))
def test_ctl(folder, entry):
    assert run_ctl(folder, entry) == entry.says


# --- CSV --------------------------------------------------------------------------------------------------------------

HEADING = "mailbox,name,cos,priority,routes"


@pytest.fixture(scope="module")
def database():
    with MariaDB() as running:
        yield running


@pytest.fixture(scope="module")
def api(database, tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("api"), database).migrate().start()
    yield served
    served.end()


@pytest.fixture
def nothing_subscribed(api):
    api.sql("DELETE FROM mailbox; DELETE FROM mirror; DELETE FROM look; DELETE FROM audit; DELETE FROM plan")


def import_file(api, folder, entry):
    """(exit status, lines) of mirrorctl."""
    lines = [HEADING, *entry.all("line")] if entry.all("line") else entry.all("file")
    file = folder / "mailboxes.csv"
    file.write_bytes(to_bytes("\n".join(lines)) + (b"\n" if lines else b""))
    done = api.ctl("mailbox", "import", file)
    return done.returncode, (done.stdout + done.stderr).splitlines()


@pytest.mark.parametrize("entry", cases("csv"))
def test_csv(api, nothing_subscribed, workdir, entry):
    said = entry.all("says")
    wanted = 2 if said[-1].startswith("mirrorctl: ") else 0 if said[-1].endswith(" 0 refused") else 1
    assert import_file(api, workdir, entry) == (wanted, said)


# --- HTTP -------------------------------------------------------------------------------------------------------------

@pytest.fixture
def one_subscribed(api, nothing_subscribed):
    api.ask("POST", "/api/v1/mailboxes", {"mailbox": "4711"})
    api.sql("""INSERT INTO plan (plan_id, kind, state, site_id, mirror_id, route_id, mailbox, reason, made_at, decided_at,
                                 decided_by, decision)
               SELECT 1, 'mailbox', 'allowed', site_id, mirror_id, route.route_id, '4711', 'over the limit', UTC_TIMESTAMP(6),
                      UTC_TIMESTAMP(6) - INTERVAL 5 MINUTE, 'token@127.0.0.1', 'left the company'
               FROM route JOIN mirror USING (route_id), site WHERE route.name = 'dr' AND site.name = 'production'
            """)


def ask(api, entry):
    """The response as http.client gives it, and its body."""
    method, path = entry.get("ask").split(" ")
    body = to_bytes("\n".join(entry.all("send")))
    headers = {"Host": f"127.0.0.1:{api.port}", "Authorization": f"Bearer {api.token}"}
    if entry.all("send"):
        headers.update({"Content-Type": "application/json", "Content-Length": str(len(body))})
    headers.update(line.split(": ", 1) for line in entry.all("head"))
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
    try:
        connection.putrequest(method, to_bytes(path).decode(), skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if value != "-":
                connection.putheader(name, to_bytes(value))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def words_of(answer, body):
    """"422 the problem's detail", or "400 a page of HTML"."""
    if b"<html>" in body:
        return f"{answer.status} a page of HTML"
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(body)
    assert sorted(problem) == ["detail", "status", "title", "type"], problem
    assert problem["status"] == answer.status and problem["title"] and problem["type"] == "about:blank"
    return f"{answer.status} {problem['detail']}"


@pytest.mark.parametrize("entry", cases("http"))
def test_http(api, one_subscribed, entry):
    assert words_of(*ask(api, entry)) == entry.says


def test_no_secret_is_kept_of_what_was_refused(api):
    """After all entries above: neither in the log nor in the audit; and none was answered."""
    assert api.token not in api.log() and SECRET not in api.log()
    assert api.sql(f"SELECT COUNT(*) FROM audit WHERE detail LIKE '%{SECRET}%'") == [["0"]]
    for name in ("csv", "http", "jobs"):
        assert not [entry.what for entry in table(name) if SECRET in " ".join(entry.all("says"))]


# --- its start --------------------------------------------------------------------------------------------------------

def write_lines(path, lines, mode="0600"):
    path.touch()
    path.chmod(int(mode, 8))
    path.write_text("".join(f"{line}\n" for line in lines if line))


def run_api(folder, entry):
    """What it logs as its error, with its place as {folder} and its address as {listen}."""
    data = folder / "data"
    (data / "run").mkdir(0o700, parents=True)
    served = Served(folder, SimpleNamespace(data_dir=data))
    if entry.all("token"):
        write_lines(data / "api.token", entry.all("token"), entry.get("mode", "0600"))
    if entry.all("cert"):
        write_lines(folder / "api.pem", entry.all("cert"))
        write_lines(folder / "api.key", entry.all("key"))
        served.settings["api"]["tls"] = {"cert_file": "api.pem", "key_file": "api.key"}
        served.write()
    with socket.socket() as other:
        if entry.get("taken"):
            other.bind(("127.0.0.1", served.port))
            other.listen()
        done = subprocess.run([BIN / "mirror-api", "--config", served.config], timeout=60, capture_output=True, text=True,
                              check=False)
    assert done.returncode == 1 and done.stdout == ""
    said = "\n".join(re.sub(r"^\S+Z |\[\d+\]", "", line) for line in done.stderr.splitlines() if " error " in line)
    return said.replace(str(folder), "{folder}").replace(f"127.0.0.1:{served.port}", "{listen}")


@pytest.mark.parametrize("entry", cases("start"))
def test_start(folder, entry):
    assert run_api(folder, entry) == entry.says


# --- messages on the bus ----------------------------------------------------------------------------------------------

class Reader:
    """The program that reads a pipe, alone, and our end of that pipe."""

    def __init__(self, database, folder, pipe):
        served = Served(folder, database).migrate()
        self.name = "copier" if pipe == "jobs.mirror" else "scanner"
        self.log_file = folder / f"{self.name}.log"
        path = database.data_dir / "run" / f"{pipe}.0"
        inbox = zmtp.Inbox(path) if self.name == "copier" else None
        self.guard = Guarded([BIN / f"mirror-{self.name}", "--config", served.config, "--instance", "0"], self.log_file)
        wait_for(lambda: self.lines(" ready$"), 20, self.log_file.read_text)
        self.pipe = inbox.accept(b"PUSH") if inbox else zmtp.connect(path, b"PUSH")
        if inbox:
            inbox.close()

    def lines(self, pattern):
        """Without time and process number."""
        text = self.log_file.read_text(errors="replace")
        return [re.sub(r"^\S+Z |\[\d+\]", "", line) for line in text.splitlines() if re.search(pattern, line)]

    def wait_dropped(self):
        return wait_for(lambda: self.lines("bad message dropped"), 10, self.log_file.read_text)

    def stop(self):
        """It was alive until now, and ends as told."""
        self.pipe.close()
        status, left = self.guard.stop(30)
        assert status == 0 and not left


@pytest.mark.parametrize("entry", cases("jobs"))
def test_job(database, nothing_subscribed, workdir, entry):
    reader = Reader(database, workdir, entry.get("pipe"))
    try:
        reader.pipe.send(to_bytes(entry.get("send")))
        assert reader.wait_dropped() == [entry.says]
    finally:
        reader.stop()


@pytest.mark.parametrize("pipe", ["jobs.mirror", "results", "requests"])
def test_all_of_them_many_times_end_nobody(database, workdir, pipe):
    """One line for all, and work goes on: the message at the end wakes the program."""
    reader = Reader(database, workdir, pipe)
    try:
        for _ in range(20):
            for entry in table("jobs"):
                if entry.get("pipe") == pipe:
                    reader.pipe.send(to_bytes(entry.get("send")))
        assert len(reader.wait_dropped()) == 1 and reader.guard.alive()
    finally:
        reader.stop()


# --- are they all here? -----------------------------------------------------------------------------------------------

SOURCES = ("lib/base/config", "lib/base/secret", "lib/base/json", "lib/bus/job", "api/api_ask", "api/api_csv", "api/api_directory", "api/api_page",
           "api/api_exchange", "api/api_gate", "api/api_held", "api/api_import", "api/api_listen", "api/api_mailbox", "api/api_server", "api/api_subscribe",
           "api/api_token")
ELSEWHERE = {
    "no refusals but logged, warned of, or sent as a header": (
        "requests without", "Bearer realm", "import ended", "a person decided", "is longer than 10 characters",
        "begins with a digit", "holds a blank", "the trusted server's name", "the connection to the store", "the connection to the directory", "the two ends of a route",
        "copy.lease_seconds is not", "mailbox remove", " with its copies", "dry run", "out of memory"),
    "said when a program or the database stops in between: test_api": (
        "mirror-api was stopped", "mirror-api is stopping", "nothing was imported", "not done: mirror-api"),
    "of an API that everybody may reach: test_api_gate": ("the Host header is missing",),
    "what no entry can bring about: another limit is met before": (
        "too long", "%s is not UTF-8", "more than %d routes", "not YAML", "incomplete UTF", "api: %s: %s",
        "no random bytes", "api.listen: '%s' is not", "api.listen: %s is not"),
}


def literals(path):
    """Each text in the C file, its parts put together."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    one = r'"(?:[^"\\\n]|\\.)*"'
    for found in re.finditer(rf"{one}(?:\s*{one})*", text):
        yield "".join(part[1:-1] for part in re.findall(one, found[0])).replace('\\"', '"').replace("\\\\", "\\")


def as_pattern(text):
    return ".*".join(map(re.escape, re.split(r"%[-0-9.*]*(?:zu|llu|[a-z]|$)", text)))


def test_every_message_of_the_sources_is_in_a_table():
    said = "\n".join(line for name in ("config", "ctl", "csv", "http", "jobs", "start") for entry in table(name)
                     for line in entry.all("says"))
    said += said.replace('\\"', '"').replace("\\\\", "\\")
    missing = []
    for path in sorted(path for source in SOURCES for path in ROOT.glob(f"{source}*.c") if path.stem != "config_keys"):
        missing += [f"{path.name}: {text}" for text in literals(path)
                    if len(re.findall("[a-zA-Z]{2,}", text)) > 1 and " " in text.strip()
                    and not re.search(as_pattern(text), said)
                    and not any(text.startswith(start) for starts in ELSEWHERE.values() for start in starts)]
    assert not missing, "\n".join(missing)
