"""Rules for every suite: nothing is left running, a failed build stops everything, skips fail under --all; and say()."""
import os
import sys
import time
import uuid

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import leftovers  # noqa: E402
import suites  # noqa: E402

# Inherited by all that the tests start. Set by tests/check.py, else (pytest run by hand) here.
RUN = os.environ.setdefault("MIRROR_CHECK_RUN", uuid.uuid4().hex)
REAPER = int(os.environ.get("MIRROR_CHECK_REAPER", os.getpid()))
GRACE_SECONDS = 5  # what was told to stop may take this long to be gone


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help="a test that skips has failed")


FIGURES = pytest.StashKey()


@pytest.fixture
def say(request):
    """say(text): a figure that people should see also when all is well; printed after all tests."""
    def note(text):
        request.config.stash.setdefault(FIGURES, []).append(f"{request.node.name}: {text}")
    return note


def pytest_terminal_summary(terminalreporter, config):
    if config.stash.get(FIGURES, None):
        terminalreporter.section("figures")
        for line in config.stash[FIGURES]:
            terminalreporter.line(line)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"had to skip, and under --all that is a failure: {report.longrepr[-1]}"
    if report.failed and suites.of(item.path, item.name).startswith("build-"):
        item.session.shouldstop = "the build failed"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """After a suite's last test, and after its fixtures are gone, nothing that it started may run."""
    outcome = yield
    suite = suites.of(item.path, item.name)
    if nextitem is not None and suites.of(nextitem.path, nextitem.name) == suite:
        return
    left = left_running()
    if left:
        leftovers.kill(left)
        lines = "".join(f"\n  {pid}: {command}" for pid, command in left.items())
        error = pytest.fail.Exception(f"suite {suite} left these processes running:{lines}", pytrace=False)
        if not outcome.excinfo:
            raise error


def left_running():
    end = time.monotonic() + GRACE_SECONDS
    while True:
        left = leftovers.find(RUN, REAPER)
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)
