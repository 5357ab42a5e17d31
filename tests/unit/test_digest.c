/*
 * SHA-256, raw and with line ends normalised, whatever the pieces that the bytes come in.
 */
#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *bytes, *normal;
} cases[] = {
    {"", ""},
    {"abc", "abc"},
    {"a\r\nb\r\n", "a\r\nb\r\n"},
    {"a\nb\n", "a\r\nb\r\n"},
    {"a\rb\r", "a\r\nb\r\n"},
    {"\r\r\n\n", "\r\n\r\n\r\n"},
    {"\n\r", "\r\n\r\n"},
    {"\r\n\r\r\n", "\r\n\r\n\r\n"},
    {"x\n", "x\r\n"},
    {"\nx", "\r\nx"},
};

static void test_known_value(void **state)
{
    struct digest_pair pair;
    char text[DIGEST_HEX_BYTES];
    (void)state;
    digest_of("abc", 3, &pair);
    assert_string_equal(digest_hex(pair.raw, text),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_memory_equal(pair.raw, pair.normal, DIGEST_BYTES);
    digest_of(NULL, 0, &pair);
    assert_string_equal(digest_hex(pair.normal, text),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_normal_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct digest_pair pair, expected;
        digest_of(cases[i].bytes, strlen(cases[i].bytes), &pair);
        digest_of(cases[i].normal, strlen(cases[i].normal), &expected);
        assert_memory_equal(pair.normal, expected.raw, DIGEST_BYTES);
        assert_int_equal(pair.raw_bytes, strlen(cases[i].bytes));
        assert_int_equal(pair.normal_bytes, strlen(cases[i].normal));
    }
}

/* Every cut into two pieces, then byte by byte, with one digest that is reset. */
static void test_pieces_make_no_difference(void **state)
{
    struct digest *digest = digest_new();
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *bytes = cases[i].bytes;
        size_t len = strlen(bytes);
        struct digest_pair whole, pair;
        digest_of(bytes, len, &whole);
        for (size_t cut = 0; cut <= len; cut++) {
            digest_reset(digest);
            digest_add(digest, bytes, cut);
            digest_add(digest, bytes, 0);
            digest_add(digest, bytes + cut, len - cut);
            digest_end(digest, &pair);
            assert_memory_equal(&pair, &whole, sizeof(pair));
        }
        digest_reset(digest);
        for (size_t at = 0; at < len; at++)
            digest_add(digest, bytes + at, 1);
        digest_end(digest, &pair);
        assert_memory_equal(&pair, &whole, sizeof(pair));
    }
    digest_free(digest);
    digest_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_value),
        cmocka_unit_test(test_normal_forms),
        cmocka_unit_test(test_pieces_make_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
