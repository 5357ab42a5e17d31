/*
 * Is all as it was listed last? The sum of a listing is made as it comes, that of the table `listed` by the database; where both
 * agree and pairing would change nothing, a whole comparison writes no row of `listed` or `entry`.
 */
#ifndef MIRROR_STORE_LISTED_SUM_H
#define MIRROR_STORE_LISTED_SUM_H

#include "store/store_listed.h"

/* Of a set of rows, in any order: how many, and the exclusive or of 128 bits of each one's SHA-256. Rows that differ in any
 * column have other sums (their digests are keyed, so nobody can choose them). */
struct store_listed_sum {
    uint64_t count, bits[2];
};
/* Pure. */
void store_listed_sum_add(struct store_listed_sum *sum, const struct store_listed *row);
/* Of the rows of both. */
void store_listed_sum_join(struct store_listed_sum *sum, const struct store_listed_sum *other);
bool store_listed_sum_is(const struct store_listed_sum *sum, const struct store_listed_sum *other);

/* Of the rows of that side and kind. */
int store_listed_sum_read(struct store *store, uint32_t route_id, enum store_kind kind,
                          enum store_listed_side side, struct store_listed_sum *sum_out, struct err *err);

/* Is every entry of that kind equal, as listed, and nothing else known: none to be looked at, none gone, no trouble? Then
 * store_listed_whole() and store_listed_pair() of the same rows would change nothing. false also while there is no entry. */
int store_listed_is_settled(struct store *store, uint32_t route_id, enum store_kind kind, bool *settled_out,
                            struct err *err);

#endif
