/*
 * The state of a mirror for people, in a table (I9: silence is never taken for health), and the sentences of `why`.
 */
#include "api/api_judge.h"
#include "api/api_text.h"
#include "api/api_why.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A mirror that is well: equal, looked at ten seconds ago; five minutes are allowed. */
#define BASE                                                                                                 \
    .mailbox = "1001", .route = "dr", .from_site = "production", .to_site = "backup", .equal = true,         \
    .wanted_seq = 4, .done_seq = 4, .source_messages = 7, .target_messages = 7, .proven_age_seconds = 10,    \
    .error = "", .look_error = "", .refused_keywords = "", .error_scope = "", .error_side = "",              \
    .doing_owner = "", .next_try_seconds = -1, .error_age_seconds = -1, .error_since_seconds = -1,           \
    .deletion_due_seconds = -1, .on_hold_seconds = -1, .held_reason = "", .kept_by = "",                     \
    .look_error_age_seconds = -1, .verified_age_seconds = -1, .verify_differences = -1,                      \
    .from_login_state = "proven", .to_login_state = "proven", .from_error = "", .to_error = ""

/* Later members override those of BASE: that is what the table is for. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif

static const struct config_route route = {.name = (char[]){"dr"}, .target_lag_minutes = 5};

struct one {
    const char *name;
    struct store_mirror_status mirror;
    bool no_route;
    const char *state;
    bool well;
    const char *what, *whose, *todo, *next; /* pieces of the sentences; NULL: not looked at */
    const char *note;
};

static const struct one table[] = {
    {.name = "equal",
     .mirror = {BASE},
     .state = "equal",
     .well = true,
     .what = "All is well",
     .whose = "Nobody's",
     .todo = "Nothing",
     .next = "next change"},
    {.name = "on hold: nobody looks at it, and that is as it should be",
     .mirror = {BASE, .on_hold_seconds = 90000, .followed = true, .proven_age_seconds = 90000,
                .lag_seconds = 90000},
     .state = "on hold",
     .well = true,
     .what = "on hold for 25 hours",
     .whose = "Nobody's",
     .todo = "mailbox remove 1001",
     .next = "has him again"},
    {.name = "its number is another person's",
     .mirror = {BASE, .handing_over = true, .waits_for_owner = true},
     .state = "handing over",
     .what = "another person's now",
     .whose = "Nobody's",
     .next = "copier is free"},
    {.name = "handed over, the new one is not there yet",
     .mirror = {BASE, .waits_for_owner = true,
                .handover = {.host = "mirror1", .place = "/held/dr/1001-7", .messages = 12}},
     .state = "equal",
     .note = "12 messages of a former owner of the number are in /held/dr/1001-7 on mirror1"},
    {.name = "equal, but the proof is too old",
     .mirror = {BASE, .proven_age_seconds = 301},
     .state = "not looked at",
     .what = "the last proven look at production was 5 minutes ago, and route dr allows 5 minutes",
     .whose = "Ours",
     .todo = "mirror-scanner"},
    {.name = "equal, never proven", .mirror = {BASE, .proven_age_seconds = -1}, .state = "not looked at"},
    {.name = "new",
     .mirror = {BASE, .done_seq = 0, .wanted = true, .equal = false, .proven_age_seconds = -1,
                .lag_seconds = 3},
     .state = "new",
     .what = "It is new",
     .next = "As soon as a copier is free"},
    {.name = "new for too long",
     .mirror = {BASE, .done_seq = 0, .wanted = true, .equal = false, .proven_age_seconds = -1,
                .lag_seconds = 400},
     .state = "behind"},
    {.name = "a change on its way",
     .mirror = {BASE, .wanted = true, .wanted_seq = 5, .lag_seconds = 2},
     .state = "waiting",
     .well = true},
    {.name = "behind",
     .mirror = {BASE, .wanted = true, .wanted_seq = 5, .lag_seconds = 301},
     .state = "behind",
     .what = "the oldest change not yet mirrored was seen 5 minutes ago",
     .todo = "copiers"},
    {.name = "working within the limit",
     .mirror = {BASE, .wanted = true, .working = true, .doing_owner = "host:copier:1", .lag_seconds = 5},
     .state = "working",
     .well = true,
     .what = "host:copier:1",
     .next = "Now."},
    {.name = "working, too late",
     .mirror = {BASE, .wanted = true, .working = true, .lag_seconds = 500},
     .state = "working"},
    {.name = "working, but not looked at",
     .mirror = {BASE, .working = true, .proven_age_seconds = 4000},
     .state = "working",
     .note = "not looked at in time: the last proven look at production was 66 minutes ago"},
    {.name = "failing on the target",
     .mirror = {BASE, .wanted = true, .error = "append: NO [OVERQUOTA] full", .error_scope = "mailbox",
                .error_side = "target", .error_age_seconds = 30, .error_since_seconds = 7300,
                .next_try_seconds = 42},
     .state = "failing",
     .what = "The last try failed 30 seconds ago: append: NO [OVERQUOTA] full",
     .whose = "The target's: backup.",
     .todo = "Check on backup that mailbox 1001 exists",
     .next = "In 42 seconds."},
    {.name = "failing, the whole site",
     .mirror = {BASE, .error = "connection refused", .error_scope = "site", .error_side = "production",
                .error_age_seconds = 1},
     .state = "failing",
     .whose = "Production's: production.",
     .todo = "Check that production is up"},
    {.name = "failing, we",
     .mirror = {BASE, .error = "store: away", .error_scope = "process", .error_side = "us",
                .error_age_seconds = 1},
     .state = "failing",
     .whose = "Ours",
     .todo = "log of mirror-copier"},
    {.name = "a look failed",
     .mirror = {BASE, .look_error = "LOGIN refused", .look_error_age_seconds = 60},
     .state = "failing",
     .what = "Looking at the mailbox on production failed 60 seconds ago: LOGIN refused",
     .whose = "Production's",
     .todo = "Check on production that mailbox 1001 exists"},
    {.name = "an error is kept in view while it is tried again",
     .mirror = {BASE, .working = true, .error = "timeout", .error_side = "target", .error_age_seconds = 3},
     .state = "working",
     .note = "The last try before ended with: timeout"},
    {.name = "stopped production",
     .mirror = {BASE, .from_login_state = "stopped", .from_error = "NO wrong password",
                .next_try_seconds = 600},
     .state = "stopped",
     .what = "The site production refuses our login as its trusted server, so no mailbox is tried there any "
             "more. It "
             "said: NO wrong password",
     .whose = "Production's: production.",
     .todo = "On production, check the trusted server's name and password",
     .next = "In 10 minutes."},
    {.name = "stopped target",
     .mirror = {BASE, .to_login_state = "stopped"},
     .state = "stopped",
     .whose = "The target's: backup."},
    {.name = "paused",
     .mirror = {BASE, .paused = true, .error = "x"},
     .state = "paused",
     .todo = "mirrorctl resume dr",
     .next = "Not before a person acts"},
    {.name = "removing",
     .mirror = {BASE, .removing = true, .working = true},
     .state = "removing",
     .what = "its copies are being removed from"},
    {.name = "no route",
     .mirror = {BASE, .paused = true},
     .no_route = true,
     .state = "no route",
     .todo = "mirrorctl mailbox remove 1001"},
    {.name = "refused messages",
     .mirror = {BASE, .equal = false, .refused_messages = 2, .missing_messages = 2},
     .state = "not equal",
     .what = "2 messages missing there, 2 messages that could not be copied, no messages altered by it",
     .whose = "The words of each message below tell: production did not give it, backup did not take it, or "
              "our own limits forbid it.",
     .todo = "If backup did not take it, the mailbox there mostly is full or allows shorter messages only"},
    {.name = "refused messages, while something else is copied",
     .mirror = {BASE, .equal = false, .refused_messages = 1, .working = true},
     .state = "working",
     .note = "1 message could not be copied; the words of each stand below."},
    {.name = "lost messages",
     .mirror = {BASE, .equal = false, .missing_messages = 1},
     .state = "not equal",
     .what = "1 message missing there, no messages that could not be copied",
     .whose = "The target's: backup.",
     .todo = "it was copied to backup, and is not there any more"},
    {.name = "altered messages",
     .mirror = {BASE, .equal = false, .altered_messages = 1},
     .state = "not equal",
     .what = "1 message altered by it",
     .whose = "The target's: backup."},
    {.name = "refused keywords, by name",
     .mirror = {BASE, .equal = false, .refused_keywords = "$Unopened"},
     .state = "not equal",
     .what = "keywords (marks such as \"unopened\" or \"active greeting\"): $Unopened",
     .note = "Keywords that backup refuses: $Unopened"},
    {.name = "verified with differences",
     .mirror = {BASE, .verify_differences = 1, .verified_age_seconds = 3600},
     .state = "not equal",
     .what = "found 1 difference.",
     .note = "Last verified 60 minutes ago: 1 difference."},
    {.name = "verified well",
     .mirror = {BASE, .verify_differences = 0, .verified_age_seconds = 90},
     .state = "equal",
     .well = true,
     .note = "Last verified 90 seconds ago: no differences."},
    {.name = "held",
     .mirror = {BASE, .held_messages = 31, .held_plan = 12, .held_plans = 1,
                .held_reason = "31 of 40 messages are gone", .gone_messages = 2, .deletion_due_seconds = 130},
     .state = "held",
     .what =
         "31 messages gone from production and held on backup, in plan 12: 31 of 40 messages are gone. All "
         "else is equal",
     .whose = "Nobody's: the brake",
     .todo = "mirrorctl held show 12.",
     .next = "Not before a person acts",
     .note =
         "2 messages gone from production, to be looked for once more in 2 minutes, and then removed from "
         "backup."},
    {.name = "held in several plans",
     .mirror = {BASE, .held_messages = 31, .held_plan = 12, .held_plans = 3},
     .state = "held",
     .what = "in 3 plans, the oldest is 12"},
    {.name = "held, and allowed",
     .mirror = {BASE, .held_messages = 31, .deletion_due_seconds = 250},
     .state = "deleting",
     .well = true,
     .what = "31 messages gone from production, held until a person allowed to remove them, to be looked for "
             "once more in 4 minutes; what is still gone then",
     .whose = "Nobody's: this is how it should go.",
     .todo = "Nothing.",
     .next = "In 4 minutes."},
    {.name = "held and allowed, and others are gone, due now",
     .mirror = {BASE, .held_messages = 31, .gone_messages = 2, .deletion_due_seconds = 0},
     .state = "deleting",
     .well = true,
     .what = "33 messages gone from production, 31 of them held until a person allowed it, to be looked for "
             "once more now",
     .next = "As soon as a copier is free."},
    {.name = "held, just decided, and the copier is at it",
     .mirror = {BASE, .held_messages = 31, .working = true, .doing_owner = "host:copier:1"},
     .state = "working",
     .well = true,
     .note = "31 messages gone from production and held on backup, in a plan that was decided, and is being "
             "carried out"},
    {.name = "held and allowed, but the breaker stops it",
     .mirror = {BASE, .held_messages = 31, .gone_messages = 2, .breaker_plan = 14},
     .state = "held",
     .what =
         "33 messages gone from production and left on backup: deletions and overwriting are stopped on all",
     .whose = "Nobody's: the brake",
     .todo = "mirrorctl held show 14.",
     .next = "Not before a person acts"},
    {.name = "the breaker was released, the flags follow",
     .mirror = {BASE, .withheld_messages = 2, .deletion_due_seconds = 70},
     .state = "waiting",
     .well = true,
     .what = "The flags of 2 messages, not written while overwriting was stopped, wait for a free copier.",
     .whose = "Nobody's: this is how it should go.",
     .next = "In 70 seconds."},
    {.name = "held while something is copied",
     .mirror = {BASE, .held_messages = 1, .held_plan = 12, .held_plans = 1, .working = true},
     .state = "working",
     .note =
         "1 message gone from production and held on backup, in plan 12: mirrorctl held list --mailbox 1001"},
    {.name = "held while something is copied, waiting",
     .mirror = {BASE, .held_messages = 1, .held_plan = 12, .held_plans = 1, .wanted = true},
     .state = "waiting"},
    {.name = "not equal goes before held",
     .mirror = {BASE, .held_messages = 1, .held_plan = 12, .held_plans = 1, .equal = false},
     .state = "not equal"},
    {.name = "the breaker",
     .mirror = {BASE, .gone_messages = 2, .breaker_plan = 14},
     .state = "held",
     .what =
         "2 messages gone from production and left on backup: deletions and overwriting are stopped on all "
         "routes from production (plan 14)",
     .todo = "mirrorctl held show 14."},
    {.name = "the breaker, flags",
     .mirror = {BASE, .withheld_messages = 2, .breaker_plan = 14},
     .state = "held",
     .what = "the flags of 2 messages are not written: deletions and overwriting are stopped",
     .todo = "mirrorctl held show 14."},
    {.name = "the breaker, deletions and flags",
     .mirror = {BASE, .gone_messages = 1, .withheld_messages = 3, .breaker_plan = 14},
     .state = "held",
     .what =
         "1 message gone from production and left on backup, the flags of 3 messages not written: deletions",
     .todo = "mirrorctl held show 14."},
    {.name = "the breaker, with nothing to delete",
     .mirror = {BASE, .breaker_plan = 14},
     .state = "equal",
     .well = true,
     .note = "stopped on all routes from production until a person decides: mirrorctl held show 14"},
    {.name = "the breaker, refused",
     .mirror = {BASE, .breaker_plan = 14, .breaker_refused = true, .held_messages = 3, .held_plan = 12,
                .held_plans = 1, .gone_messages = 2},
     .state = "held",
     .note = "stopped on all routes from production, as a person wants it: mirrorctl held show 14"},
    {.name = "kept",
     .mirror = {BASE, .kept_messages = 5, .kept_plan = 9, .kept_by = "token@10.0.0.1"},
     .state = "equal",
     .well = true,
     .note =
         "5 messages gone from production, left on backup for good: token@10.0.0.1 refused to remove them "
         "(mirrorctl held show 9)."},
    {.name = "deleting, but others' messages are in the way",
     .mirror = {BASE, .gone_messages = 2, .waiting_messages = 2, .deletion_due_seconds = 20},
     .state = "deleting",
     .whose = "The target's: backup.",
     .todo = "On backup, have somebody expunge",
     .note = "2 messages to be removed from backup, marked as deleted and waiting"},
    {.name = "deleting, the second look is due",
     .mirror = {BASE, .gone_messages = 1, .deletion_due_seconds = 0},
     .state = "deleting",
     .well = true,
     .what = "1 message gone from production, to be looked for once more now; what is still gone"},
    {.name = "deleting, but not looked at in time",
     .mirror = {BASE, .gone_messages = 1, .proven_age_seconds = 400},
     .state = "not looked at"},
    {.name = "deleting",
     .mirror = {BASE, .gone_messages = 3, .deletion_due_seconds = 250},
     .state = "deleting",
     .well = true,
     .what = "3 messages gone from production, to be looked for once more in 4 minutes",
     .whose = "Nobody's",
     .todo = "Nothing.",
     .next = "In 4 minutes."},
    {.name = "gone folder",
     .mirror = {BASE, .gone_folders = 1},
     .state = "equal",
     .well = true,
     .note = "1 folder gone from production"},
    {.name = "foreign messages",
     .mirror = {BASE, .foreign_messages = 1},
     .state = "equal",
     .well = true,
     .note = "1 message on backup that we did not put there"},
    {.name = "late messages",
     .mirror = {BASE, .late_messages = 4},
     .state = "equal",
     .well = true,
     .note = "4 messages mirrored later"},
};

static void contains(const char *name, const char *text, const char *piece)
{
    if (piece && !strstr(text, piece))
        fail_msg("%s: '%s' is not in '%s'", name, piece, text);
}

static bool has_note(const struct api_why *why, const char *piece)
{
    for (size_t i = 0; i < why->note_count; i++)
        if (strstr(why->notes[i], piece))
            return true;
    return false;
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct one *one = &table[i];
        const struct config_route *used = one->no_route ? NULL : &route;
        struct api_verdict verdict = api_judge(&one->mirror, used);
        static struct api_why why;
        if (strcmp(api_judge_word(verdict.state), one->state) != 0 || verdict.well != one->well)
            fail_msg("%s: %s, %s", one->name, api_judge_word(verdict.state),
                     verdict.well ? "well" : "not well");
        api_why_explain(&one->mirror, used, &why);
        contains(one->name, why.what, one->what);
        contains(one->name, why.whose, one->whose);
        contains(one->name, why.todo, one->todo);
        contains(one->name, why.next, one->next);
        if (one->note && !has_note(&why, one->note))
            fail_msg("%s: no note '%s' (%zu notes, first '%s')", one->name, one->note, why.note_count,
                     why.notes[0]);
    }
}

static void test_a_person_is_needed_until_the_plan_is_decided(void **state)
{
    (void)state;
    const struct store_mirror_status held = {BASE, .held_messages = 3, .held_plans = 1, .held_plan = 12},
                                     allowed = {BASE, .held_messages = 3},
                                     stopped = {BASE, .held_messages = 3, .breaker_plan = 14};
    assert_true(api_judge(&held, &route).person_needed && api_judge(&held, &route).held);
    assert_false(api_judge(&allowed, &route).person_needed || api_judge(&allowed, &route).held);
    assert_true(api_judge(&stopped, &route).person_needed && api_judge(&stopped, &route).held);
}

static void test_since(void **state)
{
    (void)state;
    static struct api_why why;
    const struct store_mirror_status failing = {BASE, .error = "x", .error_age_seconds = 30,
                                                .error_since_seconds = 7300};
    api_why_explain(&failing, &route, &why);
    assert_string_equal(why.since, "For 2 hours.");
    const struct store_mirror_status well = {BASE};
    api_why_explain(&well, &route, &why);
    assert_string_equal(why.since, "");
}

static void test_long_words_are_cut(void **state)
{
    (void)state;
    static char words[5000];
    static struct api_why why;
    memset(words, 'x', sizeof words - 1);
    const struct store_mirror_status mirror = {BASE,
                                               .error = words,
                                               .error_age_seconds = 1,
                                               .refused_keywords = words,
                                               .look_error = words,
                                               .foreign_messages = 1,
                                               .gone_messages = 1};
    api_why_explain(&mirror, &route, &why);
    assert_true(strlen(why.what) < sizeof why.what);
    assert_true(why.note_count <= API_WHY_MAX_NOTES);
}

static void test_words_for_numbers(void **state)
{
    (void)state;
    char text[API_TEXT_BYTES];
    const struct {
        double seconds;
        const char *want;
    } durations[] = {{-5, "less than a second"}, {0.4, "less than a second"}, {1, "1 second"},
                     {59.9, "59 seconds"},       {119, "119 seconds"},        {120, "2 minutes"},
                     {7199, "119 minutes"},      {7200, "2 hours"},           {172800, "2 days"}};
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++)
        assert_string_equal(api_text_duration(durations[i].seconds, text), durations[i].want);
    assert_string_equal(api_text_count(0, "message", text), "no messages");
    assert_string_equal(api_text_count(1, "message", text), "1 message");
    assert_string_equal(api_text_count(12, "message", text), "12 messages");
}

static void test_json_is_always_utf8(void **state)
{
    (void)state;
    cJSON *object = cJSON_CreateObject();
    api_text_add(object, "cut", "J\xc3");
    api_text_add(object, "good", "J\xc3\xb6");
    api_text_add(object, "none", NULL);
    api_text_add_seconds(object, "age", 1.26);
    api_text_add_seconds(object, "never", -1);
    char *text = cJSON_PrintUnformatted(object);
    assert_string_equal(text,
                        "{\"cut\":\"J?\",\"good\":\"J\xc3\xb6\",\"none\":\"\",\"age\":1.3,\"never\":null}");
    cJSON_free(text);
    cJSON_Delete(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_a_person_is_needed_until_the_plan_is_decided),
        cmocka_unit_test(test_since),
        cmocka_unit_test(test_long_words_are_cut),
        cmocka_unit_test(test_words_for_numbers),
        cmocka_unit_test(test_json_is_always_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
