/*
 * Removing from an IMAP target, against a scripted server: which commands are sent, and that nothing goes that is not ours
 * beyond doubt (I5).
 */
#include "target/target.h"

#include "base/str.h"
#include "copier/expunge.h"
#include "imap_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err err;

/* Says no from the `left`th question on. */
struct guard {
    int left;
};

static int guard(void *context, struct err *why)
{
    struct guard *it = context;
    return it->left-- > 0 ? 0 : err_set(why, ERR_PROCESS, ERR_RETRY_LATER, "the lease is nearly over");
}

#define SELECT                                                                                               \
    "C: SELECT \"INBOX\"", "S: * FLAGS (\\Deleted)", "S: * 4 EXISTS", "S: * OK [UIDVALIDITY 7] valid",       \
        "S: $ OK [READ-WRITE] done"
#define MARK "C: UID STORE 3,5 +FLAGS.SILENT (\\Deleted)", "S: $ OK done"
#define LIST "C: UID FETCH 1:* (UID FLAGS)", "S: * 1 FETCH (UID 2 FLAGS ())"
#define LIST_OURS "S: * 2 FETCH (UID 3 FLAGS (\\Deleted))", "S: * 3 FETCH (UID 5 FLAGS (\\Deleted))"
#define EXPUNGED "S: * 2 EXPUNGE", "S: * 2 EXPUNGE", "S: $ OK done"

static const struct {
    const char *name, *capabilities;
    int guarded; /* how often the guard says yes */
    int result;
    bool removed;
    const char *error; /* its end */
    const char *const *script;
} removals[] = {
    {"UIDPLUS", "UIDPLUS", 9, 0, true, "", IMAP_SCRIPT(SELECT, MARK, "C: UID EXPUNGE 3,5", EXPUNGED)},
    {"UIDPLUS: the server says NO", "UIDPLUS", 9, -1, false, "UID EXPUNGE: NO [NOPERM] no",
     IMAP_SCRIPT(SELECT, MARK, "C: UID EXPUNGE 3,5", "S: $ NO [NOPERM] no")},
    {"UIDPLUS: the guard before STORE", "UIDPLUS", 0, -1, false, "the lease is nearly over",
     IMAP_SCRIPT(SELECT)},
    {"UIDPLUS: the guard before EXPUNGE", "UIDPLUS", 1, -1, false, "the lease is nearly over",
     IMAP_SCRIPT(SELECT, MARK)},
    {"NO to STORE", "UIDPLUS", 9, -1, false, "UID STORE: NO read-only",
     IMAP_SCRIPT(SELECT, "C: UID STORE 3,5 +FLAGS.SILENT (\\Deleted)", "S: $ NO read-only")},
    {"another UIDVALIDITY", "UIDPLUS", 9, -1, false,
     "made anew on the target while copies were to be removed: nothing is",
     IMAP_SCRIPT("C: SELECT \"INBOX\"", "S: * 4 EXISTS", "S: * OK [UIDVALIDITY 8] valid", "S: $ OK done")},
    {"no UIDVALIDITY", "", 9, -1, false,
     "made anew on the target while copies were to be removed: nothing is",
     IMAP_SCRIPT("C: SELECT \"INBOX\"", "S: * 4 EXISTS", "S: $ OK done")},
    {"NO to SELECT", "", 9, -1, false, "SELECT: NO gone", IMAP_SCRIPT("C: SELECT \"INBOX\"", "S: $ NO gone")},

    {"only ours are marked", "", 9, 0, true, "",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: * 4 FETCH (UID 9 FLAGS (\\Seen))", "S: $ OK done",
                 "C: EXPUNGE", EXPUNGED)},
    {"a stranger's is marked: nothing goes", "", 9, 0, false, "",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: * 4 FETCH (UID 9 FLAGS (\\Seen \\Deleted))",
                 "S: $ OK done")},
    {"another of ours is marked: unmarked meanwhile", "", 9, 0, true, "",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: * 4 FETCH (UID 8 FLAGS (\\Deleted))", "S: $ OK done",
                 "C: UID STORE 8 -FLAGS.SILENT (\\Deleted)", "S: $ OK done", "C: EXPUNGE", EXPUNGED,
                 "C: UID STORE 8 +FLAGS.SILENT (\\Deleted)", "S: $ OK done")},
    {"that and a stranger's", "", 9, 0, false, "",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: * 4 FETCH (UID 8 FLAGS (\\Deleted))",
                 "S: * 5 FETCH (UID 9 FLAGS (\\Deleted))", "S: * 5 EXISTS", "S: $ OK done")},
    {"a listing that is not whole", "", 9, 0, false, "",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: $ OK done")},
    {"one that arrived meanwhile and is not listed", "", 9, 0, false, "",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: * 4 FETCH (UID 9 FLAGS ())", "S: * 5 EXISTS",
                 "S: $ OK done")},
    {"a message without flags", "", 9, 0, false, "",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: * 4 FETCH (UID 9)", "S: $ OK done")},
    {"NO to the listing", "", 9, -1, false, "UID FETCH: NO busy",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: $ NO busy")},
    {"NO to unmarking another of ours", "", 9, -1, false, "UID STORE: NO busy",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: * 4 FETCH (UID 8 FLAGS (\\Deleted))", "S: $ OK done",
                 "C: UID STORE 8 -FLAGS.SILENT (\\Deleted)", "S: $ NO busy")},
    {"the guard before STORE", "", 0, -1, false, "the lease is nearly over", IMAP_SCRIPT(SELECT)},
    {"the guard before unmarking", "", 1, -1, false, "the lease is nearly over",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: * 4 FETCH (UID 8 FLAGS (\\Deleted))", "S: $ OK done")},
    {"the guard before EXPUNGE", "", 1, -1, false, "the lease is nearly over",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: * 4 FETCH (UID 9 FLAGS ())", "S: $ OK done")},
    {"the guard before marking again", "", 3, -1, true, "the lease is nearly over",
     IMAP_SCRIPT(SELECT, MARK, LIST, LIST_OURS, "S: * 4 FETCH (UID 8 FLAGS (\\Deleted))", "S: $ OK done",
                 "C: UID STORE 8 -FLAGS.SILENT (\\Deleted)", "S: $ OK done", "C: EXPUNGE", EXPUNGED)},
};

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void test_remove(void **state)
{
    static const uint32_t uids[] = {3, 5}, spared[] = {2, 8};
    const struct target_removal removal = {
        .name = "INBOX", .uidvalidity = 7, .uids = uids, .count = 2, .spared = spared, .spared_count = 2};
    (void)state;
    for (size_t i = 0; i < sizeof(removals) / sizeof(removals[0]); i++) {
        struct guard left = {removals[i].guarded};
        struct imap_client client;
        bool removed;
        err_clear(&err);
        imap_client_log_in(&client, removals[i].capabilities, removals[i].script);
        struct target *target = target_open_imap(client.session, guard, &left);
        int result = target_remove(target, &removal, &removed, &err);
        if (result != removals[i].result || removed != removals[i].removed ||
            !ends_with(err.text, removals[i].error))
            fail_msg("%s: %d, %s: %s", removals[i].name, result, removed ? "removed" : "not removed",
                     err.text);
        target_free(target);
        imap_client_end(&client);
    }
}

static void test_remove_nothing(void **state)
{
    const struct target_removal removal = {.name = "INBOX", .uidvalidity = 7};
    struct imap_client client;
    bool removed;
    (void)state;
    imap_client_log_in(&client, "", (const char *const[]){NULL});
    struct target *target = target_open_imap(client.session, NULL, NULL);
    assert_int_equal(target_remove(target, &removal, &removed, &err), 0);
    assert_false(removed);
    target_free(target);
    imap_client_end(&client);
}

/* ---- checked against the record ---- */

#define LOOK                                                                                                 \
    "C: EXAMINE \"INBOX\"", "C: UID FETCH 3,5:7 (UID FLAGS INTERNALDATE RFC822.SIZE)", "S: * 4 EXISTS",      \
        "S: * OK [UIDVALIDITY 7] valid", "S: $1 OK [READ-ONLY] done"
#define FETCHED(number, uid, size, day)                                                                      \
    "S: * " number " FETCH (UID " uid " FLAGS () INTERNALDATE \"" day                                        \
    "-Mar-2026 08:14:05 +0000\" RFC822.SIZE " size ")"

/* 3: another size; 5: another date; 6: another date, but the target keeps its own; 7: gone. */
static void test_expunge_only_as_recorded(void **state)
{
    static const struct expunge_copy copies[] = {{3, 100, 1772525645, false},
                                                 {5, 100, 1772525645, false},
                                                 {6, 100, 1772525645, true},
                                                 {7, 100, 1772525645, false}};
    static const struct expunge_request request = {
        .folder = "INBOX", .uidvalidity = 7, .copies = copies, .count = 4};
    static const char *const script[] = {LOOK,
                                         FETCHED("2", "3", "101", " 3"),
                                         FETCHED("3", "5", "100", " 4"),
                                         FETCHED("4", "6", "100", " 5"),
                                         "S: $2 OK done",
                                         SELECT,
                                         "C: UID STORE 6 +FLAGS.SILENT (\\Deleted)",
                                         "S: $ OK done",
                                         "C: UID EXPUNGE 6",
                                         "S: * 4 EXPUNGE",
                                         "S: $ OK done",
                                         NULL};
    struct imap_client client;
    struct expunge_result done;
    (void)state;
    imap_client_log_in(&client, "UIDPLUS", script);
    struct turn turn = {.target = target_open_imap(client.session, NULL, NULL)};
    if (expunge_copies(&turn, &request, &done, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(done.removed, 1);
    assert_int_equal(done.gone.count, 2);
    assert_int_equal(done.gone.items[0], 6);
    assert_int_equal(done.gone.items[1], 7);
    assert_int_equal(done.strangers.count, 2);
    assert_int_equal(done.strangers.items[0], 3);
    assert_int_equal(done.strangers.items[1], 5);
    assert_false(done.waiting);
    expunge_result_fini(&done);
    target_free(turn.target);
    imap_client_end(&client);
}

/* The folder was made anew since it was listed: its UIDs are other messages'. */
static void test_expunge_under_another_uidvalidity(void **state)
{
    static const struct expunge_copy copies[] = {{3, 100, 1772525645, false}};
    static const struct expunge_request request = {
        .folder = "INBOX", .uidvalidity = 6, .copies = copies, .count = 1};
    static const char *const script[] = {"C: EXAMINE \"INBOX\"",
                                         "C: UID FETCH 3 (UID FLAGS INTERNALDATE RFC822.SIZE)",
                                         "S: * 4 EXISTS",
                                         "S: * OK [UIDVALIDITY 7] valid",
                                         "S: $1 OK [READ-ONLY] done",
                                         FETCHED("2", "3", "100", " 3"),
                                         "S: $2 OK done",
                                         NULL};
    struct imap_client client;
    struct expunge_result done;
    (void)state;
    imap_client_log_in(&client, "UIDPLUS", script);
    struct turn turn = {.target = target_open_imap(client.session, NULL, NULL)};
    assert_int_equal(expunge_copies(&turn, &request, &done, &err), -1);
    assert_int_equal(err.scope, ERR_FOLDER);
    assert_int_equal(done.gone.count + done.strangers.count, 0);
    expunge_result_fini(&done);
    target_free(turn.target);
    imap_client_end(&client);
}

/* Is it the recorded folder? A STATUS that failed in the list is asked for again, and without one nothing is concluded. */
static void test_uids_known(void **state)
{
    const struct {
        const char *const *script;
        uint32_t recorded;
        int result;
        bool known;
    } table[] = {
        {IMAP_SCRIPT("C: STATUS \"A\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "S: * STATUS A (UIDVALIDITY 7)",
                     "S: $ OK done"),
         7, 0, true},
        {IMAP_SCRIPT("C: STATUS \"A\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "S: * STATUS A (UIDVALIDITY 7)",
                     "S: $ OK done"),
         8, 0, false},
        {IMAP_SCRIPT("C: STATUS \"A\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "S: $ NO [INUSE] busy",
                     "C: STATUS \"A\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "S: * STATUS A (UIDVALIDITY 7)",
                     "S: $ OK done"),
         7, 0, true},
        {IMAP_SCRIPT("C: STATUS \"A\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "S: $ NO [INUSE] busy",
                     "C: STATUS \"A\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "S: $ NO [INUSE] busy"),
         7, -1, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *script[16] = {"C: LIST \"\" \"*\"", "S: * LIST () \"/\" A", "S: $ OK done"};
        struct imap_client client;
        bool known = false;
        for (size_t k = 0; table[i].script[k]; k++)
            script[3 + k] = table[i].script[k];
        imap_client_log_in(&client, "", script);
        struct turn turn = {.target = target_open_imap(client.session, NULL, NULL)};
        struct store_folder folder = {.target_name = (char[]){"A"},
                                      .marks = {.target_uidvalidity = table[i].recorded}};
        if (target_list(turn.target, &err) != 0)
            fail_msg("row %zu: %s", i, err.text);
        assert_int_equal(expunge_are_uids_known(&turn, &folder, &known, &err), table[i].result);
        assert_int_equal(known, table[i].known);
        target_free(turn.target);
        imap_client_end(&client);
    }
}

/* One that is not listed must refuse STATUS, too, and not only since the server is busy. */
static void test_missing(void **state)
{
    const struct {
        const char *listed;
        const char *const *script;
        int result;
        bool missing;
    } table[] = {
        {"S: * LIST () \"/\" A", (const char *const[]){NULL}, 0, false},
        {"S: * LIST () \"/\" B",
         IMAP_SCRIPT("C: STATUS \"A\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "S: $ NO there is none"), 0,
         true},
        {"S: * LIST () \"/\" B",
         IMAP_SCRIPT("C: STATUS \"A\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "S: $ NO [UNAVAILABLE] busy"),
         -1, false},
        {"S: * LIST () \"/\" B",
         IMAP_SCRIPT("C: STATUS \"A\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)",
                     "S: * STATUS A (MESSAGES 3 UIDVALIDITY 7)", "S: $ OK done"),
         -1, false},
        {"S: * LIST () \"/\" B", IMAP_SCRIPT("C: STATUS \"A\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "bye"),
         -1, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *script[16] = {"C: LIST \"\" \"*\"", table[i].listed, "S: $ OK done",
                                  i ? "C: STATUS \"B\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"
                                    : "C: STATUS \"A\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)",
                                  "S: $ OK done"};
        struct imap_client client;
        bool missing = false;
        for (size_t k = 0; table[i].script[k]; k++)
            script[5 + k] = table[i].script[k];
        imap_client_log_in(&client, "", script);
        struct turn turn = {.target = target_open_imap(client.session, NULL, NULL)};
        struct store_folder folder = {.target_name = (char[]){"A"}};
        if (target_list(turn.target, &err) != 0)
            fail_msg("row %zu: %s", i, err.text);
        assert_int_equal(expunge_is_missing(&turn, &folder, &missing, &err), table[i].result);
        assert_int_equal(missing, table[i].missing);
        target_free(turn.target);
        imap_client_end(&client);
    }
}

/* ---- folders ---- */

#define RELIST "C: LIST \"\" \"*\"", "S: $ OK done"

static const struct {
    const char *name;
    bool open; /* it was looked at before */
    int guarded, result;
    const char *const *script;
} deletions[] = {
    {"not open", false, 1, 0, IMAP_SCRIPT("C: DELETE \"A/b\"", "S: $ OK done", RELIST)},
    {"open: another is opened first", true, 1, 0,
     IMAP_SCRIPT("C: EXAMINE \"A/b\"", "S: * 0 EXISTS", "S: $ OK done", "C: EXAMINE \"INBOX\"",
                 "S: * 0 EXISTS", "S: $ OK done", "C: DELETE \"A/b\"", "S: $ OK done", RELIST)},
    {"NO", false, 1, -1, IMAP_SCRIPT("C: DELETE \"A/b\"", "S: $ NO it has children")},
    {"the guard", false, 0, -1, (const char *const[]){NULL}},
    {"open, and INBOX can't be", true, 1, -1,
     IMAP_SCRIPT("C: EXAMINE \"A/b\"", "S: * 0 EXISTS", "S: $ OK done", "C: EXAMINE \"INBOX\"",
                 "S: $ NO busy")},
};

static void test_folder_delete(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(deletions) / sizeof(deletions[0]); i++) {
        struct guard left = {deletions[i].guarded};
        struct imap_client client;
        struct target_messages messages = {0};
        imap_client_log_in(&client, "", deletions[i].script);
        struct target *target = target_open_imap(client.session, guard, &left);
        if (deletions[i].open && target_folder_look(target, "A/b", 1, &messages, &err) != 0)
            fail_msg("%s: %s", deletions[i].name, err.text);
        if (target_folder_delete(target, "A/b", &err) != deletions[i].result)
            fail_msg("%s: %s", deletions[i].name, err.text);
        if (deletions[i].result != 0)
            assert_int_equal(err.side, ERR_SIDE_TARGET);
        target_messages_fini(&messages);
        target_free(target);
        imap_client_end(&client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_remove_nothing),
        cmocka_unit_test(test_expunge_only_as_recorded),
        cmocka_unit_test(test_expunge_under_another_uidvalidity),
        cmocka_unit_test(test_uids_known),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_folder_delete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
