/*
 * Removals; see the header. The rows' own words (column `removal`) are the truth; `plan_message` is the set of a plan as it
 * was made, for people, and never added to.
 */
#include "store/store_removal.h"

#include "base/crash.h"
#include "base/str.h"
#include "store/store_breaker_sql.h"
#include "store/store_message.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <stdlib.h>

/* ---- reading ---- */

static void read_gone(struct store_query *query, struct store_gone *gone)
{
    *gone = (struct store_gone){.message_id = store_query_u64(query)};
    gone->folder_id = store_query_u64(query);
    gone->source_uid = store_query_u32(query);
    gone->target_uid = store_query_u32(query);
    gone->internal_date = store_query_i64(query);
    gone->copy_bytes = store_query_u64(query);
    gone->altered = store_query_bool(query);
    gone->removal = store_message_removal(store_query_text(query));
    gone->allowed = store_query_bool(query);
    gone->gone_seconds = store_query_real(query);
}

int store_removal_list(struct store *store, uint64_t mirror_id, struct store_gone **gone_out,
                       size_t *count_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT g.message_id, g.folder_id, g.source_uid, g.target_uid, g.internal_date, "
        "COALESCE(g.target_size, g.size_bytes), g.altered, g.removal, COALESCE(p.state = 'allowed', 0), "
        "TIMESTAMPDIFF(MICROSECOND, g.source_gone_at, UTC_TIMESTAMP(6)) / 1000000.0 "
        "FROM folder f JOIN message g ON g.folder_id = f.folder_id LEFT JOIN plan p ON p.plan_id = g.plan_id "
        "WHERE f.mirror_id = ? AND g.source_gone_at IS NOT NULL ORDER BY g.folder_id, g.target_uid",
        bind_u64(mirror_id));
    size_t count = 0;
    *gone_out = mem_grow(NULL, query ? store_query_count(query) + 1 : 1, sizeof(**gone_out));
    while (query && store_query_next(query))
        read_gone(query, &(*gone_out)[count++]);
    *count_out = count;
    if (store_query_end(query, err) == 0)
        return 0;
    free(*gone_out);
    *gone_out = NULL;
    *count_out = 0;
    return -1;
}

static int list_uids(struct store *store, const char *sql, uint64_t folder_id, uint32_t **uids_out,
                     size_t *count_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err, sql, bind_u64(folder_id));
    size_t count = 0;
    *uids_out = mem_grow(NULL, query ? store_query_count(query) + 1 : 1, sizeof(**uids_out));
    while (query && store_query_next(query))
        (*uids_out)[count++] = store_query_u32(query);
    *count_out = count;
    if (store_query_end(query, err) == 0)
        return 0;
    free(*uids_out);
    *uids_out = NULL;
    *count_out = 0;
    return -1;
}

int store_removal_present(struct store *store, uint64_t folder_id, uint32_t **uids_out, size_t *count_out,
                          struct err *err)
{
    return list_uids(store,
                     "SELECT source_uid FROM message WHERE folder_id = ? AND source_gone_at IS NULL AND "
                     "source_uid IS NOT NULL ORDER BY source_uid",
                     folder_id, uids_out, count_out, err);
}

int store_removal_mirrored(struct store *store, uint64_t folder_id, uint32_t **uids_out, size_t *count_out,
                           struct err *err)
{
    return list_uids(
        store,
        "SELECT target_uid FROM message WHERE folder_id = ? AND target_uid IS NOT NULL ORDER BY target_uid",
        folder_id, uids_out, count_out, err);
}

/* ---- the same for each of many rows ---- */

struct each {
    const struct store_lease *lease;
    const uint64_t *message_ids;
    size_t count;
    const char *on_plan, *on_message; /* each with one parameter, the row's id; on_plan may be NULL */
};

static int each_body(struct store *store, void *context, struct err *err)
{
    const struct each *each = context;
    for (size_t i = 0; i < each->count; i++)
        if ((each->on_plan && STORE_EXEC(store, err, each->on_plan, bind_u64(each->message_ids[i])) < 0) ||
            STORE_EXEC(store, err, each->on_message, bind_u64(each->message_ids[i])) < 0)
            return -1;
    return 0;
}

static int run_each(struct store *store, struct each each, struct err *err)
{
    return each.count == 0 ? 0 : store_tx_fenced(store, each.lease, each_body, &each, err);
}

#define SET_OUTCOME(word)                                                                                    \
    "UPDATE plan_message SET outcome = '" word "' WHERE message_id = ? AND outcome = 'open'"
#define DROP_ROW "DELETE FROM message WHERE message_id = ? AND source_gone_at IS NOT NULL"

int store_removal_back(struct store *store, const struct store_lease *lease, const uint64_t *message_ids,
                       size_t count, struct err *err)
{
    return run_each(
        store,
        (struct each){lease, message_ids, count, SET_OUTCOME("back"),
                      "UPDATE message SET source_gone_at = NULL, removal = 'none', plan_id = NULL "
                      "WHERE message_id = ?"},
        err);
}

int store_removal_end(struct store *store, const struct store_lease *lease, const uint64_t *message_ids,
                      size_t count, struct err *err)
{
    return run_each(store, (struct each){lease, message_ids, count, SET_OUTCOME("removed"), DROP_ROW}, err);
}

int store_removal_leave(struct store *store, const struct store_lease *lease, const uint64_t *message_ids,
                        size_t count, struct err *err)
{
    return run_each(store, (struct each){lease, message_ids, count, SET_OUTCOME("kept"), DROP_ROW}, err);
}

int store_removal_lost_sight(struct store *store, const struct store_lease *lease,
                             const uint64_t *message_ids, size_t count, struct err *err)
{
    return run_each(store,
                    (struct each){lease, message_ids, count, NULL,
                                  "UPDATE message SET target_uid = NULL, "
                                  "removal = IF(removal <> 'begun', removal, IF(plan_id IS NULL, "
                                  "'none', 'held')) WHERE message_id = ?"},
                    err);
}

/* ---- the brakes ---- */

struct asking {
    const struct store_lease *lease;
    const struct store_removal_request *request;
    struct store_removal_answer *answer;
    char *greetings; /* "1,5" */
    uint32_t route_id, site_id;
    uint32_t undecided; /* of mailbox.going: neither held nor removed */
    struct store_brake_mailbox mailbox;
    struct store_brake_route route;
};

/* Not what the store may have removed by itself, since its age passed the limit in the last two days. What is older was not
 * subject to that, or we would not have seen it any more: saved messages, say. Where the clean-up did not run for a week,
 * what it makes up for is held, and a person says so. */
#define COUNTED "(UNIX_TIMESTAMP() - g.internal_date NOT BETWEEN ? AND ?)"
#define WINDOW "UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND"

enum { DAY_SECONDS = 86400, CLEAN_UP_DAYS = 2 };

static struct store_param cleaned_up_from(const struct asking *asking)
{
    uint32_t days = asking->request->route->from_site->retention_days;
    return bind_i64(days ? (int64_t)days * DAY_SECONDS : INT64_MAX); /* not known: all counts */
}

static struct store_param cleaned_up_to(const struct asking *asking)
{
    return bind_i64(((int64_t)asking->request->route->from_site->retention_days + CLEAN_UP_DAYS) *
                    DAY_SECONDS);
}

static uint64_t window_us(const struct asking *asking)
{
    return (uint64_t)(asking->request->route->deletions.window_minutes * 60e6);
}

static int lock_route(struct store *store, struct asking *asking, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err,
                                           "SELECT route_id, from_site_id FROM route WHERE route_id = "
                                           "(SELECT route_id FROM mirror WHERE mirror_id = ?) FOR UPDATE",
                                           bind_u64(asking->lease->mirror_id));
    bool there = query && store_query_next(query);
    asking->route_id = there ? store_query_u32(query) : 0;
    asking->site_id = there ? store_query_u32(query) : 0;
    return store_query_end(query, err);
}

static int is_tripped(struct store *store, uint64_t mirror_id, bool *tripped_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT EXISTS (SELECT 1 FROM plan p JOIN route r ON r.from_site_id = p.site_id "
        "JOIN mirror m ON m.route_id = r.route_id WHERE m.mirror_id = ? AND " STORE_BREAKER_TRIPPED ")",
        bind_u64(mirror_id));
    *tripped_out = query && store_query_next(query) && store_query_bool(query);
    return store_query_end(query, err);
}

/* `recent`: held within the window, so that a wipe that comes in pieces is seen whole. Begun ones stand in `removal`.
 * Nameless ones were not cleaned up, however old. */
static int count_rows(struct store *store, struct asking *asking, struct err *err)
{
    const struct config_route *route = asking->request->route;
    struct store_brake_mailbox *mailbox = &asking->mailbox;
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT COALESCE(SUM(here AND NOT greeting), 0), "
        "COALESCE(SUM((undecided OR recent) AND NOT here AND counted AND NOT greeting), 0), "
        "COALESCE(SUM(undecided AND NOT here AND counted AND NOT greeting), 0), "
        "COALESCE(SUM(undecided AND NOT here AND nameless), 0), "
        "COALESCE(SUM(undecided AND proven AND greeting), 0), COALESCE(SUM(here AND greeting), 0), "
        "COUNT(DISTINCT IF(undecided, gone_folder, NULL)) FROM "
        "(SELECT g.source_gone_at IS NULL AS here, g.removal = 'none' AS undecided, "
        "COALESCE(g.source_gone_at <= " WINDOW ", 0) AS proven, "
        "g.removal = 'held' AND g.source_gone_at > " WINDOW " AS recent, " COUNTED " AS counted, "
        "g.source_uid IS NULL AS nameless, FIND_IN_SET(g.folder_id, ?) > 0 AS greeting, "
        "IF(f.source_gone_at IS NULL, NULL, f.folder_id) AS gone_folder "
        "FROM folder f JOIN message g ON g.folder_id = f.folder_id "
        "WHERE f.mirror_id = ? AND g.target_uid IS NOT NULL) copies",
        bind_u64((uint64_t)(route->deletions.delay_seconds * 1e6)), bind_u64(window_us(asking)),
        cleaned_up_from(asking), cleaned_up_to(asking), bind_text(asking->greetings),
        bind_u64(asking->lease->mirror_id));
    if (query && store_query_next(query)) {
        mailbox->left = store_query_u32(query);
        mailbox->going = store_query_u32(query);
        asking->undecided = store_query_u32(query);
        mailbox->nameless = store_query_u32(query);
        mailbox->greetings_gone = store_query_u32(query);
        mailbox->greetings_left = store_query_u32(query);
        mailbox->folders_gone = store_query_u32(query);
    }
    return store_query_end(query, err);
}

static int count_folders(struct store *store, struct asking *asking, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT COUNT(*) FROM folder WHERE mirror_id = ? AND source_gone_at IS NULL AND name <> 'INBOX'",
        bind_u64(asking->lease->mirror_id));
    asking->mailbox.folders_left = query && store_query_next(query) ? store_query_u32(query) : 0;
    return store_query_end(query, err);
}

/* What the row says of this mirror: what is still undecided. Others add the windows to it, and would count twice what stands
 * in a plan or in the journal. */
static int note_figures(struct store *store, const struct asking *asking, struct err *err)
{
    return STORE_EXEC(
               store, err,
               "UPDATE mirror SET left_messages = ?, going_messages = ?, emptied = ? WHERE mirror_id = ?",
               bind_u64(asking->mailbox.left), bind_u64(asking->undecided),
               bind_bool(store_brake_is_emptied(&asking->mailbox)), bind_u64(asking->lease->mirror_id)) < 0
               ? -1
               : 0;
}

/* What was removed lately without a person's word. */
static int add_removed(struct store *store, struct asking *asking, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT COALESCE(SUM(IF(mirror_id = ?, counted, 0)), 0), COALESCE(SUM(counted), 0), "
                   "COUNT(DISTINCT IF(emptied AND mirror_id <> ?, mirror_id, NULL)) "
                   "FROM removal WHERE route_id = ? AND at > " WINDOW,
                   bind_u64(asking->lease->mirror_id), bind_u64(asking->lease->mirror_id),
                   bind_u64(asking->route_id), bind_u64(window_us(asking)));
    if (query && store_query_next(query)) {
        asking->mailbox.going += store_query_u32(query);
        asking->route.going += store_query_u64(query);
        asking->route.emptied += store_query_u32(query);
    }
    return store_query_end(query, err);
}

/* Held lately, on other mirrors; ours are among the rows. One or two mailboxes that were held for themselves don't make a
 * disaster of the route; many do. What users deleted and the route held in the same hour counts as what it is: were each of
 * their mailboxes taken for an emptied one, a route once held would hold for ever. */
static int add_held(struct store *store, struct asking *asking, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT kind = 'route', COUNT(DISTINCT mirror_id), COUNT(DISTINCT IF(emptied, mirror_id, NULL)), "
        "COALESCE(SUM(messages), 0) FROM plan WHERE route_id = ? AND mirror_id <> ? AND made_at > " WINDOW
        " AND state IN ('held', 'refused') GROUP BY 1",
        bind_u64(asking->route_id), bind_u64(asking->lease->mirror_id), bind_u64(window_us(asking)));
    while (query && store_query_next(query)) {
        bool for_route = store_query_bool(query);
        uint32_t mailboxes = store_query_u32(query);
        uint32_t emptied = store_query_u32(query);
        uint64_t messages = store_query_u64(query);
        if (!for_route && mailboxes < STORE_BRAKE_MANY)
            continue;
        asking->route.emptied += emptied;
        asking->route.going += messages;
    }
    return store_query_end(query, err);
}

static int add_mirrors(struct store *store, struct asking *asking, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err,
                                           "SELECT COUNT(*), COALESCE(SUM(left_messages), 0), "
                                           "COALESCE(SUM(going_messages), 0), COALESCE(SUM(emptied), 0) "
                                           "FROM mirror WHERE route_id = ?",
                                           bind_u64(asking->route_id));
    if (query && store_query_next(query)) {
        asking->route.mailboxes = store_query_u32(query);
        asking->route.left += store_query_u64(query);
        asking->route.going += store_query_u64(query);
        asking->route.emptied += store_query_u32(query);
    }
    return store_query_end(query, err);
}

static int count(struct store *store, struct asking *asking, struct err *err)
{
    asking->mailbox = (struct store_brake_mailbox){0};
    asking->route = (struct store_brake_route){0};
    if (count_rows(store, asking, err) || count_folders(store, asking, err))
        return -1;
    asking->route.going +=
        asking->mailbox.going - asking->undecided; /* ours that are held: in nobody's row */
    return note_figures(store, asking, err) || add_removed(store, asking, err) ||
                   add_held(store, asking, err) || add_mirrors(store, asking, err)
               ? -1
               : 0;
}

/* ---- held ---- */

static int add_plan(struct store *store, struct asking *asking, enum store_brake_verdict verdict,
                    struct err *err)
{
    if (STORE_EXEC(store, err,
                   "INSERT INTO plan (kind, site_id, route_id, mirror_id, mailbox, reason, emptied, made_at) "
                   "SELECT ?, ?, ?, m.mirror_id, b.number, ?, ?, UTC_TIMESTAMP(6) FROM mirror m JOIN mailbox "
                   "b ON b.mailbox_id = "
                   "m.mailbox_id WHERE m.mirror_id = ?",
                   bind_text(verdict == STORE_BRAKE_HOLD_ROUTE ? "route" : "mailbox"),
                   bind_u64(asking->site_id), bind_u64(asking->route_id), bind_text(asking->answer->reason),
                   bind_bool(store_brake_is_emptied(&asking->mailbox)),
                   bind_u64(asking->lease->mirror_id)) < 0)
        return -1;
    asking->answer->plan_id = store_query_insert_id(store);
    return 0;
}

/* All that is gone and undecided, proven or not: when the plan is carried out, it is proven in any case. */
static int fill_plan(struct store *store, struct asking *asking, struct err *err)
{
    uint64_t plan_id = asking->answer->plan_id;
    int64_t rows =
        STORE_EXEC(store, err,
                   "INSERT INTO plan_message (plan_id, message_id, folder, source_uidvalidity, source_uid, "
                   "internal_date, size_bytes) SELECT ?, g.message_id, f.name, f.source_uidvalidity, "
                   "g.source_uid, g.internal_date, g.size_bytes FROM folder f JOIN message g "
                   "ON g.folder_id = f.folder_id WHERE f.mirror_id = ? AND g.source_gone_at IS NOT NULL "
                   "AND g.removal = 'none' AND g.target_uid IS NOT NULL",
                   bind_u64(plan_id), bind_u64(asking->lease->mirror_id));
    if (rows < 0)
        return -1;
    asking->answer->held = (uint32_t)rows;
    if (STORE_EXEC(
            store, err,
            "UPDATE message g JOIN plan_message p ON p.message_id = g.message_id SET g.removal = 'held', "
            "g.plan_id = p.plan_id WHERE p.plan_id = ?",
            bind_u64(plan_id)) < 0)
        return -1;
    return STORE_EXEC(store, err, "UPDATE plan SET messages = ? WHERE plan_id = ?", bind_u64((uint64_t)rows),
                      bind_u64(plan_id)) < 0
               ? -1
               : 0;
}

/* Those in the plan are not to go any more. */
static int forget_figures(struct store *store, const struct asking *asking, struct err *err)
{
    return STORE_EXEC(store, err, "UPDATE mirror SET going_messages = 0, emptied = 0 WHERE mirror_id = ?",
                      bind_u64(asking->lease->mirror_id)) < 0
               ? -1
               : 0;
}

/* ---- begun ---- */

static int begin(struct store *store, const uint64_t *message_ids, size_t count, const char *sql,
                 struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (STORE_EXEC(store, err, sql, bind_u64(message_ids[i])) < 0)
            return -1;
    return 0;
}

/* Counted from the rows, so that a repeated transaction counts once; like them without greetings. */
static int count_proven(struct store *store, const struct asking *asking, uint32_t *counted_out,
                        struct err *err)
{
    *counted_out = 0;
    for (size_t i = 0; i < asking->request->proven_count; i++) {
        struct store_query *query =
            STORE_ROWS(store, err,
                       "SELECT " COUNTED " AND NOT FIND_IN_SET(g.folder_id, ?) FROM message g WHERE "
                       "g.message_id = ? AND g.removal = 'none'",
                       cleaned_up_from(asking), cleaned_up_to(asking), bind_text(asking->greetings),
                       bind_u64(asking->request->proven[i]));
        *counted_out += query && store_query_next(query) && store_query_bool(query);
        if (store_query_end(query, err))
            return -1;
    }
    return 0;
}

/* From the mirror's row into the journal: there it counts for as long as the window is. */
static int journal(struct store *store, const struct asking *asking, struct err *err)
{
    uint32_t counted = 0;
    if (count_proven(store, asking, &counted, err) ||
        STORE_EXEC(store, err,
                   "UPDATE mirror SET going_messages = IF(going_messages > ?, going_messages - ?, 0), "
                   "emptied = 0 WHERE mirror_id = ?",
                   bind_u64(counted), bind_u64(counted), bind_u64(asking->lease->mirror_id)) < 0)
        return -1;
    return STORE_EXEC(store, err,
                      "INSERT INTO removal (route_id, mirror_id, at, messages, counted, emptied) "
                      "VALUES (?, ?, UTC_TIMESTAMP(6), ?, ?, ?)",
                      bind_u64(asking->route_id), bind_u64(asking->lease->mirror_id),
                      bind_u64(asking->request->proven_count), bind_u64(counted),
                      bind_bool(store_brake_is_emptied(&asking->mailbox))) < 0
               ? -1
               : 0;
}

static int begin_proven(struct store *store, const struct asking *asking, struct err *err)
{
    const struct store_removal_request *request = asking->request;
    if (request->proven_count == 0)
        return 0;
    return journal(store, asking, err) || begin(store, request->proven, request->proven_count,
                                                "UPDATE message SET removal = 'begun' WHERE message_id = ? "
                                                "AND source_gone_at IS NOT NULL AND removal = 'none'",
                                                err)
               ? -1
               : 0;
}

static int ask_body(struct store *store, void *context, struct err *err)
{
    struct asking *asking = context;
    enum store_brake_verdict verdict;
    bool tripped = false;
    *asking->answer = (struct store_removal_answer){0};
    if (lock_route(store, asking, err) || is_tripped(store, asking->lease->mirror_id, &tripped, err))
        return -1;
    if (tripped) {
        asking->answer->verdict = STORE_REMOVAL_TRIPPED;
        return 0;
    }
    if (count(store, asking, err))
        return -1;
    verdict = store_brake_decide(&asking->request->route->deletions, &asking->mailbox, &asking->route,
                                 asking->answer->reason);
    if (verdict == STORE_BRAKE_GO)
        return begin_proven(store, asking, err);
    asking->answer->verdict = STORE_REMOVAL_HELD;
    return add_plan(store, asking, verdict, err) || fill_plan(store, asking, err) ||
                   forget_figures(store, asking, err)
               ? -1
               : 0;
}

/* "4,7" for FIND_IN_SET. */
static char *list_ids(const uint64_t *ids, size_t count)
{
    char *text = str_copy("");
    for (size_t i = 0; i < count; i++) {
        char *longer = str_format("%s%s%llu", text, i ? "," : "", (unsigned long long)ids[i]);
        free(text);
        text = longer;
    }
    return text;
}

int store_removal_ask(struct store *store, const struct store_lease *lease,
                      const struct store_removal_request *request, struct store_removal_answer *answer_out,
                      struct err *err)
{
    struct asking asking = {.lease = lease,
                            .request = request,
                            .answer = answer_out,
                            .greetings = list_ids(request->greeting_folders, request->greeting_folder_count)};
    int result = store_tx_fenced(store, lease, ask_body, &asking, err);
    free(asking.greetings);
    return result;
}

struct beginning {
    const struct store_lease *lease;
    const uint64_t *message_ids;
    size_t count;
    bool tripped;
};

static int begin_allowed_body(struct store *store, void *context, struct err *err)
{
    struct beginning *beginning = context;
    if (is_tripped(store, beginning->lease->mirror_id, &beginning->tripped, err))
        return -1;
    if (beginning->tripped)
        return 0;
    return begin(store, beginning->message_ids, beginning->count,
                 "UPDATE message g JOIN plan p ON p.plan_id = g.plan_id SET g.removal = 'begun' "
                 "WHERE g.message_id = ? AND g.source_gone_at IS NOT NULL AND g.removal = 'held' "
                 "AND p.state = 'allowed'",
                 err);
}

int store_removal_begin_allowed(struct store *store, const struct store_lease *lease,
                                const uint64_t *message_ids, size_t count, bool *begun_out, struct err *err)
{
    struct beginning beginning = {.lease = lease, .message_ids = message_ids, .count = count};
    int result = count == 0 ? 0 : store_tx_fenced(store, lease, begin_allowed_body, &beginning, err);
    *begun_out = result == 0 && !beginning.tripped;
    return result;
}

/* ---- folders and plans ---- */

struct settling {
    const struct store_lease *lease;
    uint64_t folder_id;
    bool dropped;
};

static int doubt_body(struct store *store, void *context, struct err *err)
{
    const struct settling *settling = context;
    return STORE_EXEC(
               store, err,
               "UPDATE folder SET target_uidnext = NULL, target_exists = NULL, target_highestmodseq = NULL "
               "WHERE folder_id = ? AND mirror_id = ?",
               bind_u64(settling->folder_id), bind_u64(settling->lease->mirror_id)) < 0
               ? -1
               : 0;
}

int store_removal_doubt_target(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                               struct err *err)
{
    struct settling settling = {.lease = lease, .folder_id = folder_id};
    return store_tx_fenced(store, lease, doubt_body, &settling, err);
}

/* In this order; each takes the mirror's id. By way of the plans' sets: messages have no index by plan. */
static const char *const plan_settlements[] = {
    "UPDATE plan_message o JOIN plan p ON p.plan_id = o.plan_id SET o.outcome = 'kept' "
    "WHERE p.mirror_id = ? AND p.state = 'refused' AND p.ended_at IS NULL AND o.outcome = 'open'",
    "UPDATE plan p JOIN plan_message o ON o.plan_id = p.plan_id JOIN message g ON g.message_id = "
    "o.message_id "
    "SET g.removal = 'kept' WHERE p.mirror_id = ? AND p.state = 'refused' AND p.ended_at IS NULL "
    "AND g.removal = 'held' AND g.plan_id = p.plan_id",
    "UPDATE plan SET ended_at = UTC_TIMESTAMP(6) WHERE mirror_id = ? AND state = 'refused' AND ended_at IS "
    "NULL",
    "UPDATE plan SET ended_at = UTC_TIMESTAMP(6), state = IF(state = 'allowed', 'done', 'dissolved') "
    "WHERE mirror_id = ? AND state IN ('held', 'allowed') AND NOT EXISTS "
    "(SELECT 1 FROM plan_message o WHERE o.plan_id = plan.plan_id AND o.outcome = 'open')",
};

static int settle_body(struct store *store, void *context, struct err *err)
{
    const struct settling *settling = context;
    for (size_t i = 0; i < sizeof(plan_settlements) / sizeof(*plan_settlements); i++)
        if (STORE_EXEC(store, err, plan_settlements[i], bind_u64(settling->lease->mirror_id)) < 0)
            return -1;
    return 0;
}

static int has_open_plans(struct store *store, uint64_t mirror_id, bool *open_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT EXISTS (SELECT 1 FROM plan WHERE mirror_id = ? AND state IN ('held', 'allowed', 'refused') "
        "AND ended_at IS NULL)",
        bind_u64(mirror_id));
    *open_out = query && store_query_next(query) && store_query_bool(query);
    return store_query_end(query, err);
}

/* Nothing is written where no plan is open (I7). */
int store_removal_settle_plans(struct store *store, const struct store_lease *lease, struct err *err)
{
    struct settling settling = {.lease = lease};
    bool open = false;
    if (has_open_plans(store, lease->mirror_id, &open, err))
        return -1;
    return open ? CRASH_AFTER(PLANS_SETTLED, store_tx_fenced(store, lease, settle_body, &settling, err)) : 0;
}

int store_removal_is_empty(struct store *store, uint64_t folder_id, bool *empty_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err, "SELECT NOT EXISTS (SELECT 1 FROM message WHERE folder_id = ?)", bind_u64(folder_id));
    *empty_out = query && store_query_next(query) && store_query_bool(query);
    return store_query_end(query, err);
}

static int drop_body(struct store *store, void *context, struct err *err)
{
    struct settling *settling = context;
    int64_t rows =
        STORE_EXEC(store, err,
                   "DELETE FROM folder WHERE folder_id = ? AND mirror_id = ? AND source_gone_at IS NOT NULL "
                   "AND NOT EXISTS (SELECT 1 FROM message g WHERE g.folder_id = folder.folder_id) "
                   "AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.folder_id = folder.folder_id)",
                   bind_u64(settling->folder_id), bind_u64(settling->lease->mirror_id));
    settling->dropped = rows > 0;
    return rows < 0 ? -1 : 0;
}

int store_removal_drop_folder(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                              bool *dropped_out, struct err *err)
{
    struct settling settling = {.lease = lease, .folder_id = folder_id};
    int result = store_tx_fenced(store, lease, drop_body, &settling, err);
    *dropped_out = result == 0 && settling.dropped;
    return result;
}

/* The widest window is 7 days. */
int store_removal_tidy(struct store *store, struct err *err)
{
    return STORE_EXEC(store, err,
                      "DELETE FROM removal WHERE at < UTC_TIMESTAMP(6) - INTERVAL 35 DAY LIMIT 1000") < 0
               ? -1
               : 0;
}
