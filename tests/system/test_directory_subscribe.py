"""Subscribing from the directory: by filter and by range, as subscribers appear; on hold, not wiped, as they go."""
import json
import os
import signal

import pytest

from helpers import wait_for
from standin import subscribers
from test_directory import World
from test_directory_handover import add, bodies, entry, fill

FOLLOW = {"subscribe_filter": "(standinCos=2)"}  # numbers 1002, 1022: classes go round in steps of twenty


def mailboxes(world):
    return {row["number"]: row for row in json.loads(world.product.ctl("mailbox", "list", "--json").out)["mailboxes"]}


def states(world):
    return {number: row["mirrors"][0]["state"] for number, row in mailboxes(world).items()}


def await_states(world, expected, seconds=40):
    wait_for(lambda: states(world) == expected, seconds, lambda: f"{expected}: {states(world)} {world.product.log_tail(20)}")


class Following(World):
    """`filled` have messages before anybody can be subscribed: a mailbox that two make at once refuses one of them."""

    def __init__(self, filled, **choices):
        super().__init__(**choices)
        self.filled = filled

    def prepare(self):
        for number in self.filled:
            fill(self.mail[0], number, 2, seed=number)


def following(choices=None, numbers=(1002, 1022), **directory):
    return Following(numbers, directory=directory or FOLLOW, **(choices or {}))


@pytest.mark.parametrize("choices", [{}, {"size_limit": 15, "paging": "refused"}], ids=["pages", "size limit 15, no pages"])
def test_they_are_subscribed_as_they_appear_and_go_on_hold_as_they_go(choices):
    with following(choices) as world:
        production, target = world.mail
        await_states(world, {"1002": "equal", "1022": "equal"}, 60)
        wait_for(lambda: all(len(bodies(target, number)) == 2 for number in (1002, 1022)), 30, "their messages")
        assert all(bodies(target, number) == bodies(production, number) for number in (1002, 1022))
        assert mailboxes(world)["1002"]["cos"] == "2" and mailboxes(world)["1002"]["name"]
        assert "subscribed from the directory" in world.product.ctl("mailbox", "show", "1002").out
        # One appears, one changes his class, and is not to be mirrored any more.
        dn, attributes = subscribers.subscriber(world.production.suffix, 2001, cos_number=2)
        fill(production, 2001, 1, seed=2001)
        add(world.production, dn, attributes)
        before = bodies(target, 1022)
        world.change(1022, {"standinCos": [b"3"]})
        await_states(world, {"1002": "equal", "1022": "on hold", "2001": "equal"}, 60)
        fill(production, 1022, 1, seed=1)
        why = world.product.ctl("why", "1022")
        assert why.exit == 0 and "on hold" in why.out
        assert "on hold for " in world.product.ctl("mailbox", "show", "1022").out
        assert world.product.ctl("sync", "--wait").exit == 0
        assert bodies(target, 1022) == before and len(before) == 2
        # And back: what came meanwhile is mirrored.
        world.change(1022, {"standinCos": [b"2"]})
        await_states(world, {"1002": "equal", "1022": "equal", "2001": "equal"}, 60)
        wait_for(lambda: len(bodies(target, 1022)) == 3, 30, "what came while it was on hold")


def test_one_who_leaves_keeps_his_copies_and_one_renumbered_is_followed():
    with following() as world:
        target = world.mail[1]
        await_states(world, {"1002": "equal", "1022": "equal"}, 60)
        copies = bodies(target, 1002)
        world.remove([1002])
        world.change(1022, {"standinMailbox": [b"7022"]})
        fill(world.mail[0], 7022, 1, seed=7022)
        await_states(world, {"1002": "on hold", "1022": "on hold", "7022": "equal"}, 60)
        assert bodies(target, 1002) == copies and len(bodies(target, 7022)) == 1
        # On the real system the mailbox would go with its subscriber: he stays while it is on hold.
        world.await_listings(6)
        assert entry(world.target, 1002) and world.removals() == []
        assert "mailbox remove" in dict((row[0], row[2]) for row in world.states())["1002"]
        world.product.ctl("mailbox", "remove", "1002", "--with-copies", "--yes").ok()
        wait_for(lambda: "1002" not in mailboxes(world), 40, lambda: f"that it is removed {world.product.log_tail(20)}")
        assert bodies(target, 1002) == []
        world.await_equal(60)


def test_by_ranges_of_numbers_and_what_a_person_subscribed_is_his():
    with following(subscribe_numbers=["1004-1005", "9000-9999"], numbers=(1004, 1005, 1010)) as world:
        await_states(world, {"1004": "equal", "1005": "equal"}, 60)
        world.product.ctl("mailbox", "add", "1010", "--name", "mine").ok()
        await_states(world, {"1004": "equal", "1005": "equal", "1010": "equal"}, 40)
        world.reconfigure(subscribe_numbers=["1004-1004", "1010-1010"])
        await_states(world, {"1004": "equal", "1005": "on hold", "1010": "equal"}, 60)
        world.reconfigure(subscribe_numbers=["1004-1004"])
        world.await_listings(4)
        await_states(world, {"1004": "equal", "1005": "on hold", "1010": "equal"})
        assert mailboxes(world)["1010"]["name"] == "mine"


def test_a_list_that_is_empty_or_not_whole_changes_nothing():
    with following() as world:
        await_states(world, {"1002": "equal", "1022": "equal"}, 60)
        world.reconfigure(subscribe_filter="(standinCos=77)")
        world.await_listings(4)
        await_states(world, {"1002": "equal", "1022": "equal"})
        world.reconfigure(subscribe_filter="(standinCos=2)")
        world.production.kill()
        wait_for(lambda: world.product.sql("SELECT error <> '' FROM directory") == [["1"]], 60, "that it is said")
        await_states(world, {"1002": "equal", "1022": "equal"})
        world.production.start()
        world.product.ctl("directory", "sync", "--wait").ok()
        await_states(world, {"1002": "equal", "1022": "equal"})


def test_killed_in_the_middle_of_subscribing():
    with following(subscribe_numbers=["1001-1040"], numbers=(1001, 1040)) as world:
        for _ in range(4):
            pid = wait_for(lambda: world.product.pids("mirror-ldapsync"), 30, "ldapsync")[0]
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: pid not in world.product.pids("mirror-ldapsync"), 10, "its end")
        wait_for(lambda: len(mailboxes(world)) == 40, 60, lambda: f"all: {len(mailboxes(world))} {world.product.log_tail(20)}")
        assert world.product.sql("SELECT COUNT(*), COUNT(DISTINCT mailbox_id) FROM mirror") == [["40", "40"]]
        assert world.product.sql("SELECT COUNT(*) FROM look") == [["40"]]


def test_nothing_is_tried_before_its_owner_is_there():
    """A mailbox waits from its subscription on; with nobody of that number in the directory not for ever."""
    with World() as world:
        world.await_equal()
        world.target.pause()
        dn, attributes = subscribers.subscriber(world.production.suffix, 3001)
        fill(world.mail[0], 3001, 1)
        fill(world.mail[0], 3002, 1)
        add(world.production, dn, attributes)
        world.product.ctl("mailbox", "add", "3001").ok()
        assert world.product.sql("SELECT waits_for_owner FROM mirror") == [["1"]]
        world.target.resume()
        await_states(world, {"3001": "equal"}, 60)
        world.product.ctl("mailbox", "add", "3002").ok()
        await_states(world, {"3001": "equal", "3002": "equal"}, 60)
        assert entry(world.target, 3001)
        assert "No subscriber has this number" in world.product.ctl("why", "3002").out
        assert "No subscriber has this number" not in world.product.ctl("why", "3001").out


def test_it_waits_while_nothing_is_known_and_not_when_the_directory_is_taken_away():
    """Production's directory has never answered: nobody is logged in for; switched off, nobody is waited for."""
    with World(ldap_production={"bind_dn": "cn=nobody,o=production"}) as world:
        fill(world.mail[0], 1001, 1)
        world.product.ctl("mailbox", "add", "1001").ok()
        rounds = "SELECT lease_epoch FROM directory"
        begun = int(world.product.sql(rounds)[0][0])
        wait_for(lambda: int(world.product.sql(rounds)[0][0]) >= begun + 2, 40, "two rounds that fail")
        assert world.product.sql("SELECT waits_for_owner, claimed_at IS NULL FROM mirror") == [["1", "1"]]
        assert "no subscriber with this number is known yet" in world.product.ctl("why", "1001").out
        world.reconfigure(enabled=False)
        await_states(world, {"1001": "equal"}, 40)


def test_what_a_person_adds_is_his_from_then_on():
    with following() as world:
        await_states(world, {"1002": "equal", "1022": "equal"}, 60)
        world.change(1022, {"standinCos": [b"3"]})
        await_states(world, {"1002": "equal", "1022": "on hold"}, 60)
        world.product.ctl("mailbox", "add", "1022").ok()
        await_states(world, {"1002": "equal", "1022": "equal"}, 40)
        world.await_listings(4)
        await_states(world, {"1002": "equal", "1022": "equal"})


def test_a_filter_that_is_none_stops_nothing_else():
    with following(subscribe_filter="(&(standinCos=2)(standinCos))") as world:
        world.await_equal()
        wait_for(lambda: "to be subscribed" in (error := world.product.sql("SELECT error FROM directory")[0][0]) and "subscribe_filter (RFC 4515): (&" in error, 30, lambda: f"that it is said: {world.product.sql('SELECT error FROM directory')}")
        world.change(1003, {"sn": [b"Schmidt"]})
        world.await_equal()
        assert mailboxes(world) == {}
