/*
 * The pushes that nobody is known to have taken: at most two for each live copier, each forgotten after 5 s (the store
 * then gives it again, unless it was claimed). Pure.
 */
#ifndef MIRROR_SCANNER_SCAN_PUSHES_H
#define MIRROR_SCANNER_SCAN_PUSHES_H

#include <stddef.h>
#include <stdint.h>

enum { SCAN_PUSHES_MAX = 512, SCAN_PUSH_LIFE_MS = 5000, SCAN_PUSHES_EACH = 2 };

struct scan_pushes {
    struct {
        uint64_t mirror_id;
        int64_t until_ms;
    } items[SCAN_PUSHES_MAX];
    size_t count;
};

/* How many more may go out to so many workers. */
size_t scan_pushes_room(struct scan_pushes *pushes, uint32_t workers, int64_t now_ms);
void scan_pushes_add(struct scan_pushes *pushes, uint64_t mirror_id, int64_t now_ms);
/* A result came: that push is no longer out. */
void scan_pushes_done(struct scan_pushes *pushes, uint64_t mirror_id);

#endif
