/*
 * Results for the store; see results.h.
 */
#include "ldapsync/results.h"

#include "base/crash.h"
#include "base/str.h"

#include <stdlib.h>

enum { AT_ONCE = STORE_ENTRY_RESULTS_MAX };

struct results {
    struct round *round;
    struct work *works[AT_ONCE];
    size_t count;
};

struct results *results_new(struct round *round)
{
    struct results *results = mem_new(sizeof(*results));
    results->round = round;
    return results;
}

static void drop(struct results *results)
{
    for (size_t i = 0; i < results->count; i++)
        work_free(results->works[i]);
    results->count = 0;
}

void results_free(struct results *results)
{
    if (results)
        drop(results);
    free(results);
}

int results_flush(struct results *results, struct err *err)
{
    const struct store_entry_result *told[AT_ONCE];
    if (!results || results->count == 0)
        return 0;
    for (size_t i = 0; i < results->count; i++)
        told[i] = &results->works[i]->result;
    if (CRASH_AFTER(RESULTS_RECORDED,
                    store_entry_settled(results->round->tools->store, &results->round->claim->lease, told,
                                        results->count, err)) != 0)
        return -1;
    drop(results);
    return 0;
}

int results_add(struct results *results, struct work *work, struct err *err)
{
    if (!work->has_result) {
        work_free(work);
        return 0;
    }
    work_forget(work);
    results->works[results->count++] = work;
    return results->count < AT_ONCE ? 0 : results_flush(results, err);
}
