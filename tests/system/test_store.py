"""The store's unit tests (unit.store_*) under ASan and UBSan, each with databases of its own on a private MariaDB."""
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "suites")]

import test_suites  # noqa: E402
from standin.mariadb import MariaDB  # noqa: E402


def test_store():
    test_suites.build_asan()
    with MariaDB() as database:
        skipped = test_suites.ctest("build-asan", "--tests-regex", r"^unit\.store_", seconds=300,
                                    MIRROR_TEST_SOCKET=str(database.socket))
    assert not skipped, "with a database there is nothing to skip"
