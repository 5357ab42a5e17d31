"""However ./demo ends, nothing of it goes on: no process, no directory, also after SIGKILL in the middle."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from standin.guard import descendants  # noqa: E402
from standin.ports import wait_for  # noqa: E402
from standin.product import bin_directory  # noqa: E402


def started(pid):
    """When a process started, so that a number that is used again isn't taken for it; None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


class Demo:
    """./demo with its output in a file."""

    def __init__(self, path, *arguments):
        self.output = path / "output"
        self._file = open(self.output, "w", encoding="utf-8")
        self.process = subprocess.Popen([ROOT / "demo", *arguments], stdin=subprocess.DEVNULL, stdout=self._file,
                                        stderr=self._file, start_new_session=True,
                                        env={**os.environ, "MIRROR_BIN": str(bin_directory())})

    def said(self):
        return self.output.read_text(encoding="utf-8")

    def wait_said(self, text, seconds=120):
        def look():
            assert self.process.poll() is None or text in self.said(), self.said()
            return text in self.said()
        wait_for(look, seconds, f"./demo saying {text!r}")

    def all_processes(self):
        """{pid: start} of the demo and everything below it; the watchers are its children until it ends."""
        pids = [self.process.pid, *(pid for pid, _ in descendants(self.process.pid))]
        return {pid: started(pid) for pid in pids if started(pid)}

    def directory(self):
        """The demo's one, by the janitor's arguments."""
        for pid in self.all_processes():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if any(word.endswith("janitor.py") for word in words):
                return Path(next(word for word in words if re.search(r"/mirror-demo-\w+$", word)))
        raise AssertionError("no janitor")

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)
        self._file.close()


@pytest.fixture
def demo(tmp_path):
    running = Demo(tmp_path)
    yield running
    running.end()


def gone(processes):
    return not {pid: begun for pid, begun in processes.items() if started(pid) == begun}


# In step 3 copiers are at work, with commands on their way; in step 4 everything of it runs.
@pytest.mark.parametrize("moment", ["1  Two messaging", "3  The first mirroring", "4  Subscribers", "5  Things happen"])
def test_killed(demo, moment):
    demo.wait_said(moment)
    time.sleep(0.3)  # a moment inside the step, any
    processes, directory = demo.all_processes(), demo.directory()
    assert directory.is_dir() and len(processes) >= (3 if moment.startswith("1") else 15)
    os.killpg(demo.process.pid, signal.SIGKILL)
    demo.process.wait()
    wait_for(lambda: gone(processes) and not directory.exists(), 20, "the end of everything")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_stays_up(demo, number):
    demo.wait_said("Ctrl-C: stop and remove everything.", 240)
    processes, directory = demo.all_processes(), demo.directory()
    demo.process.send_signal(number)
    assert demo.process.wait(120) == 0, demo.said()
    assert gone(processes) and not directory.exists()
    assert "\nNothing" in demo.said().replace("  ", "") and "equal: 20 mailboxes" in demo.said()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", demo.said()), "control characters in a file"


def test_wrong_use():
    done = subprocess.run([ROOT / "demo", "--twice"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr == "usage: ./demo [--once]\n"
