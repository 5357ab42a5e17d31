/*
 * The directory over HTTP, in mirror-api.
 */
#include "api/api_directory.h"

#include "api/api_page.h"
#include "api/api_problem.h"
#include "api/api_text.h"
#include "base/json.h"
#include "base/str.h"
#include "store/store_directory.h"
#include "store/store_entry.h"
#include "store/store_handover.h"
#include "store/store_mailbox.h"

#include <string.h>

/* ---- how it stands ---- */

static void add_counts(cJSON *route, const char *name, const struct store_directory_counts *counts)
{
    const struct {
        const char *name;
        uint32_t value;
    } figures[] = {{"total", counts->total},     {"equal", counts->equal},     {"differs", counts->differs},
                   {"missing", counts->missing}, {"waiting", counts->waiting}, {"unproven", counts->unproven},
                   {"gone", counts->gone},       {"held", counts->held},       {"kept", counts->kept},
                   {"foreign", counts->foreign}};
    cJSON *object = cJSON_AddObjectToObject(route, name);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        cJSON_AddNumberToObject(object, figures[i].name, figures[i].value);
    api_text_add_seconds(object, "oldest_difference_seconds", counts->oldest_difference_seconds);
    api_text_add_seconds(object, "oldest_proof_seconds", counts->oldest_proof_seconds);
}

static void add_directory(void *context, const struct store_directory_status *status)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"wanted_seq", status->wanted_seq},           {"done_seq", status->done_seq},
                   {"full_wanted_seq", status->full_wanted_seq}, {"full_done_seq", status->full_done_seq},
                   {"dry_wanted_seq", status->dry_wanted_seq},   {"dry_done_seq", status->dry_done_seq}};
    cJSON *route = cJSON_CreateObject();
    api_text_add(route, "route", status->route);
    api_text_add(route, "from", status->from_site);
    api_text_add(route, "to", status->to_site);
    api_text_add(route, "means", status->means);
    cJSON_AddBoolToObject(route, "paused", status->paused);
    cJSON_AddBoolToObject(route, "working", status->working);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        cJSON_AddNumberToObject(route, numbers[i].name, (double)numbers[i].value);
    add_counts(route, "subscribers", &status->subscribers);
    add_counts(route, "cos", &status->cos);
    cJSON_AddNumberToObject(route, "troubles", status->troubles);
    api_text_add_seconds(route, "changes_age_seconds", status->changes_age_seconds);
    api_text_add_seconds(route, "listed_age_seconds", status->listed_age_seconds);
    api_text_add_seconds(route, "compared_age_seconds", status->compared_age_seconds);
    api_text_add_seconds(route, "dry_age_seconds", status->dry_age_seconds);
    api_text_add(route, "error", status->error);
    api_text_add(route, "error_side", status->error_side);
    api_text_add_seconds(route, "error_since_seconds", status->error_since_seconds);
    cJSON_AddItemToArray(context, route);
}

cJSON *api_directory_summary(struct store *store, struct err *err)
{
    cJSON *routes = cJSON_CreateArray();
    if (store_directory_list(store, add_directory, routes, err) == 0)
        return routes;
    cJSON_Delete(routes);
    return NULL;
}

static void answer_summary(struct api *api, struct store *store, unsigned status, struct api_answer *answer)
{
    struct err err = {0};
    cJSON *routes = api_directory_summary(store, &err);
    if (!routes) {
        api_problem_from(api, answer, &err, 500);
        return;
    }
    cJSON *document = cJSON_CreateObject();
    cJSON_AddItemToObject(document, "routes", routes);
    api_answer_json(answer, status, document);
}

void api_directory_list(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    struct store *store = api_store(api, &err);
    (void)request;
    if (store)
        answer_summary(api, store, 200, answer);
    else
        api_problem_from(api, answer, &err, 500);
}

/* ---- lists ---- */

struct listing {
    cJSON *list;
    uint64_t last_id;
    uint32_t count;
};

static const char *kind_word(enum store_kind kind)
{
    return kind == STORE_COS ? "cos" : "subscriber";
}

static void add_entry(void *context, const struct store_entry_status *entry)
{
    struct listing *listing = context;
    cJSON *object = cJSON_CreateObject();
    const struct {
        const char *name, *value;
    } texts[] = {{"kind", kind_word(entry->kind)},
                 {"number", entry->number},
                 {"name", entry->name},
                 {"identity", entry->identity},
                 {"cos", entry->cos},
                 {"state", entry->state},
                 {"attributes", entry->attributes},
                 {"reason", entry->reason},
                 {"stored_otherwise", entry->known},
                 {"password_error", entry->password_error}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        api_text_add(object, texts[i].name, texts[i].value);
    api_text_add_seconds(object, "differs_seconds", entry->differs_seconds);
    api_text_add_seconds(object, "proven_seconds", entry->proven_seconds);
    api_text_add_seconds(object, "next_try_seconds", entry->next_try_seconds);
    api_text_add_seconds(object, "password_proven_seconds", entry->password_proven_seconds);
    cJSON_AddItemToArray(listing->list, object);
    listing->last_id = entry->entry_id;
    listing->count++;
}

static int read_filter(const struct api_request *request, struct store_entry_filter *filter, struct err *err)
{
    const char *kind = api_query(request, "kind");
    *filter = (struct store_entry_filter){.route = request->param,
                                          .number = api_query(request, "number"),
                                          .kind = -1,
                                          .state = api_query(request, "state")};
    if (kind && !str_equal(kind, "cos") && !str_equal(kind, "subscriber"))
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "kind must be subscriber or cos");
    if (filter->state && !str_equal(filter->state, "not-equal") && !store_entry_state_is(filter->state))
        return err_set(
            err, ERR_MAILBOX, ERR_RETRY_NEVER,
            "state must be not-equal, unproven, equal, differs, missing, waiting, gone, held or kept");
    if (filter->number && !str_is_mailbox_number(filter->number))
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "'%.80s' is no mailbox or COS number",
                       filter->number);
    if (kind)
        filter->kind = str_equal(kind, "cos") ? STORE_COS : STORE_SUBSCRIBER;
    return api_page_limit(request, &filter->limit, err) < 0
               ? -1
               : api_page_after(request, &filter->after_entry_id, err);
}

static bool has_route(const struct api *api, const struct api_request *request, struct api_answer *answer)
{
    const struct config_route *route = config_route_find(api->config, request->param);
    if (route && config_route_has_directory(route))
        return true;
    api_problem(answer, 404, "there is no route %s with a directory; mirrorctl status shows them",
                request->param);
    return false;
}

void api_directory_entries(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    struct store_entry_filter filter;
    struct listing listing = {0};
    if (read_filter(request, &filter, &err) < 0) {
        api_problem(answer, 422, "%s", err.text);
        return;
    }
    if (!has_route(api, request, answer))
        return;
    struct store *store = api_store(api, &err);
    cJSON *document = cJSON_CreateObject();
    listing.list = cJSON_AddArrayToObject(document, "entries");
    if (!store || store_entry_list(store, &filter, add_entry, &listing, &err) < 0) {
        cJSON_Delete(document);
        api_problem_from(api, answer, &err, 500);
        return;
    }
    api_page_add_next(document, listing.count == filter.limit, listing.last_id);
    api_answer_json(answer, 200, document);
}

static void add_trouble(void *context, const struct store_trouble_status *trouble)
{
    cJSON *object = cJSON_CreateObject();
    api_text_add(object, "side", trouble->side);
    api_text_add(object, "kind", kind_word(trouble->kind));
    api_text_add(object, "dn", trouble->dn);
    api_text_add(object, "number", trouble->number);
    api_text_add(object, "words", trouble->words);
    api_text_add_seconds(object, "since_seconds", trouble->since_seconds);
    cJSON_AddItemToArray(context, object);
}

void api_directory_troubles(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    if (!has_route(api, request, answer))
        return;
    struct store *store = api_store(api, &err);
    cJSON *document = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(document, "troubles");
    if (store && store_entry_troubles(store, request->param, API_PAGE_MAX, add_trouble, list, &err) == 0) {
        api_answer_json(answer, 200, document);
        return;
    }
    cJSON_Delete(document);
    api_problem_from(api, answer, &err, 500);
}

static void add_difference(void *context, const struct store_difference *difference)
{
    struct listing *listing = context;
    cJSON *object = cJSON_CreateObject();
    api_text_add(object, "kind", kind_word(difference->kind));
    api_text_add(object, "number", difference->number);
    api_text_add(object, "name", difference->name);
    api_text_add(object, "dn", difference->dn);
    api_text_add(object, "action", difference->action);
    cJSON *attributes = cJSON_Parse(difference->attributes);
    cJSON_AddItemToObject(object, "attributes", attributes ? attributes : cJSON_CreateArray());
    api_text_add(object, "ldif", difference->ldif);
    cJSON_AddItemToArray(listing->list, object);
    listing->last_id = difference->difference_id;
    listing->count++;
}

typedef int read_page(struct store *store, const char *route, uint64_t after, uint32_t limit,
                      struct listing *listing, struct err *err);

static void answer_page(struct api *api, const struct api_request *request, const char *name, read_page *read,
                        struct api_answer *answer)
{
    struct err err = {0};
    struct listing listing = {0};
    uint32_t limit;
    uint64_t after;
    if (!has_route(api, request, answer))
        return;
    if (api_page_limit(request, &limit, &err) < 0 || api_page_after(request, &after, &err) < 0) {
        api_problem(answer, 422, "%s", err.text);
        return;
    }
    struct store *store = api_store(api, &err);
    cJSON *document = cJSON_CreateObject();
    listing.list = cJSON_AddArrayToObject(document, name);
    if (!store || read(store, request->param, after, limit, &listing, &err) < 0) {
        cJSON_Delete(document);
        api_problem_from(api, answer, &err, 500);
        return;
    }
    api_page_add_next(document, listing.count == limit, listing.last_id);
    api_answer_json(answer, 200, document);
}

static int read_differences(struct store *store, const char *route, uint64_t after, uint32_t limit,
                            struct listing *listing, struct err *err)
{
    return store_difference_list(store, route, after, limit, add_difference, listing, err);
}

void api_directory_differences(struct api *api, struct api_request *request, struct api_answer *answer)
{
    answer_page(api, request, "differences", read_differences, answer);
}

static void add_handover(void *context, const struct store_handover_status *handover)
{
    struct listing *listing = context;
    cJSON *object = cJSON_CreateObject();
    api_text_add(object, "number", handover->number);
    api_text_add(object, "former_owner", handover->former_owner);
    api_text_add(object, "state",
                 handover->done_seconds >= 0 ? "done"
                 : handover->going_on        ? "ongoing"
                                             : "reverted");
    api_text_add(object, "host", handover->host);
    api_text_add(object, "place", handover->place);
    cJSON_AddNumberToObject(object, "messages", handover->messages);
    cJSON_AddNumberToObject(object, "bytes", (double)handover->bytes);
    api_text_add_seconds(object, "begun_seconds", handover->begun_seconds);
    api_text_add_seconds(object, "done_seconds", handover->done_seconds);
    cJSON_AddItemToArray(listing->list, object);
    listing->last_id = handover->handover_id;
    listing->count++;
}

static int read_handovers(struct store *store, const char *route, uint64_t after, uint32_t limit,
                          struct listing *listing, struct err *err)
{
    return store_handover_list(store, route, after, limit, add_handover, listing, err);
}

void api_directory_handovers(struct api *api, struct api_request *request, struct api_answer *answer)
{
    answer_page(api, request, "handovers", read_handovers, answer);
}

/* ---- asking ---- */

static int read_ask(const cJSON *body, struct store_directory_ask *ask, struct err *err)
{
    static const char *const known[] = {"route", "full", "dry_run", NULL};
    *ask = (struct store_directory_ask){0};
    if (json_has_only(body, known, err) < 0)
        return -1;
    if (json_has(body, "route") && json_get_string(body, "route", API_PARAM_BYTES, &ask->route, err) < 0)
        return -1;
    if (json_has(body, "full") && json_get_bool(body, "full", &ask->full, err) < 0)
        return -1;
    return json_has(body, "dry_run") ? json_get_bool(body, "dry_run", &ask->dry, err) : 0;
}

/* With the numbers that this request made wanted: who waits, waits for these. */
static void carry_out(struct api *api, const struct api_request *request,
                      const struct store_directory_ask *ask, struct api_answer *answer)
{
    struct err err = {0};
    struct store *store = api_store(api, &err);
    char what[128];
    snprintf(what, sizeof what, "directory %s%s %.64s", ask->dry ? "dry run" : "sync",
             ask->full ? " full" : "", ask->route ? ask->route : "all");
    int routes = -1;
    if (store && store_audit(store, request->who, what, "", &err) == 0)
        routes = store_directory_want(store, ask, &err);
    if (routes < 0)
        api_problem_from(api, answer, &err, 500);
    else if (routes == 0)
        api_problem(answer, 404, "there is no such route with a directory; mirrorctl status shows them");
    else
        answer_summary(api, store, 202, answer);
}

void api_directory_sync(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    struct store_directory_ask ask;
    cJSON *body = request->body_len == 0
                      ? cJSON_CreateObject()
                      : json_parse_object(request->body, request->body_len, request->body_len, &err);
    if (!body)
        api_problem(answer, 400, "%s", err.text);
    else if (read_ask(body, &ask, &err) < 0)
        api_problem(answer, 422, "%s", err.text);
    else
        carry_out(api, request, &ask, answer);
    cJSON_Delete(body);
}
