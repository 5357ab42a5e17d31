/*
 * A child's life: start, signs of life, end. One function changes its state, and logs "old -> new".
 */
#include "supervisor/child.h"

#include "base/log.h"
#include "base/str.h"
#include "supervisor/backoff.h"
#include "supervisor/forward.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

/* At most this much of one child's output is read in one turn, so that a chatty one does not keep us from the others. */
enum { LISTEN_READS = 16, LISTEN_BYTES = 4096 };

/* A database busy with its disk greets late; killing it for that would make things worse. */
enum { PATIENCE_WITH_DATABASE = 4 };

struct child *child_new(enum service_id id, unsigned instance)
{
    struct child *child = mem_new(sizeof *child);

    child->id = id;
    child->instance = instance;
    child->said_fd = -1;
    if (services[id].pulses)
        snprintf(child->name, sizeof child->name, "%s.%u", services[id].name, instance);
    else
        snprintf(child->name, sizeof child->name, "%s", services[id].name);
    return child;
}

void child_free(struct child *child)
{
    if (!child)
        return;
    ASSERT(child->pid == 0);
    if (child->said_fd >= 0)
        close(child->said_fd);
    free(child);
}

bool child_is_running(const struct child *child)
{
    return child_state_is_running(child->state);
}

static void change_state(struct child *child, enum child_state state, enum log_level level, const char *why)
{
    char change[64];

    snprintf(change, sizeof change, "%s -> %s", child_state_name(child->state), child_state_name(state));
    child->state = state;
    log_write(level, change,
              (const struct log_field[]){
                  LOG_STR("child", child->name), LOG_INT("pid", child->pid), LOG_STR("why", why), {0}});
}

/* ---- what it says ---- */

struct line_context {
    const struct child *child;
    bool log_json;
};

static void on_line(void *context, const char *line, size_t len)
{
    const struct line_context *c = context;

    if (services[c->child->id].program)
        forward_own(c->child->name, line, len, c->log_json);
    else
        forward_foreign(c->child->name, line);
}

void child_listen(struct child *child, bool log_json)
{
    struct line_context context = {.child = child, .log_json = log_json};
    char bytes[LISTEN_BYTES];

    for (int i = 0; i < LISTEN_READS && child->said_fd >= 0; i++) {
        ssize_t n = read(child->said_fd, bytes, sizeof bytes);
        if (n > 0) {
            said_feed(&child->said, bytes, (size_t)n, on_line, &context);
        } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            close(child->said_fd);
            child->said_fd = -1;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

/* ---- start ---- */

static void set_backoff(struct child *child, int64_t now_ms, const char *why)
{
    uint32_t random = 0;
    char text[1200];

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = (uint32_t)now_ms;
    child->failures++;
    int64_t delay_ms = backoff_delay_ms(child->failures, random);
    child->due_ms = now_ms + delay_ms;
    snprintf(text, sizeof text, "%s; started again in %.1f s", why, (double)delay_ms / 1000.0);
    change_state(child, CHILD_BACKOFF, LOG_LEVEL_WARNING, text);
}

static void start(struct child *child, const struct child_world *world)
{
    struct spawn spawn = {0};
    struct err err = {0};

    said_clear(&child->said);
    child->doing[0] = '\0';
    child->was_killed = child->reload_wanted = false;
    child->ready_ms = 0;
    if (world->prepare(world->context, child, &spawn, &err) != 0 ||
        spawn_start(&spawn, &child->pid, &child->said_fd, &err) != 0) {
        child->pid = 0;
        set_backoff(child, world->now_ms, err.text);
    } else {
        child->alive_ms = world->now_ms;
        child->due_ms = world->now_ms + (int64_t)services[child->id].ready_seconds * 1000;
        change_state(child, CHILD_STARTING, LOG_LEVEL_INFO, spawn.argv[0]);
    }
    spawn_fini(&spawn);
}

/* ---- signs of life ---- */

/* From when on its silence counts. Who says nothing by itself (runs once, or a database still recovering) is only
 * held to its time for getting ready. */
static int64_t silent_from(const struct child *child, const struct child_world *world)
{
    if (services[child->id].pulses)
        return child->alive_ms + world->pulse_ms;
    if (child->id == SERVICE_DATABASE && child->state == CHILD_READY)
        return child->alive_ms + world->pulse_ms * PATIENCE_WITH_DATABASE;
    return INT64_MAX;
}

void child_alive(struct child *child, bool ready, const char *doing, int64_t now_ms)
{
    child->alive_ms = now_ms;
    if (doing)
        str_into(child->doing, sizeof child->doing, doing);
    if (!ready || child->state != CHILD_STARTING)
        return;
    child->ready_ms = now_ms;
    change_state(child, CHILD_READY, LOG_LEVEL_INFO, "it says so");
}

void child_forgive(struct child *child, int64_t slept_ms)
{
    child->alive_ms += slept_ms;
    if (child->state == CHILD_STARTING || child->state == CHILD_DRAINING)
        child->due_ms += slept_ms;
}

/* ---- decisions carried out ---- */

void child_signal(const struct child *child, int signum)
{
    if (child->pid > 0 && kill(-child->pid, signum) != 0 && errno != ESRCH)
        log_error("cannot signal", LOG_STR("child", child->name), LOG_INT("pid", child->pid),
                  LOG_INT("signal", signum), LOG_STR("error", strerror(errno)));
}

static void term(struct child *child, const struct child_world *world)
{
    uint32_t own_seconds = services[child->id].stop_seconds;

    child_signal(child, SIGTERM);
    child->due_ms = world->now_ms + (own_seconds > 0 ? (int64_t)own_seconds * 1000 : world->grace_ms);
    change_state(child, CHILD_DRAINING, LOG_LEVEL_INFO, "not wanted any more");
}

static void kill_it(struct child *child, const struct child_world *world, const char *why)
{
    char text[256];

    snprintf(text, sizeof text, "%s%s%s", why, child->doing[0] != '\0' ? "; it last did: " : "",
             child->doing);
    child_signal(child, SIGKILL);
    child->was_killed = true;
    child->due_ms = world->now_ms;
    change_state(child, CHILD_KILLED, LOG_LEVEL_WARNING, text);
}

static bool act(struct child *child, const struct child_world *world, enum child_move move)
{
    switch (move) {
    case CHILD_STAY:
        return false;
    case CHILD_START:
        start(child, world);
        break;
    case CHILD_WAIT:
        change_state(child, CHILD_WAITING, LOG_LEVEL_DEBUG, "wanted");
        break;
    case CHILD_REST:
        change_state(child, CHILD_STOPPED, LOG_LEVEL_DEBUG, "not wanted");
        break;
    case CHILD_TERM:
        term(child, world);
        break;
    case CHILD_KILL_LATE:
        kill_it(child, world, "not ready in time");
        break;
    case CHILD_KILL_SILENT:
        kill_it(child, world, "silent for too long");
        break;
    case CHILD_KILL_GRACE:
        kill_it(child, world, "its time to end is over");
        break;
    }
    return true;
}

bool child_step(struct child *child, const struct child_world *world)
{
    struct child_facts facts = {
        .state = child->state,
        .wanted = child->wanted,
        .needs_met = world->needs_met,
        .now_ms = world->now_ms,
        .due_ms = child->due_ms,
        .silent_ms = silent_from(child, world),
    };

    return act(child, world, child_decide(&facts));
}

int64_t child_due(const struct child *child, const struct child_world *world)
{
    int64_t silent_ms = silent_from(child, world);

    switch (child->state) {
    case CHILD_STARTING:
        return child->due_ms < silent_ms ? child->due_ms : silent_ms;
    case CHILD_READY:
        return silent_ms;
    case CHILD_BACKOFF:
    case CHILD_DRAINING:
        return child->due_ms;
    default:
        return INT64_MAX;
    }
}

void child_hurry(struct child *child, int64_t now_ms)
{
    if (child->state == CHILD_DRAINING)
        child->due_ms = now_ms;
}

void child_again(struct child *child)
{
    child->reload_wanted = false;
    if (child->state == CHILD_DONE)
        change_state(child, CHILD_WAITING, LOG_LEVEL_INFO, "to run again");
}

/* ---- its end ---- */

static void describe_end(const struct child *child, int status, char *text, size_t size)
{
    char last[SAID_KEPT_LINES * (SAID_KEPT_BYTES + 4)];
    int n;

    if (WIFSIGNALED(status))
        n = snprintf(text, size, "ended by signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
                     child->was_killed ? ", ours" : "");
    else
        n = snprintf(text, size, "ended with status %d", WEXITSTATUS(status));
    said_last(&child->said, last, sizeof last);
    if (n > 0 && (size_t)n < size)
        snprintf(text + n, size - (size_t)n, last[0] != '\0' ? "; it last said: %s" : "; it said nothing%s",
                 last);
}

void child_ended(struct child *child, int status, bool well, int64_t now_ms, bool log_json)
{
    struct line_context context = {.child = child, .log_json = log_json};
    char why[1000];

    child_listen(child, log_json);
    said_end(&child->said, on_line, &context);
    if (child->said_fd >= 0)
        close(child->said_fd); /* a grandchild may still hold the other end */
    child->said_fd = -1;
    describe_end(child, status, why, sizeof why);
    if (child->ready_ms != 0 && backoff_was_healthy(now_ms - child->ready_ms))
        child->failures = 0;
    child->ready_ms = 0;

    enum child_state next = child_after_end(child->state, child->wanted, well);
    bool told = child->state == CHILD_DRAINING && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    bool clean = told || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (next == CHILD_DONE)
        child->failures = 0;
    if (next == CHILD_BACKOFF)
        set_backoff(child, now_ms, why);
    else
        change_state(child, next, clean ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, clean ? "ended" : why);
    child->pid = 0;
}
