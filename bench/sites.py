"""Production and target as the benchmark sees them: two stand-ins, filled once, each behind a way of some length."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from standin.dovecot import Dovecot  # noqa: E402
from standin.product import bin_directory  # noqa: E402
from standin.voicemail import Generator, Message  # noqa: E402


class Way:
    """What lies between a client and a stand-in: nothing, or bench-delay. What product.site() takes."""

    def __init__(self, server, round_trip_ms=0):
        self.server, self.password, self.host, self.port = server, server.password, server.host, server.port
        self._proxy = None
        if round_trip_ms:
            self._proxy = subprocess.Popen([bin_directory() / "bench-delay", str(server.port),
                                            str(round(round_trip_ms * 500))],
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.port = int(self._proxy.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._proxy:
            self._proxy.stdin.close()
            self._proxy.wait()
            self._proxy.stdout.close()

    def endpoint(self):
        return {**self.server.endpoint(), "port": self.port}


class Sites:
    """Both stand-ins, with their mail in memory and without raw logs: a disk's mood would cost everybody the same and
    hide what differs. What the contestants keep for themselves lies on the disk."""

    def __enter__(self):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.root = Path(tempfile.mkdtemp(prefix="bench-", dir=memory))
        os.chmod(self.root, 0o711)
        self.production = Dovecot(self.root / "production", rawlog=False).start()
        self.target = Dovecot(self.root / "target", rawlog=False).start()
        return self

    def __exit__(self, *_):
        self.production.stop()
        self.target.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def fill(self, mailboxes, messages, size_bytes):
        """The first mailbox message by message, the others as copies of its files."""
        first, *others = mailboxes
        generator = Generator(seed=1)
        self.production.deliver(first, "INBOX", *(message(generator, size_bytes) for _ in range(messages)))
        for mailbox in others:
            subprocess.run(["cp", "-a", self.production.mail_directory(first),
                            self.production.mail_directory(mailbox)], check=True)

    def forget(self, mailboxes):
        """The target never heard of them."""
        for mailbox in mailboxes:
            shutil.rmtree(self.target.mail_directory(mailbox), ignore_errors=True)

    def count(self, mailboxes):
        """How many messages the target holds."""
        found = 0
        for mailbox in mailboxes:
            inbox = self.target.mail_directory(mailbox) / "Maildir"
            found += sum(len(os.listdir(inbox / part)) for part in ("cur", "new") if (inbox / part).exists())
        return found


def message(generator, size_bytes):
    """A voicemail of about that many bytes, most of them lines of base64, as recordings are."""
    head = generator.tiny(size=300, flags=generator.rng.choice(((), ("\\Seen",))))
    line = b"QUJD" * 19 + b"\r\n"
    return Message(head.data + line * max(0, (size_bytes - len(head.data)) // len(line)), head.flags, head.date)
