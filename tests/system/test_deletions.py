"""What is deleted on production is removed from the target (I5, I6): just that, only after a second look, never what
somebody else put there; folders too; and what somebody deletes on the target comes back once. With UIDPLUS and without."""
import datetime

import pytest

from mirrored import (Changes, Mirrored, assert_equal, change, changing_commands, delete, folders, free_port, listeners,
                      read_mailbox, site)
from helpers import wait_for
from standin.dovecot import Dovecot
from standin.voicemail import GREETINGS, INBOX, Generator

DELAY = 1


class World:
    def __init__(self):
        self.ports = [free_port(), free_port()]
        self.production = Dovecot(storage="maildir", delimiter="/", extra=listeners(self.ports[0]))
        self.dr = Dovecot(storage="mdbox", delimiter=".", extra=listeners(self.ports[1]))
        self.poor = Dovecot(storage="maildir", delimiter=".")
        self.servers = [self.production, self.dr, self.poor]
        self.generator = Generator(77, scale=0.02)

    def __enter__(self):
        for server in self.servers:
            server.start()
        sites = {"production": site("production", self.production), "dr": site("dr", self.dr),
                 "poor": site("poor", self.poor, disable_capabilities=["UIDPLUS"]),
                 "cleaned": site("cleaned", self.production, port=self.ports[0]),
                 "cleaned-dr": site("cleaned-dr", self.dr, port=self.ports[1])}
        for name in ("cleaned", "cleaned-dr"):
            sites[name]["retention_days"] = 10
        routes = {"dr": ("production", "dr"), "poor": ("production", "poor"), "cleaned": ("cleaned", "cleaned-dr")}
        self.product = Mirrored(sites, routes, deletions={"delay_seconds": DELAY},
                                secrets={f"{name}.secret": self.production.password for name in sites}).start()
        self.targets = {"dr": self.dr, "poor": self.poor, "cleaned": self.dr}
        return self

    def __exit__(self, kind, *_):
        self.product.__exit__(kind)
        for server in self.servers:
            server.discard()

    def tiny(self, *flags, **more):
        return self.generator.tiny(flags=flags, **more)

    def mirrored(self, route, mailbox, content):
        self.production.fill(mailbox, content)
        self.product.add(route, mailbox)
        self.product.sync(mailbox)
        return self.targets[route]


@pytest.fixture(scope="module")
def world():
    with World() as world:
        yield world


@pytest.mark.parametrize("route, mailbox", [("dr", "5001"), ("poor", "5101")])
def test_a_deleted_message_is_removed_after_a_second_look(world, route, mailbox):
    target = world.mirrored(route, mailbox, {INBOX: [world.tiny() for _ in range(6)], ("Saved",): [world.tiny()]})
    changes = Changes(world.production)
    delete(world.production, mailbox, "INBOX", "2,4")
    seen = len(changes.now())
    world.product.wait_equal(world.production, target, mailbox)
    world.product.sync(mailbox)
    counted = world.product.counted(mailbox, route)
    assert (counted["source"], counted["target"], counted["gone"], counted["foreign"]) == (5, 5, 0, 0)
    assert world.product.mirror(mailbox, route)["state"] == "equal"
    assert len(changes.now()) == seen, "production was changed"


@pytest.mark.parametrize("route, mailbox", [("dr", "5002"), ("poor", "5102")])
def test_others_messages_survive_also_when_marked(world, route, mailbox):
    """A stranger's message beside ours, marked as deleted: with UIDPLUS just ours go; without it ours wait, marked, and go
    once the stranger's is no longer in the way."""
    target = world.mirrored(route, mailbox, {INBOX: [world.tiny() for _ in range(4)]})
    target.deliver(mailbox, "INBOX", world.tiny("\\Deleted", "Theirs"), world.tiny("Theirs"))
    delete(world.production, mailbox, "INBOX", "1")
    theirs_left = [message for message in read_mailbox(target.endpoint(), mailbox)[INBOX] if "theirs" in message.keywords]
    assert len(theirs_left) == 2
    if route == "poor":
        mirror = world.product.wait_mirror(lambda mirror: mirror["messages"]["waiting"] == 1, mailbox, route)
        assert mirror["state"] == "deleting" and mirror["messages"]["target"] == 6
        assert "marked as deleted" in world.product.ctl("why", mailbox).out
        change(target, mailbox, "INBOX", "STORE", "5", "-FLAGS", "(\\Deleted)")
    world.product.wait_mirror(lambda mirror: mirror["state"] == "equal" and mirror["messages"]["target"] == 5, mailbox, route)
    left = read_mailbox(target.endpoint(), mailbox)[INBOX]
    assert sum("theirs" in message.keywords for message in left) == 2 and len(left) == 5
    assert world.product.counted(mailbox, route)["foreign"] == 2


def test_without_uidplus_our_own_marked_messages_stay_marked(world):
    """\\Deleted is a flag on production (it may stay for a day): EXPUNGE must not take it for a deletion."""
    mailbox = "5103"
    target = world.mirrored("poor", mailbox, {INBOX: [world.tiny(), world.tiny("\\Deleted", "\\Seen"), world.tiny()]})
    delete(world.production, mailbox, "INBOX", "1")
    world.product.wait_equal(world.production, target, mailbox)
    marked = [message for message in read_mailbox(target.endpoint(), mailbox)[INBOX] if "\\deleted" in map(str.lower, message.flags)]
    assert len(marked) == 1
    assert not [command for command in changing_commands(target) if "UID EXPUNGE" in command]


@pytest.mark.parametrize("route, mailbox", [("dr", "5004"), ("poor", "5104")])
def test_folders_removed_on_production_are_removed(world, route, mailbox):
    """Also one that is empty, and one with a folder below; but one that the target had before us stays, and so does one
    that somebody put a message into."""
    target = world.targets[route]
    target.fill(mailbox, {("Theirs",): []})
    world.mirrored(route, mailbox, {INBOX: [world.tiny()], ("Trash",): [world.tiny(), world.tiny()], ("Empty",): [],
                                    ("Up",): [world.tiny()], ("Up", "Down"): [world.tiny()], ("Theirs",): [world.tiny()],
                                    ("Shared",): [world.tiny()], ("Stays",): [world.tiny()]})
    target.deliver(mailbox, "Shared", world.tiny("Guest"))
    folders(world.production, mailbox, ("delete", "Trash"), ("delete", "Empty"), ("delete", "Up/Down"), ("delete", "Up"),
            ("delete", "Theirs"), ("delete", "Shared"))
    mirror = world.product.wait_mirror(lambda mirror: mirror["gone_folders"] == 0 and mirror["messages"]["source"] == 2
                                       and mirror["state"] == "equal", mailbox, route)
    left = read_mailbox(target.endpoint(), mailbox)
    assert {name: len(messages) for name, messages in left.items()} == {
        INBOX: 1, ("Theirs",): 0, ("Shared",): 1, ("Stays",): 1}
    assert mirror["messages"]["gone"] == 0
    assert world.product.sql("SELECT f.name FROM folder f JOIN mirror USING (mirror_id) JOIN mailbox b USING (mailbox_id) "
                             f"WHERE b.number = '{mailbox}'") == [["INBOX"], ["Stays"]]


def test_an_append_that_came_true_in_a_folder_that_is_gone_by_now(world):
    """Its copier died, and nobody has looked since: the copy is ours, and goes with its folder."""
    mailbox = "5009"
    messages = [world.tiny(), world.tiny()]
    target = world.mirrored("dr", mailbox, {INBOX: [world.tiny()], ("Gone",): messages, ("Stays",): []})
    world.product.ctl("pause", "dr").ok()
    target.deliver(mailbox, "Gone", messages[0])
    world.product.sql("INSERT INTO intent (folder_id, source_uidvalidity, source_uid, internal_date, size_bytes, header_sha256, "
                      "flags, target_uidvalidity, target_uidnext, lease_epoch, created_at) SELECT f.folder_id, "
                      "f.source_uidvalidity, 99, g.internal_date, g.size_bytes, g.header_sha256, '', f.target_uidvalidity, 3, 1, "
                      "UTC_TIMESTAMP(6) FROM message g JOIN folder f USING (folder_id) JOIN mirror USING (mirror_id) JOIN mailbox "
                      f"b USING (mailbox_id) WHERE b.number = '{mailbox}' AND f.name = 'Gone' AND g.target_uid = 1")
    folders(world.production, mailbox, ("delete", "Gone"))
    world.product.ctl("resume", "dr").ok()
    world.product.wait_mirror(lambda mirror: mirror["gone_folders"] == 0 and mirror["messages"]["source"] == 1
                              and mirror["state"] == "equal", mailbox)
    assert set(read_mailbox(target.endpoint(), mailbox)) == {INBOX, ("Stays",)}
    assert world.product.sql("SELECT COUNT(*) FROM intent") == [["0"]]


def test_a_copy_that_is_another_message_now_is_left_alone(world):
    """The record says one thing about a UID, the target another: the message there is somebody's."""
    mailbox = "5005"
    target = world.mirrored("dr", mailbox, {INBOX: [world.tiny() for _ in range(3)]})
    world.product.sql("UPDATE message g JOIN folder USING (folder_id) JOIN mirror USING (mirror_id) JOIN mailbox b USING "
                      f"(mailbox_id) SET g.internal_date = g.internal_date - 86400 WHERE b.number = '{mailbox}' AND "
                      "g.target_uid = 2")
    changes = Changes(target)
    world.production.doveadm("expunge", "-u", mailbox, "mailbox", "INBOX", "uid", "2:3")
    wait_for(lambda: "left alone" in world.product.log(), 15, world.product.log_tail)
    world.product.wait_mirror(lambda mirror: mirror["state"] == "equal", mailbox)
    assert changes.of(mailbox, "expunge") == 1
    assert [message.uid for message in read_mailbox(target.endpoint(), mailbox)[INBOX]] == [1, 2]


def test_gone_and_back_is_not_removed(world):
    """What production lacks at one look and has at the next was never deleted."""
    mailbox = "5006"
    target = world.mirrored("dr", mailbox, {INBOX: [world.tiny() for _ in range(3)], ("Aside",): []})
    folders(world.production, mailbox, ("rename", "Aside", "Elsewhere"), ("rename", "Elsewhere", "Aside"))
    changes = Changes(target)
    before = world.production.doveadm("fetch", "-u", mailbox, "uid", "mailbox", "INBOX")
    world.product.sync(mailbox)
    assert before and changes.of(mailbox, "expunge") == 0
    assert_equal(world.production, target, mailbox)


def test_what_vanished_on_the_target_and_is_deleted_on_production(world):
    mailbox = "5007"
    target = world.mirrored("dr", mailbox, {INBOX: [world.tiny() for _ in range(4)]})
    delete(target, mailbox, "INBOX", "2")
    delete(world.production, mailbox, "INBOX", "2,3")
    world.product.wait_equal(world.production, target, mailbox)
    world.product.wait_mirror(lambda mirror: mirror["state"] == "equal" and mirror["messages"]["gone"] == 0, mailbox)
    assert world.product.sql("SELECT COUNT(*) FROM message g JOIN folder USING (folder_id) JOIN mirror USING (mirror_id) JOIN "
                             f"mailbox b USING (mailbox_id) WHERE b.number = '{mailbox}'") == [["2"]]


def test_nothing_is_written_when_nothing_is_left_to_delete(world):
    """A pass after deletions writes nothing anywhere (I7)."""
    mailbox = "5008"
    target = world.mirrored("dr", mailbox, {INBOX: [world.tiny() for _ in range(4)]})
    delete(world.production, mailbox, "INBOX", "1")
    world.product.wait_equal(world.production, target, mailbox)
    world.product.sync(mailbox)
    changes, content = Changes(target), world.product.content()
    world.product.sync(mailbox)
    assert changes.now() == [] and world.product.content() == content


# --- retention_days ---

def days_ago(world, days):
    return world.generator.tiny(date=datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days))


def test_what_production_cleans_up_by_age_does_not_count(world):
    """More than any limit allows, but all of it older than the store keeps messages."""
    mailbox = "5021"
    target = world.mirrored("cleaned", mailbox, {INBOX: [*(days_ago(world, 11) for _ in range(60)), days_ago(world, 1)]})
    delete(world.production, mailbox, "INBOX", "1:60")
    world.product.wait_equal(world.production, target, mailbox)
    assert world.product.sql("SELECT COUNT(*) FROM plan") == [["0"]]


def test_what_the_target_cleans_up_by_age_is_not_copied_again(world):
    mailbox = "5022"
    target = world.mirrored("cleaned", mailbox, {INBOX: [days_ago(world, 11), days_ago(world, 1), days_ago(world, 1)]})
    changes = Changes(target)
    delete(target, mailbox, "INBOX", "1:2")
    world.product.sync(mailbox, exit=1)
    world.product.wait_mirror(lambda mirror: mirror["messages"]["missing"] == 1, mailbox, "cleaned")
    assert changes.of(mailbox) == 1, "the newer one came back"
    assert "retention_days" in world.product.ctl("why", mailbox).out
