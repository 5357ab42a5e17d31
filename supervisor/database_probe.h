/*
 * Asks the managed database whether it lives, as the others say by their pulse: connects to its socket and waits for
 * the greeting that it sends by itself. Non-blocking; no login, no library.
 */
#ifndef MIRROR_SUPERVISOR_DATABASE_PROBE_H
#define MIRROR_SUPERVISOR_DATABASE_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct database_probe {
    int fd;         /* -1: none under way */
    int64_t due_ms; /* next try, or, with one under way, when it is given up */
};

void database_probe_init(struct database_probe *probe);
void database_probe_fini(struct database_probe *probe);

/* One step. true when the process `pid` (no other one) has just greeted. */
bool database_probe_step(struct database_probe *probe, const char *socket_path, pid_t pid, int64_t now_ms);

/* Drops what is under way; the next step asks at once. */
void database_probe_reset(struct database_probe *probe);

#endif
