/*
 * What becomes of messages that are gone, against a real server: begun, held, allowed, refused, there again, removed; the
 * plans that hold them; and that each happens once, also when a COMMIT or its answer is lost, and never without the lease.
 */
#include "base/str.h"
#include "store/store_breaker.h"
#include "store/store_plan.h"
#include "store_gone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err err;

#define ROWS                                                                                                 \
    "SELECT GROUP_CONCAT(source_uid, ':', removal, IF(plan_id IS NULL, '', '+') ORDER BY source_uid "        \
    "SEPARATOR ' ') FROM message WHERE source_uid IS NOT NULL"
#define SETS                                                                                                 \
    "SELECT GROUP_CONCAT(plan_id, ':', message_id, ':', outcome ORDER BY plan_id, message_id SEPARATOR ' "   \
    "') "                                                                                                    \
    "FROM plan_message"
#define PLANS                                                                                                \
    "SELECT GROUP_CONCAT(plan_id, ':', state, IF(ended_at IS NULL, '', '.') ORDER BY plan_id SEPARATOR ' "   \
    "') "                                                                                                    \
    "FROM plan"

static uint64_t id_of(const struct store_gone_work *work, uint32_t source_uid)
{
    return (uint64_t)store_fixture_number(work->fixture,
                                          "SELECT message_id FROM message WHERE source_uid = %u", source_uid);
}

/* 3 there (UIDs 1 to 3) and 32 gone (4 to 35), held as plan 1: message ids are the UIDs. */
static struct store_gone_work hold(struct store_fixture *fixture)
{
    struct store_gone_work work = store_gone_begin(fixture, 1);
    store_gone_add(&work, work.inbox, 3, -1);
    store_gone_add(&work, work.inbox, 32, 400);
    struct store_removal_answer answer = store_gone_ask(&work, 300);
    assert_int_equal(answer.verdict, STORE_REMOVAL_HELD);
    assert_int_equal(answer.plan_id, 1);
    assert_int_equal(answer.held, 32);
    /* Two are enough to look at. */
    store_fixture_sql(fixture, "DELETE FROM message WHERE source_uid > 5");
    store_fixture_sql(fixture, "DELETE FROM plan_message WHERE message_id > 5");
    store_gone_assert(&work, "1:none 2:none 3:none 4:held+ 5:held+", ROWS);
    return work;
}

static void decide(const struct store_gone_work *work, bool allow)
{
    const struct store_plan_decision decision = {.allow = allow, .who = "anna", .reason = "as it is"};
    enum store_plan_decided decided;
    char state[STORE_PLAN_STATE_BYTES];
    ASSERT_OK(store_plan_decide(work->fixture->store, 1, &decision, &decided, state, &err));
    assert_int_equal(decided, STORE_PLAN_DECIDED);
}

static bool begin_allowed(const struct store_gone_work *work, const uint64_t *ids, size_t count)
{
    bool begun = false;
    ASSERT_OK(
        store_removal_begin_allowed(work->fixture->store, &work->claim.lease, ids, count, &begun, &err));
    return begun;
}

static void settle(const struct store_gone_work *work)
{
    ASSERT_OK(store_removal_settle_plans(work->fixture->store, &work->claim.lease, &err));
}

static double write_seq(const struct store_gone_work *work)
{
    return store_fixture_number(work->fixture, "SELECT SUM(write_seq) FROM mirror");
}

/* ---- reading ---- */

static void test_list(void **state)
{
    struct store_gone *gone;
    size_t count;
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(*state);
    store_gone_add(&work, work.greetings, 1, 10);
    store_fixture_sql(
        *state,
        "UPDATE message SET target_uid = NULL, source_uid = NULL, altered = 1, target_size = 90, "
        "internal_date = 17 WHERE folder_id = %llu",
        (unsigned long long)work.greetings);
    decide(&work, true);
    ASSERT_OK(store_removal_list(work.fixture->store, work.claim.lease.mirror_id, &gone, &count, &err));
    assert_int_equal(count, 3);
    assert_int_equal(gone[0].folder_id, work.inbox);
    assert_int_equal(gone[0].source_uid, 4);
    assert_int_equal(gone[0].target_uid, 4);
    assert_int_equal(gone[0].copy_bytes, 100);
    assert_int_equal(gone[0].removal, STORE_REMOVAL_ON_HOLD);
    assert_true(gone[0].allowed);
    assert_false(gone[0].altered);
    assert_in_range(gone[0].gone_seconds, 400, 410);
    assert_int_equal(gone[1].target_uid, 5);
    assert_int_equal(gone[2].folder_id, work.greetings);
    assert_int_equal(gone[2].source_uid + gone[2].target_uid, 0);
    assert_int_equal(gone[2].copy_bytes, 90);
    assert_int_equal(gone[2].internal_date, 17);
    assert_true(gone[2].altered);
    assert_int_equal(gone[2].removal, STORE_REMOVAL_NONE);
    assert_false(gone[2].allowed);
    free(gone);
    ASSERT_OK(store_removal_list(work.fixture->store, 77, &gone, &count, &err));
    assert_int_equal(count, 0);
    free(gone);
}

static void test_present_and_mirrored(void **state)
{
    uint32_t *uids;
    size_t count;
    bool empty;
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    ASSERT_OK(store_removal_is_empty(work.fixture->store, work.inbox, &empty, &err));
    assert_true(empty);
    store_gone_add(&work, work.inbox, 3, -1);
    store_gone_add(&work, work.inbox, 2, 10);
    store_fixture_sql(*state, "UPDATE message SET source_uid = NULL WHERE source_uid = 1");
    store_fixture_sql(*state, "UPDATE message SET target_uid = NULL WHERE source_uid = 2");
    ASSERT_OK(store_removal_present(work.fixture->store, work.inbox, &uids, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(uids[0], 2);
    assert_int_equal(uids[1], 3);
    free(uids);
    ASSERT_OK(store_removal_mirrored(work.fixture->store, work.inbox, &uids, &count, &err));
    assert_int_equal(count, 4);
    assert_int_equal(uids[0], 1);
    assert_int_equal(uids[1], 3);
    assert_int_equal(uids[3], 5);
    free(uids);
    ASSERT_OK(store_removal_is_empty(work.fixture->store, work.inbox, &empty, &err));
    assert_false(empty);
}

/* ---- begun ---- */

static void test_begun_and_ended(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    store_gone_add(&work, work.inbox, 2, -1);
    store_gone_add(&work, work.inbox, 1, 400);
    store_gone_add(&work, work.inbox, 1, 10);
    assert_int_equal(store_gone_ask(&work, 300).verdict, STORE_REMOVAL_GO);
    store_gone_assert(&work, "1:none 2:none 3:begun 4:none", ROWS);
    store_gone_assert(&work, "1 1 1",
                      "SELECT CONCAT(COUNT(*), ' ', SUM(messages), ' ', SUM(counted)) FROM removal");
    /* Only what is gone: never a row that is there. */
    const uint64_t ids[] = {id_of(&work, 1), id_of(&work, 3)};
    ASSERT_OK(store_removal_end(work.fixture->store, &work.claim.lease, ids, 2, &err));
    store_gone_assert(&work, "1:none 2:none 4:none", ROWS);
}

/* What is there by now is not begun, whatever the copier believes. */
static void test_not_begun_if_there(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    struct store_removal_answer answer;
    store_gone_add(&work, work.inbox, 2, -1);
    const uint64_t ids[] = {id_of(&work, 1), id_of(&work, 2)};
    const struct store_removal_request request = {
        .route = &work.fixture->routes[0], .proven = ids, .proven_count = 2};
    ASSERT_OK(store_removal_ask(work.fixture->store, &work.claim.lease, &request, &answer, &err));
    store_gone_assert(&work, "1:none 2:none", ROWS);
}

static void test_back(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(*state);
    const uint64_t ids[] = {id_of(&work, 4)};
    ASSERT_OK(store_removal_back(work.fixture->store, &work.claim.lease, ids, 1, &err));
    store_gone_assert(&work, "1:none 2:none 3:none 4:none 5:held+", ROWS);
    store_gone_assert(&work, "1:4:back 1:5:open", SETS);
    store_gone_assert(&work, "4", "SELECT COUNT(*) FROM message WHERE source_gone_at IS NULL");
    settle(&work);
    store_gone_assert(&work, "1:held", PLANS);
}

/* UIDs that name strangers by now: what was begun is judged again, what was allowed stays so. */
static void test_lost_sight(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(*state);
    decide(&work, true);
    store_gone_add(&work, work.inbox, 1, 400);
    store_fixture_sql(*state, "UPDATE message SET removal = 'begun' WHERE source_uid > 4");
    const uint64_t ids[] = {id_of(&work, 4), id_of(&work, 5), id_of(&work, 6)};
    ASSERT_OK(store_removal_lost_sight(work.fixture->store, &work.claim.lease, ids, 3, &err));
    store_gone_assert(&work, "1:none 2:none 3:none 4:held+ 5:held+ 6:none", ROWS);
    store_gone_assert(&work, "3", "SELECT COUNT(*) FROM message WHERE target_uid IS NULL");
}

static void test_doubt_target(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    store_fixture_sql(*state,
                      "UPDATE folder SET source_uidnext = 9, target_uidvalidity = 7, target_uidnext = 9, "
                      "target_exists = 8, target_highestmodseq = 70");
    ASSERT_OK(store_removal_doubt_target(work.fixture->store, &work.claim.lease, work.inbox, &err));
    store_gone_assert(&work, "INBOX 9 7",
                      "SELECT CONCAT(name, ' ', source_uidnext, ' ', target_uidvalidity) FROM folder WHERE "
                      "target_uidnext IS NULL AND target_exists IS NULL AND target_highestmodseq IS NULL");
}

/* ---- plans ---- */

/* Allowed ones are begun once, and end as done with their last message. */
static void test_allowed(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(*state);
    const uint64_t ids[] = {id_of(&work, 4), id_of(&work, 5)};
    assert_true(begin_allowed(&work, ids, 2));
    store_gone_assert(&work, "1:none 2:none 3:none 4:held+ 5:held+", ROWS); /* not yet */
    decide(&work, true);
    store_gone_add(&work, work.inbox, 1, 400); /* never added to the plan */
    const uint64_t all[] = {ids[0], ids[1], id_of(&work, 6)};
    assert_true(begin_allowed(&work, all, 3));
    store_gone_assert(&work, "1:none 2:none 3:none 4:begun+ 5:begun+ 6:none", ROWS);
    store_gone_assert(&work, "0", "SELECT COUNT(*) FROM removal"); /* with a person's word */
    ASSERT_OK(store_removal_end(work.fixture->store, &work.claim.lease, ids, 1, &err));
    settle(&work);
    store_gone_assert(&work, "1:allowed", PLANS);
    ASSERT_OK(store_removal_end(work.fixture->store, &work.claim.lease, ids + 1, 1, &err));
    settle(&work);
    store_gone_assert(&work, "1:done.", PLANS);
    store_gone_assert(&work, "1:4:removed 1:5:removed", SETS);
}

static void test_refused_is_kept(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(*state);
    decide(&work, false);
    settle(&work);
    store_gone_assert(&work, "1:none 2:none 3:none 4:kept+ 5:kept+", ROWS);
    store_gone_assert(&work, "1:refused.", PLANS);
    store_gone_assert(&work, "1:4:kept 1:5:kept", SETS);
    const uint64_t ids[] = {id_of(&work, 4), id_of(&work, 5)};
    assert_true(begin_allowed(&work, ids, 2));
    store_gone_add(&work, work.inbox, 20, -1);
    store_gone_add(&work, work.inbox, 1, 400);
    assert_int_equal(store_gone_ask(&work, 300).verdict, STORE_REMOVAL_GO);
    store_gone_assert(&work, "1 2",
                      "SELECT CONCAT(SUM(removal = 'begun'), ' ', SUM(removal = 'kept')) FROM message");
}

/* No plan open: nothing is written (I7). */
static void test_settled_without_writing(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(*state);
    const uint64_t ids[] = {id_of(&work, 4), id_of(&work, 5)};
    ASSERT_OK(store_removal_back(work.fixture->store, &work.claim.lease, ids, 2, &err));
    settle(&work);
    store_gone_assert(&work, "1:dissolved.", PLANS);
    double before = write_seq(&work);
    settle(&work);
    assert_true(write_seq(&work) == before);
}

/* Another UIDVALIDITY: nothing of a plan is proven any more. It shrinks, and what is still gone begins anew. */
static void test_uidvalidity_changed(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(*state);
    decide(&work, true);
    ASSERT_OK(
        store_folder_forget_uids(work.fixture->store, &work.claim.lease, work.inbox, STORE_SOURCE, 8, &err));
    store_gone_assert(&work, "1:4:back 1:5:back", SETS);
    settle(&work);
    store_gone_assert(&work, "1:done.", PLANS);
    store_gone_assert(&work, "2",
                      "SELECT COUNT(*) FROM message WHERE removal = 'none' AND plan_id IS NULL AND "
                      "source_gone_at > UTC_TIMESTAMP(6) - INTERVAL 5 SECOND");
    struct store_removal_answer answer = store_gone_ask(&work, 300);
    assert_int_equal(answer.verdict, STORE_REMOVAL_HELD);
    assert_int_equal(answer.held, 2);
    assert_string_equal(answer.reason,
                        "2 messages are gone since the folder was made anew (UIDVALIDITY changed)");
}

/* One of a held plan is in a listing again, as a pass writes it. */
static void test_plan_shrinks_in_a_pass(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(*state);
    struct store_message *rows;
    size_t count;
    ASSERT_OK(store_message_list(work.fixture->store, work.inbox, &rows, &count, &err));
    assert_int_equal(rows[3].removal, STORE_REMOVAL_ON_HOLD);
    rows[3].source_gone = false;
    struct store_change change = {
        .folder_id = work.inbox, .messages = &rows[3], .message_count = 2, .retry_seconds = 60};
    ASSERT_OK(store_folder_commit(work.fixture->store, &work.claim.lease, &change, &err));
    store_message_list_free(rows, count);
    store_gone_assert(&work, "1:none 2:none 3:none 4:none 5:held+", ROWS);
    store_gone_assert(&work, "1:4:back 1:5:open", SETS);
}

/* ---- the breaker ---- */

static void test_tripped_stops_all(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(*state);
    const uint64_t ids[] = {id_of(&work, 4)};
    bool tripped;
    decide(&work, true);
    store_gone_add(&work, work.inbox, 20, -1);
    store_gone_add(&work, work.inbox, 1, 400);
    ASSERT_OK(store_breaker_trip(work.fixture->store, "production", "test", &tripped, &err));
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(store_gone_ask(&work, 300).verdict, STORE_REMOVAL_TRIPPED);
        assert_false(begin_allowed(&work, ids, 1));
        store_fixture_sql(*state, "UPDATE plan SET state = 'refused' WHERE kind = 'site'");
    }
    store_gone_assert(&work, "0", "SELECT COUNT(*) FROM message WHERE removal = 'begun'");
    store_gone_assert(&work, "0", "SELECT COUNT(*) FROM removal");
    store_fixture_sql(*state, "UPDATE plan SET state = 'done' WHERE kind = 'site'");
    assert_true(begin_allowed(&work, ids, 1));
    store_gone_assert(&work, "1", "SELECT COUNT(*) FROM message WHERE removal = 'begun'");
}

/* ---- folders ---- */

static bool drop(const struct store_gone_work *work)
{
    bool dropped = false;
    ASSERT_OK(
        store_removal_drop_folder(work->fixture->store, &work->claim.lease, work->greetings, &dropped, &err));
    return dropped;
}

static void test_drop_folder(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 2), other = store_gone_begin_next(&work);
    assert_false(drop(&work)); /* not gone */
    store_gone_add(&work, work.greetings, 1, -1);
    ASSERT_OK(store_folder_set_gone(work.fixture->store, &work.claim.lease, work.greetings, true, &err));
    assert_false(drop(&work)); /* a message */
    store_fixture_sql(*state, "DELETE FROM message");
    struct store_intent intent = {.folder_id = work.greetings, .source_uid = 1, .flags = (char[]){""}};
    ASSERT_OK(store_intent_add(work.fixture->store, &work.claim.lease, &intent, 1, &err));
    assert_false(drop(&work)); /* an intent */
    store_fixture_sql(*state, "UPDATE intent SET state = 'ghost'");
    assert_false(drop(&work)); /* a ghost */
    store_fixture_sql(*state, "DELETE FROM intent");
    other.greetings = work.greetings;
    assert_false(drop(&other)); /* another mirror's */
    assert_true(drop(&work));
    assert_false(drop(&work));
    store_gone_assert(&work, "3", "SELECT COUNT(*) FROM folder");
}

/* With its folder a message is gone; with a folder that is back it may not go before another second look. */
static void test_folder_gone_and_back(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(*state);
    store_gone_add(&work, work.inbox, 1, 200);
    ASSERT_OK(store_folder_set_gone(work.fixture->store, &work.claim.lease, work.inbox, true, &err));
    store_gone_assert(&work, "6", "SELECT COUNT(*) FROM message WHERE source_gone_at IS NOT NULL");
    store_fixture_sql(*state, "UPDATE message SET source_gone_at = source_gone_at - INTERVAL 400 SECOND");
    ASSERT_OK(store_folder_set_gone(work.fixture->store, &work.claim.lease, work.inbox, false, &err));
    store_gone_assert(
        &work, "1 2 3 6",
        "SELECT GROUP_CONCAT(source_uid ORDER BY 1 SEPARATOR ' ') FROM message WHERE source_gone_at > "
        "UTC_TIMESTAMP(6) - INTERVAL 5 SECOND");
    store_gone_assert(&work, "1:none 2:none 3:none 4:held+ 5:held+ 6:none", ROWS);
}

static void test_tidy(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    for (int days = 34; days <= 36; days++)
        store_fixture_sql(*state,
                          "INSERT INTO removal (route_id, mirror_id, at, messages, counted) VALUES (1, 1, "
                          "UTC_TIMESTAMP(6) - INTERVAL %d DAY, %d, 0)",
                          days, days);
    ASSERT_OK(store_removal_tidy(work.fixture->store, &err));
    store_gone_assert(&work, "34", "SELECT GROUP_CONCAT(messages) FROM removal");
}

/* ---- once, and under the lease ---- */

/* Whether the COMMIT got lost or its answer: carried out once. */
static void test_once(void **state)
{
    static const enum store_proxy_mode modes[] = {STORE_PROXY_DROP_COMMIT, STORE_PROXY_DROP_ANSWER};
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    store_gone_add(&work, work.inbox, 9, -1);
    for (unsigned i = 0; i < 2; i++) {
        struct store_removal_answer answer;
        store_gone_add(&work, work.inbox, 2, 400);
        store_fixture_proxy(*state, modes[i]);
        ASSERT_OK(store_gone_try_ask(&work, 300, &answer, &err));
        assert_int_equal(answer.verdict, STORE_REMOVAL_GO);
    }
    store_gone_assert(&work, "2 4", "SELECT CONCAT(COUNT(*), ' ', SUM(counted)) FROM removal");
    store_gone_assert(&work, "4", "SELECT COUNT(*) FROM message WHERE removal = 'begun'");
    for (unsigned i = 0; i < 2; i++) {
        store_gone_add(&work, work.inbox, 31, 400);
        store_fixture_proxy(*state, modes[i]);
        struct store_removal_answer answer = store_gone_ask(&work, 300);
        assert_int_equal(answer.verdict, STORE_REMOVAL_HELD);
        assert_int_equal(answer.held, 31);
        assert_int_equal(answer.plan_id, store_fixture_number(*state, "SELECT MAX(plan_id) FROM plan"));
    }
    store_gone_assert(&work, "2 62 62",
                      "SELECT CONCAT(COUNT(*), ' ', SUM(messages), ' ', (SELECT COUNT(*) FROM "
                      "plan_message)) FROM plan");
}

/* A deadlock in the middle: the whole is done again, and counted once. */
static void test_conflict(void **state)
{
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = store_gone_begin(*state, 1);
    store_gone_add(&work, work.inbox, 9, -1);
    store_gone_add(&work, work.inbox, 2, 400);
    store_fixture_sql(*state, "CREATE TABLE fuse (id INT PRIMARY KEY, burnt INT) ENGINE = MyISAM");
    store_fixture_sql(*state, "INSERT INTO fuse VALUES (1, 0)");
    store_fixture_sql(*state, "CREATE TRIGGER deadlock AFTER UPDATE ON message FOR EACH ROW BEGIN "
                              "IF (SELECT burnt FROM fuse) = 1 THEN UPDATE fuse SET burnt = 2; "
                              "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; "
                              "ELSE UPDATE fuse SET burnt = burnt + 1; END IF; END");
    assert_int_equal(store_gone_ask(&work, 300).verdict, STORE_REMOVAL_GO);
    store_gone_assert(&work, "1", "SELECT burnt >= 3 FROM fuse");
    store_gone_assert(&work, "1 2", "SELECT CONCAT(COUNT(*), ' ', SUM(counted)) FROM removal");
    store_gone_assert(&work, "2", "SELECT COUNT(*) FROM message WHERE removal = 'begun'");
}

typedef int writing(const struct store_gone_work *work, const uint64_t *id);

static int write_back(const struct store_gone_work *work, const uint64_t *id)
{
    return store_removal_back(work->fixture->store, &work->claim.lease, id, 1, &err);
}
static int write_end(const struct store_gone_work *work, const uint64_t *id)
{
    return store_removal_end(work->fixture->store, &work->claim.lease, id, 1, &err);
}
static int write_lost_sight(const struct store_gone_work *work, const uint64_t *id)
{
    return store_removal_lost_sight(work->fixture->store, &work->claim.lease, id, 1, &err);
}
static int write_ask(const struct store_gone_work *work, const uint64_t *id)
{
    struct store_removal_answer answer;
    (void)id;
    return store_gone_try_ask(work, 300, &answer, &err);
}
static int write_begin(const struct store_gone_work *work, const uint64_t *id)
{
    bool begun;
    int result = store_removal_begin_allowed(work->fixture->store, &work->claim.lease, id, 1, &begun, &err);
    assert_false(begun);
    return result;
}
static int write_doubt(const struct store_gone_work *work, const uint64_t *id)
{
    (void)id;
    return store_removal_doubt_target(work->fixture->store, &work->claim.lease, work->inbox, &err);
}
static int write_settle(const struct store_gone_work *work, const uint64_t *id)
{
    (void)id;
    return store_removal_settle_plans(work->fixture->store, &work->claim.lease, &err);
}
static int write_drop(const struct store_gone_work *work, const uint64_t *id)
{
    bool dropped;
    int result =
        store_removal_drop_folder(work->fixture->store, &work->claim.lease, work->greetings, &dropped, &err);
    (void)id;
    assert_false(dropped);
    return result;
}

/* All that is to be seen, in one text. */
static char *everything(const struct store_gone_work *work)
{
    return store_fixture_text(
        work->fixture,
        "SELECT CONCAT_WS('|', (" ROWS "), (" SETS "), (" PLANS "), (SELECT COUNT(*) FROM removal), (SELECT "
        "GROUP_CONCAT(COALESCE(target_uidnext, 0)) FROM folder), (SELECT COUNT(target_uid) FROM message), "
        "(SELECT CONCAT(left_messages, ' ', going_messages, ' ', write_seq) FROM mirror))");
}

static void test_lost_lease_writes_nothing(void **state)
{
    static writing *const writings[] = {write_back,  write_end,   write_lost_sight, write_ask,
                                        write_begin, write_doubt, write_settle,     write_drop};
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(*state);
    uint64_t id = id_of(&work, 4);
    decide(&work, true);
    store_gone_add(&work, work.inbox, 1, 400);
    store_fixture_sql(*state, "UPDATE folder SET source_gone_at = UTC_TIMESTAMP(6), target_uidnext = 7");
    work.claim.lease.epoch++;
    char *before = everything(&work);
    for (size_t i = 0; i < sizeof(writings) / sizeof(*writings); i++) {
        err_clear(&err);
        if (writings[i](&work, &id) != -1 || !store_err_is_lease_lost(&err))
            fail_msg("writing %zu: %s", i, err.text);
        char *after = everything(&work);
        assert_string_equal(after, before);
        free(after);
    }
    free(before);
}

/* ---- among many ---- */

static double rows_read(const struct store_gone_work *work, const char *table)
{
    double rows =
        store_fixture_number(work->fixture,
                             "SELECT COALESCE(SUM(ROWS_READ), 0) FROM information_schema.TABLE_STATISTICS "
                             "WHERE TABLE_SCHEMA = '%s' AND TABLE_NAME = '%s'",
                             work->fixture->database, table);
    return rows;
}

/* One mirror's deletions read neither others' messages nor the plans of years. */
static void test_reads_its_own(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    struct store_gone_work work = hold(fixture);
    store_fixture_sql(
        fixture, "INSERT INTO message (folder_id, source_uid, target_uid, state, internal_date, size_bytes, "
                 "flags_written, flags_refused, source_gone_at) SELECT 100 + seq DIV 20, seq, seq, "
                 "'mirrored', 1772525645, 100, '', '', UTC_TIMESTAMP(6) FROM seq_1_to_20000");
    store_fixture_sql(fixture,
                      "INSERT INTO plan (kind, state, site_id, route_id, mirror_id, reason, made_at) SELECT "
                      "'mailbox', 'refused', 1, 1, 1000 + seq, '', UTC_TIMESTAMP(6) - INTERVAL 3 DAY FROM "
                      "seq_1_to_5000");
    store_fixture_sql(fixture, "ANALYZE TABLE message, plan, plan_message");
    store_fixture_sql(fixture, "SET GLOBAL userstat = 1");
    double messages = rows_read(&work, "message"), plans = rows_read(&work, "plan");
    decide(&work, false);
    settle(&work);
    store_gone_add(&work, work.inbox, 31, 400);
    assert_int_equal(store_gone_ask(&work, 300).verdict, STORE_REMOVAL_HELD);
    ASSERT_OK(store_folder_forget_uids(fixture->store, &work.claim.lease, work.inbox, STORE_SOURCE, 8, &err));
    settle(&work);
    messages = rows_read(&work, "message") - messages;
    plans = rows_read(&work, "plan") - plans;
    assert_true(messages > 0 && plans > 0);
    if (messages > 2000 || plans > 200)
        fail_msg("%.0f rows of messages read, %.0f of plans", messages, plans);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, store_fixture_setup, store_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_list),
        CASE(test_present_and_mirrored),
        CASE(test_begun_and_ended),
        CASE(test_not_begun_if_there),
        CASE(test_back),
        CASE(test_lost_sight),
        CASE(test_doubt_target),
        CASE(test_allowed),
        CASE(test_refused_is_kept),
        CASE(test_settled_without_writing),
        CASE(test_uidvalidity_changed),
        CASE(test_plan_shrinks_in_a_pass),
        CASE(test_tripped_stops_all),
        CASE(test_drop_folder),
        CASE(test_folder_gone_and_back),
        CASE(test_tidy),
        cmocka_unit_test_setup_teardown(test_once, store_fixture_setup_proxy, store_fixture_teardown),
        CASE(test_conflict),
        CASE(test_lost_lease_writes_nothing),
        CASE(test_reads_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
