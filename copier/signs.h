/*
 * Signs that production was restored, rebuilt or exchanged (I6), as a turn comes upon them. Each may trip the site's breaker;
 * then nothing is removed or overwritten in this turn either. Copying goes on.
 */
#ifndef MIRROR_COPIER_SIGNS_H
#define MIRROR_COPIER_SIGNS_H

#include "copier/turn.h"

/* Known UIDs name other messages, or UIDNEXT is lower than it was: trips at once. */
int signs_went_back(struct turn *turn, const char *folder, struct err *err);
/* A folder's UIDVALIDITY changed: trips when many mailboxes show it. */
int signs_new_uidvalidity(struct turn *turn, struct err *err);
/* Production is, by its UIDVALIDITY, what was recorded as the target: trips, and is an error (ERR_PROCESS) in any case. */
int signs_swapped(struct turn *turn, const char *folder, struct err *err);

#endif
