/*
 * Held plans over HTTP, in mirror-api.
 */
#include "api/api_held.h"

#include "api/api_page.h"
#include "api/api_plan.h"
#include "api/api_problem.h"
#include "api/api_text.h"
#include "api/api_wake.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

#include <inttypes.h>
#include <string.h>

enum { REASON_BYTES = 800 };

/* ---- queries ---- */

static int read_filter(const struct api_request *request, struct store_plan_filter *filter, struct err *err)
{
    const char *all = api_query(request, "all");
    *filter = (struct store_plan_filter){.mailbox = api_query(request, "mailbox"),
                                         .route = api_query(request, "route"),
                                         .open_only = !str_equal(all, "true")};
    if (all && !str_equal(all, "true") && !str_equal(all, "false"))
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "all must be true or false");
    const char *const names[] = {filter->mailbox, filter->route};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i] && !str_is_mailbox_number(names[i]))
            return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                           "'%.80s' is neither a mailbox number nor a route's name", names[i]);
    return api_page_limit(request, &filter->limit, err) < 0
               ? -1
               : api_page_after(request, &filter->after_plan_id, err);
}

/* The plan's number in the path; 0: it is none, and was answered. */
static uint64_t plan_of(const struct api_request *request, struct api_answer *answer)
{
    uint64_t id = 0;
    if (str_to_u64(request->param, &id) < 0 || id == 0 || id > INT64_MAX) {
        api_problem(answer, 404, "'%s' is no plan's number; mirrorctl held list shows them", request->param);
        return 0;
    }
    return id;
}

/* ---- list ---- */

struct listing {
    const struct config *config;
    cJSON *plans;
    uint32_t count;
    uint64_t last_id;
};

static void add_plan(void *context, const struct store_plan *plan)
{
    struct listing *listing = context;
    cJSON_AddItemToArray(listing->plans,
                         api_plan_json(plan, config_route_find(listing->config, plan->route)));
    listing->count++;
    listing->last_id = plan->plan_id;
}

void api_held_list(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    struct store_plan_filter filter;
    if (read_filter(request, &filter, &err) < 0) {
        api_problem(answer, 400, "%s", err.text);
        return;
    }
    struct listing listing = {.config = api->config, .plans = cJSON_CreateArray()};
    struct store *store = api_store(api, &err);
    if (!store || store_plan_list(store, &filter, add_plan, &listing, &err) < 0) {
        cJSON_Delete(listing.plans);
        api_problem_from(api, answer, &err, 500);
        return;
    }
    cJSON *document = cJSON_CreateObject();
    cJSON_AddItemToObject(document, "held", listing.plans);
    api_page_add_next(document, listing.count == filter.limit, listing.last_id);
    api_answer_json(answer, 200, document);
}

static void add_breaker(void *context, const struct store_plan *plan)
{
    cJSON_AddItemToArray(context, api_plan_json(plan, NULL));
}

cJSON *api_held_summary(struct store *store, struct err *err)
{
    struct store_plan_waiting waiting;
    struct store_plan_filter tripped = {.open_only = true, .sites_only = true};
    cJSON *document = cJSON_CreateObject(), *breakers = cJSON_AddArrayToObject(document, "breakers");
    if (store_plan_list(store, &tripped, add_breaker, breakers, err) < 0 ||
        store_plan_count(store, &waiting, err) < 0) {
        cJSON_Delete(document);
        return NULL;
    }
    cJSON_AddNumberToObject(document, "plans", waiting.plans);
    cJSON_AddNumberToObject(document, "messages", (double)waiting.messages);
    cJSON_AddNumberToObject(document, "entries", (double)waiting.entries);
    return document;
}

/* ---- show ---- */

/* The plan, NULL if there is none (err is clear then) or on an error. */
static cJSON *one_plan(struct api *api, struct store *store, uint64_t plan_id, struct err *err)
{
    struct listing listing = {.config = api->config, .plans = cJSON_CreateArray()};
    struct store_plan_filter filter = {.plan_id = plan_id};
    cJSON *plan = NULL;
    if (store_plan_list(store, &filter, add_plan, &listing, err) == 0)
        plan = cJSON_DetachItemFromArray(listing.plans, 0);
    cJSON_Delete(listing.plans);
    return plan;
}

static void add_message(void *context, const struct store_plan_message *message)
{
    struct listing *listing = context;
    char when[32];
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "message_id", (double)message->message_id);
    api_text_add(item, "folder", message->folder);
    if (message->source_uid)
        cJSON_AddNumberToObject(item, "uid", message->source_uid);
    else
        cJSON_AddNullToObject(item, "uid");
    api_text_add(item, "date", clock_format_utc(message->internal_date * 1000000, when));
    cJSON_AddNumberToObject(item, "size_bytes", (double)message->size_bytes);
    api_text_add(item, "outcome", message->outcome);
    cJSON_AddItemToArray(listing->plans, item);
    listing->count++;
    listing->last_id = message->message_id;
}

static void add_entry(void *context, const struct store_plan_entry *entry)
{
    struct listing *listing = context;
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "entry_id", (double)entry->entry_id);
    api_text_add(item, "number", entry->number);
    api_text_add(item, "name", entry->name);
    api_text_add(item, "dn", entry->dn);
    api_text_add(item, "outcome", entry->outcome);
    cJSON_AddItemToArray(listing->plans, item);
    listing->count++;
    listing->last_id = entry->entry_id;
}

/* A page of the plan's set: what it has, be it messages or entries. */
static int add_set(struct store *store, uint64_t plan_id, uint64_t after, uint32_t limit,
                   struct listing *listing, struct err *err)
{
    return store_plan_messages(store, plan_id, after, limit, add_message, listing, err) < 0 ||
                   store_plan_entries(store, plan_id, after, limit, add_entry, listing, err) < 0
               ? -1
               : 0;
}

static void no_such_plan(struct api_answer *answer, uint64_t plan_id)
{
    api_problem(answer, 404, "there is no plan %" PRIu64 "; mirrorctl held list shows those that there are",
                plan_id);
}

void api_held_show(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    uint32_t limit;
    uint64_t after, plan_id = plan_of(request, answer);
    if (!plan_id)
        return;
    if (api_page_limit(request, &limit, &err) < 0 || api_page_after(request, &after, &err) < 0) {
        api_problem(answer, 400, "%s", err.text);
        return;
    }
    struct store *store = api_store(api, &err);
    cJSON *document = store ? one_plan(api, store, plan_id, &err) : NULL;
    struct listing set = {.plans = document ? cJSON_AddArrayToObject(document, "list") : NULL};
    if (document && add_set(store, plan_id, after, limit, &set, &err) == 0) {
        api_page_add_next(document, set.count == limit, set.last_id);
        api_answer_json(answer, 200, document);
        return;
    }
    cJSON_Delete(document);
    if (err.scope != ERR_NONE)
        api_problem_from(api, answer, &err, 500);
    else
        no_such_plan(answer, plan_id);
}

/* ---- decide ---- */

/* One line for ever on record: it says something, and steers no terminal. */
static int check_reason(const char *reason, struct err *err)
{
    if (reason[strspn(reason, " ")] == '\0')
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                       "reason must not be empty: say why, it is kept on record");
    for (const char *at = reason; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "reason must be one line of plain text");
    return 0;
}

static int read_reason(const cJSON *body, const char **reason_out, struct err *err)
{
    static const char *const known[] = {"reason", NULL};
    if (json_has_only(body, known, err) < 0)
        return -1;
    if (!json_has(body, "reason"))
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                       "reason is missing: say why, as {\"reason\": \"…\"}; it is kept on record");
    if (json_get_string(body, "reason", REASON_BYTES, reason_out, err) < 0)
        return -1;
    return check_reason(*reason_out, err);
}

struct over {
    char text[API_PLAN_BYTES];
};

static void tell_over(void *context, const struct store_plan *plan)
{
    struct over *over = context;
    api_plan_over(plan, over->text);
}

/* 409: by whom, when and why it was decided already. */
static void answer_over(struct api *api, struct store *store, uint64_t plan_id, struct api_answer *answer)
{
    struct err err = {0};
    struct over over = {""};
    struct store_plan_filter filter = {.plan_id = plan_id};
    if (store_plan_list(store, &filter, tell_over, &over, &err) < 0)
        api_problem_from(api, answer, &err, 500);
    else
        api_problem(answer, 409, "%s", over.text);
}

static void decide(struct api *api, uint64_t plan_id, const struct store_plan_decision *decision,
                   struct api_answer *answer)
{
    struct err err = {0};
    enum store_plan_decided decided;
    char state[STORE_PLAN_STATE_BYTES];
    struct store *store = api_store(api, &err);
    if (!store || store_plan_decide(store, plan_id, decision, &decided, state, &err) < 0) {
        api_problem_from(api, answer, &err, 500);
        return;
    }
    if (decided == STORE_PLAN_UNKNOWN) {
        no_such_plan(answer, plan_id);
        return;
    }
    if (decided == STORE_PLAN_OVER) {
        answer_over(api, store, plan_id, answer);
        return;
    }
    log_info("a person decided a held plan", LOG_UINT("plan", plan_id), LOG_STR("state", state),
             LOG_STR("who", decision->who), LOG_STR("reason", decision->reason));
    api_wake_scanners(api->wake, NULL);
    cJSON *plan = one_plan(api, store, plan_id, &err);
    if (!plan) { /* the store went away: what was decided holds */
        plan = cJSON_CreateObject();
        cJSON_AddNumberToObject(plan, "id", (double)plan_id);
        api_text_add(plan, "state", state);
    }
    api_answer_json(answer, 200, plan);
}

static void read_and_decide(struct api *api, struct api_request *request, bool allow,
                            struct api_answer *answer)
{
    struct err err = {0};
    struct store_plan_decision decision = {.allow = allow, .who = request->who};
    uint64_t plan_id = plan_of(request, answer);
    if (!plan_id)
        return;
    cJSON *body = request->body_len == 0
                      ? cJSON_CreateObject()
                      : json_parse_object(request->body, request->body_len, request->body_len, &err);
    if (!body)
        api_problem(answer, 400, "%s", err.text);
    else if (read_reason(body, &decision.reason, &err) < 0)
        api_problem(answer, 422, "%s", err.text);
    else
        decide(api, plan_id, &decision, answer);
    cJSON_Delete(body);
}

void api_held_allow(struct api *api, struct api_request *request, struct api_answer *answer)
{
    read_and_decide(api, request, true, answer);
}

void api_held_refuse(struct api *api, struct api_request *request, struct api_answer *answer)
{
    read_and_decide(api, request, false, answer);
}
