"""mirrorctl against a real mirror-api and database; the test plays copier and scanner, by SQL."""
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
import time
from fcntl import ioctl

import pytest

from helpers import BIN, wait_for
from served import MariaDB, Served


@pytest.fixture(scope="module")
def database():
    with MariaDB() as running:
        yield running


@pytest.fixture
def api(database, workdir):
    served = Served(workdir, database).migrate().start()
    served.sql("DELETE FROM mailbox; DELETE FROM mirror; DELETE FROM look; DELETE FROM worker; DELETE FROM plan; "
               "DELETE FROM plan_message; DELETE FROM plan_entry; UPDATE route SET paused = 0")
    yield served
    served.end()


@pytest.fixture
def workers(api):
    for number in range(5):
        program = "scanner" if number == 4 else "copier"
        api.sql(f"INSERT INTO worker VALUES ('w{number}', '{program}', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL 60 "
                "SECOND, '')")


def on_terminal(api, *arguments, columns=60, while_running=None):
    """(exit status, bytes on the terminal)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(BIN / "mirrorctl", ["mirrorctl", "--config", str(api.config), *arguments],
                  {"TERM": "xterm", "PATH": "/usr/bin"})
    ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    output = b""
    while True:
        if select.select([fd], [], [], 30)[0]:
            try:
                piece = os.read(fd, 65536)
            except OSError:
                break
            output += piece
            if not piece:
                break
        else:
            break
        if while_running:
            while_running(output)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output


def plain(text):
    return re.sub(r"\033\[[0-9;]*[mK]", "", text)


# --- exit codes and words ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, words", [
    ((), "--help lists the commands"), (("statu",), "Did you mean 'status'?"),
    (("mailbox", "lst"), "Did you mean 'mailbox list'?"), (("status", "--jsn"), "Did you mean '--json'?"),
    (("why",), "usage: mirrorctl why MAILBOX"), (("status", "--wait"), "status takes no --wait"),
    (("mailbox", "import", "/nothing/there"), "No such file"),
])
def test_wrong_use(api, arguments, words):
    done = api.ctl(*arguments)
    assert done.returncode == 2 and words in done.stderr and not done.stdout


def test_wrong_values(api):
    for arguments in (("mailbox", "add", "a b"), ("mailbox", "add", "1", "--priority", "9"), ("sync", "a b"),
                      ("mailbox", "add", "1", "--priority", "x"), ("mailbox", "add", "1", "--route", "nowhere")):
        done = api.ctl(*arguments)
        assert done.returncode == 2 and done.stderr.startswith("mirrorctl: "), done
    for arguments in (("mailbox", "show", "77"), ("why", "77"), ("mailbox", "remove", "77"), ("sync", "77"),
                      ("pause", "nowhere")):
        done = api.ctl(*arguments)
        assert done.returncode == 1 and "77" in done.stderr + "77", done


def test_help_and_version(api):
    everything = subprocess.run([BIN / "mirrorctl", "--help"], capture_output=True, text=True, check=True).stdout
    for command in ("mailbox import", "sync", "why", "resume", "--token-file"):
        assert command in everything
    assert "--deep" in subprocess.run([BIN / "mirrorctl", "verify", "-h"], capture_output=True, text=True, check=True).stdout
    assert re.match(r"mirrorctl \d", subprocess.run([BIN / "mirrorctl", "--version"], capture_output=True, text=True,
                                                    check=True).stdout)


def test_not_reachable_and_not_allowed(api, workdir):
    url = f"http://127.0.0.1:{api.port}"
    token = workdir / "token"
    token.touch(0o600)
    token.write_text("0" * 64 + "\n")

    def elsewhere(*arguments):
        return subprocess.run([BIN / "mirrorctl", *map(str, arguments)], capture_output=True, text=True, timeout=30,
                              check=False)

    done = elsewhere("--url", url, "--token-file", token, "status")
    assert done.returncode == 3 and "not allowed" in done.stderr
    token.write_text(api.token + "\n")
    assert elsewhere("--url", url + "/", "--token-file", token, "mailbox", "list").returncode == 0
    workdir.chmod(0o755)
    token.chmod(0o644)
    done = elsewhere("--url", url, "--token-file", token, "status")
    assert done.returncode == 3 and str(token) in done.stderr
    token.chmod(0o600)
    done = elsewhere("--url", "http://192.0.2.1:8080", "--token-file", token, "status")
    assert done.returncode == 3 and "unprotected" in done.stderr, "the token must not be sent in the clear"
    assert elsewhere("--url", "ftp://127.0.0.1", "--token-file", token, "status").returncode == 3
    assert elsewhere("--config", workdir / "none.yaml", "status").returncode == 3
    api.stop()
    done = api.ctl("status")
    assert done.returncode == 3 and "not reachable" in done.stderr


def test_database_away(api):
    api.database.kill()
    try:
        done = api.ctl("status")
        assert done.returncode == 3 and "store" in done.stderr
    finally:
        api.database.start()


# --- mailboxes --------------------------------------------------------------------------------------------------------

def test_mailboxes(api):
    done = api.ctl("mailbox", "list")
    assert done.returncode == 0 and "mailbox add" in done.stdout
    done = api.ctl("mailbox", "add", "1001", "--name", "Jörg Winter", "--cos", "12", "--priority", "2", "--route", "dr")
    assert done.returncode == 0 and "1001: added" in done.stdout and "production -> dr" in done.stdout
    row = api.ctl("mailbox", "list").stdout.splitlines()[1]
    assert row.split() == ["1001", "Jörg", "Winter", "12", "2", "dr", "new"]
    assert "Jörg Winter, class of service 12, priority 2" in api.ctl("mailbox", "show", "1001").stdout
    assert json.loads(api.ctl("mailbox", "show", "1001", "--json").stdout)["number"] == "1001"
    done = api.ctl("mailbox", "remove", "1001", "--yes")
    assert done.returncode == 0 and "copies on the targets stay" in done.stdout
    assert json.loads(api.ctl("mailbox", "list", "--json").stdout) == {"mailboxes": []}


def test_a_person_is_asked_before_removal(api):
    api.ctl("mailbox", "add", "1001")
    status, said = on_terminal_answering(api, b"n\n", "mailbox", "remove", "1001")
    assert status == 1 and b"[y/N]" in said and b"nothing was done" in said
    status, _ = on_terminal_answering(api, b"y\n", "mailbox", "remove", "1001")
    assert status == 0


def on_terminal_answering(api, answer, *arguments):
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(BIN / "mirrorctl", ["mirrorctl", "--config", str(api.config), *arguments], {"TERM": "xterm"})
    os.write(fd, answer)
    output = b""
    try:
        while piece := os.read(fd, 65536):
            output += piece
    except OSError:
        pass
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output


def test_import(api, workdir):
    file = workdir / "mailboxes.csv"
    file.write_text("mailbox,name\n1001,Ann\n1002,Bob\n1001,twice\nx y,\n")
    done = api.ctl("mailbox", "import", file)
    assert done.returncode == 1
    assert "line 3, mailbox 1002: added\n" in done.stdout
    assert "line 4, mailbox 1001: it stands in line 2 already" in done.stdout
    assert "line 5, mailbox x y:" in done.stdout and "2 added, 0 changed, 0 unchanged, 2 refused" in done.stdout
    done = api.ctl("mailbox", "import", "-", stdin="mailbox\n1001\n")
    assert done.returncode == 0 and "1 unchanged" in done.stdout
    assert len(json.loads(api.ctl("mailbox", "import", file, "--json").stdout)["lines"]) == 4
    assert api.ctl("mailbox", "import", "-", stdin="").returncode == 2
    many = "mailbox\n" + "".join(f"{number}\n" for number in range(2000, 2060)) + "x y\n" * 30
    said = api.ctl("mailbox", "import", "-", stdin=many).stdout.splitlines()
    assert len(said) == 22 and all(line.endswith("not beginning with -") for line in said[:20]), said
    assert said[20:] == ["… and 10 more refused lines (--json lists all)", "60 added, 0 changed, 0 unchanged, 30 refused"]


def test_many_pages(api):
    api.csv("mailbox,routes\n" + "".join(f"{number},dr\n" for number in range(10000, 11234)))
    assert len(json.loads(api.ctl("mailbox", "list", "--json").stdout)["mailboxes"]) == 1234
    assert len(api.ctl("mailbox", "list").stdout.splitlines()) == 1235


# --- status and why ---------------------------------------------------------------------------------------------------

def test_status(api, workers):
    api.ctl("mailbox", "add", "1001", "--route", "dr")
    assert api.ctl("status").returncode == 1, "new: nothing is mirrored yet"
    api.mirrored("1001")
    done = api.ctl("status")
    assert done.returncode == 0, done
    row = next(line for line in done.stdout.splitlines() if line.startswith("1001"))
    assert row.split()[:5] == ["1001", "dr", "equal", "3", "3"]
    assert "1 of 1 mirrors are well" in done.stdout and "\033" not in done.stdout
    status = json.loads(api.ctl("status", "--json", "--route", "dr").stdout)
    assert status["mailboxes"][0]["mirrors"][0]["state"] == "equal" and status["mirrors"]["well"] == 1
    api.mirrored("1001", proven_at="UTC_TIMESTAMP(6) - INTERVAL 1 HOUR")
    done = api.ctl("status")
    assert done.returncode == 1 and "not looked at" in done.stdout and "60m" in done.stdout
    api.mirrored("1001")
    api.sql("DELETE FROM worker WHERE program = 'scanner'")
    assert api.ctl("status").returncode == 1, "no scanner lives"


def test_status_fits_the_terminal(api, workers):
    api.ctl("mailbox", "add", "1001", "--route", "dr")
    api.mirrored("1001", error="'LOGIN: NO \033]0;owned\007 a long answer in the words of a server that goes on and on'",
                 error_at="UTC_TIMESTAMP(6)", fail_count="1", done_seq="0")
    for columns in (70, 100):
        status, output = on_terminal(api, "status", columns=columns)
        text = output.decode()
        assert status == 1 and "\033[31mfailing\033[0m" in text and "…" in text
        assert max(len(line) for line in plain(text).splitlines()) <= columns
        assert "\007" not in text and "\033]" not in text, "a server's words must not steer the terminal"
    why = api.ctl("why", "1001")
    assert why.returncode == 1 and "\033" not in why.stdout and "The last try failed" in why.stdout


def test_why(api):
    api.ctl("mailbox", "add", "1001", "--route", "dr")
    api.mirrored("1001", equal="0", refused_keywords="'$Unopened'", gone_messages="2")
    done = api.ctl("why", "1001")
    assert done.returncode == 1
    for words in ("production -> dr (route dr): not equal", "$Unopened", "The target's: dr.", "2 messages gone"):
        assert words in done.stdout, done.stdout
    assert json.loads(api.ctl("why", "1001", "--json").stdout)["mirrors"][0]["state"] == "not equal"
    api.mirrored("1001", refused_keywords="''")
    assert api.ctl("why", "1001").returncode == 0


# --- held -------------------------------------------------------------------------------------------------------------

@pytest.fixture
def plans(api):
    """Two held on dr, one on branch."""
    api.ctl("mailbox", "import", "-", stdin="mailbox\n1001\n1002\n")
    api.mirrored("1001"), api.mirrored("1002")
    return [api.held("1001", 31), api.held("1002", 2, kind="route"), api.held("1002", 1, route="branch")]


def states(api):
    return [row[0] for row in api.sql("SELECT state FROM plan ORDER BY plan_id")]


def test_held_list(api, workers):
    done = api.ctl("held", "list")
    assert done.returncode == 0 and done.stdout == "Nothing is held.\n"
    api.ctl("mailbox", "import", "-", stdin="mailbox\n1001\n1002\n")
    api.mirrored("1001"), api.mirrored("1002")
    assert api.ctl("status").returncode == 0
    first, second, other = api.held("1001", 31), api.held("1002", 2), api.held("1002", 1, route="branch")
    done = api.ctl("held", "list")
    assert done.returncode == 1
    row = done.stdout.splitlines()[1]
    assert row.split()[:6] == [str(first), "held", "1001", "dr", "31", "5m"] and row.endswith(
        "31 of 40 messages are gone from production: more than 20 and more than 50 %")
    assert "All 2 that are held on route dr now (33 messages)" in done.stdout
    assert f"mirrorctl held allow --route dr --up-to {second} --reason TEXT" in done.stdout
    assert "--route branch" not in done.stdout, "one alone is named by its number"
    assert len(api.ctl("held", "list", "--route", "branch").stdout.splitlines()) == 4
    assert "--up-to" not in api.ctl("held", "list", "--mailbox", "1001").stdout
    listed = json.loads(api.ctl("held", "list", "--json").stdout)["held"]
    assert [plan["id"] for plan in listed] == [first, second, other]
    status = api.ctl("status")
    assert status.returncode == 1 and status.stdout.startswith("HELD        34 messages in 3 plans: a person must decide "
                                                               "(mirrorctl held list)\n")
    assert re.search(r"^1001 +dr +held +3 +3 ", status.stdout, re.M)
    why = api.ctl("why", "1001")
    assert why.returncode == 1 and "31 messages gone from production and held on dr, in plan" in why.stdout
    assert f"mirrorctl held show {first}" in why.stdout


def test_held_list_has_many_pages(api):
    api.ctl("mailbox", "add", "1001", "--route", "dr")
    api.sql("INSERT INTO plan (kind, site_id, route_id, mirror_id, mailbox, reason, messages, made_at) SELECT 'mailbox', "
            "r.from_site_id, r.route_id, m.mirror_id, '1001', 'x', 1, UTC_TIMESTAMP(6) FROM mirror m JOIN route r ON "
            "r.route_id = m.route_id, seq_1_to_1234")
    assert len(json.loads(api.ctl("held", "list", "--json").stdout)["held"]) == 1234


def test_held_show(api, plans):
    done = api.ctl("held", "show", plans[0])
    assert done.returncode == 1, "it waits for a person"
    for words in (f"plan {plans[0]}: held", "31 messages of mailbox 1001 gone from production, and left on dr (route dr)",
                  "31 of 40 messages are gone", "31: 31 open, 0 removed", "31 messages will be removed from dr",
                  f"mirrorctl held allow {plans[0]} --reason TEXT", "31 messages will stay on dr for good",
                  f"mirrorctl held refuse {plans[0]} --reason TEXT"):
        assert words in done.stdout, done.stdout
    assert re.search(r"^INBOX +21 +2026-03-03T08:14 +68001 +open$", done.stdout, re.M)
    assert len(json.loads(api.ctl("held", "show", plans[0], "--json").stdout)["list"]) == 31
    api.sql(f"INSERT INTO plan_message SELECT {plans[0]}, 900000 + seq, 'INBOX', 7, 100 + seq, 1772525645, 5, 'open' "
            "FROM seq_1_to_1100")
    assert len(json.loads(api.ctl("held", "show", plans[0], "--json").stdout)["list"]) == 1131
    done = api.ctl("held", "show", "777")
    assert done.returncode == 1 and "there is no plan 777" in done.stderr
    api.ctl("held", "refuse", plans[0], "--reason", "a mistake")
    done = api.ctl("held", "show", plans[0])
    assert done.returncode == 0 and re.search(r"Decided +by token@127.0.0.1, \d+s ago: a mistake", done.stdout), done
    assert "mirrorctl held allow" not in done.stdout


def test_held_allow_and_refuse(api, plans):
    done = api.ctl("held", "allow", plans[0], "--reason", "Jörg moved out")
    assert done.returncode == 0, done
    assert done.stdout == f"plan {plans[0]}: allowed, mailbox 1001 on route dr. It was allowed; a copier carries it out.\n"
    assert states(api) == ["allowed", "held", "held"]
    done = api.ctl("held", "refuse", plans[0], plans[1], "777", "--reason", "no")
    assert done.returncode == 1 and states(api) == ["allowed", "refused", "held"]
    assert f'plan {plans[0]} was allowed by token@127.0.0.1' in done.stderr and '"Jörg moved out"' in done.stderr
    assert "there is no plan 777" in done.stderr and f"plan {plans[1]}: refused" in done.stdout
    end = json.loads(api.ctl("held", "allow", plans[1], plans[2], "--reason", "x", "--json").stdout)
    assert [plan["id"] for plan in end["decided"]] == [plans[2]]
    assert [(plan["id"], plan["status"]) for plan in end["failed"]] == [(plans[1], 409)]
    assert "Nothing is held" not in api.ctl("held", "list").stdout and api.ctl("held", "list").returncode == 0
    done = api.ctl("held", "allow", plans[0], "--reason", "x" * 900)
    assert done.returncode == 2 and "800" in done.stderr


def test_what_came_after_the_list_is_not_decided_unseen(api, plans):
    breaker, later = api.tripped(), api.held("1001", 9)
    done = api.ctl("held", "allow", "--route", "dr", "--up-to", plans[1], "--reason", "all clean")
    assert done.returncode == 0, done
    assert states(api) == ["allowed", "allowed", "held", "held", "held"], "not those of branch, no breaker, none later"
    done = api.ctl("held", "refuse", "--route", "dr", "--up-to", plans[1], "--reason", "again")
    assert done.returncode == 1 and "nothing is held on route dr" in done.stderr
    assert api.ctl("held", "refuse", "--route", "dr", "--up-to", later, "--reason", "again").returncode == 0
    assert states(api) == ["allowed", "allowed", "held", "held", "refused"] and breaker


def test_the_breaker(api, workers):
    api.ctl("mailbox", "add", "1001", "--route", "dr")
    api.mirrored("1001")
    plan = api.tripped(words="Dovecot \x1b[2J, key 4f2a")
    done = api.ctl("status")
    assert done.returncode == 1 and re.match(
        rf"STOPPED     deletions and overwriting on all routes from production, for 5m: another server answers .* "
        rf"\(mirrorctl held show {plan}\)\n", done.stdout), done.stdout
    done = api.ctl("held", "list", "--mailbox", "1001")
    assert done.returncode == 1 and re.search(rf"^ *{plan} +held +all +all from production +- +5m", done.stdout, re.M)
    done = api.ctl("held", "show", plan)
    assert done.returncode == 1 and "It says now Dovecot" in done.stdout and "\033" not in done.stdout
    assert "This is our production as it is now" in done.stdout and "everything stays stopped" in done.stdout
    assert api.ctl("held", "refuse", plan, "--reason", "a stranger").returncode == 0
    assert api.ctl("held", "list").returncode == 1 and api.ctl("status").returncode == 1, "it stays stopped"
    done = api.ctl("held", "allow", plan, "--reason", "a new machine")
    assert done.returncode == 0 and "It was allowed, and carried out" in done.stdout
    assert api.ctl("held", "list").returncode == 0 and api.ctl("status").returncode == 0


def test_held_fits_the_terminal(api, plans):
    api.tripped()
    for arguments in (("status",), ("held", "list"), ("held", "show", str(plans[0]))):
        _, output = on_terminal(api, *arguments, columns=80)
        longest = max(plain(output.decode()).splitlines(), key=len)
        assert len(longest) <= 80, longest


# --- waiting ----------------------------------------------------------------------------------------------------------

def later(seconds, action):
    thread = threading.Timer(seconds, action)
    thread.start()
    return thread


def test_sync_without_waiting(api):
    api.ctl("mailbox", "import", "-", stdin="mailbox\n1001\n1002\n")
    done = api.ctl("sync")
    assert done.returncode == 0 and "2 mailboxes, 4 mirrors" in done.stdout
    done = api.ctl("sync", "1001", "77")
    assert done.returncode == 1 and "77 is not subscribed" in done.stderr


def test_sync_waits_for_the_numbers(api):
    api.ctl("mailbox", "add", "1001")
    api.mirrored("1001")
    later(1, lambda: api.mirrored("1001", "route_id = (SELECT route_id FROM route WHERE name = 'dr')",
                                  copied_messages="copied_messages + 30"))
    second = later(2.5, lambda: api.mirrored("1001"))
    began = time.monotonic()
    done = api.ctl("sync", "1001", "--wait")
    assert done.returncode == 0 and time.monotonic() - began > 2, done
    assert "2 of 2 mirrors equal; 30 messages copied" in done.stdout
    assert "\r" not in done.stdout and "1/2 mirrors" in done.stdout, "plain lines where there is no terminal"
    second.join()
    later(0.5, lambda: api.mirrored("1001"))
    end = json.loads(api.ctl("sync", "--wait", "--json").stdout)
    assert end["well"] is True and end["mirrors"] == 2 and end["mailboxes"][0]["number"] == "1001"


def test_sync_tells_what_is_not_well(api):
    api.ctl("mailbox", "add", "1001", "--route", "dr")
    later(0.5, lambda: api.mirrored("1001", equal="0", refused_messages="1"))
    done = api.ctl("sync", "--wait")
    assert done.returncode == 1 and "1001 on route dr: not equal" in done.stdout and "mirrorctl why" in done.stdout


def test_sync_waits_for_the_second_look(api):
    api.ctl("mailbox", "add", "1001", "--route", "dr")
    began = time.monotonic()
    later(0.5, lambda: api.mirrored("1001", gone_messages="2"))
    later(2.5, lambda: api.mirrored("1001", gone_messages="0", source_messages="1", target_messages="1"))
    done = api.ctl("sync", "--wait", "--timeout", "30")
    assert done.returncode == 0 and time.monotonic() - began > 2.4, done


def test_sync_ends_with_what_is_held(api):
    api.ctl("mailbox", "import", "-", stdin="mailbox,routes\n1001,dr\n1002,dr\n")
    later(0.5, lambda: (api.held("1001", 31), api.mirrored("1001"), api.mirrored("1002")))
    done = api.ctl("sync", "--wait", "--timeout", "30")
    assert done.returncode == 1 and "1 of 2 mirrors equal" in done.stdout, done
    assert "1001 on route dr: held" in done.stdout and "mirrorctl held list" in done.stdout


def test_waiting_ends_where_a_person_is_needed(api):
    api.ctl("mailbox", "add", "1001", "--route", "dr")
    api.ctl("pause", "dr", "--reason", "upgrade of the backup")
    done = api.ctl("sync", "--wait", "--timeout", "30")
    assert done.returncode == 1 and "paused" in done.stdout
    assert "running" in api.ctl("resume", "dr").stdout
    done = api.ctl("sync", "--wait", "--timeout", "1")
    assert done.returncode == 1 and "not done within 1 s" in done.stderr
    later(1, lambda: api.ask("DELETE", "/api/v1/mailboxes/1001"))
    done = api.ctl("sync", "--wait", "--timeout", "30")
    assert done.returncode == 1 and "removed" in done.stdout


def test_verify(api):
    api.ctl("mailbox", "add", "1001", "--route", "dr")
    api.mirrored("1001")
    later(0.5, lambda: api.mirrored("1001", verify_differences="0", verified_at="UTC_TIMESTAMP(6)"))
    done = api.ctl("verify", "--wait", "--deep")
    assert done.returncode == 0 and "1 of 1 mirrors verified without a difference" in done.stdout, done
    later(0.5, lambda: api.mirrored("1001", verify_differences="2", verified_at="UTC_TIMESTAMP(6)",
                                    verify_report="'INBOX: 2 missing'"))
    assert api.ctl("verify", "1001", "--wait").returncode == 1
    assert "INBOX: 2 missing" in api.ctl("why", "1001").stdout


def test_waiting_survives_a_restart_of_the_api(api):
    api.ctl("mailbox", "add", "1001", "--route", "dr")
    waiter = subprocess.Popen([BIN / "mirrorctl", "--config", api.config, "sync", "--wait"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: "POST path=/api/v1/sync" in api.log(), 10, "the sync is asked for")
    api.stop()
    time.sleep(1)  # it asks in vain meanwhile
    api.start()
    api.mirrored("1001")
    output, _ = waiter.communicate(timeout=30)
    assert waiter.returncode == 0, output


def test_progress_bar(api):
    api.ctl("mailbox", "add", "1001")
    later(1, lambda: api.mirrored("1001", "route_id = (SELECT route_id FROM route WHERE name = 'dr')"))
    later(2, lambda: api.mirrored("1001"))
    status, output = on_terminal(api, "sync", "--wait", columns=80)
    text = output.decode()
    assert status == 0 and re.search(r"\r\[=+>? *\]  1/2 mirrors  \d+ messages  \d+/s  0:0\d\033\[K", text), text
    assert "2 of 2 mirrors equal" in text
    assert max(len(part) for part in re.split(r"[\r\n]+", plain(text))) <= 80
