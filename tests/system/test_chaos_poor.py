"""The same as suite chaos with a target that tells nothing: no UIDs of what it stored, nothing stored together."""
from chaos import kill_at_every_step, kill_in_a_copy, production, rng, target  # noqa: F401

POOR = ["UIDPLUS", "MULTIAPPEND", "LITERAL+", "CONDSTORE", "ENABLE", "LIST-STATUS", "ESEARCH"]


def test_killed_20_times_in_a_copy_of_2000_messages(production, target, rng, say):  # noqa: F811
    kill_in_a_copy(production, target, rng, say, disable_capabilities=POOR)


def test_killed_at_every_step(workdir, production, target, rng, say):  # noqa: F811
    kill_at_every_step(workdir, production, target, rng, say, without=POOR)
