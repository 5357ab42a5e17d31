"""mirror-supervisor under test: a copy of it in a folder of its own, beside stand-ins for its children.

It finds its children beside its own executable, so a copy beside other programs needs no hook in the product.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

from helpers import BIN, free_port, wait_for

CHILDREN = ("mirror-scanner", "mirror-copier", "mirror-api")

CONFIG = """\
data_dir: data
database: {{ mode: {database} }}
sites:
  - name: production
    imap: {{ host: 127.0.0.1, port: 1143, tls: never }}
    trusted_server: {{ name: mirror, password_file: trusted.secret }}
  - name: dr
    imap: {{ host: 127.0.0.1, port: 2143, tls: never }}
    trusted_server: {{ name: mirror, password_file: trusted.secret }}
routes:
{routes}
workers: {{ scanner: 1, copier: {copiers}, api: 1 }}
api: {{ listen: "127.0.0.1:{port}" }}
supervisor: {{ grace_seconds: {grace}, pulse_seconds: {pulse} }}
log: {{ level: debug, format: {format} }}
"""


def process_exists(pid):
    """Not there, or only its entry waits to be reaped by whoever got it."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def group_members(group):
    """The living processes of a process group."""
    found = set()
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getpgid(int(entry.name)) == group and process_exists(entry.name):
                found.add(int(entry.name))
        except ProcessLookupError:
            pass
    return found


class Supervised:
    """One supervisor with its configuration and folder."""

    def __init__(self, folder, processes):
        self.folder = pathlib.Path(folder)
        self.folder.chmod(0o711)  # the database's user passes through
        self.processes = processes
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        self.config = self.folder / "mirror.yaml"
        self.data = self.folder / "data"
        self.process = None
        self.starts = 0
        secret = self.folder / "trusted.secret"
        secret.write_text("secret1234\n")
        secret.chmod(0o600)
        shutil.copy2(BIN / "mirror-supervisor", self.bin)
        for name in CHILDREN:
            shutil.copy2(pathlib.Path(__file__).parent / "badchild.py", self.bin / name)
            (self.bin / name).chmod(0o755)
        self.port = free_port()
        self.behave({})
        self.configure()

    def behave(self, behaviour):
        (self.bin / "behaviour.json").write_text(json.dumps(behaviour))

    def configure(self, copiers=2, grace=5, pulse=6, database="managed", routes=("dr",),
                  log_format="text"):
        lines = "".join(f"  - {{ name: {name}, from: production, to: dr }}\n" for name in routes)
        self.config.write_text(CONFIG.format(copiers=copiers, grace=grace, pulse=pulse, database=database,
                                             routes=lines, port=self.port, format=log_format))

    def start(self, *prefix):
        self.starts += 1
        command = [*prefix, self.bin / "mirror-supervisor", "--config", self.config]
        self.process = self.processes.start(f"supervisor{self.starts}", *command)
        return self.process

    def call(self, *arguments):
        """Runs it to its end; (status, stdout, stderr)."""
        done = subprocess.run([self.bin / "mirror-supervisor", *arguments], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def log(self):
        return self.process.log.read_text(errors="replace")

    def lines(self, pattern):
        return [line for line in self.log().splitlines() if re.search(pattern, line)]

    def wait_line(self, pattern, seconds=30, count=1):
        """Waits until so many lines of the log match; returns the last of them."""
        def found():
            lines = self.lines(pattern)
            return lines if len(lines) >= count else None
        return wait_for(found, seconds, lambda: f"{count} x {pattern!r} in the log:\n{self.log()}")[-1]

    def wait_ready(self, *names, seconds=60):
        for name in names:
            self.wait_line(rf"starting -> ready child={re.escape(name)} ", seconds)

    def wait_all_ready(self, copiers=2):
        self.wait_ready("database", "scanner.0", "api.0", *(f"copier.{i}" for i in range(copiers)))

    def pid_of(self, name):
        """The process that last started under that name."""
        line = self.wait_line(rf"-> starting child={re.escape(name)} ")
        return int(re.search(r" pid=(\d+)", line)[1])

    def pids(self):
        """All that it ever started."""
        return {int(re.search(r" pid=(\d+)", line)[1]) for line in self.lines(r"-> starting child=")}

    def running(self):
        return {pid for pid in self.pids() if process_exists(pid)}

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=40):
        """SIGTERM; returns its exit status."""
        return self.processes.stop(self.process, seconds)
