/*
 * The scanner's pace: how often to look at each mailbox within the site's budget of logins, how long to wait after a
 * failure, how many sessions to use. Pure.
 */
#ifndef MIRROR_SCANNER_SCAN_PACE_H
#define MIRROR_SCANNER_SCAN_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct scan_pace_input {
    uint32_t mailboxes;           /* subscribed on the site */
    uint32_t kept_sessions;       /* looked at without a login, over all scanners */
    double max_logins_per_second; /* of the site, over all workers */
    double look_interval_seconds; /* wished */
    double target_lag_seconds;    /* the strictest of the site's routes */
};

struct scan_pace {
    double reachable_seconds; /* the shortest interval for all mailboxes alike */
    double busy_seconds;      /* for those that changed lately */
    double quiet_seconds;     /* for the rest */
    bool misses_target;       /* quiet_seconds is over the target lag */
};

void scan_pace_plan(const struct scan_pace_input *input, struct scan_pace *pace_out);

/* When a mailbox is due again. `chance` is evenly spread over 0 to 1: it keeps mailboxes from marching in step. */
double scan_pace_next_seconds(const struct scan_pace *pace, int64_t seconds_since_change, double chance);

/* After `fail_count` failures in a row (1 for the first): of one mailbox, 30 s doubling to 15 min; of a site, 2 s
 * doubling to 2 min. */
double scan_pace_mailbox_delay_seconds(uint32_t fail_count, double chance);
double scan_pace_site_delay_seconds(uint32_t fail_count, double chance);

/* Looks at one site at the same time, and sessions kept on it, by each of `scanners`: a quarter of what the site allows
 * for each, so that half is the copiers' whatever happens. */
uint32_t scan_pace_looks(uint32_t max_sessions, uint32_t scanners);
uint32_t scan_pace_kept(uint32_t max_sessions, uint32_t scanners, uint32_t wished);

#endif
