/*
 * Messages on the target that no row names; see unmapped.h. Runs in the copier.
 */
#include "copier/unmapped.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t *dates_of(const struct match_key *keys, size_t count)
{
    int64_t *dates = mem_grow(NULL, count ? count : 1, sizeof(*dates));
    for (size_t i = 0; i < count; i++)
        dates[i] = keys[i].internal_date;
    qsort(dates, count, sizeof(*dates), by_value);
    return dates;
}

static void collect(struct pass *pass, const struct match_key *wanted, size_t wanted_count,
                    uint32_t first_uid, struct unmapped *unmapped)
{
    struct pass_index index;
    int64_t *dates = dates_of(wanted, wanted_count);
    pass_index_rows(pass, STORE_TARGET, &index);
    for (size_t i = 0; i < pass->target.count; i++) {
        const struct target_message *message = &pass->target.items[i];
        if (message->uid < first_uid || pass_index_find(pass, &index, message->uid) ||
            (wanted && !bsearch(&message->internal_date, dates, wanted_count, sizeof(*dates), by_value)))
            continue;
        unmapped->uids[unmapped->count] = message->uid;
        unmapped->places[unmapped->count] = i;
        unmapped->keys[unmapped->count++] =
            (struct match_key){.internal_date = message->internal_date, .size_bytes = message->size_bytes};
    }
    pass_index_fini(&index);
    free(dates);
}

int unmapped_load(struct pass *pass, const struct match_key *wanted, size_t wanted_count, uint32_t first_uid,
                  struct unmapped *unmapped_out, struct err *err)
{
    size_t most = pass->target.count ? pass->target.count : 1;
    uint8_t(*digests)[DIGEST_BYTES] = NULL;
    bool *found = NULL;
    int result;
    *unmapped_out = (struct unmapped){.uids = mem_grow(NULL, most, sizeof(uint32_t)),
                                      .places = mem_grow(NULL, most, sizeof(size_t)),
                                      .keys = mem_grow(NULL, most, sizeof(struct match_key))};
    collect(pass, wanted, wanted_count, first_uid, unmapped_out);
    digests = mem_new(most * sizeof(*digests));
    found = mem_new(most * sizeof(*found));
    result = target_header_digests(pass->turn->target, pass->folder->target_name, unmapped_out->uids,
                                   unmapped_out->count, digests, found, err);
    for (size_t i = 0; i < unmapped_out->count && result == 0; i++) {
        unmapped_out->keys[i].has_header = found[i];
        memcpy(unmapped_out->keys[i].header_sha256, digests[i], DIGEST_BYTES);
    }
    free(digests);
    free(found);
    if (result != 0)
        unmapped_fini(unmapped_out);
    return result;
}

void unmapped_fini(struct unmapped *unmapped)
{
    free(unmapped->uids);
    free(unmapped->keys);
    free(unmapped->places);
    *unmapped = (struct unmapped){0};
}

uint32_t unmapped_count(const struct pass *pass)
{
    struct pass_index index;
    uint32_t count = 0;
    pass_index_rows(pass, STORE_TARGET, &index);
    for (size_t i = 0; i < pass->target.count; i++)
        count += pass_index_find(pass, &index, pass->target.items[i].uid) == NULL;
    pass_index_fini(&index);
    return count;
}
