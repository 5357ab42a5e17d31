/*
 * The mirror's row as the queue, against a real server: order, exclusion, fencing, delays, what is raised meanwhile.
 */
#include "base/clock.h"
#include "base/str.h"
#include "store/store_mailbox.h"
#include "store/store_mirror.h"
#include "store/store_folder.h"
#include "store/store_look.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct err err;
static const char us[] = "host:copier:1:100:1", them[] = "host:copier:2:200:1";

static struct store_claim claim_as(struct store_fixture *fixture, struct store *store, const char *owner)
{
    struct store_claim claim;
    if (store_mirror_claim(store, &fixture->config, owner, &claim, &err))
        fail_msg("%s", err.text);
    return claim;
}

static void finish(struct store_fixture *fixture, const struct store_claim *claim, enum store_turn turn,
                   const struct err *why)
{
    static const struct store_mirror_figures figures = {.source_messages = 3};
    const struct store_finish end = {
        .turn = turn,
        .wanted_seq = claim->wanted_seq,
        .verify_wanted_seq = claim->verify_wanted_seq > claim->verify_done_seq ? claim->verify_wanted_seq : 0,
        .figures = turn == STORE_TURN_DONE ? &figures : NULL,
        .equal = true,
        .error = why};
    if (store_mirror_finish(fixture->store, &claim->lease, &end, &err))
        fail_msg("%s", err.text);
}

static double column(struct store_fixture *fixture, uint64_t mirror_id, const char *expression)
{
    return store_fixture_number(fixture, "SELECT %s FROM mirror WHERE mirror_id = %llu", expression,
                                (unsigned long long)mirror_id);
}

static void test_claim_and_done(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    int64_t before = clock_boot_ms();
    struct store_claim claim = claim_as(fixture, fixture->store, us);
    assert_string_equal(claim.mailbox, "1001");
    assert_string_equal(claim.route, "dr");
    assert_int_equal(claim.lease.epoch, 1);
    assert_int_equal(claim.wanted_seq, 1);
    assert_false(claim.taken_over);
    assert_in_range(claim.deadline_boot_ms - before, 119000, 121000);
    assert_int_equal(claim_as(fixture, fixture->other, them).lease.mirror_id, 0);
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    assert_int_equal(claim_as(fixture, fixture->other, them).lease.mirror_id, 0); /* I7: nothing is wanted */
    assert_true(
        column(fixture, claim.lease.mirror_id,
               "done_seq = 1 AND behind_since IS NULL AND proven_at IS NOT NULL AND lease_owner IS NULL AND "
               "priority = 5 AND pending = 0 AND equal AND source_messages = 3") > 0);
}

static void test_order_of_urgency(void **state)
{
    struct store_fixture *fixture = *state;
    const char *const expected[] = {"1003", "1004", "1001", "1002", "1005"};
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 6, "dr");
    store_fixture_sql(fixture, "UPDATE mirror SET due_at = '2020-01-01' + INTERVAL mirror_id SECOND");
    store_fixture_sql(fixture, "UPDATE mirror SET priority = 1 WHERE mirror_id IN (3, 4)");
    store_fixture_sql(fixture, "UPDATE mirror SET priority = 9 WHERE mirror_id = 5");
    store_fixture_sql(fixture, "UPDATE mirror SET priority = 0, due_at = UTC_TIMESTAMP() + INTERVAL 1 HOUR "
                               "WHERE mirror_id = 6"); /* not due */
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(claim_as(fixture, fixture->store, us).mailbox, expected[i]);
    assert_int_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, 0);
}

static void test_yield_lets_others_go_first(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 2, "dr");
    struct store_claim claim = claim_as(fixture, fixture->store, us);
    assert_string_equal(claim.mailbox, "1001");
    finish(fixture, &claim, STORE_TURN_YIELDED, NULL);
    assert_true(column(fixture, claim.lease.mirror_id, "behind_since IS NOT NULL AND done_seq = 0") > 0);
    claim = claim_as(fixture, fixture->store, us);
    assert_string_equal(claim.mailbox, "1002");
    claim = claim_as(fixture, fixture->store, us);
    assert_string_equal(claim.mailbox, "1001");
    assert_false(claim.taken_over);
}

/* Of those whose first copy has just been made: one that was looked at before, one that somebody asks for, one that failed. */
static void test_looks_just_after_the_first_copy(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_look looks[4];
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 4, "dr");
    store_fixture_sql(fixture, "UPDATE mirror SET done_seq = 1, proven_at = UTC_TIMESTAMP(6)");
    store_fixture_sql(fixture, "UPDATE look SET looked_at = UTC_TIMESTAMP(6) WHERE mailbox_id = 1");
    assert_int_equal(store_look_ask(fixture->store, "1002", &err), 1);
    store_fixture_sql(fixture, "UPDATE mirror SET fail_count = 1 WHERE mailbox_id = 3");
    assert_int_equal(store_look_claim(fixture->store, us, "production", 60, looks, 4, &err), 3);
    for (int i = 0; i < 3; i++)
        assert_string_not_equal(looks[i].mailbox, "1004");
}

/* What a dead scanner had in hand is due again for the next of its number, and for no other. */
static void test_looks_of_a_dead_scanner(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_look looks[4];
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 4, "dr");
    assert_int_equal(
        store_look_claim(fixture->store, "host:scanner:1:99:1", "production", 60, looks, 4, &err),
        0); /* the first copy looks for itself */
    store_fixture_sql(fixture, "UPDATE mirror SET done_seq = 1, proven_at = UTC_TIMESTAMP(6)");
    assert_int_equal(
        store_look_claim(fixture->store, "host:scanner:1:99:1", "production", 60, looks, 4, &err),
        0); /* and has just done so */
    store_fixture_sql(fixture, "UPDATE mirror SET proven_at = proven_at - INTERVAL 2 SECOND");
    assert_int_equal(
        store_look_claim(fixture->store, "host:scanner:1:100:1", "production", 60, looks, 2, &err), 2);
    assert_int_equal(
        store_look_claim(fixture->store, "host:scanner:11:101:1", "production", 60, looks, 2, &err), 2);
    assert_int_equal(store_look_inherit(fixture->store, "host:scanner:1:102:2", &err), 0);
    assert_int_equal(
        store_look_claim(fixture->store, "host:scanner:1:102:2", "production", 60, looks, 4, &err), 2);
    assert_int_equal(store_look_inherit(fixture->store, "host:scanner:1:102:2", &err), 0); /* its own stay */
    assert_int_equal(
        store_look_claim(fixture->store, "other:scanner:1:1:1", "production", 60, looks, 4, &err), 0);
}

/* Many workers, many mirrors: each is claimed once, none is missed. */
static void claim_all(struct store_fixture *fixture, const char *owner)
{
    struct store *store = store_open(&fixture->config, &err);
    struct store_claim claim;
    int empty = 0;
    while (store && empty < 20) {
        if (store_mirror_claim(store, &fixture->config, owner, &claim, &err)) {
            fprintf(stderr, "%s: %s\n", owner, err.text);
            _exit(1);
        }
        empty = claim.lease.mirror_id ? 0 : empty + 1;
        if (empty)
            usleep(10000);
    }
    _exit(store ? 0 : 1);
}

static void test_claims_exclude_each_other(void **state)
{
    struct store_fixture *fixture = *state;
    pid_t pids[4];
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 200, "dr");
    for (int i = 0; i < 4; i++) {
        char owner[32];
        snprintf(owner, sizeof(owner), "host:copier:%d:1:1", i);
        if ((pids[i] = fork()) == 0)
            claim_all(fixture, owner);
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;
        waitpid(pids[i], &status, 0);
        assert_int_equal(status, 0);
    }
    assert_true(store_fixture_number(fixture, "SELECT COUNT(*) FROM mirror WHERE lease_epoch = 1") == 200);
    assert_true(store_fixture_number(fixture, "SELECT COUNT(DISTINCT lease_owner) FROM mirror") > 1);
}

static void test_fencing(void **state)
{
    struct store_fixture *fixture = *state;
    uint64_t folder_id;
    int64_t deadline = 0;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    struct store_claim old = claim_as(fixture, fixture->store, us);
    assert_int_equal(store_folder_add(fixture->store, &old.lease, "INBOX", "INBOX", &folder_id, &err), 0);
    assert_int_equal(store_mirror_renew(fixture->store, &fixture->config, &old.lease, &deadline, &err), 0);
    assert_true(deadline > clock_boot_ms() + 119000);
    store_fixture_sql(fixture, "UPDATE mirror SET lease_until = UTC_TIMESTAMP() - INTERVAL 1 SECOND");
    /* Over, though nobody has taken it yet. */
    assert_int_equal(store_folder_set_gone(fixture->store, &old.lease, folder_id, true, &err), -1);
    assert_true(store_err_is_lease_lost(&err));
    assert_non_null(strstr(err.text, "its time is over"));
    assert_int_equal(store_mirror_renew(fixture->store, &fixture->config, &old.lease, &deadline, &err), -1);
    assert_true(store_err_is_lease_lost(&err));
    struct store_claim new = claim_as(fixture, fixture->other, them);
    assert_true(new.taken_over);
    assert_int_equal(new.lease.epoch, 2);
    struct store_finish end = {.turn = STORE_TURN_DONE, .wanted_seq = old.wanted_seq};
    assert_int_equal(store_mirror_finish(fixture->store, &old.lease, &end, &err), -1);
    assert_true(store_err_is_lease_lost(&err));
    assert_false(store_err_is_unknown(&err));
    assert_non_null(strstr(err.text, "another worker has it"));
    /* Each of the two tells it: of another epoch, or of another owner. */
    struct store_lease mixed = new.lease;
    mixed.epoch = old.lease.epoch;
    assert_int_equal(store_folder_set_gone(fixture->store, &mixed, folder_id, true, &err), -1);
    assert_non_null(strstr(err.text, "another worker has it"));
    mixed = old.lease;
    mixed.epoch = new.lease.epoch;
    assert_int_equal(store_folder_set_gone(fixture->store, &mixed, folder_id, true, &err), -1);
    assert_non_null(strstr(err.text, "another worker has it"));
    assert_int_equal(store_folder_set_gone(fixture->other, &new.lease, folder_id, true, &err), 0);
    bool found;
    assert_int_equal(store_mailbox_remove(fixture->store, "1001", &found, &err), 0);
    assert_int_equal(store_folder_set_gone(fixture->other, &new.lease, folder_id, false, &err), -1);
    assert_true(store_err_is_lease_lost(&err));
    assert_non_null(strstr(err.text, "it was removed"));
}

/* What a taken-over lease asks for stays asked until a pass is through, also over a failure and a yield. */
static void test_takeover_is_remembered(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    claim_as(fixture, fixture->store, us);
    store_fixture_sql(fixture, "UPDATE mirror SET lease_until = UTC_TIMESTAMP() - INTERVAL 1 SECOND");
    struct store_claim claim = claim_as(fixture, fixture->store, them);
    assert_true(claim.taken_over);
    finish(fixture, &claim, STORE_TURN_YIELDED, NULL);
    claim = claim_as(fixture, fixture->store, us);
    assert_true(claim.taken_over);
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    assert_int_equal(store_mirror_want(fixture->store, claim.lease.mirror_id, 1, &err), 0);
    assert_false(claim_as(fixture, fixture->store, us).taken_over);
}

static void test_growing_delay(void **state)
{
    struct store_fixture *fixture = *state;
    const struct err mailbox = {
        .scope = ERR_MAILBOX, .side = ERR_SIDE_TARGET, .text = "append: NO [OVERQUOTA] full"};
    double least = 1.4, most = 2.6;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    uint64_t id = 1;
    for (int i = 1; i <= 6; i++, least *= 2, most *= 2) {
        store_fixture_sql(fixture, "UPDATE mirror SET due_at = UTC_TIMESTAMP(6)");
        struct store_claim claim = claim_as(fixture, fixture->store, us);
        assert_int_equal(claim.fail_count, i - 1);
        finish(fixture, &claim, STORE_TURN_FAILED, &mailbox);
        double delay = column(fixture, id, "TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), next_try_at) / 1e6");
        assert_true(delay > least * 0.95 && delay < most);
        assert_true(column(fixture, id, "next_try_at = due_at") > 0);
    }
    assert_true(column(fixture, id,
                       "error LIKE 'append: NO%' AND error_scope = 'mailbox' AND error_side = 'target'"
                       " AND error_since < error_at") > 0);
    assert_int_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, 0);
    /* A look that sees a change does not shorten it, a person does. */
    assert_int_equal(store_mirror_want(fixture->store, id, 1, &err), 0);
    assert_int_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, 0);
    assert_int_equal(store_mailbox_want_sync(fixture->store, "1001", &err), 1);
    struct store_claim claim = claim_as(fixture, fixture->store, us);
    assert_int_equal(claim.priority, 0);
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    assert_true(column(fixture, id,
                       "fail_count = 0 AND error = '' AND error_since IS NULL AND next_try_at IS NULL "
                       "AND priority = 5") > 0);
}

/* A folder that fails again and again: what is new in the mailbox's other folders does not wait for it, or not long; but as
 * each look finds that folder new, it is not tried at each. */
static void test_a_folders_error_keeps_nothing_waiting(void **state)
{
    struct store_fixture *fixture = *state;
    const struct err folder = {.scope = ERR_FOLDER, .side = ERR_SIDE_TARGET, .text = "create: NO"};
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    struct store_claim claim = claim_as(fixture, fixture->store, us);
    finish(fixture, &claim, STORE_TURN_FAILED, &folder);
    assert_int_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, 0);
    assert_int_equal(store_mirror_want(fixture->store, claim.lease.mirror_id, 1, &err), 0);
    assert_int_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, 0);
    store_fixture_sql(fixture,
                      "UPDATE mirror SET fail_count = 30, due_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR");
    assert_int_equal(store_mirror_want(fixture->store, claim.lease.mirror_id, 1, &err), 0);
    assert_true(column(fixture, 1,
                       "due_at BETWEEN UTC_TIMESTAMP(6) + INTERVAL 8 SECOND AND "
                       "UTC_TIMESTAMP(6) + INTERVAL 10 SECOND") > 0);
    store_fixture_sql(fixture, "UPDATE mirror SET error_at = error_at - INTERVAL 10 SECOND");
    assert_int_equal(store_mirror_want(fixture->store, claim.lease.mirror_id, 1, &err), 0);
    assert_int_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, claim.lease.mirror_id);
}

static void test_seen_while_working_is_not_lost(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    store_fixture_sql(fixture, "UPDATE mirror SET done_seq = 1, wanted_seq = 2"); /* not its first copy */
    struct store_claim claim = claim_as(fixture, fixture->store, us);
    assert_int_equal(store_mirror_want(fixture->other, 1, 1, &err), 0);
    store_fixture_sql(fixture, "UPDATE mirror SET wanted_at = UTC_TIMESTAMP(6) - INTERVAL 7 SECOND, "
                               "behind_since = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR");
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    double lag = column(fixture, 1, "TIMESTAMPDIFF(MICROSECOND, behind_since, UTC_TIMESTAMP(6)) / 1e6");
    assert_true(lag >= 7 && lag < 30); /* since it was seen, not since the work that is done */
    claim = claim_as(fixture, fixture->store, us);
    assert_int_equal(claim.wanted_seq, 3);
    assert_int_equal(claim.priority, 1);
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    assert_true(column(fixture, 1, "behind_since IS NULL AND wanted_at IS NULL AND priority = 5") > 0);
}

/* To a look all of it is new, which asks for no second turn; a person may all the same. */
static void test_a_first_copy_is_raised_by_nobody_but_a_person(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 2, "dr");
    for (uint32_t priority = 0; priority < 2; priority++) {
        struct store_claim claim = claim_as(fixture, fixture->store, us);
        assert_int_equal(store_mirror_want(fixture->other, claim.lease.mirror_id, priority, &err), 0);
        finish(fixture, &claim, STORE_TURN_DONE, NULL);
        assert_int_equal(column(fixture, claim.lease.mirror_id, "wanted_seq > done_seq"), priority == 0);
        store_fixture_sql(fixture, "UPDATE mirror SET done_seq = wanted_seq WHERE done_seq > 0");
    }
}

static void test_verify_only_comes_last(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    struct store_claim claim = claim_as(fixture, fixture->store, us);
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    assert_int_equal(store_mailbox_want_verify(fixture->store, NULL, true, &err), 1);
    claim = claim_as(fixture, fixture->store, us);
    assert_int_equal(claim.priority, 9);
    assert_true(claim.verify_deep);
    assert_int_equal(claim.verify_wanted_seq, 1);
    assert_int_equal(claim.wanted_seq, claim.done_seq);
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    assert_true(column(fixture, 1,
                       "verify_done_seq = 1 AND NOT verify_deep AND verified_at IS NOT NULL "
                       "AND priority = 5 AND pending = 0") > 0);
}

static void test_paused_and_removed_routes(void **state)
{
    struct store_fixture *fixture = *state;
    bool found, waiting;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, NULL);
    assert_int_equal(store_route_pause(fixture->store, "dr", true, &found, &err), 0);
    assert_true(found);
    struct store_claim claim = claim_as(fixture, fixture->store, us);
    assert_string_equal(claim.route, "vault");
    assert_int_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, 0);
    assert_int_equal(store_mirror_is_more_urgent_waiting(fixture->store, 9, &waiting, &err), 0);
    assert_false(waiting);
    assert_int_equal(store_route_pause(fixture->store, "dr", false, &found, &err), 0);
    assert_int_equal(store_mirror_is_more_urgent_waiting(fixture->store, 9, &waiting, &err), 0);
    assert_true(waiting);
    assert_int_equal(store_mirror_is_more_urgent_waiting(fixture->store, 5, &waiting, &err), 0);
    assert_false(waiting);
    fixture->config.route_count = 0; /* a copier whose configuration does not have it */
    assert_int_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, 0);
    assert_int_equal(store_config_apply(fixture->store, &fixture->config, &err), 0);
    fixture->config.route_count = 2;
    assert_int_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, 0);
    assert_int_equal(store_config_apply(fixture->store, &fixture->config, &err), 0);
    assert_string_equal(claim_as(fixture, fixture->store, us).route, "dr");
    assert_int_equal(store_route_pause(fixture->store, "nowhere", true, &found, &err), 0);
    assert_false(found);
}

/* What has failed is not claimed while its site is left alone; what has not, is told why. */
static void test_routes_of_a_site_in_trouble(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 2, "dr");
    store_fixture_sql(fixture, "UPDATE mirror SET fail_count = 1, priority = 0 ORDER BY mirror_id LIMIT 1");
    store_fixture_sql(fixture,
                      "UPDATE site SET troubles = 1, cool_until = UTC_TIMESTAMP(6) + INTERVAL 9 SECOND "
                      "WHERE name = 'dr'");
    assert_string_equal(claim_as(fixture, fixture->store, us).mailbox, "1002");
    assert_int_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, 0);
    store_fixture_sql(fixture, "UPDATE site SET cool_until = UTC_TIMESTAMP(6), "
                               "probe_until = UTC_TIMESTAMP(6) + INTERVAL 9 SECOND WHERE name = 'dr'");
    assert_int_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, 0); /* somebody finds out */
    store_fixture_sql(fixture, "UPDATE site SET probe_until = NULL WHERE name = 'dr'");
    assert_string_equal(claim_as(fixture, fixture->store, us).mailbox, "1001");
}

static void test_recheck_and_ghosts_are_raised(void **state)
{
    struct store_fixture *fixture = *state;
    uint64_t folder_id;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 3, "dr");
    struct store_claim claim = claim_as(fixture, fixture->store, us), next;
    assert_int_equal(store_mirror_recheck_later(fixture->store, &claim.lease, 10, &err), 0);
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    next = claim_as(fixture, fixture->store, us);
    assert_int_equal(store_folder_add(fixture->store, &next.lease, "INBOX", "INBOX", &folder_id, &err), 0);
    struct store_intent intent = {.folder_id = folder_id, .source_uid = 1, .flags = (char[]){""}};
    assert_int_equal(store_intent_add(fixture->store, &next.lease, &intent, 1, &err), 0);
    struct store_change change = {.folder_id = folder_id,
                                  .intents_ghost = &intent.intent_id,
                                  .intents_ghost_count = 1,
                                  .late_command_minutes = 10};
    assert_int_equal(store_folder_commit(fixture->store, &next.lease, &change, &err), 0);
    finish(fixture, &next, STORE_TURN_DONE, NULL);
    next = claim_as(fixture, fixture->store, us); /* the third: nothing of the kind */
    finish(fixture, &next, STORE_TURN_DONE, NULL);
    assert_int_equal(store_mirror_want_periodic(fixture->store, &err), 0);
    store_fixture_sql(fixture,
                      "UPDATE mirror SET recheck_target_at = recheck_target_at - INTERVAL 601 SECOND, "
                      "claimed_at = claimed_at - INTERVAL 601 SECOND");
    store_fixture_sql(fixture, "UPDATE intent SET ghost_until = ghost_until - INTERVAL 601 SECOND");
    assert_int_equal(store_mirror_want_periodic(fixture->store, &err), 2);
    assert_int_equal(store_mirror_want_periodic(fixture->store, &err), 0);
    claim = claim_as(fixture, fixture->store, us);
    assert_true(claim.recheck_target);
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    assert_true(column(fixture, 1, "recheck_target_at IS NULL AND behind_since IS NULL") > 0);
    claim = claim_as(fixture, fixture->store, us);
    assert_false(claim.recheck_target);
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    /* The second's folder was not worked on: its ghost stays, and raises nothing again. */
    assert_int_equal(store_mirror_want_periodic(fixture->store, &err), 0);
}

/* What the target refused is tried again when its time has come, also if nothing else happens; once. */
static void test_refused_messages_are_raised(void **state)
{
    struct store_fixture *fixture = *state;
    uint64_t folder_id;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    struct store_claim claim = claim_as(fixture, fixture->store, us);
    assert_int_equal(store_folder_add(fixture->store, &claim.lease, "INBOX", "INBOX", &folder_id, &err), 0);
    struct store_message message = {.source_uid = 7,
                                    .state = STORE_MESSAGE_REFUSED,
                                    .fail_count = 1,
                                    .flags_written = (char[]){""},
                                    .flags_refused = (char[]){""}};
    struct store_change change = {
        .folder_id = folder_id, .messages = &message, .message_count = 1, .retry_seconds = 60};
    assert_int_equal(store_folder_commit(fixture->store, &claim.lease, &change, &err), 0);
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    assert_int_equal(store_mirror_want_periodic(fixture->store, &err), 0);
    store_fixture_sql(fixture, "UPDATE message SET next_try_at = next_try_at - INTERVAL 61 SECOND");
    store_fixture_sql(fixture, "UPDATE mirror SET claimed_at = claimed_at - INTERVAL 61 SECOND");
    assert_int_equal(store_mirror_want_periodic(fixture->store, &err), 1);
    claim = claim_as(fixture, fixture->store, us);
    finish(fixture, &claim, STORE_TURN_DONE, NULL);
    assert_int_equal(store_mirror_want_periodic(fixture->store, &err), 0);
}

static void test_due_is_pushed_once_in_five_seconds(void **state)
{
    struct store_fixture *fixture = *state;
    struct store_due due[4];
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 3, "dr");
    assert_int_equal(store_mirror_due(fixture->store, due, 2, &err), 2);
    assert_string_equal(due[0].mailbox, "1001");
    assert_string_equal(due[0].route, "dr");
    assert_int_equal(due[0].wanted_seq, 1);
    assert_false(due[0].verify_only);
    assert_int_equal(store_mirror_due(fixture->other, due, 4, &err), 1);
    assert_int_equal(store_mirror_due(fixture->store, due, 4, &err), 0);
    store_fixture_sql(fixture, "UPDATE mirror SET pushed_at = pushed_at - INTERVAL 6 SECOND");
    assert_int_equal(store_mirror_due(fixture->store, due, 4, &err), 3);
    claim_as(fixture, fixture->store, us);
    store_fixture_sql(fixture, "UPDATE mirror SET pushed_at = NULL");
    assert_int_equal(store_mirror_due(fixture->store, due, 4, &err), 2);
}

/* The claim reads a range of the queue's index in its order: no sort, no idle rows. */
static void test_claim_uses_the_index(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    store_fixture_mailboxes(fixture, 1, "dr");
    store_fixture_sql(fixture,
                      "INSERT INTO mirror (mailbox_id, route_id, wanted_seq, done_seq, due_at) "
                      "SELECT 10 + seq, 1, 7, IF(seq %% 100, 7, 6), UTC_TIMESTAMP(6) FROM seq_1_to_20000");
    store_fixture_sql(fixture, "ANALYZE TABLE mirror");
    char *plan =
        store_fixture_text(fixture, "EXPLAIN FORMAT=JSON SELECT m.mirror_id FROM mirror m FORCE INDEX "
                                    "(queue) WHERE m.pending = 1 AND m.priority IN "
                                    "(0, 1, 2, 3, 4, 5, 6, 7, 8, 9) AND m.due_at <= UTC_TIMESTAMP(6) AND "
                                    "(m.lease_until IS NULL OR m.lease_until <= "
                                    "UTC_TIMESTAMP(6)) AND FIND_IN_SET(m.route_id, '1,2') ORDER BY "
                                    "m.priority, m.due_at LIMIT 1 FOR UPDATE");
    assert_non_null(strstr(plan, "\"access_type\": \"range\""));
    assert_non_null(strstr(plan, "\"key\": \"queue\""));
    assert_non_null(strstr(plan, "\"used_key_parts\": [\"pending\", \"priority\", \"due_at\"]"));
    assert_null(strstr(plan, "filesort"));
    free(plan);
    int64_t before = clock_boot_ms();
    for (int i = 0; i < 200; i++)
        assert_int_not_equal(claim_as(fixture, fixture->store, us).lease.mirror_id, 0);
    print_message("200 claims of 20,000 mirrors: %lld ms\n", (long long)(clock_boot_ms() - before));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_claim_and_done),
        TEST(test_order_of_urgency),
        TEST(test_yield_lets_others_go_first),
        TEST(test_claims_exclude_each_other),
        TEST(test_looks_just_after_the_first_copy),
        TEST(test_looks_of_a_dead_scanner),
        TEST(test_fencing),
        TEST(test_takeover_is_remembered),
        TEST(test_growing_delay),
        TEST(test_a_folders_error_keeps_nothing_waiting),
        TEST(test_a_first_copy_is_raised_by_nobody_but_a_person),
        TEST(test_seen_while_working_is_not_lost),
        TEST(test_verify_only_comes_last),
        TEST(test_paused_and_removed_routes),
        TEST(test_routes_of_a_site_in_trouble),
        TEST(test_recheck_and_ghosts_are_raised),
        TEST(test_refused_messages_are_raised),
        TEST(test_due_is_pushed_once_in_five_seconds),
        TEST(test_claim_uses_the_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
