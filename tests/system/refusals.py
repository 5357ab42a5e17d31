"""Tables of refusals: tests/refusals/*.txt. An entry is what a person or a program does wrong, and the exact words that
come back:

    what: a word for a whole number
    imap: port: many
    says: mirror.yaml:5:11: sites[0].imap.port: 'many' is not a whole number; write one from 1 to 65535

Entries are apart by a blank line; a key may come several times; # begins a comment. «ff» is that byte, «x*300» 300 times x.
"""
import pathlib
import re

import pytest

TABLES = pathlib.Path(__file__).resolve().parents[1] / "refusals"
SECRET = "hunter2"  # stands in entries where a secret was written in a wrong place


class Entry:
    """`what` it shows, the line where it begins, and the lines of each key."""

    def __init__(self, line, pairs):
        self.line, self.pairs = line, pairs

    def all(self, key):
        return [value for name, value in self.pairs if name == key]

    def get(self, key, otherwise=""):
        return next(iter(self.all(key)), otherwise)

    @property
    def what(self):
        return self.get("what")

    @property
    def says(self):
        return self.get("says")


def table(name):
    entries, pairs, began = [], [], 0
    for number, line in enumerate((TABLES / f"{name}.txt").read_text().split("\n") + [""], 1):
        if line.startswith("#"):
            continue
        if line:
            key, colon, value = line.partition(":")
            assert colon and re.fullmatch("[a-z]+", key), f"{name}.txt:{number}: {line}"
            began = began if pairs else number
            pairs.append((key, value.removeprefix(" ")))
        elif pairs:
            entries.append(Entry(began, pairs))
            pairs = []
    return entries


def cases(name):
    """For pytest.mark.parametrize."""
    return [pytest.param(entry, id=f"{entry.line}: {entry.what}") for entry in table(name)]


def to_bytes(text):
    """With the signs «…» written out."""
    def sign(match):
        return match[1] * int(match[2]) if match[2] else bytes.fromhex(match[1].decode())
    return re.sub("«(.*?)(?:\\*([0-9]+))?»".encode(), sign, text.encode())
