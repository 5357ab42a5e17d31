/*
 * Inside lib/store: a function run in a transaction, again as a whole after a conflict or a connection lost before
 * COMMIT. `body` may therefore run several times: it must not keep anything of a former run.
 */
#ifndef MIRROR_STORE_STORE_TX_H
#define MIRROR_STORE_STORE_TX_H

#include "store/store_link.h"
#include "store/store_mirror.h"

typedef int store_tx_body(struct store *store, void *context, struct err *err);

/* -1 with store_err_is_unknown() if the COMMIT had no answer. */
int store_tx_run(struct store *store, store_tx_body *body, void *context, struct err *err);

/*
 * The same under a lease (fencing): first locks the mirror's row and compares owner, epoch and the lease's time; fails
 * with "lease lost" where they differ. A COMMIT without an answer is read back by the row's write_seq; it stays unknown
 * only while the database is away.
 */
int store_tx_fenced(struct store *store, const struct store_lease *lease, store_tx_body *body, void *context,
                    struct err *err);

/* The error of a lost lease. Returns -1. */
int store_tx_lease_lost(const struct store_lease *lease, const char *how, struct err *err);

/* How often, and until when, one call tries again. */
struct store_tx_patience {
    int64_t deadline_boot_ms;
    unsigned conflicts, losses;
};
void store_tx_patience_init(struct store_tx_patience *patience);
/* After a failure: whether to try again; sleeps (with jitter) before it says yes to a conflict. */
bool store_tx_again(struct store *store, struct store_tx_patience *patience);

#endif
