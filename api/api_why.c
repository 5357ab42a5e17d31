/*
 * The sentences of `why`, in mirror-api: one function a question, each a switch over the state.
 */
#include "api/api_why.h"

#include "api/api_text.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What all the sentences are about. */
struct subject {
    const struct store_mirror_status *m;
    const struct config_route *route;
    struct api_verdict verdict;
    const char *from, *to;
};

static bool is_given(const char *text)
{
    return text && *text;
}

static const char *ago(double seconds, char text[API_TEXT_BYTES])
{
    char duration[API_TEXT_BYTES];
    if (seconds < 0)
        return str_into(text, API_TEXT_BYTES, "never");
    snprintf(text, API_TEXT_BYTES, "%.40s ago", api_text_duration(seconds, duration));
    return text;
}

/* ---- what ---- */

static void what_failing(const struct subject *s, char *text, size_t size)
{
    char when[API_TEXT_BYTES];
    if (is_given(s->m->error))
        snprintf(text, size, "The last try failed %s: %s", ago(s->m->error_age_seconds, when), s->m->error);
    else
        snprintf(text, size, "Looking at the mailbox on %s failed %s: %s", s->from,
                 ago(s->m->look_error_age_seconds, when), s->m->look_error);
}

static void what_stopped(const struct subject *s, char *text, size_t size)
{
    bool production = s->verdict.side == ERR_SIDE_PRODUCTION;
    const char *error = production ? s->m->from_error : s->m->to_error;
    snprintf(text, size,
             "The site %s refuses our login as its trusted server, so no mailbox is tried there any more%s%s",
             production ? s->from : s->to, is_given(error) ? ". It said: " : ".",
             is_given(error) ? error : "");
}

static void what_not_equal(const struct subject *s, char *text, size_t size)
{
    char missing[API_TEXT_BYTES], refused[API_TEXT_BYTES], altered[API_TEXT_BYTES];
    const struct store_mirror_status *m = s->m;
    if (m->missing_messages || m->refused_messages || m->altered_messages)
        snprintf(text, size,
                 "A whole pass ended, and %s is not equal to production: %s missing there, %s that could not "
                 "be copied, %s altered by it when it stored them.",
                 s->to, api_text_count(m->missing_messages, "message", missing),
                 api_text_count(m->refused_messages, "message", refused),
                 api_text_count(m->altered_messages, "message", altered));
    else if (is_given(m->refused_keywords))
        snprintf(text, size,
                 "All messages are on %s, but it refuses to keep some of their keywords (marks such as "
                 "\"unopened\" "
                 "or \"active greeting\"): %s",
                 s->to, m->refused_keywords);
    else if (m->verify_differences > 0)
        snprintf(text, size, "The last verification, which listed both sides, found %s.",
                 api_text_count((uint64_t)m->verify_differences, "difference", missing));
    else
        snprintf(text, size, "A whole pass ended, and %s is not equal to production.", s->to);
}

static void what_equal(const struct subject *s, char *text, size_t size)
{
    char count[API_TEXT_BYTES], when[API_TEXT_BYTES];
    snprintf(
        text, size, "All is well: everything of production (%s) is on %s. Production was last looked at %s.",
        api_text_count(s->m->source_messages, "message", count), s->to, ago(s->m->proven_age_seconds, when));
}

/* "in plan 12", "in 3 plans, the oldest is 12" */
static const char *which_plans(const struct subject *s, char text[API_TEXT_BYTES])
{
    if (s->m->held_plans == 0)
        return str_into(text, API_TEXT_BYTES, "in a plan that was decided, and is being carried out");
    if (s->m->held_plans == 1)
        snprintf(text, API_TEXT_BYTES, "in plan %" PRIu64, s->m->held_plan);
    else
        snprintf(text, API_TEXT_BYTES, "in %" PRIu32 " plans, the oldest is %" PRIu64, s->m->held_plans,
                 s->m->held_plan);
    return text;
}

/* What was decided isn't held any more. */
static uint32_t gone_messages(const struct store_mirror_status *m)
{
    return m->gone_messages + (m->held_plans ? 0 : m->held_messages);
}

/* "2 messages gone from production and left on backup", "the flags of 3 messages not written", or both. */
static void what_is_stopped(const struct subject *s, char *text, size_t size)
{
    char gone[API_TEXT_BYTES], flags[API_TEXT_BYTES];
    api_text_count(gone_messages(s->m), "message", gone);
    api_text_count(s->m->withheld_messages, "message", flags);
    if (s->m->withheld_messages == 0)
        snprintf(text, size, "%s gone from production and left on %s", gone, s->to);
    else if (gone_messages(s->m) == 0)
        snprintf(text, size, "the flags of %s are not written", flags);
    else
        snprintf(text, size, "%s gone from production and left on %s, the flags of %s not written", gone,
                 s->to, flags);
}

static void what_held(const struct subject *s, char *text, size_t size)
{
    char count[API_TEXT_BYTES], plans[API_TEXT_BYTES], stopped[300];
    const struct store_mirror_status *m = s->m;
    what_is_stopped(s, stopped, sizeof(stopped));
    if (m->held_plans)
        snprintf(
            text, size,
            "%s gone from production and held on %s, %s%s%s. All else is equal, and what is new is copied.",
            api_text_count(m->held_messages, "message", count), s->to, which_plans(s, plans),
            is_given(m->held_reason) ? ": " : "", is_given(m->held_reason) ? m->held_reason : "");
    else
        snprintf(text, size,
                 "%s: deletions and overwriting are stopped on all routes from %s (plan %" PRIu64
                 "). All else is equal, and what is new is copied.",
                 stopped, s->from, m->breaker_plan);
}

/* "in 4 minutes", "now" */
static const char *second_look(const struct subject *s, char text[API_TEXT_BYTES])
{
    char duration[API_TEXT_BYTES];
    if (s->m->deletion_due_seconds < 1)
        return str_into(text, API_TEXT_BYTES, "now");
    snprintf(text, API_TEXT_BYTES, "in %.40s", api_text_duration(s->m->deletion_due_seconds, duration));
    return text;
}

/* ", 31 of them held until a person allowed it", "" */
static const char *until_allowed(const struct subject *s, char text[API_TEXT_BYTES])
{
    if (s->m->held_messages == 0)
        return "";
    if (s->m->gone_messages == 0)
        return ", held until a person allowed to remove them";
    snprintf(text, API_TEXT_BYTES, ", %" PRIu32 " of them held until a person allowed it",
             s->m->held_messages);
    return text;
}

static void what_deleting(const struct subject *s, char *text, size_t size)
{
    char count[API_TEXT_BYTES], allowed[API_TEXT_BYTES], when[API_TEXT_BYTES];
    snprintf(text, size,
             "%s gone from production%s, to be looked for once more %s; what is still gone then is removed "
             "from %s. All else is equal.",
             api_text_count(gone_messages(s->m), "message", count), until_allowed(s, allowed),
             second_look(s, when), s->to);
}

static void what_waiting(const struct subject *s, char *text, size_t size)
{
    char flags[API_TEXT_BYTES];
    if (s->m->wanted)
        snprintf(text, size, "Something changed on production, and it waits for a free copier.");
    else
        snprintf(text, size,
                 "The flags of %s, not written while overwriting was stopped, wait for a free copier.",
                 api_text_count(s->m->withheld_messages, "message", flags));
}

static void what_late(const struct subject *s, char *text, size_t size)
{
    char when[API_TEXT_BYTES], limit[API_TEXT_BYTES];
    snprintf(text, size,
             "It was not looked at in time: the last proven look at production was %s, and route %s allows "
             "%s. What "
             "arrived since then is not known, and would be lost if %s died now.",
             ago(s->m->proven_age_seconds, when), s->m->route,
             api_text_duration(s->verdict.lag_limit_seconds, limit), s->from);
}

static void what_behind(const struct subject *s, char *text, size_t size)
{
    char lag[API_TEXT_BYTES], limit[API_TEXT_BYTES];
    snprintf(
        text, size, "It is behind: the oldest change not yet mirrored was seen %s, and route %s allows %s.",
        ago(s->m->lag_seconds, lag), s->m->route, api_text_duration(s->verdict.lag_limit_seconds, limit));
}

static void what_on_hold(const struct subject *s, char *text, size_t size)
{
    char since[API_TEXT_BYTES];
    snprintf(text, size,
             "It has been on hold for %s: production's directory has nobody with this number any more who is "
             "to be "
             "subscribed on route %s. Nothing is copied, and nothing of it on %s is removed.",
             api_text_duration(s->m->on_hold_seconds, since), s->m->route, s->to);
}

static void what_handing_over(const struct subject *s, char *text, size_t size)
{
    snprintf(text, size,
             "The number is another person's now. What %s has of the former one goes to the hold place, then "
             "leaves %s, and only then the new one's subscriber is written there.",
             s->to, s->to);
}

static void what(const struct subject *s, char *text, size_t size)
{
    switch (s->verdict.state) {
    case API_STATE_UNROUTED:
        snprintf(text, size, "Route %s is not in the configuration any more, so nothing is mirrored on it.",
                 s->m->route);
        break;
    case API_STATE_PAUSED:
        snprintf(text, size,
                 "Route %s was paused by a person; nothing is mirrored on it until it is resumed.",
                 s->m->route);
        break;
    case API_STATE_STOPPED:
        what_stopped(s, text, size);
        break;
    case API_STATE_FAILING:
        what_failing(s, text, size);
        break;
    case API_STATE_REMOVING:
        snprintf(text, size, "A person ended the subscription; its copies are being removed from %s.", s->to);
        break;
    case API_STATE_ON_HOLD:
        what_on_hold(s, text, size);
        break;
    case API_STATE_HANDING_OVER:
        what_handing_over(s, text, size);
        break;
    case API_STATE_WORKING:
        snprintf(text, size, "A copier is working on it now (%s).",
                 s->m->doing_owner ? s->m->doing_owner : "");
        break;
    case API_STATE_NOT_LOOKED_AT:
        what_late(s, text, size);
        break;
    case API_STATE_NEW:
        snprintf(text, size, "It is new: its first copy has not been completed yet.");
        break;
    case API_STATE_BEHIND:
        what_behind(s, text, size);
        break;
    case API_STATE_WAITING:
        what_waiting(s, text, size);
        break;
    case API_STATE_NOT_EQUAL:
        what_not_equal(s, text, size);
        break;
    case API_STATE_HELD:
        what_held(s, text, size);
        break;
    case API_STATE_DELETING:
        what_deleting(s, text, size);
        break;
    default:
        what_equal(s, text, size);
        break;
    }
}

/* ---- since when ---- */

static double since_seconds(const struct subject *s)
{
    switch (s->verdict.state) {
    case API_STATE_FAILING:
        if (!is_given(s->m->error))
            return s->m->look_error_age_seconds;
        return s->m->error_since_seconds >= 0 ? s->m->error_since_seconds : s->m->error_age_seconds;
    case API_STATE_NOT_LOOKED_AT:
        return s->m->proven_age_seconds;
    case API_STATE_EQUAL:
    case API_STATE_NOT_EQUAL:
    case API_STATE_HELD:
    case API_STATE_DELETING:
        return -1;
    default:
        return s->m->lag_seconds > 0 ? s->m->lag_seconds : -1;
    }
}

static void since(const struct subject *s, char *text, size_t size)
{
    char duration[API_TEXT_BYTES];
    double seconds = since_seconds(s);
    if (seconds < 0)
        text[0] = '\0';
    else
        snprintf(text, size, "For %s.", api_text_duration(seconds, duration));
}

/* ---- whose fault ---- */

static void side_in_words(const struct subject *s, char *text, size_t size)
{
    if (s->verdict.side == ERR_SIDE_PRODUCTION)
        snprintf(text, size, "Production's: %s.", s->from);
    else if (s->verdict.side == ERR_SIDE_TARGET)
        snprintf(text, size, "The target's: %s.", s->to);
    else
        snprintf(text, size, "Ours: Message Mirror, its machine or its configuration.");
}

/* Of a message that could not be copied, only the words are on record. */
static void whose_not_equal(const struct subject *s, char *text, size_t size)
{
    if (s->m->refused_messages)
        snprintf(text, size,
                 "The words of each message below tell: %s did not give it, %s did not take it, or our own "
                 "limits forbid it.",
                 s->from, s->to);
    else
        side_in_words(s, text, size);
}

static void whose(const struct subject *s, char *text, size_t size)
{
    switch (s->verdict.state) {
    case API_STATE_EQUAL:
    case API_STATE_ON_HOLD:
    case API_STATE_HANDING_OVER:
    case API_STATE_WORKING:
    case API_STATE_NEW:
    case API_STATE_WAITING:
        snprintf(text, size, "Nobody's: this is how it should go.");
        break;
    case API_STATE_PAUSED:
    case API_STATE_UNROUTED:
        snprintf(text, size, "Nobody's: a person wanted it so.");
        break;
    case API_STATE_HELD:
        snprintf(text, size, "Nobody's: the brake on deletions asks a person.");
        break;
    case API_STATE_NOT_EQUAL:
        whose_not_equal(s, text, size);
        break;
    case API_STATE_DELETING:
        if (s->m->waiting_messages)
            side_in_words(s, text, size);
        else
            snprintf(text, size, "Nobody's: this is how it should go.");
        break;
    default:
        side_in_words(s, text, size);
        break;
    }
}

/* ---- what to do ---- */

static void todo_failing(const struct subject *s, char *text, size_t size)
{
    const char *site = s->verdict.side == ERR_SIDE_TARGET ? s->to : s->from;
    const char *scope = is_given(s->m->error) ? s->m->error_scope : "mailbox";
    if (s->verdict.side == ERR_SIDE_US)
        snprintf(text, size,
                 "Read the log of mirror-copier and of mirror-supervisor; `mirrorctl status` shows whether "
                 "all parts are running.");
    else if (str_equal(scope, err_scope_name(ERR_SITE)))
        snprintf(
            text, size,
            "Check that %s is up and answers on the IMAP address and port of the configuration, and that "
            "nothing between (firewall, certificate) is in the way.",
            site);
    else
        snprintf(text, size,
                 "Check on %s that mailbox %s exists, that its class of service allows full IMAP access, and "
                 "that it is neither locked nor full.",
                 site, s->m->mailbox);
}

static void todo_stopped(const struct subject *s, char *text, size_t size)
{
    const char *site = s->verdict.side == ERR_SIDE_TARGET ? s->to : s->from;
    snprintf(text, size,
             "On %s, check the trusted server's name and password, that IMAP4 Super User Access Allowed is "
             "Yes, and our "
             "address; here, trusted_server and login of that site. A new password file is tried at once.",
             site);
}

static void todo_not_equal(const struct subject *s, char *text, size_t size)
{
    const struct store_mirror_status *m = s->m;
    if (m->refused_messages)
        snprintf(text, size,
                 "Read the words of each message below. If %s did not take it, the mailbox there mostly is "
                 "full or allows shorter messages only: compare its class of service with production's. If "
                 "%s did not give it, have somebody try to hear it there.",
                 s->to, s->from);
    else if (m->missing_messages)
        snprintf(
            text, size,
            "Read the words of each message below: it was copied to %s, and is not there any more. Find out "
            "who or what removes it there.",
            s->to);
    else if (is_given(m->refused_keywords))
        snprintf(text, size,
                 "Ask the keeper of %s whether it can store these keywords; it is not asked again and again.",
                 s->to);
    else
        snprintf(text, size,
                 "Read the list below; `mirrorctl verify %s --deep` reads all of it back and compares again.",
                 m->mailbox);
}

static void todo_held(const struct subject *s, char *text, size_t size)
{
    const struct store_mirror_status *m = s->m;
    snprintf(text, size,
             "Read what it is, and allow or refuse it: mirrorctl held show %" PRIu64 ". There is no hurry.",
             m->held_plans ? m->held_plan : m->breaker_plan);
}

static void todo_waiting(const struct subject *s, char *text, size_t size)
{
    snprintf(
        text, size,
        "On %s, have somebody expunge what others marked as deleted in mailbox %s, or take their marks away; "
        "it is tried again and again.",
        s->to, s->m->mailbox);
}

static void todo(const struct subject *s, char *text, size_t size)
{
    switch (s->verdict.state) {
    case API_STATE_UNROUTED:
        snprintf(text, size,
                 "Put the route back into the configuration, or remove the mailbox: mirrorctl mailbox remove "
                 "%s",
                 s->m->mailbox);
        break;
    case API_STATE_PAUSED:
        snprintf(text, size, "When it may go on: mirrorctl resume %s", s->m->route);
        break;
    case API_STATE_ON_HOLD:
        snprintf(
            text, size,
            "Nothing; it goes on by itself when he is there again. To end it: mirrorctl mailbox remove %s",
            s->m->mailbox);
        break;
    case API_STATE_STOPPED:
        todo_stopped(s, text, size);
        break;
    case API_STATE_FAILING:
        todo_failing(s, text, size);
        break;
    case API_STATE_NOT_LOOKED_AT:
        snprintf(
            text, size,
            "Check that mirror-scanner runs (its log, `mirrorctl status`), and that %s answers. With many "
            "mailboxes, max_sessions and max_logins_per_second of %s may be too low for the target lag.",
            s->from, s->from);
        break;
    case API_STATE_BEHIND:
        snprintf(text, size,
                 "Check that copiers run and are not all busy (`mirrorctl status`); more of them "
                 "(workers.copier) or more sessions on %s and %s (max_sessions) help with much work.",
                 s->from, s->to);
        break;
    case API_STATE_NOT_EQUAL:
        todo_not_equal(s, text, size);
        break;
    case API_STATE_HELD:
        todo_held(s, text, size);
        break;
    case API_STATE_DELETING:
        if (s->m->waiting_messages)
            todo_waiting(s, text, size);
        else
            snprintf(text, size, "Nothing.");
        break;
    default:
        snprintf(text, size, "Nothing.");
        break;
    }
}

/* ---- when it is tried again ---- */

/* A turn comes by itself, then: nothing is wanted yet. */
static bool waits_for_second_look(const struct subject *s)
{
    enum api_state state = s->verdict.state;
    return !s->m->wanted && s->m->deletion_due_seconds >= 0 &&
           (state == API_STATE_DELETING || state == API_STATE_WAITING);
}

static void next_try(const struct subject *s, char *text, size_t size)
{
    char duration[API_TEXT_BYTES];
    enum api_state state = s->verdict.state;
    if (state == API_STATE_ON_HOLD)
        snprintf(text, size, "When a whole list of production has him again.");
    else if (state == API_STATE_UNROUTED || state == API_STATE_PAUSED || state == API_STATE_HELD)
        snprintf(text, size, "Not before a person acts.");
    else if (state == API_STATE_WORKING)
        snprintf(text, size, "Now.");
    else if (waits_for_second_look(s) && s->m->deletion_due_seconds >= 1)
        snprintf(text, size, "In %s.", api_text_duration(s->m->deletion_due_seconds, duration));
    else if (s->m->next_try_seconds >= 1)
        snprintf(text, size, "In %s.", api_text_duration(s->m->next_try_seconds, duration));
    else if (s->m->wanted || s->m->verify_wanted || s->m->handing_over || waits_for_second_look(s))
        snprintf(text, size, "As soon as a copier is free.");
    else
        snprintf(text, size, "With the next change that is seen on production.");
}

/* ---- what else is worth knowing ---- */

static void __attribute__((format(printf, 2, 3))) note(struct api_why *why, const char *format, ...)
{
    if (why->note_count == API_WHY_MAX_NOTES)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(why->notes[why->note_count++], API_WHY_BYTES, format, args);
    va_end(args);
}

/* What is said in `what` is not said again. */
static void note_gone(const struct subject *s, struct api_why *why)
{
    char count[API_TEXT_BYTES], text[API_TEXT_BYTES];
    const struct store_mirror_status *m = s->m;
    bool said = s->verdict.state == API_STATE_HELD, breaker_said = said && !m->held_plans;
    if (m->held_messages && !said && s->verdict.state != API_STATE_DELETING)
        note(why, "%s gone from production and held on %s, %s: mirrorctl held list --mailbox %s",
             api_text_count(m->held_messages, "message", count), s->to, which_plans(s, text), m->mailbox);
    if (m->gone_messages && m->breaker_plan && !breaker_said)
        note(why, "%s gone from production, left on %s while deletions are stopped.",
             api_text_count(m->gone_messages, "message", count), s->to);
    else if (m->gone_messages && !m->breaker_plan && s->verdict.state != API_STATE_DELETING)
        note(why, "%s gone from production, to be looked for once more %s, and then removed from %s.",
             api_text_count(m->gone_messages, "message", count), second_look(s, text), s->to);
    if (m->breaker_plan && !breaker_said)
        note(why,
             "Deletions and overwriting are stopped on all routes from %s%s: mirrorctl held show %" PRIu64,
             s->from, m->breaker_refused ? ", as a person wants it" : " until a person decides",
             m->breaker_plan);
    if (m->kept_messages)
        note(why,
             "%s gone from production, left on %s for good: %s refused to remove them (mirrorctl held show "
             "%" PRIu64 ").",
             api_text_count(m->kept_messages, "message", count), s->to,
             is_given(m->kept_by) ? m->kept_by : "a person", m->kept_plan);
    if (m->waiting_messages)
        note(why,
             "%s to be removed from %s, marked as deleted and waiting: it cannot remove just ours (no "
             "UIDPLUS), and "
             "others' messages are marked there too.",
             api_text_count(m->waiting_messages, "message", count), s->to);
}

static void note_handover(const struct subject *s, struct api_why *why)
{
    char count[API_TEXT_BYTES];
    const struct store_mirror_status *m = s->m;
    if (is_given(m->handover.place))
        note(why, "%s of a former owner of the number %s in %s on %s, for good.",
             api_text_count(m->handover.messages, "message", count), m->handover.messages == 1 ? "is" : "are",
             m->handover.place, m->handover.host);
}

/* Gone from production: what becomes of him is decided like what becomes of messages. */
static bool is_gone_from_production(const char *state)
{
    return str_equal(state, "gone") || str_equal(state, "held") || str_equal(state, "kept");
}

/* As the directory knows him; nothing where all is well. */
static void note_subscriber(const struct subject *s, struct api_why *why)
{
    const struct store_mirror_status *m = s->m;
    note_handover(s, why);
    if (m->handing_over)
        return;
    bool is_unknown = !is_given(m->subscriber_state);
    bool has_directory = s->route && config_route_has_directory(s->route) && s->route->directory.write;
    if (m->waits_for_owner && is_unknown)
        note(why,
             "It waits for its owner: no subscriber with this number is known yet. Once all numbers of %s's "
             "directory were listed, it is mirrored in any case; `mirrorctl status` shows how that goes.",
             s->from);
    else if (m->waits_for_owner)
        note(why,
             "It waits for its owner: the subscriber is not on %s yet%s%s. `mirrorctl directory list` shows "
             "all such.",
             s->to, is_given(m->subscriber_reason) ? ": " : "",
             is_given(m->subscriber_reason) ? m->subscriber_reason : "");
    else if (is_unknown && has_directory)
        note(why, "No subscriber has this number in %s's directory; its messages are mirrored all the same.",
             s->from);
    else if (is_gone_from_production(m->subscriber_state))
        note(why, "Its subscriber is gone from production (%s%s%s).", m->subscriber_state,
             is_given(m->subscriber_reason) ? ": " : "",
             is_given(m->subscriber_reason) ? m->subscriber_reason : "");
    else if (is_given(m->subscriber_state) && strcmp(m->subscriber_state, "equal") != 0)
        note(why, "Its subscriber is not equal on %s (%s%s%s)%s%s", s->to, m->subscriber_state,
             is_given(m->subscriber_attributes) ? ": " : "",
             is_given(m->subscriber_attributes) ? m->subscriber_attributes : "",
             is_given(m->subscriber_reason) ? ": " : "",
             is_given(m->subscriber_reason) ? m->subscriber_reason : "");
}

static void note_left_alone(const struct subject *s, struct api_why *why)
{
    char count[API_TEXT_BYTES];
    const struct store_mirror_status *m = s->m;
    if (m->gone_folders)
        note(why, "%s gone from production; on %s one that we made is removed once it is empty.",
             api_text_count(m->gone_folders, "folder", count), s->to);
    if (m->foreign_messages)
        note(why, "%s on %s that we did not put there, and leave alone.",
             api_text_count(m->foreign_messages, "message", count), s->to);
    if (m->late_messages)
        note(why, "%s mirrored later than others that arrived after them: there on %s, in another order.",
             api_text_count(m->late_messages, "message", count), s->to);
}

static void note_troubles(const struct subject *s, struct api_why *why)
{
    char count[API_TEXT_BYTES];
    const struct store_mirror_status *m = s->m;
    if (m->refused_messages && s->verdict.state != API_STATE_NOT_EQUAL)
        note(why, "%s could not be copied; the words of each stand below.",
             api_text_count(m->refused_messages, "message", count));
    if (m->altered_messages && s->verdict.state != API_STATE_NOT_EQUAL)
        note(why, "%s altered by %s when it stored them; they are not copied again.",
             api_text_count(m->altered_messages, "message", count), s->to);
    if (is_given(m->refused_keywords))
        note(why, "Keywords that %s refuses: %s", s->to, m->refused_keywords);
    if (is_given(m->look_error) && (s->verdict.state != API_STATE_FAILING || is_given(m->error)))
        note(why, "The last look at %s failed: %s", s->from, m->look_error);
    if (is_given(m->error) && s->verdict.state != API_STATE_FAILING)
        note(why, "The last try before ended with: %s", m->error);
}

static void note_proofs(const struct subject *s, struct api_why *why)
{
    char when[API_TEXT_BYTES], count[API_TEXT_BYTES];
    const struct store_mirror_status *m = s->m;
    if (s->verdict.late && s->verdict.state != API_STATE_NOT_LOOKED_AT)
        note(why, "Also not looked at in time: the last proven look at production was %s.",
             ago(m->proven_age_seconds, when));
    if (m->verify_differences >= 0)
        note(why, "Last verified %s: %s.", ago(m->verified_age_seconds, when),
             api_text_count((uint64_t)m->verify_differences, "difference", count));
}

void api_why_explain(const struct store_mirror_status *mirror, const struct config_route *route,
                     struct api_why *why_out)
{
    struct subject s = {.m = mirror, .route = route, .verdict = api_judge(mirror, route)};
    s.from = mirror->from_site ? mirror->from_site : "production";
    s.to = mirror->to_site ? mirror->to_site : "the target";
    why_out->note_count = 0;
    what(&s, why_out->what, sizeof why_out->what);
    since(&s, why_out->since, sizeof why_out->since);
    whose(&s, why_out->whose, sizeof why_out->whose);
    todo(&s, why_out->todo, sizeof why_out->todo);
    next_try(&s, why_out->next, sizeof why_out->next);
    note_subscriber(&s, why_out);
    note_troubles(&s, why_out);
    note_gone(&s, why_out);
    note_left_alone(&s, why_out);
    note_proofs(&s, why_out);
}
