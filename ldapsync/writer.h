/*
 * The writer: entries that are not equal, several at a time, until none is left to do.
 */
#ifndef MIRROR_LDAPSYNC_WRITER_H
#define MIRROR_LDAPSYNC_WRITER_H

#include "ldapsync/round.h"

/* All that are to be done of this kind. *clean_out: every one came to an end (also a refusal), so that a mark that covers them
 * may be stored. -1: the round must stop. */
int writer_run(struct round *round, enum store_kind kind, bool *clean_out, struct err *err);

#endif
