"""The demo's disaster: a mailbox is emptied on production. The brake holds the deletion, mail goes on, a person refuses."""

import time

from .compare import compare, read_mailbox
from .happenings import DELETION_DELAY_SECONDS, new_voicemail
from .names import wire_name
from .stage import EVENT_SECONDS, Failure, many, seconds_text
from .voicemail import GREETINGS

REASON = "emptied by mistake"


def empty(stage, mailbox):
    """Every message of it but the greetings goes, for good; returns what there was, {levels: [Stored]}."""
    had = {levels: messages for levels, messages in read_mailbox(stage.production.endpoint(), mailbox).items()
           if messages and levels != GREETINGS}
    with stage.production.wire(mailbox) as wire:
        for levels in had:
            wire.run("SELECT", wire_name(levels, stage.production.delimiter))
            wire.run("STORE 1:* +FLAGS (\\Deleted)")
            wire.run("EXPUNGE")
    return had


def wait_for(stage, what, found):
    """What found() returns as soon as it is something."""
    end = time.monotonic() + EVENT_SECONDS
    while not (answer := found()):
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {EVENT_SECONDS} s\n{stage.product.log_tail()}")
        time.sleep(0.05)
    return answer


def ctl(stage, *arguments, exits=(0,)):
    result = stage.product.ctl(*arguments)
    if result.exit not in exits:
        raise Failure(f"mirrorctl {' '.join(result.command)}: exit {result.exit}: {result.err or result.out}")
    return result


def held_plan(stage, mailbox):
    """The plan for the mailbox, as mirrorctl tells it; None as long as there is none."""
    plans = ctl(stage, "held", "list", "--mailbox", mailbox, "--json", exits=(0, 1)).json["held"]
    return plans[0] if plans else None


def check_plan(stage, mailbox, plan):
    """It holds just what production lost."""
    lost = sorted(("/".join(levels), message.uid) for levels, messages in stage.kept[mailbox].items() for message in messages)
    told = ctl(stage, "held", "show", plan["id"], "--json", exits=(1,)).json
    if sorted((message["folder"], message["uid"]) for message in told["list"]) != lost:
        raise Failure(f"{mailbox}: {len(lost)} messages are gone, plan {plan['id']} holds others: {told}")


def check_backup(stage, mailbox, count, since):
    """By the comparer, when a second look would long have let the copies go."""
    wait = 2 * DELETION_DELAY_SECONDS
    what = f"the backup, looked into {wait} s after"
    stage.screen.waiting(what)
    time.sleep(max(0.0, since + wait - time.monotonic()))
    outcome = compare(stage.production.endpoint(), stage.backup.endpoint(), [mailbox], kept=stage.kept)
    if not outcome.equal:
        raise Failure(f"{mailbox} on the backup: {outcome.line()}")
    stage.screen.fact(what, f"all {count} are still there")


def refuse(stage, mailbox, plan, count):
    """And the messages count as kept, the mirror as equal."""
    screen = stage.screen
    screen.line(f'mirrorctl held refuse {plan["id"]} --reason "{REASON}"')
    screen.quote(ctl(stage, "held", "refuse", plan["id"], "--reason", REASON).out)

    def is_kept():
        mirror = stage.product.mirrors()[(mailbox, "dr")]
        return mirror["state"] == "equal" and mirror["messages"]["kept"] == count
    wait_for(stage, f"{mailbox}: equal, with {count} messages kept", is_kept)
    screen.fact(f"mirrorctl mailbox show {mailbox}", f"equal, {count} kept")


def emptied(stage, mailbox):
    screen = stage.screen
    screen.step(f"6  Mailbox {mailbox} is emptied on production: the brake asks a person first")
    screen.waiting(f"{mailbox} loses all but its greetings")
    stage.kept = {mailbox: empty(stage, mailbox)}
    count = sum(map(len, stage.kept[mailbox].values()))
    began = time.monotonic()
    plan = wait_for(stage, f"{mailbox} emptied: held", lambda: held_plan(stage, mailbox))
    screen.fact(f"{mailbox} loses all {many(count, 'message')} but its greetings",
                f"held after {seconds_text(time.monotonic() - began)}")
    screen.line(f"mirrorctl held show {plan['id']}")
    shown = ctl(stage, "held", "show", plan["id"], exits=(1,)).out
    screen.quote("\n".join(line for line in shown.splitlines() if line.startswith(("What ", "Why "))))
    check_plan(stage, mailbox, plan)
    new_voicemail(stage, mailbox)
    check_backup(stage, mailbox, count, began)
    refuse(stage, mailbox, plan, count)
    return plan
