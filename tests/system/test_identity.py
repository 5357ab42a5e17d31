"""Which message is which, when UIDs do not tell: what an earlier copy left on the target, UIDVALIDITY changed or UIDNEXT
gone back on either side, strangers, what somebody deletes on the target, keywords that it does not keep. Each time only
true differences move: Dovecot's own log of changes on the target says how many. And what holds up neither the other
messages nor the other folders: bodies, flags and names that a server makes trouble with."""
import re
import subprocess

import pytest

from mirrored import (Changes, Mirrored, Options, assert_equal, change, changing_commands, delete, folders, free_port,
                      listeners, read_mailbox, site, told, wait_for)
from standin.dovecot import Dovecot
from standin.product import Product, bin_directory
from standin.proxy import Filter, Proxy
from standin.voicemail import INBOX, Generator, Message

TOO_LONG = "$Keyword-Of-Thirty-Characters."  # a little more than the target keeps


BODY_OF_2 = rb"UID FETCH 2 .*BODY\.PEEK\[\].*"
NOTHING = b"NOOP"  # answered OK, and nothing is told
REFUSED = b"STATUS nowhere (MESSAGES)"  # answered NO


class Stubborn(Filter):
    """A server that says something else to some commands: {what one looks like: the command that it hears instead}."""
    instead = {}

    def _one_command(self, line, *more):
        for pattern, heard in self.instead.items():
            line = re.sub(rb"^(\S+) " + pattern + rb"\r\n$", rb"\1 " + heard + b"\r\n", line)
        return super()._one_command(line, *more)


class World:
    """Two Dovecots that keep Maildirs, so that their files can be tampered with."""

    def __init__(self):
        self.ports = [free_port(), free_port(), free_port()]
        self.production = Dovecot(storage="maildir", delimiter="/", extra=listeners(self.ports[0]))
        self.target = Dovecot(storage="maildir", delimiter=".", quota="100k",
                              extra="mail_max_keyword_length = 25\nplugin {\n  quota_vsizes = yes\n}\n"
                              + listeners(*self.ports[1:]))
        self.generator = Generator(41, scale=0.02)

    def __enter__(self):
        self.production.start()
        self.target.start()
        sites = {"production": site("production", self.production), "dr": site("dr", self.target)}
        for name, server, port in zip(("old", "old-dr"), (self.production, self.target), self.ports):
            sites[name] = site(name, server, port=port, disable_capabilities=["CONDSTORE"])
        self.stubborn = Stubborn(self.production.host, self.production.port)
        self.stubborn_target = Stubborn(self.target.host, self.target.port)
        sites["odd"] = site("odd", self.production, port=self.stubborn.port)
        sites["odd-dr"] = site("odd-dr", self.target, port=self.stubborn_target.port)
        sites["poor-dr"] = site("poor-dr", self.target, port=self.ports[2], disable_capabilities=["UIDPLUS"])
        sites["self"] = site("self", self.production, host="localhost")
        secrets = {f"{name}.secret": self.production.password for name in sites}
        routes = {"dr": ("production", "dr"), "old": ("old", "old-dr"), "odd": ("odd", "odd-dr"), "poor": ("production", "poor-dr"),
                  "self": ("production", "self")}
        product = Mirrored(sites, routes, secrets=secrets)
        next(route for route in product.config["routes"] if route["name"] == "odd")["folders"] = {
            "rename": [{"from": "Twin", "to": "Saved"}]}
        product.write_config()
        self.product = product.start()
        return self

    def __exit__(self, kind, *_):
        self.product.__exit__(kind)
        self.stubborn.stop()
        self.stubborn_target.stop()
        self.production.discard()
        self.target.discard()

    def tiny(self, *flags, **more):
        return self.generator.tiny(flags=flags, **more)

    def mirrored(self, mailbox, count=5, folder=INBOX, route="dr"):
        """A mailbox with messages, equal on both sides; returns the messages, and the changes on the target since."""
        messages = [self.tiny(*(("\\Seen", "Urgent") if index % 2 else ())) for index in range(count)]
        self.production.fill(mailbox, {folder: messages})
        self.product.add(route, mailbox)
        self.product.sync(mailbox)
        assert_equal(self.production, self.target, mailbox)
        return messages, Changes(self.target)


@pytest.fixture(scope="module")
def world():
    with World() as world:
        yield world


def renumber(server, mailbox, without=()):
    """As if INBOX was restored from a backup: UIDs are dealt out anew from 1 on, under the same UIDVALIDITY. Messages
    named by their place in the order of arrival (from 0) are missing in it."""
    with server.wire(mailbox) as wire:
        uidvalidity = next(int(answer[2][1]) for answer in wire.run("STATUS INBOX (UIDVALIDITY)")[1]
                           if answer[0] == b"STATUS")
    root = server.mail_directory(mailbox) / "Maildir"
    uidlist = [line.split(" :")[-1] for line in (root / "dovecot-uidlist").read_text().splitlines()[1:]]
    for place in without:
        for path in root.glob(f"*/{uidlist[place]}*"):
            path.unlink()
    for path in [*root.glob("dovecot-uidlist*"), *root.glob("dovecot.index*")]:
        path.unlink()
    server.doveadm("mailbox", "update", "-u", mailbox, "--uid-validity", uidvalidity, "INBOX")


def uids(server, mailbox):
    return [message.uid for message in read_mailbox(server.endpoint(), mailbox)[INBOX]]


# --- adoption ---

def test_what_an_earlier_copy_left_is_adopted(world):
    """Also two equal messages, of which one was copied; and what is not on production is a stranger, left alone."""
    mailbox = "5101"
    messages = [world.tiny("\\Seen"), world.tiny("Urgent"), world.tiny(), world.tiny()]
    twin = messages[0]
    again = Message(twin.data, (), twin.date)
    world.production.fill(mailbox, {INBOX: [*messages, again]})
    # The same header and date with another body is another message.
    alike = Message(messages[3].data[:-8] + b"other!\r\n", (), messages[3].date)
    world.target.fill(mailbox, {INBOX: [twin, Message(messages[1].data, ("\\Flagged", "Old"), messages[1].date), alike,
                                        world.tiny()]})
    changes = Changes(world.target)
    world.product.add("dr", mailbox)
    world.product.sync(mailbox)
    assert changes.of(mailbox) == 3
    assert changes.of(mailbox, "expunge") == 0
    counted = world.product.counted(mailbox)
    assert (counted["source"], counted["target"], counted["foreign"]) == (5, 7, 2)
    found = told(world.production, world.target, [mailbox], Options(ignore_order=True))
    assert [line[-20:] for line in found.splitlines()[1:]] == [" is not on production"[-20:]] * 2, found
    changes.seen()
    world.product.sync(mailbox)
    assert changes.now() == []


def test_foreign_messages_are_left_alone_and_counted(world):
    mailbox = "5102"
    _, changes = world.mirrored(mailbox)
    world.target.deliver(mailbox, "INBOX", world.tiny("\\Seen", "Theirs"), world.tiny())
    change(world.target, mailbox, "INBOX", "STORE", "1", "+FLAGS", "(Theirs)")
    changes.seen()
    world.production.deliver(mailbox, "INBOX", world.tiny())
    world.product.wait_mirror(lambda mirror: mirror["messages"]["source"] == 6 and mirror["state"] == "equal", mailbox)
    assert changes.now() == [(mailbox, "save")]
    assert world.product.counted(mailbox)["foreign"] == 2
    assert "we did not put there" in world.product.ctl("why", mailbox).out
    theirs = read_mailbox(world.target.endpoint(), mailbox)[INBOX]
    assert len(theirs) == 8 and "theirs" in theirs[0].keywords and "theirs" in theirs[5].keywords


# --- UIDVALIDITY and UIDNEXT ---

@pytest.mark.parametrize("side, mailbox", [("production", "5111"), ("target", "5112")])
def test_uidvalidity_changed(world, side, mailbox):
    """By the server's own tool; then flags still find their message."""
    _, changes = world.mirrored(mailbox)
    server = getattr(world, side)
    server.doveadm("mailbox", "update", "-u", mailbox, "--uid-validity", 77, "INBOX")
    changes.seen()
    world.product.sync(mailbox)
    change(world.production, mailbox, "INBOX", "STORE", str(uids(world.production, mailbox)[2]), "+FLAGS", "(\\Flagged Urgent)")
    world.product.sync(mailbox)
    assert_equal(world.production, world.target, mailbox)
    assert {event for _, event in changes.now()} == {"flag_change"} and len(changes.now()) <= 2
    assert world.product.counted(mailbox)["gone"] == 0


def test_a_folder_made_again_on_production(world):
    """Deleted, and restored bit by bit while the copiers look: nothing is copied twice; what is gone is held, and is not any
    more when it is there again."""
    mailbox = "5113"
    messages, changes = world.mirrored(mailbox, folder=("Saved",))
    folders(world.production, mailbox, ("delete", "Saved"), ("create", "Saved"))
    for place, message in enumerate(messages):
        world.product.sync(mailbox, exit=1)
        assert world.product.counted(mailbox)["held"] == len(messages) - place
        world.production.deliver(mailbox, "Saved", message)
    world.product.sync(mailbox)
    assert changes.of(mailbox) == 0
    assert_equal(world.production, world.target, mailbox)
    assert world.product.ctl("held", "list").exit == 0


def test_a_folder_made_again_on_the_target(world):
    """Empty: what vanished is copied again, once."""
    mailbox = "5114"
    messages, changes = world.mirrored(mailbox, folder=("Saved",))
    folders(world.target, mailbox, ("delete", "Saved"))
    world.product.sync(mailbox)
    assert changes.of(mailbox) == len(messages)
    assert_equal(world.production, world.target, mailbox)
    # Somebody put the messages back under new UIDs: they are known.
    folders(world.target, mailbox, ("delete", "Saved"), ("create", "Saved"))
    world.target.deliver(mailbox, "Saved", *messages)
    changes.seen()
    world.product.sync(mailbox)
    assert changes.of(mailbox) == 0
    assert_equal(world.production, world.target, mailbox)


def test_uidnext_gone_back_on_the_target(world):
    """Recorded UIDs name strangers there: the first message is missing, the second has its UID."""
    mailbox = "5121"
    _, changes = world.mirrored(mailbox)
    renumber(world.target, mailbox, without=[0])
    assert uids(world.target, mailbox) == [1, 2, 3, 4]
    changes.seen()
    change(world.production, mailbox, "INBOX", "STORE", "2", "+FLAGS", "(\\Flagged)")
    world.product.sync(mailbox)
    assert changes.of(mailbox) == 1
    assert_equal(world.production, world.target, mailbox, ignore_order=True)
    assert world.product.counted(mailbox)["late"] > 0


def test_uidnext_gone_back_on_production(world):
    """As after a restore: a new message has the UID of an old one, and UIDNEXT is higher than ever. The site's breaker trips;
    what is new is copied meanwhile, and flags follow once a person said that all is well."""
    mailbox = "5122"
    _, changes = world.mirrored(mailbox)
    renumber(world.production, mailbox, without=[0])
    world.production.deliver(mailbox, "INBOX", world.tiny("\\Answered"), world.tiny())
    assert uids(world.production, mailbox) == [1, 2, 3, 4, 5, 6]
    change(world.production, mailbox, "INBOX", "STORE", "3", "+FLAGS", "(\\Flagged)")
    world.product.wait_mirror(lambda mirror: mirror["state"] == "held" and mirror["messages"]["gone"] == 1, mailbox)
    assert changes.of(mailbox) == 2 and changes.of(mailbox, "flag_change") == 0
    plan = world.product.ctl("held", "list", "--json").json["held"][0]
    assert plan["kind"] == "site" and mailbox in plan["reason"]
    world.product.ctl("held", "allow", plan["id"], "--reason", "restored on purpose").ok()
    world.product.wait_mirror(lambda mirror: mirror["messages"]["held"] == 1 and changes.of(mailbox, "flag_change") >= 1, mailbox)
    found = told(world.production, world.target, [mailbox], Options(ignore_order=True))
    assert found.startswith("NOT equal: 1 difference in") and "not on production" in found, found
    counted = world.product.counted(mailbox)
    assert (counted["source"], counted["target"], counted["gone"], counted["held"], counted["foreign"]) == (6, 7, 0, 1, 0)


# --- what somebody does on the target ---

def test_flags_changed_on_the_target_are_put_right(world):
    """Production's system flags count; keywords that others set stay."""
    mailbox = "5131"
    world.mirrored(mailbox)
    change(world.target, mailbox, "INBOX", "STORE", "1", "+FLAGS", "(\\Seen \\Flagged)")
    change(world.target, mailbox, "INBOX", "STORE", "2", "-FLAGS", "(\\Seen Urgent)")
    change(world.target, mailbox, "INBOX", "STORE", "3", "+FLAGS", "(Theirs)")
    world.product.sync(mailbox)
    assert_equal(world.production, world.target, mailbox, ignore_keywords=("Theirs",))
    assert "theirs" in read_mailbox(world.target.endpoint(), mailbox)[INBOX][2].keywords


def test_what_somebody_deletes_on_the_target_is_copied_again_once(world):
    mailbox = "5132"
    _, changes = world.mirrored(mailbox)
    delete(world.target, mailbox, "INBOX", "2")
    changes.seen()
    world.product.sync(mailbox)
    assert changes.of(mailbox) == 1
    assert_equal(world.production, world.target, mailbox, ignore_order=True)
    delete(world.target, mailbox, "INBOX", "6")
    changes.seen()
    world.product.sync(mailbox, exit=1)
    world.product.sync(mailbox, exit=1)
    assert changes.now() == []
    assert world.product.counted(mailbox)["missing"] == 1
    assert "vanished from the target" in world.product.ctl("why", mailbox).out


def test_what_was_marked_deleted_and_is_cleaned_up_there_is_not_copied_again(world):
    mailbox = "5133"
    world.mirrored(mailbox)
    change(world.production, mailbox, "INBOX", "STORE", "3", "+FLAGS", "(\\Deleted)")
    world.product.sync(mailbox)
    change(world.target, mailbox, "INBOX", "EXPUNGE")
    changes = Changes(world.target)
    world.product.sync(mailbox, exit=1)
    assert changes.now() == []
    assert "gone from the target" in world.product.ctl("why", mailbox).out


def test_a_verify_finds_what_nothing_shows(world):
    """Without CONDSTORE a flag changed on the target changes no figure; a verify lists both sides, and it is put right."""
    mailbox = "5134"
    world.mirrored(mailbox, route="old")
    change(world.target, mailbox, "INBOX", "STORE", "2", "-FLAGS", "(Urgent)")
    result = world.product.ctl("verify", "--wait", mailbox)
    assert result.exit == 1, result
    world.product.wait_equal(world.production, world.target, mailbox)
    assert world.product.ctl("verify", "--deep", "--wait", mailbox).exit == 0


def test_a_verify_tells_second_copies_and_not_strangers(world):
    mailbox = "5135"
    messages, changes = world.mirrored(mailbox)
    world.target.deliver(mailbox, "INBOX", world.tiny())
    assert world.product.ctl("verify", "--wait", mailbox).exit == 0
    world.target.deliver(mailbox, "INBOX", messages[1])
    changes.seen()
    assert world.product.ctl("verify", "--wait", mailbox).exit == 1
    assert "INBOX: the target's message 7 is a second copy of a mirrored one" in world.product.ctl("why", mailbox).out
    assert changes.of(mailbox, "expunge") == 0


def test_short_turns_come_to_an_end(world):
    """Looking at INBOX alone takes longer than a turn: later folders have their turn all the same, and a deep verify ends."""
    mailbox = "5136"
    world.production.fill(mailbox, {INBOX: [world.tiny() for _ in range(4)], ("A",): [world.tiny()],
                                    ("B",): [world.tiny(), world.tiny()], ("C",): [world.tiny()]})
    with Proxy(world.production.host, world.production.port, delay_ms=15) as far, \
            Mirrored({"production": site("production", world.production, port=far.port), "dr": site("dr", world.target)},
                     {"dr": ("production", "dr")}, copiers=1, copy={"turn_seconds": 0.1, "batch_messages": 1},
                     secrets={f"{name}.secret": world.production.password for name in ("production", "dr")}) as product:
        product.add("dr", mailbox)
        product.sync(mailbox)
        assert_equal(world.production, world.target, mailbox)
        assert product.ctl("verify", "--deep", "--wait", mailbox).exit == 0
        assert product.sql("SELECT COUNT(*), SUM(target_sha256 = raw_sha256) FROM message") == [["8", "8"]]
        turns = len(re.findall(r"copier.*turn done", product.log()))
        assert turns > 8, product.log_tail(40)


def test_only_equal_bytes_are_taken_for_a_late_copy(world):
    """Header, date and size are those of a message whose APPEND may still come true: another body is somebody's own (I5)."""
    mailbox = "5137"
    messages, changes = world.mirrored(mailbox)
    first = messages[0]
    alike = Message(first.data[:-8] + b"other!\r\n", (), first.date)
    world.product.sql("INSERT INTO intent (folder_id, source_uidvalidity, source_uid, internal_date, size_bytes, header_sha256,"
                      " flags, target_uidvalidity, target_uidnext, lease_epoch, state, created_at, ghost_until)"
                      " SELECT folder_id, source_uidvalidity, source_uid, internal_date, size_bytes, header_sha256, '',"
                      " target_uidvalidity, 1, 0, 'ghost', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL 1 HOUR"
                      " FROM message JOIN folder USING (folder_id) JOIN mirror USING (mirror_id) JOIN mailbox USING (mailbox_id)"
                      f" WHERE number = '{mailbox}' AND source_uid = 1")
    world.target.deliver(mailbox, "INBOX", alike)
    changes.seen()
    world.product.sync(mailbox)
    assert changes.now() == [] and world.product.counted(mailbox)["foreign"] == 1
    world.target.deliver(mailbox, "INBOX", first)
    world.product.sync(mailbox)
    assert changes.of(mailbox, "expunge") == 1
    assert world.product.counted(mailbox)["foreign"] == 1 and len(uids(world.target, mailbox)) == 6


def test_renamed_to_a_name_that_the_target_has(world):
    """It is mirrored as a new folder, beside what is there; the others go on."""
    mailbox = "5138"
    _, changes = world.mirrored(mailbox, folder=("A",))
    folders(world.target, mailbox, ("create", "B"))
    world.target.deliver(mailbox, "B", world.tiny())
    changes.seen()
    folders(world.production, mailbox, ("rename", "A", "B"))
    world.production.deliver(mailbox, "INBOX", world.tiny())
    world.product.wait_mirror(lambda mirror: mirror["state"] == "deleting" and mirror["messages"]["foreign"] == 1, mailbox)
    assert changes.of(mailbox) == 6 and changes.of(mailbox, "expunge") == 0
    here, there = (read_mailbox(server.endpoint(), mailbox) for server in (world.production, world.target))
    assert len(there[INBOX]) == 1 and len(there[("B",)]) == len(here[("B",)]) + 1 == 6


def test_a_folder_that_cannot_be_mirrored_keeps_no_other_waiting(world):
    """Two would become one on the target: one of them waits, by name; INBOX does not."""
    mailbox = "5139"
    world.production.fill(mailbox, {INBOX: [world.tiny()], ("Saved",): [world.tiny()], ("Twin",): [world.tiny()]})
    world.product.add("odd", mailbox)
    for count in 1, 2:
        wait_for(lambda count=count: len(read_mailbox(world.target.endpoint(), mailbox).get(INBOX, [])) == count, 15,
                 lambda: f"{count} in INBOX:\n{world.product.log_tail(30)}")
        world.product.wait_mirror(lambda mirror: mirror["state"] == "failing", mailbox, "odd")
        world.production.deliver(mailbox, "INBOX", world.tiny())
    assert "would both become Saved" in world.product.mirror(mailbox, "odd")["error"]["text"]
    assert len(read_mailbox(world.target.endpoint(), mailbox)[("Saved",)]) == 1
    world.product.ctl("mailbox", "remove", mailbox).ok()


# --- messages and flags that a server makes trouble with ---

def test_a_body_that_production_does_not_give(world):
    """Named, tried again after a while, and never in the way of the others."""
    mailbox = "5145"
    world.production.fill(mailbox, {INBOX: [world.tiny() for _ in range(3)]})
    world.stubborn.instead = {BODY_OF_2: NOTHING}
    world.product.add("odd", mailbox)
    world.product.sync(mailbox, exit=1)
    assert world.product.counted(mailbox, "odd")["refused"] == 1
    assert "does not give its body" in world.product.ctl("why", mailbox).out
    asked = len(world.stubborn.commands)
    world.product.sync(mailbox, exit=1)
    assert not [line for line in world.stubborn.commands[asked:] if "BODY.PEEK[]" in line or "NOOP" in line]
    world.stubborn.instead = {}
    world.product.sql("UPDATE message SET next_try_at = NULL WHERE state = 'refused'")
    world.product.sync(mailbox)
    assert_equal(world.production, world.target, mailbox, ignore_order=True)


def test_a_body_that_the_target_cannot_read(world):
    """It is known by header, date and size when UIDs count no more; a deep verify names it."""
    mailbox = "5146"
    _, changes = world.mirrored(mailbox, route="odd")
    world.stubborn_target.instead = {BODY_OF_2: REFUSED}
    world.target.doveadm("mailbox", "update", "-u", mailbox, "--uid-validity", 77, "INBOX")
    changes.seen()
    world.product.sync(mailbox)
    assert changes.of(mailbox) == 0
    assert world.product.ctl("verify", "--deep", "--wait", mailbox).exit == 1
    assert "message 2: the bytes differ, or cannot be read" in world.product.ctl("why", mailbox).out
    world.stubborn_target.instead = {}
    assert world.product.ctl("verify", "--deep", "--wait", mailbox).exit == 0
    assert_equal(world.production, world.target, mailbox)


def test_a_flag_that_the_target_does_not_clear(world):
    """Not equal, by name, and not written again and again."""
    mailbox = "5147"
    world.mirrored(mailbox, route="odd")
    world.stubborn_target.instead = {rb"UID STORE \S+ -FLAGS.*": REFUSED}
    change(world.production, mailbox, "INBOX", "STORE", "2", "-FLAGS", "(\\Seen)")
    change(world.production, mailbox, "INBOX", "STORE", "2", "+FLAGS", "(\\Flagged)")
    world.product.sync(mailbox, exit=1)
    assert world.product.mirror(mailbox, "odd")["refused_keywords"] == "\\Seen"
    asked = len(world.stubborn_target.commands)
    world.product.sync(mailbox, exit=1)
    change(world.target, mailbox, "INBOX", "STORE", "1", "+FLAGS", "(Theirs)")
    world.product.sync(mailbox, exit=1)
    assert not [line for line in world.stubborn_target.commands[asked:] if "UID STORE" in line]
    world.stubborn_target.instead = {}
    change(world.production, mailbox, "INBOX", "STORE", "2", "+FLAGS", "(\\Seen)")
    world.product.sync(mailbox)
    assert world.product.mirror(mailbox, "odd")["refused_keywords"] == ""
    change(world.production, mailbox, "INBOX", "STORE", "2", "-FLAGS", "(\\Seen)")
    world.product.sync(mailbox)
    assert_equal(world.production, world.target, mailbox, ignore_keywords=("Theirs",))


# --- what the target refuses ---

def test_a_message_that_the_target_refuses(world):
    """The mailbox is too small for it: the others are there, it is listed in the server's words, and not sent at every look."""
    mailbox = "5140"
    world.production.fill(mailbox, {INBOX: [world.tiny(), world.tiny(size=150000), world.tiny("\\Seen")]})
    world.product.add("dr", mailbox)
    world.product.sync(mailbox, exit=1)
    assert world.product.counted(mailbox)["refused"] == 1
    assert "OVERQUOTA" in world.product.ctl("why", mailbox).out
    assert len(uids(world.target, mailbox)) == 2
    count = len(changing_commands(world.target))
    world.product.sync(mailbox, exit=1)
    assert changing_commands(world.target)[count:] == []



def test_a_keyword_that_the_target_refuses(world):
    """Not equal, by name; the message and its other keywords are there; it is not written again and again."""
    mailbox = "5141"
    world.production.fill(mailbox, {INBOX: [world.tiny("\\Seen", "Urgent", TOO_LONG), world.tiny("Urgent")]})
    world.product.add("dr", mailbox)
    world.product.sync(mailbox, exit=1)
    world.product.wait_mirror(lambda mirror: mirror["state"] == "not equal", mailbox)
    assert world.product.mirror(mailbox)["refused_keywords"] == TOO_LONG
    assert TOO_LONG in world.product.ctl("why", mailbox).out
    assert_equal(world.production, world.target, mailbox, ignore_keywords=(TOO_LONG,))
    change(world.production, mailbox, "INBOX", "STORE", "2", "+FLAGS", f"({TOO_LONG} \\Flagged)")
    world.product.sync(mailbox, exit=1)
    assert_equal(world.production, world.target, mailbox, ignore_keywords=(TOO_LONG,))
    count = len(changing_commands(world.target))
    world.product.sync(mailbox, exit=1)
    world.product.sync(mailbox, exit=1)
    assert changing_commands(world.target)[count:] == []
    # Without it all is well.
    change(world.production, mailbox, "INBOX", "STORE", "1:2", "-FLAGS", f"({TOO_LONG})")
    world.product.sync(mailbox)
    assert_equal(world.production, world.target, mailbox)
    assert world.product.mirror(mailbox)["refused_keywords"] == ""


# --- the end of a subscription ---

@pytest.mark.parametrize("route", ["dr", "poor"])
def test_copies_go_when_a_person_asks(world, route):
    """Just ours, from the target just of that mailbox; production is not even looked at for it. Subscribed again, all is
    mirrored anew."""
    mailbox = "5151" if route == "dr" else "5152"
    ours = [world.tiny("\\Seen"), world.tiny("Urgent"), world.tiny()]
    world.production.fill(mailbox, {INBOX: ours, ("Saved",): [world.tiny()]})
    world.product.add(route, mailbox)
    world.product.sync(mailbox)
    stranger = world.tiny("\\Flagged")
    world.target.deliver(mailbox, "INBOX", stranger)
    changes = Changes(world.production)
    world.product.ctl("mailbox", "remove", mailbox, "--with-copies").ok()
    wait_for(lambda: (mailbox, route) not in world.product.mirrors(), 20,
             lambda: f"{mailbox} leaves the list\n{world.product.log_tail(30)}")
    left = read_mailbox(world.target.endpoint(), mailbox)
    assert {name: len(messages) for name, messages in left.items()} == {INBOX: 1, ("Saved",): 0}
    assert changes.now() == []
    assert world.product.ctl("mailbox", "show", mailbox).exit != 0
    world.product.add(route, mailbox)
    world.product.sync(mailbox)
    assert world.product.counted(mailbox, route)["foreign"] == 1
    assert len(uids(world.target, mailbox)) == 4


def test_copies_wait_where_removing_would_take_a_stranger_along(world):
    """Without UIDPLUS an EXPUNGE takes all that is marked."""
    mailbox = "5153"
    world.production.fill(mailbox, {INBOX: [world.tiny(), world.tiny()]})
    world.product.add("poor", mailbox)
    world.product.sync(mailbox)
    world.target.deliver(mailbox, "INBOX", world.tiny("\\Deleted"))
    world.product.ctl("mailbox", "remove", mailbox, "--with-copies").ok()
    world.product.wait_mirror(lambda mirror: "ours wait" in (mirror["error"] or {}).get("text", ""), mailbox, "poor")
    assert len(uids(world.target, mailbox)) == 3
    change(world.target, mailbox, "INBOX", "STORE", "3", "-FLAGS", "(\\Deleted)")
    wait_for(lambda: (mailbox, "poor") not in world.product.mirrors(), 30, "it leaves the list")
    assert len(uids(world.target, mailbox)) == 1


# --- one store at both ends ---

def test_a_route_with_one_store_at_both_ends_is_refused(world):
    config = dict(world.product.config)
    config["sites"] = [site("production", world.production), site("dr", world.production)]
    product = Product(config, secrets={"production.secret": "x", "dr.secret": "x"})
    done = subprocess.run([bin_directory() / "mirror-supervisor", "--config", product.config_file, "--check-config"],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0 and "are one store" in done.stderr, (done.returncode, done.stderr)


def test_two_names_of_one_store_are_found_out(world):
    """The configuration cannot tell; where the connections lead does. A mirror of itself would always look equal."""
    mailbox = "5151"
    world.production.deliver(mailbox, "INBOX", world.tiny())
    changes = Changes(world.production)
    world.product.add("self", mailbox)
    mirror = world.product.wait_mirror(lambda mirror: mirror["error"], mailbox, "self") and world.product.mirror(mailbox, "self")
    assert "are one store" in mirror["error"]["text"] and mirror["state"] == "failing"
    assert changes.now() == []


def test_nothing_was_complained_about_without_reason(world):
    # While its files are exchanged under its feet, the server may say less than it should.
    expected = ("UIDs count no more", "does not keep a flag", "message not mirrored", "mailbox=5122", "mailbox=5121",
                "are one store", "not encrypted.*site=self", "message not readable.*mailbox=5146", "mailbox=5139",
                "renamed folder is mirrored as a new one", "deletion held.*mailbox=5113", "mailbox=5153.*ours wait")
    assert world.product.complaints(*expected) == []
