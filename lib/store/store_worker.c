/*
 * Workers: who is alive and what it does now; each program writes only its own row.
 */
#include "store/store.h"
#include "store/store_query.h"

int store_worker_seen(struct store *store, const char *owner, const char *program, const char *doing,
                      struct err *err)
{
    int64_t rows = STORE_EXEC(store, err,
                              "INSERT INTO worker (owner, program, started_at, seen_at, doing) "
                              "VALUES (?, ?, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), ?) "
                              "ON DUPLICATE KEY UPDATE seen_at = UTC_TIMESTAMP(6), doing = VALUES(doing)",
                              bind_text(owner), bind_text(program), bind_cut(doing, 200));
    return rows < 0 ? -1 : 0;
}

int store_worker_gone(struct store *store, const char *owner, struct err *err)
{
    return STORE_EXEC(store, err, "DELETE FROM worker WHERE owner = ?", bind_text(owner)) < 0 ? -1 : 0;
}

int store_worker_count(struct store *store, const char *program, uint32_t *count_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err,
                                           "SELECT COUNT(*) FROM worker WHERE program = ? "
                                           "AND seen_at > UTC_TIMESTAMP(6) - INTERVAL 30 SECOND",
                                           bind_text(program));
    *count_out = query && store_query_next(query) ? store_query_u32(query) : 0;
    return store_query_end(query, err);
}
