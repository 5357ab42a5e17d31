/*
 * The secrets of the sites that this process was asked to enter, each read when it is first needed (in whichever program
 * uses lib/access) and kept in memory only. A site whose login gate is closed has its file read again at every try, so
 * that a corrected password works without telling anybody.
 */
#include "access/access_private.h"

#include "base/str.h"

#include <stdlib.h>

struct access_secret {
    struct access_secret *next;
    char *site;
    struct secret *secret;
    uint64_t version;
};

static void free_one(struct access_secret *entry)
{
    secret_free(entry->secret);
    free(entry->site);
    free(entry);
}

void access_secret_forget(struct access *access, const char *site)
{
    struct access_secret **link = &access->secrets;

    while (*link != NULL) {
        struct access_secret *entry = *link;

        if (site != NULL && !str_equal(entry->site, site)) {
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        free_one(entry);
    }
}

static int explain(const struct config_site *site, struct err *err)
{
    struct err cause = *err;

    return err_set(
        err, ERR_SITE, ERR_RETRY_LATER,
        "site %s: the trusted server's password cannot be read: %s; put it into that file, readable by its "
        "owner only (trusted_server.password_file)",
        site->name, cause.text);
}

const struct secret *access_secret_get(struct access *access, const struct config_site *site,
                                       uint64_t *version_out, struct err *err)
{
    struct access_secret *entry = access->secrets;

    while (entry != NULL && !str_equal(entry->site, site->name))
        entry = entry->next;
    if (entry == NULL) {
        uint64_t version = 0;
        struct err cause = {0};
        struct secret *secret = NULL;

        if (site->trusted_password_file == NULL)
            err_set(&cause, ERR_SITE, ERR_RETRY_LATER, "no trusted_server.password_file is configured");
        else
            secret = secret_read(site->trusted_password_file, &version, &cause);
        if (secret == NULL) {
            if (err != NULL) {
                *err = cause;
                explain(site, err);
            }
            return NULL;
        }
        entry = mem_new(sizeof(*entry));
        entry->site = str_copy(site->name);
        entry->secret = secret;
        entry->version = version;
        entry->next = access->secrets;
        access->secrets = entry;
    }
    *version_out = entry->version;
    return entry->secret;
}
