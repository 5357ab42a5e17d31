"""A copier that is killed at every step that lasts, or stopped there until its lease is over and another took the mailbox
over: the points of lib/base/crash.h, in a build of their own.

For one scenario: an undisturbed run counts the points; then the same mailbox, under another number for each point, has its
copier killed there, and the next copier killed again at a random one; a last copier finishes all. Each end must be the
undisturbed one, on both sides, and the store's invariants must hold.

Sleepers: while the other copier is stopped as well, at a random point, the first is woken and must not write a thing.
"""
import itertools
import os
import pathlib
import re
import select
import signal
import subprocess

from copied import Copied, quoted
from helpers import ROOT, wait_for
from mirrored import CHANGING, sessions_of, settle_log
from scenarios import Play

CRASH_BIN = pathlib.Path(os.environ.get("MIRROR_CRASH_BIN", ROOT / "build-asan" / "bin"))
RUN_SECONDS = 60


class Point(str):
    """A line of the list of points: "<kind> <name>"."""
    kind = property(lambda self: self.split(" ", 1)[0])


def all_points(program="COPIER"):
    """What lib/base/crash.h lists of it."""
    text = (ROOT / "lib/base/crash.h").read_text().split(f"#define CRASH_POINTS_{program}(X)", 1)[1].split("\n\n", 1)[0]
    found = re.findall(r'^ *X\((\w+), \w+, +"(.*)"\)', text, re.M)
    return [Point(f"{kind} {name}") for kind, name in found]


class Crashed(Copied):
    def __init__(self, folder, production, target, scenario, without=(), **copy):
        super().__init__(folder, production, target, without=without, deletions=scenario.deletions, batch_messages=2, **copy)
        self.points = self.folder / "points"
        self.running = None
        self.sleepers = []
        self.instances = itertools.count()  # each copier another: what its predecessor left is not to be taken over at once
        self.reached = set()  # points, by any copier

    def __enter__(self):
        super().__enter__()
        self.among_many()
        self.wake_from(self.database.data_dir / "run")
        return self

    def __exit__(self, *arguments):
        for sleeper in self.sleepers:
            sleeper.end()
        self.end()
        super().__exit__(*arguments)

    # --- one copier ---

    def begin(self, kill_at=None):
        self.points.unlink(missing_ok=True)
        environ = {**os.environ, "MIRROR_CRASH_FILE": str(self.points)}
        if kill_at:
            environ["MIRROR_CRASH_AT"] = str(kill_at)
        self.running = self.start(self.folder / "copier0.log", environ)

    def start(self, log, environ):
        with open(log, "ab") as file:
            return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", CRASH_BIN / "mirror-copier", "--config", self.config,
                                     "--instance", str(next(self.instances))],
                                    env=environ, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def start_sleeper(self, mailbox, stop_at):
        """Returns when it sleeps, or has done all; None in the latter case."""
        sleeper = Sleeper(self, mailbox, stop_at)
        self.sleepers.append(sleeper)
        wait_for(lambda: sleeper.sleeps() or self.scan(mailbox) or self.is_done(mailbox), RUN_SECONDS,
                 lambda: f"{mailbox} done, or asleep at {stop_at}:\n{sleeper.log_text()[-4000:]}")
        return sleeper if sleeper.sleeps() else sleeper.end()

    def end(self):
        """Its exit status; -SIGKILL also where that is ours."""
        if self.running is None:
            return 0
        self.running.kill()
        status, self.running = self.running.wait(), None
        self.reached.update(self.seen())
        return status

    def seen(self):
        """The points that the last copier came to."""
        return [Point(line) for line in self.points.read_text().splitlines()] if self.points.exists() else []

    def died(self, seconds):
        """Waits that long for its end."""
        handle = os.pidfd_open(self.running.pid)
        try:
            return bool(select.select([handle], [], [], seconds)[0])
        finally:
            os.close(handle)

    def run(self, mailboxes):
        """A copier until all is done. The points that it came to."""
        self.begin()
        wait_for(lambda: self.scan(*mailboxes) or self.is_done(*mailboxes) or self.running.poll() is not None, RUN_SECONDS,
                 lambda: f"{mailboxes} done:\n{self.copier_log()[-6000:]}")
        assert self.end() == -signal.SIGKILL, self.copier_log()[-6000:]
        return self.seen()

    def run_killed(self, mailbox, kill_at):
        """A copier until it dies at a point, or has nothing more to do. The point, None in the latter case."""
        self.begin(kill_at)
        wait_for(lambda: self.died(0.05) or self.scan(mailbox) or self.is_done(mailbox), RUN_SECONDS,
                 lambda: f"{mailbox} done, or dead at {kill_at}:\n{self.copier_log()[-6000:]}")
        status, seen = self.end(), self.seen()
        assert status == -signal.SIGKILL, self.copier_log()[-6000:]
        return seen[-1] if len(seen) == kill_at else None

    def is_on_record(self, mailbox, died):
        """What is on its way to the target was committed before: intents of an APPEND, what an EXPUNGE removes."""
        of = "FROM mailbox b JOIN mirror m USING (mailbox_id) JOIN folder f USING (mirror_id)"
        if "APPEND" in died:
            return self.number(f"SELECT COUNT(*) {of} JOIN intent i USING (folder_id) WHERE b.number = '{mailbox}'")
        if "EXPUNGE" in died:
            return self.number(f"""SELECT COUNT(*) {of} JOIN message g USING (folder_id)
                                   WHERE b.number = '{mailbox}' AND (g.removal = 'begun' OR b.removing OR m.handing_over)""")
        return True

    def write_seq(self, mailbox):
        return self.number(f"""SELECT COALESCE(SUM(write_seq), 0) FROM mirror m JOIN mailbox b USING (mailbox_id)
                               WHERE b.number = '{mailbox}'""")


class Sleeper:
    """A copier that is stopped at a point."""

    def __init__(self, crashed, mailbox, stop_at):
        self.name = f"sleeper{len(crashed.sleepers)}"
        self.log = crashed.folder / f"{self.name}.log"
        self.process = crashed.start(self.log, {**os.environ, "MIRROR_CRASH_AT": str(stop_at), "MIRROR_CRASH_STOP": "yes"})

    def sleeps(self):
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        assert stat.rpartition(")")[2].split()[0] not in "ZX", self.log_text()[-4000:]
        return stat.rpartition(")")[2].split()[0] == "T"

    def wake(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def log_text(self):
        return self.log.read_text(errors="replace")

    def end(self):
        self.process.kill()
        self.process.wait()


class Killed(Play):
    def __init__(self, world, scenario, numbers, rng):
        super().__init__(world, scenario, numbers)
        self.rng = rng
        self.kills = []  # the points at which copiers died

    def undisturbed(self):
        """(mailbox, points): every transaction and every changing command has its point."""
        mailbox, = self.prepare(1)
        changing, writes = self.changing(mailbox), self.world.write_seq(mailbox)
        self.world.want_mailboxes(mailbox)
        points = self.world.run([mailbox])
        kinds = [point.kind for point in points]
        assert kinds.count("sent") == self.changing(mailbox) - changing, points
        if self.world.write_seq(mailbox):  # 0: the mirror is gone, and its count with it
            assert kinds.count("store") == self.world.write_seq(mailbox) - writes, points
        return mailbox, points

    def changing(self, mailbox):
        settle_log(self.world.target)
        return sum(bool(CHANGING.match(line)) for sent, _ in sessions_of(self.world.target, mailbox) for line in sent)

    def disturbed(self, points):
        """A mailbox for each point."""
        mailboxes = self.prepare(len(points))
        for step, mailbox in enumerate(mailboxes, 1):
            self.world.want_mailboxes(mailbox)
            died = self.world.run_killed(mailbox, step)
            # Which of two pipelined commands is answered first is not always the same; how many points there are, is.
            assert died, f"{mailbox} came to no point {step}\n{self.world.seen()}\n{self.world.copier_log()[-4000:]}"
            self.kills.append(died)
            assert self.world.is_on_record(mailbox, died), f"{mailbox} died at {died!r}, and the store knows nothing of it"
            self.world.leases_are_over(mailbox)
            again = not self.world.is_done(mailbox) and self.world.run_killed(
                mailbox, self.rng.randint(1, len(points)))
            if again:  # what the first one left is left again
                self.kills.append(again)
        return mailboxes


class Asleep(Killed):
    """`lease_seconds` of the world are short."""

    def hold_back(self, *mailboxes):
        """For those no copier has time now."""
        self.world.sql(f"""UPDATE mirror SET due_at = '9999-01-01' WHERE mailbox_id IN
                           (SELECT mailbox_id FROM mailbox WHERE number IN ({quoted(mailboxes)}))""")

    def let_go(self, mailbox):
        self.world.sql(f"""UPDATE mirror SET due_at = UTC_TIMESTAMP(6) WHERE mailbox_id IN
                           (SELECT mailbox_id FROM mailbox WHERE number = '{mailbox}')""")

    def put_to_sleep(self, mailboxes):
        sleepers = []
        for step, mailbox in enumerate(mailboxes, 1):
            self.world.want_mailboxes(mailbox)
            sleepers.append(self.world.start_sleeper(mailbox, step))
            assert sleepers[-1], f"{mailbox} came to no point {step}"
            self.hold_back(mailbox)
        wait_for(lambda: self.world.number("SELECT COUNT(*) FROM mirror WHERE lease_until > UTC_TIMESTAMP(6)") == 0, 30,
                 "all leases are over")
        return sleepers

    def wake_beside_another(self, mailbox, sleeper, points):
        """Was there another, asleep with a lease that lives?"""
        self.world.want_mailboxes(mailbox)
        other = None if self.world.is_done(mailbox) else self.world.start_sleeper(mailbox, self.rng.randint(1, points))
        writes = self.world.write_seq(mailbox)
        self.hold_back(mailbox)
        sleeper.wake()
        wait_for(lambda: re.search(r"turn (failed|done)|copies are removed", sleeper.log_text()), 30,
                 lambda: f"{mailbox}: the end of the sleeper's turn:\n{sleeper.log_text()[-4000:]}")
        sleeper.end()
        self.let_go(mailbox)
        if other:
            assert self.world.write_seq(mailbox) == writes, f"{mailbox}: written by a sleeper:\n{sleeper.log_text()[-4000:]}"
            other.wake()
            wait_for(lambda: self.world.scan(mailbox) or self.world.is_done(mailbox), 30,
                     lambda: f"{mailbox} done by the other:\n{other.log_text()[-4000:]}")
            other.end()
        return bool(other)


def sleep_at_every_point(crashed, scenario, numbers, rng):
    """Returns what was done, in words."""
    play = Asleep(crashed, scenario, numbers, rng)
    first, points = play.undisturbed()
    mailboxes = play.prepare(len(points))
    sleepers = play.put_to_sleep(mailboxes)
    woken = [play.wake_beside_another(*pair, len(points)) for pair in zip(mailboxes, sleepers)]
    play.finish(mailboxes)
    play.judge(first, mailboxes)
    return f"{len(points)} slept past their lease, {sum(woken)} woken beside another in the middle of its turn"


def kill_at_every_point(crashed, scenario, numbers, rng):
    """Returns what was done, in words."""
    play = Killed(crashed, scenario, numbers, rng)
    first, points = play.undisturbed()
    mailboxes = play.disturbed(points)
    play.finish(mailboxes)
    play.judge(first, mailboxes)
    print("\n".join(points))
    _, present, absent = crashed.settled()
    return f"{len(points)} points, {len(play.kills)} kills; intents left open: {present} present, {absent} absent"
