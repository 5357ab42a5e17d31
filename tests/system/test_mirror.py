"""The whole product between real servers: Maildir and mdbox on either side, and a poor target (imap4d). What happens on
production follows; production stays as it was (I1); a second pass writes nothing anywhere (I7); a site's limits hold."""
import base64
import re

import pytest

from mirrored import (Changes, Mirrored, Options, assert_equal, change, changing_commands, folders, free_port,
                      listeners, message_files, read_mailbox, sessions_at_once, shown, site)
from standin.dovecot import Dovecot
from standin.imap4d import Imap4d
from standin.proxy import Filter
from standin.voicemail import ACTIVE_GREETING, GREETINGS, INBOX, UNOPENED, Generator, make_corpus

POOR = Options(ignore_keywords=(ACTIVE_GREETING, UNOPENED, "Urgent"), ignore_order=True)
SESSIONS, LOGINS_PER_SECOND = 3, 8
REFUSED = ("4951", "4952", "4953")


class Doorman(Filter):
    """A server that does not let everybody in: no IMAP access for the mailboxes in `refused`."""

    refused = REFUSED

    def _one_command(self, line, stream, client, state):
        name = self._who(line)
        if name and name.split("*")[0] in self.refused:
            client.sendall(line.split()[0] + b" NO [AUTHENTICATIONFAILED] IMAP access is not in the class of service\r\n")
            return True
        return super()._one_command(line, stream, client, state)

    @staticmethod
    def _who(line):
        plain = re.match(rb"(?i)\S+ AUTHENTICATE PLAIN (\S+)", line)
        if plain:
            return base64.b64decode(plain[1]).split(b"\0")[1].decode()
        login = re.match(rb'(?i)\S+ LOGIN "?([^" ]+)', line)
        return login and login[1].decode()


class World:
    """Three pairs of systems and doors with a catch, under one supervisor."""

    def __init__(self):
        self.ports = [free_port() for _ in range(4)]
        self.maildir = Dovecot(storage="maildir", delimiter="/", extra=listeners(*self.ports[:1]))
        self.mdbox = Dovecot(storage="mdbox", delimiter=".", extra=listeners(*self.ports[1:]))
        self.mdbox_production = Dovecot(storage="mdbox", delimiter="/")
        self.maildir_target = Dovecot(storage="maildir", delimiter=".")
        self.poor = Imap4d(["4731", "4732", "4733"])
        self.servers = [self.maildir, self.mdbox, self.mdbox_production, self.maildir_target, self.poor]
        self.generator = Generator(31, scale=0.02)

    def __enter__(self):
        for server in self.servers:
            server.start()
        self.doorman = Doorman(self.mdbox.host, self.mdbox.port)
        limits = {"max_sessions": SESSIONS, "max_logins_per_second": LOGINS_PER_SECOND}
        sites = {
            "production": site("production", self.maildir),
            "dr": site("dr", self.mdbox),
            "production2": site("production2", self.mdbox_production),
            "dr2": site("dr2", self.maildir_target),
            "poor": site("poor", self.poor),
            "narrow": site("narrow", self.maildir, port=self.ports[0], **limits),
            "narrow-dr": site("narrow-dr", self.mdbox, port=self.ports[1], **limits),
            "locked": site("locked", self.mdbox, port=self.ports[2]),
            "picky": site("picky", self.mdbox, port=self.doorman.port),
        }
        routes = {"dr": ("production", "dr"), "dr2": ("production2", "dr2"), "poor": ("production", "poor"),
                  "narrow": ("narrow", "narrow-dr"), "locked": ("production", "locked"), "picky": ("production", "picky")}
        secrets = {f"{name}.secret": self.maildir.password for name in sites}
        secrets["locked.secret"] = "NotTheOne1"
        self.product = Mirrored(sites, routes, secrets=secrets).start()
        self.pairs = {"dr": (self.maildir, self.mdbox), "dr2": (self.mdbox_production, self.maildir_target),
                      "poor": (self.maildir, self.poor)}
        return self

    def __exit__(self, kind, *_):
        self.product.__exit__(kind)
        self.doorman.stop()
        for server in self.servers:
            server.discard()

    def tiny(self, *flags, **more):
        return self.generator.tiny(flags=flags, **more)


@pytest.fixture(scope="module")
def world():
    with World() as world:
        yield world


def catch_up(world, route, mailbox, exit=0):
    """Until both sides are equal, without being asked; imap4d, which muddles UIDs up when two clients look at a folder at
    once, is asked only when all is done."""
    production, target = world.pairs[route]
    if route != "poor":
        world.product.wait_equal(production, target, mailbox)
        return
    world.product.sync(mailbox, exit=exit)
    assert_equal(production, target, mailbox, **vars(POOR))


def quiet_pass(product, mailboxes, *servers, exit=0):
    """A look and a whole pass over each mailbox; nothing may be written anywhere (I7).

    imap4d keeps no record but its files; and since its UIDVALIDITY is another one some time after an APPEND, messages are
    identified again then, which our own tables show."""
    poor = [server for server in servers if isinstance(server, Imap4d)]
    changes = Changes(*(server for server in servers if isinstance(server, Dovecot)))
    content, files = product.content(), [message_files(server) for server in poor]
    commands = [len(changing_commands(server)) for server in changes.servers]
    done = [int(product.mirror(mailbox, route)["done_seq"]) for mailbox, route in mailboxes]
    product.sync(*[mailbox for mailbox, _ in mailboxes], exit=exit)
    assert [product.mirror(mailbox, route)["done_seq"] for mailbox, route in mailboxes] > done, "no pass was made"
    assert changes.now() == []
    assert [changing_commands(server)[count:] for server, count in zip(changes.servers, commands)] == [
        [] for _ in changes.servers]
    assert [message_files(server) for server in poor] == files
    assert poor or product.content() == content


@pytest.mark.parametrize("route", ["dr", "dr2"])
def test_first_mirroring_leaves_production_as_it_was(world, route):
    product, (production, target) = world.product, world.pairs[route]
    corpus = make_corpus(Generator(21, scale=0.02), 4, 8)
    for number, mailbox in enumerate(corpus, 4701 if route == "dr" else 4801):
        mailbox.number = str(number)
    numbers = [mailbox.number for mailbox in corpus]
    production.fill_corpus(corpus)
    files, seen = message_files(production), {number: shown(production, number) for number in numbers}
    changes = Changes(production)
    product.add(route, *numbers)
    product.sync(*numbers)
    assert_equal(production, target, *numbers)
    assert product.ctl("verify", "--deep", "--wait", *numbers).exit == 0
    quiet_pass(product, [(number, route) for number in numbers], production, target)
    assert changes.now() == []
    assert {number: shown(production, number) for number in numbers} == seen
    assert any(figures["RECENT"] not in (None, [b"0"]) for figures, _ in seen[numbers[0]].values()), "none was recent"
    assert message_files(production) == files


@pytest.mark.parametrize("route, mailbox", [("dr", "4721"), ("dr2", "4821"), ("poor", "4731")])
def test_what_happens_on_production_follows(world, route, mailbox):
    product, (production, target) = world.product, world.pairs[route]
    exit = 1 if route == "poor" else 0
    greetings = [world.tiny("\\Seen", ACTIVE_GREETING), world.tiny("\\Seen")]
    production.fill(mailbox, {INBOX: [world.tiny("\\Seen", "Urgent"), world.tiny(UNOPENED), world.tiny(), world.tiny()],
                              GREETINGS: greetings, ("Grüße & mehr", "März"): [world.tiny()], ("Empty",): []})
    product.add(route, mailbox)
    catch_up(world, route, mailbox, exit)
    # Flags set and cleared, both ways; the other greeting becomes the active one.
    change(production, mailbox, "INBOX", "STORE", "2:3", "+FLAGS", "(\\Seen \\Flagged Urgent)")
    change(production, mailbox, "INBOX", "STORE", "1", "-FLAGS", "(\\Seen Urgent)")
    change(production, mailbox, "INBOX", "STORE", "2", "-FLAGS", f"({UNOPENED})")
    change(production, mailbox, "Greetings", "STORE", "1", "-FLAGS", f"({ACTIVE_GREETING})")
    change(production, mailbox, "Greetings", "STORE", "2", "+FLAGS", f"({ACTIVE_GREETING})")
    catch_up(world, route, mailbox, exit)
    # New ones, in order; new folders, also below others.
    production.deliver(mailbox, "INBOX", *(world.tiny(*flags) for flags in [("\\Seen",), ("Urgent",), (), ("\\Answered",)]))
    production.deliver(mailbox, ("Archiv", "日本語"), world.tiny(UNOPENED, "\\Flagged"))
    catch_up(world, route, mailbox, exit)
    quiet_pass(product, [(mailbox, route)], production, target, exit=exit)
    if route == "poor":
        assert set(product.mirror(mailbox, route)["refused_keywords"].split()) == {ACTIVE_GREETING, UNOPENED, "Urgent"}


@pytest.mark.parametrize("route, mailbox", [("dr", "4722"), ("dr2", "4822"), ("poor", "4732")])
def test_a_folder_renamed_on_production_is_renamed(world, route, mailbox):
    product, (production, target) = world.product, world.pairs[route]
    production.fill(mailbox, {("Old",): [world.tiny() for _ in range(3)], ("Old", "Deep"): [world.tiny()]})
    product.add(route, mailbox)
    product.sync(mailbox)
    changes = Changes(target) if route != "poor" else None
    copied = product.mirror(mailbox, route)["copied_messages"]
    folders(production, mailbox, ("rename", "Old", "New"))
    catch_up(world, route, mailbox)
    assert product.mirror(mailbox, route)["copied_messages"] == copied, "nothing had to be copied again"
    assert product.mirror(mailbox, route)["gone_folders"] == 0
    if changes:
        assert {event for _, event in changes.now()} == {"Mailbox renamed"}


def test_what_a_target_alters_is_counted_and_not_copied_again(world):
    """imap4d keeps the date of the Date header, or of the arrival, whatever it is given."""
    product, mailbox = world.product, "4733"
    world.maildir.deliver(mailbox, "INBOX", world.tiny(), world.generator.voicemail(mailbox, odd="no date"), world.tiny())
    product.add("poor", mailbox)
    product.sync(mailbox, exit=1)
    assert_equal(world.maildir, world.poor, mailbox, ignore_dates=True, ignore_order=True)
    product.wait_mirror(lambda mirror: mirror["state"] == "not equal", mailbox, "poor")
    assert product.counted(mailbox, "poor")["altered"] == 1
    quiet_pass(product, [(mailbox, "poor")], world.maildir, world.poor, exit=1)
    assert product.mirror(mailbox, "poor")["copied_messages"] == 3


def test_a_name_that_the_other_side_cannot_hold(world):
    """'.' stands in a name on one side, and between levels on the other."""
    product, mailbox = world.product, "4723"
    world.maildir.fill(mailbox, {("v1.2",): [world.tiny()], ("v1", "2"): [world.tiny()]})
    product.add("dr", mailbox)
    product.sync(mailbox)
    ours, theirs = (read_mailbox(server.endpoint(), mailbox) for server in (world.maildir, world.mdbox))
    assert set(theirs) == {INBOX, ("v1_2e2",), ("v1", "2")}
    assert [message.digest for message in theirs[("v1_2e2",)]] == [message.digest for message in ours[("v1.2",)]]
    assert [message.digest for message in theirs[("v1", "2")]] == [message.digest for message in ours[("v1", "2")]]
    quiet_pass(product, [(mailbox, "dr")], world.maildir, world.mdbox)


def test_a_sites_limits_hold_over_all_workers(world, say):
    product, numbers = world.product, [str(number) for number in range(4901, 4909)]
    for number in numbers:
        world.maildir.deliver(number, "INBOX", world.tiny())
    logs = {server: server.root / "info.log" for server in (world.maildir, world.mdbox)}
    marks = {server: log.stat().st_size for server, log in logs.items()}
    product.add("narrow", *numbers)
    most, waiter = 0, product.start_ctl("sync", "--wait", *numbers)
    while waiter.poll() is None:
        rows = product.sql("SELECT COUNT(*) FROM site_session JOIN site USING (site_id) WHERE name LIKE 'narrow%' "
                           "GROUP BY site_id")
        most = max([most, *(int(row[0]) for row in rows)])
    assert waiter.returncode == 0, waiter.communicate()
    assert 1 < most <= SESSIONS
    for server, log in logs.items():
        lines = log.read_bytes()[marks[server]:].decode("utf-8", "replace").splitlines()
        peak, logins = sessions_at_once(server, numbers), [line.split()[0] for line in lines if "Login: user=<49" in line]
        assert 1 <= peak <= SESSIONS, peak
        # Evenly spaced ones: a second of the clock may hold one more.
        assert max(logins.count(second) for second in logins) <= LOGINS_PER_SECOND + 1, logins
        say(f"{len(logins)} logins, {peak} sessions at once, {max(logins.count(second) for second in logins)} "
            f"logins in one second (allowed: {SESSIONS} and {LOGINS_PER_SECOND})")
    assert_equal(world.maildir, world.mdbox, *numbers)


def test_a_wrong_secret_stops_the_site_after_three_tries(world):
    product, numbers = world.product, [str(number) for number in range(4931, 4937)]
    for number in numbers:
        world.maildir.deliver(number, "INBOX", world.tiny())
    product.add("locked", *numbers)
    product.wait_mirror(lambda mirror: mirror["state"] == "stopped", numbers[0], "locked", what="stopped")
    product.sync("4721")  # other routes of the same production go on
    for number in numbers:
        product.wait_mirror(lambda mirror: mirror["state"] == "stopped", number, "locked", what="stopped")
    assert len(refusals(world.mdbox)) == 3, refusals(world.mdbox)
    assert "NotTheOne1" not in product.log()
    product.write_secret("locked.secret", world.mdbox.password)
    product.wait_mirror(lambda mirror: mirror["state"] == "equal", numbers[-1], "locked", 40, "the secret was put right")
    product.sync(*numbers)
    assert_equal(world.maildir, world.mdbox, *numbers)
    assert len(refusals(world.mdbox)) == 3


def refusals(server):
    text = (server.root / "info.log").read_text(errors="replace")
    return [line for line in text.splitlines() if "auth failed" in line]


def test_three_wrong_mailboxes_stop_nothing(world):
    product, good = world.product, ["4941", "4942"]
    for number in (*REFUSED, *good):
        world.maildir.deliver(number, "INBOX", world.tiny())
    product.add("picky", good[0])
    product.sync(good[0])
    product.add("picky", *REFUSED)
    for number in REFUSED:
        product.wait_mirror(lambda mirror: mirror["error"] and mirror["error"]["scope"] == "mailbox", number, "picky", 30,
                            "refused")
    product.add("picky", good[1])
    product.sync(*good)
    assert_equal(world.maildir, world.mdbox, *good)
    state = {row[0]: row[1] for row in product.sql("SELECT name, login_state FROM site")}
    assert state["picky"] == "proven"
    assert "class of service" in product.ctl("why", REFUSED[0]).out


def test_nothing_was_complained_about_without_reason(world):
    """Last: the log holds only the warnings that these tests provoke."""
    expected = ("site=locked", "site locked", "route=picky", "site picky", "route=locked", "does not keep a flag",
                "UIDs count no more.*route=poor")
    assert world.product.complaints(*expected) == []
    for server in world.servers:
        if isinstance(server, Dovecot):
            assert server.errors() == ""
