/*
 * The writer: entries that are not equal, several at a time, until none is left to do.
 */
#ifndef MIRROR_LDAPSYNC_WRITER_H
#define MIRROR_LDAPSYNC_WRITER_H

#include "ldapsync/round.h"

/* All that are to be done of this kind: each comes to an end, be it a refusal, so that a mark that covers them may be stored
 * after it. -1: the round must stop. */
int writer_run(struct round *round, enum store_kind kind, struct err *err);

#endif
