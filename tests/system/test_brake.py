"""The brake (I6): each disaster on production is held at once, nothing is deleted on the target, and copying goes on. A
person allows or refuses the held plan: exactly that set, proven again, once.

Each disaster has a production site of its own, since its breaker is the site's: a relay before one real Dovecot, which can
lie, or lead somewhere else."""
import hashlib
from types import SimpleNamespace

import pytest

from mirrored import Changes, Mirrored, assert_equal, delete, folders, read_mailbox, site
from helpers import wait_for
from standin.dovecot import Dovecot
from standin.relay import Liar
from standin.voicemail import GREETINGS, INBOX, Generator

DELAY = 1
LONG_DELAY = 10  # all of ten mailboxes were looked at once before the second look at any
SITES = ("emptied", "folders", "nothing", "shortlist", "shortsearch", "shortlisting", "uidvalidity", "uidnext", "many", "greetings", "spare",
         "swapped", "plans", "shrinking", "flags")


class World:
    def __init__(self):
        self.production = Dovecot(storage="maildir", delimiter="/", greeting="Store mss1.example ready.")
        # The greeting of production: a fingerprint does not tell the two apart.
        self.target = Dovecot(storage="mdbox", delimiter=".", greeting="Store mss1.example ready.")
        self.spare = Dovecot(storage="maildir", delimiter="/", greeting="Store mss2.example ready.")
        self.servers = [self.production, self.target, self.spare]
        self.generator = Generator(78, scale=0.02)

    def __enter__(self):
        for server in self.servers:
            server.start()
        self.doors = {name: Liar(self.production) for name in SITES}
        sites = {name: site(name, self.production, port=door.port) for name, door in self.doors.items()}
        sites["shortlisting"] = site("shortlisting", self.production, port=self.doors["shortlisting"].port,
                                     disable_capabilities=["CONDSTORE", "ESEARCH"])
        sites["dr"] = site("dr", self.target)
        self.product = Mirrored(sites, {name: (name, "dr") for name in SITES}, deletions={"delay_seconds": DELAY},
                                own={"many": {"deletions": {"delay_seconds": LONG_DELAY}}},
                                secrets={f"{name}.secret": self.production.password for name in sites}).start()
        return self

    def __exit__(self, kind, *_):
        self.product.__exit__(kind)
        for door in self.doors.values():
            door.stop()
        for server in self.servers:
            server.discard()

    def tiny(self, *flags, **more):
        return self.generator.tiny(flags=flags, **more)

    def mirrored(self, route, mailbox, content):
        """Equal on both sides; returns what the target has, for nothing_is_deleted()."""
        self.production.fill(mailbox, content)
        self.product.add(route, mailbox)
        self.product.sync(mailbox)
        return self.digests(mailbox)

    def digests(self, mailbox):
        return sorted(message.digest for messages in read_mailbox(self.target.endpoint(), mailbox).values() for message in messages)

    def copying_goes_on(self, mailbox, server=None, folder="INBOX"):
        message = self.tiny()
        (server or self.production).deliver(mailbox, folder, message)
        digest = hashlib.sha256(message.data).hexdigest()
        wait_for(lambda: digest in self.digests(mailbox), 20, lambda: self.product.log_tail(40))

    def nothing_is_deleted(self, mailbox, before):
        """After a second look and more."""
        done = self.product.mirror(mailbox, self.route_of(mailbox))["done_seq"]
        self.product.ctl("sync", mailbox)
        wait_for(lambda: self.product.mirror(mailbox, self.route_of(mailbox))["done_seq"] > done, 20, self.product.log_tail)
        now = self.digests(mailbox)
        assert [digest for digest in before if digest not in now] == []

    def route_of(self, mailbox):
        return next(route for number, route in self.product.mirrors() if number == mailbox)

    def restart(self):
        self.product.kill()
        self.product.start()

    def plans(self, **like):
        names = "plan_id, kind, state, mailbox, reason, messages"
        rows = self.product.sql(f"SELECT {names}, (SELECT name FROM site s WHERE s.site_id = plan.site_id) FROM plan")
        plans = [SimpleNamespace(**dict(zip([*names.split(", "), "site"], row))) for row in rows]
        return [plan for plan in plans if all(getattr(plan, name) == value for name, value in like.items())]

    def held(self, **like):
        """The plan of which there is one, held within the time of a few looks."""
        found = wait_for(lambda: self.plans(state="held", **like), 15, lambda: f"{self.plans()}\n{self.product.log_tail(30)}")
        assert len(found) == 1, found
        return found[0]


@pytest.fixture(scope="module")
def world():
    with World() as world:
        yield world


def voicemail(world, count=40):
    return [world.tiny(*(("\\Seen",) if index % 3 else ())) for index in range(count)]


def empty(server, mailbox, folder="INBOX"):
    server.doveadm("expunge", "-u", mailbox, "mailbox", folder, "all")


def test_a_folder_emptied(world):
    mailbox = "6001"
    before = world.mirrored("emptied", mailbox, {INBOX: voicemail(world), ("Saved",): [world.tiny()]})
    empty(world.production, mailbox)
    plan = world.held(mailbox=mailbox)
    assert (plan.kind, plan.messages) == ("mailbox", "40") and "40 of 41 messages" in plan.reason
    world.copying_goes_on(mailbox)
    world.nothing_is_deleted(mailbox, before)
    assert world.product.mirror(mailbox, "emptied")["state"] == "held"


def test_all_folders_gone(world):
    mailbox = "6002"
    before = world.mirrored("folders", mailbox, {INBOX: [world.tiny()], ("A",): voicemail(world, 20), ("B",): voicemail(world, 20),
                                                 ("B", "C"): [world.tiny()]})
    folders(world.production, mailbox, ("delete", "A"), ("delete", "B/C"), ("delete", "B"))
    plan = world.held(mailbox=mailbox)
    assert (plan.kind, plan.messages) == ("mailbox", "41")
    world.copying_goes_on(mailbox)
    world.nothing_is_deleted(mailbox, before)


def test_all_folders_gone_with_few_messages(world):
    """Below every floor."""
    mailbox = "6003"
    before = world.mirrored("folders", mailbox, {INBOX: voicemail(world, 9), ("A",): [world.tiny()], ("B",): [world.tiny()]})
    folders(world.production, mailbox, ("delete", "A"), ("delete", "B"))
    plan = world.held(mailbox=mailbox)
    assert (plan.kind, plan.messages) == ("mailbox", "2") and "all folders besides INBOX" in plan.reason
    world.copying_goes_on(mailbox)
    world.nothing_is_deleted(mailbox, before)


def test_logins_that_list_nothing(world):
    """One is an error of its mailbox; when many do, the breaker of the site."""
    numbers = [str(number) for number in range(6011, 6016)]
    before = {mailbox: world.mirrored("nothing", mailbox, {INBOX: voicemail(world, 3), ("Saved",): voicemail(world, 2)})
              for mailbox in numbers}
    door = world.doors["nothing"]
    door.hide_all_folders(numbers[0])
    world.product.wait_mirror(lambda mirror: "no folder at all" in str(mirror["look_error"]), numbers[0],
                              "nothing")
    assert world.plans(site="nothing") == []
    for mailbox in numbers[1:4]:
        door.hide_all_folders(mailbox)
    plan = world.held(site="nothing")
    assert plan.kind == "site" and "suddenly showed nothing" in plan.reason
    world.copying_goes_on(numbers[4])
    door.tell_truth()
    for mailbox in numbers:
        world.nothing_is_deleted(mailbox, before[mailbox])


def test_a_truncated_list(world):
    """A folder that is not listed but opens is not gone; the others go on."""
    mailbox = "6021"
    before = world.mirrored("shortlist", mailbox, {INBOX: [world.tiny()], ("A",): voicemail(world, 3), ("B",): voicemail(world, 3)})
    world.doors["shortlist"].hide_folder(mailbox, "B")
    world.product.wait_mirror(lambda mirror: "does not list it, but opens it" in str(mirror["error"]), mailbox, "shortlist")
    world.copying_goes_on(mailbox)
    assert world.digests(mailbox)[0] and [digest for digest in before if digest not in world.digests(mailbox)] == []
    assert world.product.mirror(mailbox, "shortlist")["gone_folders"] == 0
    world.doors["shortlist"].tell_truth()
    world.product.sync(mailbox)
    assert_equal(world.production, world.target, mailbox)


@pytest.mark.parametrize("route, mailbox, told", [("shortsearch", "6031", "search"), ("shortlisting", "6032", "listing"),
                                                  ("shortlisting", "6033", "search")])
def test_a_truncated_search_or_listing(world, route, mailbox, told):
    """It disagrees with EXISTS, at the first look or at the second: nothing is concluded."""
    before = world.mirrored(route, mailbox, {INBOX: voicemail(world, 6), ("Saved",): [world.tiny()]})
    door = world.doors[route]
    door.shorten(mailbox, "INBOX", [2, 3], search=told == "search", listing=told == "listing")
    delete(world.production, mailbox, "INBOX", "6")
    world.product.wait_mirror(lambda mirror: "nothing is concluded" in str(mirror["error"]), mailbox, route)
    world.copying_goes_on(mailbox, folder="Saved")
    assert [digest for digest in before if digest not in world.digests(mailbox)] == []
    door.tell_truth()
    world.product.wait_equal(world.production, world.target, mailbox)


def test_a_folder_opened_without_a_count(world):
    """Half an answer, twice, and no message in any listing that agrees with it: nothing is concluded."""
    mailbox = "6034"
    before = world.mirrored("shortlisting", mailbox, {INBOX: voicemail(world, 6)})
    world.doors["shortlisting"].tell_no_exists(mailbox)
    world.production.deliver(mailbox, "INBOX", world.tiny())
    world.product.wait_mirror(lambda mirror: "does not tell how many" in str(mirror["error"]), mailbox, "shortlisting")
    world.doors["shortlisting"].tell_truth()
    world.product.wait_equal(world.production, world.target, mailbox)
    assert [digest for digest in before if digest not in world.digests(mailbox)] == []


def test_a_plan_that_is_allowed_before_its_second_look(world):
    """Of a folder: it waits for that look, and is carried out then, without being asked."""
    mailbox = "6165"
    world.mirrored("shrinking", mailbox, {INBOX: [world.tiny()], ("A",): voicemail(world), ("B",): [world.tiny()]})
    folders(world.production, mailbox, ("delete", "A"))
    plan = world.held(mailbox=mailbox)
    world.product.ctl("held", "allow", plan.plan_id, "--reason", "he left").ok()
    wait_for(lambda: world.plans(plan_id=plan.plan_id, state="done"), 20, lambda: f"{world.plans()}\n{world.product.log_tail(40)}")
    assert len(world.digests(mailbox)) == 2


def test_uidvalidity_changed_and_messages_gone_at_once(world):
    """However few: nobody deleted these one by one."""
    mailbox = "6041"
    before = world.mirrored("uidvalidity", mailbox, {INBOX: [world.tiny()], ("Saved",): voicemail(world, 8)})
    folders(world.production, mailbox, ("delete", "Saved"), ("create", "Saved"))
    plan = world.held(mailbox=mailbox)
    assert plan.messages == "8" and "UIDVALIDITY" in plan.reason
    world.copying_goes_on(mailbox, folder="Saved")
    world.nothing_is_deleted(mailbox, before)


def test_uidvalidity_changed_on_many(world):
    numbers = [str(number) for number in range(6051, 6055)]
    before = {mailbox: world.mirrored("flags", mailbox, {INBOX: voicemail(world, 4)}) for mailbox in numbers}
    for mailbox in numbers:
        world.production.doveadm("mailbox", "update", "-u", mailbox, "--uid-validity", 4711, "INBOX")
    plan = world.held(site="flags")
    assert plan.kind == "site" and "UIDVALIDITY changed" in plan.reason
    # Nothing is overwritten either: production's flags may be those of long ago.
    world.production.doveadm("flags", "add", "-u", numbers[0], "\\Flagged", "mailbox", "INBOX", "all")
    changes = Changes(world.target)
    world.copying_goes_on(numbers[0])
    assert changes.of(numbers[0], "flag_change") == 0
    mirror = world.product.wait_mirror(lambda mirror: mirror["state"] == "held", numbers[0], "flags")
    assert mirror["messages"]["withheld"] >= 4, "nobody may take it for equal"
    done = mirror["done_seq"]
    wait_for(lambda: world.product.mirror(numbers[0], "flags")["proven_age_seconds"] < 1, 15, "a further look")
    assert world.product.mirror(numbers[0], "flags")["done_seq"] == done, "no turn at each look"
    for mailbox in numbers:
        world.nothing_is_deleted(mailbox, before[mailbox])
    world.product.ctl("held", "allow", plan.plan_id, "--reason", "the store was upgraded").ok()
    for mailbox in numbers:
        world.product.wait_equal(world.production, world.target, mailbox)


def test_uidnext_lower_than_recorded(world):
    mailbox = "6061"
    before = world.mirrored("uidnext", mailbox, {INBOX: voicemail(world, 5)})
    world.doors["uidnext"].set_figure(mailbox, "INBOX", "UIDNEXT", 3)
    delete(world.production, mailbox, "INBOX", "1")
    plan = world.held(site="uidnext")
    assert plan.kind == "site" and "UIDNEXT is lower" in plan.reason and mailbox in plan.reason
    world.doors["uidnext"].tell_truth()
    world.copying_goes_on(mailbox)
    world.nothing_is_deleted(mailbox, before)


def test_many_mailboxes_emptied_within_the_window(world):
    """Each below its own floor."""
    numbers = [str(number) for number in range(6101, 6111)]
    before = {mailbox: world.mirrored("many", mailbox, {INBOX: voicemail(world, 15), GREETINGS: [world.tiny()]}) for mailbox in numbers}
    world.product.ctl("pause", "many").ok()
    for mailbox in numbers:
        empty(world.production, mailbox)
    changes = Changes(world.target)
    world.product.ctl("resume", "many").ok()
    # Those that were looked at before it was too much, at their second look.
    wait_for(lambda: {plan.mailbox for plan in world.plans(site="many", state="held")} == set(numbers), LONG_DELAY + 20,
             lambda: f"{world.plans(site='many')}\n{world.product.log_tail(30)}")
    assert {plan.kind for plan in world.plans(site="many")} == {"route"}
    world.copying_goes_on(numbers[0])
    for mailbox in numbers:
        world.nothing_is_deleted(mailbox, before[mailbox])
    assert sum(changes.of(mailbox, "expunge") for mailbox in numbers) == 0


def test_all_greetings_gone(world):
    mailbox = "6121"
    before = world.mirrored("greetings", mailbox, {INBOX: voicemail(world, 3), GREETINGS: [world.tiny("\\Seen"), world.tiny("\\Seen")]})
    empty(world.production, mailbox, "Greetings")
    plan = world.held(mailbox=mailbox)
    assert plan.messages == "2" and "greetings are gone" in plan.reason
    world.copying_goes_on(mailbox)
    world.nothing_is_deleted(mailbox, before)


def test_production_exchanged_for_an_empty_machine(world):
    """The same address, another greeting: held at its first login, also with few messages."""
    mailbox = "6131"
    before = world.mirrored("spare", mailbox, {INBOX: voicemail(world, 5), ("Saved",): voicemail(world, 2)})
    world.spare.fill(mailbox, {INBOX: [world.tiny()]})
    door = world.doors["spare"]
    door.lead_to(world.spare)
    plan = world.held(site="spare", kind="site")
    assert "another server answers" in plan.reason
    world.copying_goes_on(mailbox, server=world.spare)
    world.nothing_is_deleted(mailbox, before)
    assert "mss2.example" in world.product.ctl("held", "show", plan.plan_id).out
    # It is put right: what a person refused is over when the known one answers.
    world.product.ctl("held", "refuse", plan.plan_id, "--reason", "a spare answered").ok()
    door.lead_to(world.production)
    wait_for(lambda: world.plans(site="spare", kind="site", state="dissolved"), 20, lambda: f"{world.plans(site='spare')}")


def test_production_pointed_at_the_backup(world):
    """Both introduce themselves alike: their UIDs tell."""
    mailbox = "6141"
    world.production.fill(mailbox, {INBOX: voicemail(world, 5)})
    # A time in most servers: it must not be the same on both sides only because both were made in this second.
    world.production.doveadm("mailbox", "update", "-u", mailbox, "--uid-validity", 77, "INBOX")
    before = world.mirrored("swapped", mailbox, {})
    door = world.doors["swapped"]
    door.lead_to(world.target)
    changes = Changes(world.target)
    world.product.ctl("sync", mailbox)
    plan = world.held(site="swapped", kind="site")
    world.product.wait_mirror(lambda mirror: mirror["state"] == "failing", mailbox, "swapped")
    assert changes.of(mailbox) == 0 and changes.of(mailbox, "expunge") == 0
    assert "what answers as site swapped is what was site dr before" in plan.reason
    door.lead_to(world.production)
    world.copying_goes_on(mailbox)
    world.nothing_is_deleted(mailbox, before)


# --- a person decides ---

def test_an_allowed_plan_is_carried_out_and_shrinks_but_never_grows(world):
    mailbox = "6151"
    messages = voicemail(world)
    world.mirrored("plans", mailbox, {INBOX: messages, ("Saved",): [world.tiny()]})
    empty(world.production, mailbox)
    plan = world.held(mailbox=mailbox)
    # Two are there again (under new UIDs they are new messages; the old ones stay gone), one more goes.
    delete(world.production, mailbox, "Saved", "1")
    world.product.wait_mirror(lambda mirror: mirror["messages"]["held"] == 41, mailbox, "plans")
    world.product.ctl("held", "allow", plan.plan_id, "--reason", "the user left").ok()
    wait_for(lambda: world.plans(plan_id=plan.plan_id, state="done"), 20, lambda: f"{world.plans()}\n{world.product.log_tail(40)}")
    assert len(world.digests(mailbox)) == 1, "the one that was not in the plan"
    assert world.product.ctl("held", "allow", plan.plan_id, "--reason", "again").exit != 0
    second = world.held(mailbox=mailbox)
    world.product.ctl("held", "refuse", second.plan_id, "--reason", "keep it").ok()
    world.product.wait_mirror(lambda mirror: mirror["messages"]["kept"] == 1 and mirror["state"] == "equal", mailbox, "plans")
    assert len(world.digests(mailbox)) == 1


def outcomes(world, plan):
    return dict(world.product.sql(f"SELECT outcome, COUNT(*) FROM plan_message WHERE plan_id = {plan.plan_id} GROUP BY outcome"))


def test_what_is_back_at_the_second_look_was_never_deleted(world):
    mailbox = "6161"
    world.mirrored("shrinking", mailbox, {INBOX: voicemail(world, 5)})
    door, changes = world.doors["shrinking"], Changes(world.target)
    door.shorten(mailbox, "INBOX", [3], counts=True)
    world.production.deliver(mailbox, "INBOX", world.tiny())
    world.product.wait_mirror(lambda mirror: mirror["messages"]["gone"] == 1, mailbox, "shrinking")
    world.production.doveadm("flags", "add", "-u", mailbox, "\\Flagged", "mailbox", "INBOX", "uid", "3")
    door.tell_truth()
    world.product.wait_equal(world.production, world.target, mailbox)
    assert changes.of(mailbox, "expunge") == 0 and changes.of(mailbox) == 1


def test_a_held_plan_is_dissolved_when_all_is_there_again(world):
    mailbox = "6162"
    world.mirrored("shrinking", mailbox, {INBOX: voicemail(world)})
    door = world.doors["shrinking"]
    door.shorten(mailbox, "INBOX", range(1, 41), counts=True)
    world.production.deliver(mailbox, "INBOX", world.tiny())
    plan = world.held(mailbox=mailbox)
    door.tell_truth()
    wait_for(lambda: world.plans(plan_id=plan.plan_id, state="dissolved"), 20, lambda: f"{world.plans()}")
    assert outcomes(world, plan) == {"back": "40"}
    world.product.wait_equal(world.production, world.target, mailbox)


def test_an_allowed_plan_leaves_what_is_there_again(world):
    """Allowed while all was gone; at the time when it is carried out, two are back."""
    mailbox = "6163"
    before = world.mirrored("shrinking", mailbox, {INBOX: voicemail(world)})
    door, changes = world.doors["shrinking"], Changes(world.target)
    door.shorten(mailbox, "INBOX", range(1, 41), counts=True)
    world.production.deliver(mailbox, "INBOX", world.tiny())
    plan = world.held(mailbox=mailbox)
    world.product.wait_mirror(lambda mirror: mirror["messages"]["held"] == 40, mailbox, "shrinking")
    world.product.ctl("pause", "shrinking").ok()
    world.product.ctl("held", "allow", plan.plan_id, "--reason", "he left").ok()
    door.shorten(mailbox, "INBOX", range(1, 39), counts=True)
    world.product.ctl("resume", "shrinking").ok()
    wait_for(lambda: world.plans(plan_id=plan.plan_id, state="done"), 20, lambda: f"{world.plans()}\n{world.product.log_tail(40)}")
    assert outcomes(world, plan) == {"removed": "38", "back": "2"}
    assert changes.of(mailbox, "expunge") == 38
    assert len([digest for digest in before if digest in world.digests(mailbox)]) == 2


def test_a_plan_survives_restarts_and_is_carried_out_once(world):
    """The copier that carries it out is killed; the whole product is restarted while it is held."""
    mailbox = "6164"
    world.mirrored("shrinking", mailbox, {INBOX: voicemail(world), ("Saved",): [world.tiny()]})
    changes = Changes(world.target)
    empty(world.production, mailbox)
    plan = world.held(mailbox=mailbox)
    world.restart()
    assert world.held(mailbox=mailbox).plan_id == plan.plan_id
    world.product.ctl("held", "allow", plan.plan_id, "--reason", "he left").ok()
    world.restart()
    wait_for(lambda: world.plans(plan_id=plan.plan_id, state="done"), 30, lambda: f"{world.plans()}\n{world.product.log_tail(40)}")
    assert changes.of(mailbox, "expunge") == 40
    assert len(world.digests(mailbox)) == 1
