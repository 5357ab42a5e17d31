/*
 * JSON from outside: what is refused before cJSON sees it, and the strict getters.
 */
#include "base/json.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_refused(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "JSON: not an object, which begins with {"},
        {"   ", "JSON: not an object, which begins with {"},
        {"[]", "JSON: not an object, which begins with {"},
        {"1", "JSON: not an object, which begins with {"},
        {"\xef\xbb\xbf{}", "JSON: not an object, which begins with {"},
        {"{", "JSON: not well formed at byte 1"},
        {"{\"a\":1", "JSON: not well formed at byte 6"},
        {"{\"a\":}", "JSON: not well formed at byte 6"},
        {"{\"a\":0x10}", "JSON: not well formed at byte 7"},
        {"{\"a\":1}x", "JSON: something behind the closing }"},
        {"{}{}", "JSON: something behind the closing }"},
        {"{}}", "JSON: a closing bracket too many"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "JSON: field 'a' twice; leave one out"},
        {"{\"a\":\"\xff\"}", "JSON: not in UTF-8"},
        {"{\"a\":\"\n\"}", "JSON: a control character in a string; write it as \\n, \\t or \\u001b"},
        {"{\"a\":\"x\\u0000y\"}", "JSON: a NUL in a string; leave it out"},
        {"{\"\\u0000\":1}", "JSON: a NUL in a string; leave it out"},
        {"{\"a\":\"", "JSON: a string without its closing quote"},
        {"{\"a\":\"\\", "JSON: a string without its closing quote"},
        {"{\"a\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}",
         "JSON: too long"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        assert_null(json_parse_object(cases[i].text, strlen(cases[i].text), 64, &err));
        assert_string_equal(err.text, cases[i].error);
        assert_int_equal(err.scope, ERR_MESSAGE);
    }
}

static void test_bytes_are_no_c_string(void **state)
{
    static const char nul[] = "{\"a\":\0001}";
    struct err err;
    (void)state;
    assert_null(json_parse_object(nul, sizeof(nul) - 1, 64, &err));
    assert_string_equal(err.text, "JSON: a NUL byte; leave it out");
    /* What stands behind the length is not looked at. */
    cJSON *object = json_parse_object("{\"a\":1}garbage", 7, 64, &err);
    assert_non_null(object);
    cJSON_Delete(object);
}

static cJSON *nested(unsigned levels, struct err *err)
{
    char text[64] = "{\"a\":";
    for (unsigned i = 1; i < levels; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "[");
    if (levels == 1)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "1");
    for (unsigned i = 1; i < levels; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "]");
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "}");
    return json_parse_object(text, strlen(text), 100, err);
}

static void test_depth(void **state)
{
    struct err err;
    (void)state;
    cJSON *object = nested(JSON_MAX_DEPTH, &err);
    assert_non_null(object);
    cJSON_Delete(object);
    assert_null(nested(JSON_MAX_DEPTH + 1, &err));
    assert_string_equal(err.text, "JSON: nested more than 16 levels deep");
}

static const char *const sample =
    " {\"text\":\"h\\\"\\\\i\",\"n\":42,\"big\":9007199254740992,\"over\":9007199254740994,"
    "\"part\":1.5,\"minus\":-1,\"inf\":1e999,\"yes\":true,\"no\":false,\"null\":null} \n";

static void test_getters(void **state)
{
    struct err err;
    const char *text;
    uint64_t number;
    bool yes;
    (void)state;
    cJSON *object = json_parse_object(sample, strlen(sample), 1000, &err);
    assert_non_null(object);
    assert_int_equal(json_get_string(object, "text", 4, &text, &err), 0);
    assert_string_equal(text, "h\"\\i");
    assert_int_equal(json_get_u64(object, "n", 42, &number, &err), 0);
    assert_int_equal(number, 42);
    assert_int_equal(json_get_u64(object, "big", UINT64_MAX, &number, &err), 0);
    assert_true(number == (uint64_t)1 << 53);
    assert_int_equal(json_get_bool(object, "yes", &yes, &err), 0);
    assert_true(yes);
    assert_int_equal(json_get_bool(object, "no", &yes, &err), 0);
    assert_false(yes);
    assert_true(json_has(object, "null"));
    assert_false(json_has(object, "TEXT"));
    char *printed = json_print(object);
    assert_null(strchr(printed, ' '));
    free(printed);
    cJSON_Delete(object);
}

static void test_getters_refuse(void **state)
{
    struct err err;
    const char *text;
    uint64_t number;
    bool yes;
    (void)state;
    cJSON *object = json_parse_object(sample, strlen(sample), 1000, &err);
    assert_int_equal(json_get_string(object, "text", 3, &text, &err), -1);
    assert_string_equal(err.text, "field 'text': longer than 3 bytes; shorten it");
    assert_int_equal(json_get_string(object, "n", 9, &text, &err), -1);
    assert_string_equal(err.text, "field 'n': must be a text in quotes");
    assert_int_equal(json_get_string(object, "none", 9, &text, &err), -1);
    assert_string_equal(err.text, "field 'none': missing");
    assert_int_equal(json_get_u64(object, "n", 41, &number, &err), -1);
    assert_string_equal(err.text, "field 'n': above 41");
    static const char *const no_numbers[] = {"over", "part", "minus", "inf"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(json_get_u64(object, no_numbers[i], UINT64_MAX, &number, &err), -1);
        assert_non_null(strstr(err.text, "must be a whole number from 0 to 2^53"));
    }
    assert_int_equal(json_get_u64(object, "text", 9, &number, &err), -1);
    assert_string_equal(err.text, "field 'text': must be a number, without quotes");
    assert_int_equal(json_get_bool(object, "n", &yes, &err), -1);
    assert_string_equal(err.text, "field 'n': must be true or false, without quotes");
    assert_int_equal(json_get_bool(object, "null", &yes, &err), -1);
    cJSON_Delete(object);
}

static void test_only_known_members(void **state)
{
    static const char *const both[] = {"a", "b", NULL}, *const one[] = {"a", NULL};
    struct err err = {0};
    (void)state;
    cJSON *object = json_parse_object("{\"a\":1,\"b\":2}", 13, 64, &err);
    assert_int_equal(json_has_only(object, both, &err), 0);
    assert_int_equal(json_has_only(object, one, &err), -1);
    assert_string_equal(err.text, "field 'b': unknown; known here are a");
    cJSON_Delete(object);
    object = json_parse_object("{\"A\":1}", 7, 64, &err);
    assert_int_equal(json_has_only(object, both, &err), -1);
    assert_string_equal(err.text, "field 'A': unknown; known here are a, b");
    cJSON_Delete(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_bytes_are_no_c_string),
        cmocka_unit_test(test_depth),          cmocka_unit_test(test_getters),
        cmocka_unit_test(test_getters_refuse), cmocka_unit_test(test_only_known_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
