/*
 * A pass: one folder of one turn. The struct that the steps of a pass share, and small questions about it; each step
 * stands in a file of its own, in the order in which reconcile.c calls them:
 *
 *   source.c   what production has (EXAMINE, CONDSTORE or all flags)
 *   settle.c   open intents: present or absent; ghosts (I3)
 *   identify.c UIDVALIDITY changed on a side; adoption of what is on the target already
 *   details.c  what production says of what is new
 *   copy.c     what is new, in order, streamed
 *   marks.c    flags and keywords; reading back what the target made of them
 */
#ifndef MIRROR_COPIER_PASS_H
#define MIRROR_COPIER_PASS_H

#include "copier/source.h"
#include "copier/turn.h"
#include "store/store_folder.h"
#include "store/store_loss.h"

struct pass {
    struct turn *turn;
    struct store_folder *folder;         /* as recorded; its marks are those of the last complete pass */
    const struct imap_list_entry *entry; /* the source's folder */
    struct source_view source;
    struct store_message *rows;
    size_t row_count, row_size;
    struct store_intent *intents;
    size_t intent_count;
    struct target_messages target; /* if target_listed: all of the folder, as of target_look */
    bool target_listed;
    uint32_t target_uidvalidity;
    uint32_t target_uidnext;    /* moved on by our own APPENDs */
    uint32_t target_exists;     /* likewise */
    uint32_t foreign;           /* on the target, not ours */
    uint32_t missing;           /* new ones that are still to be copied */
    struct imap_messages fresh; /* production's messages without a copy, with details */
    struct imap_uids touched;   /* target UIDs appended, then those marked: to be read back */
    struct store_loss *losses;  /* of this folder, once losses_loaded (loss.h) */
    size_t loss_count;
    bool losses_loaded;
    bool is_new; /* of this folder nothing is recorded yet, not even a UIDVALIDITY */
    struct imap_folder_status
        read_back;   /* the target's figures after our last change, if it was read back; else zero */
    bool incomplete; /* the turn ended before all was done: marks are not stored */
};

enum { PASS_NO_ROW = -1 }; /* as size_t: an item without a row yet */
/* A message that vanished from the target without us is copied again this often; then it is listed. */
enum { PASS_COPIES_OF_LOST = 1 };

/* Rows. A row stays at its index for the whole pass. */
struct store_message *pass_row_add(struct pass *pass);
/* NULL: none. Linear: only for few. */
struct store_message *pass_row_by_source(const struct pass *pass, uint32_t source_uid);

/* Index of rows by UID of one side, for many look-ups. */
struct pass_index {
    struct pass_index_entry {
        uint32_t uid;
        size_t row;
    } * entries;
    size_t count;
};
void pass_index_rows(const struct pass *pass, enum store_side side, struct pass_index *index_out);
/* NULL: no row has that UID. */
struct store_message *pass_index_find(const struct pass *pass, const struct pass_index *index, uint32_t uid);
void pass_index_fini(struct pass_index *index);

/* Commits rows (by index) in one transaction, with what becomes of intents; both lists may be empty. */
struct pass_commit {
    const size_t *rows;
    size_t row_count;
    bool as_sent; /* of the rows nothing changed but that the target tells the size that was sent */
    const uint64_t *intents_gone;
    size_t intents_gone_count;
    const uint64_t *intents_ghost;
    size_t intents_ghost_count;
};
int pass_commit(struct pass *pass, const struct pass_commit *commit, struct err *err);

/* Did production tell this row's flags in this pass? */
bool pass_row_is_told(const struct pass *pass, const struct store_message *row);
/* result = what is in one of them only. Caller fini's. */
void pass_flags_differ(const struct imap_flags *a, const struct imap_flags *b, struct imap_flags *result);
/* What production says of this row's flags: if told, else as recorded: what we wrote, and of what the target refuses the
 * opposite of what it has. Caller fini's. */
void pass_row_flags(const struct pass *pass, const struct store_message *row, struct imap_flags *flags_out);

/* Reading a body for its digest. A NO to it, or a connection lost over it more than once, is that message's own trouble
 * (I11): logged, and the others go on. */
enum pass_body { PASS_BODY_READ, PASS_BODY_GONE, PASS_BODY_UNREADABLE };
int pass_source_body(struct pass *pass, uint32_t uid, struct digest_pair *pair_out, enum pass_body *body_out,
                     struct err *err);
int pass_target_body(struct pass *pass, uint32_t uid, struct digest_pair *pair_out, enum pass_body *body_out,
                     struct err *err);

/* A growing list of row indexes. */
struct pass_rows {
    size_t *items;
    size_t count, size;
};
void pass_rows_add(struct pass_rows *rows, size_t row);
void pass_rows_fini(struct pass_rows *rows);

void pass_fini(struct pass *pass);

#endif
