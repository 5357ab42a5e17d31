/*
 * Errors; see err.h. Used by every process.
 */
#include "base/err.h"

#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Through a buffer of its own, since the arguments may point into err->text. */
static void set_text(struct err *err, const char *format, va_list args)
{
    char text[sizeof(err->text) + 8];
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = 0;
    str_into(err->text, sizeof(err->text), text);
    str_make_plain(err->text);
}

int err_set(struct err *err, enum err_scope scope, enum err_retry retry, const char *format, ...)
{
    va_list args;
    if (err == NULL)
        return -1;
    va_start(args, format);
    set_text(err, format, args);
    va_end(args);
    err->scope = scope;
    err->retry = retry;
    err->side = ERR_SIDE_US;
    return -1;
}

int err_prefix(struct err *err, const char *format, ...)
{
    char prefix[sizeof(err->text)], text[2 * sizeof(err->text) + 4];
    va_list args;
    if (err == NULL)
        return -1;
    va_start(args, format);
    if (vsnprintf(prefix, sizeof(prefix), format, args) < 0)
        prefix[0] = 0;
    va_end(args);
    snprintf(text, sizeof(text), "%s: %s", prefix, err->text);
    str_into(err->text, sizeof(err->text), text);
    str_make_plain(err->text);
    return -1;
}

int err_blame(struct err *err, enum err_side side)
{
    if (err != NULL)
        err->side = side;
    return -1;
}

void err_clear(struct err *err)
{
    if (err != NULL)
        *err = (struct err){0};
}

const char *err_scope_name(enum err_scope scope)
{
    static const char *const names[] = {"none", "message", "folder", "mailbox", "site", "process"};
    return (unsigned)scope < sizeof(names) / sizeof(names[0]) ? names[scope] : "unknown";
}

const char *err_side_name(enum err_side side)
{
    static const char *const names[] = {"us", "production", "target"};
    return (unsigned)side < sizeof(names) / sizeof(names[0]) ? names[side] : "unknown";
}

_Noreturn void err_bug(const char *file, int line, const char *what)
{
    fprintf(stderr, "bug in %s:%d: %s\n", file, line, what);
    abort();
}
