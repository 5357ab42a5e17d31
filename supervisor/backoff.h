/*
 * How long to wait before a child that died is started again. Pure.
 */
#ifndef MIRROR_SUPERVISOR_BACKOFF_H
#define MIRROR_SUPERVISOR_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

enum { BACKOFF_FIRST_MS = 1000, BACKOFF_MOST_MS = 60000, BACKOFF_HEALTHY_MS = 60000 };

/* After the `failures`-th failure in a row (1 is the first): 1 s, 2 s, 4 s ... 60 s, less up to a quarter of it by
 * `random` (any number), so that many children that died of one cause don't come back as one. */
int64_t backoff_delay_ms(unsigned failures, uint32_t random);

/* It was ready for so long that the next failure counts as the first again. */
bool backoff_was_healthy(int64_t ready_for_ms);

#endif
