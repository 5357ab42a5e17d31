/*
 * The scanner: finds out which mailboxes changed on production, cheaply, and wakes the copiers; the scheduler of
 * everything periodic.
 */
#ifndef MIRROR_SCANNER_SCANNER_H
#define MIRROR_SCANNER_SCANNER_H

#include "daemon/daemon.h"

/* As struct daemon_program wants them. */
int scanner_start(struct daemon *daemon, void **state_out, struct err *err);
int scanner_step(void *state, struct err *err);
int scanner_reload(void *state, const struct config *config, struct err *err);
void scanner_stop(void *state);

#endif
