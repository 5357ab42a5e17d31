/*
 * Any bytes as a folder's name on the wire: the neutral name is text, every server's wire name for it comes back as the
 * same neutral name, and the wire name of a server whose levels are plain comes back byte for byte. The first two
 * bytes of the input say which delimiters.
 */
#include "imap/imap_names.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "imap/imap_mutf7.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Those that servers use, and that no modified UTF-7 and no escape of ours is made of. */
static const char delimiters[] = {'/', '.', '\\', 0, ':', '^', '|', '~'};

/* No level is empty, "." or "..": those are written otherwise (see imap_names.c), and come back as we write them. */
static bool has_plain_levels(const char *wire, size_t len, char delimiter)
{
    const char *end = wire + len;
    for (const char *level = wire, *stop; level <= end; level = stop + 1) {
        stop = memchr(level, delimiter, (size_t)(end - level));
        stop = stop ? stop : end;
        size_t bytes = (size_t)(stop - level);
        if (bytes == 0 || (bytes <= 2 && memcmp(level, "..", bytes) == 0))
            return false;
    }
    return true;
}

static void check_back(const char *neutral, char delimiter)
{
    char *wire = imap_names_to_wire(neutral, delimiter);
    if (!wire) /* too long there */
        return;
    char *again = imap_names_from_wire(wire, strlen(wire), delimiter);
    ASSERT(again && strcmp(again, neutral) == 0);
    free(wire);
    free(again);
}

static void check_same_wire(const char *neutral, const char *wire, size_t len, char delimiter)
{
    char *back = imap_names_to_wire(neutral, delimiter);
    if (!str_equal(neutral, "INBOX") && has_plain_levels(wire, len, delimiter ? delimiter : '/'))
        ASSERT(back && strlen(back) == len && memcmp(back, wire, len) == 0);
    free(back);
}

static void check_mutf7(const char *wire, size_t len)
{
    struct buf utf8, again;
    buf_init(&utf8, 3 * len);
    buf_init(&again, len);
    if (imap_mutf7_decode(wire, len, &utf8) == 0) {
        ASSERT(str_is_utf8(buf_data(&utf8), buf_len(&utf8)));
        ASSERT(imap_mutf7_encode(buf_data(&utf8), buf_len(&utf8), &again) == 0);
        ASSERT(buf_len(&again) == len && memcmp(buf_data(&again), wire, len) == 0);
    }
    buf_fini(&utf8);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    char from = delimiters[data[0] % sizeof(delimiters)], to = delimiters[data[1] % sizeof(delimiters)];
    const char *wire = (const char *)data + 2;
    size_t len = size - 2;
    check_mutf7(wire, len);
    /* Any text may come from the store; any byte as a delimiter from a server. */
    char *text = str_copy_n(wire, len), *any = imap_names_to_wire(text, (char)data[0]);
    free(text);
    free(any);
    free(imap_names_from_wire(wire, len, (char)data[0]));
    char *neutral = imap_names_from_wire(wire, len, from);
    if (!neutral)
        return 0;
    ASSERT(neutral[0] && strlen(neutral) <= IMAP_NAME_MAX_BYTES && str_is_utf8(neutral, strlen(neutral)));
    ASSERT(imap_names_match("*", neutral) == 1 && imap_names_match(neutral, neutral) <= 1);
    check_same_wire(neutral, wire, len, from);
    check_back(neutral, from);
    check_back(neutral, to);
    free(neutral);
    return 0;
}
