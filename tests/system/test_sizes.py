"""Sizes that a store may have: one mailbox of 20,000 messages, one of 300 folders, messages up to the limit and over it.
A copier's memory grows with none of their bytes."""
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from standin.compare import compare  # noqa: E402
from standin.dovecot import Dovecot  # noqa: E402
from standin.product import Product  # noqa: E402
from standin.voicemail import Generator, Message  # noqa: E402

MANY, FOLDERS = 20000, 300
LIMIT_BYTES = 60_000_000
BIG_BYTES, TOO_BIG_BYTES = 55_000_000, 61_000_000
WITHIN_SECONDS = 900
COPIER_BYTES = 160 * 1024 * 1024  # all that it holds, 20,000 rows included; far below two of the big messages


@pytest.fixture(scope="module")
def sites():
    with Dovecot() as production, Dovecot(storage="mdbox") as target:
        yield production, target


def big_message(generator, size):
    """A recording of that many bytes, in lines of base64."""
    head = generator.tiny().data.partition(b"\r\n\r\n")[0]
    line = b"QUJD" * 19 + b"\r\n"
    body = line * ((size - len(head) - 4) // len(line))
    return Message(head + b"\r\n\r\n" + body, ("\\Seen",), generator.date())


def peak_bytes(pid):
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def test_sizes(sites, say):
    production, target = sites
    generator = Generator(seed=7)
    production.fill("4701", {("INBOX",): [generator.tiny(size=300 + i % 50) for i in range(MANY)]})
    production.fill("4702", {(f"Folder {i}", "below"): [generator.tiny()] for i in range(FOLDERS)})
    production.fill("4703", {("INBOX",): [big_message(generator, BIG_BYTES), generator.tiny(),
                                          big_message(generator, TOO_BIG_BYTES), generator.tiny()]})
    product = Product.between(production, target, copiers=3, look_seconds=5)
    for entry in product.config["sites"]:
        entry["imap"]["max_message_bytes"] = LIMIT_BYTES
    product.write_config()
    with product:
        for mailbox in ("4701", "4702", "4703"):
            product.ctl("mailbox", "add", mailbox).ok()
        done = product.ctl("sync", "--wait", "--timeout", WITHIN_SECONDS, timeout=WITHIN_SECONDS + 30)
        assert done.exit == 1, "one message is too big: done, but not all is well\n" + product.log_tail()
        peaks = [peak_bytes(pid) for pid in product.pids("mirror-copier")]
        say(f"copiers at their peak: {', '.join(f'{peak / 1e6:.0f} MB' for peak in peaks)}")
        assert max(peaks) < COPIER_BYTES, peaks
        why = product.ctl("why", "4703").out
        assert "max_message_bytes" in why, why
        result = compare(production.endpoint(), target.endpoint(), ["4701", "4702"])
        assert result.equal, str(result)
        inbox = target.imap("4703")
        assert inbox.select("INBOX", readonly=True)[1] == [b"3"], "the others go on"
        inbox.logout()
