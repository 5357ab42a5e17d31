"""Free loopback ports, waiting for conditions, and private directories."""

import os
import socket
import tempfile
import time
from pathlib import Path


_dealt = set()


def free_port():
    """A port that was free a moment ago, never the same one twice: its first owner may not have opened it yet."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _dealt:
            _dealt.add(port)
            return port


def wait_for(condition, seconds=10.0, what="condition", interval=0.01):
    """The first true value of condition(), or TimeoutError."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(interval)


def private_directory(prefix="standin-"):
    """A new directory that other users may pass through but not list: servers that drop root must reach theirs."""
    path = Path(tempfile.mkdtemp(prefix=prefix))
    os.chmod(path, 0o711)
    return path
