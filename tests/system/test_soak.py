"""Some minutes of a busy day with something going wrong all the time: voicemail arrives, is heard, filed and deleted,
greetings change, while copiers and the scanner are killed, servers restart, hang and come back, the database dies. At the end both
sides are equal, and nothing that lives long has grown: neither memory, nor descriptors, nor rows that should have gone.

The seed is printed; MIRROR_SEED repeats a run.
"""
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers import wait_for  # noqa: E402
from mirrored import told  # noqa: E402
from standin.dovecot import Dovecot  # noqa: E402
from standin.product import Product  # noqa: E402
from standin.voicemail import UNOPENED, Generator  # noqa: E402

SECONDS = int(os.environ.get("MIRROR_SOAK_SECONDS", 480))
MAILBOXES = [str(number) for number in range(4701, 4713)]
LONG_LIVED = ("mirror-supervis", "mirror-api")
GROWTH_BYTES, GROWTH_FDS = 8 << 20, 4


class Day:
    """Production's users and callers."""

    def __init__(self, production, rng):
        self.production, self.rng = production, rng
        self.generator = Generator(seed=rng.randrange(1 << 30), scale=0.2)
        self.folders = 0

    def a_voicemail_arrives(self, mailbox):
        self.production.deliver(mailbox, "INBOX", self.generator.voicemail(mailbox, urgent=self.rng.random() < 0.2))

    def a_greeting_is_recorded(self, mailbox):
        self.production.deliver(mailbox, "Greetings", self.generator.greeting(mailbox, self.rng.randint(1, 9), active=True))

    def one_is_heard(self, mailbox):
        connection = self.production.imap(mailbox)
        connection.select("INBOX")
        uids = connection.uid("SEARCH", "UNSEEN")[1][0].split()
        if uids:
            connection.uid("STORE", self.rng.choice(uids), "+FLAGS", self.rng.choice(("\\Seen", UNOPENED)))
        connection.logout()

    def one_is_filed(self, mailbox):
        connection = self.production.imap(mailbox)
        self.folders += 1
        name = f"Filed {self.folders % 7}"
        connection.create(f'"{name}"')
        connection.select("INBOX")
        uids = connection.uid("SEARCH", "ALL")[1][0].split()
        if uids:
            connection.uid("COPY", self.rng.choice(uids), f'"{name}"')
        connection.logout()

    def one_is_deleted(self, mailbox):
        connection = self.production.imap(mailbox)
        connection.select("INBOX")
        uids = connection.uid("SEARCH", "ALL")[1][0].split()
        if uids:
            uid = self.rng.choice(uids)
            connection.uid("STORE", uid, "+FLAGS", "\\Deleted")
            connection.uid("EXPUNGE", uid)
        connection.logout()

    def a_folder_is_deleted(self, mailbox):
        connection = self.production.imap(mailbox)
        connection.delete(f'"Filed {self.rng.randrange(7)}"')
        connection.logout()

    def goes_on(self):
        what = self.rng.choice((self.a_voicemail_arrives, self.a_voicemail_arrives, self.one_is_heard, self.one_is_filed,
                                self.a_greeting_is_recorded, self.one_is_deleted, self.one_is_deleted,
                                self.a_folder_is_deleted))
        what(self.rng.choice(MAILBOXES))


class Trouble:
    """What goes wrong, one thing at a time."""

    def __init__(self, product, production, target, rng):
        self.product, self.production, self.target, self.rng = product, production, target, rng

    def kill(self, program):
        pids = self.product.pids(program)
        if pids:
            os.kill(self.rng.choice(pids), signal.SIGKILL)

    def a_copier_dies(self):
        self.kill("mirror-copier")

    def the_scanner_dies(self):
        self.kill("mirror-scanner")

    def the_database_dies(self):
        self.kill("mariadbd")

    def the_configuration_is_read_again(self):
        self.product.reload()

    def the_target_restarts(self):
        self.target.restart()

    def the_target_hangs(self):
        paused = self.target.pause()
        time.sleep(3)
        self.target.resume(paused)

    def strikes(self):
        what = self.rng.choice((self.a_copier_dies, self.a_copier_dies, self.the_scanner_dies, self.the_database_dies,
                                self.the_configuration_is_read_again, self.the_target_restarts, self.the_target_hangs))
        what()
        return what.__name__


def held_by(product):
    """{program: (resident bytes, descriptors)} of what is never restarted here."""
    held = {}
    for program in LONG_LIVED:
        for pid in product.pids(program):
            status = Path(f"/proc/{pid}/status").read_text()
            held[program, pid] = (int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024,
                                  len(os.listdir(f"/proc/{pid}/fd")))
    return held


def play(product, day, trouble, until):
    """Returns how often each thing went wrong."""
    struck = {}
    next_trouble = time.monotonic()
    while time.monotonic() < until:
        day.goes_on()
        if time.monotonic() >= next_trouble:
            name = trouble.strikes()
            struck[name] = struck.get(name, 0) + 1
            next_trouble = time.monotonic() + day.rng.uniform(3, 12)
        time.sleep(day.rng.uniform(0, 0.3))
    return struck


def test_soak(say):
    seed = int(os.environ.get("MIRROR_SEED") or random.randrange(1 << 32))
    say(f"seed {seed}")
    rng = random.Random(seed)
    with Dovecot() as production, Dovecot(storage="mdbox", delimiter=".") as target:
        # A year's deletions in minutes: no share of them is held.
        deletions = {"delay_seconds": 2, "mailbox_share": 1, "route_share": 1, "route_mailboxes_share": 1}
        with Product.between(production, target, copiers=3, deletions=deletions) as product:
            for mailbox in MAILBOXES:
                product.ctl("mailbox", "add", mailbox).ok()
            day, trouble = Day(production, rng), Trouble(product, production, target, rng)
            began = time.monotonic()
            play(product, day, trouble, began + SECONDS / 4)
            early = held_by(product)
            struck = play(product, day, trouble, began + SECONDS)
            say("went wrong: " + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sorted(struck.items())))
            wait_for(lambda: product.ctl("sync", "--wait", "--timeout", 120, timeout=150).exit == 0, 300,
                     lambda: "equal at last\n" + product.log_tail(40))
            assert told(production, target, MAILBOXES).startswith("equal"), told(production, target, MAILBOXES)
            late = held_by(product)
            for key, (was_bytes, was_fds) in early.items():
                assert key in late, f"{key[0]} was restarted"
                now_bytes, now_fds = late[key]
                say(f"{key[0]}: {was_bytes / 1e6:.1f} -> {now_bytes / 1e6:.1f} MB, {was_fds} -> {now_fds} descriptors")
                assert now_bytes < was_bytes + GROWTH_BYTES and now_fds <= was_fds + GROWTH_FDS, key
            assert product.sql("SELECT COUNT(*) FROM intent WHERE state = 'open'") == [["0"]]
            assert product.sql("SELECT COUNT(*) FROM message WHERE removal <> 'none' OR source_gone_at IS NOT NULL") == [["0"]]
            say(f"{product.sql('SELECT COALESCE(SUM(messages), 0) FROM removal')[0][0]} messages removed")
