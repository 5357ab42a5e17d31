/*
 * Every message on the bus, its fields and version: encode, and decode with validation. What arrives is hostile
 * until job_decode() said 0; a bad message is counted, logged and dropped by the receiver.
 */
#ifndef MIRROR_BUS_JOB_H
#define MIRROR_BUS_JOB_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* type, its version, what it is. The fields of each stand in job.c, one table a type. */
#define JOB_TYPES(X)                                                                                         \
    X(MIRROR, "mirror", 1, "wake-up: a mirror wants a look (jobs.mirror)")                                   \
    X(VERIFY, "verify", 1, "wake-up: a mirror wants to be verified (jobs.mirror)")                           \
    X(RESULT, "result", 1, "a mirror's turn ended (results)")                                                \
    X(LOOK, "look", 1, "look at a mailbox of production now (requests)")                                     \
    X(WAKE, "wake", 1, "something in the store changed: read it again (requests)")                           \
    X(EVENT, "event", 1, "something happened (events)")                                                      \
    X(PULSE, "pulse", 1, "a program lives (pulse)")

enum job_type {
#define JOB_ENUM(id, name, version, help) JOB_##id,
    JOB_TYPES(JOB_ENUM)
#undef JOB_ENUM
        JOB_TYPE_COUNT
};

enum pulse_state { PULSE_STARTING, PULSE_READY, PULSE_WORKING, PULSE_DRAINING };

enum { JOB_NAME_BYTES = 65, JOB_TEXT_BYTES = 513, JOB_ENDPOINT_BYTES = 256 };

/* One struct for all types: fields a type does not have are zero. */
struct job {
    enum job_type type;
    uint64_t mirror_id;               /* MIRROR VERIFY RESULT */
    char mailbox[JOB_NAME_BYTES];     /* MIRROR VERIFY RESULT LOOK EVENT */
    char route[JOB_NAME_BYTES];       /* MIRROR VERIFY RESULT EVENT */
    uint64_t wanted_seq;              /* MIRROR VERIFY RESULT */
    uint32_t priority;                /* MIRROR VERIFY: 0 most urgent .. 9 */
    char results[JOB_ENDPOINT_BYTES]; /* MIRROR VERIFY: where the result goes (the scanner's number) */
    bool done;                        /* RESULT: equal now; else more to do or failed */
    char text[JOB_TEXT_BYTES];        /* RESULT EVENT PULSE: in words, UTF-8 */
    char program[JOB_NAME_BYTES];     /* EVENT PULSE */
    uint32_t pid;                     /* PULSE */
    uint32_t instance;                /* PULSE */
    enum pulse_state state;           /* PULSE */
};

const char *job_type_name(enum job_type type);
const char *job_pulse_state_name(enum pulse_state state);

/* JSON text; the caller frees. */
char *job_encode(const struct job *job);

/* 0, or -1: not JSON, too big or deep, unknown type, newer version, field missing, of wrong type, over its limit,
 * or control characters in a name. Unknown further fields are ignored (rolling upgrades). */
int job_decode(const char *bytes, size_t len, struct job *job_out, struct err *err);

#endif
