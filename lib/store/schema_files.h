/*
 * The migrations of schema/ as they are built into the programs, in the order of their names ("001_base.sql",
 * ...). The array is made at build time by scripts/embed-schema.cmake; an entry {NULL, NULL} follows the last.
 */
#ifndef MIRROR_STORE_SCHEMA_FILES_H
#define MIRROR_STORE_SCHEMA_FILES_H

#include <stddef.h>

struct schema_file {
    const char *name; /* base name of the file */
    const char *sql;  /* its whole text */
};

extern const struct schema_file schema_files[];
extern const size_t schema_files_count;

#endif
