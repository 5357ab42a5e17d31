/*
 * Subscribing from the directory: after a whole list of production, those who match the route's filter and numbers get their
 * mailboxes, and mailboxes of those who don't any more go on hold.
 */
#ifndef MIRROR_LDAPSYNC_FOLLOW_H
#define MIRROR_LDAPSYNC_FOLLOW_H

#include "ldapsync/round.h"

/* Does the route follow at all? */
bool follow_is_wanted(const struct config_directory *directory);
/* A list that is not whole is said (round_doubt()), and changes nothing. */
int follow_run(struct round *round, struct err *err);

#endif
