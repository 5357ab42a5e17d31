/*
 * The table of services: what mirror-supervisor runs, what each needs before it can start, how many of each, and which
 * of the configuration's secrets it opens. Read this table to know what there is.
 */
#ifndef MIRROR_SUPERVISOR_SERVICES_H
#define MIRROR_SUPERVISOR_SERVICES_H

#include "base/config.h"

#include <stdbool.h>
#include <stdint.h>

/* In an order in which each needs only what stands above it. */
enum service_id {
    SERVICE_DATABASE_FILES,
    SERVICE_DATABASE,
    SERVICE_MIGRATE,
    SERVICE_SCANNER,
    SERVICE_COPIER,
    SERVICE_LDAPSYNC,
    SERVICE_API,
    SERVICE_COUNT
};

#define SERVICE_BIT(id) (1U << (id))

struct service {
    const char *name;
    const char *program;    /* beside our own program; NULL: one of MariaDB's (database.h) */
    const char *argument;   /* after --config F; NULL: --instance N --pulse */
    unsigned needs;         /* SERVICE_BIT of what must be ready (or done) before each start */
    bool runs_once;         /* done when it ended with 0 */
    bool pulses;            /* says itself over the bus that it lives and is ready */
    uint32_t ready_seconds; /* never ready within this time: killed, tried again */
    uint32_t stop_seconds;  /* time to end after SIGTERM; 0: supervisor.grace_seconds */
    const char *secrets;    /* what of the secrets it opens, for people */
};

extern const struct service services[SERVICE_COUNT];

/* How many of each are wanted. `has_database_files`: the managed database was created before. */
void services_plan(const struct config *config, bool has_database_files, unsigned count_out[SERVICE_COUNT]);

/* What it needs is ready; what is not planned at all (a database server elsewhere) is not waited for. */
bool services_needs_met(enum service_id id, const unsigned count[SERVICE_COUNT],
                        const bool ready[SERVICE_COUNT]);

#endif
