"""bench/run with tiny sizes: that it measures all it says, not what comes out."""
import json
import subprocess

from helpers import ROOT
from standin import subscribers


def bench(*arguments):
    done = subprocess.run([ROOT / "bench" / "run", *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_all_scenarios():
    results = json.loads(bench("copy", "fleet", "big", "same", "--json", "--rounds", "1", "--delay-ms", "0", "4",
                               "--scale", "0.04"))
    for scenario in ("copy", "fleet"):
        assert [result["round_trip_ms"] for result in results[scenario]] == [0, 4]
        for result in results[scenario]:
            assert result["limit"]["of_limit"]["median"] == 1
            for contestant in ("ours", "mbsync", "limit"):
                assert 0 < result[contestant]["of_limit"]["median"] < 20, result
                assert result[contestant]["seconds"]["min"] > 0
    assert len(results["big"]) == 3
    for figures in results["big"].values():
        assert 0 < figures["before"] <= figures["peak"] < 8 << 20 and figures["after"] > 0
    alone, kept = results["same"].values()
    for cost in (alone, kept):
        assert set(cost["target"].values()) == {0}, "a look costs the target nothing"
        assert cost["production"]["commands"] > 0
    assert alone["production"]["logins"] == 1 and kept["production"]["logins"] == 0
    assert alone["production"]["round trips"] == kept["production"]["round trips"] == 1


def test_directory():
    results = json.loads(bench("directory", "--json", "--rounds", "1", "--scale", "0.004"))["directory"]
    assert [(result["subscribers"], result["where"]) for result in results] == [(20, "in memory"), (80, "in memory"), (80, "on disk")]
    for result in results:
        assert all(spread["min"] > 0 for spread in result["seconds"].values()), result
        assert result["first sync / ldapadd"]["median"] > 0 and result["comparison / ldapsearch of both"]["median"] > 0
        assert 1 << 20 < result["peak_bytes"] < 200 << 20


def test_its_twenty_thousand_are_as_many():
    made = subscribers.make("o=backup", range(100_000, 120_000), classes=range(1, 21), audio_bytes=1)
    assert len({dn for dn, _ in made}) == 20_020


def test_tables():
    table = bench("copy", "--rounds", "1", "--delay-ms", "0", "--scale", "0.01").splitlines()
    assert table[0].split() == ["copy", "round", "trip", "seconds", "of", "the", "limit"], table
    assert [line.split()[0] for line in table[1:4]] == ["ours", "mbsync", "limit"]
