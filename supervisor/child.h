/*
 * One child: its process, what it says, its state. The decisions are child_state.h's; here they are carried out.
 */
#ifndef MIRROR_SUPERVISOR_CHILD_H
#define MIRROR_SUPERVISOR_CHILD_H

#include "supervisor/child_state.h"
#include "supervisor/said.h"
#include "supervisor/services.h"
#include "supervisor/spawn.h"

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child {
    enum service_id id;
    unsigned instance;
    char name[48]; /* "copier.2", "database" */
    enum child_state state;
    bool wanted;
    pid_t pid;          /* 0: none */
    int said_fd;        /* -1: none */
    int64_t due_ms;     /* see struct child_facts; killed: since when */
    int64_t alive_ms;   /* last sign of life */
    int64_t ready_ms;   /* since when it is ready; 0: it is not */
    unsigned failures;  /* in a row */
    bool reload_wanted; /* a SIGHUP is owed to it once it is ready (before, it might not handle one yet) */
    bool was_killed;    /* by us, in this life */
    char doing[128];    /* what it last said it was doing */
    struct said said;
};

struct child_world {
    int64_t now_ms;
    bool needs_met;
    int64_t pulse_ms; /* silent for longer: killed */
    int64_t grace_ms; /* from SIGTERM to SIGKILL, for services without a time of their own */
    bool log_json;
    /* Fills in what to execute. 0, or -1: back-off. */
    int (*prepare)(void *context, const struct child *child, struct spawn *spawn_out, struct err *err);
    void *context;
};

struct child *child_new(enum service_id id, unsigned instance);
void child_free(struct child *child); /* of one that does not run */

/* Decides and acts once; true if something changed (then call again). Does not block. */
bool child_step(struct child *child, const struct child_world *world);
/* When child_step() will have something to do without an event; INT64_MAX: never. */
int64_t child_due(const struct child *child, const struct child_world *world);

/* It lives, and says whether it is ready. */
void child_alive(struct child *child, bool ready, const char *doing, int64_t now_ms);
/* Reads what it said and passes it on. */
void child_listen(struct child *child, bool log_json);
/* Its process ended with `status` (of waitpid); `well`: it runs once, and all that belongs to it was done. */
void child_ended(struct child *child, int status, bool well, int64_t now_ms, bool log_json);
/* A signal for its whole process group. */
void child_signal(const struct child *child, int signum);
/* A one-shot is to run again. */
void child_again(struct child *child);
/* We slept (stopped, suspended, blocked): nobody's silence or lateness in that time counts. */
void child_forgive(struct child *child, int64_t slept_ms);
/* The grace time is over now. */
void child_hurry(struct child *child, int64_t now_ms);

bool child_is_running(const struct child *child);

#endif
