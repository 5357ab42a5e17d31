/*
 * The whole at a glance, in mirror-api: every mirror is judged, and counted by state.
 */
#include "api/api_status.h"

#include "api/api_directory.h"
#include "api/api_held.h"
#include "api/api_judge.h"
#include "api/api_problem.h"
#include "api/api_text.h"
#include "base/clock.h"
#include "base/str.h"
#include "store/store_mailbox.h"
#include "store/store_site.h"

#include <stdlib.h>

struct summary {
    uint32_t mirrors, well, paused;
    uint32_t states[API_STATE_COUNT];
    uint64_t source_messages, target_messages, missing_messages, refused_messages, copied_messages,
        copied_bytes;
    double worst_lag_seconds, oldest_proof_seconds;
};

/* One summary a configured route, and the last for all. */
struct gathered {
    const struct config *config;
    struct summary *routes;
    struct summary all;
};

static void count_mirror(struct summary *summary, const struct store_mirror_status *mirror,
                         const struct api_verdict *verdict)
{
    summary->mirrors++;
    summary->well += verdict->well;
    summary->paused += mirror->paused;
    summary->states[verdict->state]++;
    summary->source_messages += mirror->source_messages;
    summary->target_messages += mirror->target_messages;
    summary->missing_messages += mirror->missing_messages;
    summary->refused_messages += mirror->refused_messages;
    summary->copied_messages += mirror->copied_messages;
    summary->copied_bytes += mirror->copied_bytes;
    if (mirror->lag_seconds > summary->worst_lag_seconds)
        summary->worst_lag_seconds = mirror->lag_seconds;
    if (mirror->proven_age_seconds > summary->oldest_proof_seconds)
        summary->oldest_proof_seconds = mirror->proven_age_seconds;
}

static void gather_mirror(void *context, const struct store_mirror_status *mirror)
{
    struct gathered *gathered = context;
    const struct config_route *route = config_route_find(gathered->config, mirror->route);
    struct api_verdict verdict = api_judge(mirror, route);
    count_mirror(&gathered->all, mirror, &verdict);
    if (route)
        count_mirror(&gathered->routes[route - gathered->config->routes], mirror, &verdict);
}

static void add_summary(cJSON *object, const struct summary *summary)
{
    cJSON_AddNumberToObject(object, "total", summary->mirrors);
    cJSON_AddNumberToObject(object, "well", summary->well);
    cJSON *states = cJSON_AddObjectToObject(object, "states");
    for (unsigned i = 0; i < API_STATE_COUNT; i++)
        if (summary->states[i] > 0)
            cJSON_AddNumberToObject(states, api_judge_word((enum api_state)i), summary->states[i]);
    cJSON_AddNumberToObject(object, "source_messages", (double)summary->source_messages);
    cJSON_AddNumberToObject(object, "target_messages", (double)summary->target_messages);
    cJSON_AddNumberToObject(object, "missing_messages", (double)summary->missing_messages);
    cJSON_AddNumberToObject(object, "refused_messages", (double)summary->refused_messages);
    cJSON_AddNumberToObject(object, "copied_messages", (double)summary->copied_messages);
    cJSON_AddNumberToObject(object, "copied_bytes", (double)summary->copied_bytes);
    api_text_add_seconds(object, "worst_lag_seconds", summary->worst_lag_seconds);
    api_text_add_seconds(object, "oldest_proof_seconds", summary->oldest_proof_seconds);
}

static cJSON *routes_json(const struct gathered *gathered)
{
    cJSON *routes = cJSON_CreateArray();
    for (size_t i = 0; i < gathered->config->route_count; i++) {
        const struct config_route *route = &gathered->config->routes[i];
        cJSON *object = cJSON_CreateObject();
        api_text_add(object, "name", route->name);
        api_text_add(object, "from", route->from);
        api_text_add(object, "to", route->to);
        api_text_add_seconds(object, "target_lag_seconds", route->target_lag_minutes * 60);
        cJSON_AddBoolToObject(object, "paused", gathered->routes[i].paused > 0);
        add_summary(cJSON_AddObjectToObject(object, "mirrors"), &gathered->routes[i]);
        cJSON_AddItemToArray(routes, object);
    }
    return routes;
}

static void add_site(void *context, const struct store_site_status *site)
{
    cJSON *object = cJSON_CreateObject();
    api_text_add(object, "name", site->name);
    api_text_add(object, "login_state", site->login_state);
    api_text_add(object, "error", site->error);
    api_text_add_seconds(object, "error_age_seconds", (double)site->error_age_seconds);
    cJSON_AddNumberToObject(object, "stopped_seconds", site->stopped_seconds);
    cJSON_AddNumberToObject(object, "sessions", site->sessions);
    cJSON_AddItemToArray(context, object);
}

static cJSON *workers_json(struct store *store, const struct config *config, struct err *err)
{
    const struct {
        const char *program;
        uint32_t wanted;
    } programs[] = {{"scanner", config->workers.scanner},
                    {"copier", config->workers.copier},
                    {"ldapsync", config->workers.ldapsync}};
    size_t count = sizeof programs / sizeof *programs - !config_has_directory(config);
    cJSON *workers = cJSON_CreateObject();
    for (size_t i = 0; i < count; i++) {
        uint32_t alive = 0;
        if (store_worker_count(store, programs[i].program, &alive, err) < 0) {
            cJSON_Delete(workers);
            return NULL;
        }
        cJSON *object = cJSON_AddObjectToObject(workers, programs[i].program);
        cJSON_AddNumberToObject(object, "alive", alive);
        cJSON_AddNumberToObject(object, "configured", programs[i].wanted);
    }
    return workers;
}

/* The document, or NULL and an error. */
static cJSON *status_json(struct api *api, struct gathered *gathered, struct err *err)
{
    struct store_status_filter everything = {0};
    cJSON *document = cJSON_CreateObject(), *sites = cJSON_CreateArray();
    char now[32];
    cJSON_AddItemToObject(document, "sites", sites);
    struct store *store = api_store(api, err);
    if (!store || store_mailbox_status(store, &everything, gather_mirror, gathered, err) < 0 ||
        store_site_list(store, add_site, sites, err) < 0)
        goto failed;
    cJSON *workers = workers_json(store, api->config, err);
    if (!workers)
        goto failed;
    cJSON_AddItemToObject(document, "workers", workers);
    cJSON *held = api_held_summary(store, err);
    if (!held)
        goto failed;
    cJSON_AddItemToObject(document, "held", held);
    cJSON *directory = api_directory_summary(store, err);
    if (!directory)
        goto failed;
    cJSON_AddItemToObject(document, "directory", directory);
    cJSON_AddItemToObject(document, "routes", routes_json(gathered));
    add_summary(cJSON_AddObjectToObject(document, "mirrors"), &gathered->all);
    api_text_add(document, "at", clock_format_utc(clock_wall_us(), now));
    api_text_add(document, "version", MM_VERSION);
    return document;

failed:
    cJSON_Delete(document);
    return NULL;
}

void api_status_show(struct api *api, struct api_request *request, struct api_answer *answer)
{
    (void)request;
    struct err err = {0};
    struct gathered gathered = {.config = api->config,
                                .routes = mem_new((api->config->route_count + 1) * sizeof *gathered.routes)};
    cJSON *document = status_json(api, &gathered, &err);
    if (document)
        api_answer_json(answer, 200, document);
    else
        api_problem_from(api, answer, &err, 500);
    free(gathered.routes);
}

static void answer_ok(struct api_answer *answer)
{
    cJSON *document = cJSON_CreateObject();
    api_text_add(document, "status", "ok");
    api_answer_json(answer, 200, document);
}

void api_status_live(struct api *api, struct api_request *request, struct api_answer *answer)
{
    (void)api;
    (void)request;
    answer_ok(answer);
}

void api_status_ready(struct api *api, struct api_request *request, struct api_answer *answer)
{
    (void)request;
    struct err err = {0};
    struct store *store = api_store(api, &err);
    if (store && store_ping(store, &err) == 0)
        answer_ok(answer);
    else
        api_problem_from(api, answer, &err, 503);
}
