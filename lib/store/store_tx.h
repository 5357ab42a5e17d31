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
 * The same under a lease (fencing): first locks the leased row and compares owner, epoch and the lease's time; fails
 * with "lease lost" where they differ. A COMMIT without an answer is read back by the row's write_seq; it stays unknown
 * only while the database is away.
 */
struct store_tx_table {
    const char *noun; /* for people: "mirror" */
    const char *pass_sql, *lock_sql;
};
/* The two statements for a table with lease_owner, lease_until, lease_epoch and write_seq. */
#define STORE_TX_FENCE(table, id)                                                                            \
    .pass_sql = "UPDATE " table " SET write_seq = LAST_INSERT_ID(write_seq + 1) WHERE " id                   \
                " = ? AND lease_epoch = ? AND lease_owner = ? AND lease_until > UTC_TIMESTAMP(6)",           \
    .lock_sql = "SELECT lease_epoch, write_seq, COALESCE(lease_until > UTC_TIMESTAMP(6), 0), lease_owner "   \
                "FROM " table " WHERE " id " = ? FOR UPDATE"
struct store_tx_row {
    const struct store_tx_table *table;
    uint64_t id, epoch;
    const char *owner;
};
int store_tx_fenced_row(struct store *store, const struct store_tx_row *row, store_tx_body *body,
                        void *context, struct err *err);
/* The error of a lost lease. Returns -1. */
int store_tx_row_lost(const struct store_tx_row *row, const char *how, struct err *err);

/* Of a mirror. */
int store_tx_fenced(struct store *store, const struct store_lease *lease, store_tx_body *body, void *context,
                    struct err *err);
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
