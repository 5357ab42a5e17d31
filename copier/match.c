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

/* ---- without dates ---- */

/* What is left over on one side: keys without dates, and whose they are. */
struct leftover {
    struct match_key *keys;
    size_t *places;
    size_t count;
};

static void leftover_init(struct leftover *leftover, size_t most)
{
    leftover->keys = mem_grow(NULL, most + 1, sizeof(*leftover->keys));
    leftover->places = mem_grow(NULL, most + 1, sizeof(*leftover->places));
    leftover->count = 0;
}

static void leftover_fini(struct leftover *leftover)
{
    free(leftover->keys);
    free(leftover->places);
}

static void leftover_add(struct leftover *leftover, const struct match_key *key, size_t place)
{
    leftover->keys[leftover->count] = *key;
    leftover->keys[leftover->count].internal_date = 0;
    leftover->places[leftover->count++] = place;
}

struct undated {
    struct leftover left, right;
    match_confirm confirm;
    void *context;
};

static int confirm_undated(void *context, size_t left, size_t right, bool *equal_out, struct err *err)
{
    const struct undated *undated = context;
    return undated->confirm(undated->context, undated->left.places[left], undated->right.places[right],
                            equal_out, err);
}

static void collect_leftover(struct undated *undated, const struct match_key *left, size_t left_count,
                             const struct match_key *right, size_t right_count, const long *partners)
{
    bool *used = mem_new((right_count + 1) * sizeof(*used));
    leftover_init(&undated->left, left_count);
    leftover_init(&undated->right, right_count);
    for (size_t i = 0; i < left_count; i++) {
        if (partners[i] == MATCH_NONE)
            leftover_add(&undated->left, &left[i], i);
        else
            used[partners[i]] = true;
    }
    for (size_t i = 0; i < right_count; i++)
        if (!used[i])
            leftover_add(&undated->right, &right[i], i);
    free(used);
}

int match_run_any_date(const struct match_key *left, size_t left_count, const struct match_key *right,
                       size_t right_count, match_confirm confirm, void *context, long *partner_out,
                       struct err *err)
{
    struct undated undated = {.confirm = confirm, .context = context};
    long *partners;
    int result = match_run(left, left_count, right, right_count, confirm, context, partner_out, err);
    if (result != 0)
        return -1;
    collect_leftover(&undated, left, left_count, right, right_count, partner_out);
    partners = mem_grow(NULL, undated.left.count + 1, sizeof(*partners));
    result = match_run(undated.left.keys, undated.left.count, undated.right.keys, undated.right.count,
                       confirm_undated, &undated, partners, err);
    for (size_t i = 0; i < undated.left.count && result == 0; i++)
        if (partners[i] != MATCH_NONE)
            partner_out[undated.left.places[i]] = (long)undated.right.places[partners[i]];
    free(partners);
    leftover_fini(&undated.left);
    leftover_fini(&undated.right);
    return result;
}
