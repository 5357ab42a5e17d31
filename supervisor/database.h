/*
 * The managed database: a private mariadbd on a socket in the data directory. Where its programs and files are, whom it
 * runs as, and how it is called; the starting and watching is child.h's, as for every other service.
 */
#ifndef MIRROR_SUPERVISOR_DATABASE_H
#define MIRROR_SUPERVISOR_DATABASE_H

#include "supervisor/spawn.h"

#include "base/config.h"
#include "base/err.h"

#include <stdbool.h>

struct database;

/* Finds MariaDB's programs and the user, makes the directories. NULL and an error that says what to do. */
struct database *database_open(const struct config *config, struct err *err);
void database_free(struct database *database);

bool database_has_files(const struct database *database);

/* The first start: makes the files in a new temporary directory, so that one that was killed is simply made again;
 * database_take_files() puts them in their place. */
int database_spawn_install(struct database *database, struct spawn *spawn_out, struct err *err);
int database_take_files(struct database *database, struct err *err);

int database_spawn_server(const struct database *database, const struct config *config,
                          struct spawn *spawn_out, struct err *err);

/* The process that has the files open (one from before, that nobody waits for any more), or 0. */
pid_t database_files_holder(const struct database *database);

const char *database_socket(const struct database *database);

#endif
