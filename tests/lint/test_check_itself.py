"""./check finds what a suite leaves running: shown on processes left on purpose, for a check that cannot fail proves
nothing."""
import os
import subprocess
import sys
import time

import leftovers


def start_and_wait(environ):
    """A sleeping process in its own session, once it really is `sleep` with that environment."""
    process = subprocess.Popen(["sleep", "60"], env=environ, start_new_session=True)
    end = time.monotonic() + 10
    while "sleep" not in leftovers._read(process.pid, "cmdline").decode() and time.monotonic() < end:
        time.sleep(0.01)
    return process


def test_found_by_environment():
    process = start_and_wait({**os.environ, "MIRROR_CHECK_RUN": "one-of-a-test"})
    try:
        assert leftovers.find("one-of-a-test") == {process.pid: "sleep 60"}
        assert leftovers.find("another") == {}
    finally:
        leftovers.kill([process.pid])
        process.wait()
    assert leftovers.find("one-of-a-test") == {}


def test_found_by_its_parents_with_an_empty_environment():
    process = start_and_wait({})
    try:
        assert process.pid in leftovers.find("another", os.getpid())
    finally:
        leftovers.kill([process.pid])
        process.wait()


def test_a_stopped_and_deaf_process_is_ended():
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(19)
    leftovers.kill([process.pid])
    assert process.wait() == -9
    process.stdout.close()
