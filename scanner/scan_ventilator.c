/* Runs in the scanner; see the header. */
#include "scanner/scan_ventilator.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "bus/job.h"
#include "scanner/scan_pushes.h"
#include "store/store_look.h"
#include "store/store_mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOK_EVERY_MS = 1000, /* for what others raised without telling us */
    COUNT_EVERY_MS = 5000,
    SAY_BAD_EVERY_MS = 60 * 1000,
    RECEIVE_MAX = 1000, /* in one round: a flood must not keep the looks waiting */
};

struct scan_ventilator {
    struct scan_base *base;
    struct bus_socket *jobs, *results, *requests;
    char instance[16];
    struct scan_pushes pushes;
    uint32_t copiers;
    int64_t count_at_ms, look_at_ms;
    uint64_t raised_seen;
    bool has_room_again;
    uint64_t bad, bad_said;
    int64_t say_bad_at_ms;
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
        ventilator->results = bus_bind(bus, PIPE_RESULTS, instance, err);
    if (ventilator->results != NULL)
        ventilator->requests = bus_bind(bus, PIPE_REQUESTS, instance, err);
    if (ventilator->requests == NULL) {
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
    bus_socket_free(ventilator->results);
    bus_socket_free(ventilator->requests);
    free(ventilator);
}

void scan_ventilator_fds(const struct scan_ventilator *ventilator, struct pollfd fds[SCAN_VENTILATOR_FDS])
{
    fds[0] = (struct pollfd){.fd = bus_fd(ventilator->results), .events = POLLIN};
    fds[1] = (struct pollfd){.fd = bus_fd(ventilator->requests), .events = POLLIN};
}

/* ---- receiving ---- */

/* The first at once, then a line a minute with the number: nobody shall fill the log from outside. */
static void note_bad(struct scan_ventilator *ventilator, const char *pipe, const char *why)
{
    ventilator->bad++;
    if (clock_boot_ms() < ventilator->say_bad_at_ms)
        return;
    log_warning("bad message dropped", LOG_STR("pipe", pipe), LOG_STR("error", why),
                LOG_UINT("since_last_said", ventilator->bad - ventilator->bad_said));
    ventilator->bad_said = ventilator->bad;
    ventilator->say_bad_at_ms = clock_boot_ms() + SAY_BAD_EVERY_MS;
}

/* false: none is there. job_out->type is JOB_TYPE_COUNT for one that was dropped. */
static bool receive(struct scan_ventilator *ventilator, struct bus_socket *socket, const char *pipe,
                    struct job *job_out)
{
    char bytes[BUS_MAX_BYTES];
    int len = bus_receive(socket, bytes, sizeof(bytes));
    struct err err = {0};

    if (len == 0)
        return false;
    job_out->type = JOB_TYPE_COUNT;
    if (len < 0) {
        note_bad(ventilator, pipe, "too long");
    } else if (job_decode(bytes, (size_t)len, job_out, &err) != 0) {
        note_bad(ventilator, pipe, err.text);
        job_out->type = JOB_TYPE_COUNT;
    }
    return true;
}

static void on_result(struct scan_ventilator *ventilator, const struct job *job)
{
    if (job->type == JOB_TYPE_COUNT)
        return;
    if (job->type != JOB_RESULT) {
        note_bad(ventilator, "results", "not a result");
        return;
    }
    scan_pushes_done(&ventilator->pushes, job->mirror_id);
    ventilator->has_room_again = true;
    log_debug("result", LOG_STR("mailbox", job->mailbox), LOG_STR("route", job->route),
              LOG_STR("done", job->done ? "yes" : "no"), LOG_STR("text", job->text));
}

static bool on_request(struct scan_ventilator *ventilator, const struct job *job)
{
    struct err err = {0};

    if (job->type == JOB_TYPE_COUNT)
        return false;
    if (job->type == JOB_LOOK) {
        if (store_look_ask(ventilator->base->store, job->mailbox[0] != '\0' ? job->mailbox : NULL, &err) < 0)
            scan_base_store_failed(ventilator->base, &err);
        return true;
    }
    if (job->type == JOB_WAKE) {
        ventilator->look_at_ms = 0;
        return true;
    }
    note_bad(ventilator, "requests", "neither look nor wake");
    return false;
}

bool scan_ventilator_receive(struct scan_ventilator *ventilator)
{
    struct job job;
    bool asked = false;

    for (int i = 0; i < RECEIVE_MAX && receive(ventilator, ventilator->results, "results", &job); i++)
        on_result(ventilator, &job);
    for (int i = 0; i < RECEIVE_MAX && receive(ventilator, ventilator->requests, "requests", &job); i++)
        asked = on_request(ventilator, &job) || asked;
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
