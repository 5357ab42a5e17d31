/*
 * What people ask about mailboxes (in the API): rows read whole, handed out one by one. The order of the columns in the
 * SELECT is the order of reading.
 */
#include "store/store_mailbox.h"

#include "store/store_breaker_sql.h"
#include "store/store_query.h"

/* SINCE "column" NOW: seconds. AGE "column" OLD: the same, but 0 for what was committed after this statement began. */
#define SINCE "TIMESTAMPDIFF(MICROSECOND, "
#define NOW ", UTC_TIMESTAMP(6)) / 1000000.0"
#define AGE "GREATEST(" SINCE
#define OLD NOW ", 0)"
#define PLANS "FROM plan q WHERE q.mirror_id = m.mirror_id"
#define BREAKER "FROM plan q WHERE q.site_id = r.from_site_id AND " STORE_BREAKER_TRIPPED

/* The present one; else who is gone. */
#define SUBSCRIBER                                                                                           \
    "FROM entry e WHERE e.route_id = m.route_id AND e.kind = 'subscriber' AND e.number = b.number "          \
    "ORDER BY e.gone_at IS NOT NULL, e.entry_id DESC LIMIT 1"

static const char status_sql[] =
    "SELECT m.mirror_id, b.number, b.name, b.cos, r.name, b.priority, m.equal, "
    "r.paused OR NOT r.configured, b.removing, "
    "COALESCE(m.lease_owner IS NOT NULL AND m.lease_until > UTC_TIMESTAMP(6), 0), m.wanted_seq > m.done_seq, "
    "m.verify_wanted_seq > m.verify_done_seq, m.wanted_seq, m.done_seq, m.verify_wanted_seq, "
    "m.verify_done_seq, m.source_messages, m.target_messages, m.missing_messages, m.refused_messages, "
    "m.altered_messages, m.gone_messages, m.foreign_messages, m.late_messages, m.gone_folders, "
    "m.copied_messages, m.copied_bytes, m.refused_keywords, m.lease_owner, " AGE "m.behind_since" OLD ", " AGE
    "m.proven_at" OLD ", GREATEST(-" SINCE "m.next_try_at" NOW ", 0), "
    "m.error, m.error_scope, m.error_side, " AGE "m.error_at" OLD ", " AGE "m.error_since" OLD ", "
    "l.error, " AGE "l.error_at" OLD ", " AGE "m.verified_at" OLD ", "
    "m.verify_differences, IF(? IS NULL, NULL, m.verify_report), p.name, t.name, p.login_state, "
    "t.login_state, p.error, t.error, m.held_messages, m.kept_messages, m.waiting_messages, "
    "m.withheld_messages, "
    "GREATEST(-" SINCE "m.deletion_due_at" NOW ", 0), "
    "IF(m.held_messages > 0, (SELECT MIN(q.plan_id) " PLANS " AND q.state = 'held'), 0), "
    "IF(m.held_messages > 0, (SELECT COUNT(*) " PLANS " AND q.state = 'held'), 0), "
    "IF(m.held_messages > 0, (SELECT q.reason " PLANS
    " AND q.state = 'held' ORDER BY q.plan_id LIMIT 1), ''), "
    "IF(m.kept_messages > 0, (SELECT MAX(q.plan_id) " PLANS " AND q.state = 'refused'), 0), "
    "IF(m.kept_messages > 0, (SELECT q.decided_by " PLANS " AND q.state = 'refused' "
    "ORDER BY q.plan_id DESC LIMIT 1), ''), "
    "(SELECT MIN(q.plan_id) " BREAKER "), "
    "EXISTS (SELECT 1 " BREAKER " AND q.state = 'refused'), m.waits_for_owner, "
    "(SELECT e.state " SUBSCRIBER "), (SELECT e.reason " SUBSCRIBER "), (SELECT e.attributes " SUBSCRIBER
    "), "
    "m.handing_over, h.host, h.place, h.messages, " AGE "h.done_at" OLD ", b.followed, " AGE
    "m.on_hold_since" OLD " "
    "FROM mirror m JOIN mailbox b ON b.mailbox_id = m.mailbox_id JOIN route r ON r.route_id = m.route_id "
    "JOIN site p ON p.site_id = r.from_site_id JOIN site t ON t.site_id = r.to_site_id "
    "LEFT JOIN handover h ON h.handover_id = (SELECT MAX(k.handover_id) FROM handover k WHERE k.mirror_id = "
    "m.mirror_id) "
    "LEFT JOIN look l ON l.mailbox_id = m.mailbox_id AND l.site_id = r.from_site_id "
    "WHERE (? IS NULL OR b.number = ?) AND (? IS NULL OR r.name = ?) AND b.mailbox_id IN "
    "(SELECT page.mailbox_id FROM (SELECT a.mailbox_id FROM mailbox a WHERE a.number > ? "
    "AND (? IS NULL OR a.number = ?) AND (? IS NULL OR EXISTS (SELECT 1 FROM mirror n "
    "JOIN route o ON o.route_id = n.route_id WHERE n.mailbox_id = a.mailbox_id AND o.name = ?)) "
    "ORDER BY a.number LIMIT ?) page) ORDER BY b.number, r.name";

static void read_identity(struct store_query *query, struct store_mirror_status *status)
{
    status->mirror_id = store_query_u64(query);
    status->mailbox = store_query_text(query);
    status->name = store_query_text(query);
    status->cos = store_query_text(query);
    status->route = store_query_text(query);
    status->priority = store_query_u32(query);
    status->equal = store_query_bool(query);
    status->paused = store_query_bool(query);
    status->removing = store_query_bool(query);
    status->working = store_query_bool(query);
    status->wanted = store_query_bool(query);
    status->verify_wanted = store_query_bool(query);
    status->wanted_seq = store_query_u64(query);
    status->done_seq = store_query_u64(query);
    status->verify_wanted_seq = store_query_u64(query);
    status->verify_done_seq = store_query_u64(query);
}

static void read_figures(struct store_query *query, struct store_mirror_status *status)
{
    status->source_messages = store_query_u32(query);
    status->target_messages = store_query_u32(query);
    status->missing_messages = store_query_u32(query);
    status->refused_messages = store_query_u32(query);
    status->altered_messages = store_query_u32(query);
    status->gone_messages = store_query_u32(query);
    status->foreign_messages = store_query_u32(query);
    status->late_messages = store_query_u32(query);
    status->gone_folders = store_query_u32(query);
    status->copied_messages = store_query_u64(query);
    status->copied_bytes = store_query_u64(query);
    status->refused_keywords = store_query_text(query);
    status->doing_owner = store_query_text(query);
}

static void read_troubles(struct store_query *query, struct store_mirror_status *status)
{
    status->lag_seconds = store_query_real_or(query, 0);
    status->proven_age_seconds = store_query_real_or(query, -1);
    status->next_try_seconds = store_query_real_or(query, -1);
    status->error = store_query_text(query);
    status->error_scope = store_query_text(query);
    status->error_side = store_query_text(query);
    status->error_age_seconds = store_query_real_or(query, -1);
    status->error_since_seconds = store_query_real_or(query, -1);
    status->look_error = store_query_text(query);
    status->look_error_age_seconds = store_query_real_or(query, -1);
    status->verified_age_seconds = store_query_real_or(query, -1);
    bool verified = !store_query_is_null(query);
    int64_t differences = store_query_i64(query);
    status->verify_differences = verified ? differences : -1;
    status->verify_report = store_query_text(query);
}

static void read_sites(struct store_query *query, struct store_mirror_status *status)
{
    status->from_site = store_query_text(query);
    status->to_site = store_query_text(query);
    status->from_login_state = store_query_text(query);
    status->to_login_state = store_query_text(query);
    status->from_error = store_query_text(query);
    status->to_error = store_query_text(query);
}

static void read_deletions(struct store_query *query, struct store_mirror_status *status)
{
    status->held_messages = store_query_u32(query);
    status->kept_messages = store_query_u32(query);
    status->waiting_messages = store_query_u32(query);
    status->withheld_messages = store_query_u32(query);
    status->deletion_due_seconds = store_query_real_or(query, -1);
    status->held_plan = store_query_u64(query);
    status->held_plans = store_query_u32(query);
    status->held_reason = store_query_text(query);
    status->kept_plan = store_query_u64(query);
    status->kept_by = store_query_text(query);
    status->breaker_plan = store_query_u64(query);
    status->breaker_refused = store_query_bool(query);
}

static void read_subscriber(struct store_query *query, struct store_mirror_status *status)
{
    status->waits_for_owner = store_query_bool(query);
    status->subscriber_state = store_query_text(query);
    status->subscriber_reason = store_query_text(query);
    status->subscriber_attributes = store_query_text(query);
    status->handing_over = store_query_bool(query);
    status->handover.host = store_query_text(query);
    status->handover.place = store_query_text(query);
    status->handover.messages = store_query_u32(query);
    status->handover.done_seconds = store_query_real_or(query, -1);
    status->followed = store_query_bool(query);
    status->on_hold_seconds = store_query_real_or(query, -1);
}

int store_mailbox_status(struct store *store, const struct store_status_filter *filter,
                         void (*on_mirror)(void *context, const struct store_mirror_status *mirror),
                         void *context, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err, status_sql, bind_text(filter->mailbox), bind_text(filter->mailbox),
                   bind_text(filter->mailbox), bind_text(filter->route), bind_text(filter->route),
                   bind_text(filter->after_mailbox ? filter->after_mailbox : ""), bind_text(filter->mailbox),
                   bind_text(filter->mailbox), bind_text(filter->route), bind_text(filter->route),
                   bind_u64(filter->limit ? filter->limit : UINT32_MAX));
    while (query && store_query_next(query)) {
        struct store_mirror_status status = {0};
        read_identity(query, &status);
        read_figures(query, &status);
        read_troubles(query, &status);
        read_sites(query, &status);
        read_deletions(query, &status);
        read_subscriber(query, &status);
        on_mirror(context, &status);
    }
    return store_query_end(query, err);
}

/* ---- show, why ---- */

static void read_folder(struct store_query *query, struct store_folder_status *folder)
{
    folder->route = store_query_text(query);
    folder->name = store_query_text(query);
    folder->target_name = store_query_text(query);
    folder->messages = store_query_u32(query);
    folder->refused = store_query_u32(query);
    folder->altered = store_query_u32(query);
    folder->lost = store_query_u32(query);
    folder->gone = store_query_u32(query);
    folder->foreign_messages = store_query_u32(query);
    folder->gone_folder = store_query_bool(query);
}

int store_mailbox_folders(struct store *store, const char *mailbox,
                          void (*on_folder)(void *context, const struct store_folder_status *folder),
                          void *context, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT r.name, f.name, f.target_name, COALESCE(SUM(g.state = 'mirrored'), 0), "
        "COALESCE(SUM(g.state = 'refused'), 0), COALESCE(SUM(g.altered), 0), COALESCE(SUM(g.state = 'lost'), "
        "0), "
        "COALESCE(SUM(g.source_gone_at IS NOT NULL), 0), f.foreign_messages, f.source_gone_at IS NOT NULL "
        "FROM mailbox b JOIN mirror m ON m.mailbox_id = b.mailbox_id JOIN route r ON r.route_id = m.route_id "
        "JOIN folder f ON f.mirror_id = m.mirror_id LEFT JOIN message g ON g.folder_id = f.folder_id "
        "WHERE b.number = ? GROUP BY f.folder_id ORDER BY r.name, f.name",
        bind_text(mailbox));
    while (query && store_query_next(query)) {
        struct store_folder_status folder;
        read_folder(query, &folder);
        on_folder(context, &folder);
    }
    return store_query_end(query, err);
}

static void read_trouble(struct store_query *query, struct store_trouble *trouble)
{
    trouble->route = store_query_text(query);
    trouble->folder = store_query_text(query);
    trouble->state = store_query_text(query);
    trouble->error = store_query_text(query);
    trouble->source_uid = store_query_u32(query);
    trouble->size_bytes = store_query_u64(query);
    trouble->internal_date = store_query_i64(query);
}

int store_mailbox_troubles(struct store *store, const char *mailbox, uint32_t limit,
                           void (*on_trouble)(void *context, const struct store_trouble *trouble),
                           void *context, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT r.name, f.name, CAST(IF(g.state = 'mirrored', 'altered', g.state) AS BINARY), g.error, "
        "g.source_uid, "
        "g.size_bytes, g.internal_date FROM mailbox b JOIN mirror m ON m.mailbox_id = b.mailbox_id "
        "JOIN route r ON r.route_id = m.route_id JOIN folder f ON f.mirror_id = m.mirror_id "
        "JOIN message g ON g.folder_id = f.folder_id "
        "WHERE b.number = ? AND (g.state <> 'mirrored' OR g.altered) ORDER BY r.name, f.name, g.source_uid "
        "LIMIT ?",
        bind_text(mailbox), bind_u64(limit));
    while (query && store_query_next(query)) {
        struct store_trouble trouble;
        read_trouble(query, &trouble);
        on_trouble(context, &trouble);
    }
    return store_query_end(query, err);
}
