/*
 * Signals of a daemon as a descriptor: they are blocked and read, so that none interrupts a library and none is lost
 * between a check and the wait after it.
 */
#ifndef MIRROR_DAEMON_DAEMON_SIGNALS_H
#define MIRROR_DAEMON_DAEMON_SIGNALS_H

#include "base/err.h"

#include <stdbool.h>

struct daemon_signals {
    int fd; /* readable when one is waiting */
    bool stop, reload;
    unsigned taken; /* how many came */
};

/* Blocks SIGTERM, SIGINT and SIGHUP, ignores SIGPIPE. Before any thread is started. */
int daemon_signals_open(struct daemon_signals *signals, struct err *err);
void daemon_signals_close(struct daemon_signals *signals);

/* Takes what came, without waiting, into `stop` and `reload`. */
void daemon_signals_take(struct daemon_signals *signals);

#endif
