"""Scenario `same`: what a look at an unchanged mailbox costs production and the target, counted on the wire."""

import contextlib
import re
import threading
from collections import Counter

import contestants
import figures
from sites import Sites, Way

from standin.ports import wait_for
from standin.proxy import Proxy

LOOKS = 10
VOICEMAIL_BYTES = 5000


class Counted(Proxy):
    """A proxy that counts, in what clients send: logins, and after each login commands and round trips: how often one
    sends again after it was answered. LOGOUT waits for nothing and is not counted."""

    def __init__(self, server):
        self.server, self.password = server, server.password
        self.seen, self._answered, self._inside = Counter(), {}, set()
        self._seen_lock = threading.Lock()
        super().__init__(server.host, server.port)

    def endpoint(self):
        return {**self.server.endpoint(), "host": self.host, "port": self.port}

    def _pump(self, source, sink, direction):
        super()._pump(_Heard(source, lambda data: self._hear(direction, source, sink, data)), sink, direction)

    def _hear(self, direction, source, sink, data):
        with self._seen_lock:
            if direction == "down":
                self._answered[sink] = True
                return
            words = [word.upper() for word in re.findall(rb"(?m)^\S+ (\S+)", data)]
            if source in self._inside:
                self._count_inside(source, [word for word in words if word != b"LOGOUT"])
            elif {b"LOGIN", b"AUTHENTICATE"} & set(words):
                self.seen["logins"] += 1
                self._inside.add(source)

    def _count_inside(self, client, words):
        self.seen["commands"] += len(words)
        self.seen["looks"] += words.count(b"LIST")
        self.seen["round trips"] += bool(words) and self._answered.pop(client, False)


class _Heard:
    """A socket whose reader is told what came."""

    def __init__(self, sock, hear):
        self._sock, self._hear = sock, hear

    def recv(self, size):
        data = self._sock.recv(size)
        self._hear(data)
        return data

    def __getattr__(self, name):
        return getattr(self._sock, name)


def run(messages, options):
    """{how: {"production": {…}, "target": {…}}}: logins, round trips and commands of one look."""
    with Sites() as sites:
        sites.fill(["4701"], messages, VOICEMAIL_BYTES)
        return {name: _looks(sites, kept, options)
                for name, kept in (("in a session of its own", 0), ("in a kept session", 4))}


def _looks(sites, kept, options):
    sites.forget(["4701"])
    with contextlib.ExitStack() as stack:
        production, target = (stack.enter_context(Counted(server)) for server in (sites.production, sites.target))
        ours = stack.enter_context(contestants.Ours(production, target, 1, scan={
            "look_interval_seconds": 0.2, "kept_sessions": kept}))
        ours.copy(["4701"])
        _wait_looks(production, 2)
        before = Counter(production.seen), Counter(target.seen)
        _wait_looks(production, LOOKS)
        looks = production.seen["looks"] - before[0]["looks"]
        options.say(f"  {looks} looks, {kept} kept sessions")
        return {side: {what: round((proxy.seen[what] - was[what]) / looks, 1)
                       for what in ("logins", "round trips", "commands")}
                for side, proxy, was in (("production", production, before[0]), ("target", target, before[1]))}


def _wait_looks(production, count):
    """Until so many looks more began: each asks for the list of folders once."""
    first = production.seen["looks"]
    wait_for(lambda: production.seen["looks"] >= first + count, 60, "looks", interval=0.05)


def show(name, results):
    rows = [(name, "side", "logins", "round trips", "commands  (of one look)")]
    rows += [(how, side, *(f"{cost[what]:g}" for what in ("logins", "round trips", "commands")))
             for how, sides in results.items() for side, cost in sides.items()]
    return figures.table(rows)
