/*
 * Flags as a value: read and written, compared, taken from each other, and their digest over a folder.
 */
#include "imap/imap_flags.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct imap_flags parsed(const char *text)
{
    struct imap_flags flags;
    assert_int_equal(imap_flags_parse(text, &flags), 0);
    return flags;
}

static void assert_flags(const struct imap_flags *flags, const char *text)
{
    char *formatted = imap_flags_format(flags);
    assert_string_equal(formatted, text);
    free(formatted);
}

static void test_canonical(void **state)
{
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        {"", ""},
        {"  ", ""},
        {"\\Seen", "\\Seen"},
        {"\\seen \\SEEN", "\\Seen"},
        {"\\Seen \\Flagged \\Draft \\Deleted \\Answered", "\\Answered \\Deleted \\Draft \\Flagged \\Seen"},
        {"\\Recent \\Strange \\* \\ \\SeenX", ""},
        {"b a  c", "a b c"},
        {"$Cns $cns $CNS", "$Cns"},
        {"B a C", "a B C"},
        {"Seen", "Seen"},
        {"a]b [x a/b $MDNSent", "$MDNSent [x a/b a]b"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct imap_flags flags = parsed(cases[i].text), again = parsed(cases[i].canonical);
        assert_flags(&flags, cases[i].canonical);
        assert_flags(&again, cases[i].canonical);
        assert_true(imap_flags_equal(&flags, &again));
        assert_int_equal(imap_flags_is_empty(&flags), cases[i].canonical[0] == 0);
        imap_flags_fini(&flags);
        imap_flags_fini(&again);
    }
}

/* What could not be written back in a STORE. */
static void test_refused(void **state)
{
    static const char *const refused[] = {"(",    "a)",    "a{",       "a%",  "*",  "a\"",
                                          "a\\b", "a\x7f", "\xc3\xa4", "a b", "a\t"};
    struct imap_flags flags;
    (void)state;
    imap_flags_init(&flags);
    assert_int_equal(imap_flags_add(&flags, "", 0), -1);
    assert_int_equal(imap_flags_add(&flags, "a\0b", 3), -1);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_int_equal(imap_flags_add(&flags, refused[i], strlen(refused[i])), -1);
    assert_true(imap_flags_is_empty(&flags));
    /* The rest of the text is taken all the same. */
    assert_int_equal(imap_flags_parse("a b% c", &flags), -1);
    assert_flags(&flags, "a c");
    imap_flags_fini(&flags);
}

static void test_caps(void **state)
{
    static char longest[IMAP_MAX_KEYWORD_BYTES + 2];
    char keyword[8];
    struct imap_flags flags, again;
    char *text;
    (void)state;
    imap_flags_init(&flags);
    memset(longest, 'z', sizeof(longest) - 1);
    assert_int_equal(imap_flags_add(&flags, longest, IMAP_MAX_KEYWORD_BYTES + 1), -1);
    assert_int_equal(imap_flags_add(&flags, longest, IMAP_MAX_KEYWORD_BYTES), 0);
    for (int i = 1; i < IMAP_MAX_KEYWORDS; i++) {
        int len = snprintf(keyword, sizeof(keyword), "k%d", i);
        assert_int_equal(imap_flags_add(&flags, keyword, (size_t)len), 0);
    }
    assert_int_equal(imap_flags_add(&flags, "one-more", 8), -1);
    assert_int_equal(imap_flags_add(&flags, "K1", 2), 0);
    assert_int_equal(flags.keyword_count, IMAP_MAX_KEYWORDS);
    text = imap_flags_format(&flags);
    assert_int_equal(imap_flags_parse(text, &again), 0);
    assert_true(imap_flags_equal(&flags, &again));
    free(text);
    imap_flags_fini(&flags);
    imap_flags_fini(&again);
}

/* The longest flags that there can be are written whole. */
static void test_longest_text(void **state)
{
    char keyword[IMAP_MAX_KEYWORD_BYTES + 1];
    struct imap_flags flags = parsed("\\Answered \\Deleted \\Draft \\Flagged \\Seen"), again;
    char *text;
    (void)state;
    for (int i = 0; i < IMAP_MAX_KEYWORDS; i++) {
        memset(keyword, 'x', IMAP_MAX_KEYWORD_BYTES);
        keyword[0] = (char)('0' + i / 8);
        keyword[1] = (char)('0' + i % 8);
        assert_int_equal(imap_flags_add(&flags, keyword, IMAP_MAX_KEYWORD_BYTES), 0);
    }
    text = imap_flags_format(&flags);
    assert_int_equal(imap_flags_parse(text, &again), 0);
    assert_true(imap_flags_equal(&flags, &again));
    free(text);
    imap_flags_fini(&flags);
    imap_flags_fini(&again);
}

static void test_two_sets(void **state)
{
    static const struct {
        const char *a, *b, *minus, *common;
    } cases[] = {
        {"", "", "", ""},         {"\\Seen a", "", "\\Seen a", ""},
        {"", "\\Seen a", "", ""}, {"\\Seen \\Draft a b", "\\Draft \\Deleted B c", "\\Seen a", "\\Draft b"},
        {"A", "a", "", "A"},      {"a b c", "b", "a c", "b"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct imap_flags a = parsed(cases[i].a), b = parsed(cases[i].b), minus, common;
        imap_flags_minus(&a, &b, &minus);
        imap_flags_common(&a, &b, &common);
        assert_flags(&minus, cases[i].minus);
        assert_flags(&common, cases[i].common);
        imap_flags_fini(&a);
        imap_flags_fini(&b);
        imap_flags_fini(&minus);
        imap_flags_fini(&common);
    }
}

static void test_equal(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"", "", true},    {"\\Seen", "", false},    {"a", "A", true},    {"a b", "b A", true},
        {"a", "b", false}, {"\\Seen a", "a", false}, {"a b", "a", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct imap_flags a = parsed(cases[i].a), b = parsed(cases[i].b);
        assert_int_equal(imap_flags_equal(&a, &b), cases[i].equal);
        assert_int_equal(imap_flags_equal(&b, &a), cases[i].equal);
        imap_flags_fini(&a);
        imap_flags_fini(&b);
    }
}

static void test_copy(void **state)
{
    struct imap_flags a = parsed("\\Seen x y"), b = parsed("\\Draft z");
    (void)state;
    imap_flags_copy(&b, &a);
    imap_flags_copy(&b, &b);
    imap_flags_fini(&a);
    assert_flags(&b, "\\Seen x y");
    assert_true(imap_flags_has_keyword(&b, "X"));
    assert_false(imap_flags_has_keyword(&b, "z"));
    assert_false(imap_flags_has_keyword(&b, "\\Seen"));
    imap_flags_copy(&b, &a);
    assert_true(imap_flags_is_empty(&b));
    imap_flags_fini(&b);
}

/* Digest of a folder written as "uid flags" lines. */
static void digest_of_folder(const char *const *lines, uint8_t out[DIGEST_BYTES])
{
    struct imap_flags_digest *digest = imap_flags_digest_new();
    for (; *lines; lines++) {
        char *rest;
        uint32_t uid = (uint32_t)strtoul(*lines, &rest, 10);
        struct imap_flags flags = parsed(rest);
        imap_flags_digest_add(digest, uid, &flags);
        imap_flags_fini(&flags);
    }
    imap_flags_digest_end(digest, out);
    imap_flags_digest_free(digest);
}

#define FOLDER(...)                                                                                          \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }

static void test_digest(void **state)
{
    static const char *const empty[] = {NULL};
    uint8_t folder[DIGEST_BYTES], other[DIGEST_BYTES];
    const char *const *const others[] = {
        empty,
        FOLDER("1 \\Seen b a"),
        FOLDER("1 \\Seen b a", "3"),
        FOLDER("1 \\Seen b", "2"),
        FOLDER("1 b a", "2"),
        FOLDER("1 \\Seen b a", "2 a"),
        FOLDER("1", "2 \\Seen b a"),
        FOLDER("1 \\Seen b a", "2", "4"),
    };
    (void)state;
    digest_of_folder(FOLDER("1 \\Seen b a", "2"), folder);
    digest_of_folder(FOLDER("1 A \\seen \\Recent B", "2 \\Strange"), other);
    assert_memory_equal(folder, other, DIGEST_BYTES);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        digest_of_folder(others[i], other);
        assert_memory_not_equal(folder, other, DIGEST_BYTES);
    }
    imap_flags_digest_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical),    cmocka_unit_test(test_refused),  cmocka_unit_test(test_caps),
        cmocka_unit_test(test_longest_text), cmocka_unit_test(test_two_sets), cmocka_unit_test(test_equal),
        cmocka_unit_test(test_copy),         cmocka_unit_test(test_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
