/*
 * Subscribers, COS and troubles as people see them; see store_entry.h.
 */
#include "store/store_entry.h"

#include "base/str.h"
#include "store/store_entry_row.h"

#define AGE(column) "TIMESTAMPDIFF(MICROSECOND, " column ", UTC_TIMESTAMP(6)) / 1e6"

static void read_entry(struct store_query *query, struct store_entry_status *entry)
{
    *entry = (struct store_entry_status){.entry_id = store_query_u64(query)};
    entry->route = store_query_text(query);
    entry->kind = str_equal(store_query_text(query), "cos") ? STORE_COS : STORE_SUBSCRIBER;
    entry->number = store_query_text(query);
    entry->name = store_query_text(query);
    entry->identity = store_query_text(query);
    entry->cos = store_query_text(query);
    entry->state = store_query_text(query);
    entry->attributes = store_query_text(query);
    entry->reason = store_query_text(query);
    entry->differs_seconds = store_query_real_or(query, -1);
    entry->proven_seconds = store_query_real_or(query, -1);
    entry->next_try_seconds = store_query_real_or(query, -1);
    entry->password_proven_seconds = store_query_real_or(query, -1);
    entry->password_error = store_query_text(query);
    entry->known = store_query_text(query);
}

int store_entry_list(struct store *store, const struct store_entry_filter *filter,
                     void (*on_entry)(void *context, const struct store_entry_status *entry), void *context,
                     struct err *err)
{
    const char *kind = filter->kind < 0 ? NULL : filter->kind == STORE_COS ? "cos" : "subscriber";
    bool unequal = str_equal(filter->state, "not-equal");
    const char *state = unequal ? NULL : filter->state;
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT e.entry_id, r.name, e.kind, e.number, e.name, e.identity, e.cos, e.state, e.attributes, "
        "e.reason, " AGE("e.differs_since") ", " AGE(STORE_ENTRY_PROVEN_AT) ", -" AGE(
            "e.next_try_at") ", " AGE("e.password_proven_at") ", "
                                                              "e.password_error, COALESCE((SELECT "
                                                              "GROUP_CONCAT(a.name, ': ', a.words "
                                                              "SEPARATOR '\\n') FROM entry_attribute a "
                                                              "WHERE a.entry_id = e.entry_id), '') FROM "
                                                              "entry e JOIN route r ON "
                                                              "r.route_id = e.route_id JOIN directory d ON "
                                                              "d.route_id = e.route_id WHERE "
                                                              "e.entry_id > ? AND (? IS NULL OR r.name = ?) "
                                                              "AND (? IS NULL OR e.number "
                                                              "= ?) AND (? IS NULL OR e.kind = ?) AND (? "
                                                              "IS NULL OR e.state = ?) AND (NOT ? OR e.state "
                                                              "<> 'equal') ORDER BY "
                                                              "e.entry_id LIMIT ?",
        bind_u64(filter->after_entry_id), bind_text(filter->route), bind_text(filter->route),
        bind_text(filter->number), bind_text(filter->number), bind_text(kind), bind_text(kind),
        bind_text(state), bind_text(state), bind_bool(unequal),
        bind_u64(filter->limit ? filter->limit : 1000000));
    while (query && store_query_next(query)) {
        struct store_entry_status entry;
        read_entry(query, &entry);
        on_entry(context, &entry);
    }
    return store_query_end(query, err);
}

int store_entry_troubles(struct store *store, const char *route, uint32_t limit,
                         void (*on_trouble)(void *context, const struct store_trouble_status *trouble),
                         void *context, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT r.name, t.side, t.kind, t.dn, t.number, t.words, " AGE(
                       "t.since") " FROM directory_trouble t JOIN route r ON "
                                  "r.route_id = t.route_id WHERE (? IS NULL OR r.name = ?) ORDER BY r.name, "
                                  "t.kind, t.number, t.dn LIMIT ?",
                   bind_text(route), bind_text(route), bind_u64(limit));
    while (query && store_query_next(query)) {
        struct store_trouble_status trouble = {.route = store_query_text(query)};
        trouble.side = store_query_text(query);
        trouble.kind = str_equal(store_query_text(query), "cos") ? STORE_COS : STORE_SUBSCRIBER;
        trouble.dn = store_query_text(query);
        trouble.number = store_query_text(query);
        trouble.words = store_query_text(query);
        trouble.since_seconds = store_query_real(query);
        on_trouble(context, &trouble);
    }
    return store_query_end(query, err);
}
