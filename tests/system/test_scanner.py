"""mirror-scanner against real Dovecot and MariaDB: what it notices, how soon, what it leaves alone, and how it bears
with sites and a store that are away. The test plays the copier (scanned.py)."""
import hashlib
import time

import pytest

from helpers import wait_for
import zmtp
from scanned import Scanned
from standin.dovecot import Dovecot
from standin.product import yaml_text
from standin.voicemail import Generator

LOOK_SECONDS = 1
POOR = ["CONDSTORE", "ENABLE", "LIST-STATUS", "LIST-EXTENDED", "ESEARCH", "UNSELECT", "ID", "SASL-IR"]


@pytest.fixture
def production():
    with Dovecot() as server:
        yield server


@pytest.fixture
def generator():
    return Generator(11, scale=0.02)


def scanner(workdir, production, **settings):
    return Scanned(workdir, [production] if isinstance(production, Dovecot) else production, look_seconds=LOOK_SECONDS,
                   **settings)


def mirrored(scanned, production, generator, mailbox="4701", condstore=True, start=True):
    """A mailbox with a few messages and greetings, equal on its one route; returns the mirror's number."""
    production.fill(mailbox, {("INBOX",): [generator.tiny(mailbox, flags=("\\Seen", "Urgent")) for _ in range(3)],
                              ("Greetings",): [generator.tiny(mailbox, flags=("$CNS-Greeting-On",))],
                              ("Empty",): []})
    mirror = scanned.subscribe(mailbox)
    scanned.play_copier(mirror, production, mailbox, condstore)
    scanned.look_from_now(mailbox)
    if start:
        scanned.start()
    return mirror


def change(production, mailbox, folder, *command):
    """A user's own client changes something."""
    connection = production.imap(mailbox)
    connection.noop()
    connection.select(folder)
    status, answer = connection.uid(*command)
    assert status == "OK", answer
    connection.logout()


def message_files(production, mailbox):
    """Names (flags are in them), contents and times of all message files of a Maildir."""
    return {str(path.relative_to(production.root)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
            for path in production.mail_directory(mailbox).rglob("*")
            if path.is_file() and path.parent.name in ("new", "cur", "tmp")}


@pytest.mark.parametrize("condstore", [True, False], ids=["condstore", "poor"])
def test_changes_are_noticed_and_nothing_else(workdir, production, generator, condstore):
    imap = {} if condstore else {"disable_capabilities": POOR}
    with scanner(workdir, production, imap=imap) as scanned:
        mirror = mirrored(scanned, production, generator, condstore=condstore)
        scanned.wait_proven(mirror)
        before, changes = message_files(production, "4701"), len(production.events())
        logins = production.logins()
        for _ in range(4):
            scanned.wait_proven(mirror)
        assert scanned.wanted(mirror) == 0
        assert message_files(production, "4701") == before
        assert len(production.events()) == changes
        assert production.logins() == logins, "a mailbox whose session is kept costs no login"

        production.deliver("4701", "INBOX", generator.tiny("4701"))
        started = time.monotonic()
        scanned.wait_wanted(mirror)
        assert time.monotonic() - started < LOOK_SECONDS + 1
        assert scanned.priority(mirror) == 1
        scanned.play_copier(mirror, production, "4701", condstore)
        scanned.wait_proven(mirror)
        assert scanned.wanted(mirror) == 0

        for command in (("STORE", "1", "+FLAGS", "(Sensitive)"), ("STORE", "2", "+FLAGS", "(\\Deleted)"),
                        ("STORE", "1:2", "FLAGS", "()")):
            change(production, "4701", "INBOX", *command)
            scanned.wait_wanted(mirror)
            assert scanned.priority(mirror) == 5
            scanned.play_copier(mirror, production, "4701", condstore)
            scanned.wait_proven(mirror)
        change(production, "4701", "Greetings", "STORE", "1", "-FLAGS", "($CNS-Greeting-On)")
        scanned.wait_wanted(mirror)

        assert scanned.stop() == 0
        assert scanned.complaints() == []
        commands = ours(production)
        used = {command_name(line) for line in commands}
        assert used <= {"LIST", "STATUS", "EXAMINE", "UID FETCH", "UNSELECT", "LOGOUT", "CAPABILITY", "ID", "ENABLE",
                        "NAMESPACE", "NOOP"}, used
        if not condstore:
            assert not [line for line in commands if "UNSELECT" in line or "RETURN" in line or "MODSEQ" in line]
            assert "EXAMINE" in used


def ours(production):
    """The commands of the scanner's sessions: those of the tests' own clients begin with NOOP or fill a folder."""
    lines = []
    for _, sent, _ in production.rawlogs():
        names = [command_name(line) for line in sent if line]
        if names and names[0] != "NOOP" and not {"APPEND", "CREATE"} & set(names):
            lines += sent
    return [line for line in lines if line]


def command_name(line):
    words = line.split()[1:3]
    return " ".join(words).upper() if words[0].upper() == "UID" else words[0].upper()


def test_folders_that_come_and_go(workdir, production, generator):
    with scanner(workdir, production) as scanned:
        mirror = mirrored(scanned, production, generator)
        scanned.wait_proven(mirror)
        production.deliver("4701", ("Archive", "2026"), generator.tiny("4701"))
        scanned.wait_wanted(mirror)
        assert scanned.priority(mirror) == 1
        scanned.play_copier(mirror, production, "4701")
        scanned.wait_proven(mirror)
        connection = production.imap("4701")
        connection.delete("Empty")
        connection.logout()
        scanned.wait_wanted(mirror)
        assert scanned.complaints() == []


def test_excluded_folders_are_not_looked_at(workdir, production, generator):
    with scanner(workdir, production) as scanned:
        scanned.settings["sites"][0]["folders"] = {"exclude": ["Drafts*"]}
        scanned.config.write_text(yaml_text(scanned.settings) + "\n")
        mirror = mirrored(scanned, production, generator)
        scanned.wait_proven(mirror)
        production.deliver("4701", "Drafts", generator.tiny("4701"))
        scanned.wait_proven(mirror)
        scanned.wait_proven(mirror)
        assert scanned.wanted(mirror) == 0


def test_big_folders_wait_for_the_full_look(workdir, production, generator):
    with scanner(workdir, production, imap={"disable_capabilities": POOR}, flags_look_max_messages=2,
                 full_look_minutes=0.1) as scanned:
        mirror = mirrored(scanned, production, generator, condstore=False)
        scanned.wait_proven(mirror)
        change(production, "4701", "INBOX", "STORE", "1", "+FLAGS", "(Sensitive)")
        scanned.wait_wanted(mirror, 15)


def test_a_request_is_looked_at_at_once(workdir, production, generator):
    with scanner(workdir, production) as scanned:
        mirror = mirrored(scanned, production, generator, start=False)
        scanned.sql("UPDATE look SET due_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR")
        scanned.start()
        wait_for(lambda: scanned.pipe("requests").exists(), 10, "the scanner's pipe")
        pipe = zmtp.connect(scanned.pipe("requests"), b"PUSH")
        pipe.send(b'{"type":"look","version":1,"mailbox":"4701"}')
        scanned.wait_wanted(mirror, 3)
        assert scanned.priority(mirror) == 0
        for bad in (b"", b"{", b'{"type":"mirror","version":1}', b'{"type":"look","version":1,"mailbox":"../etc"}',
                    b"[" * 5000, b"\xff\xfe"):
            pipe.send(bad)
        scanned.wait_line("bad message dropped")
        scanned.sql("UPDATE mirror SET done_seq = wanted_seq, priority = 5")
        pipe.send(b'{"type":"look","version":1,"mailbox":"4701"}')
        scanned.wait_wanted(mirror, 3)
        pipe.close()
        assert len(scanned.lines("bad message dropped")) == 1


def test_due_mirrors_are_pushed_and_pushed_again(workdir, production, generator):
    with scanner(workdir, production) as scanned:
        mirror = mirrored(scanned, production, generator)
        scanned.copier_lives()
        scanned.wait_proven(mirror)
        pipe = zmtp.connect(scanned.pipe("jobs.mirror"))
        production.deliver("4701", "INBOX", generator.tiny("4701"))
        job = pipe.job()
        assert (job["type"], job["mirror_id"], job["mailbox"], job["route"], job["results"]) == (
            "mirror", mirror, "4701", "production-dr", "0")
        # Nobody claims it: the same comes again after 5 s. A result makes room at once.
        started = time.monotonic()
        assert pipe.job()["mirror_id"] == mirror
        assert 4 < time.monotonic() - started < 8
        pipe.close()


def test_a_site_that_is_down_holds_up_no_other(workdir, production, generator):
    with Dovecot() as second, scanner(workdir, [production, second]) as scanned:
        mirror = mirrored(scanned, production, generator, start=False)
        other = scanned.subscribe("4801", "production2-dr")
        second.deliver("4801", "INBOX", generator.tiny("4801"))
        scanned.play_copier(other, second, "4801")
        scanned.look_from_now("4801", "production2")
        for number in range(4702, 4722):
            scanned.subscribe(str(number))
            scanned.look_from_now(str(number))
        production.stop()
        scanned.start()
        for _ in range(3):
            scanned.wait_proven(other)
        assert len(scanned.lines("site cannot be looked at")) == 1
        assert len(scanned.complaints()) == 1
        assert scanned.proven_age(mirror) > 1e8
        production.start()
        scanned.wait_line("site can be looked at again", 60)
        scanned.wait_proven(mirror, 30)


def test_a_wrong_secret_stops_the_site_once(workdir, production, generator):
    with scanner(workdir, production) as scanned:
        mirrors = [scanned.subscribe(str(number)) for number in range(4701, 4713)]
        for number in range(4701, 4713):
            scanned.look_from_now(str(number))
        scanned.secret("production", "wrong")
        scanned.start()
        scanned.wait_line("site stopped", 30)
        time.sleep(2)  # long enough for more tries, were there any
        refused = (production.root / "info.log").read_text().count("auth failed")
        assert refused <= 3, refused
        assert len(scanned.lines("site stopped")) == 1
        scanned.secret("production", production.password)
        wait_for(lambda: all(scanned.wanted(mirror) for mirror in mirrors), 90,
                 lambda: f"looks after the secret was put right:\n{scanned.log()[-3000:]}")
        assert "wrong" not in scanned.log().replace("wrong secret", "")


def test_a_store_that_is_away_is_waited_for(workdir, production, generator):
    with scanner(workdir, production) as scanned:
        mirror = mirrored(scanned, production, generator)
        scanned.wait_proven(mirror)
        scanned.database.kill()
        scanned.wait_line("store is away", 30)
        scanned.database.start()
        scanned.wait_line("store answers again", 30)
        scanned.sql("UPDATE look SET lease_until = NULL")
        scanned.wait_proven(mirror, 30)
        assert len(scanned.lines("store is away")) == 1
        assert scanned.stop() == 0


def test_drains_and_leaves_nothing_held(workdir, production, generator):
    with scanner(workdir, production) as scanned:
        mirror = mirrored(scanned, production, generator)
        for number in range(4702, 4742):
            scanned.subscribe(str(number))
            scanned.look_from_now(str(number))
        scanned.wait_proven(mirror)
        started = time.monotonic()
        assert scanned.stop() == 0
        assert time.monotonic() - started < 6
        assert scanned.number("SELECT COUNT(*) FROM look WHERE lease_owner IS NOT NULL") == 0
        assert scanned.number("SELECT COUNT(*) FROM worker") == 0
        assert scanned.number("SELECT COUNT(*) FROM site_session") == 0
        assert scanned.complaints() == []


def test_budget_of_sessions_and_logins_is_kept(workdir, production, generator):
    with scanner(workdir, production, imap={"max_sessions": 4, "max_logins_per_second": 5}) as scanned:
        for number in range(4701, 4731):
            scanned.subscribe(str(number))
            scanned.look_from_now(str(number))
        before = production.logins()
        scanned.start()
        scanned.wait_line("looks planned")
        started, counts = time.monotonic(), []
        while time.monotonic() - started < 4:
            counts.append(scanned.number("SELECT COUNT(*) FROM site_session"))
            time.sleep(0.1)
        # One look and one kept session are the scanner's share of four; the row of one that says goodbye may stand beside them.
        assert max(counts) <= 3 and sorted(counts)[len(counts) * 8 // 10] <= 2, counts
        assert 10 <= production.logins() - before <= 5 * (time.monotonic() - started) + 10
