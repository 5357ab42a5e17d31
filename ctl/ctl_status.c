/*
 * How it stands, on the command line.
 */
#include "ctl/ctl_status.h"

#include "base/str.h"
#include "ctl/ctl.h"
#include "ctl/ctl_directory.h"

#include <stdlib.h>
#include <string.h>

/* ---- status ---- */

/* What a person must know first: whose deletions are stopped, and what is held. */
static void show_held(const struct ctl *ctl, const cJSON *held)
{
    const cJSON *breaker, *breakers = cJSON_GetObjectItemCaseSensitive(held, "breakers");
    double plans = ctl_number(held, "plans", 0), messages = ctl_number(held, "messages", 0);
    char since[16], *text;
    cJSON_ArrayForEach (breaker, breakers) {
        text = str_format(
            "deletions and overwriting on all routes from %s, for %s: %s (mirrorctl held show %.0f)",
            ctl_text(breaker, "site"), ctl_age(ctl_number(breaker, "made_age_seconds", -1), since),
            ctl_text(breaker, "reason"), ctl_number(breaker, "id", 0));
        ctl_say_wrapped(ctl, "STOPPED", text);
        free(text);
    }
    if (plans > 0) {
        double entries = ctl_number(held, "entries", 0);
        char *of_directory =
            entries > 0 ? str_format(", %.0f of subscribers and COS", entries) : str_copy("");
        text = str_format("%.0f message%s%s in %.0f plan%s: a person must decide (mirrorctl held list)",
                          messages, messages > 1 ? "s" : "", of_directory, plans, plans > 1 ? "s" : "");
        free(of_directory);
        ctl_say_wrapped(ctl, "HELD", text);
        free(text);
    }
    if (plans > 0 || cJSON_GetArraySize(breakers) > 0)
        ctl_say("%s", "");
}

static void show_sites(const struct ctl *ctl, const cJSON *status)
{
    static const char *const titles[] = {"SITE", "LOGIN", "SESSIONS", "LAST ERROR"};
    struct ctl_table table;
    const cJSON *site;
    ctl_table_init(&table, titles, 4, 1u << 2, 3);
    cJSON_ArrayForEach (site, cJSON_GetObjectItemCaseSensitive(status, "sites")) {
        size_t row = ctl_table_row(&table);
        const char *login = ctl_text(site, "login_state");
        bool stopped = str_equal(login, "stopped");
        ctl_table_set(&table, row, 0, CTL_PLAIN, ctl_text(site, "name"));
        ctl_table_set(&table, row, 1, stopped ? CTL_RED : CTL_PLAIN, login);
        ctl_table_setf(&table, row, 2, CTL_PLAIN, "%.0f", ctl_number(site, "sessions", 0));
        ctl_table_set(&table, row, 3, CTL_PLAIN, ctl_text(site, "error"));
    }
    ctl_print_table(ctl, &table);
    ctl_table_fini(&table);
}

static void show_routes(const struct ctl *ctl, const cJSON *status)
{
    static const char *const titles[] = {"ROUTE", "FROM",   "TO",  "MIRRORS", "WELL",
                                         "PROD",  "TARGET", "LAG", ""};
    struct ctl_table table;
    const cJSON *route;
    char lag[16];
    ctl_table_init(&table, titles, 9, 0xf8u, 0);
    cJSON_ArrayForEach (route, cJSON_GetObjectItemCaseSensitive(status, "routes")) {
        const cJSON *mirrors = cJSON_GetObjectItemCaseSensitive(route, "mirrors");
        double total = ctl_number(mirrors, "total", 0), well = ctl_number(mirrors, "well", 0);
        size_t row = ctl_table_row(&table);
        ctl_table_set(&table, row, 0, CTL_PLAIN, ctl_text(route, "name"));
        ctl_table_set(&table, row, 1, CTL_PLAIN, ctl_text(route, "from"));
        ctl_table_set(&table, row, 2, CTL_PLAIN, ctl_text(route, "to"));
        ctl_table_setf(&table, row, 3, CTL_PLAIN, "%.0f", total);
        ctl_table_setf(&table, row, 4, well < total ? CTL_RED : CTL_GREEN, "%.0f", well);
        ctl_table_setf(&table, row, 5, CTL_PLAIN, "%.0f", ctl_number(mirrors, "source_messages", 0));
        ctl_table_setf(&table, row, 6, CTL_PLAIN, "%.0f", ctl_number(mirrors, "target_messages", 0));
        ctl_table_set(&table, row, 7, CTL_PLAIN, ctl_age(ctl_number(mirrors, "worst_lag_seconds", 0), lag));
        ctl_table_set(&table, row, 8, CTL_YELLOW, ctl_flag(route, "paused") ? "paused" : "");
    }
    ctl_print_table(ctl, &table);
    ctl_table_fini(&table);
}

/* The error that matters most, in words. */
static const char *last_error(const cJSON *mirror)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(mirror, "error");
    if (!cJSON_IsObject(error))
        error = cJSON_GetObjectItemCaseSensitive(mirror, "look_error");
    if (cJSON_IsObject(error))
        return ctl_text(error, "text");
    if (*ctl_text(mirror, "refused_keywords"))
        return "keywords refused by the target (see why)";
    return ctl_number(cJSON_GetObjectItemCaseSensitive(mirror, "messages"), "refused", 0) > 0
               ? "messages that could not be copied (see why)"
               : "";
}

static void add_mirror(struct ctl_table *table, const cJSON *mailbox, const cJSON *mirror)
{
    char age[16];
    size_t row = ctl_table_row(table);
    const char *state = ctl_text(mirror, "state");
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(mirror, "messages");
    ctl_table_set(table, row, 0, CTL_PLAIN, ctl_text(mailbox, "number"));
    ctl_table_set(table, row, 1, CTL_PLAIN, ctl_text(mirror, "route"));
    ctl_table_set(table, row, 2, ctl_state_colour(state, ctl_flag(mirror, "well")), state);
    ctl_table_setf(table, row, 3, CTL_PLAIN, "%.0f", ctl_number(messages, "source", 0));
    ctl_table_setf(table, row, 4, CTL_PLAIN, "%.0f", ctl_number(messages, "target", 0));
    ctl_table_set(table, row, 5, CTL_PLAIN, ctl_age(ctl_number(mirror, "lag_seconds", 0), age));
    ctl_table_set(table, row, 6, CTL_PLAIN, ctl_age(ctl_number(mirror, "proven_age_seconds", -1), age));
    ctl_table_set(table, row, 7, CTL_PLAIN, ctl_age(ctl_number(mirror, "next_try_seconds", -1), age));
    ctl_table_set(table, row, 8, CTL_PLAIN, last_error(mirror));
}

static void show_mirrors(const struct ctl *ctl, const cJSON *status)
{
    static const char *const titles[] = {"MAILBOX", "ROUTE",  "STATE", "PROD",      "TARGET",
                                         "LAG",     "LOOKED", "NEXT",  "LAST ERROR"};
    struct ctl_table table;
    const cJSON *mailbox, *mirror;
    ctl_table_init(&table, titles, 9, 0xf8u, 8);
    cJSON_ArrayForEach (mailbox, cJSON_GetObjectItemCaseSensitive(status, "mailboxes"))
        cJSON_ArrayForEach (mirror, cJSON_GetObjectItemCaseSensitive(mailbox, "mirrors"))
            add_mirror(&table, mailbox, mirror);
    if (table.rows > 0)
        ctl_print_table(ctl, &table);
    ctl_table_fini(&table);
}

static void show_summary(const cJSON *status)
{
    const cJSON *mirrors = cJSON_GetObjectItemCaseSensitive(status, "mirrors"), *worker;
    ctl_say("%.0f of %.0f mirrors are well", ctl_number(mirrors, "well", 0), ctl_number(mirrors, "total", 0));
    cJSON_ArrayForEach (worker, cJSON_GetObjectItemCaseSensitive(status, "workers"))
        ctl_say("%s: %.0f alive, %.0f in this host's configuration", worker->string,
                ctl_number(worker, "alive", 0), ctl_number(worker, "configured", 0));
}

static bool is_well(const cJSON *status)
{
    const cJSON *item, *mirrors = cJSON_GetObjectItemCaseSensitive(status, "mirrors");
    cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive(status, "sites"))
        if (str_equal(ctl_text(item, "login_state"), "stopped"))
            return false;
    cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive(status, "workers"))
        if (ctl_number(item, "alive", 0) < ctl_number(item, "configured", 0))
            return false;
    const cJSON *held = cJSON_GetObjectItemCaseSensitive(status, "held");
    if (ctl_number(held, "plans", 0) > 0 ||
        cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(held, "breakers")) > 0)
        return false;
    return ctl_directory_is_well(cJSON_GetObjectItemCaseSensitive(status, "directory")) &&
           ctl_number(mirrors, "well", 0) >= ctl_number(mirrors, "total", 0);
}

enum ctl_exit ctl_status_show(struct ctl *ctl, const struct ctl_args *args)
{
    enum ctl_exit exit = CTL_WELL;
    cJSON *status = ctl_get(ctl, "/api/v1/status", &exit);
    cJSON *all = status ? ctl_all_mailboxes(ctl, args->value[CTL_OPT_ROUTE], &exit) : NULL;
    if (!all) {
        cJSON_Delete(status);
        return exit;
    }
    cJSON_AddItemToObject(status, "mailboxes", cJSON_DetachItemFromObjectCaseSensitive(all, "mailboxes"));
    cJSON_Delete(all);
    if (ctl->json) {
        ctl_print_json(status);
    } else {
        show_held(ctl, cJSON_GetObjectItemCaseSensitive(status, "held"));
        show_sites(ctl, status);
        ctl_say("%s", "");
        show_routes(ctl, status);
        ctl_say("%s", "");
        ctl_directory_show(ctl, cJSON_GetObjectItemCaseSensitive(status, "directory"));
        show_mirrors(ctl, status);
        ctl_say("%s", "");
        show_summary(status);
    }
    exit = is_well(status) ? CTL_WELL : CTL_NOT_WELL;
    cJSON_Delete(status);
    return exit;
}

/* ---- why ---- */

static void say_messages(const struct ctl *ctl, const cJSON *messages)
{
    static const char *const titles[] = {"FOLDER", "UID", "DATE", "BYTES", "STATE", "IN THE SERVER'S WORDS"};
    struct ctl_table table;
    const cJSON *message;
    ctl_table_init(&table, titles, 6, (1u << 1) | (1u << 3), 5);
    cJSON_ArrayForEach (message, messages) {
        size_t row = ctl_table_row(&table);
        ctl_table_set(&table, row, 0, CTL_PLAIN, ctl_text(message, "folder"));
        ctl_table_setf(&table, row, 1, CTL_PLAIN, "%.0f", ctl_number(message, "uid", 0));
        ctl_table_setf(&table, row, 2, CTL_PLAIN, "%.16s", ctl_text(message, "date"));
        ctl_table_setf(&table, row, 3, CTL_PLAIN, "%.0f", ctl_number(message, "size_bytes", 0));
        ctl_table_set(&table, row, 4, CTL_RED, ctl_text(message, "state"));
        ctl_table_set(&table, row, 5, CTL_PLAIN, ctl_text(message, "words"));
    }
    if (table.rows > 0)
        ctl_print_table(ctl, &table);
    ctl_table_fini(&table);
}

static void say_why(const struct ctl *ctl, const cJSON *mirror)
{
    const cJSON *item;
    ctl_say("%s -> %s (route %s): %s", ctl_text(mirror, "from"), ctl_text(mirror, "to"),
            ctl_text(mirror, "route"), ctl_text(mirror, "state"));
    ctl_say_wrapped(ctl, "What", ctl_text(mirror, "what"));
    ctl_say_wrapped(ctl, "Since", ctl_text(mirror, "since"));
    ctl_say_wrapped(ctl, "Whose fault", ctl_text(mirror, "whose"));
    ctl_say_wrapped(ctl, "What to do", ctl_text(mirror, "todo"));
    ctl_say_wrapped(ctl, "Next try", ctl_text(mirror, "next"));
    cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive(mirror, "notes"))
        ctl_say_wrapped(ctl, "Also", cJSON_IsString(item) ? item->valuestring : "");
    say_messages(ctl, cJSON_GetObjectItemCaseSensitive(mirror, "messages"));
    cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive(mirror, "verify_report"))
        ctl_say_wrapped(ctl, "Difference", cJSON_IsString(item) ? item->valuestring : "");
    ctl_say("%s", "");
}

enum ctl_exit ctl_status_why(struct ctl *ctl, const struct ctl_args *args)
{
    enum ctl_exit exit = CTL_WELL;
    const cJSON *mirror;
    char *escaped = ctl_escape(args->words[0]), *path = str_format("/api/v1/mailboxes/%s/why", escaped);
    cJSON *answer = ctl_get(ctl, path, &exit);
    if (answer && ctl->json)
        ctl_print_json(answer);
    cJSON_ArrayForEach (mirror, cJSON_GetObjectItemCaseSensitive(answer, "mirrors")) {
        if (!ctl->json)
            say_why(ctl, mirror);
        if (!ctl_flag(mirror, "well"))
            exit = CTL_NOT_WELL;
    }
    cJSON_Delete(answer);
    free(escaped);
    free(path);
    return exit;
}
