"""Finds and ends the processes that a suite started and did not stop.

Two marks, since either can be lost: the environment of a process (MIRROR_CHECK_RUN, which programs like Dovecot's
empty for their children), and its line of parents up to the reaper (tests/check.py), which a process keeps whatever
it does to itself, as long as the tests run under ./check.
"""
import os
import signal
import time


def _stat(pid):
    """(state, parent) or None when the process is gone. The name in parentheses may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1])


def _read(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _line_of(pid, parents):
    """The process, its parent, and so on up."""
    line = []
    while pid in parents and pid not in line:
        line.append(pid)
        pid = parents[pid]
    return line


def find(run, reaper=None):
    """{pid: command line} of what still runs, without the caller and its parents."""
    parents = {}
    for name in os.listdir("/proc"):
        stat = _stat(name) if name.isdigit() else None
        if stat and stat[0] != b"Z":
            parents[int(name)] = stat[1]
    ours = set(_line_of(os.getpid(), parents))
    mark = f"MIRROR_CHECK_RUN={run}".encode()
    found = {}
    for pid in parents:
        if pid in ours:
            continue
        if mark in _read(pid, "environ") or (reaper and reaper in _line_of(pid, parents)):
            found[pid] = _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
    return {pid: command for pid, command in found.items() if command}


def kill(pids):
    """SIGCONT and SIGTERM, then SIGKILL after two seconds. Only these processes, one by one."""
    def each(signum):
        for pid in pids:
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                pass

    def alive():
        return [pid for pid in pids if (_stat(pid) or (b"Z", 0))[0] != b"Z"]

    each(signal.SIGTERM)
    each(signal.SIGCONT)
    end = time.monotonic() + 2
    while alive() and time.monotonic() < end:
        time.sleep(0.05)
    each(signal.SIGKILL)
