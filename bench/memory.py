"""Scenario `big`: what a copier holds (RssAnon: what is its own and no file's) while it copies one message of 100 MB,
and a mailbox of 50,000 messages."""

import contextlib
import re
import threading
from pathlib import Path

import contestants
import figures
from sites import Sites, Way, message

from standin.voicemail import Generator

SMALL_BYTES = 1000
EVERY_SECONDS = 0.01


class Watch:
    """Samples the copier's anonymous memory until the end of `with`."""

    def __init__(self, pid):
        self._status = Path(f"/proc/{pid}/status")
        self._end = threading.Event()
        self.before = self.peak = self.after = 0

    def _held(self):
        return int(re.search(r"RssAnon:\s+(\d+) kB", self._status.read_text())[1]) * 1024

    def _sample(self):
        while not self._end.wait(EVERY_SECONDS):
            self.peak = max(self.peak, self._held())

    def __enter__(self):
        self.before = self.peak = self._held()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
        self.after = self._held()


def run(big_bytes, many, options):
    """{"one of N bytes": {"seconds": …, "before": …, "peak": …, "after": …}}, bytes; one copier does it all."""
    generator = Generator(seed=1)
    cases = (("4701", f"1 message of {big_bytes:,} bytes", [big_bytes]),
             ("4702", f"{many:,} messages", [SMALL_BYTES] * many),
             ("4703", f"1 message of {big_bytes:,} bytes, after those", [big_bytes]))
    with contextlib.ExitStack() as stack:
        sites = stack.enter_context(Sites())
        for number, _, sizes in cases:
            sites.production.deliver(number, "INBOX", *(message(generator, size) for size in sizes))
        ours = stack.enter_context(contestants.Ours(Way(sites.production), Way(sites.target), 1))
        pid, = ours.product.pids("mirror-copier")
        return {name: _one(sites, ours, pid, number, len(sizes), options, name) for number, name, sizes in cases}


def _one(sites, ours, pid, number, messages, options, name):
    with Watch(pid) as watch:
        seconds = ours.copy([number])
    ours.forget([number])
    found = sites.count([number])
    if found != messages or ours.product.pids("mirror-copier") != [pid]:
        raise RuntimeError(f"{name}: the target holds {found} messages; the copier was {pid}")
    options.say(f"  {name}: {seconds:.1f} s, peak {watch.peak / 1e6:.1f} MB")
    return {"seconds": round(seconds, 2), "before": watch.before, "peak": watch.peak, "after": watch.after}


def show(name, results):
    rows = [(name, "seconds", "before", "peak", "after  (RssAnon of the copier)")]
    rows += [(what, found["seconds"], *(f"{found[when] / 1e6:.1f} MB" for when in ("before", "peak", "after")))
             for what, found in results.items()]
    return figures.table(rows)
