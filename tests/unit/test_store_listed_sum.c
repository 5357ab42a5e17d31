/*
 * Sums of listings against a real server: C and SQL make the same of any rows; and settled is only what pairing would leave as it
 * is.
 */
#include "base/str.h"
#include "store/store_listed_sum.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 300 };

static struct err err;
static struct store_directory_lease lease;

static void open_directory(struct store_fixture *fixture)
{
    lease = (struct store_directory_lease){.epoch = 1, .owner = "host:ldapsync:1:1:1"};
    lease.route_id = (uint32_t)store_fixture_number(fixture, "SELECT route_id FROM route WHERE name = 'dr'");
    store_fixture_sql(fixture, "DELETE FROM directory");
    store_fixture_sql(
        fixture,
        "INSERT INTO directory (route_id, due_at, lease_owner, lease_until, lease_epoch) VALUES "
        "(%u, '2100-01-01', '%s', '2100-01-01', 1)",
        lease.route_id, lease.owner);
}

/* Any bytes but NUL, of any length that fits. */
static void fill(char *text, size_t size)
{
    size_t len = arc4random_uniform((uint32_t)size);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(1 + arc4random_uniform(255));
    text[len] = '\0';
}

static void make_row(struct store_listed *row, unsigned number)
{
    *row = (struct store_listed){.has_digest = number % 7 != 0};
    fill(row->dn, sizeof(row->dn) - 10);
    snprintf(row->dn + strlen(row->dn), 10, "%u", number);
    fill(row->number, sizeof(row->number));
    fill(row->identity, sizeof(row->identity));
    fill(row->cos, sizeof(row->cos));
    fill(row->name, sizeof(row->name));
    arc4random_buf(row->digest, sizeof(row->digest));
}

static void test_both_make_the_same(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_fixture *fixture = *state;
    struct store_listed *rows = mem_new(ROWS * sizeof(*rows));
    const struct store_listing listing = {.kind = STORE_COS, .side = STORE_LISTED_TARGET, .listing = 7};
    struct store_listed_sum sum = {0}, other = {0}, read;
    open_directory(fixture);
    for (unsigned i = 0; i < ROWS; i++) {
        make_row(&rows[i], i);
        store_listed_sum_add(&sum, &rows[i]);
    }
    for (unsigned i = ROWS; i-- > 0;) /* in any order */
        store_listed_sum_add(&other, &rows[i]);
    assert_true(store_listed_sum_is(&sum, &other));
    for (size_t done = 0; done < ROWS; done += 100)
        ASSERT_OK(store_listed_add(fixture->store, &lease, &listing, rows + done, 100, &err));
    ASSERT_OK(
        store_listed_sum_read(fixture->store, lease.route_id, STORE_COS, STORE_LISTED_TARGET, &read, &err));
    assert_int_equal(read.count, ROWS);
    assert_true(store_listed_sum_is(&sum, &read));
    ASSERT_OK(store_listed_sum_read(fixture->store, lease.route_id, STORE_COS, STORE_LISTED_PRODUCTION, &read,
                                    &err));
    assert_int_equal(read.count, 0);
    static const char *const changes[] = {
        "dn = CONCAT(dn, '1')", "number = '4711'",          "identity = 'other'", "cos = 'other'",
        "name = 'other'",       "digest = REPEAT('x', 32)", "digest = NULL"};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) { /* one on top of the other */
        store_fixture_sql(fixture, "UPDATE listed SET %s WHERE side = 'target' ORDER BY dn LIMIT 1",
                          changes[i]);
        ASSERT_OK(store_listed_sum_read(fixture->store, lease.route_id, STORE_COS, STORE_LISTED_TARGET, &read,
                                        &err));
        assert_false(store_listed_sum_is(&sum, &read));
        sum = read;
    }
    free(rows);
}

static bool is_settled(struct store_fixture *fixture)
{
    bool settled = false;
    ASSERT_OK(store_listed_is_settled(fixture->store, lease.route_id, STORE_SUBSCRIBER, &settled, &err));
    return settled;
}

/* A directory of five that are equal, and two strangers on the target. */
static void fill_directory(struct store_fixture *fixture)
{
    open_directory(fixture);
    store_fixture_sql(fixture, "DELETE FROM listed");
    store_fixture_sql(fixture, "DELETE FROM entry");
    store_fixture_sql(fixture, "DELETE FROM directory_trouble");
    store_fixture_sql(
        fixture,
        "INSERT INTO listed (route_id, side, kind, dn, number, identity, digest, listing) SELECT "
        "%u, s.side, 'subscriber', CONCAT('uid=', seq), seq, seq, NULL, 1 FROM seq_1_to_7 "
        "JOIN (SELECT 'production' AS side UNION SELECT 'target') s WHERE seq <= 5 OR s.side = "
        "'target'",
        lease.route_id);
    store_fixture_sql(fixture, "UPDATE listed SET digest = UNHEX(SHA2(number, 256))");
    store_fixture_sql(
        fixture,
        "INSERT INTO entry (route_id, kind, identity, number, source_dn, target_dn, state, todo, proven_at, "
        "settled_source, settled_target) SELECT route_id, kind, identity, number, dn, dn, 'equal', "
        "0, UTC_TIMESTAMP(6), digest, digest FROM listed WHERE side = 'production'");
}

static void test_what_is_settled(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_fixture *fixture = *state;
    static const char *const disturbances[] = {
        "UPDATE entry SET todo = 1 WHERE number = '3'",
        "UPDATE entry SET state = 'differs' WHERE number = '3'",
        "UPDATE entry SET gone_at = UTC_TIMESTAMP(6) WHERE number = '3'",
        "UPDATE entry SET proven_at = NULL WHERE number = '3'",
        "UPDATE entry SET settled_source = NULL WHERE number = '3'",
        "UPDATE entry SET settled_target = REPEAT('x', 32) WHERE number = '3'",
        "UPDATE entry SET target_dn = '' WHERE number = '3'",
        "UPDATE entry SET name = 'other' WHERE number = '3'",
        "UPDATE entry SET source_dn = 'uid=other' WHERE number = '3'",
        "DELETE FROM entry WHERE number = '3'",
        "DELETE FROM entry",
        "DELETE FROM listed WHERE side = 'production' AND number = '3'",
        "DELETE FROM listed WHERE side = 'target' AND number = '3'",
        "UPDATE listed SET digest = NULL WHERE side = 'target' AND number = '3'",
        "UPDATE listed SET digest = REPEAT('x', 32) WHERE side = 'production' AND number = '3'",
        ("INSERT INTO directory_trouble (route_id, side, kind, dn, words, listing, since) SELECT route_id, "
         "'production', 'subscriber', 'uid=9', 'bad', 1, UTC_TIMESTAMP(6) FROM directory"),
    };
    for (size_t i = 0; i < sizeof(disturbances) / sizeof(disturbances[0]); i++) {
        fill_directory(fixture);
        assert_true(is_settled(fixture));
        store_fixture_sql(fixture, "%s", disturbances[i]);
        if (is_settled(fixture))
            fail_msg("settled after: %s", disturbances[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_make_the_same, store_fixture_setup, store_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_settled, store_fixture_setup, store_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
