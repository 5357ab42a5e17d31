/*
 * Making, checking and locking the data directory. Runs before the bus has started its threads (one check forks).
 */
#include "supervisor/data_dir.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The longest name of a socket below data_dir, with some room for instance numbers. */
enum { LONGEST_SOCKET = sizeof "/run/jobs.mirror.0000.sock" };

enum { PASSAGE_OPEN = 0, PASSAGE_UNKNOWN = 255 };

static int fail(struct err *err, const char *path, const char *what)
{
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "%s: %s: %s", path, what, strerror(errno));
}

static int check_owner(const char *path, const struct stat *stat_now, struct err *err)
{
    if (!S_ISDIR(stat_now->st_mode))
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "%s: is not a directory", path);
    if (stat_now->st_uid != geteuid())
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER,
                       "%s: belongs to user %u, not to us (user %u): give it to us with chown, or start "
                       "mirror-supervisor as that user",
                       path, stat_now->st_uid, geteuid());
    if ((stat_now->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER,
                       "%s: others can write to it (mode %04o): data_dir is private, do: chmod go-w %s", path,
                       stat_now->st_mode & 07777, path);
    return 0;
}

/* An existing data_dir keeps its mode: it may be a directory of the administrator's making, with reasons. */
static int make_root(const char *path, struct err *err)
{
    struct stat stat_now;

    if (mkdir(path, 0711) == 0) {
        if (chmod(path, 0711) != 0) /* the umask may have taken the passage away */
            return fail(err, path, "chmod");
    } else if (errno != EEXIST) {
        return fail(err, path, errno == ENOENT ? "its parent directory is missing" : "cannot be made");
    }
    if (stat(path, &stat_now) != 0)
        return fail(err, path, "cannot be looked at");
    return check_owner(path, &stat_now, err);
}

int data_dir_make(const char *path, const struct spawn_user *user, mode_t mode, struct err *err)
{
    uid_t uid = user ? user->uid : geteuid();
    gid_t gid = user ? user->gid : getegid();
    struct stat stat_now;
    int result = -1;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(err, path, "cannot be made");
    /* Through the descriptor: what is changed is what was checked, and no link leads us elsewhere. */
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat_now) != 0) {
        fail(err, path, "cannot be opened");
        goto out;
    }
    if ((stat_now.st_uid != uid || stat_now.st_gid != gid) && fchown(fd, uid, gid) != 0) {
        fail(err, path, "cannot be given to its user");
        goto out;
    }
    if ((stat_now.st_mode & 07777) != mode && fchmod(fd, mode) != 0) {
        fail(err, path, "chmod");
        goto out;
    }
    result = 0;
out:
    if (fd >= 0)
        close(fd);
    return result;
}

int data_dir_prepare(const struct config *config, struct err *err)
{
    size_t most = sizeof((struct sockaddr_un *)0)->sun_path - LONGEST_SOCKET;
    char *run;
    int result;

    if (strlen(config->data_dir) > most)
        return err_set(
            err, ERR_PROCESS, ERR_RETRY_NEVER,
            "data_dir: %s is %zu bytes long: with more than %zu the addresses of sockets in it are too long",
            config->data_dir, strlen(config->data_dir), most);
    if (make_root(config->data_dir, err) != 0)
        return err_prefix(err, "data_dir");
    run = config_path(config, "run");
    result = data_dir_make(run, NULL, 0700, err);
    free(run);
    return result;
}

/* ---- the lock ---- */

static void read_holder(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    text[strspn(text, "0123456789")] = '\0';
}

static int write_holder(int fd, const char *path, struct err *err)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%d\n", getpid());

    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len)
        return fail(err, path, "cannot be written");
    return 0;
}

int data_dir_lock(const struct config *config, struct err *err)
{
    char *path = config_path(config, "run/supervisor.lock"), holder[32];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool locked = false;

    if (fd < 0) {
        fail(err, path, "cannot be opened");
    } else if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        locked = write_holder(fd, path, err) == 0;
    } else if (errno == EWOULDBLOCK) {
        read_holder(fd, holder, sizeof holder);
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER,
                "data_dir %s is in use by another mirror-supervisor (process %s): stop that one, or give "
                "this one a "
                "data_dir of its own",
                config->data_dir, holder[0] != '\0' ? holder : "unknown");
    } else {
        fail(err, path, "cannot be locked");
    }
    if (fd >= 0 && !locked) {
        close(fd);
        fd = -1;
    }
    free(path);
    return fd;
}

/* ---- passage ---- */

int data_dir_open_passage(const char *path, struct err *err)
{
    struct stat stat_now;

    if (stat(path, &stat_now) != 0)
        return fail(err, path, "cannot be looked at");
    if ((stat_now.st_mode & 0011) == 0011)
        return 0;
    return chmod(path, (stat_now.st_mode & 07777) | 0011) == 0 ? 0 : fail(err, path, "chmod");
}

/* In a forked process that has become `user`: the place in `path` after the first directory it cannot pass. */
static int find_obstacle(char *path)
{
    for (size_t i = 1; path[i] != '\0'; i++) {
        if (path[i] != '/')
            continue;
        path[i] = '\0';
        if (access(path, X_OK) != 0)
            return (int)(i < PASSAGE_UNKNOWN ? i : PASSAGE_UNKNOWN - 1);
        path[i] = '/';
    }
    return PASSAGE_OPEN;
}

int data_dir_check_passage(const char *path, const struct spawn_user *user, struct err *err)
{
    int status, found;
    pid_t pid = fork();

    if (pid < 0)
        return fail(err, path, "fork");
    if (pid == 0) {
        char *copy = str_copy(path);
        _exit(spawn_become(user) == 0 ? find_obstacle(copy) : PASSAGE_UNKNOWN);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return fail(err, path, "waitpid");
    found = WIFEXITED(status) ? WEXITSTATUS(status) : PASSAGE_UNKNOWN;
    if (found == PASSAGE_OPEN)
        return 0;
    if (found == PASSAGE_UNKNOWN)
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "cannot become user %u, whom the database runs as",
                       user->uid);
    return err_set(
        err, ERR_PROCESS, ERR_RETRY_NEVER,
        "the database's user (%u) cannot pass through %.*s on the way to %s: do chmod o+x %.*s, or name "
        "another user in database.run_as, or another data_dir",
        user->uid, found, path, path, found, path);
}

/* ---- removal ---- */

static int remove_one(const char *path, const struct stat *stat_now, int type, struct FTW *place)
{
    (void)stat_now;
    (void)type;
    (void)place;
    remove(path);
    return 0;
}

void data_dir_remove(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
