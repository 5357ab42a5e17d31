"""A private mariadbd in a folder of its own: socket only, gone with whoever started it.

    with MariaDB() as database:
        pymysql.connect(unix_socket=database.socket, user="root")

The socket lies where the product looks for its managed database: <data_dir>/run-db/mariadb.sock. `root` is the operating
system's user of that name (unix_socket authentication), or ours if we are not root.
"""
import getpass
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from .guard import Guarded, GuardError


class MariaDB:
    """start(), stop(), kill(); `durable` waits for the disk at each commit, as the product does."""

    def __init__(self, data_dir=None, durable=False, options=()):
        self._own_root = data_dir is None
        # A unix socket's name has 107 bytes: a short folder.
        self.data_dir = pathlib.Path(data_dir or tempfile.mkdtemp(prefix="mirror-db-", dir="/tmp"))
        self.files = self.data_dir / "database"
        self.run = self.data_dir / "run-db"
        self.socket = self.run / "mariadb.sock"
        self.log = self.data_dir / "mariadb.log"
        self.durable, self.options = durable, options
        self._guard = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.discard()

    @property
    def pid(self):
        return self._guard.pid

    def install(self):
        if (self.files / "mysql").exists():
            return
        for folder in (self.files, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        user = getpass.getuser()
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={self.files}", f"--user={user}",
                        "--auth-root-authentication-method=socket", f"--auth-root-socket-user={user}",
                        "--skip-test-db", "--skip-name-resolve"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def start(self, seconds=60):
        self.install()
        self._guard = Guarded(
            [shutil.which("mariadbd") or "/usr/sbin/mariadbd", "--no-defaults", f"--user={getpass.getuser()}",
             f"--datadir={self.files}", f"--socket={self.socket}", "--skip-networking", "--skip-name-resolve",
             f"--pid-file={self.run}/mariadb.pid", f"--tmpdir={self.run}", "--character-set-server=utf8mb4",
             "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M", "--performance-schema=OFF",
             "--innodb-use-native-aio=OFF", f"--innodb-flush-log-at-trx-commit={1 if self.durable else 2}",
             *self.options], self.log)
        until = time.monotonic() + seconds
        while not self.answers():
            if not self._guard.alive() or time.monotonic() > until:
                raise GuardError(f"mariadbd does not answer: {self._guard.log_tail()}")
            time.sleep(0.05)
        return self

    def answers(self):
        ping = subprocess.run(["mariadb-admin", "--no-defaults", f"--socket={self.socket}", "--user=root", "ping"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        return ping.returncode == 0

    def sql(self, statement, database=""):
        """The output of the `mariadb` client, without headings."""
        done = subprocess.run(["mariadb", "--no-defaults", f"--socket={self.socket}", "--user=root", "-N", "-B",
                               "-e", statement, *([database] if database else [])],
                              check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.stdout

    def stop(self):
        guard, self._guard = self._guard, None
        if guard:
            guard.stop(30)

    def kill(self):
        """As a power cut would. Another thread may start it again as soon as it is dead."""
        guard, self._guard = self._guard, None
        if guard:
            guard.kill()

    def discard(self):
        self.stop()
        if self._own_root:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def environment(self):
        """For the store's unit tests, which skip themselves without it."""
        return dict(os.environ, MIRROR_TEST_SOCKET=str(self.socket))
