/*
 * Inside lib/store: when a failed mirror is tried again (pure), and the end of what is recorded of one.
 */
#ifndef MIRROR_STORE_STORE_FINISH_H
#define MIRROR_STORE_STORE_FINISH_H

#include "store/store.h"

#include <stdint.h>

/* Seconds until the next try after `fail_count` failures in a row (1: the first): 2 s doubling to 15 min; 5 s doubling
 * to 2 min if the whole site is in trouble (it is tried once for all soon). `random` in [0, 1): 25 % less to 25 % more. */
double store_finish_delay(uint32_t fail_count, enum err_scope scope, double random);

/* In a transaction under its lease: folders, messages, intents, losses and plans of the mirror go, its own row stays. */
int store_finish_empty(struct store *store, uint64_t mirror_id, struct err *err);

#endif
