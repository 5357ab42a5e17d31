/*
 * Handovers (I10) as the copier does them: the mirror whose number became another person's.
 */
#ifndef MIRROR_STORE_HANDOVER_H
#define MIRROR_STORE_HANDOVER_H

#include "store/store_mirror.h"

struct store_handover {
    uint64_t handover_id; /* 0: none is wanted any more */
    char former[201], former_name[257], next[201];
    char place[1001]; /* where it was begun, "" if it was not; only of use on `host` */
    char host[101];
};
int store_handover_find(struct store *store, const struct store_lease *lease,
                        struct store_handover *handover_out, struct err *err);
/* Before the first message is written: on which host and where. */
int store_handover_begun(struct store *store, const struct store_lease *lease, uint64_t handover_id,
                         const char *host, const char *place, struct err *err);
/* All is proven at the hold place and gone from the target: in one transaction the mirror becomes a new one (its folders,
 * messages, intents, losses go, plans dissolve, marks of verification too), handing_over = 0, waits_for_owner = 1, owner = '';
 * the handover is done; the route's directory is due at once. Releases the lease. */
int store_handover_done(struct store *store, const struct store_lease *lease, uint64_t handover_id,
                        uint32_t messages, struct err *err);

/* For `why` and `show`: the handovers of a mailbox, newest first. */
struct store_handover_status {
    const char *route, *former, *former_name, *next, *state, *host, *place;
    uint32_t messages;
    double made_seconds, ended_seconds;
};
int store_handover_list(struct store *store, const char *number,
                        void (*on_handover)(void *context, const struct store_handover_status *handover),
                        void *context, struct err *err);

#endif
