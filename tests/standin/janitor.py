"""Removes a directory once whoever started us and all servers in it are gone, however they ended.

The starter holds our standard input open. At its end we wait for the exclusive lock on the file `held` in the
directory, on which every watcher (guard.py) holds a shared one as long as it lives, and only then remove all.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path


class Janitor:
    """Starts the janitor of a directory; close() waits until all is removed."""

    def __init__(self, directory):
        self.held = Path(directory) / "held"
        self.held.touch(mode=0o600)
        self._process = subprocess.Popen([sys.executable, "-I", "-S", os.path.abspath(__file__), directory],
                                         stdin=subprocess.PIPE, start_new_session=True)

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)


def main(directory):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    held = os.open(os.path.join(directory, "held"), os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_EX)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
