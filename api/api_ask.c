/*
 * Sync, verify, pause and resume, in mirror-api. Sync and verify run as tasks, since they may name all mailboxes.
 */
#include "api/api_ask.h"

#include "api/api_problem.h"
#include "api/api_text.h"
#include "api/api_wake.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "store/store_mailbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAKE_EACH_MAX = 50, PAGE_MAILBOXES = 500, AUDIT_DETAIL_BYTES = 60000, REASON_BYTES = 500 };

struct ask {
    cJSON *body;
    const cJSON *next; /* the mailbox that comes next; NULL: no more, or all are asked for */
    bool verify, deep, all, all_asked;
    char after[65]; /* all: the page that comes next */
    cJSON *mirrors, *unknown;
    uint32_t known;
};

static void ask_free(void *state)
{
    struct ask *ask = state;
    if (!ask)
        return;
    cJSON_Delete(ask->body);
    cJSON_Delete(ask->mirrors);
    cJSON_Delete(ask->unknown);
    free(ask);
}

struct page {
    struct ask *ask;
    uint32_t mailboxes;
    char last[65];
};

static void add_mirror(void *context, const struct store_mirror_status *mirror)
{
    struct page *page = context;
    cJSON *item = cJSON_CreateObject();
    api_text_add(item, "mailbox", mirror->mailbox);
    api_text_add(item, "route", mirror->route);
    cJSON_AddNumberToObject(item, "wanted_seq", (double)mirror->wanted_seq);
    cJSON_AddNumberToObject(item, "verify_wanted_seq", (double)mirror->verify_wanted_seq);
    cJSON_AddItemToArray(page->ask->mirrors, item);
    if (!str_equal(page->last, mirror->mailbox)) {
        page->mailboxes++;
        str_into(page->last, sizeof page->last, mirror->mailbox);
    }
}

/* How many mirrors now want it, or -1. `mailbox` NULL: all. */
static int want(const struct ask *ask, struct store *store, const char *mailbox, struct err *err)
{
    return ask->verify ? store_mailbox_want_verify(store, mailbox, ask->deep, err)
                       : store_mailbox_want_sync(store, mailbox, err);
}

static int ask_one(struct api *api, struct ask *ask, struct store *store, const char *mailbox,
                   struct err *err)
{
    struct page page = {.ask = ask};
    struct store_status_filter filter = {.mailbox = mailbox};
    int mirrors = want(ask, store, mailbox, err);
    if (mirrors < 0)
        return -1;
    if (mirrors == 0) {
        api_text_append(ask->unknown, mailbox);
        return 0;
    }
    if (ask->known++ < WAKE_EACH_MAX)
        api_wake_scanners(api->wake, mailbox);
    return store_mailbox_status(store, &filter, add_mirror, &page, err);
}

/* All mailboxes: asked for at once, then listed page by page. *done_out: that was the last page. */
static int ask_all(struct ask *ask, struct store *store, bool *done_out, struct err *err)
{
    struct page page = {.ask = ask};
    struct store_status_filter filter = {.after_mailbox = *ask->after ? ask->after : NULL,
                                         .limit = PAGE_MAILBOXES};
    if (!ask->all_asked && want(ask, store, NULL, err) < 0)
        return -1;
    ask->all_asked = true;
    if (store_mailbox_status(store, &filter, add_mirror, &page, err) < 0)
        return -1;
    ask->known += page.mailboxes;
    str_into(ask->after, sizeof ask->after, page.last);
    *done_out = page.mailboxes < PAGE_MAILBOXES;
    return 0;
}

static void finish(struct api *api, struct ask *ask, struct api_answer *answer)
{
    if (ask->all || ask->known > WAKE_EACH_MAX)
        api_wake_scanners(api->wake, NULL);
    if (!ask->all && ask->known == 0) {
        api_problem(answer, 404,
                    "none of these mailboxes is subscribed; mirrorctl mailbox add subscribes one");
        return;
    }
    cJSON *document = cJSON_CreateObject();
    cJSON_AddNumberToObject(document, "mailboxes", ask->known);
    cJSON_AddItemToObject(document, "mirrors", ask->mirrors);
    cJSON_AddItemToObject(document, "unknown", ask->unknown);
    ask->mirrors = ask->unknown = NULL;
    api_answer_json(answer, 202, document);
}

/* One slice: an api_task's run. */
static bool ask_run(struct api *api, void *state, bool abandon, struct api_answer *answer)
{
    struct ask *ask = state;
    struct err err = {0};
    bool done = false;
    int64_t end = clock_boot_ms() + API_TASK_SLICE_MS;
    if (abandon) {
        api_problem(answer, 503, "mirror-api was stopped in between: ask again");
        return true;
    }
    while (!done && clock_boot_ms() < end) {
        struct store *store = api_store(api, &err);
        int failed = !store     ? -1
                     : ask->all ? ask_all(ask, store, &done, &err)
                                : ask_one(api, ask, store, ask->next->valuestring, &err);
        if (failed) {
            api_problem_from(api, answer, &err, 500);
            return true;
        }
        if (!ask->all) {
            ask->next = ask->next->next;
            done = !ask->next;
        }
    }
    if (done)
        finish(api, ask, answer);
    return done;
}

/* ---- reading what is asked ---- */

static cJSON *body_of(const struct api_request *request, struct err *err)
{
    if (request->body_len == 0)
        return cJSON_CreateObject();
    return json_parse_object(request->body, request->body_len, request->body_len, err);
}

static int check_mailboxes(const cJSON *mailboxes, struct err *err)
{
    const cJSON *item;
    if (mailboxes && !cJSON_IsArray(mailboxes))
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                       "mailboxes must be a list of numbers in quotes, such as [\"4711\"]");
    cJSON_ArrayForEach (item, mailboxes)
        if (!cJSON_IsString(item) || !str_is_mailbox_number(item->valuestring))
            return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                           "mailboxes must be a list of numbers in quotes, such as [\"4711\"]");
    return 0;
}

static int read_ask(struct ask *ask, struct err *err)
{
    static const char *const known[] = {"mailboxes", NULL}, *const known_deep[] = {"mailboxes", "deep", NULL};
    if (json_has_only(ask->body, ask->verify ? known_deep : known, err) < 0)
        return -1;
    const cJSON *mailboxes = cJSON_GetObjectItemCaseSensitive(ask->body, "mailboxes");
    if (check_mailboxes(mailboxes, err) < 0)
        return -1;
    if (json_has(ask->body, "deep") && json_get_bool(ask->body, "deep", &ask->deep, err) < 0)
        return -1;
    ask->all = cJSON_GetArraySize(mailboxes) == 0;
    ask->next = ask->all ? NULL : mailboxes->child;
    return 0;
}

static int audit(struct api *api, const struct api_request *request, const char *what, struct err *err)
{
    char *detail = str_copy_n(request->body, request->body_len < AUDIT_DETAIL_BYTES ? request->body_len
                                                                                    : AUDIT_DETAIL_BYTES);
    struct store *store = api_store(api, err);
    int result = store ? store_audit(store, request->who, what, detail, err) : -1;
    free(detail);
    return result;
}

static void start(struct api *api, struct api_request *request, bool verify, struct api_answer *answer)
{
    struct err err = {0};
    struct ask *ask = mem_new(sizeof *ask);
    ask->verify = verify;
    ask->body = body_of(request, &err);
    if (!ask->body) {
        api_problem(answer, 400, "%s", err.text);
    } else if (read_ask(ask, &err) < 0) {
        api_problem(answer, 422, "%s", err.text);
    } else if (audit(api, request, verify ? "verify" : "sync", &err) < 0) {
        api_problem_from(api, answer, &err, 500);
    } else {
        ask->mirrors = cJSON_CreateArray();
        ask->unknown = cJSON_CreateArray();
        answer->task = (struct api_task){.run = ask_run, .free = ask_free, .state = ask};
        return;
    }
    ask_free(ask);
}

void api_ask_sync(struct api *api, struct api_request *request, struct api_answer *answer)
{
    start(api, request, false, answer);
}

void api_ask_verify(struct api *api, struct api_request *request, struct api_answer *answer)
{
    start(api, request, true, answer);
}

/* ---- routes ---- */

static int check_reason(const struct api_request *request, struct err *err)
{
    const char *reason;
    cJSON *body = body_of(request, err);
    static const char *const known[] = {"reason", NULL};
    int result = body ? json_has_only(body, known, err) : -1;
    if (result == 0 && json_has(body, "reason"))
        result = json_get_string(body, "reason", REASON_BYTES, &reason, err);
    cJSON_Delete(body);
    return result;
}

static void set_paused(struct api *api, struct api_request *request, bool paused, struct api_answer *answer)
{
    struct err err = {0};
    char what[128];
    bool found = false;
    if (check_reason(request, &err) < 0) {
        api_problem(answer, 422, "%s", err.text);
        return;
    }
    snprintf(what, sizeof what, "route %s %s", paused ? "pause" : "resume", request->param);
    if (audit(api, request, what, &err) < 0 ||
        store_route_pause(api->store, request->param, paused, &found, &err) < 0) {
        api_problem_from(api, answer, &err, 422);
        return;
    }
    if (!found) {
        api_problem(answer, 404, "there is no route %s; mirrorctl status shows their names", request->param);
        return;
    }
    api_wake_scanners(api->wake, NULL);
    cJSON *document = cJSON_CreateObject();
    api_text_add(document, "route", request->param);
    cJSON_AddBoolToObject(document, "paused", paused);
    api_answer_json(answer, 200, document);
}

void api_ask_pause(struct api *api, struct api_request *request, struct api_answer *answer)
{
    set_paused(api, request, true, answer);
}

void api_ask_resume(struct api *api, struct api_request *request, struct api_answer *answer)
{
    set_paused(api, request, false, answer);
}
