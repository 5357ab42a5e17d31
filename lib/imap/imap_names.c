/*
 * Folder names; see imap_names.h. Both directions go level by level.
 *
 *     neutral level   ä/%  (as "ä%2F%25")       bytes of a broken name as %XX
 *     wire level      modified UTF-7; a character that this server cannot hold inside a level as "_" and two hex digits
 *
 * "_2e" for '.' is read back as '.' from a server whose delimiter is '.', so that a folder that we made there has the
 * same neutral name as the one it mirrors. A '_' that would be mistaken for such an escape is itself written "_5f".
 */
#include "imap/imap_names.h"

#include "base/buf.h"
#include "base/str.h"
#include "imap/imap_mutf7.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A server without levels (NIL) has flat names; a '/' in them parts them all the same, in both directions. */
enum { NO_DELIMITER = '/' };

static int hex_value(char c)
{
    const char *digits = "0123456789abcdef", *place;
    if (c >= 'A' && c <= 'F')
        c = (char)(c - 'A' + 'a');
    place = c ? strchr(digits, c) : NULL;
    return place ? (int)(place - digits) : -1;
}

/* The byte of two hex digits, or -1. */
static int hex_byte(const char *text, size_t len)
{
    int high, low;
    if (len < 2 || (high = hex_value(text[0])) < 0 || (low = hex_value(text[1])) < 0)
        return -1;
    return high << 4 | low;
}

/* ---- levels that a server cannot hold ---- */

/* "2e" for '.': lower case only, since "_2E" is another name than "_2e". */
static bool is_code(const char *text, size_t len, char c)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char byte = (unsigned char)c;
    return len >= 2 && text[0] == digits[byte >> 4] && text[1] == digits[byte & 15];
}

/* How many bytes an escape takes at `text`, or 0: "_XX" with the delimiter's code, after any number of "5f". */
static size_t escape_length(const char *text, size_t len, char delimiter)
{
    size_t i = 1;
    if (len < 3 || text[0] != '_')
        return 0;
    while (is_code(text + i, len - i, '_'))
        i += 2;
    return is_code(text + i, len - i, delimiter) ? i + 2 : 0;
}

/* Levels that most servers refuse whole, and how they are written instead. Where '.' is the delimiter, its own escape
 * comes to the same. */
static const struct {
    const char *level, *written;
} unholdable[] = {{"", "_00"}, {".", "_2e"}, {"..", "_2e_2e"}};
enum { UNHOLDABLE_COUNT = sizeof(unholdable) / sizeof(unholdable[0]) };

static bool is_text(const char *bytes, size_t len, const char *text)
{
    return strlen(text) == len && memcmp(bytes, text, len) == 0;
}

/* As the level stands in a name: "" gives "_00". NULL if it needs no such thing. */
static const char *written_for(const char *level, size_t len, char delimiter)
{
    for (size_t i = 0; i < UNHOLDABLE_COUNT; i++)
        if (is_text(level, len, unholdable[i].level) && (i == 0 || delimiter != '.'))
            return unholdable[i].written;
    return NULL;
}

/* The level that is written so, with any number of "5f" after the '_' that say how often it was escaped; or NULL. */
static const char *level_written(const char *written, size_t len, char delimiter)
{
    size_t skip = 1;
    if (len < 3 || written[0] != '_')
        return NULL;
    while (is_code(written + skip, len - skip, '_'))
        skip += 2;
    for (size_t i = 0; i < UNHOLDABLE_COUNT; i++)
        if (is_text(written + skip, len - skip, unholdable[i].written + 1) && (i == 0 || delimiter != '.'))
            return unholdable[i].level;
    return NULL;
}

/* ---- from the wire ---- */

static int add_neutral_byte(struct buf *name, char c, bool broken)
{
    unsigned char byte = (unsigned char)c;
    bool escape = c == '/' || c == '%' || (broken && (c == '&' || byte < 0x20 || byte > 0x7e));
    return escape ? buf_addf(name, "%%%02X", byte) : buf_add(name, &c, 1);
}

/* A level whose letters are known (UTF-8, or the bytes of a broken one), its "_XX" read back. */
static int add_neutral_level(struct buf *name, const char *level, size_t len, char delimiter, bool broken)
{
    const char *whole = level_written(level, len, delimiter);
    if (whole && !is_code(level + 1, len - 1, '_'))
        return buf_add_str(name, whole);
    if (whole) {
        if (buf_add(name, "_", 1) != 0) /* "_5f00" is "_00" */
            return -1;
        level += 3;
        len -= 3;
    }
    for (size_t i = 0; i < len;) {
        bool escaped = escape_length(level + i, len - i, delimiter) > 0;
        char c = escaped ? (char)hex_byte(level + i + 1, 2) : level[i];
        if (add_neutral_byte(name, c, broken) != 0)
            return -1;
        i += escaped ? 3 : 1;
    }
    return 0;
}

static int from_wire_level(struct buf *name, const char *wire, size_t len, char delimiter)
{
    struct buf utf8;
    int result;
    buf_init(&utf8, IMAP_NAME_MAX_BYTES * 3);
    if (imap_mutf7_decode(wire, len, &utf8) == 0)
        result = add_neutral_level(name, buf_data(&utf8), buf_len(&utf8), delimiter, false);
    else
        result = add_neutral_level(name, wire, len, delimiter, true);
    buf_fini(&utf8);
    return result;
}

char *imap_names_from_wire(const char *wire, size_t len, char delimiter)
{
    struct buf name;
    char *neutral = NULL;
    buf_init(&name, IMAP_NAME_MAX_BYTES);
    if (len == 0 || len > IMAP_NAME_MAX_BYTES || memchr(wire, 0, len))
        goto out;
    delimiter = delimiter ? delimiter : NO_DELIMITER;
    for (const char *end = wire + len, *level = wire;; level++) {
        const char *stop = memchr(level, delimiter, (size_t)(end - level));
        stop = stop ? stop : end;
        if (from_wire_level(&name, level, (size_t)(stop - level), delimiter) != 0)
            goto out;
        level = stop;
        if (stop == end)
            break;
        if (buf_add(&name, "/", 1) != 0)
            goto out;
    }
    if (buf_len(&name) == 0) /* all that stood there was the spelling of an empty level */
        neutral = str_copy("%5F00");
    else
        neutral = str_copy(str_equal_nocase(buf_data(&name), "INBOX") ? "INBOX" : buf_data(&name));
out:
    buf_fini(&name);
    return neutral;
}

/* ---- to the wire ---- */

struct wire_level {
    struct buf *wire;
    struct buf utf8; /* collected until a raw byte or the end */
    char delimiter;
};

static int flush(struct wire_level *level)
{
    int result = imap_mutf7_encode(buf_data(&level->utf8), buf_len(&level->utf8), level->wire);
    buf_clear(&level->utf8);
    return result;
}

/* A byte as it stands on the wire; '/' and '%' are ordinary there. */
static int add_raw(struct wire_level *level, char c)
{
    if (c == 0)
        return -1;
    if (c == level->delimiter)
        return buf_addf(&level->utf8, "_%02x", (unsigned char)c);
    if (c == '/' || c == '%')
        return buf_add(&level->utf8, &c, 1);
    return flush(level) == 0 ? buf_add(level->wire, &c, 1) : -1;
}

static int add_wire_text(struct wire_level *level, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        int raw = text[i] == '%' ? hex_byte(text + i + 1, len - i - 1) : -1, result;
        if (raw >= 0)
            result = add_raw(level, (char)raw);
        else if (text[i] == level->delimiter)
            result = buf_addf(&level->utf8, "_%02x", (unsigned char)text[i]);
        else if (escape_length(text + i, len - i, level->delimiter) > 0)
            result = buf_add_str(&level->utf8, "_5f");
        else
            result = buf_add(&level->utf8, text + i, 1);
        if (result != 0)
            return -1;
        i += raw >= 0 ? 3 : 1;
    }
    return flush(level);
}

static int to_wire_level(struct buf *wire, const char *text, size_t len, char delimiter)
{
    struct wire_level level = {.wire = wire, .delimiter = delimiter};
    int result;
    const char *written = written_for(text, len, delimiter);
    if (written)
        return buf_add_str(wire, written);
    buf_init(&level.utf8, IMAP_NAME_MAX_BYTES * 3);
    if (level_written(text, len, delimiter)) {
        buf_add_str(&level.utf8, "_5f");
        text++, len--;
    }
    result = add_wire_text(&level, text, len);
    buf_fini(&level.utf8);
    return result;
}

char *imap_names_to_wire(const char *neutral, char delimiter)
{
    struct buf wire;
    char *text = NULL;
    if (str_equal_nocase(neutral, "INBOX"))
        return str_copy("INBOX");
    delimiter = delimiter ? delimiter : NO_DELIMITER;
    buf_init(&wire, IMAP_NAME_MAX_BYTES);
    for (const char *level = neutral;; level++) {
        size_t len = strcspn(level, "/");
        if (to_wire_level(&wire, level, len, delimiter) != 0)
            goto out;
        level += len;
        if (*level == 0)
            break;
        if (buf_add(&wire, &delimiter, 1) != 0)
            goto out;
    }
    text = str_copy(buf_data(&wire));
out:
    buf_fini(&wire);
    return text;
}

/* ---- patterns ---- */

static bool same_letter(char a, char b, bool nocase)
{
    if (nocase && a >= 'a' && a <= 'z')
        a = (char)(a - 'a' + 'A');
    return a == b;
}

/* Going back to the last '*' only: no pattern takes longer than its length times the name's. */
static bool is_match(const char *pattern, const char *name, bool nocase)
{
    const char *star = NULL, *retry = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            retry = name;
        } else if (*pattern == '?') {
            pattern++;
            do
                name++;
            while ((*name & 0xc0) == 0x80);
        } else if (*pattern && same_letter(*pattern, *name, nocase)) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

int imap_names_match(const char *pattern, const char *neutral)
{
    return is_match(pattern, neutral, strcmp(neutral, "INBOX") == 0);
}
