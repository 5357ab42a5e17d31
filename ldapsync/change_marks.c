/*
 * Two marks in one; see change_marks.h. Form: "<kind> <length>:<bytes>" twice.
 */
#include "ldapsync/change_marks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int change_marks_pack(const struct change_marks *marks, struct store_mark *packed_out)
{
    struct store_mark packed = {.kind = STORE_MARK_NONE};
    for (int kind = 0; kind < 2; kind++) {
        const struct store_mark *mark = &marks->of[kind];
        char head[32];
        int head_len = snprintf(head, sizeof(head), "%d %zu:", (int)mark->kind, mark->len);
        if (packed.len + (size_t)head_len + mark->len > sizeof(packed.bytes))
            return -1;
        memcpy(packed.bytes + packed.len, head, (size_t)head_len);
        memcpy(packed.bytes + packed.len + head_len, mark->bytes, mark->len);
        packed.len += (size_t)head_len + mark->len;
        if (mark->kind > packed.kind)
            packed.kind = mark->kind;
    }
    *packed_out = packed;
    return 0;
}

/* Takes one mark from the front. */
static bool take(const char **at, const char *end, struct store_mark *mark)
{
    char *stop;
    unsigned long kind = strtoul(*at, &stop, 10);
    if (stop == *at || *stop != ' ' || kind > STORE_MARK_SYNCREPL)
        return false;
    *at = stop + 1;
    unsigned long len = strtoul(*at, &stop, 10);
    if (stop == *at || *stop != ':' || len > (size_t)(end - stop - 1) || len > sizeof(mark->bytes))
        return false;
    mark->kind = (enum store_mark_kind)kind;
    mark->len = len;
    memcpy(mark->bytes, stop + 1, len);
    *at = stop + 1 + len;
    return true;
}

void change_marks_unpack(const struct store_mark *packed, struct change_marks *marks_out)
{
    char text[STORE_MARK_BYTES + 1];
    const char *at = text;
    memcpy(text, packed->bytes, packed->len);
    text[packed->len] = '\0';
    *marks_out = (struct change_marks){0};
    if (packed->kind == STORE_MARK_NONE || !take(&at, text + packed->len, &marks_out->of[0]) ||
        !take(&at, text + packed->len, &marks_out->of[1]))
        *marks_out = (struct change_marks){0};
}
