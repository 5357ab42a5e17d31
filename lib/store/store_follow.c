/*
 * Mailboxes that follow a directory; see store_follow.h.
 */
#include "store/store_follow.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "store/store_directory_tx.h"
#include "store/store_mailbox.h"
#include "store/store_query.h"

enum { PRIORITY = 5 };

/* ---- the list ---- */

struct marking {
    const struct store_directory_lease *lease;
    uint64_t listing;
    const char (*identities)[STORE_IDENTITY_BYTES];
    size_t count;
};

static int mark_body(struct store *store, void *context, struct err *err)
{
    const struct marking *marking = context;
    for (size_t i = 0; i < marking->count; i++)
        if (STORE_EXEC(store, err,
                       "UPDATE entry SET matched_listing = ? WHERE route_id = ? AND kind = 'subscriber' AND "
                       "identity = ? AND gone_at IS NULL",
                       bind_u64(marking->listing), bind_u64(marking->lease->route_id),
                       bind_text(marking->identities[i])) < 0)
            return -1;
    return 0;
}

int store_follow_mark(struct store *store, const struct store_directory_lease *lease, uint64_t listing,
                      const char (*identities)[STORE_IDENTITY_BYTES], size_t count, struct err *err)
{
    struct marking marking = {.lease = lease, .listing = listing, .identities = identities, .count = count};
    return store_directory_tx(store, lease, mark_body, &marking, err);
}

/* ---- hold ---- */

#define IN_LIST                                                                                              \
    "EXISTS (SELECT 1 FROM entry e WHERE e.route_id = m.route_id AND e.kind = 'subscriber' AND e.number = "  \
    "b.number AND e.gone_at IS NULL AND e.matched_listing = ?)"
#define FOLLOWED                                                                                             \
    "mirror m JOIN mailbox b ON b.mailbox_id = m.mailbox_id AND b.followed AND NOT b.removing JOIN route r " \
    "ON r.route_id = m.route_id"

struct holding {
    uint32_t route_id;
    uint64_t listing;
    struct store_follow_result *result;
};

static int count_list(struct store *store, const struct holding *holding, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT COUNT(*) FROM entry WHERE route_id = ? AND kind = 'subscriber' AND gone_at IS NULL AND "
        "matched_listing = ?",
        bind_u64(holding->route_id), bind_u64(holding->listing));
    if (query && store_query_next(query))
        holding->result->in_list = store_query_u32(query);
    return store_query_end(query, err);
}

/* Not looked at any more, unless another route from there mirrors it; looked at again. */
static int follow_looks(struct store *store, const struct holding *holding, struct err *err)
{
    if (STORE_EXEC(
            store, err,
            "DELETE l FROM look l JOIN " FOLLOWED " AND r.from_site_id = l.site_id WHERE l.mailbox_id = "
            "m.mailbox_id AND m.route_id = ? AND m.on_hold_since IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "
            "mirror n JOIN route o ON o.route_id = n.route_id WHERE n.mailbox_id = l.mailbox_id AND "
            "o.from_site_id = l.site_id AND n.on_hold_since IS NULL)",
            bind_u64(holding->route_id)) < 0)
        return -1;
    return STORE_EXEC(
               store, err,
               "INSERT IGNORE INTO look (mailbox_id, site_id, due_at) SELECT m.mailbox_id, r.from_site_id, "
               "UTC_TIMESTAMP(6) FROM " FOLLOWED " WHERE m.route_id = ? AND m.on_hold_since IS NULL",
               bind_u64(holding->route_id)) < 0
               ? -1
               : 0;
}

static int hold(struct store *store, const struct holding *holding, struct err *err)
{
    int64_t held = STORE_EXEC(
        store, err,
        "UPDATE " FOLLOWED
        " SET m.on_hold_since = UTC_TIMESTAMP(6), m.done_seq = m.wanted_seq, m.verify_done_seq = "
        "m.verify_wanted_seq, m.wanted_at = NULL, m.behind_since = NULL, m.recheck_target_at = NULL, "
        "m.deletion_due_at = NULL, m.waits_for_owner = 0, m.fail_count = 0, m.error = '', m.error_scope = "
        "'', "
        "m.error_side = '', m.error_at = NULL, m.error_since = NULL, m.next_try_at = NULL WHERE m.route_id = "
        "? AND "
        "m.unlisted >= 2 AND m.on_hold_since IS NULL AND NOT m.handing_over",
        bind_u64(holding->route_id));
    int64_t resumed =
        held < 0 ? -1
                 : STORE_EXEC(
                       store, err,
                       "UPDATE " FOLLOWED
                       " SET m.on_hold_since = NULL, m.wanted_seq = m.wanted_seq + 1, m.wanted_at "
                       "= UTC_TIMESTAMP(6), m.behind_since = UTC_TIMESTAMP(6), m.due_at = "
                       "UTC_TIMESTAMP(6), m.waits_for_owner = 1 WHERE m.route_id = ? AND m.unlisted = 0 AND "
                       "m.on_hold_since IS NOT NULL",
                       bind_u64(holding->route_id));
    holding->result->held = held > 0 ? (uint32_t)held : 0;
    holding->result->resumed = resumed > 0 ? (uint32_t)resumed : 0;
    return resumed < 0 ? -1 : 0;
}

static int hold_body(struct store *store, void *context, struct err *err)
{
    const struct holding *holding = context;
    *holding->result = (struct store_follow_result){0};
    if (count_list(store, holding, err) != 0)
        return -1;
    if (holding->result->in_list == 0)
        return 0;
    if (STORE_EXEC(store, err,
                   "UPDATE " FOLLOWED " SET m.unlisted = IF(" IN_LIST ", 0, LEAST(m.unlisted + 1, 2)) WHERE "
                   "m.route_id = ?",
                   bind_u64(holding->listing), bind_u64(holding->route_id)) < 0)
        return -1;
    return hold(store, holding, err) != 0 ? -1 : follow_looks(store, holding, err);
}

int store_follow_hold(struct store *store, const struct store_directory_lease *lease, uint64_t listing,
                      struct store_follow_result *result_out, struct err *err)
{
    struct holding holding = {.route_id = lease->route_id, .listing = listing, .result = result_out};
    return store_directory_tx(store, lease, hold_body, &holding, err);
}

/* ---- subscribe ---- */

/* A number that can be no mailbox's is passed over: it is not the others' matter. */
static int subscribe_one(struct store *store, const struct store_mailbox *mailbox, const char *route,
                         uint32_t *added_out, struct err *err)
{
    enum store_added added = STORE_ADDED_UNCHANGED;
    struct err why = {0};
    int result = CRASH_AFTER(FOLLOWED_ADDED, store_mailbox_add(store, mailbox, &route, 1, &added, &why));
    if (result != 0 && why.retry != ERR_RETRY_NEVER) {
        *err = why;
        return -1;
    }
    if (result != 0)
        log_warning("subscriber not subscribed", LOG_STR("number", mailbox->number),
                    LOG_STR("error", why.text));
    *added_out += added != STORE_ADDED_UNCHANGED;
    return 0;
}

int store_follow_subscribe(struct store *store, const struct store_directory_lease *lease, uint64_t listing,
                           const char *route, char after[STORE_NUMBER_BYTES], uint32_t *added_out,
                           struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT e.number, e.name, e.cos FROM entry e LEFT JOIN mailbox b ON b.number = e.number LEFT JOIN "
        "mirror m "
        "ON m.mailbox_id = b.mailbox_id AND m.route_id = e.route_id WHERE e.route_id = ? AND e.kind = "
        "'subscriber' "
        "AND e.gone_at IS NULL AND e.matched_listing = ? AND e.number > ? AND (b.mailbox_id IS NULL OR "
        "(b.followed "
        "AND NOT b.removing AND m.mirror_id IS NULL)) ORDER BY e.number LIMIT ?",
        bind_u64(lease->route_id), bind_u64(listing), bind_text(after), bind_u64(STORE_FOLLOW_BATCH));
    int count = 0, result = 0;
    while (query && result == 0 && store_query_next(query)) {
        struct store_mailbox mailbox = {.priority = PRIORITY, .followed = true};
        store_query_copy(query, mailbox.number, sizeof(mailbox.number));
        store_query_copy(query, mailbox.name, sizeof(mailbox.name));
        store_query_copy(query, mailbox.cos, sizeof(mailbox.cos));
        str_make_plain(mailbox.name);
        str_make_plain(mailbox.cos);
        str_into(after, STORE_NUMBER_BYTES, mailbox.number);
        count++;
        result = subscribe_one(store, &mailbox, route, added_out, err);
    }
    return store_query_end(query, result ? NULL : err) || result ? -1 : count;
}
