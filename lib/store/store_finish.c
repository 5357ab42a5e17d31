/*
 * The end of a copier's turn on a mirror: done, yielded or failed; the lease is released with it.
 */
#include "store/store_finish.h"

#include "store/store_breaker_sql.h"
#include "store/store_mirror.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <stdlib.h>

enum { REPORT_MAX_BYTES = 60000, DELETION_RETRY_LEAST = 1, DELETION_RETRY_MOST = 60 }; /* seconds */
enum { DELETION_AGED_US = 900000000 };

double store_finish_delay(uint32_t fail_count, enum err_scope scope, double random)
{
    double delay = scope == ERR_SITE ? 5 : 2;
    /* With a folder's own error the others of the mailbox are served at each try: those must not wait long. */
    double most = scope == ERR_SITE ? 120 : scope <= ERR_FOLDER ? 60 : 900;
    for (uint32_t i = 1; i < fail_count && delay < most; i++)
        delay *= 2;
    return (delay < most ? delay : most) * (0.75 + random / 2);
}

struct finishing {
    const struct store_lease *lease;
    const struct store_finish *finish;
};

#define RELEASE "lease_owner = NULL, lease_until = NULL, pushed_at = NULL "
#define WELL                                                                                                 \
    "fail_count = 0, error = '', error_scope = '', error_side = '', error_at = NULL, error_since = NULL, "   \
    "next_try_at = NULL, "

static int set_figures(struct store *store, uint64_t mirror_id, const struct store_mirror_figures *f,
                       struct err *err)
{
    int64_t rows = STORE_EXEC(
        store, err,
        "UPDATE mirror SET source_messages = ?, target_messages = ?, missing_messages = ?, refused_messages "
        "= ?, "
        "altered_messages = ?, foreign_messages = ?, late_messages = ?, gone_folders = ?, left_messages = ?, "
        "withheld_messages = ?, "
        "gone_messages = 0, held_messages = 0, kept_messages = 0, waiting_messages = 0, going_messages = "
        "IF(?, "
        "going_messages, 0), emptied = emptied AND ?, deletion_due_at = NULL, refused_keywords = ? "
        "WHERE mirror_id = ?",
        bind_u64(f->source_messages), bind_u64(f->target_messages), bind_u64(f->missing_messages),
        bind_u64(f->refused_messages), bind_u64(f->altered_messages), bind_u64(f->foreign_messages),
        bind_u64(f->late_messages), bind_u64(f->gone_folders), bind_u64(f->left_messages),
        bind_u64(f->withheld_messages), bind_bool(f->any_gone), bind_bool(f->any_gone),
        bind_cut(f->refused_keywords, sizeof(f->refused_keywords)), bind_u64(mirror_id));
    return rows < 0 ? -1 : 0;
}

/* When what is gone since `column` is to be looked at: when its second look is; what should have been decided by now (not
 * proven, or other messages are in the way) before long, and, as it ages, more seldom. */
#define DUE(column)                                                                                          \
    "IF(" column " + INTERVAL ? MICROSECOND > UTC_TIMESTAMP(6), " column " + INTERVAL ? MICROSECOND, "       \
    "UTC_TIMESTAMP(6) + INTERVAL GREATEST(?, LEAST(?, (TIMESTAMPDIFF(MICROSECOND, " column                   \
    ", UTC_TIMESTAMP(6)) - ?) DIV 4)) MICROSECOND)"
#define BIND_DUE                                                                                             \
    bind_i64(delay_us), bind_i64(delay_us), bind_i64(retry_us), bind_i64(DELETION_AGED_US), bind_i64(delay_us)

#define ROW_DUE                                                                                              \
    "MIN(IF(g.removal IN ('none', 'begun') OR p.state = 'allowed', " DUE(                                    \
        "g.source_gone_at") ", NULL)) AS due, "
#define FOLDER_DUE                                                                                           \
    "(SELECT MIN(" DUE("e.source_gone_at") ") FROM folder e WHERE e.mirror_id = ? AND e.source_gone_at IS "  \
                                           "NOT NULL AND NOT EXISTS (SELECT 1 FROM message x WHERE "         \
                                           "x.folder_id = e.folder_id)) AS folder_due "
#define SOONER "LEAST(COALESCE(due, folder_due), COALESCE(folder_due, due))"

/* A recorded row says more than the pass knew: what is begun, held or kept. What is held is due once it is allowed. With a
 * tripped breaker nothing is due before a person decides; asked here, since it may have been released while the turn went
 * on. */
static int set_gone(struct store *store, uint64_t mirror_id, const struct store_finish *finish,
                    struct err *err)
{
    double retry = finish->deletion_delay_seconds;
    retry = retry < DELETION_RETRY_LEAST ? DELETION_RETRY_LEAST : retry;
    retry = retry > DELETION_RETRY_MOST ? DELETION_RETRY_MOST : retry;
    int64_t delay_us = (int64_t)(finish->deletion_delay_seconds * 1e6), retry_us = (int64_t)(retry * 1e6);
    return STORE_EXEC(
               store, err,
               "UPDATE mirror JOIN (SELECT "
               "COALESCE(SUM(g.removal IN ('none', 'begun') AND g.target_uid IS NOT NULL), 0) AS gone, "
               "COALESCE(SUM(g.removal = 'held'), 0) AS held, COALESCE(SUM(g.removal = 'kept'), 0) AS kept, "
               "COALESCE(SUM(g.removal = 'begun'), 0) AS waiting, " ROW_DUE FOLDER_DUE
               "FROM folder f JOIN message g ON g.folder_id = f.folder_id "
               "LEFT JOIN plan p ON p.plan_id = g.plan_id AND g.removal = 'held' "
               "WHERE f.mirror_id = ? AND g.source_gone_at IS NOT NULL) sums "
               "SET gone_messages = gone, held_messages = held, kept_messages = kept, waiting_messages = "
               "waiting, "
               "deletion_due_at = IF(EXISTS (SELECT 1 FROM plan p JOIN route r ON r.from_site_id = p.site_id "
               "WHERE r.route_id = mirror.route_id AND " STORE_BREAKER_TRIPPED "), "
               "NULL, "
               "IF(withheld_messages > 0, UTC_TIMESTAMP(6), " SOONER ")) WHERE mirror_id = ?",
               BIND_DUE, BIND_DUE, bind_u64(mirror_id), bind_u64(mirror_id), bind_u64(mirror_id)) < 0
               ? -1
               : 0;
}

static int set_verified(struct store *store, uint64_t mirror_id, const struct store_finish *finish,
                        struct err *err)
{
    int64_t rows = STORE_EXEC(
        store, err,
        "UPDATE mirror SET verify_deep = verify_deep AND verify_wanted_seq > ?, verify_done_seq = ?, "
        "verified_at = UTC_TIMESTAMP(6), verify_differences = ?, verify_report = ? WHERE mirror_id = ?",
        bind_u64(finish->verify_wanted_seq), bind_u64(finish->verify_wanted_seq),
        bind_u64(finish->verify_differences), bind_cut(finish->verify_report, REPORT_MAX_BYTES),
        bind_u64(mirror_id));
    return rows < 0 ? -1 : 0;
}

/* Priority: the mailbox's own again, 9 if only a verification is left; what was wanted meanwhile keeps its urgency. A
 * recheck that came due after the claim is still to be done. */
static int set_done(struct store *store, uint64_t mirror_id, const struct store_finish *finish,
                    struct err *err)
{
    int64_t rows =
        STORE_EXEC(store, err,
                   "UPDATE mirror SET priority = IF(wanted_seq > ?, priority, IF(verify_wanted_seq > "
                   "verify_done_seq, 9, "
                   "(SELECT b.priority FROM mailbox b WHERE b.mailbox_id = mirror.mailbox_id))), "
                   "behind_since = IF(wanted_seq > ?, COALESCE(wanted_at, UTC_TIMESTAMP(6)), NULL), "
                   "wanted_at = IF(wanted_seq > ?, wanted_at, NULL), done_seq = ?, equal = ?, proven_at = "
                   "UTC_TIMESTAMP(6), "
                   "recheck_target_at = IF(recheck_target_at <= claimed_at, NULL, recheck_target_at), "
                   "target_suspect = 0, "
                   "due_at = UTC_TIMESTAMP(6), " WELL RELEASE "WHERE mirror_id = ?",
                   bind_u64(finish->wanted_seq), bind_u64(finish->wanted_seq), bind_u64(finish->wanted_seq),
                   bind_u64(finish->wanted_seq), bind_bool(finish->equal), bind_u64(mirror_id));
    return rows < 0 ? -1 : 0;
}

static bool has_gone(const struct store_finish *finish)
{
    return finish->figures && (finish->figures->any_gone || finish->figures->withheld_messages > 0);
}

static int finish_done(struct store *store, uint64_t mirror_id, const struct store_finish *finish,
                       struct err *err)
{
    if (finish->figures && set_figures(store, mirror_id, finish->figures, err))
        return -1;
    if (has_gone(finish) && set_gone(store, mirror_id, finish, err))
        return -1;
    if (finish->verify_wanted_seq && set_verified(store, mirror_id, finish, err))
        return -1;
    return set_done(store, mirror_id, finish, err);
}

/* It got something done, so an error of before is over. */
static int finish_yielded(struct store *store, uint64_t mirror_id, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE mirror SET due_at = UTC_TIMESTAMP(6), " WELL RELEASE "WHERE mirror_id = ?",
                      bind_u64(mirror_id)) < 0
               ? -1
               : 0;
}

static int read_fail_count(struct store *store, uint64_t mirror_id, uint32_t *count_out, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err, "SELECT fail_count FROM mirror WHERE mirror_id = ?", bind_u64(mirror_id));
    *count_out = query && store_query_next(query) ? store_query_u32(query) : 0;
    return store_query_end(query, err);
}

static int finish_failed(struct store *store, uint64_t mirror_id, const struct err *why, struct err *err)
{
    static const struct err unsaid = {.scope = ERR_MAILBOX, .text = "failed without a reason"};
    uint32_t fail_count;
    if (read_fail_count(store, mirror_id, &fail_count, err))
        return -1;
    why = why ? why : &unsaid;
    double delay = store_finish_delay(fail_count + 1, why->scope, arc4random_uniform(1000) / 1000.0);
    int64_t rows = STORE_EXEC(
        store, err,
        "UPDATE mirror SET fail_count = fail_count + 1, error = ?, error_scope = ?, error_side = ?, "
        "error_at = UTC_TIMESTAMP(6), error_since = COALESCE(error_since, UTC_TIMESTAMP(6)), "
        "due_at = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, next_try_at = due_at, " RELEASE
        "WHERE mirror_id = ?",
        bind_cut(why->text, 800), bind_text(err_scope_name(why->scope)), bind_text(err_side_name(why->side)),
        bind_u64((uint64_t)(delay * 1e6)), bind_u64(mirror_id));
    return rows < 0 ? -1 : 0;
}

/* What a turn that failed over one folder found gone elsewhere is shown, and due, all the same; and the others were
 * verified. */
static int finish_with_trouble(struct store *store, uint64_t mirror_id, const struct store_finish *finish,
                               struct err *err)
{
    if (has_gone(finish) && set_gone(store, mirror_id, finish, err))
        return -1;
    if (finish->verify_wanted_seq && set_verified(store, mirror_id, finish, err))
        return -1;
    return finish_failed(store, mirror_id, finish->error, err);
}

static int finish_body(struct store *store, void *context, struct err *err)
{
    const struct finishing *finishing = context;
    uint64_t mirror_id = finishing->lease->mirror_id;
    switch (finishing->finish->turn) {
    case STORE_TURN_DONE:
        return finish_done(store, mirror_id, finishing->finish, err);
    case STORE_TURN_YIELDED:
        return finish_yielded(store, mirror_id, err);
    case STORE_TURN_FAILED:
        break;
    }
    return finish_with_trouble(store, mirror_id, finishing->finish, err);
}

int store_mirror_finish(struct store *store, const struct store_lease *lease,
                        const struct store_finish *finish, struct err *err)
{
    struct finishing finishing = {.lease = lease, .finish = finish};
    return store_tx_fenced(store, lease, finish_body, &finishing, err);
}

struct rechecking {
    const struct store_lease *lease;
    double minutes;
};

static int recheck_body(struct store *store, void *context, struct err *err)
{
    const struct rechecking *rechecking = context;
    return STORE_EXEC(store, err,
                      "UPDATE mirror SET recheck_target_at = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND "
                      "WHERE mirror_id = ?",
                      bind_u64((uint64_t)(rechecking->minutes * 60e6)),
                      bind_u64(rechecking->lease->mirror_id)) < 0
               ? -1
               : 0;
}

int store_mirror_recheck_later(struct store *store, const struct store_lease *lease,
                               double late_command_minutes, struct err *err)
{
    struct rechecking rechecking = {.lease = lease, .minutes = late_command_minutes};
    return store_tx_fenced(store, lease, recheck_body, &rechecking, err);
}

/* ---- the end of a mirror ---- */

/* In this order: the mirror's row is locked already, its contents go before it. */
static const char *const content_removals[] = {
    "DELETE i FROM intent i JOIN folder f ON f.folder_id = i.folder_id WHERE f.mirror_id = ?",
    "DELETE l FROM loss l JOIN folder f ON f.folder_id = l.folder_id WHERE f.mirror_id = ?",
    "DELETE g FROM message g JOIN folder f ON f.folder_id = g.folder_id WHERE f.mirror_id = ?",
    "DELETE FROM folder WHERE mirror_id = ?",
    "UPDATE plan_message o JOIN plan p ON p.plan_id = o.plan_id SET o.outcome = 'removed' "
    "WHERE p.mirror_id = ? AND o.outcome IN ('open', 'kept')",
    "UPDATE plan SET ended_at = UTC_TIMESTAMP(6), state = IF(state = 'refused', state, 'dissolved') "
    "WHERE mirror_id = ? AND ended_at IS NULL",
};

/* With its last mirror a mailbox goes, too. */
static const char *const mailbox_removals[] = {
    "DELETE FROM sign WHERE mailbox_id = ? AND NOT EXISTS "
    "(SELECT 1 FROM mirror m WHERE m.mailbox_id = sign.mailbox_id)",
    "DELETE FROM look WHERE mailbox_id = ? AND NOT EXISTS "
    "(SELECT 1 FROM mirror m WHERE m.mailbox_id = look.mailbox_id)",
    "DELETE FROM mailbox WHERE mailbox_id = ? AND NOT EXISTS "
    "(SELECT 1 FROM mirror m WHERE m.mailbox_id = mailbox.mailbox_id)",
};

static int run_all(struct store *store, const char *const *statements, size_t count, uint64_t id,
                   struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (STORE_EXEC(store, err, statements[i], bind_u64(id)) < 0)
            return -1;
    return 0;
}

int store_finish_empty(struct store *store, uint64_t mirror_id, struct err *err)
{
    return run_all(store, content_removals, sizeof(content_removals) / sizeof(*content_removals), mirror_id,
                   err);
}

/* The mailbox whose removal is still wanted, locked; 0: it was subscribed again. */
static int lock_removing(struct store *store, uint64_t mirror_id, uint64_t *mailbox_id_out, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT b.mailbox_id FROM mailbox b JOIN mirror m ON m.mailbox_id = b.mailbox_id "
                   "WHERE m.mirror_id = ? AND b.removing FOR UPDATE",
                   bind_u64(mirror_id));
    *mailbox_id_out = query && store_query_next(query) ? store_query_u64(query) : 0;
    return store_query_end(query, err);
}

static int forget_body(struct store *store, void *context, struct err *err)
{
    const struct store_lease *lease = context;
    uint64_t mailbox_id;
    if (lock_removing(store, lease->mirror_id, &mailbox_id, err))
        return -1;
    if (!mailbox_id)
        return STORE_EXEC(store, err, "UPDATE mirror SET " RELEASE "WHERE mirror_id = ?",
                          bind_u64(lease->mirror_id)) < 0
                   ? -1
                   : 0;
    if (store_finish_empty(store, lease->mirror_id, err) != 0 ||
        STORE_EXEC(store, err, "DELETE FROM mirror WHERE mirror_id = ?", bind_u64(lease->mirror_id)) < 0)
        return -1;
    return run_all(store, mailbox_removals, sizeof(mailbox_removals) / sizeof(*mailbox_removals), mailbox_id,
                   err);
}

int store_mirror_forget(struct store *store, const struct store_lease *lease, struct err *err)
{
    struct store_lease mine = *lease;
    return store_tx_fenced(store, lease, forget_body, &mine, err);
}
