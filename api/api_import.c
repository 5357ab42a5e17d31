/*
 * Importing mailboxes, in mirror-api. Runs as a task in slices, since 20,000 lines take minutes; each line gets its own
 * answer and harms no other. Only a store that goes away ends it early: the lines behind say so.
 */
#include "api/api_import.h"

#include "api/api_csv.h"
#include "api/api_problem.h"
#include "api/api_subscribe.h"
#include "api/api_text.h"
#include "api/api_wake.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/str.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAKE_EACH_MAX = 50 }; /* beyond this many new mailboxes one wake-up for all does */

struct seen {
    const char *number; /* in the bytes */
    uint32_t line;
};

struct import {
    char *bytes;
    struct api_csv csv;
    struct api_csv_header header;
    void *seen; /* tree of struct seen, by number */
    cJSON *lines;
    uint32_t added, changed, unchanged, refused;
    struct err away; /* the store went away */
};

static void import_free(void *state)
{
    struct import *import = state;
    if (!import)
        return;
    tdestroy(import->seen, free);
    cJSON_Delete(import->lines);
    free(import->bytes);
    free(import);
}

static int by_number(const void *a, const void *b)
{
    return strcmp(((const struct seen *)a)->number, ((const struct seen *)b)->number);
}

/* The line that had this number before, or 0. */
static uint32_t line_before(struct import *import, const char *number, uint32_t line)
{
    struct seen *seen = mem_new(sizeof *seen);
    *seen = (struct seen){.number = number, .line = line};
    struct seen *const *place = tsearch(seen, &import->seen, by_number);
    if (!place)
        BUG("out of memory");
    if (*place == seen)
        return 0;
    free(seen);
    return (*place)->line;
}

static void answer_line(struct import *import, uint32_t line, const char *mailbox, const char *result,
                        const char *reason)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "line", line);
    api_text_add(item, "mailbox", mailbox ? mailbox : "");
    api_text_add(item, "result", result);
    if (reason)
        api_text_add(item, "reason", reason);
    cJSON_AddItemToArray(import->lines, item);
}

static void refuse_line(struct import *import, uint32_t line, const char *mailbox, const char *reason)
{
    import->refused++;
    answer_line(import, line, mailbox, "refused", reason);
}

/* Checks a record's fields. */
static int read_record(struct import *import, const struct config *config,
                       const struct api_csv_record *record, struct api_subscribe *subscribe, struct err *err)
{
    const struct api_csv_header *header = &import->header;
    if (record->count > header->count)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER,
                       "%zu fields, and the header names %zu: put a field that holds a '%c' in quotes",
                       record->count, header->count, import->csv.separator);
    const char *number = api_csv_field(header, record, API_CSV_MAILBOX);
    if (api_subscribe_number(subscribe, number, err) < 0)
        return -1;
    uint32_t before = line_before(import, number, record->line);
    if (before)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_NEVER, "it stands in line %u already: leave one out",
                       before);
    if (api_subscribe_name(subscribe, api_csv_field(header, record, API_CSV_NAME), err) < 0 ||
        api_subscribe_cos(subscribe, api_csv_field(header, record, API_CSV_COS), err) < 0 ||
        api_subscribe_priority(subscribe, api_csv_field(header, record, API_CSV_PRIORITY), err) < 0)
        return -1;
    return api_subscribe_routes(subscribe, config, api_csv_field(header, record, API_CSV_ROUTES), err);
}

static void count_added(struct import *import, enum store_added added)
{
    if (added == STORE_ADDED)
        import->added++;
    else if (added == STORE_ADDED_CHANGED)
        import->changed++;
    else
        import->unchanged++;
}

static void store_record(struct api *api, struct import *import, const struct api_csv_record *record,
                         struct api_subscribe *subscribe)
{
    struct err err = {0};
    enum store_added added;
    struct store *store = api_store(api, &err);
    if (store && api_subscribe_store(store, subscribe, &added, &err) == 0) {
        count_added(import, added);
        if (added != STORE_ADDED_UNCHANGED && import->added + import->changed <= WAKE_EACH_MAX)
            api_wake_scanners(api->wake, NULL);
        answer_line(import, record->line, subscribe->mailbox.number, api_subscribe_added_word(added), NULL);
        return;
    }
    if (err.scope == ERR_PROCESS) {
        import->away = err;
        api_store_failed(api, &err);
    }
    refuse_line(import, record->line, subscribe->mailbox.number, err.text);
}

static void import_record(struct api *api, struct import *import, const struct api_csv_record *record)
{
    struct err err = {0};
    struct api_subscribe subscribe = {0};
    const char *number = api_csv_field(&import->header, record, API_CSV_MAILBOX);
    if (read_record(import, api->config, record, &subscribe, &err) < 0)
        refuse_line(import, record->line, number, err.text);
    else if (import->away.scope != ERR_NONE)
        refuse_line(import, record->line, number, import->away.text);
    else
        store_record(api, import, record, &subscribe);
}

static void finish(struct api *api, struct import *import, struct api_answer *answer)
{
    if (import->added + import->changed > WAKE_EACH_MAX)
        api_wake_scanners(api->wake, NULL);
    if (import->away.scope != ERR_NONE && import->added + import->changed + import->unchanged == 0) {
        answer->retry_after_seconds = 5;
        api_problem(answer, 503, "nothing was imported: %s", import->away.text);
        return;
    }
    cJSON *document = cJSON_CreateObject();
    cJSON_AddNumberToObject(document, "added", import->added);
    cJSON_AddNumberToObject(document, "changed", import->changed);
    cJSON_AddNumberToObject(document, "unchanged", import->unchanged);
    cJSON_AddNumberToObject(document, "refused", import->refused);
    api_text_add(document, "ignored_columns", import->header.ignored);
    cJSON_AddItemToObject(document, "lines", import->lines);
    import->lines = NULL;
    log_info("import ended", LOG_UINT("added", import->added), LOG_UINT("changed", import->changed),
             LOG_UINT("unchanged", import->unchanged), LOG_UINT("refused", import->refused));
    api_answer_json(answer, 200, document);
}

/* One slice: an api_task's run. */
static bool import_run(struct api *api, void *state, bool abandon, struct api_answer *answer)
{
    struct import *import = state;
    struct api_csv_record record;
    int64_t end = clock_boot_ms() + API_TASK_SLICE_MS;
    if (abandon)
        err_set(&import->away, ERR_PROCESS, ERR_RETRY_LATER,
                "not done: mirror-api was stopped; import it again");
    do {
        switch (api_csv_next(&import->csv, &record)) {
        case API_CSV_END:
            finish(api, import, answer);
            return true;
        case API_CSV_BAD:
            refuse_line(import, record.line, NULL, record.problem);
            break;
        case API_CSV_RECORD:
            import_record(api, import, &record);
            break;
        }
    } while (abandon || clock_boot_ms() < end);
    return false;
}

/* The audit names the file by its size and digest; each line's mailbox is in the store. */
static int audit(struct api *api, const struct api_request *request, struct err *err)
{
    struct digest_pair digest;
    char hex[DIGEST_HEX_BYTES], detail[160];
    digest_of(request->body, request->body_len, &digest);
    snprintf(detail, sizeof detail, "{\"bytes\":%zu,\"sha256\":\"%s\"}", request->body_len,
             digest_hex(digest.raw, hex));
    struct store *store = api_store(api, err);
    return store ? store_audit(store, request->who, "import", detail, err) : -1;
}

void api_import_csv(struct api *api, struct api_request *request, struct api_answer *answer)
{
    struct err err = {0};
    if (audit(api, request, &err) < 0) {
        api_problem_from(api, answer, &err, 500);
        return;
    }
    struct import *import = mem_new(sizeof *import);
    import->bytes = request->body;
    request->body = NULL;
    import->lines = cJSON_CreateArray();
    if (api_csv_init(&import->csv, import->bytes, request->body_len, &err) < 0 ||
        api_csv_header(&import->csv, &import->header, &err) < 0) {
        api_problem(answer, 422, "%s", err.text);
        import_free(import);
        return;
    }
    answer->task = (struct api_task){.run = import_run, .free = import_free, .state = import};
}
