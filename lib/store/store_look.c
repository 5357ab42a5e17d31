/*
 * Looks: claimed by scanners site by site. The claim reads the index `due` (site_id, due_at) and locks nothing else.
 */
#include "store/store_look.h"

#include "base/str.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <stdlib.h>

struct looking {
    const char *owner, *site;
    uint32_t lease_seconds, max;
    struct store_look *looks;
    int count;
};

static void read_look(struct store_query *query, const char *site, struct store_look *look)
{
    *look = (struct store_look){.mailbox_id = store_query_u64(query)};
    look->site_id = store_query_u32(query);
    store_query_copy(query, look->mailbox, sizeof(look->mailbox));
    look->asked = store_query_bool(query);
    look->full_look_due = store_query_bool(query);
    look->fail_count = store_query_u32(query);
    look->seconds_since_change = store_query_is_null(query) ? -1 : 0;
    int64_t age = store_query_i64(query);
    if (!look->seconds_since_change)
        look->seconds_since_change = age > 0 ? age : 0;
    str_into(look->site, sizeof(look->site), site);
}

/* Not while every first copy of the mailbox is still to be made, nor just after one: that looks for itself, and would
 * only be looked at twice, at the cost of logins that the next first copies wait for. Where it fails, the look tells more. */
static int choose(struct store *store, struct looking *looking, uint32_t site_id, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT l.mailbox_id, l.site_id, (SELECT b.number FROM mailbox b WHERE b.mailbox_id = "
                   "l.mailbox_id), l.asked, "
                   "l.full_look_at IS NULL OR l.full_look_at <= UTC_TIMESTAMP(6), l.fail_count, "
                   "TIMESTAMPDIFF(SECOND, l.changed_at, UTC_TIMESTAMP(6)) FROM look l FORCE INDEX (due) "
                   "WHERE l.site_id = ? AND l.due_at <= UTC_TIMESTAMP(6) "
                   "AND (l.lease_until IS NULL OR l.lease_until <= UTC_TIMESTAMP(6)) "
                   "AND (l.asked OR EXISTS (SELECT 1 FROM mirror m WHERE m.mailbox_id = l.mailbox_id "
                   "AND (m.fail_count > 0 OR (m.done_seq > 0 AND (l.looked_at IS NOT NULL OR "
                   "m.proven_at IS NULL OR m.proven_at <= UTC_TIMESTAMP(6) - INTERVAL 2 SECOND))))) "
                   "ORDER BY l.due_at LIMIT ? FOR UPDATE SKIP LOCKED",
                   bind_u64(site_id), bind_u64(looking->max));
    looking->count = 0;
    while (query && store_query_next(query))
        read_look(query, looking->site, &looking->looks[looking->count++]);
    return store_query_end(query, err);
}

/* The site's id if a configured route begins there; 0 else: nobody would use what is seen. */
static int find_site(struct store *store, const char *name, uint32_t *site_id_out, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT s.site_id FROM site s WHERE s.name = ? AND EXISTS "
                   "(SELECT 1 FROM route r WHERE r.from_site_id = s.site_id AND r.configured)",
                   bind_text(name));
    *site_id_out = query && store_query_next(query) ? store_query_u32(query) : 0;
    return store_query_end(query, err);
}

static int claim_body(struct store *store, void *context, struct err *err)
{
    struct looking *looking = context;
    uint32_t site_id;
    if (find_site(store, looking->site, &site_id, err) || choose(store, looking, site_id, err))
        return -1;
    for (int i = 0; i < looking->count; i++)
        if (STORE_EXEC(
                store, err,
                "UPDATE look SET asked = 0, lease_owner = ?, "
                "lease_until = UTC_TIMESTAMP(6) + INTERVAL ? SECOND WHERE mailbox_id = ? AND site_id = ?",
                bind_text(looking->owner), bind_u64(looking->lease_seconds),
                bind_u64(looking->looks[i].mailbox_id), bind_u64(site_id)) < 0)
            return -1;
    return 0;
}

int store_look_claim(struct store *store, const char *owner, const char *site, uint32_t lease_seconds,
                     struct store_look *looks_out, uint32_t max, struct err *err)
{
    struct looking looking = {
        .owner = owner, .site = site, .lease_seconds = lease_seconds, .max = max, .looks = looks_out};
    if (max == 0)
        return 0;
    return store_tx_run(store, claim_body, &looking, err) ? -1 : looking.count;
}

/* ---- the end of a look ---- */

struct looked {
    const char *owner;
    const struct store_look_result *result;
};

#define OF_LOOK "WHERE mailbox_id = ? AND site_id = ? AND lease_owner = ?"
/* Asked again while it was looked at: due at once. */
#define RELEASE                                                                                              \
    "due_at = IF(asked, due_at, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND), lease_owner = NULL, "            \
    "lease_until = NULL "

static uint64_t micros(double seconds)
{
    return seconds > 0 ? (uint64_t)(seconds * 1e6) : 0;
}

/* Errors in mirrors without a failure of their own came from the look: its success ends them. */
static int clear_mirrors(struct store *store, const struct store_look *look, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE mirror SET error = '', error_scope = '', error_side = '', error_at = NULL, "
                      "error_since = NULL WHERE mailbox_id = ? AND fail_count = 0 AND error <> ''",
                      bind_u64(look->mailbox_id)) < 0
               ? -1
               : 0;
}

static int finish_well(struct store *store, const struct looked *looked, struct err *err)
{
    const struct store_look_result *result = looked->result;
    const struct store_look *look = result->look;
    int64_t rows = STORE_EXEC(
        store, err,
        "UPDATE look SET looked_at = UTC_TIMESTAMP(6), changed_at = IF(?, UTC_TIMESTAMP(6), changed_at), "
        "full_look_at = IF(?, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, full_look_at), fail_count = 0, "
        "error = '', "
        "error_at = NULL, " RELEASE OF_LOOK,
        bind_bool(result->changed), bind_bool(result->full_look_done),
        bind_u64(micros(result->full_look_seconds)), bind_u64(micros(result->next_seconds)),
        bind_u64(look->mailbox_id), bind_u64(look->site_id), bind_text(looked->owner));
    if (rows < 0)
        return -1;
    return rows > 0 && look->fail_count > 0 ? clear_mirrors(store, look, err) : 0;
}

static int tell_mirrors(struct store *store, const struct store_look *look, const struct err *why,
                        struct err *err)
{
    int64_t rows = STORE_EXEC(
        store, err,
        "UPDATE mirror m JOIN route r ON r.route_id = m.route_id SET m.error = ?, m.error_scope = ?, "
        "m.error_side = 'production', m.error_at = UTC_TIMESTAMP(6), "
        "m.error_since = COALESCE(m.error_since, UTC_TIMESTAMP(6)) "
        "WHERE m.mailbox_id = ? AND r.from_site_id = ? AND m.fail_count = 0",
        bind_cut(why->text, 800), bind_text(err_scope_name(why->scope)), bind_u64(look->mailbox_id),
        bind_u64(look->site_id));
    return rows < 0 ? -1 : 0;
}

static int finish_failed(struct store *store, const struct looked *looked, struct err *err)
{
    static const struct err unsaid = {.scope = ERR_MAILBOX, .text = "failed without a reason"};
    const struct store_look_result *result = looked->result;
    const struct store_look *look = result->look;
    const struct err *why = result->error ? result->error : &unsaid;
    int64_t rows = STORE_EXEC(
        store, err,
        "UPDATE look SET fail_count = fail_count + 1, error = ?, error_at = UTC_TIMESTAMP(6), " RELEASE
            OF_LOOK,
        bind_cut(why->text, 800), bind_u64(micros(result->next_seconds)), bind_u64(look->mailbox_id),
        bind_u64(look->site_id), bind_text(looked->owner));
    if (rows < 0)
        return -1;
    return rows > 0 ? tell_mirrors(store, look, why, err) : 0;
}

static int finish_body(struct store *store, void *context, struct err *err)
{
    const struct looked *looked = context;
    return looked->result->failed ? finish_failed(store, looked, err) : finish_well(store, looked, err);
}

int store_look_finish(struct store *store, const char *owner, const struct store_look_result *result,
                      struct err *err)
{
    struct looked looked = {.owner = owner, .result = result};
    return store_tx_run(store, finish_body, &looked, err);
}

int store_look_return(struct store *store, const char *owner, const struct store_look *look, double seconds,
                      struct err *err)
{
    int64_t rows = STORE_EXEC(store, err, "UPDATE look SET asked = asked OR ?, " RELEASE OF_LOOK,
                              bind_bool(look->asked), bind_u64(micros(seconds)), bind_u64(look->mailbox_id),
                              bind_u64(look->site_id), bind_text(owner));
    return rows < 0 ? -1 : 0;
}

int store_look_inherit(struct store *store, const char *owner, struct err *err)
{
    int64_t rows = STORE_EXEC(store, err,
                              "UPDATE look SET lease_owner = NULL, lease_until = NULL WHERE lease_owner <> ? "
                              "AND SUBSTRING_INDEX(lease_owner, ':', 3) = SUBSTRING_INDEX(?, ':', 3)",
                              bind_text(owner), bind_text(owner));
    return rows < 0 ? -1 : 0;
}

/* ---- asking, counting ---- */

int store_look_ask(struct store *store, const char *mailbox, struct err *err)
{
    /* The oldest date there is puts it before all that are merely overdue. */
    int64_t rows =
        STORE_EXEC(store, err,
                   "UPDATE look SET asked = 1, due_at = '1970-01-01' WHERE ? IS NULL OR mailbox_id = "
                   "(SELECT b.mailbox_id FROM mailbox b WHERE b.number = ?)",
                   bind_text(mailbox), bind_text(mailbox));
    return rows < 0 ? -1 : (int)rows;
}

int store_look_count(struct store *store, const char *site, uint32_t *mailboxes_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err, "SELECT COUNT(*) FROM look l JOIN site s ON s.site_id = l.site_id WHERE s.name = ?",
        bind_text(site));
    *mailboxes_out = query && store_query_next(query) ? store_query_u32(query) : 0;
    return store_query_end(query, err);
}

/* ---- marks ---- */

static void read_marks(struct store_query *query, struct store_marks *marks)
{
    marks->has_uidvalidity = !store_query_is_null(query);
    marks->uidvalidity = store_query_u32(query);
    marks->has_uidnext = !store_query_is_null(query);
    marks->uidnext = store_query_u32(query);
    marks->has_exists = !store_query_is_null(query);
    marks->exists = store_query_u32(query);
    marks->has_unseen = !store_query_is_null(query);
    marks->unseen = store_query_u32(query);
    marks->has_highestmodseq = !store_query_is_null(query);
    marks->highestmodseq = store_query_u64(query);
    marks->has_flags_digest = store_query_bytes(query, marks->flags_digest, sizeof(marks->flags_digest));
    marks->gone = store_query_bool(query);
}

static void hand_out_marks(struct store_query *query,
                           void (*on_marks)(void *context, const struct store_marks *marks), void *context)
{
    uint64_t last_mirror = 0;
    while (store_query_next(query)) {
        struct store_marks marks = {.mirror_id = store_query_u64(query)};
        if (marks.mirror_id != last_mirror)
            on_marks(context, &marks);
        last_mirror = marks.mirror_id;
        if (store_query_is_null(query))
            continue; /* no folder yet */
        marks.name = store_query_text(query);
        read_marks(query, &marks);
        on_marks(context, &marks);
    }
}

int store_look_marks(struct store *store, uint64_t mailbox_id, uint32_t site_id,
                     void (*on_marks)(void *context, const struct store_marks *marks), void *context,
                     struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT m.mirror_id, f.name, f.source_uidvalidity, f.source_uidnext, f.source_exists, "
        "f.source_unseen, "
        "f.source_highestmodseq, f.source_flags_digest, f.source_gone_at IS NOT NULL FROM mirror m "
        "JOIN route r ON r.route_id = m.route_id LEFT JOIN folder f ON f.mirror_id = m.mirror_id "
        "WHERE m.mailbox_id = ? AND r.from_site_id = ? AND r.configured ORDER BY m.mirror_id, f.name",
        bind_u64(mailbox_id), bind_u64(site_id));
    if (query)
        hand_out_marks(query, on_marks, context);
    return store_query_end(query, err);
}
