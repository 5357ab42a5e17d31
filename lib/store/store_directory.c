/*
 * The directory's row of a route as the queue of ldapsync; see store_directory.h. There are as many rows as routes: they are
 * read without locks, and claimed by a single statement that compares the epoch.
 */
#include "store/store_directory.h"

#include "base/clock.h"
#include "base/str.h"
#include "store/store_directory_tx.h"
#include "store/store_entry_row.h"
#include "store/store_query.h"

#include <string.h>

static uint64_t microseconds(double seconds)
{
    return (uint64_t)(seconds * 1e6);
}

/* ---- claim ---- */

struct candidate {
    struct store_directory_claim claim;
    bool paused;
    double compared_seconds, listed_seconds, gone_seconds; /* ages, -1: never, none */
    bool list_wanted;
};

static void read_mark(struct store_query *query, struct store_mark *mark)
{
    const char *kind = store_query_text(query);
    size_t len = store_query_length(query);
    const char *bytes = store_query_text(query);
    mark->kind = str_equal(kind, "syncrepl")           ? STORE_MARK_SYNCREPL
                 : str_equal(kind, "modify_timestamp") ? STORE_MARK_MODIFY_TIMESTAMP
                                                       : STORE_MARK_NONE;
    mark->len = len <= sizeof(mark->bytes) ? len : 0;
    memcpy(mark->bytes, bytes, mark->len);
}

static void read_candidate(struct store_query *query, struct candidate *candidate)
{
    struct store_directory_claim *claim = &candidate->claim;
    *candidate = (struct candidate){0};
    claim->lease.route_id = store_query_u32(query);
    store_query_copy(query, claim->route, sizeof(claim->route));
    candidate->paused = store_query_bool(query);
    claim->lease.epoch = store_query_u64(query) + 1;
    claim->wanted_seq = store_query_u64(query);
    claim->wanted = store_query_bool(query);
    claim->full_wanted_seq = store_query_u64(query);
    claim->full_due = store_query_bool(query);
    claim->dry_wanted_seq = store_query_u64(query);
    claim->dry = store_query_bool(query);
    candidate->list_wanted = store_query_bool(query);
    candidate->compared_seconds = store_query_real_or(query, -1);
    candidate->listed_seconds = store_query_real_or(query, -1);
    candidate->gone_seconds = store_query_real_or(query, -1);
    read_mark(query, &claim->mark);
}

/* What the configuration says is due, beside what was asked for. */
static void judge(struct candidate *candidate, const struct config_directory *directory)
{
    struct store_directory_claim *claim = &candidate->claim;
    claim->full_due = claim->full_due || candidate->compared_seconds < 0 ||
                      candidate->compared_seconds >= directory->compare_hours * 3600;
    claim->list_due = claim->full_due || candidate->list_wanted || candidate->listed_seconds < 0 ||
                      candidate->listed_seconds >= directory->list_minutes * 60 ||
                      candidate->gone_seconds >= directory->delay_seconds;
}

static int take(struct store *store, const struct config *config, const char *owner,
                struct candidate *candidate, struct store_directory_claim *claim_out, struct err *err)
{
    struct store_directory_claim *claim = &candidate->claim;
    int64_t deadline = clock_boot_ms() + (int64_t)(config->copy.lease_seconds * 1000);
    int64_t rows =
        STORE_EXEC(store, err,
                   "UPDATE directory SET lease_owner = ?, lease_until = UTC_TIMESTAMP(6) + INTERVAL ? "
                   "MICROSECOND, lease_epoch = lease_epoch + 1 WHERE route_id = ? AND lease_epoch = ? AND "
                   "(lease_until IS NULL OR lease_until <= UTC_TIMESTAMP(6))",
                   bind_text(owner), bind_u64(microseconds(config->copy.lease_seconds)),
                   bind_u64(claim->lease.route_id), bind_u64(claim->lease.epoch - 1));
    if (rows <= 0)
        return rows < 0 ? -1 : 0;
    str_into(claim->lease.owner, sizeof(claim->lease.owner), owner);
    claim->deadline_boot_ms = deadline;
    *claim_out = *claim;
    return 0;
}

int store_directory_claim(struct store *store, const struct config *config, const char *owner,
                          struct store_directory_claim *claim_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT d.route_id, r.name, r.paused, d.lease_epoch, d.wanted_seq, d.wanted_seq > d.done_seq, "
        "d.full_wanted_seq, d.full_wanted_seq > d.full_done_seq, d.dry_wanted_seq, d.dry_wanted_seq > "
        "d.dry_done_seq, "
        "d.list_wanted, TIMESTAMPDIFF(MICROSECOND, d.compared_at, UTC_TIMESTAMP(6)) / 1e6, "
        "TIMESTAMPDIFF(MICROSECOND, d.listed_at, UTC_TIMESTAMP(6)) / 1e6, (SELECT TIMESTAMPDIFF(MICROSECOND, "
        "MIN(e.gone_at), UTC_TIMESTAMP(6)) / 1e6 FROM entry e WHERE e.route_id = d.route_id AND e.state = "
        "'gone' AND "
        "e.gone_listings = 1), d.mark_kind, d.change_mark FROM directory d "
        "JOIN route r ON r.route_id "
        "= d.route_id WHERE d.configured AND r.configured AND d.due_at <= UTC_TIMESTAMP(6) AND "
        "(d.lease_until IS "
        "NULL OR d.lease_until <= UTC_TIMESTAMP(6)) ORDER BY d.wanted_seq > d.done_seq OR d.dry_wanted_seq > "
        "d.dry_done_seq DESC, d.due_at");
    int result = 0;
    *claim_out = (struct store_directory_claim){0};
    while (query && result == 0 && claim_out->lease.route_id == 0 && store_query_next(query)) {
        struct candidate candidate;
        read_candidate(query, &candidate);
        const struct config_route *route = config_route_find(config, candidate.claim.route);
        if (!route || !config_route_has_directory(route) || (candidate.paused && !candidate.claim.dry))
            continue;
        judge(&candidate, &route->directory);
        result = take(store, config, owner, &candidate, claim_out, err);
    }
    return store_query_end(query, result ? NULL : err) || result ? -1 : 0;
}

int store_directory_renew(struct store *store, const struct config *config,
                          const struct store_directory_lease *lease, int64_t *deadline_boot_ms,
                          struct err *err)
{
    int64_t deadline = clock_boot_ms() + (int64_t)(config->copy.lease_seconds * 1000);
    int64_t rows =
        STORE_EXEC(store, err,
                   "UPDATE directory SET lease_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND WHERE "
                   "route_id = ? AND lease_epoch = ? AND lease_owner = ? AND lease_until > UTC_TIMESTAMP(6)",
                   bind_u64(microseconds(config->copy.lease_seconds)), bind_u64(lease->route_id),
                   bind_u64(lease->epoch), bind_text(lease->owner));
    if (rows < 0)
        return -1;
    if (rows == 0)
        return store_directory_tx_lost(lease, "its time is over, or another worker has it", err);
    *deadline_boot_ms = deadline;
    return 0;
}

int store_directory_inherit(struct store *store, const char *owner, struct err *err)
{
    return STORE_EXEC(
               store, err,
               "UPDATE directory SET lease_until = UTC_TIMESTAMP(6) WHERE lease_owner <> ? AND lease_until > "
               "UTC_TIMESTAMP(6) AND SUBSTRING_INDEX(lease_owner, ':', 3) = SUBSTRING_INDEX(?, ':', 3)",
               bind_text(owner), bind_text(owner)) < 0
               ? -1
               : 0;
}

/* ---- during a round ---- */

struct numbering {
    uint32_t route_id;
    uint64_t number;
};

static int number_body(struct store *store, void *context, struct err *err)
{
    struct numbering *numbering = context;
    if (STORE_EXEC(store, err,
                   "UPDATE directory SET listing_seq = LAST_INSERT_ID(listing_seq + 1) WHERE route_id = ?",
                   bind_u64(numbering->route_id)) < 0)
        return -1;
    numbering->number = store_query_insert_id(store);
    return 0;
}

int store_directory_new_listing(struct store *store, const struct store_directory_lease *lease,
                                uint64_t *listing_out, struct err *err)
{
    struct numbering numbering = {.route_id = lease->route_id};
    if (store_directory_tx(store, lease, number_body, &numbering, err) != 0)
        return -1;
    *listing_out = numbering.number;
    return 0;
}

int store_directory_want_list(struct store *store, const struct store_directory_lease *lease, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE directory SET list_wanted = 1 WHERE route_id = ? AND lease_epoch = ?",
                      bind_u64(lease->route_id), bind_u64(lease->epoch)) < 0
               ? -1
               : 0;
}

int store_directory_want_full(struct store *store, const struct store_directory_lease *lease, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE directory SET full_wanted_seq = full_done_seq + 1 WHERE route_id = ? AND "
                      "lease_epoch = ? AND "
                      "full_wanted_seq = full_done_seq",
                      bind_u64(lease->route_id), bind_u64(lease->epoch)) < 0
               ? -1
               : 0;
}

/* ---- its end ---- */

struct ending {
    const struct store_directory_claim *claim;
    const struct store_directory_finish *finish;
};

static const char *mark_word(enum store_mark_kind kind)
{
    return kind == STORE_MARK_SYNCREPL           ? "syncrepl"
           : kind == STORE_MARK_MODIFY_TIMESTAMP ? "modify_timestamp"
                                                 : "none";
}

static int record_progress(struct store *store, const struct ending *ending, struct err *err)
{
    const struct store_directory_finish *finish = ending->finish;
    const struct store_mark *mark = finish->mark;
    return STORE_EXEC(store, err,
                      "UPDATE directory SET done_seq = GREATEST(done_seq, ?), full_done_seq = "
                      "GREATEST(full_done_seq, ?), "
                      "dry_at = IF(? > dry_done_seq, UTC_TIMESTAMP(6), dry_at), dry_done_seq = "
                      "GREATEST(dry_done_seq, ?), "
                      "changes_at = IF(?, UTC_TIMESTAMP(6), changes_at), listed_at = IF(?, UTC_TIMESTAMP(6), "
                      "listed_at), "
                      "list_wanted = IF(?, 0, list_wanted), compared_at = IF(?, UTC_TIMESTAMP(6) "
                      "- INTERVAL ? * 1000000 MICROSECOND, compared_at), mark_kind = "
                      "COALESCE(?, mark_kind), change_mark = COALESCE(?, change_mark), means = COALESCE(?, "
                      "means) WHERE "
                      "route_id = ?",
                      bind_u64(finish->wanted_seq), bind_u64(finish->full_wanted_seq),
                      bind_u64(finish->dry_wanted_seq), bind_u64(finish->dry_wanted_seq),
                      bind_bool(finish->changes_seen), bind_bool(finish->listed), bind_bool(finish->listed),
                      bind_bool(finish->compared), bind_real(finish->compared_seconds_ago),
                      bind_text(mark ? mark_word(mark->kind) : NULL),
                      bind_bytes_if(mark != NULL, mark ? mark->bytes : "", mark ? mark->len : 0),
                      bind_text(finish->means), bind_u64(ending->claim->lease.route_id)) < 0
               ? -1
               : 0;
}

static int count_anew(struct store *store, uint32_t route_id, struct err *err)
{
#define FOREIGN(kind)                                                                                        \
    "(SELECT COUNT(*) FROM listed l WHERE l.route_id = d.route_id AND l.side = 'target' AND l.kind = '" kind \
    "' AND NOT EXISTS (SELECT 1 FROM entry e FORCE INDEX (target) WHERE e.route_id = l.route_id AND e.kind " \
    "= l.kind AND "                                                                                          \
    "e.target_dn = l.dn))"
    return STORE_EXEC(
               store, err,
               "UPDATE directory d SET foreign_subscribers = " FOREIGN(
                   "subscriber") ", foreign_cos = " FOREIGN("cos") ", troubles = (SELECT COUNT(*) FROM "
                                                                   "directory_trouble t WHERE t.route_id = "
                                                                   "d.route_id) WHERE route_id = ?",
               bind_u64(route_id)) < 0
               ? -1
               : 0;
#undef FOREIGN
}

/* A failed one waits ever longer, with jitter; but what was asked for meanwhile is done at once, and so is what a dry run went
 * before. */
#define ASKED_MEANWHILE "wanted_seq > ? OR full_wanted_seq > ? OR dry_wanted_seq > ?"
#define IS_LEFT "wanted_seq > done_seq OR full_wanted_seq > full_done_seq OR dry_wanted_seq > dry_done_seq"

static int release(struct store *store, const struct ending *ending, struct err *err)
{
    const struct store_directory_finish *finish = ending->finish;
    const struct store_directory_claim *claim = ending->claim;
    const struct err *error = finish->error;
    return STORE_EXEC(
               store, err,
               "UPDATE directory SET lease_owner = NULL, lease_until = NULL, due_at = UTC_TIMESTAMP(6) + "
               "INTERVAL IF(" ASKED_MEANWHILE " OR (NOT ? AND (" IS_LEFT ")), 0, 1) * IF(?, "
               "LEAST(300, POW(2, LEAST(fail_count + 1, 9))) * (0.75 + RAND() / 4), ?) * 1000000 "
               "MICROSECOND, "
               "fail_count = IF(?, LEAST(fail_count + 1, 1000), 0), error_since = IF(?, "
               "COALESCE(error_since, "
               "UTC_TIMESTAMP(6)), NULL), error_at = IF(?, UTC_TIMESTAMP(6), NULL), error = ?, error_side = "
               "? WHERE "
               "route_id = ?",
               bind_u64(claim->wanted_seq), bind_u64(claim->full_wanted_seq), bind_u64(claim->dry_wanted_seq),
               bind_bool(error != NULL), bind_bool(error != NULL), bind_real(finish->next_seconds),
               bind_bool(error != NULL), bind_bool(error != NULL), bind_bool(error != NULL),
               bind_cut(error ? error->text : "", 800), bind_text(error ? err_side_name(error->side) : ""),
               bind_u64(ending->claim->lease.route_id)) < 0
               ? -1
               : 0;
}

static int end_body(struct store *store, void *context, struct err *err)
{
    const struct ending *ending = context;
    bool moved = ending->finish->listed || ending->finish->compared;
    if (record_progress(store, ending, err) != 0 ||
        (moved && count_anew(store, ending->claim->lease.route_id, err) != 0))
        return -1;
    return release(store, ending, err);
}

int store_directory_finish(struct store *store, const struct store_directory_claim *claim,
                           const struct store_directory_finish *finish, struct err *err)
{
    struct ending ending = {claim, finish};
    return store_directory_tx(store, &claim->lease, end_body, &ending, err);
}

/* ---- a site's directory ---- */

int store_directory_may_bind(struct store *store, const struct store_directory_gate *gate,
                             uint32_t *stopped_seconds_out, char *error, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT CEIL(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), g.stopped_until) / 1e6), "
                   "g.error FROM directory_site g "
                   "JOIN site s ON s.site_id = g.site_id WHERE s.name = ? AND g.stopped_until > "
                   "UTC_TIMESTAMP(6) AND NOT (g.host "
                   "= ? AND g.secret_version <> ?)",
                   bind_text(gate->site), bind_text(gate->host), bind_u64(gate->secret_version));
    *stopped_seconds_out = 0;
    error[0] = '\0';
    if (query && store_query_next(query)) {
        *stopped_seconds_out = store_query_u32(query);
        store_query_copy(query, error, 800);
    }
    return store_query_end(query, err);
}

int store_directory_bound(struct store *store, const struct store_directory_gate *gate, bool accepted,
                          const char *words, double retry_minutes, struct err *err)
{
    int64_t rows =
        accepted ? STORE_EXEC(
                       store, err,
                       "DELETE g FROM directory_site g JOIN site s ON s.site_id = g.site_id WHERE s.name = ?",
                       bind_text(gate->site))
                 : STORE_EXEC(store, err,
                              "REPLACE INTO directory_site (site_id, stopped_until, host, secret_version, "
                              "error, error_at) SELECT "
                              "site_id, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, ?, ?, ?, UTC_TIMESTAMP(6) "
                              "FROM site WHERE name "
                              "= ?",
                              bind_u64(microseconds(retry_minutes * 60)), bind_text(gate->host),
                              bind_u64(gate->secret_version), bind_cut(words, 800), bind_text(gate->site));
    return rows < 0 ? -1 : 0;
}

/* ---- api ---- */

int store_directory_want(struct store *store, const struct store_directory_ask *ask, struct err *err)
{
    return (int)STORE_EXEC(
        store, err,
        "UPDATE directory d JOIN route r ON r.route_id = d.route_id SET d.wanted_seq = d.wanted_seq + IF(?, "
        "0, 1), d.full_wanted_seq = d.full_wanted_seq + ?, d.dry_wanted_seq = d.dry_wanted_seq + ?, "
        "d.due_at = UTC_TIMESTAMP(6) WHERE d.configured AND r.configured AND (? IS NULL OR r.name = ?)",
        bind_bool(ask->dry), bind_bool(ask->full && !ask->dry), bind_bool(ask->dry), bind_text(ask->route),
        bind_text(ask->route));
}

static int read_counts(struct store *store, uint32_t route_id, const char *kind,
                       struct store_directory_counts *counts, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT COUNT(*), COALESCE(SUM(e.state = 'equal'), 0), COALESCE(SUM(e.state = 'differs'), 0), "
        "COALESCE(SUM(e.state = 'missing'), 0), COALESCE(SUM(e.state = 'waiting'), 0), "
        "COALESCE(SUM(e.state = 'unproven'), 0), COALESCE(SUM(e.state = 'gone'), 0), "
        "COALESCE(SUM(e.state = 'held'), 0), COALESCE(SUM(e.state = 'kept'), 0), "
        "COALESCE(TIMESTAMPDIFF(MICROSECOND, MIN(e.differs_since), UTC_TIMESTAMP(6)) / 1e6, 0), "
        "TIMESTAMPDIFF(MICROSECOND, MIN(IF(e.state = 'equal', " STORE_ENTRY_PROVEN_AT
        ", NULL)), UTC_TIMESTAMP(6)) / 1e6 FROM entry e JOIN directory d ON d.route_id = e.route_id "
        "WHERE e.route_id = ? AND e.kind = ?",
        bind_u64(route_id), bind_text(kind));
    if (query && store_query_next(query)) {
        uint32_t *columns[] = {&counts->total,   &counts->equal,   &counts->differs,
                               &counts->missing, &counts->waiting, &counts->unproven,
                               &counts->gone,    &counts->held,    &counts->kept};
        for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
            *columns[i] = store_query_u32(query);
        counts->oldest_difference_seconds = store_query_real(query);
        counts->oldest_proof_seconds = store_query_real_or(query, -1);
    }
    return store_query_end(query, err);
}

static void read_status(struct store_query *query, struct store_directory_status *status)
{
    status->route = store_query_text(query);
    status->from_site = store_query_text(query);
    status->to_site = store_query_text(query);
    status->means = store_query_text(query);
    status->paused = store_query_bool(query);
    status->working = store_query_bool(query);
    uint64_t *numbers[] = {&status->wanted_seq,    &status->done_seq,       &status->full_wanted_seq,
                           &status->full_done_seq, &status->dry_wanted_seq, &status->dry_done_seq};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        *numbers[i] = store_query_u64(query);
    status->wanted = status->wanted_seq > status->done_seq || status->full_wanted_seq > status->full_done_seq;
    status->dry_wanted = status->dry_wanted_seq > status->dry_done_seq;
    status->subscribers.foreign = store_query_u32(query);
    status->cos.foreign = store_query_u32(query);
    status->troubles = store_query_u32(query);
    double *ages[] = {&status->changes_age_seconds, &status->listed_age_seconds,
                      &status->compared_age_seconds, &status->dry_age_seconds, &status->error_since_seconds};
    for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++)
        *ages[i] = store_query_real_or(query, -1);
    status->error = store_query_text(query);
    status->error_side = store_query_text(query);
}

static const char list_sql[] =
#define AGE(column) "TIMESTAMPDIFF(MICROSECOND, d." column ", UTC_TIMESTAMP(6)) / 1e6, "
    "SELECT d.route_id, r.name, f.name, t.name, d.means, r.paused, COALESCE(d.lease_until > "
    "UTC_TIMESTAMP(6), 0), "
    "d.wanted_seq, d.done_seq, d.full_wanted_seq, d.full_done_seq, d.dry_wanted_seq, d.dry_done_seq, "
    "d.foreign_subscribers, "
    "d.foreign_cos, d.troubles, " AGE("changes_at") AGE("listed_at") AGE("compared_at") AGE("dry_at")
        AGE("error_since") "d.error, d.error_side FROM directory d JOIN route r ON r.route_id = d.route_id "
                           "JOIN site f ON f.site_id = "
                           "r.from_site_id JOIN site t ON t.site_id = r.to_site_id WHERE d.configured AND "
                           "r.configured ORDER BY r.name";
#undef AGE

int store_directory_list(struct store *store,
                         void (*on_directory)(void *context, const struct store_directory_status *status),
                         void *context, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err, list_sql);
    int result = 0;
    while (query && result == 0 && store_query_next(query)) {
        struct store_directory_status status = {0};
        uint32_t route_id = store_query_u32(query);
        read_status(query, &status);
        if (read_counts(store, route_id, "subscriber", &status.subscribers, err) != 0 ||
            read_counts(store, route_id, "cos", &status.cos, err) != 0)
            result = -1;
        else
            on_directory(context, &status);
    }
    return store_query_end(query, result ? NULL : err) || result ? -1 : 0;
}
