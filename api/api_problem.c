/*
 * Problem documents, in mirror-api.
 */
#include "api/api_problem.h"

#include "api/api_text.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *api_problem_title(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

void api_problem(struct api_answer *answer, unsigned status, const char *format, ...)
{
    char detail[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);

    cJSON *document = cJSON_CreateObject();
    api_text_add(document, "type", "about:blank");
    api_text_add(document, "title", api_problem_title(status));
    cJSON_AddNumberToObject(document, "status", status);
    api_text_add(document, "detail", detail);
    free(answer->body);
    answer->type = "application/problem+json";
    api_answer_json(answer, status, document);
}

void api_problem_from(struct api *api, struct api_answer *answer, const struct err *err, unsigned otherwise)
{
    api_store_failed(api, err);
    if (err->scope != ERR_PROCESS) {
        api_problem(answer, otherwise, "%s", err->text);
        return;
    }
    answer->retry_after_seconds = 5;
    api_problem(answer, 503, "%s", err->text);
}
