/*
 * Ranges of numbers, where a server gives no more than so many entries at a time and knows no pages: prefixes, each split
 * into longer ones when it is still too many. Pure: a stack of filters to be asked. All ranges together match every entry
 * once: those without the attribute, those whose number begins with no character of the alphabet, and each prefix.
 */
#ifndef MIRROR_LDAPSYNC_RANGES_H
#define MIRROR_LDAPSYNC_RANGES_H

#include <stdbool.h>
#include <stddef.h>

struct ranges;

enum ranges_form {
    RANGES_PREFIXES, /* by the digits that a number begins with */
    RANGES_VALUES,   /* from one value to another: for attributes of INTEGER syntax, which have no prefixes */
};

struct ranges *ranges_new(const char *filter, const char *attribute, enum ranges_form form);
enum ranges_form ranges_form(const struct ranges *ranges);
void ranges_free(struct ranges *ranges);
/* The next filter to be asked; borrowed until the next call. NULL: all were. */
const char *ranges_next(struct ranges *ranges);
/* The one asked last was too many: it is asked in parts. false: it cannot be split further. */
bool ranges_split(struct ranges *ranges);

#endif
