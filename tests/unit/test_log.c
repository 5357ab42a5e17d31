/*
 * The log: both formats, escaping, context, and lines that are too long. What it writes to stderr is caught in a file.
 */
#include "base/log.h"

#include "base/json.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char caught[16384];
static int real_stderr, catcher;

static void catch (void)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    catcher = dup(fileno(file));
    fclose(file);
    real_stderr = dup(STDERR_FILENO);
    dup2(catcher, STDERR_FILENO);
}

/* What was written since catch(). */
static const char *released(void)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    ssize_t len = pread(catcher, caught, sizeof(caught) - 1, 0);
    close(catcher);
    caught[len > 0 ? len : 0] = 0;
    return caught;
}

static void test_text(void **state)
{
    (void)state;
    log_init("copier", LOG_LEVEL_INFO, false);
    catch ();
    log_debug("not seen");
    log_info("message copied", LOG_STR("mailbox", "1001"), LOG_STR("folder", "Sent Items"),
             LOG_INT("delta", -3), LOG_UINT("bytes", UINT64_MAX), LOG_NUM("rate", 1.5),
             LOG_STR("none", NULL));
    char tail[200];
    snprintf(tail, sizeof(tail),
             "Z info  copier[%d] message copied mailbox=1001 folder=\"Sent Items\" delta=-3 "
             "bytes=18446744073709551615 rate=1.5 none=\"\"\n",
             (int)getpid());
    const char *line = released();
    assert_string_equal(strchr(line, 'Z'), tail);
    assert_int_equal(strchr(line, 'Z') - line, 23);
}

static void test_text_escapes(void **state)
{
    static const struct {
        const char *value, *shown;
    } cases[] = {
        {"a\nb", "\"a\\nb\""},           {"a=b", "\"a=b\""},       {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"\x1b[31m", "\"\\u001b[31m\""}, {"\xc3\xa4", "\xc3\xa4"}, {"\xff", "\\ufffd"},
        {"\xc2\x9b", "\\u009b"},
    };
    (void)state;
    log_init("t", LOG_LEVEL_DEBUG, false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        catch ();
        log_debug("e", LOG_STR("v", cases[i].value));
        char *value = strstr(released(), " v=");
        assert_non_null(value);
        value[strlen(value) - 1] = 0;
        assert_string_equal(value + 3, cases[i].shown);
    }
    catch ();
    log_error("two\nlines");
    assert_non_null(strstr(released(), "] two\\nlines\n"));
}

static cJSON *parsed_line(void)
{
    struct err err = {0};
    const char *line = released();
    size_t len = strlen(line);
    assert_true(len > 0 && line[len - 1] == '\n' && strchr(line, '\n') == line + len - 1);
    cJSON *object = json_parse_object(line, len, sizeof(caught), &err);
    if (object == NULL)
        fail_msg("%s: %s", err.text, line);
    return object;
}

static const char *string_in(const cJSON *object, const char *name)
{
    const char *value = NULL;
    assert_int_equal(json_get_string(object, name, 4096, &value, NULL), 0);
    return value;
}

static void test_json(void **state)
{
    (void)state;
    log_init("copier", LOG_LEVEL_INFO, true);
    catch ();
    log_warning("odd \"name\"", LOG_STR("folder", "a\x01\"\\\x7f\xff"), LOG_INT("n", -5),
                LOG_NUM("nan", NAN));
    cJSON *object = parsed_line();
    assert_string_equal(string_in(object, "level"), "warning");
    assert_string_equal(string_in(object, "program"), "copier");
    assert_string_equal(string_in(object, "event"), "odd \"name\"");
    assert_string_equal(string_in(object, "folder"), "a\x01\"\\\x7f\xef\xbf\xbd");
    assert_true(cJSON_GetObjectItem(object, "n")->valuedouble == -5);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(object, "nan")));
    cJSON_Delete(object);
}

static void test_long_lines_are_cut_whole(void **state)
{
    char big[20000];
    (void)state;
    log_init("copier", LOG_LEVEL_INFO, true);
    static const char fillers[] = {'x', '\n', '\x02', '"'};
    for (size_t i = 0; i < sizeof(fillers); i++) {
        memset(big, fillers[i], sizeof(big) - 1);
        big[sizeof(big) - 1] = 0;
        catch ();
        log_error(big, LOG_STR("a", big), LOG_STR("b", big), LOG_STR("c", big), LOG_STR("d", big),
                  LOG_STR("e", "end"));
        cJSON *object = parsed_line();
        assert_true(strlen(caught) <= 4096);
        assert_true(json_has(object, "a") && json_has(object, "e") && !json_has(object, "d"));
        assert_true(cJSON_IsTrue(cJSON_GetObjectItem(object, "cut")));
        cJSON_Delete(object);
    }
}

static void test_context(void **state)
{
    (void)state;
    log_init("copier", LOG_LEVEL_INFO, false);
    log_context_push("mirror", "1001 to dr");
    log_context_push("folder", "INBOX");
    catch ();
    log_info("one", LOG_INT("n", 1));
    assert_non_null(strstr(released(), "one mirror=\"1001 to dr\" folder=INBOX n=1\n"));
    log_context_pop();
    for (int i = 0; i < 20; i++)
        log_context_push("deep", "x");
    catch ();
    log_info("two");
    assert_non_null(
        strstr(released(), "two mirror=\"1001 to dr\" deep=x deep=x deep=x deep=x deep=x deep=x deep=x\n"));
    for (int i = 0; i < 25; i++)
        log_context_pop();
    catch ();
    log_info("three");
    assert_non_null(strstr(released(), "] three\n"));
}

static void test_levels(void **state)
{
    (void)state;
    log_init("t", LOG_LEVEL_ERROR, false);
    catch ();
    log_warning("low");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("high");
    const char *text = released();
    assert_null(strstr(text, "low"));
    assert_non_null(strstr(text, " debug t["));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),    cmocka_unit_test(test_text_escapes),
        cmocka_unit_test(test_json),    cmocka_unit_test(test_long_lines_are_cut_whole),
        cmocka_unit_test(test_context), cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
