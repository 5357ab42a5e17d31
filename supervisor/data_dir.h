/*
 * The data directory: made and checked before anything starts, and held by one supervisor at a time.
 *
 *   <data_dir>/               0711 if we make it; opened for passage only if a managed database's user needs it
 *   <data_dir>/run/           0700 sockets of the bus, supervisor.lock
 *   <data_dir>/run-db/        of the database's user: its socket, pid file and temporary files
 *   <data_dir>/database/      0700, of the database's user: its files
 */
#ifndef MIRROR_SUPERVISOR_DATA_DIR_H
#define MIRROR_SUPERVISOR_DATA_DIR_H

#include "supervisor/spawn.h"

#include "base/config.h"
#include "base/err.h"

/* Makes data_dir and run/. Refuses what others can write to, and what is too long for a socket's address. */
int data_dir_prepare(const struct config *config, struct err *err);

/* The descriptor that holds the lock; -1 and an error that names the other's process if there is another supervisor.
 * Closing it, or our end, frees the lock. */
int data_dir_lock(const struct config *config, struct err *err);

/* A private directory of `user` (NULL: ours) with this mode; made if it is not there. */
int data_dir_make(const char *path, const struct spawn_user *user, mode_t mode, struct err *err);

/* Lets other users pass through data_dir (not read it): the managed database's user has to. */
int data_dir_open_passage(const char *path, struct err *err);

/* `user` can pass through every directory above `path`; else an error that says which one and what to do. */
int data_dir_check_passage(const char *path, const struct spawn_user *user, struct err *err);

/* Removes the directory with all in it; what cannot be removed stays. */
void data_dir_remove(const char *path);

#endif
