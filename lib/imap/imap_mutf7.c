/*
 * Modified UTF-7; see imap_mutf7.h. UTF-16 in base64 without padding, with ',' for '/', between '&' and '-'; the bits
 * of one shifted run are carried in an accumulator in both directions.
 */
#include "imap/imap_mutf7.h"

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c <= 0x7e;
}

static int add_utf8(struct buf *utf8, uint32_t point)
{
    char bytes[4];
    size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len; i-- > 1; point >>= 6)
        bytes[i] = (char)(0x80 | (point & 0x3f));
    bytes[0] = (char)(lead[len] | point);
    return buf_add(utf8, bytes, len);
}

/* ---- decoding ---- */

/* One UTF-16 unit; `*high` is a high surrogate that waits for its other half. */
static int take_unit(struct buf *utf8, uint32_t unit, uint32_t *high)
{
    bool is_low = unit >= 0xdc00 && unit <= 0xdfff;
    if (*high) {
        uint32_t point = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
        *high = 0;
        return is_low ? add_utf8(utf8, point) : -1;
    }
    if (is_low || unit < 0x20 || (unit >= 0x7f && unit < 0xa0))
        return -1;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        *high = unit;
        return 0;
    }
    return add_utf8(utf8, unit);
}

/* The base64 between '&' and '-'. */
static int decode_run(const char *run, size_t len, struct buf *utf8)
{
    uint32_t bits = 0, high = 0;
    unsigned count = 0;
    for (size_t i = 0; i < len; i++) {
        const char *digit = run[i] ? strchr(alphabet, run[i]) : NULL;
        if (!digit)
            return -1;
        bits = (bits << 6 | (uint32_t)(digit - alphabet)) & 0xffffff;
        count += 6;
        if (count < 16)
            continue;
        count -= 16;
        if (take_unit(utf8, bits >> count & 0xffff, &high) != 0)
            return -1;
    }
    return high ? -1 : 0;
}

static int decode(const char *wire, size_t len, struct buf *utf8)
{
    for (size_t i = 0; i < len;) {
        const char *end;
        if (!is_plain((unsigned char)wire[i]))
            return -1;
        if (wire[i] != '&') {
            if (buf_add(utf8, wire + i++, 1) != 0)
                return -1;
            continue;
        }
        end = memchr(wire + i, '-', len - i);
        if (!end)
            return -1;
        if (end == wire + i + 1 ? buf_add(utf8, "&", 1)
                                : decode_run(wire + i + 1, (size_t)(end - wire) - i - 1, utf8))
            return -1;
        i = (size_t)(end - wire) + 1;
    }
    return 0;
}

int imap_mutf7_decode(const char *wire, size_t len, struct buf *utf8)
{
    struct buf again;
    size_t before = buf_len(utf8);
    int result = -1;
    buf_init(&again, len);
    if (decode(wire, len, utf8) != 0)
        goto out;
    /* Superfluous shifts, ASCII in base64, bits left over: another spelling of a name is another name. */
    if (imap_mutf7_encode(buf_data(utf8) + before, buf_len(utf8) - before, &again) == 0 &&
        buf_len(&again) == len && memcmp(buf_data(&again), wire, len) == 0)
        result = 0;
out:
    buf_fini(&again);
    return result;
}

/* ---- encoding ---- */

/* The length of the sequence at `utf8`, which str_is_utf8() found valid. */
static size_t take_point(const char *utf8, uint32_t *point_out)
{
    unsigned char first = (unsigned char)utf8[0];
    size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = first & mask[len];
    for (size_t i = 1; i < len; i++)
        point = point << 6 | ((unsigned char)utf8[i] & 0x3f);
    *point_out = point;
    return len;
}

struct shifted {
    struct buf *wire;
    uint32_t bits;
    unsigned count;
};

static int put_unit(struct shifted *shifted, uint32_t unit)
{
    shifted->bits = shifted->bits << 16 | unit;
    shifted->count += 16;
    while (shifted->count >= 6) {
        shifted->count -= 6;
        if (buf_add(shifted->wire, &alphabet[shifted->bits >> shifted->count & 0x3f], 1) != 0)
            return -1;
    }
    return 0;
}

static int put_point(struct shifted *shifted, uint32_t point)
{
    if (point < 0x10000)
        return put_unit(shifted, point);
    point -= 0x10000;
    if (put_unit(shifted, 0xd800 + (point >> 10)) != 0)
        return -1;
    return put_unit(shifted, 0xdc00 + (point & 0x3ff));
}

/* From the first character that needs it to the last; `*used` is moved on. */
static int encode_run(const char *utf8, size_t len, size_t *used, struct buf *wire)
{
    struct shifted shifted = {.wire = wire};
    if (buf_add(wire, "&", 1) != 0)
        return -1;
    while (*used < len && !is_plain((unsigned char)utf8[*used])) {
        uint32_t point;
        *used += take_point(utf8 + *used, &point);
        if (put_point(&shifted, point) != 0)
            return -1;
    }
    if (shifted.count > 0 && buf_add(wire, &alphabet[shifted.bits << (6 - shifted.count) & 0x3f], 1) != 0)
        return -1;
    return buf_add(wire, "-", 1);
}

int imap_mutf7_encode(const char *utf8, size_t len, struct buf *wire)
{
    if (!str_is_utf8(utf8, len))
        return -1;
    for (size_t i = 0; i < len;) {
        int result;
        if (!is_plain((unsigned char)utf8[i]))
            result = encode_run(utf8, len, &i, wire);
        else if (utf8[i] == '&')
            result = buf_add(wire, "&-", 2), i++;
        else
            result = buf_add(wire, utf8 + i++, 1);
        if (result != 0)
            return -1;
    }
    return 0;
}
