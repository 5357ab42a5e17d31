"""The bus at work, in the whole product: its messages only wake somebody, so losing them costs seconds and not the work, an
urgent job finds a free copier at once, and garbage ends nobody.

The database itself notes who claimed what and when (a trigger on the mirrors' table), so that no poll of ours blurs the
figures. Three mailboxes lie behind a proxy that can stall: whoever works on them is busy for as long as a test wants."""
import contextlib
import os
import select
import signal
import socket
import time
from dataclasses import dataclass

import pytest

import zmtp
from helpers import wait_for
from standin.compare import compare
from standin.dovecot import Dovecot
from standin.guard import Guarded
from standin.product import Product, site, yaml_text
from standin.proxy import Proxy
from standin.voicemail import Generator
from standin.wire import WireError

COPIERS = 4
LEASE_SECONDS = 7  # the least above supervisor.pulse_seconds
SLOW = ("4711", "4712", "4713")
QUICK = tuple(str(number) for number in range(4721, 4737))
GARBAGE = (b"", b"{", b"\xff\xfe\x00", b"[" * 5000, b"{}", b'{"type":"nonsense","version":1}', b'{"type":"wake","version":99}',
           b'{"type":"event","version":1,"mailbox":"4721","route":"dr","program":"x","text":"not for this pipe"}',
           b'{"type":"mirror","version":1,"mirror_id":-1,"mailbox":"../../etc","route":"","wanted_seq":1e99}', b"x" * 17000, b"x" * 70000)

WATCH = """
CREATE TABLE seen (number BIGINT AUTO_INCREMENT PRIMARY KEY, at DATETIME(6), mailbox VARBINARY(64), wanted BIGINT,
                   done BIGINT, epoch BIGINT, owner VARBINARY(200));
CREATE TRIGGER watch AFTER UPDATE ON mirror FOR EACH ROW INSERT INTO seen
    SELECT NULL, SYSDATE(6), b.number, NEW.wanted_seq, NEW.done_seq, NEW.lease_epoch, COALESCE(NEW.lease_owner, '')
    FROM mailbox b WHERE b.mailbox_id = NEW.mailbox_id AND (NEW.wanted_seq <> OLD.wanted_seq OR
    NEW.done_seq <> OLD.done_seq OR NEW.lease_epoch <> OLD.lease_epoch OR NOT NEW.lease_owner <=> OLD.lease_owner)"""


@dataclass
class Seen:
    """One change of a mirror's row: what is wanted and done, who has it (or ''), under which epoch."""
    at: float
    mailbox: str
    wanted: int
    done: int
    epoch: int
    owner: str


class Door:
    """A site behind the proxy, as product.site() wants it."""

    def __init__(self, server, proxy):
        self.server, self.proxy, self.password = server, proxy, server.password

    def endpoint(self):
        return {**self.server.endpoint(), "host": self.proxy.host, "port": self.proxy.port}


class BusWork:
    """The product between two Dovecots; the slow mailboxes come over a route of their own."""

    def __init__(self, production, target, proxy):
        self.production, self.target, self.proxy = production, target, proxy
        self.generator = Generator(5, scale=0.02)
        sites = {"production": production, "slow": Door(production, proxy), "dr": target}
        self.product = Product({
            "sites": [site(name, server) for name, server in sites.items()],
            "routes": [{"name": "dr", "from": "production", "to": "dr", "late_command_minutes": 0.2},
                       {"name": "slow", "from": "slow", "to": "dr", "late_command_minutes": 0.2}],
            "workers": {"scanner": 1, "copier": COPIERS, "api": 1},
            "scan": {"look_interval_seconds": 1}, "copy": {"lease_seconds": LEASE_SECONDS},
            "supervisor": {"pulse_seconds": 6},
        }, secrets={f"{name}.secret": server.password for name, server in sites.items()})

    def pipe(self, name):
        return self.product.root / "data" / "run" / name

    def subscribe(self):
        for mailbox in QUICK:
            self.deliver(mailbox)
            self.product.ctl("mailbox", "add", mailbox, "--route", "dr").ok()
        self.product.ctl("sync", "--wait").ok()
        self.product.sql(WATCH)

    def deliver(self, mailbox, count=1):
        self.production.deliver(mailbox, "INBOX", *(self.generator.tiny(mailbox, 4000) for _ in range(count)))

    # --- what happened ---

    def seen(self, mailbox=None):
        rows = self.product.sql("SELECT TIMESTAMPDIFF(MICROSECOND, '2020-01-01', at) / 1e6, mailbox, wanted, done, epoch, "
                                "owner FROM seen ORDER BY number")
        return [Seen(float(at), box, int(wanted), int(done), int(epoch), owner)
                for at, box, wanted, done, epoch, owner in rows if mailbox in (None, box)]

    def forget(self):
        self.product.sql("DELETE FROM seen")

    def owners(self, mailboxes):
        """{mailbox: who works on it now}"""
        rows = self.product.sql("SELECT number, lease_owner FROM mirror JOIN mailbox USING (mailbox_id) "
                                "WHERE lease_owner IS NOT NULL AND lease_until > UTC_TIMESTAMP(6)")
        return {mailbox: owner for mailbox, owner in rows if mailbox in mailboxes}

    def start_delay(self, mailbox):
        """Seconds from the first raise since forget() to the claim after it, or None."""
        raised = None
        for event in self.seen(mailbox):
            if raised is None and event.wanted > event.done and not event.owner:
                raised = event
            elif raised and event.epoch > raised.epoch:
                return event.at - raised.at
        return None

    def wait_start(self, mailbox, seconds=15):
        return wait_for(lambda: self.start_delay(mailbox), seconds,
                        lambda: f"{mailbox} claimed: {self.seen(mailbox)}\n{self.product.log_tail(30)}")

    def wait_equal(self, *mailboxes, seconds=40):
        def equal():
            # Dovecot may refuse a mailbox that two clients enter for the first time at once.
            with contextlib.suppress(WireError):
                return compare(self.production.endpoint(), self.target.endpoint(), mailboxes).equal
        wait_for(equal, seconds, lambda: "\n".join(map(str, compare(
            self.production.endpoint(), self.target.endpoint(), mailboxes).differences)) + self.product.log_tail(30))

    def wait_idle(self, seconds=30):
        wait_for(lambda: self.product.sql("SELECT COUNT(*) FROM mirror WHERE pending OR lease_owner IS NOT NULL") == [["0"]],
                 seconds, lambda: self.product.log_tail(30))

    # --- making trouble ---

    @contextlib.contextmanager
    def busy(self, *mailboxes):
        """As many copiers are in the middle of long jobs, one each, until the end of the block."""
        self.proxy.delay_ms = 30
        for mailbox in mailboxes:
            self.deliver(mailbox, 150)
            self.product.ctl("mailbox", "add", mailbox, "--route", "slow").ok()
        wait_for(lambda: len(set(self.owners(mailboxes).values())) == len(mailboxes), 20,
                 lambda: f"{mailboxes} are worked on: {self.product.log_tail(30)}")
        self.proxy.stall()
        self.proxy.delay_ms = 0
        try:
            yield
            assert len(self.owners(mailboxes)) == len(mailboxes), "they were not busy all the time"
        finally:
            self.proxy.go_on()


@pytest.fixture(scope="module")
def work():
    with Dovecot() as production, Dovecot() as target, Proxy(production.host, production.port) as proxy:
        made = BusWork(production, target, proxy)
        with made.product:
            made.subscribe()
            yield made


@pytest.fixture(autouse=True)
def quiet(work):
    """Each test begins with nothing to do, and its record empty."""
    work.wait_idle()
    work.forget()


def test_an_urgent_job_starts_within_a_second(work, say):
    """On the one copier that is free. By turns a person asks, and a new voicemail is seen by itself."""
    delays = []
    with work.busy(*SLOW):
        for mailbox in QUICK[:8]:
            work.deliver(mailbox)
            if int(mailbox) % 2:
                work.product.ctl("sync", mailbox).ok()
            delays.append(work.wait_start(mailbox))
    say(f"claimed {min(delays):.3f} to {max(delays):.3f} s after it was wanted")
    assert max(delays) < 1, delays
    work.wait_equal(*SLOW, *QUICK[:8])


def gaps(events):
    """How long each copier that gave a mirror back, while others waited, took to claim the next."""
    state, free_since, found = {}, {}, []
    for event in events:
        before, state[event.mailbox] = state.get(event.mailbox), event
        if event.owner and not (before and before.epoch == event.epoch):
            found += [event.at - free_since.pop(event.owner)] if event.owner in free_since else []
        elif not event.owner and before and before.owner:
            free_since[before.owner] = event.at
        if not any(each.wanted > each.done and not each.owner for each in state.values()):
            free_since.clear()
    return found


def test_the_next_job_follows_at_once(work, say):
    """Where more is wanted than copiers can do at a time, none of them waits."""
    for mailbox in QUICK:
        work.deliver(mailbox)
    work.product.ctl("sync").ok()
    work.wait_equal(*QUICK)
    work.wait_idle()
    found = gaps(work.seen())
    assert len(found) >= len(QUICK) // 2
    say(f"{len(found)} times the next job, {max(found):.3f} s at most after the one before")
    assert max(found) < 0.5, found


def test_stolen_jobs_cost_seconds(work, say):
    """Four more take jobs out of the pipe and do nothing with them."""
    thieves = [zmtp.connect(work.pipe("jobs.mirror.0")) for _ in range(COPIERS)]
    try:
        delays = []
        for mailbox in QUICK[:6]:
            work.deliver(mailbox)
            delays.append(work.wait_start(mailbox))
        stolen = sum(bool(select.select([thief.socket], [], [], 0)[0]) for thief in thieves)
    finally:
        for thief in thieves:
            thief.close()
    say(f"{stolen} of {COPIERS} thieves got jobs; claimed at most {max(delays):.3f} s after they were wanted")
    assert stolen
    assert max(delays) < 3, delays
    work.wait_equal(*QUICK[:6])


def test_a_request_that_nobody_heard_costs_seconds(work, say):
    """The scanner is killed while it is asked: what is wanted stands in the store, where the copiers look."""
    mailbox = QUICK[0]
    work.deliver(mailbox)
    scanner, = work.product.pids("mirror-scanner")
    os.kill(scanner, signal.SIGKILL)
    work.product.ctl("sync", mailbox).ok()
    delay = work.wait_start(mailbox)
    say(f"claimed {delay:.3f} s after it was wanted")
    assert delay < 3
    work.wait_equal(mailbox)
    wait_for(lambda: work.product.pids("mirror-scanner"), 20, "another scanner")
    # What it had in hand is looked at again by the next one, and not only when its leases are over.
    for mailbox in QUICK:
        work.deliver(mailbox)
    work.wait_equal(*QUICK, seconds=20)


def test_a_copier_killed_with_jobs_in_its_queue(work, say):
    """Those that lay there are done by others at once, and the one in hand when its lease is over."""
    with work.busy(SLOW[0]):
        owner = work.owners(SLOW)[SLOW[0]]
        for mailbox in QUICK[:8]:
            work.deliver(mailbox)
        work.product.ctl("sync").ok()
        killed, work_in_hand = int(owner.split(":")[3]), work.seen(SLOW[0])[-1].epoch
        os.kill(killed, signal.SIGKILL)
        killed_at = time.monotonic()
        delays = [work.wait_start(mailbox) for mailbox in QUICK[:8]]
        work.proxy.go_on()
        wait_for(lambda: work.seen(SLOW[0])[-1].epoch > work_in_hand, 30, "the work in hand is claimed again")
        in_hand = time.monotonic() - killed_at
    say(f"queue claimed within {max(delays):.3f} s, work in hand after {in_hand:.1f} s (lease {LEASE_SECONDS} s)")
    assert max(delays) < 3, delays
    assert in_hand < LEASE_SECONDS + 3
    work.wait_equal(SLOW[0], *QUICK[:8])


def flood(pipe, valid):
    """All garbage, and what only this pipe knows as valid. Some peers are cut off for it, and come back."""
    for body in (*GARBAGE, *valid):
        with contextlib.suppress(OSError, EOFError):
            peer = zmtp.connect(pipe, b"PUSH")
            peer.send(body)
            peer.send(b"{}")
            peer.close()
    for raw in (b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 100, b"\xff" + bytes(8) + b"\x7f\x03\x00"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(pipe))
            sock.sendall(raw)


def test_garbage_in_the_inboxes(work):
    """Counted, said once a pipe, dropped; and everybody lives and works on."""
    product = work.product
    wait_for(lambda: product.ctl("status").exit == 0, 30, "all well")
    programs = ("mirror-supervis", "mirror-scanner", "mirror-copier", "mirror-api")
    before = [product.pids(program) for program in programs]
    start = len(product.log())
    flood(work.pipe("results.0"), [b'{"type":"result","version":1,"mirror_id":4000000000,"mailbox":"1","route":"dr",'
                                   b'"wanted_seq":9007199254740992,"done":true,"text":"forged"}'])
    flood(work.pipe("requests.0"), [b'{"type":"look","version":1,"mailbox":"99999"}'])
    flood(work.pipe("pulse.0"), [b'{"type":"pulse","version":1,"program":"copier","pid":1,"instance":0,"state":"ready",'
                                 b'"text":"forged"}'])
    for pipe in ("results", "requests", "pulse"):
        wait_for(lambda: f"bad message dropped pipe={pipe}" in product.log()[start:], 10,
                 lambda: f"{pipe}: {product.log_tail(30)}")
    work.deliver(QUICK[0])
    work.wait_equal(QUICK[0])
    assert [product.pids(program) for program in programs] == before
    assert product.log()[start:].count("bad message dropped") == 3


def test_garbage_from_a_false_scanner(work, workdir):
    """One more copier takes its jobs from two scanners: the second of them is us."""
    product = work.product
    config = product.root / "two-scanners.yaml"
    config.write_text(yaml_text({**product.config, "workers": {"scanner": 2, "copier": 1}}) + "\n")
    log = workdir / "copier.log"
    inbox = zmtp.Inbox(work.pipe("jobs.mirror.1"))
    copier = Guarded([product.bin / "mirror-copier", "--config", config, "--instance", "9"], log)
    try:
        peer = inbox.accept(b"PUSH")
        for body in GARBAGE:
            peer.send(body)
        # The last was far too long: libzmq cuts us off for good, and the copier goes on by its own looks.
        wait_for(lambda: select.select([peer.socket], [], [], 0)[0], 10, "being cut off")
        wait_for(lambda: "bad message dropped pipe=jobs.mirror" in log.read_text(), 10, log.read_text)
        work.deliver(QUICK[1])
        work.wait_equal(QUICK[1])
        assert log.read_text().count("bad message dropped") == 1
        status, left = copier.stop(20)
        assert (status, left) == (0, []), log.read_text()
    finally:
        copier.kill()
        inbox.close()
