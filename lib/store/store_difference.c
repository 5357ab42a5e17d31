/*
 * What a dry run of a directory found; see store_entry.h.
 */
#include "store/store_entry.h"

#include "base/str.h"
#include "store/store_directory_tx.h"
#include "store/store_query.h"

struct adding {
    const struct store_directory_lease *lease;
    const struct store_difference *difference;
};

static int clear_body(struct store *store, void *context, struct err *err)
{
    const struct store_directory_lease *lease = context;
    return STORE_EXEC(store, err, "DELETE FROM directory_difference WHERE route_id = ?",
                      bind_u64(lease->route_id)) < 0
               ? -1
               : 0;
}

int store_difference_clear(struct store *store, const struct store_directory_lease *lease, struct err *err)
{
    return store_directory_tx(store, lease, clear_body, (void *)(uintptr_t)lease, err);
}

static int add_body(struct store *store, void *context, struct err *err)
{
    const struct adding *adding = context;
    const struct store_difference *difference = adding->difference;
    return STORE_EXEC(store, err,
                      "INSERT INTO directory_difference (route_id, kind, number, name, dn, action, "
                      "attributes, ldif) VALUES "
                      "(?, ?, ?, ?, ?, ?, ?, ?)",
                      bind_u64(adding->lease->route_id), bind_text(store_directory_tx_kind(difference->kind)),
                      bind_cut(difference->number, 64), bind_cut(difference->name, 256),
                      bind_cut(difference->dn, 800), bind_text(difference->action),
                      bind_cut(difference->attributes, 65535), bind_cut(difference->ldif, 8388608)) < 0
               ? -1
               : 0;
}

int store_difference_add(struct store *store, const struct store_directory_lease *lease,
                         const struct store_difference *difference, struct err *err)
{
    struct adding adding = {lease, difference};
    return store_directory_tx(store, lease, add_body, &adding, err);
}

int store_difference_list(struct store *store, const char *route, uint64_t after, uint32_t limit,
                          void (*on_difference)(void *context, const struct store_difference *difference),
                          void *context, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err,
                                           "SELECT x.difference_id, x.kind, x.number, x.name, x.dn, "
                                           "x.action, x.attributes, x.ldif FROM directory_difference x "
                                           "JOIN route r ON r.route_id = x.route_id WHERE r.name = ? AND "
                                           "x.difference_id > ? ORDER BY x.difference_id LIMIT ?",
                                           bind_text(route), bind_u64(after), bind_u64(limit));
    while (query && store_query_next(query)) {
        struct store_difference difference = {.difference_id = store_query_u64(query)};
        difference.kind = str_equal(store_query_text(query), "cos") ? STORE_COS : STORE_SUBSCRIBER;
        difference.number = store_query_text(query);
        difference.name = store_query_text(query);
        difference.dn = store_query_text(query);
        difference.action = store_query_text(query);
        difference.attributes = store_query_text(query);
        difference.ldif = store_query_text(query);
        on_difference(context, &difference);
    }
    return store_query_end(query, err);
}
