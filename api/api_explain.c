/*
 * `why` over HTTP, in mirror-api: the sentences of api_why.c with the lists that belong to them.
 */
#include "api/api_explain.h"

#include "api/api_problem.h"
#include "api/api_text.h"
#include "api/api_why.h"
#include "base/clock.h"
#include "base/str.h"

#include <string.h>

enum { MAX_TROUBLES = 100, MAX_REPORT_LINES = 100 };

struct explained {
    const struct config *config;
    cJSON *document, *mirrors;
};

static void add_report(cJSON *object, const char *report)
{
    cJSON *lines = cJSON_AddArrayToObject(object, "verify_report");
    for (unsigned i = 0; report && *report && i < MAX_REPORT_LINES; i++) {
        size_t len = strcspn(report, "\n");
        char line[512];
        str_into(line, len + 1 < sizeof line ? len + 1 : sizeof line, report);
        api_text_append(lines, line);
        report += len + (report[len] == '\n');
    }
}

static void add_mirror(void *context, const struct store_mirror_status *mirror)
{
    struct explained *explained = context;
    const struct config_route *route = config_route_find(explained->config, mirror->route);
    struct api_verdict verdict = api_judge(mirror, route);
    struct api_why why;
    api_why_explain(mirror, route, &why);

    cJSON *object = cJSON_CreateObject();
    api_text_add(object, "route", mirror->route);
    api_text_add(object, "from", mirror->from_site);
    api_text_add(object, "to", mirror->to_site);
    api_text_add(object, "state", api_judge_word(verdict.state));
    cJSON_AddBoolToObject(object, "well", verdict.well);
    api_text_add(object, "what", why.what);
    api_text_add(object, "since", why.since);
    api_text_add(object, "whose", why.whose);
    api_text_add(object, "todo", why.todo);
    api_text_add(object, "next", why.next);
    cJSON *notes = cJSON_AddArrayToObject(object, "notes");
    for (size_t i = 0; i < why.note_count; i++)
        api_text_append(notes, why.notes[i]);
    add_report(object, mirror->verify_report);
    cJSON_AddArrayToObject(object, "messages");
    cJSON_AddItemToArray(explained->mirrors, object);
    if (!cJSON_GetObjectItemCaseSensitive(explained->document, "mailbox"))
        api_text_add(explained->document, "mailbox", mirror->mailbox);
}

static void add_trouble(void *context, const struct store_trouble *trouble)
{
    struct explained *explained = context;
    cJSON *mirror;
    char when[32];
    cJSON_ArrayForEach (mirror, explained->mirrors) {
        if (!str_equal(cJSON_GetObjectItemCaseSensitive(mirror, "route")->valuestring, trouble->route))
            continue;
        cJSON *item = cJSON_CreateObject();
        api_text_add(item, "folder", trouble->folder);
        cJSON_AddNumberToObject(item, "uid", trouble->source_uid);
        api_text_add(item, "state", trouble->state);
        cJSON_AddNumberToObject(item, "size_bytes", (double)trouble->size_bytes);
        api_text_add(item, "date", clock_format_utc(trouble->internal_date * 1000000, when));
        api_text_add(item, "words", trouble->error);
        cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(mirror, "messages"), item);
    }
}

void api_explain_mailbox(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    struct store_status_filter filter = {.mailbox = request->param};
    struct explained explained = {.config = api->config, .document = cJSON_CreateObject()};
    explained.mirrors = cJSON_AddArrayToObject(explained.document, "mirrors");
    struct store *store = api_store(api, &err);
    if (!store || store_mailbox_status(store, &filter, add_mirror, &explained, &err) < 0 ||
        store_mailbox_troubles(store, request->param, MAX_TROUBLES, add_trouble, &explained, &err) < 0) {
        api_problem_from(api, answer, &err, 500);
    } else if (cJSON_GetArraySize(explained.mirrors) == 0) {
        api_problem(answer, 404, "mailbox %s is not subscribed", request->param);
    } else {
        api_answer_json(answer, 200, explained.document);
        return;
    }
    cJSON_Delete(explained.document);
}
