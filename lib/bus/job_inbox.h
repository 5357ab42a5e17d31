/*
 * How every program reads its inboxes: a message that cannot be decoded, or is none of those that belong there, is
 * counted, logged and dropped. The first is said at once, then a line a minute with their number: nobody shall fill the
 * log from outside.
 */
#ifndef MIRROR_BUS_JOB_INBOX_H
#define MIRROR_BUS_JOB_INBOX_H

#include "bus/bus.h"
#include "bus/job.h"

struct job_inbox {
    struct bus_socket *socket; /* borrowed */
    uint64_t bad;              /* dropped so far */
    uint64_t bad_said;
    int64_t say_bad_boot_ms;
};

enum job_inbox_result { JOB_INBOX_EMPTY, JOB_INBOX_JOB, JOB_INBOX_BAD };

/* In one round of a loop no more are to be taken: a flood must not keep the rest waiting. */
enum { JOB_INBOX_ROUND = 1000 };

/* `types`: JOB_INBOX_TYPE(...) of those that belong here. */
#define JOB_INBOX_TYPE(type) (1U << (type))
enum job_inbox_result job_inbox_take(struct job_inbox *inbox, unsigned types, struct job *job_out);

#endif
