/*
 * Waiting for a sync or a verification: which mirrors were asked for and which number to wait for, what each has come to,
 * and the line that shows how far it is. The decisions are pure.
 */
#ifndef MIRROR_CTL_CTL_WAIT_H
#define MIRROR_CTL_CTL_WAIT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ctl_wait_end {
    CTL_WAIT_OPEN,     /* not yet */
    CTL_WAIT_WELL,     /* done, equal, also what was deleted on production */
    CTL_WAIT_NOT_WELL, /* done, but not equal; or a person is needed (held, paused, …); or removed meanwhile */
};

struct ctl_wait_mirror {
    char mailbox[65], route[65];
    double seq;                     /* the number to be reached */
    double failing_since;           /* seconds of the caller's clock; below 0: not failing */
    double copied, copied_at_start; /* messages; the latter below 0 until first seen */
    enum ctl_wait_end end;
    bool seen; /* in the present poll */
};

struct ctl_wait {
    bool verify;
    struct ctl_wait_mirror *mirrors; /* ordered by mailbox and route */
    size_t count, open, not_well;
    double copied; /* messages since the start */
};

/* From the answer to a sync or verify. */
void ctl_wait_init(struct ctl_wait *wait, const cJSON *answer, bool verify);
void ctl_wait_fini(struct ctl_wait *wait);

/* One mailbox object as the API lists it. */
void ctl_wait_see(struct ctl_wait *wait, const cJSON *mailbox, double now);
/* After all open ones were asked for: what was not seen is gone; counts again. */
void ctl_wait_counted(struct ctl_wait *wait);

/* How a mirror stands that waits for `seq`. `failing_seconds`: how long it has been failing without a break, below 0:
 * not. */
enum ctl_wait_end ctl_wait_judge(const cJSON *mirror, bool verify, double seq, double failing_seconds);

/* "12/20 mirrors  345 messages  28/s  0:12". Returns `text`. */
char *ctl_wait_figures(const struct ctl_wait *wait, double seconds, char *text, size_t size);
/* "[=====>     ] 12/20 mirrors  345 messages  28/s  0:12", at most `width` places. Returns `text`. */
char *ctl_wait_line(const struct ctl_wait *wait, double seconds, size_t width, char *text, size_t size);

#endif
