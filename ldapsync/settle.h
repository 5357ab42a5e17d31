/*
 * Works that came to their end, recorded many in one transaction. Until then the store says less than is true, which costs
 * no more than doing them again; whoever needs the truth flushes. One round's; NULL where none is.
 */
#ifndef MIRROR_LDAPSYNC_SETTLE_H
#define MIRROR_LDAPSYNC_SETTLE_H

#include "ldapsync/work.h"

struct settle;

struct settle *settle_new(struct round *round);
/* Drops what is not recorded. */
void settle_free(struct settle *settle);
/* Takes a work that is DONE, and frees what it holds but its result; once there are many, they are recorded. */
int settle_add(struct settle *settle, struct work *work, struct err *err);
int settle_flush(struct settle *settle, struct err *err);

#endif
