/* Runs in the scanner; see the header. */
#include "scanner/scan_ventilator.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "bus/job_inbox.h"
#include "scanner/scan_pushes.h"
#include "store/store_look.h"
#include "store/store_mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOK_EVERY_MS = 1000, /* for what others raised without telling us */
    COUNT_EVERY_MS = 5000,
};

struct scan_ventilator {
    struct scan_base *base;
    struct bus_socket *jobs;
    struct job_inbox results, requests;
    char instance[16];
    struct scan_pushes pushes;
    uint32_t copiers;
    int64_t count_at_ms, look_at_ms;
    uint64_t raised_seen;
    bool has_room_again;
};

struct scan_ventilator *scan_ventilator_new(struct scan_base *base, struct err *err)
{
    struct scan_ventilator *ventilator = mem_new(sizeof(*ventilator));
    struct bus *bus = daemon_bus(base->daemon);
    unsigned instance = daemon_instance(base->daemon);

    ventilator->base = base;
    snprintf(ventilator->instance, sizeof(ventilator->instance), "%u", instance);
    ventilator->jobs = bus_bind(bus, PIPE_JOBS_MIRROR, instance, err);
    if (ventilator->jobs != NULL)
        ventilator->results.socket = bus_bind(bus, PIPE_RESULTS, instance, err);
    if (ventilator->results.socket != NULL)
        ventilator->requests.socket = bus_bind(bus, PIPE_REQUESTS, instance, err);
    if (ventilator->requests.socket == NULL) {
        scan_ventilator_free(ventilator);
        return NULL;
    }
    return ventilator;
}

void scan_ventilator_free(struct scan_ventilator *ventilator)
{
    if (ventilator == NULL)
        return;
    bus_socket_free(ventilator->jobs);
    bus_socket_free(ventilator->results.socket);
    bus_socket_free(ventilator->requests.socket);
    free(ventilator);
}

void scan_ventilator_fds(const struct scan_ventilator *ventilator, struct pollfd fds[SCAN_VENTILATOR_FDS])
{
    fds[0] = (struct pollfd){.fd = bus_fd(ventilator->results.socket), .events = POLLIN};
    fds[1] = (struct pollfd){.fd = bus_fd(ventilator->requests.socket), .events = POLLIN};
}

/* ---- receiving ---- */

static void on_result(struct scan_ventilator *ventilator, const struct job *job)
{
    scan_pushes_done(&ventilator->pushes, job->mirror_id);
    ventilator->has_room_again = true;
    log_debug("result", LOG_STR("mailbox", job->mailbox), LOG_STR("route", job->route),
              LOG_STR("done", job->done ? "yes" : "no"), LOG_STR("text", job->text));
}

static void on_request(struct scan_ventilator *ventilator, const struct job *job)
{
    struct err err = {0};

    if (job->type == JOB_WAKE)
        ventilator->look_at_ms = 0;
    else if (store_look_ask(ventilator->base->store, job->mailbox[0] != '\0' ? job->mailbox : NULL, &err) < 0)
        scan_base_store_failed(ventilator->base, &err);
}

bool scan_ventilator_receive(struct scan_ventilator *ventilator)
{
    const unsigned request_types = JOB_INBOX_TYPE(JOB_LOOK) | JOB_INBOX_TYPE(JOB_WAKE);
    enum job_inbox_result got = JOB_INBOX_BAD;
    struct job job;
    bool asked = false;

    for (int i = 0; i < JOB_INBOX_ROUND && got != JOB_INBOX_EMPTY; i++) {
        got = job_inbox_take(&ventilator->results, JOB_INBOX_TYPE(JOB_RESULT), &job);
        if (got == JOB_INBOX_JOB)
            on_result(ventilator, &job);
    }
    got = JOB_INBOX_BAD;
    for (int i = 0; i < JOB_INBOX_ROUND && got != JOB_INBOX_EMPTY; i++) {
        got = job_inbox_take(&ventilator->requests, request_types, &job);
        if (got == JOB_INBOX_JOB)
            on_request(ventilator, &job);
        asked = asked || got == JOB_INBOX_JOB;
    }
    return asked;
}

/* ---- pushing ---- */

static bool push_one(struct scan_ventilator *ventilator, const struct store_due *due)
{
    struct job job = {
        .type = due->verify_only ? JOB_VERIFY : JOB_MIRROR,
        .mirror_id = due->mirror_id,
        .wanted_seq = due->wanted_seq,
        .priority = due->priority,
    };
    char *text;
    bool taken;

    str_into(job.mailbox, sizeof(job.mailbox), due->mailbox);
    str_into(job.route, sizeof(job.route), due->route);
    str_into(job.results, sizeof(job.results), ventilator->instance);
    text = job_encode(&job);
    taken = bus_send(ventilator->jobs, text, strlen(text));
    free(text);
    return taken;
}

static void count_copiers(struct scan_ventilator *ventilator)
{
    struct err err = {0};

    if (clock_boot_ms() < ventilator->count_at_ms)
        return;
    ventilator->count_at_ms = clock_boot_ms() + COUNT_EVERY_MS;
    if (store_worker_count(ventilator->base->store, "copier", &ventilator->copiers, &err) != 0)
        scan_base_store_failed(ventilator->base, &err);
}

static bool has_reason(const struct scan_ventilator *ventilator)
{
    return ventilator->has_room_again || ventilator->raised_seen != ventilator->base->raised ||
           clock_boot_ms() >= ventilator->look_at_ms;
}

void scan_ventilator_push(struct scan_ventilator *ventilator)
{
    int64_t now_ms = clock_boot_ms();
    struct store_due due[SCAN_PUSHES_MAX];
    struct err err = {0};
    size_t room;
    int count;

    if (!has_reason(ventilator))
        return;
    count_copiers(ventilator);
    room = scan_pushes_room(&ventilator->pushes, ventilator->copiers, now_ms);
    if (room == 0 || ventilator->base->store_failed)
        return;
    ventilator->has_room_again = false;
    ventilator->raised_seen = ventilator->base->raised;
    ventilator->look_at_ms = now_ms + LOOK_EVERY_MS;
    count = store_mirror_due(ventilator->base->store, due, (uint32_t)room, &err);
    if (count < 0)
        scan_base_store_failed(ventilator->base, &err);
    /* One that did not fit is due again in 5 s, and copiers look for themselves. */
    for (int i = 0; i < count; i++) {
        if (push_one(ventilator, &due[i]))
            scan_pushes_add(&ventilator->pushes, due[i].mirror_id, now_ms);
    }
}
