/*
 * The copier's process; see copier.h. Between turns it waits on the job pipes; inside a turn the reactor's tick keeps
 * pulse, lease and session rows alive. A store that is away pauses it, nothing else.
 */
#include "copier/copier.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "bus/job_inbox.h"
#include "copier/turn.h"
#include "store/store_site.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* LOOK_EVERY: a wake-up may have gone to a busy copier or got lost, and urgent work is to start within a second. */
enum { SAID_BYTES = 512, LOOK_EVERY_MS = 500, SEEN_EVERY_MS = 10000 };

struct copier {
    struct daemon *daemon;
    struct turn_tools tools;
    struct turn *turn; /* NULL between turns */
    struct job_inbox jobs;
    struct bus_socket **results; /* one for each scanner */
    unsigned scanner_count;
    bool busy; /* the last step did a turn */
    bool store_is_away;
    int64_t next_seen_boot_ms;
};

static bool on_tick(void *context)
{
    struct copier *copier = context;
    daemon_tick(copier->daemon, NULL);
    access_step(copier->tools.access);
    return !copier->turn || turn_tick(copier->turn);
}

/* ---- bus ---- */

static int connect_bus(struct copier *copier, struct err *err)
{
    struct bus *bus = daemon_bus(copier->daemon);
    copier->scanner_count = daemon_config(copier->daemon)->workers.scanner;
    copier->jobs.socket = bus_connect(bus, PIPE_JOBS_MIRROR, 0, err);
    if (!copier->jobs.socket)
        return -1;
    for (unsigned i = 1; i < copier->scanner_count; i++)
        if (bus_connect_more(copier->jobs.socket, i, err) != 0)
            return -1;
    copier->results = mem_new((copier->scanner_count + 1) * sizeof(struct bus_socket *));
    for (unsigned i = 0; i < copier->scanner_count; i++) {
        copier->results[i] = bus_connect(bus, PIPE_RESULTS, i, err);
        if (!copier->results[i])
            return -1;
    }
    return 0;
}

/* What a message says is only that there is work: the claim finds out which. */
static void drain_jobs(struct copier *copier)
{
    const unsigned types = JOB_INBOX_TYPE(JOB_MIRROR) | JOB_INBOX_TYPE(JOB_VERIFY);
    struct job job;
    for (int i = 0; i < JOB_INBOX_ROUND && job_inbox_take(&copier->jobs, types, &job) != JOB_INBOX_EMPTY; i++)
        continue;
}

/* To every scanner: whichever pushed the job has a place free again. */
static void send_result(struct copier *copier, const struct store_claim *claim, bool done, const char *said)
{
    struct job job = {.type = JOB_RESULT,
                      .mirror_id = claim->lease.mirror_id,
                      .wanted_seq = claim->wanted_seq,
                      .done = done};
    char *text;
    str_into(job.mailbox, sizeof(job.mailbox), claim->mailbox);
    str_into(job.route, sizeof(job.route), claim->route);
    str_into(job.text, sizeof(job.text), said);
    text = job_encode(&job);
    for (unsigned i = 0; i < copier->scanner_count; i++)
        bus_send(copier->results[i], text, strlen(text));
    free(text);
    daemon_event(copier->daemon, claim->mailbox, claim->route, said);
}

/* ---- work ---- */

static void note_store(struct copier *copier, bool away, const char *text)
{
    if (away && !copier->store_is_away)
        log_error("the store is away: work pauses", LOG_STR("error", text));
    if (!away && copier->store_is_away)
        log_info("the store is back");
    copier->store_is_away = away;
}

/* true if a turn was done: the next is looked for at once. */
static bool work_once(struct copier *copier)
{
    struct store_claim claim = {0};
    struct err err = {0};
    char said[SAID_BYTES];
    bool done;
    if (store_mirror_claim(copier->tools.store, daemon_config(copier->daemon), daemon_owner(copier->daemon),
                           &claim, &err) != 0) {
        note_store(copier, true, err.text);
        return false;
    }
    note_store(copier, false, "");
    if (claim.lease.mirror_id == 0)
        return false;
    CRASH_POINT(MIRROR_CLAIMED);
    done = turn_run(&copier->tools, &claim, said, sizeof(said));
    malloc_trim(0); /* a big mailbox's rows are not to be held for ever */
    send_result(copier, &claim, done, said);
    return true;
}

static void say_seen(struct copier *copier, const char *doing)
{
    struct err err = {0};
    if (clock_boot_ms() < copier->next_seen_boot_ms)
        return;
    copier->next_seen_boot_ms = clock_boot_ms() + SEEN_EVERY_MS;
    if (store_worker_seen(copier->tools.store, daemon_owner(copier->daemon), "copier", doing, &err) != 0)
        note_store(copier, true, err.text);
}

static int step(void *state, struct err *err)
{
    struct copier *copier = state;
    struct pollfd fd = {.fd = bus_fd(copier->jobs.socket), .events = POLLIN};
    (void)err;
    say_seen(copier, copier->busy ? "working" : "waiting");
    drain_jobs(copier);
    copier->busy = !daemon_is_draining(copier->daemon) && work_once(copier);
    if (copier->busy)
        return 0;
    daemon_tick(copier->daemon, "waiting");
    /* What the last turn left says goodbye meanwhile. */
    if (access_step(copier->tools.access))
        imap_reactor_run(copier->tools.reactor, &fd, 1, LOOK_EVERY_MS);
    else
        daemon_wait(copier->daemon, &fd, 1, LOOK_EVERY_MS);
    return 0;
}

static void stop(void *state)
{
    struct copier *copier = state;
    struct err err;
    if (!copier)
        return;
    if (copier->tools.store)
        store_worker_gone(copier->tools.store, daemon_owner(copier->daemon), &err);
    access_free(copier->tools.access);
    imap_reactor_free(copier->tools.reactor);
    store_free(copier->tools.store);
    for (unsigned i = 0; copier->results && i < copier->scanner_count; i++)
        bus_socket_free(copier->results[i]);
    free(copier->results);
    bus_socket_free(copier->jobs.socket);
    free(copier);
}

static int start(struct daemon *daemon, void **state_out, struct err *err)
{
    struct copier *copier = mem_new(sizeof(*copier));
    const struct config *config = daemon_config(daemon);
    copier->daemon = daemon;
    copier->tools = (struct turn_tools){.daemon = daemon, .current = &copier->turn};
    copier->tools.store = store_open(config, err);
    if (!copier->tools.store || store_check_version(copier->tools.store, err) != 0 ||
        store_mirror_inherit(copier->tools.store, daemon_owner(daemon), err) != 0 ||
        store_site_inherit(copier->tools.store, daemon_owner(daemon), err) != 0 ||
        connect_bus(copier, err) != 0) {
        stop(copier);
        return -1;
    }
    copier->tools.reactor = imap_reactor_new(on_tick, copier);
    copier->tools.access =
        access_new(&(struct access_params){.store = copier->tools.store,
                                           .reactor = copier->tools.reactor,
                                           .owner = daemon_owner(daemon),
                                           .purpose = "copier",
                                           .session_seconds = (uint32_t)config->copy.lease_seconds});
    *state_out = copier;
    return 0;
}

static int reload(void *state, const struct config *config, struct err *err)
{
    struct copier *copier = state;
    (void)config;
    (void)err;
    access_reload(copier->tools.access);
    return 0;
}

const struct daemon_program copier_program = {
    .name = "copier", .start = start, .step = step, .reload = reload, .stop = stop};
