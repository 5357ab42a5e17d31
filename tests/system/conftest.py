"""What system tests share as fixtures; the functions behind them stand in helpers.py."""
import pathlib
import shutil
import tempfile

import pytest

from helpers import BIN, ROOT, Processes, free_port, wait_for  # noqa: F401


@pytest.fixture
def workdir():
    """A private folder with a short name (unix sockets have 107 bytes for theirs), gone after the test."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="mirror-test-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def processes(workdir):
    started = Processes(workdir)
    yield started
    started.stop_all()
