/*
 * Errors, strings, buffers and clocks of lib/base.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_err_set_and_prefix(void **state)
{
    struct err err;
    (void)state;
    assert_int_equal(err_set(&err, ERR_MAILBOX, ERR_RETRY_LATER, "NO %s", "[OVERQUOTA] full"), -1);
    assert_int_equal(err.scope, ERR_MAILBOX);
    assert_int_equal(err.retry, ERR_RETRY_LATER);
    assert_int_equal(err.side, ERR_SIDE_US);
    assert_int_equal(err_prefix(&err, "append"), -1);
    assert_int_equal(err_prefix(&err, "mirror %d to %s", 1001, "dr"), -1);
    assert_string_equal(err.text, "mirror 1001 to dr: append: NO [OVERQUOTA] full");
    assert_int_equal(err_blame(&err, ERR_SIDE_TARGET), -1);
    assert_int_equal(err.side, ERR_SIDE_TARGET);
    err_set(&err, ERR_SITE, ERR_RETRY_NEVER, "again: %s", err.text);
    assert_string_equal(err.text, "again: mirror 1001 to dr: append: NO [OVERQUOTA] full");
    err_clear(&err);
    assert_int_equal(err.scope, ERR_NONE);
    assert_string_equal(err.text, "");
}

static void test_err_takes_null(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_SITE, ERR_RETRY_NOW, "x"), -1);
    assert_int_equal(err_prefix(NULL, "x"), -1);
    assert_int_equal(err_blame(NULL, ERR_SIDE_US), -1);
    err_clear(NULL);
}

static void test_err_text_is_one_clean_line(void **state)
{
    static const struct {
        const char *given, *kept;
    } cases[] = {
        {"a\r\nb", "a??b"},
        {"esc \x1b[31m", "esc ?[31m"},
        {"del \x7f", "del ?"},
        {"umlaut \xc3\xa4", "umlaut \xc3\xa4"},
        {"latin1 \xe4!", "latin1 ?!"},
        {"c1 \xc2\x9b.", "c1 ??."},
        {"overlong \xc0\xaf", "overlong ??"},
        {"surrogate \xed\xa0\x80", "surrogate ???"},
        {"cut \xe2\x82", "cut ??"},
    };
    struct err err;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        err_set(&err, ERR_SITE, ERR_RETRY_NEVER, "%s", cases[i].given);
        assert_string_equal(err.text, cases[i].kept);
    }
}

static void test_err_is_cut_between_characters(void **state)
{
    struct err err;
    char longer[2000];
    (void)state;
    for (size_t shift = 0; shift < 3; shift++) {
        memset(longer, 'x', shift);
        for (size_t at = shift; at + 3 < sizeof(longer); at += 3)
            memcpy(longer + at, "\xe2\x82\xac", 4);
        err_set(&err, ERR_SITE, ERR_RETRY_NEVER, "%s", longer);
        assert_true(strlen(err.text) > sizeof(err.text) - 4);
        assert_true(str_is_utf8(err.text, strlen(err.text)));
        assert_null(strchr(err.text, '?'));
        err_prefix(&err, "%s", longer);
        assert_true(str_is_utf8(err.text, strlen(err.text)));
    }
}

static void test_err_names(void **state)
{
    (void)state;
    assert_string_equal(err_scope_name(ERR_FOLDER), "folder");
    assert_string_equal(err_scope_name((enum err_scope)99), "unknown");
    assert_string_equal(err_side_name(ERR_SIDE_PRODUCTION), "production");
    assert_string_equal(err_side_name((enum err_side)99), "unknown");
}

static void test_str_numbers(void **state)
{
    static const struct {
        const char *text;
        bool good64;
        uint64_t value;
        bool good32;
    } cases[] = {
        {"0", true, 0, true},
        {"007", true, 7, true},
        {"4294967295", true, UINT32_MAX, true},
        {"4294967296", true, 4294967296u, false},
        {"18446744073709551615", true, UINT64_MAX, false},
        {"18446744073709551616", false, 0, false},
        {"99999999999999999999999", false, 0, false},
        {"", false, 0, false},
        {NULL, false, 0, false},
        {"-1", false, 0, false},
        {"+1", false, 0, false},
        {" 1", false, 0, false},
        {"1 ", false, 0, false},
        {"0x1", false, 0, false},
        {"1.0", false, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t big = 1;
        uint32_t small = 1;
        assert_int_equal(str_to_u64(cases[i].text, &big), cases[i].good64 ? 0 : -1);
        assert_int_equal(str_to_u32(cases[i].text, &small), cases[i].good32 ? 0 : -1);
        assert_true(big == (cases[i].good64 ? cases[i].value : 1));
        assert_true(small == (cases[i].good32 ? cases[i].value : 1));
    }
}

static void test_str_equal(void **state)
{
    (void)state;
    assert_true(str_equal(NULL, NULL));
    assert_false(str_equal(NULL, ""));
    assert_true(str_equal("a", "a"));
    assert_true(str_equal_nocase("InBoX", "iNbOx"));
    assert_true(str_equal_nocase(NULL, NULL));
    assert_false(str_equal_nocase("a", NULL));
    assert_false(str_equal_nocase("ab", "a"));
    assert_false(str_equal_nocase("\xc3\xa4", "\xc3\x84"));
}

static void test_str_mailbox_numbers(void **state)
{
    static const char *const good[] = {"1", "4711", "a.b_c-d@e+f",
                                       "1234567890123456789012345678901234567890123456789012345678901234"};
    static const char *const bad[] = {
        "",          "-1",
        "47 11",     "47*11",
        "4711\n",    "\xc3\xa4",
        "{mailbox}", "a/b",
        "a%b",       "12345678901234567890123456789012345678901234567890123456789012345"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(str_is_mailbox_number(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(str_is_mailbox_number(bad[i]));
    assert_false(str_is_mailbox_number(NULL));
}

static void test_str_utf8(void **state)
{
    static const char *const good[] = {
        "", "a", "\xc2\x80", "\xe0\xa0\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc2",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "a\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(str_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(str_is_utf8(bad[i], strlen(bad[i])));
}

static void test_str_into(void **state)
{
    char text[6];
    (void)state;
    assert_string_equal(str_into(text, sizeof(text), "12345"), "12345");
    assert_string_equal(str_into(text, sizeof(text), "123456"), "12345");
    assert_string_equal(str_into(text, sizeof(text), "1234\xc3\xa4"), "1234");
    assert_string_equal(str_into(text, sizeof(text), "12\xe2\x82\xac!"), "12\xe2\x82\xac");
    assert_string_equal(str_into(text, sizeof(text), "\xff\xff\xff\xff\xff\xff\xff"), "\xff\xff\xff\xff\xff");
    assert_string_equal(str_into(text, sizeof(text), NULL), "");
    text[0] = 'x';
    str_into(text, 0, "abc");
    assert_int_equal(text[0], 'x');
}

static void test_str_copies(void **state)
{
    (void)state;
    assert_null(str_copy(NULL));
    char *copy = str_copy_n("abc", 2), *formatted = str_format("%s-%d", copy, 7);
    assert_string_equal(copy, "ab");
    assert_string_equal(formatted, "ab-7");
    char *memory = mem_new(0);
    memory = mem_grow(memory, 0, 8);
    memory = mem_grow(memory, 3, 1);
    free(memory);
    free(copy);
    free(formatted);
}

static void test_buf_keeps_its_maximum(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 10);
    assert_string_equal(buf_data(&buf), "");
    assert_int_equal(buf_add_str(&buf, "12345678"), 0);
    assert_int_equal(buf_add_str(&buf, "9ab"), -1);
    assert_int_equal(buf_addf(&buf, "%d", 123), -1);
    assert_string_equal(buf_data(&buf), "12345678");
    assert_int_equal(buf_addf(&buf, "%d", 90), 0);
    assert_int_equal(buf_room(&buf), 0);
    assert_null(buf_reserve(&buf, 1));
    buf_consume(&buf, 3);
    assert_string_equal(buf_data(&buf), "4567890");
    assert_int_equal(buf_room(&buf), 3);
    assert_int_equal(buf_add(&buf, "\0\0\0", 3), 0);
    assert_int_equal(buf_len(&buf), 10);
    assert_memory_equal(buf_data(&buf), "4567890\0\0\0", 11);
    buf_clear(&buf);
    assert_string_equal(buf_data(&buf), "");
    assert_int_equal(buf_add(&buf, NULL, 0), 0);
    buf_fini(&buf);
    buf_fini(&buf);
    assert_int_equal(buf_add_str(&buf, "again"), 0);
    assert_int_equal(buf_add(&buf, "x", SIZE_MAX), -1);
    buf_fini(&buf);
}

/* A stream through a small buffer: what comes out is what went in, and the memory stays small. */
static void test_buf_streams(void **state)
{
    struct buf buf;
    unsigned in = 0, out = 0;
    (void)state;
    buf_init(&buf, 1000);
    for (unsigned round = 0; round < 5000; round++) {
        size_t want = (round * 7) % 300;
        char *room = buf_reserve(&buf, want);
        if (room != NULL) {
            for (size_t i = 0; i < want; i++)
                room[i] = (char)(in++ % 251);
            buf_commit(&buf, want);
        }
        size_t eat = (round * 11) % 290;
        eat = eat < buf_len(&buf) ? eat : buf_len(&buf);
        for (size_t i = 0; i < eat; i++)
            assert_int_equal((unsigned char)buf_data(&buf)[i], out++ % 251);
        buf_consume(&buf, eat);
        assert_int_equal(buf_len(&buf), in - out);
        assert_true(buf.size <= 4096);
    }
    buf_fini(&buf);
}

static void test_clock(void **state)
{
    char text[32];
    (void)state;
    assert_string_equal(clock_format_utc(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clock_format_utc(1795507200123456, text), "2026-11-24T08:00:00.123Z");
    assert_string_equal(clock_format_utc(-1, text), "1969-12-31T23:59:59.999Z");
    assert_true(strlen(clock_format_utc(INT64_MAX, text)) < 32);
    assert_true(strlen(clock_format_utc(INT64_MIN, text)) < 32);
    int64_t now = clock_boot_ms();
    assert_int_equal(clock_left_ms(now - 1), 0);
    assert_in_range(clock_left_ms(now + 10000), 9000, 10000);
    assert_int_equal(clock_left_ms(INT64_MAX), INT_MAX);
    assert_int_equal(clock_left_ms(INT64_MIN), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_set_and_prefix),
        cmocka_unit_test(test_err_takes_null),
        cmocka_unit_test(test_err_text_is_one_clean_line),
        cmocka_unit_test(test_err_is_cut_between_characters),
        cmocka_unit_test(test_err_names),
        cmocka_unit_test(test_str_numbers),
        cmocka_unit_test(test_str_equal),
        cmocka_unit_test(test_str_mailbox_numbers),
        cmocka_unit_test(test_str_utf8),
        cmocka_unit_test(test_str_into),
        cmocka_unit_test(test_str_copies),
        cmocka_unit_test(test_buf_keeps_its_maximum),
        cmocka_unit_test(test_buf_streams),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
