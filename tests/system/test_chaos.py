"""Whatever dies, whenever: nothing lost, nothing twice (I2, I3). Copiers, the scanner and everything at once are killed
in the middle of a copy; a copier sleeps past its lease; the target carries a command out long after it was given up.
"""
import os
import re
import signal
import time

from chaos import LEASE_SECONDS, assert_equal, installed, kill_in_a_copy, many, production, rng, target  # noqa: F401
from copied import Copied, Through, settled_in
from helpers import wait_for
from standin.proxy import Filter, Proxy
from standin.voicemail import Generator, Message


def test_killed_20_times_in_a_copy_of_2000_messages(production, target, rng, say):  # noqa: F811
    kill_in_a_copy(production, target, rng, say)


# --- a copier that sleeps past its lease ------------------------------------------------------------------------------

def test_copier_that_wakes_past_its_lease_sends_nothing_more(workdir, production, target, say):
    generator = Generator(5)
    big = generator.voicemail("4901", seconds=120)
    big = Message(big.data + b"x" * 76 * 100 + b"\r\n" * 4_000_000, ("\\Seen",), big.date)
    production.deliver("4901", "INBOX", generator.tiny(), big, generator.tiny())
    with Proxy(target.host, target.port, delay_ms=50) as slow, \
            Copied(workdir, production, target, late_command_minutes=0.05, lease_seconds=LEASE_SECONDS) as copied:
        copied.want(f"mirror_id = {copied.subscribe('4901')}")
        sleeper = copied.start_copier(copied.other_config("slow", Through(target, slow)))
        wait_for(lambda: slow.bytes_up > 500_000, 20, lambda: f"half a literal sent:\n{copied.copier_log()}")
        os.kill(sleeper.pid, signal.SIGSTOP)
        copied.start_copier(instance=1)
        copied.wait_done(LEASE_SECONDS + 30)
        assert copied.settled(1) == (1, 0, 3)
        wait_for(_still(lambda: slow.bytes_up), 10, "what the kernel held is sent")
        sent = slow.bytes_up
        os.kill(sleeper.pid, signal.SIGCONT)
        wait_for(lambda: re.search(r" warn +copier\S+ turn failed .*the lease on this mirror", copied.copier_log(0)), 20,
                 lambda: f"the sleeper notices:\n{copied.copier_log(0)}")
        assert slow.bytes_up == sent
        copied.wait_ghosts_over()
        copied.want()
        copied.wait_done()
        say(f"asleep with {sent} of {len(big.data)} bytes sent; nothing more after it woke")
        assert copied.intents("open") == copied.intents("ghost") == 0
        assert_equal(production, target, ["4901"], 3)


def _still(value):
    """A condition: the value was the same in 20 looks in a row."""
    seen = []

    def condition():
        seen.append(value())
        return len(seen) >= 20 and len(set(seen[-20:])) == 1
    return condition


# --- a command that the target carries out long after it was given up -------------------------------------------------

class PausedAtAppend(Filter):
    """Before the first APPEND is passed on, the target's mail processes of the mailbox are stopped in their tracks."""

    def __init__(self, server, mailbox):
        self.server, self.mailbox, self.paused = server, mailbox, None
        super().__init__(server.host, server.port)

    def _one_command(self, line, stream, client, state):
        if self.paused is None and re.match(rb"(?i)\S+ APPEND\b", line):
            self.paused = self.server.pause(self.mailbox)
        return super()._one_command(line, stream, client, state)


def stored(target, mailbox):
    with target.wire(mailbox) as wire:
        return wire.examine("INBOX")


def test_append_that_comes_late_is_taken_back(production, target, say):
    production.deliver("4801", "INBOX", *many(Generator(7), "4801", 12))
    with PausedAtAppend(target, "4801") as door, \
            installed(production, Through(target, door), {"answer_seconds": 2}, copiers=2,
                      late_command_minutes=0.15) as product:
        product.ctl("mailbox", "add", "4801").ok()
        wait_for(lambda: door.paused, 20, lambda: f"an APPEND on its way:\n{product.log_tail()}")
        wait_for(lambda: product.ctl("status", "--json").exit == 0, 30, lambda: f"mirrored again:\n{product.log_tail()}")
        assert stored(target, "4801") == 12
        began = time.monotonic()
        target.resume(door.paused)
        wait_for(lambda: stored(target, "4801") == 24, 5, "the late command is carried out")
        wait_for(lambda: stored(target, "4801") == 12, 30, lambda: f"it is taken back:\n{product.log_tail()}")
        say(f"12 messages stored a second time by the late command, gone again after {time.monotonic() - began:.1f} s")
        wait_for(lambda: product.sql("SELECT COUNT(*) FROM intent") == [["0"]], 20, lambda: product.log_tail())
        assert settled_in(product.log()) == (1, 0, 12)
        product.ctl("sync", "--wait").ok()
        assert_equal(production, target, ["4801"], 12)
