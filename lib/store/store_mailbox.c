/*
 * Subscribing and unsubscribing mailboxes, and what a person asks for (in the API). The order of locks is mailbox, mirror,
 * the rest; a copier locks its mirror's row first too, so removal waits for its transaction and then takes its lease.
 */
#include "store/store_mailbox.h"

#include "base/str.h"
#include "store/store_look.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- add ---- */

struct adding {
    const struct store_mailbox *mailbox;
    const char *const *routes;
    size_t route_count;
    uint64_t mailbox_id;
    bool is_new, changed, is_persons;
};

static int insert_mailbox(struct store *store, struct adding *adding, struct err *err)
{
    const struct store_mailbox *mailbox = adding->mailbox;
    if (STORE_EXEC(store, err,
                   "INSERT INTO mailbox (number, name, cos, priority, added_at, followed) "
                   "VALUES (?, ?, ?, ?, UTC_TIMESTAMP(6), ?)",
                   bind_text(mailbox->number), bind_text(mailbox->name), bind_text(mailbox->cos),
                   bind_u64(mailbox->priority), bind_bool(mailbox->followed)) < 0)
        return -1;
    adding->mailbox_id = store_query_insert_id(store);
    adding->is_new = true;
    return 0;
}

/* Mirrors that wait with the ordinary urgency get the new one; what is more urgent now, or only verifies, keeps it. */
static int change_priority(struct store *store, const struct adding *adding, uint32_t former, struct err *err)
{
    return STORE_EXEC(store, err, "UPDATE mirror SET priority = ? WHERE mailbox_id = ? AND priority = ?",
                      bind_u64(adding->mailbox->priority), bind_u64(adding->mailbox_id), bind_u64(former)) < 0
               ? -1
               : 0;
}

static int update_mailbox(struct store *store, struct adding *adding, uint32_t former_priority,
                          struct err *err)
{
    const struct store_mailbox *mailbox = adding->mailbox;
    adding->changed = true;
    if (STORE_EXEC(store, err,
                   "UPDATE mailbox SET name = ?, cos = ?, priority = ?, removing = 0, followed = ? WHERE "
                   "mailbox_id = ?",
                   bind_text(mailbox->name), bind_text(mailbox->cos), bind_u64(mailbox->priority),
                   bind_bool(mailbox->followed), bind_u64(adding->mailbox_id)) < 0)
        return -1;
    return former_priority == mailbox->priority ? 0 : change_priority(store, adding, former_priority, err);
}

static int add_mailbox(struct store *store, struct adding *adding, struct err *err)
{
    const struct store_mailbox *mailbox = adding->mailbox;
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT mailbox_id, priority, name, cos, removing, followed FROM mailbox WHERE number = ? FOR UPDATE",
        bind_text(mailbox->number));
    uint32_t priority = 0;
    bool same = false;
    adding->mailbox_id = 0;
    adding->is_new = adding->changed = adding->is_persons = false;
    if (query && store_query_next(query)) {
        adding->mailbox_id = store_query_u64(query);
        priority = store_query_u32(query);
        same = str_equal(store_query_text(query), mailbox->name);
        same = str_equal(store_query_text(query), mailbox->cos) && same && priority == mailbox->priority;
        bool removing = store_query_bool(query), followed = store_query_bool(query);
        same = !removing && followed == mailbox->followed && same;
        adding->is_persons = mailbox->followed && (removing || !followed);
    }
    if (store_query_end(query, err))
        return -1;
    if (!adding->mailbox_id)
        return insert_mailbox(store, adding, err);
    return same || adding->is_persons ? 0 : update_mailbox(store, adding, priority, err);
}

static int add_look(struct store *store, uint64_t mailbox_id, uint32_t site_id, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err, "SELECT 1 FROM look WHERE mailbox_id = ? AND site_id = ?",
                   bind_u64(mailbox_id), bind_u64(site_id));
    bool there = query && store_query_next(query);
    if (store_query_end(query, err) || there)
        return there ? 0 : -1;
    return STORE_EXEC(store, err,
                      "INSERT INTO look (mailbox_id, site_id, due_at) VALUES (?, ?, UTC_TIMESTAMP(6))",
                      bind_u64(mailbox_id), bind_u64(site_id)) < 0
               ? -1
               : 0;
}

/* What a person adds is his, and does not wait for the directory's list. */
static int take_off_hold(struct store *store, const struct adding *adding, uint32_t route_id, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE mirror SET on_hold_since = NULL, unlisted = 0, wanted_seq = wanted_seq + 1, "
                      "wanted_at = UTC_TIMESTAMP(6), behind_since = UTC_TIMESTAMP(6), due_at = "
                      "UTC_TIMESTAMP(6) WHERE mailbox_id = ? AND route_id = ? AND on_hold_since IS NOT NULL",
                      bind_u64(adding->mailbox_id), bind_u64(route_id)) < 0
               ? -1
               : 0;
}

static int add_mirror(struct store *store, struct adding *adding, uint32_t route_id, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err, "SELECT 1 FROM mirror WHERE mailbox_id = ? AND route_id = ?",
                   bind_u64(adding->mailbox_id), bind_u64(route_id));
    bool there = query && store_query_next(query);
    if (store_query_end(query, err))
        return -1;
    if (there)
        return adding->mailbox->followed ? 0 : take_off_hold(store, adding, route_id, err);
    adding->changed = true;
    return STORE_EXEC(store, err,
                      "INSERT INTO mirror (mailbox_id, route_id, priority, wanted_at, due_at, behind_since, "
                      "waits_for_owner) VALUES (?, ?, ?, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), "
                      "UTC_TIMESTAMP(6), EXISTS "
                      "(SELECT 1 FROM directory d WHERE d.route_id = ? AND d.configured))",
                      bind_u64(adding->mailbox_id), bind_u64(route_id), bind_u64(adding->mailbox->priority),
                      bind_u64(route_id)) < 0 ||
                   STORE_EXEC(
                       store, err,
                       "UPDATE directory SET due_at = LEAST(due_at, UTC_TIMESTAMP(6)) WHERE route_id = ? "
                       "AND fail_count = 0",
                       bind_u64(route_id)) < 0
               ? -1
               : 0;
}

static bool is_wanted_route(const struct adding *adding, const char *name)
{
    for (size_t i = 0; i < adding->route_count; i++)
        if (str_equal(adding->routes[i], name))
            return true;
    return adding->route_count == 0;
}

static int check_routes(const struct adding *adding, struct store_query *routes, struct err *err)
{
    for (size_t i = 0; i < adding->route_count; i++) {
        bool found = false;
        store_query_rewind(routes);
        while (store_query_next(routes) && !found)
            found = str_equal(store_query_text(routes), adding->routes[i]);
        if (!found)
            return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "there is no route '%s' in the configuration",
                           adding->routes[i]);
    }
    if (store_query_count(routes) == 0)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "the configuration has no route");
    return 0;
}

static int add_to_routes(struct store *store, struct adding *adding, struct store_query *routes,
                         struct err *err)
{
    store_query_rewind(routes);
    while (!adding->is_persons && store_query_next(routes)) {
        bool wanted = is_wanted_route(adding, store_query_text(routes));
        uint32_t route_id = store_query_u32(routes), from_site_id = store_query_u32(routes);
        if (wanted && (add_look(store, adding->mailbox_id, from_site_id, err) ||
                       add_mirror(store, adding, route_id, err)))
            return -1;
    }
    return 0;
}

/* What people ask for, the API audits. */
static int audit_followed(struct store *store, const struct adding *adding, struct err *err)
{
    char what[100];
    if (!adding->mailbox->followed || !(adding->is_new || adding->changed))
        return 0;
    snprintf(what, sizeof(what), "mailbox add %s", adding->mailbox->number);
    return store_audit(store, "directory", what, adding->route_count ? adding->routes[0] : "", err);
}

static int add_body(struct store *store, void *context, struct err *err)
{
    struct adding *adding = context;
    struct store_query *routes = STORE_ROWS(
        store, err, "SELECT name, route_id, from_site_id FROM route WHERE configured ORDER BY name");
    int result = -1;
    if (!routes)
        return -1;
    if (check_routes(adding, routes, err) || add_mailbox(store, adding, err) ||
        add_to_routes(store, adding, routes, err) || audit_followed(store, adding, err))
        goto out;
    result = 0;
out:
    store_query_end(routes, NULL);
    return result;
}

static int check_mailbox(const struct store_mailbox *mailbox, struct err *err)
{
    if (!str_is_mailbox_number(mailbox->number))
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "'%s' is not a mailbox number", mailbox->number);
    if (mailbox->priority < 1 || mailbox->priority > 8)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "the priority must be from 1 to 8");
    return 0;
}

int store_mailbox_add(struct store *store, const struct store_mailbox *mailbox, const char *const *routes,
                      size_t route_count, enum store_added *added_out, struct err *err)
{
    struct adding adding = {.mailbox = mailbox, .routes = routes, .route_count = route_count};
    if (check_mailbox(mailbox, err) || store_tx_run(store, add_body, &adding, err))
        return -1;
    *added_out = adding.is_new ? STORE_ADDED : adding.changed ? STORE_ADDED_CHANGED : STORE_ADDED_UNCHANGED;
    return 0;
}

/* ---- remove ---- */

struct removing {
    const char *number;
    uint64_t mailbox_id;
};

#define OF_MIRRORS "JOIN mirror m ON m.mirror_id = f.mirror_id WHERE m.mailbox_id = ?"

/* In this order: the mirror's rows are locked already, their contents go before them. */
static const char *const removals[] = {
    "DELETE i FROM intent i JOIN folder f ON f.folder_id = i.folder_id " OF_MIRRORS,
    "DELETE g FROM message g JOIN folder f ON f.folder_id = g.folder_id " OF_MIRRORS,
    "DELETE l FROM loss l JOIN folder f ON f.folder_id = l.folder_id " OF_MIRRORS,
    "DELETE f FROM folder f " OF_MIRRORS,
    /* the copies stay */
    "UPDATE plan_message f JOIN plan p ON p.plan_id = f.plan_id JOIN mirror m ON m.mirror_id = p.mirror_id "
    "SET f.outcome = 'kept' WHERE m.mailbox_id = ? AND f.outcome = 'open'",
    "UPDATE plan f JOIN mirror m ON m.mirror_id = f.mirror_id SET f.ended_at = UTC_TIMESTAMP(6), "
    "f.state = IF(f.state = 'refused', f.state, 'dissolved') WHERE m.mailbox_id = ? AND f.ended_at IS NULL",
    "DELETE FROM mirror WHERE mailbox_id = ?",
    "DELETE FROM sign WHERE mailbox_id = ?",
    "DELETE FROM look WHERE mailbox_id = ?",
    "DELETE FROM mailbox WHERE mailbox_id = ?",
};

static int lock_mirrors(struct store *store, struct removing *removing, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err, "SELECT mailbox_id FROM mailbox WHERE number = ? FOR UPDATE",
                   bind_text(removing->number));
    removing->mailbox_id = query && store_query_next(query) ? store_query_u64(query) : 0;
    if (store_query_end(query, err))
        return -1;
    return store_query_end(STORE_ROWS(store, err,
                                      "SELECT mirror_id FROM mirror WHERE mailbox_id = ? FOR UPDATE",
                                      bind_u64(removing->mailbox_id)),
                           err);
}

static int remove_body(struct store *store, void *context, struct err *err)
{
    struct removing *removing = context;
    if (lock_mirrors(store, removing, err))
        return -1;
    for (size_t i = 0; removing->mailbox_id && i < sizeof(removals) / sizeof(*removals); i++)
        if (STORE_EXEC(store, err, removals[i], bind_u64(removing->mailbox_id)) < 0)
            return -1;
    return 0;
}

int store_mailbox_remove(struct store *store, const char *number, bool *found_out, struct err *err)
{
    struct removing removing = {.number = number};
    if (store_tx_run(store, remove_body, &removing, err))
        return -1;
    *found_out = removing.mailbox_id != 0;
    return 0;
}

static int ask_to_remove_body(struct store *store, void *context, struct err *err)
{
    struct removing *removing = context;
    if (lock_mirrors(store, removing, err))
        return -1;
    if (!removing->mailbox_id)
        return 0;
    return STORE_EXEC(store, err, "UPDATE mailbox SET removing = 1 WHERE mailbox_id = ?",
                      bind_u64(removing->mailbox_id)) < 0 ||
                   STORE_EXEC(store, err,
                              "UPDATE mirror SET wanted_seq = wanted_seq + 1, due_at = UTC_TIMESTAMP(6), "
                              "priority = 0, waits_for_owner = 0, on_hold_since = NULL WHERE mailbox_id = ?",
                              bind_u64(removing->mailbox_id)) < 0
               ? -1
               : 0;
}

int store_mailbox_remove_with_copies(struct store *store, const char *number, bool *found_out,
                                     struct err *err)
{
    struct removing removing = {.number = number};
    if (store_tx_run(store, ask_to_remove_body, &removing, err))
        return -1;
    *found_out = removing.mailbox_id != 0;
    return 0;
}

/* ---- asking ---- */

#define OF_MAILBOX                                                                                           \
    "WHERE (? IS NULL OR mailbox_id = (SELECT b.mailbox_id FROM mailbox b WHERE b.number = ?)) "             \
    "AND route_id IN (SELECT r.route_id FROM route r WHERE r.configured)"

int store_mailbox_want_verify(struct store *store, const char *mailbox, bool deep, struct err *err)
{
    /* priority first: pending changes with the numbers. */
    int64_t rows =
        STORE_EXEC(store, err,
                   "UPDATE mirror SET priority = IF(wanted_seq > done_seq, priority, 9), "
                   "due_at = IF(fail_count = 0, LEAST(due_at, UTC_TIMESTAMP(6)), due_at), "
                   "verify_wanted_seq = verify_wanted_seq + 1, verify_deep = verify_deep OR ? " OF_MAILBOX,
                   bind_bool(deep), bind_text(mailbox), bind_text(mailbox));
    return rows < 0 ? -1 : (int)rows;
}

int store_mailbox_want_sync(struct store *store, const char *mailbox, struct err *err)
{
    if (store_look_ask(store, mailbox, err) < 0)
        return -1;
    int64_t rows = STORE_EXEC(store, err,
                              "UPDATE mirror SET priority = 0, due_at = LEAST(due_at, UTC_TIMESTAMP(6)), "
                              "wanted_seq = wanted_seq + 1 " OF_MAILBOX,
                              bind_text(mailbox), bind_text(mailbox));
    return rows < 0 ? -1 : (int)rows;
}

int store_route_pause(struct store *store, const char *route, bool paused, bool *found_out, struct err *err)
{
    int64_t rows = STORE_EXEC(store, err, "UPDATE route SET paused = ? WHERE name = ? AND configured",
                              bind_bool(paused), bind_text(route));
    *found_out = rows > 0;
    return rows < 0 ? -1 : 0;
}

int store_audit(struct store *store, const char *who, const char *what, const char *detail, struct err *err)
{
    int64_t rows =
        STORE_EXEC(store, err, "INSERT INTO audit (at, who, what, detail) VALUES (UTC_TIMESTAMP(6), ?, ?, ?)",
                   bind_cut(who, 64), bind_cut(what, 200), bind_cut(detail, 60000));
    return rows < 0 ? -1 : 0;
}
