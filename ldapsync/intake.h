/*
 * What a listing brings, on its way into the store: each entry mapped, digested and named; in batches.
 */
#ifndef MIRROR_LDAPSYNC_INTAKE_H
#define MIRROR_LDAPSYNC_INTAKE_H

#include "ldapsync/round.h"

struct intake {
    struct round *round;
    struct store_listing listing;
    struct store_listed batch[STORE_LISTED_BATCH];
    size_t batched;
    uint64_t entries;
    struct store_mark newest; /* modifyTimestamp */
    bool lacked_once;
    char lacked_by_all[400]; /* required attributes that no entry so far showed */
};

void intake_init(struct intake *intake, struct round *round, const struct store_listing *listing);
/* For struct listing_params: context is the intake. */
int intake_entry(void *context, const struct entry *entry, struct err *err);
void intake_bad_entry(void *context, const char *dn, const struct err *why);
int intake_flush(struct intake *intake, struct err *err);
/* Entries came, and none of them shows an attribute that must be there: names of these, or "". */
const char *intake_lacks(const struct intake *intake);

/* What a subscriber or COS is called, from its entry: -1 and why it cannot be mirrored. Used for entries that are read one
 * by one as well. */
int intake_name(const struct round *round, const struct store_listing *listing, const struct entry *entry,
                struct store_listed *listed_out, struct err *err);

#endif
