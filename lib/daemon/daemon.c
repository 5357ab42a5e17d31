/*
 * The skeleton of the daemons; see daemon.h.
 *
 * The pulse goes out from daemon_tick() and nowhere else, not from a thread: a program that hangs in its work must
 * fall silent, so that the supervisor notices.
 */
#include "daemon/daemon.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "bus/job.h"
#include "daemon/daemon_args.h"
#include "daemon/daemon_signals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PULSE_MS = 5000, UNSENT_PULSE_MS = 100, HOST_BYTES = 65 };

struct daemon {
    const struct daemon_program *program;
    struct daemon_args args;
    struct config *config;
    struct bus *bus;
    struct bus_socket *pulse, *events;
    struct daemon_signals *signals; /* behind a pointer: is_draining() takes what came, whoever asks */
    char *owner;
    pid_t parent; /* with --pulse: the supervisor; when it changes, it is dead */
    enum pulse_state state;
    char doing[JOB_TEXT_BYTES];
    int64_t next_pulse_ms;
    unsigned told; /* signals that a wait has been ended for */
    struct pollfd *fds;
    size_t fds_size;
};

const struct config *daemon_config(const struct daemon *daemon)
{
    return daemon->config;
}

unsigned daemon_instance(const struct daemon *daemon)
{
    return daemon->args.instance;
}

struct bus *daemon_bus(const struct daemon *daemon)
{
    return daemon->bus;
}

const char *daemon_owner(const struct daemon *daemon)
{
    return daemon->owner;
}

static bool send_job(struct bus_socket *socket, const struct job *job)
{
    char *text = job_encode(job);
    bool sent = bus_send(socket, text, strlen(text));
    free(text);
    return sent;
}

static void send_pulse(struct daemon *daemon)
{
    struct job job = {.type = JOB_PULSE,
                      .pid = (uint32_t)getpid(),
                      .instance = daemon->args.instance,
                      .state = daemon->state};
    if (daemon->pulse == NULL)
        return;
    str_into(job.program, sizeof(job.program), daemon->program->name);
    str_into(job.text, sizeof(job.text), daemon->doing);
    bool sent = send_job(daemon->pulse, &job);
    daemon->next_pulse_ms = clock_boot_ms() + (sent ? PULSE_MS : UNSENT_PULSE_MS);
}

/* Does not wait for the next pulse: the supervisor starts others as soon as we are ready. */
static void set_state(struct daemon *daemon, enum pulse_state state)
{
    if (daemon->state != state)
        log_debug("state", LOG_STR("from", job_pulse_state_name(daemon->state)),
                  LOG_STR("to", job_pulse_state_name(state)));
    daemon->state = state;
    send_pulse(daemon);
}

static void look_after_parent(struct daemon *daemon)
{
    if (daemon->args.pulse && getppid() != daemon->parent && !daemon->signals->stop) {
        log_error("the supervisor is gone; stopping");
        daemon->signals->stop = true;
        daemon->signals->taken++;
    }
}

bool daemon_is_draining(const struct daemon *daemon)
{
    daemon_signals_take(daemon->signals);
    return daemon->signals->stop;
}

void daemon_tick(struct daemon *daemon, const char *doing)
{
    bool draining = daemon_is_draining(daemon);
    look_after_parent(daemon);
    if (doing != NULL)
        str_into(daemon->doing, sizeof(daemon->doing), doing);
    if (doing != NULL && daemon->state == PULSE_READY)
        daemon->state = PULSE_WORKING;
    if (draining && daemon->state != PULSE_DRAINING)
        set_state(daemon, PULSE_DRAINING);
    else if (clock_boot_ms() >= daemon->next_pulse_ms)
        send_pulse(daemon);
}

static int wait_ms(const struct daemon *daemon, int timeout_ms)
{
    int limit = DAEMON_TICK_MS;
    if (daemon->pulse != NULL) {
        int until_pulse = clock_left_ms(daemon->next_pulse_ms);
        limit = until_pulse < limit ? until_pulse : limit;
    }
    return timeout_ms >= 0 && timeout_ms < limit ? timeout_ms : limit;
}

static void copy_fds(struct daemon *daemon, const struct pollfd *fds, size_t count)
{
    if (count + 1 > daemon->fds_size) {
        daemon->fds_size = count + 1;
        daemon->fds = mem_grow(daemon->fds, daemon->fds_size, sizeof(*daemon->fds));
    }
    if (count > 0)
        memcpy(daemon->fds, fds, count * sizeof(*fds));
    daemon->fds[count] = (struct pollfd){.fd = daemon->signals->fd, .events = POLLIN};
}

/* A signal may have been taken between the caller's last look and this wait: it ends one wait, and only one, since
 * work in hand goes on waiting while it drains. */
int daemon_wait(struct daemon *daemon, struct pollfd *fds, size_t count, int timeout_ms)
{
    daemon_tick(daemon, NULL);
    copy_fds(daemon, fds, count);
    bool hurry = daemon->told != daemon->signals->taken;
    daemon->told = daemon->signals->taken;
    int found = poll(daemon->fds, count + 1, hurry ? 0 : wait_ms(daemon, timeout_ms));
    if (found < 0) {
        if (errno != EINTR && errno != EAGAIN)
            BUG("poll");
        found = 0;
        for (size_t i = 0; i < count; i++)
            daemon->fds[i].revents = 0;
    } else if (daemon->fds[count].revents != 0) {
        found--;
    }
    for (size_t i = 0; i < count; i++)
        fds[i].revents = daemon->fds[i].revents;
    daemon_tick(daemon, NULL);
    daemon->told = daemon->signals->taken;
    return found;
}

void daemon_event(struct daemon *daemon, const char *mailbox, const char *route, const char *text)
{
    struct job job = {.type = JOB_EVENT};
    str_into(job.program, sizeof(job.program), daemon->program->name);
    str_into(job.mailbox, sizeof(job.mailbox), mailbox);
    str_into(job.route, sizeof(job.route), route);
    str_into(job.text, sizeof(job.text), text);
    send_job(daemon->events, &job);
}

/* No core dump and no /proc/<pid>/mem for others: the process holds secrets and voicemail (I8). */
static void harden(void)
{
    const struct rlimit none = {0, 0};
    umask(077);
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        log_warning("core dumps could not be switched off", LOG_STR("error", strerror(errno)));
}

static void apply_log(const struct daemon *daemon)
{
    log_init(daemon->program->name, (enum log_level)daemon->config->log.level, daemon->config->log.json);
}

static char *make_owner(const struct daemon *daemon)
{
    char host[HOST_BYTES] = "";
    if (gethostname(host, sizeof(host) - 1) < 0)
        str_into(host, sizeof(host), "localhost");
    return str_format("%s:%s:%u:%d:%lld", host, daemon->program->name, daemon->args.instance, (int)getpid(),
                      (long long)clock_wall_us());
}

static int open_bus(struct daemon *daemon, struct err *err)
{
    char *run_dir = config_path(daemon->config, "run");
    if (mkdir(run_dir, 0700) < 0 && errno != EEXIST)
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "directory %s: %s", run_dir, strerror(errno));
    else
        daemon->bus = bus_new(run_dir, err);
    free(run_dir);
    if (daemon->bus == NULL)
        return -1;
    daemon->events = bus_connect(daemon->bus, PIPE_EVENTS, 0, err);
    if (daemon->events == NULL)
        return -1;
    if (daemon->args.pulse)
        daemon->pulse = bus_connect(daemon->bus, PIPE_PULSE, 0, err);
    return daemon->args.pulse && daemon->pulse == NULL ? -1 : 0;
}

static int open_daemon(struct daemon *daemon, struct err *err)
{
    daemon->parent = getppid();
    if (daemon_signals_open(daemon->signals, err) < 0)
        return -1;
    daemon->config = config_load(daemon->args.config, err);
    if (daemon->config == NULL)
        return -1;
    apply_log(daemon);
    daemon->owner = make_owner(daemon);
    return open_bus(daemon, err);
}

static void close_daemon(struct daemon *daemon)
{
    bus_free(daemon->bus);
    daemon_signals_close(daemon->signals);
    config_free(daemon->config);
    free(daemon->owner);
    free(daemon->fds);
}

/* The sockets stand in it. */
static int check_reload(const struct daemon *daemon, const struct config *config, struct err *err)
{
    if (!str_equal(config->data_dir, daemon->config->data_dir))
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "%s: data_dir changed: that needs a restart",
                       config->path);
    return 0;
}

/* On any error the old configuration stays in force. A program without reload() may still point into the old one. */
static void reload(struct daemon *daemon, void *state)
{
    struct err err = {0};
    daemon->signals->reload = false;
    struct config *fresh = config_load(daemon->args.config, &err);
    bool taken = fresh != NULL && check_reload(daemon, fresh, &err) == 0;
    if (taken && daemon->program->reload == NULL) {
        log_init(daemon->program->name, (enum log_level)fresh->log.level, fresh->log.json);
        config_free(fresh);
        return;
    }
    if (taken && daemon->program->reload(state, fresh, &err) == 0) {
        config_free(daemon->config);
        daemon->config = fresh;
        apply_log(daemon);
        log_info("configuration read again");
        return;
    }
    log_error("the changed configuration is not taken; the old one stays in force",
              LOG_STR("error", err.text));
    config_free(fresh);
}

static int work(struct daemon *daemon, void *state)
{
    struct err err = {0};
    while (!daemon_is_draining(daemon)) {
        if (daemon->signals->reload)
            reload(daemon, state);
        err_clear(&err);
        if (daemon->program->step(state, &err) < 0) {
            log_error("cannot go on", LOG_STR("error", err.text));
            return DAEMON_EXIT_FAILED;
        }
        daemon_tick(daemon, NULL);
    }
    daemon_tick(daemon, NULL);
    log_info("stopped");
    return DAEMON_EXIT_OK;
}

/* READY was said once; from then on the pulse tells what is being done. */
static int run(struct daemon *daemon)
{
    struct err err = {0};
    void *state = NULL;
    daemon_tick(daemon, "starting");
    if (daemon->program->start(daemon, &state, &err) < 0) {
        if (daemon_is_draining(daemon))
            return DAEMON_EXIT_OK;
        log_error("cannot start", LOG_STR("error", err.text));
        return DAEMON_EXIT_FAILED;
    }
    log_info("ready");
    daemon_tick(daemon, "ready");
    set_state(daemon, PULSE_READY);
    int result = work(daemon, state);
    if (daemon->program->stop != NULL)
        daemon->program->stop(state);
    return result;
}

static int check_config(const struct daemon_args *args)
{
    struct err err = {0};
    struct config *config = config_load(args->config, &err);
    int result = config == NULL ? -1 : config_check_files(config, &err);
    if (result == 0)
        config_log_warnings(config);
    if (result == 0)
        printf("%s: good\n", args->config);
    else
        fprintf(stderr, "%s\n", err.text);
    config_free(config);
    return result == 0 ? DAEMON_EXIT_OK : DAEMON_EXIT_FAILED;
}

int daemon_main(const struct daemon_program *program, int argc, char **argv)
{
    struct daemon_signals signals = {.fd = -1};
    struct daemon daemon = {.program = program, .signals = &signals};
    struct err err = {0};
    int result;
    log_init(program->name, LOG_LEVEL_INFO, false);
    if (!daemon_args_parse(program->name, argc, argv, &daemon.args, &result))
        return result;
    if (daemon.args.check_config)
        return check_config(&daemon.args);
    harden();
    result = DAEMON_EXIT_FAILED;
    if (open_daemon(&daemon, &err) == 0)
        result = run(&daemon);
    else
        log_error("cannot start", LOG_STR("error", err.text));
    close_daemon(&daemon);
    return result;
}
