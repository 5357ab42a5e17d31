/*
 * Entries that are gone from production leave the target: after two whole listings without them, under the brake or by the word
 * of a person who allowed that very plan, and after production was asked for each by DN and by number once more. Subscribers
 * first, then the COS that none of them needs.
 */
#ifndef MIRROR_LDAPSYNC_RETIRE_H
#define MIRROR_LDAPSYNC_RETIRE_H

#include "ldapsync/round.h"

/* A refusal is that entry's own; -1 only for what stops the round. */
int retire_gone(struct round *round, enum store_kind kind, struct err *err);

/* The former person's entry, which still has a number that is another's on production now (I10): removed without the brake,
 * after the same proof. -1 with ERR_MESSAGE: not now, and why. */
int retire_former(struct round *round, const struct store_listed_holder *holder, struct err *err);

#endif
