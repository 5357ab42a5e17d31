/*
 * Unit tests of copier/marks.c: what is to be set and cleared on the target.
 */
#include "copier/marks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct row {
    const char *what, *wanted, *written, *refused, *actual; /* actual NULL: the target was not listed */
    const char *add, *remove, *written_after;
};

static const struct row rows[] = {
    {"nothing to do", "\\Seen kw", "\\Seen kw", "", NULL, "", "", "\\Seen kw"},
    {"heard on production", "\\Seen", "", "", NULL, "\\Seen", "", ""},
    {"marked unheard again", "", "\\Seen", "", NULL, "", "\\Seen", "\\Seen"},
    {"keyword exchanged", "$new", "$old", "", NULL, "$new", "$old", "$old"},
    {"a refused keyword is not written again", "$x \\Seen", "", "$x", NULL, "\\Seen", "", ""},
    {"what the target does not clear is not cleared again", "", "\\Seen $a", "\\Seen", NULL, "", "$a",
     "\\Seen $a"},
    {"nor if it was listed", "", "\\Seen", "\\Seen", "\\Seen", "", "", "\\Seen"},
    {"another's keyword on the target stays", "\\Seen", "\\Seen", "", "\\Seen $theirs", "", "", "\\Seen"},
    {"ours was cleared by others: set again", "$a", "$a", "", "", "$a", "", ""},
    {"heard on the backup only: production counts", "", "", "", "\\Seen", "", "\\Seen", "\\Seen"},
    {"there already as wished", "\\Seen $a", "", "", "\\Seen $a", "", "", "\\Seen $a"},
    {"recorded wider than true after a crash", "$a", "$a $b", "", "$a", "", "", "$a"},
    {"set but not recorded, then cleared on production", "", "$b", "", "$b", "", "$b", "$b"},
};

static void assert_flags(const char *what, const struct imap_flags *flags, const char *expected)
{
    char *text = imap_flags_format(flags);
    struct imap_flags wish;
    imap_flags_init(&wish);
    assert_int_equal(imap_flags_parse(expected, &wish), 0);
    if (!imap_flags_equal(flags, &wish))
        fail_msg("%s: (%s) instead of (%s)", what, text, expected);
    imap_flags_fini(&wish);
    free(text);
}

static void decides(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct imap_flags wanted, actual;
        struct marks_plan plan;
        imap_flags_init(&wanted);
        imap_flags_init(&actual);
        assert_int_equal(imap_flags_parse(rows[i].wanted, &wanted), 0);
        if (rows[i].actual)
            assert_int_equal(imap_flags_parse(rows[i].actual, &actual), 0);
        marks_decide(&wanted, rows[i].written, rows[i].refused, rows[i].actual ? &actual : NULL, &plan);
        assert_flags(rows[i].what, &plan.add, rows[i].add);
        assert_flags(rows[i].what, &plan.remove, rows[i].remove);
        assert_flags(rows[i].what, &plan.written, rows[i].written_after);
        marks_plan_fini(&plan);
        imap_flags_fini(&wanted);
        imap_flags_fini(&actual);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(decides)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
