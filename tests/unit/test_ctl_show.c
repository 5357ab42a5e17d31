/*
 * What mirrorctl shows: tables that fit, progress, and when waiting is over.
 */
#include "base/str.h"
#include "ctl/ctl.h"
#include "ctl/ctl_held.h"
#include "ctl/ctl_table.h"
#include "ctl/ctl_wait.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- tables ---- */

static void test_widths(void **state)
{
    (void)state;
    assert_int_equal(ctl_table_width(""), 0);
    assert_int_equal(ctl_table_width("abc"), 3);
    assert_int_equal(ctl_table_width("J\xc3\xb6rg"), 4);
    assert_int_equal(ctl_table_width("e\xcc\x81"), 1);                /* combining accent */
    assert_int_equal(ctl_table_width("\xe6\xbc\xa2\xe5\xad\x97"), 4); /* two wide ones */
    assert_int_equal(ctl_table_width("\xf0\x9f\x98\x80"), 2);         /* emoji */
    assert_int_equal(ctl_table_width("a\xff\xc3"), 3);                /* not UTF-8 */
}

static void test_cut(void **state)
{
    (void)state;
    const struct {
        const char *text;
        size_t width;
        const char *want;
    } table[] = {
        {"abcdef", 6, "abcdef"},
        {"abcdef", 5, "abcd\xe2\x80\xa6"},
        {"abcdef", 1, "\xe2\x80\xa6"},
        {"abcdef", 0, ""},
        {"J\xc3\xb6rg", 3, "J\xc3\xb6\xe2\x80\xa6"},
        {"\xe6\xbc\xa2\xe5\xad\x97", 3, "\xe6\xbc\xa2\xe2\x80\xa6"},
        {"\033[31mred\a", 20, "?[31mred?"},
        {"a\xc2\x9b", 20, "a?"},
        {"a\xe2\x80\xae"
         "b",
         20, "ab"},
        {"\xffx", 20, "?x"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf out;
        buf_init(&out, 1000);
        ctl_table_add_cut(&out, table[i].text, table[i].width);
        assert_string_equal(buf_data(&out), table[i].want);
        buf_fini(&out);
    }
}

static void print_table(struct buf *out, size_t width, bool colour)
{
    static const char *const titles[] = {"MAILBOX", "N", "ERROR"};
    struct ctl_table table;
    ctl_table_init(&table, titles, 3, 1u << 1, 2);
    size_t row = ctl_table_row(&table);
    ctl_table_set(&table, row, 0, CTL_GREEN, "J\xc3\xb6rg");
    ctl_table_setf(&table, row, 1, CTL_PLAIN, "%d", 12);
    ctl_table_set(&table, row, 2, CTL_PLAIN, "a long error that does not fit");
    row = ctl_table_row(&table);
    ctl_table_set(&table, row, 0, CTL_PLAIN, "1001");
    buf_init(out, 10000);
    ctl_table_print(&table, out, width, colour);
    ctl_table_fini(&table);
}

static void test_table(void **state)
{
    (void)state;
    struct buf out;
    print_table(&out, 0, false);
    assert_string_equal(buf_data(&out), "MAILBOX   N  ERROR\n"
                                        "J\xc3\xb6rg     12  a long error that does not fit\n"
                                        "1001         \n");
    buf_fini(&out);
    print_table(&out, 30, false);
    assert_string_equal(buf_data(&out), "MAILBOX   N  ERROR\n"
                                        "J\xc3\xb6rg     12  a long error tha\xe2\x80\xa6\n"
                                        "1001         \n");
    buf_fini(&out);
    print_table(&out, 0, true);
    assert_non_null(strstr(buf_data(&out), "\033[32mJ\xc3\xb6rg\033[0m     12"));
    buf_fini(&out);
}

/* ---- held ---- */

/* Only messages, of what nobody decided yet: "--up-to" must never mean more than what was listed as held. */
static void test_held_by_route(void **state)
{
    (void)state;
    cJSON *plans = cJSON_Parse(
        "[{\"id\":3,\"kind\":\"mailbox\",\"state\":\"held\",\"route\":\"dr\",\"messages\":{\"total\":31}},"
        "{\"id\":4,\"kind\":\"mailbox\",\"state\":\"held\",\"route\":\"branch\",\"messages\":{\"total\":1}},"
        "{\"id\":7,\"kind\":\"route\",\"state\":\"held\",\"route\":\"dr\",\"messages\":{\"total\":4}},"
        "{\"id\":8,\"kind\":\"mailbox\",\"state\":\"allowed\",\"route\":\"dr\",\"messages\":{\"total\":9}},"
        "{\"id\":9,\"kind\":\"site\",\"state\":\"held\",\"route\":\"\"}, 5,"
        "{\"id\":10,\"kind\":\"subscribers\",\"state\":\"held\",\"route\":\"dr\",\"entries\":{\"total\":22}},"
        "{\"id\":11,\"kind\":\"cos\",\"state\":\"held\",\"route\":\"dr\",\"entries\":{\"total\":22}}]");
    cJSON *routes = ctl_held_by_route(plans);
    assert_int_equal(cJSON_GetArraySize(routes), 2);
    const cJSON *dr = cJSON_GetObjectItemCaseSensitive(routes, "dr");
    assert_int_equal(ctl_number(dr, "plans", 0), 2);
    assert_int_equal(ctl_number(dr, "messages", 0), 35);
    assert_int_equal(ctl_number(dr, "last", 0), 7);
    cJSON_Delete(routes);
    cJSON_Delete(plans);
}

/* ---- waiting ---- */

static void test_judge(void **state)
{
    (void)state;
    const struct {
        const char *what, *json;
        bool verify;
        double failing;
        enum ctl_wait_end end;
    } table[] = {
        {"not yet", "{\"state\":\"waiting\",\"done_seq\":4,\"well\":true}", false, -1, CTL_WAIT_OPEN},
        {"done and well", "{\"state\":\"equal\",\"done_seq\":5,\"well\":true}", false, -1, CTL_WAIT_WELL},
        {"done, newer work", "{\"state\":\"working\",\"done_seq\":6,\"well\":true}", false, -1,
         CTL_WAIT_WELL},
        {"done, not equal", "{\"state\":\"not equal\",\"done_seq\":5,\"well\":false}", false, -1,
         CTL_WAIT_NOT_WELL},
        {"an old not equal", "{\"state\":\"not equal\",\"done_seq\":4,\"well\":false}", false, -1,
         CTL_WAIT_OPEN},
        {"paused", "{\"state\":\"paused\",\"done_seq\":4}", false, -1, CTL_WAIT_NOT_WELL},
        {"stopped", "{\"state\":\"stopped\",\"done_seq\":4}", false, -1, CTL_WAIT_NOT_WELL},
        {"fails for a moment", "{\"state\":\"failing\",\"done_seq\":4,\"error\":{\"scope\":\"mailbox\"}}",
         false, 3, CTL_WAIT_OPEN},
        {"its mailbox fails", "{\"state\":\"failing\",\"done_seq\":4,\"error\":{\"scope\":\"mailbox\"}}",
         false, 21, CTL_WAIT_NOT_WELL},
        {"its site is down", "{\"state\":\"failing\",\"done_seq\":4,\"error\":{\"scope\":\"site\"}}", false,
         21, CTL_WAIT_OPEN},
        {"down for long", "{\"state\":\"failing\",\"done_seq\":4,\"error\":{\"scope\":\"site\"}}", false, 121,
         CTL_WAIT_NOT_WELL},
        {"deleting",
         "{\"state\":\"deleting\",\"done_seq\":5,\"well\":true,\"messages\":{\"gone\":2,\"waiting\":0}}",
         false, -1, CTL_WAIT_OPEN},
        {"deleting, its second look",
         "{\"state\":\"working\",\"done_seq\":6,\"well\":true,\"messages\":{\"gone\":2,\"waiting\":1}}",
         false, -1, CTL_WAIT_OPEN},
        {"deleted", "{\"state\":\"equal\",\"done_seq\":7,\"well\":true,\"messages\":{\"gone\":0}}", false, -1,
         CTL_WAIT_WELL},
        {"others' messages are in the way",
         "{\"state\":\"deleting\",\"done_seq\":5,\"well\":false,\"messages\":{\"gone\":2,\"waiting\":2}}",
         false, -1, CTL_WAIT_NOT_WELL},
        {"held", "{\"state\":\"held\",\"done_seq\":5,\"well\":false,\"held\":true,\"messages\":{\"held\":9}}",
         false, -1, CTL_WAIT_NOT_WELL},
        {"held by the breaker",
         "{\"state\":\"held\",\"done_seq\":5,\"well\":false,\"held\":true,\"messages\":{\"gone\":2}}", false,
         -1, CTL_WAIT_NOT_WELL},
        {"kept", "{\"state\":\"equal\",\"done_seq\":5,\"well\":true,\"messages\":{\"kept\":2}}", false, -1,
         CTL_WAIT_WELL},
        {"an old held", "{\"state\":\"held\",\"done_seq\":4,\"well\":false,\"held\":true}", false, -1,
         CTL_WAIT_OPEN},
        {"deleting, and paused", "{\"state\":\"paused\",\"done_seq\":5,\"messages\":{\"gone\":2}}", false, -1,
         CTL_WAIT_NOT_WELL},
        {"not verified yet", "{\"state\":\"equal\",\"done_seq\":9,\"verify_done_seq\":4,\"well\":true}", true,
         -1, CTL_WAIT_OPEN},
        {"verified", "{\"state\":\"equal\",\"verify_done_seq\":5,\"verify_differences\":0}", true, -1,
         CTL_WAIT_WELL},
        {"differences", "{\"state\":\"not equal\",\"verify_done_seq\":5,\"verify_differences\":2}", true, -1,
         CTL_WAIT_NOT_WELL},
        {"nonsense", "{}", false, -1, CTL_WAIT_OPEN},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        cJSON *mirror = cJSON_Parse(table[i].json);
        if (ctl_wait_judge(mirror, table[i].verify, 5, table[i].failing) != table[i].end)
            fail_msg("%s", table[i].what);
        cJSON_Delete(mirror);
    }
}

static void see(struct ctl_wait *wait, const char *json, double now)
{
    cJSON *mailbox = cJSON_Parse(json);
    assert_non_null(mailbox);
    ctl_wait_see(wait, mailbox, now);
    cJSON_Delete(mailbox);
}

static void test_wait(void **state)
{
    (void)state;
    cJSON *answer = cJSON_Parse("{\"mirrors\":[{\"mailbox\":\"2\",\"route\":\"dr\",\"wanted_seq\":3},"
                                "{\"mailbox\":\"1\",\"route\":\"vault\",\"wanted_seq\":7},"
                                "{\"mailbox\":\"1\",\"route\":\"dr\",\"wanted_seq\":5}]}");
    struct ctl_wait wait;
    char text[200];
    ctl_wait_init(&wait, answer, false);
    cJSON_Delete(answer);
    assert_int_equal(wait.open, 3);
    see(&wait,
        "{\"number\":\"1\",\"mirrors\":[{\"route\":\"dr\",\"state\":\"working\",\"done_seq\":4,\"copied_"
        "messages\":100},"
        "{\"route\":\"vault\",\"state\":\"equal\",\"done_seq\":7,\"well\":true,\"copied_messages\":8}]}",
        0);
    see(&wait, "{\"number\":\"2\",\"mirrors\":[{\"route\":\"dr\",\"state\":\"working\",\"done_seq\":1}]}", 0);
    see(&wait, "{\"number\":\"3\",\"mirrors\":[{\"route\":\"dr\"}]}", 0);
    ctl_wait_counted(&wait);
    assert_int_equal(wait.open, 2);
    assert_int_equal(wait.not_well, 0);
    see(&wait,
        "{\"number\":\"1\",\"mirrors\":[{\"route\":\"dr\",\"state\":\"equal\",\"done_seq\":5,\"well\":true,"
        "\"copied_messages\":130}]}",
        10);
    ctl_wait_counted(&wait); /* 2 is gone: removed meanwhile */
    assert_int_equal(wait.open, 0);
    assert_int_equal(wait.not_well, 1);
    assert_string_equal(ctl_wait_line(&wait, 10, 80, text, sizeof text),
                        "[========================================]  3/3 mirrors  30 messages  3/s  0:10");
    ctl_wait_fini(&wait);
}

static void test_line(void **state)
{
    (void)state;
    struct ctl_wait wait = {.count = 20, .open = 10, .copied = 345};
    char text[200];
    assert_string_equal(ctl_wait_line(&wait, 12.4, 60, text, sizeof text),
                        "[========>        ]  10/20 mirrors  345 messages  28/s  0:12");
    assert_int_equal(strlen(text), 60);
    assert_string_equal(ctl_wait_line(&wait, 12.4, 45, text, sizeof text),
                        "10/20 mirrors  345 messages  28/s  0:12");
    ctl_wait_line(&wait, 3700, 20, text, sizeof text);
    assert_int_equal(strlen(text), 20);
    struct ctl_wait none = {0};
    assert_non_null(strstr(ctl_wait_line(&none, 0, 80, text, sizeof text), "0/0 mirrors"));
}

static void test_failing_must_last(void **state)
{
    (void)state;
    static const char failing[] =
        "{\"number\":\"1\",\"mirrors\":[{\"route\":\"dr\",\"state\":\"failing\",\"done_seq\":1,"
        "\"error\":{\"scope\":\"mailbox\"}}]}";
    static const char working[] =
        "{\"number\":\"1\",\"mirrors\":[{\"route\":\"dr\",\"state\":\"working\",\"done_seq\":1}]}";
    cJSON *answer = cJSON_Parse("{\"mirrors\":[{\"mailbox\":\"1\",\"route\":\"dr\",\"wanted_seq\":3}]}");
    struct ctl_wait wait;
    ctl_wait_init(&wait, answer, false);
    cJSON_Delete(answer);
    see(&wait, failing, 0);
    see(&wait, failing, 15);
    see(&wait, working, 16);
    see(&wait, failing, 30);
    ctl_wait_counted(&wait);
    assert_int_equal(wait.open, 1);
    see(&wait, failing, 51);
    ctl_wait_counted(&wait);
    assert_int_equal(wait.open, 0);
    ctl_wait_fini(&wait);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widths), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_table),  cmocka_unit_test(test_held_by_route),
        cmocka_unit_test(test_judge),  cmocka_unit_test(test_wait),
        cmocka_unit_test(test_line),   cmocka_unit_test(test_failing_must_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
