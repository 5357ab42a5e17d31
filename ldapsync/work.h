/*
 * The work on one entry: both sides read exactly, the smallest change written, and read back.
 *
 *   READ --------> (equal, waits, refused: DONE)
 *     |  ^
 *     |  '---- somebody changed it meanwhile, or it is there after all: once more
 *     |--> TO_ADD    its note is committed first, with those of others
 *     v
 *   WRITE -------> RENAMED: what a modrdn cannot do
 *     |  refused attribute left out (if so configured): WRITE
 *     v
 *   READ_BACK ---> DONE
 *
 * Callbacks of the writer, which has several of them under way; none waits but for what is rare (a probe by number).
 */
#ifndef MIRROR_LDAPSYNC_WORK_H
#define MIRROR_LDAPSYNC_WORK_H

#include "ldapsync/change.h"
#include "ldapsync/round.h"

#define WORK_STATES(X)                                                                                       \
    X(READ, "read")                                                                                          \
    X(TO_ADD, "to be added")                                                                                 \
    X(WRITE, "write")                                                                                        \
    X(READ_BACK, "read back")                                                                                \
    X(DONE, "done")

enum work_state {
#define WORK_STATE_ENUM(id, name) WORK_##id,
    WORK_STATES(WORK_STATE_ENUM)
#undef WORK_STATE_ENUM
};

/* Of a side as it is now. */
struct work_digest {
    bool known;
    uint8_t bytes[32];
};

/* One side's entry as it is being read. */
struct work_read {
    int message_id; /* 0: not asked, or answered */
    bool found;
    struct entry entry;
};

enum {
    WORK_KNOWN_MAX = STORE_ENTRY_ATTRIBUTES_MAX,
    WORK_TRIES = 4,
    WORK_REFUSED_WORDS = 400,
    WORK_NAMES_BYTES = 700,
    WORK_REASON_BYTES = 800
};

struct work {
    struct round *round;
    struct store_entry entry;
    enum work_state state;
    struct work_read production, target;
    struct entry wanted, counts; /* what the target should hold; what counts of what it holds */
    bool has_wanted, has_counts;
    struct work_digest of_wanted, of_target;
    struct change change;
    int write_id;
    unsigned tries;     /* read anew so often */
    bool replace_whole; /* single values can't be deleted there */
    bool renamed;       /* the modrdn of this change is done */
    bool wrote;
    struct store_entry_attribute
        *known; /* altered or refused by the target, still so; of WORK_KNOWN_MAX, NULL: none yet */
    size_t known_count;
    struct
        work_suspect { /* which attribute the target refuses, if it doesn't say: one after the other is left out */
        size_t next;
        bool searching;
        char words[WORK_REFUSED_WORDS];
    } suspect;
    char new_dn[STORE_DN_BYTES]; /* TO_ADD: normalised */
    bool has_result;             /* DONE, and to be recorded: its texts are those below */
    struct store_entry_result result;
    struct store_listed there; /* the target's entry, as `listed` will name it */
    char names[WORK_NAMES_BYTES], reason[WORK_REASON_BYTES];
};

/* A TO_ADD whose note is committed now is sent. */
int work_add(struct work *work, struct err *err);

/* Begins: DONE at once if there is nothing to wait for. -1: the round must stop (site, store). */
int work_start(struct work *work, struct round *round, const struct store_entry *entry, struct err *err);
/* Is the message an answer to this work? Borrowed. */
bool work_is_for(const struct work *work, const struct connection *connection, int message_id);
int work_answer(struct work *work, struct connection *connection, LDAPMessage *message, struct err *err);
/* Frees what was read and what was to be written; the result stays. */
void work_forget(struct work *work);
void work_free(struct work *work); /* NULL: nothing */

#endif
