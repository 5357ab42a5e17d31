/*
 * Messages over which a connection was lost while they were read: there are servers that die over a message's own file,
 * each time. Written by the copier that holds the lease.
 */
#ifndef MIRROR_STORE_STORE_LOSS_H
#define MIRROR_STORE_STORE_LOSS_H

#include "store/store_folder.h"

/* What was being done. */
enum store_loss_kind {
    STORE_LOSS_HEADER, /* production was asked what kind of message it is */
    STORE_LOSS_BODY,   /* production was asked for its body */
    STORE_LOSS_APPEND, /* the target was given it */
    STORE_LOSS_TARGET, /* the target was asked for its body */
};

struct store_loss {
    enum store_loss_kind kind;
    uint32_t uid;    /* production's; TARGET: the target's */
    uint32_t losses; /* in a row; 0: none, takes the row away */
    char error[768]; /* of the last one, in words */
};

/* Of a folder, in no order; the caller frees. */
int store_loss_list(struct store *store, uint64_t folder_id, struct store_loss **losses_out,
                    size_t *count_out, struct err *err);
int store_loss_set(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                   const struct store_loss *loss, struct err *err);

#endif
