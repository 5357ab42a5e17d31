"""mirror-supervisor with a real mariadbd and children that behave badly."""
import json
import os
import re
import signal
import time

import pymysql
import pytest

from helpers import wait_for
from supervised import Supervised, group_members, process_exists


@pytest.fixture
def supervised(workdir, processes):
    return Supervised(workdir, processes)


def database(supervised):
    return pymysql.connect(unix_socket=str(supervised.data / "run-db" / "mariadb.sock"), user="root",
                           database="mirror", autocommit=True)


def query(supervised, sql):
    with database(supervised) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def seconds_of(line):
    """The time of a log line, in seconds."""
    hours, minutes, seconds = re.match(r"\d+-\d+-\d+T(\d+):(\d+):([\d.]+)Z", line).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def none_runs(supervised, seconds=3):
    wait_for(lambda: not supervised.running(), seconds, lambda: f"still there: {supervised.running()}")


# ---- start and end ----

def test_starts_in_order_and_drains(supervised):
    supervised.start()
    supervised.wait_all_ready()
    states = [re.search(r"\S+ -> (\S+) child=(\S+)", line).groups() for line in supervised.lines(r" -> \w+ child=")]
    at = states.index
    assert at(("done", "database-files")) < at(("starting", "database")) < at(("ready", "database"))
    assert at(("ready", "database")) < at(("starting", "migrate")) < at(("done", "migrate"))
    for child in ("scanner.0", "copier.0", "copier.1", "api.0"):
        assert at(("done", "migrate")) < at(("starting", child)) < at(("ready", child))
    assert query(supervised, "SELECT name FROM route WHERE configured") == ((b"dr",),)
    assert supervised.stop() == 0
    states = [re.search(r"\S+ -> (\S+) child=(\S+)", line).groups() for line in supervised.lines(r" -> \w+ child=")]
    at = states.index
    for child in ("scanner.0", "copier.0", "copier.1", "api.0"):
        assert at(("draining", child)) < at(("stopped", child)) < at(("draining", "database"))
    assert at(("draining", "database")) < at(("stopped", "database"))
    assert not supervised.lines(r"^\S+ (warn|error) ")
    none_runs(supervised)


def test_children_get_a_minimal_environment(supervised):
    os.environ["MIRROR_TEST_SECRET"] = "do not pass on"
    try:
        supervised.start()
        line = supervised.wait_line("badchild copier.0 runs")
    finally:
        del os.environ["MIRROR_TEST_SECRET"]
    names = set(line.split(" runs ")[1].split())
    assert {"PATH", "LANG"} <= names <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR",
                                         "OPENSSL_CONF", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}
    pid = supervised.pid_of("copier.0")
    supervised.wait_ready("copier.0")
    assert os.getpgid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    limits = open(f"/proc/{pid}/limits").read()
    assert re.search(r"Max core file size +0 +0 ", limits)
    assert supervised.stop() == 0


def test_the_directories_are_private(supervised):
    supervised.start()
    supervised.wait_ready("database")
    modes = {name: (supervised.data / name).stat().st_mode & 0o7777 for name in (".", "run", "run-db", "database")}
    assert modes["run"] == 0o700 and modes["database"] == 0o700
    assert modes["."] == 0o711 and modes["run-db"] == (0o711 if os.geteuid() == 0 else 0o700)
    command = open(f"/proc/{supervised.pid_of('database')}/cmdline").read()
    assert "--skip-networking" in command and "--innodb-flush-log-at-trx-commit=1" in command
    assert supervised.stop() == 0


# ---- children that die or hang ----

def test_a_dying_child_is_started_again_ever_later(supervised):
    supervised.behave({"scanner": {"status": 7, "words": "first words\nlast words of the scanner"}})
    supervised.start()
    supervised.wait_line("-> starting child=scanner.0", 60, count=4)
    lines = supervised.lines("starting -> backoff child=scanner.0")
    assert "ended with status 7" in lines[0] and "last words of the scanner" in lines[0]
    assert supervised.lines("^last words of the scanner$"), "what it says is passed on"
    starts = [seconds_of(line) for line in supervised.lines("-> starting child=scanner.0")]
    gaps = [later - earlier for earlier, later in zip(starts, starts[1:])]
    for gap, (least, most) in zip(gaps, ((1, 1.8), (1.5, 2.8), (3, 4.8))):
        assert least <= gap <= most, gaps
    supervised.wait_ready("copier.0", "copier.1", "api.0")
    assert supervised.stop() == 0


def test_a_killed_child_is_named_by_its_signal(supervised):
    supervised.start()
    supervised.wait_all_ready()
    first = supervised.pid_of("copier.1")
    os.kill(first, signal.SIGKILL)
    line = supervised.wait_line("ready -> backoff child=copier.1")
    assert "signal 9 (Killed)" in line and "it last said: badchild copier.1" in line
    supervised.wait_line("starting -> ready child=copier.1", count=2)
    assert supervised.pid_of("copier.1") != first
    assert not supervised.lines("backoff child=copier.0"), "the others are left alone"
    assert supervised.stop() == 0


def test_a_silent_child_is_killed(supervised):
    supervised.configure(pulse=6)
    supervised.behave({"copier": {"pulses": 3, "deaf": True}, "scanner": {"pulses": 0}})
    supervised.start()
    line = supervised.wait_line("ready -> killed child=copier.0", 60)
    assert "silent for too long" in line and "it last did: ready for a test" in line
    supervised.wait_line("starting -> killed child=scanner.0")
    supervised.wait_line("killed -> backoff child=copier.0")
    supervised.wait_line("starting -> ready child=copier.0", count=2)
    assert not supervised.lines("killed child=api.0")
    assert supervised.stop() == 0


def test_the_supervisors_own_sleep_is_nobodys_silence(supervised):
    supervised.configure(pulse=6)
    supervised.start()
    supervised.wait_all_ready()
    for pid in (supervised.pid_of("copier.0"), supervised.process.pid):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(7)  # longer than pulse_seconds: this time is the test's matter
    os.kill(supervised.process.pid, signal.SIGCONT)
    supervised.wait_line("the supervisor itself was not running")
    assert not supervised.lines("-> killed")
    supervised.wait_line("ready -> killed child=copier.0")  # the one that really is silent, in its own time
    assert not supervised.lines("killed child=(copier.1|api|scanner|database)")
    assert supervised.stop() == 0


def test_what_a_child_leaves_behind_ends_with_it(supervised):
    supervised.behave({"api": {"leave": True}})
    supervised.start()
    supervised.wait_all_ready()
    group = supervised.pid_of("api.0")
    assert len(group_members(group)) == 2
    os.kill(group, signal.SIGKILL)
    supervised.wait_line("ready -> backoff child=api.0")
    wait_for(lambda: not group_members(group), 3, "the group to be empty")
    assert supervised.stop() == 0


def test_a_flood_of_words_harms_nobody(supervised):
    supervised.behave({"api": {"spill": 3_000_000}})
    supervised.start()
    supervised.wait_all_ready()
    assert not supervised.lines("-> killed")
    assert supervised.stop() == 0


def test_every_line_of_a_json_log_is_json(supervised):
    supervised.configure(log_format="json")
    supervised.behave({"scanner": {"status": 1, "words": 'not JSON: "\x01\xff\n{"broken'}})
    supervised.start()
    wait_for(lambda: supervised.log().count('"event":"starting -> backoff"') >= 2, 30, supervised.log)
    assert supervised.stop() == 0
    events = [json.loads(line) for line in supervised.process.log.read_text().splitlines()]
    said = {event.get("line") for event in events if event["event"] == "a child said"}
    assert any(line.startswith("badchild copier.1 runs") for line in said)


# ---- the end, in all its forms ----

def test_drain_waits_for_work_and_kills_after_the_grace_time(supervised):
    supervised.configure(grace=4)
    supervised.behave({"scanner": {"drain_seconds": 1.5}, "api": {"deaf": True}})
    supervised.start()
    supervised.wait_all_ready()
    began = time.monotonic()
    assert supervised.stop() == 0
    assert 3.5 < time.monotonic() - began < 15
    supervised.wait_line("badchild scanner.0 drained")
    assert supervised.lines("draining -> killed child=api.0.*its time to end is over")
    assert not supervised.lines("killed child=(scanner|copier|database)")
    none_runs(supervised)


def test_a_second_sigterm_does_not_wait_for_work(supervised):
    supervised.configure(grace=300)
    supervised.behave({"copier": {"deaf": True}})
    supervised.start()
    supervised.wait_all_ready()
    supervised.process.send_signal(signal.SIGTERM)
    supervised.wait_line("ready -> draining child=copier.1")
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.process.wait(30) == 0
    assert supervised.lines("draining -> killed child=copier.1")
    assert supervised.lines("draining -> stopped child=database")
    none_runs(supervised)


@pytest.mark.parametrize("stopped", ["none", "database", "copier.0"])
def test_nothing_outlives_a_killed_supervisor(supervised, stopped):
    supervised.behave({"copier": {"deaf": True}})
    supervised.start()
    supervised.wait_all_ready()
    query(supervised, "CREATE TABLE kept (id INT PRIMARY KEY)")
    query(supervised, "INSERT INTO kept VALUES (4711)")
    assert len(supervised.running()) == 5
    if stopped != "none":
        os.kill(supervised.pid_of(stopped), signal.SIGSTOP)
    supervised.kill()
    none_runs(supervised)
    supervised.behave({})
    supervised.start()  # and the next one finds all in order
    supervised.wait_all_ready()
    assert query(supervised, "SELECT id FROM kept") == ((4711,),)
    assert supervised.stop() == 0


def test_killed_in_the_middle_of_its_first_start(supervised):
    for delay in (0.05, 0.2, 0.35):
        supervised.start()
        supervised.wait_line("-> starting child=database-files")
        time.sleep(delay)  # a random moment, wanted
        supervised.kill()
    for _ in range(2):
        supervised.start()
        supervised.wait_all_ready()
        assert supervised.stop() == 0
    assert not list(supervised.data.glob("database.new-*")), "each start clears up after those before it"


# ---- reload ----

def test_sighup_changes_the_number_of_copiers(supervised):
    supervised.start()
    supervised.wait_all_ready()
    kept = supervised.pid_of("copier.0"), supervised.pid_of("api.0")
    supervised.configure(copiers=5)
    supervised.reload()
    supervised.wait_ready("copier.2", "copier.3", "copier.4")
    supervised.wait_line("badchild copier.0 reloads")
    supervised.configure(copiers=1)
    supervised.reload()
    for instance in range(1, 5):
        supervised.wait_line(rf"draining -> stopped child=copier.{instance} ")
    supervised.wait_line("badchild copier.0 reloads", count=2)
    supervised.wait_line("badchild api.0 reloads", count=2)
    assert (supervised.pid_of("copier.0"), supervised.pid_of("api.0")) == kept
    assert all(process_exists(pid) for pid in kept)
    assert supervised.stop() == 0


def test_sighup_takes_new_routes_before_the_children_read_them(supervised):
    supervised.start()
    supervised.wait_all_ready()
    supervised.configure(routes=("other",))
    supervised.reload()
    supervised.wait_line("badchild scanner.0 reloads")
    rows = dict(query(supervised, "SELECT name, configured FROM route"))
    assert rows == {b"dr": 0, b"other": 1}
    assert supervised.stop() == 0


def test_sighup_with_a_wrong_configuration_changes_nothing(supervised):
    supervised.start()
    supervised.wait_all_ready()
    right = supervised.config.read_text()
    supervised.config.write_text(right.replace("copier: 2", "copier: many"))
    supervised.reload()
    line = supervised.wait_line("not taken over")
    assert re.search(r"mirror\.yaml:\d+:\d+: ", line)
    supervised.config.write_text(right.replace("data_dir: data", "data_dir: elsewhere"))
    supervised.reload()
    assert "restart" in supervised.wait_line("not taken over", count=2)
    assert not supervised.lines("reloads")
    assert len(supervised.running()) == 5
    supervised.config.write_text(right)
    assert supervised.stop() == 0


# ---- the managed database ----

def test_the_database_comes_back_and_the_others_stay(supervised):
    supervised.start()
    supervised.wait_all_ready()
    first = supervised.pid_of("database")
    os.kill(first, signal.SIGKILL)
    supervised.wait_line("ready -> backoff child=database.*signal 9")
    supervised.wait_line("starting -> ready child=database", count=2)
    assert supervised.pid_of("database") != first
    assert query(supervised, "SELECT count(*) FROM route") == ((1,),)
    assert not supervised.lines("backoff child=(copier|scanner|api)")
    assert supervised.stop() == 0


def test_a_hung_database_is_killed(supervised):
    supervised.configure(pulse=6)
    supervised.start()
    supervised.wait_all_ready()
    os.kill(supervised.pid_of("database"), signal.SIGSTOP)
    assert "silent" in supervised.wait_line("ready -> killed child=database", 60)
    supervised.wait_line("starting -> ready child=database", 60, count=2)
    assert supervised.stop() == 0


def test_files_in_use_are_waited_for(supervised, processes):
    supervised.start()
    supervised.wait_all_ready()
    assert supervised.stop() == 0
    # One from before, that nobody waits for any more.
    user = ["setpriv", "--reuid", "mysql", "--regid", "mysql", "--clear-groups"] if os.geteuid() == 0 else []
    orphan = processes.start("orphan", *user, "/usr/sbin/mariadbd", "--no-defaults", "--skip-networking",
                             f"--datadir={supervised.data}/database", f"--socket={supervised.data}/run-db/orphan.sock",
                             f"--pid-file={supervised.data}/run-db/orphan.pid", "--innodb-log-file-size=64M")
    wait_for(lambda: "ready for connections" in orphan.log.read_text(), 30, "the orphan to run")
    supervised.start()
    line = supervised.wait_line("files are in use")
    assert f"pid={orphan.pid}" in line
    assert not supervised.lines("-> starting child=database")
    processes.stop(orphan)
    supervised.wait_all_ready()
    assert supervised.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become nobody")
def test_without_root_it_runs_the_database_as_itself(supervised):
    for path in (supervised.folder, supervised.config, supervised.folder / "trusted.secret"):
        os.chown(path, 65534, 65534)
    supervised.start("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    supervised.wait_all_ready()
    assert os.stat(f"/proc/{supervised.pid_of('database')}").st_uid == 65534
    assert supervised.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_a_closed_directory_above_is_named(supervised):
    supervised.folder.chmod(0o700)
    assert supervised.start().wait(20) == 1
    line = supervised.wait_line("cannot start")
    assert f"chmod o+x {supervised.folder} " in line or f"chmod o+x {supervised.folder}," in line


# ---- what it refuses ----

def test_a_second_supervisor_is_refused(supervised, processes):
    first = supervised.start()
    supervised.wait_all_ready()
    second = processes.start("second", supervised.bin / "mirror-supervisor", "--config", supervised.config)
    assert second.wait(20) == 1
    assert f"(process {first.pid})" in second.log.read_text()
    assert len(supervised.running()) == 5
    assert supervised.stop() == 0


def test_check_config(supervised):
    status, out, err = supervised.call("--config", str(supervised.config), "--check-config")
    assert (status, out, err) == (0, "mirror.yaml: ok, 2 sites, 1 route\n", "")
    supervised.config.write_text(supervised.config.read_text().replace("to: dr", "to: nowhere"))
    for arguments in (["--check-config"], []):
        status, out, err = supervised.call("--config", str(supervised.config), *arguments)
        assert status == 1 and out == ""
        assert re.match(r"\S*mirror\.yaml:\d+:\d+: .*nowhere", err), err
    assert not supervised.data.exists(), "nothing was started or made"


def test_check_config_looks_at_the_secrets(supervised):
    secret = supervised.folder / "trusted.secret"
    secret.chmod(0o644)
    status, _, err = supervised.call("--config", str(supervised.config), "--check-config")
    assert status == 1 and "trusted.secret" in err and "secret1234" not in err


def test_the_command_line(supervised):
    assert supervised.call("--nonsense")[0] == 2
    assert supervised.call("too", "many")[0] == 2
    assert supervised.call("--config")[0] == 2
    status, out, _ = supervised.call("--help")
    assert status == 0 and "--check-config" in out
    status, out, _ = supervised.call("--version")
    assert status == 0 and re.fullmatch(r"mirror-supervisor \d+\.\d+\.\d+\n", out)
    status, out, _ = supervised.call("--help-config")
    assert status == 0 and "pulse_seconds" in out
    status, _, err = supervised.call("--config", "/nonexistent/mirror.yaml")
    assert status == 1 and "/nonexistent/mirror.yaml" in err
