/*
 * What a listing brings, on its way into the store: each entry mapped, digested and named; in batches. Or, to see whether anything
 * is new at all, only its sum.
 */
#ifndef MIRROR_LDAPSYNC_INTAKE_H
#define MIRROR_LDAPSYNC_INTAKE_H

#include "ldapsync/listing.h"
#include "ldapsync/round.h"
#include "store/store_listed_sum.h"

struct intake {
    struct round *round;
    struct store_listing listing;
    struct store_listed batch[STORE_LISTED_BATCH];
    size_t batched;
    bool sums_only;                          /* nothing goes into the store */
    struct store_listed_sum sum, of_request; /* of the requests before this one; of this one */
    bool has_trouble;                        /* sums_only: an entry that cannot be mirrored */
    uint64_t entries;
    struct store_mark newest; /* modifyTimestamp */
    bool lacked_once;
    char lacked_by_all[400]; /* required attributes that no entry so far showed */
};

void intake_init(struct intake *intake, struct round *round, const struct store_listing *listing);
/* For struct listing_params: context is the intake. */
int intake_entry(void *context, const struct entry *entry, struct err *err);
void intake_bad_entry(void *context, const char *dn, const struct err *why);
void intake_mark(void *context, enum listing_mark mark);
int intake_flush(struct intake *intake, struct err *err);
/* Of all that came. */
struct store_listed_sum intake_sum(const struct intake *intake);
/* Entries came, and none of them shows an attribute that must be there: names of these, or "". */
const char *intake_lacks(const struct intake *intake);

/* What a subscriber or COS is called, from its entry: -1 and why it cannot be mirrored. Used for entries that are read one
 * by one as well. */
int intake_name(const struct round *round, const struct store_listing *listing, const struct entry *entry,
                struct store_listed *listed_out, struct err *err);

#endif
