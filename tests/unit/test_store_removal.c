/*
 * What the brake is told, against a real server: 60 mailboxes on a route, of which one asks.
 */
#include "store_gone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MAILBOXES = 60 };

/* So many other mailboxes were held so many minutes ago, with 20 messages each. */
static void hold_others(const struct store_gone_work *work, unsigned count, const char *kind,
                        const char *state, unsigned minutes)
{
    store_fixture_sql(
        work->fixture,
        "INSERT INTO plan (kind, state, site_id, route_id, mirror_id, reason, messages, made_at) "
        "SELECT '%s', '%s', 1, route_id, mirror_id, 'test', 20, UTC_TIMESTAMP(6) - "
        "INTERVAL %u MINUTE FROM mirror WHERE route_id = (SELECT route_id FROM mirror WHERE "
        "mirror_id = %llu) AND mirror_id <> %llu ORDER BY mirror_id LIMIT %u",
        kind, state, minutes, (unsigned long long)work->claim.lease.mirror_id,
        (unsigned long long)work->claim.lease.mirror_id, count);
}

static struct store_removal_answer ask(const struct store_gone_work *work)
{
    return store_gone_ask(work, -1);
}

static void test_own_limit(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES);
    store_gone_add(&work, work.inbox, 9, -1);
    store_gone_add(&work, work.greetings, 200, -1);
    store_gone_add(&work, work.inbox, 30, 1);
    assert_int_equal(ask(&work).verdict, STORE_REMOVAL_GO);
    store_gone_add(&work, work.inbox, 1, 1);
    struct store_removal_answer answer = ask(&work);
    assert_int_equal(answer.verdict, STORE_REMOVAL_HELD);
    assert_string_equal(answer.reason,
                        "31 of 40 messages are gone from production: more than 30 and more than 50 %");
    assert_int_equal(answer.held, 31);
}

/* A new one may come within a minute. */
static void test_greeting_away(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES);
    store_gone_add(&work, work.inbox, 9, -1);
    store_gone_add(&work, work.greetings, 1, 299);
    assert_int_equal(ask(&work).verdict, STORE_REMOVAL_GO);
    store_gone_add(&work, work.greetings, 1, 301);
    struct store_removal_answer answer = ask(&work);
    assert_int_equal(answer.verdict, STORE_REMOVAL_HELD);
    assert_string_equal(answer.reason, "the only greeting is gone");
}

/* Users' deletions that a route held with a disaster don't hold it on. */
static void test_held_for_the_route(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES);
    store_gone_add(&work, work.inbox, 9, -1);
    store_gone_add(&work, work.inbox, 1, 1);
    hold_others(&work, 7, "route", "held", 30);
    assert_int_equal(ask(&work).verdict, STORE_REMOVAL_GO);
    store_fixture_sql(*state, "UPDATE plan SET emptied = 1");
    struct store_removal_answer answer = ask(&work);
    assert_int_equal(answer.verdict, STORE_REMOVAL_HELD);
    assert_string_equal(answer.reason,
                        "route: 7 of 60 mailboxes were emptied within 60 minutes: more than 5 %");
}

/* Seven emptied mailboxes are many; so are 400 messages of two. */
static void test_what_was_held_counts(void **state)
{
    static const struct {
        unsigned count, messages, minutes;
        const char *kind, *state;
        bool counts;
    } table[] = {
        {7, 20, 59, "route", "held", true},    {7, 20, 61, "route", "held", false},
        {7, 20, 30, "route", "refused", true}, {7, 20, 30, "route", "allowed", false},
        {7, 20, 30, "route", "done", false},   {7, 20, 30, "route", "dissolved", false},
        {7, 20, 30, "mailbox", "held", true},  {2, 200, 30, "mailbox", "held", false},
        {2, 200, 30, "route", "held", true},   {3, 200, 30, "mailbox", "held", true},
    };

    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES);
    store_gone_add(&work, work.inbox, 9, -1);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        store_fixture_sql(*state, "DELETE FROM plan");
        store_fixture_sql(*state, "DELETE FROM message WHERE source_gone_at IS NOT NULL");
        store_gone_add(&work, work.inbox, 1, 1);
        hold_others(&work, table[i].count, table[i].kind, table[i].state, table[i].minutes);
        store_fixture_sql(*state, "UPDATE plan SET emptied = 1, messages = %u", table[i].messages);
        if ((ask(&work).verdict == STORE_REMOVAL_HELD) != table[i].counts)
            fail_msg("%u plans of kind %s, %s %u minutes ago", table[i].count, table[i].kind, table[i].state,
                     table[i].minutes);
    }
}

/* So many messages, that had gone and were proven, are removed without a person's word. */
static void remove_some(const struct store_gone_work *work, uint64_t folder_id, unsigned count)
{
    store_gone_add(work, folder_id, count, 400);
    assert_int_equal(store_gone_ask(work, 300).verdict, STORE_REMOVAL_GO);
}

static void minutes_later(const struct store_gone_work *work, unsigned minutes)
{
    store_fixture_sql(work->fixture, "UPDATE removal SET at = at - INTERVAL %u MINUTE", minutes);
    store_fixture_sql(work->fixture,
                      "UPDATE message SET source_gone_at = source_gone_at - INTERVAL %u MINUTE", minutes);
}

/* What was removed counts for the mailbox as long as the window is; what is proven and what is not, alike. */
static void test_window(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES);
    store_gone_add(&work, work.inbox, 35, -1);
    remove_some(&work, work.inbox, 20);
    minutes_later(&work, 59);
    remove_some(&work, work.inbox, 10);
    store_fixture_sql(*state,
                      "UPDATE message SET source_gone_at = NULL, removal = 'none' WHERE removal = 'none'");
    store_fixture_sql(*state, "DELETE FROM message WHERE source_gone_at IS NULL AND source_uid > 8");
    store_gone_assert(&work, "30", "SELECT SUM(counted) FROM removal");
    minutes_later(&work, 2);
    store_gone_add(&work, work.inbox, 20, 1);
    assert_int_equal(ask(&work).verdict, STORE_REMOVAL_GO);
    store_gone_add(&work, work.inbox, 1, 1);
    struct store_removal_answer answer = ask(&work);
    assert_int_equal(answer.verdict, STORE_REMOVAL_HELD);
    assert_string_equal(answer.reason,
                        "31 of 39 messages are gone from production: more than 30 and more than 50 %");
    assert_int_equal(answer.held, 21);
}

/* What passed lately the age at which the store removes: neither when it goes nor once it went. Greetings are counted apart. */
static void test_retention_and_greetings(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES);
    work.fixture->sites[0].retention_days = 30;
    store_gone_add(&work, work.greetings, 1, -1);
    store_gone_add(&work, work.inbox, 50, 400);
    store_fixture_sql(
        *state, "UPDATE message SET internal_date = UNIX_TIMESTAMP() - 31 * 86400 WHERE folder_id = %llu",
        (unsigned long long)work.inbox);
    store_gone_add(&work, work.greetings, 40, 400);
    assert_int_equal(store_gone_ask(&work, 300).verdict, STORE_REMOVAL_GO);
    store_gone_assert(&work, "90 0", "SELECT CONCAT(SUM(messages), ' ', SUM(counted)) FROM removal");
    store_gone_assert(&work, "90", "SELECT COUNT(*) FROM message WHERE removal = 'begun'");
    store_gone_add(&work, work.inbox, 30, 1);
    assert_int_equal(ask(&work).verdict, STORE_REMOVAL_GO);
    store_gone_add(&work, work.inbox, 1, 1);
    assert_string_equal(ask(&work).reason,
                        "all 31 messages are gone from production: more than 30 and more than 50 %");
}

static void date_back(const struct store_gone_work *work, double days)
{
    store_fixture_sql(work->fixture, "UPDATE message SET internal_date = UNIX_TIMESTAMP() - %.0f",
                      days * 86400);
}

/* The clean-up evidently leaves them (saved ones, say), or they would not have been there any more. */
static void test_retention_that_left_them(void **state)
{
    static const struct {
        uint32_t retention_days;
        double age_days;
        bool held;
    } table[] = {{30, 29.9, true}, {30, 30.1, false}, {30, 31.9, false}, {30, 32.1, true},  {30, 400, true},
                 {30, -1, true},   {0, 1, true},      {0, 400, true},    {36500, 400, true}};
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES);
    store_gone_add(&work, work.inbox, 31, 1);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        store_fixture_sql(*state, "UPDATE message SET removal = 'none', plan_id = NULL");
        store_fixture_sql(*state, "DELETE FROM plan");
        store_fixture_sql(*state, "DELETE FROM plan_message");
        work.fixture->sites[0].retention_days = table[i].retention_days;
        date_back(&work, table[i].age_days);
        if ((ask(&work).verdict == STORE_REMOVAL_HELD) != table[i].held)
            fail_msg("%g days old at %u days", table[i].age_days, table[i].retention_days);
    }
}

/* No clean-up numbers a folder anew. */
static void test_nameless_ones_are_never_cleaned_up(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES);
    work.fixture->sites[0].retention_days = 30;
    store_gone_add(&work, work.inbox, 2, 1);
    date_back(&work, 31);
    store_fixture_sql(*state, "UPDATE message SET source_uid = NULL LIMIT 1");
    assert_string_equal(ask(&work).reason,
                        "1 message is gone since the folder was made anew (UIDVALIDITY changed)");
}

/* Held lately it counts on, without copies it does not: a wipe that comes in pieces is seen whole. */
static void test_wipe_in_pieces(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES);
    store_gone_add(&work, work.inbox, 20, -1);
    store_gone_add(&work, work.inbox, 31, 1);
    assert_int_equal(ask(&work).held, 31);
    store_gone_add(&work, work.inbox, 1, 1);
    assert_int_equal(ask(&work).held, 1);
    store_fixture_sql(*state,
                      "UPDATE message SET removal = 'kept', plan_id = NULL WHERE removal = 'held' LIMIT 2");
    store_gone_add(&work, work.inbox, 1, 1);
    assert_int_equal(ask(&work).held, 1); /* 31 */
    store_fixture_sql(
        *state, "UPDATE message SET source_gone_at = source_gone_at - INTERVAL 61 MINUTE WHERE removal = "
                "'held' LIMIT 2");
    store_gone_add(&work, work.inbox, 1, 1);
    assert_int_equal(ask(&work).verdict, STORE_REMOVAL_GO); /* 30 */
}

static double route_going(const struct store_gone_work *work)
{
    return store_fixture_number(
        work->fixture, "SELECT (SELECT COALESCE(SUM(counted), 0) FROM removal WHERE at > UTC_TIMESTAMP(6) - "
                       "INTERVAL 60 MINUTE) + (SELECT SUM(going_messages) FROM mirror)");
}

/* Others see each message once: undecided in the mirror's row, removed in the journal; and not beyond the window. */
static void test_others_count_once(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES), other = store_gone_begin_next(&work);
    store_gone_add(&work, work.inbox, 250, -1);
    store_gone_add(&work, work.inbox, 60, 400);
    store_gone_add(&work, work.inbox, 45, 1);
    store_gone_add(&other, other.inbox, 60, -1);
    store_gone_add(&other, other.inbox, 1, 1);
    work.fixture->routes[0].deletions.route_messages = 400;
    assert_int_equal(ask(&work).verdict, STORE_REMOVAL_GO);
    assert_true(route_going(&work) == 105);
    assert_int_equal(store_gone_ask(&work, 300).verdict, STORE_REMOVAL_GO);
    assert_true(route_going(&work) == 105);
    store_gone_assert(&work, "45", "SELECT SUM(going_messages) FROM mirror");
    assert_int_equal(store_gone_ask(&work, 300).verdict, STORE_REMOVAL_GO);
    assert_true(route_going(&work) == 105);
    assert_int_equal(ask(&other).verdict, STORE_REMOVAL_GO);
    assert_true(route_going(&work) == 106);
    minutes_later(&work, 61);
    assert_true(route_going(&work) == 46);
}

/* A mailbox that is emptied, and its turn at its end: it counts as emptied for as long as the window is, not until it has
 * something new. */
static void test_emptied_within_the_window(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES);
    struct store_mirror_figures figures = {.any_gone = true};
    struct store_finish end = {.turn = STORE_TURN_DONE, .wanted_seq = 1, .figures = &figures};
    struct err err = {0};
    remove_some(&work, work.inbox, 12);
    store_gone_assert(
        &work, "1 0 0",
        "SELECT CONCAT((SELECT SUM(emptied) FROM removal), ' ', SUM(emptied), ' ', SUM(going_messages)) "
        "FROM mirror");
    assert_int_equal(store_mirror_finish(work.fixture->store, &work.claim.lease, &end, &err), 0);
    store_gone_assert(&work, "0 0", "SELECT CONCAT(SUM(emptied), ' ', SUM(going_messages)) FROM mirror");
}

/* Other mailboxes' figures: what they are about to lose, and what is emptied of them. */
static void test_other_mirrors(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, MAILBOXES);
    store_gone_add(&work, work.inbox, 9, -1);
    store_gone_add(&work, work.inbox, 1, 1);
    store_fixture_sql(*state, "UPDATE mirror SET going_messages = 299 WHERE mirror_id = %llu",
                      (unsigned long long)work.claim.lease.mirror_id + 1);
    assert_int_equal(ask(&work).verdict, STORE_REMOVAL_GO);
    store_fixture_sql(*state, "UPDATE mirror SET going_messages = 300 WHERE mirror_id = %llu",
                      (unsigned long long)work.claim.lease.mirror_id + 1);
    struct store_removal_answer answer = ask(&work);
    assert_int_equal(answer.verdict, STORE_REMOVAL_HELD);
    assert_string_equal(answer.reason,
                        "route: 301 of 1,018 messages are gone from production within 60 minutes: more "
                        "than 300 and more than 20 %");
    store_gone_assert(&work, "0", "SELECT going_messages FROM mirror ORDER BY mirror_id LIMIT 1");
    store_gone_assert(&work, "route", "SELECT kind FROM plan");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_own_limit, store_fixture_setup, store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_greeting_away, store_fixture_setup, store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_held_for_the_route, store_fixture_setup, store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_was_held_counts, store_fixture_setup,
                                        store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_window, store_fixture_setup, store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_retention_that_left_them, store_fixture_setup,
                                        store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_nameless_ones_are_never_cleaned_up, store_fixture_setup,
                                        store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_retention_and_greetings, store_fixture_setup,
                                        store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_wipe_in_pieces, store_fixture_setup, store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_others_count_once, store_fixture_setup, store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_emptied_within_the_window, store_fixture_setup,
                                        store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_other_mirrors, store_fixture_setup, store_fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
