/*
 * Secrets: a type that prints as "***", read from a file that only its owner may read (I8).
 */
#ifndef MIRROR_BASE_SECRET_H
#define MIRROR_BASE_SECRET_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct secret;

/* Reads the file, one trailing line end removed; 1 to 1,024 bytes, no NUL and no other line end. Refused
 * (ERR_PROCESS) unless only its owner can read it, or its directory is private to its owner, or it lies under
 * /run/secrets. `*version_out` changes whenever the file was written again (from its inode and modification time). */
struct secret *secret_read(const char *path, uint64_t *version_out, struct err *err);
struct secret *secret_from(const char *text);
void secret_free(struct secret *secret); /* wipes */

/* The bytes, NUL-terminated: only for handing to a server. Never to a log, an error, a job, the database. */
const char *secret_reveal(const struct secret *secret);

/* Only the checks of the file's mode and place, without reading: for --check-config. */
int secret_check_file(const char *path, struct err *err);

#endif
