/*
 * What both directories listed, and its pairing; see store_listed.h. All of it is sets in SQL, each statement over one route and
 * kind by index.
 */
#include "store/store_listed.h"

#include "base/crash.h"
#include "base/str.h"
#include "store/store_directory_tx.h"
#include "store/store_query.h"

#include <stdlib.h>
#include <string.h>

/* ---- batches ---- */

struct adding {
    const struct store_directory_lease *lease;
    const struct store_listing *listing;
    const struct store_listed *entries;
    size_t count;
};

enum { COLUMNS = 11 };

static void bind_row(const struct adding *adding, const struct store_listed *entry,
                     struct store_param params[COLUMNS])
{
    params[0] = bind_u64(adding->lease->route_id);
    params[1] = bind_text(store_directory_tx_side(adding->listing->side));
    params[2] = bind_text(store_directory_tx_kind(adding->listing->kind));
    params[3] = bind_text(entry->dn);
    params[4] = bind_text(entry->number);
    params[5] = bind_text(entry->identity);
    params[6] = bind_text(entry->cos);
    params[7] = bind_text(entry->name);
    params[8] = bind_bytes_if(entry->has_digest, entry->digest, sizeof(entry->digest));
    params[9] = bind_u64(adding->listing->listing);
    params[10] = bind_bool(adding->listing->names_only);
}

static int add_body(struct store *store, void *context, struct err *err)
{
    const struct adding *adding = context;
    struct store_param *params = mem_new(adding->count * COLUMNS * sizeof(*params));
    for (size_t i = 0; i < adding->count; i++)
        bind_row(adding, &adding->entries[i], params + i * COLUMNS);
    int result = store_query_exec_many(
        store,
        "INSERT INTO listed (route_id, side, kind, dn, number, identity, cos, name, digest, listing) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE number = VALUES(number), identity = "
        "VALUES(identity), cos = VALUES(cos), name = VALUES(name), digest = IF(?, digest, VALUES(digest)), "
        "listing = VALUES(listing)",
        params, COLUMNS, adding->count, err);
    free(params);
    return result;
}

int store_listed_add(struct store *store, const struct store_directory_lease *lease,
                     const struct store_listing *listing, const struct store_listed *entries, size_t count,
                     struct err *err)
{
    struct adding adding = {lease, listing, entries, count};
    return store_directory_tx(store, lease, add_body, &adding, err);
}

struct troubling {
    const struct store_directory_lease *lease;
    const struct store_listing *listing;
    const struct store_trouble_entry *trouble;
};

static int trouble_body(struct store *store, void *context, struct err *err)
{
    const struct troubling *troubling = context;
    const struct store_listing *listing = troubling->listing;
    const struct store_trouble_entry *trouble = troubling->trouble;
    return STORE_EXEC(
               store, err,
               "INSERT INTO directory_trouble (route_id, side, kind, dn, number, words, listing, since) "
               "VALUES (?, ?, ?, "
               "?, ?, ?, ?, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE since = IF(words = VALUES(words), "
               "since, "
               "VALUES(since)), number = VALUES(number), words = VALUES(words), listing = GREATEST(listing, "
               "VALUES(listing))",
               bind_u64(troubling->lease->route_id), bind_text(store_directory_tx_side(listing->side)),
               bind_text(store_directory_tx_kind(listing->kind)), bind_cut(trouble->dn, 800),
               bind_cut(trouble->number, 64), bind_cut(trouble->words, 800), bind_u64(listing->listing)) < 0
               ? -1
               : 0;
}

int store_listed_trouble(struct store *store, const struct store_directory_lease *lease,
                         const struct store_listing *listing, const struct store_trouble_entry *trouble,
                         struct err *err)
{
    struct troubling troubling = {lease, listing, trouble};
    return store_directory_tx(store, lease, trouble_body, &troubling, err);
}

/* ---- a whole listing ---- */

struct concluding {
    const struct store_directory_lease *lease;
    const struct store_listing *listing;
};

static int drop_unseen(struct store *store, const struct concluding *concluding, struct err *err)
{
    const struct store_listing *listing = concluding->listing;
    uint32_t route_id = concluding->lease->route_id;
    const char *side = store_directory_tx_side(listing->side), *kind = store_directory_tx_kind(listing->kind);
    return STORE_EXEC(store, err,
                      "DELETE FROM listed WHERE route_id = ? AND side = ? AND kind = ? AND listing < ?",
                      bind_u64(route_id), bind_text(side), bind_text(kind), bind_u64(listing->listing)) < 0 ||
                   STORE_EXEC(store, err,
                              "DELETE FROM directory_trouble WHERE route_id = ? AND side = ? AND kind = ? "
                              "AND listing < ?",
                              bind_u64(route_id), bind_text(side), bind_text(kind),
                              bind_u64(listing->listing)) < 0
               ? -1
               : 0;
}

/* The indexes are named in all that is done for a whole directory: the tables fill within seconds, and with figures from
 * before that the optimiser goes through all rows for each row. */
#define ON_PRODUCTION                                                                                        \
    "listed l FORCE INDEX (identity) ON l.route_id = e.route_id AND l.side = 'production' AND l.kind = "     \
    "e.kind AND l.identity = "                                                                               \
    "e.identity"

static int note_gone(struct store *store, const struct concluding *concluding, struct err *err)
{
    uint64_t listing = concluding->listing->listing;
    return STORE_EXEC(
               store, err,
               "UPDATE entry e LEFT JOIN " ON_PRODUCTION
               " SET e.gone_at = COALESCE(e.gone_at, UTC_TIMESTAMP(6)), e.gone_listings = "
               "e.gone_listings + 1, "
               "e.gone_listing = ?, e.state = IF(e.state IN ('held', 'kept'), e.state, 'gone'), e.todo = 0, "
               "e.next_try_at = NULL WHERE e.route_id = ? AND e.kind = ? AND l.dn "
               "IS NULL AND "
               "e.gone_listing < ?",
               bind_u64(listing), bind_u64(concluding->lease->route_id),
               bind_text(store_directory_tx_kind(concluding->listing->kind)), bind_u64(listing)) < 0
               ? -1
               : 0;
}

/* What is back drops out of its plan, and is none of its matter when it goes again. */
static int note_back(struct store *store, const struct concluding *concluding, struct err *err)
{
    return STORE_EXEC(
               store, err,
               "UPDATE entry e JOIN " ON_PRODUCTION
               " LEFT JOIN plan_entry o ON o.entry_id = e.entry_id AND o.outcome = 'open' SET o.outcome = "
               "'back', e.plan_id = NULL, "
               "e.gone_at = NULL, e.gone_listings = 0, e.state = 'unproven', e.reason = '', e.todo = 1, "
               "e.settled_source = NULL, e.settled_target = NULL WHERE e.route_id = ? AND "
               "e.kind = ? "
               "AND e.gone_at IS NOT NULL",
               bind_u64(concluding->lease->route_id),
               bind_text(store_directory_tx_kind(concluding->listing->kind))) < 0
               ? -1
               : 0;
}

#define ON_TARGET                                                                                            \
    "listed t FORCE INDEX (PRIMARY) ON t.route_id = e.route_id AND t.side = 'target' AND t.kind = e.kind "   \
    "AND t.dn = e.target_dn"

static int forget_vanished(struct store *store, const struct concluding *concluding, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE entry e LEFT JOIN " ON_TARGET
                      " SET e.target_dn = '', e.todo = e.gone_at IS NULL, e.settled_target = NULL WHERE "
                      "e.route_id = ? AND "
                      "e.kind = ? AND e.target_dn <> '' AND t.dn IS NULL",
                      bind_u64(concluding->lease->route_id),
                      bind_text(store_directory_tx_kind(concluding->listing->kind))) < 0
               ? -1
               : 0;
}

static int whole_body(struct store *store, void *context, struct err *err)
{
    const struct concluding *concluding = context;
    if (drop_unseen(store, concluding, err) != 0)
        return -1;
    if (concluding->listing->side == STORE_LISTED_TARGET)
        return forget_vanished(store, concluding, err);
    return note_gone(store, concluding, err) != 0 || note_back(store, concluding, err) != 0 ? -1 : 0;
}

int store_listed_whole(struct store *store, const struct store_directory_lease *lease,
                       const struct store_listing *listing, struct err *err)
{
    struct concluding concluding = {lease, listing};
    return store_directory_tx(store, lease, whole_body, &concluding, err);
}

static int read_count(struct store_query *query, uint64_t *count_out, struct err *err)
{
    *count_out = 0;
    if (query && store_query_next(query))
        *count_out = store_query_u64(query);
    return store_query_end(query, err);
}

int store_listed_count(struct store *store, uint32_t route_id, enum store_kind kind,
                       enum store_listed_side side, uint64_t *count_out, struct err *err)
{
    return read_count(STORE_ROWS(store, err,
                                 "SELECT COUNT(*) FROM listed WHERE route_id = ? AND side = ? AND kind = ?",
                                 bind_u64(route_id), bind_text(store_directory_tx_side(side)),
                                 bind_text(store_directory_tx_kind(kind))),
                      count_out, err);
}

/* ---- pairing ---- */

struct pairing {
    uint32_t route_id;
    const char *kind;
    uint64_t since;
};

#define TWICE                                                                                                \
    "(SELECT number FROM listed WHERE route_id = ? AND side = 'production' AND kind = ? GROUP BY number "    \
    "HAVING "                                                                                                \
    "COUNT(*) > 1)"

static int note_twice(struct store *store, void *context, struct err *err)
{
    const struct pairing *pairing = context;
    return STORE_EXEC(
               store, err,
               "INSERT INTO directory_trouble (route_id, side, kind, dn, number, words, listing, since) "
               "SELECT "
               "l.route_id, l.side, l.kind, l.dn, l.number, CONCAT('has number ', l.number, ', which another "
               "entry "
               "has too: give each its own'), l.listing, UTC_TIMESTAMP(6) FROM listed l FORCE INDEX (number) "
               "JOIN " TWICE
               " d ON d.number = l.number WHERE l.route_id = ? AND l.side = 'production' AND l.kind = ? ON "
               "DUPLICATE KEY UPDATE words = VALUES(words), listing = VALUES(listing)",
               bind_u64(pairing->route_id), bind_text(pairing->kind), bind_u64(pairing->route_id),
               bind_text(pairing->kind)) < 0
               ? -1
               : 0;
}

static int make_entries(struct store *store, void *context, struct err *err)
{
    const struct pairing *pairing = context;
    return STORE_EXEC(store, err,
                      "INSERT IGNORE INTO entry (route_id, kind, identity, number, name, cos, source_dn, "
                      "differs_since) SELECT "
                      "l.route_id, l.kind, l.identity, l.number, l.name, l.cos, l.dn, UTC_TIMESTAMP(6) FROM "
                      "listed l LEFT "
                      "JOIN entry e FORCE INDEX (identity) ON e.route_id = l.route_id AND e.kind = l.kind "
                      "AND e.identity = "
                      "l.identity WHERE "
                      "l.route_id = ? AND l.side = 'production' AND l.kind = ? AND l.listing >= ? AND "
                      "e.entry_id IS NULL "
                      "AND l.number NOT IN " TWICE,
                      bind_u64(pairing->route_id), bind_text(pairing->kind), bind_u64(pairing->since),
                      bind_u64(pairing->route_id), bind_text(pairing->kind)) < 0
               ? -1
               : 0;
}

static int refresh_entries(struct store *store, void *context, struct err *err)
{
    const struct pairing *pairing = context;
    return STORE_EXEC(store, err,
                      "UPDATE entry e JOIN " ON_PRODUCTION
                      " SET e.todo = e.todo OR e.number <> l.number, e.number = l.number, e.name = l.name, "
                      "e.cos = l.cos, "
                      "e.source_dn = l.dn WHERE e.route_id = ? AND e.kind = ? AND l.listing >= ? AND "
                      "(e.number, e.name, "
                      "e.cos, e.source_dn) <> (l.number, l.name, l.cos, l.dn) AND l.number NOT IN " TWICE,
                      bind_u64(pairing->route_id), bind_text(pairing->kind), bind_u64(pairing->since),
                      bind_u64(pairing->route_id), bind_text(pairing->kind)) < 0
               ? -1
               : 0;
}

/* What was there before us, with the same number, is taken over; but not what is another's already. */
static int adopt(struct store *store, void *context, struct err *err)
{
    const struct pairing *pairing = context;
    return STORE_EXEC(store, err,
                      "UPDATE entry e FORCE INDEX (target) JOIN listed t FORCE INDEX (number) ON t.route_id "
                      "= e.route_id AND "
                      "t.side = 'target' AND t.kind = e.kind AND "
                      "t.number = e.number LEFT JOIN entry o FORCE INDEX (target) ON o.route_id = e.route_id "
                      "AND o.kind = e.kind AND "
                      "o.target_dn = t.dn SET e.target_dn = t.dn WHERE e.route_id = ? AND e.kind = ? AND "
                      "e.target_dn = '' "
                      "AND e.gone_at IS NULL AND o.entry_id IS NULL",
                      bind_u64(pairing->route_id), bind_text(pairing->kind)) < 0
               ? -1
               : 0;
}

#define COMPARED "UPDATE entry e JOIN " ON_PRODUCTION " LEFT JOIN " ON_TARGET
#define OF_PAIRING " WHERE e.route_id = ? AND e.kind = ? AND l.listing >= ? AND e.gone_at IS NULL AND "

/* Proven only where both sides were read just now: each row has the number of the last listing that read it; else it is proven by
 * the next whole comparison. What was equal with the same digests, and proven, stays as it is: directory.compared_at proves it
 * (20,000 rows need not be written for that). */
static int prove_equal(struct store *store, void *context, struct err *err)
{
    const struct pairing *pairing = context;
    return STORE_EXEC(store, err,
                      COMPARED
                      " SET e.state = 'equal', e.proven_at = IF(l.listing = t.listing, UTC_TIMESTAMP(6), "
                      "NULL), e.todo = 0, e.differs_since = NULL, "
                      "e.attributes = '', e.reason = '', e.fail_count = 0, e.next_try_at = NULL, "
                      "e.settled_source = l.digest, e.settled_target = t.digest" OF_PAIRING
                      "l.digest = t.digest AND NOT (e.state = 'equal' AND NOT e.todo AND e.proven_at IS NOT "
                      "NULL AND e.settled_source <=> l.digest AND e.settled_target <=> t.digest)",
                      bind_u64(pairing->route_id), bind_text(pairing->kind), bind_u64(pairing->since)) < 0
               ? -1
               : 0;
}

static int want_rest(struct store *store, void *context, struct err *err)
{
    const struct pairing *pairing = context;
    return STORE_EXEC(
               store, err,
               COMPARED
               " SET e.todo = 1, e.state = IF(e.state = 'equal', 'differs', e.state), e.differs_since = "
               "COALESCE(e.differs_since, UTC_TIMESTAMP(6))" OF_PAIRING
               "NOT (l.digest <=> e.settled_source AND t.digest <=> e.settled_target) AND NOT (l.digest <=> "
               "t.digest AND l.digest IS NOT NULL)",
               bind_u64(pairing->route_id), bind_text(pairing->kind), bind_u64(pairing->since)) < 0
               ? -1
               : 0;
}

int store_listed_pair(struct store *store, const struct store_directory_lease *lease, enum store_kind kind,
                      uint64_t since_listing, struct err *err)
{
    static store_tx_body *const steps[] = {note_twice, make_entries, refresh_entries,
                                           adopt,      prove_equal,  want_rest};
    struct pairing pairing = {lease->route_id, store_directory_tx_kind(kind), since_listing};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (CRASH_AFTER(PAIRED, store_directory_tx(store, lease, steps[i], &pairing, err)) != 0)
            return -1;
    return 0;
}

/* ---- numbers ---- */

int store_listed_number_holder(struct store *store, uint32_t route_id, enum store_kind kind,
                               const char *number, const char *dn, struct store_listed_holder *holder_out,
                               struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err,
                                           "SELECT t.dn, e.entry_id, IF(e.gone_at IS NULL, "
                                           "e.number, '') FROM listed t LEFT JOIN entry e ON "
                                           "e.route_id = t.route_id AND e.kind = t.kind AND e.target_dn = "
                                           "t.dn WHERE t.route_id = ? AND t.side = 'target' "
                                           "AND t.kind = ? AND t.number = ? AND t.dn <> ? LIMIT 1",
                                           bind_u64(route_id), bind_text(store_directory_tx_kind(kind)),
                                           bind_text(number), bind_text(dn));
    *holder_out = (struct store_listed_holder){0};
    if (query && store_query_next(query)) {
        store_query_copy(query, holder_out->dn, sizeof(holder_out->dn));
        holder_out->entry_id = store_query_u64(query);
        store_query_copy(query, holder_out->number, sizeof(holder_out->number));
    }
    return store_query_end(query, err);
}

int store_listed_number_is_used(struct store *store, uint32_t route_id, enum store_kind kind,
                                const char *number, bool *used_out, struct err *err)
{
    uint64_t count;
    const char *word = store_directory_tx_kind(kind);
    int result = read_count(STORE_ROWS(store, err,
                                       "SELECT (SELECT COUNT(*) FROM listed WHERE route_id = ? AND side = "
                                       "'production' AND kind = ? AND number = "
                                       "?) + (SELECT COUNT(*) FROM listed WHERE route_id = ? AND side = "
                                       "'target' AND kind = ? AND number = ?)",
                                       bind_u64(route_id), bind_text(word), bind_text(number),
                                       bind_u64(route_id), bind_text(word), bind_text(number)),
                            &count, err);
    *used_out = count > 0;
    return result;
}
