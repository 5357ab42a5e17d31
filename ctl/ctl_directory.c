/*
 * Subscribers and COS on the command line.
 */
#include "ctl/ctl_directory.h"

#include "base/clock.h"
#include "base/str.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 500, PAUSE_MS = 200, DIFF_SECONDS = 600 };

/* ---- status ---- */

static bool is_well(const cJSON *route)
{
    static const char *const kinds[] = {"subscribers", "cos"};
    for (size_t i = 0; i < 2; i++) {
        const cJSON *counts = cJSON_GetObjectItemCaseSensitive(route, kinds[i]);
        if (ctl_number(counts, "equal", 0) + ctl_number(counts, "gone", 0) + ctl_number(counts, "kept", 0) <
            ctl_number(counts, "total", 0))
            return false;
    }
    return ctl_text(route, "error")[0] == '\0' && ctl_number(route, "troubles", 0) == 0;
}

bool ctl_directory_is_well(const cJSON *routes)
{
    const cJSON *route;
    cJSON_ArrayForEach (route, routes)
        if (!is_well(route))
            return false;
    return true;
}

static void set_counts(struct ctl_table *table, size_t row, size_t column, const cJSON *counts)
{
    double equal = ctl_number(counts, "equal", 0);
    double total = ctl_number(counts, "total", 0) - ctl_number(counts, "kept", 0);
    ctl_table_setf(table, row, column, equal >= total ? CTL_PLAIN : CTL_RED, "%.0f of %.0f", equal, total);
}

void ctl_directory_show(const struct ctl *ctl, const cJSON *routes)
{
    static const char *const titles[] = {"DIRECTORY", "SUBSCRIBERS EQUAL", "COS EQUAL", "HELD",
                                         "LOOKED",    "COMPARED",          "ERROR"};
    struct ctl_table table;
    const cJSON *route;
    if (cJSON_GetArraySize(routes) == 0)
        return;
    ctl_table_init(&table, titles, 7, 0x08u, 6);
    cJSON_ArrayForEach (route, routes) {
        const cJSON *subscribers = cJSON_GetObjectItemCaseSensitive(route, "subscribers");
        const cJSON *cos = cJSON_GetObjectItemCaseSensitive(route, "cos");
        size_t row = ctl_table_row(&table);
        char age[16];
        ctl_table_set(&table, row, 0, CTL_PLAIN, ctl_text(route, "route"));
        set_counts(&table, row, 1, subscribers);
        set_counts(&table, row, 2, cos);
        ctl_table_setf(&table, row, 3, CTL_PLAIN, "%.0f",
                       ctl_number(subscribers, "held", 0) + ctl_number(cos, "held", 0));
        ctl_table_set(&table, row, 4, CTL_PLAIN, ctl_age(ctl_number(route, "changes_age_seconds", -1), age));
        ctl_table_set(&table, row, 5, CTL_PLAIN, ctl_age(ctl_number(route, "compared_age_seconds", -1), age));
        ctl_table_set(&table, row, 6, CTL_RED, ctl_text(route, "error"));
    }
    ctl_print_table(ctl, &table);
    ctl_table_fini(&table);
    ctl_say("%s", "");
}

/* ---- pages ---- */

/* All pages of a list of each route, in one array; each item is given its route. NULL: failed, and said. */
struct gathering {
    const char *what, *query, *route; /* "entries"; "&state=..."; NULL: all routes */
};

static bool gather_route(struct ctl *ctl, const struct gathering *gathering, const char *route, cJSON *all,
                         enum ctl_exit *exit_out)
{
    double after = 0;
    for (;;) {
        char *escaped = ctl_escape(route);
        char *path = str_format("/api/v1/directory/%s/%s?limit=%d&after=%.0f%s", escaped, gathering->what,
                                PAGE, after, gathering->query);
        cJSON *page = ctl_get(ctl, path, exit_out), *item;
        free(escaped);
        free(path);
        if (!page)
            return false;
        cJSON *items = cJSON_GetObjectItemCaseSensitive(page, gathering->what);
        while ((item = cJSON_DetachItemFromArray(items, 0))) {
            cJSON_AddStringToObject(item, "route", route);
            cJSON_AddItemToArray(all, item);
        }
        double next = ctl_number(page, "next", 0);
        cJSON_Delete(page);
        if (next <= after)
            return true;
        after = next;
    }
}

static cJSON *gather(struct ctl *ctl, const struct gathering *gathering, enum ctl_exit *exit_out)
{
    cJSON *directory = ctl_get(ctl, "/api/v1/directory", exit_out), *all = cJSON_CreateArray();
    const cJSON *route;
    bool whole = directory != NULL, any = false;
    cJSON_ArrayForEach (route, cJSON_GetObjectItemCaseSensitive(directory, "routes")) {
        const char *name = ctl_text(route, "route");
        if (!whole || (gathering->route && !str_equal(gathering->route, name)))
            continue;
        any = true;
        whole = gather_route(ctl, gathering, name, all, exit_out);
    }
    if (whole && !any) {
        ctl_complain("no route has a directory, or none of that name; write ldap at both of its sites");
        *exit_out = CTL_USAGE;
        whole = false;
    }
    cJSON_Delete(directory);
    if (whole)
        return all;
    cJSON_Delete(all);
    return NULL;
}

/* ---- list ---- */

/* Entries of production that cannot be mirrored at all stand beside those that are not equal; false: failed, and said. */
static bool add_left_out(struct ctl *ctl, const char *route, cJSON *entries, enum ctl_exit *exit_out)
{
    struct gathering gathering = {.what = "troubles", .query = "", .route = route};
    cJSON *troubles = gather(ctl, &gathering, exit_out), *trouble;
    const bool whole = troubles != NULL;
    while (whole && (trouble = cJSON_DetachItemFromArray(troubles, 0))) {
        cJSON_AddStringToObject(trouble, "state", "left out");
        cJSON_AddStringToObject(trouble, "name", ctl_text(trouble, "dn"));
        cJSON_AddStringToObject(trouble, "reason", ctl_text(trouble, "words"));
        cJSON_AddNumberToObject(trouble, "differs_seconds", ctl_number(trouble, "since_seconds", -1));
        cJSON_AddItemToArray(entries, trouble);
    }
    cJSON_Delete(troubles);
    return whole;
}

enum ctl_exit ctl_directory_list(struct ctl *ctl, const struct ctl_args *args)
{
    static const char *const titles[] = {"ROUTE", "KIND",  "NUMBER",     "NAME",
                                         "STATE", "SINCE", "DIFFERS IN", "WHY"};
    enum ctl_exit exit = CTL_WELL;
    struct gathering gathering = {.what = "entries",
                                  .query = ctl_args_has(args, CTL_OPT_ALL) ? "" : "&state=not-equal",
                                  .route = args->value[CTL_OPT_ROUTE]};
    cJSON *entries = gather(ctl, &gathering, &exit);
    const cJSON *entry;
    struct ctl_table table;
    if (!entries || !add_left_out(ctl, gathering.route, entries, &exit)) {
        cJSON_Delete(entries);
        return exit;
    }
    ctl_table_init(&table, titles, 8, 0, 7);
    cJSON_ArrayForEach (entry, entries) {
        bool well =
            str_equal(ctl_text(entry, "state"), "equal") || str_equal(ctl_text(entry, "state"), "kept");
        size_t row = ctl_table_row(&table);
        char age[16];
        const char *const texts[] = {"route", "kind", "number", "name", "state"};
        for (size_t i = 0; i < 5; i++)
            ctl_table_set(&table, row, i, i == 4 && !well ? CTL_RED : CTL_PLAIN, ctl_text(entry, texts[i]));
        ctl_table_set(&table, row, 5, CTL_PLAIN, ctl_age(ctl_number(entry, "differs_seconds", -1), age));
        ctl_table_set(&table, row, 6, CTL_PLAIN, ctl_text(entry, "attributes"));
        ctl_table_set(&table, row, 7, CTL_PLAIN, ctl_text(entry, "reason"));
        exit = well ? exit : CTL_NOT_WELL;
    }
    if (ctl->json)
        ctl_print_json(entries);
    else if (table.rows > 0)
        ctl_print_table(ctl, &table);
    else
        ctl_say("all subscribers and COS are equal");
    ctl_table_fini(&table);
    cJSON_Delete(entries);
    return exit;
}

enum ctl_exit ctl_directory_handovers(struct ctl *ctl, const struct ctl_args *args)
{
    static const char *const titles[] = {"ROUTE", "NUMBER", "STATE", "BEGUN", "MESSAGES", "HOST", "PLACE"};
    enum ctl_exit exit = CTL_WELL;
    struct gathering gathering = {.what = "handovers", .query = "", .route = args->value[CTL_OPT_ROUTE]};
    cJSON *handovers = gather(ctl, &gathering, &exit);
    const cJSON *handover;
    struct ctl_table table;
    if (!handovers)
        return exit;
    ctl_table_init(&table, titles, 7, 0, 6);
    cJSON_ArrayForEach (handover, handovers) {
        size_t row = ctl_table_row(&table);
        char age[16];
        ctl_table_set(&table, row, 0, CTL_PLAIN, ctl_text(handover, "route"));
        ctl_table_set(&table, row, 1, CTL_PLAIN, ctl_text(handover, "number"));
        ctl_table_set(&table, row, 2, CTL_PLAIN, ctl_text(handover, "state"));
        ctl_table_set(&table, row, 3, CTL_PLAIN, ctl_age(ctl_number(handover, "begun_seconds", -1), age));
        ctl_table_setf(&table, row, 4, CTL_PLAIN, "%.0f", ctl_number(handover, "messages", 0));
        ctl_table_set(&table, row, 5, CTL_PLAIN, ctl_text(handover, "host"));
        ctl_table_set(&table, row, 6, CTL_PLAIN, ctl_text(handover, "place"));
    }
    if (ctl->json)
        ctl_print_json(handovers);
    else if (table.rows > 0)
        ctl_print_table(ctl, &table);
    else
        ctl_say("no mirrored number became another person's yet");
    ctl_table_fini(&table);
    cJSON_Delete(handovers);
    return exit;
}

/* ---- sync ---- */

static cJSON *ask_for(struct ctl *ctl, const struct ctl_args *args, bool dry, enum ctl_exit *exit_out)
{
    cJSON *body = cJSON_CreateObject();
    if (args->value[CTL_OPT_ROUTE])
        cJSON_AddStringToObject(body, "route", args->value[CTL_OPT_ROUTE]);
    cJSON_AddBoolToObject(body, "full", ctl_args_has(args, CTL_OPT_FULL));
    cJSON_AddBoolToObject(body, "dry_run", dry);
    return ctl_post(ctl, "/api/v1/directory/sync", body, exit_out);
}

static const cJSON *find_route(const cJSON *document, const char *name)
{
    const cJSON *route;
    cJSON_ArrayForEach (route, cJSON_GetObjectItemCaseSensitive(document, "routes"))
        if (str_equal(ctl_text(route, "route"), name))
            return route;
    return NULL;
}

/* What was asked for is done, by the numbers that the answer told. */
static bool is_done(const cJSON *asked, const cJSON *now, bool dry, const char *only)
{
    static const char *const numbers[][2] = {
        {"wanted_seq", "done_seq"}, {"full_wanted_seq", "full_done_seq"}, {"dry_wanted_seq", "dry_done_seq"}};
    size_t first = dry ? 2 : 0, end = dry ? 3 : 2;
    const cJSON *route;
    cJSON_ArrayForEach (route, cJSON_GetObjectItemCaseSensitive(asked, "routes")) {
        const cJSON *other = find_route(now, ctl_text(route, "route"));
        if (only && !str_equal(only, ctl_text(route, "route")))
            continue;
        for (size_t i = first; other && i < end; i++)
            if (ctl_number(other, numbers[i][1], 0) < ctl_number(route, numbers[i][0], 0))
                return false;
    }
    return true;
}

/* The directory as it is when all is done, or when the time is over (*exit_out NOT_WELL). NULL: the API failed. */
static cJSON *await(struct ctl *ctl, const struct ctl_args *args, const cJSON *asked, bool dry,
                    enum ctl_exit *exit_out)
{
    uint32_t seconds = args->timeout_seconds ? args->timeout_seconds : DIFF_SECONDS;
    int64_t until = clock_boot_ms() + (int64_t)seconds * 1000;
    for (;;) {
        cJSON *now = ctl_get(ctl, "/api/v1/directory", exit_out);
        if (!now || is_done(asked, now, dry, args->value[CTL_OPT_ROUTE]))
            return now;
        if (clock_boot_ms() > until) {
            ctl_directory_show(ctl, cJSON_GetObjectItemCaseSensitive(now, "routes"));
            ctl_complain("not done within %u s; mirrorctl status shows the error, if there is one", seconds);
            *exit_out = CTL_NOT_WELL;
            cJSON_Delete(now);
            return NULL;
        }
        cJSON_Delete(now);
        poll(NULL, 0, PAUSE_MS);
    }
}

enum ctl_exit ctl_directory_sync(struct ctl *ctl, const struct ctl_args *args)
{
    enum ctl_exit exit = CTL_WELL;
    if (ctl_args_has(args, CTL_OPT_DRY_RUN))
        return ctl_directory_diff(ctl, args);
    cJSON *asked = ask_for(ctl, args, false, &exit);
    bool wait = ctl_args_has(args, CTL_OPT_WAIT);
    cJSON *now = asked && wait ? await(ctl, args, asked, false, &exit) : NULL;
    const cJSON *routes = cJSON_GetObjectItemCaseSensitive(now ? now : asked, "routes");
    if (asked && ctl->json)
        ctl_print_json(now ? now : asked);
    else if (now)
        ctl_directory_show(ctl, routes);
    else if (asked && !wait)
        ctl_say("asked for; mirrorctl status shows how it stands");
    if (now && !ctl_directory_is_well(routes))
        exit = CTL_NOT_WELL;
    cJSON_Delete(asked);
    cJSON_Delete(now);
    return exit;
}

/* ---- diff ---- */

static void say_difference(const cJSON *difference)
{
    const cJSON *attribute;
    ctl_say("%s %s %s %s (%s)", ctl_text(difference, "action"), ctl_text(difference, "kind"),
            ctl_text(difference, "number"), ctl_text(difference, "name"), ctl_text(difference, "route"));
    cJSON_ArrayForEach (attribute, cJSON_GetObjectItemCaseSensitive(difference, "attributes"))
        ctl_say("    %s %s: %s", ctl_text(attribute, "op"), ctl_text(attribute, "name"),
                ctl_text(attribute, "what"));
}

enum ctl_exit ctl_directory_diff(struct ctl *ctl, const struct ctl_args *args)
{
    enum ctl_exit exit = CTL_WELL;
    struct gathering gathering = {.what = "differences", .query = "", .route = args->value[CTL_OPT_ROUTE]};
    cJSON *asked = ask_for(ctl, args, true, &exit);
    cJSON *now = asked ? await(ctl, args, asked, true, &exit) : NULL;
    cJSON *differences = now ? gather(ctl, &gathering, &exit) : NULL;
    const cJSON *difference;
    if (differences && ctl->json)
        ctl_print_json(differences);
    cJSON_ArrayForEach (difference, differences) {
        if (!ctl->json && ctl_args_has(args, CTL_OPT_LDIF))
            fputs(ctl_text(difference, "ldif"), stdout);
        else if (!ctl->json)
            say_difference(difference);
        exit = CTL_NOT_WELL;
    }
    if (differences && !ctl->json && exit == CTL_WELL && !ctl_args_has(args, CTL_OPT_LDIF))
        ctl_say("nothing differs");
    cJSON_Delete(asked);
    cJSON_Delete(now);
    cJSON_Delete(differences);
    return exit;
}
