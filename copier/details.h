/*
 * What production says of new messages before they are copied: flags, date, size, header.
 */
#ifndef MIRROR_COPIER_DETAILS_H
#define MIRROR_COPIER_DETAILS_H

#include "copier/pass.h"

/* Of these (ascending) into pass->fresh. One that production says NO to by itself, or over which it lost the connection
 * more than once, is recorded as refused and taken out of `uids`; the others go on (I11). */
int details_fetch(struct pass *pass, struct imap_uids *uids, struct err *err);

#endif
