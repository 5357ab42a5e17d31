"""What the chaos suites play: a copy in which things are killed at random moments (at each step: crashed.py). The judge is the comparer, which shares no code with the product.

The seed of what is random is printed; MIRROR_SEED repeats a run.
"""
import os
import random
import signal

import pytest

from copied import Through, settled_in
from helpers import wait_for
from standin.compare import compare
from standin.dovecot import Dovecot
from standin.product import Product
from standin.proxy import Proxy
from standin.voicemail import ACTIVE_GREETING, UNOPENED, Generator, Message

LEASE_SECONDS, PULSE_SECONDS = 7, 6  # the least that the configuration allows in this order
STATES = ((), (UNOPENED,), ("\\Seen",), ("\\Seen", "\\Flagged"), ("\\Seen", "\\Answered", "Urgent"))


@pytest.fixture
def rng(say):
    seed = int(os.environ.get("MIRROR_SEED") or random.randrange(1 << 32))
    say(f"seed {seed}")
    print(f"MIRROR_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def production():
    with Dovecot(storage="maildir", delimiter="/") as server:
        yield server


@pytest.fixture
def target():
    with Dovecot(storage="mdbox", delimiter=".") as server:
        yield server


def many(generator, mailbox, count):
    """Small messages, now and then a longer one; every tenth is there twice, the same but for its flags."""
    messages = []
    while len(messages) < count:
        size = 600 if generator.rng.random() < 0.9 else 60_000
        message = generator.tiny(mailbox, size, flags=generator.rng.choice(STATES))
        messages.append(message)
        if len(messages) % 10 == 9:
            messages.append(Message(message.data, generator.rng.choice(STATES), message.date))
    return messages[:count]


def installed(production, target, imap, **settings):
    """The product, not started; `imap` goes into both sites. A killed copier's sessions count for a while."""
    product = Product.between(production, target, **settings)
    for site in product.config["sites"]:
        site["imap"].update(imap)
    product.write_config()
    return product


def assert_equal(production, target, mailboxes, messages):
    outcome = compare(production.endpoint(), target.endpoint(), mailboxes)
    assert outcome.equal, "\n".join([outcome.line(), *map(str, outcome.differences[:20])])
    assert outcome.messages == messages


# --- kill -9 in the middle of a copy of 2,000 messages ----------------------------------------------------------------

MAILBOXES, MESSAGES, KILLS = [str(4701 + i) for i in range(4)], 2000, 20


class Chaos:
    """The real programs between two far sites, and somebody who kills them."""

    def __init__(self, product, rng):
        self.product, self.rng = product, rng
        self.open_intents = 0  # kills after which the store held open intents

    def number(self, query):
        return int(self.product.sql(query)[0][0])

    def mirrored(self):
        return self.number("SELECT COUNT(*) FROM message")

    def owners(self):
        """Processes that work under open intents now."""
        rows = self.product.sql("""SELECT DISTINCT m.lease_owner FROM intent i JOIN folder f ON f.folder_id = i.folder_id
                                   JOIN mirror m ON m.mirror_id = f.mirror_id
                                   WHERE i.state = 'open' AND m.lease_until > UTC_TIMESTAMP(6)""")
        running = self.product.pids("mirror-copier")
        return [pid for pid in (int(owner.split(":")[3]) for owner, in rows) if pid in running]

    def wait_mirrored(self, count):
        wait_for(lambda: self.mirrored() >= count, 120, lambda: f"{count} mirrored:\n{self.product.log_tail()}")

    def kill(self, what):
        """`copier`: one that works under open intents; `anybody`: any copier; `scanner`; `all` of the process group."""
        if what == "all":
            self.product.kill()
            self.product.start()
        else:
            pid = wait_for({"copier": self.owners, "anybody": lambda: self.product.pids("mirror-copier"),
                            "scanner": lambda: self.product.pids("mirror-scanner")}[what], 60, f"a {what} to kill")
            os.kill(self.rng.choice(pid), signal.SIGKILL)
        self.open_intents += self.number("SELECT COUNT(*) FROM intent WHERE state = 'open'") > 0


def kill_in_a_copy(production, target, rng, say, **imap):
    """`imap` goes into both sites."""
    generator = Generator(rng.randrange(1 << 32))
    for mailbox in MAILBOXES:
        production.deliver(mailbox, "INBOX", *many(generator, mailbox, MESSAGES // len(MAILBOXES)))
    victims = ["copier"] * 8 + ["anybody"] * 4 + ["scanner"] * 3 + ["all"] * 5
    rng.shuffle(victims)
    moments = sorted(rng.sample(range(10, MESSAGES * 9 // 10), KILLS))
    with Proxy(production.host, production.port, delay_ms=40) as near, \
            Proxy(target.host, target.port, delay_ms=60) as far, \
            installed(Through(production, near), Through(target, far), {"max_sessions": 1000, **imap}, copiers=4,
                      late_command_minutes=0.05, copy={"lease_seconds": LEASE_SECONDS, "batch_messages": 8},
                      supervisor={"pulse_seconds": PULSE_SECONDS}) as product:
        chaos = Chaos(product, rng)
        for mailbox in MAILBOXES:
            product.ctl("mailbox", "add", mailbox).ok()
        for moment, what in zip(moments, victims):
            chaos.wait_mirrored(moment)
            chaos.kill(what)
        near.delay_ms = far.delay_ms = 0
        product.ctl("sync", "--wait", timeout=180).ok()
        wait_for(lambda: chaos.number("SELECT COUNT(*) FROM intent") == 0, 60, lambda: f"ghosts over: {product.log_tail()}")
        product.ctl("sync", "--wait", timeout=60).ok()
        assert_equal(production, target, MAILBOXES, MESSAGES)
        restarts, present, absent = settled_in(product.log())
    say(f"{KILLS} kills, {chaos.open_intents} left open intents; {restarts} turns found them: {present} settled as present, "
        f"{absent} as absent")
    assert chaos.open_intents >= 5 and restarts >= 5 and present >= 1 and absent >= 1
