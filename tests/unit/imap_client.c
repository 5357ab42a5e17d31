/*
 * The client's side of a scripted dialogue; see imap_client.h.
 */
#include "imap_client.h"

#include "base/clock.h"
#include "base/str.h"
#include "imap_dialogue.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000, MAX_SEEN_BYTES = 1 << 20, ROUND_MS = 200 };

/* ---- what is told, as text ---- */

static void on_fetch(void *context, const struct imap_fetch *fetch)
{
    struct imap_client *client = context;
    buf_addf(&client->seen, "fetch %" PRIu32, fetch->uid);
    if (fetch->has_flags) {
        char *flags = imap_flags_format(&fetch->flags);
        buf_addf(&client->seen, " (%s)", flags);
        free(flags);
    }
    buf_add_str(&client->seen, "\n");
}

static void on_search(void *context, uint32_t first_uid, uint32_t last_uid)
{
    struct imap_client *client = context;
    buf_addf(&client->seen, "search %" PRIu32 ":%" PRIu32 "\n", first_uid, last_uid);
}

static void on_body_begin(void *context, uint32_t uid, uint64_t size_bytes)
{
    struct imap_client *client = context;
    buf_addf(&client->seen, "body %" PRIu32 " of %" PRIu64 ": ", uid, size_bytes);
}

static size_t on_body_bytes(void *context, const char *bytes, size_t len)
{
    struct imap_client *client = context;
    buf_add(&client->seen, bytes, len);
    return len;
}

static void on_body_end(void *context)
{
    struct imap_client *client = context;
    buf_add_str(&client->seen, ".\n");
}

static void on_done(void *context, int result, const char *code, const struct err *err)
{
    struct imap_client *client = context;
    if (result == 0)
        buf_addf(&client->seen, "OK [%s]\n", code);
    else
        buf_addf(&client->seen, "%s [%s] %s\n", err_scope_name(err->scope), code, err->text);
}

/* ---- */

static bool is_patient(void *context)
{
    const struct imap_client *client = context;
    return clock_boot_ms() < client->deadline_ms;
}

void imap_client_begin(struct imap_client *client, const char *const *script)
{
    uint16_t port;
    signal(SIGPIPE, SIG_IGN);
    *client = (struct imap_client){.deadline_ms = clock_boot_ms() + PATIENCE_MS};
    client->dialogue = imap_dialogue_start(script, &port);
    client->site = (struct config_site){
        .name = "production",
        .login = "{mailbox}*{trusted}",
        .trusted_name = "mirror",
        .imap = {.host = "127.0.0.1",
                 .port = port,
                 .tls = CONFIG_TLS_NEVER,
                 .max_message_bytes = 100000000,
                 .connect_seconds = 5,
                 .answer_seconds = 5},
    };
    client->password = secret_from("seesaw");
    client->reactor = imap_reactor_new(is_patient, client);
    client->handlers = (struct imap_handlers){.context = client,
                                              .on_fetch = on_fetch,
                                              .on_search = on_search,
                                              .on_body_begin = on_body_begin,
                                              .on_body_bytes = on_body_bytes,
                                              .on_body_end = on_body_end,
                                              .on_done = on_done};
    buf_init(&client->seen, MAX_SEEN_BYTES);
}

bool imap_client_run(struct imap_client *client)
{
    return imap_reactor_run(client->reactor, NULL, 0, ROUND_MS);
}

enum imap_session_state imap_client_open(struct imap_client *client)
{
    const struct imap_session_params params = {.reactor = client->reactor,
                                               .site = &client->site,
                                               .password = client->password,
                                               .mailbox = "4711",
                                               .side = ERR_SIDE_PRODUCTION};
    struct err err = {0};
    client->session = imap_session_start(&params, &err);
    assert_non_null(client->session);
    while (imap_session_state(client->session) == IMAP_SESSION_CONNECTING && imap_client_run(client))
        ;
    return imap_session_state(client->session);
}

void imap_client_log_in(struct imap_client *client, const char *capabilities, const char *const *script)
{
    char *logged_in = str_format("S: $ OK [CAPABILITY IMAP4rev1 %s] in", capabilities);
    const char *const login[] = {"S: * OK ready",
                                 "C: CAPABILITY",
                                 "S: * CAPABILITY",
                                 "S: $ OK done",
                                 "C: LOGIN \"4711*mirror\" \"seesaw\"",
                                 logged_in,
                                 "from here"};
    enum { LINES = sizeof(login) / sizeof(login[0]) };
    size_t count = 0;
    while (script[count])
        count++;
    const char **whole = mem_grow(NULL, LINES + count + 1, sizeof(*whole));
    memcpy(whole, login, sizeof(login));
    memcpy(whole + LINES, script, (count + 1) * sizeof(*whole));
    imap_client_begin(client, whole);
    client->script = whole;
    client->logged_in = logged_in;
    imap_client_open(client);
    imap_client_assert_ready(client);
}

void imap_client_assert_ready(struct imap_client *client)
{
    if (imap_session_state(client->session) != IMAP_SESSION_READY) {
        char *problem = imap_dialogue_end(client->dialogue);
        fail_msg("%s; the server %s", imap_session_error(client->session)->text,
                 problem ? problem : "is content");
    }
}

void imap_client_end(struct imap_client *client)
{
    char *problem;
    imap_session_free(client->session);
    imap_reactor_free(client->reactor);
    secret_free(client->password);
    buf_fini(&client->seen);
    problem = imap_dialogue_end(client->dialogue);
    free(client->script);
    free(client->logged_in);
    if (problem)
        fail_msg("the server %s", problem);
}
