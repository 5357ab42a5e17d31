/*
 * The listings of a round: both sides whole, production's names only, or what changed there; into the store's table
 * `listed`, batch by batch, so that memory does not grow with the number of entries.
 */
#ifndef MIRROR_LDAPSYNC_ROUND_LIST_H
#define MIRROR_LDAPSYNC_ROUND_LIST_H

#include "ldapsync/round.h"

/* Both sides, with all attributes, at once. Where production's is not whole: a doubt, and nothing of it is proof. *changed_out:
 * false if all is as it was listed last, which is looked at first where nothing is left to be done: then nothing was written. Where
 * something is new both sides are read a second time, since what was read is not kept. */
int round_list_both(struct round *round, enum store_kind kind, bool *changed_out, struct err *err);
/* Production's DNs, numbers and ids: what is gone. */
int round_list_names(struct round *round, enum store_kind kind, struct err *err);
/* What changed since round->marks; new ones to round->new_marks. *changed_out: something did. */
int round_list_changes(struct round *round, enum store_kind kind, uint64_t *since_listing_out,
                       bool *changed_out, struct err *err);
/* Where changes begin, before a whole listing. */
int round_list_begin_marks(struct round *round, enum store_kind kind, struct err *err);

#endif
