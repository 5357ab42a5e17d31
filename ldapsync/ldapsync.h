/*
 * ldapsync: one single-threaded process that does one round on one route at a time. It looks in the store twice
 * a second for what is due: nothing here is more urgent than that, so no pipe wakes it.
 */
#ifndef MIRROR_LDAPSYNC_LDAPSYNC_H
#define MIRROR_LDAPSYNC_LDAPSYNC_H

#include "daemon/daemon.h"

extern const struct daemon_program ldapsync_program;

#endif
