/*
 * fork and exec. In the child only async-signal-safe calls are made, since libzmq has threads that may hold any lock at
 * the fork. The death signal is SIGKILL for every child, mariadbd among them: it is sent when we are gone, so nobody
 * could follow up a SIGTERM that a stopped or hung process doesn't heed, and all of them recover from it by design (the
 * database by its redo log, flushed at each commit).
 */
#include "supervisor/spawn.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENV_MAX = 32, EXIT_CANNOT_EXECUTE = 127 };

/* What of our environment is handed on: the time zone, where the C and TLS libraries look, options of sanitizers. */
static const char *const env_allowed[] = {
    "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
};

void spawn_arg(struct spawn *spawn, const char *format, ...)
{
    va_list args;

    ASSERT(spawn->argc < SPAWN_MAX_ARGS);
    va_start(args, format);
    if (vasprintf(&spawn->argv[spawn->argc++], format, args) < 0)
        BUG("out of memory");
    va_end(args);
}

void spawn_fini(struct spawn *spawn)
{
    for (size_t i = 0; i < spawn->argc; i++)
        free(spawn->argv[i]);
    memset(spawn, 0, sizeof *spawn);
}

int spawn_become(const struct spawn_user *user)
{
    if (setgroups(user->group_count, user->groups) != 0)
        return -1;
    if (setresgid(user->gid, user->gid, user->gid) != 0)
        return -1;
    return setresuid(user->uid, user->uid, user->uid);
}

/* The environment as new strings; nothing here is a secret, so who can see our children's can see it. */
static char **environment_new(void)
{
    char **env = mem_new(sizeof *env * ENV_MAX);
    size_t count = 0;

    env[count++] = str_copy("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    env[count++] = str_copy("LANG=C.UTF-8");
    env[count++] = str_copy("LC_ALL=C.UTF-8");
    for (size_t i = 0; i < sizeof env_allowed / sizeof *env_allowed; i++) {
        const char *value = getenv(env_allowed[i]);
        if (value)
            env[count++] = str_format("%s=%s", env_allowed[i], value);
    }
    return env;
}

static void environment_free(char **env)
{
    for (size_t i = 0; env[i]; i++)
        free(env[i]);
    free(env);
}

static void signals_default(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int signum = 1; signum < NSIG; signum++)
        sigaction(signum, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int descriptors_reset(int said_write)
{
    int null = open("/dev/null", O_RDONLY);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        return -1;
    if (dup2(said_write, STDOUT_FILENO) < 0 || dup2(said_write, STDERR_FILENO) < 0)
        return -1;
    return close_range(3, ~0U, 0);
}

static _Noreturn void child_fail(const char *what)
{
    static const char end[] = "\n";
    const char *why = strerrordesc_np(errno);
    const char *parts[] = {"cannot ", what, ": ", why ? why : "unknown error", end};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
            break;
    _exit(EXIT_CANNOT_EXECUTE);
}

/* A change of user clears the death signal, so it is set after it; a parent that died before is found by getppid(). */
static _Noreturn void child_run(const struct spawn *spawn, char **env, int said_write, pid_t parent)
{
    static const struct rlimit no_core = {0, 0};

    setpgid(0, 0);
    if (descriptors_reset(said_write) != 0)
        child_fail("prepare its files");
    if (setrlimit(RLIMIT_CORE, &no_core) != 0)
        child_fail("switch off core dumps");
    if (spawn->user && spawn_become(spawn->user) != 0)
        child_fail("change to its user");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        child_fail("bind its life to ours");
    if (getppid() != parent)
        _exit(EXIT_CANNOT_EXECUTE);
    if (spawn->directory && chdir(spawn->directory) != 0)
        child_fail("enter its directory");
    umask(0077);
    signals_default();
    execve(spawn->argv[0], spawn->argv, env);
    child_fail(spawn->argv[0]);
}

int spawn_start(const struct spawn *spawn, pid_t *pid_out, int *said_fd_out, struct err *err)
{
    char **env = environment_new();
    int pipe_fds[2] = {-1, -1};
    pid_t parent = getpid(), pid;
    int result = -1;

    if (pipe2(pipe_fds, O_CLOEXEC) != 0 || fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK) != 0) {
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "pipe: %s", strerror(errno));
        goto out;
    }
    pid = fork();
    if (pid < 0) {
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "fork: %s", strerror(errno));
        goto out;
    }
    if (pid == 0)
        child_run(spawn, env, pipe_fds[1], parent);
    setpgid(pid, pid); /* here too: whoever comes first, we may signal the group from now on */
    *pid_out = pid;
    *said_fd_out = pipe_fds[0];
    pipe_fds[0] = -1;
    result = 0;
out:
    for (int i = 0; i < 2; i++)
        if (pipe_fds[i] >= 0)
            close(pipe_fds[i]);
    environment_free(env);
    return result;
}
