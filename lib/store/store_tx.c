/*
 * Transactions: retried as a whole, fenced by the lease where they write what a mirror's or a
 * directory's row stands for. The tricky thing is a COMMIT
 * without an answer: the row's write_seq, raised by every fenced transaction, tells whether it happened. Reading it
 * locks the row, so it waits for a server that is still carrying the COMMIT out.
 */
#include "store/store_tx.h"

#include "base/clock.h"
#include "base/str.h"
#include "store/store_query.h"

#include <stdlib.h>
#include <time.h>

static const char lease_lost[] = "store: lease lost";
static const char commit_unknown[] = "store: commit without an answer";

bool store_err_is_lease_lost(const struct err *err)
{
    return err->scope == ERR_PROCESS && strstr(err->text, lease_lost);
}

bool store_err_is_unknown(const struct err *err)
{
    return err->scope == ERR_PROCESS && strstr(err->text, commit_unknown);
}

/* ---- patience ---- */

void store_tx_patience_init(struct store_tx_patience *patience)
{
    *patience = (struct store_tx_patience){.deadline_boot_ms = clock_boot_ms() + 1000 * STORE_CALL_SECONDS};
}

/* Up to 5 ms after the first conflict, twice that after each further, at most 320 ms. */
static void sleep_jittered(unsigned conflicts)
{
    unsigned most_us = 5000U << (conflicts < 6 ? conflicts : 6);
    struct timespec pause = {.tv_nsec = (long)(arc4random_uniform(most_us) * 1000L)};
    nanosleep(&pause, NULL);
}

bool store_tx_again(struct store *store, struct store_tx_patience *patience)
{
    bool again = false;
    if (clock_boot_ms() >= patience->deadline_boot_ms)
        return false;
    if (store->failure == STORE_FAILURE_CONFLICT) {
        sleep_jittered(patience->conflicts);
        again = patience->conflicts++ < 40;
    } else if (store->failure == STORE_FAILURE_LOST) {
        again = patience->losses++ < 1;
    }
    return again;
}

/* ---- a transaction ---- */

/* The body's error stays; a connection that fails here too is closed by store_link_fail. */
static void roll_back(struct store *store)
{
    enum store_failure failure = store->failure;
    struct err ignored;
    if (store->mysql && store_link_run(store, "ROLLBACK", &ignored))
        store_link_close(store);
    store->in_tx = false;
    store->failure = failure;
}

static int commit(struct store *store, struct err *err)
{
    store->in_tx = false;
    if (!store_link_run(store, "COMMIT", err))
        return 0;
    if (store->failure != STORE_FAILURE_LOST) {
        roll_back(store);
        return -1;
    }
    store->failure = STORE_FAILURE_OTHER; /* not to be repeated blindly */
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "%s: whether it was carried out is unknown",
                   commit_unknown);
}

static int run_once(struct store *store, store_tx_body *body, void *context, struct err *err)
{
    store->failure = STORE_FAILURE_NONE;
    if (store_link_connect(store, err) || store_link_run(store, "START TRANSACTION", err))
        return -1;
    store->in_tx = true;
    if (body(store, context, err)) {
        roll_back(store);
        return -1;
    }
    return commit(store, err);
}

static int run_patiently(struct store *store, store_tx_body *body, void *context,
                         struct store_tx_patience *patience, struct err *err)
{
    int result;
    ASSERT(!store->in_tx);
    do {
        result = run_once(store, body, context, err);
    } while (result && store_tx_again(store, patience));
    return result;
}

int store_tx_run(struct store *store, store_tx_body *body, void *context, struct err *err)
{
    struct store_tx_patience patience;
    store_tx_patience_init(&patience);
    return run_patiently(store, body, context, &patience, err);
}

/* ---- under a lease ---- */

struct fence {
    const struct store_tx_row *row;
    store_tx_body *body;
    void *context;
    uint64_t write_seq; /* before this transaction */
};

int store_tx_row_lost(const struct store_tx_row *row, const char *how, struct err *err)
{
    return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "%s: %s %llu: %s", lease_lost, row->table->noun,
                   (unsigned long long)row->id, how);
}

struct fence_row {
    bool there, alive;
    uint64_t epoch, write_seq;
    char owner[201];
};

static int lock_row(struct store *store, const struct store_tx_row *key, struct fence_row *row,
                    struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err, key->table->lock_sql, bind_u64(key->id));
    *row = (struct fence_row){0};
    if (query && store_query_next(query)) {
        row->there = true;
        row->epoch = store_query_u64(query);
        row->write_seq = store_query_u64(query);
        row->alive = store_query_bool(query);
        store_query_copy(query, row->owner, sizeof(row->owner));
    }
    return store_query_end(query, err);
}

static int check_row(const struct store_tx_row *key, const struct fence_row *row, struct err *err)
{
    if (!row->there)
        return store_tx_row_lost(key, "it was removed", err);
    if (row->epoch != key->epoch || !str_equal(row->owner, key->owner))
        return store_tx_row_lost(key, "another worker has it", err);
    if (!row->alive)
        return store_tx_row_lost(key, "its time is over", err);
    return 0;
}

/* Why the fence did not let us through. */
static int explain(struct store *store, const struct store_tx_row *key, struct err *err)
{
    struct fence_row row;
    if (lock_row(store, key, &row, err) || check_row(key, &row, err))
        return -1;
    return store_tx_row_lost(key, "its time is over", err);
}

/* Lock, comparison and count in one statement; the count comes back with its answer. */
static int pass_fence(struct store *store, struct fence *fence, struct err *err)
{
    const struct store_tx_row *key = fence->row;
    int64_t rows = STORE_EXEC(store, err, key->table->pass_sql, bind_u64(key->id), bind_u64(key->epoch),
                              bind_text(key->owner));
    if (rows <= 0)
        return rows < 0 ? -1 : explain(store, key, err);
    fence->write_seq = store_query_insert_id(store) - 1;
    return 0;
}

static int fenced_body(struct store *store, void *context, struct err *err)
{
    struct fence *fence = context;
    if (pass_fence(store, fence, err))
        return -1;
    return fence->body(store, fence->context, err);
}

/* Reads back a COMMIT that had no answer: *done_out, or unknown still (-1). */
static int read_back(struct store *store, const struct fence *fence, bool *done_out, struct err *err)
{
    struct fence_row row;
    struct err why;
    if (lock_row(store, fence->row, &row, &why))
        return -1;
    if (!row.there || row.epoch != fence->row->epoch)
        return store_tx_row_lost(fence->row, "another worker has it", err);
    *done_out = row.write_seq > fence->write_seq;
    return 0;
}

int store_tx_fenced_row(struct store *store, const struct store_tx_row *row, store_tx_body *body,
                        void *context, struct err *err)
{
    struct fence fence = {.row = row, .body = body, .context = context};
    struct store_tx_patience patience;
    struct err mine;
    int result;
    bool done = false;
    err = err ? err : &mine;
    store_tx_patience_init(&patience);
    do {
        result = run_patiently(store, fenced_body, &fence, &patience, err);
        if (!result || !store_err_is_unknown(err) || read_back(store, &fence, &done, err))
            return result;
    } while (!done);
    err_clear(err);
    return 0;
}

/* ---- a mirror's ---- */

static const struct store_tx_table mirror_table = {.noun = "mirror", STORE_TX_FENCE("mirror", "mirror_id")};

static struct store_tx_row mirror_row(const struct store_lease *lease)
{
    return (struct store_tx_row){
        .table = &mirror_table, .id = lease->mirror_id, .epoch = lease->epoch, .owner = lease->owner};
}

int store_tx_lease_lost(const struct store_lease *lease, const char *how, struct err *err)
{
    struct store_tx_row row = mirror_row(lease);
    return store_tx_row_lost(&row, how, err);
}

int store_tx_fenced(struct store *store, const struct store_lease *lease, store_tx_body *body, void *context,
                    struct err *err)
{
    struct store_tx_row row = mirror_row(lease);
    return store_tx_fenced_row(store, &row, body, context, err);
}
