/*
 * Intents and ghosts (I3). An APPEND without an answer is unknown: it is settled by looking at the target, never by
 * repeating it blindly. "Not there" is provisional: a paused server may carry the command out later, so an intent
 * settled as absent stays a ghost for late_command_minutes; a surplus copy that turns up meanwhile is ours, removed.
 */
#ifndef MIRROR_COPIER_SETTLE_H
#define MIRROR_COPIER_SETTLE_H

#include "copier/pass.h"

/* What was streamed a moment ago: spares reading it again. */
struct settle_known {
    uint32_t source_uid;
    struct digest_pair pair;
};

/* Settles all open intents of the folder as present (a row) or absent (a ghost). pass->target must be listed, from
 * every window's UIDNEXT on at least. `known` may be NULL. */
int settle_intents(struct pass *pass, const struct settle_known *known, size_t known_count, struct err *err);

/* Surplus copies equal to a ghost, unmapped after everything else had its turn, are removed; ghosts whose time is over
 * are dropped. pass->target must be listed. */
int settle_ghosts(struct pass *pass, struct err *err);

#endif
