/*
 * Inside lib/store: the parts of a migration that tests look at.
 */
#ifndef MIRROR_STORE_STORE_MIGRATE_H
#define MIRROR_STORE_STORE_MIGRATE_H

#include "store/schema_files.h"
#include "store/store.h"

/*
 * The next statement of *sql: up to a ';' at the end of a line, lines of comment ("--") left out. Returns NULL when
 * nothing is left; the caller frees. *sql moves on. Pure.
 */
char *store_migrate_next(const char **sql);

/* "001_first.sql" -> 1; 0 if it does not begin with a number. Pure. */
unsigned store_migrate_version(const char *name);

/* store_migrate() with these files, which are in order. */
int store_migrate_files(const struct config *config, const struct schema_file *files, size_t count,
                        struct err *err);

#endif
