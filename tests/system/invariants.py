"""What must hold in the store whenever all work is done, and between the store and the target. For every suite.

    assert broken(product.sql) == []
    assert broken_on_target(product.sql, target.endpoint(), "4701") == []

`sql` takes a statement and returns rows of text. No code is shared with the product.
"""
import collections
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from standin.compare import SYSTEM_FLAGS, read_mailbox  # noqa: E402

SETS = "(SELECT plan_id, outcome FROM plan_message UNION ALL SELECT plan_id, outcome FROM plan_entry) i"

# what is wrong: a query that finds it, each row of which is told
RULES = {
    "an intent is left": """SELECT i.intent_id, i.state, b.number, f.name, i.source_uid FROM intent i
        JOIN folder f USING (folder_id) JOIN mirror m USING (mirror_id) JOIN mailbox b USING (mailbox_id)""",
    "a row says mirrored and names no message": """SELECT folder_id, source_uid FROM message
        WHERE state = 'mirrored' AND target_uid IS NULL""",
    "a row names a message and does not say mirrored": """SELECT folder_id, source_uid, state FROM message
        WHERE state <> 'mirrored' AND target_uid IS NOT NULL""",
    "two rows name one message": """SELECT f.mirror_id, f.target_name, g.target_uid FROM message g JOIN folder f USING (folder_id)
        WHERE g.target_uid IS NOT NULL GROUP BY 1, 2, 3 HAVING COUNT(*) > 1""",
    "two rows are of one message": """SELECT folder_id, source_uid FROM message WHERE source_uid IS NOT NULL
        GROUP BY 1, 2 HAVING COUNT(*) > 1""",
    "a row was not identified again": """SELECT folder_id, target_uid FROM message
        WHERE source_uid IS NULL AND source_gone_at IS NULL""",
    "a row was not read back": """SELECT folder_id, target_uid FROM message
        WHERE state = 'mirrored' AND target_uid IS NOT NULL AND target_size IS NULL""",
    "more is done than was wanted": """SELECT mirror_id, wanted_seq, done_seq, verify_wanted_seq, verify_done_seq FROM mirror
        WHERE done_seq > wanted_seq OR verify_done_seq > verify_wanted_seq""",
    "a mirror is not done": """SELECT mirror_id, wanted_seq, done_seq, error FROM mirror WHERE pending""",
    "a mirror is done and behind": """SELECT mirror_id, behind_since FROM mirror
        WHERE NOT pending AND NOT waits_for_owner AND behind_since IS NOT NULL""",
    "a mirror is done and somebody's": """SELECT mirror_id, lease_owner FROM mirror WHERE NOT pending AND lease_owner IS NOT NULL
        AND lease_until > UTC_TIMESTAMP(6)""",
    "a mirror is done and in error": """SELECT mirror_id, fail_count, error FROM mirror
        WHERE NOT pending AND (fail_count > 0 OR error <> '')""",
    "a removal is begun and not ended": "SELECT folder_id, target_uid FROM message WHERE removal = 'begun'",
    "what is there is to be removed": """SELECT folder_id, target_uid, removal FROM message
        WHERE removal <> 'none' AND source_gone_at IS NULL""",
    "a message is held by no plan": """SELECT g.message_id, p.state FROM message g LEFT JOIN plan p USING (plan_id)
        WHERE g.removal = 'held' AND COALESCE(p.state, '') NOT IN ('held', 'allowed')""",
    "an entry is held by no plan": """SELECT e.number, p.state FROM entry e LEFT JOIN plan p USING (plan_id)
        WHERE e.state = 'held' AND COALESCE(p.state, '') NOT IN ('held', 'allowed')""",
    "an entry is on production and held or kept": """SELECT number, state FROM entry
        WHERE gone_at IS NULL AND (state IN ('gone', 'held', 'kept') OR plan_id IS NOT NULL)""",
    "a plan holds nothing": f"""SELECT p.plan_id, p.state FROM plan p WHERE p.kind <> 'site' AND p.state IN ('held', 'allowed')
        AND NOT EXISTS (SELECT 1 FROM {SETS} WHERE i.plan_id = p.plan_id AND i.outcome = 'open')""",
    "a plan is over and something open": f"""SELECT p.plan_id, p.state FROM plan p JOIN {SETS} USING (plan_id)
        WHERE p.state IN ('refused', 'done', 'dissolved') AND i.outcome = 'open'""",
    "a plan's size is not its set's": f"""SELECT p.plan_id, p.messages, COUNT(*) FROM plan p JOIN {SETS} USING (plan_id)
        GROUP BY 1, 2 HAVING p.messages <> COUNT(*)""",
    "a mirror has no mailbox": "SELECT mirror_id FROM mirror m LEFT JOIN mailbox b USING (mailbox_id) WHERE b.mailbox_id IS NULL",
    "a folder has no mirror": "SELECT folder_id FROM folder f LEFT JOIN mirror m USING (mirror_id) WHERE m.mirror_id IS NULL",
    "a row has no folder": "SELECT message_id FROM message g LEFT JOIN folder f USING (folder_id) WHERE f.folder_id IS NULL",
    "an intent has no folder": "SELECT intent_id FROM intent i LEFT JOIN folder f USING (folder_id) WHERE f.folder_id IS NULL",
}


def broken(sql, but=()):
    """[what is wrong, and where], of the store alone. `but`: rules that need not hold now."""
    return [f"{rule}: {' '.join(row)}" for rule, query in RULES.items() if rule not in but for row in sql(query)]


# What a mailbox ends with in the store, however it came there. Not UIDs and times; nor made_by_us: of a copier that dies
# between CREATE and its record nobody knows whose folder that is, so it counts as somebody else's (I5).
ENDS = (
    """SELECT source_messages, target_messages, missing_messages, refused_messages, altered_messages, gone_messages,
       foreign_messages, gone_folders, held_messages, kept_messages, waiting_messages, equal, refused_keywords FROM {mirror}""",
    "SELECT f.name, f.target_name, f.source_gone_at IS NULL FROM {mirror} JOIN folder f USING (mirror_id) ORDER BY 1",
    """SELECT f.name, HEX(g.header_sha256), g.state, g.removal, g.source_gone_at IS NULL, HEX(g.flags_written), g.error
       FROM {mirror} JOIN folder f USING (mirror_id) JOIN message g USING (folder_id) ORDER BY 1, 2, 6""",
    """SELECT p.kind, p.state, p.messages, i.folder, i.outcome, i.size_bytes FROM {mirror} JOIN plan p USING (mirror_id)
       JOIN plan_message i USING (plan_id) ORDER BY 1, 2, 3, 4, 5, 6""",
    "SELECT SUM(r.messages), SUM(r.counted), MAX(r.emptied) FROM {mirror} JOIN removal r USING (mirror_id)",
)


def end_of(sql, mailbox):
    """For comparing with the end of another mailbox."""
    mirror = f"(SELECT m.* FROM mirror m JOIN mailbox b USING (mailbox_id) WHERE b.number = '{mailbox}') m"
    return [sql(query.format(mirror=mirror)) for query in ENDS]


Row = collections.namedtuple("Row", "folder uid size digest flags refused")


def _rows(sql, mailbox):
    return [Row(*row) for row in sql(f"""
        SELECT f.target_name, g.target_uid, g.target_size, LOWER(HEX(g.raw_sha256)),
               HEX(g.flags_written), HEX(g.flags_refused)
        FROM message g JOIN folder f USING (folder_id) JOIN mirror m USING (mirror_id) JOIN mailbox b USING (mailbox_id)
        WHERE b.number = '{mailbox}' AND g.target_uid IS NOT NULL""")]


def _flags(hexadecimal):
    return {flag.lower() for flag in bytes.fromhex(hexadecimal).decode().split()}


def _wrong_row(row, there):
    if there is None:
        return "is not there"
    if int(row.size) != there.size:
        return f"has {there.size} bytes, not {row.size}"
    if row.digest != there.digest:
        return "has other bytes"
    actual, written = there.flags | there.keywords, _flags(row.flags)
    if written - actual - _flags(row.refused) or (there.flags & SYSTEM_FLAGS) - written - _flags(row.refused):
        return f"has {' '.join(sorted(actual)) or 'no flags'}, recorded is {' '.join(sorted(written)) or 'none'}"
    return None


def broken_on_target(sql, endpoint, mailbox):
    """[what is wrong] between the rows of a mailbox with one mirror and what the target has: every row's message is there
    and as recorded. Not for targets that alter what they store."""
    found, content = [], read_mailbox(endpoint, mailbox)
    for row in _rows(sql, mailbox):
        stored = {message.uid: message for message in content.get(tuple(row.folder.split("/")), ())}
        wrong = _wrong_row(row, stored.get(int(row.uid)))
        if wrong:
            found.append(f"{mailbox} {row.folder}: message {row.uid}, which a row names, {wrong}")
    return found
