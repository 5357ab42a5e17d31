/*
 * One place that forks and executes: a child that cannot outlive us, in a process group of its own, with nothing of
 * ours but what is meant: no open files, signal mask or core dumps, a minimal environment, and never a secret in its
 * arguments or environment (I8).
 */
#ifndef MIRROR_SUPERVISOR_SPAWN_H
#define MIRROR_SUPERVISOR_SPAWN_H

#include "base/err.h"

#include <stddef.h>
#include <sys/types.h>

enum { SPAWN_MAX_ARGS = 40, SPAWN_MAX_GROUPS = 64 };

struct spawn_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[SPAWN_MAX_GROUPS];
    size_t group_count;
};

struct spawn {
    char *argv[SPAWN_MAX_ARGS + 1]; /* argv[0]: absolute path of the program */
    size_t argc;
    const char *directory;         /* to start in; NULL: ours */
    const struct spawn_user *user; /* to become before the exec; NULL: stay who we are */
};

void spawn_arg(struct spawn *spawn, const char *format, ...) __attribute__((format(printf, 2, 3)));
void spawn_fini(struct spawn *spawn);

/* Does not block. `*said_fd_out`: what the child writes to stdout and stderr, non-blocking. That the program could not
 * be executed is said there, and the child ends with 127. */
int spawn_start(const struct spawn *spawn, pid_t *pid_out, int *said_fd_out, struct err *err);

/* Becomes that user for good, in a forked process. 0 or -1 with errno. */
int spawn_become(const struct spawn_user *user);

#endif
