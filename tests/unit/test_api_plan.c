/*
 * Held plans in words: what a person is told before a decision, and what it came to.
 */
#include "api/api_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A deletion that waits for a person; members that are given again override these: that is what the table is for. */
#define BASE                                                                                                 \
    .plan_id = 12, .kind = "mailbox", .state = "held", .site = "production", .route = "dr",                  \
    .mailbox = "4711", .reason = "31 of 40 messages are gone", .words = "", .messages = 31, .open = 31,      \
    .made_age_seconds = 300, .decided_age_seconds = -1, .ended_age_seconds = -1, .decided_by = "",           \
    .decision = ""
#define DECIDED .decided_age_seconds = 130, .decided_by = "token@10.0.0.1", .decision = "moved"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif

static const struct config_route route = {.name = (char[]){"dr"}, .to = (char[]){"backup"}};

struct one {
    struct store_plan plan;
    bool no_route, open;
    const char *what, *if_allowed, *if_refused, *now; /* "": must be empty */
    const char *over;
};

static const struct one table[] = {
    {.plan = {BASE},
     .open = true,
     .what = "31 messages of mailbox 4711 gone from production, and left on backup (route dr) until a person",
     .if_allowed =
         "31 messages will be removed from backup, after they were looked for on production once more",
     .if_refused = "31 messages will stay on backup for good",
     .now = "It waits for a person."},
    {.plan = {BASE, .open = 1, .back = 30},
     .open = true,
     .what = "31 messages of mailbox",
     .if_allowed = "1 message will be removed",
     .if_refused = "1 message will stay",
     .now = ""},
    {.plan = {BASE}, .no_route = true, .open = true, .if_allowed = "removed from the backup"},
    {.plan = {BASE, DECIDED, .state = "allowed"},
     .what = "and held on backup (route dr).",
     .if_allowed = "",
     .if_refused = "",
     .now = "It was allowed; a copier",
     .over = "plan 12 was allowed by token@10.0.0.1 2 minutes ago: \"moved\""},
    {.plan = {BASE, DECIDED, .state = "done", .open = 0, .removed = 31},
     .if_allowed = "",
     .now = "carried out",
     .over = "was allowed by"},
    {.plan = {BASE, DECIDED, .state = "refused"},
     .if_allowed = "",
     .if_refused = "",
     .now = "its messages stay for good",
     .over = "was refused by"},
    {.plan = {BASE, .state = "dissolved"},
     .if_allowed = "",
     .now = "none of its messages is held",
     .over = "plan 12 is over, without a decision: none"},
    {.plan = {BASE, .kind = "site", .route = "", .mailbox = "", .messages = 0, .open = 0, .words = "Dovecot"},
     .open = true,
     .what =
         "Signs that production was restored, rebuilt or exchanged: deletions and overwriting are stopped",
     .if_allowed = "This is our production as it is now",
     .if_refused = "until the former production answers again, or somebody allows this plan",
     .now = "It waits for a person."},
    {.plan = {BASE, .kind = "site", .route = "", .mailbox = "", .messages = 0, .open = 0},
     .open = true,
     .if_refused = "It is not: everything stays stopped until somebody allows"},
    {.plan = {BASE, DECIDED, .kind = "site", .state = "refused"},
     .open = true,
     .if_allowed = "This is our production",
     .if_refused = "",
     .now = "stay stopped",
     .over = "was refused by"},
    {.plan = {BASE, DECIDED, .kind = "site", .state = "done"},
     .what = "were stopped on all routes from it.",
     .if_allowed = "",
     .now = "carried out"},
    {.plan = {BASE, .kind = "site", .state = "dissolved"}, .if_allowed = "", .over = "answers again"},
    {.plan = {BASE, .kind = "subscribers", .mailbox = "", .open = 30, .back = 1},
     .open = true,
     .what = "31 subscribers gone from production, and left on backup (route dr) until a person decides. All",
     .if_allowed = "30 subscribers will be removed from backup, after they were looked for on production",
     .if_refused =
         "30 subscribers will stay on backup for good, and are not asked about again. What comes back",
     .now = "It waits for a person."},
    {.plan = {BASE, DECIDED, .kind = "subscribers", .state = "allowed"},
     .what = "and held on backup (route dr).",
     .if_allowed = "",
     .now = "It was allowed; ldapsync carries it out."},
    {.plan = {BASE, DECIDED, .kind = "subscribers", .state = "refused"},
     .if_refused = "",
     .now = "its subscribers stay for good",
     .over = "was refused by"},
    {.plan = {BASE, .kind = "subscribers", .state = "dissolved"}, .over = "none of its subscribers is held"},
    {.plan = {BASE, .kind = "cos"},
     .open = true,
     .what = "31 COS gone from production",
     .if_allowed = "A COS that subscribers still have there waits until none has it.",
     .if_refused = "31 COS will stay",
     .now = ""},
};

static void check(size_t i, const cJSON *plan, const char *name, const char *want)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(plan, name));
    assert_non_null(text);
    if (want && (*want ? !strstr(text, want) : *text))
        fail_msg("%zu, %s: '%s' is not '%s'", i, name, text, want);
}

static void test_sentences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char over[API_PLAN_BYTES];
        const struct one *one = &table[i];
        cJSON *plan = api_plan_json(&one->plan, one->no_route ? NULL : &route);
        assert_int_equal(api_plan_is_open(&one->plan), one->open);
        assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(plan, "open")), one->open);
        check(i, plan, "what", one->what);
        check(i, plan, "if_allowed", one->if_allowed);
        check(i, plan, "if_refused", one->if_refused);
        check(i, plan, "now", one->now && *one->now ? one->now : NULL);
        api_plan_over(&one->plan, over);
        if (one->over && !strstr(over, one->over))
            fail_msg("%zu: '%s' is not in '%s'", i, one->over, over);
        cJSON_Delete(plan);
    }
}

/* A reason and a decision may have 800 bytes each. */
static void test_long_words(void **state)
{
    (void)state;
    static char words[801];
    char over[API_PLAN_BYTES];
    memset(words, 'x', sizeof words - 1);
    const struct store_plan plan = {BASE, DECIDED, .state = "refused", .reason = words, .decision = words};
    api_plan_over(&plan, over);
    assert_non_null(strstr(over, words));
    assert_int_equal(over[strlen(over) - 1], '"');
    cJSON_Delete(api_plan_json(&plan, &route));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
