/*
 * The loop of mirror-supervisor. Everything that takes time happens in children; nothing here waits but its one poll().
 */
#include "supervisor/supervise.h"

#include "supervisor/child.h"
#include "supervisor/children.h"
#include "supervisor/data_dir.h"
#include "supervisor/database.h"
#include "supervisor/database_probe.h"
#include "supervisor/services.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "bus/job_inbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TURN_MS = 1000,        /* the loop turns at least this often */
    SLEPT_MS = 2000,       /* a turn that took this much longer: it was us who slept */
    UNKILLABLE_MS = 30000, /* what SIGKILL has not ended after this long hangs in the kernel */
};

struct supervise {
    struct config *config;
    const char *config_path, *program_dir;
    struct database *database; /* NULL: a server elsewhere */
    struct database_probe probe;
    struct children children;
    struct bus *bus;
    struct job_inbox pulse;
    int lock_fd, signal_fd;
    unsigned count[SERVICE_COUNT];
    int64_t now_ms, meant_ms; /* now, and the latest that it was meant to be when we went to sleep */
    pid_t holder;             /* of the database's files, as last logged */
    bool stopping, failed;
};

/* ---- what to execute ---- */

static void spawn_own(const struct supervise *supervise, const struct child *child, struct spawn *spawn)
{
    const struct service *service = &services[child->id];

    spawn_arg(spawn, "%s/%s", supervise->program_dir, service->program);
    spawn_arg(spawn, "--config");
    spawn_arg(spawn, "%s", supervise->config_path);
    if (service->argument) {
        spawn_arg(spawn, "%s", service->argument);
        return;
    }
    spawn_arg(spawn, "--instance");
    spawn_arg(spawn, "%u", child->instance);
    spawn_arg(spawn, "--pulse");
}

static int prepare(void *context, const struct child *child, struct spawn *spawn_out, struct err *err)
{
    struct supervise *supervise = context;

    log_debug("starting", LOG_STR("child", child->name), LOG_STR("secrets", services[child->id].secrets));
    if (child->id == SERVICE_DATABASE_FILES)
        return database_spawn_install(supervise->database, spawn_out, err);
    if (child->id == SERVICE_DATABASE) {
        database_probe_reset(&supervise->probe);
        return database_spawn_server(supervise->database, supervise->config, spawn_out, err);
    }
    spawn_own(supervise, child, spawn_out);
    return 0;
}

/* ---- what the children do ---- */

static void read_pulses(struct supervise *supervise)
{
    enum job_inbox_result got = JOB_INBOX_BAD;
    struct job job;

    for (int i = 0; i < JOB_INBOX_ROUND && got != JOB_INBOX_EMPTY; i++) {
        struct child *child = NULL;
        got = job_inbox_take(&supervise->pulse, JOB_INBOX_TYPE(JOB_PULSE), &job);
        if (got == JOB_INBOX_JOB)
            child = children_by_pid(&supervise->children, (pid_t)job.pid);
        if (child) /* else a late one of a child that is gone */
            child_alive(child, job.state == PULSE_READY || job.state == PULSE_WORKING, job.text,
                        supervise->now_ms);
    }
}

static void probe_database(struct supervise *supervise)
{
    struct child *child = children_first(&supervise->children, SERVICE_DATABASE);

    if (!child || (child->state != CHILD_STARTING && child->state != CHILD_READY))
        return;
    if (database_probe_step(&supervise->probe, database_socket(supervise->database), child->pid,
                            supervise->now_ms))
        child_alive(child, true, NULL, supervise->now_ms);
}

/* Those that had started before a reload read the configuration themselves, once the store has its routes, and not
 * before they are ready: until then a SIGHUP could end them. */
static void pass_reload_on(struct supervise *supervise)
{
    struct child *migrate = children_first(&supervise->children, SERVICE_MIGRATE);

    if (!migrate || migrate->state != CHILD_DONE)
        return;
    if (migrate->reload_wanted) { /* it was running at the reload, with what was before */
        child_again(migrate);
        return;
    }
    for (size_t i = 0; i < supervise->children.count; i++) {
        struct child *child = supervise->children.items[i];
        if (!services[child->id].pulses || !child->reload_wanted || child->state != CHILD_READY)
            continue;
        child->reload_wanted = false;
        child_signal(child, SIGHUP);
    }
}

/* What a one-shot leaves to be done by us. True if it did well. */
static bool finish_one_shot(struct supervise *supervise, const struct child *child, int status)
{
    struct err err = {0};

    if (!services[child->id].runs_once || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return false;
    if (child->id == SERVICE_DATABASE_FILES && database_take_files(supervise->database, &err) != 0) {
        log_error("the new database's files cannot be taken over", LOG_STR("error", err.text));
        return false;
    }
    return true;
}

static void bury(struct supervise *supervise, pid_t pid)
{
    struct child *child = children_by_pid(&supervise->children, pid);
    int status;

    /* While its leader is a zombie the group's number cannot be somebody else's: now end what it left behind. */
    if (child)
        kill(-pid, SIGKILL);
    if (waitpid(pid, &status, 0) != pid || !child)
        return;
    if (child->id == SERVICE_DATABASE && child->was_killed && supervise->stopping)
        supervise->failed = true;
    child_ended(child, status, finish_one_shot(supervise, child, status), supervise->now_ms,
                supervise->config->log.json);
}

static void bury_all(struct supervise *supervise)
{
    siginfo_t info;

    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return;
        bury(supervise, info.si_pid);
    }
}

/* ---- what is wanted ---- */

/* The database is wanted until all others have ended: they may be writing their last results. */
static void plan(struct supervise *supervise)
{
    bool has_files = supervise->database && database_has_files(supervise->database);

    services_plan(supervise->config, has_files, supervise->count);
    if (supervise->stopping) {
        unsigned database = supervise->count[SERVICE_DATABASE];
        memset(supervise->count, 0, sizeof supervise->count);
        if (children_running(&supervise->children, SERVICE_DATABASE) > 0)
            supervise->count[SERVICE_DATABASE] = database;
    }
    children_plan(&supervise->children, supervise->count);
}

static int reload_refused(const struct supervise *supervise, const struct config *config, struct err *err)
{
    if (!str_equal(config->data_dir, supervise->config->data_dir))
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "data_dir changes with a restart only");
    if (config->database.mode != supervise->config->database.mode)
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "database.mode changes with a restart only");
    return config_check_files(config, err);
}

static void reload(struct supervise *supervise)
{
    struct err err = {0};
    struct config *config = config_load(supervise->config_path, &err);
    struct child *migrate = children_first(&supervise->children, SERVICE_MIGRATE);

    if (!config || reload_refused(supervise, config, &err) != 0) {
        log_error("the changed configuration is not taken over, the one before stays",
                  LOG_STR("error", err.text));
        config_free(config);
        return;
    }
    config_free(supervise->config);
    supervise->config = config;
    log_set_level((enum log_level)config->log.level);
    config_log_warnings(config);
    log_info("configuration read again", LOG_UINT("sites", config->site_count),
             LOG_UINT("routes", config->route_count));
    for (size_t i = 0; i < supervise->children.count; i++)
        supervise->children.items[i]->reload_wanted = child_is_running(supervise->children.items[i]);
    plan(supervise);
    if (migrate)
        child_again(migrate);
}

static void drain(struct supervise *supervise, int signum)
{
    if (!supervise->stopping) {
        log_info("ending, work in hand is finished first", LOG_STR("signal", strsignal(signum)),
                 LOG_NUM("grace_seconds", supervise->config->supervisor.grace_seconds));
        supervise->stopping = true;
        return;
    }
    log_warning("told to end a second time: not waiting for work in hand, only for the database");
    for (size_t i = 0; i < supervise->children.count; i++)
        if (supervise->children.items[i]->id != SERVICE_DATABASE)
            child_hurry(supervise->children.items[i], supervise->now_ms);
}

static void read_signals(struct supervise *supervise)
{
    struct signalfd_siginfo info;

    while (read(supervise->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP && !supervise->stopping)
            reload(supervise);
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            drain(supervise, (int)info.ssi_signo);
    }
}

/* ---- a turn ---- */

/* A server of before that still has the files is waited for: two on one set of files would ruin them. */
static bool files_are_free(struct supervise *supervise)
{
    pid_t holder = database_files_holder(supervise->database);

    if (holder != 0 && holder != supervise->holder)
        log_warning("the database's files are in use by another process, waiting for its end",
                    LOG_INT("pid", holder));
    supervise->holder = holder;
    return holder == 0;
}

static struct child_world world_of(struct supervise *supervise)
{
    return (struct child_world){
        .now_ms = supervise->now_ms,
        .pulse_ms = (int64_t)(supervise->config->supervisor.pulse_seconds * 1000),
        .grace_ms = (int64_t)(supervise->config->supervisor.grace_seconds * 1000),
        .log_json = supervise->config->log.json,
        .prepare = prepare,
        .context = supervise,
    };
}

static bool step_child(struct supervise *supervise, struct child *child)
{
    struct child_world world = world_of(supervise);
    bool ready[SERVICE_COUNT];

    children_ready(&supervise->children, ready);
    world.needs_met = services_needs_met(child->id, supervise->count, ready);
    if (child->id == SERVICE_DATABASE && child->state == CHILD_WAITING && world.needs_met)
        world.needs_met = files_are_free(supervise);
    return child_step(child, &world);
}

static void step_all(struct supervise *supervise)
{
    bool changed = true;

    while (changed) {
        changed = false;
        if (supervise->stopping)
            plan(supervise);
        for (size_t i = 0; i < supervise->children.count; i++)
            changed |= step_child(supervise, supervise->children.items[i]);
    }
    pass_reload_on(supervise);
    children_drop_stopped(&supervise->children);
}

/* Whoever was stopped with us, or could not be heard by us, is not silent. */
static void forgive_own_sleep(struct supervise *supervise)
{
    int64_t slept_ms = supervise->now_ms - supervise->meant_ms;

    if (slept_ms < SLEPT_MS)
        return;
    log_warning("the supervisor itself was not running", LOG_INT("milliseconds", slept_ms));
    for (size_t i = 0; i < supervise->children.count; i++)
        child_forgive(supervise->children.items[i], slept_ms);
}

static int wait_ms(struct supervise *supervise)
{
    struct child_world world = world_of(supervise);
    int64_t due_ms = supervise->now_ms + TURN_MS;

    for (size_t i = 0; i < supervise->children.count; i++) {
        const struct child *child = supervise->children.items[i];
        int64_t child_ms = child_due(child, &world);
        if (child->id == SERVICE_DATABASE && child->state == CHILD_STARTING)
            child_ms = supervise->probe.due_ms; /* everything waits for it */
        due_ms = child_ms < due_ms ? child_ms : due_ms;
    }
    return due_ms > supervise->now_ms ? (int)(due_ms - supervise->now_ms) : 0;
}

static void wait_for_something(struct supervise *supervise)
{
    size_t count = 0;
    struct pollfd *fds = mem_new(sizeof *fds * (supervise->children.count + 3));
    int timeout_ms = wait_ms(supervise);

    fds[count++] = (struct pollfd){.fd = supervise->signal_fd, .events = POLLIN};
    fds[count++] = (struct pollfd){.fd = bus_fd(supervise->pulse.socket), .events = POLLIN};
    fds[count++] = (struct pollfd){.fd = supervise->probe.fd, .events = POLLIN};
    for (size_t i = 0; i < supervise->children.count; i++)
        fds[count++] = (struct pollfd){.fd = supervise->children.items[i]->said_fd, .events = POLLIN};
    supervise->meant_ms = supervise->now_ms + timeout_ms;
    if (poll(fds, count, timeout_ms) < 0 && errno != EINTR)
        BUG("poll");
    free(fds);
    supervise->now_ms = clock_boot_ms();
}

static void turn(struct supervise *supervise)
{
    forgive_own_sleep(supervise);
    read_pulses(supervise);
    for (size_t i = 0; i < supervise->children.count; i++)
        child_listen(supervise->children.items[i], supervise->config->log.json);
    read_signals(supervise);
    bury_all(supervise);
    probe_database(supervise);
    step_all(supervise);
}

/* What hangs in the kernel (a dead network file system) cannot be waited for; it is killed, and ends when it can. */
static bool only_unkillable(const struct supervise *supervise)
{
    for (size_t i = 0; i < supervise->children.count; i++) {
        const struct child *child = supervise->children.items[i];
        if (child_is_running(child) &&
            (child->state != CHILD_KILLED || supervise->now_ms < child->due_ms + UNKILLABLE_MS))
            return false;
    }
    return true;
}

static void run(struct supervise *supervise)
{
    supervise->now_ms = supervise->meant_ms = clock_boot_ms();
    plan(supervise);
    for (;;) {
        turn(supervise);
        if (supervise->stopping && only_unkillable(supervise))
            break;
        wait_for_something(supervise);
    }
    if (children_running(&supervise->children, SERVICE_COUNT) > 0)
        supervise->failed = true;
}

/* ---- before and after ---- */

static int open_signals(struct err *err)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "signalfd: %s", strerror(errno));
    return fd;
}

static int open_bus(struct supervise *supervise, struct err *err)
{
    char *run_dir = config_path(supervise->config, "run");

    supervise->bus = bus_new(run_dir, err);
    free(run_dir);
    if (!supervise->bus)
        return -1;
    supervise->pulse.socket = bus_bind(supervise->bus, PIPE_PULSE, 0, err);
    return supervise->pulse.socket ? 0 : -1;
}

/* In this order: nothing is touched without the lock, and the bus starts its threads last, after all that forks here
 * and with the signals blocked that they must not take. */
static int open_all(struct supervise *supervise, struct err *err)
{
    if (data_dir_prepare(supervise->config, err) != 0)
        return -1;
    supervise->lock_fd = data_dir_lock(supervise->config, err);
    if (supervise->lock_fd < 0)
        return -1;
    if (supervise->config->database.mode == CONFIG_DATABASE_MANAGED) {
        supervise->database = database_open(supervise->config, err);
        if (!supervise->database)
            return -1;
    }
    supervise->signal_fd = open_signals(err);
    if (supervise->signal_fd < 0)
        return -1;
    return open_bus(supervise, err);
}

static void close_all(struct supervise *supervise)
{
    bus_socket_free(supervise->pulse.socket);
    bus_free(supervise->bus);
    database_probe_fini(&supervise->probe);
    database_free(supervise->database);
    if (supervise->signal_fd >= 0)
        close(supervise->signal_fd);
    if (supervise->lock_fd >= 0)
        close(supervise->lock_fd);
    config_free(supervise->config);
}

int supervise(const struct supervise_parameters *parameters)
{
    struct supervise supervise = {
        .config = parameters->config,
        .config_path = parameters->config_path,
        .program_dir = parameters->program_dir,
        .lock_fd = -1,
        .signal_fd = -1,
    };
    struct err err = {0};

    database_probe_init(&supervise.probe);
    if (open_all(&supervise, &err) != 0) {
        log_error("cannot start", LOG_STR("error", err.text));
        supervise.failed = true;
    } else {
        log_info("started", LOG_STR("version", MM_VERSION), LOG_STR("configuration", supervise.config_path),
                 LOG_STR("data_dir", supervise.config->data_dir));
        config_log_warnings(supervise.config);
        run(&supervise);
        if (supervise.failed)
            log_error("ended, but not all could be ended properly");
        else
            log_info("ended");
        if (children_running(&supervise.children, SERVICE_COUNT) == 0)
            children_fini(&supervise.children);
    }
    close_all(&supervise);
    return supervise.failed ? -1 : 0;
}
