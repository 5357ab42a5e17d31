/*
 * What a child says on its stdout and stderr: cut into lines, the last ones kept, so that the log can tell what it
 * said before it died. Pure: bytes in, lines out.
 */
#ifndef MIRROR_SUPERVISOR_SAID_H
#define MIRROR_SUPERVISOR_SAID_H

#include <stddef.h>

enum {
    SAID_LINE_BYTES =
        4096, /* longer lines come in pieces: what is written to a pipe at once is whole up to this */
    SAID_KEPT_LINES = 3,
    SAID_KEPT_BYTES = 200,
};

struct said {
    char line[SAID_LINE_BYTES];
    size_t len;
    char kept[SAID_KEPT_LINES][SAID_KEPT_BYTES];
    unsigned lines; /* so far; the newest is kept[(lines - 1) % SAID_KEPT_LINES] */
};

typedef void (*said_on_line)(void *context, const char *line, size_t len);

void said_clear(struct said *said);
/* Calls on_line for each whole line, without its line end, NUL-terminated; empty ones are left out. */
void said_feed(struct said *said, const char *bytes, size_t len, said_on_line on_line, void *context);
/* The rest without a line end, when nothing more comes. */
void said_end(struct said *said, said_on_line on_line, void *context);
/* The kept lines, oldest first, with " | " between; "" if there were none. Returns text. */
char *said_last(const struct said *said, char *text, size_t size);

#endif
