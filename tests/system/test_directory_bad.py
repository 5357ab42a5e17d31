"""A directory that lies, breaks off or talks nonsense: said for its site or its entry, nothing removed, and equal once it behaves."""
import contextlib
import functools
from pathlib import Path

import ldap
import pytest

from helpers import wait_for
from standin import subscribers
from standin.ldap_relay import SUBTREE, Cut, LdapRelay, Silence, element, elements, ending, number, page_control, reference
from standin.slapd import SCHEMA
from test_directory import World

PATIENCE = {"answer_seconds": 2, "connect_seconds": 2}


class Relayed(World):
    """A relay stands before one of the directories."""

    def __init__(self, side="production", **choices):
        super().__init__(**choices)
        server = getattr(self, side)
        self.relay = LdapRelay(server)
        server.section = functools.partial(server.section, port=self.relay.port)

    def __exit__(self, *why):
        super().__exit__(*why)
        self.relay.__exit__()

    def error(self):
        return self.product.sql("SELECT error FROM directory")[0][0]

    @contextlib.contextmanager
    def lied_to(self, rule, words):
        """Until the route's error, and `status`, say the words; then the truth again, and equality, and nothing was removed."""
        self.await_equal(60)
        self.relay.rule = rule
        wait_for(lambda: words in self.error(), 40, lambda: f"{words!r} said: {self.error()!r} {self.product.log_tail(8)}")
        assert words in self.product.ctl("status").out
        yield
        self.relay.rule = None
        self.change(1001, {"description": [words.encode()]})
        self.await_equal(60)
        wait_for(lambda: self.error() == "", 60, "that nothing is wrong any more")
        assert self.removals() == []


def of_list(asked, told, kind):
    return asked.kind == "search" and asked.scope == SUBTREE and told.kind == kind


def dns_of(world, numbers):
    connection = world.production.admin()
    dns = {connection.search_s(world.production.people_dn, ldap.SCOPE_SUBTREE, f"(standinMailbox={each})", ["1.1"])[0][0]
           for each in numbers}
    connection.unbind_s()
    return dns


# --- listings -------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def relayed():
    with Relayed(ldap_production={**PATIENCE, "page_size": 10}) as made:
        yield made


def busy(asked, told):
    return [ending(asked, 51, "come later")] if of_list(asked, told, "done") else [told.raw]


def unavailable(asked, told):
    return [ending(asked, 52, "being backed up")] if of_list(asked, told, "done") else [told.raw]


def cut_in_an_entry(asked, told):
    if of_list(asked, told, "entry"):
        raise Cut(told.raw[:len(told.raw) // 2])
    return [told.raw]


def silent(asked, told):
    if of_list(asked, told, "entry"):
        raise Silence
    return [told.raw]


def nonsense(asked, told):
    return [b"HTTP/1.1 400 Bad Request\r\n\r\n"] if of_list(asked, told, "entry") else [told.raw]


def an_entry_of_4_gb(asked, told):
    return [b"\x30\x84\xff\xff\xff\xf0" + told.raw] if of_list(asked, told, "entry") else [told.raw]


def an_entry_that_is_none(asked, told):
    if not of_list(asked, told, "entry"):
        return [told.raw]
    return [element(0x30, number(asked.id) + element(0x64, b"\x04\x7fshort"))]


def elsewhere(asked, told):
    return [reference(asked), told.raw] if of_list(asked, told, "done") else [told.raw]


def always_too_much(asked, told):
    return [ending(asked, 11, "look-through limit")] if of_list(asked, told, "done") else (
        [] if of_list(asked, told, "entry") else [told.raw])


BREAKS = [(busy, "Server is busy (come later)"), (unavailable, "Server is unavailable (being backed up)"),
          (cut_in_an_entry, "connection lost"), (silent, "said nothing for 2 s"), (nonsense, "connection lost"),
          (an_entry_of_4_gb, "connection lost"), (an_entry_that_is_none, "not complete: an entry could not be read"),
          (elsewhere, "is at another server"), (always_too_much, "Administrative limit exceeded (look-through limit)")]


@pytest.mark.parametrize("rule, words", BREAKS, ids=[rule.__name__ for rule, _ in BREAKS])
def test_a_list_that_breaks_off(relayed, rule, words):
    with relayed.lied_to(rule, words):
        relayed.await_listings(1)


def leave_out(world, lost):
    """A rule; pages end after the first."""
    def lie(asked, told):
        if of_list(asked, told, "done") and told.controls:
            return [told.with_controls(page_control(0))]
        return [] if of_list(asked, told, "entry") and told.dn in lost else [told.raw]
    lost = dns_of(world, lost)
    return lie


HALF_WAY = "which is there: nothing is removed by them"


def test_a_list_that_ends_half_way_with_success(relayed):
    with relayed.lied_to(leave_out(relayed, range(1020, 1022)), HALF_WAY):
        relayed.await_listings(3)


def test_a_list_that_ends_half_way_without_pages():
    """Fifteen are left out again and again, too few for the brake: each is looked for before it would be removed."""
    with Relayed(ldap_production={"page_size": 0}) as world:
        with world.lied_to(leave_out(world, range(1020, 1035)), HALF_WAY):
            world.await_listings(3)
            assert world.removals() == []


def test_a_page_short_of_what_was_announced(relayed):
    def announces(asked, told):
        return [told.with_controls(page_control(500))] if of_list(asked, told, "done") and told.controls else [told.raw]

    def says_nothing_of_pages(asked, told):
        return [told.with_controls(b"")] if of_list(asked, told, "done") else [told.raw]
    with relayed.lied_to(announces, "fewer entries came than were announced"):
        pass
    with relayed.lied_to(says_nothing_of_pages, "a page came without its control"):
        pass


def test_a_server_that_dies_in_the_middle_of_a_list(relayed):
    died = []

    def dies(asked, told):
        if of_list(asked, told, "entry") and not died:
            died.append(True)
            relayed.production.kill()
        return [told.raw]
    with relayed.lied_to(dies, "connection lost"):
        relayed.production.start()


def test_a_truncated_present_list_of_syncrepl():
    """As ReOpenLDAP#70: the refresh ends with success and a cookie, and most of those present were not named."""
    with Relayed(syncprov=True) as world:
        world.await_equal()
        cut = []

        def truncates(asked, told):
            if asked.kind == "search" and b"1.3.6.1.4.1.4203.1.9.1.1" in asked.controls:
                if told.kind == "intermediate" or (told.kind == "entry" and len(elements(elements(told.body)[1][1])) == 0):
                    cut.append(told.kind)
                    return []
            return [told.raw]
        world.relay.rule = truncates
        world.remove([1040])
        wait_for(lambda: cut, 20, "a present list")
        wait_for(lambda: len(world.removals()) == 1, 30, "that the one who left goes, after whole lists")
        world.change(1002, {"sn": [b"After"]})
        world.await_equal()
        assert len(world.removals()) == 1


# --- the target -----------------------------------------------------------------------------------------------------

def test_a_target_that_lies():
    """Half a list of what is there; busy when written to; what was written not shown when it is read back."""
    with Relayed("target") as world:
        world.await_equal()
        lost = {dn.replace(world.production.suffix, world.target.suffix) for dn in dns_of(world, range(1010, 1030))}
        world.relay.rule = lambda asked, told: [] if of_list(asked, told, "entry") and told.dn in lost else [told.raw]
        world.compare_whole()
        world.relay.rule = None
        world.compare_whole()
        world.await_equal()
        world.relay.deny = lambda asked: ending(asked, 51, "audit is running") if asked.kind == "modify" else None
        world.change(1002, {"sn": [b"Busy"]})
        wait_for(lambda: "Server is busy (audit is running)" in world.error(), 20, lambda: f"busy: {world.error()}")
        world.relay.deny = None
        world.await_equal(60)
        hidden = dns_of(world, [1003]).pop().replace(world.production.suffix, world.target.suffix)
        written = []

        def forgets(asked, told):
            if told.kind == "modified":
                written.append(asked.dn)
            return [] if told.kind == "entry" and told.dn == hidden and hidden in written else [told.raw]
        world.relay.rule = forgets
        world.change(1003, {"sn": [b"Not shown"]})
        wait_for(lambda: "1003 missing it was written, and is not there" in [" ".join(row) for row in world.states()], 20,
                 lambda: f"1003: {[row for row in world.states() if row[0] == '1003']}")
        world.relay.rule = None
        world.await_equal(60)
        assert world.removals() == []


# --- single entries -------------------------------------------------------------------------------------------------

def add(server, dn, attributes):
    connection = server.admin()
    connection.add_s(dn, list(attributes.items()))
    connection.unbind_s()


def test_an_add_refused_for_a_licence_is_that_subscribers_own():
    words = "licence: 40 of 40 mailboxes are in use"
    with Relayed("target") as world:
        world.await_equal()
        dn, attributes = subscribers.subscriber(world.production.suffix, 2002)
        identity = attributes["standinId"][0].decode()
        world.relay.deny = lambda asked: ending(asked, 53, words) if asked.kind == "add" and identity in asked.dn else None
        add(world.production, dn, attributes)
        add(world.production, *subscribers.subscriber(world.production.suffix, 2003))
        wait_for(lambda: ["2003", "equal"] in [row[:2] for row in world.states()], 20, "2003")
        wait_for(lambda: ["2002", "missing"] in [row[:2] for row in world.states()], 20, "2002, missing")
        assert words in world.product.ctl("directory", "list").out
        world.relay.deny = None
        world.product.ctl("directory", "sync", "--wait").ok()
        world.await_equal()


def named(suffix, number, identity):
    """Whose DN is a name, that two may have."""
    _, attributes = subscribers.subscriber(suffix, number, identity=identity)
    return f"cn=Same Name,ou=People,{suffix}", {**attributes, "cn": [b"Same Name"]}


def test_a_name_clash_with_a_stranger_leaves_him_alone():
    with World() as world:
        world.await_equal()
        add(world.target, *named(world.target.suffix, 7001, "STRANGER"))
        add(world.production, *named(world.production.suffix, 3001, "U3001"))
        wait_for(lambda: ["3001", "missing"] in [row[:2] for row in world.states()], 20, lambda: f"3001: {world.product.log_tail(8)}")
        assert "on the target already, with another id and number" in world.product.ctl("directory", "list").out
        assert b"STRANGER" in world.target.search(world.target.people_dn, "(standinMailbox=7001)", "standinId")
        connection = world.target.admin()
        connection.delete_s(named(world.target.suffix, 7001, "STRANGER")[0])
        connection.unbind_s()
        world.product.ctl("directory", "sync", "--wait").ok()
        world.await_equal()


def test_a_dn_that_became_a_strangers_is_not_removed():
    """Gone from production; and before its turn came to be removed, somebody made another entry of that name on the target."""
    with World(directory={"delay_seconds": 4}) as world:
        dn, attributes = named(world.production.suffix, 3001, "U3001")
        add(world.production, dn, attributes)
        world.await_equal()
        world.await_settled()
        world.remove([3001])
        wait_for(lambda: world.product.sql("SELECT 1 FROM entry WHERE number = 3001 AND gone_listings >= 1"), 20, "that it is gone")
        connection = world.target.admin()
        connection.delete_s(dn.replace(world.production.suffix, world.target.suffix))
        connection.unbind_s()
        add(world.target, *named(world.target.suffix, 7001, "STRANGER"))
        wait_for(lambda: world.product.sql("SELECT 1 FROM entry WHERE number = 3001") == [], 30, "that nothing is left to do")
        assert "on the target it is another's by now" in world.product.log()
        assert b"STRANGER" in world.target.search(world.target.people_dn, "(standinMailbox=7001)", "standinId")


def schema(path, *changes):
    text = Path(SCHEMA).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def test_entries_that_break_the_other_sides_rules(tmp_path):
    """A value against the target's syntax, a class that it doesn't know, no number at all: each its own trouble."""
    ours = schema(tmp_path / "ours", ("MUST ( standinId $ standinMailbox $ standinCos )\n    MAY (",
                                      "MUST ( standinId $ standinCos )\n    MAY ( standinMailbox $"))
    with open(ours, "a", encoding="utf-8") as file:
        file.write("\nobjectClass ( standinClass:9 NAME 'standinExtra' DESC 'ours alone' SUP top AUXILIARY MAY description )\n")
    tz = "NAME 'standinTimeZone'\n    EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch\n    SYNTAX 1.3.6.1.4.1.1466.115.121.1.15"
    digits = "NAME 'standinTimeZone'\n    EQUALITY numericStringMatch\n    SYNTAX 1.3.6.1.4.1.1466.115.121.1.36"
    theirs = schema(tmp_path / "theirs", (tz, digits))
    with World(schema=ours, target={"schema": theirs}) as world:
        world.await_equal()
        _, attributes = subscribers.subscriber(world.production.suffix, 3002, identity="U3002")
        del attributes["standinMailbox"]
        add(world.production, f"standinId=U3002,{world.production.people_dn}", attributes)
        world.change(1002, {"standinTimeZone": [b"Mars/Olympus"]})
        world.change(1003, {"objectClass": [b"standinSubscriber", b"standinExtra"]})
        world.change(1004, {"sn": [b"Of no fault"]})
        wait_for(lambda: sorted(row[:2] for row in world.states() if row[1] != "equal") == [["1002", "differs"], ["1003", "differs"]],
                 20, lambda: f"two that differ: {[row for row in world.states() if row[1] != 'equal']}")
        reasons = {row[0]: row[2] for row in world.states()}
        assert "Invalid syntax" in reasons["1002"] and "standinTimeZone" in reasons["1002"], reasons["1002"]
        assert "objectClass" in reasons["1003"], reasons["1003"]
        wait_for(lambda: b"Of no fault" in world.target.search(world.target.people_dn, "(standinMailbox=1004)", "sn"), 20, "1004")
        wait_for(lambda: "has no standinMailbox" in str(world.product.sql("SELECT dn, words FROM directory_trouble")), 20,
                 "the one without a number")
        listed = world.product.ctl("directory", "list").out
        assert "U3002" in listed and "has no standinMailbox" in listed, listed
        assert world.removals() == []
