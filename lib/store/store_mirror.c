/*
 * The mirror's row as the queue: raised by scanner and API, claimed and renewed by copiers. The claim reads only the
 * index `queue` (pending, priority, due_at, route_id): the list of all priorities makes it one short range a priority, so
 * neither idle mirrors nor those that are not due yet are read. The table is alone in every locking read: a join would
 * lock the route's row, and SKIP LOCKED then hides all its mirrors from everybody else.
 */
#include "store/store_mirror.h"

#include "base/clock.h"
#include "base/str.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUTES_TEXT_BYTES = 4096 };

/* Two lists in text, for FIND_IN_SET, like "1,4,7". */
struct routes {
    char open
        [ROUTES_TEXT_BYTES]; /* configured and not paused, in the database and (if given) in the configuration */
    char in_trouble
        [ROUTES_TEXT_BYTES]; /* of these, with a site that is left alone now, since it did not answer */
};

/* Due, without a living lease, on an open route. What has failed already is not tried again while its site is left alone: a
 * copier that went through all of them would be missing elsewhere. Its parameters: IN_ROUTES(). */
#define DUE_ON_ROUTES                                                                                        \
    "m.pending = 1 AND m.priority IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9) AND m.due_at <= UTC_TIMESTAMP(6) "       \
    "AND (m.lease_until IS NULL OR m.lease_until <= UTC_TIMESTAMP(6)) AND FIND_IN_SET(m.route_id, ?) "       \
    "AND (FIND_IN_SET(m.route_id, ?) = 0 OR m.fail_count = 0) "
#define IN_ROUTES(routes) bind_text((routes)->open), bind_text((routes)->in_trouble)

static void add_route(char text[ROUTES_TEXT_BYTES], uint32_t id)
{
    size_t len = strlen(text);
    if (len + 12 < ROUTES_TEXT_BYTES)
        snprintf(text + len, ROUTES_TEXT_BYTES - len, len ? ",%u" : "%u", id);
}

static int open_routes(struct store *store, const struct config *config, struct routes *routes_out,
                       struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT r.route_id, r.name, EXISTS (SELECT 1 FROM site s WHERE s.site_id IN (r.from_site_id, "
        "r.to_site_id) AND s.troubles > 0 AND (s.cool_until > UTC_TIMESTAMP(6) OR s.probe_until > "
        "UTC_TIMESTAMP(6))) FROM route r WHERE r.configured AND NOT r.paused");
    routes_out->open[0] = routes_out->in_trouble[0] = '\0';
    while (query && store_query_next(query)) {
        uint32_t id = store_query_u32(query);
        const char *name = store_query_text(query);
        bool in_trouble = store_query_bool(query);
        if (config && !config_route_find(config, name))
            continue;
        add_route(routes_out->open, id);
        if (in_trouble)
            add_route(routes_out->in_trouble, id);
    }
    return store_query_end(query, err);
}

/* ---- claim ---- */

struct claiming {
    const struct routes *routes;
    const char *owner;
    double lease_seconds;
    struct store_claim *claim;
};

static void read_claim(struct store_query *query, struct store_claim *claim)
{
    claim->lease.mirror_id = store_query_u64(query);
    claim->mailbox_id = store_query_u64(query);
    claim->route_id = store_query_u32(query);
    claim->priority = store_query_u32(query);
    claim->wanted_seq = store_query_u64(query);
    claim->done_seq = store_query_u64(query);
    claim->verify_wanted_seq = store_query_u64(query);
    claim->verify_done_seq = store_query_u64(query);
    claim->verify_deep = store_query_bool(query);
    claim->lease.epoch = store_query_u64(query) + 1;
    claim->taken_over = store_query_bool(query);
    claim->recheck_target = store_query_bool(query);
    claim->fail_count = store_query_u32(query);
    claim->handing_over = store_query_bool(query);
}

static int choose(struct store *store, const struct claiming *claiming, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT m.mirror_id, m.mailbox_id, m.route_id, m.priority, m.wanted_seq, m.done_seq, "
        "m.verify_wanted_seq, "
        "m.verify_done_seq, m.verify_deep, m.lease_epoch, m.lease_owner IS NOT NULL OR m.target_suspect, "
        "COALESCE(m.recheck_target_at <= UTC_TIMESTAMP(6), 0), m.fail_count, m.handing_over "
        "FROM mirror m FORCE INDEX (queue) WHERE " DUE_ON_ROUTES
        "ORDER BY m.priority, m.due_at LIMIT 1 FOR UPDATE SKIP LOCKED",
        IN_ROUTES(claiming->routes));
    if (query && store_query_next(query))
        read_claim(query, claiming->claim);
    return store_query_end(query, err);
}

static int read_names(struct store *store, struct store_claim *claim, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err,
                                           "SELECT b.number, r.name, b.removing FROM mailbox b, route r "
                                           "WHERE b.mailbox_id = ? AND r.route_id = ?",
                                           bind_u64(claim->mailbox_id), bind_u64(claim->route_id));
    if (query && store_query_next(query)) {
        store_query_copy(query, claim->mailbox, sizeof(claim->mailbox));
        store_query_copy(query, claim->route, sizeof(claim->route));
        claim->removing = store_query_bool(query);
    }
    return store_query_end(query, err);
}

static int claim_body(struct store *store, void *context, struct err *err)
{
    struct claiming *claiming = context;
    struct store_claim *claim = claiming->claim;
    int64_t deadline = claim->deadline_boot_ms;
    *claim = (struct store_claim){.deadline_boot_ms = deadline};
    str_into(claim->lease.owner, sizeof(claim->lease.owner), claiming->owner);
    if (choose(store, claiming, err))
        return -1;
    if (!claim->lease.mirror_id)
        return 0;
    int64_t rows = STORE_EXEC(
        store, err,
        "UPDATE mirror SET target_suspect = target_suspect OR lease_owner IS NOT NULL, lease_owner = ?, "
        "lease_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, lease_epoch = lease_epoch + 1, "
        "claimed_at = UTC_TIMESTAMP(6), wanted_at = NULL, pushed_at = NULL WHERE mirror_id = ?",
        bind_text(claiming->owner), bind_u64((uint64_t)(claiming->lease_seconds * 1e6)),
        bind_u64(claim->lease.mirror_id));
    return rows < 0 ? -1 : read_names(store, claim, err);
}

/* Whether the claim that was on its way when the COMMIT got no answer stands. Then it is ours, if its time suffices. */
static int find_unknown(struct store *store, const char *owner, struct store_claim *claim_out,
                        struct err *err)
{
    struct store_claim *made = store->claim_unknown;
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT 1 FROM mirror WHERE mirror_id = ? AND lease_epoch = ? AND "
                   "lease_owner = ? AND lease_until > UTC_TIMESTAMP(6) FOR UPDATE",
                   bind_u64(made->lease.mirror_id), bind_u64(made->lease.epoch), bind_text(owner));
    if (!query)
        return -1;
    if (store_query_next(query) && str_equal(made->lease.owner, owner))
        *claim_out = *made;
    free(made);
    store->claim_unknown = NULL;
    return store_query_end(query, err);
}

static void remember_unknown(struct store *store, const struct store_claim *claim)
{
    store->claim_unknown = mem_new(sizeof(*claim));
    *store->claim_unknown = *claim;
}

int store_mirror_claim(struct store *store, const struct config *config, const char *owner,
                       struct store_claim *claim_out, struct err *err)
{
    struct routes routes;
    struct err mine;
    struct claiming claiming = {
        .routes = &routes, .owner = owner, .lease_seconds = config->copy.lease_seconds, .claim = claim_out};
    err = err ? err : &mine;
    *claim_out = (struct store_claim){0};
    if (store->claim_unknown && (find_unknown(store, owner, claim_out, err) || claim_out->lease.mirror_id))
        return claim_out->lease.mirror_id ? 0 : -1;
    if (open_routes(store, config, &routes, err))
        return -1;
    claim_out->deadline_boot_ms = clock_boot_ms() + (int64_t)(config->copy.lease_seconds * 1000);
    if (!store_tx_run(store, claim_body, &claiming, err))
        return 0;
    if (store_err_is_unknown(err)) {
        remember_unknown(store, claim_out);
        *claim_out = (struct store_claim){0};
        return find_unknown(store, owner, claim_out, err);
    }
    *claim_out = (struct store_claim){0};
    return -1;
}

int store_mirror_renew(struct store *store, const struct config *config, const struct store_lease *lease,
                       int64_t *deadline_boot_ms, struct err *err)
{
    int64_t deadline = clock_boot_ms() + (int64_t)(config->copy.lease_seconds * 1000);
    int64_t rows = STORE_EXEC(store, err,
                              "UPDATE mirror SET lease_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND "
                              "WHERE mirror_id = ? AND lease_epoch = ? AND lease_owner = ? "
                              "AND lease_until > UTC_TIMESTAMP(6)",
                              bind_u64((uint64_t)(config->copy.lease_seconds * 1e6)),
                              bind_u64(lease->mirror_id), bind_u64(lease->epoch), bind_text(lease->owner));
    if (rows < 0)
        return -1;
    if (rows == 0)
        return store_tx_lease_lost(lease, "its time is over, or another worker has it", err);
    *deadline_boot_ms = deadline;
    return 0;
}

/* Read without locks first: an UPDATE would lock every mirror that it passes. */
int store_mirror_inherit(struct store *store, const char *owner, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT mirror_id, lease_owner FROM mirror WHERE lease_owner <> ? AND lease_until > "
                   "UTC_TIMESTAMP(6) AND SUBSTRING_INDEX(lease_owner, ':', 3) = SUBSTRING_INDEX(?, ':', 3)",
                   bind_text(owner), bind_text(owner));
    int result = 0;
    while (query && result == 0 && store_query_next(query)) {
        uint64_t mirror_id = store_query_u64(query);
        if (STORE_EXEC(
                store, err,
                "UPDATE mirror SET lease_until = UTC_TIMESTAMP(6) WHERE mirror_id = ? AND lease_owner = ?",
                bind_u64(mirror_id), bind_text(store_query_text(query))) < 0)
            result = -1;
    }
    return store_query_end(query, result ? NULL : err) || result ? -1 : 0;
}

int store_mirror_is_more_urgent_waiting(struct store *store, uint32_t priority, bool *waiting_out,
                                        struct err *err)
{
    struct routes routes;
    *waiting_out = false;
    if (open_routes(store, NULL, &routes, err))
        return -1;
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT m.priority FROM mirror m FORCE INDEX (queue) WHERE " DUE_ON_ROUTES
                   "ORDER BY m.priority, m.due_at LIMIT 1",
                   IN_ROUTES(&routes));
    if (query && store_query_next(query))
        *waiting_out = store_query_u32(query) < priority;
    return store_query_end(query, err);
}

/* ---- scanner ---- */

int store_mirror_want(struct store *store, uint64_t mirror_id, uint32_t priority, struct err *err)
{
    /* due_at first: assignments are made from left to right. A failing mirror keeps its delay, unless a person asks. Where
     * the trouble is one folder's only, its other folders are not to wait long for it: each look finds that folder new.
     * While the first copy is being made a look finds all of it new, which would be one more turn for nothing: the next
     * look tells what came meanwhile. */
    int64_t rows = STORE_EXEC(
        store, err,
        "UPDATE mirror SET due_at = LEAST(due_at, IF(fail_count = 0 OR ? = 0, UTC_TIMESTAMP(6), "
        "IF(error_scope IN ('message', 'folder'), GREATEST(UTC_TIMESTAMP(6), error_at + INTERVAL "
        "LEAST(fail_count, 10) SECOND), due_at))), "
        "wanted_seq = wanted_seq + (done_seq > 0 OR lease_owner IS NULL OR ? = 0), priority = "
        "LEAST(priority, ?), "
        "wanted_at = COALESCE(wanted_at, UTC_TIMESTAMP(6)), behind_since = COALESCE(behind_since, "
        "UTC_TIMESTAMP(6)) "
        "WHERE mirror_id = ?",
        bind_u64(priority), bind_u64(priority), bind_u64(priority < 9 ? priority : 9), bind_u64(mirror_id));
    return rows < 0 ? -1 : 0;
}

int store_mirror_proven(struct store *store, uint64_t mirror_id, struct err *err)
{
    return STORE_EXEC(
               store, err,
               "UPDATE mirror SET proven_at = UTC_TIMESTAMP(6) WHERE mirror_id = ? AND wanted_seq = done_seq",
               bind_u64(mirror_id)) < 0
               ? -1
               : 0;
}

struct pushing {
    const struct routes *routes;
    struct store_due *due;
    uint32_t max;
    int count;
};

static int due_body(struct store *store, void *context, struct err *err)
{
    struct pushing *pushing = context;
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT m.mirror_id, (SELECT b.number FROM mailbox b WHERE b.mailbox_id = m.mailbox_id), "
                   "(SELECT r.name FROM route r WHERE r.route_id = m.route_id), m.wanted_seq, m.priority, "
                   "m.wanted_seq = m.done_seq FROM mirror m FORCE INDEX (queue) WHERE " DUE_ON_ROUTES
                   "AND (m.pushed_at IS NULL OR m.pushed_at <= UTC_TIMESTAMP(6) - INTERVAL 5 SECOND) "
                   "ORDER BY m.priority, m.due_at LIMIT ? FOR UPDATE SKIP LOCKED",
                   IN_ROUTES(pushing->routes), bind_u64(pushing->max));
    pushing->count = 0;
    while (query && store_query_next(query)) {
        struct store_due *due = &pushing->due[pushing->count++];
        due->mirror_id = store_query_u64(query);
        store_query_copy(query, due->mailbox, sizeof(due->mailbox));
        store_query_copy(query, due->route, sizeof(due->route));
        due->wanted_seq = store_query_u64(query);
        due->priority = store_query_u32(query);
        due->verify_only = store_query_bool(query);
    }
    if (store_query_end(query, err))
        return -1;
    for (int i = 0; i < pushing->count; i++)
        if (STORE_EXEC(store, err, "UPDATE mirror SET pushed_at = UTC_TIMESTAMP(6) WHERE mirror_id = ?",
                       bind_u64(pushing->due[i].mirror_id)) < 0)
            return -1;
    return 0;
}

int store_mirror_due(struct store *store, struct store_due *due_out, uint32_t max, struct err *err)
{
    struct routes routes;
    struct pushing pushing = {.routes = &routes, .due = due_out, .max = max};
    if (max == 0 || open_routes(store, NULL, &routes, err))
        return max == 0 ? 0 : -1;
    return store_tx_run(store, due_body, &pushing, err) ? -1 : pushing.count;
}

/* Nothing is known to be missing, so behind_since stays. */
static int raise_one(struct store *store, uint64_t mirror_id, struct err *err)
{
    int64_t rows =
        STORE_EXEC(store, err,
                   "UPDATE mirror SET wanted_seq = wanted_seq + 1, due_at = LEAST(due_at, UTC_TIMESTAMP(6)) "
                   "WHERE mirror_id = ? AND pending = 0",
                   bind_u64(mirror_id));
    return rows < 0 ? -1 : (int)rows;
}

/* Raises every mirror of the rows. Frees the query. */
static int raise_all(struct store *store, struct store_query *query, int *count, struct err *err)
{
    int raised = 0;
    while (query && raised >= 0 && store_query_next(query)) {
        raised = raise_one(store, store_query_u64(query), err);
        *count += raised;
    }
    if (raised >= 0)
        return store_query_end(query, err);
    store_query_end(query, NULL);
    return -1;
}

/* Nothing is wanted, and nothing is waited for. */
#define IDLE "m.pending = 0 AND NOT m.waits_for_owner AND m.on_hold_since IS NULL "

/* Read first, then raised one by one: an UPDATE with a subquery would read every idle mirror. Once only for each intent: a
 * folder that is not worked on (excluded, or gone from production) keeps it. */
#define IDLE_WITH_INTENT                                                                                     \
    "SELECT DISTINCT m.mirror_id FROM intent i JOIN folder f ON f.folder_id = i.folder_id "                  \
    "JOIN mirror m ON m.mirror_id = f.mirror_id WHERE " IDLE "AND "

int store_mirror_want_periodic(struct store *store, struct err *err)
{
    int count = 0;
    if (raise_all(store,
                  STORE_ROWS(
                      store, err,
                      "SELECT mirror_id FROM mirror m WHERE recheck_target_at <= UTC_TIMESTAMP(6) AND " IDLE),
                  &count, err) ||
        raise_all(
            store,
            STORE_ROWS(store, err,
                       "SELECT mirror_id FROM mirror m WHERE deletion_due_at <= UTC_TIMESTAMP(6) AND " IDLE),
            &count, err) ||
        raise_all(store,
                  STORE_ROWS(store, err,
                             IDLE_WITH_INTENT "i.state = 'ghost' AND i.ghost_until <= UTC_TIMESTAMP(6) "
                                              "AND COALESCE(m.claimed_at < i.ghost_until, 1)"),
                  &count, err) ||
        raise_all(store,
                  STORE_ROWS(
                      store, err,
                      "SELECT DISTINCT m.mirror_id FROM message g JOIN folder f ON f.folder_id = g.folder_id "
                      "JOIN mirror m ON m.mirror_id = f.mirror_id WHERE " IDLE " AND "
                      "g.next_try_at <= UTC_TIMESTAMP(6) AND g.source_gone_at IS NULL "
                      "AND COALESCE(m.claimed_at < g.next_try_at, 1)"),
                  &count, err) ||
        raise_all(store,
                  STORE_ROWS(store, err,
                             IDLE_WITH_INTENT "i.state = 'open' AND m.lease_owner IS NULL "
                                              "AND COALESCE(m.claimed_at < i.created_at, 1)"),
                  &count, err))
        return -1;
    return count;
}
