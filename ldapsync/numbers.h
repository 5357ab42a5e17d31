/*
 * Numbers that are unique on the target, and that somebody else still has there: two people who swapped theirs, one who
 * got a number that was another's. The other entry is parked at a number that nobody has, and comes to its own later.
 */
#ifndef MIRROR_LDAPSYNC_NUMBERS_H
#define MIRROR_LDAPSYNC_NUMBERS_H

#include "ldapsync/round.h"

enum numbers_verdict {
    NUMBERS_FREE,  /* nobody else has it on the target (any more) */
    NUMBERS_WAITS, /* not now: why tells */
};
enum { NUMBERS_WHY_BYTES = 700 };
/* Makes the entry's number free on the target. */
int numbers_make_free(struct round *round, const struct store_entry *entry, enum numbers_verdict *verdict_out,
                      char why[NUMBERS_WHY_BYTES], struct err *err);

#endif
