/*
 * Mailboxes on the command line.
 */
#include "ctl/ctl_mailbox.h"

#include "base/str.h"
#include "ctl/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MAX_CSV_BYTES = 8 * 1024 * 1024, IMPORT_SECONDS = 1800, LINES_SHOWN = 50, REFUSED_SHOWN = 20 };

static cJSON *ask_about(struct ctl *ctl, const char *method, const char *number, const char *query,
                        enum ctl_exit *exit_out)
{
    char *escaped = ctl_escape(number), *path = str_format("/api/v1/mailboxes/%s%s", escaped, query);
    cJSON *answer = ctl_ask(ctl, &(struct ctl_request){.method = method, .path = path}, exit_out);
    free(escaped);
    free(path);
    return answer;
}

/* Prints the JSON if that is wanted. */
static bool printed_json(const struct ctl *ctl, const cJSON *answer)
{
    if (ctl->json)
        ctl_print_json(answer);
    return ctl->json;
}

/* ---- add, remove ---- */

static void add_option(cJSON *body, const struct ctl_args *args, enum ctl_option option, const char *name)
{
    if (ctl_args_has(args, option))
        cJSON_AddStringToObject(body, name, args->value[option]);
}

enum ctl_exit ctl_mailbox_add(struct ctl *ctl, const struct ctl_args *args)
{
    enum ctl_exit exit = CTL_WELL;
    uint32_t priority;
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "mailbox", args->words[0]);
    add_option(body, args, CTL_OPT_NAME, "name");
    add_option(body, args, CTL_OPT_COS, "cos");
    if (ctl_args_has(args, CTL_OPT_PRIORITY)) {
        if (str_to_u32(args->value[CTL_OPT_PRIORITY], &priority) < 0) {
            ctl_complain("--priority must be a number, 1 to 8");
            cJSON_Delete(body);
            return CTL_USAGE;
        }
        cJSON_AddNumberToObject(body, "priority", priority);
    }
    cJSON *routes = args->route_count > 0 ? cJSON_AddArrayToObject(body, "routes") : NULL;
    for (size_t i = 0; i < args->route_count; i++)
        cJSON_AddItemToArray(routes, cJSON_CreateString(args->routes[i]));
    cJSON *answer = ctl_post(ctl, "/api/v1/mailboxes", body, &exit);
    if (!answer)
        return exit;
    if (!printed_json(ctl, answer)) {
        const cJSON *mirror;
        ctl_say("mailbox %s: %s", ctl_text(answer, "number"), ctl_text(answer, "result"));
        cJSON_ArrayForEach (mirror, cJSON_GetObjectItemCaseSensitive(answer, "mirrors"))
            ctl_say("  route %s: %s -> %s", ctl_text(mirror, "route"), ctl_text(mirror, "from"),
                    ctl_text(mirror, "to"));
    }
    cJSON_Delete(answer);
    return exit;
}

/* On a terminal a person is asked; a script means what it says. */
static bool is_meant(const struct ctl *ctl, const struct ctl_args *args)
{
    char answer[16];
    if (ctl_args_has(args, CTL_OPT_YES) || !ctl->err_is_tty || !isatty(STDIN_FILENO))
        return true;
    fprintf(
        stderr, "End the subscription of mailbox %s and forget what was recorded? %s [y/N] ", args->words[0],
        ctl_args_has(args, CTL_OPT_WITH_COPIES) ? "ITS COPIES ON THE TARGETS ARE REMOVED." : "Copies stay.");
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

enum ctl_exit ctl_mailbox_remove(struct ctl *ctl, const struct ctl_args *args)
{
    enum ctl_exit exit = CTL_WELL;
    bool with_copies = ctl_args_has(args, CTL_OPT_WITH_COPIES);
    if (!is_meant(ctl, args)) {
        ctl_complain("nothing was done");
        return CTL_NOT_WELL;
    }
    cJSON *answer = ask_about(ctl, "DELETE", args->words[0], with_copies ? "?copies=remove" : "", &exit);
    if (answer && !printed_json(ctl, answer))
        ctl_say("mailbox %s: %s", ctl_text(answer, "number"),
                with_copies ? "its copies are being removed; it leaves the list when they are gone"
                            : "removed; copies on the targets stay");
    cJSON_Delete(answer);
    return exit;
}

/* ---- list, show ---- */

enum ctl_exit ctl_mailbox_list(struct ctl *ctl, const struct ctl_args *args)
{
    static const char *const titles[] = {"MAILBOX", "NAME", "COS", "PRIORITY", "ROUTE", "STATE"};
    enum ctl_exit exit = CTL_WELL;
    cJSON *all = ctl_all_mailboxes(ctl, args->value[CTL_OPT_ROUTE], &exit), *mailbox, *mirror;
    if (!all || printed_json(ctl, all)) {
        cJSON_Delete(all);
        return exit;
    }
    struct ctl_table table;
    ctl_table_init(&table, titles, 6, 1u << 3, 1);
    cJSON_ArrayForEach (mailbox, cJSON_GetObjectItemCaseSensitive(all, "mailboxes"))
        cJSON_ArrayForEach (mirror, cJSON_GetObjectItemCaseSensitive(mailbox, "mirrors")) {
            size_t row = ctl_table_row(&table);
            const char *state = ctl_text(mirror, "state");
            ctl_table_set(&table, row, 0, CTL_PLAIN, ctl_text(mailbox, "number"));
            ctl_table_set(&table, row, 1, CTL_PLAIN, ctl_text(mailbox, "name"));
            ctl_table_set(&table, row, 2, CTL_PLAIN, ctl_text(mailbox, "cos"));
            ctl_table_setf(&table, row, 3, CTL_PLAIN, "%.0f", ctl_number(mailbox, "priority", 0));
            ctl_table_set(&table, row, 4, CTL_PLAIN, ctl_text(mirror, "route"));
            ctl_table_set(&table, row, 5, ctl_state_colour(state, ctl_flag(mirror, "well")), state);
        }
    if (table.rows > 0)
        ctl_print_table(ctl, &table);
    else
        ctl_say("No mailbox is subscribed yet: mirrorctl mailbox add NUMBER, or mailbox import FILE.csv");
    ctl_table_fini(&table);
    cJSON_Delete(all);
    return exit;
}

static void show_folders(const struct ctl *ctl, const cJSON *folders)
{
    static const char *const titles[] = {"FOLDER",  "ON THE TARGET", "MESSAGES", "REFUSED",
                                         "ALTERED", "LOST",          "GONE",     "FOREIGN"};
    static const char *const counts[] = {"messages", "refused", "altered", "lost", "gone", "foreign"};
    struct ctl_table table;
    const cJSON *folder;
    ctl_table_init(&table, titles, 8, 0xfcu, 0);
    cJSON_ArrayForEach (folder, folders) {
        size_t row = ctl_table_row(&table);
        bool gone = ctl_flag(folder, "gone_from_production");
        ctl_table_setf(&table, row, 0, CTL_PLAIN, "%.200s%s", ctl_text(folder, "name"),
                       gone ? " (gone)" : "");
        ctl_table_set(&table, row, 1, CTL_PLAIN, ctl_text(folder, "target_name"));
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            double count = ctl_number(folder, counts[i], 0);
            ctl_table_setf(&table, row, 2 + i, i >= 1 && i <= 3 && count > 0 ? CTL_RED : CTL_PLAIN, "%.0f",
                           count);
        }
    }
    if (table.rows > 0)
        ctl_print_table(ctl, &table);
    ctl_table_fini(&table);
}

static void show_mirror(const struct ctl *ctl, const cJSON *mirror)
{
    char proven[16], lag[16], verified[16];
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(mirror, "messages");
    ctl_say("%s", "");
    ctl_say("route %s, %s -> %s: %s", ctl_text(mirror, "route"), ctl_text(mirror, "from"),
            ctl_text(mirror, "to"), ctl_text(mirror, "state"));
    double proven_age = ctl_number(mirror, "proven_age_seconds", -1);
    double verified_age = ctl_number(mirror, "verified_age_seconds", -1);
    ctl_say("  messages %.0f on production, %.0f on the target; lag %s; looked at %s%s; verified %s%s",
            ctl_number(messages, "source", 0), ctl_number(messages, "target", 0),
            ctl_age(ctl_number(mirror, "lag_seconds", 0), lag),
            proven_age < 0 ? "never" : ctl_age(proven_age, proven), proven_age < 0 ? "" : " ago",
            verified_age < 0 ? "never" : ctl_age(verified_age, verified), verified_age < 0 ? "" : " ago");
    double on_hold = ctl_number(mirror, "on_hold_seconds", -1);
    if (on_hold >= 0)
        ctl_say("  on hold for %s: nobody with this number is to be subscribed any more; its copies stay",
                ctl_age(on_hold, lag));
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(mirror, "error");
    if (cJSON_IsObject(error))
        ctl_say("  last error: %s", ctl_text(error, "text"));
    show_folders(ctl, cJSON_GetObjectItemCaseSensitive(mirror, "folders"));
}

enum ctl_exit ctl_mailbox_show(struct ctl *ctl, const struct ctl_args *args)
{
    enum ctl_exit exit = CTL_WELL;
    const cJSON *mirror;
    cJSON *mailbox = ask_about(ctl, "GET", args->words[0], "", &exit);
    if (!mailbox || printed_json(ctl, mailbox)) {
        cJSON_Delete(mailbox);
        return exit;
    }
    const char *name = ctl_text(mailbox, "name"), *cos = ctl_text(mailbox, "cos");
    ctl_say("mailbox %s%s%s%s%s, priority %.0f%s", ctl_text(mailbox, "number"), *name ? " " : "", name,
            *cos ? ", class of service " : "", cos, ctl_number(mailbox, "priority", 0),
            ctl_flag(mailbox, "from_directory") ? ", subscribed from the directory" : "");
    cJSON_ArrayForEach (mirror, cJSON_GetObjectItemCaseSensitive(mailbox, "mirrors"))
        show_mirror(ctl, mirror);
    cJSON_Delete(mailbox);
    return exit;
}

/* ---- import ---- */

static int read_csv(const char *name, struct buf *bytes)
{
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    if (!file) {
        ctl_complain("%s: %s", name, strerror(errno));
        return -1;
    }
    char piece[65536];
    size_t got;
    bool fits = true;
    while (fits && (got = fread(piece, 1, sizeof piece, file)) > 0)
        fits = buf_add(bytes, piece, got) == 0;
    bool failed = ferror(file);
    if (failed)
        ctl_complain("%s: %s", name, strerror(errno));
    else if (!fits)
        ctl_complain("%s: larger than %d bytes: import it in parts", name, MAX_CSV_BYTES);
    if (file != stdin)
        fclose(file);
    return failed || !fits ? -1 : 0;
}

/* What was done with each line, or why not; of many lines only the latter. */
static void show_lines(const cJSON *lines)
{
    const cJSON *line;
    bool all = cJSON_GetArraySize(lines) <= LINES_SHOWN;
    unsigned refused = 0;
    cJSON_ArrayForEach (line, lines) {
        const char *reason = ctl_text(line, "reason"), *result = ctl_text(line, "result");
        bool is_refused = str_equal(result, "refused");
        refused += is_refused;
        if (all || (is_refused && refused <= REFUSED_SHOWN))
            ctl_say("line %.0f%s%s: %s", ctl_number(line, "line", 0),
                    *ctl_text(line, "mailbox") ? ", mailbox " : "", ctl_text(line, "mailbox"),
                    *reason ? reason : result);
    }
    if (!all && refused > REFUSED_SHOWN)
        ctl_say("… and %u more refused lines (--json lists all)", refused - REFUSED_SHOWN);
}

static void show_import(const cJSON *answer)
{
    show_lines(cJSON_GetObjectItemCaseSensitive(answer, "lines"));
    if (*ctl_text(answer, "ignored_columns"))
        ctl_say("columns not known, and ignored: %s", ctl_text(answer, "ignored_columns"));
    ctl_say("%.0f added, %.0f changed, %.0f unchanged, %.0f refused", ctl_number(answer, "added", 0),
            ctl_number(answer, "changed", 0), ctl_number(answer, "unchanged", 0),
            ctl_number(answer, "refused", 0));
}

enum ctl_exit ctl_mailbox_import(struct ctl *ctl, const struct ctl_args *args)
{
    enum ctl_exit exit = CTL_USAGE;
    struct buf bytes;
    cJSON *answer = NULL;
    buf_init(&bytes, MAX_CSV_BYTES);
    if (read_csv(args->words[0], &bytes) == 0)
        answer = ctl_ask(ctl,
                         &(struct ctl_request){.method = "POST",
                                               .path = "/api/v1/import",
                                               .type = "text/csv",
                                               .body = buf_data(&bytes),
                                               .body_len = buf_len(&bytes),
                                               .seconds = IMPORT_SECONDS},
                         &exit);
    if (answer) {
        if (!printed_json(ctl, answer))
            show_import(answer);
        exit = ctl_number(answer, "refused", 0) > 0 ? CTL_NOT_WELL : CTL_WELL;
    }
    cJSON_Delete(answer);
    buf_fini(&bytes);
    return exit;
}
