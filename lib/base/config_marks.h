/*
 * Where in the file each value of the configuration stands, so that checks made after reading can point there.
 */
#ifndef MIRROR_BASE_CONFIG_MARKS_H
#define MIRROR_BASE_CONFIG_MARKS_H

#include "base/err.h"

#include <stddef.h>

struct config_mark {
    char *label; /* "sites[0].imap.port"; "" is the whole file */
    size_t line, column;
};

struct config_marks {
    const char *file;
    struct config_mark *items;
    size_t count, size;
};

void config_marks_init(struct config_marks *marks, const char *file);
void config_marks_free(struct config_marks *marks); /* of mem_new() */

/* Line and column count from 1. */
void config_marks_add(struct config_marks *marks, const char *label, size_t line, size_t column);

/* The last one added under this label, or NULL. */
const struct config_mark *config_marks_find(const struct config_marks *marks, const char *label);

/* "<file>:<line>:<column>: <label>: <formatted>" with the place of the label, or of the nearest around it.
 * Returns -1. */
int config_marks_fail(const struct config_marks *marks, struct err *err, const char *label,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
