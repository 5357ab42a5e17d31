"""The suites that are other programs' work (CMake, CTest, libFuzzer, the demo), as pytest cases: quiet when all is
well, else with the end of their output."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHOWN_BYTES = 12000
JOBS = str(min(os.cpu_count() or 1, 8))


def run(*command, seconds, **environ):
    """Runs in the root of the tree; on failure or after `seconds` the test fails with the output's end."""
    # Into a file: what a command leaves running would hold a pipe open, and keep us waiting instead of being found.
    # In a session of its own, so that all of it can be ended when its time is over.
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ}, stdin=subprocess.DEVNULL,
                                   stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(seconds)
            why = f"exit status {process.returncode}"
        except subprocess.TimeoutExpired:
            why = f"took longer than {seconds} s"
            end(process)
        file.seek(0)
        output = file.read().decode(errors="replace")
    if process.returncode != 0:
        pytest.fail(f"{' '.join(command)}: {why}\n{output[-SHOWN_BYTES:]}", pytrace=False)
    return output


def end(process, seconds=30):
    """SIGTERM lets it clean up after itself; then SIGKILL to all of its session."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def build(folder, *options):
    if not (ROOT / folder / "CMakeCache.txt").exists():
        options = ("-G", "Ninja", *options)  # a folder that somebody configured keeps its generator
    run("cmake", "-S", ".", "-B", folder, *options, seconds=120)
    run("cmake", "--build", folder, "--parallel", JOBS, seconds=900)


def build_asan():
    build("build-asan", "-DCMAKE_C_COMPILER=clang", "-DMM_SANITIZE=address,undefined",
          "-DMM_CRASH_POINTS=ON")


def ctest(folder, *which, seconds, **environ):
    """Runs the tests that ctest finds by the options `which`; the names of those that skipped (something)."""
    output = run("ctest", "--test-dir", folder, *which, "--no-tests=error", "--output-on-failure", "--parallel", JOBS,
                 seconds=seconds, UBSAN_OPTIONS="print_stacktrace=1",
                 ASAN_OPTIONS="detect_stack_use_after_return=1:strict_string_checks=1", **environ)
    return set(re.findall(r"(\S+) \.*\*\*\*Skipped", output))


def test_build_gcc():
    build("build", "-DCMAKE_C_COMPILER=gcc")
    missing = [name for name in ("mirror-supervisor", "mirror-scanner", "mirror-copier", "mirror-ldapsync", "mirror-api", "mirrorctl")
               if not os.access(ROOT / "build/bin" / name, os.X_OK)]
    assert not missing, "build/bin lacks programs"


def test_build_clang():
    build_asan()


def test_unit():
    build_asan()
    unit = ("--label-regex", "unit")
    skipped = ctest("build-asan", *unit, seconds=600) | ctest("build", *unit, seconds=600)
    # Those that need a database are run with one by the suite `store`.
    skipped = sorted(name for name in skipped if not name.startswith("unit.store_"))
    if skipped:
        pytest.skip(f"done, but these skipped: {', '.join(skipped)}")


def test_fuzz():
    build("build-fuzz", "-DCMAKE_C_COMPILER=clang", "-DMM_FUZZ=ON")
    ctest("build-fuzz", "--label-regex", "fuzz", seconds=900)


def test_demo():
    run("./demo", "--once", seconds=600)


def test_fresh():
    run("scripts/fresh", seconds=5400)
