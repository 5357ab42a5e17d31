/*
 * What the brake is told, against a real server: 60 mailboxes on a route, of which one asks.
 */
#include "store/store_folder.h"
#include "store/store_removal.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MAILBOXES = 60 };

static struct err err;

#define ASSERT_OK(call)                                                                                      \
    do {                                                                                                     \
        if (call)                                                                                            \
            fail_msg("%s", err.text);                                                                        \
    } while (0)

struct work {
    struct store_fixture *fixture;
    struct store_claim claim;
    uint64_t inbox, greetings;
};

/* Each other mailbox has 12 messages; the one that asks has none yet. */
static struct work begin(struct store_fixture *fixture)
{
    struct work work = {.fixture = fixture};
    struct config_deletions *limits = &fixture->routes[0].deletions;
    *limits = (struct config_deletions){300, 30, 100, 0.5, 0.2, 0.05, 60};
    store_fixture_mailboxes(fixture, MAILBOXES, "dr");
    ASSERT_OK(store_mirror_claim(fixture->store, &fixture->config, "host:copier:1:1:1", &work.claim, &err));
    ASSERT_OK(store_folder_add(fixture->store, &work.claim.lease, "INBOX", "INBOX", &work.inbox, &err));
    ASSERT_OK(
        store_folder_add(fixture->store, &work.claim.lease, "Greetings", "Greetings", &work.greetings, &err));
    store_fixture_sql(fixture, "UPDATE mirror SET left_messages = 12 WHERE mirror_id <> %llu",
                      (unsigned long long)work.claim.lease.mirror_id);
    return work;
}

/* So many messages with a copy; gone for so many seconds, or there (-1). */
static void add(const struct work *work, uint64_t folder_id, unsigned count, int gone_seconds)
{
    for (unsigned i = 0; i < count; i++)
        store_fixture_sql(
            work->fixture,
            "INSERT INTO message (folder_id, source_uid, target_uid, state, internal_date, size_bytes, "
            "flags_written, flags_refused, source_gone_at) SELECT %llu, 1 + COALESCE(MAX(source_uid), 0), "
            "1 + COALESCE(MAX(target_uid), 0), 'mirrored', UNIX_TIMESTAMP(), 100, '', '', "
            "IF(%d < 0, NULL, UTC_TIMESTAMP(6) - INTERVAL %d SECOND) FROM message WHERE folder_id = %llu",
            (unsigned long long)folder_id, gone_seconds, gone_seconds, (unsigned long long)folder_id);
}

/* So many other mailboxes were held so many minutes ago, with 20 messages each. */
static void hold_others(const struct work *work, unsigned count, const char *kind, const char *state,
                        unsigned minutes)
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

static struct store_removal_answer ask(const struct work *work)
{
    struct store_removal_answer answer;
    struct store_removal_request request = {
        .route = &work->fixture->routes[0], .greeting_folders = &work->greetings, .greeting_folder_count = 1};
    ASSERT_OK(store_removal_ask(work->fixture->store, &work->claim.lease, &request, &answer, &err));
    return answer;
}

static void test_own_limit(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    add(&work, work.inbox, 9, -1);
    add(&work, work.greetings, 200, -1);
    add(&work, work.inbox, 30, 1);
    assert_int_equal(ask(&work).verdict, STORE_REMOVAL_GO);
    add(&work, work.inbox, 1, 1);
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
    struct work work = begin(*state);
    add(&work, work.inbox, 9, -1);
    add(&work, work.greetings, 1, 299);
    assert_int_equal(ask(&work).verdict, STORE_REMOVAL_GO);
    add(&work, work.greetings, 1, 301);
    struct store_removal_answer answer = ask(&work);
    assert_int_equal(answer.verdict, STORE_REMOVAL_HELD);
    assert_string_equal(answer.reason, "the only greeting is gone");
}

/* Users' deletions that a route held with a disaster don't hold it on. */
static void test_held_for_the_route(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    add(&work, work.inbox, 9, -1);
    add(&work, work.inbox, 1, 1);
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
    struct work work = begin(*state);
    add(&work, work.inbox, 9, -1);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        store_fixture_sql(*state, "DELETE FROM plan");
        store_fixture_sql(*state, "DELETE FROM message WHERE source_gone_at IS NOT NULL");
        add(&work, work.inbox, 1, 1);
        hold_others(&work, table[i].count, table[i].kind, table[i].state, table[i].minutes);
        store_fixture_sql(*state, "UPDATE plan SET emptied = 1, messages = %u", table[i].messages);
        if ((ask(&work).verdict == STORE_REMOVAL_HELD) != table[i].counts)
            fail_msg("%u plans of kind %s, %s %u minutes ago", table[i].count, table[i].kind, table[i].state,
                     table[i].minutes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_own_limit, store_fixture_setup, store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_greeting_away, store_fixture_setup, store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_held_for_the_route, store_fixture_setup, store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_was_held_counts, store_fixture_setup,
                                        store_fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
