"""The database away: killed in the middle of work, and cut off at a COMMIT that it carried out or not. Nothing is lost and
nothing doubled (I2, I3), and the copier, which is never restarted here, goes on by itself.
"""
import itertools
import re
import time

import pytest

from copied import Copied
from helpers import wait_for
from scenarios import SCENARIOS, Play
from standin.database_door import DatabaseDoor
from standin.dovecot import Dovecot

NUMBERS = itertools.count(4801)  # of mailboxes: each is used once
LEASE_SECONDS = 7                # the least that the configuration allows
CASES = [("first copy", ()), ("first copy", ("UIDPLUS",)), ("delta", ()), ("flags", ()), ("adoption", ()),
         ("deletion", ()), ("deletion", ("UIDPLUS",)), ("plan allowed", ())]


@pytest.fixture(scope="module")
def sides():
    with Dovecot(storage="maildir", delimiter="/") as production, Dovecot(storage="mdbox", delimiter=".") as target:
        yield production, target


class Away(Copied):
    """One copier, behind a door to the database."""

    def __init__(self, folder, sides, scenario, without=()):
        super().__init__(folder, *sides, without=without, deletions=scenario.deletions, batch_messages=2,
                         lease_seconds=LEASE_SECONDS)

    def __enter__(self):
        super().__enter__()
        self.among_many()
        self.door = DatabaseDoor(self.database)
        self.wake_from(self.door.data_dir / "run")
        self.copier = self.start_copier(self.other_config("door", data_dir=self.door.data_dir))
        return self

    def __exit__(self, *arguments):
        self.door.__exit__()
        super().__exit__(*arguments)

    def run(self, mailboxes):
        wait_for(lambda: self.scan(*mailboxes) or self.is_done(*mailboxes) or not self.copier.alive(), 60,
                 lambda: f"{mailboxes} done:\n{self.copier_log()[-6000:]}")
        assert self.copier.alive(), self.copier_log()[-6000:]

    def play(self, mailbox, nth=None, how=None):
        """One mailbox until its turn has ended, well or not. The number of COMMITs."""
        self.door.arm(nth, how)
        self.want_mailboxes(mailbox)
        wait_for(lambda: self.scan(mailbox) or self.is_done(mailbox) or self.has_failed(mailbox), 3 * LEASE_SECONDS,
                 lambda: f"{mailbox} done or failed:\n{self.copier_log()[-6000:]}")
        return self.door.commits

    def has_failed(self, mailbox):
        return self.number(f"""SELECT COUNT(*) FROM mirror m JOIN mailbox b USING (mailbox_id) WHERE b.number = '{mailbox}'
                               AND m.pending AND m.lease_owner IS NULL AND m.due_at > UTC_TIMESTAMP(6)""")

    def park(self, mailbox):
        """Its next try waits until all have had their first."""
        self.sql(f"""UPDATE mirror m JOIN mailbox b USING (mailbox_id) SET m.due_at = m.due_at + INTERVAL 1 HOUR
                     WHERE b.number = '{mailbox}' AND m.pending""")

    def unpark(self):
        self.sql("UPDATE mirror SET due_at = UTC_TIMESTAMP(6) WHERE pending")


def lose_every_commit(world, scenario, how):
    play = Play(world, scenario, NUMBERS)
    first, = play.prepare(1)
    commits = world.play(first)
    mailboxes, struck, failed = play.prepare(commits), 0, 0
    for nth, mailbox in enumerate(mailboxes, 1):
        world.play(mailbox, nth, how)
        struck += world.door.struck
        failed += not world.is_done(mailbox)
        world.park(mailbox)
    world.door.arm()
    world.unpark()
    play.finish(mailboxes)
    play.judge(first, mailboxes)
    assert struck >= commits - 3  # each ten seconds there is one more: the copier's sign of life
    return f"{how}s lost: {struck}, after which {failed} turns failed and were repeated"


@pytest.mark.parametrize("how", ["answer", "commit"])
@pytest.mark.parametrize("name, without", CASES, ids=[f"{name}{'-without' * bool(without)}" for name, without in CASES])
def test_every_commit(workdir, sides, say, name, without, how):
    began = time.monotonic()
    scenario = SCENARIOS[name]()
    with Away(workdir, sides, scenario, without) as world:
        said = lose_every_commit(world, scenario, how)
        say(f"{said}; {time.monotonic() - began:.1f} s")


@pytest.mark.parametrize("name, moments", [("first copy", 3), ("delta", 1), ("flags", 1), ("deletion", 1),
                                          ("plan allowed", 1)])
def test_killed_in_the_middle(workdir, sides, say, name, moments):
    """At so many of its COMMITs; it comes back when the copier has noticed."""
    scenario = SCENARIOS[name]()
    with Away(workdir, sides, scenario) as world:
        play = Play(world, scenario, NUMBERS)
        first, = play.prepare(1)
        commits = world.play(first)
        mailboxes = play.prepare(moments)
        for moment, mailbox in enumerate(mailboxes, 1):
            pauses = world.copier_log().count("the store is away: work pauses")
            world.door.arm(commits * moment // (moments + 1), "database")
            world.want_mailboxes(mailbox)
            wait_for(lambda: world.copier_log().count("the store is away: work pauses") > pauses, 30,
                     lambda: f"the copier pauses:\n{world.copier_log()[-4000:]}")
            world.database.start()
            began = time.monotonic()
            world.run([mailbox])
            say(f"killed at COMMIT {world.door.nth} of {commits}; {time.monotonic() - began:.1f} s after it was back, all done")
        play.finish(mailboxes)
        play.judge(first, mailboxes)
        assert len(re.findall("the store is back", world.copier_log())) == moments
