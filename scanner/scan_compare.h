/*
 * The scanner's decision: does production still look as it did when a mirror was last brought up to date? Compares what
 * LIST and STATUS (and, where needed, a look at the flags) showed with the marks that the copier stored. Pure.
 *
 * Equality must be proven: a figure that is missing makes a folder unproven, never equal. A folder that is missing from
 * the LIST is a difference like any other here; whether it is gone is for the copier to find out.
 */
#ifndef MIRROR_SCANNER_SCAN_COMPARE_H
#define MIRROR_SCANNER_SCAN_COMPARE_H

#include "imap/imap_types.h"
#include "store/store_look.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_DIFFERENCES(X)                                                                                  \
    X(NEW_MESSAGES, 0, "new messages")                                                                       \
    X(NEW_FOLDER, 1, "new folder")                                                                           \
    X(FOLDER_MISSING, 2, "folder not listed")                                                                \
    X(UIDVALIDITY, 3, "UIDVALIDITY changed")                                                                 \
    X(UIDNEXT_BACK, 4, "UIDNEXT went back")                                                                  \
    X(MESSAGES, 5, "another number of messages")                                                             \
    X(UNSEEN, 6, "another number of unseen messages")                                                        \
    X(MODSEQ, 7, "HIGHESTMODSEQ changed")                                                                    \
    X(FLAGS, 8, "flags changed")                                                                             \
    X(NEVER_MIRRORED, 9, "not mirrored yet")

enum scan_difference {
#define SCAN_DIFFERENCE_ENUM(id, bit, words) SCAN_DIFF_##id = 1 << (bit),
    SCAN_DIFFERENCES(SCAN_DIFFERENCE_ENUM)
#undef SCAN_DIFFERENCE_ENUM
};

/* In words, the gravest of the set first: "new messages"; "nothing" for 0. */
const char *scan_compare_words(unsigned differences);

/* One selectable, wanted folder as production shows it now. */
struct scan_folder {
    const char *name; /* neutral; borrowed */
    const struct imap_folder_status
        *status; /* NULL: the server told none, the folder is unproven; borrowed */
    bool failed; /* looking at its flags was refused: unproven */
    bool has_digest;
    uint8_t digest[32]; /* of its flags, if they were looked at */
};

/* One mirror's marks of its wanted folders. */
struct scan_marks {
    uint64_t mirror_id;
    struct store_marks *folders;
    size_t count, size;
};

struct scan_flags_rule {
    uint32_t max_messages; /* folders up to this have their flags looked at every time */
    bool full_look;        /* now also the bigger ones */
};

/* The server told what a comparison needs. */
bool scan_compare_is_whole(const struct scan_folder *folder);

/* The folder's flags must be fetched to know whether this mirror's copy is equal: all else is, and no HIGHESTMODSEQ
 * proves the flags. `marks` is the mirror's row of this folder, NULL for none. */
bool scan_compare_wants_flags(const struct scan_folder *folder, const struct store_marks *marks,
                              const struct scan_flags_rule *rule);

struct scan_verdict {
    unsigned differences; /* of scan_difference */
    bool unproven;        /* something could not be compared */
    const char *folder;   /* where the gravest difference is; borrowed */
};

void scan_compare_mirror(const struct scan_folder *folders, size_t count, const struct scan_marks *marks,
                         struct scan_verdict *verdict_out);

/* NULL if there is none. */
const struct store_marks *scan_compare_find(const struct scan_marks *marks, const char *name);

enum { SCAN_PRIORITY_ASKED = 0, SCAN_PRIORITY_NEW = 1, SCAN_PRIORITY_ORDINARY = 5 };

/* New voicemail goes before backlog. */
uint32_t scan_compare_priority(unsigned differences);

#endif
