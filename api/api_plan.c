/*
 * Held plans in words, in mirror-api: pure.
 */
#include "api/api_plan.h"

#include "api/api_text.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>

bool api_plan_is_site(const struct store_plan *plan)
{
    return str_equal(plan->kind, "site");
}

bool api_plan_is_directory(const struct store_plan *plan)
{
    return str_equal(plan->kind, "subscribers") || str_equal(plan->kind, "cos");
}

bool api_plan_is_open(const struct store_plan *plan)
{
    return str_equal(plan->state, "held") || (api_plan_is_site(plan) && str_equal(plan->state, "refused"));
}

static const char *target_of(const struct config_route *route)
{
    return route ? route->to : "the backup";
}

/* "1 message", "22 subscribers", "3 COS" */
static const char *count_of(const struct store_plan *plan, uint32_t number, char text[API_TEXT_BYTES])
{
    if (str_equal(plan->kind, "cos"))
        snprintf(text, API_TEXT_BYTES, "%" PRIu32 " COS", number);
    else
        api_text_count(number, api_plan_is_directory(plan) ? "subscriber" : "message", text);
    return text;
}

/* "messages", "subscribers", "COS" */
static const char *noun_of(const struct store_plan *plan)
{
    return str_equal(plan->kind, "cos") ? "COS" : api_plan_is_directory(plan) ? "subscribers" : "messages";
}

/* ---- what it is ---- */

static void what(const struct store_plan *plan, const struct config_route *route, char *text, size_t size)
{
    char count[API_TEXT_BYTES];
    bool open = api_plan_is_open(plan);
    if (api_plan_is_site(plan))
        snprintf(
            text, size,
            "Signs that %s was restored, rebuilt or exchanged: deletions and overwriting %s stopped on all "
            "routes from it.%s",
            plan->site, open ? "are" : "were", open ? " New messages are copied as ever." : "");
    else if (api_plan_is_directory(plan))
        snprintf(text, size, "%s gone from %s, and %s on %s (route %s)%s",
                 count_of(plan, plan->messages, count), plan->site, open ? "left" : "held", target_of(route),
                 plan->route, open ? " until a person decides. All others are kept equal as ever." : ".");
    else
        snprintf(text, size, "%s of mailbox %s gone from %s, and %s on %s (route %s)%s",
                 api_text_count(plan->messages, "message", count), plan->mailbox, plan->site,
                 open ? "left" : "held", target_of(route), plan->route,
                 open ? " until a person decides. New messages are copied as ever." : ".");
}

/* ---- what a person may do ---- */

static void if_allowed(const struct store_plan *plan, const struct config_route *route, char *text,
                       size_t size)
{
    char count[API_TEXT_BYTES];
    if (api_plan_is_site(plan))
        snprintf(
            text, size,
            "This is our production as it is now: deletions and overwriting go on, on all routes from %s. "
            "What a mailbox lost meanwhile passes the limits once more, and is held if it is too much.",
            plan->site);
    else
        snprintf(
            text, size,
            "%s will be removed from %s, after they were looked for on %s once more; those that are back by "
            "then stay. Nothing that is not in this list is removed.%s",
            count_of(plan, plan->open, count), target_of(route), plan->site,
            str_equal(plan->kind, "cos") ? " A COS that subscribers still have there waits until none has it."
                                         : "");
}

static void if_refused(const struct store_plan *plan, const struct config_route *route, char *text,
                       size_t size)
{
    char count[API_TEXT_BYTES];
    if (api_plan_is_site(plan))
        snprintf(text, size,
                 "It is not: everything stays stopped until %ssomebody allows this plan after all.",
                 *plan->words ? "the former production answers again, or " : "");
    else
        snprintf(text, size, "%s will stay on %s for good, and are not asked about again.%s",
                 count_of(plan, plan->open, count), target_of(route),
                 api_plan_is_directory(plan) ? " What comes back to production is kept equal as ever." : "");
}

/* ---- how it stands ---- */

static const char *verb_of(const struct store_plan *plan)
{
    return str_equal(plan->state, "refused") ? "refused" : "allowed";
}

void api_plan_over(const struct store_plan *plan, char text[API_PLAN_BYTES])
{
    char age[API_TEXT_BYTES];
    if (plan->decided_age_seconds >= 0)
        snprintf(text, API_PLAN_BYTES, "plan %" PRIu64 " was %s by %s %s ago: \"%s\"", plan->plan_id,
                 verb_of(plan), plan->decided_by, api_text_duration(plan->decided_age_seconds, age),
                 plan->decision);
    else
        snprintf(text, API_PLAN_BYTES, "plan %" PRIu64 " is over, without a decision: %s%s%s", plan->plan_id,
                 api_plan_is_site(plan) ? "the former production answers again" : "none of its ",
                 api_plan_is_site(plan) ? "" : noun_of(plan),
                 api_plan_is_site(plan) ? "" : " is held any more");
}

static void now(const struct store_plan *plan, char *text, size_t size)
{
    if (str_equal(plan->state, "held"))
        snprintf(text, size, "It waits for a person.");
    else if (api_plan_is_site(plan) && str_equal(plan->state, "refused"))
        snprintf(text, size, "It was refused: deletions and overwriting stay stopped.");
    else if (str_equal(plan->state, "allowed"))
        snprintf(text, size, "It was allowed; %s carries it out.",
                 api_plan_is_directory(plan) ? "ldapsync" : "a copier");
    else if (str_equal(plan->state, "refused"))
        snprintf(text, size, "It was refused: its %s stay for good.", noun_of(plan));
    else if (str_equal(plan->state, "done"))
        snprintf(text, size, "It was allowed, and carried out.");
    else if (api_plan_is_site(plan))
        snprintf(text, size, "It is over: the former production answers again.");
    else
        snprintf(text, size, "It is over: none of its %s is held any more.", noun_of(plan));
}

/* ---- JSON ---- */

static void add_counts(cJSON *object, const struct store_plan *plan)
{
    cJSON *counts = cJSON_AddObjectToObject(object, api_plan_is_directory(plan) ? "entries" : "messages");
    cJSON_AddNumberToObject(counts, "total", plan->messages);
    cJSON_AddNumberToObject(counts, "open", plan->open);
    cJSON_AddNumberToObject(counts, "removed", plan->removed);
    cJSON_AddNumberToObject(counts, "kept", plan->kept);
    cJSON_AddNumberToObject(counts, "back", plan->back);
}

static void add_sentences(cJSON *object, const struct store_plan *plan, const struct config_route *route)
{
    char text[API_PLAN_BYTES];
    bool open = api_plan_is_open(plan);
    what(plan, route, text, sizeof text);
    api_text_add(object, "what", text);
    if_allowed(plan, route, text, sizeof text);
    api_text_add(object, "if_allowed", open ? text : "");
    if_refused(plan, route, text, sizeof text);
    api_text_add(object, "if_refused", open && str_equal(plan->state, "held") ? text : "");
    now(plan, text, sizeof text);
    api_text_add(object, "now", text);
}

cJSON *api_plan_json(const struct store_plan *plan, const struct config_route *route)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "id", (double)plan->plan_id);
    api_text_add(object, "kind", plan->kind);
    api_text_add(object, "state", plan->state);
    api_text_add(object, "site", plan->site);
    api_text_add(object, "route", plan->route);
    api_text_add(object, "to", route ? route->to : "");
    api_text_add(object, "mailbox", plan->mailbox);
    api_text_add(object, "reason", plan->reason);
    api_text_add(object, "introduces_itself", plan->words);
    cJSON_AddBoolToObject(object, "open", api_plan_is_open(plan));
    add_counts(object, plan);
    api_text_add_seconds(object, "made_age_seconds", plan->made_age_seconds);
    api_text_add_seconds(object, "decided_age_seconds", plan->decided_age_seconds);
    api_text_add_seconds(object, "ended_age_seconds", plan->ended_age_seconds);
    api_text_add(object, "decided_by", plan->decided_by);
    api_text_add(object, "decision", plan->decision);
    add_sentences(object, plan, route);
    return object;
}
