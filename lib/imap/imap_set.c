/*
 * UID sets in answers; see imap_set.h. Used for ESEARCH and APPENDUID.
 */
#include "imap/imap_set.h"

#include <stddef.h>

/* A UID at `*text`: 0 if there is none. */
static uint32_t take_uid(const char **text)
{
    uint64_t uid = 0;
    while (**text >= '0' && **text <= '9' && uid <= UINT32_MAX)
        uid = uid * 10 + (uint64_t)(*(*text)++ - '0');
    return uid <= UINT32_MAX ? (uint32_t)uid : 0;
}

int imap_set_next(const char **text, uint32_t *first_out, uint32_t *last_out)
{
    uint32_t first, last;
    if (**text == 0)
        return 0;
    first = last = take_uid(text);
    if (**text == ':') {
        (*text)++;
        last = take_uid(text);
    }
    if (first == 0 || last == 0 || (**text != ',' && **text != 0))
        return -1;
    if (**text == ',' && *++*text == 0)
        return -1;
    *first_out = first < last ? first : last;
    *last_out = first < last ? last : first;
    return 1;
}
