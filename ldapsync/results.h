/*
 * Works that came to their end, recorded many in one transaction. Until then the store says less than is true, which costs
 * no more than doing them again; whoever needs the truth flushes. One round's; NULL where none is.
 */
#ifndef MIRROR_LDAPSYNC_RESULTS_H
#define MIRROR_LDAPSYNC_RESULTS_H

#include "ldapsync/work.h"

struct results;

struct results *results_new(struct round *round);
/* Drops what is not recorded. */
void results_free(struct results *results);
/* Takes a work that is DONE, and frees what it holds but its result; once there are many, they are recorded. */
int results_add(struct results *results, struct work *work, struct err *err);
int results_flush(struct results *results, struct err *err);

#endif
