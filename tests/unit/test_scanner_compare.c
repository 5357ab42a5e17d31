/*
 * The scanner's decision in a table: what production shows, what the marks say, what must come out.
 */
#include "scanner/scan_compare.h"
#include "scanner/scan_digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define FIGURES(e, n, v, u)                                                                                  \
    .exists = (e), .uidnext = (n), .uidvalidity = (v), .unseen = (u), .has_exists = true,                    \
    .has_uidnext = true, .has_uidvalidity = true, .has_unseen = true

#define MARKS(e, n, v, u) FIGURES(e, n, v, u)

static const struct imap_folder_status plain = {FIGURES(3, 10, 77, 1)};
static const struct imap_folder_status with_modseq = {FIGURES(3, 10, 77, 1), .highestmodseq = 500};

struct one {
    const char *what;
    struct imap_folder_status status;
    bool no_status, failed;
    uint8_t digest; /* 0: not looked at */
    struct store_marks marks;
    bool no_marks;
    unsigned differences;
    bool unproven;
    bool wants_flags;
};

static const struct one table[] = {
    {.what = "equal, by HIGHESTMODSEQ",
     .status = {FIGURES(3, 10, 77, 1), .highestmodseq = 500},
     .marks = {MARKS(3, 10, 77, 1), .has_highestmodseq = true, .highestmodseq = 500}},
    {.what = "HIGHESTMODSEQ moved: a keyword, say",
     .status = {FIGURES(3, 10, 77, 1), .highestmodseq = 501},
     .marks = {MARKS(3, 10, 77, 1), .has_highestmodseq = true, .highestmodseq = 500},
     .differences = SCAN_DIFF_MODSEQ},
    {.what = "equal by STATUS, flags not looked at yet",
     .status = {FIGURES(3, 10, 77, 1)},
     .marks = {MARKS(3, 10, 77, 1), .has_flags_digest = true, .flags_digest = {5}},
     .wants_flags = true},
    {.what = "equal, flags too",
     .status = {FIGURES(3, 10, 77, 1)},
     .digest = 5,
     .marks = {MARKS(3, 10, 77, 1), .has_flags_digest = true, .flags_digest = {5}}},
    {.what = "flags differ",
     .status = {FIGURES(3, 10, 77, 1)},
     .digest = 6,
     .marks = {MARKS(3, 10, 77, 1), .has_flags_digest = true, .flags_digest = {5}},
     .differences = SCAN_DIFF_FLAGS},
    {.what = "no digest in the marks: the copier must list the flags once",
     .status = {FIGURES(3, 10, 77, 1)},
     .marks = {MARKS(3, 10, 77, 1)},
     .differences = SCAN_DIFF_FLAGS},
    {.what = "marks of CONDSTORE, now switched off, with a digest",
     .status = {FIGURES(3, 10, 77, 1)},
     .digest = 5,
     .marks = {MARKS(3, 10, 77, 1), .has_highestmodseq = true, .highestmodseq = 9, .has_flags_digest = true,
               .flags_digest = {5}}},
    {.what = "a big folder between full looks is taken as it is",
     .status = {FIGURES(501, 600, 77, 1)},
     .marks = {MARKS(501, 600, 77, 1), .has_flags_digest = true, .flags_digest = {5}}},
    {.what = "new message",
     .status = {FIGURES(4, 11, 77, 2)},
     .marks = {MARKS(3, 10, 77, 1), .has_flags_digest = true},
     .differences = SCAN_DIFF_NEW_MESSAGES | SCAN_DIFF_MESSAGES | SCAN_DIFF_UNSEEN},
    {.what = "one came and one went: the count is the same",
     .status = {FIGURES(3, 11, 77, 1)},
     .marks = {MARKS(3, 10, 77, 1), .has_flags_digest = true},
     .differences = SCAN_DIFF_NEW_MESSAGES},
    {.what = "one deleted",
     .status = {FIGURES(2, 10, 77, 1)},
     .marks = {MARKS(3, 10, 77, 1), .has_flags_digest = true},
     .differences = SCAN_DIFF_MESSAGES},
    {.what = "one heard",
     .status = {FIGURES(3, 10, 77, 0)},
     .marks = {MARKS(3, 10, 77, 1), .has_flags_digest = true},
     .differences = SCAN_DIFF_UNSEEN},
    {.what = "UIDVALIDITY changed: the UIDs say nothing",
     .status = {FIGURES(3, 4, 78, 1)},
     .marks = {MARKS(3, 10, 77, 1), .has_flags_digest = true},
     .differences = SCAN_DIFF_UIDVALIDITY},
    {.what = "UIDNEXT went back",
     .status = {FIGURES(3, 9, 77, 1)},
     .marks = {MARKS(3, 10, 77, 1), .has_flags_digest = true},
     .differences = SCAN_DIFF_UIDNEXT_BACK},
    {.what = "the server tells no UNSEEN",
     .status = {.exists = 3,
                .uidnext = 10,
                .uidvalidity = 77,
                .has_exists = true,
                .has_uidnext = true,
                .has_uidvalidity = true,
                .highestmodseq = 500},
     .marks = {MARKS(3, 10, 77, 1), .has_highestmodseq = true, .highestmodseq = 500}},
    {.what = "a folder without STATUS is unproven, not equal and not gone",
     .no_status = true,
     .marks = {MARKS(3, 10, 77, 1)},
     .unproven = true},
    {.what = "a STATUS without UIDNEXT is unproven",
     .status = {.exists = 3, .uidvalidity = 77, .has_exists = true, .has_uidvalidity = true},
     .marks = {MARKS(3, 10, 77, 1)},
     .unproven = true},
    {.what = "flags refused: unproven",
     .status = {FIGURES(3, 10, 77, 1)},
     .failed = true,
     .marks = {MARKS(3, 10, 77, 1), .has_flags_digest = true},
     .unproven = true,
     .wants_flags = true},
    {.what = "marks were forgotten",
     .status = {FIGURES(3, 10, 77, 1)},
     .marks = {.has_exists = true, .exists = 3},
     .differences = SCAN_DIFF_NEVER_MIRRORED},
    {.what = "a folder that was gone is there again",
     .status = {FIGURES(3, 10, 77, 1)},
     .marks = {MARKS(3, 10, 77, 1), .gone = true},
     .differences = SCAN_DIFF_NEW_FOLDER | SCAN_DIFF_NEW_MESSAGES},
    {.what = "a new folder without messages",
     .status = {FIGURES(0, 1, 77, 0)},
     .no_marks = true,
     .differences = SCAN_DIFF_NEW_FOLDER},
};

static void test_folder_table(void **state)
{
    const struct scan_flags_rule rule = {.max_messages = 500};
    /* A second, equal folder, so that "no marks" is a new folder and not a mirror's first copy. */
    struct store_marks folders[2] = {
        {MARKS(3, 10, 77, 1), .name = "Other", .has_highestmodseq = true, .highestmodseq = 500}};

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct one *one = &table[i];
        struct scan_folder shown[2] = {
            {.name = "Other", .status = &with_modseq},
            {.name = "INBOX", .status = one->no_status ? NULL : &one->status, .failed = one->failed},
        };
        struct scan_marks marks = {.mirror_id = 1, .folders = folders, .count = one->no_marks ? 1 : 2};
        struct scan_verdict verdict;

        shown[1].has_digest = one->digest != 0;
        shown[1].digest[0] = one->digest;
        folders[1] = one->marks;
        folders[1].name = "INBOX";
        scan_compare_mirror(shown, 2, &marks, &verdict);
        if (verdict.differences != one->differences || verdict.unproven != one->unproven ||
            scan_compare_wants_flags(&shown[1], one->no_marks ? NULL : &folders[1], &rule) !=
                one->wants_flags)
            fail_msg("%s: differences %x, unproven %d", one->what, verdict.differences, verdict.unproven);
        if (verdict.differences != 0)
            assert_string_equal(verdict.folder, "INBOX");
    }
}

static void test_folder_missing_from_list(void **state)
{
    struct store_marks folders[] = {{MARKS(3, 10, 77, 1), .name = "INBOX", .has_flags_digest = true},
                                    {MARKS(1, 2, 5, 0), .name = "Greetings"}};
    struct scan_marks marks = {.folders = folders, .count = 2};
    struct scan_folder shown[] = {{.name = "INBOX", .status = &plain}};
    struct scan_verdict verdict;

    (void)state;
    scan_compare_mirror(shown, 1, &marks, &verdict);
    assert_int_equal(verdict.differences, SCAN_DIFF_FOLDER_MISSING);
    assert_string_equal(verdict.folder, "Greetings");
    folders[1].gone = true; /* the copier has seen to it */
    scan_compare_mirror(shown, 1, &marks, &verdict);
    assert_int_equal(verdict.differences, 0);
}

static void test_first_copy_is_backlog(void **state)
{
    struct scan_marks marks = {.mirror_id = 1};
    struct scan_folder shown[] = {{.name = "INBOX", .status = &plain}};
    struct scan_verdict verdict;

    (void)state;
    scan_compare_mirror(shown, 1, &marks, &verdict);
    assert_int_equal(verdict.differences, SCAN_DIFF_NEVER_MIRRORED);
    assert_int_equal(scan_compare_priority(verdict.differences), SCAN_PRIORITY_ORDINARY);
    assert_int_equal(scan_compare_priority(SCAN_DIFF_NEW_MESSAGES | SCAN_DIFF_MODSEQ), SCAN_PRIORITY_NEW);
    assert_int_equal(scan_compare_priority(SCAN_DIFF_UNSEEN), SCAN_PRIORITY_ORDINARY);
    assert_string_equal(scan_compare_words(SCAN_DIFF_UNSEEN | SCAN_DIFF_NEW_MESSAGES), "new messages");
    assert_string_equal(scan_compare_words(0), "nothing");
}

static void test_gravest_folder_is_named(void **state)
{
    static const struct imap_folder_status more = {FIGURES(4, 11, 77, 2)}, heard = {FIGURES(3, 10, 77, 0)};
    struct store_marks folders[] = {{MARKS(3, 10, 77, 1), .name = "Archive"},
                                    {MARKS(3, 10, 77, 1), .name = "INBOX"}};
    struct scan_marks marks = {.folders = folders, .count = 2};
    struct scan_folder shown[] = {{.name = "Archive", .status = &heard}, {.name = "INBOX", .status = &more}};
    struct scan_verdict verdict;

    (void)state;
    scan_compare_mirror(shown, 2, &marks, &verdict);
    assert_string_equal(verdict.folder, "INBOX");
}

static void test_full_look_takes_big_folders(void **state)
{
    static const struct imap_folder_status big = {FIGURES(501, 600, 77, 1)};
    struct store_marks marks = {MARKS(501, 600, 77, 1), .name = "INBOX", .has_flags_digest = true};
    struct scan_folder folder = {.name = "INBOX", .status = &big};

    (void)state;
    assert_false(scan_compare_wants_flags(&folder, &marks, &(struct scan_flags_rule){.max_messages = 500}));
    assert_true(scan_compare_wants_flags(&folder, &marks,
                                         &(struct scan_flags_rule){.max_messages = 500, .full_look = true}));
    assert_true(scan_compare_wants_flags(&folder, &marks, &(struct scan_flags_rule){.max_messages = 501}));
}

static void flags_digest_of(const uint32_t *uids, const unsigned *flags, size_t count,
                            uint8_t out[DIGEST_BYTES])
{
    struct scan_digest digest = {0};

    for (size_t i = 0; i < count; i++) {
        struct imap_flags one;

        imap_flags_init(&one);
        one.system = flags[i];
        scan_digest_add(&digest, uids[i], &one);
        imap_flags_fini(&one);
    }
    assert_int_equal(scan_digest_end(&digest, out), 0);
    scan_digest_fini(&digest);
}

static void test_digest_takes_any_order(void **state)
{
    static const uint32_t up[] = {3, 7, 9}, mixed[] = {9, 3, 7, 9};
    static const unsigned flags[] = {IMAP_FLAG_SEEN, 0, IMAP_FLAG_FLAGGED};
    /* UID 9 is told twice: the later one counts. */
    static const unsigned mixed_flags[] = {0, IMAP_FLAG_SEEN, 0, IMAP_FLAG_FLAGGED};
    static const unsigned other_flags[] = {IMAP_FLAG_SEEN, IMAP_FLAG_SEEN, IMAP_FLAG_FLAGGED};
    uint8_t a[DIGEST_BYTES], b[DIGEST_BYTES], c[DIGEST_BYTES], none[DIGEST_BYTES];

    (void)state;
    flags_digest_of(up, flags, 3, a);
    flags_digest_of(mixed, mixed_flags, 4, b);
    flags_digest_of(up, other_flags, 3, c);
    flags_digest_of(NULL, NULL, 0, none);
    assert_memory_equal(a, b, DIGEST_BYTES);
    assert_memory_not_equal(a, c, DIGEST_BYTES);
    assert_memory_not_equal(a, none, DIGEST_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder_table),
        cmocka_unit_test(test_folder_missing_from_list),
        cmocka_unit_test(test_first_copy_is_backlog),
        cmocka_unit_test(test_gravest_folder_is_named),
        cmocka_unit_test(test_full_look_takes_big_folders),
        cmocka_unit_test(test_digest_takes_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
