"""Runs one server so that nothing of it can outlive us, however we end. Standard library only.

Two halves in one file. `Guarded` is what a test or the demo uses. It starts this file again as a small watcher
process, which starts the server and then only waits on a pipe that we hold open. When the pipe closes (we ended, or
were killed with SIGKILL) the watcher kills the whole tree of the server.

The tricky thing is that a server's processes leave their group and session (setsid) and outlive their parents, so
neither a process group nor a parent's death finds all of them. The watcher is a *child subreaper* (prctl 36): an
orphan below it becomes its own child, so everything that ever came from the server stays a descendant of the
watcher, paused (SIGSTOP) or not. Should the watcher itself be killed, PDEATHSIG takes at least the server's main
process along.
"""

import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def _prctl(option, value):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def process_table():
    """{pid: (ppid, state, command name)} of everything that runs."""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                text = file.read().decode("utf-8", "replace")
        except OSError:
            continue
        # The name stands in parentheses and may itself hold blanks and parentheses.
        name_end = text.rindex(")")
        fields = text[name_end + 2:].split()
        table[int(entry)] = (int(fields[1]), fields[0], text[text.index("(") + 1:name_end])
    return table


def descendants(pid, zombies=False):
    """[(pid, name)] of everything below `pid`, itself not included."""
    table = process_table()
    children = {}
    for child, (parent, _, _) in table.items():
        children.setdefault(parent, []).append(child)
    found, queue = [], [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            queue.append(child)
            if zombies or table[child][1] != "Z":
                found.append((child, table[child][2]))
    return found


class GuardError(Exception):
    """A server that doesn't start, or ended too early."""


class Guarded:
    """One server process under a watcher. `log` gets the server's standard output and error.

    `held` names a file on which the watcher holds a shared lock as long as it lives: whoever gets the exclusive lock
    knows that everything is gone (the demo's janitor).
    """

    def __init__(self, argv, log, cwd=None, env=None, grace_seconds=10.0, held=None, stop_signal=signal.SIGTERM):
        spec = {"argv": [str(part) for part in argv], "log": str(log), "cwd": cwd and str(cwd), "env": env,
                "grace": grace_seconds, "held": held and str(held), "signal": int(stop_signal)}
        self.log = log
        self.name = os.path.basename(spec["argv"][0])
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.abspath(__file__), json.dumps(spec)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0)
        self._said = b""
        first = self._line(10.0)
        if not first.startswith("pid "):
            self.kill()
            raise GuardError(f"{self.name}: {first or 'the watcher ended'}; log: {self.log_tail()}")
        self.pid = int(first.split()[1])
        self.exit_status = None

    @property
    def watcher_pid(self):
        return self._watcher.pid

    def _line(self, seconds):
        """One line from the watcher, '' at its end or when the time is over."""
        until = time.monotonic() + seconds
        while b"\n" not in self._said:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._watcher.stdout], [], [], left)[0]:
                return ""
            part = os.read(self._watcher.stdout.fileno(), 65536)
            if not part:
                return ""
            self._said += part
        line, self._said = self._said.split(b"\n", 1)
        return line.decode("utf-8", "replace")

    def alive(self):
        """Whether the server's main process runs (paused counts as running)."""
        try:
            with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    def processes(self):
        """[(pid, name)] of all that runs of this server now, the main process included."""
        return descendants(self._watcher.pid)

    def stop(self, seconds=None):
        """Asks the server to end, waits, and returns (exit status or -signal, [what still ran then and was killed])."""
        if self._watcher.stdin is None or self._watcher.stdin.closed:
            return self.exit_status, []
        left = []
        try:
            self._watcher.stdin.write(b"stop\n" if seconds is None else b"stop %g\n" % seconds)
        except OSError:
            pass
        while line := self._line(60.0 + (seconds or 0)):
            word, _, rest = line.partition(" ")
            if word == "exit":
                self.exit_status = int(rest)
            elif word == "left":
                left.append(rest)
        self._close()
        return self.exit_status, left

    def kill(self):
        """Ends everything at once, without asking."""
        self._close()

    def _close(self):
        for pipe in (self._watcher.stdin, self._watcher.stdout):
            if pipe and not pipe.closed:
                pipe.close()
        self._watcher.wait(30)

    def log_tail(self, lines=15):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except OSError as error:
            return str(error)


# --- the watcher's half ---------------------------------------------------------------------------------------

def _say(text):
    try:
        os.write(1, (text + "\n").encode())
    except OSError:
        pass  # whoever asked is gone


def _in_child(watcher):
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != watcher:
        os._exit(127)


def _reap(main, state):
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == main:
            state["exit"] = os.waitstatus_to_exitcode(status)
            _say(f"exit {state['exit']}")


def _kill_all(main, state):
    """Until nothing below us is left: what forks meanwhile is found in the next round."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        _reap(main, state)
        running = descendants(os.getpid())
        if not running:
            return
        for pid, _ in running:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.005)


def _ask_to_end(main, state, spec, seconds):
    """The polite end: a signal to the main process, then time for it and for all below it."""
    if "exit" not in state:
        os.kill(main, spec["signal"])
    until = time.monotonic() + seconds
    while "exit" not in state and time.monotonic() < until:
        _reap(main, state)
        time.sleep(0.005)
    # Children of a main process that has just ended may need a moment; what stays after it is worth telling.
    until = time.monotonic() + (0.5 if "exit" in state else 0)
    while descendants(os.getpid()) and time.monotonic() < until:
        _reap(main, state)
        time.sleep(0.005)
    for pid, name in descendants(os.getpid()):
        _say(f"left {pid} {name}")


def _start(spec):
    log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    watcher = os.getpid()
    process = subprocess.Popen(spec["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=spec["cwd"],
                               env=spec["env"], start_new_session=True, preexec_fn=lambda: _in_child(watcher))
    os.close(log)
    return process.pid


def _watch(main, state, spec):
    """Waits for 'stop', or for the end of whoever started us; meanwhile reaps."""
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the pipe alone decides
    said = b""
    while True:
        _reap(main, state)
        ready = select.select([0, wake_read], [], [])[0]
        if wake_read in ready:
            os.read(wake_read, 4096)
        if 0 in ready:
            part = os.read(0, 4096)
            if not part:
                return
            said += part
            if b"\n" in said:
                words = said.split()
                _ask_to_end(main, state, spec, float(words[1]) if len(words) > 1 else spec["grace"])
                return


def main(argument):
    spec = json.loads(argument)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    if spec["held"]:
        held = os.open(spec["held"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_SH)
    try:
        pid = _start(spec)
    except OSError as error:
        _say(f"cannot start: {error}")
        return
    state = {}
    _say(f"pid {pid}")
    try:
        _watch(pid, state, spec)
    finally:
        _kill_all(pid, state)


if __name__ == "__main__":
    main(sys.argv[1])
