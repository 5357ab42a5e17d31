/*
 * From a connection to a session that is READY: the login, the mailbox (PROXYAUTH), the capabilities where the login did
 * not tell them, ID and ENABLE where offered. See the phases in imap_session_private.h.
 */
#include "imap/imap_session_private.h"

#include "base/str.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_LOGIN_BYTES = 1200 };

/* What the version of the program is known as to the server's log. */
#define OUR_ID "ID (\"name\" \"Message Mirror\" \"version\" \"" MM_VERSION "\")"

static bool is_form(const struct imap_session *session, const char *form)
{
    return str_equal(session->site->login, form);
}

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

/* NO or BAD to either is no harm: they are courtesies. ID is waited for, since it tells which server this is. */
static void on_id_done(void *context, int result, const char *code, const struct err *err)
{
    struct imap_session *session = context;
    (void)result;
    (void)code;
    (void)err;
    if (session->phase == IMAP_PHASE_HELLO)
        imap_session_enter(session, IMAP_PHASE_READY);
}

/* All in one go: a far server is asked once. */
static void say_hello(struct imap_session *session)
{
    const struct imap_handlers handlers = {.context = session, .on_done = on_id_done}, nobody = {0};
    const struct imap_pipeline_extras id = {.on_untagged = on_id}, none = {0};
    imap_session_enter(session, IMAP_PHASE_HELLO);
    if (imap_session_has(session, IMAP_CAP_ID))
        imap_session_add(session, &handlers, &id, str_copy(OUR_ID));
    else
        imap_session_enter(session, IMAP_PHASE_READY);
    if (imap_session_has(session, IMAP_CAP_ENABLE) && imap_session_has(session, IMAP_CAP_CONDSTORE))
        imap_session_add(session, &nobody, &none, str_copy("ENABLE CONDSTORE"));
    if (session->list_early)
        imap_session_list_early(session);
}

/* ---- CAPABILITY ---- */

static void take_capabilities(struct imap_session *session, const char *words)
{
    session->capabilities_told = true;
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

/* ---- the login ---- */

/* RFC 5530: these say that the login could not be tried, or not now; it is neither the name nor the secret. */
static const struct {
    const char *code;
    enum err_scope scope;
} not_refusals[] = {
    {"UNAVAILABLE", ERR_MAILBOX}, {"SERVERBUG", ERR_MAILBOX},    {"INUSE", ERR_MAILBOX},
    {"LIMIT", ERR_SITE},          {"PRIVACYREQUIRED", ERR_SITE},
};

/* ERR_NONE: it is a refusal. */
static enum err_scope scope_if_no_refusal(const char *code)
{
    for (size_t i = 0; i < sizeof(not_refusals) / sizeof(not_refusals[0]); i++)
        if (str_equal_nocase(code, not_refusals[i].code))
            return not_refusals[i].scope;
    return ERR_NONE;
}

/* RFC 4616: mailbox NUL trusted server NUL secret, in base64. The caller frees. */
static char *sasl_plain(const struct imap_session *session)
{
    const char *secret = secret_reveal(session->password);
    char *plain = str_format("%s%c%s%c%s", session->mailbox, 0, session->site->trusted_name, 0, secret);
    size_t len = strlen(session->mailbox) + strlen(session->site->trusted_name) + strlen(secret) + 2;
    char *encoded = mem_new(len * 4 / 3 + 8);
    EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)plain, (int)len);
    explicit_bzero(plain, len);
    free(plain);
    return encoded;
}

static void mask(char *text, const char *secret)
{
    size_t len = strlen(secret);
    for (char *found = text; len > 0 && (found = strstr(found, secret)); found += len)
        memset(found, '*', len);
}

void imap_session_mask(const struct imap_session *session, char *text)
{
    char quoted[2 * MAX_LOGIN_BYTES];
    char *encoded;
    if (!session->password)
        return;
    mask(text, secret_reveal(session->password));
    if (imap_session_quote(secret_reveal(session->password), quoted, sizeof(quoted)) == 0)
        mask(text, quoted);
    encoded = sasl_plain(session);
    mask(text, encoded);
    explicit_bzero(quoted, sizeof(quoted));
    explicit_bzero(encoded, strlen(encoded));
    free(encoded);
}

/* `err` reads "LOGIN: NO [CODE] words". */
static void refuse(struct imap_session *session, const char *code, const struct err *err)
{
    const char *words = strchr(err->text, ':');
    struct err refusal;
    enum err_scope scope = scope_if_no_refusal(code);
    session->refused = scope == ERR_NONE;
    err_set(&refusal, session->refused ? ERR_MAILBOX : scope, ERR_RETRY_LATER, "%s%s",
            session->refused ? "login refused" : "login not possible now", words ? words : "");
    imap_session_mask(session, refusal.text);
    imap_session_doom(session, &refusal);
}

static void on_proxyauth_done(void *context, int result, const char *code, const struct err *err)
{
    struct imap_session *session = context;
    if (session->phase == IMAP_PHASE_OVER)
        return;
    if (result == 0)
        ask_capabilities(session);
    else
        refuse(session, code, err);
}

static void ask_for_mailbox(struct imap_session *session)
{
    const struct imap_handlers handlers = {.context = session, .on_done = on_proxyauth_done};
    const struct imap_pipeline_extras none = {0};
    imap_session_enter(session, IMAP_PHASE_PROXYAUTH);
    imap_session_add(session, &handlers, &none, str_format("PROXYAUTH %s", session->mailbox));
}

static void on_login_done(void *context, int result, const char *code, const struct err *err)
{
    static const char capability[] = "CAPABILITY ";
    struct imap_session *session = context;
    if (session->phase == IMAP_PHASE_OVER)
        return;
    if (result != 0) {
        refuse(session, code, err);
        return;
    }
    secret_free(session->password);
    session->password = NULL;
    if (strncasecmp(code, capability, sizeof(capability) - 1) == 0)
        take_capabilities(session, code + sizeof(capability) - 1);
    if (is_form(session, "proxyauth"))
        ask_for_mailbox(session);
    else if (session->capabilities_told)
        say_hello(session);
    else
        ask_capabilities(session);
}

/* ---- its forms ---- */

/* "{mailbox}*{trusted}" with both filled in; the configuration lets no other brace in. */
static char *login_name(const struct imap_session *session)
{
    const char *form = is_form(session, "proxyauth") ? "{trusted}" : session->site->login;
    struct buf name;
    char *filled;
    buf_init(&name, MAX_LOGIN_BYTES);
    for (const char *brace; (brace = strchr(form, '{')); form = brace + strcspn(brace, "}") + 1) {
        buf_add(&name, form, (size_t)(brace - form));
        buf_add_str(&name,
                    strncmp(brace, "{mailbox}", 9) == 0 ? session->mailbox : session->site->trusted_name);
    }
    buf_add_str(&name, form);
    filled = str_copy(buf_data(&name));
    buf_fini(&name);
    return filled;
}

/* "LOGIN name secret", or NULL. The caller frees. */
static char *login_line(const struct imap_session *session, struct err *err)
{
    char name[MAX_LOGIN_BYTES], secret[2 * MAX_LOGIN_BYTES], *line = NULL;
    char *filled = login_name(session);
    if (strcasestr(imap_connect_capabilities(session->connect), "LOGINDISABLED"))
        err_set(err, ERR_SITE, ERR_RETRY_LATER,
                "the server allows no LOGIN on this connection (LOGINDISABLED): set imap.tls to starttls or "
                "always, or "
                "login to sasl-plain");
    else if (imap_session_quote(filled, name, sizeof(name)) != 0 ||
             imap_session_quote(secret_reveal(session->password), secret, sizeof(secret)) != 0)
        err_set(err, ERR_SITE, ERR_RETRY_NEVER, "the trusted server's name or password cannot be sent");
    else
        line = str_format("LOGIN %s %s", name, secret);
    explicit_bzero(secret, sizeof(secret));
    free(filled);
    return line;
}

/* To the server's "+", where no initial response was sent. */
static int on_challenge(void *context, const struct imap_response *response, struct err *err)
{
    struct imap_session *session = context;
    char *encoded;
    if (response->kind != IMAP_RESPONSE_CONTINUE)
        return on_capability(context, response, err);
    encoded = sasl_plain(session);
    buf_add_str(&session->out, encoded);
    buf_add_str(&session->out, "\r\n");
    explicit_bzero(encoded, strlen(encoded));
    free(encoded);
    return 0;
}

static char *authenticate_line(const struct imap_session *session, struct err *err)
{
    const char *offered = imap_connect_capabilities(session->connect);
    uint32_t usable = imap_capability_parse(offered, &session->site->imap.disable_capabilities);
    char *encoded, *line;
    if (!strcasestr(offered, "AUTH=PLAIN")) {
        err_set(err, ERR_SITE, ERR_RETRY_LATER,
                "the server offers no AUTH=PLAIN on this connection: set imap.tls, or another form of login");
        return NULL;
    }
    if (!(usable & (UINT32_C(1) << IMAP_CAP_SASL_IR)))
        return str_copy("AUTHENTICATE PLAIN");
    encoded = sasl_plain(session);
    line = str_format("AUTHENTICATE PLAIN %s", encoded);
    explicit_bzero(encoded, strlen(encoded));
    free(encoded);
    return line;
}

void imap_session_greet(struct imap_session *session)
{
    const struct imap_handlers handlers = {.context = session, .on_done = on_login_done};
    const struct imap_pipeline_extras plain = {.on_untagged = on_challenge},
                                      login = {.on_untagged = on_capability};
    bool is_plain = is_form(session, "sasl-plain");
    struct err err = {0};
    char *line = is_plain ? authenticate_line(session, &err) : login_line(session, &err);
    imap_session_enter(session, IMAP_PHASE_LOGIN);
    if (line)
        imap_session_add(session, &handlers, is_plain ? &plain : &login, line);
    else
        imap_session_die(session, &err);
}
