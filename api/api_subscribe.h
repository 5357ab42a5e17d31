/*
 * Subscribing one mailbox, as both POST /mailboxes and each line of an import do: what is given is checked, what is not
 * given stays as it is.
 */
#ifndef MIRROR_API_SUBSCRIBE_H
#define MIRROR_API_SUBSCRIBE_H

#include "api/api.h"
#include "store/store_mailbox.h"

enum { API_SUBSCRIBE_MAX_ROUTES = 64 };

struct api_subscribe {
    struct store_mailbox mailbox;
    bool has_name, has_cos, has_priority;
    const char *routes[API_SUBSCRIBE_MAX_ROUTES]; /* borrowed; none: all routes */
    size_t route_count;
};

/* Text as given, NULL: not given. -1: what is wrong with it. */
int api_subscribe_number(struct api_subscribe *subscribe, const char *text, struct err *err);
int api_subscribe_name(struct api_subscribe *subscribe, const char *text, struct err *err);
int api_subscribe_cos(struct api_subscribe *subscribe, const char *text, struct err *err);
int api_subscribe_priority(struct api_subscribe *subscribe, const char *text, struct err *err);
/* One route; must be in the configuration. */
int api_subscribe_route(struct api_subscribe *subscribe, const struct config *config, const char *name,
                        struct err *err);
/* Several, separated by blanks or '|', cut in place. */
int api_subscribe_routes(struct api_subscribe *subscribe, const struct config *config, char *text,
                         struct err *err);

/* Writes it. */
int api_subscribe_store(struct store *store, struct api_subscribe *subscribe, enum store_added *added_out,
                        struct err *err);

const char *api_subscribe_added_word(enum store_added added); /* "added", "changed", "unchanged" */

#endif
