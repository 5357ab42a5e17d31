/*
 * What children say, passed on to our stderr. Never blocks for long: when nobody reads our stderr, lines are dropped
 * and counted rather than the supervision stopped.
 */
#ifndef MIRROR_SUPERVISOR_FORWARD_H
#define MIRROR_SUPERVISOR_FORWARD_H

#include <stdbool.h>
#include <stddef.h>

/* A line of one of our programs: a log line already, so as it is. With `log_json`, one that is none (a crash report of
 * a run-time library) is made one. */
void forward_own(const char *child, const char *line, size_t len, bool log_json);

/* A line of mariadbd or its tools becomes a log line of ours: errors and warnings as such, the rest for debugging. */
void forward_foreign(const char *child, const char *line);

#endif
