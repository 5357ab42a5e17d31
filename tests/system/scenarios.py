"""What happens to one mailbox, for the suites that disturb a copier at every step of it. Each scenario says what is there
at first, whether that is mirrored before, and what is changed then; the same in every mailbox, so that ends can be compared.
Small: each step costs a run.

`Play` makes as many of those mailboxes as are wanted, and judges how they ended."""
import pathlib

from copied import quoted
from invariants import broken, broken_on_target, end_of
from mirrored import delete, folders
from standin.compare import compare_mailbox, read_mailbox
from standin.voicemail import ACTIVE_GREETING, UNOPENED, Generator, Message

INBOX, GREETINGS, PRIVATE, WORK = ("INBOX",), ("Greetings",), ("Private",), ("Work",)


class Scenario:
    """`sides` is a Copied: it has production, target (stand-ins) and sql (the product's store)."""
    mirrored_first = True  # what fill() made is mirrored before change()
    mirrors = True         # at the end the target is as production is
    deletions = {"delay_seconds": 3600, "route_messages": 1000000, "route_mailboxes_share": 1}  # of the route: holds nothing

    def __init__(self, seed=1):
        generator = Generator(seed)

        def tiny(*flags):
            return generator.tiny("4701", flags=flags)
        twin = tiny("\\Seen")
        self.first = {INBOX: [tiny("\\Seen", "Urgent"), twin, Message(twin.data, (UNOPENED,), twin.date)],
                      GREETINGS: [tiny("\\Seen", ACTIVE_GREETING)]}
        self.more = [tiny(UNOPENED), tiny(), tiny("\\Flagged")]

    def fill(self, sides, mailbox):
        sides.production.fill(mailbox, self.first)

    def change(self, sides, mailbox):
        pass

    def change_all(self, sides, mailboxes):
        for mailbox in mailboxes:
            self.change(sides, mailbox)

    def wrong(self, sides, mailbox):
        """What else is not as it should be at the end."""
        return []


class FirstCopy(Scenario):
    mirrored_first = False


class Delta(Scenario):
    def change(self, sides, mailbox):
        sides.production.fill(mailbox, {INBOX: self.more[:2], WORK: self.more[2:]})


class Flags(Scenario):
    """Set, cleared and exchanged, system flags and keywords: three STOREs that differ."""

    def change(self, sides, mailbox):
        stores(sides.production, mailbox, "INBOX", ("1", "-FLAGS", "(\\Seen Urgent)"), ("1", "+FLAGS", "(\\Flagged Old)"),
               ("2", "+FLAGS", "(\\Answered)"), ("3", "-FLAGS", f"({UNOPENED})"), ("3", "+FLAGS", "(\\Seen)"))


class Rename(Scenario):
    """A folder with a child gets another name, and a message afterwards."""

    def fill(self, sides, mailbox):
        sides.production.fill(mailbox, {**self.first, PRIVATE: self.more[:1], (*PRIVATE, "Old"): self.more[1:2]})

    def change(self, sides, mailbox):
        folders(sides.production, mailbox, ("rename", "Private", "Personal"))
        sides.production.deliver(mailbox, "Personal", self.more[2])


class SourceUidvalidity(Scenario):
    """Production's INBOX gets another UIDVALIDITY, a message, and loses a flag."""
    side = "production"

    def change(self, sides, mailbox):
        getattr(sides, self.side).doveadm("mailbox", "update", "-u", mailbox, "--uid-validity", 77, "INBOX")
        sides.production.deliver(mailbox, "INBOX", self.more[0])
        stores(sides.production, mailbox, "INBOX", ("1", "-FLAGS", "(\\Seen)"))


class TargetUidvalidity(SourceUidvalidity):
    """The target's does."""
    side = "target"


class Adoption(Scenario):
    """The target has half of it from before, with other flags, and in one folder all."""
    mirrored_first = False

    def fill(self, sides, mailbox):
        super().fill(sides, mailbox)
        first, greeting = self.first[INBOX][0], self.first[GREETINGS][0]
        sides.target.fill(mailbox, {INBOX: [Message(first.data, ("\\Flagged", "Old"), first.date), self.first[INBOX][1]],
                                    GREETINGS: [greeting]})


class Deletion(Scenario):
    """Messages of a folder, and a folder with a message, are deleted on production; a message comes, a flag goes."""

    def fill(self, sides, mailbox):
        sides.production.fill(mailbox, {INBOX: self.first[INBOX] + self.more[:1], WORK: self.more[1:2]})

    def change(self, sides, mailbox):
        delete(sides.production, mailbox, "INBOX", "2,4")
        folders(sides.production, mailbox, ("delete", "Work"))
        sides.production.deliver(mailbox, "INBOX", self.more[2])
        stores(sides.production, mailbox, "INBOX", ("1", "-FLAGS", "(\\Seen)"))


class DeletionHeld(Deletion):
    """The brake holds it."""
    mirrors = False
    deletions = {**Scenario.deletions, "mailbox_messages": 0, "mailbox_share": 0}


class PlanAllowed(DeletionHeld):
    """And a person allowed that."""
    mirrors = True

    def change_all(self, sides, mailboxes):
        super().change_all(sides, mailboxes)
        sides.want_mailboxes(*mailboxes)
        sides.run(mailboxes)
        sides.sql(f"""UPDATE plan SET state = 'allowed', decided_at = UTC_TIMESTAMP(6), decided_by = 'test', decision = 'test'
                      WHERE state = 'held' AND mailbox IN ({quoted(mailboxes)})""")


class Removal(Scenario):
    """A person has our copies removed; a stranger's message stays."""
    mirrors = False

    def change(self, sides, mailbox):
        sides.target.deliver(mailbox, "INBOX", self.more[0])
        sides.sql(f"UPDATE mailbox SET removing = 1 WHERE number = '{mailbox}'")


class HandOver(Scenario):
    """The number is another person's, as the directory says; somebody left a message on the target itself."""
    mirrors = False

    def change(self, sides, mailbox):
        sides.target.deliver(mailbox, "INBOX", self.more[0])
        sides.sql(f"""UPDATE mirror m JOIN mailbox b USING (mailbox_id) SET owner = 'former', handing_over = 1, waits_for_owner = 1,
                      due_at = '9999-01-01' WHERE b.number = '{mailbox}'""")

    def wrong(self, sides, mailbox):
        """All that was there is held, once, in its folder."""
        rows = sides.sql(f"SELECT place, messages, done_at IS NOT NULL FROM handover WHERE number = '{mailbox}'")
        if [row[1:] for row in rows] != [["5", "1"]]:
            return [f"{mailbox}: hand-overs {rows}"]
        expected = {"cur": self.first[INBOX] + self.more[:1], ".Greetings/cur": self.first[GREETINGS]}
        held = {folder: sorted(path.read_bytes() for path in (pathlib.Path(rows[0][0]) / folder).iterdir()) for folder in expected}
        return [f"{mailbox}: {folder} holds {len(held[folder])} messages, not those that were there" for folder, messages in expected.items()
                if held[folder] != sorted(message.data for message in messages)]


def stores(server, mailbox, folder, *commands):
    """[(UIDs, item, flags)] by a user's own client."""
    connection = server.imap(mailbox)
    connection.select(folder)
    for uids, item, flags in commands:
        status, answer = connection.uid("STORE", uids, item, flags)
        assert status == "OK", answer
    connection.logout()


SCENARIOS = {"first copy": FirstCopy, "delta": Delta, "flags": Flags, "folder rename": Rename,
             "UIDVALIDITY of production": SourceUidvalidity, "UIDVALIDITY of the target": TargetUidvalidity,
             "adoption": Adoption, "deletion": Deletion, "deletion held": DeletionHeld, "plan allowed": PlanAllowed,
             "copies removed": Removal, "hand-over": HandOver}


def _less(rows, others):
    return [row for row in rows if row not in others]


class Play:
    """One scenario in a Copied world that can also run(mailboxes): a copier, until all is done. `numbers` gives mailboxes
    that nobody has used yet."""

    def __init__(self, world, scenario, numbers):
        self.world, self.scenario, self.numbers = world, scenario, numbers

    def prepare(self, count):
        """Mailboxes in which everything is ready to be done, and not yet wanted."""
        mailboxes = [str(next(self.numbers)) for _ in range(count)]
        for mailbox in mailboxes:
            self.scenario.fill(self.world, mailbox)
            self.world.subscribe(mailbox)
        if self.scenario.mirrored_first:
            self.world.want_mailboxes(*mailboxes)
            self.world.run(mailboxes)
        self.scenario.change_all(self.world, mailboxes)
        return mailboxes

    def finish(self, mailboxes):
        """What time and the next looks would do."""
        self.world.leases_are_over(*mailboxes)
        self.world.run(mailboxes)
        self.world.wait_ghosts_over()
        self.world.want_mailboxes(*mailboxes)
        self.world.run(mailboxes)

    def judge(self, undisturbed, mailboxes):
        """All ended as that one did, on both sides, and with an orderly store."""
        production, target = self.world.production.endpoint(), self.world.target.endpoint()
        expected, wrong = read_mailbox(target, undisturbed), broken(self.world.sql)
        ends = end_of(self.world.sql, undisturbed)
        for mailbox in [undisturbed, *mailboxes]:
            content = read_mailbox(target, mailbox)
            wrong += compare_mailbox(mailbox, expected, content)
            wrong += [f"{mailbox}: the store ends with {_less(mine, theirs)}, undisturbed with {_less(theirs, mine)}"
                      for mine, theirs in zip(end_of(self.world.sql, mailbox), ends) if mine != theirs]
            wrong += self.scenario.wrong(self.world, mailbox)
            if self.scenario.mirrors:
                wrong += compare_mailbox(mailbox, read_mailbox(production, mailbox), content)
            wrong += broken_on_target(self.world.sql, target, mailbox)
        assert not wrong, "\n".join(map(str, [f"{len(wrong)} things are wrong:", *wrong[:20]]))
