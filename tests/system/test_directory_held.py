"""Entries that are gone from production in such numbers that the brake holds them: decided and carried out as that very set."""
import contextlib
import os
import signal

import ldap
import pytest

from helpers import wait_for
from invariants import broken
from standin import subscribers
from test_directory import World


def numbers_on(server):
    lines = server.search(server.people_dn, "(standinMailbox=*)", "standinMailbox").splitlines()
    return {int(line.split()[1]) for line in lines if line.startswith(b"standinMailbox: ")}


def classes_on(server):
    lines = server.search(server.cos_dn, "(standinCosNumber=*)", "standinCosNumber").splitlines()
    return {int(line.split()[1]) for line in lines if line.startswith(b"standinCosNumber: ")}


def plans(world):
    """{plan: (kind, state, {outcome: how many})}, by the product's own words."""
    found = world.product.ctl("held", "list", "--all", "--json").json["held"]
    return {plan["id"]: (plan["kind"], plan["state"], {name: count for name, count in plan["entries"].items()
                                                       if count and name != "total"}) for plan in found}


def await_plan(world, plan, kind, state, **outcomes):
    wait_for(lambda: plans(world).get(plan) == (kind, state, outcomes), 40,
             lambda: f"plan {plan} {kind} {state} {outcomes}: {plans(world)} {world.product.log_tail(12)}")


def state_of(world, number, kind="subscriber"):
    return next(((state, reason) for n, state, reason in world.states(kind) if n == str(number)), None)


def await_state(world, number, state, kind="subscriber"):
    wait_for(lambda: (state_of(world, number, kind) or [None])[0] == state, 40,
             lambda: f"{number} {state}: {state_of(world, number, kind)} {world.product.log_tail(12)}")


def await_rounds(world):
    """What could be done is done: two more lists of production, and what follows from them."""
    for _ in range(2):
        world.product.ctl("directory", "sync", "--wait", "--timeout", "40")


@contextlib.contextmanager
def at_once(world):
    """What is done to production meanwhile is seen by one list, not by halves."""
    world.product.ctl("pause", "dr").ok()
    wait_for(lambda: world.product.sql("SELECT lease_owner IS NULL FROM directory") == [["1"]], 20, "the end of the round")
    yield
    world.product.ctl("resume", "dr").ok()


def remove_classes(world, numbers):
    connection = world.production.admin()
    for number in numbers:
        connection.delete_s(f"standinCosNumber={number},{world.production.cos_dn}")
    connection.unbind_s()


def test_a_set_that_shrinks_and_never_grows():
    """One more goes while it is open, and one comes back: neither is removed when a person allows it. Then: what refuse does."""
    with World(numbers=range(1001, 1061)) as world:
        world.await_equal()
        ctl = world.product.ctl
        ctl("mailbox", "add", "1012").ok()
        leavers = range(1011, 1034)
        with at_once(world):
            world.remove(leavers)
        await_plan(world, 1, "subscribers", "held", open=23)
        assert numbers_on(world.target) == set(range(1001, 1061))

        listed, shown = ctl("held", "list"), ctl("held", "show", 1)
        assert listed.exit == shown.exit == 1
        assert "23 subscribers" in listed.out and "more than 20" in listed.out
        assert "23 subscribers gone from production, and left on dr" in " ".join(shown.out.split())
        assert all(f"{number} " in shown.out for number in leavers) and "mirrorctl held allow 1 --reason" in shown.out
        as_json = ctl("held", "show", 1, "--json").json
        assert {entry["number"] for entry in as_json["list"]} == {str(number) for number in leavers}
        assert all(entry["name"] and entry["dn"].endswith("o=backup") and entry["outcome"] == "open" for entry in as_json["list"])
        assert "mirrorctl held show 1" in ctl("directory", "list").out
        assert "mirrorctl held show 1" in " ".join(ctl("why", "1012").out.split())
        assert "23 of subscribers and COS in 1 plan" in ctl("status").out
        assert [plan["id"] for plan in ctl("held", "list", "--mailbox", "1012", "--json").json["held"]] == [1]
        assert ctl("held", "list", "--mailbox", "1002", "--json").json["held"] == []
        bulk = ctl("held", "allow", "--route", "dr", "--up-to", 9, "--reason", "all of it")
        assert bulk.exit == 1 and "nothing is held on route dr" in bulk.err

        world.remove([1040])
        await_plan(world, 2, "subscribers", "held", open=1)
        world.production.add([subscribers.subscriber(world.production.suffix, 1020, cos_number=subscribers_class(1020))])
        await_plan(world, 1, "subscribers", "held", open=22, back=1)
        assert ctl("directory", "diff").out.count("hold ") == 23

        allowed = ctl("held", "allow", 1, "--reason", "they moved to another house").ok()
        assert "ldapsync carries it out" in allowed.out
        await_plan(world, 1, "subscribers", "done", removed=22, back=1)
        assert numbers_on(world.target) == set(range(1001, 1061)) - set(leavers) | {1020}
        assert len(world.removals()) == 22
        again = ctl("held", "refuse", 1, "--reason", "no, wait")
        assert again.exit == 1 and "was allowed by" in again.err and "they moved to another house" in again.err

        ctl("held", "refuse", 2, "--reason", "she is on leave").ok()
        await_plan(world, 2, "subscribers", "refused", kept=1)
        assert "refused by" in state_of(world, 1040)[1]
        shown = ctl("directory", "list")
        assert shown.exit == 0 and "kept" in shown.out and ctl("held", "list").exit == 0
        await_rounds(world)
        assert state_of(world, 1040)[0] == "kept" and 1040 in numbers_on(world.target)

        dn, attributes = subscribers.subscriber(world.production.suffix, 1040, seed=99)
        world.production.add([(dn, attributes)])
        wait_for(lambda: ["1040", "waiting"] in [row[:2] for row in world.states()], 40, "another person with that number")
        assert "is kept: remove or renumber it there" in ctl("directory", "list").out
        world.remove([1040])
        wait_for(lambda: [row[1] for row in world.states() if row[0] == "1040"] == ["kept"], 40, "that he is gone again")

        world.remove([1041])
        wait_for(lambda: 1041 not in numbers_on(world.target), 40, "that one who leaves later is removed without a word")
        dn, attributes = subscribers.subscriber(world.production.suffix, 1040, seed=0, cos_number=3)
        world.production.add([(dn, {**attributes, "sn": [b"Married"]})])
        world.await_equal(40)
        await_state(world, 1040, "equal")
        assert sorted(plans(world)) == [1, 2]
        assert [line for line in broken(world.product.sql) if "plan" in line or "entry" in line] == []
        assert ["held allow 1", "they moved to another house"] in world.product.sql("SELECT what, detail FROM audit")


def subscribers_class(number, first=1001, classes=20):
    """As World gives them out."""
    return 1 + (number - first) % classes


def test_cos_have_a_plan_of_their_own_and_none_in_use_goes():
    """Allowed, the subscribers' stays held; of the COS the one that somebody has waits until he has another."""
    with World() as world:
        world.production.add([subscribers.cos(world.production.suffix, number) for number in range(101, 123)])
        world.await_equal(30)
        with at_once(world):
            remove_classes(world, [5, *range(101, 123)])
        await_plan(world, 1, "cos", "held", open=23)
        with at_once(world):
            world.remove(range(1011, 1033))
        await_plan(world, 2, "subscribers", "held", open=22)
        assert "COS" in world.product.ctl("held", "list").out
        world.product.ctl("held", "allow", 1, "--reason", "new numbering").ok()
        await_plan(world, 1, "cos", "allowed", open=1, removed=22)
        assert "still have this COS" in state_of(world, 5, "cos")[1]
        await_rounds(world)
        assert classes_on(world.target) == set(range(1, 21)) and len(numbers_on(world.target)) == 40
        connection = world.target.admin()
        found = connection.search_s(world.target.people_dn, ldap.SCOPE_SUBTREE, "(standinCos=5)", ["standinMailbox"])
        connection.unbind_s()
        users = [int(attributes["standinMailbox"][0]) for _, attributes in found]
        assert users and [number for number in users if number > 1032 or number < 1011]
        world.product.ctl("held", "allow", 2, "--reason", "they left").ok()
        await_plan(world, 2, "subscribers", "done", removed=22)
        for number in users:
            if number not in range(1011, 1033):
                world.change(number, {"standinCos": [b"6"]})
        await_plan(world, 1, "cos", "done", removed=23)
        assert classes_on(world.target) == set(range(1, 21)) - {5}
        world.await_equal(20)
        assert broken(world.product.sql) == []


@pytest.mark.parametrize("verb", ["allow", "refuse"])
def test_production_that_lists_nothing_at_all(verb):
    """So few that no limit would hold them. It is not removed, and not asked about again, before or after the answer."""
    numbers = set(range(1001, 1009))
    with World(numbers=sorted(numbers)) as world:
        world.await_equal()
        with at_once(world):
            world.remove(numbers)
        await_plan(world, 1, "subscribers", "held", open=8)
        await_rounds(world)
        assert numbers_on(world.target) == numbers
        assert "production lists no subscribers at all" in world.product.ctl("held", "show", 1).out
        world.product.ctl("held", verb, 1, "--reason", "as it is").ok()
        if verb == "allow":
            await_plan(world, 1, "subscribers", "done", removed=8)
            assert numbers_on(world.target) == set()
        else:
            await_plan(world, 1, "subscribers", "refused", kept=8)
            await_rounds(world)
            assert numbers_on(world.target) == numbers and plans(world).keys() == {1}
        assert broken(world.product.sql) == []


def kill_ldapsync(world):
    (pid,) = world.product.pids("mirror-ldapsync")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: world.product.pids("mirror-ldapsync") not in ([], [pid]), 60, "ldapsync, started again")


def asked_for(world, numbers):
    identities = [subscribers.subscriber("", number)[1]["standinId"][0].decode() for number in numbers]
    return any(identity in search.filter for search in world.production.searches() for identity in identities)


def test_killed_between_the_decision_and_the_removal():
    """Before production was asked once more; and with the first removal on its way to a target that does not answer."""
    with World(numbers=range(1001, 1081)) as world:
        world.await_equal()
        with at_once(world):
            world.remove(range(1011, 1036))
        await_plan(world, 1, "subscribers", "held", open=25)
        world.production.pause()
        world.product.ctl("held", "allow", 1, "--reason", "they left").ok()
        wait_for(lambda: world.product.sql("SELECT lease_owner IS NOT NULL FROM directory") == [["1"]], 20, "a round")
        kill_ldapsync(world)
        assert plans(world)[1][:2] == ("subscribers", "allowed") and world.removals() == []
        world.production.resume()
        await_plan(world, 1, "subscribers", "done", removed=25)

        with at_once(world):
            world.remove(range(1041, 1066))
        await_plan(world, 2, "subscribers", "held", open=25)
        world.target.pause()
        world.product.ctl("held", "allow", 2, "--reason", "they, too").ok()
        wait_for(lambda: asked_for(world, range(1041, 1066)), 60, lambda: f"the look for the first: {world.product.log_tail(12)}")
        kill_ldapsync(world)
        assert plans(world)[2] == ("subscribers", "allowed", {"open": 25})
        world.target.resume()
        await_plan(world, 2, "subscribers", "done", removed=25)
        assert numbers_on(world.target) == set(range(1001, 1081)) - set(range(1011, 1036)) - set(range(1041, 1066))
        assert world.product.sql("SELECT COUNT(*) FROM entry_removal") == [["0"]], "a person's word is not counted"
        world.await_equal()
        assert broken(world.product.sql) == []
