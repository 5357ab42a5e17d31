"""Subscribers and classes of service follow production, byte for byte; by the target's own ldapsearch, and production's own log."""
import json
import os
import random
import signal
import time

import ldap
import pytest
from ldap.controls.simple import ManageDSAITControl

from helpers import wait_for
from mirrored import site
from standin import subscribers
from standin.compare_directory import differences
from standin.dovecot import Dovecot
from standin.product import Product
from standin.slapd import Slapd
from standin.voicemail import Generator

NUMBERS = range(1001, 1041)
CLASSES = range(1, 21)
DIRECTORY = {"poll_seconds": 0.3, "list_minutes": 0.02, "delay_seconds": 1, "overlap_seconds": 5}


class World:
    """Two mail stores that nobody uses, a directory at each, and the product between them."""

    def __init__(self, directory=None, target=None, ldap_production=None, users_password=None, numbers=NUMBERS,
                 classes=CLASSES, workers=None, **production):
        self.mail = [Dovecot(), Dovecot(users_password=users_password)]
        self.users_password, self.numbers, self.classes, self.workers = users_password, numbers, classes, workers or {}
        self.production = Slapd(**{"read_only": True, **production})
        self.target = Slapd(suffix="o=backup", **(target or {}))
        self.directory = {**DIRECTORY, **(directory or {})}
        self.ldap_production = ldap_production or {}
        self.product = None

    def __enter__(self):
        for server in (*self.mail, self.production, self.target):
            server.start()
        self.production.load(subscribers.make(self.production.suffix, self.numbers, classes=self.classes))
        self.prepare()
        sites = [{**site(name, mail), "ldap": directory.section(**changes)} for name, mail, directory, changes in zip(
            ("production", "dr"), self.mail, (self.production, self.target), (self.ldap_production, {}))]
        secrets = {f"{name}.secret": self.mail[0].password for name in ("production", "dr")}
        if self.users_password:
            sites[0]["test_passwords"] = [{"mailbox": str(number), "password_file": f"{number}.secret"} for number in (1001, 1002)]
            secrets |= {"1001.secret": self.users_password, "1002.secret": "Wrong4711"}
        config = {"sites": sites, "workers": {"scanner": 1, "copier": 1, "api": 1, **self.workers},
                  "routes": [{"name": "dr", "from": "production", "to": "dr", "directory": self.directory}]}
        self.product = Product(config, secrets=secrets)
        self.product.start()
        return self

    def __exit__(self, kind, *_):
        if self.product:
            self.product.__exit__(kind)
        for server in (*self.mail, self.production, self.target):
            server.discard()

    def prepare(self):
        """What is there before the product starts."""

    def states(self, kind="subscriber"):
        return self.product.sql(
            f"SELECT number, state, reason FROM entry WHERE kind = '{kind}' ORDER BY number")

    def await_equal(self, seconds=15):
        wait_for(lambda: differences(self.production, self.target) == [], seconds,
                 lambda: f"equal: {differences(self.production, self.target)[:8]} "
                         f"{[row for row in self.states() if row[1] not in ('equal', 'gone')][:8]} {self.product.log_tail(30)}")

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

    def succeed(self, number):
        """The number's owner leaves, and it is another person's at once."""
        self.remove([number])
        connection = self.production.admin()
        dn, attributes = subscribers.subscriber(self.production.suffix, number, seed=4242)
        connection.add_s(dn, list(attributes.items()))
        connection.unbind_s()

    def removals(self):
        return [operation for operation in self.target.writes() if operation.kind == "DEL"]

    def await_listings(self, count=3):
        """So many more questions for all of production's numbers, whatever came of them."""
        begun = int(self.product.sql("SELECT listing_seq FROM directory")[0][0])
        wait_for(lambda: int(self.product.sql("SELECT listing_seq FROM directory")[0][0]) >= begun + 2 * count, 60, lambda: f"listings: {self.product.log_tail(12)}")

    def reconfigure(self, **directory):
        self.product.config["routes"][0]["directory"].update(directory)
        self.product.write_config()
        self.product.reload()

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


def test_a_size_limit_of_500_and_no_pages():
    """1,200 subscribers in ranges of numbers: all of them, a change, one who leaves; none is taken for gone."""
    with World(numbers=range(1001, 2201), size_limit=500, paging="refused") as world:
        world.await_equal(60)
        assert len(world.states()) == 1200
        world.change(1777, {"sn": [b"Changed"]})
        world.remove([2200])
        world.await_equal(60)
        world.compare_whole()
        world.await_equal()
        assert len(world.removals()) == 1


def test_only_a_whole_comparison_proves_what_did_not_change():
    """Listing production's numbers, again and again, reads neither what is in the entries nor the target."""
    with World(numbers=range(1001, 1006)) as world:
        world.await_equal()
        world.await_settled()

        def proof():
            return next(entry for entry in world.product.ctl("directory", "list", "--all", "--json").json
                        if entry["number"] == "1003")["proven_seconds"]
        world.compare_whole()
        young = proof()
        world.await_listings()
        old = proof()
        assert old > young >= 0
        world.compare_whole()
        assert proof() < old


@pytest.mark.parametrize("choices", [{}, {"syncprov": True, "sessionlog": 100}, {"size_limit": 15, "paging": "refused"}],
                         ids=["pages", "syncrepl", "15 entries at a time"])
def test_a_comparison_that_finds_all_as_it_was_writes_nothing(choices):
    """And one that finds what was changed on the target meanwhile, or on production, does."""
    with World(directory={"poll_seconds": 3600, "list_minutes": 1440}, **choices) as world:
        world.await_equal()
        world.await_settled()

        def numbers():
            return world.product.sql("SELECT d.listing_seq, MIN(l.listing), MAX(l.listing) FROM directory d JOIN listed l")
        world.compare_whole()
        before, (looked,) = numbers(), world.product.sql("SELECT compared_at FROM directory")
        world.compare_whole()
        assert numbers() == before and [looked] < world.product.sql("SELECT compared_at FROM directory")
        world.change(1010, {"cn": [b"Somebody else"]}, world.target)
        world.compare_whole()
        world.await_equal()
        assert numbers() != before
        world.change(1011, {"cn": [b"Somebody new"]})
        world.compare_whole()
        world.await_equal()
        world.remove([1012])
        for _ in range(2):
            world.compare_whole()
            time.sleep(DIRECTORY["delay_seconds"])
        world.compare_whole()
        world.await_equal()


def test_look_before_it_leaps():
    """A dry run says what the sync will do, shows no secret, and writes nothing; then the sync does it."""
    with World(directory={"poll_seconds": 3600, "list_minutes": 1000}) as world:
        world.await_equal()
        ctl = world.product.ctl
        wait_for(lambda: ctl("directory", "list").exit == 0, 15, "all equal")
        assert "nothing differs" in ctl("directory", "diff").ok().out
        digits, writes = "7654321", len(world.target.writes())
        world.change(1002, {"standinPassword": [subscribers.opaque(digits)], "sn": [b"Schmidt"]})
        diff, ldif = ctl("directory", "diff"), ctl("directory", "diff", "--ldif")
        assert diff.exit == ldif.exit == 1 and "add sn: Schmidt" in diff.out and "delete standinPassword: differs" in diff.out
        assert "add: sn\nsn: Schmidt\n-\n" in ldif.out and "# standinPassword: not shown" in ldif.out
        assert ctl("directory", "diff", "--json").json[0]["number"] == "1002"
        assert len(world.target.writes()) == writes
        assert ctl("directory", "sync", "--dry-run").exit == 1
        ctl("directory", "sync", "--full", "--wait").ok()
        assert differences(world.production, world.target) == []
        assert "40 of 40" in ctl("status").out
        assert ctl("directory", "sync", "--route", "nowhere").exit == 1


def test_nothing_is_written_before_somebody_has_looked():
    """directory.write: false; what diff shows then is what is written when it is true."""
    with World(directory={"write": False}) as world:
        ctl = world.product.ctl
        ctl("mailbox", "add", "1001").ok()
        assert "directory diff" in wait_for(lambda: world.product.sql("SELECT error FROM directory")[0][0], 20, "that it says so")
        shown = json.loads(ctl("directory", "diff", "--json").out)
        assert len(shown) == len(NUMBERS) + len(CLASSES) and {row["action"] for row in shown} == {"add"}
        wait_for(lambda: world.product.sql("SELECT waits_for_owner, done_seq > 0 FROM mirror") == [["0", "1"]], 30, "a mirror that does not wait")
        assert world.target.writes() == []
        world.reconfigure(write=True)
        ctl("directory", "sync").ok()
        world.await_equal(30)


def test_what_the_target_refuses_is_that_subscribers_own():
    """A schema without an attribute: each is missing in the server's words, and its mailbox waits; or goes over without."""
    with World(target={"schema_without": ["standinTimeZone"]}) as world:
        world.change(1001, {"standinTimeZone": [b"Europe/Berlin"]})
        world.compare_whole()
        wait_for(lambda: [row[1] for row in world.states()].count("equal") == len(NUMBERS) - 1, 20, "all others")
        number, state, reason = next(row for row in world.states() if row[1] != "equal")
        assert number == "1001" and state in ("missing", "differs") and "standinTimeZone" in reason
        assert "standinTimeZone" in world.product.ctl("directory", "list").out
        world.product.config["routes"][0]["directory"]["write_without_refused"] = True
        world.product.write_config()
        world.product.reload()
        wait_for(lambda: world.product.ctl("directory", "sync", "--wait").exit == 1 and b"1001" in world.target.search(world.target.people_dn, "(standinMailbox=1001)", "standinMailbox"), 20,
                 "1001 without its time zone")
        wait_for(lambda: ["1001", "differs"] in [row[:2] for row in world.states()], 20, "1001 counts as not equal")


def test_a_missing_right_and_a_wrong_password_write_nothing():
    with World(hidden=["standinPassword"]) as world:
        wait_for(lambda: "no subscriber of production shows standinPassword" in world.product.log(), 20, "the missing right")
        assert not [o for o in world.target.writes_from(world.target.trusted_dn) if "ou=people" in o.dn.lower()]
    with World(password="Another99") as world:
        wait_for(lambda: "it is left alone" in world.product.log(), 20, "the refusal")
        wait_for(lambda: "or until the password file changes" in world.product.log(), 20, "that it waits")
        assert len([bind for bind in world.production.binds() if bind.error == 49]) == 1
        assert world.target.writes_from(world.target.trusted_dn) == []
        world.product.write_secret("production.secret", "Another99")
        world.await_equal(40)


def test_two_with_one_number_and_a_production_that_hangs_or_dies():
    """Each is said; nothing is removed and nobody else waits."""
    with World(unique=False, ldap_production={"answer_seconds": 2, "connect_seconds": 2}) as world:
        world.await_equal()
        dn, attributes = subscribers.subscriber(world.production.suffix, 1001, seed=77)
        connection = world.production.admin()
        connection.add_s(dn, list(attributes.items()))
        wait_for(lambda: "1001" in [row[0] for row in world.product.sql("SELECT number FROM directory_trouble")], 20,
                 "the trouble of 1001")
        world.change(1002, {"sn": [b"Elsewhere"]})
        wait_for(lambda: b"Elsewhere" in world.target.search(world.target.people_dn, "(standinMailbox=1002)", "sn"), 20, "1002")
        connection.delete_s(dn)
        connection.unbind_s()
        world.await_equal()
        removals = len([o for o in world.target.writes() if o.kind == "DEL"])
        world.production.pause()
        wait_for(lambda: "said nothing for 2 s" in world.product.log(), 30, "that it hangs")
        world.production.resume()
        world.change(1003, {"sn": [b"Again"]})
        world.await_equal(40)
        world.production.kill()
        wait_for(lambda: "check ldap.host and ldap.port" in world.product.log(), 30, "that it is away")
        world.production.start()
        world.change(1004, {"sn": [b"Back"]})
        world.await_equal(60)
        assert len([o for o in world.target.writes() if o.kind == "DEL"]) == removals


def test_starttls_and_a_certificate_that_nobody_signed():
    with World(target={"tls": True}, tls=True) as world:
        world.await_equal()
    with World(tls=True, ldap_production={"ca_file": "/etc/ssl/certs/ca-certificates.crt"}) as world:
        wait_for(lambda: "ldap.ca_file must hold the CA" in world.product.log(), 8, lambda: f"not trusted: {world.product.log_tail(4)}")
        assert world.target.writes_from(world.target.trusted_dn) == []


@pytest.mark.parametrize("host, ca_file, words", [
    ("127.0.0.1", None, None), ("127.0.0.1", "/etc/ssl/certs/ca-certificates.crt", "ldap.ca_file must hold the CA"),
    ("0.0.0.0", None, "made out to ldap.host")], ids=["trusted", "signed by nobody we know", "another's name"])
def test_ldaps(host, ca_file, words):
    world = World(tls=True)
    world.ldap_production = {"host": host, "tls": "always", "port": world.production.tls_port, **({"ca_file": ca_file} if ca_file else {})}
    with world:
        if not words:
            world.await_equal()
            return
        wait_for(lambda: words in world.product.sql("SELECT error FROM directory")[0][0], 20,
                 lambda: f"{words}: {world.product.sql('SELECT error FROM directory')} {world.product.log_tail(4)}")
        assert world.target.writes_from(world.target.trusted_dn) == [] and world.production.binds() == []


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "DIGEST-MD5"])
def test_sasl(mechanism):
    with World(ldap_production={"sasl_mechanism": mechanism, "sasl_user": "mirror"}) as world:
        world.await_equal()
        assert world.mail[0].password not in world.product.log()
    with World(ldap_production={"sasl_mechanism": mechanism, "sasl_user": "nobody"}) as world:
        wait_for(lambda: f"bind as {mechanism}" in world.product.sql("SELECT error FROM directory")[0][0], 20,
                 lambda: f"refused: {world.product.sql('SELECT error FROM directory')}")
        assert world.target.writes_from(world.target.trusted_dn) == []


def test_passwords_are_proven_at_the_targets_door():
    """The target's IMAP lets users in with one password: right for 1001, wrong for 1002. Each is tried once."""
    with World(users_password="Users4711") as world:
        wait_for(lambda: world.product.sql("SELECT COUNT(*) FROM entry WHERE password_proven_at IS NOT NULL") == [["2"]], 40,
                 lambda: f"both tried: {world.product.log_tail(30)}")
        said = dict(world.product.sql("SELECT number, password_error FROM entry WHERE password_proven_at IS NOT NULL"))
        assert said["1001"] == "" and said["1002"] != ""
        assert "copied password works on the target" in world.product.log()
        assert "Users4711" not in world.product.log() and "Wrong4711" not in world.product.log()


def test_an_incomplete_list_removes_nothing_of_what_was_proven_before():
    """Missed in two whole lists, but its time came when a part of production was at another server (a referral)."""
    with World(directory={"delay_seconds": 5, "list_minutes": 0.01}, ldap_production={"change_detection": "full"}) as world:
        world.await_equal()
        world.remove([1030])
        wait_for(lambda: world.product.sql("SELECT 1 FROM entry WHERE gone_listings >= 2") != [], 20, "two lists without 1030")
        connection = world.production.admin()
        dn, manage = f"ou=elsewhere,{world.production.people_dn}", [ManageDSAITControl()]
        connection.add_ext_s(dn, [("objectClass", [b"referral", b"extensibleObject"]), ("ou", b"elsewhere"),
                                  ("ref", b"ldap://127.0.0.1:9/")], serverctrls=manage)
        wait_for(lambda: "is at another server" in world.product.log(), 20, "a list that is not whole")
        wait_for(lambda: world.product.sql("SELECT 1 FROM entry WHERE gone_at < UTC_TIMESTAMP(6) - INTERVAL 5 SECOND") != [], 20,
                 "the time of 1030")
        world.await_listings()
        assert world.removals() == []
        connection.delete_ext_s(dn, serverctrls=manage)
        connection.unbind_s()
        wait_for(lambda: len(world.removals()) == 1, 60, "that it is removed then")


def test_an_entry_too_big_to_be_read_is_said():
    with World() as world:
        world.await_equal()
        connection = world.production.admin()
        dn, attributes = subscribers.subscriber(world.production.suffix, 4444, audio_bytes=9_000_000)
        connection.add_s(dn, list(attributes.items()))
        connection.unbind_s()
        wait_for(lambda: "could not be read" in world.product.log() and "too big" in str(world.product.sql(
            "SELECT words FROM directory_trouble")), 20, "the entry, with what is wrong with it")
        assert world.removals() == []


def test_what_production_hides_is_not_gone():
    """So few that no limit would hold them: their ids hidden, then all of them."""
    with World(numbers=range(1001, 1011), ldap_production={"required_attributes": ["standinCos"]}) as world:
        world.await_equal()
        world.production.restart(hidden=["standinId"])
        world.await_listings(6)
        assert world.removals() == []
        world.production.restart(hidden=["objectClass"])
        world.await_listings(6)
        wait_for(lambda: ["1001", "held"] in [row[:2] for row in world.states()], 30, "that they are held")
        assert world.removals() == []
        world.production.restart(hidden=[])
        world.await_equal(60)
        assert world.removals() == []


def test_one_whose_password_vanished_is_not_equal_and_keeps_it():
    with World() as world:
        world.await_equal()
        world.change(1008, {"standinPassword": [], "sn": [b"Changed"]})
        wait_for(lambda: ["1008", "differs"] in [row[:2] for row in world.states()], 20, "1008 differs")
        assert "shows no standinPassword" in world.product.ctl("directory", "list").out
        world.compare_whole()
        assert ["1008", "differs"] in [row[:2] for row in world.states()]
        assert b"standinPassword:" in world.target.search(world.target.people_dn, "(standinMailbox=1008)", "standinPassword")


def test_who_expects_many_to_leave_raises_the_limit():
    """They go without a word; and of who is gone on both sides nothing is left to be told."""
    with World(directory={"removed_entries": 100}) as world:
        world.await_equal()
        world.remove(range(1011, 1036))
        world.await_equal(40)
        wait_for(lambda: world.product.ctl("directory", "list").exit == 0, 20, "that nothing is left to be told")
        assert world.product.sql("SELECT COUNT(*) FROM plan") == [["0"]]


def test_what_the_target_stores_in_another_form_is_not_written_for_ever():
    """A clear userPassword, which the target hashes: written once, and once more when it changes (I7)."""
    with World(target={"hash_passwords": True}) as world:
        world.change(1001, {"userPassword": [b"first-one"]})
        wait_for(lambda: b"userPassword:: " in world.target.search(world.target.people_dn, "(standinMailbox=1001)", "userPassword"), 20,
                 "the hash")
        world.await_settled()
        before = len(world.target.writes())
        world.compare_whole()
        world.compare_whole()
        assert len(world.target.writes()) == before
        listed = [e for e in world.product.ctl("directory", "list", "--all", "--json").json if e["number"] == "1001"]
        assert "another form" in listed[0]["stored_otherwise"]
        world.change(1001, {"userPassword": [b"second-one"]})
        wait_for(lambda: len(world.target.writes()) > before, 20, "the second one")
        world.compare_whole()
        after = len(world.target.writes())
        world.compare_whole()
        assert len(world.target.writes()) == after and "second-one" not in world.product.log()


class Chance:
    """Adds, changes, renumberings, swaps and removals on production, by chance but the same for the same seed."""

    def __init__(self, world, seed):
        self.world, self.random = world, random.Random(seed)
        self.connection = world.production.admin()
        self.made = 0

    def people(self):
        found = self.connection.search_s(self.world.production.people_dn, ldap.SCOPE_SUBTREE,
                                         "(objectClass=standinSubscriber)", ["standinMailbox"])
        return [(dn, attributes["standinMailbox"][0]) for dn, attributes in found]

    def _replace(self, dn, **changes):
        self.connection.modify_s(dn, [(ldap.MOD_REPLACE, name, values) for name, values in changes.items()])

    def add(self):
        self.made += 1
        dn, attributes = subscribers.subscriber(self.world.production.suffix, 5000 + self.made, seed=self.made)
        self.connection.add_s(dn, list(attributes.items()))

    def change(self):
        dn, _ = self.random.choice(self.people())
        self._replace(dn, **{self.random.choice(["standinPassword", "standinNameAudio"]): [self.random.randbytes(40)],
                             "sn": [f"Name {self.random.random()}".encode()],
                             "standinExtension": [b"%d" % self.random.randrange(10**6)
                                                  for _ in range(self.random.randrange(4))]})

    def renumber(self):
        self.made += 1
        self._replace(self.random.choice(self.people())[0], standinMailbox=[b"%d" % (7000 + self.made)])

    def swap(self):
        (one, number), (other, its) = self.random.sample(self.people(), 2)
        self._replace(one, standinMailbox=[b"999999"])
        self._replace(other, standinMailbox=[number])
        self._replace(one, standinMailbox=[its])

    def remove(self):
        if len(self.people()) > 25:
            self.connection.delete_s(self.random.choice(self.people())[0])

    def succeed(self):
        """Somebody leaves, and his number is another person's at once."""
        dn, number = self.random.choice(self.people())
        self.made += 1
        self.connection.delete_s(dn)
        dn, attributes = subscribers.subscriber(self.world.production.suffix, int(number), seed=9000 + self.made)
        self.connection.add_s(dn, list(attributes.items()))

    def round(self):
        self.random.choice([self.add, self.change, self.change, self.renumber, self.swap, self.remove, self.succeed])()


@pytest.mark.parametrize("choices", [{}, {"syncprov": True, "sessionlog": 50}], ids=["modifyTimestamp", "syncrepl"])
def test_chance_and_kills(choices):
    """300 rounds each, ldapsync killed five times at moments that nobody chose: equal in the end, and production untouched."""
    with World(directory={"removed_entries": 1000, "poll_seconds": 0.1, "delay_seconds": 0.5}, **choices) as world:
        chance = Chance(world, seed=len(choices))
        killed = set()
        for number in range(300):
            chance.round()
            if number % 60 == 59:
                pid = wait_for(lambda: world.product.pids("mirror-ldapsync"), 60, "ldapsync, started again")[0]
                time.sleep(chance.random.random() * 0.4)
                assert pid in world.product.pids("mirror-ldapsync"), world.product.log_tail(40)
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        world.await_equal(60)
        world.compare_whole()
        world.await_equal()
        assert len(killed) == 5
        assert world.production.writes_from(world.production.trusted_dn) == []


def test_production_sees_no_write(world):
    assert world.production.writes_from(world.production.trusted_dn) == []
