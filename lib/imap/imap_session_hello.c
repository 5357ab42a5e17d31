/*
 * From a login that libcurl carried out to a session that is READY: the mailbox (PROXYAUTH), the capabilities where the
 * login did not tell them, ID and ENABLE where offered. See the phases in imap_session_private.h.
 */
#include "imap/imap_session_private.h"

#include "base/str.h"

#include <stdlib.h>

/* What the version of the program is known as to the server's log. */
#define OUR_ID "ID (\"name\" \"Message Mirror\" \"version\" \"" MM_VERSION "\")"

/* ---- ID and ENABLE ---- */

static int on_id(void *context, const struct imap_response *response, struct err *err)
{
    struct imap_session *session = context;
    (void)err;
    if (response->kind == IMAP_RESPONSE_ID) {
        char *words = str_format("%s; %s", session->words, response->text);
        free(session->words);
        session->words = words;
    }
    return 0;
}

/* NO or BAD to either is no harm: they are courtesies. */
static void on_hello_done(void *context, int result, const char *code, const struct err *err)
{
    struct imap_session *session = context;
    (void)result;
    (void)code;
    (void)err;
    if (session->phase == IMAP_PHASE_HELLO && imap_pipeline_is_empty(&session->pipeline))
        imap_session_enter(session, IMAP_PHASE_READY);
}

static void say_hello(struct imap_session *session)
{
    const struct imap_handlers handlers = {.context = session, .on_done = on_hello_done};
    const struct imap_pipeline_extras id = {.on_untagged = on_id}, none = {0};
    imap_session_enter(session, IMAP_PHASE_HELLO);
    if (imap_session_has(session, IMAP_CAP_ID))
        imap_session_add(session, &handlers, &id, str_copy(OUR_ID));
    if (imap_session_has(session, IMAP_CAP_ENABLE) && imap_session_has(session, IMAP_CAP_CONDSTORE))
        imap_session_add(session, &handlers, &none, str_copy("ENABLE CONDSTORE"));
    if (imap_pipeline_is_empty(&session->pipeline))
        imap_session_enter(session, IMAP_PHASE_READY);
}

/* ---- CAPABILITY ---- */

static void take_capabilities(struct imap_session *session, const char *words)
{
    session->capabilities = imap_capability_parse(words, &session->site->imap.disable_capabilities);
}

static int on_capability(void *context, const struct imap_response *response, struct err *err)
{
    (void)err;
    if (response->kind == IMAP_RESPONSE_CAPABILITY)
        take_capabilities(context, response->text);
    return 0;
}

static void on_capability_done(void *context, int result, const char *code, const struct err *err)
{
    struct imap_session *session = context;
    (void)code;
    if (session->phase == IMAP_PHASE_OVER)
        return;
    if (result != 0)
        imap_session_doom(session, err);
    else
        say_hello(session);
}

static void ask_capabilities(struct imap_session *session)
{
    const struct imap_handlers handlers = {.context = session, .on_done = on_capability_done};
    const struct imap_pipeline_extras extras = {.on_untagged = on_capability};
    imap_session_enter(session, IMAP_PHASE_CAPABILITY);
    imap_session_add(session, &handlers, &extras, str_copy("CAPABILITY"));
}

/* ---- PROXYAUTH ---- */

static void on_proxyauth_done(void *context, int result, const char *code, const struct err *err)
{
    struct imap_session *session = context;
    struct err refusal;
    if (session->phase == IMAP_PHASE_OVER)
        return;
    if (result == 0) {
        ask_capabilities(session);
        return;
    }
    session->refused = imap_connect_is_refusal(code);
    err_set(&refusal, session->refused ? ERR_MAILBOX : ERR_SITE, ERR_RETRY_LATER, "login refused: %s",
            err->text);
    imap_session_doom(session, &refusal);
}

static void ask_for_mailbox(struct imap_session *session)
{
    const struct imap_handlers handlers = {.context = session, .on_done = on_proxyauth_done};
    const struct imap_pipeline_extras none = {0};
    imap_session_enter(session, IMAP_PHASE_PROXYAUTH);
    imap_session_add(session, &handlers, &none, str_format("PROXYAUTH %s", session->mailbox));
}

void imap_session_greet(struct imap_session *session)
{
    const char *told = imap_connect_capabilities(session->connect);
    if (str_equal(session->site->login, "proxyauth")) {
        ask_for_mailbox(session);
    } else if (told[0]) {
        take_capabilities(session, told);
        say_hello(session);
    } else {
        ask_capabilities(session);
    }
}
