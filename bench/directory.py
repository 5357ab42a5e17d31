"""Scenario `directory`: mirror-ldapsync between two slapds, beside the plain limit: `ldapadd` of the same entries into an equal
slapd, and an `ldapsearch` of each side, one after the other, to nowhere. Once with the databases in memory, which are never
synchronised, and once on the disk as Debian's slapd keeps them: each write is there before it is answered."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import figures
import ldap
from sites import Sites  # sets the path of tests/, too

from standin import subscribers
from standin.compare_directory import differences
from standin.ports import private_directory, wait_for
from standin.product import Product
from standin.slapd import Slapd, ldif_text

FIRST_NUMBER, CLASSES, CHANGES = 100_000, range(1, 21), 100
WITHIN_SECONDS = 1200
SUFFIXES = {"production": "dc=store,dc=example", "target": "o=backup"}
RATIOS = (("first sync", "ldapadd"), ("comparison", "ldapsearch of both"))
MOST_ROUNDS = 3  # each of them writes all of it twice


class Directories:
    """Production's directory full, the others empty."""

    def __init__(self, count, audio_bytes, root, on_disk):
        self.count, self.audio_bytes, self.root, self.on_disk = count, audio_bytes, root, on_disk
        self.production = self._make("production", SUFFIXES["production"], syncprov=True, sessionlog=1000, read_only=True)

    def _make(self, name, suffix, **choices):
        return Slapd(root=self.root / name, suffix=suffix, log=False, durable=self.on_disk, **choices)

    def entries(self, suffix):
        return subscribers.make(suffix, range(FIRST_NUMBER, FIRST_NUMBER + self.count), classes=CLASSES,
                                audio_bytes=self.audio_bytes)

    def __enter__(self):
        self.production.load(self.entries(self.production.suffix))
        self.production.start()
        return self

    def __exit__(self, *_):
        self.production.discard()

    def empty(self, name):
        """Another slapd, with nothing in it."""
        shutil.rmtree(self.root / name, ignore_errors=True)
        return self._make(name, SUFFIXES["target"]).start()


def as_trusted(server, *command):
    secret = server.root / "bench.secret"
    secret.touch(mode=0o600)
    secret.write_text(server.password)
    return [*command, "-x", "-H", server.url, "-D", server.trusted_dn, "-y", secret]


def timed(command, **how):
    began = time.monotonic()
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, timeout=WITHIN_SECONDS, **how)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: exit {done.returncode}: {done.stderr[-500:]}")
    return time.monotonic() - began


def searches(*servers):
    """Seconds of one whole ldapsearch after the other."""
    return sum(timed([*as_trusted(server, "ldapsearch", "-LLL", "-b", server.suffix, "-E", "pr=1000/noprompt"), "(objectClass=*)", "*"],
                     stdout=subprocess.DEVNULL) for server in servers)


class Ours:
    """The whole product, running before the clock starts; directory.write is false until first_sync(), so it looks at nothing."""

    def __init__(self, sites, directories, target):
        self.production, self.target = directories.production, target
        self.product = Product.between(sites.production, sites.target, copiers=1)
        for entry, server in zip(self.product.config["sites"], (self.production, target)):
            entry["ldap"] = server.section()
        self.directory = {"write": False, "poll_seconds": 1}
        self._configure()

    def _configure(self):
        self.product.config["routes"][0]["directory"] = self.directory
        self.product.write_config()

    def __enter__(self):
        self.product.start()
        return self

    def __exit__(self, *details):
        self.product.__exit__(*details)

    def _sync(self):
        began = time.monotonic()
        self.product.ctl("directory", "sync", "--full", "--wait", "--timeout", WITHIN_SECONDS, timeout=WITHIN_SECONDS).ok()
        return time.monotonic() - began

    def first_sync(self):
        self.directory["write"] = True
        self._configure()
        self.product.reload()
        return self._sync()

    def compare(self):
        return self._sync()

    def changes(self, numbers, audio_bytes):
        """From the last of so many changed recorded names on production until all are on the target."""
        connection, there = self.production.admin(), self.target.admin()
        mark = f"changed {time.monotonic_ns()}"  # production is the same in all rounds
        for number in numbers:
            (dn, _), = connection.search_s(self.production.people_dn, ldap.SCOPE_SUBTREE, f"(standinMailbox={number})",
                                           ["1.1"])
            connection.modify_s(dn, [(ldap.MOD_REPLACE, "standinNameAudio", [b"\0new" * (audio_bytes // 4)]),
                                     (ldap.MOD_REPLACE, "description", [mark.encode()])])
        began = time.monotonic()
        wait_for(lambda: len(there.search_s(self.target.people_dn, ldap.SCOPE_SUBTREE, f"(description={mark})",
                                            ["1.1"])) == len(numbers), 120, "the changes", interval=0.1)
        return time.monotonic() - began

    def peak_bytes(self):
        pid, = self.product.pids("mirror-ldapsync")
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def _round(sites, directories, ldif, options):
    """{what: seconds}, and the peak of ldapsync."""
    seconds = {}
    limit = directories.empty("limit")
    seconds["ldapadd"] = timed([*as_trusted(limit, "ldapadd"), "-f", ldif], stdout=subprocess.DEVNULL)
    limit.discard()
    target = directories.empty("target")
    with Ours(sites, directories, target) as ours:
        seconds["first sync"] = ours.first_sync()
        wrong = differences(directories.production, target)
        if wrong:
            raise RuntimeError(f"not equal after the first sync: {wrong[:3]}")
        seconds["ldapsearch of both"] = searches(directories.production, target)
        seconds["comparison"] = ours.compare()
        count = min(CHANGES, directories.count)
        seconds["changes"] = ours.changes(range(FIRST_NUMBER, FIRST_NUMBER + count), directories.audio_bytes)
        peak = ours.peak_bytes()
    target.discard()
    options.say("  " + ", ".join(f"{what} {took:.1f} s" for what, took in seconds.items()) + f", peak {peak / 1e6:.1f} MB")
    return seconds, peak


def _size(sites, count, audio_bytes, on_disk, rounds, options):
    where = "on disk" if on_disk else "in memory"
    options.say(f"  {count:,} subscribers, {audio_bytes:,} bytes of recorded name each, {where}")
    root = private_directory("bench-directory-") if on_disk else sites.root / f"directories-{count}"
    try:
        with Directories(count, audio_bytes, root, on_disk) as directories:
            ldif = root / "entries.ldif"
            ldif.write_bytes(ldif_text([(dn, {name: values for name, values in entry.items() if name != "standinModified"})
                                        for dn, entry in directories.entries(SUFFIXES["target"])]))
            done = [_round(sites, directories, ldif, options) for _ in range(rounds)]
    finally:
        shutil.rmtree(root, ignore_errors=True)
    found = [seconds for seconds, _ in done]
    return {"subscribers": count, "name_bytes": audio_bytes, "where": where,
            "seconds": {what: figures.spread([seconds[what] for seconds in found]) for what in found[0]},
            **{f"{ours} / {limit}": figures.spread([seconds[ours] / seconds[limit] for seconds in found])
               for ours, limit in RATIOS},
            "peak_bytes": max(peak for _, peak in done)}


def run(count, audio_bytes, options):
    """[{…}]: a quarter of the subscribers, once, for the memory; then all of them, in memory and on the disk."""
    rounds = min(options.rounds, MOST_ROUNDS)
    with Sites() as sites:
        return [_size(sites, max(1, count // 4), audio_bytes, False, 1, options),
                *(_size(sites, count, audio_bytes, on_disk, rounds, options) for on_disk in (False, True))]


def show(name, results):
    rows = [(name, *(f"{found['subscribers']:,} {found['where']}" for found in results))]
    rows += [(f"{what}, seconds", *(figures.text(found["seconds"][what]) for found in results)) for what in results[0]["seconds"]]
    rows += [(what, *(figures.text(found[what]) for found in results)) for what in (f"{ours} / {limit}" for ours, limit in RATIOS)]
    rows.append(("peak of ldapsync (VmHWM)", *(f"{found['peak_bytes'] / 1e6:.1f} MB" for found in results)))
    return figures.table(rows)
