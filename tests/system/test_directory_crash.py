"""ldapsync, killed at every step that lasts (lib/base/crash.h), leaves nothing undone, lost or doubled: in a build of its own,
beside the product, whose own ldapsync does not run.

An undisturbed day counts the points; then each of the next days has an ldapsync killed at one of them, its successor at a
random one, and a last one that finishes. Each day brings all that ldapsync does: people and a class of service come, change,
swap their numbers, are renamed and leave; one is subscribed, and on some days a number becomes another person's."""
import contextlib
import itertools
import os
import random
import signal
import subprocess
import time

import ldap

from crashed import CRASH_BIN, Point, all_points
from helpers import wait_for
from standin import subscribers
from standin.compare_directory import differences
from test_directory import World
from test_directory_handover import add, entry, swap

SECONDS = 60
# Asked for by changes alone; each round here is a whole comparison.
ELSEWHERE = {"plain a listing of all numbers wanted", "plain a whole comparison wanted"}
DIRECTORY = {"poll_seconds": 3600, "list_minutes": 1440, "delay_seconds": 0.1, "removed_entries": 1000,
             "subscribe_filter": "(standinCos=2)"}


class Day:
    """What happens on production."""

    def __init__(self, world, number):
        self.world, self.number = world, number
        self.people = [2000 + 10 * number, 2001 + 10 * number]  # the first is subscribed, the second leaves the next day

    def begin(self, before):
        production = self.world.production
        for number, cos_number in zip(self.people, (2, 1)):
            add(production, *subscribers.subscriber(production.suffix, number, cos_number=cos_number))
        add(production, *subscribers.cos(production.suffix, 100 + self.number))
        self.world.change(1001, {"standinPassword": [subscribers.opaque(str(70000 + self.number))]})
        swap(self.world, 1003, 1006)  # who are not subscribed
        self.rename(1004)
        if before:
            self.world.remove([before.people[1]])
            self.remove_class(100 + before.number)
        if before and self.number % 5 == 0:
            self.world.succeed(before.people[0])
        self.world.product.sql("UPDATE entry SET password_proven_at = NULL")

    def rename(self, number):
        connection = self.world.production.admin()
        dn, _ = entry(self.world.production, number)
        connection.modrdn_s(dn, f"cn=Day {self.number}", delold=dn.lower().startswith("cn="))
        connection.unbind_s()

    def remove_class(self, number):
        connection = self.world.production.admin()
        connection.delete_s(f"standinCosNumber={number},{self.world.production.cos_dn}")
        connection.unbind_s()


class Crashing(World):
    def __init__(self):
        super().__init__(directory=DIRECTORY, users_password="Users4711", numbers=range(1001, 1007), classes=(1, 2, 3),
                         workers={"ldapsync": 0})
        self.instances = itertools.count()
        self.reached = set()

    def __enter__(self):
        super().__enter__()
        self.points = self.product.root / "points"
        dn, attributes = subscribers.subscriber(self.production.suffix, 77)
        del attributes["standinPassword"]  # which it must show: cannot be mirrored
        add(self.production, dn, attributes)
        return self

    # --- one ldapsync ---

    @contextlib.contextmanager
    def ldapsync(self, kill_at=None):
        self.points.unlink(missing_ok=True)
        environ = {**os.environ, "MIRROR_CRASH_FILE": str(self.points), **({"MIRROR_CRASH_AT": str(kill_at)} if kill_at else {})}
        self.product.sql("UPDATE directory SET lease_until = UTC_TIMESTAMP(6)")  # its predecessor is dead
        with open(self.product.root / "ldapsync.log", "ab") as log:
            process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", CRASH_BIN / "mirror-ldapsync", "--config",
                                        self.product.config_file, "--instance", str(100 + next(self.instances))],
                                       env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            status = process.wait()
            self.reached.update(self.seen())
        assert status == -signal.SIGKILL, self.ldapsync_log()

    def seen(self):
        return [Point(line) for line in self.points.read_text().splitlines()] if self.points.exists() else []

    def ldapsync_log(self):
        return (self.product.root / "ldapsync.log").read_text(errors="replace")[-4000:]

    def round(self, process, wanted):
        """false: it died."""
        numbers = ", ".join(f"{name} = {name} + 1" for name in wanted)
        self.product.sql(f"UPDATE directory SET {numbers}, due_at = UTC_TIMESTAMP(6)")
        done = "SELECT wanted_seq <= done_seq AND full_wanted_seq <= full_done_seq AND dry_wanted_seq <= dry_done_seq FROM directory"
        wait_for(lambda: process.poll() is not None or self.product.sql(done) == [["1"]], SECONDS,
                 lambda: f"a round: {self.product.sql('SELECT * FROM directory')} {self.ldapsync_log()}")
        return process.poll() is None

    def rounds(self, process):
        """A dry run, and twice the real one, since what is gone goes at the second look."""
        for wanted in (["dry_wanted_seq"], *2 * [["wanted_seq", "full_wanted_seq"]]):
            time.sleep(DIRECTORY["delay_seconds"])
            if not self.round(process, wanted):
                return False
        return True

    def run(self, kill_at=None):
        """The points that it came to, until it was killed or all was done."""
        with self.ldapsync(kill_at) as process:
            self.rounds(process)
        return self.seen()

    # --- the end of a day ---

    def wrong(self):
        found = differences(self.production, self.target)
        return [line for line in found if not (line.startswith("standinId=U77") and line.endswith("missing on the target"))]

    def unsettled(self):
        return [row for row in self.states() + self.states("cos") if row[:1] != ["77"] and row[1] != "equal"]

    def finish(self):
        """Until both are equal: a number that became another's waits for the copier."""
        with self.ldapsync() as process:
            end = time.monotonic() + SECONDS
            while self.wrong() or self.unsettled():
                assert time.monotonic() < end, f"{self.wrong()} {self.unsettled()} {self.ldapsync_log()} {self.product.log_tail(20)}"
                assert self.rounds(process)
        there = {dn.lower() for dn, _ in self.production.admin().search_s(self.production.suffix, ldap.SCOPE_SUBTREE, attrlist=["1.1"])}
        gone = {operation.dn.lower().replace(self.target.suffix, self.production.suffix) for operation in self.removals()}
        assert not gone & there, "somebody who is there was removed"
        assert self.product.sql("SELECT COUNT(*) FROM mirror m JOIN mailbox b USING (mailbox_id) GROUP BY b.number HAVING COUNT(*) > 1") == []

    def writes_sent(self):
        return len(self.target.writes_from(self.target.trusted_dn))

    def write_seq(self):
        return int(self.product.sql("SELECT write_seq FROM directory")[0][0])


def chosen(points):
    """Of each point its first, second and last time: [number, ...]."""
    times = {}
    for number, point in enumerate(points, 1):
        times.setdefault(point, []).append(number)
    return sorted({number for numbers in times.values() for number in (*numbers[:2], numbers[-1])})


def test_killed_at_every_point(say):
    chance = random.Random(4711)
    with Crashing() as world:
        world.run()
        world.finish()
        days = [Day(world, 0)]
        days[0].begin(None)
        world.finish()
        days.append(Day(world, 1))
        days[1].begin(days[0])
        writes, sequence = world.writes_sent(), world.write_seq()
        points = world.run()
        kinds = [point.kind for point in points]
        assert kinds.count("store") == world.write_seq() - sequence, points
        assert kinds.count("sent") == world.writes_sent() - writes, points
        world.finish()
        kills = []
        for kill_at in chosen(points):
            days.append(Day(world, len(days)))
            days[-1].begin(days[-2])
            for number in (kill_at, chance.randint(1, len(points))):
                seen = world.run(number)
                kills += seen[-1:] if len(seen) == number else []
            world.finish()
        assert set(all_points("LDAPSYNC")) - world.reached == ELSEWHERE
        assert len(kills) > len(chosen(points))
        say(f"{len(points)} points, {len(kills)} kills at {len(set(kills))} of them, on {len(days)} days")
