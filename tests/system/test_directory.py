"""Subscribers and classes of service follow production, byte for byte; by the target's own ldapsearch, and production's own log."""
import subprocess
import time

import ldap
import pytest

from helpers import wait_for
from mirrored import site
from standin import subscribers
from standin.compare_directory import differences
from standin.dovecot import Dovecot
from standin.product import Product
from standin.slapd import Slapd

NUMBERS = range(1001, 1041)
CLASSES = range(1, 21)
DIRECTORY = {"poll_seconds": 0.3, "list_minutes": 0.02, "delay_seconds": 1, "overlap_seconds": 5}


class World:
    """Two mail stores that nobody uses, a directory at each, and the product between them."""

    def __init__(self, directory=None, target=None, ldap_production=None, **production):
        self.mail = [Dovecot(), Dovecot()]
        self.production = Slapd(**{"read_only": True, **production})
        self.target = Slapd(suffix="o=backup", **(target or {}))
        self.directory = {**DIRECTORY, **(directory or {})}
        self.ldap_production = ldap_production or {}
        self.product = None

    def __enter__(self):
        for server in (*self.mail, self.production, self.target):
            server.start()
        self.production.load(subscribers.make(self.production.suffix, NUMBERS, classes=CLASSES))
        sites = [{**site(name, mail), "ldap": directory.section(**changes)} for name, mail, directory, changes in zip(
            ("production", "dr"), self.mail, (self.production, self.target), (self.ldap_production, {}))]
        config = {"sites": sites, "workers": {"scanner": 1, "copier": 1, "api": 1},
                  "routes": [{"name": "dr", "from": "production", "to": "dr", "directory": self.directory}]}
        self.product = Product(config, secrets={f"{name}.secret": self.mail[0].password for name in ("production", "dr")})
        self.product.start()
        return self

    def __exit__(self, kind, *_):
        if self.product:
            self.product.__exit__(kind)
        for server in (*self.mail, self.production, self.target):
            server.discard() if isinstance(server, Slapd) else server.stop()

    def states(self, kind="subscriber"):
        return self.product.sql(
            f"SELECT number, state, reason FROM entry WHERE kind = '{kind}' AND NOT removed ORDER BY number")

    def await_equal(self, seconds=15):
        wait_for(lambda: differences(self.production, self.target) == [], seconds,
                 lambda: f"equal: {differences(self.production, self.target)[:8]} "
                         f"{[row for row in self.states() if row[1] != 'equal'][:8]} {self.product.log_tail(30)}")

    def await_settled(self, seconds=15):
        wait_for(lambda: all(state == "equal" for _, state, _ in self.states()), seconds, "equal in the store's eyes")

    def change(self, number, changes, server=None):
        server = server or self.production
        connection = server.admin()
        dn = connection.search_s(server.people_dn, ldap.SCOPE_SUBTREE, f"(standinMailbox={number})", ["1.1"])[0][0]
        connection.modify_s(dn, [(ldap.MOD_REPLACE, name, values) for name, values in changes.items()])
        connection.unbind_s()

    def remove(self, numbers):
        connection = self.production.admin()
        for number in numbers:
            dn = connection.search_s(self.production.people_dn, ldap.SCOPE_SUBTREE, f"(standinMailbox={number})", ["1.1"])[0][0]
            connection.delete_s(dn)
        connection.unbind_s()

    def compare_whole(self):
        """As if a person had asked for it; until it is done."""
        self.product.sql("UPDATE directory SET full_wanted_seq = full_wanted_seq + 1, due_at = UTC_TIMESTAMP(6)")
        wait_for(lambda: self.product.sql("SELECT full_wanted_seq = full_done_seq FROM directory") == [["1"]], 40,
                 "a whole comparison")


@pytest.fixture(scope="module", params=["modifyTimestamp", "syncrepl", "no pages, 15 entries at a time"])
def world(request):
    choices = {"modifyTimestamp": {}, "syncrepl": {"syncprov": True, "sessionlog": 100},
               "no pages, 15 entries at a time": {"size_limit": 15, "paging": "refused"}}
    with World(**choices[request.param]) as made:
        yield made


def test_all_attributes_arrive(world):
    world.await_equal()
    world.await_settled()
    assert len(world.states()) == len(NUMBERS) and len(world.states("cos")) == len(CLASSES)


def test_changes_follow_within_seconds(world):
    world.await_equal()
    begun = time.monotonic()
    world.change(1003, {"standinPassword": [subscribers.opaque("987654")], "standinNameAudio": [b"\0new\xff" * 9000],
                        "standinExtension": [b"77"], "standinGreetingAudio;x-3": []})
    world.await_equal(15)
    assert time.monotonic() - begun < 15
    assert world.target.search(world.target.people_dn, "(standinMailbox=1003)", "standinPassword").count(b"standinPassword:: ") == 1


def test_a_new_one_a_renumbered_one_and_two_who_swapped(world):
    world.await_equal()
    connection = world.production.admin()
    dn, attributes = subscribers.subscriber(world.production.suffix, 2001)
    connection.add_s(dn, list(attributes.items()))
    world.change(1005, {"standinMailbox": [b"1905"]})
    world.change(1006, {"standinMailbox": [b"999999"]})
    world.change(1007, {"standinMailbox": [b"1006"]})
    world.change(999999, {"standinMailbox": [b"1007"]})
    connection.unbind_s()
    world.await_equal()


def test_what_was_changed_on_the_target_by_hand_is_found(world):
    world.await_equal()
    world.change(1010, {"standinTimeZone": [b"Mars/Olympus"], "cn": [b"Somebody else"]}, world.target)
    assert differences(world.production, world.target)
    world.compare_whole()
    world.await_equal()
    writes = len(world.target.writes())
    world.compare_whole()
    assert len(world.target.writes()) == writes, "I7: nothing is written where nothing differs"


def test_the_one_who_left_is_removed_after_a_second_look(world):
    world.await_equal()
    world.remove([1040])
    world.await_equal()


def test_more_than_the_brake_lets_pass_is_held(world):
    world.await_equal()
    before = world.target.search(world.target.people_dn, "(standinMailbox=*)", "1.1").count(b"dn: ")
    world.remove(range(1011, 1033))
    wait_for(lambda: sum(state == "held" for _, state, _ in world.states()) == 22, 40, "22 held ones")
    world.compare_whole()
    assert world.target.search(world.target.people_dn, "(standinMailbox=*)", "1.1").count(b"dn: ") == before
    assert "more than 20" in [reason for _, state, reason in world.states() if state == "held"][0]


def test_production_sees_no_write_and_nobody_a_secret(world):
    assert world.production.writes_from(world.production.trusted_dn) == []
    dump = subprocess.run(["mariadb-dump", "--no-defaults", f"--socket={world.product.database_socket}", "--user=root",
                           "--hex-blob", "mirror"], capture_output=True, check=True).stdout
    everything = dump + world.product.log().encode()
    for number in NUMBERS:
        opaque = subscribers.opaque(subscribers.password_digits(number))
        assert opaque not in everything and opaque.hex().upper().encode() not in everything
    assert world.mail[0].password.encode() not in everything
