"""A door to a MariaDB that knows its packets just well enough to lose a COMMIT.

    with DatabaseDoor(database) as door:     # door.data_dir instead of the database's
        door.arm(3, "answer")                # the third COMMIT from now on is carried out, its answer is lost

Runs in threads of the test's own process and ends with it. What is lost takes its connection along, as it would.
"""
import shutil
import socket
import threading

from .ports import private_directory

COM_QUERY = 3


class DatabaseDoor:
    """A data_dir whose socket leads to the database. What becomes of the COMMIT that was counted:

    answer     the database carries it out, and its answer is lost
    commit     it does not reach the database
    database   neither; the database is killed
    """

    def __init__(self, database):
        self.database = database
        self.data_dir = private_directory("mirror-door-")
        self.lock = threading.Lock()
        self.arm()
        for name in ("run", "run-db"):
            (self.data_dir / name).mkdir(0o700)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.data_dir / "run-db" / "mariadb.sock"))
        self.listener.listen(20)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _shut(self.listener)
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def arm(self, nth=None, how=None):
        """Begins to count anew."""
        with self.lock:
            self.commits, self.nth, self.how, self.struck = 0, nth, how, False

    def _struck(self):
        """Counts a COMMIT. What is to become of it; None: nothing."""
        with self.lock:
            self.commits += 1
            if self.commits != self.nth:
                return None
            return self.how

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=_Pair(self, client).serve, daemon=True).start()


class _Pair:
    """One connection, and its other half."""

    def __init__(self, door, client):
        self.door, self.client, self.server = door, client, socket.socket(socket.AF_UNIX)
        self.swallow = False

    def serve(self):
        try:
            self.server.connect(str(self.door.database.socket))
            threading.Thread(target=self._down, daemon=True).start()
            self._up()
        except OSError:
            pass
        _shut(self.client)
        _shut(self.server)

    def _down(self):
        try:
            while (data := self.server.recv(65536)) and not self.swallow:
                self.client.sendall(data)
        except OSError:
            pass
        self.door.struck |= self.swallow
        _shut(self.client)
        _shut(self.server)

    def _up(self):
        """Packet by packet: three bytes of length, one of sequence; a command is a packet of sequence 0."""
        stream = self.client.makefile("rb")
        while len(head := stream.read(4)) == 4:
            body = stream.read(int.from_bytes(head[:3], "little"))
            is_commit = head[3] == 0 and body[:1] == bytes([COM_QUERY]) and body[1:].upper() == b"COMMIT"
            how = self.door._struck() if is_commit else None
            if how == "database":
                self.door.database.kill()
            if how in ("commit", "database"):
                self.door.struck = True
                return
            self.swallow = how == "answer"
            self.server.sendall(head + body)


def _shut(sock):
    """Ends both directions; whoever reads from it wakes up."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    sock.close()
