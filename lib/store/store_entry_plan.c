/*
 * Plans of a directory's entries; see store_entry_plan.h. The entries' own words (state, plan_id) are the truth; `plan_entry` is the
 * set as it was made, for people, and never added to.
 */
#include "store/store_entry_plan.h"

#include "store/store_directory_tx.h"
#include "store/store_query.h"

static const char *plan_kind(enum store_kind kind)
{
    return kind == STORE_COS ? "cos" : "subscribers";
}

/* ---- made ---- */

static int64_t fill(struct store *store, uint64_t plan_id, uint32_t route_id, enum store_kind kind,
                    struct err *err)
{
    return STORE_EXEC(store, err,
                      "INSERT INTO plan_entry (plan_id, entry_id, number, name, dn) SELECT ?, e.entry_id, "
                      "e.number, e.name, e.target_dn FROM entry e WHERE e.route_id = ? AND e.kind = ? "
                      "AND " STORE_ENTRY_UNDECIDED,
                      bind_u64(plan_id), bind_u64(route_id), bind_text(store_directory_tx_kind(kind)));
}

int store_entry_plan_hold(struct store *store, uint32_t route_id, enum store_kind kind, const char *reason,
                          struct err *err)
{
    if (STORE_EXEC(store, err,
                   "INSERT INTO plan (kind, site_id, route_id, reason, made_at) SELECT ?, from_site_id, "
                   "route_id, ?, UTC_TIMESTAMP(6) FROM route WHERE route_id = ?",
                   bind_text(plan_kind(kind)), bind_text(reason), bind_u64(route_id)) < 0)
        return -1;
    uint64_t plan_id = store_query_insert_id(store);
    int64_t rows = fill(store, plan_id, route_id, kind, err);
    if (rows < 0 || STORE_EXEC(store, err, "UPDATE plan SET messages = ? WHERE plan_id = ?",
                               bind_u64((uint64_t)rows), bind_u64(plan_id)) < 0)
        return -1;
    return STORE_EXEC(
               store, err,
               "UPDATE entry e JOIN plan_entry o ON o.entry_id = e.entry_id JOIN plan p ON p.plan_id = "
               "o.plan_id SET e.state = 'held', e.plan_id = p.plan_id, e.reason = CONCAT(p.reason, "
               "' (mirrorctl held show ', p.plan_id, ')') WHERE p.plan_id = ?",
               bind_u64(plan_id)) < 0
               ? -1
               : 0;
}

/* ---- its end ---- */

#define OF_DIRECTORY "p.route_id = ? AND p.kind = ? AND p.ended_at IS NULL AND "

/* In this order; each takes the route's id and the plan's kind. */
static const char *const settlements[] = {
    "UPDATE plan p JOIN plan_entry o ON o.plan_id = p.plan_id SET o.outcome = 'kept' WHERE " OF_DIRECTORY
    "p.state = 'refused' AND o.outcome = 'open'",
    "UPDATE plan p JOIN plan_entry o ON o.plan_id = p.plan_id JOIN entry e ON e.entry_id = o.entry_id AND "
    "e.plan_id = p.plan_id SET e.state = 'kept', e.reason = CONCAT('kept: "
    "refused by ', p.decided_by, ' (mirrorctl held show ', p.plan_id, ')'), e.next_try_at = NULL "
    "WHERE " OF_DIRECTORY "p.state = 'refused' AND e.state = 'held'",
    "UPDATE plan p SET p.ended_at = UTC_TIMESTAMP(6) WHERE " OF_DIRECTORY "p.state = 'refused'",
    "UPDATE plan p JOIN plan_entry o ON o.plan_id = p.plan_id LEFT JOIN entry e ON e.entry_id = o.entry_id "
    "SET o.outcome = 'removed' WHERE " OF_DIRECTORY
    "p.state IN ('held', 'allowed') AND o.outcome = 'open' AND COALESCE(e.target_dn, '') = ''",
    "UPDATE plan p SET p.ended_at = UTC_TIMESTAMP(6), p.state = IF(p.state = 'allowed', 'done', 'dissolved') "
    "WHERE " OF_DIRECTORY "p.state IN ('held', 'allowed') AND NOT EXISTS (SELECT 1 FROM plan_entry o WHERE "
    "o.plan_id = p.plan_id AND o.outcome = 'open')",
};

static int has_open_plans(struct store *store, uint32_t route_id, enum store_kind kind, bool *open_out,
                          struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err, "SELECT EXISTS (SELECT 1 FROM plan p WHERE " OF_DIRECTORY "TRUE)",
                   bind_u64(route_id), bind_text(plan_kind(kind)));
    *open_out = query && store_query_next(query) && store_query_bool(query);
    return store_query_end(query, err);
}

int store_entry_plan_settle(struct store *store, uint32_t route_id, enum store_kind kind, struct err *err)
{
    bool open = false;
    if (has_open_plans(store, route_id, kind, &open, err) != 0)
        return -1;
    for (size_t i = 0; open && i < sizeof(settlements) / sizeof(settlements[0]); i++)
        if (STORE_EXEC(store, err, settlements[i], bind_u64(route_id), bind_text(plan_kind(kind))) < 0)
            return -1;
    return 0;
}

struct ending {
    uint32_t route_id;
    enum store_kind kind;
};

static int end_body(struct store *store, void *context, struct err *err)
{
    const struct ending *ending = context;
    return store_entry_plan_settle(store, ending->route_id, ending->kind, err);
}

int store_entry_plan_end(struct store *store, const struct store_directory_lease *lease, enum store_kind kind,
                         struct err *err)
{
    struct ending ending = {lease->route_id, kind};
    return store_directory_tx(store, lease, end_body, &ending, err);
}

int store_entry_plan_outcome(struct store *store, uint64_t entry_id, const char *outcome, struct err *err)
{
    return STORE_EXEC(store, err, "UPDATE plan_entry SET outcome = ? WHERE entry_id = ? AND outcome = 'open'",
                      bind_text(outcome), bind_u64(entry_id)) < 0
               ? -1
               : 0;
}
