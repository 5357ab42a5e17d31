/*
 * Entries of the directory as work and its results; see store_entry.h.
 */
#include "store/store_entry.h"

#include "base/str.h"
#include "store/store_directory_tx.h"
#include "store/store_entry_row.h"
#include "store/store_query.h"

const char *store_entry_state_name(enum store_entry_state state)
{
    static const char *const names[] = {"unproven", "equal", "differs", "missing",
                                        "waiting",  "gone",  "held",    "kept"};
    return names[state];
}

static bool find_state(const char *name, enum store_entry_state *state_out)
{
    for (int state = STORE_ENTRY_UNPROVEN; state <= STORE_ENTRY_KEPT; state++) {
        *state_out = (enum store_entry_state)state;
        if (str_equal(store_entry_state_name(*state_out), name))
            return true;
    }
    return false;
}

bool store_entry_state_is(const char *name)
{
    enum store_entry_state ignored;
    return find_state(name, &ignored);
}

/* ---- work ---- */

void store_entry_row_read(struct store_query *query, struct store_entry *entry)
{
    *entry = (struct store_entry){0};
    entry->entry_id = store_query_u64(query);
    entry->kind = str_equal(store_query_text(query), "cos") ? STORE_COS : STORE_SUBSCRIBER;
    store_query_copy(query, entry->identity, sizeof(entry->identity));
    store_query_copy(query, entry->number, sizeof(entry->number));
    store_query_copy(query, entry->name, sizeof(entry->name));
    store_query_copy(query, entry->cos, sizeof(entry->cos));
    store_query_copy(query, entry->source_dn, sizeof(entry->source_dn));
    store_query_copy(query, entry->target_dn, sizeof(entry->target_dn));
    find_state(store_query_text(query), &entry->state);
    entry->has_attributes = store_query_bool(query);
    entry->number_is_free = store_query_bool(query);
    entry->has_listed = store_query_bytes(query, entry->listed, sizeof(entry->listed));
}

int store_entry_row_read_all(struct store_query *query, struct store_entry *entries_out, struct err *err)
{
    int count = 0;
    while (query && store_query_next(query))
        store_entry_row_read(query, &entries_out[count++]);
    return store_query_end(query, err) ? -1 : count;
}

int store_entry_todo(struct store *store, const struct store_directory_lease *lease, enum store_kind kind,
                     bool all_unequal, uint64_t after_entry_id, struct store_entry *entries_out, uint32_t max,
                     struct err *err)
{
    return store_entry_row_read_all(
        STORE_ROWS(store, err,
                   "SELECT " STORE_ENTRY_ROW
                   " FROM entry e WHERE e.route_id = ? AND e.kind = ? AND e.entry_id > ? AND "
                   "e.gone_at IS NULL AND (e.todo OR e.next_try_at <= UTC_TIMESTAMP(6) OR "
                   "(? AND e.state "
                   "<> 'equal')) ORDER BY e.entry_id LIMIT ?",
                   bind_u64(lease->route_id), bind_text(store_directory_tx_kind(kind)),
                   bind_u64(after_entry_id), bind_bool(all_unequal), bind_u64(max)),
        entries_out, err);
}

int store_entry_find(struct store *store, uint64_t entry_id, struct store_entry *entry_out, struct err *err)
{
    int count = store_entry_row_read_all(
        STORE_ROWS(store, err, "SELECT " STORE_ENTRY_ROW " FROM entry e WHERE e.entry_id = ?",
                   bind_u64(entry_id)),
        entry_out, err);
    return count == 0 ? err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "the entry is not recorded any more")
                      : (count < 0 ? -1 : 0);
}

int store_entry_attributes(struct store *store, uint64_t entry_id,
                           struct store_entry_attribute *attributes_out, uint32_t max, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err,
                                           "SELECT name, verdict = 'refused', source, target, words FROM "
                                           "entry_attribute WHERE entry_id = ? LIMIT ?",
                                           bind_u64(entry_id), bind_u64(max));
    int count = 0;
    while (query && store_query_next(query)) {
        struct store_entry_attribute *attribute = &attributes_out[count++];
        store_query_copy(query, attribute->name, sizeof(attribute->name));
        attribute->refused = store_query_bool(query);
        store_query_bytes(query, attribute->source, sizeof(attribute->source));
        store_query_bytes(query, attribute->target, sizeof(attribute->target));
        store_query_copy(query, attribute->words, sizeof(attribute->words));
    }
    return store_query_end(query, err) ? -1 : count;
}

/* ---- results ---- */

struct settling {
    const struct store_directory_lease *lease;
    const struct store_entry_result *const *results;
    size_t count;
    uint64_t listing; /* the number of the last one */
};

/* Until it is tried again: 10 s doubling to an hour; what only waits for something else, to a minute. */
#define NEXT_TRY                                                                                             \
    "UTC_TIMESTAMP(6) + INTERVAL LEAST(IF(state = 'waiting', 60, 3600), 5 * POW(2, LEAST(fail_count, 12))) " \
    "SECOND"

static int record_states(struct store *store, const struct settling *settling, struct err *err)
{
    enum { COLUMNS = 15 };
    struct store_param params[STORE_ENTRY_RESULTS_MAX * COLUMNS], *at = params;
    for (size_t i = 0; i < settling->count; i++) {
        const struct store_entry_result *result = settling->results[i];
        bool equal = result->state == STORE_ENTRY_EQUAL, open = result->state == STORE_ENTRY_UNPROVEN;
        const struct store_param row[COLUMNS] = {bind_text(store_entry_state_name(result->state)),
                                                 bind_cut(result->attributes, 800),
                                                 bind_cut(result->reason, 800),
                                                 bind_text(result->target_dn),
                                                 bind_bool(equal),
                                                 bind_bool(equal),
                                                 bind_bool(open),
                                                 bind_bool(result->has_source),
                                                 bind_bytes(result->source, 32),
                                                 bind_bool(result->has_target),
                                                 bind_bytes(result->target, 32),
                                                 bind_bool(result->retry),
                                                 bind_bool(result->retry),
                                                 bind_bool(result->wrote),
                                                 bind_u64(result->entry->entry_id)};
        memcpy(at, row, sizeof(row));
        at += COLUMNS;
    }
    return store_query_exec_many(
        store,
        "UPDATE entry SET state = ?, attributes = ?, reason = ?, target_dn = ?, differs_since = "
        "IF(?, NULL, COALESCE(differs_since, UTC_TIMESTAMP(6))), proven_at = IF(?, "
        "UTC_TIMESTAMP(6), proven_at), "
        "todo = ?, settled_source = IF(?, ?, settled_source), settled_target = IF(?, ?, NULL), "
        "fail_count = IF(?, "
        "LEAST(fail_count + 1, 1000), 0), next_try_at = IF(?, " NEXT_TRY
        ", NULL), password_proven_at = IF(?, NULL, password_proven_at) WHERE entry_id = ?",
        params, COLUMNS, settling->count, err);
}

static int record_attributes(struct store *store, const struct store_entry_result *result, struct err *err)
{
    uint64_t entry_id = result->entry->entry_id;
    if (result->entry->has_attributes &&
        STORE_EXEC(store, err, "DELETE FROM entry_attribute WHERE entry_id = ?", bind_u64(entry_id)) < 0)
        return -1;
    for (size_t i = 0; i < result->known_count; i++)
        if (STORE_EXEC(store, err,
                       "INSERT IGNORE INTO entry_attribute (entry_id, name, verdict, source, target, words) "
                       "VALUES (?, ?, "
                       "?, ?, ?, ?)",
                       bind_u64(entry_id), bind_cut(result->known[i].name, 128),
                       bind_text(result->known[i].refused ? "refused" : "altered"),
                       bind_bytes(result->known[i].source, 32), bind_bytes(result->known[i].target, 32),
                       bind_cut(result->known[i].words, 800)) < 0)
            return -1;
    return 0;
}

/* Both sides as they were read just now, for the next pairing. One table a statement, and no SELECT in them: else each makes
 * a temporary table, on the disk. */
static int record_production(struct store *store, const struct settling *settling, struct err *err)
{
    enum { COLUMNS = 4 };
    struct store_param params[STORE_ENTRY_RESULTS_MAX * COLUMNS], *at = params;
    size_t rows = 0;
    for (size_t i = 0; i < settling->count; i++) {
        const struct store_entry_result *result = settling->results[i];
        bool is_known = result->entry->has_listed && memcmp(result->entry->listed, result->source, 32) == 0;
        if (result->state == STORE_ENTRY_UNPROVEN || !result->has_source || is_known)
            continue;
        *at++ = bind_bytes(result->source, 32);
        *at++ = bind_u64(settling->lease->route_id);
        *at++ = bind_text(store_directory_tx_kind(result->entry->kind));
        *at++ = bind_text(result->entry->source_dn);
        rows++;
    }
    return store_query_exec_many(
        store,
        "UPDATE listed SET digest = ? WHERE route_id = ? AND side = 'production' AND kind = ? AND dn = ?",
        params, COLUMNS, rows, err);
}

static int record_target(struct store *store, const struct settling *settling, struct err *err)
{
    enum { COLUMNS = 9 };
    struct store_param params[STORE_ENTRY_RESULTS_MAX * COLUMNS], *at = params;
    size_t rows = 0;
    for (size_t i = 0; i < settling->count; i++) {
        const struct store_entry_result *result = settling->results[i];
        if (result->state == STORE_ENTRY_UNPROVEN || !result->has_target)
            continue;
        *at++ = bind_u64(settling->lease->route_id);
        *at++ = bind_text(store_directory_tx_kind(result->entry->kind));
        *at++ = bind_text(result->target_dn);
        *at++ = bind_cut(result->target_number, 64);
        *at++ = bind_cut(result->target_identity, 200);
        *at++ = bind_cut(result->target_cos, 32);
        *at++ = bind_cut(result->target_name, 256);
        *at++ = bind_bytes(result->target, 32);
        *at++ = bind_u64(settling->listing);
        rows++;
    }
    return store_query_exec_many(
        store,
        "INSERT INTO listed (route_id, side, kind, dn, number, identity, cos, name, digest, listing) "
        "VALUES (?, 'target', ?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE number = VALUES(number), "
        "identity = VALUES(identity), cos = VALUES(cos), name = VALUES(name), digest = VALUES(digest)",
        params, COLUMNS, rows, err);
}

static int read_listing(struct store *store, struct settling *settling, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err, "SELECT listing_seq FROM directory WHERE route_id = ?",
                                           bind_u64(settling->lease->route_id));
    if (query && store_query_next(query))
        settling->listing = store_query_u64(query);
    return store_query_end(query, err);
}

static int settle_body(struct store *store, void *context, struct err *err)
{
    struct settling *settling = context;
    if (read_listing(store, settling, err) != 0 || record_states(store, settling, err) != 0 ||
        record_production(store, settling, err) != 0 || record_target(store, settling, err) != 0)
        return -1;
    for (size_t i = 0; i < settling->count; i++)
        if (settling->results[i]->state != STORE_ENTRY_UNPROVEN &&
            record_attributes(store, settling->results[i], err) != 0)
            return -1;
    return 0;
}

int store_entry_settled(struct store *store, const struct store_directory_lease *lease,
                        const struct store_entry_result *const *results, size_t count, struct err *err)
{
    struct settling settling = {.lease = lease, .results = results, .count = count};
    ASSERT(count <= STORE_ENTRY_RESULTS_MAX);
    return store_directory_tx(store, lease, settle_body, &settling, err);
}

struct adding {
    const struct store_entry_adding *entries;
    size_t count;
};

static int adding_body(struct store *store, void *context, struct err *err)
{
    const struct adding *adding = context;
    struct store_param params[STORE_ENTRY_RESULTS_MAX * 2];
    for (size_t i = 0; i < adding->count; i++) {
        params[2 * i] = bind_text(adding->entries[i].target_dn);
        params[2 * i + 1] = bind_u64(adding->entries[i].entry_id);
    }
    return store_query_exec_many(store,
                                 "UPDATE entry SET target_dn = ?, state = 'unproven' WHERE entry_id = ?",
                                 params, 2, adding->count, err);
}

int store_entry_adding(struct store *store, const struct store_directory_lease *lease,
                       const struct store_entry_adding *entries, size_t count, struct err *err)
{
    struct adding adding = {entries, count};
    ASSERT(count <= STORE_ENTRY_RESULTS_MAX);
    return store_directory_tx(store, lease, adding_body, &adding, err);
}

struct moving {
    const struct store_directory_lease *lease;
    const struct store_entry_moved *moved;
};

static int moved_body(struct store *store, void *context, struct err *err)
{
    const struct moving *moving = context;
    const struct store_entry_moved *moved = moving->moved;
    if (STORE_EXEC(store, err,
                   "UPDATE listed l JOIN entry e ON e.route_id = l.route_id AND e.kind = l.kind AND "
                   "e.target_dn = l.dn SET "
                   "l.dn = ?, l.number = ?, l.digest = NULL WHERE e.entry_id = ? AND l.route_id = ? AND "
                   "l.side = 'target'",
                   bind_text(moved->target_dn), bind_text(moved->number), bind_u64(moved->entry_id),
                   bind_u64(moving->lease->route_id)) < 0)
        return -1;
    return STORE_EXEC(store, err,
                      "UPDATE entry SET target_dn = ?, todo = 1, settled_target = NULL WHERE entry_id = ? "
                      "AND gone_at IS NULL",
                      bind_text(moved->target_dn), bind_u64(moved->entry_id)) < 0
               ? -1
               : 0;
}

int store_entry_note_moved(struct store *store, const struct store_directory_lease *lease,
                           const struct store_entry_moved *moved, struct err *err)
{
    struct moving moving = {lease, moved};
    return store_directory_tx(store, lease, moved_body, &moving, err);
}

/* ---- passwords ---- */

int store_entry_password_due(struct store *store, uint32_t route_id, const char *number, bool *due_out,
                             struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err,
                                           "SELECT 1 FROM entry WHERE route_id = ? AND kind = 'subscriber' "
                                           "AND number = ? AND gone_at IS NULL AND target_dn <> '' "
                                           "AND state = 'equal' AND (password_proven_at IS NULL OR "
                                           "password_proven_at < UTC_TIMESTAMP(6) - INTERVAL 1 DAY)",
                                           bind_u64(route_id), bind_text(number));
    *due_out = query && store_query_next(query);
    return store_query_end(query, err);
}

struct proving {
    const struct store_directory_lease *lease;
    const char *number, *error;
};

static int password_body(struct store *store, void *context, struct err *err)
{
    const struct proving *proving = context;
    return STORE_EXEC(store, err,
                      "UPDATE entry SET password_proven_at = UTC_TIMESTAMP(6), password_error = ? WHERE "
                      "route_id = ? AND kind = "
                      "'subscriber' AND number = ?",
                      bind_cut(proving->error, 800), bind_u64(proving->lease->route_id),
                      bind_text(proving->number)) < 0
               ? -1
               : 0;
}

int store_entry_password(struct store *store, const struct store_directory_lease *lease, const char *number,
                         bool proven, const char *words, struct err *err)
{
    struct proving proving = {lease, number, proven ? "" : words};
    return store_directory_tx(store, lease, password_body, &proving, err);
}
