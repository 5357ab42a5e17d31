/*
 * Opening the store, and who is alive in it (all programs but mirrorctl).
 */
#include "store/store.h"

#include "store/store_link.h"
#include "store/store_query.h"

struct store *store_open(const struct config *config, struct err *err)
{
    struct store *store = store_link_new(config);
    if (!store_link_connect(store, err))
        return store;
    store_free(store);
    return NULL;
}

int store_ping(struct store *store, struct err *err)
{
    return store_query_end(STORE_ROWS(store, err, "SELECT 1"), err);
}
