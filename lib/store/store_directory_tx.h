/*
 * Inside lib/store: a transaction under the lease of a route's directory, as store_tx_fenced() is under a mirror's. All
 * that store_directory.c, store_listed.c and store_entry.c write goes through it. A body may run several times.
 */
#ifndef MIRROR_STORE_STORE_DIRECTORY_TX_H
#define MIRROR_STORE_STORE_DIRECTORY_TX_H

#include "store/store_directory.h"
#include "store/store_tx.h"

int store_directory_tx(struct store *store, const struct store_directory_lease *lease, store_tx_body *body,
                       void *context, struct err *err);

/* The error of a lost lease. Returns -1. */
int store_directory_tx_lost(const struct store_directory_lease *lease, const char *how, struct err *err);

/* As the columns `kind` and `side` call them. */
const char *store_directory_tx_kind(enum store_kind kind);
const char *store_directory_tx_side(enum store_listed_side side);

#endif
