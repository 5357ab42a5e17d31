/*
 * Messages on the target that no row names: what may have come from a lost APPEND, an earlier copy, a ghost, or from
 * somebody else. Their headers are fetched only where a date makes them candidates.
 */
#ifndef MIRROR_COPIER_UNMAPPED_H
#define MIRROR_COPIER_UNMAPPED_H

#include "copier/match.h"
#include "copier/pass.h"

struct unmapped {
    uint32_t *uids;         /* ascending */
    struct match_key *keys; /* same order */
    size_t *places;         /* index in pass->target.items */
    size_t count;
};

/* Candidates for these keys: same INTERNALDATE, UID >= first_uid; `wanted` NULL: of any date. pass->target must be
 * listed. */
int unmapped_load(struct pass *pass, const struct match_key *wanted, size_t wanted_count, uint32_t first_uid,
                  struct unmapped *unmapped_out, struct err *err);
void unmapped_fini(struct unmapped *unmapped);

/* How many there are in all: not ours, as far as we know. */
uint32_t unmapped_count(const struct pass *pass);

#endif
