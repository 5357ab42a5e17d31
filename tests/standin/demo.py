"""The demo's play: two messaging systems full of voicemail, the real mirror between them, things that happen on
production and are followed to the backup, and the comparer's verdict. `./demo` at the root starts it.

Everything is below one temporary directory. A janitor process removes it, and the servers' watchers end the servers,
also when this process is killed with SIGKILL (guard.py, janitor.py).
"""

import json
import os
import select
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "standin"

from .compare import compare, plain_kept  # noqa: E402
from .dovecot import PASSWORD, TRUSTED, Dovecot  # noqa: E402
from .demo_directory import add_directories, directory_follows, judge_directories, start_directories  # noqa: E402
from .emptied import emptied  # noqa: E402
from .guard import GuardError  # noqa: E402
from .happenings import DELETION_DELAY_SECONDS, happenings, new_voicemail  # noqa: E402
from .janitor import Janitor  # noqa: E402
from .ports import private_directory  # noqa: E402
from .product import ROOT, Product, bin_directory  # noqa: E402
from .screen import Screen  # noqa: E402
from .stage import Failure, Stage, megabytes, seconds_text  # noqa: E402
from .voicemail import Generator, corpus_csv, make_corpus  # noqa: E402
from .wire import WireError  # noqa: E402

MAILBOXES, MESSAGES = 20, 18
EMPTIED = "4701"     # more than 30 messages, so that the brake holds what is lost
FIRST_SECONDS = 300  # the first mirroring may take this long before the demo gives up


class Ended(BaseException):
    """SIGTERM or SIGHUP."""


# --- the acts -----------------------------------------------------------------------------------------------------

def start_systems(stage, held):
    """Two Dovecots; they differ in storage and in the delimiter of their folders."""
    screen = stage.screen
    screen.step("1  Two messaging systems with a super-user login (stand-ins: two Dovecots)")
    stage.production = Dovecot(stage.root / "production", storage="maildir", delimiter="/", rawlog=False, held=held)
    stage.backup = Dovecot(stage.root / "backup", storage="mdbox", delimiter=".", rawlog=False, held=held)
    stage.production.start()
    stage.backup.start()
    stage.corpus = make_corpus(stage.generator, MAILBOXES, MESSAGES)
    count = stage.message_count
    done = 0

    def filled(mailbox):
        nonlocal done
        done += mailbox.message_count
        screen.bar(done / count, f"recording voicemail  {done}/{count}")
    stage.production.fill_corpus(stage.corpus, filled)
    folders = sum(len(mailbox.folders) for mailbox in stage.corpus)
    screen.line(f"production 127.0.0.1:{stage.production.port}  {len(stage.corpus)} mailboxes, {folders} folders, "
                f"{count} messages, {megabytes(stage.byte_count)}")
    screen.line(f"backup     127.0.0.1:{stage.backup.port}  nothing yet")
    start_directories(stage, held)


def start_product(stage, held):
    """The configuration, the supervisor with all its children, the mailboxes from a CSV."""
    screen = stage.screen
    screen.step("2  Message Mirror between them")
    stage.product = Product.between(stage.production, stage.backup, copiers=4, look_seconds=1,
                                    root=stage.root / "mirror", held=held,
                                    deletions={"delay_seconds": DELETION_DELAY_SECONDS})
    add_directories(stage, stage.product.config)
    stage.product.write_config()
    screen.waiting("mirror-supervisor: MariaDB, scanner, 4 copiers, ldapsync, API")
    began = time.monotonic()
    stage.product.start()
    screen.fact("mirror-supervisor: MariaDB, scanner, 4 copiers, ldapsync, API",
                f"ready after {seconds_text(time.monotonic() - began)}")
    csv = stage.root / "mailboxes.csv"
    csv.write_text(corpus_csv(stage.corpus), encoding="utf-8")
    result = stage.product.ctl("mailbox", "import", csv)
    if result.exit != 0:
        raise Failure(f"mirrorctl mailbox import: {result.err or result.out}")
    screen.fact("mirrorctl mailbox import mailboxes.csv", f"{len(stage.corpus)} mailboxes")


@dataclass(frozen=True)
class Progress:
    mirrors: int
    equal: int
    messages: int
    bytes: int

    @staticmethod
    def of(mirrors):
        """From what mirrorctl tells of each mirror."""
        return Progress(len(mirrors),
                        sum(1 for mirror in mirrors if mirror["state"] == "equal"
                            and mirror["wanted_seq"] == mirror["done_seq"]),
                        sum(mirror["copied_messages"] for mirror in mirrors),
                        sum(mirror["copied_bytes"] for mirror in mirrors))


def read_progress(stage):
    """What mirrorctl says now; None when it can't say."""
    try:
        return Progress.of(list(stage.product.mirrors().values()))
    except (KeyError, TypeError, ValueError):
        return None


def settled_progress(stage, within=10):
    """A look that began before the last copy may ask for one more turn, which finds nothing to do."""
    end = time.monotonic() + within
    progress = read_progress(stage)
    while (not progress or progress.equal < progress.mirrors) and time.monotonic() < end:
        time.sleep(0.1)
        progress = read_progress(stage)
    if not progress:
        raise Failure("mirrorctl mailbox list --json: not understood")
    return progress


def first_mirroring(stage):
    """`mirrorctl sync --wait` knows the end; the bar is made of what mirrorctl tells meanwhile."""
    screen = stage.screen
    screen.step("3  The first mirroring")
    began = time.monotonic()
    waiter = stage.product.start_ctl("sync", "--wait", "--json")
    try:
        while waiter.poll() is None:
            progress = read_progress(stage)
            took = time.monotonic() - began
            if took > FIRST_SECONDS:
                raise Failure(f"the first mirroring took longer than {FIRST_SECONDS} s\n{stage.product.log_tail()}")
            if progress:
                screen.bar(progress.messages / max(1, stage.message_count),
                           f"{progress.messages}/{stage.message_count}  {megabytes(progress.bytes / took)}/s")
            time.sleep(0.1)
    finally:
        if waiter.poll() is None:
            waiter.kill()
        out, err = waiter.communicate()
    took = time.monotonic() - began
    if waiter.returncode != 0:
        raise Failure(f"mirrorctl sync --wait: exit {waiter.returncode}: {err or out}\n{stage.product.log_tail()}")
    progress = settled_progress(stage)
    screen.bar(1, f"{progress.messages}/{stage.message_count}")
    screen.line(f"{progress.equal} of {progress.mirrors} mailboxes equal: {progress.messages} messages, "
                f"{megabytes(progress.bytes)} in {seconds_text(took)}")
    screen.line(f"that is {progress.messages / took:.0f} messages or {megabytes(progress.bytes / took)} a second")


def settle(stage):
    """Every mirror equal, nothing wanted: only then is it fair to compare."""
    result = stage.product.ctl("sync", "--wait", timeout=120)
    if result.exit not in (0, 1):
        raise Failure(f"mirrorctl sync --wait: {result.err or result.out}")


def judge(stage):
    """True if both sides are equal, but for just those messages that a person decided to keep."""
    screen = stage.screen
    screen.step("7  Both sides, compared by a program that shares no code with the mirror")
    settle(stage)
    stage.spec_file = stage.root / "both-sides.json"
    stage.spec_file.write_text(json.dumps({"production": stage.production.endpoint(),
                                           "target": stage.backup.endpoint(), "mailboxes": stage.numbers,
                                           "kept": plain_kept(stage.kept)}))
    done = 0

    def compared(_):
        nonlocal done
        done += 1
        screen.bar(done / len(stage.numbers), f"{done}/{len(stage.numbers)}")
    outcome = compare(stage.production.endpoint(), stage.backup.endpoint(), stage.numbers, on_mailbox=compared,
                      kept=stage.kept)
    for difference in outcome.differences[:10]:
        screen.line(str(difference))
    for line in outcome.kept_lines():
        screen.line(line)
    screen.result(outcome.line(), outcome.equal)
    return judge_directories(stage) and outcome.equal


# --- afterwards -----------------------------------------------------------------------------------------------------

def how_to_look(stage):
    """Lines that can be pasted into another terminal; nothing beside Debian's base system is needed for them."""
    out = stage.screen
    out.step("It stays up. To look around, paste into another terminal:")
    out.line(f"cd {ROOT}; demo={stage.root}")
    out.line(f'ctl="{_from_root(bin_directory() / "mirrorctl")} --config $demo/mirror/mirror.yaml"')
    for command, what in (
            ("$ctl status", "how every mirror is"),
            ("$ctl why 4701", "one of them, and why it is so"),
            ("$ctl directory list --all", "subscribers and classes of service"),
            ("$ctl verify --wait", "both sides listed and compared"),
            ("tail -f $demo/mirror/mirror.log", "what the programs log")):
        out.line(f"{command:34}# {what}")
    out.line("# the comparer again, and a mailbox on each side by IMAP:")
    out.line(f"/usr/bin/python3 {_from_root(Path(__file__).parent / 'compare.py')} --spec $demo/both-sides.json")
    for server in (stage.production, stage.backup):
        out.line(_imap_command(server, "4703"))


def how_to_delete(stage, plan):
    """Deletions to try oneself: one that is followed, one that is held."""
    out = stage.screen
    out.line("# delete on production: one message, then a whole mailbox, greetings too")
    out.line('gone="doveadm -o plugin/mail_log_events= -c $demo/production/dovecot.conf expunge -u"')
    for command, what in (
            ("$gone 4704 mailbox INBOX 1", "goes from the backup, too, seconds later"),
            ("$gone 4702 mailbox '*' all", "is held: nothing goes before you decide"),
            ("$ctl held list", "which plans wait, and why"),
            (f"$ctl held show {plan['id'] + 1}", "one of them, with its messages"),
            (f"$ctl held allow {plan['id'] + 1} --reason 'left us'", "removes them; refuse keeps them")):
        out.line(f"{command:44}# {what}")
    out.line()


def _from_root(path):
    return str(path).replace(f"{ROOT}/", "")


def _imap_command(server, mailbox):
    login = f"{mailbox}{server.separator}{TRUSTED}"
    if shutil.which("curl"):
        return f"curl -su '{login}:{PASSWORD}' imap://127.0.0.1:{server.port}/INBOX -X 'FETCH 1:* FLAGS'"
    return (f"(printf 'a LOGIN {login} {PASSWORD}\\r\\nb LIST \"\" *\\r\\nc LOGOUT\\r\\n' >&3; cat <&3) "
            f"3<>/dev/tcp/127.0.0.1/{server.port}")


def stay_up(stage, plan):
    """Until Ctrl-C; Enter brings another voicemail."""
    how_to_look(stage)
    how_to_delete(stage, plan)
    can_ask = sys.stdin is not None and sys.stdin.isatty()
    stage.screen.line("Enter: another voicemail arrives.   Ctrl-C: stop and remove everything." if can_ask
                      else "Ctrl-C: stop and remove everything.")
    index = 0
    while True:
        if not stage.product.guard.alive():
            raise Failure(f"mirror-supervisor has ended:\n{stage.product.log_tail()}")
        if not can_ask:
            time.sleep(0.5)
        elif select.select([sys.stdin], [], [], 0.5)[0]:
            if not sys.stdin.readline():
                can_ask = False
                continue
            # The last mailbox is the empty one: it gets its first voicemail like that, too.
            new_voicemail(stage, stage.numbers[(19 + index) % len(stage.numbers)])
            index += 7


def close(stage):
    """Stops all in the right order; what is wrong with the product's stop is told."""
    problem = None
    try:
        if stage.product:
            stage.product.stop()
    except AssertionError as error:
        problem = str(error)
    for server in (stage.backup, stage.production, *stage.directories):
        if server:
            server.stop()
    return problem


def play(stage, held, once):
    """True if both sides were equal, but for what was kept."""
    start_systems(stage, held)
    start_product(stage, held)
    first_mirroring(stage)
    directory_follows(stage)
    happenings(stage)
    plan = emptied(stage, EMPTIED)
    equal = judge(stage)
    if not once:
        stay_up(stage, plan)
    return equal


def _on_signal(number, _):
    raise Ended(number)


def main(argv):
    if argv not in ([], ["--once"]):
        print("usage: ./demo [--once]", file=sys.stderr)
        return 2
    os.umask(0o022)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_signal)
    # Started in the background by a shell, SIGINT would be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    screen = Screen()
    screen.title("Message Mirror: voicemail that is still there when the messaging system is not")
    root = private_directory("mirror-demo-")
    janitor = Janitor(root)
    stage = Stage(root, screen, Generator(seed=2026, now=datetime.now(timezone.utc).replace(microsecond=0)))
    equal, interrupted, problem = False, False, None
    try:
        equal = play(stage, janitor.held, once=argv == ["--once"])
    except (Failure, GuardError, WireError, OSError, TimeoutError) as error:
        problem = str(error)
    except (KeyboardInterrupt, Ended):
        interrupted = True
    return finish(stage, janitor, equal, interrupted, problem, once=argv == ["--once"])


def finish(stage, janitor, equal, interrupted, problem, once):
    # A second Ctrl-C must not leave half of it: the janitor would, but not as tidily.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if problem:
        stage.screen.line()
        stage.screen.result("The demo failed:", False)
        stage.screen.line(problem.rstrip())
    stage.screen.step("Stopping everything")
    problem_at_end = close(stage)
    janitor.close()
    if problem_at_end:
        stage.screen.result(problem_at_end, False)
    else:
        stage.screen.line(f"Nothing of it runs any more, and {stage.root} is gone.")
    well = not problem and not problem_at_end and (equal if once else equal or interrupted)
    return 0 if well and not (once and interrupted) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
