/*
 * The door itself: what a process holds open on all sites, renewed together. Runs in scanner and copier; the steps of
 * opening one session stand in access_session.c.
 */
#include "access/access_private.h"

#include "base/str.h"

#include <stdlib.h>

struct access *access_new(const struct access_params *params)
{
    struct access *access = mem_new(sizeof(*access));

    access->store = params->store;
    access->reactor = params->reactor;
    access->owner = str_copy(params->owner);
    access->purpose = str_copy(params->purpose);
    access->session_seconds = params->session_seconds;
    return access;
}

void access_free(struct access *access)
{
    if (access == NULL)
        return;
    /* All say LOGOUT at once, and are waited for together. */
    for (struct access_session *session = access->sessions, *next; session != NULL; session = next) {
        next = access_session_next(session);
        access_session_leave(session);
    }
    while (access->sessions != NULL)
        access_session_free(access->sessions);
    access_secret_forget(access, NULL);
    free(access->owner);
    free(access->purpose);
    free(access);
}

void access_reload(struct access *access)
{
    access_secret_forget(access, NULL);
}

int access_renew(struct access *access, struct err *err)
{
    int result = 0;

    for (struct access_session *session = access->sessions; session != NULL;
         session = access_session_next(session)) {
        if (access_session_renew(session, err) != 0)
            result = -1;
    }
    return result;
}
