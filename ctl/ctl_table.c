/*
 * Tables of mirrorctl.
 */
#include "ctl/ctl_table.h"

#include "base/err.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { GAP = 2, LEAST_SHRUNK = 12, LEAST_OF_ALL = 3 };

void ctl_table_init(struct ctl_table *table, const char *const *titles, size_t columns, unsigned right,
                    size_t shrinking)
{
    ASSERT(columns <= CTL_TABLE_COLUMNS);
    *table = (struct ctl_table){.titles = titles, .columns = columns, .right = right, .shrinking = shrinking};
}

void ctl_table_fini(struct ctl_table *table)
{
    for (size_t i = 0; i < table->rows * table->columns; i++)
        free(table->cells[i].text);
    free(table->cells);
    *table = (struct ctl_table){0};
}

size_t ctl_table_row(struct ctl_table *table)
{
    if (table->rows == table->room) {
        table->room = table->room ? 2 * table->room : 32;
        table->cells = mem_grow(table->cells, table->room * table->columns, sizeof *table->cells);
    }
    memset(table->cells + table->rows * table->columns, 0, table->columns * sizeof *table->cells);
    return table->rows++;
}

void ctl_table_set(struct ctl_table *table, size_t row, size_t column, enum ctl_colour colour,
                   const char *text)
{
    struct ctl_table_cell *cell = &table->cells[row * table->columns + column];
    free(cell->text);
    *cell = (struct ctl_table_cell){.text = str_copy(text ? text : ""), .colour = colour};
}

void ctl_table_setf(struct ctl_table *table, size_t row, size_t column, enum ctl_colour colour,
                    const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ctl_table_set(table, row, column, colour, text);
}

/* ---- widths: own decoder, so that no locale decides whether UTF-8 is understood ---- */

/* The character at `text` and its length in bytes; bytes that are no UTF-8 count as one '?' each. */
static size_t decode(const char *text, wchar_t *character_out)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t len = *at < 0x80             ? 1
                 : (*at & 0xe0) == 0xc0 ? 2
                 : (*at & 0xf0) == 0xe0 ? 3
                 : (*at & 0xf8) == 0xf0 ? 4
                                        : 0;
    uint32_t value = len <= 1 ? *at : *at & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            len = 0;
        else
            value = value << 6 | (at[i] & 0x3f);
    }
    bool is_control = len > 0 && (value < 0x20 || (value >= 0x7f && value < 0xa0));
    *character_out = len == 0 || is_control ? L'?' : (wchar_t)value;
    return len == 0 ? 1 : len;
}

/* Wide and combining characters of the scripts that names are written in. */
static size_t places(wchar_t character)
{
    uint32_t c = (uint32_t)character;
    if ((c >= 0x300 && c <= 0x36f) || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
        (c >= 0x2066 && c <= 0x2069) || (c >= 0xfe00 && c <= 0xfe0f))
        return 0;
    bool wide = (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
                (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
                (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
                (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
    return wide ? 2 : 1;
}

size_t ctl_table_width(const char *text)
{
    size_t width = 0;
    wchar_t character;
    for (const char *at = text; *at; at += decode(at, &character)) {
        decode(at, &character);
        width += places(character);
    }
    return width;
}

/* Marks that turn the direction of writing around would let one cell alter the look of others. */
static bool is_unsafe(wchar_t character)
{
    uint32_t c = (uint32_t)character;
    return (c >= 0x200e && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

size_t ctl_table_add_cut(struct buf *out, const char *text, size_t width)
{
    size_t used = 0, whole = ctl_table_width(text);
    size_t room = whole > width && width > 0 ? width - 1 : width;
    wchar_t character;
    for (const char *at = text; *at;) {
        size_t len = decode(at, &character);
        if (used + places(character) > room)
            break;
        used += places(character);
        if (character == L'?' || is_unsafe(character))
            buf_add(out, "?", is_unsafe(character) ? 0 : 1);
        else
            buf_add(out, at, len);
        at += len;
    }
    if (whole > width && width > 0) {
        buf_add_str(out, "…");
        used++;
    }
    return used;
}

const char *ctl_table_colour(enum ctl_colour colour)
{
    static const char *const codes[] = {"\033[0m", "\033[32m", "\033[33m", "\033[31m", "\033[1m"};
    return codes[colour];
}

static size_t width_of_column(const struct ctl_table *table, size_t column)
{
    size_t width = ctl_table_width(table->titles[column]);
    for (size_t row = 0; row < table->rows; row++) {
        const char *text = table->cells[row * table->columns + column].text;
        size_t now = text ? ctl_table_width(text) : 0;
        width = now > width ? now : width;
    }
    return width;
}

/* Takes up to `over` places from a column, which keeps `least`. Returns what is still over. */
static size_t shrink(size_t *column, size_t over, size_t least)
{
    size_t can = *column > least ? *column - least : 0;
    size_t take = can < over ? can : over;
    *column -= take;
    return over - take;
}

static void measure(const struct ctl_table *table, size_t widths[CTL_TABLE_COLUMNS], size_t width)
{
    size_t total = 0;
    for (size_t column = 0; column < table->columns; column++) {
        widths[column] = width_of_column(table, column);
        total += widths[column] + (column > 0 ? GAP : 0);
    }
    size_t over = width > 0 && total > width ? total - width : 0;
    over = shrink(&widths[table->shrinking], over, LEAST_SHRUNK);
    while (over > 0) { /* a narrow terminal: the widest gives, place by place */
        size_t widest = 0;
        for (size_t column = 1; column < table->columns; column++)
            if (widths[column] > widths[widest])
                widest = column;
        if (widths[widest] <= LEAST_OF_ALL)
            return;
        over = shrink(&widths[widest], over, widths[widest] - 1);
    }
}

static void add_blanks(struct buf *out, size_t count)
{
    while (count-- > 0)
        buf_add(out, " ", 1);
}

static void add_cell(const struct ctl_table *table, struct buf *out, size_t column, size_t width,
                     const char *text, const char *colour)
{
    size_t own = ctl_table_width(text), blanks = own < width ? width - own : 0;
    bool is_last = column + 1 == table->columns;
    if (column > 0)
        add_blanks(out, GAP);
    if (table->right & (1u << column))
        add_blanks(out, blanks);
    if (colour)
        buf_add_str(out, colour);
    ctl_table_add_cut(out, text, width);
    if (colour)
        buf_add_str(out, ctl_table_colour(CTL_PLAIN));
    if (!(table->right & (1u << column)) && !is_last)
        add_blanks(out, blanks);
}

void ctl_table_print(const struct ctl_table *table, struct buf *out, size_t width, bool colour)
{
    size_t widths[CTL_TABLE_COLUMNS];
    measure(table, widths, width);
    for (size_t column = 0; column < table->columns; column++)
        add_cell(table, out, column, widths[column], table->titles[column],
                 colour ? ctl_table_colour(CTL_BOLD) : NULL);
    buf_add(out, "\n", 1);
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t column = 0; column < table->columns; column++) {
            const struct ctl_table_cell *cell = &table->cells[row * table->columns + column];
            bool coloured = colour && cell->colour != CTL_PLAIN;
            add_cell(table, out, column, widths[column], cell->text ? cell->text : "",
                     coloured ? ctl_table_colour(cell->colour) : NULL);
        }
        buf_add(out, "\n", 1);
    }
}
