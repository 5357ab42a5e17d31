/*
 * Removing the copies of a mirror from its target, as a person asked. Only what the record names, and only where the
 * target still has what was recorded there (I5). Production is not even connected to.
 */
#ifndef MIRROR_COPIER_REMOVE_H
#define MIRROR_COPIER_REMOVE_H

#include "copier/turn.h"

/* All of them, then the mirror's rows: the lease is gone with them. -1: some wait, or a side failed; asking again goes on
 * where it was. */
int remove_copies(struct turn *turn, struct err *err);

#endif
