/* See the header. */
#include "bus/job_inbox.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

enum { SAY_BAD_EVERY_MS = 60 * 1000 };

static enum job_inbox_result drop(struct job_inbox *inbox, const char *why)
{
    inbox->bad++;
    if (clock_boot_ms() < inbox->say_bad_boot_ms)
        return JOB_INBOX_BAD;
    log_warning("bad message dropped", LOG_STR("pipe", bus_pipe(inbox->socket)), LOG_STR("error", why),
                LOG_UINT("since_last_said", inbox->bad - inbox->bad_said));
    inbox->bad_said = inbox->bad;
    inbox->say_bad_boot_ms = clock_boot_ms() + SAY_BAD_EVERY_MS;
    return JOB_INBOX_BAD;
}

enum job_inbox_result job_inbox_take(struct job_inbox *inbox, unsigned types, struct job *job_out)
{
    char bytes[BUS_MAX_BYTES], why[128];
    int len = bus_receive(inbox->socket, bytes, sizeof(bytes));
    struct err err = {0};
    if (len == 0)
        return JOB_INBOX_EMPTY;
    if (len < 0)
        return drop(inbox, "empty, over 16384 bytes, or in pieces");
    if (job_decode(bytes, (size_t)len, job_out, &err) != 0)
        return drop(inbox, err.text);
    if (types & JOB_INBOX_TYPE(job_out->type))
        return JOB_INBOX_JOB;
    snprintf(why, sizeof(why), "a message of type '%s' does not belong here", job_type_name(job_out->type));
    return drop(inbox, why);
}
