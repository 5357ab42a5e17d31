/*
 * The routes of mirror-api, and how a path finds its own.
 */
#include "api/api_route.h"

#include "api/api_ask.h"
#include "api/api_directory.h"
#include "api/api_explain.h"
#include "api/api_held.h"
#include "api/api_import.h"
#include "api/api_mailbox.h"
#include "api/api_status.h"
#include "base/str.h"

#include <string.h>

enum { KB = 1024, MB = 1024 * 1024 };

const struct api_route api_route_table[] = {
    {"GET", "/health/live", API_BODY_NONE, 0, true, api_status_live},
    {"GET", "/health/ready", API_BODY_NONE, 0, true, api_status_ready},
    {"GET", "/api/v1/status", API_BODY_NONE, 0, false, api_status_show},
    {"GET", "/api/v1/mailboxes", API_BODY_NONE, 0, false, api_mailbox_list},
    {"POST", "/api/v1/mailboxes", API_BODY_JSON, 64 * KB, false, api_mailbox_add},
    {"GET", "/api/v1/mailboxes/{number}", API_BODY_NONE, 0, false, api_mailbox_show},
    {"DELETE", "/api/v1/mailboxes/{number}", API_BODY_NONE, 0, false, api_mailbox_remove},
    {"GET", "/api/v1/mailboxes/{number}/why", API_BODY_NONE, 0, false, api_explain_mailbox},
    {"GET", "/api/v1/held", API_BODY_NONE, 0, false, api_held_list},
    {"GET", "/api/v1/held/{id}", API_BODY_NONE, 0, false, api_held_show},
    {"POST", "/api/v1/held/{id}/allow", API_BODY_JSON, 16 * KB, false, api_held_allow},
    {"POST", "/api/v1/held/{id}/refuse", API_BODY_JSON, 16 * KB, false, api_held_refuse},
    {"GET", "/api/v1/directory", API_BODY_NONE, 0, false, api_directory_list},
    {"POST", "/api/v1/directory/sync", API_BODY_JSON, 16 * KB, false, api_directory_sync},
    {"GET", "/api/v1/directory/{name}/entries", API_BODY_NONE, 0, false, api_directory_entries},
    {"GET", "/api/v1/directory/{name}/troubles", API_BODY_NONE, 0, false, api_directory_troubles},
    {"GET", "/api/v1/directory/{name}/differences", API_BODY_NONE, 0, false, api_directory_differences},
    {"GET", "/api/v1/directory/{name}/handovers", API_BODY_NONE, 0, false, api_directory_handovers},
    {"POST", "/api/v1/import", API_BODY_CSV, 8 * MB, false, api_import_csv},
    {"POST", "/api/v1/sync", API_BODY_JSON, 2 * MB, false, api_ask_sync},
    {"POST", "/api/v1/verify", API_BODY_JSON, 2 * MB, false, api_ask_verify},
    {"POST", "/api/v1/routes/{name}/pause", API_BODY_JSON, 16 * KB, false, api_ask_pause},
    {"POST", "/api/v1/routes/{name}/resume", API_BODY_JSON, 16 * KB, false, api_ask_resume},
    {0},
};

/* Takes one segment of the path as the parameter. */
static bool take_param(const char **path, char param[API_PARAM_BYTES])
{
    size_t len = strcspn(*path, "/");
    if (len == 0 || len >= API_PARAM_BYTES)
        return false;
    memcpy(param, *path, len);
    param[len] = '\0';
    *path += len;
    return str_is_mailbox_number(param); /* names of routes are of the same characters */
}

static bool matches(const char *pattern, const char *path, char param[API_PARAM_BYTES])
{
    while (*pattern) {
        if (*pattern == '{') {
            if (!take_param(&path, param))
                return false;
            pattern = strchr(pattern, '}') + 1;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

static void allow_method(char allow[64], const char *method)
{
    size_t used = strlen(allow);
    if (used > 0)
        used = strlen(str_into(allow + used, 64 - used, ", ")) + used;
    str_into(allow + used, 64 - used, method);
}

enum api_match api_route_find(const char *method, const char *path, const struct api_route **route_out,
                              char param[API_PARAM_BYTES], char allow[64])
{
    allow[0] = '\0';
    *route_out = NULL;
    for (const struct api_route *route = api_route_table; route->method; route++) {
        param[0] = '\0';
        if (!matches(route->path, path, param))
            continue;
        *route_out = route;
        if (strcmp(route->method, method) == 0)
            return API_MATCH;
        allow_method(allow, route->method);
    }
    return *route_out ? API_MATCH_NO_METHOD : API_MATCH_NO_PATH;
}
