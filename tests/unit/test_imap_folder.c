/*
 * What servers tell of folders, in tables: the figures of STATUS and SELECT, lists of folders, capabilities.
 */
#include "imap/imap_folder.h"

#include "base/str.h"
#include "imap/imap_capability.h"
#include "imap/imap_flags.h"
#include "imap/imap_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_status_values(void **state)
{
    static const struct {
        const char *name, *value;
        bool taken;
    } cases[] = {
        {"MESSAGES", "0", true},
        {"messages", "4294967295", true},
        {"MESSAGES", "4294967296", false},
        {"MESSAGES", "-1", false},
        {"MESSAGES", "", false},
        {"MESSAGES", "1 ", false},
        {"UNSEEN", "0", true},
        {"UIDNEXT", "0", false},
        {"UidNext", "7", true},
        {"UIDVALIDITY", "0", false},
        {"UIDVALIDITY", "1", true},
        {"RECENT", "1", false},
        {"", "1", false},
        {"HIGHESTMODSEQ", "x", false},
        {"HIGHESTMODSEQ", "9223372036854775807", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct imap_folder_status status = {0};
        imap_folder_take_status(&status, cases[i].name, cases[i].value);
        bool taken = status.has_exists || status.has_unseen || status.has_uidnext || status.has_uidvalidity ||
                     status.highestmodseq > 0;
        assert_int_equal(taken, cases[i].taken);
    }
}

static void test_codes(void **state)
{
    struct imap_folder_status status = {0};
    (void)state;
    imap_folder_begin(&status);
    assert_true(status.permanent_any_keyword);
    imap_folder_take_code(&status, "UIDVALIDITY 3857529045");
    imap_folder_take_code(&status, "uidnext  4392");
    imap_folder_take_code(&status, "HIGHESTMODSEQ 715194045007");
    imap_folder_take_code(&status, "READ-ONLY");
    assert_int_equal(status.uidvalidity, 3857529045);
    assert_int_equal(status.uidnext, 4392);
    assert_true(status.highestmodseq == 715194045007);
    assert_true(status.read_only);
    /* The first unseen one's number is not how many there are. */
    imap_folder_take_code(&status, "UNSEEN 12");
    assert_false(status.has_unseen);
    imap_folder_take_code(&status, "UIDNEXTX 9");
    imap_folder_take_code(&status, "UIDNEXT");
    imap_folder_take_code(&status, "UIDVALIDITY 0");
    imap_folder_take_code(&status, "");
    assert_int_equal(status.uidvalidity, 3857529045);
    assert_int_equal(status.uidnext, 4392);
    imap_folder_take_code(&status, "NOMODSEQ");
    imap_folder_take_code(&status, "READ-WRITE");
    assert_true(status.highestmodseq == 0);
    assert_false(status.read_only);
    imap_folder_status_fini(&status);
}

/* FLAGS and PERMANENTFLAGS (NULL: not sent): what can be stored. */
static const struct {
    const char *flags, *permanent;
    const char *result;
    bool any_keyword;
} permanents[] = {
    {"\\Seen a", NULL, "\\Seen a", true},
    {"\\Seen a", "PERMANENTFLAGS (\\Seen \\*)", "\\Seen", true},
    {"\\Seen a", "PERMANENTFLAGS (\\Seen b)", "\\Seen b", false},
    {"\\Seen a", "PERMANENTFLAGS ()", "", false},
    {"\\Seen a", "PERMANENTFLAGS", "", false},
    {"\\Seen a", "permanentflags (a]b \\Seen", "\\Seen a]b", false},
    {"\\Seen a", "PERMANENTFLAGS (\\Draft b%d c) d", "\\Draft c", true},
    {"", "PERMANENTFLAGS (  b   a )", "a b", false},
};

static void test_permanent_flags(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(permanents) / sizeof(permanents[0]); i++) {
        struct imap_folder_status status = {0};
        struct imap_flags flags;
        imap_folder_begin(&status);
        imap_flags_parse(permanents[i].flags, &flags);
        imap_folder_take_flags(&status, &flags);
        if (permanents[i].permanent)
            imap_folder_take_code(&status, permanents[i].permanent);
        char *text = imap_flags_format(&status.permanent);
        assert_string_equal(text, permanents[i].result);
        assert_int_equal(status.permanent_any_keyword, permanents[i].any_keyword);
        free(text);
        imap_flags_fini(&flags);
        imap_folder_status_fini(&status);
    }
}

/* ---- lists ---- */

static void test_list(void **state)
{
    static const char *const names[] = {"b", "INBOX", "a.c", "&AOQ-", "a", "\xff"};
    struct imap_list list = {0};
    struct err err = {0};
    size_t hint = 0;
    (void)state;
    for (size_t i = 0; i < 6; i++)
        assert_non_null(imap_list_add(&list, names[i], strlen(names[i]), '.', &err));
    assert_int_equal(imap_list_check(&list, &err), 0);
    assert_string_equal(list.entries[2].name, "a/c");
    assert_string_equal(list.entries[2].wire_name, "a.c");
    assert_string_equal(list.entries[5].name, "%FF");
    for (size_t i = 0; i < 6; i++) {
        assert_ptr_equal(imap_list_find_wire(&list, names[i], &hint), &list.entries[i]);
        assert_int_equal(hint, i + 1);
    }
    assert_ptr_equal(imap_list_find_wire(&list, "inbox", &hint), &list.entries[1]);
    assert_null(imap_list_find_wire(&list, "B", &hint));
    assert_null(imap_list_find_wire(&list, "a/c", &hint));
    imap_list_fini(&list);
    assert_null(imap_list_find_wire(&list, "b", &hint));
    assert_int_equal(imap_list_check(&list, &err), 0);
}

static void test_list_that_cannot_be_trusted(void **state)
{
    static const struct {
        const char *a, *b;
        const char *error;
    } cases[] = {
        {"a", "a", "LIST tells the folder a twice"},
        {"INBOX", "Inbox", "LIST tells the folder INBOX twice"},
        {"a.b", "a_2eb", NULL},
        {".", "_00._00", "LIST tells the folder / twice"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct imap_list list = {0};
        struct err err = {0};
        imap_list_add(&list, "z", 1, '.', &err);
        imap_list_add(&list, cases[i].a, strlen(cases[i].a), '.', &err);
        imap_list_add(&list, cases[i].b, strlen(cases[i].b), '.', &err);
        assert_int_equal(imap_list_check(&list, &err), cases[i].error ? -1 : 0);
        if (cases[i].error)
            assert_string_equal(err.text, cases[i].error);
        imap_list_fini(&list);
    }
}

static void test_list_refuses_names(void **state)
{
    static char name[2000];
    struct imap_list list = {0};
    struct err err = {0};
    (void)state;
    memset(name, 'a', sizeof(name));
    assert_null(imap_list_add(&list, "", 0, '/', &err));
    assert_int_equal(err.scope, ERR_MAILBOX);
    assert_null(imap_list_add(&list, "a\0b", 3, '/', &err));
    assert_null(imap_list_add(&list, name, sizeof(name), '/', &err));
    assert_string_equal(err.text, "LIST tells a folder name that is empty, over 1000 bytes or holds NUL");
    assert_int_equal(list.count, 0);
}

static void test_list_is_capped(void **state)
{
    struct imap_list list = {0};
    struct err err = {0};
    char name[16];
    (void)state;
    for (int i = 0; i <= IMAP_LIST_MAX_ENTRIES; i++) {
        int len = snprintf(name, sizeof(name), "%d", i);
        struct imap_list_entry *entry = imap_list_add(&list, name, (size_t)len, '/', &err);
        assert_int_equal(entry != NULL, i < IMAP_LIST_MAX_ENTRIES);
    }
    assert_string_equal(err.text, "LIST tells more than 100000 folders");
    assert_int_equal(imap_list_check(&list, &err), 0);
    imap_list_fini(&list);
}

/* ---- capabilities ---- */

#define BIT(id) (UINT32_C(1) << IMAP_CAP_##id)

static const struct {
    const char *words, *disabled;
    uint32_t bits;
} capabilities[] = {
    {"", NULL, 0},
    {"IMAP4rev1", NULL, 0},
    {"IMAP4rev1 LITERAL+ uidplus", NULL, BIT(LITERAL_PLUS) | BIT(UIDPLUS)},
    {"  UIDPLUS   ID ", NULL, BIT(UIDPLUS) | BIT(ID)},
    {"UIDPLUSX XUIDPLUS UIDPLU LITERAL- AUTH=PLAIN", NULL, 0},
    {"UIDPLUS UIDPLUS", "UIDPLUS", 0},
    {"UIDPLUS MULTIAPPEND", "multiappend", BIT(UIDPLUS)},
    {"UIDPLUS", "UNHEARD-OF", BIT(UIDPLUS)},
    {"LIST-STATUS", NULL, BIT(LIST_STATUS) | BIT(LIST_EXTENDED)},
    {"LIST-EXTENDED LIST-STATUS", "LIST-STATUS", BIT(LIST_EXTENDED)},
    {"LIST-EXTENDED LIST-STATUS", "LIST-EXTENDED", 0},
};

static void test_capabilities(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
        char *item = str_copy(capabilities[i].disabled);
        struct config_strings disabled = {.items = &item, .count = item ? 1 : 0};
        assert_int_equal(imap_capability_parse(capabilities[i].words, &disabled), capabilities[i].bits);
        free(item);
    }
    assert_int_equal(imap_capability_parse("ID", NULL), BIT(ID));
    for (int id = 0; id < IMAP_CAP_COUNT; id++)
        assert_true(imap_capability_parse(imap_capability_name((enum imap_capability_id)id), NULL) &
                    1u << id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_values),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_permanent_flags),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_that_cannot_be_trusted),
        cmocka_unit_test(test_list_refuses_names),
        cmocka_unit_test(test_list_is_capped),
        cmocka_unit_test(test_capabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
