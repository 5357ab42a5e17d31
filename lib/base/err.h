/*
 * Errors: what happened in words, how far the damage reaches, and whether to try again.
 *
 * A failing function returns -1 (or NULL) and fills `struct err`, its last parameter. Context is added on
 * the way up with err_prefix(), so that the line reads "mirror 1001 to dr: copy INBOX: append: NO [OVERQUOTA]
 * ..."; whoever handles the error logs it, once. The class is set where the error is detected.
 */
#ifndef MIRROR_BASE_ERR_H
#define MIRROR_BASE_ERR_H

#include <stdbool.h>

/* How far the damage reaches; ordered, the widest last. */
enum err_scope {
    ERR_NONE = 0,
    ERR_MESSAGE, /* this message only; the folder goes on */
    ERR_FOLDER,  /* this folder only; the mailbox goes on */
    ERR_MAILBOX, /* this mirror only; the connection is not to be used further */
    ERR_SITE,    /* everything on that site (down, wrong secret, out of sessions) */
    ERR_PROCESS, /* this process cannot work now (store away, lease lost, stop asked for, configuration) */
};

enum err_retry {
    ERR_RETRY_NEVER, /* repeating the same will fail the same way */
    ERR_RETRY_LATER, /* with a growing delay */
    ERR_RETRY_NOW,   /* at once, e.g. after a deadlock */
};

/* Who has to act: shown by `why`. */
enum err_side { ERR_SIDE_US = 0, ERR_SIDE_PRODUCTION, ERR_SIDE_TARGET };

struct err {
    enum err_scope scope;
    enum err_retry retry;
    enum err_side side;
    char text[768]; /* UTF-8, one line, no control characters, never a secret */
};

/* Fills `err` (may be NULL) and returns -1, so that `return err_set(...)` reads naturally. Control characters
 * that came from a server are replaced by '?'. */
int err_set(struct err *err, enum err_scope scope, enum err_retry retry, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "<formatted>: " before the text. Returns -1. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the side and returns -1. */
int err_blame(struct err *err, enum err_side side);

void err_clear(struct err *err);

const char *err_scope_name(enum err_scope scope); /* "message", "folder", ... */
const char *err_side_name(enum err_side side);    /* "us", "production", "target" */

/* Our own bug or out of memory: prints where and why, then abort(). Never called for bytes from outside. */
_Noreturn void err_bug(const char *file, int line, const char *what);
#define BUG(what) err_bug(__FILE__, __LINE__, (what))
#define ASSERT(cond) ((cond) ? (void)0 : err_bug(__FILE__, __LINE__, #cond))

#endif
