/*
 * The end of a turn, against a real store and two scripted servers: what is proven gone, judged and removed, and what is
 * not touched. INBOX holds UIDs 1 to 3 on both sides; what is gone has UIDs from 4 on.
 */
#include "copier/deletions.h"
#include "imap_client.h"
#include "store_gone.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS                                                                                                 \
    "SELECT GROUP_CONCAT(COALESCE(target_uid, 0), ':', removal ORDER BY target_uid SEPARATOR ' ') FROM "     \
    "message WHERE "                                                                                         \
    "source_gone_at IS NOT NULL"

/* Production. */
#define EXAMINE                                                                                              \
    "C: EXAMINE \"INBOX\"", "S: * 3 EXISTS", "S: * OK [UIDVALIDITY 5] valid", "S: $ OK [READ-ONLY] done"
#define LOOK EXAMINE, "C: UID SEARCH ALL", "S: * SEARCH 1 2 3", "S: $ OK done"
#define LOOK_AND_4_IS_BACK                                                                                   \
    "C: EXAMINE \"INBOX\"", "S: * 4 EXISTS", "S: * OK [UIDVALIDITY 5] valid", "S: $ OK [READ-ONLY] done",    \
        "C: UID SEARCH ALL", "S: * SEARCH 1 2 3 4", "S: $ OK done"
#define LOOK_SHORT EXAMINE, "C: UID SEARCH ALL", "S: * SEARCH 1", "S: $ OK done"
#define NOBODY                                                                                               \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        NULL                                                                                                 \
    }

/* The target; each script begins with its list of folders, which takes the tags $1 and $2. */
#define LIST(uidvalidity)                                                                                    \
    "C: LIST \"\" \"*\"", "S: * LIST () \"/\" INBOX", "S: $ OK done",                                        \
        "C: STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)",                                         \
        "S: * STATUS INBOX (MESSAGES 4 UIDNEXT 9 UIDVALIDITY " uidvalidity ")", "S: $ OK done"
#define FETCH_4(size, date)                                                                                  \
    "C: EXAMINE \"INBOX\"", "C: UID FETCH 4 (UID FLAGS INTERNALDATE RFC822.SIZE)", "S: * 4 EXISTS",          \
        "S: * OK [UIDVALIDITY 7] valid", "S: $3 OK [READ-ONLY] done",                                        \
        "S: * 4 FETCH (UID 4 FLAGS () INTERNALDATE \"" date "\" RFC822.SIZE " size ")", "S: $4 OK done"
#define SELECT                                                                                               \
    "C: SELECT \"INBOX\"", "S: * 4 EXISTS", "S: * OK [UIDVALIDITY 7] valid", "S: $ OK [READ-WRITE] done",    \
        "C: UID STORE 4 +FLAGS.SILENT (\\Deleted)", "S: $ OK done"
#define EXPUNGE "C: UID EXPUNGE 4", "S: * 4 EXPUNGE", "S: $ OK done"
#define THEN " 3-Mar-2026 08:14:05 +0000"

struct sides {
    struct imap_client source, target;
    struct turn_tools tools;
    struct turn turn;
    struct imap_list_entry entry;
    struct folders_pair pair;
    struct folders_work work;
};

static void begin(struct sides *sides, struct store_gone_work *work, const char *const *source,
                  const char *const *target)
{
    static char inbox[] = "INBOX";
    struct err err = {0};
    *sides = (struct sides){.tools = {.store = work->fixture->store},
                            .entry = {.name = inbox, .wire_name = inbox}};
    imap_client_log_in(&sides->source, "", source);
    imap_client_log_in(&sides->target, "UIDPLUS", target);
    sides->turn = (struct turn){.tools = &sides->tools,
                                .route = &work->fixture->routes[0],
                                .claim = &work->claim,
                                .source = sides->source.session,
                                .target = target_open_imap(sides->target.session, NULL, NULL),
                                .figures = {.any_gone = true}};
    if (target_list(sides->turn.target, &err) != 0 ||
        store_folder_list(work->fixture->store, work->claim.lease.mirror_id, &sides->work.folders,
                          &sides->work.folder_count, &err) != 0)
        fail_msg("%s", err.text);
    sides->pair.entry = &sides->entry;
    for (size_t i = 0; i < sides->work.folder_count; i++)
        if (str_equal(sides->work.folders[i].name, "INBOX"))
            sides->pair.folder = &sides->work.folders[i];
    sides->work.pairs = &sides->pair;
    sides->work.count = 1;
}

static void end(struct sides *sides)
{
    store_folder_list_free(sides->work.folders, sides->work.folder_count);
    target_free(sides->turn.target);
    imap_client_end(&sides->source);
    imap_client_end(&sides->target);
}

static struct store_gone_work prepare(struct store_fixture *fixture)
{
    struct store_gone_work work = store_gone_begin(fixture, 1);
    store_gone_add(&work, work.inbox, 3, -1);
    store_fixture_sql(fixture,
                      "UPDATE folder SET source_uidvalidity = 5, target_uidvalidity = 7, target_uidnext = 9, "
                      "target_exists = 4");
    return work;
}

static void add_gone(const struct store_gone_work *work, int seconds, const char *removal)
{
    store_gone_add(work, work->inbox, 1, seconds);
    store_fixture_sql(work->fixture,
                      "UPDATE message SET internal_date = 1772525645, removal = '%s' WHERE source_gone_at IS "
                      "NOT NULL",
                      removal);
}

static const struct {
    const char *name;
    int gone_seconds;
    const char *removal;
    bool pass_failed;
    const char *const *source, *const *target;
    const char *rows, *error; /* afterwards; error of the folder, its end */
    bool listed;              /* the next pass lists the target, since its marks count no more */
} cases[] = {
    {"removed", 301, "none", false, IMAP_SCRIPT(LOOK),
     IMAP_SCRIPT(LIST("7"), FETCH_4("100", THEN), SELECT, EXPUNGE,
                 "C: STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)",
                 "S: * STATUS INBOX (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7)", "S: $ OK done"),
     "NULL", "", false},
    {"its second look is not due", 299, "none", false, NOBODY, IMAP_SCRIPT(LIST("7")), "4:none", "", false},
    {"there again", 301, "none", false, IMAP_SCRIPT(LOOK_AND_4_IS_BACK), IMAP_SCRIPT(LIST("7")), "NULL", "",
     false},
    {"a short SEARCH", 301, "none", false, IMAP_SCRIPT(LOOK_SHORT), IMAP_SCRIPT(LIST("7")), "4:none",
     "SEARCH gave 1 messages where production counts 3: nothing is concluded from it", false},
    {"its pass failed", 301, "none", true, NOBODY, IMAP_SCRIPT(LIST("7")), "4:none", "", false},
    {"another size there", 301, "none", false, IMAP_SCRIPT(LOOK),
     IMAP_SCRIPT(LIST("7"), FETCH_4("101", THEN)), "0:none", "", true},
    {"another date there", 301, "none", false, IMAP_SCRIPT(LOOK),
     IMAP_SCRIPT(LIST("7"), FETCH_4("100", " 3-Mar-2026 08:14:06 +0000")), "0:none", "", true},
    {"begun before, by a turn that died", 10, "begun", false, IMAP_SCRIPT(LOOK),
     IMAP_SCRIPT(LIST("7"), FETCH_4("100", THEN), SELECT, EXPUNGE,
                 "C: STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)",
                 "S: * STATUS INBOX (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7)", "S: $ OK done"),
     "NULL", "", false},
    {"begun before, and there again", 10, "begun", false, IMAP_SCRIPT(LOOK_AND_4_IS_BACK),
     IMAP_SCRIPT(LIST("7")), "NULL", "", false},
    {"begun before, and its pass failed", 10, "begun", true, NOBODY, IMAP_SCRIPT(LIST("7")), "4:begun", "",
     false},
    {"held", 1000, "held", false, NOBODY, IMAP_SCRIPT(LIST("7")), "4:held", "", false},
    {"kept", 1000, "kept", false, NOBODY, IMAP_SCRIPT(LIST("7")), "4:kept", "", false},
    {"NO to EXPUNGE", 301, "none", false, IMAP_SCRIPT(LOOK),
     IMAP_SCRIPT(LIST("7"), FETCH_4("100", THEN), SELECT, "C: UID EXPUNGE 4", "S: $ NO not now"), "4:begun",
     "NO not now", true},
};

static void test_follow(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = prepare(*state);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sides sides;
        struct err err = {0};
        store_fixture_sql(*state, "DELETE FROM message WHERE target_uid IS NULL OR target_uid > 3");
        store_fixture_sql(*state, "UPDATE folder SET target_uidnext = 9, target_exists = 4");
        add_gone(&work, cases[i].gone_seconds, cases[i].removal);
        begin(&sides, &work, cases[i].source, cases[i].target);
        sides.pair.failed = cases[i].pass_failed;
        if (deletions_follow(&sides.turn, &sides.work, &err) != 0)
            fail_msg("%s: %s", cases[i].name, err.text);
        const char *said = sides.turn.folder_error.text, *want = cases[i].error;
        if (strlen(said) < strlen(want) || (!*want && *said) ||
            !str_equal(said + strlen(said) - strlen(want), want))
            fail_msg("%s: \"%s\"", cases[i].name, said);
        store_gone_assert(&work, cases[i].rows, ROWS);
        if (!cases[i].listed != store_fixture_number(*state,
                                                     "SELECT COUNT(target_exists) FROM folder WHERE name = "
                                                     "'INBOX'"))
            fail_msg("%s: the target is%s listed again", cases[i].name, cases[i].listed ? " not" : "");
        end(&sides);
    }
}

/* With a tripped breaker nobody is asked anything, whatever was begun or allowed. */
static void test_tripped(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = prepare(*state);
    struct sides sides;
    struct err err = {0};
    add_gone(&work, 301, "begun");
    begin(&sides, &work, NOBODY, IMAP_SCRIPT(LIST("7")));
    sides.turn.breaker_tripped = true;
    assert_int_equal(deletions_follow(&sides.turn, &sides.work, &err), 0);
    store_gone_assert(&work, "4:begun", ROWS);
    end(&sides);
}

/* The same, where it is tripped after the turn began: the answer of the brakes says so. */
static void test_tripped_meanwhile(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = prepare(*state);
    struct sides sides;
    struct err err = {0};
    add_gone(&work, 301, "none");
    store_fixture_sql(
        *state, "INSERT INTO plan (kind, site_id, reason, made_at) SELECT 'site', from_site_id, 'test', "
                "UTC_TIMESTAMP(6) FROM route WHERE name = 'dr'");
    begin(&sides, &work, IMAP_SCRIPT(LOOK), IMAP_SCRIPT(LIST("7")));
    assert_int_equal(deletions_follow(&sides.turn, &sides.work, &err), 0);
    assert_true(sides.turn.breaker_tripped);
    store_gone_assert(&work, "4:none", ROWS);
    end(&sides);
}

/* folders.rename was changed: another recorded folder leads to the same one there, and has adopted the copy. */
static void test_adopted_by_another_folder(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = prepare(*state);
    struct sides sides;
    struct err err = {0};
    add_gone(&work, 301, "none");
    store_fixture_sql(*state, "UPDATE folder SET target_name = 'INBOX'");
    store_fixture_sql(
        *state,
        "INSERT INTO message (folder_id, source_uid, target_uid, state, internal_date, size_bytes, "
        "flags_written, flags_refused) VALUES (%llu, 1, 4, 'mirrored', 1772525645, 100, '', '')",
        (unsigned long long)work.greetings);
    begin(&sides, &work, IMAP_SCRIPT(LOOK), IMAP_SCRIPT(LIST("7")));
    assert_int_equal(deletions_follow(&sides.turn, &sides.work, &err), 0);
    store_gone_assert(&work, "NULL", ROWS);
    store_gone_assert(&work, "4", "SELECT COUNT(*) FROM message");
    end(&sides);
}

/* UIDVALIDITY changed, and who is there is known: none of them is the one that is gone; a person is asked. */
static void test_nameless(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = prepare(*state);
    struct sides sides;
    struct err err = {0};
    add_gone(&work, 301, "none");
    store_fixture_sql(*state, "UPDATE message SET source_uid = NULL WHERE target_uid = 4");
    begin(&sides, &work, IMAP_SCRIPT(LOOK), IMAP_SCRIPT(LIST("7")));
    assert_int_equal(deletions_follow(&sides.turn, &sides.work, &err), 0);
    store_gone_assert(&work, "4:held", ROWS);
    end(&sides);
    /* Allowed, and then one is there that nobody knows: it may be this one. */
    store_fixture_sql(*state, "UPDATE plan SET state = 'allowed'");
    begin(&sides, &work,
          IMAP_SCRIPT("C: EXAMINE \"INBOX\"", "S: * 3 EXISTS", "S: * OK [UIDVALIDITY 5] valid",
                      "S: $ OK [READ-ONLY] done", "C: UID SEARCH ALL", "S: * SEARCH 1 2 9", "S: $ OK done"),
          IMAP_SCRIPT(LIST("7")));
    assert_int_equal(deletions_follow(&sides.turn, &sides.work, &err), 0);
    store_gone_assert(&work, "4:held", ROWS);
    end(&sides);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, store_fixture_setup, store_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_follow),
        CASE(test_tripped),
        CASE(test_tripped_meanwhile),
        CASE(test_adopted_by_another_folder),
        CASE(test_nameless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
