/*
 * Subscribing a mailbox, in mirror-api.
 */
#include "api/api_subscribe.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { MIN_PRIORITY = 1, MAX_PRIORITY = 8, DEFAULT_PRIORITY = 5 };

#define WRONG(err, ...) err_set((err), ERR_MAILBOX, ERR_RETRY_NEVER, __VA_ARGS__)

int api_subscribe_number(struct api_subscribe *subscribe, const char *text, struct err *err)
{
    if (!text)
        return WRONG(err, "no mailbox number; write one as 'mailbox', such as 4711");
    if (!str_is_mailbox_number(text))
        return WRONG(
            err, "'%.80s' is no mailbox number: 1 to 64 digits, letters or . _ - @ +, not beginning with -",
            text);
    str_into(subscribe->mailbox.number, sizeof subscribe->mailbox.number, text);
    return 0;
}

static int plain_text(const char *what, const char *text, size_t max_bytes, struct err *err)
{
    if (strlen(text) > max_bytes)
        return WRONG(err, "%s is longer than %zu bytes; shorten it", what, max_bytes);
    if (!str_is_utf8(text, strlen(text)))
        return WRONG(err, "%s is not UTF-8", what);
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return WRONG(err, "%s holds a line end or another control character; take it out", what);
    return 0;
}

int api_subscribe_name(struct api_subscribe *subscribe, const char *text, struct err *err)
{
    if (!text)
        return 0;
    if (plain_text("name", text, sizeof subscribe->mailbox.name - 1, err) < 0)
        return -1;
    str_into(subscribe->mailbox.name, sizeof subscribe->mailbox.name, text);
    subscribe->has_name = true;
    return 0;
}

int api_subscribe_cos(struct api_subscribe *subscribe, const char *text, struct err *err)
{
    if (!text)
        return 0;
    if (plain_text("cos", text, sizeof subscribe->mailbox.cos - 1, err) < 0)
        return -1;
    str_into(subscribe->mailbox.cos, sizeof subscribe->mailbox.cos, text);
    subscribe->has_cos = true;
    return 0;
}

int api_subscribe_priority(struct api_subscribe *subscribe, const char *text, struct err *err)
{
    uint32_t priority = 0;
    if (!text)
        return 0;
    if (str_to_u32(text, &priority) < 0 || priority < MIN_PRIORITY || priority > MAX_PRIORITY)
        return WRONG(err, "priority '%.20s' is not a number from %d (most urgent) to %d", text, MIN_PRIORITY,
                     MAX_PRIORITY);
    subscribe->mailbox.priority = priority;
    subscribe->has_priority = true;
    return 0;
}

static int no_such_route(const struct config *config, const char *name, struct err *err)
{
    char names[256] = "";
    for (size_t i = 0; i < config->route_count; i++) {
        size_t len = strlen(names);
        snprintf(names + len, sizeof names - len, "%s%s", i > 0 ? ", " : "", config->routes[i].name);
    }
    return WRONG(err, "there is no route '%.64s' in the configuration; there are %s", name, names);
}

int api_subscribe_route(struct api_subscribe *subscribe, const struct config *config, const char *name,
                        struct err *err)
{
    const struct config_route *route = config_route_find(config, name);
    if (!route)
        return no_such_route(config, name, err);
    for (size_t i = 0; i < subscribe->route_count; i++)
        if (str_equal(subscribe->routes[i], route->name))
            return 0;
    if (subscribe->route_count == API_SUBSCRIBE_MAX_ROUTES)
        return WRONG(err, "more than %d routes for one mailbox", API_SUBSCRIBE_MAX_ROUTES);
    subscribe->routes[subscribe->route_count++] = route->name;
    return 0;
}

int api_subscribe_routes(struct api_subscribe *subscribe, const struct config *config, char *text,
                         struct err *err)
{
    char *rest = text;
    for (char *name = text ? strtok_r(rest, " \t|", &rest) : NULL; name; name = strtok_r(NULL, " \t|", &rest))
        if (api_subscribe_route(subscribe, config, name, err) < 0)
            return -1;
    return 0;
}

static void keep_what_is_not_given(void *context, const struct store_mirror_status *mirror)
{
    struct api_subscribe *subscribe = context;
    struct store_mailbox *mailbox = &subscribe->mailbox;
    if (!subscribe->has_name)
        str_into(mailbox->name, sizeof mailbox->name, mirror->name);
    if (!subscribe->has_cos)
        str_into(mailbox->cos, sizeof mailbox->cos, mirror->cos);
    if (!subscribe->has_priority)
        mailbox->priority = mirror->priority;
}

int api_subscribe_store(struct store *store, struct api_subscribe *subscribe, enum store_added *added_out,
                        struct err *err)
{
    struct store_status_filter filter = {.mailbox = subscribe->mailbox.number};
    if (!subscribe->has_priority)
        subscribe->mailbox.priority = DEFAULT_PRIORITY;
    if ((!subscribe->has_name || !subscribe->has_cos || !subscribe->has_priority) &&
        store_mailbox_status(store, &filter, keep_what_is_not_given, subscribe, err) < 0)
        return -1;
    return store_mailbox_add(store, &subscribe->mailbox, subscribe->routes, subscribe->route_count, added_out,
                             err);
}

const char *api_subscribe_added_word(enum store_added added)
{
    switch (added) {
    case STORE_ADDED:
        return "added";
    case STORE_ADDED_CHANGED:
        return "changed";
    default:
        return "unchanged";
    }
}
