/*
 * One session: asking the store for admission, logging in (where the store says so, to another mailbox first, which
 * tells a wrong secret from a wrong mailbox), being open, leaving. Nothing here waits but access_session_open() and
 * access_session_free(); the steps are moved on by access_session_poll() and access_step().
 *
 *   ASKING --go--> LOGGING_IN --> OPEN --> LEAVING
 *     ^  \--probe--> PROBING ----> LEAVING_PROBE --> (asks again)
 *     any of them --> OVER
 *
 * A slot is released as clean only after a LOGOUT that was answered: the server still counts a session that was merely
 * cut, so its row must go on counting until its grace time is over.
 */
#include "access/access_fingerprint.h"
#include "access/access_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "store/store_breaker.h"
#include "store/store_site.h"

#include <stdlib.h>

enum {
    LOGOUT_WAIT_MS = 500,
    LOGOUT_LEAVE_MS = 3000,
    MIN_ASK_MS = 5,
    MAX_ASK_MS = 5000,
    ROUND_MS = 100,
    NO_RELEASE_MS = 5000
};

#define STEPS(X) X(ASKING) X(LOGGING_IN) X(PROBING) X(LEAVING_PROBE) X(OPEN) X(LEAVING) X(OVER)

enum step {
#define STEP_ENUM(id) STEP_##id,
    STEPS(STEP_ENUM)
#undef STEP_ENUM
};

struct access_session {
    struct access_session *next;
    struct access *access;
    const struct config_site *site;
    char *mailbox;
    enum err_side side;
    enum step step;
    struct imap_session *imap;
    uint64_t session_id; /* 0: no slot held */
    int64_t renewed_ms, ask_at_ms, leave_until_ms;
    bool logout_sent, logout_ended, logout_answered;
    char probe_mailbox[65];
    char trouble[800]; /* ASKING: why the site could not be asked of late; "" if that is not so */
    struct err error;
};

static void enter(struct access_session *session, enum step step)
{
    static const char *const names[] = {
#define STEP_NAME(id) [STEP_##id] = #id,
        STEPS(STEP_NAME)
#undef STEP_NAME
    };

    if (session->step != step)
        log_debug("access", LOG_STR("site", session->site->name), LOG_STR("mailbox", session->mailbox),
                  LOG_STR("from", names[session->step]), LOG_STR("to", names[step]));
    session->step = step;
}

/* Gives the slot back. A store that is away is no matter here, since the row ends by itself; but each try would block,
 * so the rest is not tried then. */
static void release(struct access_session *session, bool clean)
{
    struct access *access = session->access;
    struct err ignored;

    if (session->session_id != 0 && clock_left_ms(access->no_release_until_ms) == 0 &&
        store_site_session_release(access->store, session->session_id, clean, &ignored) != 0)
        access->no_release_until_ms = clock_boot_ms() + NO_RELEASE_MS;
    session->session_id = 0;
}

static void drop_connection(struct access_session *session, bool clean)
{
    struct imap_session *imap = session->imap;

    session->imap = NULL;
    if (imap != NULL && !clean)
        imap_session_cut(imap);
    imap_session_free(imap);
    release(session, clean);
}

/* session->error stands already. */
static void fail(struct access_session *session)
{
    session->error.side = session->error.scope == ERR_PROCESS ? ERR_SIDE_US : session->side;
    drop_connection(session, false);
    enter(session, STEP_OVER);
}

/* ---- leaving ---- */

static void on_logout_done(void *context, int result, const char *code, const struct err *err)
{
    struct access_session *session = context;

    (void)code;
    (void)err;
    session->logout_ended = true;
    session->logout_answered = result == 0;
}

static void send_logout(struct access_session *session, enum step step, int within_ms)
{
    const struct imap_handlers handlers = {.context = session, .on_done = on_logout_done};

    enter(session, step);
    session->leave_until_ms = clock_boot_ms() + within_ms;
    session->logout_sent = true;
    session->logout_ended = session->logout_answered = false;
    if (session->imap == NULL || imap_session_state(session->imap) != IMAP_SESSION_READY ||
        imap_session_send(session->imap, &handlers, "LOGOUT") == NULL)
        session->logout_ended = true;
}

/* true when it is over, one way or the other; the slot is released then. */
static bool finish_logout(struct access_session *session)
{
    if (!session->logout_ended && clock_left_ms(session->leave_until_ms) > 0)
        return false;
    /* Read before the connection goes: freeing it ends an open command as unanswered. */
    drop_connection(session, session->logout_answered);
    session->logout_sent = false;
    return true;
}

/* ---- the steps of opening ---- */

static void start_login(struct access_session *session, const char *mailbox, enum step step)
{
    uint64_t version = 0;
    struct imap_session_params params = {
        .reactor = session->access->reactor,
        .site = session->site,
        .password = access_secret_get(session->access, session->site, &version, &session->error),
        .mailbox = mailbox,
        .side = session->side,
        .list_early = step != STEP_PROBING,
    };

    if (params.password != NULL)
        session->imap = imap_session_start(&params, &session->error);
    if (session->imap == NULL)
        fail(session);
    else
        enter(session, step);
}

static void be_stopped(struct access_session *session, const struct store_admission_answer *answer)
{
    /* A corrected password file must be noticed without a reload: it is read again at the next try. */
    access_secret_forget(session->access, session->site->name);
    err_set(&session->error, ERR_SITE, ERR_RETRY_LATER,
            "site %s is stopped, since it refused the trusted server's login (%s); correct its name, "
            "password or form "
            "of login: a new password file is tried at once, else the next try is in %u s",
            session->site->name, answer->error, answer->stopped_seconds);
    fail(session);
}

static uint32_t ask_delay_ms(uint32_t wait_ms)
{
    if (wait_ms < MIN_ASK_MS)
        return MIN_ASK_MS;
    return wait_ms > MAX_ASK_MS ? MAX_ASK_MS : wait_ms;
}

static void follow_answer(struct access_session *session, const struct store_admission_answer *answer)
{
    str_into(session->trouble, sizeof(session->trouble), answer->error);
    if (answer->admission == STORE_ADMIT_WAIT) {
        session->ask_at_ms = clock_boot_ms() + ask_delay_ms(answer->wait_ms);
        return;
    }
    if (answer->admission == STORE_ADMIT_STOPPED) {
        be_stopped(session, answer);
        return;
    }
    session->session_id = answer->session_id;
    session->renewed_ms = clock_boot_ms();
    if (answer->admission == STORE_ADMIT_GO) {
        start_login(session, session->mailbox, STEP_LOGGING_IN);
        return;
    }
    str_into(session->probe_mailbox, sizeof(session->probe_mailbox), answer->probe_mailbox);
    start_login(session, session->probe_mailbox, STEP_PROBING);
}

static void step_asking(struct access_session *session)
{
    struct store_admission_request request = {
        .site = session->site,
        .mailbox = session->mailbox,
        .owner = session->access->owner,
        .purpose = session->access->purpose,
        .session_seconds = session->access->session_seconds,
    };
    struct store_admission_answer answer = {0};

    if (clock_left_ms(session->ask_at_ms) > 0)
        return;
    if (access_secret_get(session->access, session->site, &request.secret_version, &session->error) == NULL ||
        store_site_admit(session->access->store, &request, &answer, &session->error) != 0) {
        fail(session);
        return;
    }
    follow_answer(session, &answer);
}

/* Tells the store how the login ended. 0; -1 with session->error: the store is away, or this refusal stopped the site. */
static int report_login(struct access_session *session, bool probe, bool *stopped_out)
{
    const struct imap_session *imap = session->imap;
    /* One that dies over this mailbox just after the login is no site in trouble. */
    bool accepted = imap_session_is_let_in(imap);
    const struct err *why = accepted ? NULL : imap_session_error(imap);
    struct store_login_result result = {
        .site = session->site,
        .owner = session->access->owner,
        .mailbox = probe ? session->probe_mailbox : session->mailbox,
        .probe = probe,
        .accepted = accepted,
        .refused = !accepted && imap_session_is_login_refused(imap),
        .postponed = !accepted && !imap_session_is_login_refused(imap) && why->scope < ERR_SITE,
        .words = why ? why->text : "",
        .server_words = imap_session_server_words(imap),
    };

    *stopped_out = false;
    return store_site_login_result(session->access->store, &result, stopped_out, &session->error);
}

/* Another server at production's address than before? (I6) What is mirrored from it goes on, what would be removed stops. */
static int meet_production(struct access_session *session)
{
    char words[ACCESS_FINGERPRINT_BYTES];
    uint8_t key[DIGEST_BYTES];
    struct store_breaker_fingerprint fingerprint = {.words = words};
    bool has_key = imap_session_key_digest(session->imap, key), tripped = false;

    if (session->side != ERR_SIDE_PRODUCTION)
        return 0;
    access_fingerprint(imap_session_server_words(session->imap), has_key ? key : NULL, words,
                       fingerprint.digest);
    if (store_breaker_meet(session->access->store, session->site->name, &fingerprint, &tripped,
                           &session->error) != 0)
        return -1;
    if (tripped)
        log_error(
            "breaker tripped: another server answers at the address of this site than before; nothing is "
            "removed or overwritten on routes from it before a person decides (mirrorctl held list)",
            LOG_STR("site", session->site->name), LOG_STR("words", words));
    return 0;
}

/* Once, by the worker whose login was the last straw; all others only get the answer "stopped". */
static void log_stopped(const struct access_session *session, const struct err *why)
{
    log_error("site stopped: it refuses the trusted server's login", LOG_STR("site", session->site->name),
              LOG_STR("answer", why->text),
              LOG_STR("advice", "correct the trusted server's name, its password or the form of login"),
              LOG_NUM("next_try_minutes", session->site->auth_retry_minutes));
}

/* The login failed; `refused_by_site`: so did the one mailbox that ought to work, or the store stopped the site. */
static void explain_failure(struct access_session *session, bool refused_by_site)
{
    const struct err *why = imap_session_error(session->imap);
    bool refused = imap_session_is_login_refused(session->imap);

    if (!refused) {
        session->error = *why;
    } else if (refused_by_site) {
        err_set(&session->error, ERR_SITE, ERR_RETRY_LATER,
                "%s; site %s refuses every mailbox: check the trusted server's name, its password and the "
                "form of login "
                "there",
                why->text, session->site->name);
        access_secret_forget(session->access, session->site->name);
    } else {
        err_set(&session->error, ERR_MAILBOX, ERR_RETRY_LATER,
                "%s; if other mailboxes of site %s can be entered, check that mailbox %s exists there and "
                "that its "
                "class of service allows IMAP access",
                why->text, session->site->name, session->mailbox);
    }
}

static void end_failed_login(struct access_session *session, bool probe)
{
    bool stopped = false;

    if (report_login(session, probe, &stopped) != 0) {
        fail(session);
        return;
    }
    if (stopped)
        log_stopped(session, imap_session_error(session->imap));
    explain_failure(session, stopped || probe);
    /* A login that was refused left no session at the server that it could still count. */
    if (imap_session_is_login_refused(session->imap))
        drop_connection(session, true);
    fail(session);
}

static void step_logging_in(struct access_session *session, bool probe)
{
    enum imap_session_state state = imap_session_state(session->imap);
    bool stopped = false;

    if (state == IMAP_SESSION_CONNECTING)
        return;
    if (state == IMAP_SESSION_DEAD) {
        end_failed_login(session, probe);
        return;
    }
    if (report_login(session, probe, &stopped) != 0 || meet_production(session) != 0) {
        fail(session);
        return;
    }
    if (probe)
        send_logout(session, STEP_LEAVING_PROBE, LOGOUT_LEAVE_MS);
    else
        enter(session, STEP_OPEN);
}

/* The probe was let in, so it was the mailboxes' own matter: now ours may be asked for again. */
static void step_leaving_probe(struct access_session *session)
{
    if (!finish_logout(session))
        return;
    session->ask_at_ms = clock_boot_ms();
    enter(session, STEP_ASKING);
}

static void step_open(struct access_session *session)
{
    if (imap_session_state(session->imap) == IMAP_SESSION_READY)
        return;
    if (session->error.scope == ERR_NONE)
        session->error = *imap_session_error(session->imap);
    fail(session);
}

enum access_state access_session_poll(struct access_session *session)
{
    if (session->step == STEP_ASKING)
        step_asking(session);
    else if (session->step == STEP_LOGGING_IN)
        step_logging_in(session, false);
    else if (session->step == STEP_PROBING)
        step_logging_in(session, true);
    else if (session->step == STEP_LEAVING_PROBE)
        step_leaving_probe(session);
    else if (session->step == STEP_OPEN)
        step_open(session);

    switch (session->step) {
    case STEP_ASKING:
        return ACCESS_WAITING;
    case STEP_OPEN:
        return ACCESS_READY;
    case STEP_LEAVING:
    case STEP_OVER:
        return ACCESS_FAILED;
    default:
        return ACCESS_CONNECTING;
    }
}

/* ---- beginning and end ---- */

struct access_session *access_session_start(struct access *access, const struct config_site *site,
                                            const char *mailbox, enum err_side side)
{
    struct access_session *session = mem_new(sizeof(*session));

    session->access = access;
    session->site = site;
    session->mailbox = str_copy(mailbox);
    session->side = side;
    session->next = access->sessions;
    access->sessions = session;
    return session;
}

bool access_session_is_hopeless(const struct access_session *session, struct err *err)
{
    if (session->step != STEP_ASKING || !session->trouble[0])
        return false;
    err_set(err, ERR_SITE, ERR_RETRY_LATER,
            "site %s is left alone for some seconds, since it did not answer: %s", session->site->name,
            session->trouble);
    err_blame(err, session->side);
    return true;
}

int access_session_wait_ms(const struct access_session *session, int most_ms)
{
    int left_ms = clock_left_ms(session->ask_at_ms);
    return session->step == STEP_ASKING && left_ms < most_ms ? left_ms : most_ms;
}

struct access_session *access_session_open(struct access *access, const struct config_site *site,
                                           const char *mailbox, enum err_side side, int wait_ms,
                                           struct err *err)
{
    struct access_session *session = access_session_start(access, site, mailbox, side);
    int64_t wait_until_ms = clock_boot_ms() + wait_ms;
    enum access_state state = access_session_poll(session);

    while (state == ACCESS_WAITING || state == ACCESS_CONNECTING) {
        if (access_session_is_hopeless(session, &session->error)) {
            fail(session);
            break;
        }
        if (state == ACCESS_WAITING && clock_left_ms(wait_until_ms) == 0) {
            err_set(&session->error, ERR_SITE, ERR_RETRY_LATER,
                    "site %s: no session free within %d s: all that its imap.max_sessions or "
                    "max_logins_per_second allow "
                    "are in use",
                    site->name, wait_ms / 1000);
            fail(session);
            break;
        }
        if (!imap_reactor_run(access->reactor, NULL, 0, access_session_wait_ms(session, ROUND_MS))) {
            err_set(&session->error, ERR_PROCESS, ERR_RETRY_LATER, "stopped");
            fail(session);
            break;
        }
        state = access_session_poll(session);
    }
    if (session->step == STEP_OPEN)
        return session;
    if (err != NULL)
        *err = session->error;
    access_session_free(session);
    return NULL;
}

const struct err *access_session_error(const struct access_session *session)
{
    return &session->error;
}

struct imap_session *access_session_imap(struct access_session *session)
{
    return session->step == STEP_OPEN ? session->imap : NULL;
}

struct access_session *access_session_next(const struct access_session *session)
{
    return session->next;
}

int access_session_renew(struct access_session *session, struct err *err)
{
    int64_t half_ms = (int64_t)session->access->session_seconds * 1000 / 2;
    bool alive = false;

    if (session->session_id == 0 || clock_boot_ms() - session->renewed_ms < half_ms)
        return 0;
    if (store_site_session_renew(session->access->store, session->session_id,
                                 session->access->session_seconds, &alive, err) != 0)
        return -1;
    session->renewed_ms = clock_boot_ms();
    if (alive)
        return 0;
    err_set(&session->error, ERR_MAILBOX, ERR_RETRY_LATER,
            "site %s: the right to a session for mailbox %s ran out before it was renewed (this process was "
            "too slow)",
            session->site->name, session->mailbox);
    /* Only cut: we may be inside a wait for this very session. */
    if (session->imap != NULL)
        imap_session_cut(session->imap);
    session->session_id = 0;
    if (err != NULL)
        *err = session->error;
    return -1;
}

static void unlink_and_free(struct access_session *session)
{
    struct access_session **link = &session->access->sessions;

    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
    free(session->mailbox);
    free(session);
}

void access_session_free(struct access_session *session)
{
    if (session == NULL)
        return;
    if (session->step == STEP_OPEN)
        send_logout(session, STEP_LEAVING, LOGOUT_WAIT_MS);
    enter(session, STEP_OVER); /* the reactor's tick may be access_step(), which frees what is leaving */
    if (session->logout_sent && clock_left_ms(session->leave_until_ms) > LOGOUT_WAIT_MS)
        session->leave_until_ms = clock_boot_ms() + LOGOUT_WAIT_MS;
    while (session->logout_sent && !finish_logout(session))
        imap_reactor_run(session->access->reactor, NULL, 0, ROUND_MS);
    drop_connection(session, false);
    unlink_and_free(session);
}

void access_session_leave(struct access_session *session)
{
    if (session == NULL)
        return;
    if (session->step == STEP_OPEN) {
        send_logout(session, STEP_LEAVING, LOGOUT_LEAVE_MS);
        return;
    }
    if (session->step == STEP_LEAVING_PROBE)
        enter(session, STEP_LEAVING);
    if (session->step != STEP_LEAVING)
        access_session_free(session);
}

bool access_step(struct access *access)
{
    struct access_session *session = access->sessions;
    bool leaving = false;

    while (session != NULL) {
        struct access_session *next = session->next;

        if (session->step == STEP_LEAVING && finish_logout(session))
            unlink_and_free(session);
        else
            leaving |= session->step == STEP_LEAVING;
        session = next;
    }
    return leaving;
}

void access_session_cut(struct access_session *session)
{
    if (session == NULL)
        return;
    if (session->imap != NULL)
        imap_session_cut(session->imap);
}
