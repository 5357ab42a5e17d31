/*
 * What state a mirror is in, in mirror-api: pure.
 */
#include "api/api_judge.h"

#include "base/str.h"

static bool is_given(const char *text)
{
    return text && *text;
}

static bool is_stopped(const char *login_state)
{
    return str_equal(login_state, "stopped");
}

static enum err_side side_of(const char *name)
{
    if (str_equal(name, err_side_name(ERR_SIDE_PRODUCTION)))
        return ERR_SIDE_PRODUCTION;
    return str_equal(name, err_side_name(ERR_SIDE_TARGET)) ? ERR_SIDE_TARGET : ERR_SIDE_US;
}

static bool never_done(const struct store_mirror_status *mirror)
{
    return mirror->done_seq == 0;
}

/* Equal as far as the last pass and the last verification know. */
static bool is_equal(const struct store_mirror_status *mirror)
{
    return mirror->equal && mirror->verify_differences <= 0;
}

/* Somebody is asked. What was held counts on after the decision, until a copier has carried it out. */
static bool is_held(const struct store_mirror_status *mirror)
{
    uint64_t stopped = (uint64_t)mirror->gone_messages + mirror->held_messages + mirror->withheld_messages;
    return mirror->held_plans > 0 || (mirror->breaker_plan > 0 && stopped > 0);
}

static enum api_state state_of(const struct store_mirror_status *mirror, const struct config_route *route,
                               const struct api_verdict *verdict)
{
    if (!route)
        return API_STATE_UNROUTED;
    if (mirror->paused)
        return API_STATE_PAUSED;
    if (mirror->on_hold_seconds >= 0)
        return API_STATE_ON_HOLD;
    if (is_stopped(mirror->from_login_state) || is_stopped(mirror->to_login_state))
        return API_STATE_STOPPED;
    if (!mirror->working && (is_given(mirror->error) || is_given(mirror->look_error)))
        return API_STATE_FAILING;
    if (mirror->removing)
        return API_STATE_REMOVING;
    if (mirror->handing_over)
        return API_STATE_HANDING_OVER;
    if (mirror->working)
        return API_STATE_WORKING;
    if (never_done(mirror))
        return verdict->behind ? API_STATE_BEHIND : API_STATE_NEW;
    if (verdict->late)
        return API_STATE_NOT_LOOKED_AT;
    if (mirror->wanted)
        return verdict->behind ? API_STATE_BEHIND : API_STATE_WAITING;
    if (!is_equal(mirror))
        return API_STATE_NOT_EQUAL;
    if (verdict->held)
        return API_STATE_HELD;
    if (mirror->gone_messages + mirror->held_messages > 0)
        return API_STATE_DELETING;
    return mirror->withheld_messages > 0 ? API_STATE_WAITING : API_STATE_EQUAL;
}

static enum err_side blame(const struct store_mirror_status *mirror, enum api_state state)
{
    switch (state) {
    case API_STATE_STOPPED:
        return is_stopped(mirror->from_login_state) ? ERR_SIDE_PRODUCTION : ERR_SIDE_TARGET;
    case API_STATE_FAILING:
        return is_given(mirror->error) ? side_of(mirror->error_side) : ERR_SIDE_PRODUCTION;
    case API_STATE_NOT_EQUAL:
    case API_STATE_DELETING: /* others' messages may be in the way there */
        return ERR_SIDE_TARGET;
    default:
        return ERR_SIDE_US;
    }
}

static bool is_well(const struct store_mirror_status *mirror, const struct api_verdict *verdict)
{
    if (verdict->state == API_STATE_ON_HOLD)
        return true;
    if (verdict->late || verdict->behind || is_given(mirror->error) || is_given(mirror->look_error))
        return false;
    if (verdict->held || mirror->waiting_messages > 0 || mirror->waits_for_owner)
        return false;
    bool moving = verdict->state == API_STATE_WORKING || verdict->state == API_STATE_WAITING;
    return verdict->state == API_STATE_EQUAL || verdict->state == API_STATE_DELETING ||
           (moving && !never_done(mirror) && is_equal(mirror));
}

struct api_verdict api_judge(const struct store_mirror_status *mirror, const struct config_route *route)
{
    struct api_verdict verdict = {.lag_limit_seconds = route ? route->target_lag_minutes * 60 : 0};
    /* Before its first pass a mirror has no proof; its age is that of the wish for it. */
    verdict.behind = mirror->lag_seconds > verdict.lag_limit_seconds;
    verdict.late = mirror->proven_age_seconds > verdict.lag_limit_seconds ||
                   (mirror->proven_age_seconds < 0 && !never_done(mirror));
    verdict.held = is_held(mirror);
    if (mirror->on_hold_seconds >= 0)
        verdict.behind = verdict.late = false;
    verdict.state = state_of(mirror, route, &verdict);
    verdict.side = blame(mirror, verdict.state);
    verdict.person_needed = verdict.state == API_STATE_UNROUTED || verdict.state == API_STATE_PAUSED ||
                            verdict.state == API_STATE_STOPPED || verdict.state == API_STATE_NOT_EQUAL ||
                            verdict.state == API_STATE_HELD;
    verdict.well = is_well(mirror, &verdict);
    return verdict;
}

const char *api_judge_word(enum api_state state)
{
    static const char *const words[] = {
#define API_STATE_WORD(id, word, help) word,
        API_STATES(API_STATE_WORD)
#undef API_STATE_WORD
    };
    return (unsigned)state < API_STATE_COUNT ? words[state] : "?";
}
