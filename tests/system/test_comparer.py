"""The comparer must be able to fail: every kind of planted difference turns it red, and nothing else does."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from standin import compare as comparer  # noqa: E402
from standin.compare import Endpoint, Options, compare  # noqa: E402
from standin.dovecot import Dovecot  # noqa: E402
from standin.names import wire_name  # noqa: E402
from standin.voicemail import ACTIVE_GREETING, INBOX, Generator, Message, make_mailbox  # noqa: E402

NUMBERS = [str(number) for number in range(4701, 4725)]


@pytest.fixture(scope="module")
def sides():
    """Two systems that differ in storage and delimiter; each test takes a mailbox of its own."""
    with Dovecot(storage="maildir", delimiter="/") as production, Dovecot(storage="mdbox", delimiter=".") as target:
        yield production, target


@pytest.fixture(scope="module")
def numbers():
    return iter(NUMBERS)


@pytest.fixture
def pair(sides, numbers):
    """A mailbox, the same on both sides until the test plants something."""
    number = next(numbers)
    generator = Generator(int(number), scale=0.02)
    folders = make_mailbox(generator, number, messages=6, folders=2).folders
    folders[INBOX] += [generator.tiny(number, flags=("\\Seen", "$Important")) for _ in range(4)]
    folders[("Archiv", "Grüße & R&D")] = []
    return sides, number, folders


def fill(pair, target_folders=None):
    (production, target), number, folders = pair
    production.fill(number, folders)
    target.fill(number, folders if target_folders is None else target_folders)


def judge(pair, options=None):
    (production, target), number, _ = pair
    return compare(production.endpoint(), target.endpoint(), [number], options)


def kinds(outcome):
    return {difference.kind for difference in outcome.differences}


def with_inbox(pair, change):
    """The mailbox's folders with INBOX changed by change(list)."""
    folders = {levels: list(messages) for levels, messages in pair[2].items()}
    change(folders[INBOX])
    return folders


def altered(message, **changes):
    return Message(**{**message.__dict__, **changes})


def test_equal(pair):
    fill(pair)
    outcome = judge(pair)
    assert outcome.equal, outcome.differences
    assert outcome.messages == sum(map(len, pair[2].values()))
    assert outcome.line() == (f"equal: 1 mailbox, {len(pair[2])} folders, {outcome.messages} messages "
                              "(bytes, flags, keywords, dates, folders, order)")


def test_planted_duplicate(pair):
    fill(pair, with_inbox(pair, lambda inbox: inbox.append(inbox[1])))
    outcome = judge(pair)
    assert kinds(outcome) == {"extra"}
    assert "once too often" in outcome.line()
    assert outcome.line().startswith("NOT equal: 1 difference in 1 of 1 mailbox; first: ")


def test_lost_message(pair):
    fill(pair, with_inbox(pair, lambda inbox: inbox.pop(2)))
    assert kinds(judge(pair)) == {"missing"}


def test_lost_keyword(pair):
    folders = dict(pair[2])
    greetings = folders[("Greetings",)]
    folders[("Greetings",)] = [altered(greeting, flags=("\\Seen",)) for greeting in greetings]
    fill(pair, folders)
    outcome = judge(pair)
    assert kinds(outcome) == {"keywords"}
    assert ACTIVE_GREETING.lower() in str(outcome.differences[0])
    assert judge(pair, Options(ignore_keywords=(ACTIVE_GREETING,))).equal


def test_swapped_order(pair):
    def swap(inbox):
        inbox[-1], inbox[-2] = inbox[-2], inbox[-1]
    fill(pair, with_inbox(pair, swap))
    assert kinds(judge(pair)) == {"order"}
    assert judge(pair, Options(ignore_order=True)).equal


def test_changed_byte(pair):
    def change(inbox):
        body = inbox[-1].data
        inbox[-1] = altered(inbox[-1], data=body[:-6] + bytes([body[-6] ^ 1]) + body[-5:])
    fill(pair, with_inbox(pair, change))
    assert kinds(judge(pair)) == {"bytes"}


def test_lost_and_added_flag(pair):
    fill(pair)
    (_, target), number, folders = pair
    with target.wire(number) as wire:
        wire.run("SELECT INBOX")
        wire.run(f"STORE {len(folders[INBOX])} FLAGS (\\Flagged $Important)")
    outcome = judge(pair)
    assert kinds(outcome) == {"flags"}
    assert "lost \\seen, has \\flagged too much" in str(outcome.differences[0])


def test_missing_and_extra_folder(pair):
    folders = dict(pair[2])
    folders[("Archiv", "Grüße")] = folders.pop(("Archiv", "Grüße & R&D"))
    fill(pair, folders)
    outcome = judge(pair)
    assert kinds(outcome) == {"folder"} and len(outcome.differences) == 2
    names = ("Archiv/Grüße", "Archiv/Grüße & R&D")
    assert {difference.folder for difference in outcome.differences} == set(names)
    assert judge(pair, Options(ignore_folders=names)).equal


def test_shifted_date(pair):
    def shift(inbox):
        inbox[0] = altered(inbox[0], date=inbox[0].date + timedelta(seconds=1))
    fill(pair, with_inbox(pair, shift))
    assert kinds(judge(pair)) == {"date"}
    assert judge(pair, Options(ignore_dates=True)).equal


def test_another_zone_is_the_same_instant(pair):
    from datetime import timezone

    def move(inbox):
        inbox[:] = [altered(message, date=message.date.astimezone(timezone(timedelta(hours=-7))))
                    for message in inbox]
    fill(pair, with_inbox(pair, move))
    assert judge(pair).equal


def test_twins_with_different_flags(pair):
    """Two equal messages are two: their flags count, and which of them comes first doesn't."""
    twin = pair[2][INBOX][-1]
    plain = altered(twin, flags=())
    pair[2][INBOX] += [plain]
    fill(pair, with_inbox(pair, lambda inbox: inbox.__setitem__(slice(-2, None), [plain, twin])))
    assert judge(pair).equal


def kept_by_hand(pair):
    """Both sides are filled, then production loses the first two of INBOX and all of another folder; returns those."""
    (production, target), number, folders = pair
    fill(pair)
    had = comparer.read_mailbox(production.endpoint(), number)
    other = next(levels for levels in folders if levels not in (INBOX, ("Greetings",)) and had[levels])
    kept = {INBOX: had[INBOX][:2], other: had[other]}
    for levels, messages in kept.items():
        uids = ",".join(str(message.uid) for message in messages)
        with production.wire(number) as wire:
            wire.run("SELECT", wire_name(levels, production.delimiter))
            wire.run(f"UID STORE {uids} +FLAGS (\\Deleted)")
            wire.run("EXPUNGE")
    arrived = Generator(98).tiny(number)
    for side in (production, target):
        side.deliver(number, "INBOX", arrived)
    return {number: kept}


def judge_kept(pair, kept):
    (production, target), number, _ = pair
    return compare(production.endpoint(), target.endpoint(), [number], kept=kept)


def test_kept_messages_are_wanted_on_the_target(pair, tmp_path):
    """Also when they come from a file; without their being named they are differences."""
    (production, target), number, _ = pair
    kept = kept_by_hand(pair)
    count = sum(map(len, kept[number].values()))
    outcome = judge_kept(pair, kept)
    assert outcome.equal, outcome.differences
    assert f", and {count} kept (" in outcome.line() and len(outcome.kept_lines()) == 1 and "INBOX 2" in outcome.kept_lines()[0]
    assert [difference.kind for difference in judge(pair).differences] == ["extra"] * count
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"production": production.endpoint(), "target": target.endpoint(), "mailboxes": [number],
                                "kept": comparer.plain_kept(kept)}))
    done = subprocess.run([sys.executable, comparer.__file__, "--spec", str(spec)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.splitlines() == [*outcome.kept_lines(), outcome.line()]


@pytest.mark.parametrize("plant, kind", [
    (lambda wire: wire.run("STORE 1 +FLAGS (\\Answered)"), "flags"),
    (lambda wire: (wire.run("STORE 1 +FLAGS (\\Deleted)"), wire.run("UID EXPUNGE 1")), "missing"),
    (lambda wire: wire.run("COPY 1 INBOX"), "extra")])
def test_kept_messages_must_be_as_they_were(pair, plant, kind):
    kept = kept_by_hand(pair)
    with pair[0][1].wire(pair[1]) as wire:
        wire.run("SELECT INBOX")
        plant(wire)
    assert kinds(judge_kept(pair, kept)) == {kind}


def test_a_kept_message_is_not_on_production_any_more(pair):
    fill(pair)
    had = comparer.read_mailbox(pair[0][0].endpoint(), pair[1])
    assert kinds(judge_kept(pair, {pair[1]: {INBOX: had[INBOX][:1]}})) == {"missing"}


def test_command_line(pair, tmp_path):
    fill(pair)
    (production, target), number, _ = pair
    secret = tmp_path / "secret"
    secret.write_text(production.password + "\n")
    command = [sys.executable, comparer.__file__, "--production", f"imap://mirror@127.0.0.1:{production.port}",
               "--target", f"imap://mirror@127.0.0.1:{target.port}", "--password-file", str(secret),
               "--mailboxes", number]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("equal: 1 mailbox, ")
    target.deliver(number, "INBOX", Generator(99).tiny(number))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout.splitlines()[-1].startswith("NOT equal: 1 difference")
    secret.write_text("wrong\n")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("compare: LOGIN: NO")


def test_sasl_plain_login(pair):
    fill(pair)
    (production, target), number, _ = pair
    by_plain = Endpoint.of({**production.endpoint(), "login": "sasl-plain"})
    assert compare(by_plain, target.endpoint(), [number]).equal


def test_mailbox_ranges():
    assert comparer.parse_mailboxes("4701-4703, 0099-0101,5") == ["4701", "4702", "4703", "0099", "0100", "0101", "5"]
