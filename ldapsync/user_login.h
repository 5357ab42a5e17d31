/*
 * Passwords proven: copied bytes are not yet a password that works. Where a test mailbox's own password is configured, its
 * user logs in to the target by IMAP, once after each change of his entry, and once a day.
 */
#ifndef MIRROR_LDAPSYNC_USER_LOGIN_H
#define MIRROR_LDAPSYNC_USER_LOGIN_H

#include "ldapsync/round.h"

int user_login_prove(struct round *round, struct err *err);

#endif
