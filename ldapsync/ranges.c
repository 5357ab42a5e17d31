/*
 * Ranges of numbers as LDAP filters; see ranges.h.
 */
#include "ldapsync/ranges.h"

#include "base/buf.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Of mailbox numbers (str_is_mailbox_number), those that need no escape in a filter. Letters match without regard to case in
 * the usual syntaxes, so each is asked for once. */
static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz+-._@";

enum { PREFIX_MAX = 64, FILTER_MAX = 16384 };

enum shape { WITHOUT, OTHER, PREFIX, EXACTLY, BETWEEN, OUTSIDE };

struct range {
    enum shape shape;
    char prefix[PREFIX_MAX + 1]; /* OTHER: what the characters behind are none of the alphabet */
    uint64_t first, last;        /* BETWEEN */
};

/* Integers above that are no mailbox or COS number. */
#define VALUE_MAX 999999999999999999ULL

struct ranges {
    enum ranges_form form;
    char *filter, *attribute;
    struct range *waiting;
    size_t count;
    struct range last;
    struct buf text;
};

static void push(struct ranges *ranges, enum shape shape, const char *prefix, char more)
{
    ranges->waiting = mem_grow(ranges->waiting, ranges->count + 1, sizeof(*ranges->waiting));
    struct range *range = &ranges->waiting[ranges->count++];
    size_t len = strlen(str_into(range->prefix, sizeof(range->prefix), prefix));
    range->shape = shape;
    if (more && len < PREFIX_MAX) {
        range->prefix[len] = more;
        range->prefix[len + 1] = '\0';
    }
}

static void push_children(struct ranges *ranges, const char *prefix)
{
    for (const char *at = alphabet + strlen(alphabet); at-- > alphabet;)
        push(ranges, PREFIX, prefix, *at);
    push(ranges, OTHER, prefix, '\0');
    if (*prefix)
        push(ranges, EXACTLY, prefix, '\0');
}

static void push_between(struct ranges *ranges, uint64_t first, uint64_t last)
{
    push(ranges, BETWEEN, "", '\0');
    ranges->waiting[ranges->count - 1].first = first;
    ranges->waiting[ranges->count - 1].last = last;
}

/* The shorter the number, the likelier: asked first. */
static void push_values(struct ranges *ranges)
{
    push(ranges, OUTSIDE, "", '\0');
    for (uint64_t last = VALUE_MAX; last > 0; last /= 10)
        push_between(ranges, last / 10 + (last > 9), last);
}

enum ranges_form ranges_form(const struct ranges *ranges)
{
    return ranges->form;
}

struct ranges *ranges_new(const char *filter, const char *attribute, enum ranges_form form)
{
    struct ranges *ranges = mem_new(sizeof(*ranges));
    ranges->filter = str_copy(filter);
    ranges->attribute = str_copy(attribute);
    buf_init(&ranges->text, FILTER_MAX);
    ranges->form = form;
    if (form == RANGES_VALUES)
        push_values(ranges);
    else
        push_children(ranges, "");
    push(ranges, WITHOUT, "", '\0');
    return ranges;
}

void ranges_free(struct ranges *ranges)
{
    if (!ranges)
        return;
    free(ranges->filter);
    free(ranges->attribute);
    free(ranges->waiting);
    buf_fini(&ranges->text);
    free(ranges);
}

/* Begins with the prefix, goes on, and with none of the alphabet. */
static void print_other(struct ranges *ranges, const char *prefix)
{
    buf_addf(&ranges->text, "(&%s(%s=%s*)", ranges->filter, ranges->attribute, prefix);
    if (*prefix)
        buf_addf(&ranges->text, "(!(%s=%s))", ranges->attribute, prefix);
    for (const char *at = alphabet; *at; at++)
        buf_addf(&ranges->text, "(!(%s=%s%c*))", ranges->attribute, prefix, *at);
    buf_add_str(&ranges->text, ")");
}

const char *ranges_next(struct ranges *ranges)
{
    if (ranges->count == 0)
        return NULL;
    ranges->last = ranges->waiting[--ranges->count];
    buf_clear(&ranges->text);
    const char *prefix = ranges->last.prefix;
    if (ranges->last.shape == WITHOUT)
        buf_addf(&ranges->text, "(&%s(!(%s=*)))", ranges->filter, ranges->attribute);
    else if (ranges->last.shape == BETWEEN)
        buf_addf(&ranges->text, "(&%s(%s>=%" PRIu64 ")(%s<=%" PRIu64 "))", ranges->filter, ranges->attribute,
                 ranges->last.first, ranges->attribute, ranges->last.last);
    else if (ranges->last.shape == OUTSIDE)
        buf_addf(&ranges->text, "(&%s(|(%s<=-1)(%s>=%llu)))", ranges->filter, ranges->attribute,
                 ranges->attribute, VALUE_MAX + 1);
    else if (ranges->last.shape == OTHER)
        print_other(ranges, prefix);
    else
        buf_addf(&ranges->text, "(&%s(%s=%s%s))", ranges->filter, ranges->attribute, prefix,
                 ranges->last.shape == PREFIX ? "*" : "");
    return buf_data(&ranges->text);
}

static bool split_between(struct ranges *ranges)
{
    uint64_t first = ranges->last.first, last = ranges->last.last, size = (last - first + 1 + 9) / 10;
    if (first == last)
        return false;
    for (; first <= last; first += size)
        push_between(ranges, first, last - first < size ? last : first + size - 1);
    return true;
}

bool ranges_split(struct ranges *ranges)
{
    if (ranges->last.shape == BETWEEN)
        return split_between(ranges);

    if (ranges->last.shape != PREFIX || strlen(ranges->last.prefix) >= PREFIX_MAX)
        return false;
    push_children(ranges, ranges->last.prefix);
    return true;
}
