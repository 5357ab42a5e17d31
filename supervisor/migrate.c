/*
 * Schema, then sites and routes.
 */
#include "supervisor/migrate.h"

#include "store/store.h"

int migrate_run(const struct config *config, struct err *err)
{
    struct store *store;
    int result;

    if (store_migrate(config, err) != 0)
        return -1;
    store = store_open(config, err);
    if (!store)
        return -1;
    result = store_config_apply(store, config, err);
    store_free(store);
    return result;
}
