/*
 * Unit tests of copier/folders.c: a folder's name on the target.
 */
#include "copier/folders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void renames_whole_levels(void **state)
{
    struct config_rename renames[] = {
        {.from = "Greetings", .to = "Ansagen"}, {.from = "A", .to = "B"}, {.from = "A/deep", .to = "Z"}};
    struct config_route route = {.folders_rename = renames, .folders_rename_count = 3};
    static const struct {
        const char *name, *target;
    } rows[] = {{"INBOX", "INBOX"},           {"Greetings", "Ansagen"}, {"Greetings/old", "Ansagen/old"},
                {"Greetings2", "Greetings2"}, {"A/x", "B/x"},           {"A/deep/er", "Z/er"},
                {"A/deeper", "B/deeper"}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *target = folders_target_name(&route, rows[i].name);
        assert_string_equal(target, rows[i].target);
        free(target);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(renames_whole_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
