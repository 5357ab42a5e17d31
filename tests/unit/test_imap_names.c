/*
 * Folder names in tables: wire and neutral form, both directions; what the other server's delimiter makes of a name, and
 * that it comes back from there as what it was.
 */
#include "imap/imap_names.h"

#include "base/buf.h"
#include "base/str.h"
#include "imap/imap_mutf7.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Wire and neutral, each made from the other. */
static const struct {
    const char *wire;
    char delimiter;
    const char *neutral;
} same[] = {
    {"INBOX", '/', "INBOX"},
    {"INBOX/a/b", '/', "INBOX/a/b"},
    {"INBOX.a b.c", '.', "INBOX/a b/c"},
    {"a\\b", '\\', "a/b"},
    {"a/b", 0, "a/b"},
    {"a.b", 0, "a.b"},
    {"a/b", '.', "a%2Fb"},
    {"a%b", '/', "a%25b"},
    {"a%2Fb", '/', "a%252Fb"},
    {"a_b", '/', "a_b"},
    {"Gel&APY-scht", '/', "Gel\xc3\xb6scht"},
    {"&AOQ-&-&AOQ-", '/', "\xc3\xa4&\xc3\xa4"},
    {"&U,BTFw-", '/', "\xe5\x8f\xb0\xe5\x8c\x97"},
    {"&2D3eAA-", '.', "\xf0\x9f\x98\x80"},
    {"*", '/', "*"},
    {"\"\\", '/', "\"\\"},
    /* no modified UTF-7, or not its one form: byte for byte */
    {"Gel\xc3\xb6scht", '/', "Gel%C3%B6scht"},
    {"\xff", '/', "%FF"},
    {"a\x01\x7f", '/', "a%01%7F"},
    {"&", '/', "%26"},
    {"&AOQ", '/', "%26AOQ"},
    {"&AOQ-&APY-", '/', "%26AOQ-%26APY-"},
    {"&AGE-", '/', "%26AGE-"},
    {"&AOR-", '/', "%26AOR-"},
    {"&2D0-", '/', "%262D0-"},
    {"&AA-", '/', "%26AA-"},
    {"&=-", '/', "%26=-"},
    {"\xff%/b", '/', "%FF%25/b"},
    /* an escape that we would write, read from elsewhere */
    {"a_2fb", '/', "a%2Fb"},
    {"a_2eb", '.', "a.b"},
    {"a_2eb", '/', "a_2eb"},
    {"a_2Eb", '.', "a_2Eb"},
    {"a_5f2eb", '.', "a_2eb"},
    {"a_5f5f2eb", '.', "a_5f2eb"},
    {"a_5f2eb", '/', "a_5f2eb"},
    {"_00", '/', "%5F00"},
    {"a/_00/b", '/', "a//b"},
    {"a/_5f00/b", '/', "a/_00/b"},
    {"a/_2e/_2e_2e", '/', "a/./.."},
};

static void check_pair(const char *wire, char delimiter, const char *neutral)
{
    char *made = imap_names_from_wire(wire, strlen(wire), delimiter);
    char *back = imap_names_to_wire(neutral, delimiter);
    assert_non_null(made);
    assert_non_null(back);
    assert_string_equal(made, neutral);
    assert_string_equal(back, wire);
    free(made);
    free(back);
}

static void test_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        check_pair(same[i].wire, same[i].delimiter, same[i].neutral);
}

/* Wire names of one server, and of the other that mirrors it; there the neutral name is the same again. */
static const struct {
    const char *from;
    char delimiter, other;
    const char *to;
} mirrored[] = {
    {"a/b", '/', '.', "a.b"},
    {"v1.0/b", '/', '.', "v1_2e0.b"},
    {"v1_2e0/b", '/', '.', "v1_5f2e0.b"},
    {"v1_5f2e0", '/', '.', "v1_5f5f2e0"},
    {"a/b.c", '.', '/', "a_2fb/c"},
    {"a_2fb", '.', '/', "a_5f2fb"},
    {"&AOQ-.b", '/', '.', "&AOQ-_2eb"},
    {"\xff.b", '/', '.', "\xff_2eb"},
    {"./../x", '/', '.', "_2e._2e_2e.x"},
    {"./../x", '/', '/', "_2e/_2e_2e/x"},
    {"a//b/", '/', '.', "a._00.b._00"},
    {"/a", '/', '/', "_00/a"},
    {"a.b", '.', 0, "a/b"},
    {"a/b", '.', 0, "a_2fb"},
    {"a:b", '/', ':', "a_3ab"},
};

static void test_other_delimiter(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mirrored) / sizeof(mirrored[0]); i++) {
        char *neutral =
            imap_names_from_wire(mirrored[i].from, strlen(mirrored[i].from), mirrored[i].delimiter);
        assert_non_null(neutral);
        check_pair(mirrored[i].to, mirrored[i].other, neutral);
        free(neutral);
    }
}

static void test_inbox_in_any_case(void **state)
{
    static const char *const spellings[] = {"INBOX", "inbox", "InBoX"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *neutral = imap_names_from_wire(spellings[i], 5, '/');
        char *wire = imap_names_to_wire(spellings[i], '.');
        assert_string_equal(neutral, "INBOX");
        assert_string_equal(wire, "INBOX");
        free(neutral);
        free(wire);
    }
    check_pair("inbox/a", '/', "inbox/a");
    check_pair("INBOXES", '/', "INBOXES");
}

static void test_length(void **state)
{
    static char name[IMAP_NAME_MAX_BYTES + 2];
    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    assert_null(imap_names_from_wire(name, IMAP_NAME_MAX_BYTES + 1, '/'));
    assert_null(imap_names_to_wire(name, '/'));
    name[IMAP_NAME_MAX_BYTES] = 0;
    check_pair(name, '/', name);
    name[7] = '%'; /* grows by two */
    assert_null(imap_names_from_wire(name, IMAP_NAME_MAX_BYTES, '/'));
    name[7] = '.';
    assert_null(imap_names_to_wire(name, '.'));
}

static void test_no_names(void **state)
{
    static const char *const broken[] = {"%00", "a%00b", "\xff", "a/\xc3"};
    (void)state;
    assert_null(imap_names_from_wire("", 0, '/'));
    assert_null(imap_names_from_wire("a\0b", 3, '/'));
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        assert_null(imap_names_to_wire(broken[i], '/'));
}

/* ---- modified UTF-7 ---- */

static void test_mutf7_is_strict(void **state)
{
    static const char *const broken[] = {
        "&",                                /* no end */
        "&AOQ",                             /* no end */
        "&AOR-",                            /* bits left over */
        "&AOQAA-",                          /* digits left over */
        "&AGE-",                            /* "a" needs none */
        "&ACY-",                            /* "&" is "&-" */
        "&AOQ-&APY-",                       /* two runs where one does */
        "&2AA-",                            /* half a pair */
        "&3AA-",                            /* the other half */
        "&2AAAYQ-",                         /* half a pair and something else */
        "&AAo-",                            /* control characters, C0 and C1 */
        "&AIU-",      "&AH8-",    "&AOQ/-", /* not of the alphabet */
        "&AO Q-",     "\xc3\xa4", "a\nb",   "a\x7f",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct buf utf8;
        buf_init(&utf8, 100);
        assert_int_equal(imap_mutf7_decode(broken[i], strlen(broken[i]), &utf8), -1);
        buf_fini(&utf8);
    }
}

static void test_mutf7_fits_or_fails(void **state)
{
    static const char text[] = "a&\xc3\xa4\xf0\x9f\x98\x80z", wire[] = "a&-&AOTYPd4A-z";
    (void)state;
    for (size_t max = 0; max <= sizeof(wire); max++) {
        struct buf made, back;
        buf_init(&made, max);
        buf_init(&back, max);
        assert_int_equal(imap_mutf7_encode(text, strlen(text), &made), max < strlen(wire) ? -1 : 0);
        assert_int_equal(imap_mutf7_decode(wire, strlen(wire), &back), max < strlen(text) ? -1 : 0);
        if (max >= strlen(wire)) {
            assert_string_equal(buf_data(&made), wire);
            assert_string_equal(buf_data(&back), text);
        }
        buf_fini(&made);
        buf_fini(&back);
    }
}

/* ---- patterns ---- */

static void test_match(void **state)
{
    static const struct {
        const char *pattern, *name;
        int matches;
    } cases[] = {
        {"*", "", 1},
        {"", "", 1},
        {"", "a", 0},
        {"*", "a/b", 1},
        {"a*", "a/b", 1},
        {"a/?", "a/b", 1},
        {"a/?", "a/", 0},
        {"a?c",
         "a\xc3\xa4"
         "c",
         1},
        {"a??c",
         "a\xc3\xa4"
         "c",
         0},
        {"*b*b", "abab", 1},
        {"*b*bc", "abab", 0},
        {"**a**", "a", 1},
        {"A", "a", 0},
        {"inbox", "INBOX", 1},
        {"In*x", "INBOX", 1},
        {"inbox", "inbox/a", 0},
        {"inbox/*", "INBOX/a", 0},
        {"a%2Fb", "a%2Fb", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(imap_names_match(cases[i].pattern, cases[i].name), cases[i].matches);
}

/* A pattern of many stars takes no time that grows with each. */
static void test_match_of_many_stars(void **state)
{
    static char pattern[401], name[IMAP_NAME_MAX_BYTES + 1];
    (void)state;
    for (size_t i = 0; i < 200; i++)
        memcpy(pattern + 2 * i, "*a", 2);
    memset(name, 'a', IMAP_NAME_MAX_BYTES);
    assert_int_equal(imap_names_match(pattern, name), 1);
    pattern[399] = 'b';
    assert_int_equal(imap_names_match(pattern, name), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_other_delimiter),
        cmocka_unit_test(test_inbox_in_any_case),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_no_names),
        cmocka_unit_test(test_mutf7_is_strict),
        cmocka_unit_test(test_mutf7_fits_or_fails),
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_match_of_many_stars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
