/*
 * The door to a mailbox, with the store and the engine played by this file: admission, probing, refusals, stopped sites,
 * clean and unclean release. Their functions are defined here, so that the linker takes none of the real ones.
 */
#include "access/access.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "imap/imap_session.h"
#include "store/store_breaker.h"
#include "store/store_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- what is played ---- */

struct imap_session {
    enum imap_session_state state;
    bool refused, let_in, answers_logout;
    char mailbox[65];
    struct imap_handlers logout;
    struct err error;
};

static struct {
    /* script */
    struct store_admission_answer answers[8];
    size_t answer_count;
    bool store_away;
    const char *refuses; /* mailbox, or "*" */
    bool down, dies, busy, mute_logout, row_lost, site_stops;
    struct access *ticks; /* the reactor's tick is access_step() of it */
    /* what came of it */
    size_t asked, started, released_clean, released_unclean, renewed, freed, cut, met;
    uint64_t versions[8];
    struct {
        char mailbox[65];
        bool probe, accepted, refused, postponed;
    } results[8];
    size_t result_count;
    struct imap_session *logging_out;
} play;

int store_site_admit(struct store *store, const struct store_admission_request *request,
                     struct store_admission_answer *answer_out, struct err *err)
{
    (void)store;
    if (play.store_away)
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "store: away");
    assert_true(play.asked < play.answer_count);
    play.versions[play.asked] = request->secret_version;
    *answer_out = play.answers[play.asked++];
    return 0;
}

int store_site_login_result(struct store *store, const struct store_login_result *result, bool *stopped_out,
                            struct err *err)
{
    (void)store;
    (void)err;
    str_into(play.results[play.result_count].mailbox, 65, result->mailbox);
    play.results[play.result_count].probe = result->probe;
    play.results[play.result_count].accepted = result->accepted;
    play.results[play.result_count].postponed = result->postponed;
    play.results[play.result_count++].refused = result->refused;
    *stopped_out = play.site_stops && result->refused;
    return 0;
}

int store_breaker_meet(struct store *store, const char *site,
                       const struct store_breaker_fingerprint *fingerprint, bool *tripped_out,
                       struct err *err)
{
    (void)store;
    (void)site;
    (void)err;
    assert_string_equal(fingerprint->words, "greeting");
    play.met++;
    *tripped_out = false;
    return 0;
}

int store_site_session_renew(struct store *store, uint64_t session_id, uint32_t session_seconds,
                             bool *alive_out, struct err *err)
{
    (void)store;
    (void)session_id;
    (void)session_seconds;
    (void)err;
    play.renewed++;
    *alive_out = !play.row_lost;
    return 0;
}

int store_site_session_release(struct store *store, uint64_t session_id, bool clean, struct err *err)
{
    (void)store;
    (void)err;
    assert_int_not_equal(session_id, 0);
    if (clean)
        play.released_clean++;
    else
        play.released_unclean++;
    return 0;
}

struct imap_session *imap_session_start(const struct imap_session_params *params, struct err *err)
{
    struct imap_session *session = mem_new(sizeof(*session));

    (void)err;
    assert_non_null(params->password);
    play.started++;
    str_into(session->mailbox, sizeof(session->mailbox), params->mailbox);
    session->state = IMAP_SESSION_CONNECTING;
    return session;
}

/* Every session that is asked for its state has come one step further. */
enum imap_session_state imap_session_state(const struct imap_session *session)
{
    struct imap_session *mine = (struct imap_session *)(uintptr_t)session;

    if (mine->state != IMAP_SESSION_CONNECTING)
        return mine->state;
    mine->state = IMAP_SESSION_READY;
    if (play.down) {
        mine->state = IMAP_SESSION_DEAD;
        err_set(&mine->error, ERR_SITE, ERR_RETRY_LATER, "site production: connection refused");
    } else if (play.dies || play.busy) {
        mine->state = IMAP_SESSION_DEAD;
        err_set(&mine->error, ERR_MAILBOX, ERR_RETRY_LATER, play.dies ? "nonsense" : "NO [INUSE]");
    } else if (play.refuses != NULL &&
               (strcmp(play.refuses, "*") == 0 || str_equal(play.refuses, mine->mailbox))) {
        mine->state = IMAP_SESSION_DEAD;
        mine->refused = true;
        err_set(&mine->error, ERR_MAILBOX, ERR_RETRY_LATER, "login to %s refused: NO no", mine->mailbox);
    }
    mine->let_in = !play.down && !play.busy && !mine->refused;
    return mine->state;
}

bool imap_session_is_let_in(const struct imap_session *session)
{
    return session->let_in;
}

bool imap_session_is_login_refused(const struct imap_session *session)
{
    return session->refused;
}

const struct err *imap_session_error(const struct imap_session *session)
{
    return &session->error;
}

const char *imap_session_server_words(const struct imap_session *session)
{
    (void)session;
    return "greeting";
}

bool imap_session_key_digest(const struct imap_session *session, uint8_t digest_out[DIGEST_BYTES])
{
    (void)session;
    (void)digest_out;
    return false;
}

void imap_session_free(struct imap_session *session)
{
    if (session == NULL)
        return;
    if (play.logging_out == session) {
        play.logging_out = NULL;
        session->logout.on_done(session->logout.context, -1, "", &session->error);
    }
    play.freed++;
    free(session);
}

void imap_session_cut(struct imap_session *session)
{
    play.cut++;
    session->state = IMAP_SESSION_DEAD;
    err_set(&session->error, ERR_MAILBOX, ERR_RETRY_LATER, "cut");
}

struct imap_command *imap_session_send(struct imap_session *session, const struct imap_handlers *handlers,
                                       const char *format, ...)
{
    assert_string_equal(format, "LOGOUT");
    session->logout = *handlers;
    play.logging_out = session;
    return (struct imap_command *)session;
}

bool imap_reactor_run(struct imap_reactor *reactor, struct pollfd *extra, size_t extra_count, int timeout_ms)
{
    struct imap_session *session = play.logging_out;

    (void)reactor;
    (void)extra;
    (void)extra_count;
    if (session != NULL && !play.mute_logout) {
        play.logging_out = NULL;
        session->logout.on_done(session->logout.context, 0, "", NULL);
    } else {
        usleep((useconds_t)timeout_ms * 1000);
    }
    if (play.ticks != NULL)
        access_step(play.ticks);
    return true;
}

/* ---- the tests ---- */

static char directory[] = "/tmp/test_access.XXXXXX";
static char secret_path[64];
static struct config_site site = {.name = "production",
                                  .trusted_password_file = secret_path,
                                  .auth_retry_minutes = 15,
                                  .imap = {.max_sessions = 4, .max_logins_per_second = 10}};

static void write_secret(const char *text)
{
    FILE *file = fopen(secret_path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(secret_path, 0600), 0);
}

static int set_up_all(void **state)
{
    (void)state;
    log_init("test", LOG_LEVEL_ERROR, false);
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(secret_path, sizeof(secret_path), "%s/secret", directory);
    return 0;
}

static int tear_down_all(void **state)
{
    (void)state;
    unlink(secret_path);
    return rmdir(directory);
}

static int set_up(void **state)
{
    const struct access_params params = {
        .owner = "host:scanner:0:1:1", .purpose = "scanner", .session_seconds = 120};

    memset(&play, 0, sizeof(play));
    write_secret("geheim\n");
    *state = access_new(&params);
    return 0;
}

static int tear_down(void **state)
{
    access_free(*state);
    assert_int_equal(play.freed, play.started);
    return 0;
}

static void answer(enum store_admission admission)
{
    struct store_admission_answer *next = &play.answers[play.answer_count++];

    next->admission = admission;
    next->session_id = admission <= STORE_ADMIT_PROBE ? play.answer_count : 0;
    next->wait_ms = 1;
    next->stopped_seconds = 900;
    str_into(next->probe_mailbox, sizeof(next->probe_mailbox), "1000");
    if (admission == STORE_ADMIT_STOPPED)
        str_into(next->error, sizeof(next->error), "NO wrong password");
}

static enum access_state run(struct access_session *session)
{
    enum access_state now = access_session_poll(session);

    for (int i = 0; i < 100 && (now == ACCESS_WAITING || now == ACCESS_CONNECTING); i++) {
        imap_reactor_run(NULL, NULL, 0, 2);
        now = access_session_poll(session);
    }
    return now;
}

static struct access_session *start(struct access *access)
{
    return access_session_start(access, &site, "4711", ERR_SIDE_PRODUCTION);
}

static void test_enters_and_leaves(void **state)
{
    struct access_session *session = start(*state);

    answer(STORE_ADMIT_WAIT);
    answer(STORE_ADMIT_GO);
    assert_int_equal(access_session_poll(session), ACCESS_WAITING);
    assert_int_equal(play.started, 0);
    assert_int_equal(run(session), ACCESS_READY);
    assert_non_null(access_session_imap(session));
    assert_true(play.results[0].accepted);
    access_session_free(session);
    assert_int_equal(play.released_clean, 1);
    assert_int_equal(play.released_unclean, 0);
}

static void test_logout_without_answer_is_not_clean(void **state)
{
    struct access_session *session = start(*state);

    answer(STORE_ADMIT_GO);
    assert_int_equal(run(session), ACCESS_READY);
    play.mute_logout = true;
    access_session_free(session);
    assert_int_equal(play.released_clean, 0);
    assert_int_equal(play.released_unclean, 1);
}

static void test_leaving_does_not_wait(void **state)
{
    struct access_session *session = start(*state);

    answer(STORE_ADMIT_GO);
    assert_int_equal(run(session), ACCESS_READY);
    access_session_leave(session);
    access_step(*state);
    assert_int_equal(play.released_clean, 0);
    imap_reactor_run(NULL, NULL, 0, 0);
    access_step(*state);
    assert_int_equal(play.released_clean, 1);
    assert_int_equal(play.freed, 1);
}

/* While one is waited for, the tick looks after all that are leaving: each is freed once. */
static void test_ticks_while_it_waits(void **state)
{
    struct access_session *sessions[4];

    for (size_t i = 0; i < 4; i++) {
        sessions[i] = start(*state);
        answer(STORE_ADMIT_GO);
        assert_int_equal(run(sessions[i]), ACCESS_READY);
    }
    play.mute_logout = true;
    play.ticks = *state;
    access_session_leave(sessions[1]);
    access_session_leave(sessions[2]);
    access_session_free(sessions[0]);
    access_free(*state);
    assert_int_equal(play.freed, 4);
    assert_int_equal(play.released_unclean, 4);
    play.ticks = NULL;
    set_up(state);
}

static void test_cut_is_not_clean(void **state)
{
    struct access_session *session = start(*state);

    answer(STORE_ADMIT_GO);
    assert_int_equal(run(session), ACCESS_READY);
    access_session_cut(session);
    assert_int_equal(access_session_poll(session), ACCESS_FAILED);
    access_session_free(session);
    assert_int_equal(play.released_unclean, 1);
}

static void test_refused_mailbox_is_its_own_matter(void **state)
{
    struct access_session *session = start(*state);

    answer(STORE_ADMIT_GO);
    play.refuses = "4711";
    assert_int_equal(run(session), ACCESS_FAILED);
    assert_int_equal(access_session_error(session)->scope, ERR_MAILBOX);
    assert_int_equal(access_session_error(session)->side, ERR_SIDE_PRODUCTION);
    assert_non_null(strstr(access_session_error(session)->text, "class of service"));
    assert_true(play.results[0].refused);
    assert_int_equal(play.released_clean, 1);
    access_session_free(session);
}

static void test_probe_accepted_then_ours(void **state)
{
    struct access_session *session = start(*state);

    answer(STORE_ADMIT_PROBE);
    answer(STORE_ADMIT_GO);
    assert_int_equal(run(session), ACCESS_READY);
    assert_int_equal(play.result_count, 2);
    assert_string_equal(play.results[0].mailbox, "1000");
    assert_true(play.results[0].probe);
    assert_true(play.results[0].accepted);
    assert_string_equal(play.results[1].mailbox, "4711");
    assert_false(play.results[1].probe);
    assert_int_equal(play.released_clean, 1); /* the probe's, before ours was asked for */
    access_session_free(session);
    assert_int_equal(play.released_clean, 2);
}

static void test_probe_refused_blames_the_site(void **state)
{
    struct access_session *session = start(*state);

    answer(STORE_ADMIT_PROBE);
    play.refuses = "*";
    play.site_stops = true;
    assert_int_equal(run(session), ACCESS_FAILED);
    assert_int_equal(access_session_error(session)->scope, ERR_SITE);
    assert_int_equal(play.started, 1); /* ours was not even tried */
    access_session_free(session);
}

static void test_stopped_site_reads_its_secret_again(void **state)
{
    struct access_session *session = start(*state);

    answer(STORE_ADMIT_STOPPED);
    answer(STORE_ADMIT_GO);
    assert_int_equal(run(session), ACCESS_FAILED);
    assert_int_equal(access_session_error(session)->scope, ERR_SITE);
    assert_non_null(strstr(access_session_error(session)->text, "NO wrong password"));
    assert_int_equal(play.started, 0);
    access_session_free(session);
    unlink(secret_path);
    write_secret("another\n");
    session = start(*state);
    assert_int_equal(run(session), ACCESS_READY);
    assert_int_not_equal(play.versions[0], play.versions[1]);
    access_session_free(session);
}

static void test_site_down(void **state)
{
    struct access_session *session = start(*state);

    answer(STORE_ADMIT_GO);
    play.down = true;
    assert_int_equal(run(session), ACCESS_FAILED);
    assert_int_equal(access_session_error(session)->scope, ERR_SITE);
    assert_false(play.results[0].refused);
    assert_int_equal(play.released_unclean, 1);
    access_session_free(session);
}

/* Over its own mailbox, once it let us in; or it lets nobody in there just now. The site is well. */
static void test_one_mailbox_is_no_site(void **state)
{
    struct access_session *session = start(*state);

    answer(STORE_ADMIT_GO);
    play.dies = true;
    assert_int_equal(run(session), ACCESS_FAILED);
    assert_int_equal(access_session_error(session)->scope, ERR_MAILBOX);
    assert_true(play.results[0].accepted && !play.results[0].postponed);
    access_session_free(session);
    play.dies = false;
    play.busy = true;
    answer(STORE_ADMIT_GO);
    session = start(*state);
    assert_int_equal(run(session), ACCESS_FAILED);
    assert_true(!play.results[1].accepted && !play.results[1].refused && play.results[1].postponed);
    access_session_free(session);
}

static void test_missing_secret(void **state)
{
    struct access_session *session = start(*state);

    unlink(secret_path);
    assert_int_equal(run(session), ACCESS_FAILED);
    assert_int_equal(access_session_error(session)->scope, ERR_SITE);
    assert_non_null(strstr(access_session_error(session)->text, "password_file"));
    assert_int_equal(play.asked, 0);
    access_session_free(session);
}

static void test_store_away(void **state)
{
    struct err err = {0};

    play.store_away = true;
    assert_null(access_session_open(*state, &site, "4711", ERR_SIDE_TARGET, 1000, &err));
    assert_int_equal(err.scope, ERR_PROCESS);
    assert_int_equal(err.side, ERR_SIDE_US);
}

static void test_no_session_free(void **state)
{
    struct err err = {0};

    answer(STORE_ADMIT_WAIT);
    play.answers[0].wait_ms = 60000;
    assert_null(access_session_open(*state, &site, "4711", ERR_SIDE_TARGET, 30, &err));
    assert_int_equal(err.scope, ERR_SITE);
    assert_int_equal(err.retry, ERR_RETRY_LATER);
    assert_non_null(strstr(err.text, "no session free"));
}

static void test_asks_again_as_soon_as_told(void **state)
{
    struct access_session *session = start(*state);

    answer(STORE_ADMIT_WAIT);
    play.answers[0].wait_ms = 40;
    assert_int_equal(access_session_poll(session), ACCESS_WAITING);
    assert_in_range(access_session_wait_ms(session, 250), 0, 40);
    assert_int_equal(access_session_wait_ms(session, 0), 0);
    answer(STORE_ADMIT_GO);
    assert_int_equal(run(session), ACCESS_READY);
    assert_int_equal(access_session_wait_ms(session, 250), 250);
    access_session_free(session);
}

static void test_nobody_waits_for_a_site_in_trouble(void **state)
{
    struct err err = {0};

    answer(STORE_ADMIT_WAIT);
    play.answers[0].wait_ms = 60000;
    str_into(play.answers[0].error, sizeof(play.answers[0].error), "no answer");
    assert_null(access_session_open(*state, &site, "4711", ERR_SIDE_TARGET, 60000, &err));
    assert_int_equal(err.scope, ERR_SITE);
    assert_int_equal(err.side, ERR_SIDE_TARGET);
    assert_non_null(strstr(err.text, "left alone for some seconds, since it did not answer: no answer"));
}

static void test_lost_row_fails_the_session(void **state)
{
    const struct access_params params = {.owner = "o", .purpose = "scanner", .session_seconds = 0};
    struct access *access = access_new(&params);
    struct access_session *session = start(access);
    struct err err = {0};

    (void)state;
    answer(STORE_ADMIT_GO);
    assert_int_equal(run(session), ACCESS_READY);
    assert_int_equal(access_renew(access, &err), 0);
    play.row_lost = true;
    assert_int_equal(access_renew(access, &err), -1);
    assert_int_equal(play.renewed, 2);
    /* It may be waited for right now: cut, but not freed before it is polled. */
    assert_int_equal(play.cut, 1);
    assert_int_equal(play.freed, 0);
    assert_int_equal(access_session_poll(session), ACCESS_FAILED);
    assert_null(access_session_imap(session));
    access_session_free(session);
    access_free(access);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_enters_and_leaves),
        TEST(test_logout_without_answer_is_not_clean),
        TEST(test_leaving_does_not_wait),
        TEST(test_ticks_while_it_waits),
        TEST(test_cut_is_not_clean),
        TEST(test_refused_mailbox_is_its_own_matter),
        TEST(test_probe_accepted_then_ours),
        TEST(test_probe_refused_blames_the_site),
        TEST(test_stopped_site_reads_its_secret_again),
        TEST(test_site_down),
        TEST(test_one_mailbox_is_no_site),
        TEST(test_missing_secret),
        TEST(test_store_away),
        TEST(test_no_session_free),
        TEST(test_asks_again_as_soon_as_told),
        TEST(test_nobody_waits_for_a_site_in_trouble),
        TEST(test_lost_row_fails_the_session),
    };

    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
