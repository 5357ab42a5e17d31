/*
 * A test mailbox's user at the target's door; see user_login.h. A refusal is not repeated until something changes: users'
 * mailboxes are locked after some wrong passwords.
 */
#include "ldapsync/user_login.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "imap/imap_session.h"

enum { ROUND_MS = 100 };

static bool keep_going(void *context)
{
    return round_tick(context);
}

static enum imap_session_state log_in(struct round *round, const struct config_test_password *test,
                                      const struct secret *password, struct err *why, struct err *err)
{
    struct imap_reactor *reactor = imap_reactor_new(keep_going, round->tools);
    struct config_site site = *round->route->to_site;
    site.login = (char[]){"{mailbox}"};
    struct imap_session *session = imap_session_start(&(struct imap_session_params){.reactor = reactor,
                                                                                    .site = &site,
                                                                                    .password = password,
                                                                                    .mailbox = test->mailbox,
                                                                                    .side = ERR_SIDE_TARGET},
                                                      err);
    enum imap_session_state state = IMAP_SESSION_DEAD;
    while (session && (state = imap_session_state(session)) == IMAP_SESSION_CONNECTING)
        imap_reactor_run(reactor, NULL, 0, ROUND_MS);
    if (session && state == IMAP_SESSION_DEAD)
        *why = *imap_session_error(session);
    bool answered = session && (state == IMAP_SESSION_READY || imap_session_is_login_refused(session));
    if (session && !answered)
        *err = *why;
    imap_session_free(session);
    imap_reactor_free(reactor);
    return answered ? state : IMAP_SESSION_CONNECTING;
}

static int prove(struct round *round, const struct config_test_password *test, struct err *err)
{
    uint64_t version;
    struct err why = {0}, unanswered = {0};
    struct secret *password = secret_read(test->password_file, &version, err);
    if (!password)
        return err_prefix(err, "test_passwords: mailbox %s", test->mailbox);
    enum imap_session_state state = log_in(round, test, password, &why, &unanswered);
    secret_free(password);
    if (state == IMAP_SESSION_CONNECTING) {
        log_warning("the copied password could not be tried on the target", LOG_STR("mailbox", test->mailbox),
                    LOG_STR("error", unanswered.text));
        return 0;
    }
    bool proven = state == IMAP_SESSION_READY;
    if (proven)
        log_info("copied password works on the target", LOG_STR("mailbox", test->mailbox));
    else
        log_error("a copied password does not work on the target: users could not log in there",
                  LOG_STR("mailbox", test->mailbox), LOG_STR("error", why.text));
    return CRASH_AFTER(PASSWORD_RECORDED, store_entry_password(round->tools->store, &round->claim->lease,
                                                               test->mailbox, proven, why.text, err));
}

int user_login_prove(struct round *round, struct err *err)
{
    const struct config_site *from = round->route->from_site;
    for (size_t i = 0; i < from->test_password_count; i++) {
        bool due = false;
        if (store_entry_password_due(round->tools->store, round->claim->lease.route_id,
                                     from->test_passwords[i].mailbox, &due, err) != 0)
            return -1;
        struct err why = {0};
        if (due && prove(round, &from->test_passwords[i], &why) != 0)
            round_doubt(round, &why);
    }
    return 0;
}
