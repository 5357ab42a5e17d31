"""Bad servers and bad messages: each ends in a clear error at its scope (that message, that mailbox, that site), is tried
again after a growing delay, and keeps no other mailbox waiting. What a real server can do, a real one does; the rest is said
by tests/dialogue/. All troubles run at once under one supervisor, beside mailboxes that are well.

Elsewhere: a wrong password for all (test_mirror, test_scanner), over quota and keywords (test_identity), sizes (test_sizes), a
paused target and kills (test_chaos), production down (test_scanner)."""
import os
import re
from datetime import datetime

import pytest

from mirrored import Changes, Mirrored, Options, assert_equal, free_port, read_mailbox, site, wait_for
from standin.dovecot import Dovecot
from standin.scripted import DIALOGUES, Scripted
from standin.voicemail import INBOX, Generator

LIMITS = {"connect_seconds": 2, "answer_seconds": 2}
# What has to come of each: {mailbox: dialogue}.
EQUAL = {"6102": "cut-body-once.txt", "6109": "bye.txt", "6201": "append-cut-once.txt", "6202": "append-answer-lost.txt",
         "6203": "append-silent.txt", "6204": "append-nonsense.txt", "6205": "append-bye.txt"}
SHOWN = {"6101": "healthy.txt", "6114": "vanished.txt", "6115": "expunge-in-fetch.txt", "6117": "slow.txt"}
MESSAGE = {  # and what `why` says of it
    "6103": ("cut-body-always.txt", "the connection was lost over it.*the server closed the connection"),
    "6104": ("cut-header-always.txt", "the connection was lost over it.*the server closed the connection"),
    "6105": ("no-header.txt", r"UID FETCH: NO \[SERVERBUG\] message 2 is damaged"),
    "6106": ("silent-body.txt", "the connection was lost over it.*the server was silent for 2 s"),
    "6110": ("literal-of-4-gb.txt", "the connection was lost over it.*a literal of 4294967296 bytes, over the limit"),
    "6112": ("empty.txt", "APPEND: NO Can't save a zero byte message"),
    "6113": ("size-of-4-gb.txt", "4294967296 bytes are more than max_message_bytes"),
}
MAILBOX = {  # and its error
    "6107": ("silent-list.txt", "the server was silent for 2 s"),
    "6108": ("nonsense.txt", "the server's answer makes no sense"),
    "6207": ("target-literal-of-4-gb.txt", "a literal of 4294967296 bytes, over the limit"),
}
CRAWLING = {"6116": "drip.txt", "6208": "target-drip.txt"}
OTHERS = {"6111": "altered.txt", "6118": "folder-refused.txt", "6119": "cut-at-verify.txt", "6206": "append-refused.txt"}
COS = [str(number) for number in range(6301, 6341)]
SITES = {"deaf": ("deaf.txt", "connecting failed: server response timeout"), "babble": ("babble.txt", "connecting failed: "),
         "full": ("bye-at-once.txt", "BYE too many connections"), "down": (None, "is the server up")}
MANY = range(6)  # mailboxes on each of them
ROWS = "message g JOIN folder f USING (folder_id) JOIN mirror m USING (mirror_id) JOIN mailbox b USING (mailbox_id)"


def files(*tables):
    return [entry if isinstance(entry, str) else entry[0] for table in tables for entry in table.values()]


def mailboxes_of(name, nth=None):
    numbers = [f"{6400 + 10 * list(SITES).index(name) + index}" for index in MANY]
    return numbers if nth is None else numbers[nth]


class World:
    """Production and a target that are well, each once as it is and once behind the dialogues; and sites that are not."""

    def __init__(self):
        self.production, self.target = Dovecot(storage="maildir"), Dovecot(storage="mdbox", delimiter=".")
        self.late = Dovecot(port=free_port())  # nobody listens there at first
        self.generator = Generator(61, scale=0.02)

    def __enter__(self):
        self.production.start()
        self.target.start()
        of_all = (EQUAL, SHOWN, MESSAGE, MAILBOX, CRAWLING, OTHERS)
        of_target = [name for name in files(*of_all) if name.startswith(("append", "target"))]
        of_source = [name for name in files(*of_all) if name not in of_target]
        self.odd = Scripted(*of_source, "cos.txt", server=self.production)
        self.odd_target = Scripted(*of_target, server=self.target)
        self.bad = {name: Scripted(file) for name, (file, _) in SITES.items() if file}
        sites = {"production": site("production", self.production), "dr": site("dr", self.target),
                 "odd": site("odd", self.odd, answer_seconds=2),
                 "odd-dr": site("odd-dr", self.odd_target, answer_seconds=2),
                 "down": site("down", self.late, **LIMITS)}
        sites |= {name: site(name, server, **LIMITS) for name, server in self.bad.items()}
        routes = {"dr": ("production", "dr"), "odd": ("odd", "dr"), "odd-dr": ("production", "odd-dr"),
                  "from-deaf": ("deaf", "dr")}
        routes |= {name: ("production", name) for name in SITES}
        secrets = {f"{name}.secret": self.production.password for name in sites}
        self.product = Mirrored(sites, routes, copiers=6, secrets=secrets).start()
        self.begin([number for table in of_all for number in table])
        return self

    def begin(self, numbers):
        """All troubles at once, those that hold a copier for long first."""
        numbers = sorted(numbers, key=lambda number: number not in (*CRAWLING, "6117"))
        for number in numbers:
            messages = [self.tiny(size=6 << 20)] if number == "6204" else [self.tiny() for _ in range(3)]
            self.production.fill(number, {INBOX: messages, **({("Broken",): [self.tiny()]} if number == "6118" else {})})
        for number in numbers:
            self.product.add("odd-dr" if number.startswith("62") else "odd", number)

    def __exit__(self, kind, *_):
        self.product.__exit__(kind)
        for server in (self.odd, self.odd_target, *self.bad.values()):
            server.stop()
        for server in (self.production, self.target, self.late):
            server.discard()

    def tiny(self, **more):
        return self.generator.tiny(**more)

    def uids_there(self, mailbox):
        """Production's UIDs of what is mirrored, by our own record."""
        return [int(row[0]) for row in self.product.sql(
            f"SELECT g.source_uid FROM {ROWS} WHERE b.number = '{mailbox}' AND g.state = 'mirrored' AND "
            "g.source_uid IS NOT NULL AND g.source_gone_at IS NULL ORDER BY 1")]

    def next_try(self, mailbox):
        """(times that its one refused message failed, seconds to the next try)"""
        (count, seconds), = self.product.sql(
            f"SELECT g.fail_count, TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), g.next_try_at) FROM {ROWS} "
            f"WHERE b.number = '{mailbox}' AND g.state = 'refused'")
        return int(count), int(seconds)

    def time_has_come(self, mailbox, after="0 SECOND"):
        """For the next try of what was refused; nobody has to ask for it."""
        self.product.sql(f"UPDATE {ROWS} SET g.next_try_at = UTC_TIMESTAMP(6) + INTERVAL {after} WHERE b.number = "
                         f"'{mailbox}' AND g.state = 'refused'")


@pytest.fixture(scope="module")
def world():
    with World() as world:
        yield world


def route_of(mailbox):
    return "odd-dr" if mailbox.startswith("62") else "odd"


def wait_mirror(world, mailbox, condition, seconds=60, route=None):
    world.product.wait_mirror(condition, mailbox, route or route_of(mailbox), seconds, mailbox)
    return world.product.mirror(mailbox, route or route_of(mailbox))


def failed_turns(world, mailbox):
    return re.findall(rf"(?m)^\S+ warn .*turn failed mailbox={mailbox} .*", world.product.log())


def failures(world, mailbox):
    """When its turns failed, by the log."""
    return [datetime.fromisoformat(line.split("Z ")[0]).timestamp() for line in failed_turns(world, mailbox)]


def gaps(times):
    return [later - earlier for earlier, later in zip(times, times[1:])]


# --- no other mailbox waits ---

@pytest.mark.parametrize("route, mailbox", [("dr", "6190"), ("odd", "6191"), ("odd-dr", "6291")])
def test_mailboxes_that_are_well_do_not_wait(world, route, mailbox):
    """On the same sites, while all the others are in trouble: first copied, and then a new message."""
    world.production.fill(mailbox, {INBOX: [world.tiny() for _ in range(3)]})
    world.product.add(route, mailbox)
    world.product.wait_equal(world.production, world.target, mailbox, seconds=10)
    world.production.deliver(mailbox, "INBOX", world.tiny())
    world.product.wait_equal(world.production, world.target, mailbox, seconds=10)


# --- messages ---

@pytest.mark.parametrize("mailbox", MESSAGE)
def test_one_message_in_trouble(world, mailbox):
    """The others are mirrored; it is listed in the server's words, and tried again after a growing delay."""
    product, (_, words) = world.product, MESSAGE[mailbox]
    wait_mirror(world, mailbox, lambda mirror: mirror["state"] == "not equal" and mirror["messages"]["refused"] == 1)
    assert world.uids_there(mailbox) == [1, 3]
    assert len(read_mailbox(world.target.endpoint(), mailbox)[INBOX]) == 2
    assert re.search(rf"(?m)^INBOX +2 .*refused +{words}", product.ctl("why", mailbox).out), product.ctl("why", mailbox).out

    count, seconds = world.next_try(mailbox)
    assert count == 1 and seconds <= 60
    world.time_has_come(mailbox)
    wait_for(lambda: world.next_try(mailbox)[0] == 2, 40,
             lambda: f"tried again: {world.next_try(mailbox)}\n{product.log_tail(30)}")
    assert 60 < world.next_try(mailbox)[1] <= 120
    assert world.uids_there(mailbox) == [1, 3]


def test_a_target_that_refuses_all(world):
    """Listed in its own words, and not sent again at each look."""
    mailbox = "6206"
    wait_mirror(world, mailbox, lambda mirror: mirror["messages"]["refused"] == 3)
    world.time_has_come(mailbox, after="1 HOUR")
    sent = [command for command in world.odd_target.commands(mailbox) if command.startswith("APPEND")]
    world.production.deliver(mailbox, "INBOX", world.tiny())
    wait_mirror(world, mailbox, lambda mirror: mirror["messages"]["refused"] == 4)
    again = [command for command in world.odd_target.commands(mailbox) if command.startswith("APPEND")][len(sent):]
    assert len(again) == 1, again
    words = "APPEND: NO a message may be no longer than 30 seconds in class of service 7"
    assert world.product.ctl("why", mailbox).out.count(words) == 4


def test_what_a_target_alters_is_told_and_not_copied_again(world):
    mailbox = "6111"
    wait_mirror(world, mailbox, lambda mirror: mirror["messages"]["altered"] == 1)
    changes = Changes(world.target)
    assert re.search(r"(?m)^INBOX +1 .*altered", world.product.ctl("why", mailbox).out)
    assert world.product.ctl("verify", "--deep", "--wait", mailbox).exit == 1
    world.product.sync(mailbox, exit=1)
    assert [change for change in changes.now() if change[0] == mailbox] == []
    # Of the same size, so that only reading it back tells.
    assert "message 2: the bytes differ" in world.product.ctl("why", mailbox).out
    first, second, _ = read_mailbox(world.target.endpoint(), mailbox)[INBOX]
    assert (first.size, second.size) == (96, 61)


def test_a_message_that_the_server_cannot_read(world):
    """A real one: Dovecot may not open the file any more, and cuts the connection."""
    mailbox = "6192"
    world.production.fill(mailbox, {INBOX: [world.tiny() for _ in range(4)], ("Saved",): [world.tiny()]})
    folder = world.production.mail_directory(mailbox) / "Maildir"
    new = sorted(folder.glob("*/*.M*"))
    assert len(new) == 4, new
    os.chmod(new[1], 0)
    for path in folder.glob("dovecot.index.cache"):
        path.unlink()
    world.product.add("dr", mailbox)
    mirror = wait_mirror(world, mailbox, lambda mirror: mirror["messages"]["refused"] == 1, route="dr")
    assert mirror["messages"]["target"] == 4 and world.uids_there(mailbox) == [1, 1, 3, 4]
    os.chmod(new[1], 0o600)
    world.time_has_come(mailbox)
    wait_mirror(world, mailbox, lambda mirror: mirror["state"] == "equal", route="dr")
    assert_equal(world.production, world.target, mailbox, ignore_order=True)


def test_a_deep_verify_ends_over_a_message_that_cannot_be_read(world):
    mailbox = "6119"
    wait_mirror(world, mailbox, lambda mirror: mirror["state"] == "equal")
    before = len(failures(world, mailbox))
    assert world.product.ctl("verify", "--deep", "--wait", mailbox).exit == 1
    assert len(failures(world, mailbox)) == before + 3
    assert "message 2: the bytes differ, or cannot be read" in world.product.ctl("why", mailbox).out


# --- folders and mailboxes ---

def test_a_folder_that_fails_keeps_no_verify_waiting(world):
    mailbox = "6118"
    wait_mirror(world, mailbox, lambda mirror: mirror["state"] == "failing")
    error = world.product.mirror(mailbox, "odd")["error"]
    assert error["scope"] == "folder" and "EXAMINE: NO [NOPERM] the folder is not yours" in error["text"], error
    assert world.uids_there(mailbox) == [1, 2, 3]
    result = world.product.ctl("verify", "--wait", mailbox, timeout=90)
    assert result.exit == 1, result
    why = world.product.ctl("why", mailbox).out
    assert "Broken: the folder is not on the target" in why and "Last verified" in why and "INBOX " not in why, why


@pytest.mark.parametrize("mailbox", EQUAL)
def test_equal_in_the_end(world, mailbox):
    """Each message once; what was lost over twice went behind the others."""
    wait_mirror(world, mailbox, lambda mirror: mirror["state"] == "equal")
    assert_equal(world.production, world.target, mailbox, ignore_order=mailbox in ("6203", "6205"))
    assert failures(world, mailbox), "nothing went wrong"


@pytest.mark.parametrize("mailbox", SHOWN)
def test_equal_to_what_was_shown(world, mailbox):
    wait_mirror(world, mailbox, lambda mirror: mirror["state"] == "equal", 90)
    expected = [1, 3] if mailbox in ("6114", "6115") else [1, 2, 3]
    assert world.uids_there(mailbox) == expected
    assert len(read_mailbox(world.target.endpoint(), mailbox)[INBOX]) == len(expected)
    assert failed_turns(world, mailbox) == []


@pytest.mark.parametrize("mailbox", MAILBOX)
def test_one_mailbox_in_trouble(world, mailbox):
    wait_for(lambda: len(failures(world, mailbox)) >= 4, 60, lambda: f"four failures:\n{world.product.log_tail(30)}")
    error = world.product.mirror(mailbox, route_of(mailbox))["error"]
    assert MAILBOX[mailbox][1] in error["text"] and error["scope"] == "mailbox", error
    assert error["side"] == ("target" if mailbox.startswith("62") else "production")
    assert error["text"] in world.product.ctl("why", mailbox).out
    delays = gaps(failures(world, mailbox)[:4])
    assert delays == sorted(delays) and delays[2] > delays[0] + 3, delays  # 2, 4, 8 s, a quarter more or less


@pytest.mark.parametrize("mailbox", CRAWLING)
def test_a_server_that_is_never_through(world, mailbox):
    """It holds a copier for 15 times imap.answer_seconds, and no longer."""
    began = min(world.odd_target.logins(mailbox) or world.odd.logins(mailbox))
    wait_for(lambda: failures(world, mailbox), 60, lambda: f"it fails:\n{world.product.log_tail(30)}")
    words = "no answer ended, and less than 64 KiB moved, in 30 s"
    assert re.search(rf"turn failed mailbox={mailbox} .*{words}", world.product.log())
    assert began


def test_a_class_of_service_without_access(world):
    """Forty mailboxes of a healthy site are refused; it goes on, and each of them waits for itself."""
    for number in COS:
        world.product.add("odd", number)
    for number in COS[:3] + COS[-3:]:
        error = wait_mirror(world, number, lambda mirror: mirror["error"] and mirror["error"]["scope"] == "mailbox")["error"]
        assert "IMAP access is not in the class of service" in error["text"] and error["side"] == "production", error
        assert "check that mailbox" in error["text"] and error["text"] in world.product.ctl("why", number).out
    well = "6193"
    world.production.fill(well, {INBOX: [world.tiny()]})
    world.product.add("odd", well)
    world.product.wait_equal(world.production, world.target, well, seconds=20)
    assert not re.search("site stopped.*site=odd ", world.product.log())
    tried = len(world.odd.logins(COS[0]))
    assert tried < 8, f"{tried} tries"


# --- sites ---

@pytest.mark.parametrize("name", SITES)
def test_a_site_that_cannot_be_asked(world, name):
    """All its mailboxes wait together; nothing else does."""
    numbers, product = mailboxes_of(name), world.product
    for number in numbers:
        world.production.deliver(number, "INBOX", world.tiny())
    product.add(name, *numbers)
    for number in numbers:
        error = wait_mirror(world, number, lambda mirror: mirror["error"], route=name)["error"]
        assert (error["scope"], error["side"]) == ("site", "target") and SITES[name][1] in error["text"], error
    why = product.ctl("why", numbers[0]).out
    assert f"Check that {name} is up and answers on the IMAP address and port" in why, why
    cool, = product.sql(f"SELECT troubles FROM site WHERE name = '{name}'")
    assert int(cool[0]) >= 1


def test_a_production_site_that_says_nothing(world):
    """What the scanner and the copiers make of it, while they look at the other one."""
    mailbox, well = "6194", "6195"
    world.production.fill(well, {INBOX: [world.tiny()]})
    world.product.add("from-deaf", mailbox)
    world.product.add("dr", well)
    world.product.wait_equal(world.production, world.target, well, seconds=20)
    error = wait_mirror(world, mailbox, lambda mirror: mirror["error"], route="from-deaf")["error"]
    assert (error["scope"], error["side"]) == ("site", "production"), error
    world.product.sync(well)


def test_a_site_that_comes_back(world):
    world.late.start()
    for number in mailboxes_of("down"):
        wait_mirror(world, number, lambda mirror: mirror["state"] == "equal", 150, "down")
        assert_equal(world.production, world.late, number)


# --- the dialogues themselves ---

def test_dialogues_were_played_as_they_stand(world):
    """Last: nobody said anything else, and all that was to be said was said."""
    for server in (world.odd, world.odd_target, *world.bad.values()):
        server.assert_played()


def test_each_dialogue_says_what_it_shows():
    used = set(files(EQUAL, SHOWN, MESSAGE, MAILBOX, CRAWLING, OTHERS)) | {"cos.txt"} | {
        file for file, _ in SITES.values() if file}
    names = {path.name for path in DIALOGUES.glob("*.txt")}
    assert used == names, used ^ names
    for path in DIALOGUES.glob("*.txt"):
        text = path.read_text()
        assert text.startswith("# ") and "Expected: " in text and re.search(r"(?m)^# Scope: \w+", text), path.name
