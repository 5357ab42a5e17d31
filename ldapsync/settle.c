/*
 * Results for the store; see settle.h.
 */
#include "ldapsync/settle.h"

#include "base/str.h"

#include <stdlib.h>

enum { AT_ONCE = 32 };

struct settle {
    struct round *round;
    struct work *works[AT_ONCE];
    size_t count;
};

struct settle *settle_new(struct round *round)
{
    struct settle *settle = mem_new(sizeof(*settle));
    settle->round = round;
    return settle;
}

static void drop(struct settle *settle)
{
    for (size_t i = 0; i < settle->count; i++)
        free(settle->works[i]);
    settle->count = 0;
}

void settle_free(struct settle *settle)
{
    if (settle)
        drop(settle);
    free(settle);
}

int settle_flush(struct settle *settle, struct err *err)
{
    const struct store_entry_result *results[AT_ONCE];
    if (!settle)
        return 0;
    for (size_t i = 0; i < settle->count; i++)
        results[i] = &settle->works[i]->result;
    if (store_entry_settled(settle->round->tools->store, &settle->round->claim->lease, results, settle->count,
                            err) != 0)
        return -1;
    drop(settle);
    return 0;
}

int settle_add(struct settle *settle, struct work *work, struct err *err)
{
    work_fini(work);
    if (!work->has_result) {
        free(work);
        return 0;
    }
    settle->works[settle->count++] = work;
    return settle->count < AT_ONCE ? 0 : settle_flush(settle, err);
}
