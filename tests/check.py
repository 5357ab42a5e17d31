"""What ./check does once the packages are there: runs the suites of suites.txt as one pytest session.

It is also the reaper of everything that the tests start: orphans become its children (PR_SET_CHILD_SUBREAPER), so
that a suite which leaves processes behind is found out (tests/conftest.py) even if they daemonised and emptied
their environment, and so that none of them stays a zombie on a machine whose init does not reap.
"""
import argparse
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import uuid

TESTS = pathlib.Path(__file__).resolve().parent
ROOT = TESTS.parent
sys.path.insert(0, str(TESTS))
import leftovers  # noqa: E402
import suites  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36


def arguments():
    parser = argparse.ArgumentParser(prog="./check")
    parser.add_argument("suite", nargs="*")
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    known = suites.table()
    unknown = [name for name in args.suite if name not in known]
    if unknown:
        parser.error(f"no suite {', '.join(unknown)}; there are: {' '.join(known)}")
    return args


def chosen(args):
    """The names to run, in the table's order; the programs are always built first."""
    rows = suites.table().values()
    if args.suite:
        needed = {"build-gcc", *(suites.NEEDS[name] for name in args.suite if name in suites.NEEDS)}
        parts = tuple(f"{name}-" for name in suites.PARTED & set(args.suite))
        return [row.name for row in rows if row.name in {*args.suite, *needed} or row.name.startswith(parts)]
    return [row.name for row in rows if args.all or not row.long]


def reap_until_end(process):
    """Waits for pytest and buries the orphans that come to us meanwhile."""
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return 1
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode


def main():
    args = arguments()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    environ = dict(os.environ, MIRROR_CHECK_RUN=uuid.uuid4().hex, MIRROR_CHECK_REAPER=str(os.getpid()),
                   PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8")
    command = [sys.executable, "-B", "-m", "pytest", "-v", "--color=auto",
               "--durations=10", "--durations-min=1", "-c", str(TESTS / "pytest.ini")]
    if args.all:
        command.append("--no-skips")
    command += [suites.place(name) for name in chosen(args)]
    process = None

    def forward(signum, _frame):
        # A Ctrl-C reaches pytest by itself; other wishes to end become one, so that it still cleans up.
        if process and signum != signal.SIGINT:
            process.send_signal(signal.SIGINT)

    # Before pytest starts: a SIGINT that is ignored (a background job's) would stay ignored there.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, forward)
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL)
    code = reap_until_end(process)
    # Only after an interrupted or crashed session is there anything left to end here.
    left = leftovers.find(environ["MIRROR_CHECK_RUN"], os.getpid())
    leftovers.kill(left)
    return code if not left else code or 1


if __name__ == "__main__":
    sys.exit(main())
