/*
 * The decisions of a child's life; see the drawing in the header.
 */
#include "supervisor/child_state.h"

static enum child_move decide_running(const struct child_facts *facts)
{
    if (!facts->wanted)
        return CHILD_TERM;
    if (facts->now_ms >= facts->silent_ms)
        return CHILD_KILL_SILENT;
    if (facts->state == CHILD_STARTING && facts->now_ms >= facts->due_ms)
        return CHILD_KILL_LATE;
    return CHILD_STAY;
}

static enum child_move decide_idle(const struct child_facts *facts)
{
    if (!facts->wanted)
        return facts->state == CHILD_STOPPED ? CHILD_STAY : CHILD_REST;
    switch (facts->state) {
    case CHILD_STOPPED:
        return CHILD_WAIT;
    case CHILD_BACKOFF:
        return facts->now_ms >= facts->due_ms ? CHILD_WAIT : CHILD_STAY;
    case CHILD_WAITING:
        return facts->needs_met ? CHILD_START : CHILD_STAY;
    default:
        return CHILD_STAY;
    }
}

enum child_move child_decide(const struct child_facts *facts)
{
    switch (facts->state) {
    case CHILD_STARTING:
    case CHILD_READY:
        return decide_running(facts);
    case CHILD_DRAINING:
        return facts->now_ms >= facts->due_ms ? CHILD_KILL_GRACE : CHILD_STAY;
    case CHILD_KILLED:
        return CHILD_STAY; /* the kernel has the word now */
    default:
        return decide_idle(facts);
    }
}

enum child_state child_after_end(enum child_state state, bool wanted, bool well)
{
    if (!wanted)
        return CHILD_STOPPED;
    if (state == CHILD_DRAINING)
        return CHILD_WAITING; /* it was told to end, and is wanted again: no failure */
    return well ? CHILD_DONE : CHILD_BACKOFF;
}

bool child_state_is_running(enum child_state state)
{
    return state == CHILD_STARTING || state == CHILD_READY || state == CHILD_DRAINING ||
           state == CHILD_KILLED;
}

const char *child_state_name(enum child_state state)
{
    static const char *const names[CHILD_STATE_COUNT] = {
#define CHILD_STATE_NAME(id, name) [CHILD_##id] = name,
        CHILD_STATES(CHILD_STATE_NAME)
#undef CHILD_STATE_NAME
    };
    return names[state];
}
