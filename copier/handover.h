/*
 * Handing a mirror over (I10): its number is another person's by now. All that the target's mailbox has, ours and others', is
 * brought to the hold place, proven there and only then removed, so that the new person never hears it; then the mirror is a
 * new one. Production is not even connected to.
 */
#ifndef MIRROR_COPIER_HANDOVER_H
#define MIRROR_COPIER_HANDOVER_H

#include "copier/turn.h"

/* A turn's worth of it. 0: done, or waits (turn->given_back), or to be continued (turn->yielded). -1: a side failed, or there
 * is no room: nothing was removed that is not held; asking again goes on where it was. */
int handover_run(struct turn *turn, struct err *err);

#endif
