/*
 * Mirrors as JSON, in mirror-api. Ages are in seconds, null where there is none.
 */
#include "api/api_mirror.h"

#include "api/api_text.h"
#include "base/str.h"

#include <string.h>

static void add_messages(cJSON *object, const struct store_mirror_status *m)
{
    const struct {
        const char *name;
        uint32_t count;
    } counts[] = {
        {"source", m->source_messages},   {"target", m->target_messages},
        {"missing", m->missing_messages}, {"refused", m->refused_messages},
        {"altered", m->altered_messages}, {"gone", m->gone_messages},
        {"held", m->held_messages},       {"kept", m->kept_messages},
        {"waiting", m->waiting_messages}, {"withheld", m->withheld_messages},
        {"foreign", m->foreign_messages}, {"late", m->late_messages},
    };
    cJSON *messages = cJSON_AddObjectToObject(object, "messages");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        cJSON_AddNumberToObject(messages, counts[i].name, counts[i].count);
}

static void add_error(cJSON *object, const struct store_mirror_status *m)
{
    if (!m->error || !*m->error) {
        cJSON_AddNullToObject(object, "error");
    } else {
        cJSON *error = cJSON_AddObjectToObject(object, "error");
        api_text_add(error, "text", m->error);
        api_text_add(error, "scope", m->error_scope);
        api_text_add(error, "side", m->error_side);
        api_text_add_seconds(error, "age_seconds", m->error_age_seconds);
        api_text_add_seconds(error, "since_seconds", m->error_since_seconds);
    }
    if (!m->look_error || !*m->look_error) {
        cJSON_AddNullToObject(object, "look_error");
    } else {
        cJSON *error = cJSON_AddObjectToObject(object, "look_error");
        api_text_add(error, "text", m->look_error);
        api_text_add_seconds(error, "age_seconds", m->look_error_age_seconds);
    }
}

static void add_sequences(cJSON *object, const struct store_mirror_status *m)
{
    cJSON_AddNumberToObject(object, "wanted_seq", (double)m->wanted_seq);
    cJSON_AddNumberToObject(object, "done_seq", (double)m->done_seq);
    cJSON_AddNumberToObject(object, "verify_wanted_seq", (double)m->verify_wanted_seq);
    cJSON_AddNumberToObject(object, "verify_done_seq", (double)m->verify_done_seq);
    cJSON_AddNumberToObject(object, "copied_messages", (double)m->copied_messages);
    cJSON_AddNumberToObject(object, "copied_bytes", (double)m->copied_bytes);
}

static void add_verify(cJSON *object, const struct store_mirror_status *m)
{
    api_text_add_seconds(object, "verified_age_seconds",
                         m->verify_differences < 0 ? -1 : m->verified_age_seconds);
    if (m->verify_differences < 0)
        cJSON_AddNullToObject(object, "verify_differences");
    else
        cJSON_AddNumberToObject(object, "verify_differences", (double)m->verify_differences);
}

cJSON *api_mirror_json(const struct store_mirror_status *m, const struct config_route *route)
{
    struct api_verdict verdict = api_judge(m, route);
    cJSON *object = cJSON_CreateObject();
    api_text_add(object, "route", m->route);
    api_text_add(object, "from", m->from_site);
    api_text_add(object, "to", m->to_site);
    api_text_add(object, "state", api_judge_word(verdict.state));
    cJSON_AddBoolToObject(object, "well", verdict.well);
    cJSON_AddBoolToObject(object, "person_needed", verdict.person_needed);
    add_messages(object, m);
    cJSON_AddBoolToObject(object, "held", verdict.held);
    api_text_add_seconds(object, "deletion_due_seconds", m->deletion_due_seconds);
    cJSON_AddNumberToObject(object, "gone_folders", m->gone_folders);
    api_text_add(object, "refused_keywords", m->refused_keywords);
    api_text_add_seconds(object, "on_hold_seconds", m->on_hold_seconds);
    api_text_add_seconds(object, "lag_seconds", m->lag_seconds < 0 ? 0 : m->lag_seconds);
    api_text_add_seconds(object, "lag_limit_seconds", verdict.lag_limit_seconds);
    api_text_add_seconds(object, "proven_age_seconds", m->proven_age_seconds);
    api_text_add_seconds(object, "next_try_seconds", m->next_try_seconds);
    add_error(object, m);
    add_verify(object, m);
    add_sequences(object, m);
    return object;
}

void api_mirror_list_add(void *context, const struct store_mirror_status *m)
{
    struct api_mirror_list *list = context;
    const char *last =
        list->last ? cJSON_GetObjectItemCaseSensitive(list->last, "number")->valuestring : NULL;
    if (!str_equal(last, m->mailbox)) {
        list->last = cJSON_CreateObject();
        api_text_add(list->last, "number", m->mailbox);
        api_text_add(list->last, "name", m->name);
        api_text_add(list->last, "cos", m->cos);
        cJSON_AddNumberToObject(list->last, "priority", m->priority);
        cJSON_AddBoolToObject(list->last, "from_directory", m->followed);
        cJSON_AddArrayToObject(list->last, "mirrors");
        cJSON_AddItemToArray(list->mailboxes, list->last);
        list->count++;
    }
    cJSON *mirrors = cJSON_GetObjectItemCaseSensitive(list->last, "mirrors");
    cJSON_AddItemToArray(mirrors, api_mirror_json(m, config_route_find(list->config, m->route)));
}
