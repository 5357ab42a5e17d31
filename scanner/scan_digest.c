/* Pure; see the header. Runs in the scanner during a look at flags. */
#include "scanner/scan_digest.h"

#include "base/str.h"

#include <stdlib.h>

enum { MAX_MESSAGES = 4000000, FIRST_SIZE = 64 };

struct scan_digest_item {
    uint32_t uid;
    size_t order; /* of arrival: the later answer is the newer one */
    struct imap_flags flags;
};

void scan_digest_add(struct scan_digest *digest, uint32_t uid, const struct imap_flags *flags)
{
    struct scan_digest_item *item;

    if (digest->count == MAX_MESSAGES) {
        digest->is_over = true;
        return;
    }
    if (digest->count == digest->size) {
        digest->size = digest->size > 0 ? digest->size * 2 : FIRST_SIZE;
        digest->items = mem_grow(digest->items, digest->size, sizeof(*digest->items));
    }
    item = &digest->items[digest->count];
    item->uid = uid;
    item->order = digest->count++;
    imap_flags_init(&item->flags);
    imap_flags_copy(&item->flags, flags);
    if (uid > digest->last_uid)
        digest->last_uid = uid;
}

static int by_uid_then_order(const void *a, const void *b)
{
    const struct scan_digest_item *x = a, *y = b;

    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

int scan_digest_end(struct scan_digest *digest, uint8_t out[DIGEST_BYTES])
{
    struct imap_flags_digest *sum;

    if (digest->is_over)
        return -1;
    if (digest->count > 0)
        qsort(digest->items, digest->count, sizeof(*digest->items), by_uid_then_order);
    sum = imap_flags_digest_new();
    for (size_t i = 0; i < digest->count; i++) {
        if (i + 1 < digest->count && digest->items[i + 1].uid == digest->items[i].uid)
            continue;
        imap_flags_digest_add(sum, digest->items[i].uid, &digest->items[i].flags);
    }
    imap_flags_digest_end(sum, out);
    imap_flags_digest_free(sum);
    return 0;
}

void scan_digest_fini(struct scan_digest *digest)
{
    for (size_t i = 0; i < digest->count; i++)
        imap_flags_fini(&digest->items[i].flags);
    free(digest->items);
    *digest = (struct scan_digest){0};
}
