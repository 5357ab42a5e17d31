"""Helpers of the system tests: processes that are surely stopped, free ports, waiting for a condition.

The programs are taken from build/bin, or from the folder that MIRROR_BIN names.
"""
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MIRROR_BIN", ROOT / "build" / "bin"))


def wait_for(condition, seconds, what):
    """Calls `condition` until it is true and returns its value; fails with `what` (text or function) after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.05)


def free_port():
    """A loopback port that was free just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Processes:
    """Starts programs in sessions of their own, their output in files of `folder`; stop_all() ends what is left."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.running = []

    def start(self, name, *command, **options):
        log = self.folder / f"{name}.log"
        with open(log, "ab") as file:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=file,
                                       stderr=file, start_new_session=True, **options)
        process.log = log
        self.running.append(process)
        return process

    @staticmethod
    def stop(process, seconds=20):
        """SIGTERM, then SIGKILL to its process group; returns the exit status."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return process.returncode

    def stop_all(self):
        while self.running:
            self.stop(self.running.pop())
