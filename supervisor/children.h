/*
 * All children: which are wanted by a plan, which services are ready by what they say.
 */
#ifndef MIRROR_SUPERVISOR_CHILDREN_H
#define MIRROR_SUPERVISOR_CHILDREN_H

#include "supervisor/child.h"
#include "supervisor/services.h"

struct children {
    struct child **items; /* in the order of the table of services */
    size_t count;
};

void children_fini(struct children *children);

/* `count` of each service are wanted, the lowest instances; further ones are made, others not wanted any more. */
void children_plan(struct children *children, const unsigned count[SERVICE_COUNT]);
/* Which services are ready (at least one of it) or done. */
void children_ready(const struct children *children, bool ready_out[SERVICE_COUNT]);
struct child *children_by_pid(const struct children *children, pid_t pid);
/* The first of that service, or NULL. */
struct child *children_first(const struct children *children, enum service_id id);
/* Processes that run, without those of the service `but` (SERVICE_COUNT: all). */
size_t children_running(const struct children *children, enum service_id but);
/* Forgets those that are stopped and not wanted. */
void children_drop_stopped(struct children *children);

#endif
