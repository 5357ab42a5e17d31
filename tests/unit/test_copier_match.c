/*
 * Unit tests of copier/match.c: which message is which, a multiset.
 */
#include "copier/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct match_key key(int64_t date, char header, uint64_t size)
{
    struct match_key key = {.internal_date = date, .size_bytes = size, .has_header = header != 0};
    memset(key.header_sha256, header, DIGEST_BYTES);
    return key;
}

static void equal_messages_stay_two(void **state)
{
    struct match_key left[3] = {key(5, 'a', 1), key(5, 'a', 1), key(5, 'a', 1)};
    struct match_key right[2] = {key(5, 'a', 1), key(5, 'a', 1)};
    long partners[3];
    (void)state;
    assert_int_equal(match_run(left, 3, right, 2, NULL, NULL, partners, NULL), 0);
    assert_int_equal(partners[0], 0);
    assert_int_equal(partners[1], 1);
    assert_int_equal(partners[2], MATCH_NONE);
}

static void date_and_header_choose(void **state)
{
    struct match_key left[4] = {key(1, 'a', 10), key(2, 'a', 10), key(1, 'b', 10), key(3, 'c', 10)};
    struct match_key right[4] = {key(1, 'b', 99), key(2, 'a', 10), key(1, 'a', 10), key(4, 'c', 10)};
    long partners[4];
    (void)state;
    assert_int_equal(match_run(left, 4, right, 4, NULL, NULL, partners, NULL), 0);
    assert_int_equal(partners[0], 2);
    assert_int_equal(partners[1], 1);
    assert_int_equal(partners[2], 0);
    assert_int_equal(partners[3], MATCH_NONE);
}

static void size_stands_in_for_a_missing_header(void **state)
{
    struct match_key left[2] = {key(1, 0, 10), key(1, 0, 11)};
    struct match_key right[2] = {key(1, 'x', 11), key(1, 'y', 12)};
    long partners[2];
    (void)state;
    assert_int_equal(match_run(left, 2, right, 2, NULL, NULL, partners, NULL), 0);
    assert_int_equal(partners[0], MATCH_NONE);
    assert_int_equal(partners[1], 0);
}

static void no_sides(void **state)
{
    struct match_key one = key(1, 'a', 1);
    long partners[1] = {7};
    (void)state;
    assert_int_equal(match_run(NULL, 0, &one, 1, NULL, NULL, partners, NULL), 0);
    assert_int_equal(match_run(&one, 1, NULL, 0, NULL, NULL, partners, NULL), 0);
    assert_int_equal(partners[0], MATCH_NONE);
}

/* The digest of the whole message decides: here only right 1 is it. */
static int confirm_second(void *context, size_t left, size_t right, bool *equal_out, struct err *err)
{
    (void)left;
    (void)err;
    ++*(int *)context;
    *equal_out = right == 1;
    return 0;
}

static int confirm_all(void *context, size_t left, size_t right, bool *equal_out, struct err *err)
{
    (void)left;
    (void)right;
    (void)err;
    ++*(int *)context;
    *equal_out = true;
    return 0;
}

static int confirm_fails(void *context, size_t left, size_t right, bool *equal_out, struct err *err)
{
    (void)context;
    (void)left;
    (void)right;
    (void)equal_out;
    return err_set(err, ERR_MAILBOX, ERR_RETRY_LATER, "line cut");
}

static void confirm_decides(void **state)
{
    struct match_key left[2] = {key(1, 'a', 1), key(1, 'a', 1)};
    struct match_key right[2] = {key(1, 'a', 1), key(1, 'a', 1)};
    struct err err = {0};
    long partners[2];
    int asked = 0;
    (void)state;
    assert_int_equal(match_run(left, 2, right, 2, confirm_second, &asked, partners, NULL), 0);
    assert_int_equal(partners[0], 1);
    assert_int_equal(partners[1], MATCH_NONE);
    assert_int_equal(asked, 3);
    assert_int_equal(match_run(left, 2, right, 2, confirm_fails, NULL, partners, &err), -1);
    assert_int_equal(err.scope, ERR_MAILBOX);
}

/* The first has its own date; the other two are told apart by header, and one finds nobody. */
static void dates_of_the_targets_own(void **state)
{
    struct match_key left[3] = {key(1, 'a', 1), key(2, 'b', 1), key(3, 'c', 1)};
    struct match_key right[3] = {key(9, 'b', 1), key(1, 'a', 1), key(9, 'b', 1)};
    long partners[3];
    int asked = 0;
    (void)state;
    assert_int_equal(match_run_any_date(left, 3, right, 3, confirm_all, &asked, partners, NULL), 0);
    assert_int_equal(partners[0], 1);
    assert_int_equal(partners[1], 0);
    assert_int_equal(partners[2], MATCH_NONE);
    assert_int_equal(asked, 2);
    assert_int_equal(match_run_any_date(left, 3, NULL, 0, confirm_all, &asked, partners, NULL), 0);
    assert_int_equal(partners[0], MATCH_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_messages_stay_two),
        cmocka_unit_test(date_and_header_choose),
        cmocka_unit_test(size_stands_in_for_a_missing_header),
        cmocka_unit_test(no_sides),
        cmocka_unit_test(confirm_decides),
        cmocka_unit_test(dates_of_the_targets_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
