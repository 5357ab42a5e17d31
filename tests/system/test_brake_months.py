"""unit.store_brake_month with twenty seeds instead of one: rare users, rare moments for a disaster."""
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "suites")]

import test_suites  # noqa: E402


def test_brake_months():
    test_suites.build("build", "-DCMAKE_C_COMPILER=gcc")
    test_suites.run("build/tests/test_store_brake_month", seconds=600, MIRROR_TEST_BRAKE_SEEDS="20")
