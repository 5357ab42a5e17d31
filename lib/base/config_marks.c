/*
 * Places in the configuration file; see config_marks.h.
 */
#include "base/config_marks.h"

#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_BYTES = 512 };

void config_marks_init(struct config_marks *marks, const char *file)
{
    *marks = (struct config_marks){.file = file};
}

void config_marks_free(struct config_marks *marks)
{
    for (size_t i = 0; marks != NULL && i < marks->count; i++)
        free(marks->items[i].label);
    if (marks != NULL)
        free(marks->items);
    free(marks);
}

void config_marks_add(struct config_marks *marks, const char *label, size_t line, size_t column)
{
    if (marks->count == marks->size) {
        marks->size = marks->size ? marks->size * 2 : 64;
        marks->items = mem_grow(marks->items, marks->size, sizeof(*marks->items));
    }
    marks->items[marks->count++] = (struct config_mark){str_copy(label), line, column};
}

const struct config_mark *config_marks_find(const struct config_marks *marks, const char *label)
{
    for (size_t i = marks->count; i > 0; i--)
        if (strcmp(marks->items[i - 1].label, label) == 0)
            return &marks->items[i - 1];
    return NULL;
}

/* "sites[0].imap.port" -> "sites[0].imap" -> "sites[0]" -> "sites" -> "". */
static void step_out(char *label)
{
    size_t len = strlen(label);
    while (len > 0 && label[len - 1] != '.' && label[len - 1] != '[')
        len--;
    label[len > 0 ? len - 1 : 0] = 0;
}

int config_marks_fail(const struct config_marks *marks, struct err *err, const char *label,
                      const char *format, ...)
{
    static const struct config_mark start = {NULL, 1, 1};
    const struct config_mark *mark;
    char around[LABEL_BYTES], text[sizeof(err->text)];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0)
        text[0] = 0;
    va_end(args);
    str_into(around, sizeof(around), label);
    while ((mark = config_marks_find(marks, around)) == NULL && around[0] != 0)
        step_out(around);
    if (mark == NULL)
        mark = &start;
    return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "%s:%zu:%zu: %s%s%s", marks->file, mark->line,
                   mark->column, label, *label ? ": " : "", text);
}
