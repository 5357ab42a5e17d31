/*
 * Held plans for people. The decision is one transaction: the plan's row decides who was first, its mirror (or its route's
 * directory) is wanted, and the audit log has its line. The order of locks is that of copiers and ldapsync: the mirror, or the
 * directory, then the plan.
 */
#include "store/store_plan.h"

#include "base/str.h"
#include "store/store_breaker.h"
#include "store/store_breaker_sql.h"
#include "store/store_mailbox.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- list ---- */

/* Seconds; 0 for what was committed after this statement began, NULL for what was not yet. */
#define AGE "GREATEST(TIMESTAMPDIFF(MICROSECOND, "
#define OLD ", UTC_TIMESTAMP(6)) / 1000000.0, 0)"

/* A plan's set is in one table or the other. */
#define OUTCOMES(word) "COALESCE(SUM(COALESCE(g.outcome, n.outcome) = '" word "'), 0), "

/* A site's plan has neither route nor mirror: it stands for all routes from its site. A directory's has no mirror. */
static const char list_sql[] =
    "SELECT p.plan_id, CAST(p.kind AS BINARY), CAST(p.state AS BINARY), s.name, r.name, p.mailbox, p.reason, "
    "p.words, p.messages, " OUTCOMES("open") OUTCOMES("removed") OUTCOMES("kept") OUTCOMES("back") AGE
    "p.made_at" OLD ", " AGE "p.decided_at" OLD ", " AGE "p.ended_at" OLD ", p.decided_by, p.decision "
    "FROM (SELECT a.* FROM plan a LEFT JOIN route o ON o.route_id = a.route_id "
    "WHERE a.plan_id > ? AND (? = 0 OR a.plan_id = ?) "
    "AND (NOT ? OR a.state IN ('held', 'allowed') OR (" STORE_BREAKER_TRIPPED ")) "
    "AND (NOT ? OR a.kind = 'site') "
    "AND (? IS NULL OR a.mailbox = ? OR (a.kind = 'site' AND EXISTS (SELECT 1 FROM mailbox b "
    "JOIN mirror m ON m.mailbox_id = b.mailbox_id JOIN route n ON n.route_id = m.route_id "
    "WHERE b.number = ? AND n.from_site_id = a.site_id)) OR (a.kind = 'subscribers' AND EXISTS "
    "(SELECT 1 FROM plan_entry b WHERE b.plan_id = a.plan_id AND b.number = ?))) "
    "AND (? IS NULL OR o.name = ? OR (a.kind = 'site' AND EXISTS (SELECT 1 FROM route n "
    "WHERE n.name = ? AND n.from_site_id = a.site_id))) "
    "ORDER BY a.plan_id LIMIT ?) p JOIN site s ON s.site_id = p.site_id "
    "LEFT JOIN route r ON r.route_id = p.route_id LEFT JOIN plan_message g ON g.plan_id = p.plan_id "
    "LEFT JOIN plan_entry n ON n.plan_id = p.plan_id GROUP BY p.plan_id ORDER BY p.plan_id";

static void read_plan(struct store_query *query, struct store_plan *plan)
{
    plan->plan_id = store_query_u64(query);
    plan->kind = store_query_text(query);
    plan->state = store_query_text(query);
    plan->site = store_query_text(query);
    plan->route = store_query_text(query);
    plan->mailbox = store_query_text(query);
    plan->reason = store_query_text(query);
    plan->words = store_query_text(query);
    plan->messages = store_query_u32(query);
    plan->open = store_query_u32(query);
    plan->removed = store_query_u32(query);
    plan->kept = store_query_u32(query);
    plan->back = store_query_u32(query);
    plan->made_age_seconds = store_query_real_or(query, -1);
    plan->decided_age_seconds = store_query_real_or(query, -1);
    plan->ended_age_seconds = store_query_real_or(query, -1);
    plan->decided_by = store_query_text(query);
    plan->decision = store_query_text(query);
}

int store_plan_list(struct store *store, const struct store_plan_filter *filter,
                    void (*on_plan)(void *context, const struct store_plan *plan), void *context,
                    struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err, list_sql, bind_u64(filter->after_plan_id), bind_u64(filter->plan_id),
                   bind_u64(filter->plan_id), bind_bool(filter->open_only), bind_bool(filter->sites_only),
                   bind_text(filter->mailbox), bind_text(filter->mailbox), bind_text(filter->mailbox),
                   bind_text(filter->mailbox), bind_text(filter->route), bind_text(filter->route),
                   bind_text(filter->route), bind_u64(filter->limit ? filter->limit : UINT32_MAX));
    while (query && store_query_next(query)) {
        struct store_plan plan;
        read_plan(query, &plan);
        on_plan(context, &plan);
    }
    return store_query_end(query, err);
}

int store_plan_count(struct store *store, struct store_plan_waiting *waiting_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT COUNT(DISTINCT p.plan_id), COUNT(g.message_id), COUNT(n.entry_id) FROM plan p LEFT JOIN "
        "plan_message g ON g.plan_id = p.plan_id AND g.outcome = 'open' LEFT JOIN plan_entry n ON n.plan_id "
        "= "
        "p.plan_id AND n.outcome = 'open' WHERE p.state = 'held' AND p.kind <> 'site'");
    *waiting_out = (struct store_plan_waiting){0};
    if (query && store_query_next(query)) {
        waiting_out->plans = store_query_u32(query);
        waiting_out->messages = store_query_u64(query);
        waiting_out->entries = store_query_u64(query);
    }
    return store_query_end(query, err);
}

static void read_message(struct store_query *query, struct store_plan_message *message)
{
    message->message_id = store_query_u64(query);
    message->folder = store_query_text(query);
    message->source_uidvalidity = store_query_u32(query);
    message->source_uid = store_query_u32(query);
    message->internal_date = store_query_i64(query);
    message->size_bytes = store_query_u64(query);
    message->outcome = store_query_text(query);
}

int store_plan_messages(struct store *store, uint64_t plan_id, uint64_t after_message_id, uint32_t limit,
                        void (*on_message)(void *context, const struct store_plan_message *message),
                        void *context, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT message_id, folder, source_uidvalidity, source_uid, internal_date, size_bytes, "
        "CAST(outcome AS BINARY) FROM plan_message WHERE plan_id = ? AND message_id > ? ORDER BY message_id "
        "LIMIT ?",
        bind_u64(plan_id), bind_u64(after_message_id), bind_u64(limit ? limit : UINT32_MAX));
    while (query && store_query_next(query)) {
        struct store_plan_message message;
        read_message(query, &message);
        on_message(context, &message);
    }
    return store_query_end(query, err);
}

int store_plan_entries(struct store *store, uint64_t plan_id, uint64_t after_entry_id, uint32_t limit,
                       void (*on_entry)(void *context, const struct store_plan_entry *entry), void *context,
                       struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT entry_id, number, name, dn, CAST(outcome AS BINARY) FROM plan_entry WHERE plan_id = ? AND "
        "entry_id > ? ORDER BY entry_id LIMIT ?",
        bind_u64(plan_id), bind_u64(after_entry_id), bind_u64(limit ? limit : UINT32_MAX));
    while (query && store_query_next(query)) {
        struct store_plan_entry entry = {.entry_id = store_query_u64(query)};
        entry.number = store_query_text(query);
        entry.name = store_query_text(query);
        entry.dn = store_query_text(query);
        entry.outcome = store_query_text(query);
        on_entry(context, &entry);
    }
    return store_query_end(query, err);
}

/* ---- decide ---- */

struct deciding {
    uint64_t plan_id;
    const struct store_plan_decision *decision;
    /* out */
    enum store_plan_decided decided;
    bool is_site, is_directory;
    uint32_t site_id, route_id;
    uint64_t mirror_id;
    char state[STORE_PLAN_STATE_BYTES];
    bool is_same; /* what stands there is just this decision */
};

/* Reads the plan, and what was decided if somebody was first. */
static int read_row(struct store *store, struct deciding *deciding, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT kind = 'site', kind IN ('subscribers', 'cos'), site_id, route_id, mirror_id, "
                   "CAST(state AS BINARY), decided_by = ? AND "
                   "decision = ? AND "
                   "IF(?, state IN ('allowed', 'done'), state = 'refused') FROM plan WHERE plan_id = ?",
                   bind_cut(deciding->decision->who, 64), bind_cut(deciding->decision->reason, 800),
                   bind_bool(deciding->decision->allow), bind_u64(deciding->plan_id));
    deciding->decided = STORE_PLAN_UNKNOWN;
    if (query && store_query_next(query)) {
        deciding->decided = STORE_PLAN_OVER;
        deciding->is_site = store_query_bool(query);
        deciding->is_directory = store_query_bool(query);
        deciding->site_id = store_query_u32(query);
        deciding->route_id = store_query_u32(query);
        deciding->mirror_id = store_query_u64(query);
        store_query_copy(query, deciding->state, sizeof(deciding->state));
        deciding->is_same = store_query_bool(query);
    }
    return store_query_end(query, err);
}

static const char *state_after(const struct deciding *deciding)
{
    if (!deciding->decision->allow)
        return "refused";
    return deciding->is_site ? "done" : "allowed";
}

/* How many rows: 0 if somebody was first. */
static int64_t take_plan(struct store *store, const struct deciding *deciding, struct err *err)
{
    bool reconsidered = deciding->is_site && deciding->decision->allow;
    return STORE_EXEC(
        store, err,
        "UPDATE plan SET state = ?, decided_at = UTC_TIMESTAMP(6), decided_by = ?, decision = ?, "
        "ended_at = IF(?, UTC_TIMESTAMP(6), NULL) "
        "WHERE plan_id = ? AND (state = 'held' OR (? AND state = 'refused'))",
        bind_text(state_after(deciding)), bind_cut(deciding->decision->who, 64),
        bind_cut(deciding->decision->reason, 800), bind_bool(reconsidered), bind_u64(deciding->plan_id),
        bind_bool(reconsidered));
}

static int audit(struct store *store, const struct deciding *deciding, struct err *err)
{
    char what[64];
    snprintf(what, sizeof(what), "held %s %" PRIu64, deciding->decision->allow ? "allow" : "refuse",
             deciding->plan_id);
    return store_audit(store, deciding->decision->who, what, deciding->decision->reason, err);
}

/* A copier carries the decision out, also one whose last turn failed and would be tried again later. */
static int want_mirror(struct store *store, const struct deciding *deciding, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE mirror SET priority = 0, due_at = LEAST(due_at, UTC_TIMESTAMP(6)), "
                      "wanted_seq = wanted_seq + 1 WHERE mirror_id = ?",
                      bind_u64(deciding->mirror_id)) < 0
               ? -1
               : 0;
}

static int want_directory(struct store *store, const struct deciding *deciding, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE directory SET wanted_seq = wanted_seq + 1, due_at = UTC_TIMESTAMP(6) WHERE "
                      "route_id = ?",
                      bind_u64(deciding->route_id)) < 0
               ? -1
               : 0;
}

static int accept_site(struct store *store, const struct deciding *deciding, struct err *err)
{
    if (STORE_EXEC(
            store, err,
            "INSERT IGNORE INTO site_fingerprint (site_id, fingerprint, words, accepted_at, accepted_by) "
            "SELECT site_id, fingerprint, words, UTC_TIMESTAMP(6), ? FROM plan "
            "WHERE plan_id = ? AND fingerprint IS NOT NULL",
            bind_cut(deciding->decision->who, 64), bind_u64(deciding->plan_id)) < 0 ||
        STORE_EXEC(store, err, "DELETE FROM sign WHERE site_id = ?", bind_u64(deciding->site_id)) < 0)
        return -1;
    return store_breaker_release(store, deciding->site_id, err);
}

/* First of all, as the transaction of a copier or ldapsync does, or as those do that trip a breaker. */
static int lock(struct store *store, const struct deciding *deciding, struct err *err)
{
    if (deciding->is_site)
        return store_query_end(STORE_ROWS(store, err, "SELECT 1 FROM site WHERE site_id = ? FOR UPDATE",
                                          bind_u64(deciding->site_id)),
                               err);
    if (deciding->is_directory)
        return store_query_end(STORE_ROWS(store, err, "SELECT 1 FROM directory WHERE route_id = ? FOR UPDATE",
                                          bind_u64(deciding->route_id)),
                               err);
    return store_query_end(STORE_ROWS(store, err, "SELECT 1 FROM mirror WHERE mirror_id = ? FOR UPDATE",
                                      bind_u64(deciding->mirror_id)),
                           err);
}

static int decide_body(struct store *store, void *context, struct err *err)
{
    struct deciding *deciding = context;
    if (read_row(store, deciding, err))
        return -1;
    if (deciding->decided == STORE_PLAN_UNKNOWN)
        return 0;
    if (lock(store, deciding, err))
        return -1;
    int64_t taken = take_plan(store, deciding, err);
    if (taken <= 0)
        return taken < 0 ? -1 : read_row(store, deciding, err);
    deciding->decided = STORE_PLAN_DECIDED;
    str_into(deciding->state, sizeof(deciding->state), state_after(deciding));
    if (audit(store, deciding, err))
        return -1;
    if (deciding->is_site)
        return deciding->decision->allow ? accept_site(store, deciding, err) : 0;
    return deciding->is_directory ? want_directory(store, deciding, err) : want_mirror(store, deciding, err);
}

int store_plan_decide(struct store *store, uint64_t plan_id, const struct store_plan_decision *decision,
                      enum store_plan_decided *decided_out, char *state, struct err *err)
{
    struct deciding deciding = {.plan_id = plan_id, .decision = decision};
    int result = store_tx_run(store, decide_body, &deciding, err);
    bool again = result && store_err_is_unknown(err);
    if (again)
        result = store_tx_run(store, decide_body, &deciding, err);
    if (result)
        return -1;
    if (again && deciding.decided == STORE_PLAN_OVER && deciding.is_same)
        deciding.decided = STORE_PLAN_DECIDED;
    *decided_out = deciding.decided;
    str_into(state, STORE_PLAN_STATE_BYTES, deciding.state);
    return 0;
}
