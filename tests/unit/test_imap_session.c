/*
 * The session against a scripted server, with the real libcurl over loopback: logins of each form and how they fail,
 * commands and their answers in a table, what ends a session.
 */
#include "imap_client.h"

#include "base/str.h"
#include "imap/imap_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- logins that succeed ---- */

#define GREETED(capabilities)                                                                                \
    "S: * OK ready", "C: CAPABILITY", "S: * CAPABILITY IMAP4rev1 " capabilities, "S: $ OK done"

#define LOGIN_COMMAND "LOGIN \"4711*mirror\" \"seesaw\""
#define LOGIN(capabilities)                                                                                  \
    GREETED(""), "C: " LOGIN_COMMAND, "S: $ OK [CAPABILITY IMAP4rev1 " capabilities "] in"

static const struct {
    const char *form;     /* NULL: the template */
    const char *disabled; /* a capability, or NULL */
    const char *const *script;
    const char *server_words;
    uint32_t capabilities;
} logins[] = {
    {.script = IMAP_SCRIPT(LOGIN("UIDPLUS")),
     .server_words = "ready",
     .capabilities = 1u << IMAP_CAP_UIDPLUS},
    {.form = "{trusted}/{mailbox}",
     .script = IMAP_SCRIPT(GREETED(""), "C: LOGIN \"mirror/4711\" \"seesaw\"",
                           "S: * CAPABILITY IMAP4rev1 UNSELECT", "S: $ OK in"),
     .server_words = "ready",
     .capabilities = 1u << IMAP_CAP_UNSELECT},
    /* Told before the login only: asked again, since many servers offer more afterwards. */
    {.script = IMAP_SCRIPT(GREETED("IDLE"), "C: " LOGIN_COMMAND, "S: $ OK in", "C: CAPABILITY",
                           "S: * CAPABILITY IMAP4rev1 CONDSTORE", "S: $ OK done"),
     .server_words = "ready",
     .capabilities = 1u << IMAP_CAP_CONDSTORE},
    {.script = IMAP_SCRIPT("S: * OK [CAPABILITY IMAP4rev1 UIDPLUS] hello there", "C: CAPABILITY",
                           "S: * CAPABILITY IMAP4rev1", "S: $ OK done", "C: " LOGIN_COMMAND, "S: $ OK in",
                           "C: CAPABILITY", "S: * CAPABILITY IMAP4rev1", "S: $ OK done"),
     .server_words = "[CAPABILITY IMAP4rev1 UIDPLUS] hello there"},
    {.form = "sasl-plain",
     .script =
         IMAP_SCRIPT(GREETED("AUTH=PLAIN SASL-IR"),
                     /* 4711 NUL mirror NUL seesaw */
                     "C: AUTHENTICATE PLAIN NDcxMQBtaXJyb3IAc2Vlc2F3", "S: $ OK [CAPABILITY IMAP4rev1] in"),
     .server_words = "ready"},
    {.form = "sasl-plain",
     .script = IMAP_SCRIPT(GREETED("AUTH=PLAIN"), "C: AUTHENTICATE PLAIN", "S: +",
                           "c: NDcxMQBtaXJyb3IAc2Vlc2F3\r\n", "S: $ OK [CAPABILITY IMAP4rev1] in"),
     .server_words = "ready"},
    {.form = "sasl-plain",
     .disabled = "SASL-IR",
     .script = IMAP_SCRIPT(GREETED("AUTH=PLAIN SASL-IR"), "C: AUTHENTICATE PLAIN", "S: + go on",
                           "c: NDcxMQBtaXJyb3IAc2Vlc2F3\r\n", "S: $ OK [CAPABILITY IMAP4rev1] in"),
     .server_words = "ready"},
    {.form = "proxyauth",
     .script =
         IMAP_SCRIPT(GREETED(""), "C: LOGIN \"mirror\" \"seesaw\"", "S: $ OK [CAPABILITY IMAP4rev1 IDLE] in",
                     "C: PROXYAUTH 4711", "S: $ OK you are 4711", "C: CAPABILITY",
                     "S: * CAPABILITY IMAP4rev1 UIDPLUS", "S: $ OK done"),
     .server_words = "ready",
     .capabilities = 1u << IMAP_CAP_UIDPLUS},
    {.disabled = "UIDPLUS",
     .script = IMAP_SCRIPT(LOGIN("UIDPLUS CONDSTORE")),
     .server_words = "ready",
     .capabilities = 1u << IMAP_CAP_CONDSTORE},
    /* ID and ENABLE in one go, of which ID is waited for; refused or not. */
    {.script = IMAP_SCRIPT(LOGIN("ID ENABLE CONDSTORE"),
                           "C: ID (\"name\" \"Message Mirror\" \"version\" \"" MM_VERSION "\")",
                           "S: * ID (\"name\" \"store\")", "S: $ OK done", "C: ENABLE CONDSTORE",
                           "S: * ENABLED CONDSTORE", "S: $ OK done"),
     .server_words = "ready; name store",
     .capabilities = 1u << IMAP_CAP_ID | 1u << IMAP_CAP_ENABLE | 1u << IMAP_CAP_CONDSTORE},
    {.script = IMAP_SCRIPT(LOGIN("ID"), "C: ID (\"name\" \"Message Mirror\" \"version\" \"" MM_VERSION "\")",
                           "S: $ BAD what?"),
     .server_words = "ready",
     .capabilities = 1u << IMAP_CAP_ID},
};

static void set_disabled(struct imap_client *client, const char *const *capability)
{
    if (*capability)
        client->site.imap.disable_capabilities =
            (struct config_strings){.items = (char **)(uintptr_t)capability, .count = 1};
}

static void test_logins(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
        struct imap_client client;
        imap_client_begin(&client, logins[i].script);
        if (logins[i].form)
            client.site.login = (char *)(uintptr_t)logins[i].form;
        set_disabled(&client, &logins[i].disabled);
        imap_client_open(&client);
        imap_client_assert_ready(&client);
        assert_string_equal(imap_session_server_words(client.session), logins[i].server_words);
        assert_int_equal(imap_session_wait(client.session, NULL), 0);
        for (int id = 0; id < IMAP_CAP_COUNT; id++)
            assert_int_equal(imap_session_has(client.session, (enum imap_capability_id)id),
                             logins[i].capabilities >> id & 1);
        assert_string_equal(imap_session_mailbox(client.session), "4711");
        imap_client_end(&client);
    }
}

/* ---- logins that fail ---- */

static const struct {
    const char *form;
    const char *const *script;
    bool refused;
    enum err_scope scope;
    const char *text; /* after site and mailbox */
} failures[] = {
    {.script = IMAP_SCRIPT(GREETED(""), "C: " LOGIN_COMMAND, "S: $ NO no such mailbox"),
     .refused = true,
     .scope = ERR_MAILBOX,
     .text = "login refused: NO no such mailbox"},
    {.script = IMAP_SCRIPT(GREETED(""), "C: " LOGIN_COMMAND, "S: $ NO [AUTHENTICATIONFAILED] \"seesaw\"?"),
     .refused = true,
     .scope = ERR_MAILBOX,
     .text = "login refused: NO [AUTHENTICATIONFAILED] \"******\"?"},
    {.script = IMAP_SCRIPT(GREETED(""), "C: " LOGIN_COMMAND, "S: $ BAD what is that"),
     .refused = true,
     .scope = ERR_MAILBOX,
     .text = "login refused: BAD what is that"},
    {.script = IMAP_SCRIPT(GREETED(""), "C: " LOGIN_COMMAND, "S: $ NO [UNAVAILABLE] later"),
     .scope = ERR_MAILBOX,
     .text = "login not possible now: NO [UNAVAILABLE] later"},
    {.form = "sasl-plain",
     .script = IMAP_SCRIPT(GREETED("AUTH=PLAIN SASL-IR"), "C: AUTHENTICATE PLAIN NDcxMQBtaXJyb3IAc2Vlc2F3",
                           "S: $ NO not you"),
     .refused = true,
     .scope = ERR_MAILBOX,
     .text = "login refused: NO not you"},
    /* Servers that repeat what they refuse; the secret in any form of it stays here. */
    {.form = "sasl-plain",
     .script = IMAP_SCRIPT(GREETED("AUTH=PLAIN SASL-IR"), "C: AUTHENTICATE PLAIN NDcxMQBtaXJyb3IAc2Vlc2F3",
                           "S: $ BAD unknown: AUTHENTICATE PLAIN NDcxMQBtaXJyb3IAc2Vlc2F3"),
     .refused = true,
     .scope = ERR_MAILBOX,
     .text = "login refused: BAD unknown: AUTHENTICATE PLAIN ************************"},
    {.script = IMAP_SCRIPT(GREETED(""), "C: " LOGIN_COMMAND, "S: * BYE I don't take seesaw"),
     .scope = ERR_SITE,
     .text = "BYE I don't take ******"},
    {.form = "sasl-plain",
     .script = IMAP_SCRIPT(GREETED("AUTH=LOGIN")),
     .scope = ERR_SITE,
     .text = "the server offers no AUTH=PLAIN on this connection"},
    {.script = IMAP_SCRIPT(GREETED("LOGINDISABLED")),
     .scope = ERR_SITE,
     .text = "the server allows no LOGIN on this connection (LOGINDISABLED)"},
    {.form = "proxyauth",
     .script = IMAP_SCRIPT(GREETED(""), "C: LOGIN \"mirror\" \"seesaw\"", "S: $ OK in", "C: PROXYAUTH 4711",
                           "S: $ NO unknown user"),
     .refused = true,
     .scope = ERR_MAILBOX,
     .text = "login refused: NO unknown user"},
    {.form = "proxyauth",
     .script = IMAP_SCRIPT(GREETED(""), "C: LOGIN \"mirror\" \"seesaw\"", "S: $ OK in", "C: PROXYAUTH 4711",
                           "S: $ NO [LIMIT] too many"),
     .scope = ERR_SITE,
     .text = "login not possible now: NO [LIMIT] too many"},
    {.script = IMAP_SCRIPT("S: * BYE too many connections", "bye"),
     .scope = ERR_SITE,
     .text = "BYE too many connections"},
    {.script = IMAP_SCRIPT("S: HTTP/1.1 400 Bad Request", "bye"),
     .scope = ERR_SITE,
     .text = "400 Bad Request"},
    {.script = IMAP_SCRIPT("bye"), .scope = ERR_SITE, .text = "connecting failed: "},
    {.script = IMAP_SCRIPT(GREETED(""), "C: " LOGIN_COMMAND, "bye"),
     .scope = ERR_SITE,
     .text = "the server closed the connection"},
    {.script = IMAP_SCRIPT(GREETED(""), "C: " LOGIN_COMMAND, "S: * BYE shutting down", "bye"),
     .scope = ERR_SITE,
     .text = "BYE shutting down"},
    {.script = NULL, .scope = ERR_SITE, .text = "is the server up, imap.port right"},
    {.script =
         IMAP_SCRIPT(GREETED(""), "C: " LOGIN_COMMAND, "S: $ OK in", "C: CAPABILITY", "S: $ BAD not here"),
     .scope = ERR_MAILBOX,
     .text = "CAPABILITY: BAD not here"},
};

static void assert_dead(const struct imap_client *client, bool refused, enum err_scope scope,
                        const char *text)
{
    const struct err *err = imap_session_error(client->session);
    assert_int_equal(imap_session_state(client->session), IMAP_SESSION_DEAD);
    if (!strstr(err->text, text) || strncmp(err->text, "site production, mailbox 4711: ", 31) != 0)
        fail_msg("expected \"%s\" in \"%s\"", text, err->text);
    assert_null(strstr(err->text, "seesaw"));
    assert_int_equal(imap_session_is_login_refused(client->session), refused);
    assert_int_equal(err->scope, scope);
    assert_int_equal(err->retry, ERR_RETRY_LATER);
    assert_int_equal(err->side, ERR_SIDE_PRODUCTION);
}

static void test_failed_logins(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        struct imap_client client;
        imap_client_begin(&client, failures[i].script);
        if (failures[i].form)
            client.site.login = (char *)(uintptr_t)failures[i].form;
        imap_client_open(&client);
        assert_dead(&client, failures[i].refused, failures[i].scope, failures[i].text);
        imap_client_end(&client);
    }
}

/* Before the greeting, in the middle of the login, and after it. */
static const struct {
    const char *const *script;
    uint32_t connect_seconds, answer_seconds;
    const char *text;
} silences[] = {
    {(const char *const[]){NULL}, 1, 5, "no answer within 1 s (imap.connect_seconds)"},
    {IMAP_SCRIPT("S: * OK ready", "C: CAPABILITY"), 5, 1, "response timeout"},
    {IMAP_SCRIPT(GREETED(""), "C: " LOGIN_COMMAND), 5, 1,
     "the server was silent for 1 s (imap.answer_seconds)"},
};

static void test_silence(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(silences) / sizeof(silences[0]); i++) {
        struct imap_client client;
        imap_client_begin(&client, silences[i].script);
        client.site.imap.connect_seconds = silences[i].connect_seconds;
        client.site.imap.answer_seconds = silences[i].answer_seconds;
        imap_client_open(&client);
        assert_dead(&client, false, ERR_SITE, silences[i].text);
        imap_client_end(&client);
    }
}

/* ---- commands ---- */

#define NONSENSE "site production, mailbox 4711: the server's answer makes no sense: "

/* What is sent at once, and what comes of it: per command its answers and its end. */
static const struct {
    const char *const *script; /* after the login */
    const char *const *commands;
    const char *seen;
    enum err_scope scope; /* of what ended the session, if it ended */
} dialogues[] = {
    {.script = IMAP_SCRIPT("C: NOOP", "S: $1 OK [ALERT] done"),
     .commands = IMAP_SCRIPT("NOOP"),
     .seen = "OK [ALERT]\n"},
    {.script = IMAP_SCRIPT("C: NOOP", "S: $1 NO [OVERQUOTA] full"),
     .commands = IMAP_SCRIPT("NOOP"),
     .seen = "folder [OVERQUOTA] NOOP: NO [OVERQUOTA] full\n"},
    {.script = IMAP_SCRIPT("C: UID STORE 1 +FLAGS (a)", "S: $1 BAD what?", "C: NOOP", "S: $2 OK"),
     .commands = IMAP_SCRIPT("UID STORE 1 +FLAGS (a)", "NOOP"),
     .seen = "mailbox [] UID STORE: BAD what?\nOK []\n"},
    /* all sent before the first answer; untagged answers go to the oldest that wants them */
    {.script = IMAP_SCRIPT("C: UID FETCH 1:2 (FLAGS)", "C: UID FETCH 7 (FLAGS)", "C: UID SEARCH ALL",
                           "C: NOOP", "S: * 1 FETCH (UID 1 FLAGS (\\Seen))", "S: * 2 FETCH (UID 2 FLAGS ())",
                           "S: $1 OK", "S: * 3 FETCH (FLAGS (a) UID 7)", "S: $2 OK", "S: * SEARCH 1 2 7",
                           "S: $3 OK", "S: $4 OK"),
     .commands = IMAP_SCRIPT("UID FETCH 1:2 (FLAGS)", "UID FETCH 7 (FLAGS)", "UID SEARCH ALL", "NOOP"),
     .seen = "fetch 1 (\\Seen)\nfetch 2 ()\nOK []\nfetch 7 (a)\nOK []\n"
             "search 1:1\nsearch 2:2\nsearch 7:7\nOK []\nOK []\n"},
    /* one SEARCH at a time: its answers name no command */
    {.script = IMAP_SCRIPT("C: UID SEARCH SEEN", "S: * SEARCH 4", "S: $1 OK", "C: UID SEARCH UNSEEN",
                           "S: * ESEARCH (TAG \"$2\") UID ALL 5:9", "S: $2 OK"),
     .commands = IMAP_SCRIPT("UID SEARCH SEEN", "UID SEARCH UNSEEN"),
     .seen = "search 4:4\nOK []\nsearch 5:9\nOK []\n"},
    {.script = IMAP_SCRIPT("C: NOOP", "S: $1 OK", "C: UNSELECT", "S: $2 OK", "C: NOOP", "S: $3 OK"),
     .commands = IMAP_SCRIPT("NOOP", "UNSELECT", "NOOP"),
     .seen = "OK []\nOK []\nOK []\n"},
    {.script = IMAP_SCRIPT("C: UID FETCH 5 (BODY.PEEK[])", "s: * 1 FETCH (UID 5 BODY[] {5}\r\nhel",
                           "s: lo)\r\n$1 ", "S: OK done"),
     .commands = IMAP_SCRIPT("UID FETCH 5 (BODY.PEEK[])"),
     .seen = "body 5 of 5: hello.\nfetch 5\nOK []\n"},
    /* the body before its UID is taken for the message that was asked for */
    {.script =
         IMAP_SCRIPT("C: UID FETCH 5 (BODY.PEEK[])", "S: * 1 FETCH (BODY[] \"hello\" UID 5)", "S: $1 OK"),
     .commands = IMAP_SCRIPT("UID FETCH 5 (BODY.PEEK[])"),
     .seen = "body 5 of 5: hello.\nfetch 5\nOK []\n"},
    {.script = IMAP_SCRIPT("C: UID FETCH 5 (BODY.PEEK[])", "S: * 1 FETCH (BODY[] \"hello\" UID 6)"),
     .commands = IMAP_SCRIPT("UID FETCH 5 (BODY.PEEK[])"),
     .seen = "body 5 of 5: hello"
             "mailbox [] " NONSENSE "the body of message 6 where 5 was asked for\n",
     .scope = ERR_MAILBOX},
    /* what ends a session ends all its commands */
    {.script = IMAP_SCRIPT("C: NOOP", "C: NOOP", "S: m77 OK what"),
     .commands = IMAP_SCRIPT("NOOP", "NOOP"),
     .seen = "mailbox [] " NONSENSE "it is to a command that was not sent\n"
             "mailbox [] " NONSENSE "it is to a command that was not sent\n",
     .scope = ERR_MAILBOX},
    {.script = IMAP_SCRIPT("C: NOOP", "s: $1 OK\r\n$1 OK\r\n"),
     .commands = IMAP_SCRIPT("NOOP", "SELECT a"),
     .seen = "OK []\nmailbox [] " NONSENSE "it is to a command that was not sent\n",
     .scope = ERR_MAILBOX},
    {.script = IMAP_SCRIPT("C: NOOP", "S: )"),
     .commands = IMAP_SCRIPT("NOOP"),
     .seen = "mailbox [] " NONSENSE "a ) without its (\n",
     .scope = ERR_MAILBOX},
    {.script = IMAP_SCRIPT("C: NOOP", "C: NOOP", "S: $1 OK", "S: * BYE idle for too long", "bye"),
     .commands = IMAP_SCRIPT("NOOP", "NOOP"),
     .seen = "OK []\nmailbox [] site production, mailbox 4711: the server ended the connection: BYE idle for "
             "too long\n",
     .scope = ERR_MAILBOX},
    {.script = IMAP_SCRIPT("C: UID FETCH 5 (BODY.PEEK[])", "s: * 1 FETCH (UID 5 BODY[] {50}\r\nhello", "bye"),
     .commands = IMAP_SCRIPT("UID FETCH 5 (BODY.PEEK[])"),
     .seen = "body 5 of 50: hello"
             "mailbox [] site production, mailbox 4711: the server closed the connection\n",
     .scope = ERR_MAILBOX},
    {.script = IMAP_SCRIPT("C: UID FETCH 5 (BODY.PEEK[])", "S: * 1 FETCH (UID 5 BODY[] {4294967296}"),
     .commands = IMAP_SCRIPT("UID FETCH 5 (BODY.PEEK[])"),
     .seen = "mailbox [] " NONSENSE "a literal of 4294967296 bytes, over the limit of 101048576\n",
     .scope = ERR_MAILBOX},
    /* leaving: the BYE is no error, the OK counts */
    {.script = IMAP_SCRIPT("C: NOOP", "S: $1 OK", "C: LOGOUT", "S: * BYE see you", "S: $2 OK bye"),
     .commands = IMAP_SCRIPT("NOOP", "LOGOUT"),
     .seen = "OK []\nOK []\n"},
    {.script = IMAP_SCRIPT("C: LOGOUT", "S: * BYE see you", "bye"),
     .commands = IMAP_SCRIPT("LOGOUT"),
     .seen = "mailbox [] site production, mailbox 4711: the server closed the connection\n",
     .scope = ERR_MAILBOX},
};

static void play(struct imap_client *client, const char *const *script, const char *const *commands)
{
    struct err err = {0};
    imap_client_log_in(client, "", script);
    for (; *commands; commands++)
        assert_non_null(imap_session_send(client->session, &client->handlers, "%s", *commands));
    int result = imap_session_wait(client->session, &err);
    assert_int_equal(result == 0, imap_session_state(client->session) == IMAP_SESSION_READY);
    if (result != 0)
        assert_string_equal(err.text, imap_session_error(client->session)->text);
}

static void test_commands(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++) {
        struct imap_client client;
        play(&client, dialogues[i].script, dialogues[i].commands);
        assert_string_equal(buf_data(&client.seen), dialogues[i].seen);
        assert_int_equal(imap_session_error(client.session)->scope, dialogues[i].scope);
        if (dialogues[i].scope != ERR_NONE)
            assert_null(imap_session_send(client.session, &client.handlers, "NOOP"));
        imap_client_end(&client);
    }
}

/* ---- a callback that takes less than it is given ---- */

enum { BODY_BYTES = 300000, MOST_BYTES = 20000 };

struct sip {
    struct imap_client *client;
    size_t bytes, refused; /* taken; how often not all was */
    bool thirsty;
};

static size_t sip_body(void *context, const char *bytes, size_t len)
{
    struct sip *sip = context;
    (void)bytes;
    if (!sip->thirsty) {
        sip->refused++;
        return 0;
    }
    sip->thirsty = false;
    len = len < MOST_BYTES ? len : MOST_BYTES;
    sip->bytes += len;
    return len;
}

static void sip_done(void *context, int result, const char *code, const struct err *err)
{
    struct sip *sip = context;
    sip->client->handlers.on_done(sip->client, result, code, err);
}

static void test_body_in_sips(void **state)
{
    static const char *const script[] = {"C: UID FETCH 5 (BODY.PEEK[])",
                                         "s: * 1 FETCH (UID 5 BODY[] {300000}\r\n",
                                         "S* 300000",
                                         "S: )",
                                         "S: $ OK done",
                                         NULL};
    struct imap_client client;
    struct sip sip = {.client = &client};
    const struct imap_handlers handlers = {.context = &sip, .on_body_bytes = sip_body, .on_done = sip_done};
    (void)state;
    imap_client_log_in(&client, "", script);
    assert_non_null(imap_session_send(client.session, &handlers, "UID FETCH 5 (BODY.PEEK[])"));
    while (sip.refused == 0 && imap_client_run(&client))
        ;
    /* Now nothing is read, however often the reactor runs, and the wait takes its time. */
    for (int i = 0; i < 3; i++)
        imap_reactor_run(client.reactor, NULL, 0, 10);
    assert_int_equal(sip.bytes, 0);
    assert_int_equal(sip.refused, 1);
    while (buf_len(&client.seen) == 0 && imap_session_state(client.session) == IMAP_SESSION_READY) {
        sip.thirsty = true;
        imap_session_resume(client.session);
        assert_true(imap_reactor_run(client.reactor, NULL, 0, sip.bytes < BODY_BYTES ? 0 : 100));
    }
    assert_string_equal(buf_data(&client.seen), "OK []\n");
    assert_int_equal(sip.bytes, BODY_BYTES);
    imap_client_end(&client);
}

/* ---- the end of a session by us ---- */

static void test_freed_with_open_commands(void **state)
{
    static const char *const script[] = {"C: NOOP", "C: NOOP", NULL};
    struct imap_client client;
    struct buf *seen = &client.seen;
    (void)state;
    imap_client_log_in(&client, "", script);
    imap_session_send(client.session, &client.handlers, "NOOP");
    imap_session_send(client.session, &client.handlers, "NOOP");
    imap_session_send(client.session, &client.handlers, "SELECT a");
    imap_reactor_run(client.reactor, NULL, 0, 10);
    imap_session_cut(client.session);
    for (int i = 0; i < 3; i++) {
        static const char line[] =
            "mailbox [] site production, mailbox 4711: the connection was cut off by us\n";
        assert_memory_equal(buf_data(seen), line, sizeof(line) - 1);
        buf_consume(seen, sizeof(line) - 1);
    }
    assert_int_equal(buf_len(seen), 0);
    imap_client_end(&client);
}

static void test_stopped(void **state)
{
    static const char *const script[] = {"C: NOOP", NULL};
    struct imap_client client;
    struct err err = {0};
    (void)state;
    imap_client_log_in(&client, "", script);
    imap_session_send(client.session, &client.handlers, "NOOP");
    imap_reactor_run(client.reactor, NULL, 0, 10);
    client.deadline_ms = 0;
    assert_int_equal(imap_session_wait(client.session, &err), -1);
    assert_int_equal(err.scope, ERR_PROCESS);
    assert_string_equal(err.text, "site production, mailbox 4711: stopped");
    imap_client_end(&client);
}

/* Between a command and its writing a process may sleep for longer than its lease. */
static void test_stopped_writes_nothing(void **state)
{
    static const char *const script[] = {NULL};
    struct imap_client client;
    struct err err = {0};
    (void)state;
    imap_client_log_in(&client, "", script);
    client.deadline_ms = 0;
    while (imap_client_run(&client))
        ;
    imap_session_send(client.session, &client.handlers, "UID STORE 1 +FLAGS.SILENT (\\Deleted)");
    assert_int_equal(imap_session_wait(client.session, &err), -1);
    assert_int_equal(err.scope, ERR_PROCESS);
    imap_client_end(&client);
}

/* ---- folders ---- */

#define STATUS_ITEMS "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"

static const struct {
    const char *capabilities;
    const char *const *script;
    const char *seen; /* the folders, or the error */
} listings[] = {
    {"LIST-STATUS",
     IMAP_SCRIPT("C: LIST \"\" \"*\" RETURN (STATUS " STATUS_ITEMS ")", "S: * LIST () \"/\" INBOX",
                 "S: * STATUS inbox (MESSAGES 3 UIDNEXT 9)", "S: * LIST (\\Noselect) \"/\" a",
                 "S: * LIST () \"/\" a/b", "S: $ OK done"),
     "INBOX 3; a none; a/b none; "},
    {"",
     IMAP_SCRIPT("C: LIST \"\" \"*\"", "S: * LIST () \".\" INBOX", "S: * LIST (\\Noselect) \".\" a",
                 "S: * LIST () \".\" a.b", "S: * LIST () \".\" c", "S: $ OK done", "from here",
                 "C: STATUS \"INBOX\" " STATUS_ITEMS, "C: STATUS \"a.b\" " STATUS_ITEMS,
                 "C: STATUS \"c\" " STATUS_ITEMS, "S: * STATUS INBOX (MESSAGES 3)", "S: $1 OK",
                 "S: $2 NO gone", "S: * STATUS c (MESSAGES 0)", "S: $3 OK"),
     "INBOX 3; a none; a/b none; c 0; "},
    {"", IMAP_SCRIPT("C: LIST \"\" \"*\"", "S: $ OK"), ""},
    {"", IMAP_SCRIPT("C: LIST \"\" \"*\"", "S: * LIST () \"/\" a", "S: $ NO not now"), "LIST: NO not now"},
    {"LIST-STATUS",
     IMAP_SCRIPT("C: LIST \"\" \"*\" RETURN (STATUS " STATUS_ITEMS ")", "S: * LIST () \"/\" a",
                 "S: * LIST () \"/\" a", "S: $ OK"),
     "LIST tells the folder a twice"},
    {"", IMAP_SCRIPT("C: LIST \"\" \"*\"", "S: * LIST () \"/\" \"\""),
     "site production, mailbox 4711: LIST tells a folder name that is empty, over 1000 bytes or holds NUL"},
    {"", IMAP_SCRIPT("C: LIST \"\" \"*\"", "S: * LIST () \"/\" a", "bye"),
     "site production, mailbox 4711: the server closed the connection"},
};

static void write_list(struct buf *text, const struct imap_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].has_status)
            buf_addf(text, "%s %u; ", list->entries[i].name, list->entries[i].status.exists);
        else
            buf_addf(text, "%s none; ", list->entries[i].name);
}

static void test_listings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(listings) / sizeof(listings[0]); i++) {
        struct imap_client client;
        struct imap_list list;
        struct err err = {0};
        imap_client_log_in(&client, listings[i].capabilities, listings[i].script);
        if (imap_session_list(client.session, true, &list, &err) == 0)
            write_list(&client.seen, &list);
        else
            buf_add_str(&client.seen, err.text);
        assert_string_equal(buf_data(&client.seen), listings[i].seen);
        imap_list_fini(&list);
        imap_client_end(&client);
    }
}

static void test_open_folder(void **state)
{
    static const char *const script[] = {"C: EXAMINE \"a \\\"b\"",
                                         "S: * FLAGS (\\Seen a)",
                                         "S: * 5 EXISTS",
                                         "S: * OK [UIDVALIDITY 7] x",
                                         "S: * OK [UIDNEXT 12] x",
                                         "S: * OK [HIGHESTMODSEQ 12345] x",
                                         "S: * OK [PERMANENTFLAGS (\\Seen a \\*)] x",
                                         "S: $ OK [READ-ONLY] open",
                                         "C: NOOP",
                                         "S: * 2 EXPUNGE",
                                         "S: $ OK done",
                                         "C: SELECT \"gone\"",
                                         "S: $ NO [NONEXISTENT] no such folder",
                                         NULL};
    struct imap_client client;
    struct imap_folder_status status = {0};
    struct err err = {0};
    (void)state;
    imap_client_log_in(&client, "", script);
    assert_int_equal(imap_session_examine(client.session, "a \"b", &status, &err), 0);
    assert_true(status.has_exists && status.read_only && status.permanent_any_keyword);
    assert_int_equal(status.exists, 5);
    assert_int_equal(status.uidvalidity, 7);
    assert_int_equal(status.uidnext, 12);
    assert_true(imap_flags_has_keyword(&status.permanent, "a"));
    assert_true(status.highestmodseq == 0); /* without CONDSTORE it is not used */
    imap_session_send(client.session, &client.handlers, "NOOP");
    assert_int_equal(imap_session_wait(client.session, &err), 0);
    assert_int_equal(imap_session_exists(client.session), 4);
    imap_folder_status_fini(&status);
    assert_int_equal(imap_session_select(client.session, "gone", &status, &err), -1);
    assert_string_equal(err.text, "SELECT: NO [NONEXISTENT] no such folder");
    assert_int_equal(err.scope, ERR_FOLDER);
    assert_int_equal(imap_session_select(client.session, "a\nb", &status, &err), -1);
    assert_int_equal(imap_session_state(client.session), IMAP_SESSION_READY);
    imap_client_end(&client);
}

static void test_create(void **state)
{
    static const char *const script[] = {"C: CREATE \"a\"",
                                         "S: $ OK done",
                                         "C: CREATE \"b\"",
                                         "S: $ NO [ALREADYEXISTS] it is there",
                                         "C: CREATE \"c\"",
                                         "S: $ NO mailbox exists",
                                         "C: STATUS \"c\" " STATUS_ITEMS,
                                         "S: * STATUS c (MESSAGES 0)",
                                         "S: $ OK done",
                                         "C: CREATE \"d\"",
                                         "S: $ NO not allowed",
                                         "C: STATUS \"d\" " STATUS_ITEMS,
                                         "S: $ NO no such folder",
                                         "C: RENAME \"a\" \"e\"",
                                         "S: $ NO no",
                                         NULL};
    struct imap_client client;
    struct err err = {0};
    (void)state;
    imap_client_log_in(&client, "", script);
    assert_int_equal(imap_session_create(client.session, "a", &err), 0);
    assert_int_equal(imap_session_create(client.session, "b", &err), 0);
    assert_int_equal(imap_session_create(client.session, "c", &err), 0);
    assert_int_equal(imap_session_create(client.session, "d", &err), -1);
    assert_string_equal(err.text, "CREATE: NO not allowed");
    assert_int_equal(imap_session_rename(client.session, "a", "e", &err), -1);
    assert_string_equal(err.text, "RENAME: NO no");
    imap_client_end(&client);
}

/* ---- whose body ---- */

struct wanted_body {
    uint32_t uid;
    unsigned right, wrong;
};

static void count_body(void *context, uint32_t uid, uint64_t size_bytes)
{
    struct wanted_body *wanted = context;
    (void)size_bytes;
    *(uid == wanted->uid ? &wanted->right : &wanted->wrong) += 1;
}

static size_t take_bytes(void *context, const char *bytes, size_t len)
{
    (void)context;
    (void)bytes;
    return len;
}

/* Dovecot may say OK to a FETCH only behind the body of the next. */
static void test_a_body_belongs_to_the_fetch_that_names_it(void **state)
{
    const char *const *script =
        IMAP_SCRIPT("C: UID FETCH 5 (UID BODY.PEEK[])", "C: UID FETCH 6 (UID BODY.PEEK[])",
                    "S: * 1 FETCH (UID 5 BODY[] \"five\")", "S: * 2 FETCH (UID 6 BODY[] \"six\")", "S: $1 OK",
                    "S: $2 OK");
    struct wanted_body wanted[] = {{.uid = 5}, {.uid = 6}};
    struct imap_client client;
    (void)state;
    imap_client_log_in(&client, "", script);
    for (size_t i = 0; i < 2; i++) {
        const struct imap_handlers handlers = {
            .context = &wanted[i], .on_body_begin = count_body, .on_body_bytes = take_bytes};
        assert_non_null(
            imap_session_send(client.session, &handlers, "UID FETCH %u (UID BODY.PEEK[])", wanted[i].uid));
    }
    assert_int_equal(imap_session_wait(client.session, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(wanted[i].right, 1);
        assert_int_equal(wanted[i].wrong, 0);
    }
    imap_client_end(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_belongs_to_the_fetch_that_names_it),
        cmocka_unit_test(test_logins),
        cmocka_unit_test(test_failed_logins),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_body_in_sips),
        cmocka_unit_test(test_freed_with_open_commands),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_stopped_writes_nothing),
        cmocka_unit_test(test_listings),
        cmocka_unit_test(test_open_folder),
        cmocka_unit_test(test_create),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
