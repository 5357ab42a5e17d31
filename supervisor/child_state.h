/*
 * What a child is doing, and what to do about it: pure decisions, values in and values out. child.c carries them out.
 *
 *             START           it says so (runs once: it ended with 0)
 *   waiting ---------> starting ---------------------> ready (done)
 *      ^  ^              |   |                         |   |
 *      |  |      it ends |   | never ready             |   | silent
 *      |  +-- backoff <--+---|-------------------------+   |
 *      |         ^           +------> killed <-------------+
 *      |         |   it ends            | ^
 *      |         +----------------------+ | grace over
 *      |                                  |
 *      |   not wanted any more: SIGTERM   |
 *      |   (starting, ready) -------> draining ----> stopped
 *      +-- it ends and is wanted again ---+
 *
 * waiting, backoff and done go to stopped at once when they are not wanted; stopped goes to waiting when wanted again.
 */
#ifndef MIRROR_SUPERVISOR_CHILD_STATE_H
#define MIRROR_SUPERVISOR_CHILD_STATE_H

#include <stdbool.h>
#include <stdint.h>

#define CHILD_STATES(X)                                                                                      \
    X(STOPPED, "stopped")   /* nothing runs, nothing is wanted */                                            \
    X(WAITING, "waiting")   /* for what it needs */                                                          \
    X(STARTING, "starting") /* runs, has not said that it is ready */                                        \
    X(READY, "ready")       /* said so */                                                                    \
    X(DONE, "done")         /* runs once, and has */                                                         \
    X(BACKOFF, "backoff")   /* failed, is started again later */                                             \
    X(DRAINING, "draining") /* was sent SIGTERM */                                                           \
    X(KILLED, "killed")     /* was sent SIGKILL */

enum child_state {
#define CHILD_STATE_ENUM(id, name) CHILD_##id,
    CHILD_STATES(CHILD_STATE_ENUM)
#undef CHILD_STATE_ENUM
        CHILD_STATE_COUNT
};

enum child_move {
    CHILD_STAY,
    CHILD_START,       /* fork and exec -> starting */
    CHILD_WAIT,        /* -> waiting */
    CHILD_REST,        /* -> stopped */
    CHILD_TERM,        /* SIGTERM -> draining */
    CHILD_KILL_LATE,   /* never ready in time: SIGKILL -> killed */
    CHILD_KILL_SILENT, /* no pulse: SIGKILL -> killed */
    CHILD_KILL_GRACE,  /* grace over: SIGKILL -> killed */
};

struct child_facts {
    enum child_state state;
    bool wanted;
    bool needs_met;
    int64_t now_ms;
    int64_t due_ms;    /* starting: must be ready; backoff: start again; draining: grace over */
    int64_t silent_ms; /* starting, ready: the time from which on it counts as silent */
};

enum child_move child_decide(const struct child_facts *facts);

/* The state after its process ended. `well`: it runs once and did what it should. */
enum child_state child_after_end(enum child_state state, bool wanted, bool well);

bool child_state_is_running(enum child_state state); /* there is a process */
const char *child_state_name(enum child_state state);

#endif
