/*
 * Lines of a child's output.
 */
#include "supervisor/said.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

void said_clear(struct said *said)
{
    said->len = 0;
    said->lines = 0;
}

void said_end(struct said *said, said_on_line on_line, void *context)
{
    while (said->len > 0 && said->line[said->len - 1] == '\r')
        said->len--;
    if (said->len == 0)
        return;
    said->line[said->len] = '\0';
    str_into(said->kept[said->lines++ % SAID_KEPT_LINES], SAID_KEPT_BYTES, said->line);
    on_line(context, said->line, said->len);
    said->len = 0;
}

void said_feed(struct said *said, const char *bytes, size_t len, said_on_line on_line, void *context)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            said_end(said, on_line, context);
            continue;
        }
        /* Room for the NUL here, or for the line end that the writer puts there instead. */
        if (said->len == SAID_LINE_BYTES - 1)
            said_end(said, on_line, context);
        said->line[said->len++] = bytes[i] != '\0' ? bytes[i] : '?';
    }
}

char *said_last(const struct said *said, char *text, size_t size)
{
    unsigned first = said->lines > SAID_KEPT_LINES ? said->lines - SAID_KEPT_LINES : 0;
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = first; i < said->lines && used < size; i++) {
        int n = snprintf(text + used, size - used, "%s%s", i > first ? " | " : "",
                         said->kept[i % SAID_KEPT_LINES]);
        used += n > 0 ? (size_t)n : 0;
    }
    return text;
}
