/*
 * Folders that production no longer lists, against a real store and a scripted server: only a NO to EXAMINE says that they
 * are gone, and only one that is not a passing one (I6).
 */
#include "copier/folders.h"
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

static struct err err;

#define GONE "SELECT GROUP_CONCAT(name ORDER BY name) FROM folder WHERE source_gone_at IS NOT NULL"

/* A turn that got as far as both lists: production's holds these folders, the target's nothing. */
static struct turn begin(struct store_gone_work *work, struct turn_tools *tools, struct imap_session *session,
                         struct imap_list_entry *entries, size_t count)
{
    tools->store = work->fixture->store;
    return (struct turn){.tools = tools,
                         .route = &work->fixture->routes[0],
                         .claim = &work->claim,
                         .source = session,
                         .source_list = {.entries = entries, .count = count},
                         .target = target_open_imap(session, NULL, NULL)};
}

#define ENTRY(folder)                                                                                        \
    {                                                                                                        \
        .name = (char[]){folder}, .wire_name = (char[]){folder}, .delimiter = '.'                            \
    }

/* INBOX is listed, Greetings is not. */
static const struct {
    const char *const *script;
    const char *gone;  /* recorded as such */
    const char *error; /* of the folder; its end */
    int result;
} answers[] = {
    {IMAP_SCRIPT("C: EXAMINE \"Greetings\"", "S: $ NO [NONEXISTENT] there is none"), "Greetings", "", 0},
    {IMAP_SCRIPT("C: EXAMINE \"Greetings\"", "S: $ NO Mailbox does not exist"), "Greetings", "", 0},
    {IMAP_SCRIPT("C: EXAMINE \"Greetings\"", "S: * 2 EXISTS", "S: $ OK [READ-ONLY] done"), "NULL",
     "production does not list it, but opens it: its list is not whole", 0},
    {IMAP_SCRIPT("C: EXAMINE \"Greetings\"", "S: * 0 EXISTS", "S: $ OK [READ-ONLY] done"), "NULL",
     "production does not list it, but opens it: its list is not whole", 0},
    {IMAP_SCRIPT("C: EXAMINE \"Greetings\"", "S: $ NO [UNAVAILABLE] disk is being mounted"), "NULL",
     "EXAMINE: NO [UNAVAILABLE] disk is being mounted", 0},
    {IMAP_SCRIPT("C: EXAMINE \"Greetings\"", "S: $ NO [inuse] locked"), "NULL", "EXAMINE: NO [inuse] locked",
     0},
    {IMAP_SCRIPT("C: EXAMINE \"Greetings\"", "S: $ NO [NOPERM] not yours"), "NULL",
     "EXAMINE: NO [NOPERM] not yours", 0},
    {IMAP_SCRIPT("C: EXAMINE \"Greetings\"", "S: $ NO [SERVERBUG] oops"), "NULL",
     "EXAMINE: NO [SERVERBUG] oops", 0},
    {IMAP_SCRIPT("C: EXAMINE \"Greetings\"", "S: $ BAD what?"), "NULL", "EXAMINE: BAD what?", 0},
    {IMAP_SCRIPT("C: EXAMINE \"Greetings\"", "bye"), "NULL", "", -1},
    {IMAP_SCRIPT("C: EXAMINE \"Greetings\"", "S: * BYE shutting down", "bye"), "NULL", "", -1},
};

static void test_answers(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct imap_list_entry entries[] = {ENTRY("INBOX")};
        struct folders_work folders = {0};
        struct turn_tools tools = {0};
        struct imap_client client;
        err_clear(&err);
        store_fixture_sql(*state, "UPDATE folder SET source_gone_at = NULL");
        imap_client_log_in(&client, "", answers[i].script);
        struct turn turn = begin(&work, &tools, client.session, entries, 1);
        int result = folders_prepare(&turn, &folders, &err);
        const char *said = turn.folder_error.text, *want = answers[i].error;
        if (result != answers[i].result || strlen(said) < strlen(want) || (!*want && *said) ||
            !str_equal(said + strlen(said) - strlen(want), want))
            fail_msg("answer %zu: %d, \"%s\", \"%s\"", i, result, err.text, said);
        store_gone_assert(&work, answers[i].gone, GONE);
        assert_int_equal(turn.figures.gone_folders, !str_equal(answers[i].gone, "NULL"));
        assert_int_equal(turn.figures.any_gone, !str_equal(answers[i].gone, "NULL"));
        folders_work_fini(&folders);
        target_free(turn.target);
        imap_client_end(&client);
    }
}

/* Gone once, and then production is only busy: what was seen counts no more, and begins anew. */
static void test_busy_meanwhile(void **state)
{
    static const char *const scripts[][3] = {{"C: EXAMINE \"Greetings\"", "S: $ NO there is none", NULL},
                                             {"C: EXAMINE \"Greetings\"", "S: $ NO [UNAVAILABLE] busy", NULL},
                                             {"C: EXAMINE \"Greetings\"", "S: $ NO there is none", NULL}};
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    store_gone_add(&work, work.greetings, 1, -1);
    for (size_t i = 0; i < 3; i++) {
        struct imap_list_entry entries[] = {ENTRY("INBOX")};
        struct folders_work folders = {0};
        struct turn_tools tools = {0};
        struct imap_client client;
        imap_client_log_in(&client, "", scripts[i]);
        struct turn turn = begin(&work, &tools, client.session, entries, 1);
        assert_int_equal(folders_prepare(&turn, &folders, &err), 0);
        store_gone_assert(&work, i == 1 ? "NULL" : "Greetings", GONE);
        folders_work_fini(&folders);
        target_free(turn.target);
        imap_client_end(&client);
        store_gone_assert(&work, "1",
                          "SELECT COUNT(*) FROM message WHERE source_gone_at > UTC_TIMESTAMP(6) - INTERVAL "
                          "60 SECOND");
        store_fixture_sql(*state, "UPDATE folder SET source_gone_at = source_gone_at - INTERVAL 400 SECOND");
        store_fixture_sql(*state, "UPDATE message SET source_gone_at = source_gone_at - INTERVAL %d SECOND",
                          i == 0 ? 400 : 0);
    }
}

/* A list without INBOX, or of nothing, is none: nobody is asked anything. */
static void test_lists_that_are_none(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    for (size_t count = 0; count < 2; count++) {
        struct imap_list_entry entries[] = {ENTRY("Greetings")};
        struct folders_work folders = {0};
        struct turn_tools tools = {0};
        struct imap_client client;
        imap_client_log_in(&client, "", (const char *const[]){NULL});
        struct turn turn = begin(&work, &tools, client.session, entries, count);
        assert_int_equal(folders_prepare(&turn, &folders, &err), -1);
        assert_int_equal(err.scope, ERR_MAILBOX);
        store_gone_assert(&work, "NULL", GONE);
        folders_work_fini(&folders);
        target_free(turn.target);
        imap_client_end(&client);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, store_fixture_setup, store_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_answers),
        CASE(test_busy_meanwhile),
        CASE(test_lists_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
