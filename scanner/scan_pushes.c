/* Pure; see the header. Part of the scanner's ventilator. */
#include "scanner/scan_pushes.h"

static void remove_at(struct scan_pushes *pushes, size_t index)
{
    pushes->items[index] = pushes->items[--pushes->count];
}

size_t scan_pushes_room(struct scan_pushes *pushes, uint32_t workers, int64_t now_ms)
{
    size_t most = (size_t)workers * SCAN_PUSHES_EACH;

    for (size_t i = pushes->count; i > 0; i--) {
        if (pushes->items[i - 1].until_ms <= now_ms)
            remove_at(pushes, i - 1);
    }
    if (most > SCAN_PUSHES_MAX)
        most = SCAN_PUSHES_MAX;
    return pushes->count < most ? most - pushes->count : 0;
}

void scan_pushes_add(struct scan_pushes *pushes, uint64_t mirror_id, int64_t now_ms)
{
    if (pushes->count == SCAN_PUSHES_MAX)
        return;
    pushes->items[pushes->count].mirror_id = mirror_id;
    pushes->items[pushes->count++].until_ms = now_ms + SCAN_PUSH_LIFE_MS;
}

void scan_pushes_done(struct scan_pushes *pushes, uint64_t mirror_id)
{
    for (size_t i = pushes->count; i > 0; i--) {
        if (pushes->items[i - 1].mirror_id == mirror_id)
            remove_at(pushes, i - 1);
    }
}
