/*
 * UID sets; see imap_uids.h. Used by the copier and the target to name many messages in few commands.
 */
#include "imap/imap_uids.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

/* "4294967295:4294967295," */
enum { LONGEST_RANGE = 22 };

static size_t run_length(const uint32_t *uids, size_t count)
{
    size_t n = 1;
    while (n < count && uids[n] == uids[n - 1] + 1)
        n++;
    return n;
}

size_t imap_uids_format(const uint32_t *uids, size_t count, char set[IMAP_UIDS_SET_BYTES])
{
    size_t used = 0, len = 0;
    set[0] = 0;
    while (used < count && len + LONGEST_RANGE < IMAP_UIDS_SET_BYTES) {
        size_t run = run_length(uids + used, count - used);
        const char *comma = len > 0 ? "," : "";
        int wrote;
        if (run == 1)
            wrote = snprintf(set + len, IMAP_UIDS_SET_BYTES - len, "%s%u", comma, uids[used]);
        else
            wrote = snprintf(set + len, IMAP_UIDS_SET_BYTES - len, "%s%u:%u", comma, uids[used],
                             uids[used + run - 1]);
        len += (size_t)wrote;
        used += run;
    }
    return used;
}

void imap_uids_add(struct imap_uids *uids, uint32_t uid)
{
    if (uids->count == uids->size) {
        uids->size = uids->size ? uids->size * 2 : 64;
        uids->items = mem_grow(uids->items, uids->size, sizeof(*uids->items));
    }
    uids->items[uids->count++] = uid;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void imap_uids_sort(struct imap_uids *uids)
{
    size_t kept = 0;
    if (uids->count == 0)
        return;
    qsort(uids->items, uids->count, sizeof(*uids->items), by_value);
    for (size_t i = 1; i < uids->count; i++)
        if (uids->items[i] != uids->items[kept])
            uids->items[++kept] = uids->items[i];
    uids->count = kept + 1;
}

void imap_uids_fini(struct imap_uids *uids)
{
    free(uids->items);
    *uids = (struct imap_uids){0};
}

int imap_uids_has(const uint32_t *uids, size_t count, uint32_t uid)
{
    return count > 0 && bsearch(&uid, uids, count, sizeof(*uids), by_value) != NULL;
}
