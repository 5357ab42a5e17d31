/*
 * Inside lib/store: when a failed mirror is tried again. Pure.
 */
#ifndef MIRROR_STORE_STORE_FINISH_H
#define MIRROR_STORE_STORE_FINISH_H

#include "base/err.h"

#include <stdint.h>

/* Seconds until the next try after `fail_count` failures in a row (1: the first): 2 s doubling to 15 min; 5 s doubling
 * to 2 min if the whole site is in trouble (it is tried once for all soon). `random` in [0, 1): 25 % less to 25 % more. */
double store_finish_delay(uint32_t fail_count, enum err_scope scope, double random);

#endif
