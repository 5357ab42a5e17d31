/*
 * A growing byte buffer that names its maximum at birth. Consumed from the front without moving bytes each time.
 */
#ifndef MIRROR_BASE_BUF_H
#define MIRROR_BASE_BUF_H

#include <stddef.h>

struct buf {
    char *bytes; /* bytes[start .. start+len) is the content; NUL after it once anything was added */
    size_t start, len, size, max;
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_fini(struct buf *buf);
void buf_clear(struct buf *buf);

/* 0, or -1 if the content would pass the maximum (nothing is added then). Out of memory is BUG(). */
int buf_add(struct buf *buf, const void *bytes, size_t len);
int buf_add_str(struct buf *buf, const char *text);
int buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *buf_data(const struct buf *buf); /* never NULL; NUL-terminated */
size_t buf_len(const struct buf *buf);
size_t buf_room(const struct buf *buf); /* how much may still be added */
void buf_consume(struct buf *buf, size_t len);

/* Room for reading into: at least `want` bytes behind the content, or NULL if that passes the maximum. */
char *buf_reserve(struct buf *buf, size_t want);
void buf_commit(struct buf *buf, size_t len);

#endif
