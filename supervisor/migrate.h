/*
 * What runs once between database and workers (mirror-supervisor --migrate): the schema brought up to date, and the
 * sites and routes of the configuration written into it. A process of its own, so that a database that hangs cannot
 * stop the supervision.
 */
#ifndef MIRROR_SUPERVISOR_MIGRATE_H
#define MIRROR_SUPERVISOR_MIGRATE_H

#include "base/config.h"
#include "base/err.h"

int migrate_run(const struct config *config, struct err *err);

#endif
