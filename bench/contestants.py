"""Who copies: ours, mbsync, and the limit. Each copies the same mailboxes over the same ways, `at_once` at a time;
copy() returns the seconds that a person who asked for it had to wait."""

import json
import shutil
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sites import ROOT  # noqa: F401  (sets the path of tests/)

from standin.ports import private_directory
from standin.product import Product, bin_directory

WITHIN_SECONDS = 600
LOOK_SECONDS = 0.02


class Ours:
    """The whole product, running before the clock starts, as it does in life. From `mailbox import` until the API calls
    every mirror equal."""

    name = "ours"

    def __init__(self, production, target, at_once, **config):
        self.product = Product.between(production, target, copiers=at_once, look_seconds=10, **config)
        for entry in self.product.config["sites"]:
            entry["imap"]["max_logins_per_second"] = 1000
        self.product.write_config()

    def __enter__(self):
        self.product.start()
        self.token = (Path(self.product.config["data_dir"]) / "api.token").read_text().strip()
        return self

    def __exit__(self, *details):
        self.product.__exit__(*details)

    def _get(self, path):
        request = urllib.request.Request(self.product.url + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def _all(self):
        return self._get("/api/v1/mailboxes?limit=500")["mailboxes"]

    def _await(self, began, count, ask):
        while True:
            states = [mirror["state"] for mailbox in ask() for mirror in mailbox["mirrors"]]
            if len(states) == count and set(states) == {"equal"}:
                return
            if time.monotonic() - began > WITHIN_SECONDS:
                raise TimeoutError(f"mirrors are {states}\n{self.product.log_tail()}")
            time.sleep(LOOK_SECONDS)

    def copy(self, mailboxes):
        began = time.monotonic()
        self.product.ctl("mailbox", "import", "-", stdin="mailbox\n" + "\n".join(mailboxes) + "\n").ok()
        # The last one alone first: the list of all of them, asked for again and again, costs as much as all copiers do.
        self._await(began, 1, lambda: [self._get(f"/api/v1/mailboxes/{mailboxes[-1]}")])
        self._await(began, len(mailboxes), self._all)
        return time.monotonic() - began

    def forget(self, mailboxes):
        for mailbox in mailboxes:
            self.product.ctl("mailbox", "remove", mailbox).ok()


class _Processes:
    """A contestant that ends with its work: one process for each share of the mailboxes."""

    def __init__(self, production, target, at_once):
        self.production, self.target, self.at_once = production, target, at_once

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def forget(self, mailboxes):
        pass

    def copy(self, mailboxes):
        shares = [share for share in (mailboxes[i::self.at_once] for i in range(self.at_once)) if share]
        commands = [self.command(index, share) for index, share in enumerate(shares)]
        began = time.monotonic()
        with ThreadPoolExecutor(len(commands)) as pool:
            done = list(pool.map(lambda command: subprocess.run(command, capture_output=True, text=True, check=False,
                                                                timeout=WITHIN_SECONDS), commands))
        seconds = time.monotonic() - began
        for process in done:
            if process.returncode != 0:
                raise RuntimeError(f"{self.name}: {process.stderr[-1000:]}{process.stdout[-1000:]}")
        return seconds


class Limit(_Processes):
    name = "limit"

    def command(self, _, mailboxes):
        spec = self.production.endpoint()
        return [bin_directory() / "bench-limit", str(spec["port"]), str(self.target.endpoint()["port"]),
                spec["trusted"], spec["password"], *mailboxes]


class Mbsync(_Processes):
    """isync's mbsync, from nothing: without the state of a former run."""

    name = "mbsync"

    def __enter__(self):
        self.root = private_directory("mbsync-")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def forget(self, mailboxes):
        shutil.rmtree(self.root / "state", ignore_errors=True)

    def command(self, index, mailboxes):
        (self.root / "state").mkdir(exist_ok=True)
        config = self.root / f"mbsyncrc{index}"
        config.write_text("\n".join(self._channel(mailbox) for mailbox in mailboxes))
        return ["mbsync", "-q", "-c", config, "-a"]

    def _channel(self, mailbox):
        sides = (("far", self.production.endpoint()), ("near", self.target.endpoint()))
        stores = "".join(f"IMAPAccount {side}{mailbox}\nHost {spec['host']}\nPort {spec['port']}\n"
                         f"User {mailbox}*{spec['trusted']}\nPass {spec['password']}\nSSLType None\nAuthMechs LOGIN\n\n"
                         f"IMAPStore {side}{mailbox}\nAccount {side}{mailbox}\n\n" for side, spec in sides)
        return (f"{stores}Channel {mailbox}\nFar :far{mailbox}:\nNear :near{mailbox}:\nPatterns INBOX\n"
                f"Sync Pull\nCopyArrivalDate yes\nSyncState {self.root}/state/{mailbox}-\n")


ALL = (Ours, Mbsync, Limit)
