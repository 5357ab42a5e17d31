/*
 * What the copier records, against a real server: folders, messages, intents; and what happens when the connection or the
 * answer to a COMMIT is lost.
 */
#include "base/str.h"
#include "store/store_folder.h"
#include "store/store_look.h"
#include "store/store_loss.h"
#include "store/store_mailbox.h"
#include "store/store_query.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err err;
static char seen[] = "\\Seen", greeting_on[] = "$CNS-Greeting-On", nothing[] = "";

struct work {
    struct store_fixture *fixture;
    struct store_claim claim;
    uint64_t folder_id;
};

/* A claimed mirror with an INBOX. */
static struct work begin(struct store_fixture *fixture)
{
    struct work work = {.fixture = fixture};
    store_fixture_mailboxes(fixture, 1, "dr");
    ASSERT_OK(store_mirror_claim(fixture->store, &fixture->config, "host:copier:1:1:1", &work.claim, &err));
    ASSERT_OK(store_folder_add(fixture->store, &work.claim.lease, "INBOX", "Eingang", &work.folder_id, &err));
    return work;
}

static struct store_message make_message(uint32_t source_uid, uint32_t target_uid)
{
    struct store_message message = {.source_uid = source_uid,
                                    .target_uid = target_uid,
                                    .state = STORE_MESSAGE_MIRRORED,
                                    .internal_date = 1772525645,
                                    .size_bytes = 68000,
                                    .has_digest = true,
                                    .flags_written = seen,
                                    .flags_refused = nothing};
    memset(message.raw_sha256, (int)source_uid, DIGEST_BYTES);
    memset(message.normal_sha256, (int)source_uid + 1, DIGEST_BYTES);
    return message;
}

static int commit(const struct work *work, struct store_message *messages, size_t count)
{
    struct store_change change = {
        .folder_id = work->folder_id, .messages = messages, .message_count = count, .retry_seconds = 60};
    return store_folder_commit(work->fixture->store, &work->claim.lease, &change, &err);
}

static double count_of(const struct work *work, const char *table)
{
    return store_fixture_number(work->fixture, "SELECT COUNT(*) FROM %s", table);
}

/* ---- folders ---- */

static void test_marks(void **state)
{
    struct store_folder_marks marks = {.has_source = true,
                                       .has_flags_digest = true,
                                       .has_target = true,
                                       .source_uidvalidity = 4000000000U,
                                       .source_uidnext = 12,
                                       .source_exists = 11,
                                       .source_unseen = 3,
                                       .target_uidvalidity = 5,
                                       .target_uidnext = 6};
    struct store_folder *folders;
    size_t count;
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    struct store *store = work.fixture->store;
    memset(marks.source_flags_digest, 0xab, DIGEST_BYTES);
    ASSERT_OK(store_folder_set_marks(store, &work.claim.lease, work.folder_id, &marks, 4, &err));
    ASSERT_OK(store_folder_list(store, work.claim.lease.mirror_id, &folders, &count, &err));
    assert_int_equal(count, 1);
    assert_string_equal(folders[0].name, "INBOX");
    assert_string_equal(folders[0].target_name, "Eingang");
    assert_memory_equal(&folders[0].marks, &marks, sizeof(marks));
    assert_int_equal(folders[0].foreign_messages, 4);
    assert_false(folders[0].source_gone);
    store_folder_list_free(folders, count);
    uint64_t again;
    ASSERT_OK(store_folder_add(store, &work.claim.lease, "INBOX", "other", &again, &err));
    assert_int_equal(again, work.folder_id);
    ASSERT_OK(store_folder_rename(store, &work.claim.lease, work.folder_id, "Old", "Alt", &err));
    ASSERT_OK(store_folder_set_gone(store, &work.claim.lease, work.folder_id, true, &err));
    ASSERT_OK(store_folder_list(store, work.claim.lease.mirror_id, &folders, &count, &err));
    assert_string_equal(folders[0].name, "Old");
    assert_true(folders[0].source_gone);
    store_folder_list_free(folders, count);
}

static void test_long_and_odd_names(void **state)
{
    char long_name[1102];
    uint64_t id, other;
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    memset(long_name, 'x', sizeof(long_name));
    long_name[1101] = '\0';
    assert_int_equal(store_folder_add(work.fixture->store, &work.claim.lease, long_name, "a", &id, &err), -1);
    assert_int_equal(err.scope, ERR_FOLDER);
    long_name[1000] = '\0';
    ASSERT_OK(store_folder_add(work.fixture->store, &work.claim.lease, long_name, long_name, &id, &err));
    ASSERT_OK(store_folder_add(work.fixture->store, &work.claim.lease, "inbox ", "'; DROP TABLE folder; --",
                               &id, &err));
    ASSERT_OK(store_folder_add(work.fixture->store, &work.claim.lease, "inbox", "\xff\xfe", &other, &err));
    assert_int_not_equal(id, other); /* names are bytes */
    assert_int_equal((int)count_of(&work, "folder"), 4);
}

static void test_forget_uids(void **state)
{
    struct store_folder_marks marks = {.has_source = true,
                                       .has_target = true,
                                       .source_uidvalidity = 1,
                                       .target_uidvalidity = 2,
                                       .target_uidnext = 9};
    struct store_folder *folders;
    struct store_message *messages;
    size_t count;
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    struct store *store = work.fixture->store;
    struct store_message rows[] = {make_message(1, 101), make_message(2, 102)};
    ASSERT_OK(commit(&work, rows, 2));
    ASSERT_OK(store_folder_set_marks(store, &work.claim.lease, work.folder_id, &marks, 0, &err));
    ASSERT_OK(store_folder_forget_uids(store, &work.claim.lease, work.folder_id, STORE_TARGET, 77, &err));
    ASSERT_OK(store_message_list(store, work.folder_id, &messages, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(messages[0].source_uid, 1);
    assert_int_equal(messages[0].target_uid, 0);
    store_message_list_free(messages, count);
    ASSERT_OK(store_folder_list(store, work.claim.lease.mirror_id, &folders, &count, &err));
    assert_false(folders[0].marks.has_target);
    assert_int_equal(folders[0].marks.target_uidvalidity, 77);
    assert_true(folders[0].marks.has_source);
    store_folder_list_free(folders, count);
    ASSERT_OK(store_folder_forget_uids(store, &work.claim.lease, work.folder_id, STORE_SOURCE, 78, &err));
    assert_true(store_fixture_number(work.fixture, "SELECT COUNT(*) FROM message WHERE source_uid IS NULL") ==
                2);
}

/* Counted for each message; forgotten with the UIDs of its side. */
static void test_losses(void **state)
{
    struct store_loss *losses;
    size_t count;
    bool found;
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    struct store *store = work.fixture->store;
    struct store_loss loss = {.kind = STORE_LOSS_APPEND, .uid = 7, .losses = 1, .error = "the server closed"};
    ASSERT_OK(store_loss_set(store, &work.claim.lease, work.folder_id, &loss, &err));
    loss.losses = 2;
    ASSERT_OK(store_loss_set(store, &work.claim.lease, work.folder_id, &loss, &err));
    loss.kind = STORE_LOSS_TARGET;
    ASSERT_OK(store_loss_set(store, &work.claim.lease, work.folder_id, &loss, &err));
    loss.uid = 8;
    ASSERT_OK(store_loss_set(store, &work.claim.lease, work.folder_id, &loss, &err));
    loss.losses = 0;
    ASSERT_OK(store_loss_set(store, &work.claim.lease, work.folder_id, &loss, &err));
    assert_int_equal((int)count_of(&work, "loss"), 2);
    ASSERT_OK(store_folder_forget_uids(store, &work.claim.lease, work.folder_id, STORE_TARGET, 77, &err));
    ASSERT_OK(store_loss_list(store, work.folder_id, &losses, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(losses[0].kind, STORE_LOSS_APPEND);
    assert_int_equal(losses[0].uid, 7);
    assert_int_equal(losses[0].losses, 2);
    assert_string_equal(losses[0].error, "the server closed");
    free(losses);
    ASSERT_OK(store_mailbox_remove(store, "1001", &found, &err));
    assert_int_equal((int)count_of(&work, "loss"), 0);
}

/* ---- messages ---- */

static void test_messages_come_back_as_written(void **state)
{
    struct store_message *messages;
    size_t count;
    char *long_flags = mem_new(50001);
    if (!*state)
        free(long_flags);
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    struct store_message rows[] = {make_message(20, 5), make_message(10, 0), make_message(0, 7)};
    memset(long_flags, 'k', 50000);
    rows[0].flags_written = long_flags; /* far over the first size of a column's buffer */
    rows[1].state = STORE_MESSAGE_REFUSED;
    rows[1].error = (char[]){"NO [OVERQUOTA] full"};
    rows[1].fail_count = 3;
    rows[2].altered = rows[2].source_gone = rows[2].has_target_size = rows[2].has_target_digest = true;
    rows[2].target_size = UINT64_C(5000000000);
    rows[2].internal_date = -1;
    ASSERT_OK(commit(&work, rows, 3));
    assert_true(rows[0].message_id && rows[2].message_id > rows[0].message_id);
    ASSERT_OK(store_message_list(work.fixture->store, work.folder_id, &messages, &count, &err));
    assert_int_equal(count, 3);
    assert_int_equal(messages[0].source_uid, 10); /* by UID, NULLs last */
    assert_int_equal(messages[0].state, STORE_MESSAGE_REFUSED);
    assert_string_equal(messages[0].error, "NO [OVERQUOTA] full");
    assert_false(messages[0].try_due);
    assert_int_equal(messages[0].fail_count, 3);
    assert_string_equal(messages[1].flags_written, long_flags);
    assert_null(messages[1].error);
    assert_memory_equal(messages[1].raw_sha256, rows[0].raw_sha256, DIGEST_BYTES);
    assert_int_equal(messages[2].source_uid, 0);
    assert_true(messages[2].altered && messages[2].source_gone && messages[2].has_target_digest);
    assert_int_equal(messages[2].target_size, UINT64_C(5000000000));
    assert_int_equal(messages[2].internal_date, -1);
    assert_false(messages[2].has_header_digest);
    store_message_list_free(messages, count);
    free(long_flags);
}

static void test_rows_exchange_uids(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    struct store_message rows[] = {make_message(1, 101), make_message(2, 102), make_message(3, 103)};
    ASSERT_OK(commit(&work, rows, 3));
    rows[0].target_uid = 102;
    rows[1].target_uid = 103;
    rows[2].target_uid = 101;
    rows[0].source_uid = 2;
    rows[1].source_uid = 1;
    ASSERT_OK(commit(&work, rows, 3));
    assert_true(store_fixture_number(work.fixture,
                                     "SELECT COUNT(*) FROM message WHERE target_uid = 100 + source_uid "
                                     "+ IF(source_uid = 3, -2, IF(source_uid = 2, 0, 2))") == 3);
}

/* Two rows for one target UID is our bug or the server's lie: refused, nothing of the batch stays, only the mailbox is
 * harmed. */
static void test_same_uid_twice_is_refused(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    struct store_message rows[] = {make_message(1, 101), make_message(2, 101)};
    assert_int_equal(commit(&work, rows, 2), -1);
    assert_int_equal(err.scope, ERR_MAILBOX);
    assert_int_equal(rows[0].message_id, 0);
    assert_int_equal((int)count_of(&work, "message"), 0);
    rows[1].target_uid = 102;
    ASSERT_OK(commit(&work, rows, 2));
}

static void test_folder_of_another_mirror(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    struct store_message row = make_message(1, 101);
    work.folder_id += 1;
    assert_int_equal(commit(&work, &row, 1), -1);
    assert_int_equal(err.scope, ERR_MAILBOX);
    assert_int_equal((int)count_of(&work, "message"), 0);
}

/* ---- intents ---- */

static void add_intents(const struct work *work, struct store_intent intents[3])
{
    for (uint32_t i = 0; i < 3; i++) {
        intents[i] = (struct store_intent){.folder_id = work->folder_id,
                                           .source_uidvalidity = 9,
                                           .source_uid = i + 1,
                                           .size_bytes = 100 + i,
                                           .flags = greeting_on,
                                           .target_uidvalidity = 3,
                                           .target_uidnext = 50};
        memset(intents[i].header_sha256, (int)i, DIGEST_BYTES);
    }
    ASSERT_OK(store_intent_add(work->fixture->store, &work->claim.lease, intents, 3, &err));
}

static void test_intents_are_settled(void **state)
{
    struct store_intent intents[3], *found;
    struct store_folder *folders;
    size_t count;
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    add_intents(&work, intents);
    struct store_message row = make_message(1, 50);
    struct store_change change = {.folder_id = work.folder_id,
                                  .messages = &row,
                                  .message_count = 1,
                                  .intents_gone = &intents[0].intent_id,
                                  .intents_gone_count = 1,
                                  .intents_ghost = &intents[1].intent_id,
                                  .intents_ghost_count = 1,
                                  .late_command_minutes = 10};
    ASSERT_OK(store_folder_commit(work.fixture->store, &work.claim.lease, &change, &err));
    ASSERT_OK(store_folder_list(work.fixture->store, work.claim.lease.mirror_id, &folders, &count, &err));
    assert_int_equal(folders[0].open_intents, 1);
    assert_int_equal(folders[0].ghosts, 1);
    store_folder_list_free(folders, count);
    ASSERT_OK(store_intent_list(work.fixture->store, work.folder_id, &found, &count, &err));
    assert_int_equal(count, 2);
    assert_true(found[0].ghost && !found[0].ghost_over && !found[1].ghost);
    assert_string_equal(found[0].flags, "$CNS-Greeting-On");
    assert_memory_equal(found[1].header_sha256, intents[2].header_sha256, DIGEST_BYTES);
    assert_int_equal(found[1].target_uidnext, 50);
    store_intent_list_free(found, count);
    store_fixture_sql(work.fixture, "UPDATE intent SET ghost_until = UTC_TIMESTAMP(6) WHERE state = 'ghost'");
    ASSERT_OK(store_intent_list(work.fixture->store, work.folder_id, &found, &count, &err));
    assert_true(found[0].ghost_over);
    store_intent_list_free(found, count);
}

enum { LISTED = 150 };

/* Just those that are named, whatever the length of the list: of `count` intents and rows the first ones. */
static void check_list(struct work *work, size_t count)
{
    struct store_message *rows = mem_new(LISTED * sizeof(*rows));
    struct store_intent *intents = mem_new(LISTED * sizeof(*intents));
    uint64_t ids[LISTED];
    store_fixture_sql(work->fixture, "DELETE FROM message");
    store_fixture_sql(work->fixture, "DELETE FROM intent");
    for (uint32_t i = 0; i < LISTED; i++) {
        rows[i] = make_message(i + 1, 1000 + i);
        rows[i].has_target_size = false;
        intents[i] = (struct store_intent){.folder_id = work->folder_id, .source_uid = i + 1};
    }
    ASSERT_OK(commit(work, rows, LISTED));
    ASSERT_OK(store_intent_add(work->fixture->store, &work->claim.lease, intents, LISTED, &err));
    for (size_t i = 0; i < count; i++)
        ids[i] = intents[i].intent_id;
    struct store_change change = {.folder_id = work->folder_id,
                                  .messages = rows,
                                  .message_count = count,
                                  .as_sent = true,
                                  .intents_gone = ids,
                                  .intents_gone_count = count};
    ASSERT_OK(store_folder_commit(work->fixture->store, &work->claim.lease, &change, &err));
    assert_int_equal((int)store_fixture_number(work->fixture, "SELECT MIN(source_uid) FROM intent"),
                     count + 1);
    assert_int_equal((int)count_of(work, "intent"), LISTED - count);
    assert_int_equal(
        (int)store_fixture_number(work->fixture,
                                  "SELECT SUM(source_uid <= %zu) * 1000 + COUNT(*) FROM message WHERE "
                                  "target_size = size_bytes",
                                  count),
        count * 1001);
    free(rows);
    free(intents);
}

static void test_lists_of_any_length(void **state)
{
    static const size_t counts[] = {1, 2, 4, 5, 16, 17, 40, 64, 65, 149};
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
        check_list(&work, counts[i]);
}

/* ---- lost connections ---- */

static void test_killed_connections(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    for (uint32_t i = 1; i <= 5; i++) {
        struct store_message row = make_message(i, 100 + i);
        store_fixture_kill_connections(work.fixture);
        ASSERT_OK(commit(&work, &row, 1));
        store_fixture_kill_connections(work.fixture);
        ASSERT_OK(store_ping(work.fixture->store, &err));
    }
    assert_int_equal((int)count_of(&work, "message"), 5);
}

/* As a deadlock of a locking read does: it has its number, and is not taken for silence. */
static void test_error_in_place_of_a_row(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    store_fixture_mailboxes(work.fixture, 2, "dr");
    assert_null(
        STORE_ROWS(work.fixture->store, &err,
                   "SELECT (SELECT f.mirror_id FROM mirror f WHERE f.mirror_id >= m.mirror_id) FROM mirror m "
                   "WHERE m.mirror_id > ? ORDER BY m.mirror_id DESC",
                   bind_u64(0)));
    assert_non_null(strstr(err.text, "(1242)"));
    ASSERT_OK(store_ping(work.fixture->store, &err));
}

/* The COMMIT never arrived: read back as not done, and done again. */
static void test_lost_commit_is_repeated(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    struct store_message rows[] = {make_message(1, 101), make_message(2, 102)};
    store_fixture_proxy(work.fixture, STORE_PROXY_DROP_COMMIT);
    ASSERT_OK(commit(&work, rows, 2));
    assert_int_equal((int)count_of(&work, "message"), 2);
    assert_true(store_fixture_number(
                    work.fixture, "SELECT COUNT(*) FROM message WHERE message_id IN (%llu, %llu)",
                    (unsigned long long)rows[0].message_id, (unsigned long long)rows[1].message_id) == 2);
}

/* It was carried out, its answer was lost: read back as done, not done twice. */
static void test_lost_answer_is_read_back(void **state)
{
    struct store_intent intents[3];
    FIXTURE_OR_SKIP(state);
    struct work work = begin(*state);
    struct store_message row = make_message(1, 101);
    store_fixture_proxy(work.fixture, STORE_PROXY_DROP_ANSWER);
    ASSERT_OK(commit(&work, &row, 1));
    assert_int_equal((int)count_of(&work, "message"), 1);
    store_fixture_proxy(work.fixture, STORE_PROXY_DROP_ANSWER);
    add_intents(&work, intents);
    assert_int_equal((int)count_of(&work, "intent"), 3);
    store_fixture_proxy(work.fixture, STORE_PROXY_DROP_ANSWER);
    struct store_finish end = {.turn = STORE_TURN_YIELDED};
    ASSERT_OK(store_mirror_finish(work.fixture->store, &work.claim.lease, &end, &err));
    assert_true(store_fixture_number(work.fixture, "SELECT lease_owner IS NULL FROM mirror") > 0);
}

/* The same for a claim: found again by its epoch, or made anew. */
static void test_claim_with_a_lost_commit(void **state)
{
    const enum store_proxy_mode modes[] = {STORE_PROXY_DROP_ANSWER, STORE_PROXY_DROP_COMMIT};
    const int epochs[] = {1, 0};
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 2, "dr");
    for (int i = 0; i < 2; i++) {
        struct store_claim claim;
        store_fixture_proxy(fixture, modes[i]);
        ASSERT_OK(store_mirror_claim(fixture->store, &fixture->config, "host:copier:1:1:1", &claim, &err));
        assert_int_equal(claim.lease.epoch, epochs[i]);
        if (claim.lease.mirror_id)
            assert_string_equal(claim.mailbox, "1001");
    }
    struct store_claim claim;
    ASSERT_OK(store_mirror_claim(fixture->store, &fixture->config, "host:copier:1:1:1", &claim, &err));
    assert_string_equal(claim.mailbox, "1002");
    assert_false(claim.taken_over);
}

/* A write that carries no lease: said to be unknown, for the caller to read back. */
static void test_unknown_is_said(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_look looks[2];
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    store_fixture_proxy(fixture, STORE_PROXY_DROP_ANSWER);
    assert_int_equal(store_look_claim(fixture->store, "host:scanner:1:1:1", "production", 60, looks, 2, &err),
                     -1);
    assert_true(store_err_is_unknown(&err));
    assert_false(store_err_is_lease_lost(&err));
    assert_int_equal(err.scope, ERR_PROCESS);
    assert_int_equal(err.retry, ERR_RETRY_LATER);
    ASSERT_OK(store_ping(fixture->store, &err));
}

/* The database is away: an error in words, no crash, and back again when it is. */
static void test_away_and_back(void **state)
{
    struct store_fixture *fixture = *state;
    char path[128], hidden[140];
    FIXTURE_OR_SKIP(state);
    struct work work = begin(fixture);
    struct store_message row = make_message(1, 101);
    snprintf(path, sizeof(path), "%s/run-db/mariadb.sock", fixture->data_dir);
    snprintf(hidden, sizeof(hidden), "%s.away", path);
    assert_int_equal(rename(path, hidden), 0);
    store_fixture_kill_connections(fixture);
    assert_int_equal(commit(&work, &row, 1), -1);
    assert_int_equal(err.scope, ERR_PROCESS);
    assert_int_equal(err.retry, ERR_RETRY_LATER);
    assert_non_null(strstr(err.text, "store: "));
    assert_int_equal(store_ping(fixture->store, &err), -1);
    assert_int_equal(rename(hidden, path), 0);
    ASSERT_OK(commit(&work, &row, 1));
    assert_int_equal((int)count_of(&work, "message"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
#define TEST_PROXY(name)                                                                                     \
    cmocka_unit_test_setup_teardown(name, store_fixture_setup_proxy, store_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_marks),
        TEST(test_long_and_odd_names),
        TEST(test_forget_uids),
        TEST(test_losses),
        TEST(test_messages_come_back_as_written),
        TEST(test_rows_exchange_uids),
        TEST(test_same_uid_twice_is_refused),
        TEST(test_folder_of_another_mirror),
        TEST(test_intents_are_settled),
        TEST(test_lists_of_any_length),
        TEST(test_killed_connections),
        TEST(test_error_in_place_of_a_row),
        TEST(test_away_and_back),
        TEST_PROXY(test_lost_commit_is_repeated),
        TEST_PROXY(test_lost_answer_is_read_back),
        TEST_PROXY(test_claim_with_a_lost_commit),
        TEST_PROXY(test_unknown_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
