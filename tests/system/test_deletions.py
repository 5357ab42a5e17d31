"""What is deleted on production is removed from the target (I5, I6): just that, only after a second look, never what
somebody else put there; folders too; and what somebody deletes on the target comes back once. With UIDPLUS and without."""
import pytest

from mirrored import (Changes, Mirrored, assert_equal, change, changing_commands, delete, folders, read_mailbox, site)
from helpers import wait_for
from standin.dovecot import Dovecot
from standin.voicemail import GREETINGS, INBOX, Generator

DELAY = 1


class World:
    def __init__(self):
        self.production = Dovecot(storage="maildir", delimiter="/")
        self.dr = Dovecot(storage="mdbox", delimiter=".")
        self.poor = Dovecot(storage="maildir", delimiter=".")
        self.servers = [self.production, self.dr, self.poor]
        self.generator = Generator(77, scale=0.02)

    def __enter__(self):
        for server in self.servers:
            server.start()
        sites = {"production": site("production", self.production), "dr": site("dr", self.dr),
                 "poor": site("poor", self.poor, disable_capabilities=["UIDPLUS"])}
        routes = {"dr": ("production", "dr"), "poor": ("production", "poor")}
        self.product = Mirrored(sites, routes, deletions={"delay_seconds": DELAY},
                                secrets={f"{name}.secret": self.production.password for name in sites}).start()
        self.targets = {"dr": self.dr, "poor": self.poor}
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
