/*
 * A site's shared budget and its login gate, against a real server.
 */
#include "base/str.h"
#include "store/store_site.h"
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
static const char us[] = "host:copier:1:100:1", them[] = "other:copier:1:100:1";

static struct store_admission_answer admit_with(struct store_fixture *fixture, const char *owner,
                                                const char *mailbox, uint64_t secret)
{
    const struct store_admission_request request = {.site = &fixture->sites[0],
                                                    .mailbox = mailbox,
                                                    .owner = owner,
                                                    .purpose = "copier",
                                                    .secret_version = secret,
                                                    .session_seconds = 120};
    struct store_admission_answer answer;
    ASSERT_OK(store_site_admit(fixture->store, &request, &answer, &err));
    return answer;
}

static struct store_admission_answer admit(struct store_fixture *fixture, const char *owner,
                                           const char *mailbox)
{
    return admit_with(fixture, owner, mailbox, 7);
}

/* answer: 'a'ccepted, 'r'efused, 'n'ot asked. Returns whether that stopped the site. */
static bool answer_login(struct store_fixture *fixture, const char *owner, const char *mailbox,
                         const struct store_admission_answer *admitted, char answer)
{
    const struct store_login_result result = {.site = &fixture->sites[0],
                                              .owner = owner,
                                              .mailbox = *admitted->probe_mailbox ? admitted->probe_mailbox
                                                                                  : mailbox,
                                              .probe = admitted->admission == STORE_ADMIT_PROBE,
                                              .accepted = answer == 'a',
                                              .refused = answer == 'r',
                                              .words = answer == 'a' ? "" : "NO wrong secret",
                                              .server_words = "Message store ready."};
    bool stopped;
    ASSERT_OK(store_site_login_result(fixture->store, &result, &stopped, &err));
    if (admitted->session_id)
        ASSERT_OK(store_site_session_release(fixture->store, admitted->session_id, true, &err));
    return stopped;
}

/* One whole login; the admission it got. */
static enum store_admission log_in(struct store_fixture *fixture, const char *mailbox, char answer,
                                   bool *stopped_out)
{
    struct store_admission_answer admitted = admit(fixture, us, mailbox);
    *stopped_out = false;
    if (admitted.admission == STORE_ADMIT_GO || admitted.admission == STORE_ADMIT_PROBE)
        *stopped_out = answer_login(fixture, us, mailbox, &admitted, answer);
    return admitted.admission;
}

static double site(struct store_fixture *fixture, const char *expression)
{
    return store_fixture_number(fixture, "SELECT %s FROM site WHERE name = 'production'", expression);
}

static void count_site(void *context, const struct store_site_status *status)
{
    if (str_equal(status->name, "production"))
        *(struct store_site_status *)context = *status;
}

static struct store_site_status status_of(struct store_fixture *fixture)
{
    struct store_site_status status = {0};
    ASSERT_OK(store_site_list(fixture->store, count_site, &status, &err));
    return status;
}

/* ---- the gate ---- */

static void test_first_logins_go_one_by_one(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    struct store_admission_answer first = admit(fixture, us, "1001");
    assert_int_equal(first.admission, STORE_ADMIT_GO);
    assert_true(first.session_id > 0);
    struct store_admission_answer second = admit(fixture, them, "1002");
    assert_int_equal(second.admission, STORE_ADMIT_WAIT);
    assert_in_range(second.wait_ms, 100, 2000);
    assert_int_equal(admit(fixture, us, "1003").admission, STORE_ADMIT_WAIT); /* also of the same process */
    answer_login(fixture, us, "1001", &first, 'a');
    assert_int_equal(admit(fixture, them, "1002").admission, STORE_ADMIT_GO);
    assert_int_equal(admit(fixture, us, "1003").admission, STORE_ADMIT_GO);
    assert_string_equal(status_of(fixture).login_state, "proven");
    assert_true(site(fixture, "server_words = 'Message store ready.'") > 0);
    ASSERT_OK(store_config_apply(fixture->store, &fixture->config, &err)); /* since start */
    assert_string_equal(status_of(fixture).login_state, "unproven");
}

/* Of a healthy site that says what it always says, a login leaves no trace but who was let in last. */
static void test_login_of_a_healthy_site(void **state)
{
    struct store_fixture *fixture = *state;
    bool stopped;
    FIXTURE_OR_SKIP(state);
    assert_int_equal(log_in(fixture, "1001", 'a', &stopped), STORE_ADMIT_GO);
    store_fixture_sql(fixture, "UPDATE site SET error_at = '2001-01-01', next_login_at = '2001-01-01'");
    assert_int_equal(log_in(fixture, "1002", 'a', &stopped), STORE_ADMIT_GO);
    assert_true(site(fixture, "error_at = '2001-01-01' AND last_good_mailbox = '1002'") > 0);
    store_fixture_sql(fixture, "UPDATE site SET server_words = 'Other words.', next_login_at = '2001-01-01'");
    assert_int_equal(log_in(fixture, "1002", 'a', &stopped), STORE_ADMIT_GO);
    assert_true(site(fixture, "error_at IS NULL AND server_words = 'Message store ready.'") > 0);
    store_fixture_sql(fixture, "UPDATE site SET error = 'of before', next_login_at = '2001-01-01'");
    assert_int_equal(log_in(fixture, "1002", 'a', &stopped), STORE_ADMIT_GO);
    assert_true(site(fixture, "error = ''") > 0);
}

static void test_gate_of_a_dead_holder(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    assert_int_equal(admit(fixture, us, "1001").admission, STORE_ADMIT_GO);
    assert_int_equal(admit(fixture, "host:copier:11:100:1", "1001").admission, STORE_ADMIT_WAIT);
    assert_int_equal(admit(fixture, "host:copier:1:101:2", "1001").admission,
                     STORE_ADMIT_GO); /* its successor */
    assert_int_equal(admit(fixture, them, "1001").admission, STORE_ADMIT_WAIT);
    store_fixture_sql(fixture, "UPDATE site SET probe_until = UTC_TIMESTAMP(6)");
    assert_int_equal(admit(fixture, them, "1001").admission, STORE_ADMIT_GO);
}

/* A killed holder's successor frees the gate for all as it starts, also if it never asks itself. */
static void test_gate_of_the_dead_is_inherited(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    assert_int_equal(admit(fixture, us, "1001").admission, STORE_ADMIT_GO);
    ASSERT_OK(store_site_inherit(fixture->store, us, &err));
    ASSERT_OK(store_site_inherit(fixture->store, them, &err));
    ASSERT_OK(store_site_inherit(fixture->store, "host:copier:11:101:2", &err));
    assert_int_equal(admit(fixture, them, "1002").admission, STORE_ADMIT_WAIT);
    ASSERT_OK(store_site_inherit(fixture->store, "host:copier:1:101:2", &err));
    assert_int_equal(admit(fixture, them, "1002").admission, STORE_ADMIT_GO);
}

static void test_wrong_secret_is_tried_three_times(void **state)
{
    struct store_fixture *fixture = *state;
    int tries = 0, stops = 0;
    bool stopped;
    FIXTURE_OR_SKIP(state);
    log_in(fixture, "1000", 'a', &stopped);
    for (int i = 1; i <= 50; i++) {
        char mailbox[16];
        snprintf(mailbox, sizeof(mailbox), "%d", 1000 + i);
        enum store_admission admission = log_in(fixture, mailbox, 'r', &stopped);
        tries += admission != STORE_ADMIT_STOPPED;
        stops += stopped;
    }
    assert_int_equal(tries, 3);
    assert_int_equal(stops, 1);
    struct store_site_status status = status_of(fixture);
    assert_string_equal(status.login_state, "stopped");
    assert_string_equal(status.error, "NO wrong secret");
    assert_in_range(status.stopped_seconds, 890, 900);
    assert_int_equal(status.sessions, 0);
    struct store_admission_answer answer = admit(fixture, them, "1001");
    assert_int_equal(answer.admission, STORE_ADMIT_STOPPED);
    assert_in_range(answer.stopped_seconds, 890, 900);
    assert_string_equal(answer.error, "NO wrong secret");
    ASSERT_OK(store_config_apply(fixture->store, &fixture->config, &err)); /* a restart does not open it */
    assert_int_equal(admit(fixture, us, "1001").admission, STORE_ADMIT_STOPPED);
}

/* Workers of several hosts at once, all with the wrong secret: still three tries. */
static void refuse_everything(struct store_fixture *fixture, int worker)
{
    char owner[40];
    int tries = 0;
    snprintf(owner, sizeof(owner), "host%d:copier:1:1:1", worker);
    fixture->store = store_open(&fixture->config, &err);
    for (int i = 0; fixture->store && i < 400; i++) {
        char mailbox[16];
        snprintf(mailbox, sizeof(mailbox), "%d", 1000 + i);
        struct store_admission_answer admitted = admit(fixture, owner, mailbox);
        if (admitted.admission == STORE_ADMIT_STOPPED)
            break;
        if (admitted.admission == STORE_ADMIT_WAIT) {
            usleep(2000);
            continue;
        }
        tries++;
        usleep(5000);
        answer_login(fixture, owner, mailbox, &admitted, 'r');
    }
    _exit(tries);
}

static void test_wrong_secret_over_all_hosts(void **state)
{
    struct store_fixture *fixture = *state;
    pid_t pids[4];
    int tries = 0;
    FIXTURE_OR_SKIP(state);
    for (int i = 0; i < 4; i++)
        if ((pids[i] = fork()) == 0)
            refuse_everything(fixture, i);
    for (int i = 0; i < 4; i++) {
        int status = 0;
        waitpid(pids[i], &status, 0);
        tries += WEXITSTATUS(status);
    }
    assert_int_equal(tries, 3);
    assert_string_equal(status_of(fixture).login_state, "stopped");
}

static void test_three_wrong_mailboxes_of_a_healthy_site(void **state)
{
    struct store_fixture *fixture = *state;
    bool stopped;
    FIXTURE_OR_SKIP(state);
    log_in(fixture, "1000", 'a', &stopped);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(log_in(fixture, "1001", 'r', &stopped), STORE_ADMIT_GO);
        assert_int_equal(log_in(fixture, "1002", 'r', &stopped), STORE_ADMIT_GO);
        struct store_admission_answer third = admit(fixture, us, "1003");
        assert_int_equal(third.admission, STORE_ADMIT_PROBE);
        assert_string_equal(third.probe_mailbox, "1000");
        assert_false(answer_login(fixture, us, "1003", &third, 'a'));
    }
    assert_string_equal(status_of(fixture).login_state, "proven");
    assert_string_equal(status_of(fixture).error, "");
}

static void test_test_mailbox_is_the_probe(void **state)
{
    struct store_fixture *fixture = *state;
    char *boxes[] = {(char[]){"9001"}};
    bool stopped;
    FIXTURE_OR_SKIP(state);
    fixture->sites[0].test_mailboxes = (struct config_strings){.items = boxes, .count = 1};
    log_in(fixture, "1001", 'r', &stopped);
    log_in(fixture, "1002", 'r', &stopped);
    struct store_admission_answer third = admit(fixture, us, "1003");
    assert_int_equal(third.admission, STORE_ADMIT_PROBE);
    assert_string_equal(third.probe_mailbox, "9001");
    assert_true(answer_login(fixture, us, "1003", &third, 'r'));
}

static void test_new_secret_reopens(void **state)
{
    struct store_fixture *fixture = *state;
    bool stopped;
    FIXTURE_OR_SKIP(state);
    for (int i = 0; i < 3; i++)
        log_in(fixture, "1001", 'r', &stopped);
    assert_true(stopped);
    /* Another host's first sight of its file says nothing, nor does an old version again. */
    assert_int_equal(admit_with(fixture, them, "1001", 99).admission, STORE_ADMIT_STOPPED);
    assert_int_equal(admit_with(fixture, us, "1001", 7).admission, STORE_ADMIT_STOPPED);
    struct store_admission_answer answer = admit_with(fixture, us, "1001", 8);
    assert_int_equal(answer.admission, STORE_ADMIT_GO);
    assert_string_equal(status_of(fixture).error, "");
    answer_login(fixture, us, "1001", &answer, 'r');
    answer =
        admit_with(fixture, us, "1002", 7); /* a process that has not read the new one: begins nothing anew */
    answer_login(fixture, us, "1002", &answer, 'r');
    answer = admit_with(fixture, us, "1003", 8);
    assert_int_equal(answer.admission, STORE_ADMIT_PROBE);
    assert_true(answer_login(fixture, us, "1003", &answer, 'r'));
}

static void test_retry_time(void **state)
{
    struct store_fixture *fixture = *state;
    bool stopped;
    FIXTURE_OR_SKIP(state);
    for (int i = 0; i < 3; i++)
        log_in(fixture, "1001", 'r', &stopped);
    store_fixture_sql(fixture, "UPDATE site SET stopped_until = UTC_TIMESTAMP(6)");
    assert_int_equal(log_in(fixture, "1001", 'r', &stopped), STORE_ADMIT_PROBE);
    assert_true(stopped); /* one single try */
    assert_int_equal(admit(fixture, us, "1001").admission, STORE_ADMIT_STOPPED);
    store_fixture_sql(fixture, "UPDATE site SET stopped_until = UTC_TIMESTAMP(6)");
    assert_int_equal(log_in(fixture, "1001", 'a', &stopped), STORE_ADMIT_PROBE);
    assert_int_equal(log_in(fixture, "1002", 'a', &stopped), STORE_ADMIT_GO);
    assert_string_equal(status_of(fixture).login_state, "proven");
    assert_int_equal(status_of(fixture).stopped_seconds, 0);
}

static void test_unreachable_site_cools(void **state)
{
    struct store_fixture *fixture = *state;
    bool stopped;
    FIXTURE_OR_SKIP(state);
    assert_int_equal(log_in(fixture, "1001", 'n', &stopped), STORE_ADMIT_GO);
    struct store_admission_answer answer = admit(fixture, us, "1002");
    assert_int_equal(answer.admission, STORE_ADMIT_WAIT);
    assert_in_range(answer.wait_ms, 500, 1300);
    assert_string_equal(answer.error, "NO wrong secret"); /* nobody need wait */
    for (int i = 0; i < 3; i++) {
        store_fixture_sql(fixture, "UPDATE site SET cool_until = UTC_TIMESTAMP(6)");
        log_in(fixture, "1001", 'n', &stopped);
    }
    assert_in_range(admit(fixture, us, "1002").wait_ms, 7000, 8300);
    assert_true(site(fixture, "refusals = 0 AND login_state = 'unproven'") > 0);
    /* Also one that was proven before is tried by one for all. */
    store_fixture_sql(fixture, "UPDATE site SET cool_until = UTC_TIMESTAMP(6), login_state = 'proven'");
    struct store_admission_answer first = admit(fixture, us, "1001");
    assert_int_equal(first.admission, STORE_ADMIT_GO);
    answer = admit(fixture, them, "1002");
    assert_int_equal(answer.admission, STORE_ADMIT_WAIT);
    assert_string_equal(answer.error, "NO wrong secret");
    answer_login(fixture, us, "1001", &first, 'n');
    store_fixture_sql(fixture, "UPDATE site SET cool_until = UTC_TIMESTAMP(6)");
    log_in(fixture, "1001", 'a', &stopped);
    assert_int_equal(admit(fixture, us, "1002").admission, STORE_ADMIT_GO);
}

/* "Not now" to one mailbox: neither a proof nor a trouble, and the gate is free again. */
static void test_postponed(void **state)
{
    struct store_fixture *fixture = *state;
    bool stopped;
    FIXTURE_OR_SKIP(state);
    struct store_admission_answer answer = admit(fixture, us, "1001");
    const struct store_login_result result = {
        .site = &fixture->sites[0], .owner = us, .mailbox = "1001", .postponed = true, .words = "NO [INUSE]"};
    assert_int_equal(answer.admission, STORE_ADMIT_GO);
    assert_int_equal(admit(fixture, them, "1002").admission, STORE_ADMIT_WAIT);
    ASSERT_OK(store_site_login_result(fixture->store, &result, &stopped, &err));
    assert_true(site(fixture, "login_state = 'unproven' AND troubles = 0 AND refusals = 0 AND error = ''") >
                0);
    assert_int_equal(admit(fixture, them, "1002").admission, STORE_ADMIT_GO);
}

/* ---- the budget ---- */

static void prove(struct store_fixture *fixture)
{
    bool stopped;
    assert_int_equal(log_in(fixture, "1000", 'a', &stopped), STORE_ADMIT_GO);
}

static void test_sessions_are_counted(void **state)
{
    struct store_fixture *fixture = *state;
    uint64_t sessions[4];
    bool alive;
    FIXTURE_OR_SKIP(state);
    prove(fixture);
    for (int i = 0; i < 4; i++) {
        struct store_admission_answer answer = admit(fixture, i % 2 ? us : them, "1001");
        assert_int_equal(answer.admission, STORE_ADMIT_GO);
        sessions[i] = answer.session_id;
    }
    assert_int_equal(status_of(fixture).sessions, 4);
    assert_int_equal(admit(fixture, us, "1001").admission, STORE_ADMIT_WAIT);
    ASSERT_OK(store_site_session_release(fixture->store, sessions[0], true, &err));
    assert_int_equal(admit(fixture, us, "1001").admission, STORE_ADMIT_GO);
    ASSERT_OK(
        store_site_session_release(fixture->store, sessions[1], false, &err)); /* cut: counted a while */
    assert_int_equal(admit(fixture, us, "1001").admission, STORE_ADMIT_WAIT);
    store_fixture_sql(fixture,
                      "UPDATE site_session SET expires_at = UTC_TIMESTAMP(6), grace_until = "
                      "UTC_TIMESTAMP(6) + INTERVAL 30 SECOND WHERE session_id = %llu",
                      (unsigned long long)sessions[2]);
    ASSERT_OK(store_site_session_renew(fixture->store, sessions[2], 120, &alive, &err));
    assert_true(alive); /* it was counted all the time */
    store_fixture_sql(fixture,
                      "UPDATE site_session SET grace_until = UTC_TIMESTAMP(6) WHERE session_id = %llu",
                      (unsigned long long)sessions[3]);
    ASSERT_OK(store_site_session_renew(fixture->store, sessions[3], 120, &alive, &err));
    assert_false(alive);
    assert_int_equal(admit(fixture, us, "1001").admission, STORE_ADMIT_GO);
    assert_int_equal(admit(fixture, us, "1001").admission, STORE_ADMIT_WAIT);
    assert_true(store_fixture_number(fixture,
                                     "SELECT MIN(TIMESTAMPDIFF(SECOND, expires_at, grace_until) = 60) FROM "
                                     "site_session") > 0);
}

/* Where the next login is to be had in a moment, nobody waits much longer than that for it. */
static void test_short_waits_stay_short(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    fixture->sites[0].imap.max_sessions = 1000;
    prove(fixture);
    fixture->sites[0].imap.max_logins_per_second = 20;
    assert_int_equal(admit(fixture, us, "1001").admission, STORE_ADMIT_GO);
    for (int i = 0; i < 10; i++) {
        struct store_admission_answer answer = admit(fixture, them, "1001");
        if (answer.admission == STORE_ADMIT_WAIT)
            assert_in_range(answer.wait_ms, 1, 2 * 51);
    }
}

static void test_logins_per_second(void **state)
{
    struct store_fixture *fixture = *state;
    FIXTURE_OR_SKIP(state);
    fixture->sites[0].imap.max_sessions = 1000;
    prove(fixture);
    fixture->sites[0].imap.max_logins_per_second = 4;
    assert_int_equal(admit(fixture, us, "1001").admission, STORE_ADMIT_GO);
    struct store_admission_answer answer = admit(fixture, them, "1001");
    assert_int_equal(answer.admission, STORE_ADMIT_WAIT);
    assert_in_range(answer.wait_ms, 100, 460);
    int admitted = 0;
    char *start = store_fixture_text(fixture, "SELECT UTC_TIMESTAMP(6)");
    double seconds = 0;
    while (seconds < 2) {
        admitted += admit(fixture, us, "1001").admission == STORE_ADMIT_GO;
        usleep(5000);
        seconds = store_fixture_number(
            fixture, "SELECT TIMESTAMPDIFF(MICROSECOND, '%s', UTC_TIMESTAMP(6)) / 1e6", start);
    }
    free(start);
    assert_in_range(admitted, (uintmax_t)(seconds * 4) - 2, (uintmax_t)(seconds * 4) + 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_first_logins_go_one_by_one),
        TEST(test_login_of_a_healthy_site),
        TEST(test_gate_of_a_dead_holder),
        TEST(test_gate_of_the_dead_is_inherited),
        TEST(test_wrong_secret_is_tried_three_times),
        TEST(test_wrong_secret_over_all_hosts),
        TEST(test_three_wrong_mailboxes_of_a_healthy_site),
        TEST(test_test_mailbox_is_the_probe),
        TEST(test_new_secret_reopens),
        TEST(test_retry_time),
        TEST(test_unreachable_site_cools),
        TEST(test_postponed),
        TEST(test_sessions_are_counted),
        TEST(test_short_waits_stay_short),
        TEST(test_logins_per_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
