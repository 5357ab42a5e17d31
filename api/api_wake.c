/*
 * Wake-ups from mirror-api to every scanner: whichever claims the look first, has it.
 */
#include "api/api_wake.h"

#include "base/str.h"
#include "bus/job.h"

#include <stdlib.h>
#include <string.h>

struct api_wake {
    struct bus_socket **sockets;
    size_t count;
};

struct api_wake *api_wake_new(struct bus *bus, const struct config *config, struct err *err)
{
    struct api_wake *wake = mem_new(sizeof *wake);
    wake->sockets = mem_new(config->workers.scanner * sizeof *wake->sockets);
    for (unsigned i = 0; i < config->workers.scanner; i++) {
        struct bus_socket *socket = bus_connect(bus, PIPE_REQUESTS, i, err);
        if (!socket) {
            api_wake_free(wake);
            return NULL;
        }
        wake->sockets[wake->count++] = socket;
    }
    return wake;
}

void api_wake_free(struct api_wake *wake)
{
    if (!wake)
        return;
    for (size_t i = 0; i < wake->count; i++)
        bus_socket_free(wake->sockets[i]);
    free(wake->sockets);
    free(wake);
}

void api_wake_scanners(struct api_wake *wake, const char *mailbox)
{
    struct job job = {.type = mailbox ? JOB_LOOK : JOB_WAKE};
    if (mailbox)
        str_into(job.mailbox, sizeof job.mailbox, mailbox);
    char *text = job_encode(&job);
    for (size_t i = 0; i < wake->count; i++)
        bus_send(wake->sockets[i], text, strlen(text));
    free(text);
}
