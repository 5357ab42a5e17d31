"""The same as suites chaos and crash with a target that tells nothing: no UIDs of what it stored, nothing stored together;
and crash with one that only lacks UIDPLUS."""
import itertools

import pytest

from chaos import kill_in_a_copy, production, rng, target  # noqa: F401
from crashed import Crashed, kill_at_every_point
from scenarios import SCENARIOS

POOR = ["UIDPLUS", "MULTIAPPEND", "LITERAL+", "CONDSTORE", "ENABLE", "LIST-STATUS", "ESEARCH"]


def test_killed_20_times_in_a_copy_of_2000_messages(production, target, rng, say):  # noqa: F811
    kill_in_a_copy(production, target, rng, say, disable_capabilities=POOR)


@pytest.mark.parametrize("without", [POOR, ["UIDPLUS"]], ids=["poor", "no UIDPLUS"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_point(workdir, production, target, rng, say, name, without):  # noqa: F811
    scenario = SCENARIOS[name]()
    with Crashed(workdir, production, target, scenario, without) as crashed:
        say(kill_at_every_point(crashed, scenario, itertools.count(4801), rng))
