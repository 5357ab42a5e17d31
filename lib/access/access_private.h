/*
 * What the files of lib/access share: the list of all sessions of the process and the secrets of the sites.
 */
#ifndef MIRROR_ACCESS_ACCESS_PRIVATE_H
#define MIRROR_ACCESS_ACCESS_PRIVATE_H

#include "access/access.h"
#include "base/secret.h"

struct access_secret; /* of one site; access_secret.c */

struct access {
    struct store *store;
    struct imap_reactor *reactor;
    char *owner, *purpose;
    uint32_t session_seconds;
    int64_t no_release_until_ms; /* the store is away */
    struct access_secret *secrets;
    struct access_session *sessions; /* all, also those that are leaving */
};

/* The trusted server's password of a site, read on first use; borrowed until access_secret_forget(). */
const struct secret *access_secret_get(struct access *access, const struct config_site *site,
                                       uint64_t *version_out, struct err *err);
/* Of one site, or of all (NULL). */
void access_secret_forget(struct access *access, const char *site);

/* access_session.c */
int access_session_renew(struct access_session *session, struct err *err);
struct access_session *access_session_next(const struct access_session *session);

#endif
