"""A number that became another person's (I10): the former one's messages are held, proven, and gone before he could hear them."""
import contextlib
import hashlib
import json
import mailbox
import os
import signal
import subprocess
from pathlib import Path

import ldap
import pytest

from helpers import wait_for
from standin.voicemail import Generator
from test_directory import World


def fill(store, number, count, seed=7):
    generator = Generator(seed, scale=0.02)
    store.deliver(str(number), "INBOX", *(generator.voicemail(str(number)) for _ in range(count)))


def clear(store, number):
    """As production does with a subscriber who leaves."""
    with store.imap(str(number)) as session:
        session.select("INBOX")
        session.store("1:*", "+FLAGS", "(\\Deleted)")
        session.expunge()


def entry(server, number):
    connection = server.admin()
    (found,) = connection.search_s(server.people_dn, ldap.SCOPE_SUBTREE, f"(standinMailbox={number})")
    connection.unbind_s()
    return found


def add(server, dn, attributes):
    connection = server.admin()
    connection.add_s(dn, list(attributes.items()))
    connection.unbind_s()


def swap(world, one, other):
    world.change(one, {"standinMailbox": [b"999999"]})
    world.change(other, {"standinMailbox": [b"%d" % one]})
    world.change(999999, {"standinMailbox": [b"%d" % other]})


@contextlib.contextmanager
def ldapsync_stopped(world):
    (pid,) = world.product.pids("mirror-ldapsync")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def bodies(store, number, folder="INBOX"):
    with store.imap(str(number)) as session:
        count = int(session.select(folder, readonly=True)[1][0])
        if count == 0:
            return []
        answer = session.fetch("1:*", "(BODY.PEEK[])")[1]
        return sorted(part[1] for part in answer if isinstance(part, tuple))


def held(place):
    """What any mail program finds there, by folder."""
    root = mailbox.Maildir(place, create=False)
    boxes = {"INBOX": root, **{name: root.get_folder(name) for name in root.list_folders()}}
    return {name: sorted(box.get_bytes(key) for key in box.keys()) for name, box in boxes.items()}


@pytest.fixture
def world():
    with World() as made:
        made.await_equal()
        yield made


def settle_1001(world, messages=3):
    """1001 is mirrored, its owner known."""
    fill(world.mail[0], 1001, messages)
    world.product.ctl("mailbox", "add", "1001").ok()
    wait_for(lambda: world.product.sql("SELECT target_messages, owner <> '' FROM mirror") == [[str(messages), "1"]], 40,
             lambda: f"mirrored: {world.product.sql('SELECT target_messages, owner FROM mirror')} {world.product.log_tail(20)}")


def handovers(world):
    return json.loads(world.product.ctl("directory", "handovers", "--json").out)


def test_the_former_ones_messages_are_held_and_the_new_one_hears_none(world):
    production, target = world.mail
    settle_1001(world)
    fill(target, 1001, 2, seed=99)  # what came in on the backup itself is his, too
    theirs = bodies(target, 1001)
    assert len(theirs) == 5
    with target.imap("1001") as session:
        session.select("INBOX")
        session.store("1", "+FLAGS", "(\\Seen $Important)")
    clear(production, 1001)
    world.succeed(1001)
    wait_for(lambda: [row["state"] for row in handovers(world)] == ["done"], 60,
             lambda: f"handed over: {world.product.sql('SELECT handing_over, waits_for_owner, error FROM mirror')} {world.product.log_tail(20)}")
    assert bodies(target, 1001) == []
    world.await_equal(30)
    (handover,) = handovers(world)
    assert handover["number"] == "1001" and handover["messages"] == 5
    assert held(handover["place"])["INBOX"] == theirs
    index = [json.loads(line) for line in (Path(handover["place"]) / "index.jsonl").read_text().splitlines()]
    assert sorted(entry["sha256"] for entry in index) == sorted(hashlib.sha256(body).hexdigest() for body in theirs)
    assert sum("$Important" in entry["flags"] and "\\Seen" in entry["flags"] for entry in index) == 1
    assert os.stat(handover["place"]).st_mode & 0o077 == 0
    # The mirror is the new one's: his messages arrive, and nothing counts as deleted from him.
    fill(production, 1001, 2, seed=55)
    wait_for(lambda: bodies(target, 1001) == bodies(production, 1001) != [], 40, "the new one's messages")
    why = world.product.ctl("why", "1001").out
    assert "former owner" in why and handover["place"] in why
    assert world.product.sql("SELECT COUNT(*) FROM removal") == [["0"]]


def test_no_room_no_new_one_until_there_is_a_place(world, tmp_path):
    target = world.mail[1]
    settle_1001(world)
    theirs = bodies(target, 1001)
    blocked = tmp_path / "not-a-directory"
    blocked.write_text("")
    world.reconfigure(hold_dir=str(blocked))
    clear(world.mail[0], 1001)
    world.succeed(1001)
    wait_for(lambda: "hold_dir" in world.product.ctl("why", "1001").out, 40, lambda: world.product.log_tail(20))
    assert str(blocked) in world.product.ctl("why", "1001").out
    assert bodies(target, 1001) == theirs
    assert ["1001", "waiting"] in [row[:2] for row in world.states()]
    place = tmp_path / "held"
    world.reconfigure(hold_dir=str(place))
    wait_for(lambda: bodies(target, 1001) == [], 60, lambda: f"handed over {world.product.log_tail(20)}")
    world.await_equal(30)
    assert [held(row["place"])["INBOX"] for row in handovers(world) if row["state"] == "done"] == [theirs]
    assert all(row["place"].startswith(str(place)) for row in handovers(world) if row["state"] == "done")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "small", place], check=False, capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root alone")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_is_said_and_waited_for(small_disk, world):
    target = world.mail[1]
    settle_1001(world)
    theirs = bodies(target, 1001)
    world.reconfigure(hold_dir=str(small_disk / "held"))
    clear(world.mail[0], 1001)
    world.succeed(1001)
    wait_for(lambda: "make room there" in world.product.ctl("why", "1001").out, 40, lambda: world.product.log_tail(20))
    assert "has room for 2 MiB" in (status := world.product.ctl("status").out) and str(small_disk) in status, status
    assert bodies(target, 1001) == theirs and ["1001", "waiting"] in [row[:2] for row in world.states()]
    subprocess.run(["mount", "-o", "remount,size=400m", small_disk], check=True)
    wait_for(lambda: bodies(target, 1001) == [], 60, lambda: f"handed over {world.product.log_tail(20)}")
    world.await_equal(30)
    assert [held(row["place"])["INBOX"] for row in handovers(world)] == [theirs]


def test_two_who_swap_their_numbers_keep_their_messages(world):
    production, target = world.mail
    fill(production, 1001, 3, seed=1)
    fill(production, 1002, 2, seed=2)
    world.product.ctl("mailbox", "add", "1001").ok()
    world.product.ctl("mailbox", "add", "1002").ok()
    wait_for(lambda: world.product.sql("SELECT target_messages, owner <> '' FROM mirror ORDER BY mailbox_id") == [["3", "1"], ["2", "1"]],
             40, "both mirrored")
    swap(world, 1001, 1002)
    wait_for(lambda: sorted(row["state"] for row in handovers(world)) == ["done", "done"], 60, lambda: f"{handovers(world)} {world.product.log_tail(20)}")
    world.await_equal(30)
    wait_for(lambda: all(bodies(target, number) == bodies(production, number) for number in (1001, 1002)), 60, "both mirrored anew")


def test_a_number_that_went_back_to_its_owner_is_no_matter(world, tmp_path):
    target = world.mail[1]
    settle_1001(world)
    blocked = tmp_path / "not-a-directory"
    blocked.write_text("")
    world.reconfigure(hold_dir=str(blocked))
    dn, before = entry(world.production, 1001)
    world.succeed(1001)
    wait_for(lambda: world.product.sql("SELECT handing_over FROM mirror") == [["1"]], 40, "that it is to be handed over")
    world.remove([1001])
    add(world.production, dn, before)
    wait_for(lambda: world.product.sql("SELECT handing_over, waits_for_owner FROM mirror") == [["0", "0"]], 60, lambda: f"back {world.product.log_tail(20)}")
    world.await_equal(30)
    assert len(bodies(target, 1001)) == 3


def test_production_that_names_everybody_anew_empties_nothing():
    """Rebuilt with other identities: the breaker, not a thousand hand-overs."""
    with World() as world:
        world.await_equal()
        numbers = list(world.numbers)[:30]
        for number in numbers:
            fill(world.mail[0], number, 1, seed=number)
            world.product.ctl("mailbox", "add", str(number)).ok()
        wait_for(lambda: world.product.sql("SELECT COUNT(*) FROM mirror WHERE target_messages = 1 AND owner <> ''") == [["30"]], 120,
                 "thirty mirrored")
        with ldapsync_stopped(world):
            for number in numbers:
                world.succeed(number)
        wait_for(lambda: "another person's at once" in world.product.ctl("held", "list").out, 60, lambda: world.product.log_tail(30))
        wait_for(lambda: world.product.sql("SELECT COUNT(*) FROM mirror WHERE handing_over AND error <> ''") == [["30"]], 90,
                 lambda: world.product.sql("SELECT handing_over, error FROM mirror"))
        assert all(len(bodies(world.mail[1], number)) == 1 for number in numbers)
