/*
 * The scanner's pace: intervals from budgets, delays after failures, shares of sessions, room for pushes.
 */
#include "scanner/scan_pace.h"
#include "scanner/scan_pushes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool near(double a, double b)
{
    double off = a > b ? a - b : b - a;

    return off < 0.01 * (b > 1 ? b : 1);
}

static void test_plan(void **state)
{
    static const struct {
        const char *what;
        struct scan_pace_input input;
        double reachable, busy, quiet;
        bool misses;
    } table[] = {
        {"20 mailboxes, all on kept sessions", {20, 20, 10, 10, 300}, 0, 10, 10, false},
        {"no mailbox at all", {0, 4, 10, 10, 300}, 0, 10, 10, false},
        {"within the budget", {84, 4, 10, 10, 300}, 10, 10, 10, false},
        {"a little over it", {404, 4, 10, 30, 300}, 50, 30, 75, false},
        {"20,000 at 10 logins a second", {20000, 0, 10, 10, 300}, 2500, 625, 3750, true},
        {"20,000 at 50 logins a second", {20000, 0, 50, 10, 900}, 500, 125, 750, false},
        {"next to no logins allowed", {10, 0, 0, 10, 300}, 10000, 2500, 15000, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct scan_pace pace;

        scan_pace_plan(&table[i].input, &pace);
        if (!near(pace.reachable_seconds, table[i].reachable) || !near(pace.busy_seconds, table[i].busy) ||
            !near(pace.quiet_seconds, table[i].quiet) || pace.misses_target != table[i].misses)
            fail_msg("%s: %f %f %f %d", table[i].what, pace.reachable_seconds, pace.busy_seconds,
                     pace.quiet_seconds, pace.misses_target);
    }
}

static void test_next(void **state)
{
    const struct scan_pace pace = {.busy_seconds = 20, .quiet_seconds = 100};

    (void)state;
    assert_true(near(scan_pace_next_seconds(&pace, 0, 0), 20));
    assert_true(near(scan_pace_next_seconds(&pace, 60, 1), 18));
    assert_true(near(scan_pace_next_seconds(&pace, 86400, 0), 100));
    assert_true(near(scan_pace_next_seconds(&pace, -1, 0), 100));
}

static void test_delays(void **state)
{
    static const struct {
        uint32_t fail_count;
        double mailbox, site;
    } table[] = {
        {0, 30, 2}, {1, 30, 2}, {2, 60, 4}, {3, 120, 8}, {6, 900, 64}, {7, 900, 120}, {UINT32_MAX, 900, 120}};

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_true(near(scan_pace_mailbox_delay_seconds(table[i].fail_count, 0.5), table[i].mailbox));
        assert_true(near(scan_pace_site_delay_seconds(table[i].fail_count, 0.5), table[i].site));
    }
    assert_true(scan_pace_site_delay_seconds(1, 0) < 2);
    assert_true(scan_pace_site_delay_seconds(1, 1) > 2);
}

static void test_shares(void **state)
{
    (void)state;
    assert_int_equal(scan_pace_looks(16, 1), 4);
    assert_int_equal(scan_pace_looks(16, 2), 2);
    assert_int_equal(scan_pace_looks(1, 1), 1);
    assert_int_equal(scan_pace_looks(1000, 1), 32);
    assert_int_equal(scan_pace_looks(4, 0), 1);
    assert_int_equal(scan_pace_kept(16, 1, 100), 4);
    assert_int_equal(scan_pace_kept(16, 1, 2), 2);
    assert_int_equal(scan_pace_kept(3, 1, 100), 0);
}

static void test_pushes(void **state)
{
    struct scan_pushes pushes = {0};

    (void)state;
    assert_int_equal(scan_pushes_room(&pushes, 0, 0), 0);
    assert_int_equal(scan_pushes_room(&pushes, 2, 0), 4);
    scan_pushes_add(&pushes, 7, 0);
    scan_pushes_add(&pushes, 8, 1000);
    assert_int_equal(scan_pushes_room(&pushes, 2, 1000), 2);
    scan_pushes_done(&pushes, 7);
    scan_pushes_done(&pushes, 99);
    assert_int_equal(scan_pushes_room(&pushes, 2, 1000), 3);
    assert_int_equal(scan_pushes_room(&pushes, 0, 1000), 0);
    assert_int_equal(scan_pushes_room(&pushes, 2, 1000 + SCAN_PUSH_LIFE_MS), 4);
    assert_int_equal(scan_pushes_room(&pushes, UINT32_MAX, 9000), SCAN_PUSHES_MAX);
    for (int i = 0; i < SCAN_PUSHES_MAX + 5; i++)
        scan_pushes_add(&pushes, 1, 9000);
    assert_int_equal(scan_pushes_room(&pushes, UINT32_MAX, 9000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),   cmocka_unit_test(test_next),   cmocka_unit_test(test_delays),
        cmocka_unit_test(test_shares), cmocka_unit_test(test_pushes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
