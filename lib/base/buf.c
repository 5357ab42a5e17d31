/*
 * The growing buffer; see buf.h. Used by every process.
 *
 * Content is moved to the front only when the free bytes before it are at least as many as it has itself, so that a
 * byte is moved once on average however the buffer is consumed.
 */
#include "base/buf.h"

#include "base/err.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 256 };

void buf_init(struct buf *buf, size_t max_bytes)
{
    ASSERT(max_bytes < SIZE_MAX / 8);
    *buf = (struct buf){.max = max_bytes};
}

void buf_fini(struct buf *buf)
{
    free(buf->bytes);
    *buf = (struct buf){.max = buf->max};
}

void buf_clear(struct buf *buf)
{
    buf->start = buf->len = 0;
    if (buf->bytes != NULL)
        buf->bytes[0] = 0;
}

/* Room for `want` bytes and the NUL behind the content. */
static void make_room(struct buf *buf, size_t want)
{
    size_t need = buf->len + want + 1;
    if (buf->start + need <= buf->size)
        return;
    if (buf->start >= buf->len && need <= buf->size) {
        memmove(buf->bytes, buf->bytes + buf->start, buf->len + 1);
        buf->start = 0;
        return;
    }
    size_t size = buf->size ? buf->size : SMALLEST;
    while (size < buf->start + need)
        size *= 2;
    buf->bytes = mem_grow(buf->bytes, size, 1);
    buf->size = size;
}

int buf_add(struct buf *buf, const void *bytes, size_t len)
{
    char *room = buf_reserve(buf, len);
    if (room == NULL)
        return -1;
    if (len > 0)
        memcpy(room, bytes, len);
    buf_commit(buf, len);
    return 0;
}

int buf_add_str(struct buf *buf, const char *text)
{
    return buf_add(buf, text, strlen(text));
}

int buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        BUG("out of memory");
    int result = buf_add(buf, text, (size_t)len);
    free(text);
    return result;
}

const char *buf_data(const struct buf *buf)
{
    return buf->bytes == NULL ? "" : buf->bytes + buf->start;
}

size_t buf_len(const struct buf *buf)
{
    return buf->len;
}

size_t buf_room(const struct buf *buf)
{
    return buf->max - buf->len;
}

void buf_consume(struct buf *buf, size_t len)
{
    ASSERT(len <= buf->len);
    if (len == buf->len) {
        buf_clear(buf);
        return;
    }
    buf->start += len;
    buf->len -= len;
}

char *buf_reserve(struct buf *buf, size_t want)
{
    if (want > buf_room(buf))
        return NULL;
    make_room(buf, want);
    return buf->bytes + buf->start + buf->len;
}

void buf_commit(struct buf *buf, size_t len)
{
    if (buf->bytes == NULL)
        return;
    ASSERT(buf->start + buf->len + len < buf->size);
    buf->len += len;
    buf->bytes[buf->start + buf->len] = 0;
}
