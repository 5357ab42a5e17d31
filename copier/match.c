/*
 * Matching by keys; see match.h. Runs in the copier. The right side is sorted once; equal keys keep the order of
 * arrival, so that among equal messages the first goes with the first.
 */
#include "copier/match.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    const struct match_key *key;
    size_t index;
    bool used;
};

/* By date first: the rest may be compared by header or, where one side has none, by size. */
static int by_date_then_index(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->key->internal_date != y->key->internal_date)
        return x->key->internal_date < y->key->internal_date ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static bool is_candidate(const struct match_key *a, const struct match_key *b)
{
    if (a->internal_date != b->internal_date)
        return false;
    if (a->has_header && b->has_header)
        return memcmp(a->header_sha256, b->header_sha256, DIGEST_BYTES) == 0;
    return a->size_bytes == b->size_bytes;
}

static size_t first_of_date(const struct entry *entries, size_t count, int64_t date)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entries[middle].key->internal_date < date)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct matching {
    const struct match_key *left;
    struct entry *right;
    size_t right_count;
    match_confirm confirm;
    void *context;
};

static int find_partner(struct matching *matching, size_t left, long *partner_out, struct err *err)
{
    const struct match_key *key = &matching->left[left];
    size_t i = first_of_date(matching->right, matching->right_count, key->internal_date);
    *partner_out = MATCH_NONE;
    for (; i < matching->right_count && matching->right[i].key->internal_date == key->internal_date; i++) {
        struct entry *entry = &matching->right[i];
        bool equal = true;
        if (entry->used || !is_candidate(key, entry->key))
            continue;
        if (matching->confirm && matching->confirm(matching->context, left, entry->index, &equal, err) != 0)
            return -1;
        if (!equal)
            continue;
        entry->used = true;
        *partner_out = (long)entry->index;
        return 0;
    }
    return 0;
}

int match_run(const struct match_key *left, size_t left_count, const struct match_key *right,
              size_t right_count, match_confirm confirm, void *context, long *partner_out, struct err *err)
{
    struct matching matching = {
        .left = left, .right_count = right_count, .confirm = confirm, .context = context};
    int result = 0;
    matching.right = mem_grow(NULL, right_count ? right_count : 1, sizeof(*matching.right));
    for (size_t i = 0; i < right_count; i++)
        matching.right[i] = (struct entry){.key = &right[i], .index = i};
    qsort(matching.right, right_count, sizeof(*matching.right), by_date_then_index);
    for (size_t i = 0; i < left_count && result == 0; i++)
        result = find_partner(&matching, i, &partner_out[i], err);
    free(matching.right);
    return result;
}
