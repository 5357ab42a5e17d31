/*
 * Inside lib/store: a copy of the managed database before it is migrated.
 */
#ifndef MIRROR_STORE_STORE_DUMP_H
#define MIRROR_STORE_STORE_DUMP_H

#include "base/config.h"
#include "base/err.h"
#include "store/store_link.h"

/* Writes <data_dir>/backup-before-NNN.sql (0600) with mariadb-dump; nothing if it is there. Waits for the program. */
int store_dump(const struct config *config, const struct store_place *place, unsigned version,
               struct err *err);

#endif
