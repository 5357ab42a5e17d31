/*
 * Tables for people: columns as wide as what is in them, cut to the terminal's width, counted in places on the screen
 * and not in bytes. Pure: cells in, text out.
 */
#ifndef MIRROR_CTL_CTL_TABLE_H
#define MIRROR_CTL_CTL_TABLE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum { CTL_TABLE_COLUMNS = 12 };

enum ctl_colour { CTL_PLAIN, CTL_GREEN, CTL_YELLOW, CTL_RED, CTL_BOLD };

struct ctl_table_cell {
    char *text;
    enum ctl_colour colour;
};

struct ctl_table {
    const char *const *titles;
    size_t columns;
    unsigned right;               /* bit i: column i is aligned right */
    size_t shrinking;             /* the column that is cut first where the line is too long */
    struct ctl_table_cell *cells; /* columns a row */
    size_t rows, room;
};

void ctl_table_init(struct ctl_table *table, const char *const *titles, size_t columns, unsigned right,
                    size_t shrinking);
void ctl_table_fini(struct ctl_table *table);
/* Starts a row; its cells are empty. Returns its number. */
size_t ctl_table_row(struct ctl_table *table);
void ctl_table_set(struct ctl_table *table, size_t row, size_t column, enum ctl_colour colour,
                   const char *text);
void ctl_table_setf(struct ctl_table *table, size_t row, size_t column, enum ctl_colour colour,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));
/* `width` 0: no limit. */
void ctl_table_print(const struct ctl_table *table, struct buf *out, size_t width, bool colour);

/* Places on the screen that the text takes. */
size_t ctl_table_width(const char *text);
/* Adds the text, cut with '…' to `width` places; control characters become '?' (a server's words must not steer the
 * terminal). Returns the places used. */
size_t ctl_table_add_cut(struct buf *out, const char *text, size_t width);
/* "\033[…m" around what follows, "" for CTL_PLAIN; ends with ctl_table_colour(CTL_PLAIN). */
const char *ctl_table_colour(enum ctl_colour colour);

#endif
