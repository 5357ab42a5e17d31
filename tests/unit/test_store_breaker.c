/*
 * The breaker against a real server: what trips it, once; who is known; what many mailboxes show; and that an end goes on.
 */
#include "store/store_breaker.h"
#include "store/store_plan.h"
#include "store_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err err;

#define PLANS                                                                                                \
    "SELECT GROUP_CONCAT(plan_id, ':', state, IF(ended_at IS NULL, '', '.') ORDER BY plan_id SEPARATOR ' "   \
    "') "                                                                                                    \
    "FROM plan"

static const struct store_breaker_fingerprint known = {{1}, "Dovecot ready."}, stranger = {{2}, "mss1 ready"},
                                              third = {{3}, "Cyrus ready"};

static bool meet(struct store_fixture *fixture, const struct store_breaker_fingerprint *fingerprint)
{
    bool tripped;
    ASSERT_OK(store_breaker_meet(fixture->store, "production", fingerprint, &tripped, &err));
    return tripped;
}

static bool is_tripped(struct store_fixture *fixture, const char *site)
{
    bool tripped;
    ASSERT_OK(store_breaker_is_tripped(fixture->store, site, &tripped, &err));
    return tripped;
}

static void decide(struct store_fixture *fixture, uint64_t plan_id, bool allow)
{
    const struct store_plan_decision decision = {.allow = allow, .who = "anna", .reason = "as it is"};
    enum store_plan_decided decided;
    char state[STORE_PLAN_STATE_BYTES];
    ASSERT_OK(store_plan_decide(fixture->store, plan_id, &decision, &decided, state, &err));
    assert_int_equal(decided, STORE_PLAN_DECIDED);
}

static void assert_text(struct store_fixture *fixture, const char *want, const char *sql)
{
    char *text = store_fixture_text(fixture, "%s", sql);
    assert_string_equal(text ? text : "", want);
    free(text);
}

/* ---- trip ---- */

static void test_trips_once(void **state)
{
    struct store_fixture *fixture = *state;
    bool tripped;
    FIXTURE_OR_SKIP(state);
    assert_false(is_tripped(fixture, "production"));
    ASSERT_OK(store_breaker_trip(fixture->store, "production", "it went back", &tripped, &err));
    assert_true(tripped);
    assert_true(is_tripped(fixture, "production"));
    assert_false(is_tripped(fixture, "dr"));
    assert_false(is_tripped(fixture, "nowhere"));
    ASSERT_OK(store_breaker_trip(fixture->store, "production", "again", &tripped, &err));
    assert_false(tripped);
    assert_text(
        fixture, "site production it went back; again",
        "SELECT CONCAT(p.kind, ' ', s.name, ' ', p.reason) FROM plan p JOIN site s ON s.site_id = p.site_id");
    decide(fixture, 1, false);
    assert_true(is_tripped(fixture, "production")); /* refused: it stays */
    ASSERT_OK(store_breaker_trip(fixture->store, "production", "again", &tripped, &err));
    assert_false(tripped);
    decide(fixture, 1, true);
    assert_false(is_tripped(fixture, "production"));
    ASSERT_OK(store_breaker_trip(fixture->store, "production", "again", &tripped, &err));
    assert_true(tripped);
    assert_text(fixture, "1:done. 2:held", PLANS);
}

static void test_site_not_recorded(void **state)
{
    struct store_fixture *fixture = *state;
    bool tripped = true;
    FIXTURE_OR_SKIP(state);
    assert_int_equal(store_breaker_trip(fixture->store, "nowhere", "?", &tripped, &err), -1);
    assert_false(tripped);
    assert_string_equal(err.text, "store: site 'nowhere' is not recorded");
}

/* ---- fingerprints ---- */

static void test_fingerprints(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    assert_false(meet(fixture, &known)); /* the first is learnt */
    assert_false(meet(fixture, &known));
    assert_false(is_tripped(fixture, "production"));
    assert_true(meet(fixture, &stranger));
    assert_false(meet(fixture, &stranger));
    assert_text(fixture,
                "another server answers at its address than before (greeting, ID or key of the certificate)",
                "SELECT reason FROM plan");
    assert_false(meet(fixture, &known)); /* held: a person decides, whoever answers now */
    assert_true(is_tripped(fixture, "production"));
    assert_text(fixture, "1 mss1 ready",
                "SELECT CONCAT(fingerprint = CONCAT(CHAR(2), REPEAT(CHAR(0), 31)), ' ', words) "
                "FROM plan");
    decide(fixture, 1, true);
    assert_false(meet(fixture, &stranger));
    assert_false(meet(fixture, &known));
    assert_text(fixture, "Dovecot ready., mss1 ready by anna",
                "SELECT GROUP_CONCAT(words, IF(accepted_by = '', '', ' by '), accepted_by ORDER BY words "
                "SEPARATOR ', ') "
                "FROM site_fingerprint");
    assert_true(meet(fixture, &third));
    assert_text(fixture, "1:done. 2:held", PLANS);
}

/* The one that is always met costs no lock, which all workers of the site would wait for. */
static void test_known_one_locks_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    assert_false(meet(fixture, &known));
    store_fixture_sql(fixture, "START TRANSACTION");
    store_fixture_sql(fixture, "UPDATE site SET error = 'locked'");
    assert_false(meet(fixture, &known));
    assert_int_not_equal(store_fixture_number(fixture, "SELECT error = 'locked' FROM site LIMIT 1"), 0);
    store_fixture_sql(fixture, "ROLLBACK");
    assert_true(meet(fixture, &stranger));
}

/* A person said that this is not our production; once ours answers again, that is over, and what was stopped goes on. */
static void test_refused_and_known_again(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 2, NULL);
    store_fixture_sql(fixture, "UPDATE mirror SET gone_messages = 1 WHERE mailbox_id = 1");
    assert_false(meet(fixture, &known));
    assert_true(meet(fixture, &stranger));
    decide(fixture, 1, false);
    assert_false(meet(fixture, &stranger));
    assert_true(is_tripped(fixture, "production"));
    assert_text(fixture, "0", "SELECT COUNT(deletion_due_at) FROM mirror");
    assert_false(meet(fixture, &known));
    assert_text(fixture, "1:dissolved.", PLANS);
    assert_text(fixture, "2", "SELECT COUNT(deletion_due_at) FROM mirror");
    store_fixture_sql(fixture, "UPDATE mirror SET deletion_due_at = NULL");
    assert_false(meet(fixture, &known));
    assert_text(fixture, "0", "SELECT COUNT(deletion_due_at) FROM mirror");
    assert_true(meet(fixture, &stranger)); /* not accepted by that */
}

/* What was refused for another reason is not ended by a known face. */
static void test_refused_sign_stays(void **state)
{
    struct store_fixture *fixture = *state;
    bool tripped;
    FIXTURE_OR_SKIP(state);
    assert_false(meet(fixture, &known));
    ASSERT_OK(store_breaker_trip(fixture->store, "production", "it went back", &tripped, &err));
    decide(fixture, 1, false);
    assert_false(meet(fixture, &known));
    assert_text(fixture, "1:refused", PLANS);
    assert_true(is_tripped(fixture, "production"));
}

/* ---- signs ---- */

static bool sign(struct store_fixture *fixture, enum store_sign kind, uint64_t mailbox_id)
{
    bool tripped;
    ASSERT_OK(store_breaker_sign(fixture->store, "production", kind, mailbox_id, &tripped, &err));
    return tripped;
}

static void test_signs(void **state)
{
    static const struct {
        unsigned mailboxes, signs;
        bool trips;
    } table[] = {{100, 2, false}, {10, 2, false}, {2, 2, false}, {10, 3, true}, {100, 3, false},
                 {100, 4, false}, {100, 5, true}, {60, 3, true}, {61, 3, false}};
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        bool tripped = false;
        store_fixture_sql(fixture, "DELETE FROM plan");
        store_fixture_sql(fixture, "DELETE FROM sign");
        store_fixture_sql(fixture, "DELETE FROM look");
        store_fixture_sql(
            fixture,
            "INSERT INTO look (mailbox_id, site_id, due_at) SELECT seq, (SELECT site_id FROM site "
            "WHERE name = 'production'), UTC_TIMESTAMP(6) FROM seq_1_to_%u",
            table[i].mailboxes);
        for (uint64_t mailbox = 1; mailbox <= table[i].signs; mailbox++) {
            assert_false(tripped); /* with the last one only */
            tripped = sign(fixture, STORE_SIGN_UIDVALIDITY, mailbox);
        }
        if (tripped != table[i].trips || is_tripped(fixture, "production") != table[i].trips)
            fail_msg("%u signs of %u mailboxes", table[i].signs, table[i].mailboxes);
    }
}

/* One mailbox counts once; each kind for itself; not what was seen over an hour ago, nor at another site. */
static void test_which_signs_count(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 10, "dr");
    for (unsigned i = 0; i < 3; i++)
        assert_false(sign(fixture, STORE_SIGN_UIDVALIDITY, 1));
    assert_false(sign(fixture, STORE_SIGN_LISTS_NOTHING, 2));
    assert_false(sign(fixture, STORE_SIGN_LISTS_NOTHING, 3));
    assert_false(sign(fixture, STORE_SIGN_UIDVALIDITY, 2));
    store_fixture_sql(fixture, "UPDATE sign SET seen_at = seen_at - INTERVAL 61 MINUTE WHERE mailbox_id = 1");
    assert_false(sign(fixture, STORE_SIGN_UIDVALIDITY, 3));
    store_fixture_sql(fixture, "INSERT INTO sign VALUES (77, 'uidvalidity', 4, UTC_TIMESTAMP(6))");
    assert_false(sign(fixture, STORE_SIGN_UIDVALIDITY, 3));
    assert_true(sign(fixture, STORE_SIGN_LISTS_NOTHING, 1));
    assert_text(fixture, "3 of 10 mailboxes suddenly showed nothing within 60 minutes",
                "SELECT reason FROM plan");
    store_fixture_sql(fixture, "DELETE FROM plan");
    assert_true(sign(fixture, STORE_SIGN_UIDVALIDITY, 5));
    assert_text(fixture,
                "3 of 10 mailboxes had their folders made anew (UIDVALIDITY changed) within 60 minutes",
                "SELECT reason FROM plan");
    decide(fixture, 2, true);
    assert_text(fixture, "1", "SELECT COUNT(*) FROM sign"); /* forgotten; the other site's is not */
}

/* ---- one plan, several reasons ---- */

static void trip(struct store_fixture *fixture, const char *reason)
{
    bool tripped;
    ASSERT_OK(store_breaker_trip(fixture->store, "production", reason, &tripped, &err));
}

static void see_signs(struct store_fixture *fixture, enum store_sign kind, uint64_t first, uint64_t last)
{
    for (uint64_t mailbox = first; mailbox <= last; mailbox++)
        sign(fixture, kind, mailbox);
}

#define REASON "SELECT CONCAT(state, ': ', reason) FROM plan"
#define MADE_ANEW "mailboxes had their folders made anew (UIDVALIDITY changed) within 60 minutes"

/* Who allows one mailbox's trouble sees that half the site was renumbered meanwhile. */
static void test_further_signs_are_told(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 10, "dr");
    trip(fixture, "mailbox 7 went back");
    trip(fixture, "mailbox 7 went back");
    see_signs(fixture, STORE_SIGN_UIDVALIDITY, 1, 2);
    assert_text(fixture, "held: mailbox 7 went back", REASON);
    see_signs(fixture, STORE_SIGN_UIDVALIDITY, 3, 3);
    assert_text(fixture, "held: mailbox 7 went back; 3 of 10 " MADE_ANEW, REASON);
    see_signs(fixture, STORE_SIGN_LISTS_NOTHING, 1, 3);
    see_signs(fixture, STORE_SIGN_UIDVALIDITY, 4, 9);
    assert_text(fixture,
                "held: mailbox 7 went back; 9 of 10 " MADE_ANEW
                "; 3 of 10 mailboxes suddenly showed nothing within 60 minutes",
                REASON);
    store_fixture_sql(fixture, "DELETE FROM sign WHERE mailbox_id > 4");
    see_signs(fixture, STORE_SIGN_UIDVALIDITY, 1, 1); /* what was told is not taken back */
    decide(fixture, 1, false);
    see_signs(fixture, STORE_SIGN_LISTS_NOTHING, 4, 4);
    trip(fixture, "mailbox 8 went back");
    assert_text(fixture,
                "refused: mailbox 7 went back; 9 of 10 " MADE_ANEW
                "; 4 of 10 mailboxes suddenly showed nothing within 60 minutes; mailbox 8 went back",
                REASON);
    assert_text(fixture, "1", "SELECT COUNT(*) FROM plan");
}

/* Mailboxes that fill the reason leave room for what many show. */
static void test_reasons_are_bounded(void **state)
{
    struct store_fixture *fixture = *state;
    char *reason;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 10, "dr");
    for (unsigned mailbox = 1000; mailbox < 1100; mailbox++) {
        char words[100];
        snprintf(words, sizeof(words), "mailbox %u went back", mailbox);
        trip(fixture, words);
    }
    see_signs(fixture, STORE_SIGN_UIDVALIDITY, 1, 10);
    see_signs(fixture, STORE_SIGN_LISTS_NOTHING, 1, 10);
    reason = store_fixture_text(fixture, "SELECT reason FROM plan");
    assert_non_null(strstr(reason, "mailbox 1015 went back; "));
    assert_non_null(
        strstr(reason, "; and more like that; 10 of 10 " MADE_ANEW "; 10 of 10 mailboxes suddenly "));
    assert_true(strlen(reason) <= 800);
    free(reason);
}

/* The plan is about the first stranger: allowed, it is known, and the second one trips the breaker again. */
static void test_another_stranger_meanwhile(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    assert_false(meet(fixture, &known));
    assert_true(meet(fixture, &stranger));
    assert_false(meet(fixture, &third));
    assert_false(meet(fixture, &third));
    assert_false(meet(fixture, &stranger));
    assert_text(fixture,
                "mss1 ready: another server answers at its address than before (greeting, ID or key of the "
                "certificate); another server answers at its address than before (greeting, ID or key of the "
                "certificate): Cyrus ready",
                "SELECT CONCAT(words, ': ', reason) FROM plan");
    decide(fixture, 1, true);
    assert_false(meet(fixture, &stranger));
    assert_true(meet(fixture, &third));
}

/* A sign's plan stays the sign's: refused, it is not over because the known server answers again. */
static void test_stranger_while_a_sign_is_open(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    assert_false(meet(fixture, &known));
    trip(fixture, "mailbox 7 went back");
    assert_false(meet(fixture, &stranger));
    decide(fixture, 1, false);
    assert_false(meet(fixture, &known));
    assert_text(fixture,
                "refused: mailbox 7 went back; another server answers at its address than before (greeting, "
                "ID or key of the certificate): mss1 ready",
                REASON);
    decide(fixture, 1, true);
    assert_true(meet(fixture, &stranger));
}

/* ---- two at once ---- */

enum { ROUNDS = 20 };

struct worker {
    struct store *store;
    pthread_barrier_t *barrier;
    unsigned tripped;
    bool failed;
};

static void *trip_again_and_again(void *context)
{
    struct worker *worker = context;
    struct err why;
    for (unsigned i = 0; i < ROUNDS; i++) {
        bool tripped = false;
        pthread_barrier_wait(worker->barrier);
        worker->failed |= store_breaker_meet(worker->store, "production", &stranger, &tripped, &why) != 0;
        worker->tripped += tripped;
        pthread_barrier_wait(worker->barrier);
    }
    return NULL;
}

/* Both see the stranger at one moment: one plan, and one of them says it. */
static void test_two_at_once(void **state)
{
    struct store_fixture *fixture = *state;
    pthread_barrier_t barrier;
    pthread_t threads[2];
    FIXTURE_OR_SKIP(state);
    struct worker workers[2] = {{fixture->store, &barrier, 0, false}, {fixture->other, &barrier, 0, false}};
    assert_false(meet(fixture, &known));
    pthread_barrier_init(&barrier, NULL, 3);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, trip_again_and_again, &workers[i]), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        store_fixture_sql(fixture, "UPDATE plan SET state = 'done'");
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    assert_false(workers[0].failed || workers[1].failed);
    assert_int_equal(workers[0].tripped + workers[1].tripped, ROUNDS);
    assert_true(store_fixture_number(fixture, "SELECT COUNT(*) FROM plan") == ROUNDS);
}

/* ---- answers that get lost ---- */

static void test_once(void **state)
{
    static const enum store_proxy_mode modes[] = {STORE_PROXY_DROP_COMMIT, STORE_PROXY_DROP_ANSWER};
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    assert_false(meet(fixture, &known));
    for (unsigned i = 0; i < 2; i++) {
        bool tripped;
        store_fixture_sql(fixture, "DELETE FROM plan");
        store_fixture_proxy(fixture, modes[i]);
        if (store_breaker_meet(fixture->store, "production", &stranger, &tripped, &err) != 0)
            meet(fixture, &stranger); /* as the next login does */
        assert_text(fixture, "1", "SELECT COUNT(*) FROM plan");
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, store_fixture_setup, store_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_trips_once),
        CASE(test_site_not_recorded),
        CASE(test_fingerprints),
        CASE(test_known_one_locks_nothing),
        CASE(test_refused_and_known_again),
        CASE(test_refused_sign_stays),
        CASE(test_signs),
        CASE(test_which_signs_count),
        CASE(test_further_signs_are_told),
        CASE(test_reasons_are_bounded),
        CASE(test_another_stranger_meanwhile),
        CASE(test_stranger_while_a_sign_is_open),
        CASE(test_two_at_once),
        cmocka_unit_test_setup_teardown(test_once, store_fixture_setup_proxy, store_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
