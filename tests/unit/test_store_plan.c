/*
 * Held plans against a real server: what people see, and that a decision is made once, with all that belongs to it, also
 * when the answer to its COMMIT is lost.
 */
#include "base/str.h"
#include "store/store_breaker.h"
#include "store/store_mailbox.h"
#include "store/store_mirror.h"
#include "store/store_plan.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err err;

#define OF_SITE(name) "(SELECT site_id FROM site WHERE name = '" name "')"
#define OF_ROUTE(name) "(SELECT route_id FROM route WHERE name = '" name "')"

/* A plan that holds two messages of a mailbox on a route. */
static uint64_t hold(struct store_fixture *fixture, const char *mailbox, const char *route, const char *state)
{
    store_fixture_sql(
        fixture,
        "INSERT INTO plan (kind, state, site_id, route_id, mirror_id, mailbox, reason, messages, made_at) "
        "SELECT 'mailbox', '%s', r.from_site_id, r.route_id, m.mirror_id, b.number, '2 of 3 are gone', 2, "
        "UTC_TIMESTAMP(6) - INTERVAL 60 SECOND FROM mailbox b JOIN mirror m ON m.mailbox_id = b.mailbox_id "
        "JOIN route r ON r.route_id = m.route_id WHERE b.number = '%s' AND r.name = '%s'",
        state, mailbox, route);
    uint64_t id = (uint64_t)store_fixture_number(fixture, "SELECT MAX(plan_id) FROM plan");
    store_fixture_sql(fixture,
                      "INSERT INTO plan_message VALUES (%lu, 11, 'INBOX', 7, 21, 1772525645, 68000, 'open'), "
                      "(%lu, 12, 'Gr\xc3\xbc\xc3\x9f"
                      "e', NULL, NULL, 1772525646, 5, 'back')",
                      id, id);
    return id;
}

static uint64_t trip(struct store_fixture *fixture, const char *fingerprint)
{
    store_fixture_sql(fixture,
                      "INSERT INTO plan (kind, site_id, reason, fingerprint, words, made_at) VALUES ('site', "
                      "" OF_SITE("production") ", 'another server answers', %s, 'Dovecot', UTC_TIMESTAMP(6))",
                      fingerprint);
    return (uint64_t)store_fixture_number(fixture, "SELECT MAX(plan_id) FROM plan");
}

static enum store_plan_decided decide(struct store *store, uint64_t plan_id, bool allow, const char *who,
                                      char state[STORE_PLAN_STATE_BYTES])
{
    struct store_plan_decision decision = {.allow = allow, .who = who, .reason = "moved house"};
    enum store_plan_decided decided;
    ASSERT_OK(store_plan_decide(store, plan_id, &decision, &decided, state, &err));
    return decided;
}

/* ---- list ---- */

struct seen {
    char text[400]; /* "1 2 3" */
};

static void see_id(void *context, const struct store_plan *plan)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof(seen->text) - used, "%s%lu", used ? " " : "", plan->plan_id);
}

static void assert_listed(struct store_fixture *fixture, struct store_plan_filter filter, const char *want)
{
    struct seen seen = {0};
    ASSERT_OK(store_plan_list(fixture->store, &filter, see_id, &seen, &err));
    assert_string_equal(seen.text, want);
}

static void test_filters(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 2, NULL);
    hold(fixture, "1001", "dr", "held");
    hold(fixture, "1001", "vault", "allowed");
    hold(fixture, "1002", "dr", "refused");
    hold(fixture, "1002", "dr", "dissolved");
    trip(fixture, "NULL");
    store_fixture_sql(fixture, "UPDATE plan SET state = 'refused' WHERE plan_id = 5");
    assert_listed(fixture, (struct store_plan_filter){0}, "1 2 3 4 5");
    assert_listed(fixture, (struct store_plan_filter){.open_only = true}, "1 2 5");
    assert_listed(fixture, (struct store_plan_filter){.plan_id = 3}, "3");
    assert_listed(fixture, (struct store_plan_filter){.plan_id = 77}, "");
    assert_listed(fixture, (struct store_plan_filter){.mailbox = "1002"}, "3 4 5");
    assert_listed(fixture, (struct store_plan_filter){.mailbox = "77"}, "");
    assert_listed(fixture, (struct store_plan_filter){.route = "vault"}, "2 5");
    assert_listed(fixture, (struct store_plan_filter){.route = "nowhere"}, "");
    assert_listed(fixture, (struct store_plan_filter){.sites_only = true, .open_only = true}, "5");
    assert_listed(fixture, (struct store_plan_filter){.limit = 2}, "1 2");
    assert_listed(fixture, (struct store_plan_filter){.after_plan_id = 2, .limit = 2}, "3 4");
    struct store_plan_waiting waiting;
    ASSERT_OK(store_plan_count(fixture->store, &waiting, &err));
    assert_int_equal(waiting.plans, 1);
    assert_int_equal(waiting.messages, 1); /* of two; one is back */
}

static void check_plan(void *context, const struct store_plan *plan)
{
    (*(unsigned *)context)++;
    assert_string_equal(plan->kind, "mailbox");
    assert_string_equal(plan->state, "refused");
    assert_string_equal(plan->site, "production");
    assert_string_equal(plan->route, "dr");
    assert_string_equal(plan->mailbox, "1001");
    assert_string_equal(plan->reason, "2 of 3 are gone");
    assert_string_equal(plan->words, "");
    assert_string_equal(plan->decided_by, "ann");
    assert_string_equal(plan->decision, "moved house");
    assert_int_equal(plan->messages, 2);
    assert_int_equal(plan->open, 1);
    assert_int_equal(plan->removed, 0);
    assert_int_equal(plan->back, 1);
    assert_true(plan->made_age_seconds > 59 && plan->made_age_seconds < 90);
    assert_true(plan->decided_age_seconds >= 0 && plan->decided_age_seconds < 30);
    assert_true(plan->ended_age_seconds == -1);
}

static void check_message(void *context, const struct store_plan_message *message)
{
    unsigned *count = context;
    assert_string_equal(message->folder, *count == 0 ? "INBOX"
                                                     : "Gr\xc3\xbc\xc3\x9f"
                                                       "e");
    assert_string_equal(message->outcome, *count == 0 ? "open" : "back");
    assert_int_equal(message->source_uidvalidity, *count == 0 ? 7 : 0);
    assert_int_equal(message->source_uid, *count == 0 ? 21 : 0);
    assert_int_equal(message->internal_date, *count == 0 ? 1772525645 : 1772525646);
    (*count)++;
}

static void test_one_plan_with_its_messages(void **state)
{
    struct store_fixture *fixture = *state;
    char now[STORE_PLAN_STATE_BYTES];
    unsigned count = 0;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    uint64_t id = hold(fixture, "1001", "dr", "held");
    assert_int_equal(decide(fixture->store, id, false, "ann", now), STORE_PLAN_DECIDED);
    ASSERT_OK(store_plan_list(fixture->store, &(struct store_plan_filter){.plan_id = id}, check_plan, &count,
                              &err));
    assert_int_equal(count, 1);
    count = 0;
    ASSERT_OK(store_plan_messages(fixture->store, id, 0, 0, check_message, &count, &err));
    assert_int_equal(count, 2);
    count = 0;
    ASSERT_OK(store_plan_messages(fixture->store, id, 0, 1, check_message, &count, &err));
    assert_int_equal(count, 1);
    ASSERT_OK(store_plan_messages(fixture->store, id, 11, 0, check_message, &count, &err));
    assert_int_equal(count, 2);
}

/* ---- deciding about messages ---- */

static void assert_text(struct store_fixture *fixture, const char *sql, const char *want)
{
    char *text = store_fixture_text(fixture, "%s", sql);
    assert_string_equal(text ? text : "(null)", want);
    free(text);
}

static void test_allow(void **state)
{
    struct store_fixture *fixture = *state;
    char now[STORE_PLAN_STATE_BYTES];
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 2, NULL);
    hold(fixture, "1001", "dr", "held");
    hold(fixture, "1002", "dr", "held");
    store_fixture_sql(fixture, "UPDATE mirror SET wanted_seq = 4, done_seq = 4, fail_count = 3, "
                               "due_at = UTC_TIMESTAMP(6) + INTERVAL 9 MINUTE");
    assert_int_equal(decide(fixture->store, 1, true, "ann", now), STORE_PLAN_DECIDED);
    assert_string_equal(now, "allowed");
    assert_text(fixture,
                "SELECT CONCAT(state, decided_by, decision, ended_at IS NULL) FROM plan WHERE plan_id = 1",
                "allowedannmoved house1");
    assert_text(fixture, "SELECT CONCAT(who, what, detail) FROM audit", "annheld allow 1moved house");
    /* just its mirror, at once, before all others; the set is the copier's */
    assert_text(fixture, "SELECT COUNT(*) FROM mirror WHERE wanted_seq = 5", "1");
    assert_text(
        fixture,
        "SELECT m.priority = 0 AND m.due_at <= UTC_TIMESTAMP(6) FROM mirror m JOIN plan p ON p.mirror_id = "
        "m.mirror_id WHERE m.wanted_seq = 5 AND p.plan_id = 1",
        "1");
    assert_text(fixture, "SELECT COUNT(*) FROM plan_message WHERE outcome IN ('open', 'back')", "4");
    assert_text(fixture, "SELECT CAST(state AS CHAR) FROM plan WHERE plan_id = 2", "held");
}

static void test_decided_once(void **state)
{
    struct store_fixture *fixture = *state;
    char now[STORE_PLAN_STATE_BYTES];
    const char *const over[] = {"allowed", "refused", "done", "dissolved"};
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    assert_int_equal(decide(fixture->store, 1, true, "ann", now), STORE_PLAN_UNKNOWN);
    for (size_t i = 0; i < sizeof(over) / sizeof(*over); i++) {
        uint64_t id = hold(fixture, "1001", "dr", over[i]);
        for (int allow = 0; allow < 2; allow++) {
            assert_int_equal(decide(fixture->store, id, allow, "ann", now), STORE_PLAN_OVER);
            assert_string_equal(now, over[i]);
        }
    }
    assert_text(fixture, "SELECT COUNT(*) FROM audit", "0");
    assert_text(fixture, "SELECT MAX(wanted_seq) FROM mirror", "1");
    uint64_t id = hold(fixture, "1001", "dr", "held");
    assert_int_equal(decide(fixture->store, id, false, "ann", now), STORE_PLAN_DECIDED);
    assert_int_equal(decide(fixture->other, id, true, "bob", now), STORE_PLAN_OVER);
    assert_string_equal(now, "refused");
    assert_text(fixture, "SELECT GROUP_CONCAT(decided_by SEPARATOR '') FROM plan", "ann");
    assert_text(fixture, "SELECT COUNT(*) FROM audit", "1");
}

static void claim_and_forget(struct store_fixture *fixture)
{
    struct store_claim claim;
    ASSERT_OK(store_mirror_claim(fixture->store, &fixture->config, "host:copier:1:1:1", &claim, &err));
    ASSERT_OK(store_mirror_forget(fixture->store, &claim.lease, &err));
}

/* With the mailbox nothing is left to decide: its plans are over, others' are not. */
static void test_plans_end_with_their_mailbox(void **state)
{
    struct store_fixture *fixture = *state;
    char now[STORE_PLAN_STATE_BYTES];
    bool found;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 3, "dr");
    for (int i = 0; i < 3; i++) {
        const char *const mailboxes[] = {"1001", "1002", "1003"};
        hold(fixture, mailboxes[i], "dr", "held");
        hold(fixture, mailboxes[i], "dr", "refused");
    }
    ASSERT_OK(store_mailbox_remove(fixture->store, "1001", &found, &err));
    ASSERT_OK(store_mailbox_remove_with_copies(fixture->store, "1002", &found, &err));
    assert_listed(fixture, (struct store_plan_filter){.open_only = true}, "3 5");
    claim_and_forget(fixture);
    assert_listed(fixture, (struct store_plan_filter){.open_only = true}, "5");
    assert_text(
        fixture,
        "SELECT GROUP_CONCAT(CONCAT(plan_id, state) ORDER BY plan_id) FROM plan WHERE ended_at IS NOT NULL",
        "1dissolved,2refused,3dissolved,4refused");
    assert_text(fixture,
                "SELECT GROUP_CONCAT(CONCAT(plan_id, outcome) ORDER BY plan_id) FROM plan_message WHERE "
                "message_id = 11",
                "1kept,2kept,3removed,4removed,5open,6open");
    assert_int_equal(decide(fixture->store, 1, true, "ann", now), STORE_PLAN_OVER);
}

/* ---- a site's breaker ---- */

static void test_site_allowed(void **state)
{
    struct store_fixture *fixture = *state;
    char now[STORE_PLAN_STATE_BYTES];
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 3, NULL);
    store_fixture_sql(fixture,
                      "UPDATE mirror SET gone_messages = 2, deletion_due_at = NULL WHERE mailbox_id = 1");
    store_fixture_sql(fixture,
                      "UPDATE mirror SET held_messages = 2, deletion_due_at = NULL WHERE mailbox_id = 2");
    store_fixture_sql(fixture, "INSERT INTO sign VALUES (" OF_SITE(
                                   "production") ", 'uidvalidity', 1, UTC_TIMESTAMP(6)), "
                                                 "(" OF_SITE("dr") ", 'uidvalidity', 1, UTC_TIMESTAMP(6))");
    uint64_t id = trip(fixture, "REPEAT('a', 32)");
    uint64_t other = hold(fixture, "1003", "dr", "held");
    assert_int_equal(decide(fixture->store, id, true, "ann", now), STORE_PLAN_DECIDED);
    assert_string_equal(now, "done");
    assert_text(fixture,
                "SELECT ended_at IS NOT NULL AND decided_at IS NOT NULL FROM plan WHERE kind = 'site'", "1");
    assert_text(fixture, "SELECT CONCAT(fingerprint, words, accepted_by) FROM site_fingerprint",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaDovecotann");
    assert_text(fixture, "SELECT GROUP_CONCAT(s.name) FROM sign g JOIN site s ON s.site_id = g.site_id",
                "dr");
    assert_text(fixture,
                "SELECT GROUP_CONCAT(DISTINCT mailbox_id ORDER BY 1) FROM mirror WHERE deletion_due_at <= "
                "UTC_TIMESTAMP(6) + INTERVAL 1 SECOND",
                "1,2");
    assert_text(fixture, "SELECT COUNT(*) FROM mirror WHERE deletion_due_at IS NOT NULL", "4");
    assert_int_equal(decide(fixture->store, id, false, "bob", now), STORE_PLAN_OVER);
    assert_text(fixture, "SELECT COUNT(*) FROM plan WHERE state = 'held'", "1");
    assert_int_equal(decide(fixture->store, other, true, "ann", now), STORE_PLAN_DECIDED);
}

/* 10,000 would be spread over five minutes: here a hundred over three seconds. */
static void test_many_mirrors_are_spread(void **state)
{
    struct store_fixture *fixture = *state;
    char now[STORE_PLAN_STATE_BYTES];
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 50, NULL);
    store_fixture_sql(fixture, "UPDATE mirror SET gone_messages = 1");
    assert_int_equal(decide(fixture->store, trip(fixture, "NULL"), true, "ann", now), STORE_PLAN_DECIDED);
    assert_text(fixture, "SELECT COUNT(*) FROM site_fingerprint", "0");
    assert_text(fixture, "SELECT COUNT(DISTINCT deletion_due_at) > 90 FROM mirror", "1");
    double over = store_fixture_number(
        fixture, "SELECT TIMESTAMPDIFF(MICROSECOND, MIN(deletion_due_at), MAX(deletion_due_at)) FROM mirror");
    assert_true(over > 1.5e6 && over <= 3e6);
}

static void test_site_refused_and_then_allowed(void **state)
{
    struct store_fixture *fixture = *state;
    char now[STORE_PLAN_STATE_BYTES];
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    store_fixture_sql(fixture, "UPDATE mirror SET gone_messages = 2");
    uint64_t id = trip(fixture, "REPEAT('a', 32)");
    assert_int_equal(decide(fixture->store, id, false, "ann", now), STORE_PLAN_DECIDED);
    assert_string_equal(now, "refused");
    assert_text(fixture, "SELECT COUNT(*) FROM site_fingerprint", "0");
    assert_text(fixture, "SELECT COUNT(*) FROM mirror WHERE deletion_due_at IS NOT NULL OR wanted_seq > 1",
                "0");
    assert_text(fixture, "SELECT ended_at IS NULL FROM plan", "1");
    assert_int_equal(decide(fixture->store, id, false, "bob", now), STORE_PLAN_OVER);
    assert_int_equal(decide(fixture->store, id, true, "bob", now), STORE_PLAN_DECIDED);
    assert_string_equal(now, "done");
    assert_text(fixture, "SELECT decided_by FROM plan", "bob");
    assert_text(fixture, "SELECT GROUP_CONCAT(what ORDER BY audit_id) FROM audit",
                "held refuse 1,held allow 1");
}

/* The known server answers again: what was stopped goes on by itself, and nobody has to allow it. */
static void test_the_known_server_ends_what_was_refused(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_breaker_fingerprint known = {.words = "ours"},
                                     stranger = {.digest = {1}, .words = "a spare"};
    char now[STORE_PLAN_STATE_BYTES];
    bool tripped;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    store_fixture_sql(fixture, "UPDATE mirror SET gone_messages = 2, deletion_due_at = NULL");
    ASSERT_OK(store_breaker_meet(fixture->store, "production", &known, &tripped, &err));
    ASSERT_OK(store_breaker_meet(fixture->store, "production", &stranger, &tripped, &err));
    assert_true(tripped);
    ASSERT_OK(store_breaker_meet(fixture->store, "production", &known, &tripped, &err));
    assert_text(fixture, "SELECT CAST(state AS CHAR) FROM plan",
                "held"); /* a person must say that it was one */
    assert_int_equal(decide(fixture->store, 1, false, "ann", now), STORE_PLAN_DECIDED);
    assert_text(fixture, "SELECT COUNT(*) FROM mirror WHERE deletion_due_at IS NOT NULL", "0");
    ASSERT_OK(store_breaker_meet(fixture->store, "production", &known, &tripped, &err));
    assert_text(fixture, "SELECT CAST(state AS CHAR) FROM plan", "dissolved");
    assert_text(fixture, "SELECT COUNT(*) FROM mirror WHERE deletion_due_at IS NOT NULL", "1");
}

/* ---- the connection ---- */

static void test_lost_commit_is_repeated(void **state)
{
    struct store_fixture *fixture = *state;
    char now[STORE_PLAN_STATE_BYTES];
    const enum store_proxy_mode modes[] = {STORE_PROXY_DROP_COMMIT, STORE_PROXY_DROP_ANSWER};
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        uint64_t id = hold(fixture, "1001", "dr", "held");
        store_fixture_proxy(fixture, modes[i]);
        assert_int_equal(decide(fixture->store, id, true, "ann", now), STORE_PLAN_DECIDED);
        assert_string_equal(now, "allowed");
        assert_int_equal(store_fixture_number(fixture, "SELECT COUNT(*) FROM audit"), i + 1);
        assert_int_equal(store_fixture_number(fixture, "SELECT wanted_seq FROM mirror"), i + 2);
        assert_int_equal(decide(fixture->store, id, true, "ann", now), STORE_PLAN_OVER);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_filters),
        TEST(test_one_plan_with_its_messages),
        TEST(test_allow),
        TEST(test_decided_once),
        TEST(test_plans_end_with_their_mailbox),
        TEST(test_site_allowed),
        TEST(test_many_mirrors_are_spread),
        TEST(test_site_refused_and_then_allowed),
        TEST(test_the_known_server_ends_what_was_refused),
        cmocka_unit_test_setup_teardown(test_lost_commit_is_repeated, store_fixture_setup_proxy,
                                        store_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
