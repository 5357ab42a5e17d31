/* Runs in the scanner; see the header. */
#include "scanner/scan_base.h"

double scan_base_chance(struct scan_base *base)
{
    /* xorshift64: spreads looks over time, keeps no secret. */
    uint64_t x = base->random != 0 ? base->random : 88172645463325252U;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    base->random = x;
    return (double)(x >> 11) / (double)(UINT64_C(1) << 53);
}

int scan_base_store_failed(struct scan_base *base, const struct err *err)
{
    if (!base->store_failed)
        base->store_error = *err;
    base->store_failed = true;
    return -1;
}

void scan_base_event(struct scan_base *base, const char *mailbox, const char *text)
{
    if (base->daemon != NULL)
        daemon_event(base->daemon, mailbox, "", text);
}
