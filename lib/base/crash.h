/*
 * Crash points: every step of a copier and of ldapsync that lasts, by name; a newcomer reads here what they are. For tests only: in a
 * build with -DMM_CRASH_POINTS=ON a process kills itself (SIGKILL) at the point that its environment numbers; in the
 * shipped one the macros are nothing and no name is in the program (tests/system/test_crash.py shows both).
 *
 *   MIRROR_CRASH_FILE   each point that is reached is added to this file, as a line "<kind> <name>"
 *   MIRROR_CRASH_AT     dies at the point of this number, the first being 1; without it at none
 *   MIRROR_CRASH_STOP   if set: is stopped there instead (SIGSTOP), to go on when it is woken
 *
 * Kinds: `lease` the mirror or the directory was claimed; `store` a transaction under its lease was committed, `plain` another
 * one; `part` half a command is on its way to the target; `sent` a whole one that changes it is; `answer` the target said OK
 * to it. The runners compare: there are as many `store` as transactions, and as many `sent` as changing commands, so that none
 * lacks its point.
 */
#ifndef MIRROR_BASE_CRASH_H
#define MIRROR_BASE_CRASH_H

/* In the order in which a turn comes to them. */
#define CRASH_POINTS_COPIER(X)                                                                               \
    X(lease, MIRROR_CLAIMED, "mirror claimed")                                                               \
    X(store, RECHECK_NOTED, "later recheck of the target noted")                                             \
    X(sent, RENAME_SENT, "RENAME sent")                                                                      \
    X(answer, FOLDER_RENAMED, "folder renamed")                                                              \
    X(store, RENAME_RECORDED, "rename recorded")                                                             \
    X(store, FOLDER_RECORDED, "folder recorded")                                                             \
    X(store, FOLDER_GONE_RECORDED, "folder recorded as gone or back")                                        \
    X(store, UIDS_FORGOTTEN, "UIDs forgotten")                                                               \
    X(sent, CREATE_SENT, "CREATE sent")                                                                      \
    X(answer, FOLDER_CREATED, "folder created")                                                              \
    X(store, INTENTS_COMMITTED, "intents committed")                                                         \
    X(part, LITERAL_SENT, "a message of an APPEND sent, not its end")                                        \
    X(sent, APPEND_SENT, "APPEND sent")                                                                      \
    X(answer, APPEND_ANSWERED, "APPEND answered")                                                            \
    X(store, ROWS_COMMITTED, "rows and intents committed")                                                   \
    X(store, LOSS_RECORDED, "connection lost over a message, or that no more")                               \
    X(sent, STORE_SENT, "STORE sent")                                                                        \
    X(answer, STORE_ANSWERED, "STORE answered")                                                              \
    X(sent, EXPUNGE_SENT, "EXPUNGE sent")                                                                    \
    X(answer, EXPUNGE_ANSWERED, "EXPUNGE answered")                                                          \
    X(store, GONE_RECORDED, "gone messages judged: begun, held or back")                                     \
    X(store, TARGET_DOUBTED, "the target's marks forgotten before EXPUNGE")                                  \
    X(store, REMOVAL_RECORDED, "rows of removed messages dropped")                                           \
    X(store, SIGHT_LOST_RECORDED, "copies whose UIDs others have recorded as lost")                          \
    X(store, PLANS_SETTLED, "plans settled")                                                                 \
    X(sent, DELETE_SENT, "DELETE sent")                                                                      \
    X(answer, FOLDER_DELETED, "folder deleted")                                                              \
    X(store, FOLDER_DROPPED, "folder's row dropped")                                                         \
    X(store, FOLDER_MADE, "folder recorded as made by us")                                                   \
    X(store, MARKS_STORED, "marks stored")                                                                   \
    X(store, MIRROR_FORGOTTEN, "mirror forgotten")                                                           \
    X(store, HANDOVER_BEGUN, "hand-over begun")                                                              \
    X(store, HANDOVER_NOTED, "messages in the hold place noted")                                             \
    X(store, HANDOVER_WAITS, "hand-over waits for late commands, mirror given back")                         \
    X(store, HANDOVER_DONE, "hand-over done: mirror made a new one")                                         \
    X(store, TURN_RECORDED, "turn recorded, mirror given back")

/* In the order in which a round comes to them. */
#define CRASH_POINTS_LDAPSYNC(X)                                                                             \
    X(lease, DIRECTORY_CLAIMED, "directory claimed")                                                         \
    X(store, DIFFERENCES_CLEARED, "the last dry run's differences cleared")                                  \
    X(store, DIFFERENCE_RECORDED, "a difference of a dry run recorded")                                      \
    X(store, LISTING_BEGUN, "a listing given its number")                                                    \
    X(store, LISTED, "entries that a side listed")                                                           \
    X(store, TROUBLE_NOTED, "an entry that cannot be mirrored")                                              \
    X(store, LISTING_CONCLUDED, "a whole listing concluded: what it lacks is gone")                          \
    X(store, PAIRED, "a step of pairing both sides")                                                         \
    X(plain, LIST_WANTED, "a listing of all numbers wanted")                                                 \
    X(plain, FULL_WANTED, "a whole comparison wanted")                                                       \
    X(store, OWNERS_TOLD, "whose messages the mirrors hold")                                                 \
    X(store, HANDOVER_ORDERED, "mirrors of others' numbers to be handed over")                               \
    X(store, FOLLOWED_LISTED, "entries in the list of those to be subscribed")                               \
    X(store, FOLLOWED_HELD, "mailboxes on hold, or not any more")                                            \
    X(plain, FOLLOWED_ADDED, "a mailbox subscribed")                                                         \
    X(store, NUMBER_MOVED, "an entry parked at another number")                                              \
    X(store, ADDING_NOTED, "entries about to be added")                                                      \
    X(sent, ENTRY_ADD_SENT, "LDAP add sent")                                                                 \
    X(sent, ENTRY_RENAME_SENT, "LDAP modrdn sent")                                                           \
    X(sent, ENTRY_MODIFY_SENT, "LDAP modify sent")                                                           \
    X(answer, ENTRY_WRITTEN, "LDAP write answered")                                                          \
    X(store, RESULTS_RECORDED, "results of entries")                                                         \
    X(store, GONE_JUDGED, "what is gone judged: to be removed, or held")                                     \
    X(store, REMOVAL_STEP, "a step of an entry's removal")                                                   \
    X(sent, ENTRY_DELETE_SENT, "LDAP delete sent")                                                           \
    X(answer, ENTRY_DELETED, "LDAP delete answered")                                                         \
    X(store, ENTRY_PLAN_ENDED, "plans of entries settled")                                                   \
    X(store, PASSWORD_RECORDED, "whether a test mailbox's password works")                                   \
    X(store, MIRRORS_RELEASED, "mirrors whose owner is there let go")                                        \
    X(store, ROUND_RECORDED, "round recorded, directory given back")

#define CRASH_POINTS(X) CRASH_POINTS_COPIER(X) CRASH_POINTS_LDAPSYNC(X)

#ifdef MM_CRASH_POINTS

#define CRASH_POINT_NAME(kind, name, text) CRASH_##name,
enum crash_name { CRASH_POINTS(CRASH_POINT_NAME) CRASH_POINT_COUNT };
#undef CRASH_POINT_NAME

void crash_point(enum crash_name name);
/* Only where it went well. Returns `result`. */
int crash_after(enum crash_name name, int result);

#define CRASH_POINT(name) crash_point(CRASH_##name)
#define CRASH_AFTER(name, call) crash_after(CRASH_##name, (call))
/* `flush`: brings on its way what waits to be written. */
#define CRASH_SENT(name, flush) ((void)(flush), crash_point(CRASH_##name))

#else

#define CRASH_POINT(name) ((void)0)
#define CRASH_AFTER(name, call) (call)
#define CRASH_SENT(name, flush) ((void)0)

#endif
#endif
