/*
 * The skeleton of every program but mirrorctl and the supervisor: arguments, configuration, log, readiness and pulse
 * towards the supervisor, drain on SIGTERM/SIGINT, reload on SIGHUP, exit codes. A main.c is a page:
 *
 *     static const struct daemon_program program = { .name = "scanner", .start = ..., .step = ..., .stop = ... };
 *     int main(int argc, char **argv) { return daemon_main(&program, argc, argv); }
 *
 * Started by the supervisor with: --config F --instance N --pulse (it then sends pulses; without, it runs alone).
 * Single-threaded. Signals only set flags; whatever waits must wait through daemon_wait() or poll with at most
 * DAEMON_TICK_MS and call daemon_tick() in between, also inside long work.
 */
#ifndef MIRROR_DAEMON_DAEMON_H
#define MIRROR_DAEMON_DAEMON_H

#include "base/config.h"
#include "base/err.h"
#include "bus/bus.h"

#include <poll.h>
#include <stdbool.h>

enum { DAEMON_TICK_MS = 1000, DAEMON_EXIT_OK = 0, DAEMON_EXIT_FAILED = 1, DAEMON_EXIT_USAGE = 2 };

struct daemon;

struct daemon_program {
    const char *name; /* "scanner" */
    /* Sets up; `*state_out` is handed to the others. -1: logged, exit 1 (the supervisor tries again). Becoming ready
     * is said when start returned 0. */
    int (*start)(struct daemon *daemon, void **state_out, struct err *err);
    /* One round: waits (at most DAEMON_TICK_MS) and works. -1: an error that this process cannot work with; logged,
     * exit 1. Not called any more once draining and the step has returned. */
    int (*step)(void *state, struct err *err);
    /* The configuration was read again: 0, and the old one is freed after the call returned; -1, and the old one stays
     * in force (logged). May be NULL: then only the log takes it. */
    int (*reload)(void *state, const struct config *config, struct err *err);
    void (*stop)(void *state);
};

int daemon_main(const struct daemon_program *program, int argc, char **argv);

const struct config *daemon_config(const struct daemon *daemon);
unsigned daemon_instance(const struct daemon *daemon);
struct bus *daemon_bus(const struct daemon *daemon);
/* "<host name>:<program>:<instance>:<pid>:<start time>", unique: owner of leases and session slots. */
const char *daemon_owner(const struct daemon *daemon);

/* Sends the pulse when 5 s are over since the last; call it often. `doing` (may be NULL: unchanged) is shown to
 * people, e.g. "mirror 4711 to dr: INBOX 120 of 2000"; the first one after start makes READY to WORKING. */
void daemon_tick(struct daemon *daemon, const char *doing);

/* true once SIGTERM or SIGINT came: take no new work, end what is in hand at the next safe point. */
bool daemon_is_draining(const struct daemon *daemon);

/* poll() that ends early on a signal, ticks, and never waits longer than DAEMON_TICK_MS. Returns poll's count (0 on
 * a signal). */
int daemon_wait(struct daemon *daemon, struct pollfd *fds, size_t count, int timeout_ms);

/* Publishes an event (may be lost). */
void daemon_event(struct daemon *daemon, const char *mailbox, const char *route, const char *text);

#endif
