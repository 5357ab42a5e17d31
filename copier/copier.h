/*
 * The copier: one single-threaded process that does one turn at a time. It is woken by the job pipes of all scanners and
 * looks in the store once a second even if nothing woke it; whichever message woke it, it claims the most urgent mirror.
 */
#ifndef MIRROR_COPIER_COPIER_H
#define MIRROR_COPIER_COPIER_H

#include "daemon/daemon.h"

extern const struct daemon_program copier_program;

#endif
