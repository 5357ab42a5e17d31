/*
 * When a mirror is looked at again for what is gone from production, and what its row then tells, against a real server.
 */
#include "base/str.h"
#include "store_gone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err err;

/* In so many seconds; -1: not at all. */
static double due(const struct store_gone_work *work)
{
    return store_fixture_number(
        work->fixture,
        "SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), deletion_due_at) / 1e6 FROM "
        "mirror WHERE mirror_id = %llu",
        (unsigned long long)work->claim.lease.mirror_id);
}

static void finish(const struct store_gone_work *work, enum store_turn turn, bool tripped)
{
    const struct store_mirror_figures figures = {.any_gone = true};
    const struct err why = {.scope = ERR_FOLDER, .text = "folder A: no"};
    const struct store_finish end = {.turn = turn,
                                     .wanted_seq = work->claim.wanted_seq,
                                     .figures = &figures,
                                     .deletion_delay_seconds = 300,
                                     .error = turn == STORE_TURN_FAILED ? &why : NULL};
    if (tripped)
        store_fixture_sql(work->fixture, "INSERT INTO plan (kind, site_id, reason, made_at) SELECT 'site', "
                                         "from_site_id, 'x', UTC_TIMESTAMP(6) FROM route LIMIT 1");
    ASSERT_OK(store_mirror_finish(work->fixture->store, &work->claim.lease, &end, &err));
    store_fixture_sql(work->fixture, "DELETE FROM plan WHERE kind = 'site'");
    /* as if it were claimed still */
    store_fixture_sql(
        work->fixture,
        "UPDATE mirror SET lease_owner = '%s', lease_until = UTC_TIMESTAMP(6) + INTERVAL 60 SECOND "
        "WHERE mirror_id = %llu",
        work->claim.lease.owner, (unsigned long long)work->claim.lease.mirror_id);
}

static void gone_for(const struct store_gone_work *work, double seconds)
{
    store_fixture_sql(
        work->fixture,
        "UPDATE message SET source_gone_at = UTC_TIMESTAMP(6) - INTERVAL %.0f MICROSECOND WHERE "
        "source_gone_at IS NOT NULL",
        seconds * 1e6);
}

/* The second look comes when the delay is over; once it should have been decided, soon, and then more seldom. */
static void test_when(void **state)
{
    static const struct {
        double gone_seconds, due_seconds;
    } table[] = {{0, 300},  {100, 200},  {299, 1},    {301, 60},  {200000, 900},
                 {540, 60}, {1000, 175}, {3500, 800}, {4000, 900}};
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    store_gone_add(&work, work.inbox, 1, -1);
    store_gone_add(&work, work.inbox, 1, 1);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        gone_for(&work, table[i].gone_seconds);
        finish(&work, i % 2 ? STORE_TURN_FAILED : STORE_TURN_DONE, false);
        double seconds = due(&work);
        if (seconds < table[i].due_seconds - 5 || seconds > table[i].due_seconds + 1)
            fail_msg("gone for %g s: due in %g s", table[i].gone_seconds, seconds);
    }
}

/* A short delay, as in a demo: soon, but not at once. */
static void test_short_delay(void **state)
{
    const struct store_mirror_figures figures = {.any_gone = true};
    const struct store_finish end = {
        .turn = STORE_TURN_DONE, .wanted_seq = 1, .figures = &figures, .deletion_delay_seconds = 0.5};
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    store_gone_add(&work, work.inbox, 1, 1);
    ASSERT_OK(store_mirror_finish(work.fixture->store, &work.claim.lease, &end, &err));
    assert_true(due(&work) > 0.5 && due(&work) < 1.01);
}

/* One that can't be decided for days doesn't keep a new one waiting. */
static void test_the_next_of_many(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    store_gone_add(&work, work.inbox, 1, 200000);
    store_gone_add(&work, work.inbox, 1, 100);
    finish(&work, STORE_TURN_DONE, false);
    assert_true(due(&work) > 195 && due(&work) < 200.1);
}

static void test_not_due(void **state)
{
    static const char *const removals[] = {"'held'", "'kept'"};
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    finish(&work, STORE_TURN_DONE, false); /* nothing is gone after all */
    assert_true(due(&work) == -1);
    store_gone_add(&work, work.inbox, 2, 1);
    finish(&work, STORE_TURN_DONE, true); /* the breaker */
    assert_true(due(&work) == -1);
    store_gone_assert(&work, "2", "SELECT gone_messages FROM mirror");
    for (size_t i = 0; i < 2; i++) {
        store_fixture_sql(*state, "UPDATE message SET removal = %s", removals[i]);
        finish(&work, STORE_TURN_DONE, false);
        assert_true(due(&work) == -1);
    }
    store_fixture_sql(*state, "INSERT INTO plan (plan_id, kind, state, site_id, reason, made_at) "
                              "VALUES (77, 'mailbox', 'allowed', 1, 'x', UTC_TIMESTAMP(6))");
    store_fixture_sql(*state, "UPDATE message SET removal = 'held', plan_id = 77");
    finish(&work, STORE_TURN_DONE, false); /* a person allowed it before its second look */
    assert_true(due(&work) > 295);
    store_fixture_sql(*state, "UPDATE message SET removal = 'kept', plan_id = NULL");
    store_fixture_sql(*state, "UPDATE message SET removal = 'begun' LIMIT 1");
    finish(&work, STORE_TURN_DONE, false);
    assert_true(due(&work) > 295);
    store_gone_assert(
        &work, "1 0 1 1",
        "SELECT CONCAT_WS(' ', gone_messages, held_messages, kept_messages, waiting_messages) FROM mirror");
}

/* A folder that is gone with all its messages: its own second look. */
static void test_empty_folder(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    store_fixture_sql(
        *state, "UPDATE folder SET source_gone_at = UTC_TIMESTAMP(6) - INTERVAL 100 SECOND WHERE name = "
                "'Greetings'");
    finish(&work, STORE_TURN_DONE, false);
    assert_true(due(&work) > 195 && due(&work) < 200.1);
    store_gone_add(&work, work.greetings, 1, 10);
    finish(&work, STORE_TURN_DONE, false);
    assert_true(due(&work) > 285 && due(&work) < 290.1);
    store_fixture_sql(*state, "UPDATE message SET removal = 'held'");
    finish(&work, STORE_TURN_DONE, false);
    assert_true(due(&work) == -1);
}

/* The scanner raises what is due: once, not while it is wanted anyhow, and not before. */
static void test_raised_when_due(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    store_gone_add(&work, work.inbox, 1, 1);
    finish(&work, STORE_TURN_DONE, false);
    assert_int_equal(store_mirror_want_periodic(work.fixture->store, &err), 0);
    store_fixture_sql(*state, "UPDATE mirror SET deletion_due_at = deletion_due_at - INTERVAL 301 SECOND");
    assert_int_equal(store_mirror_want_periodic(work.fixture->store, &err), 1);
    assert_int_equal(store_mirror_want_periodic(work.fixture->store, &err), 0);
    store_gone_assert(&work, "2 1", "SELECT CONCAT(wanted_seq, ' ', pending) FROM mirror");
    work.claim.wanted_seq = 2;
    finish(&work, STORE_TURN_DONE, false);
    assert_int_equal(store_mirror_want_periodic(work.fixture->store, &err), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, store_fixture_setup, store_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_when),    CASE(test_short_delay),  CASE(test_the_next_of_many),
        CASE(test_not_due), CASE(test_empty_folder), CASE(test_raised_when_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
