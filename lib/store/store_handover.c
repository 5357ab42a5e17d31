/*
 * Handing a mirror over to another person; see store_handover.h.
 */
#include "store/store_handover.h"

#include "base/str.h"
#include "store/store_finish.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <stdio.h>
#include <string.h>

#define RELEASE "lease_owner = NULL, lease_until = NULL, pushed_at = NULL "

/* ---- begin ---- */

struct beginning {
    const struct store_lease *lease;
    char host[101];
    const char *hold_dir;
    struct store_handover *handover;
};

static int find(struct store *store, const struct beginning *beginning, struct err *err)
{
    struct store_handover *handover = beginning->handover;
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT h.handover_id, h.place FROM handover h JOIN mirror m ON m.mirror_id = h.mirror_id JOIN route "
        "r "
        "ON r.route_id = h.route_id WHERE h.mirror_id = ? AND h.done_at IS NULL AND h.former_owner = m.owner "
        "AND "
        "h.host = ? AND h.place = CONCAT(?, '/', r.name, '/', h.number, '-', h.handover_id)",
        bind_u64(beginning->lease->mirror_id), bind_text(beginning->host), bind_text(beginning->hold_dir));
    if (query && store_query_next(query)) {
        handover->handover_id = store_query_u64(query);
        store_query_copy(query, handover->place, sizeof(handover->place));
    }
    return store_query_end(query, err);
}

/* <hold_dir>/<route>/<number>-<handover_id> */
static int add(struct store *store, const struct beginning *beginning, struct err *err)
{
    if (STORE_EXEC(
            store, err,
            "INSERT INTO handover (route_id, mirror_id, number, former_owner, host, place, begun_at) "
            "SELECT m.route_id, m.mirror_id, b.number, m.owner, ?, CONCAT(?, '/', r.name, '/', b.number), "
            "UTC_TIMESTAMP(6) FROM mirror m JOIN mailbox b ON b.mailbox_id = m.mailbox_id JOIN route r ON "
            "r.route_id = m.route_id WHERE m.mirror_id = ?",
            bind_text(beginning->host), bind_text(beginning->hold_dir),
            bind_u64(beginning->lease->mirror_id)) < 0)
        return -1;
    if (STORE_EXEC(store, err,
                   "UPDATE handover SET place = CONCAT(place, '-', handover_id) WHERE handover_id = "
                   "LAST_INSERT_ID()") < 0)
        return -1;
    return find(store, beginning, err);
}

static int ask_target(struct store *store, const struct beginning *beginning, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT 1 FROM mirror m JOIN mailbox b ON b.mailbox_id = m.mailbox_id JOIN listed l ON l.route_id = "
        "m.route_id AND l.side = 'target' AND l.kind = 'subscriber' AND l.number = b.number WHERE "
        "m.mirror_id "
        "= ? LIMIT 1",
        bind_u64(beginning->lease->mirror_id));
    beginning->handover->target_has_number = query && store_query_next(query);
    return store_query_end(query, err);
}

static int begin_body(struct store *store, void *context, struct err *err)
{
    const struct beginning *beginning = context;
    *beginning->handover = (struct store_handover){0};
    if (find(store, beginning, err) != 0 ||
        (beginning->handover->handover_id == 0 && add(store, beginning, err) != 0))
        return -1;
    return ask_target(store, beginning, err);
}

int store_handover_begin(struct store *store, const struct store_lease *lease, const char *hold_dir,
                         struct store_handover *handover_out, struct err *err)
{
    struct beginning beginning = {.lease = lease, .hold_dir = hold_dir, .handover = handover_out};
    snprintf(beginning.host, sizeof(beginning.host), "%.*s", (int)strcspn(lease->owner, ":"), lease->owner);
    return store_tx_fenced(store, lease, begin_body, &beginning, err);
}

/* ---- meanwhile ---- */

static int note_body(struct store *store, void *context, struct err *err)
{
    const struct store_handover_figures *figures = context;
    return STORE_EXEC(store, err, "UPDATE handover SET messages = ?, bytes = ? WHERE handover_id = ?",
                      bind_u64(figures->messages), bind_u64(figures->bytes),
                      bind_u64(figures->handover_id)) < 0
               ? -1
               : 0;
}

int store_handover_note(struct store *store, const struct store_lease *lease,
                        const struct store_handover_figures *figures, struct err *err)
{
    struct store_handover_figures mine = *figures;
    return store_tx_fenced(store, lease, note_body, &mine, err);
}

int store_handover_late_seconds(struct store *store, const struct store_lease *lease,
                                double late_command_minutes, double *seconds_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), GREATEST(COALESCE((SELECT MAX(IF(i.state = "
        "'ghost', i.ghost_until, i.created_at + INTERVAL ? MICROSECOND)) FROM intent i JOIN folder f ON "
        "f.folder_id = i.folder_id WHERE f.mirror_id = m.mirror_id), '1970-01-01'), "
        "COALESCE(m.recheck_target_at, '1970-01-01'))) / 1000000.0 FROM mirror m WHERE m.mirror_id = ?",
        bind_u64((uint64_t)(late_command_minutes * 60e6)), bind_u64(lease->mirror_id));
    *seconds_out = query && store_query_next(query) ? store_query_real(query) : 0;
    return store_query_end(query, err);
}

struct waiting {
    uint64_t mirror_id;
    double seconds;
};

static int wait_body(struct store *store, void *context, struct err *err)
{
    const struct waiting *waiting = context;
    return STORE_EXEC(store, err,
                      "UPDATE mirror SET due_at = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, fail_count = 0, "
                      "error = '', error_scope = '', error_side = '', error_at = NULL, error_since = NULL, "
                      "next_try_at = NULL, target_suspect = 0, " RELEASE "WHERE mirror_id = ?",
                      bind_u64((uint64_t)(waiting->seconds * 1e6)), bind_u64(waiting->mirror_id)) < 0
               ? -1
               : 0;
}

int store_handover_wait(struct store *store, const struct store_lease *lease, double seconds, struct err *err)
{
    struct waiting waiting = {.mirror_id = lease->mirror_id, .seconds = seconds};
    return store_tx_fenced(store, lease, wait_body, &waiting, err);
}

/* ---- the end ---- */

struct ending {
    const struct store_lease *lease;
    uint64_t handover_id;
};

/* As if it had just been subscribed. */
static const char new_mirror_sql[] =
    "UPDATE mirror m JOIN mailbox b ON b.mailbox_id = m.mailbox_id SET m.owner = '', m.handing_over = 0, "
    "m.waits_for_owner = 1, m.priority = b.priority, m.wanted_seq = m.wanted_seq + 1, m.wanted_at = "
    "UTC_TIMESTAMP(6), m.due_at = UTC_TIMESTAMP(6), m.verify_done_seq = m.verify_wanted_seq, m.verify_deep = "
    "0, "
    "m.target_suspect = 0, m.recheck_target_at = NULL, m.behind_since = UTC_TIMESTAMP(6), m.proven_at = "
    "NULL, "
    "m.equal = 0, m.source_messages = 0, m.target_messages = 0, m.missing_messages = 0, m.refused_messages = "
    "0, "
    "m.altered_messages = 0, m.gone_messages = 0, m.foreign_messages = 0, m.late_messages = 0, "
    "m.gone_folders = "
    "0, m.held_messages = 0, m.kept_messages = 0, m.waiting_messages = 0, m.withheld_messages = 0, "
    "m.left_messages = 0, m.going_messages = 0, m.emptied = 0, m.deletion_due_at = NULL, m.refused_keywords "
    "= "
    "'', m.copied_messages = 0, m.copied_bytes = 0, m.fail_count = 0, m.error = '', m.error_scope = '', "
    "m.error_side = '', m.error_at = NULL, m.error_since = NULL, m.next_try_at = NULL, m.verified_at = NULL, "
    "m.verify_differences = NULL, m.verify_report = NULL, m.lease_owner = NULL, m.lease_until = NULL, "
    "m.pushed_at = NULL WHERE m.mirror_id = ?";

static int is_still_wanted(struct store *store, uint64_t mirror_id, bool *wanted_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err, "SELECT 1 FROM mirror WHERE mirror_id = ? AND handing_over", bind_u64(mirror_id));
    *wanted_out = query && store_query_next(query);
    return store_query_end(query, err);
}

static int done_body(struct store *store, void *context, struct err *err)
{
    const struct ending *ending = context;
    uint64_t mirror_id = ending->lease->mirror_id;
    bool wanted = false;
    if (is_still_wanted(store, mirror_id, &wanted, err) != 0)
        return -1;
    if (!wanted)
        return STORE_EXEC(store, err, "UPDATE mirror SET " RELEASE "WHERE mirror_id = ?",
                          bind_u64(mirror_id)) < 0
                   ? -1
                   : 0;
    if (store_finish_empty(store, mirror_id, err) != 0 ||
        STORE_EXEC(store, err, "UPDATE handover SET done_at = UTC_TIMESTAMP(6) WHERE handover_id = ?",
                   bind_u64(ending->handover_id)) < 0 ||
        STORE_EXEC(
            store, err,
            "UPDATE directory d JOIN mirror m ON m.route_id = d.route_id SET d.wanted_seq = d.wanted_seq "
            "+ 1, d.due_at = UTC_TIMESTAMP(6) WHERE m.mirror_id = ?",
            bind_u64(mirror_id)) < 0)
        return -1;
    return STORE_EXEC(store, err, new_mirror_sql, bind_u64(mirror_id)) < 0 ? -1 : 0;
}

int store_handover_done(struct store *store, const struct store_lease *lease, uint64_t handover_id,
                        struct err *err)
{
    struct ending ending = {.lease = lease, .handover_id = handover_id};
    return store_tx_fenced(store, lease, done_body, &ending, err);
}

/* ---- api ---- */

int store_handover_list(struct store *store, const char *route, uint64_t after, uint32_t limit,
                        void (*on_handover)(void *context, const struct store_handover_status *handover),
                        void *context, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT h.handover_id, h.number, h.former_owner, h.host, h.place, h.messages, h.bytes, "
        "TIMESTAMPDIFF(MICROSECOND, h.begun_at, UTC_TIMESTAMP(6)) / 1000000.0, TIMESTAMPDIFF(MICROSECOND, "
        "h.done_at, UTC_TIMESTAMP(6)) / 1000000.0, COALESCE(m.handing_over AND m.owner = h.former_owner, 0) "
        "FROM "
        "handover h JOIN route r ON r.route_id = h.route_id LEFT JOIN mirror m ON m.mirror_id = h.mirror_id "
        "AND "
        "h.done_at IS NULL WHERE r.name = ? AND h.handover_id > ? ORDER BY h.handover_id LIMIT ?",
        bind_text(route), bind_u64(after), bind_u64(limit));
    while (query && store_query_next(query)) {
        struct store_handover_status status = {.handover_id = store_query_u64(query)};
        status.number = store_query_text(query);
        status.former_owner = store_query_text(query);
        status.host = store_query_text(query);
        status.place = store_query_text(query);
        status.messages = store_query_u32(query);
        status.bytes = store_query_u64(query);
        status.begun_seconds = store_query_real_or(query, -1);
        status.done_seconds = store_query_real_or(query, -1);
        status.going_on = store_query_bool(query);
        on_handover(context, &status);
    }
    return store_query_end(query, err);
}
