/*
 * The set of children.
 */
#include "supervisor/children.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

void children_fini(struct children *children)
{
    for (size_t i = 0; i < children->count; i++)
        child_free(children->items[i]);
    free(children->items);
    memset(children, 0, sizeof *children);
}

static bool comes_before(const struct child *child, enum service_id id, unsigned instance)
{
    return child->id < id || (child->id == id && child->instance < instance);
}

static void want(struct children *children, enum service_id id, unsigned instance)
{
    size_t at = 0;

    while (at < children->count && comes_before(children->items[at], id, instance))
        at++;
    if (at == children->count || children->items[at]->id != id || children->items[at]->instance != instance) {
        children->items = mem_grow(children->items, children->count + 1, sizeof *children->items);
        memmove(&children->items[at + 1], &children->items[at],
                (children->count - at) * sizeof *children->items);
        children->items[at] = child_new(id, instance);
        children->count++;
    }
    children->items[at]->wanted = true;
}

void children_plan(struct children *children, const unsigned count[SERVICE_COUNT])
{
    for (size_t i = 0; i < children->count; i++)
        children->items[i]->wanted = false;
    for (unsigned id = 0; id < SERVICE_COUNT; id++)
        for (unsigned instance = 0; instance < count[id]; instance++)
            want(children, (enum service_id)id, instance);
}

void children_ready(const struct children *children, bool ready_out[SERVICE_COUNT])
{
    memset(ready_out, 0, SERVICE_COUNT * sizeof *ready_out);
    for (size_t i = 0; i < children->count; i++) {
        const struct child *child = children->items[i];
        if (child->state == CHILD_READY || child->state == CHILD_DONE)
            ready_out[child->id] = true;
    }
}

struct child *children_by_pid(const struct children *children, pid_t pid)
{
    for (size_t i = 0; i < children->count; i++)
        if (pid > 0 && children->items[i]->pid == pid)
            return children->items[i];
    return NULL;
}

struct child *children_first(const struct children *children, enum service_id id)
{
    for (size_t i = 0; i < children->count; i++)
        if (children->items[i]->id == id)
            return children->items[i];
    return NULL;
}

size_t children_running(const struct children *children, enum service_id but)
{
    size_t running = 0;

    for (size_t i = 0; i < children->count; i++)
        running += children->items[i]->id != but && child_is_running(children->items[i]);
    return running;
}

void children_drop_stopped(struct children *children)
{
    size_t kept = 0;

    for (size_t i = 0; i < children->count; i++) {
        struct child *child = children->items[i];
        if (child->state == CHILD_STOPPED && !child->wanted)
            child_free(child);
        else
            children->items[kept++] = child;
    }
    children->count = kept;
}
