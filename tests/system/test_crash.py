"""Nothing is lost and nothing doubled (I2, I3), and the end is the same, wherever a copier dies: see crashed.py."""
import itertools
import time

import pytest

from chaos import LEASE_SECONDS, rng  # noqa: F401
from crashed import CRASH_BIN, Crashed, all_points, kill_at_every_point, sleep_at_every_point
from helpers import BIN
from scenarios import SCENARIOS
from standin.dovecot import Dovecot

NUMBERS = itertools.count(4801)  # of mailboxes: each is used once
# Without UIDPLUS here only what differs most; the others are in suite chaos-poor.
CASES = {**{name: (name, ()) for name in SCENARIOS},
         **{f"{name}, no UIDPLUS": (name, ("UIDPLUS",)) for name in ("first copy", "deletion", "hand-over")}}
ELSEWHERE = {"store copies whose UIDs others have recorded as lost", "store connection lost over a message, or that no more"}
DONE, REACHED = [], set()


@pytest.fixture(scope="module")
def sides():
    with Dovecot(storage="maildir", delimiter="/") as production, Dovecot(storage="mdbox", delimiter=".") as target:
        yield production, target


@pytest.mark.parametrize("case", CASES)
def test_killed_at_every_point(workdir, sides, rng, say, case):  # noqa: F811
    began = time.monotonic()
    name, without = CASES[case]
    scenario = SCENARIOS[name]()
    with Crashed(workdir, *sides, scenario, without) as crashed:
        said = kill_at_every_point(crashed, scenario, NUMBERS, rng)
        REACHED.update(crashed.reached)
    DONE.append(case)
    say(f"{said}; {time.monotonic() - began:.1f} s")


@pytest.mark.parametrize("name", ["first copy", "deletion"])
def test_asleep_at_every_point(workdir, sides, rng, say, name):  # noqa: F811
    """What another has taken over is not written to by who sleeps past its lease and wakes (fencing)."""
    began = time.monotonic()
    scenario = SCENARIOS[name]()
    with Crashed(workdir, *sides, scenario, lease_seconds=LEASE_SECONDS) as crashed:
        said = sleep_at_every_point(crashed, scenario, NUMBERS, rng)
    say(f"{said}; {time.monotonic() - began:.1f} s")


def test_every_point_was_reached():
    """By the tests above, which must all have been run. Those in ELSEWHERE need servers that misbehave."""
    if len(DONE) < len(CASES):
        pytest.skip("not all scenarios were played")
    assert set(all_points()) - REACHED == ELSEWHERE


def test_shipped_programs_have_no_crash_points():
    points = [*all_points(), *all_points("LDAPSYNC"), "MIRROR_CRASH"]

    def named(program):
        content = program.read_bytes()
        return [point for point in points if point.encode() in content]
    assert all(len(named(CRASH_BIN / program)) == len(points) for program in ("mirror-copier", "mirror-ldapsync"))
    assert [program for program in BIN.iterdir() if named(program)] == []
