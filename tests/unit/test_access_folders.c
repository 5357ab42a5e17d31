/*
 * folders.include and folders.exclude.
 */
#include "access/access_folders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_exclude_wins(void **state)
{
    char *include[] = {"INBOX", "Gr*"}, *exclude[] = {"*/Drafts", "Greetings/Old"};
    struct config_site all = {.name = "all"};
    struct config_site some = {.name = "some",
                               .folders_include = {.items = include, .count = 2},
                               .folders_exclude = {.items = exclude, .count = 2}};

    (void)state;
    assert_true(access_folders_is_wanted(&all, "Anything"));
    assert_true(access_folders_is_wanted(&some, "INBOX"));
    assert_true(access_folders_is_wanted(&some, "Greetings"));
    assert_true(access_folders_is_wanted(&some, "Greetings/New"));
    assert_false(access_folders_is_wanted(&some, "Greetings/Old"));
    assert_false(access_folders_is_wanted(&some, "Greetings/Drafts"));
    assert_false(access_folders_is_wanted(&some, "Archive"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exclude_wins)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
