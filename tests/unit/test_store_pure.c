/*
 * What the store decides without a database: the login gate, delays, errors' classes, the splitting of migrations.
 */
#include "base/str.h"
#include "store/store_finish.h"
#include "store/store_gate.h"
#include "store/store_link.h"
#include "store/store_migrate.h"

#include <mysqld_error.h>
#include <errmsg.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the gate ---- */

static const char *const test_boxes[] = {"9001", "9002"};
static const struct store_gate_rules plain = {.limit = 3}, with_tests = {3, test_boxes, 2},
                                     strict = {.limit = 1};

/* Asks, and answers the login: 'a'ccepted, 'r'efused, 'n'ot asked. Returns whom it went to, NULL if not let in. */
static const char *try_login(struct store_gate *gate, const struct store_gate_rules *rules,
                             const char *mailbox, char answer, bool *stopped_out)
{
    static char tried[65];
    const char *probe = NULL;
    enum store_gate_verdict verdict = store_gate_admit(gate, rules, mailbox, &probe);
    enum store_gate_result result = answer == 'a'   ? STORE_GATE_ACCEPTED
                                    : answer == 'r' ? STORE_GATE_REFUSED
                                                    : STORE_GATE_NOT_ASKED;
    *stopped_out = false;
    if (verdict != STORE_GATE_GO && verdict != STORE_GATE_PROBE)
        return NULL;
    str_into(tried, sizeof(tried), probe ? probe : mailbox);
    *stopped_out = store_gate_result(gate, rules, tried, verdict == STORE_GATE_PROBE, result);
    return tried;
}

static void test_gate_first_login(void **state)
{
    struct store_gate gate = {0};
    bool stopped;
    (void)state;
    assert_string_equal(try_login(&gate, &plain, "1", 'a', &stopped), "1");
    assert_int_equal(gate.state, STORE_GATE_PROVEN);
    assert_string_equal(gate.last_good, "1");
}

static void test_gate_one_at_a_time_until_proven(void **state)
{
    struct store_gate gate = {.gate_held = true};
    const char *probe;
    (void)state;
    assert_int_equal(store_gate_admit(&gate, &plain, "1", &probe), STORE_GATE_WAIT);
    gate.state = STORE_GATE_PROVEN;
    assert_int_equal(store_gate_admit(&gate, &plain, "1", &probe), STORE_GATE_GO);
    gate.troubles = 1;
    assert_int_equal(store_gate_admit(&gate, &plain, "1", &probe), STORE_GATE_WAIT);
    gate.gate_held = false;
    assert_int_equal(store_gate_admit(&gate, &plain, "1", &probe), STORE_GATE_GO);
}

static void test_gate_wrong_secret_is_tried_three_times(void **state)
{
    const struct {
        const struct store_gate_rules *rules;
        const char *last_good;
        int tries;
        const char *third;
    } rows[] = {
        {&plain, "", 3, "3"},         /* nobody known to be good: whoever comes third */
        {&plain, "7", 3, "7"},        /* the last good one decides */
        {&with_tests, "", 3, "9001"}, /* else a test mailbox */
        {&with_tests, "7", 3, "7"},   {&strict, "7", 1, "7"},
    };
    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
        struct store_gate gate = {0};
        int tries = 0, stops = 0;
        str_into(gate.last_good, sizeof(gate.last_good), rows[r].last_good);
        for (int i = 1; i <= 50; i++) {
            char mailbox[8] = {(char)('0' + i % 7), '\0'};
            bool stopped;
            const char *tried = try_login(&gate, rows[r].rules, mailbox, 'r', &stopped);
            tries += tried != NULL;
            stops += stopped;
            if (tried && tries == 3)
                assert_string_equal(tried, rows[r].third);
        }
        assert_int_equal(tries, rows[r].tries);
        assert_int_equal(stops, 1);
    }
}

static void test_gate_three_wrong_mailboxes_of_a_healthy_site(void **state)
{
    struct store_gate gate = {.state = STORE_GATE_PROVEN, .last_good = "7"};
    bool stopped;
    (void)state;
    for (int round = 0; round < 5; round++) {
        assert_string_equal(try_login(&gate, &plain, "1", 'r', &stopped), "1");
        assert_string_equal(try_login(&gate, &plain, "2", 'r', &stopped), "2");
        assert_string_equal(try_login(&gate, &plain, "3", 'a', &stopped), "7"); /* probe */
        assert_int_equal(gate.state, STORE_GATE_PROVEN);
        assert_string_equal(try_login(&gate, &plain, "3", 'r', &stopped), "3");
        assert_false(stopped);
        assert_string_equal(try_login(&gate, &plain, "4", 'a', &stopped), "4");
        str_into(gate.last_good, sizeof(gate.last_good), "7");
    }
}

/* Logins that were under way together when the secret changed: none of them stops the site, the probe does. */
static void test_gate_many_refusals_in_flight(void **state)
{
    struct store_gate gate = {.state = STORE_GATE_PROVEN, .last_good = "7"};
    bool stopped;
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_false(store_gate_result(&gate, &plain, "1", false, STORE_GATE_REFUSED));
    assert_int_equal(gate.refusals, 2);
    assert_string_equal(try_login(&gate, &plain, "1", 'r', &stopped), "7");
    assert_true(stopped);
    assert_false(store_gate_result(&gate, &plain, "2", false, STORE_GATE_ACCEPTED)); /* older than the stop */
    assert_int_equal(gate.state, STORE_GATE_STOPPED);
}

static void test_gate_retry_time_and_new_secret(void **state)
{
    struct store_gate gate = {.state = STORE_GATE_STOPPED, .refusals = 2, .stops = 1};
    bool stopped;
    (void)state;
    assert_null(try_login(&gate, &plain, "1", 'a', &stopped));
    gate.retry_over = true;
    assert_string_equal(try_login(&gate, &plain, "1", 'r', &stopped), "1");
    assert_true(stopped); /* one try, and it stops again */
    assert_int_equal(gate.stops, 2);
    gate.retry_over = false;
    assert_null(try_login(&gate, &plain, "2", 'a', &stopped));
    store_gate_reopen(&gate);
    assert_string_equal(try_login(&gate, &plain, "2", 'a', &stopped), "2");
    assert_int_equal(gate.state, STORE_GATE_PROVEN);
}

/* A test mailbox that was removed does not keep a healthy site stopped: the next probes go to others. */
static void test_gate_probes_take_turns(void **state)
{
    const char *const expected[] = {"7", "9002", "1", "9001", "9002", "1"};
    struct store_gate gate = {.refusals = 2, .last_good = "7"};
    bool stopped;
    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        gate.retry_over = true;
        assert_string_equal(try_login(&gate, &with_tests, "1", 'r', &stopped), expected[i]);
        assert_true(stopped);
    }
}

static void test_gate_unreachable_is_no_refusal(void **state)
{
    struct store_gate gate = {.last_good = "7"};
    bool stopped;
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_string_equal(try_login(&gate, &plain, "1", 'n', &stopped), "1");
    assert_int_equal(gate.refusals, 0);
    assert_int_equal(gate.troubles, 10);
    assert_int_equal(store_gate_cooling(1), 1);
    assert_int_equal(store_gate_cooling(3), 4);
    assert_int_equal(store_gate_cooling(10), 20);
    try_login(&gate, &plain, "1", 'a', &stopped);
    assert_int_equal(gate.troubles, 0);
}

/* ---- delays, classes ---- */

static void test_delays(void **state)
{
    const struct {
        uint32_t count;
        enum err_scope scope;
        double least, most;
    } rows[] = {
        {1, ERR_MAILBOX, 1.5, 2.5},
        {2, ERR_MAILBOX, 3, 5},
        {5, ERR_MAILBOX, 24, 40},
        {60, ERR_MAILBOX, 675, 1125},
        {4000000000U, ERR_MAILBOX, 675, 1125},
        {60, ERR_FOLDER, 45, 75},
        {60, ERR_MESSAGE, 45, 75},
        {1, ERR_SITE, 3.75, 6.25},
        {30, ERR_SITE, 90, 150},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_float_equal(store_finish_delay(rows[i].count, rows[i].scope, 0), rows[i].least, 0.001);
        assert_float_equal(store_finish_delay(rows[i].count, rows[i].scope, 1), rows[i].most, 0.001);
    }
}

static void test_classes(void **state)
{
    (void)state;
    assert_int_equal(store_link_classify(ER_LOCK_DEADLOCK), STORE_FAILURE_CONFLICT);
    assert_int_equal(store_link_classify(ER_LOCK_WAIT_TIMEOUT), STORE_FAILURE_CONFLICT);
    assert_int_equal(store_link_classify(1180), STORE_FAILURE_CONFLICT);
    assert_int_equal(store_link_classify(1047), STORE_FAILURE_LOST);
    assert_int_equal(store_link_classify(CR_SERVER_GONE_ERROR), STORE_FAILURE_LOST);
    assert_int_equal(store_link_classify(CR_SERVER_LOST), STORE_FAILURE_LOST);
    assert_int_equal(store_link_classify(ER_DATA_TOO_LONG), STORE_FAILURE_DATA);
    assert_int_equal(store_link_classify(ER_PARSE_ERROR), STORE_FAILURE_OTHER);
}

/* ---- migrations in text ---- */

static void test_splitting(void **state)
{
    const char *sql =
        "-- a comment; with a semicolon;\nCREATE TABLE a (\n  b INT, -- not; here\n  c INT\n);\n\n"
        "-- more\n;\n  ALTER TABLE a ADD d INT;  \r\nUPDATE a SET b = 1";
    const char *const expected[] = {"CREATE TABLE a (\n  b INT, -- not; here\n  c INT\n);",
                                    ";\n  ALTER TABLE a ADD d INT;  \r", "UPDATE a SET b = 1"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *statement = store_migrate_next(&sql);
        assert_non_null(statement);
        if (i != 1)
            assert_non_null(strstr(statement, expected[i]));
        else
            assert_non_null(strstr(statement, "ALTER TABLE a ADD d INT;"));
        free(statement);
    }
    assert_null(store_migrate_next(&sql));
    assert_null(store_migrate_next(&sql));
    assert_int_equal(store_migrate_version("001_first.sql"), 1);
    assert_int_equal(store_migrate_version("120_more.sql"), 120);
    assert_int_equal(store_migrate_version("more.sql"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_first_login),
        cmocka_unit_test(test_gate_one_at_a_time_until_proven),
        cmocka_unit_test(test_gate_wrong_secret_is_tried_three_times),
        cmocka_unit_test(test_gate_three_wrong_mailboxes_of_a_healthy_site),
        cmocka_unit_test(test_gate_many_refusals_in_flight),
        cmocka_unit_test(test_gate_retry_time_and_new_secret),
        cmocka_unit_test(test_gate_probes_take_turns),
        cmocka_unit_test(test_gate_unreachable_is_no_refusal),
        cmocka_unit_test(test_delays),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_splitting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
