/*
 * The fence of a directory's row: see store_tx.c, which does it.
 */
#include "store/store_directory_tx.h"

static const struct store_tx_table directory_table = {.noun = "directory of route",
                                                      STORE_TX_FENCE("directory", "route_id")};

static struct store_tx_row row_of(const struct store_directory_lease *lease)
{
    return (struct store_tx_row){
        .table = &directory_table, .id = lease->route_id, .epoch = lease->epoch, .owner = lease->owner};
}

int store_directory_tx(struct store *store, const struct store_directory_lease *lease, store_tx_body *body,
                       void *context, struct err *err)
{
    struct store_tx_row row = row_of(lease);
    return store_tx_fenced_row(store, &row, body, context, err);
}

int store_directory_tx_lost(const struct store_directory_lease *lease, const char *how, struct err *err)
{
    struct store_tx_row row = row_of(lease);
    return store_tx_row_lost(&row, how, err);
}

const char *store_directory_tx_kind(enum store_kind kind)
{
    return kind == STORE_COS ? "cos" : "subscriber";
}

const char *store_directory_tx_side(enum store_listed_side side)
{
    return side == STORE_LISTED_PRODUCTION ? "production" : "target";
}
