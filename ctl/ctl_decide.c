/*
 * Deciding held plans, on the command line: one request a plan, each with its own answer and its own line on record.
 */
#include "ctl/ctl_decide.h"

#include "base/json.h"
#include "base/str.h"
#include "ctl/ctl.h"
#include "ctl/ctl_held.h"

#include <stdlib.h>
#include <string.h>

struct deciding {
    struct ctl *ctl;
    const char *verb; /* "allow", "refuse" */
    char *body;
    cJSON *decided, *failed; /* arrays, for --json */
};

const char *ctl_decide_check(const struct ctl_args *args)
{
    const char *reason = args->value[CTL_OPT_REASON];
    bool bulk = ctl_args_has(args, CTL_OPT_ROUTE) || ctl_args_has(args, CTL_OPT_UP_TO);
    uint64_t last;
    if (args->word_count > 0 && bulk)
        return "give plans, or --route with --up-to, not both";
    if (args->word_count == 0 && !bulk)
        return "say which plans: mirrorctl held list shows them";
    if (bulk && !(ctl_args_has(args, CTL_OPT_ROUTE) && ctl_args_has(args, CTL_OPT_UP_TO)))
        return "--route and --up-to go together: all that were held on the route up to the last plan that "
               "you saw";
    if (bulk && args->route_count > 1)
        return "one --route at a time";
    if (bulk && (str_to_u64(args->value[CTL_OPT_UP_TO], &last) < 0 || last == 0))
        return "--up-to must be a plan's number; mirrorctl held list shows them";
    if (!reason || reason[strspn(reason, " ")] == '\0')
        return "--reason TEXT is needed: it is kept on record, with who decided";
    return ctl_held_check(args);
}

/* ---- one plan ---- */

static void say_decided(const struct ctl *ctl, const cJSON *plan)
{
    if (ctl->json)
        return;
    ctl_say("plan %.0f: %s%s%s%s%s. %s", ctl_number(plan, "id", 0), ctl_text(plan, "state"),
            *ctl_text(plan, "mailbox") ? ", mailbox " : "", ctl_text(plan, "mailbox"),
            *ctl_text(plan, "route") ? " on route " : "", ctl_text(plan, "route"), ctl_text(plan, "now"));
}

static void note_failed(struct deciding *deciding, double id, long status, const char *words)
{
    cJSON *failed = cJSON_CreateObject();
    cJSON_AddNumberToObject(failed, "id", id);
    cJSON_AddNumberToObject(failed, "status", (double)status);
    cJSON_AddStringToObject(failed, "detail", words);
    cJSON_AddItemToArray(deciding->failed, failed);
    ctl_complain("%s", words);
}

static enum ctl_exit decide_one(struct deciding *deciding, double id)
{
    struct err err = {0};
    cJSON *answer = NULL;
    long status = 0;
    char *path = str_format("/api/v1/held/%.0f/%s", id, deciding->verb);
    struct ctl_request request = {
        .method = "POST", .path = path, .body = deciding->body, .body_len = strlen(deciding->body)};
    int failed = ctl_client_ask(deciding->ctl->client, &request, &status, &answer, &err);
    free(path);
    if (!failed && status == 200 && answer) {
        say_decided(deciding->ctl, answer);
        cJSON_AddItemToArray(deciding->decided, answer);
        return CTL_WELL;
    }
    const char *words = failed                        ? err.text
                        : *ctl_text(answer, "detail") ? ctl_text(answer, "detail")
                                                      : "no answer";
    note_failed(deciding, id, status, words);
    cJSON_Delete(answer);
    return status == 404 || status == 409   ? CTL_NOT_WELL
           : status == 400 || status == 422 ? CTL_USAGE
                                            : CTL_UNREACHABLE;
}

/* All of them; but an API that is away, or refuses the reason, is not asked for the others. */
static enum ctl_exit decide_each(struct deciding *deciding, const cJSON *ids)
{
    enum ctl_exit exit = CTL_WELL;
    const cJSON *id;
    cJSON_ArrayForEach (id, ids) {
        enum ctl_exit one = decide_one(deciding, id->valuedouble);
        exit = one > exit ? one : exit;
        if (exit > CTL_NOT_WELL)
            break;
    }
    return exit;
}

/* ---- which ---- */

static void add_id(cJSON *ids, double id)
{
    cJSON_AddItemToArray(ids, cJSON_CreateNumber(id));
}

/* Breakers, and plans of subscribers and COS, are never meant: each is a matter of its own. */
static int add_of_route(struct ctl *ctl, const struct ctl_args *args, cJSON *ids, enum ctl_exit *exit_out)
{
    struct ctl_held_wanted wanted = {.route = args->value[CTL_OPT_ROUTE]};
    uint64_t last = 0;
    const cJSON *plan;
    str_to_u64(args->value[CTL_OPT_UP_TO], &last); /* ctl_decide_check() saw that it is a number */
    cJSON *all = ctl_held_all(ctl, &wanted, exit_out);
    if (!all)
        return -1;
    cJSON_ArrayForEach (plan, cJSON_GetObjectItemCaseSensitive(all, "held")) {
        double id = ctl_number(plan, "id", 0);
        if (ctl_held_is_deletion(plan) && str_equal(ctl_text(plan, "route"), wanted.route) &&
            id <= (double)last)
            add_id(ids, id);
    }
    cJSON_Delete(all);
    if (cJSON_GetArraySize(ids) > 0)
        return 0;
    ctl_complain("nothing is held on route %s up to plan %s", wanted.route, args->value[CTL_OPT_UP_TO]);
    *exit_out = CTL_NOT_WELL;
    return -1;
}

static int collect(struct ctl *ctl, const struct ctl_args *args, cJSON *ids, enum ctl_exit *exit_out)
{
    uint64_t id;
    if (args->word_count == 0)
        return add_of_route(ctl, args, ids, exit_out);
    for (size_t i = 0; i < args->word_count; i++)
        if (str_to_u64(args->words[i], &id) == 0)
            add_id(ids, (double)id);
    return 0;
}

/* ---- the commands ---- */

static char *body_for(const struct ctl_args *args)
{
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "reason", args->value[CTL_OPT_REASON]);
    char *text = json_print(body);
    cJSON_Delete(body);
    return text;
}

static void print_decided(struct deciding *deciding)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddItemToObject(document, "decided", deciding->decided);
    cJSON_AddItemToObject(document, "failed", deciding->failed);
    if (deciding->ctl->json)
        ctl_print_json(document);
    cJSON_Delete(document);
}

static enum ctl_exit decide(struct ctl *ctl, const struct ctl_args *args, const char *verb)
{
    enum ctl_exit exit = CTL_WELL;
    cJSON *ids = cJSON_CreateArray();
    if (collect(ctl, args, ids, &exit) == 0) {
        struct deciding deciding = {.ctl = ctl,
                                    .verb = verb,
                                    .body = body_for(args),
                                    .decided = cJSON_CreateArray(),
                                    .failed = cJSON_CreateArray()};
        exit = decide_each(&deciding, ids);
        print_decided(&deciding);
        free(deciding.body);
    }
    cJSON_Delete(ids);
    return exit;
}

enum ctl_exit ctl_decide_allow(struct ctl *ctl, const struct ctl_args *args)
{
    return decide(ctl, args, "allow");
}

enum ctl_exit ctl_decide_refuse(struct ctl *ctl, const struct ctl_args *args)
{
    return decide(ctl, args, "refuse");
}
