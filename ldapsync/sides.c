/*
 * Connections kept between rounds; see sides.h.
 */
#include "ldapsync/sides.h"

#include "base/log.h"
#include "base/str.h"
#include "store/store_directory.h"

#include <stdlib.h>
#include <string.h>

struct kept {
    const struct config_site *site;
    enum err_side side;
    struct connection *connection;
};

struct sides {
    struct sides_params params;
    char host[101];
    struct kept *kept;
    size_t count;
};

struct sides *sides_new(const struct sides_params *params)
{
    struct sides *sides = mem_new(sizeof(*sides));
    sides->params = *params;
    str_into(sides->host, sizeof(sides->host), params->owner);
    sides->host[strcspn(sides->host, ":")] = '\0';
    return sides;
}

void sides_close_all(struct sides *sides)
{
    for (size_t i = 0; i < sides->count; i++)
        connection_free(sides->kept[i].connection);
    free(sides->kept);
    sides->kept = NULL;
    sides->count = 0;
}

void sides_free(struct sides *sides)
{
    if (!sides)
        return;
    sides_close_all(sides);
    free(sides);
}

static struct connection *find(struct sides *sides, const struct config_site *site, enum err_side side)
{
    for (size_t i = 0; i < sides->count; i++)
        if (sides->kept[i].site == site && sides->kept[i].side == side)
            return sides->kept[i].connection;
    sides->kept = mem_grow(sides->kept, sides->count + 1, sizeof(*sides->kept));
    struct connection *connection = connection_new(&(struct connection_params){
        .site = site, .side = side, .tick = sides->params.tick, .context = sides->params.context});
    sides->kept[sides->count++] = (struct kept){.site = site, .side = side, .connection = connection};
    return connection;
}

static int gate_says(struct sides *sides, const struct store_directory_gate *gate, struct err *err)
{
    uint32_t stopped_seconds = 0;
    char said[800] = "";
    if (store_directory_may_bind(sides->params.store, gate, &stopped_seconds, said, err) != 0)
        return -1;
    if (stopped_seconds > 0)
        return err_set(
            err, ERR_SITE, ERR_RETRY_LATER,
            "the directory refused our name or password: %s; it is left alone for %u s, or until the "
            "password file changes",
            said, stopped_seconds);
    return 0;
}

static int bind_now(struct sides *sides, struct connection *connection, const struct config_site *site,
                    const struct secret *secret, const struct store_directory_gate *gate, struct err *err)
{
    struct err store_err = {0};
    enum connection_bound bound = connection_open(connection, secret, err);
    if (bound == CONNECTION_FAILED)
        return -1;
    bool accepted = bound == CONNECTION_BOUND;
    if (store_directory_bound(sides->params.store, gate, accepted, err->text, site->auth_retry_minutes,
                              &store_err) != 0) {
        connection_close(connection);
        *err = store_err;
        return -1;
    }
    if (!accepted)
        log_error("the directory refused our name or password: it is left alone", LOG_STR("site", site->name),
                  LOG_STR("error", err->text));
    return accepted ? 0 : -1;
}

struct connection *sides_open(struct sides *sides, const struct config_site *site, enum err_side side,
                              struct err *err)
{
    struct connection *connection = find(sides, site, side);
    struct store_directory_gate gate = {.site = site->name, .host = sides->host};
    struct secret *secret = NULL;
    int result;
    if (connection_is_open(connection))
        return connection;
    result = connection_secret(connection, &secret, &gate.secret_version, err);
    if (result == 0)
        result = gate_says(sides, &gate, err);
    if (result == 0)
        result = bind_now(sides, connection, site, secret, &gate, err);
    secret_free(secret);
    if (result != 0) {
        err_prefix(err, "directory of %s", site->name);
        err_blame(err, side);
    }
    return result == 0 ? connection : NULL;
}
