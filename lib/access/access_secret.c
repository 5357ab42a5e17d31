/*
 * The secrets of the sites that this process was asked to enter (in whichever program uses lib/access), kept in memory
 * only. The file is read for every login: a corrected password works without telling anybody, and no process spends one of
 * the site's few tries on the former one. A file that cannot be read now leaves the secret as it was.
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

static struct secret *read_file(const struct config_site *site, uint64_t *version_out, struct err *err)
{
    if (site->trusted_password_file != NULL)
        return secret_read(site->trusted_password_file, version_out, err);
    err_set(err, ERR_SITE, ERR_RETRY_LATER, "no trusted_server.password_file is configured");
    return NULL;
}

static struct access_secret *find(struct access *access, const char *site)
{
    struct access_secret *entry = access->secrets;

    while (entry != NULL && !str_equal(entry->site, site))
        entry = entry->next;
    return entry;
}

static struct access_secret *keep(struct access *access, const char *site, struct secret *secret,
                                  uint64_t version)
{
    struct access_secret *entry = mem_new(sizeof(*entry));

    access_secret_forget(access, site);
    entry->site = str_copy(site);
    entry->secret = secret;
    entry->version = version;
    entry->next = access->secrets;
    access->secrets = entry;
    return entry;
}

const struct secret *access_secret_get(struct access *access, const struct config_site *site,
                                       uint64_t *version_out, struct err *err)
{
    struct access_secret *entry = find(access, site->name);
    uint64_t version = 0;
    struct err cause = {0};
    struct secret *secret = read_file(site, &version, &cause);

    if (secret == NULL && entry == NULL) {
        if (err != NULL) {
            *err = cause;
            explain(site, err);
        }
        return NULL;
    }
    if (secret != NULL && (entry == NULL || entry->version != version))
        entry = keep(access, site->name, secret, version);
    else
        secret_free(secret);
    *version_out = entry->version;
    return entry->secret;
}
