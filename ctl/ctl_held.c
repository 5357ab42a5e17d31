/*
 * Held deletions on the command line.
 */
#include "ctl/ctl_held.h"

#include "base/str.h"
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 500, SHOWN = 50 };

const char *ctl_held_check(const struct ctl_args *args)
{
    uint64_t id;
    for (size_t i = 0; i < args->word_count; i++)
        if (str_to_u64(args->words[i], &id) < 0 || id == 0)
            return "say plans by their numbers; mirrorctl held list shows them";
    return NULL;
}

/* ---- asking ---- */

static char *list_path(const struct ctl_held_wanted *wanted, double after)
{
    char *mailbox = ctl_escape(wanted->mailbox ? wanted->mailbox : "");
    char *route = ctl_escape(wanted->route ? wanted->route : "");
    char *path =
        str_format("/api/v1/held?limit=%d&after=%.0f%s%s%s%s%s", PAGE, after, wanted->all ? "&all=true" : "",
                   wanted->mailbox ? "&mailbox=" : "", mailbox, wanted->route ? "&route=" : "", route);
    free(mailbox);
    free(route);
    return path;
}

/* Moves the items of a page to `list`; true: there is a next page, *after_out says where it begins. */
static bool take_page(cJSON *page, const char *name, cJSON *list, double *after_out)
{
    cJSON *item, *items = cJSON_GetObjectItemCaseSensitive(page, name);
    while ((item = cJSON_DetachItemFromArray(items, 0)))
        cJSON_AddItemToArray(list, item);
    double next = ctl_number(page, "next", 0);
    bool more = next > *after_out; /* an API that goes in a circle is not followed */
    *after_out = next;
    return more;
}

cJSON *ctl_held_all(struct ctl *ctl, const struct ctl_held_wanted *wanted, enum ctl_exit *exit_out)
{
    cJSON *all = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(all, "held");
    double after = 0;
    bool more = true;
    while (more) {
        char *path = list_path(wanted, after);
        cJSON *page = ctl_get(ctl, path, exit_out);
        free(path);
        if (!page) {
            cJSON_Delete(all);
            return NULL;
        }
        more = take_page(page, "held", list, &after);
        cJSON_Delete(page);
    }
    return all;
}

static cJSON *ask_plan(struct ctl *ctl, const char *id, double after, enum ctl_exit *exit_out)
{
    char *path = str_format("/api/v1/held/%s?limit=%d&after=%.0f", id, PAGE, after);
    cJSON *plan = ctl_get(ctl, path, exit_out);
    free(path);
    return plan;
}

/* The plan with all of its set, if it is wanted; else with the first page of it. */
static cJSON *whole_plan(struct ctl *ctl, const char *id, bool all, enum ctl_exit *exit_out)
{
    cJSON *plan = ask_plan(ctl, id, 0, exit_out);
    cJSON *list = cJSON_GetObjectItemCaseSensitive(plan, "list");
    double after = ctl_number(plan, "next", 0);
    bool more = all && after > 0;
    while (more) {
        cJSON *page = ask_plan(ctl, id, after, exit_out);
        if (!page) {
            cJSON_Delete(plan);
            return NULL;
        }
        more = take_page(page, "list", list, &after);
        cJSON_Delete(page);
    }
    return plan;
}

/* ---- list ---- */

static bool is_site(const cJSON *plan)
{
    return str_equal(ctl_text(plan, "kind"), "site");
}

/* Of subscribers or COS: what it holds in a word, else NULL. */
static const char *directory_noun(const cJSON *plan)
{
    const char *kind = ctl_text(plan, "kind");
    return str_equal(kind, "subscribers") ? "subscribers" : str_equal(kind, "cos") ? "COS" : NULL;
}

/* {"total", "open", ...} */
static const cJSON *counts_of(const cJSON *plan)
{
    return cJSON_GetObjectItemCaseSensitive(plan, directory_noun(plan) ? "entries" : "messages");
}

bool ctl_held_is_deletion(const cJSON *plan)
{
    return !is_site(plan) && !directory_noun(plan) && str_equal(ctl_text(plan, "state"), "held");
}

static void add_row(struct ctl_table *table, const cJSON *plan)
{
    size_t row = ctl_table_row(table);
    char age[16];
    ctl_table_setf(table, row, 0, CTL_PLAIN, "%.0f", ctl_number(plan, "id", 0));
    ctl_table_set(table, row, 1, ctl_flag(plan, "open") ? CTL_RED : CTL_PLAIN, ctl_text(plan, "state"));
    ctl_table_set(table, row, 5, CTL_PLAIN, ctl_age(ctl_number(plan, "made_age_seconds", -1), age));
    ctl_table_set(table, row, 6, CTL_PLAIN, ctl_text(plan, "reason"));
    if (is_site(plan)) {
        ctl_table_set(table, row, 2, CTL_PLAIN, "all");
        ctl_table_setf(table, row, 3, CTL_PLAIN, "all from %.200s", ctl_text(plan, "site"));
        ctl_table_set(table, row, 4, CTL_PLAIN, "-");
        return;
    }
    const char *noun = directory_noun(plan);
    double total = ctl_number(counts_of(plan), "total", 0);
    ctl_table_set(table, row, 3, CTL_PLAIN, ctl_text(plan, "route"));
    if (noun) {
        ctl_table_setf(table, row, 2, CTL_PLAIN, "%.0f %s", total, noun);
        ctl_table_set(table, row, 4, CTL_PLAIN, "-");
        return;
    }
    ctl_table_set(table, row, 2, CTL_PLAIN, ctl_text(plan, "mailbox"));
    ctl_table_setf(table, row, 4, CTL_PLAIN, "%.0f", total);
}

cJSON *ctl_held_by_route(const cJSON *plans)
{
    cJSON *routes = cJSON_CreateObject();
    const cJSON *plan;
    cJSON_ArrayForEach (plan, plans) {
        const char *name = ctl_text(plan, "route");
        if (!ctl_held_is_deletion(plan))
            continue;
        cJSON *route = cJSON_GetObjectItemCaseSensitive(routes, name);
        if (!route) {
            route = cJSON_AddObjectToObject(routes, name);
            cJSON_AddNumberToObject(route, "plans", 0);
            cJSON_AddNumberToObject(route, "messages", 0);
            cJSON_AddNumberToObject(route, "last", 0);
        }
        cJSON *last = cJSON_GetObjectItemCaseSensitive(route, "last");
        double id = ctl_number(plan, "id", 0);
        double messages = ctl_number(counts_of(plan), "total", 0);
        cJSON_SetNumberHelper(cJSON_GetObjectItemCaseSensitive(route, "plans"),
                              ctl_number(route, "plans", 0) + 1);
        cJSON_SetNumberHelper(cJSON_GetObjectItemCaseSensitive(route, "messages"),
                              ctl_number(route, "messages", 0) + messages);
        cJSON_SetNumberHelper(last, id > last->valuedouble ? id : last->valuedouble);
    }
    return routes;
}

/* What may be typed next. A list of one mailbox only does not propose to decide about the others of its route. */
static void say_next(const cJSON *plans, bool whole_routes)
{
    cJSON *routes = ctl_held_by_route(plans), *route;
    ctl_say("%s", "");
    ctl_say("mirrorctl held show PLAN tells what is in it, and what allow and refuse do.");
    cJSON_ArrayForEach (route, routes) {
        double count = ctl_number(route, "plans", 0);
        if (count < 2 || !whole_routes)
            continue;
        ctl_say("All %.0f that are held on route %s now (%.0f messages), and none that comes later:", count,
                route->string, ctl_number(route, "messages", 0));
        ctl_say("  mirrorctl held allow --route %s --up-to %.0f --reason TEXT   (or: held refuse)",
                route->string, ctl_number(route, "last", 0));
    }
    cJSON_Delete(routes);
}

static bool any_open(const cJSON *plans)
{
    const cJSON *plan;
    cJSON_ArrayForEach (plan, plans)
        if (ctl_flag(plan, "open"))
            return true;
    return false;
}

static void show_list(const struct ctl *ctl, const struct ctl_args *args, const cJSON *plans)
{
    static const char *const titles[] = {"PLAN", "STATE", "MAILBOX", "ROUTE", "MESSAGES", "SINCE", "WHY"};
    struct ctl_table table;
    const cJSON *plan;
    ctl_table_init(&table, titles, 7, (1u << 0) | (1u << 4) | (1u << 5), 6);
    cJSON_ArrayForEach (plan, plans)
        add_row(&table, plan);
    if (table.rows > 0)
        ctl_print_table(ctl, &table);
    else
        ctl_say("Nothing is held.");
    if (any_open(plans))
        say_next(plans, !ctl_args_has(args, CTL_OPT_MAILBOX));
    ctl_table_fini(&table);
}

enum ctl_exit ctl_held_list(struct ctl *ctl, const struct ctl_args *args)
{
    enum ctl_exit exit = CTL_WELL;
    struct ctl_held_wanted wanted = {.mailbox = args->value[CTL_OPT_MAILBOX],
                                     .route = args->value[CTL_OPT_ROUTE],
                                     .all = ctl_args_has(args, CTL_OPT_ALL)};
    cJSON *all = ctl_held_all(ctl, &wanted, &exit);
    if (!all)
        return exit;
    const cJSON *plans = cJSON_GetObjectItemCaseSensitive(all, "held");
    if (ctl->json)
        ctl_print_json(all);
    else
        show_list(ctl, args, plans);
    exit = any_open(plans) ? CTL_NOT_WELL : CTL_WELL;
    cJSON_Delete(all);
    return exit;
}

/* ---- show ---- */

static void set_message(struct ctl_table *table, size_t row, const cJSON *message)
{
    double uid = ctl_number(message, "uid", 0);
    ctl_table_set(table, row, 0, CTL_PLAIN, ctl_text(message, "folder"));
    ctl_table_setf(table, row, 1, CTL_PLAIN, uid > 0 ? "%.0f" : "-", uid);
    ctl_table_setf(table, row, 2, CTL_PLAIN, "%.16s", ctl_text(message, "date"));
    ctl_table_setf(table, row, 3, CTL_PLAIN, "%.0f", ctl_number(message, "size_bytes", 0));
    ctl_table_set(table, row, 4, CTL_PLAIN, ctl_text(message, "outcome"));
}

static void set_entry(struct ctl_table *table, size_t row, const cJSON *entry)
{
    static const char *const names[] = {"number", "name", "dn", "outcome"};
    for (size_t i = 0; i < 4; i++)
        ctl_table_set(table, row, i, CTL_PLAIN, ctl_text(entry, names[i]));
}

static void show_set(const struct ctl *ctl, const cJSON *plan, double total)
{
    static const char *const of_messages[] = {"FOLDER", "UID", "DATE", "BYTES", "NOW"};
    static const char *const of_entries[] = {"NUMBER", "NAME", "DN", "NOW"};
    bool entries = directory_noun(plan) != NULL;
    struct ctl_table table;
    const cJSON *item;
    ctl_table_init(&table, entries ? of_entries : of_messages, entries ? 4 : 5,
                   entries ? 0 : (1u << 1) | (1u << 3), entries ? 2 : 0);
    cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive(plan, "list")) {
        if (table.rows == SHOWN)
            break;
        size_t row = ctl_table_row(&table);
        (entries ? set_entry : set_message)(&table, row, item);
    }
    if (table.rows > 0) {
        ctl_say("%s", "");
        ctl_print_table(ctl, &table);
    }
    if (total > (double)table.rows)
        ctl_say("… and %.0f more (--json lists all)", total - (double)table.rows);
    ctl_table_fini(&table);
}

static void say_choice(const struct ctl *ctl, const char *title, const char *verb, const cJSON *plan,
                       const char *sentence)
{
    char *command = str_format("mirrorctl held %s %.0f --reason TEXT", verb, ctl_number(plan, "id", 0));
    if (*sentence) {
        ctl_say_wrapped(ctl, title, sentence);
        ctl_say_wrapped(ctl, "", command);
    }
    free(command);
}

static void say_counts(const struct ctl *ctl, const cJSON *plan)
{
    const cJSON *counts = counts_of(plan);
    const char *noun = directory_noun(plan);
    char *text = str_format("%.0f: %.0f open, %.0f removed, %.0f kept, %.0f back on production",
                            ctl_number(counts, "total", 0), ctl_number(counts, "open", 0),
                            ctl_number(counts, "removed", 0), ctl_number(counts, "kept", 0),
                            ctl_number(counts, "back", 0));
    ctl_say_wrapped(ctl, !noun ? "Messages" : str_equal(noun, "COS") ? "COS" : "Subscribers", text);
    free(text);
}

static void say_decided(const struct ctl *ctl, const cJSON *plan)
{
    char age[16];
    double seconds = ctl_number(plan, "decided_age_seconds", -1);
    if (seconds < 0)
        return;
    char *text = str_format("by %s, %s ago: %s", ctl_text(plan, "decided_by"), ctl_age(seconds, age),
                            ctl_text(plan, "decision"));
    ctl_say_wrapped(ctl, "Decided", text);
    free(text);
}

static void show_plan(const struct ctl *ctl, const cJSON *plan)
{
    char age[16], since[32];
    snprintf(since, sizeof since, "%s ago", ctl_age(ctl_number(plan, "made_age_seconds", -1), age));
    ctl_say("plan %.0f: %s", ctl_number(plan, "id", 0), ctl_text(plan, "state"));
    ctl_say_wrapped(ctl, "What", ctl_text(plan, "what"));
    ctl_say_wrapped(ctl, "Why", ctl_text(plan, "reason"));
    ctl_say_wrapped(ctl, "It says now", ctl_text(plan, "introduces_itself"));
    ctl_say_wrapped(ctl, "Since", since);
    if (!is_site(plan))
        say_counts(ctl, plan);
    ctl_say_wrapped(ctl, "Now", ctl_text(plan, "now"));
    say_decided(ctl, plan);
    say_choice(ctl, "Allow", "allow", plan, ctl_text(plan, "if_allowed"));
    say_choice(ctl, "Refuse", "refuse", plan, ctl_text(plan, "if_refused"));
    show_set(ctl, plan, ctl_number(counts_of(plan), "total", 0));
}

enum ctl_exit ctl_held_show(struct ctl *ctl, const struct ctl_args *args)
{
    enum ctl_exit exit = CTL_WELL;
    cJSON *plan = whole_plan(ctl, args->words[0], ctl->json, &exit);
    if (!plan)
        return exit;
    if (ctl->json)
        ctl_print_json(plan);
    else
        show_plan(ctl, plan);
    exit = ctl_flag(plan, "open") ? CTL_NOT_WELL : CTL_WELL;
    cJSON_Delete(plan);
    return exit;
}
