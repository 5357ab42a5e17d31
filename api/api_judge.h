/*
 * The state of a mirror for people: one pure decision over what the store knows and what the configuration wants.
 * Silence is never taken for health (I9): a mirror whose last proven look at production is older than its route's
 * target lag is "not looked at", whatever else is green.
 */
#ifndef MIRROR_API_JUDGE_H
#define MIRROR_API_JUDGE_H

#include "base/config.h"
#include "base/err.h"
#include "store/store_mailbox.h"

#include <stdbool.h>

/* In this order: the first one that holds is the state. */
#define API_STATES(X)                                                                                        \
    X(UNROUTED, "no route", "its route is not in the configuration any more")                                \
    X(PAUSED, "paused", "a person paused the route")                                                         \
    X(ON_HOLD, "on hold",                                                                                    \
      "its subscriber is no longer among those to be followed; its copies stay as they are")                 \
    X(STOPPED, "stopped", "a site refuses the trusted server's login: nobody is tried")                      \
    X(FAILING, "failing", "the last try failed, and the next one is due later")                              \
    X(REMOVING, "removing", "its copies are being removed from the target, as a person asked")               \
    X(HANDING_OVER, "handing over",                                                                          \
      "its number is another person's: the former one's messages are being held")                            \
    X(WORKING, "working", "a copier works on it now")                                                        \
    X(NOT_LOOKED_AT, "not looked at", "the last proven look at production is older than the target lag")     \
    X(NEW, "new", "its first copy is still to come")                                                         \
    X(BEHIND, "behind", "the oldest thing not yet mirrored is older than the target lag")                    \
    X(WAITING, "waiting", "a change was seen and waits for a copier, within the target lag")                 \
    X(NOT_EQUAL, "not equal", "a whole pass ended, and something could not be made equal")                   \
    X(HELD, "held", "deletions wait for a person to allow or refuse them; all else is equal")                \
    X(DELETING, "deleting", "gone from production, or allowed; the copies go after the second look")         \
    X(EQUAL, "equal", "everything of production is on the target")

enum api_state {
#define API_STATE_ENUM(id, word, help) API_STATE_##id,
    API_STATES(API_STATE_ENUM)
#undef API_STATE_ENUM
        API_STATE_COUNT
};

struct api_verdict {
    enum api_state state;
    bool well;          /* equal (a newer change, or a deletion, may be on its way) and looked at in time */
    bool held;          /* deletions wait for a person, whatever the state */
    bool late;          /* not looked at in time */
    bool behind;        /* older than the target lag */
    bool person_needed; /* nothing will change by itself: paused, stopped, not equal, held, no route */
    enum err_side
        side; /* FAILING, STOPPED, NOT_EQUAL (all but what could not be copied), DELETING: who has to act */
    double lag_limit_seconds;
};

/* `route`: NULL if the configuration has none of that name. */
struct api_verdict api_judge(const struct store_mirror_status *mirror, const struct config_route *route);

const char *api_judge_word(enum api_state state);

#endif
