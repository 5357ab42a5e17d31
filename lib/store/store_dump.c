/*
 * The dump before a migration (in the supervisor). Written under another name and renamed when complete, so a file with
 * the final name is a whole one.
 */
#include "store/store_dump.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int wait_for(pid_t pid, struct err *err)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "mariadb-dump: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER,
                   "mariadb-dump failed (status %d), so the database is not migrated", status);
}

static int spawn_dump(const struct store_place *place, int out, struct err *err)
{
    char *socket_option = str_format("--socket=%s", place->socket),
         *user_option = str_format("--user=%s", place->user);
    char *argv[] = {(char[]){"mariadb-dump"},
                    (char[]){"--no-defaults"},
                    socket_option,
                    user_option,
                    (char[]){"--single-transaction"},
                    (char[]){"--hex-blob"},
                    (char[]){"--"},
                    place->database,
                    NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    int failed = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    free(socket_option);
    free(user_option);
    if (failed)
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "mariadb-dump can't be started: %s",
                       strerror(failed));
    return wait_for(pid, err);
}

static int file_trouble(const char *path, struct err *err)
{
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "%s: %s", path, strerror(errno));
}

static int dump_to(const char *path, const struct store_place *place, struct err *err)
{
    char *part = str_format("%s.part", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), result = -1;
    if (fd < 0) {
        file_trouble(part, err);
        goto out;
    }
    if (spawn_dump(place, fd, err))
        goto out;
    if (fsync(fd) || rename(part, path)) {
        file_trouble(path, err);
        goto out;
    }
    result = 0;
out:
    if (fd >= 0)
        close(fd);
    free(part);
    return result;
}

int store_dump(const struct config *config, const struct store_place *place, unsigned version,
               struct err *err)
{
    char *path = str_format("%s/backup-before-%03u.sql", config->data_dir, version);
    int result = access(path, F_OK) == 0 ? 0 : dump_to(path, place, err);
    free(path);
    return result;
}
