/*
 * Copying: what is new on production goes to the target in order of arrival, batch by batch. Before a batch its intents
 * are committed (I3); each literal streams from FETCH into APPEND through one bounded buffer, its digest taken on the
 * way; after the target's answer the rows are committed (I2).
 */
#ifndef MIRROR_COPIER_COPY_H
#define MIRROR_COPIER_COPY_H

#include "copier/pass.h"

/* `fresh`: messages of production to be copied, details fetched, ascending. Stops early, with pass->incomplete, when the
 * turn is over. A message that the target refuses is recorded as refused and the others go on. */
int copy_messages(struct pass *pass, const struct imap_messages *fresh, struct err *err);

#endif
