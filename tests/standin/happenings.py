"""What happens on production in the demo, one thing after the other, and how long until the backup shows it."""

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Callable

from .names import wire_name
from .stage import EVENT_SECONDS, Failure, many, seconds_text
from .voicemail import ACTIVE_GREETING, GREETINGS, INBOX, UNOPENED
from .wire import Refused

DELETION_DELAY_SECONDS = 2  # in the demo's configuration


@dataclass(frozen=True)
class Happening:
    """`change` is carried out on production; `shown` is asked, with a connection to the mailbox on the backup, whether it
    can be seen there."""
    what: str
    mailbox: str
    change: Callable
    shown: Callable
    outcome: str = "on the backup"


def followed(stage, happening):
    """Measures how long until the backup shows it."""
    what = happening.what
    stage.screen.waiting(what)
    happening.change()
    began = time.monotonic()
    with stage.backup.wire(happening.mailbox) as wire:
        while True:
            shown = happening.shown(wire)
            took = time.monotonic() - began
            if shown:
                stage.screen.fact(what, f"{happening.outcome} after {seconds_text(took)}")
                return
            if took > EVENT_SECONDS:
                raise Failure(f"{what}: not {happening.outcome} within {EVENT_SECONDS} s\n{stage.product.log_tail()}")
            time.sleep(0.02)


def look_into(wire, name):
    """[(set of flags, size)] of a folder's messages; none when the folder isn't there yet."""
    seen = []

    def on_message(items):
        if "RFC822.SIZE" in items:  # else it tells of flags that change just now; the next look sees them
            seen.append(({flag.decode() for flag in items["FLAGS"]}, int(items["RFC822.SIZE"])))
    try:
        if wire.examine(name):
            wire.fetch("1:*", "FLAGS RFC822.SIZE", on_message)
    except Refused:
        pass
    return seen


def in_folder(stage, levels, judge):
    """For Happening.shown: judge(what look_into() sees in a folder of the backup)."""
    name = wire_name(levels, stage.backup.delimiter)
    return lambda wire: judge(look_into(wire, name))


# --- messages -------------------------------------------------------------------------------------------------------

def new_voicemail(stage, mailbox, urgent=False):
    """A voicemail comes in now, as anybody's would."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    message = stage.generator.voicemail(mailbox, date=now, seconds=stage.generator.seconds(), urgent=urgent)
    followed(stage, Happening(
        f"{'an urgent' if urgent else 'a'} voicemail for {mailbox} arrives", mailbox,
        lambda: stage.production.deliver(mailbox, "INBOX", message),
        in_folder(stage, INBOX, lambda seen: any(size == len(message.data) for _, size in seen))))


def _on_last(stage, mailbox, *commands):
    """Commands about the last message of INBOX; {} stands for its UID."""
    uids = []
    with stage.production.wire(mailbox) as wire:
        wire.run("SELECT INBOX")
        wire.fetch("*", "UID", lambda items: uids.append(int(items["UID"])))
        for command in commands:
            wire.run(command.format(max(uids)))


def hear_last(stage, mailbox):
    """The subscriber opens the header first, then listens: new, unopened, heard."""
    followed(stage, Happening(
        f"{mailbox} looks at it: unopened (a keyword)", mailbox,
        lambda: _on_last(stage, mailbox, f"UID STORE {{}} +FLAGS ({UNOPENED})"),
        in_folder(stage, INBOX, lambda seen: bool(seen) and UNOPENED in seen[-1][0])))
    followed(stage, Happening(
        f"{mailbox} hears it", mailbox,
        lambda: _on_last(stage, mailbox, "UID STORE {} +FLAGS (\\Seen)", f"UID STORE {{}} -FLAGS ({UNOPENED})"),
        in_folder(stage, INBOX, lambda seen: bool(seen) and "\\Seen" in seen[-1][0] and UNOPENED not in seen[-1][0])))


def delete_last(stage, mailbox):
    """Just that one goes; the others stay, also those that are marked as deleted and may be for a day."""
    with stage.production.wire(mailbox) as wire:
        left = [size for _, size in look_into(wire, b"INBOX")][:-1]
    followed(stage, Happening(
        f"{mailbox} deletes it", mailbox,
        lambda: _on_last(stage, mailbox, "UID STORE {} +FLAGS (\\Deleted)", "UID EXPUNGE {}"),
        in_folder(stage, INBOX, lambda seen: [size for _, size in seen] == left), "gone from the backup"))


def rerecord_greeting(stage, mailbox):
    """A new recording becomes the active greeting; the former one stays, switched off."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    greeting = stage.generator.greeting(mailbox, 4, active=True, date=now, seconds=11)

    def change():
        with stage.production.wire(mailbox) as wire:
            wire.run("SELECT", wire_name(GREETINGS, stage.production.delimiter))
            wire.run(f"STORE 1:* -FLAGS ({ACTIVE_GREETING})")
        stage.production.deliver(mailbox, GREETINGS, greeting)

    def arrived(seen):
        active = [size for flags, size in seen if ACTIVE_GREETING in flags]
        return active == [len(greeting.data)]
    followed(stage, Happening(f"{mailbox} re-records the greeting that callers hear", mailbox, change,
                              in_folder(stage, GREETINGS, arrived)))


# --- folders --------------------------------------------------------------------------------------------------------

def make_folder(stage, mailbox):
    levels = ("Archiv", "Gehört & gut")
    message = stage.generator.voicemail(mailbox, flags=("\\Seen",))
    followed(stage, Happening(f"{mailbox} files a message in a new folder", mailbox,
                              lambda: stage.production.deliver(mailbox, levels, message),
                              in_folder(stage, levels, lambda seen: len(seen) == 1)))


def remove_folder(stage, mailbox, levels):
    """With the messages in it; on the backup they go first, then the folder."""
    def change():
        with stage.production.wire(mailbox) as wire:
            count = wire.examine(here)
            wire.run("CLOSE")
            if count != len(messages):
                raise Failure(f"{mailbox}: {'/'.join(levels)} has {count} messages, not {len(messages)}")
            wire.run("DELETE", here)

    here, there = (wire_name(levels, server.delimiter) for server in (stage.production, stage.backup))
    messages = next(box.folders[levels] for box in stage.corpus if box.number == mailbox)
    followed(stage, Happening(f"{mailbox} removes folder {'/'.join(levels)} ({many(len(messages), 'message')})", mailbox, change,
                              lambda wire: there not in [name for name, _, _ in wire.folders()],
                              "gone from the backup"))


def happenings(stage):
    screen = stage.screen
    screen.step("5  Things happen on production")
    new_voicemail(stage, "4703")
    hear_last(stage, "4703")
    new_voicemail(stage, "4711", urgent=True)
    rerecord_greeting(stage, "4705")
    make_folder(stage, "4707")
    screen.line(f"What is deleted is looked for once more, here {DELETION_DELAY_SECONDS} s later; then its copy goes:")
    delete_last(stage, "4703")
    remove_folder(stage, "4712", ("Saved",))
