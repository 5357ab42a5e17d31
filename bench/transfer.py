"""Scenarios `copy` and `fleet`: the same mailboxes copied by each contestant in turn, round by round. What counts is the
ratio to the limit within a round: machines differ, and change their pace from minute to minute."""

import contextlib

import contestants
import figures
from sites import Sites, Way


def run(mailboxes, messages, size_bytes, at_once, options):
    """[{"round_trip_ms": …, contestant: {"seconds": …, "of_limit": …}}]"""
    numbers = [str(4701 + i) for i in range(mailboxes)]
    with Sites() as sites:
        sites.fill(numbers, messages, size_bytes)
        return [_over(sites, numbers, mailboxes * messages, at_once, delay, options) for delay in options.delay_ms]


def _over(sites, numbers, messages, at_once, round_trip_ms, options):
    with contextlib.ExitStack() as stack:
        ways = [stack.enter_context(Way(server, round_trip_ms)) for server in (sites.production, sites.target)]
        runners = [stack.enter_context(kind(*ways, at_once)) for kind in contestants.ALL]
        seconds = {runner.name: [] for runner in runners}
        # The first round fills the caches of production and is not counted.
        for number in range(options.rounds + 1):
            for runner in _turned(runners, number):
                took = _one(sites, runner, numbers, messages)
                options.say(f"  {round_trip_ms:g} ms, round {number}: {runner.name} {took:.2f} s")
                if number > 0:
                    seconds[runner.name].append(took)
    return {"round_trip_ms": round_trip_ms, **_ratios(seconds)}


def _turned(runners, number):
    """Each begins as often as the others."""
    first = number % len(runners)
    return runners[first:] + runners[:first]


def _one(sites, runner, numbers, messages):
    sites.forget(numbers)
    took = runner.copy(numbers)
    found = sites.count(numbers)
    if found != messages:
        raise RuntimeError(f"{runner.name}: the target holds {found} messages, not {messages}")
    runner.forget(numbers)
    return took


def _ratios(seconds):
    return {name: {"seconds": figures.spread(taken),
                   "of_limit": figures.spread([limit / own for limit, own in zip(seconds["limit"], taken)])}
            for name, taken in seconds.items()}


def show(name, results):
    rows = [(name, "round trip", "seconds", "of the limit")]
    for result in results:
        for contestant in contestants.ALL:
            own = result[contestant.name]
            rows.append((contestant.name, f"{result['round_trip_ms']:g} ms", figures.text(own["seconds"]),
                         figures.text(own["of_limit"])))
    return figures.table(rows)
