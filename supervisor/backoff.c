/*
 * Back-off between restarts: doubling, capped, with jitter downwards only, so that the cap holds.
 */
#include "supervisor/backoff.h"

int64_t backoff_delay_ms(unsigned failures, uint32_t random)
{
    int64_t delay_ms = BACKOFF_FIRST_MS;

    for (unsigned i = 1; i < failures && delay_ms < BACKOFF_MOST_MS; i++)
        delay_ms *= 2;
    if (delay_ms > BACKOFF_MOST_MS)
        delay_ms = BACKOFF_MOST_MS;
    /* Never below the first second: a child that dies at once must not be started in a tight loop. */
    int64_t less_ms = delay_ms / 4 * (random % 1000) / 1000;
    return delay_ms - less_ms < BACKOFF_FIRST_MS ? BACKOFF_FIRST_MS : delay_ms - less_ms;
}

bool backoff_was_healthy(int64_t ready_for_ms)
{
    return ready_for_ms >= BACKOFF_HEALTHY_MS;
}
