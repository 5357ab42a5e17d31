/*
 * Inside lib/store: the one word of a mirror's state, as `status` prints it. Pure.
 */
#ifndef MIRROR_STORE_STORE_STATE_H
#define MIRROR_STORE_STORE_STATE_H

#include <stdbool.h>
#include <stdint.h>

struct store_state_facts {
    bool paused;              /* the route is paused, or not configured any more */
    bool site_stopped;        /* one of its two sites refuses our login */
    bool working;             /* a living lease */
    uint32_t fail_count;      /* of the mirror */
    uint32_t look_fail_count; /* of the look at production */
    bool ever_looked;         /* a look has succeeded, or a pass (which looks too) was completed */
    bool ever_done;           /* a pass was completed */
    bool wanted;              /* something is to be done */
    bool behind;              /* something is known to be missing */
    bool equal;
    bool held;  /* what is gone from production stays until a person decides */
    bool going; /* something is gone from production, and its copy is still there */
};

/*
 * The first that holds:
 *   "paused"         nothing is done on purpose
 *   "stopped"        a site refuses the trusted server's login: nothing can be done
 *   "working"        a copier is at it now
 *   "failing"        the last turn failed; it is tried again
 *   "not looked at"  production could not be looked at: whatever else is green, this proves nothing (I9)
 *   "new"            no pass was completed yet
 *   "behind"         something that was seen on production is not mirrored yet
 *   "waiting"        asked for, or routine work; nothing is known to be missing
 *   "not equal"      mirrored, but for what was refused, altered or lost
 *   "held"           mirrored, but for deletions that wait for a person
 *   "deleting"       mirrored, but for deletions that wait for their second look
 *   "equal"
 */
const char *store_state_word(const struct store_state_facts *facts);

#endif
