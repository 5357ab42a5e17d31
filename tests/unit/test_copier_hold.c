/*
 * Unit tests of copier/hold.c: what is brought there is there, by its name alone; damage is found; folders don't meet.
 */
#include "base/str.h"
#include "copier/hold.h"
#include "imap/imap_flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[] = "/tmp/mirror-hold-XXXXXX";
static char place[sizeof(top) + 40];

static int make_top(void **state)
{
    (void)state;
    if (!mkdtemp(top))
        return -1;
    snprintf(place, sizeof(place), "%s/held/dr/1001-7", top);
    return 0;
}

static int remove_top(void **state)
{
    char *command = str_format("rm -rf '%s'", top);
    int result = system(command);
    (void)state;
    free(command);
    return result;
}

static void put(struct hold *hold, uint32_t uid, const char *text, unsigned system_flags)
{
    const struct imap_flags flags = {.system = system_flags};
    const struct hold_message message = {
        .uidvalidity = 9, .uid = uid, .internal_date = 1700000000, .flags = &flags};
    struct digest_pair pair;
    struct err err = {0};
    digest_of(text, strlen(text), &pair);
    assert_int_equal(hold_begin(hold, &message, &err), 0);
    hold_add(hold, text, strlen(text));
    assert_int_equal(hold_end(hold, &pair, &err), 0);
}

static struct hold *open_folder(const char *folder)
{
    struct err err = {0};
    struct hold *hold = hold_open(place, &err);
    assert_non_null(hold);
    assert_int_equal(hold_folder(hold, folder, &err), 0);
    return hold;
}

static char *path_of(uint32_t uid, const char *flags, const char *text)
{
    struct digest_pair pair;
    char hex[DIGEST_HEX_BYTES];
    digest_of(text, strlen(text), &pair);
    return str_format("%s/cur/1700000000.V9U%u.%s:2,%s", place, uid, digest_hex(pair.raw, hex), flags);
}

static void is_found_again_by_its_name(void **state)
{
    struct stat file;
    (void)state;
    struct hold *hold = open_folder("INBOX");
    put(hold, 3, "three", IMAP_FLAG_SEEN | IMAP_FLAG_FLAGGED);
    put(hold, 1, "one", 0);
    hold_free(hold);
    hold = open_folder("INBOX");
    assert_true(hold_has(hold, 9, 1));
    assert_true(hold_has(hold, 9, 3));
    assert_false(hold_has(hold, 9, 2));
    assert_false(hold_has(hold, 8, 1));
    assert_true(hold_prove(hold, 9, 3));
    char *path = path_of(3, "FS", "three");
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mtime, 1700000000);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(stat(place, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0700);
    free(path);
    hold_free(hold);
}

static void damage_is_found_and_written_again(void **state)
{
    uint32_t messages;
    uint64_t bytes;
    struct err err = {0};
    (void)state;
    char *path = path_of(1, "", "one");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("eno", file);
    fclose(file);
    struct hold *hold = open_folder("INBOX");
    assert_true(hold_has(hold, 9, 1));
    assert_false(hold_prove(hold, 9, 1));
    hold_free(hold);
    hold = open_folder("INBOX");
    assert_false(hold_has(hold, 9, 1));
    put(hold, 1, "one", 0);
    assert_true(hold_prove(hold, 9, 1));
    assert_int_equal(hold_total(hold, &messages, &bytes, &err), 0);
    assert_int_equal(messages, 2);
    assert_int_equal(bytes, 8);
    free(path);
    hold_free(hold);
}

static void what_is_not_what_came_is_not_held(void **state)
{
    const struct imap_flags flags = {0};
    const struct hold_message message = {.uidvalidity = 9, .uid = 5, .flags = &flags};
    struct digest_pair pair;
    struct err err = {0};
    (void)state;
    struct hold *hold = open_folder("INBOX");
    digest_of("five", 4, &pair);
    assert_int_equal(hold_begin(hold, &message, &err), 0);
    hold_add(hold, "fiv", 3);
    assert_int_equal(hold_end(hold, &pair, &err), -1);
    assert_non_null(strstr(err.text, place));
    assert_int_equal(hold_begin(hold, &message, &err), 0);
    hold_abandon(hold);
    assert_false(hold_has(hold, 9, 5));
    hold_free(hold);
}

static void folders_do_not_meet(void **state)
{
    char longest[1000];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    char *other = str_format("%.*sy", (int)sizeof(longest) - 2, longest);
    const char *const names[] = {"a/b", "a.b", "a%2Eb", "INBOX/x", "..", "Größe", "a b", longest, other};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct hold *hold = open_folder(names[i]);
        assert_false(hold_has(hold, 9, 1));
        put(hold, 1, names[i], 0);
        hold_free(hold);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct hold *hold = open_folder(names[i]);
        assert_true(hold_prove(hold, 9, 1));
        hold_free(hold);
    }
    free(other);
}

static void room_is_looked_for(void **state)
{
    struct err err = {0};
    (void)state;
    struct hold *hold = open_folder("INBOX");
    assert_int_equal(hold_check_room(hold, 1000, &err), 0);
    assert_int_equal(hold_check_room(hold, 1ULL << 60, &err), -1);
    assert_int_equal(err.scope, ERR_MAILBOX);
    assert_non_null(strstr(err.text, "hold_dir"));
    hold_free(hold);
}

static void a_place_that_cannot_be_is_said(void **state)
{
    char *inside_a_file = str_format("%s/index.jsonl/below", place);
    struct err err = {0};
    (void)state;
    assert_null(hold_open(inside_a_file, &err));
    assert_non_null(strstr(err.text, "Not a directory"));
    assert_non_null(strstr(err.text, "hold_dir"));
    free(inside_a_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_found_again_by_its_name),
                                       cmocka_unit_test(damage_is_found_and_written_again),
                                       cmocka_unit_test(what_is_not_what_came_is_not_held),
                                       cmocka_unit_test(folders_do_not_meet),
                                       cmocka_unit_test(room_is_looked_for),
                                       cmocka_unit_test(a_place_that_cannot_be_is_said)};
    return cmocka_run_group_tests(tests, make_top, remove_top);
}
