/*
 * Identity: which row is which message, when UIDs no longer tell. On equal digests only; a
 * multiset: two equal messages are two.
 */
#ifndef MIRROR_COPIER_IDENTIFY_H
#define MIRROR_COPIER_IDENTIFY_H

#include "copier/pass.h"

/* Rows without a source UID (UIDVALIDITY changed on production) find their message again; the others are gone from
 * production, which only a whole view proves. Those gone already find it too, when it is restored there later: else it
 * would be copied a second time. */
int identify_source(struct pass *pass, struct err *err);

/* Rows without a target UID (UIDVALIDITY changed on the target, or its UIDNEXT went back) find theirs; rows whose UID is
 * not listed any more, and those not found, are lost: to be copied again once (never if \Deleted: the target's own
 * clean-up took them). Needs the target's whole listing. */
int identify_target(struct pass *pass, struct err *err);

/* New messages of production (details fetched) that an earlier copy left on the target get their row without copying.
 * `fresh`: those not in any row. Needs the target's whole listing. */
int identify_adopt(struct pass *pass, const struct imap_messages *fresh, struct err *err);

#endif
