/*
 * Removing recorded copies from one folder of the target (I5): each is looked at first, and removed only if it is there as
 * it was recorded. Used for what is gone from production, and where a person asked to remove all copies of a mailbox.
 */
#ifndef MIRROR_COPIER_EXPUNGE_H
#define MIRROR_COPIER_EXPUNGE_H

#include "copier/turn.h"
#include "imap/imap_uids.h"
#include "store/store_folder.h"

/* Is the folder not on the target? One that its list lacks must refuse a STATUS, too: a list may be cut short, and what is
 * called missing loses its record, while its copies would stay for ever. */
int expunge_is_missing(struct turn *turn, const struct store_folder *folder, bool *missing_out,
                       struct err *err);
/* Are the folder's recorded UIDs those of the target? Under another UIDVALIDITY its copies can't be told from others. The
 * folder is in the target's list. */
int expunge_are_uids_known(struct turn *turn, const struct store_folder *folder, bool *known_out,
                           struct err *err);

struct expunge_copy {
    uint32_t target_uid;
    uint64_t size_bytes; /* as the target had it */
    int64_t internal_date;
    bool altered; /* the target keeps a date of its own */
};

struct expunge_request {
    const char *folder;                /* the target's name */
    uint32_t uidvalidity;              /* the copies' UIDs are of this one */
    const struct expunge_copy *copies; /* by target_uid */
    size_t count;
    const uint32_t *spared; /* other copies of ours in the folder, ascending (target.h) */
    size_t spared_count;
};

struct expunge_result {
    struct imap_uids gone;      /* removed now, or found gone */
    uint32_t removed;           /* of these, now */
    struct imap_uids strangers; /* the UID names another message by now: left alone */
    bool
        waiting; /* others' messages are marked \Deleted there, and without UIDPLUS they would go, too: ours stay */
};

/* The caller fini's the result, also after an error: `gone` is right as far as it got. */
int expunge_copies(struct turn *turn, const struct expunge_request *request,
                   struct expunge_result *result_out, struct err *err);
void expunge_result_fini(struct expunge_result *result);

#endif
