/*
 * Strings; see str.h. Used by every process. Nothing here depends on the locale.
 */
#include "base/str.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAILBOX_NUMBER_MAX = 64 };

char *str_copy(const char *text)
{
    return text == NULL ? NULL : str_copy_n(text, strlen(text));
}

char *str_copy_n(const char *bytes, size_t len)
{
    char *copy = mem_grow(NULL, len + 1, 1);
    if (len > 0)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

char *str_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        BUG("out of memory");
    va_end(args);
    return text;
}

int str_to_u64(const char *text, uint64_t *value_out)
{
    uint64_t value = 0;
    if (text == NULL || *text == 0)
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return -1;
        value = value * 10 + digit;
    }
    *value_out = value;
    return 0;
}

int str_to_u32(const char *text, uint32_t *value_out)
{
    uint64_t value;
    if (str_to_u64(text, &value) < 0 || value > UINT32_MAX)
        return -1;
    *value_out = (uint32_t)value;
    return 0;
}

bool str_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

bool str_equal_nocase(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    while (*a && ascii_lower(*a) == ascii_lower(*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

/* The lead byte decides the length and the smallest value of that length: an overlong form hides characters from
 * checks that look at bytes. */
static size_t lead_length(uint8_t lead, uint32_t *value_out, uint32_t *least_out)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t i = 0; i < 4; i++)
        if ((lead & forms[i].mask) == forms[i].lead) {
            *value_out = lead & (uint8_t)~forms[i].mask;
            *least_out = forms[i].least;
            return i + 1;
        }
    return 0;
}

size_t str_utf8_step(const char *bytes, size_t len)
{
    uint32_t value, least;
    if (len == 0)
        return 0;
    size_t step = lead_length((uint8_t)bytes[0], &value, &least);
    if (step == 0 || step > len)
        return 0;
    for (size_t i = 1; i < step; i++) {
        uint8_t next = (uint8_t)bytes[i];
        if ((next & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (next & 0x3f);
    }
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    return value < least || value > 0x10ffff || surrogate ? 0 : step;
}

bool str_is_utf8(const char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t step = str_utf8_step(bytes + at, len - at);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

/* C0, DEL, and C1, which some terminals obey as well. */
static bool is_control(const char *bytes, size_t step)
{
    uint8_t first = (uint8_t)bytes[0];
    if (step == 1)
        return first < 0x20 || first == 0x7f;
    return step == 2 && first == 0xc2 && (uint8_t)bytes[1] < 0xa0;
}

void str_make_plain(char *text)
{
    size_t len = strlen(text);
    for (size_t at = 0; at < len;) {
        size_t step = str_utf8_step(text + at, len - at);
        if (step == 0 || is_control(text + at, step)) {
            step = step ? step : 1;
            memset(text + at, '?', step);
        }
        at += step;
    }
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool str_is_mailbox_number(const char *text)
{
    if (text == NULL || *text == '-')
        return false;
    size_t len = 0;
    for (; text[len]; len++)
        if (len == MAILBOX_NUMBER_MAX || !(is_letter_or_digit(text[len]) || strchr("._-@+", text[len])))
            return false;
    return len > 0;
}

/* Start of the character that the byte at `cut` belongs to, if that character began before `cut`. */
static size_t character_border(const char *text, size_t cut)
{
    size_t border = cut;
    for (size_t back = 0; back < 3 && border > 0 && ((uint8_t)text[border] & 0xc0) == 0x80; back++)
        border--;
    return str_utf8_step(text + border, strlen(text + border)) > cut - border ? border : cut;
}

char *str_into(char *dst, size_t size, const char *src)
{
    size_t len = src == NULL ? 0 : strlen(src);
    if (size == 0)
        return dst;
    if (len >= size)
        len = character_border(src, size - 1);
    if (len > 0)
        memmove(dst, src, len);
    dst[len] = 0;
    return dst;
}
