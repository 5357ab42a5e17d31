"""The table of suites (suites.txt), and where each suite's tests stand."""
import collections
import pathlib

TESTS = pathlib.Path(__file__).resolve().parent
NEEDS = {"crash": "build-clang", "chaos-poor": "build-clang"}  # that build besides build-gcc, which all need
PARTED = {"directory"}  # suites that take theirs along: directory-*
WRAPPED = {"build-gcc", "build-clang", "unit", "fuzz", "demo", "fresh"}  # functions of suites/test_suites.py

Suite = collections.namedtuple("Suite", "name time long shows")


def table():
    """Name -> Suite, in the order of the file."""
    rows = {}
    for line in (TESTS / "suites.txt").read_text().splitlines():
        if not line or line.startswith("##") or line.startswith("suite "):
            continue
        name, time, runs, shows = line.split(None, 3)
        rows[name] = Suite(name, time, runs == "long", shows)
    return rows


def place(name):
    """What pytest is told, relative to the root of the tree."""
    if name in WRAPPED:
        return f"tests/suites/test_suites.py::test_{name.replace('-', '_')}"
    if name == "lint":
        return "tests/lint"
    return f"tests/system/test_{name.replace('-', '_')}.py"


def of(path, test):
    """The suite that a test belongs to: the reverse of place()."""
    path = pathlib.Path(path)
    if path.name == "test_suites.py":
        return test.removeprefix("test_").replace("_", "-")
    if path.parent.name == "lint":
        return "lint"
    return path.stem.removeprefix("test_").replace("_", "-")
