/*
 * Mailboxes over HTTP, in mirror-api.
 */
#include "api/api_mailbox.h"

#include "api/api_mirror.h"
#include "api/api_problem.h"
#include "api/api_subscribe.h"
#include "api/api_text.h"
#include "api/api_wake.h"
#include "base/json.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_LIMIT = 200, MAX_LIMIT = 1000 };

/* ---- list and show ---- */

static int list_filter(const struct api_request *request, struct store_status_filter *filter, struct err *err)
{
    const char *limit = api_query(request, "limit");
    *filter = (struct store_status_filter){.mailbox = api_query(request, "mailbox"),
                                           .route = api_query(request, "route"),
                                           .after_mailbox = api_query(request, "after"),
                                           .limit = DEFAULT_LIMIT};
    if (limit && (str_to_u32(limit, &filter->limit) < 0 || filter->limit < 1 || filter->limit > MAX_LIMIT))
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "limit must be a number from 1 to %d", MAX_LIMIT);
    const char *const names[] = {filter->mailbox, filter->route, filter->after_mailbox};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i] && !str_is_mailbox_number(names[i]))
            return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                           "'%.80s' is neither a mailbox number nor a route's name", names[i]);
    return 0;
}

void api_mailbox_list(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    struct store_status_filter filter;
    if (list_filter(request, &filter, &err) < 0) {
        api_problem(answer, 400, "%s", err.text);
        return;
    }
    struct api_mirror_list list = {.config = api->config, .mailboxes = cJSON_CreateArray()};
    struct store *store = api_store(api, &err);
    if (!store || store_mailbox_status(store, &filter, api_mirror_list_add, &list, &err) < 0) {
        cJSON_Delete(list.mailboxes);
        api_problem_from(api, answer, &err, 500);
        return;
    }
    cJSON *document = cJSON_CreateObject();
    cJSON_AddItemToObject(document, "mailboxes", list.mailboxes);
    if (list.count == filter.limit)
        api_text_add(document, "next", cJSON_GetObjectItemCaseSensitive(list.last, "number")->valuestring);
    else
        cJSON_AddNullToObject(document, "next");
    api_answer_json(answer, 200, document);
}

static cJSON *mirror_of_route(const cJSON *mailbox, const char *route)
{
    cJSON *mirror;
    cJSON_ArrayForEach (mirror, cJSON_GetObjectItemCaseSensitive(mailbox, "mirrors"))
        if (str_equal(cJSON_GetObjectItemCaseSensitive(mirror, "route")->valuestring, route))
            return mirror;
    return NULL;
}

static void add_folder(void *context, const struct store_folder_status *folder)
{
    cJSON *mirror = mirror_of_route(context, folder->route);
    if (!mirror)
        return; /* made between the two queries */
    cJSON *folders = cJSON_GetObjectItemCaseSensitive(mirror, "folders");
    if (!folders)
        folders = cJSON_AddArrayToObject(mirror, "folders");
    cJSON *item = cJSON_CreateObject();
    api_text_add(item, "name", folder->name);
    api_text_add(item, "target_name", folder->target_name);
    cJSON_AddNumberToObject(item, "messages", folder->messages);
    cJSON_AddNumberToObject(item, "refused", folder->refused);
    cJSON_AddNumberToObject(item, "altered", folder->altered);
    cJSON_AddNumberToObject(item, "lost", folder->lost);
    cJSON_AddNumberToObject(item, "gone", folder->gone);
    cJSON_AddNumberToObject(item, "foreign", folder->foreign_messages);
    cJSON_AddBoolToObject(item, "gone_from_production", folder->gone_folder);
    cJSON_AddItemToArray(folders, item);
}

/* The mailbox as JSON, NULL if it isn't subscribed (err is clear then) or on an error. */
static cJSON *one_mailbox(struct api *api, struct store *store, const char *number, struct err *err)
{
    struct store_status_filter filter = {.mailbox = number};
    struct api_mirror_list list = {.config = api->config, .mailboxes = cJSON_CreateArray()};
    cJSON *mailbox = NULL;
    if (store_mailbox_status(store, &filter, api_mirror_list_add, &list, err) == 0 && list.count > 0)
        mailbox = cJSON_DetachItemFromArray(list.mailboxes, 0);
    cJSON_Delete(list.mailboxes);
    return mailbox;
}

void api_mailbox_show(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    struct store *store = api_store(api, &err);
    cJSON *mailbox = store ? one_mailbox(api, store, request->param, &err) : NULL;
    if (mailbox && store_mailbox_folders(store, request->param, add_folder, mailbox, &err) < 0) {
        cJSON_Delete(mailbox);
        mailbox = NULL;
    }
    if (mailbox)
        api_answer_json(answer, 200, mailbox);
    else if (err.scope != ERR_NONE)
        api_problem_from(api, answer, &err, 500);
    else
        api_problem(answer, 404, "mailbox %s is not subscribed", request->param);
}

/* ---- add and remove ---- */

/* A member that is a string, or NULL if it is not there or null. */
static int optional_text(const cJSON *object, const char *name, const char **text_out, struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    *text_out = NULL;
    if (!item || cJSON_IsNull(item))
        return 0;
    if (!cJSON_IsString(item))
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "%s must be a text in quotes", name);
    *text_out = item->valuestring;
    return 0;
}

static int read_priority(struct api_subscribe *subscribe, const cJSON *body, struct err *err)
{
    uint64_t priority = 0;
    char text[24];
    if (!json_has(body, "priority") || cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(body, "priority")))
        return 0;
    if (json_get_u64(body, "priority", UINT32_MAX, &priority, NULL) < 0)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                       "priority must be a whole number from 1 (most urgent) to 8, without quotes");
    snprintf(text, sizeof text, "%llu", (unsigned long long)priority);
    return api_subscribe_priority(subscribe, text, err);
}

static int read_routes(struct api_subscribe *subscribe, const struct config *config, const cJSON *body,
                       struct err *err)
{
    const cJSON *routes = cJSON_GetObjectItemCaseSensitive(body, "routes"), *route;
    if (!routes || cJSON_IsNull(routes))
        return 0;
    if (!cJSON_IsArray(routes))
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "routes must be a list of names, such as [\"dr\"]");
    cJSON_ArrayForEach (route, routes) {
        if (!cJSON_IsString(route))
            return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                           "routes must be a list of names, such as [\"dr\"]");
        if (api_subscribe_route(subscribe, config, route->valuestring, err) < 0)
            return -1;
    }
    return 0;
}

static int read_body(struct api_subscribe *subscribe, const struct config *config, const cJSON *body,
                     struct err *err)
{
    static const char *const known[] = {"mailbox", "name", "cos", "priority", "routes", NULL};
    const char *number, *name, *cos;
    if (json_has_only(body, known, err) < 0)
        return -1;
    if (optional_text(body, "mailbox", &number, err) < 0 || api_subscribe_number(subscribe, number, err) < 0)
        return -1;
    if (optional_text(body, "name", &name, err) < 0 || api_subscribe_name(subscribe, name, err) < 0)
        return -1;
    if (optional_text(body, "cos", &cos, err) < 0 || api_subscribe_cos(subscribe, cos, err) < 0)
        return -1;
    if (read_priority(subscribe, body, err) < 0)
        return -1;
    return read_routes(subscribe, config, body, err);
}

static void add(struct api *api, const struct api_request *request, struct api_subscribe *subscribe,
                struct api_answer *answer)
{
    struct err err = {0};
    char what[128];
    enum store_added added;
    snprintf(what, sizeof what, "mailbox add %s", subscribe->mailbox.number);
    struct store *store = api_store(api, &err);
    if (!store || store_audit(store, request->who, what, request->body, &err) < 0 ||
        api_subscribe_store(store, subscribe, &added, &err) < 0) {
        api_problem_from(api, answer, &err, 422);
        return;
    }
    if (added != STORE_ADDED_UNCHANGED)
        api_wake_scanners(api->wake, NULL);
    cJSON *mailbox = one_mailbox(api, store, subscribe->mailbox.number, &err);
    if (!mailbox) { /* removed again already, or the store went away: the first part still holds */
        mailbox = cJSON_CreateObject();
        api_text_add(mailbox, "number", subscribe->mailbox.number);
    }
    api_text_add(mailbox, "result", api_subscribe_added_word(added));
    snprintf(answer->location, sizeof answer->location, "/api/v1/mailboxes/%s", subscribe->mailbox.number);
    api_answer_json(answer, added == STORE_ADDED ? 201 : 200, mailbox);
}

void api_mailbox_add(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    struct api_subscribe subscribe = {0};
    cJSON *body = json_parse_object(request->body, request->body_len, request->body_len, &err);
    if (!body)
        api_problem(answer, 400, "%s", err.text);
    else if (read_body(&subscribe, api->config, body, &err) < 0)
        api_problem(answer, 422, "%s", err.text);
    else
        add(api, request, &subscribe, answer);
    cJSON_Delete(body);
}

/* "?copies=remove": the copies on the targets go first, and then the mailbox. */
static bool wants_copies_removed(const struct api_request *request, bool *valid_out)
{
    const char *copies = api_query(request, "copies");
    bool remove = str_equal(copies, "remove");
    *valid_out = !copies || remove || str_equal(copies, "keep");
    return remove;
}

void api_mailbox_remove(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    char what[128];
    bool found = false, valid, with_copies = wants_copies_removed(request, &valid);
    if (!valid) {
        api_problem(answer, 422, "copies must be keep or remove, such as ?copies=keep");
        return;
    }
    snprintf(what, sizeof what, "mailbox remove %s%s", request->param, with_copies ? " with its copies" : "");
    struct store *store = api_store(api, &err);
    if (!store || store_audit(store, request->who, what, "", &err) < 0 ||
        (with_copies ? store_mailbox_remove_with_copies(store, request->param, &found, &err)
                     : store_mailbox_remove(store, request->param, &found, &err)) < 0) {
        api_problem_from(api, answer, &err, 422);
        return;
    }
    if (!found) {
        api_problem(answer, 404, "mailbox %s is not subscribed", request->param);
        return;
    }
    api_wake_scanners(api->wake, NULL);
    cJSON *document = cJSON_CreateObject();
    api_text_add(document, "number", request->param);
    api_text_add(document, "result", with_copies ? "removing" : "removed");
    api_answer_json(answer, with_copies ? 202 : 200, document);
}
