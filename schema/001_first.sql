-- 001: the first schema. One DDL statement per step; a step is recorded when it is through, so a killed migration goes
-- on where it was (rules: schema/README.md). Every table names who writes which columns, and its invariants. InnoDB and a primary key everywhere
-- (Galera). Times are UTC by the database's clock, DATETIME(6). Names are bytes (VARBINARY, UTF-8), never folded.

-- site: what all workers of all hosts share about one messaging system (I8: no secret, only the version of its file).
-- Written by: access (login gate, rate), under the row's lock. login_state: unproven = one login at a time until one
-- succeeded; proven; stopped = no login until stopped_until or a new secret. refusals: in a row, at most one below the
-- limit unless a probe was refused. stops: in a row, chooses the next probe's mailbox. probe_*: who holds the one login
-- of an unproven site. cool_until, troubles: the site could not be asked (down, session limit): all wait together.
CREATE TABLE IF NOT EXISTS site (
  site_id            INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name               VARBINARY(64) NOT NULL,
  login_state        ENUM('unproven','proven','stopped') NOT NULL DEFAULT 'unproven',
  refusals           INT UNSIGNED NOT NULL DEFAULT 0,
  stops              INT UNSIGNED NOT NULL DEFAULT 0,
  probe_owner        VARBINARY(200) NULL,
  probe_mailbox      VARBINARY(64) NULL,
  probe_until        DATETIME(6) NULL,
  last_good_mailbox  VARBINARY(64) NULL,
  stopped_until      DATETIME(6) NULL,
  next_login_at      DATETIME(6) NOT NULL DEFAULT '1970-01-01',
  troubles           INT UNSIGNED NOT NULL DEFAULT 0,
  cool_until         DATETIME(6) NOT NULL DEFAULT '1970-01-01',
  error              VARBINARY(800) NOT NULL DEFAULT '',
  error_at           DATETIME(6) NULL,
  server_words       VARBINARY(800) NOT NULL DEFAULT '',
  UNIQUE KEY name (name)
);

-- site_secret: which version of a site's secret file was seen on which host. A version new to its host reopens the site;
-- one that was seen before (a process that has not read the file again yet) does not. Versions of different hosts
-- can't be compared. Written by: access (login gate).
CREATE TABLE IF NOT EXISTS site_secret (
  site_id  INT UNSIGNED NOT NULL,
  host     VARBINARY(100) NOT NULL,
  version  BIGINT UNSIGNED NOT NULL,
  seen_at  DATETIME(6) NOT NULL,
  PRIMARY KEY (site_id, host, version)
);

-- site_session: one row per IMAP session in use. Written by: access. A row counts against max_sessions until it is
-- deleted (clean logout), or until grace_until (a dead owner's session is still counted by the store for a while).
CREATE TABLE IF NOT EXISTS site_session (
  session_id   BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  site_id      INT UNSIGNED NOT NULL,
  owner        VARBINARY(200) NOT NULL,
  purpose      VARBINARY(20) NOT NULL,
  expires_at   DATETIME(6) NOT NULL,
  grace_until  DATETIME(6) NOT NULL,
  KEY site (site_id, grace_until),
  KEY owner (owner)
);

-- site_fingerprint: how a site introduces itself (greeting, ID, key of its certificate), as a digest and in words. The first
-- is learnt at the first login; others count once a person allowed the site's plan. Written by: access (the first), api.
CREATE TABLE IF NOT EXISTS site_fingerprint (
  site_id      INT UNSIGNED NOT NULL,
  fingerprint  BINARY(32) NOT NULL,
  words        VARBINARY(800) NOT NULL DEFAULT '',
  accepted_at  DATETIME(6) NOT NULL,
  accepted_by  VARBINARY(64) NOT NULL DEFAULT '',
  PRIMARY KEY (site_id, fingerprint)
);

-- sign: that production was restored, rebuilt or exchanged, as one mailbox showed it; many within the window trip the site's
-- breaker. Written by: scanner, copier; emptied by api when a person allows the site's plan.
CREATE TABLE IF NOT EXISTS sign (
  site_id     INT UNSIGNED NOT NULL,
  kind        ENUM('uidvalidity','lists_nothing') NOT NULL,
  mailbox_id  BIGINT UNSIGNED NOT NULL,
  seen_at     DATETIME(6) NOT NULL,
  PRIMARY KEY (site_id, kind, mailbox_id)
);

-- route: Written by: supervisor at start and reload (rows follow the configuration; one that is gone from it is kept,
-- configured = 0), api (paused).
CREATE TABLE IF NOT EXISTS route (
  route_id     INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name         VARBINARY(64) NOT NULL,
  from_site_id INT UNSIGNED NOT NULL,
  to_site_id   INT UNSIGNED NOT NULL,
  configured   BOOLEAN NOT NULL DEFAULT 1,
  paused       BOOLEAN NOT NULL DEFAULT 0,
  UNIQUE KEY name (name)
);

-- mailbox: what is subscribed. Written by: api; ldapsync (those that it follows); a copier takes the rows of a mailbox away whose copies it removed.
-- removing: a person asked to end the subscription and to remove its copies; nothing is mirrored any more. followed: subscribed by
-- ldapsync, as a route's directory.subscribe_* says, and not by a person.
CREATE TABLE IF NOT EXISTS mailbox (
  mailbox_id   BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  number       VARBINARY(64) NOT NULL,
  name         VARBINARY(256) NOT NULL DEFAULT '',
  cos          VARBINARY(32) NOT NULL DEFAULT '',
  priority     TINYINT UNSIGNED NOT NULL DEFAULT 5,
  added_at     DATETIME(6) NOT NULL,
  removing     BOOLEAN NOT NULL DEFAULT 0,
  followed     BOOLEAN NOT NULL DEFAULT 0,
  UNIQUE KEY number (number)
);

-- look: one mailbox on one production site, the scanner's unit of work: one look serves all routes of the mailbox.
-- Written by: api (row made and removed with the mirrors; asked), scanner (all else). Claimed with SKIP LOCKED.
-- asked: by a person, not yet claimed (due_at is 1970 then, so that it goes first). full_look_at: when the next is due.
CREATE TABLE IF NOT EXISTS look (
  mailbox_id     BIGINT UNSIGNED NOT NULL,
  site_id        INT UNSIGNED NOT NULL,
  due_at         DATETIME(6) NOT NULL,
  asked          BOOLEAN NOT NULL DEFAULT 0,
  lease_owner    VARBINARY(200) NULL,
  lease_until    DATETIME(6) NULL,
  looked_at      DATETIME(6) NULL,
  changed_at     DATETIME(6) NULL,
  full_look_at   DATETIME(6) NULL,
  fail_count     INT UNSIGNED NOT NULL DEFAULT 0,
  error          VARBINARY(800) NOT NULL DEFAULT '',
  error_at       DATETIME(6) NULL,
  PRIMARY KEY (mailbox_id, site_id),
  KEY due (site_id, due_at)
);

-- mirror: one mailbox on one route, and the queue: wanted_seq > done_seq means work. Written by: api (row made and
-- removed; wanted_seq, verify_wanted_seq raised), scanner (wanted_seq raised, behind_since, proven_at), copier (the
-- rest, fenced by lease_epoch). Invariants: done_seq <= wanted_seq; behind_since is NULL or the time when the oldest
-- thing not yet mirrored was seen; only the owner whose epoch stands here writes content of this mirror.
-- pending: work is wanted and may be done; first in the queue's index, so that idle mirrors are never read by a claim.
-- wanted_at: the oldest raise since the last claim. write_seq: counts the fenced transactions, so that a COMMIT without an answer can be
-- read back. claimed_at: a recheck that came due before it is done with the pass. target_suspect: a lease was taken over
-- and no pass was completed since. left_, going_messages, emptied: what the brake of the route counts of this mirror (store_brake.h).
-- withheld_messages: their flags are not written while the site's breaker is tripped.
-- owner: identity of the person whose messages this mirror holds, as the directory says; '' while it says nothing.
-- waits_for_owner: the subscriber is not on the target yet, or the number is another person's by now (I10): not claimed, unless
-- its copies are to be removed. handing_over: it is another person's, and what the target has of the former one goes to the hold
-- place, which is all that is done with it then. Written by: ldapsync (all three), api (waits_for_owner = 0, on_hold_since = NULL
-- when its copies are to be removed or a person adds it), supervisor (waits_for_owner = 0 without a directory), copier (owner = '', handing_over = 0 when that is done).
-- on_hold_since: followed, and in the last two whole lists of production nobody to be followed had the number: nothing is done
-- with it, its copies stay. unlisted: in how many lists in a row, up to 2. Written by: ldapsync.
-- deletion_due_at: when what is gone from production is to be looked at again; NULL: nothing is, or all of it is held.
CREATE TABLE IF NOT EXISTS mirror (
  mirror_id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  mailbox_id         BIGINT UNSIGNED NOT NULL,
  route_id           INT UNSIGNED NOT NULL,
  priority           TINYINT UNSIGNED NOT NULL DEFAULT 5,
  wanted_seq         BIGINT UNSIGNED NOT NULL DEFAULT 1,
  done_seq           BIGINT UNSIGNED NOT NULL DEFAULT 0,
  verify_wanted_seq  BIGINT UNSIGNED NOT NULL DEFAULT 0,
  verify_done_seq    BIGINT UNSIGNED NOT NULL DEFAULT 0,
  verify_deep        BOOLEAN NOT NULL DEFAULT 0,
  pending            BOOLEAN AS ((wanted_seq > done_seq OR verify_wanted_seq > verify_done_seq) AND NOT waits_for_owner
                     AND on_hold_since IS NULL OR handing_over) PERSISTENT,
  wanted_at          DATETIME(6) NULL,
  due_at             DATETIME(6) NOT NULL,
  pushed_at          DATETIME(6) NULL,
  lease_owner        VARBINARY(200) NULL,
  lease_until        DATETIME(6) NULL,
  lease_epoch        BIGINT UNSIGNED NOT NULL DEFAULT 0,
  write_seq          BIGINT UNSIGNED NOT NULL DEFAULT 0,
  claimed_at         DATETIME(6) NULL,
  target_suspect     BOOLEAN NOT NULL DEFAULT 0,
  recheck_target_at  DATETIME(6) NULL,
  behind_since       DATETIME(6) NULL,
  proven_at          DATETIME(6) NULL,
  equal              BOOLEAN NOT NULL DEFAULT 0,
  source_messages    INT UNSIGNED NOT NULL DEFAULT 0,
  target_messages    INT UNSIGNED NOT NULL DEFAULT 0,
  missing_messages   INT UNSIGNED NOT NULL DEFAULT 0,
  refused_messages   INT UNSIGNED NOT NULL DEFAULT 0,
  altered_messages   INT UNSIGNED NOT NULL DEFAULT 0,
  gone_messages      INT UNSIGNED NOT NULL DEFAULT 0,
  foreign_messages   INT UNSIGNED NOT NULL DEFAULT 0,
  late_messages      INT UNSIGNED NOT NULL DEFAULT 0,
  gone_folders       INT UNSIGNED NOT NULL DEFAULT 0,
  held_messages      INT UNSIGNED NOT NULL DEFAULT 0,
  kept_messages      INT UNSIGNED NOT NULL DEFAULT 0,
  waiting_messages   INT UNSIGNED NOT NULL DEFAULT 0,
  withheld_messages  INT UNSIGNED NOT NULL DEFAULT 0,
  left_messages      INT UNSIGNED NOT NULL DEFAULT 0,
  going_messages     INT UNSIGNED NOT NULL DEFAULT 0,
  emptied            BOOLEAN NOT NULL DEFAULT 0,
  deletion_due_at    DATETIME(6) NULL,
  owner              VARBINARY(200) NOT NULL DEFAULT '',
  waits_for_owner    BOOLEAN NOT NULL DEFAULT 0,
  handing_over       BOOLEAN NOT NULL DEFAULT 0,
  unlisted           TINYINT UNSIGNED NOT NULL DEFAULT 0,
  on_hold_since      DATETIME(6) NULL,
  refused_keywords   VARBINARY(800) NOT NULL DEFAULT '',
  copied_messages    BIGINT UNSIGNED NOT NULL DEFAULT 0,
  copied_bytes       BIGINT UNSIGNED NOT NULL DEFAULT 0,
  fail_count         INT UNSIGNED NOT NULL DEFAULT 0,
  error              VARBINARY(800) NOT NULL DEFAULT '',
  error_scope        VARBINARY(16) NOT NULL DEFAULT '',
  error_side         VARBINARY(16) NOT NULL DEFAULT '',
  error_at           DATETIME(6) NULL,
  error_since        DATETIME(6) NULL,
  next_try_at        DATETIME(6) NULL,
  verified_at        DATETIME(6) NULL,
  verify_differences INT UNSIGNED NULL,
  verify_report      BLOB NULL,
  UNIQUE KEY mailbox_route (mailbox_id, route_id),
  KEY queue (pending, priority, due_at, route_id),
  KEY recheck (recheck_target_at),
  KEY deletion (deletion_due_at),
  KEY brake (route_id, left_messages, going_messages, emptied)
);

-- folder: one folder of a mirror and the marks of its last complete pass: those seen when the folder was opened, stored
-- only after all up to them was applied. Written by: copier under the mirror's epoch. name: the source's, neutral form
-- (levels by '/'). A mark that is NULL forces a full listing of that side. source_gone_at: not in the source's
-- LIST, and EXAMINE refused. withheld_messages: flags that were seen while the breaker was tripped, and not written.
-- made_by_us: the target did not have it before: it may be removed there once it is empty.
CREATE TABLE IF NOT EXISTS folder (
  folder_id             BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  mirror_id             BIGINT UNSIGNED NOT NULL,
  name                  VARBINARY(1000) NOT NULL,
  target_name           VARBINARY(1000) NOT NULL,
  source_uidvalidity    INT UNSIGNED NULL,
  source_uidnext        INT UNSIGNED NULL,
  source_exists         INT UNSIGNED NULL,
  source_unseen         INT UNSIGNED NULL,
  source_highestmodseq  BIGINT UNSIGNED NULL,
  source_flags_digest   BINARY(32) NULL,
  target_uidvalidity    INT UNSIGNED NULL,
  target_uidnext        INT UNSIGNED NULL,
  target_exists         INT UNSIGNED NULL,
  target_highestmodseq  BIGINT UNSIGNED NULL,
  source_gone_at        DATETIME(6) NULL,
  made_by_us            BOOLEAN NOT NULL DEFAULT 0,
  withheld_messages     INT UNSIGNED NOT NULL DEFAULT 0,
  foreign_messages      INT UNSIGNED NOT NULL DEFAULT 0,
  UNIQUE KEY mirror_name (mirror_id, name)
);

-- message: one message of a folder as it was mirrored. Written by: copier under the mirror's epoch. source_uid is of the
-- folder's source_uidvalidity, target_uid of its target_uidvalidity. NULL source_uid: gone from production, or not yet
-- identified again after UIDVALIDITY changed. NULL target_uid: not on the target (state tells why).
-- verified_seq: the mirror's verify_wanted_seq of the last deep verify that read this message on both sides, so that one
-- of many turns goes on where it was; bytes_differ: what it found (also: not readable).
-- source_gone_at: since when it is known to be gone; begins anew when UIDVALIDITY changes. removal: what becomes of its copy:
-- none: nothing decided; held: in an open plan (plan_id); kept: a person refused that plan; begun: it may be gone from the
-- target already (committed before the EXPUNGE; the row goes after it). Only rows with source_gone_at are other than none.
-- Invariants: mirrored => target_uid is not NULL unless it vanished there (I2); no two rows share a target_uid.
CREATE TABLE IF NOT EXISTS message (
  message_id       BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  folder_id        BIGINT UNSIGNED NOT NULL,
  source_uid       INT UNSIGNED NULL,
  target_uid       INT UNSIGNED NULL,
  state            ENUM('mirrored','refused','lost') NOT NULL,
  altered          BOOLEAN NOT NULL DEFAULT 0,
  internal_date    BIGINT NOT NULL,
  size_bytes       BIGINT UNSIGNED NOT NULL,
  raw_sha256       BINARY(32) NULL,
  normal_sha256    BINARY(32) NULL,
  header_sha256    BINARY(32) NULL,
  target_size      BIGINT UNSIGNED NULL,
  target_sha256    BINARY(32) NULL,
  verified_seq     BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes_differ     BOOLEAN NOT NULL DEFAULT 0,
  flags_written    BLOB NOT NULL,
  flags_refused    BLOB NOT NULL,
  times_lost       TINYINT UNSIGNED NOT NULL DEFAULT 0,
  fail_count       INT UNSIGNED NOT NULL DEFAULT 0,
  next_try_at      DATETIME(6) NULL,
  error            VARBINARY(800) NOT NULL DEFAULT '',
  source_gone_at   DATETIME(6) NULL,
  removal          ENUM('none','held','kept','begun') NOT NULL DEFAULT 'none',
  plan_id          BIGINT UNSIGNED NULL,
  mirrored_at      DATETIME(6) NULL,
  UNIQUE KEY folder_source (folder_id, source_uid),
  UNIQUE KEY folder_target (folder_id, target_uid),
  KEY retry (next_try_at)
);

-- loss: a message over which a connection was lost (a server that dies over it), and how often in a row. Written by: copier
-- under the mirror's epoch. kind: what was being done (store_loss.h); uid is production's, with kind target the target's. A
-- row goes when it was done after all, or its UID counts no more.
CREATE TABLE IF NOT EXISTS loss (
  folder_id  BIGINT UNSIGNED NOT NULL,
  kind       ENUM('header','body','append','target') NOT NULL,
  uid        INT UNSIGNED NOT NULL,
  losses     INT UNSIGNED NOT NULL,
  error      VARBINARY(800) NOT NULL DEFAULT '',
  PRIMARY KEY (folder_id, kind, uid)
);

-- intent: the committed note that an APPEND is about to be made (I3). Written by: copier under the mirror's epoch. open:
-- nobody knows yet whether the target has it. ghost: settled as absent, may still come true until ghost_until.
-- Settled as present: the row goes in the transaction that records the message.
CREATE TABLE IF NOT EXISTS intent (
  intent_id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  folder_id           BIGINT UNSIGNED NOT NULL,
  source_uidvalidity  INT UNSIGNED NOT NULL,
  source_uid          INT UNSIGNED NOT NULL,
  internal_date       BIGINT NOT NULL,
  size_bytes          BIGINT UNSIGNED NOT NULL,
  header_sha256       BINARY(32) NOT NULL,
  flags               BLOB NOT NULL,
  target_uidvalidity  INT UNSIGNED NOT NULL,
  target_uidnext      INT UNSIGNED NOT NULL,
  lease_epoch         BIGINT UNSIGNED NOT NULL,
  state               ENUM('open','ghost') NOT NULL DEFAULT 'open',
  created_at          DATETIME(6) NOT NULL,
  ghost_until         DATETIME(6) NULL,
  KEY folder (folder_id, state),
  KEY ghosts (state, ghost_until)
);

-- plan: a deletion that a brake stopped before its first message, and what a person decided about it. Written by: copier and
-- scanner (made, done, dissolved), ldapsync (the same, of kinds subscribers and cos, under the directory's epoch), api (decided;
-- dissolved with its mailbox). kind: which limit held it; site: the breaker,
-- without messages: while one is held or refused, nothing is removed or overwritten on any route from that site; subscribers, cos:
-- entries of a route's directory (plan_entry), no mirror. allowed: to
-- be carried out; done: carried out (site: allowed); dissolved: nothing is left to decide on. messages: the set's size
-- when it was made, be it messages or entries; emptied: its mailbox had no others.
CREATE TABLE IF NOT EXISTS plan (
  plan_id      BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  kind         ENUM('mailbox','route','site','subscribers','cos') NOT NULL,
  state        ENUM('held','allowed','refused','done','dissolved') NOT NULL DEFAULT 'held',
  site_id      INT UNSIGNED NOT NULL,
  route_id     INT UNSIGNED NULL,
  mirror_id    BIGINT UNSIGNED NULL,
  mailbox      VARBINARY(64) NOT NULL DEFAULT '',
  reason       VARBINARY(800) NOT NULL,
  messages     INT UNSIGNED NOT NULL DEFAULT 0,
  emptied      BOOLEAN NOT NULL DEFAULT 0,
  fingerprint  BINARY(32) NULL,
  words        VARBINARY(800) NOT NULL DEFAULT '',
  made_at      DATETIME(6) NOT NULL,
  decided_at   DATETIME(6) NULL,
  decided_by   VARBINARY(64) NOT NULL DEFAULT '',
  decision     VARBINARY(800) NOT NULL DEFAULT '',
  ended_at     DATETIME(6) NULL,
  KEY mirror (mirror_id, state),
  KEY route (route_id, made_at, state, kind, mirror_id, emptied, messages),
  KEY site (site_id, kind, state),
  KEY state (state, kind)
);

-- plan_message: the set of a plan, made with it and never added to. Written by: copier (all), api (when its mailbox goes).
-- outcome: open; removed; kept: the plan was refused, or its mailbox went; back: it is on production again, or must be proven
-- anew since UIDVALIDITY changed.
CREATE TABLE IF NOT EXISTS plan_message (
  plan_id             BIGINT UNSIGNED NOT NULL,
  message_id          BIGINT UNSIGNED NOT NULL,
  folder              VARBINARY(1000) NOT NULL,
  source_uidvalidity  INT UNSIGNED NULL,
  source_uid          INT UNSIGNED NULL,
  internal_date       BIGINT NOT NULL,
  size_bytes          BIGINT UNSIGNED NOT NULL,
  outcome             ENUM('open','removed','kept','back') NOT NULL DEFAULT 'open',
  PRIMARY KEY (plan_id, message_id),
  KEY message (message_id)
);

-- plan_entry: the same of a plan of kind subscribers or cos. Written by: ldapsync, under the directory's epoch. number, name, dn
-- (the target's): as they were when it was made, for people. outcome: open; removed; kept: the plan was refused, or it is a test
-- mailbox; back: it is on production again.
CREATE TABLE IF NOT EXISTS plan_entry (
  plan_id   BIGINT UNSIGNED NOT NULL,
  entry_id  BIGINT UNSIGNED NOT NULL,
  number    VARBINARY(64) NOT NULL,
  name      VARBINARY(256) NOT NULL DEFAULT '',
  dn        VARBINARY(800) NOT NULL,
  outcome   ENUM('open','removed','kept','back') NOT NULL DEFAULT 'open',
  PRIMARY KEY (plan_id, entry_id),
  KEY entry (entry_id)
);

-- removal: what was removed without a person's word, for the windows of the brakes. Written by: copier, in the transaction
-- that begins the removal; scanner (rows older than 35 days go). counted: without greetings
-- and those that passed retention_days lately.
CREATE TABLE IF NOT EXISTS removal (
  removal_id  BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  route_id    INT UNSIGNED NOT NULL,
  mirror_id   BIGINT UNSIGNED NOT NULL,
  at          DATETIME(6) NOT NULL,
  messages    INT UNSIGNED NOT NULL,
  counted     INT UNSIGNED NOT NULL,
  emptied     BOOLEAN NOT NULL DEFAULT 0,
  KEY route (route_id, at, mirror_id, counted, emptied),
  KEY tidy (at)
);

-- handover: a number that became another person's (I10), and where the former one's messages are: a Maildir (copier/hold.h) in
-- the directory `place` of that host. done_at: all are there, proven, and none is on the target any more. messages, bytes: held so far.
-- Rows stay for ever, as do the messages. Written by: copier, under the mirror's epoch; one row a mirror, former owner and place.
CREATE TABLE IF NOT EXISTS handover (
  handover_id   BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  route_id      INT UNSIGNED NOT NULL,
  mirror_id     BIGINT UNSIGNED NOT NULL,
  number        VARBINARY(64) NOT NULL,
  former_owner  VARBINARY(200) NOT NULL,
  host          VARBINARY(100) NOT NULL,
  place         VARBINARY(1000) NOT NULL,
  messages      INT UNSIGNED NOT NULL DEFAULT 0,
  bytes         BIGINT UNSIGNED NOT NULL DEFAULT 0,
  begun_at      DATETIME(6) NOT NULL,
  done_at       DATETIME(6) NULL,
  KEY mirror (mirror_id, done_at),
  KEY number (number, handover_id)
);

-- directory: one route whose subscribers and COS are kept equal, and the queue of ldapsync: a row is due when due_at has come,
-- or a wanted number is above the done one. Written by: supervisor (row made; configured), api (wanted numbers raised),
-- ldapsync (the rest, fenced by lease_epoch). full_: compare both sides whole; dry_: only plan, into directory_difference.
-- listing_seq: numbers the listings of `listed`. change_mark: what the next question for changes begins with; stored only
-- after all that it covers is settled; mark_kind says what it is. changes_at: production was asked for changes and answered;
-- listed_at: it told all its numbers; compared_at: when the last comparison of both whole sides began. foreign_: entries of the target that
-- never came from us, left alone. id_attribute: what the owners of the mirrors were told by. troubles: entries that can't be mirrored (no number, a number twice): directory_trouble.
CREATE TABLE IF NOT EXISTS directory (
  route_id          INT UNSIGNED NOT NULL PRIMARY KEY,
  configured        BOOLEAN NOT NULL DEFAULT 1,
  wanted_seq        BIGINT UNSIGNED NOT NULL DEFAULT 1,
  done_seq          BIGINT UNSIGNED NOT NULL DEFAULT 0,
  full_wanted_seq   BIGINT UNSIGNED NOT NULL DEFAULT 1,
  full_done_seq     BIGINT UNSIGNED NOT NULL DEFAULT 0,
  dry_wanted_seq    BIGINT UNSIGNED NOT NULL DEFAULT 0,
  dry_done_seq      BIGINT UNSIGNED NOT NULL DEFAULT 0,
  due_at            DATETIME(6) NOT NULL,
  lease_owner       VARBINARY(200) NULL,
  lease_until       DATETIME(6) NULL,
  lease_epoch       BIGINT UNSIGNED NOT NULL DEFAULT 0,
  write_seq         BIGINT UNSIGNED NOT NULL DEFAULT 0,
  listing_seq       BIGINT UNSIGNED NOT NULL DEFAULT 0,
  mark_kind         ENUM('none','modify_timestamp','syncrepl') NOT NULL DEFAULT 'none',
  change_mark       VARBINARY(2000) NOT NULL DEFAULT '',
  means             VARBINARY(64) NOT NULL DEFAULT '',
  changes_at        DATETIME(6) NULL,
  listed_at         DATETIME(6) NULL,
  compared_at       DATETIME(6) NULL,
  list_wanted       BOOLEAN NOT NULL DEFAULT 0,
  id_attribute      VARBINARY(128) NOT NULL DEFAULT '',
  foreign_subscribers INT UNSIGNED NOT NULL DEFAULT 0,
  foreign_cos       INT UNSIGNED NOT NULL DEFAULT 0,
  troubles          INT UNSIGNED NOT NULL DEFAULT 0,
  dry_at            DATETIME(6) NULL,
  fail_count        INT UNSIGNED NOT NULL DEFAULT 0,
  error             VARBINARY(800) NOT NULL DEFAULT '',
  error_side        VARBINARY(16) NOT NULL DEFAULT '',
  error_at          DATETIME(6) NULL,
  error_since       DATETIME(6) NULL
);

-- directory_site: a directory that refused our secret, which is left alone, by all, until stopped_until or a new version of the secret
-- file (of that host; versions of different hosts can't be compared). Written by: ldapsync.
CREATE TABLE IF NOT EXISTS directory_site (
  site_id         INT UNSIGNED NOT NULL PRIMARY KEY,
  stopped_until   DATETIME(6) NULL,
  host            VARBINARY(100) NOT NULL DEFAULT '',
  secret_version  BIGINT UNSIGNED NOT NULL DEFAULT 0,
  error           VARBINARY(800) NOT NULL DEFAULT '',
  error_at        DATETIME(6) NULL
);

-- listed: what the listings of both sides saw last, so that comparing needs no memory of its own. Written by: ldapsync, under
-- the directory's epoch. digest: keyed (a key of this host that is not in the database, I8), of the entry as the target
-- should hold it; NULL: not known (it shows less than it must). listing: number of the listing that saw it last. dn: types in
-- lower case, values as they are.
CREATE TABLE IF NOT EXISTS listed (
  route_id  INT UNSIGNED NOT NULL,
  side      ENUM('production','target') NOT NULL,
  kind      ENUM('cos','subscriber') NOT NULL,
  dn        VARBINARY(800) NOT NULL,
  number    VARBINARY(64) NOT NULL,
  identity  VARBINARY(200) NOT NULL,
  cos       VARBINARY(32) NOT NULL DEFAULT '',
  name      VARBINARY(256) NOT NULL DEFAULT '',
  digest    BINARY(32) NULL,
  listing   BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (route_id, side, kind, dn),
  KEY number (route_id, side, kind, number),
  KEY identity (route_id, side, kind, identity)
);

-- directory_trouble: entries that can't be mirrored at all, in words: without a number, a number that two have. Written by:
-- ldapsync, under the directory's epoch; those of a listing are replaced by the next whole one of that side and kind.
CREATE TABLE IF NOT EXISTS directory_trouble (
  route_id  INT UNSIGNED NOT NULL,
  side      ENUM('production','target') NOT NULL,
  kind      ENUM('cos','subscriber') NOT NULL,
  dn        VARBINARY(800) NOT NULL,
  number    VARBINARY(64) NOT NULL DEFAULT '',
  words     VARBINARY(800) NOT NULL,
  listing   BIGINT UNSIGNED NOT NULL,
  since     DATETIME(6) NOT NULL,
  PRIMARY KEY (route_id, side, kind, dn)
);

-- entry: one subscriber or COS of production on one route, and how it stands on the target. Written by: ldapsync, under the
-- directory's epoch. identity: the id attribute's value, or the number where there is none. target_dn: '' until it is being added
-- to the target, or was found there; then the entry there is ours. state: unproven: not compared yet; equal;
-- differs: on the target, but not equal (attributes, reason); missing: not there (reason: the server's words); waiting: something
-- comes first (reason); gone: no more on production, and not in a plan; held: gone, and in a plan that is held or allowed (plan_id);
-- kept: gone, and stays on the target: a person refused that plan, or it is a test mailbox. Only rows with gone_at are any of these
-- three. A row goes when its entry is gone from both sides. todo: the writer is to look at it. settled_*: the digests of both sides when it was last settled:
-- while both are so, nothing is new, though they differ. gone_*: since when and in how many whole listings it was missed.
-- differs_since: NULL while equal. proven_at: when it was found equal, by reading both sides; directory.compared_at proves what is
-- equal anew. matched_listing: the last list of those to be subscribed that it was in.
CREATE TABLE IF NOT EXISTS entry (
  entry_id            BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  route_id            INT UNSIGNED NOT NULL,
  kind                ENUM('cos','subscriber') NOT NULL,
  identity            VARBINARY(200) NOT NULL,
  number              VARBINARY(64) NOT NULL,
  name                VARBINARY(256) NOT NULL DEFAULT '',
  cos                 VARBINARY(32) NOT NULL DEFAULT '',
  source_dn           VARBINARY(800) NOT NULL,
  target_dn           VARBINARY(800) NOT NULL DEFAULT '',
  state               ENUM('unproven','equal','differs','missing','waiting','gone','held','kept') NOT NULL DEFAULT 'unproven',
  attributes          VARBINARY(800) NOT NULL DEFAULT '',
  reason              VARBINARY(800) NOT NULL DEFAULT '',
  differs_since       DATETIME(6) NULL,
  proven_at           DATETIME(6) NULL,
  todo                BOOLEAN NOT NULL DEFAULT 1,
  settled_source      BINARY(32) NULL,
  settled_target      BINARY(32) NULL,
  fail_count          INT UNSIGNED NOT NULL DEFAULT 0,
  next_try_at         DATETIME(6) NULL,
  matched_listing     BIGINT UNSIGNED NOT NULL DEFAULT 0,
  gone_at             DATETIME(6) NULL,
  gone_listing        BIGINT UNSIGNED NOT NULL DEFAULT 0,
  gone_listings       INT UNSIGNED NOT NULL DEFAULT 0,
  plan_id             BIGINT UNSIGNED NULL,
  password_proven_at  DATETIME(6) NULL,
  password_error      VARBINARY(800) NOT NULL DEFAULT '',
  UNIQUE KEY identity (route_id, kind, identity),
  KEY number (route_id, kind, number),
  KEY target (route_id, kind, target_dn),
  KEY todo (route_id, kind, todo, next_try_at),
  KEY state (route_id, kind, state, number)
);

-- entry_attribute: an attribute of an entry that the target stores differently from what was written (altered: a hashed
-- password), or refuses; while production's value and the target's are still those, it is not written again (I7). Digests
-- are keyed. Written by: ldapsync, under the directory's epoch.
CREATE TABLE IF NOT EXISTS entry_attribute (
  entry_id  BIGINT UNSIGNED NOT NULL,
  name      VARBINARY(128) NOT NULL,
  verdict   ENUM('altered','refused') NOT NULL,
  source    BINARY(32) NOT NULL,
  target    BINARY(32) NOT NULL,
  words     VARBINARY(800) NOT NULL DEFAULT '',
  PRIMARY KEY (entry_id, name)
);

-- entry_removal: what was removed from a target's directory without a person's word, for the brake's window of a day; one row an
-- entry, however often it is tried. Counted once the entry's own row is gone. Written by: ldapsync, before the removal is sent.
CREATE TABLE IF NOT EXISTS entry_removal (
  entry_id  BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  route_id  INT UNSIGNED NOT NULL,
  kind      ENUM('cos','subscriber') NOT NULL,
  at        DATETIME(6) NOT NULL,
  KEY route (route_id, kind, at)
);

-- directory_difference: the result of the last dry run of a route: what a sync would do, attribute by attribute, without
-- secrets. Written by: ldapsync, emptied at each dry run's start. action: add, modify, rename, remove, hold (the brake would
-- hold it), keep (differs, and stays so). attributes: for people, as JSON; ldif: the same as LDIF.
CREATE TABLE IF NOT EXISTS directory_difference (
  difference_id  BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  route_id       INT UNSIGNED NOT NULL,
  kind           ENUM('cos','subscriber') NOT NULL,
  number         VARBINARY(64) NOT NULL,
  name           VARBINARY(256) NOT NULL DEFAULT '',
  dn             VARBINARY(800) NOT NULL,
  action         ENUM('add','modify','rename','remove','hold','keep') NOT NULL,
  attributes     BLOB NOT NULL,
  ldif           MEDIUMBLOB NOT NULL,
  KEY route (route_id, difference_id)
);

-- worker: who is alive and what it does now. Written by: each program about itself.
CREATE TABLE IF NOT EXISTS worker (
  owner       VARBINARY(200) NOT NULL PRIMARY KEY,
  program     VARBINARY(32) NOT NULL,
  started_at  DATETIME(6) NOT NULL,
  seen_at     DATETIME(6) NOT NULL,
  doing       VARBINARY(200) NOT NULL DEFAULT ''
);

-- audit: every change of state that a person asked for: who, what, why. Written by: api. Rows are never changed.
CREATE TABLE IF NOT EXISTS audit (
  audit_id  BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  at        DATETIME(6) NOT NULL,
  who       VARBINARY(64) NOT NULL,
  what      VARBINARY(200) NOT NULL,
  detail    BLOB NOT NULL
);
