/*
 * UIDs and their sets, written and read; dates. In tables.
 */
#include "imap/imap_date.h"
#include "imap/imap_set.h"
#include "imap/imap_uids.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- sets in commands ---- */

static void test_set_is_written(void **state)
{
    static const struct {
        uint32_t uids[8];
        size_t count;
        const char *set;
    } cases[] = {
        {{0}, 0, ""},       {{7}, 1, "7"},           {{3, 4, 5, 6, 7, 9}, 6, "3:7,9"},
        {{1, 2}, 2, "1:2"}, {{1, 3, 5}, 3, "1,3,5"}, {{4294967294, 4294967295}, 2, "4294967294:4294967295"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char set[IMAP_UIDS_SET_BYTES];
        assert_int_equal(imap_uids_format(cases[i].uids, cases[i].count, set), cases[i].count);
        assert_string_equal(set, cases[i].set);
    }
}

/* However long: in pieces that fit, none left out; as ranges, which are longest. */
static void test_long_set_in_pieces(void **state)
{
    enum { COUNT = 3000, LAST = 4294967295 - 3 * COUNT };
    static uint32_t uids[COUNT];
    size_t done = 0;
    (void)state;
    for (uint32_t i = 0; i < COUNT; i++)
        uids[i] = (uint32_t)LAST + i / 2 * 5 + i % 2;
    while (done < COUNT) {
        char set[IMAP_UIDS_SET_BYTES];
        const char *text = set;
        uint32_t first, last;
        size_t used = imap_uids_format(uids + done, COUNT - done, set);
        assert_true(used > 0 && strlen(set) < IMAP_UIDS_SET_BYTES);
        for (size_t i = 0; i < used; i += last - first + 1) {
            assert_int_equal(imap_set_next(&text, &first, &last), 1);
            assert_int_equal(first, uids[done + i]);
            assert_int_equal(last, uids[done + i + last - first]);
        }
        assert_int_equal(imap_set_next(&text, &first, &last), 0);
        done += used;
    }
    assert_int_equal(done, COUNT);
}

static void test_uids(void **state)
{
    static const uint32_t added[] = {5, 3, 5, 4294967295, 1, 3};
    struct imap_uids uids = {0};
    (void)state;
    imap_uids_sort(&uids);
    assert_false(imap_uids_has(uids.items, uids.count, 1));
    for (size_t i = 0; i < 6; i++)
        imap_uids_add(&uids, added[i]);
    imap_uids_sort(&uids);
    assert_int_equal(uids.count, 4);
    for (size_t i = 0; i < 6; i++)
        assert_true(imap_uids_has(uids.items, uids.count, added[i]));
    assert_false(imap_uids_has(uids.items, uids.count, 4));
    assert_int_equal(uids.items[0], 1);
    assert_int_equal(uids.items[3], 4294967295);
    imap_uids_fini(&uids);
    assert_int_equal(uids.count, 0);
}

/* ---- sets in answers ---- */

static void test_set_is_read(void **state)
{
    static const struct {
        const char *set;
        const char *ranges; /* '!' : nonsense */
    } cases[] = {
        {"", ""},
        {"4", "4-4 "},
        {"4,7:9", "4-4 7-9 "},
        {"9:7", "7-9 "},
        {"1:4294967295", "1-4294967295 "},
        {"007", "7-7 "},
        {"0", "!"},
        {"0:4", "!"},
        {"4:0", "!"},
        {"4294967296", "!"},
        {"1,99999999999999999999999", "1-1 !"},
        {"*", "!"},
        {"1:*", "!"},
        {"1,", "!"},
        {",1", "!"},
        {"1,,2", "1-1 !"},
        {"1:2:3", "!"},
        {":1", "!"},
        {"1:", "!"},
        {"1 2", "!"},
        {"-1", "!"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[100] = "";
        const char *set = cases[i].set;
        uint32_t first, last;
        int found;
        while ((found = imap_set_next(&set, &first, &last)) > 0)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u-%u ", first, last);
        if (found < 0)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "!");
        assert_string_equal(text, cases[i].ranges);
    }
}

/* ---- dates ---- */

static void test_dates(void **state)
{
    static const struct {
        const char *text, *strict;
        int64_t unix_seconds;
    } cases[] = {
        {" 3-Mar-2026 09:14:05 +0100", " 3-Mar-2026 09:14:05 +0100", 1772525645},
        {"3-Mar-2026 09:14:05 +0100", " 3-Mar-2026 09:14:05 +0100", 1772525645},
        {"03-MAR-2026 09:14:05 +0100", " 3-Mar-2026 09:14:05 +0100", 1772525645},
        {" 3-mar-2026 08:14:05 -0000", " 3-Mar-2026 08:14:05 -0000", 1772525645},
        {" 1-Jan-1970 00:00:00 +0000", " 1-Jan-1970 00:00:00 +0000", 0},
        {"31-Dec-1969 18:29:59 -0530", "31-Dec-1969 18:29:59 -0530", -1},
        {"29-Feb-2000 00:00:00 +0000", "29-Feb-2000 00:00:00 +0000", 951782400},
        {"29-Feb-2024 00:00:00 +0000", "29-Feb-2024 00:00:00 +0000", 1709164800},
        {"31-Dec-2016 23:59:60 +0000", "31-Dec-2016 23:59:60 +0000", 1483228800},
        {" 1-Mar-2100 00:00:00 +0000", " 1-Mar-2100 00:00:00 +0000", 4107542400},
        {"19-Jan-2038 03:14:08 +0000", "19-Jan-2038 03:14:08 +0000", 2147483648},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct imap_date date;
        assert_int_equal(imap_date_parse(cases[i].text, &date), 0);
        assert_string_equal(date.text, cases[i].strict);
        assert_int_equal(strlen(date.text), 26);
        assert_true(date.unix_seconds == cases[i].unix_seconds);
    }
}

static void test_no_dates(void **state)
{
    static const char *const cases[] = {
        "",
        "NIL",
        "3-Mar-2026",
        "3-Mar-2026 09:14:05",
        " 3-Mar-2026 09:14:05 0100",
        " 3-Mar-2026 09:14:05 +0100 ",
        " 3-Mar-2026 09:14:05 +01000",
        " 3-Mar-2026 09:14:05 GMT",
        " 3-Mai-2026 09:14:05 +0100",
        " 3-Ma-2026 09:14:05 +0100",
        " 0-Mar-2026 09:14:05 +0100",
        "32-Mar-2026 09:14:05 +0100",
        "31-Apr-2026 09:14:05 +0100",
        "30-Feb-2024 09:14:05 +0100",
        "29-Feb-2026 09:14:05 +0100",
        "29-Feb-1900 09:14:05 +0100",
        " 3-Mar-0000 09:14:05 +0100",
        " 3-Mar-20266 09:14:05 +0100",
        " 3-Mar--026 09:14:05 +0100",
        " 3-Mar-2026 24:14:05 +0100",
        " 3-Mar-2026 09:60:05 +0100",
        " 3-Mar-2026 09:14:61 +0100",
        " 3-Mar-2026 -9:14:05 +0100",
        " 3-Mar-2026 09:14:05 +1600",
        " 3-Mar-2026 09:14:05 +0160",
        " 3-Mar-2026 09:14:05 +-100",
        "Tue, 3 Mar 2026 09:14:05 +0100",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct imap_date date;
        if (imap_date_parse(cases[i], &date) == 0)
            fail_msg("taken as a date: \"%s\"", cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_is_written), cmocka_unit_test(test_long_set_in_pieces),
        cmocka_unit_test(test_uids),           cmocka_unit_test(test_set_is_read),
        cmocka_unit_test(test_dates),          cmocka_unit_test(test_no_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
