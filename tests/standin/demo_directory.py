"""The demo's act about the directory: subscribers and classes of service on both sides, a password and a recorded name that
change on production, and how long until the backup's own ldapsearch shows them."""

import random
import time

import ldap

from . import subscribers
from .compare_directory import differences
from .slapd import Slapd
from .stage import EVENT_SECONDS, Failure, seconds_text

CLASSES = (1, 2, 12)
NAME_BYTES = 20_000  # a recorded name of two seconds
ROUTE = {"poll_seconds": 1, "list_minutes": 0.1, "delay_seconds": 2}


def start_directories(stage, held):
    """Production's has a subscriber for each mailbox, and lets the mirror only read; the backup's has none."""
    stage.directories = (Slapd(root=stage.root / "production-directory", syncprov=True, sessionlog=100, read_only=True, held=held),
                         Slapd(root=stage.root / "backup-directory", suffix="o=backup", held=held))
    production, backup = stage.directories
    production.load(subscribers.make(production.suffix, stage.numbers, classes=CLASSES, audio_bytes=NAME_BYTES))
    production.start()
    backup.start()
    stage.screen.line(f"directories: {len(stage.numbers)} subscribers and {len(CLASSES)} classes of service on production's "
                      f"127.0.0.1:{production.port}, none on the backup's 127.0.0.1:{backup.port}")


def add_directories(stage, config):
    for site, server in zip(config["sites"], stage.directories):
        site["ldap"] = server.section()
    config["routes"][0]["directory"] = ROUTE


def _until(stage, what, outcome, shown):
    """The seconds that it took."""
    stage.screen.waiting(what)
    began = time.monotonic()
    while not shown():
        if time.monotonic() - began > EVENT_SECONDS:
            raise Failure(f"{what}: not {outcome} within {EVENT_SECONDS} s\n{stage.product.log_tail()}")
        time.sleep(0.02)
    return time.monotonic() - began


def _change(stage, number, attribute, value):
    """On production, and until the backup has it, byte for byte."""
    production, backup = stage.directories
    found = f"(standinMailbox={number})"
    connection, there = production.admin(), backup.admin()
    (dn, _), = connection.search_s(production.people_dn, ldap.SCOPE_SUBTREE, found, ["1.1"])
    connection.modify_s(dn, [(ldap.MOD_REPLACE, attribute, [value])])
    connection.unbind_s()
    return lambda: value in [each for _, entry in there.search_s(backup.people_dn, ldap.SCOPE_SUBTREE, found, [attribute])
                             for each in entry.get(attribute, [])]


def directory_follows(stage):
    screen = stage.screen
    screen.step("4  Subscribers and classes of service, with all they have")
    what = f"all {len(stage.numbers)} subscribers, with password and recorded name"
    _until(stage, what, "equal", lambda: not differences(*stage.directories))
    screen.fact(what, "equal on the backup")
    changes = ((stage.numbers[2], "changes the password", "standinPassword", subscribers.opaque("864209")),
               (stage.numbers[3], "records the name anew", "standinNameAudio", random.Random(2026).randbytes(NAME_BYTES)))
    for number, does, attribute, value in changes:
        what = f"{number} {does}"
        took = _until(stage, what, "on the backup", _change(stage, number, attribute, value))
        screen.fact(what, f"on the backup after {seconds_text(took)}")
    result = stage.product.ctl("directory", "list")
    screen.fact("mirrorctl directory list", (result.out or result.err).strip().splitlines()[-1])


def judge_directories(stage):
    """True if both are equal by ldapsearch, and production's own log shows no write of the mirror."""
    stage.product.ctl("directory", "sync", "--full", "--wait")
    production, backup = stage.directories
    different, writes = differences(production, backup), production.writes_from(production.trusted_dn)
    for line in different[:10]:
        stage.screen.line(line)
    equal = not different and not writes
    stage.screen.result(f"directories: {'equal in every attribute' if not different else f'{len(different)} differences'}; "
                        f"production saw {len(writes)} writes", equal)
    return equal
