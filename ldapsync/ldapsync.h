/*
 * ldapsync: one single-threaded process that does one round on one route at a time. It looks in the store once a second,
 * and is woken by the pipes of all scanners.
 */
#ifndef MIRROR_LDAPSYNC_LDAPSYNC_H
#define MIRROR_LDAPSYNC_LDAPSYNC_H

#include "daemon/daemon.h"

extern const struct daemon_program ldapsync_program;

#endif
