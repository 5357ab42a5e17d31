"""What the acts of the demo share: the stage with both systems and the product on it, failures, figures for people."""

from dataclasses import dataclass, field
from pathlib import Path

from .dovecot import Dovecot
from .product import Product
from .screen import Screen
from .voicemail import Generator

EVENT_SECONDS = 60  # so long may a single change take before the demo gives up


class Failure(Exception):
    """The demo can't go on; the text says why."""


@dataclass
class Stage:
    """All that the play needs, in one place."""
    root: Path
    screen: Screen
    generator: Generator
    corpus: list = field(default_factory=list)
    production: Dovecot = None
    backup: Dovecot = None
    directories: tuple = ()  # production's and the backup's
    product: Product = None
    spec_file: Path = None
    kept: dict = field(default_factory=dict)  # what a person decided to keep; see compare.compare()

    @property
    def numbers(self):
        return [mailbox.number for mailbox in self.corpus]

    @property
    def message_count(self):
        return sum(mailbox.message_count for mailbox in self.corpus)

    @property
    def byte_count(self):
        return sum(len(message.data) for mailbox in self.corpus for messages in mailbox.folders.values()
                   for message in messages)


def seconds_text(seconds):
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"


def megabytes(count):
    return f"{count / 1e6:.1f} MB"


def many(count, noun):
    return f"{count} {noun}{'' if count == 1 else 's'}"
