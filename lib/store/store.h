/*
 * The store: one connection to MariaDB. All SQL stands in lib/store and schema/. Prepared statements only (kept open,
 * prepared on first use); deadlocks and certification conflicts are retried inside; a lost connection is opened again
 * by the next call. Every function may block for at most 10 s (the ladder of time limits) and fails with ERR_PROCESS /
 * ERR_RETRY_LATER "store: ..." when the database is away: callers pause and lose nothing.
 *
 * A COMMIT whose answer was lost is unknown: such a call fails with store_err_is_unknown() true and must be read back
 * before it is repeated. Every write here carries its own key (lease epoch, folder and UID), so that reading back or
 * repeating under the same key is safe.
 */
#ifndef MIRROR_STORE_STORE_H
#define MIRROR_STORE_STORE_H

#include "base/config.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* Connects (first living host of the configuration, or the managed socket <data_dir>/run-db/mariadb.sock). */
struct store *store_open(const struct config *config, struct err *err);
void store_free(struct store *store);
/* 0 if a trivial query works. */
int store_ping(struct store *store, struct err *err);
bool store_err_is_unknown(const struct err *err);

/* ---- migrations (store_migrate.c) ---- */
/* Creates the database if it is not there, takes the migration lock (a row), runs what is missing of schema/ step by
 * step, recording each; refuses a database newer than this program. Safe to call from several hosts at once. */
int store_migrate(const struct config *config, struct err *err);
/* Version as recorded and as this program wants it; the programs refuse to start on a difference. */
int store_check_version(struct store *store, struct err *err);

/* ---- configuration mirrored into tables (store_config.c) ---- */
/* Sites and routes of the configuration become rows (by name); routes gone from it: configured = 0. Mirrors of the
 * "default" routes are not made here. */
int store_config_apply(struct store *store, const struct config *config, struct err *err);

/* ---- workers (store_worker.c) ---- */
int store_worker_seen(struct store *store, const char *owner, const char *program, const char *doing,
                      struct err *err);
int store_worker_gone(struct store *store, const char *owner, struct err *err);
/* Copiers seen within the last 30 s. */
int store_worker_count(struct store *store, const char *program, uint32_t *count_out, struct err *err);

#endif
