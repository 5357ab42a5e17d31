/*
 * Identity (DESIGN: reconcile 3): which row is which message, when UIDs no longer tell. On equal digests only; a
 * multiset: two equal messages are two.
 */
#ifndef MIRROR_COPIER_IDENTIFY_H
#define MIRROR_COPIER_IDENTIFY_H

#include "copier/pass.h"

/* Rows without a source UID (UIDVALIDITY changed on production) find their message again; the others are gone from
 * production. Needs a whole view. */
int identify_source(struct pass *pass, struct err *err);

/* Rows without a target UID (UIDVALIDITY changed on the target, or its UIDNEXT went back) find theirs; rows whose UID is
 * not listed any more, and those not found, are lost: to be copied again once. Needs the target's whole listing. */
int identify_target(struct pass *pass, struct err *err);

/* New messages of production (details fetched) that an earlier copy left on the target get their row without copying.
 * `fresh`: those not in any row. Needs the target's whole listing. */
int identify_adopt(struct pass *pass, const struct imap_messages *fresh, struct err *err);

#endif
