/*
 * The configuration as rows (in the supervisor, at start and reload). Rows are never deleted: mirrors refer to them.
 */
#include "store/store.h"
#include "store/store_query.h"
#include "store/store_tx.h"

static int find_id(struct store *store, const char *sql, const char *name, uint32_t *id_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err, sql, bind_text(name));
    *id_out = query && store_query_next(query) ? store_query_u32(query) : 0;
    return store_query_end(query, err);
}

static int find_site(struct store *store, const char *name, uint32_t *id_out, struct err *err)
{
    return find_id(store, "SELECT site_id FROM site WHERE name = ?", name, id_out, err);
}

/* IGNORE: another host may do the same at this moment. */
static int apply_site(struct store *store, const struct config_site *site, struct err *err)
{
    uint32_t site_id;
    if (find_site(store, site->name, &site_id, err) || site_id)
        return site_id ? 0 : -1;
    return STORE_EXEC(store, err, "INSERT IGNORE INTO site (name) VALUES (?)", bind_text(site->name)) < 0 ? -1
                                                                                                          : 0;
}

/* What is recorded of a mirror is true of its two sites only. */
static int check_unused(struct store *store, const struct config_route *route, uint32_t route_id,
                        struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err, "SELECT EXISTS (SELECT 1 FROM mirror WHERE route_id = ?)", bind_u64(route_id));
    bool used = query && store_query_next(query) && store_query_bool(query);
    if (store_query_end(query, err))
        return -1;
    if (!used)
        return 0;
    return err_set(
        err, ERR_PROCESS, ERR_RETRY_NEVER,
        "route '%s' had other sites before, and mailboxes are mirrored by it: give the new route a new name",
        route->name);
}

struct route_row {
    uint32_t route_id, from, to; /* route_id 0: none */
};

static int find_route(struct store *store, const char *name, struct route_row *row, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err, "SELECT route_id, from_site_id, to_site_id FROM route WHERE name = ? FOR UPDATE",
        bind_text(name));
    *row = (struct route_row){0};
    if (query && store_query_next(query)) {
        row->route_id = store_query_u32(query);
        row->from = store_query_u32(query);
        row->to = store_query_u32(query);
    }
    return store_query_end(query, err);
}

static int apply_route(struct store *store, const struct config_route *route, struct err *err)
{
    struct route_row row;
    uint32_t from, to;
    int64_t rows;
    if (find_site(store, route->from, &from, err) || find_site(store, route->to, &to, err) ||
        find_route(store, route->name, &row, err))
        return -1;
    if (row.route_id && (row.from != from || row.to != to) && check_unused(store, route, row.route_id, err))
        return -1;
    if (row.route_id)
        rows =
            STORE_EXEC(store, err,
                       "UPDATE route SET from_site_id = ?, to_site_id = ?, configured = 1 WHERE route_id = ?",
                       bind_u64(from), bind_u64(to), bind_u64(row.route_id));
    else
        rows = STORE_EXEC(store, err,
                          "INSERT IGNORE INTO route (name, from_site_id, to_site_id) VALUES (?, ?, ?)",
                          bind_text(route->name), bind_u64(from), bind_u64(to));
    return rows < 0 ? -1 : 0;
}

/* Routes that the configuration does not have any more; sites need no mark. */
static int drop_others(struct store *store, const struct config *config, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err, "SELECT route_id, name FROM route WHERE configured");
    int result = 0;
    while (query && !result && store_query_next(query)) {
        uint32_t route_id = store_query_u32(query);
        if (config_route_find(config, store_query_text(query)))
            continue;
        if (STORE_EXEC(store, err, "UPDATE route SET configured = 0 WHERE route_id = ?", bind_u64(route_id)) <
            0)
            result = -1;
    }
    return store_query_end(query, result ? NULL : err) || result ? -1 : 0;
}

/* Since start, a login must have succeeded again; a stopped site stays stopped. Workers of long ago are forgotten. */
static int begin_anew(struct store *store, struct err *err)
{
    if (STORE_EXEC(store, err, "UPDATE site SET login_state = 'unproven' WHERE login_state = 'proven'") < 0)
        return -1;
    return STORE_EXEC(store, err, "DELETE FROM worker WHERE seen_at < UTC_TIMESTAMP(6) - INTERVAL 1 DAY") < 0
               ? -1
               : 0;
}

/* A route whose two sites have a directory has a row of it from now on; without one nobody is waited for. */
static int apply_directory(struct store *store, const struct config_route *route, struct err *err)
{
    bool has = config_route_has_directory(route);
    if (has &&
        STORE_EXEC(
            store, err,
            "INSERT IGNORE INTO directory (route_id, due_at) SELECT route_id, UTC_TIMESTAMP(6) FROM route "
            "WHERE name = ?",
            bind_text(route->name)) < 0)
        return -1;
    if (!has &&
        STORE_EXEC(store, err,
                   "UPDATE mirror m JOIN route r ON r.route_id = m.route_id SET m.waits_for_owner = 0 WHERE "
                   "r.name = ? AND m.waits_for_owner AND NOT m.handing_over",
                   bind_text(route->name)) < 0)
        return -1;
    return STORE_EXEC(store, err,
                      "UPDATE directory d JOIN route r ON r.route_id = d.route_id SET d.configured = ? WHERE "
                      "r.name = ?",
                      bind_bool(has), bind_text(route->name)) < 0
               ? -1
               : 0;
}

static int apply_body(struct store *store, void *context, struct err *err)
{
    const struct config *config = context;
    for (size_t i = 0; i < config->site_count; i++)
        if (apply_site(store, &config->sites[i], err))
            return -1;
    for (size_t i = 0; i < config->route_count; i++)
        if (apply_route(store, &config->routes[i], err) || apply_directory(store, &config->routes[i], err))
            return -1;
    return drop_others(store, config, err) || begin_anew(store, err) ? -1 : 0;
}

int store_config_apply(struct store *store, const struct config *config, struct err *err)
{
    return store_tx_run(store, apply_body, (void *)(uintptr_t)config, err);
}
