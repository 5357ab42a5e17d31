/*
 * The context of mirror-api and its answers.
 */
#include "api/api.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { STORE_PAUSE_MS = 2000 };

void api_answer_json(struct api_answer *answer, unsigned status, cJSON *take)
{
    answer->status = status;
    if (!answer->type)
        answer->type = "application/json";
    answer->body = json_print(take);
    answer->body_len = strlen(answer->body);
    cJSON_Delete(take);
}

void api_answer_fini(struct api_answer *answer)
{
    free(answer->body);
    if (answer->task.free)
        answer->task.free(answer->task.state);
    *answer = (struct api_answer){0};
}

void api_store_failed(struct api *api, const struct err *err)
{
    /* Within the pause it is only told again what is known already: that must not make the pause longer. */
    if (err->scope != ERR_PROCESS || clock_boot_ms() < api->store_next_try_ms)
        return;
    if (api->store_error.scope == ERR_NONE)
        log_warning("the store is away, requests are answered with 503", LOG_STR("error", err->text));
    api->store_error = *err;
    api->store_next_try_ms = clock_boot_ms() + STORE_PAUSE_MS;
}

static int ask_again(struct api *api, struct err *err)
{
    if (!api->store) {
        api->store = store_open(api->config, err);
        if (!api->store)
            return -1;
    }
    if (store_ping(api->store, err) < 0)
        return -1;
    return store_check_version(api->store, err);
}

struct store *api_store(struct api *api, struct err *err)
{
    if (api->store && api->store_error.scope == ERR_NONE)
        return api->store;
    if (clock_boot_ms() < api->store_next_try_ms) {
        *err = api->store_error;
        return NULL;
    }
    if (ask_again(api, err) < 0) {
        api_store_failed(api, err);
        return NULL;
    }
    if (api->store_error.scope != ERR_NONE)
        log_info("the store is back");
    err_clear(&api->store_error);
    api->store_next_try_ms = 0;
    return api->store;
}

const char *api_query(const struct api_request *request, const char *name)
{
    for (size_t i = 0; i < request->query_count; i++)
        if (str_equal(request->query[i].name, name))
            return request->query[i].value;
    return NULL;
}
