"""Runs the real programs (from MIRROR_BIN or build/bin): writes the configuration and the secrets, starts
mirror-supervisor below a watcher, waits until mirrorctl is answered, and at the end asserts that nothing is left.

    with Product.between(production, target) as product:
        product.ctl("mailbox", "add", "4701").ok()
        product.ctl("sync", "--wait").ok()
"""

import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .guard import Guarded, GuardError
from .ports import free_port, private_directory, wait_for

ROOT = Path(__file__).resolve().parents[2]


def bin_directory():
    return Path(os.environ.get("MIRROR_BIN") or ROOT / "build" / "bin")


def yaml_text(value, indent=0):
    """Block style; strings always quoted as JSON, which YAML reads the same."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        lines = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines.append(f"{pad}{key}:\n{yaml_text(item, indent + 1)}")
            else:
                lines.append(f"{pad}{key}: {yaml_text(item)}")
        return "\n".join(lines)
    if isinstance(value, list) and value:
        blocks = [yaml_text(item, indent + 1) for item in value]
        return "\n".join(f"{pad}- {block.lstrip()}" for block in blocks)
    if isinstance(value, (dict, list)):
        return pad + ("{}" if isinstance(value, dict) else "[]")
    return pad + json.dumps(value, ensure_ascii=False)


@dataclass
class Result:
    """What mirrorctl said."""
    command: tuple
    exit: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    def ok(self):
        """Itself, or AssertionError with the program's words."""
        assert self.exit == 0, f"mirrorctl {' '.join(self.command)}: exit {self.exit}: {self.err}{self.out}"
        return self

CRASH = re.compile(r"^.*(?:ended by signal (?:4|5|6|7|8|11) |Sanitizer: |runtime error: ).*$", re.M)  # SIGILL to SIGSEGV


class Product:
    """One installation. `config` is the configuration as a dict; data_dir and api.listen are filled in."""

    def __init__(self, config, root=None, secrets=None, held=None, bin_dir=None):
        self._own_root = root is None
        self.root = Path(root) if root else private_directory("mirror-")
        self.root.mkdir(parents=True, exist_ok=True)
        os.chmod(self.root, 0o711)
        self.bin = Path(bin_dir) if bin_dir else bin_directory()
        self.config_file = self.root / "mirror.yaml"
        self.log_file = self.root / "mirror.log"
        self.held = held
        self.guard = None
        self.config = {"data_dir": str(self.root / "data"), "database": {"mode": "managed"}, **config}
        self.config.setdefault("api", {}).setdefault("listen", f"127.0.0.1:{free_port()}")
        for name, text in (secrets or {}).items():
            self.write_secret(name, text)
        self.write_config()

    @classmethod
    def between(cls, production, *targets, copiers=4, look_seconds=1, late_command_minutes=0.2, deletions=None,
                root=None, held=None, **more):
        """Mirrors from one stand-in to others; the first route is called 'dr', the next 'dr2' and so on.

        `more` is merged into the configuration at the top level; site() makes further sites."""
        names = ["dr" if index == 0 else f"dr{index + 1}" for index in range(len(targets))]
        config = {
            "sites": [site("production", production)] + [site(name, target) for name, target in zip(names, targets)],
            "routes": [{"name": name, "from": "production", "to": name, "late_command_minutes": late_command_minutes,
                        **({"deletions": deletions} if deletions else {})} for name in names],
            "workers": {"scanner": 1, "copier": copiers, "api": 1},
            "scan": {"look_interval_seconds": look_seconds},
        }
        for key, value in more.items():
            config[key] = {**config[key], **value} if isinstance(config.get(key), dict) else value
        secrets = {f"{name}.secret": server.password
                   for name, server in zip(["production", *names], [production, *targets])}
        return cls(config, root=root, secrets=secrets, held=held)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        """Stops; what is wrong with the stop is told only where nothing else went wrong before."""
        try:
            self.stop(check=kind is None)
        finally:
            if self._own_root:
                shutil.rmtree(self.root, ignore_errors=True)

    # --- files ----------------------------------------------------------------------------------------------

    def write_config(self, config=None):
        if config is not None:
            self.config = config
        self.config_file.write_text(yaml_text(self.config) + "\n", encoding="utf-8")

    def write_secret(self, name, text):
        """Beside the configuration, readable by its owner only; replaced in one step."""
        path = self.root / name
        fresh = path.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
        fresh.rename(path)
        return path

    @property
    def database_socket(self):
        return Path(self.config["data_dir"]) / "run-db" / "mariadb.sock"

    @property
    def url(self):
        return f"http://{self.config['api']['listen']}"

    # --- life -----------------------------------------------------------------------------------------------

    def start(self, seconds=90, wait=True):
        program = self.bin / "mirror-supervisor"
        if not os.access(program, os.X_OK):
            raise GuardError(f"{program} is not there: build first, or set MIRROR_BIN")
        self.guard = Guarded([program, "--config", self.config_file], log=self.log_file, cwd=self.root,
                             grace_seconds=60, held=self.held)
        if wait:
            self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds=90):
        """Until mirrorctl is answered."""
        def ready():
            if not self.guard.alive():
                raise GuardError(f"mirror-supervisor ended at once:\n{self.log_tail()}")
            return self.ctl("status", "--json", timeout=30).exit in (0, 1)
        try:
            wait_for(ready, seconds, "mirrorctl status", interval=0.1)
        except TimeoutError as error:
            raise GuardError(f"{error}:\n{self.log_tail()}") from None

    def stop(self, check=True, seconds=60):
        """SIGTERM, and waits. With `check`: it must end with 0, nothing of it may run any more, and none of its processes may have
        crashed, which the supervisor mends so fast that nobody would notice."""
        if not self.guard:
            return None
        status, left = self.guard.stop(seconds)
        self.guard = None
        if check:
            assert not left, f"still running after the supervisor's end: {', '.join(left)}\n{self.log_tail()}"
            assert status == 0, f"mirror-supervisor ended with {status}:\n{self.log_tail()}"
            crashes = CRASH.findall(self.log())
            assert not crashes, f"crashed: {crashes[:3]}\n{self.log_tail(60)}"
        return status

    def kill(self):
        """Power off: SIGKILL to everything."""
        if self.guard:
            self.guard.kill()
            self.guard = None

    def reload(self):
        os.kill(self.guard.pid, signal.SIGHUP)

    # --- looking at it ----------------------------------------------------------------------------------------

    def ctl(self, *arguments, timeout=120, stdin=None):
        """Runs mirrorctl to its end."""
        arguments = tuple(map(str, arguments))
        done = subprocess.run([self.bin / "mirrorctl", "--config", self.config_file, *arguments], input=stdin,
                              capture_output=True, text=True, timeout=timeout, check=False)
        return Result(arguments, done.returncode, done.stdout, done.stderr)

    def start_ctl(self, *arguments):
        """Starts mirrorctl and returns the Popen object."""
        return subprocess.Popen([self.bin / "mirrorctl", "--config", self.config_file, *map(str, arguments)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def mirrors(self):
        """{(mailbox, route): mirror object} from `mailbox list --json`."""
        return {(mailbox["number"], mirror["route"]): mirror
                for mailbox in _find_list(self.ctl("mailbox", "list", "--json").json, "mailboxes")
                for mirror in mailbox["mirrors"]}

    def pids(self, program):
        """[pid] of the running processes of one program, in the order of their start."""
        name = program[:15]  # as the kernel keeps it
        return sorted(pid for pid, running in self.guard.processes() if running == name)

    def sql(self, query):
        """[[column, ...]] as text, from the managed database."""
        client = shutil.which("mariadb") or "mysql"
        done = subprocess.run([client, "--no-defaults", f"--socket={self.database_socket}", "--batch",
                               "--skip-column-names", self.config["database"].get("name", "mirror"), "-e", query],
                              capture_output=True, text=True, check=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log_tail(self, lines=25):
        return "\n".join(self.log().splitlines()[-lines:])


def site(name, server, **imap):
    """One entry of `sites` for a stand-in; its password file is NAME.secret beside the configuration."""
    spec = server.endpoint()
    certificate = getattr(server, "certificate", None)
    address = {"host": spec["host"], "port": spec["port"], "tls": "starttls" if certificate else "never",
               "max_sessions": 40, "max_logins_per_second": 100}
    if certificate:
        address["ca_file"] = str(certificate.ca_file)
    return {"name": name, "imap": {**address, **imap}, "login": spec["login"],
            "trusted_server": {"name": spec["trusted"], "password_file": f"{name}.secret"}}


def _find_list(value, name):
    """The list itself, or the one called `name` in an object."""
    return value if isinstance(value, list) else value[name]
