/* Pure; see the header. The figures are judged at every change of the number of mailboxes, in the scanner. */
#include "scanner/scan_pace.h"

/* The copiers log in too: so much of the logins is the looks'. */
static const double LOOKS_SHARE = 0.8;
/* Changed within this time: looked at four times as often as the budget allows for all, the others seldomer for it. It
 * comes out even as long as no more than about a tenth of all mailboxes is busy. */
static const int64_t BUSY_SECONDS = 15 * 60;
static const double BUSY_FACTOR = 0.25, QUIET_FACTOR = 1.5;
static const double JITTER = 0.1;

enum { MAX_LOOKS = 32 };

static double larger(double a, double b)
{
    return a > b ? a : b;
}

void scan_pace_plan(const struct scan_pace_input *input, struct scan_pace *pace_out)
{
    uint32_t logins = input->mailboxes > input->kept_sessions ? input->mailboxes - input->kept_sessions : 0;
    double rate = larger(input->max_logins_per_second * LOOKS_SHARE, 0.001);
    double reachable = (double)logins / rate;

    *pace_out = (struct scan_pace){
        .reachable_seconds = reachable,
        .busy_seconds = input->look_interval_seconds,
        .quiet_seconds = input->look_interval_seconds,
    };
    if (reachable > input->look_interval_seconds) {
        pace_out->busy_seconds = larger(input->look_interval_seconds, reachable * BUSY_FACTOR);
        pace_out->quiet_seconds = reachable * QUIET_FACTOR;
    }
    pace_out->misses_target = pace_out->quiet_seconds > input->target_lag_seconds;
}

double scan_pace_next_seconds(const struct scan_pace *pace, int64_t seconds_since_change, double chance)
{
    bool busy = seconds_since_change >= 0 && seconds_since_change <= BUSY_SECONDS;

    /* Only earlier, never later: the interval is a promise. */
    return (busy ? pace->busy_seconds : pace->quiet_seconds) * (1 - JITTER * chance);
}

static double doubled(double first, double last, uint32_t fail_count, double chance)
{
    double delay = first;

    for (uint32_t i = 1; i < fail_count && delay < last; i++)
        delay *= 2;
    return (delay < last ? delay : last) * (1 + JITTER * (2 * chance - 1));
}

double scan_pace_mailbox_delay_seconds(uint32_t fail_count, double chance)
{
    return doubled(30, 15 * 60, fail_count, chance);
}

double scan_pace_site_delay_seconds(uint32_t fail_count, double chance)
{
    return doubled(2, 120, fail_count, chance);
}

static uint32_t quarter(uint32_t max_sessions, uint32_t scanners)
{
    return max_sessions / 4 / (scanners > 0 ? scanners : 1);
}

uint32_t scan_pace_looks(uint32_t max_sessions, uint32_t scanners)
{
    uint32_t looks = quarter(max_sessions, scanners);

    if (looks < 1)
        return 1;
    return looks > MAX_LOOKS ? MAX_LOOKS : looks;
}

uint32_t scan_pace_kept(uint32_t max_sessions, uint32_t scanners, uint32_t wished)
{
    uint32_t kept = quarter(max_sessions, scanners);

    return kept < wished ? kept : wished;
}
