/*
 * The skeleton of the daemons, in a forked child with a small program in it: pulses, drain, reload, arguments, exit
 * codes. The test plays the supervisor. The child says what happens in it through a pipe, a letter each.
 */
#include "daemon/daemon.h"

#include "base/clock.h"
#include "base/str.h"
#include "bus/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 15000 };

/* What the program in the child does. */
enum behaviour { WAITS, FAILS_TO_START, FAILS_IN_STEP, REFUSES_RELOAD, DRAINS_SLOWLY };

static char directory[40], config_file[64], log_file[64];
static int report[2];          /* the child's letters */
static int gate[2] = {-1, -1}; /* where a child waits for the end of file; -1: it goes on at once */
static enum behaviour behaviour;
static struct daemon *in_child;

static const char base_config[] =
    "sites:\n"
    "  - { name: a, imap: { host: a }, trusted_server: { name: t, password_file: p } }\n"
    "  - { name: b, imap: { host: b }, trusted_server: { name: t, password_file: p } }\n"
    "routes: [ { name: r, from: a, to: b } ]\n"
    "data_dir: .\n";

static void say(char letter)
{
    if (write(report[1], &letter, 1) != 1)
        _exit(99);
}

static int start(struct daemon *daemon, void **state_out, struct err *err)
{
    struct rlimit core;
    in_child = daemon;
    *state_out = daemon;
    if (behaviour == FAILS_TO_START)
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "the store is away");
    bool hard = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && prctl(PR_GET_DUMPABLE) == 0;
    say(hard && umask(077) == 077 ? 's' : '!');
    return 0;
}

static int step(void *state, struct err *err)
{
    struct daemon *daemon = state;
    if (behaviour == FAILS_IN_STEP)
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "the store went away");
    daemon_event(daemon, "4711", "r", "waiting");
    daemon_wait(daemon, NULL, 0, -1);
    daemon_tick(daemon, "waiting for work");
    for (int i = 0; behaviour == DRAINS_SLOWLY && daemon_is_draining(daemon) && i < 3; i++)
        daemon_wait(daemon, NULL, 0, 200);
    return 0;
}

static int reload(void *state, const struct config *config, struct err *err)
{
    if (behaviour == REFUSES_RELOAD)
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "not now");
    say(config != daemon_config(state) && config->workers.copier == 7 ? 'r' : '?');
    return 0;
}

static void stop(void *state)
{
    say(state == in_child ? 'e' : '?');
}

static const struct daemon_program program = {
    .name = "sample", .start = start, .step = step, .reload = reload, .stop = stop};

static void write_config(const char *more)
{
    FILE *file = fopen(config_file, "w");
    assert_non_null(file);
    fprintf(file, "%s%s", base_config, more);
    fclose(file);
}

static int set_up(void **state)
{
    (void)state;
    behaviour = WAITS;
    str_into(directory, sizeof(directory), "/tmp/mirror-daemon-XXXXXX");
    if (mkdtemp(directory) == NULL || pipe2(report, O_CLOEXEC) < 0)
        return -1;
    snprintf(config_file, sizeof(config_file), "%s/mirror.yaml", directory);
    snprintf(log_file, sizeof(log_file), "%s/log", directory);
    write_config("");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(report[0]);
    close(report[1]);
    char *command = str_format("rm -r %s", directory);
    int result = system(command);
    free(command);
    return result;
}

/* Starts the daemon with these arguments (ends with NULL), its output in the log file. */
static pid_t started(const char *first, ...)
{
    const char *arguments[12] = {"mirror-sample"};
    int count = 1;
    va_list args;
    va_start(args, first);
    for (const char *argument = first; argument != NULL; argument = va_arg(args, const char *))
        arguments[count++] = argument;
    va_end(args);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    char byte;
    close(gate[1]);
    while (gate[0] >= 0 && read(gate[0], &byte, 1) < 0 && errno == EINTR)
        continue;
    int fd = open(log_file, O_CREAT | O_WRONLY | O_APPEND, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int result = daemon_main(&program, count, (char **)arguments);
    fflush(stdout);
    _exit(result);
}

/* Its process is there before libzmq's threads are, whose locks a fork would inherit; it begins once let_go() is called. */
static void hold_back(void)
{
    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
}

static void let_go(void)
{
    for (size_t i = 0; i < 2; i++) {
        close(gate[i]);
        gate[i] = -1;
    }
}

static int ended(pid_t child)
{
    int status;
    int64_t deadline = clock_boot_ms() + PATIENCE_MS;
    pid_t pid;
    while ((pid = waitpid(child, &status, WNOHANG)) == 0) {
        if (clock_boot_ms() > deadline) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            fail_msg("the daemon did not end");
        }
        poll(NULL, 0, 5);
    }
    assert_int_equal(pid, child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static char letter(void)
{
    char byte = 0;
    struct pollfd fd = {.fd = report[0], .events = POLLIN};
    if (poll(&fd, 1, PATIENCE_MS) == 1 && read(report[0], &byte, 1) != 1)
        byte = 0;
    return byte;
}

static const char *logged(void)
{
    static char text[32768];
    int fd = open(log_file, O_RDONLY);
    ssize_t len = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[len > 0 ? len : 0] = 0;
    return text;
}

static void wait_for_log(const char *words)
{
    int64_t deadline = clock_boot_ms() + PATIENCE_MS;
    while (strstr(logged(), words) == NULL) {
        if (clock_boot_ms() > deadline)
            fail_msg("'%s' was not logged: %s", words, logged());
        poll(NULL, 0, 10);
    }
}

static void test_ends_on_each_signal(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        pid_t child = started("--config", config_file, NULL);
        assert_int_equal(letter(), 's');
        wait_for_log("ready");
        int64_t begin = clock_boot_ms();
        kill(child, signals[i]);
        assert_int_equal(ended(child), DAEMON_EXIT_OK);
        assert_true(clock_boot_ms() - begin < DAEMON_TICK_MS);
        assert_int_equal(letter(), 'e');
    }
}

/* At any moment, also before the first wait: none is lost. */
static void test_no_signal_is_lost(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        pid_t child = started("--config", config_file, NULL);
        assert_int_equal(letter(), 's');
        poll(NULL, 0, i % 4);
        kill(child, SIGTERM);
        assert_int_equal(ended(child), DAEMON_EXIT_OK);
        assert_int_equal(letter(), 'e');
    }
}

static struct job next_pulse(struct bus_socket *inbox)
{
    char text[BUS_MAX_BYTES];
    struct job job;
    struct err err;
    int len;
    int64_t deadline = clock_boot_ms() + PATIENCE_MS;
    while ((len = bus_receive(inbox, text, sizeof(text))) == 0) {
        assert_true(clock_boot_ms() < deadline);
        poll(NULL, 0, 5);
    }
    assert_int_equal(job_decode(text, (size_t)len, &job, &err), 0);
    return job;
}

static void wait_for_state(struct bus_socket *inbox, enum pulse_state wanted, pid_t child)
{
    for (;;) {
        struct job job = next_pulse(inbox);
        assert_int_equal(job.type, JOB_PULSE);
        assert_int_equal(job.pid, child);
        assert_int_equal(job.instance, 3);
        assert_string_equal(job.program, "sample");
        if (job.state == wanted)
            return;
        assert_true(job.state < wanted);
    }
}

static struct bus *open_bus(void)
{
    char *run_dir = str_format("%s/run", directory);
    struct err err = {0};
    assert_int_equal(mkdir(run_dir, 0700), 0);
    struct bus *bus = bus_new(run_dir, &err);
    if (bus == NULL)
        fail_msg("%s", err.text);
    free(run_dir);
    return bus;
}

static void test_pulses(void **state)
{
    hold_back();
    (void)state;
    pid_t child = started("--config", config_file, "--instance", "3", "--pulse", NULL);
    struct bus *bus = open_bus();
    struct bus_socket *inbox = bus_bind(bus, PIPE_PULSE, 0, NULL);
    let_go();
    wait_for_state(inbox, PULSE_READY, child);
    int64_t begin = clock_boot_ms();
    wait_for_state(inbox, PULSE_WORKING, child);
    assert_in_range(clock_boot_ms() - begin, 3000, 7000);
    kill(child, SIGTERM);
    wait_for_state(inbox, PULSE_DRAINING, child);
    assert_int_equal(ended(child), DAEMON_EXIT_OK);
    bus_free(bus);
}

/* The supervisor was started again: what it missed is told soon. */
static void test_pulse_waits_for_its_reader(void **state)
{
    (void)state;
    pid_t child = started("--config", config_file, "--instance", "3", "--pulse", NULL);
    struct bus *bus = open_bus();
    assert_int_equal(letter(), 's');
    wait_for_log("ready");
    poll(NULL, 0, 300);
    struct bus_socket *inbox = bus_bind(bus, PIPE_PULSE, 0, NULL);
    int64_t begin = clock_boot_ms();
    assert_in_range(next_pulse(inbox).state, PULSE_READY, PULSE_WORKING);
    assert_true(clock_boot_ms() - begin < 3000);
    kill(child, SIGTERM);
    assert_int_equal(ended(child), DAEMON_EXIT_OK);
    bus_free(bus);
}

static void test_events(void **state)
{
    hold_back();
    (void)state;
    pid_t child = started("--config", config_file, NULL);
    struct bus *bus = open_bus();
    struct bus_socket *reader = bus_bind(bus, PIPE_EVENTS, 0, NULL);
    let_go();
    struct job job = next_pulse(reader);
    assert_int_equal(job.type, JOB_EVENT);
    assert_string_equal(job.program, "sample");
    assert_string_equal(job.mailbox, "4711");
    assert_string_equal(job.text, "waiting");
    kill(child, SIGTERM);
    assert_int_equal(ended(child), DAEMON_EXIT_OK);
    bus_free(bus);
}

/* A supervisor that dies takes its daemons with it, also those that its death sends no signal to. */
static void test_ends_with_its_parent(void **state)
{
    (void)state;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        pid_t child = fork();
        if (child == 0) {
            char *arguments[] = {"mirror-sample", "--config", config_file, "--pulse", NULL};
            int fd = open(log_file, O_CREAT | O_WRONLY | O_APPEND, 0600);
            dup2(fd, STDERR_FILENO);
            _exit(daemon_main(&program, 4, arguments));
        }
        poll(NULL, 0, -1);
        _exit(0);
    }
    assert_int_equal(letter(), 's');
    wait_for_log("ready");
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(letter(), 'e');
    assert_true(waitpid(-1, NULL, 0) > 0);
    assert_non_null(strstr(logged(), "the supervisor is gone; stopping"));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void test_reload(void **state)
{
    (void)state;
    pid_t child = started("--config", config_file, NULL);
    assert_int_equal(letter(), 's');
    write_config("workers: { copier: 7 }\nlog: { level: debug }\n");
    kill(child, SIGHUP);
    assert_int_equal(letter(), 'r');
    wait_for_log("configuration read again");
    write_config("workers: { copier: many }\n");
    kill(child, SIGHUP);
    wait_for_log("workers.copier: 'many' is not a whole number");
    FILE *file = fopen(config_file, "w");
    fprintf(file, "%.*sdata_dir: /elsewhere\n", (int)(strstr(base_config, "data_dir") - base_config),
            base_config);
    fclose(file);
    kill(child, SIGHUP);
    wait_for_log("data_dir changed: that needs a restart");
    kill(child, SIGTERM);
    assert_int_equal(ended(child), DAEMON_EXIT_OK);
    assert_int_equal(letter(), 'e');
}

static void test_reload_refused(void **state)
{
    (void)state;
    behaviour = REFUSES_RELOAD;
    pid_t child = started("--config", config_file, NULL);
    assert_int_equal(letter(), 's');
    kill(child, SIGHUP);
    wait_for_log("the old one stays in force error=\"not now\"");
    kill(child, SIGTERM);
    assert_int_equal(ended(child), DAEMON_EXIT_OK);
}

static void test_failures(void **state)
{
    (void)state;
    behaviour = FAILS_TO_START;
    assert_int_equal(ended(started("--config", config_file, NULL)), DAEMON_EXIT_FAILED);
    assert_non_null(strstr(logged(), "cannot start error=\"the store is away\""));
    behaviour = FAILS_IN_STEP;
    assert_int_equal(ended(started("--config", config_file, NULL)), DAEMON_EXIT_FAILED);
    assert_non_null(strstr(logged(), "cannot go on error=\"the store went away\""));
    assert_int_equal(letter(), 's');
    assert_int_equal(letter(), 'e');
    assert_int_equal(ended(started("--config", "/nowhere.yaml", NULL)), DAEMON_EXIT_FAILED);
    assert_non_null(strstr(logged(), "/nowhere.yaml: cannot be read: No such file or directory"));
}

/* A wait during the drain is a wait: work in hand does not spin. */
static void test_draining_does_not_spin(void **state)
{
    (void)state;
    behaviour = DRAINS_SLOWLY;
    pid_t child = started("--config", config_file, NULL);
    assert_int_equal(letter(), 's');
    wait_for_log("ready");
    int64_t begin = clock_boot_ms();
    kill(child, SIGTERM);
    assert_int_equal(ended(child), DAEMON_EXIT_OK);
    assert_in_range(clock_boot_ms() - begin, 390, 2000);
}

static void test_arguments(void **state)
{
    static const struct {
        const char *argument, *value;
        int exit;
        const char *words;
    } cases[] = {
        {"--help", NULL, DAEMON_EXIT_OK, "Usage: mirror-sample [--config FILE]"},
        {"--version", NULL, DAEMON_EXIT_OK, "mirror-sample " MM_VERSION "\n"},
        {"--bogus", NULL, DAEMON_EXIT_USAGE,
         "unknown option, or one without its value; see mirror-sample --help"},
        {"--config", NULL, DAEMON_EXIT_USAGE, "unknown option, or one without its value"},
        {"--instance", "x", DAEMON_EXIT_USAGE, "--instance wants a number"},
        {"--instance", "-1", DAEMON_EXIT_USAGE, "--instance wants a number"},
        {"--instance", "10000", DAEMON_EXIT_USAGE, "--instance wants a number"},
        {"more", NULL, DAEMON_EXIT_USAGE, "it takes options only"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unlink(log_file);
        assert_int_equal(ended(started(cases[i].argument, cases[i].value, NULL)), cases[i].exit);
        assert_non_null(strstr(logged(), cases[i].words));
    }
}

static void test_check_config(void **state)
{
    char secret[64], *good = str_format("%s: good\n", config_file);
    (void)state;
    snprintf(secret, sizeof(secret), "%s/p", directory);
    assert_int_equal(ended(started("--config", config_file, "--check-config", NULL)), DAEMON_EXIT_FAILED);
    assert_non_null(
        strstr(logged(), "mirror.yaml:2:77: sites[0].trusted_server.password_file: names no file"));
    int fd = open(secret, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "x\n", 2), 2);
    close(fd);
    unlink(log_file);
    assert_int_equal(ended(started("--config", config_file, "--check-config", NULL)), DAEMON_EXIT_OK);
    assert_string_equal(logged(), good);
    write_config("colour: red\n");
    assert_int_equal(ended(started("--config", config_file, "--check-config", NULL)), DAEMON_EXIT_FAILED);
    assert_non_null(strstr(logged(), "mirror.yaml:6:1: colour: unknown key"));
    free(good);
}

int main(void)
{
#define DAEMON_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        DAEMON_TEST(test_ends_on_each_signal),
        DAEMON_TEST(test_no_signal_is_lost),
        DAEMON_TEST(test_pulses),
        DAEMON_TEST(test_pulse_waits_for_its_reader),
        DAEMON_TEST(test_events),
        DAEMON_TEST(test_ends_with_its_parent),
        DAEMON_TEST(test_reload),
        DAEMON_TEST(test_reload_refused),
        DAEMON_TEST(test_failures),
        DAEMON_TEST(test_draining_does_not_spin),
        DAEMON_TEST(test_arguments),
        DAEMON_TEST(test_check_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
