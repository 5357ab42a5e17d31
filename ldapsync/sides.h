/*
 * The connections of this process, one a site and direction, kept open between rounds: a bind each few seconds would be
 * noise in the site's log. Opening one passes the site's gate in the store: a secret that was refused is not tried again
 * until it changes or its time is over.
 */
#ifndef MIRROR_LDAPSYNC_SIDES_H
#define MIRROR_LDAPSYNC_SIDES_H

#include "ldapsync/connection.h"
#include "store/store.h"

struct sides;

struct sides_params {
    struct store *store; /* borrowed, as all here */
    const char *owner;
    bool (*tick)(void *context);
    void *context;
};
struct sides *sides_new(const struct sides_params *params);
void sides_free(struct sides *sides);
void sides_close_all(struct sides *sides);

/* Open and bound; borrowed until sides_close_all(). NULL: ERR_SITE. */
struct connection *sides_open(struct sides *sides, const struct config_site *site, enum err_side side,
                              struct err *err);

#endif
