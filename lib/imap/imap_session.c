/*
 * A session's life and its bytes; see imap_session.h and the phases in imap_session_private.h. Runs inside the reactor's
 * rounds: bytes -> responses -> pipeline -> callbacks, and commands -> `out` -> libcurl. Callbacks may add commands and
 * message bytes; only the functions of this file read, write and end.
 */
#include "imap/imap_session_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "imap/imap_reactor_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    READ_BUDGET_BYTES = 512 * 1024,    /* then the others get their turn */
    LITERAL_SLACK_BYTES = 1024 * 1024, /* RFC822.SIZE is not always what comes */
    WINDOW_ANSWERS = 15,               /* so many times imap.answer_seconds, in which ... */
    WINDOW_LEAST_BYTES = 64 * 1024,    /* ... as much must move: 218 bytes a second by default */
};

/* ---- phases ---- */

void imap_session_enter(struct imap_session *session, enum imap_session_phase phase)
{
    static const char *const names[] = {
#define PHASE_NAME(id) [IMAP_PHASE_##id] = #id,
        IMAP_SESSION_PHASES(PHASE_NAME)
#undef PHASE_NAME
    };
    if (session->phase != phase)
        log_debug("session", LOG_STR("site", session->site->name), LOG_STR("mailbox", session->mailbox),
                  LOG_STR("from", names[session->phase]), LOG_STR("to", names[phase]));
    session->phase = phase;
    session->let_in |= phase >= IMAP_PHASE_CAPABILITY && phase <= IMAP_PHASE_READY;
}

void imap_session_die(struct imap_session *session, const struct err *err)
{
    if (session->phase == IMAP_PHASE_OVER)
        return;
    ASSERT(!session->in_callbacks);
    session->error = *err;
    err_prefix(&session->error, "site %s, mailbox %s", session->site->name, session->mailbox);
    err_blame(&session->error, session->side);
    imap_session_enter(session, IMAP_PHASE_OVER);
    imap_reactor_drop_connection(session->reactor, session);
    imap_pipeline_fail(&session->pipeline, &session->error);
}

void imap_session_doom(struct imap_session *session, const struct err *err)
{
    session->doomed = true;
    session->error = *err;
}

static void fail(struct imap_session *session, enum err_scope scope, const char *words)
{
    struct err err;
    err_set(&err, scope, ERR_RETRY_LATER, "%s", words);
    imap_session_die(session, &err);
}

/* Once the server let us in, it is up: what goes wrong then may be this mailbox's own (one that its process cannot open, or
 * dies over). If the site is down after all, the next login tells. */
static enum err_scope scope_of_loss(const struct imap_session *session)
{
    return session->phase < IMAP_PHASE_CAPABILITY ? ERR_SITE : ERR_MAILBOX;
}

static void lose(struct imap_session *session, struct err *err)
{
    err->scope = scope_of_loss(session);
    imap_session_die(session, err);
}

enum imap_session_state imap_session_state(const struct imap_session *session)
{
    if (session->phase == IMAP_PHASE_OVER)
        return IMAP_SESSION_DEAD;
    return session->phase == IMAP_PHASE_READY ? IMAP_SESSION_READY : IMAP_SESSION_CONNECTING;
}

bool imap_session_is_login_refused(const struct imap_session *session)
{
    return session->refused;
}

bool imap_session_is_let_in(const struct imap_session *session)
{
    return session->let_in;
}

const struct err *imap_session_error(const struct imap_session *session)
{
    return &session->error;
}

const char *imap_session_mailbox(const struct imap_session *session)
{
    return session->mailbox;
}

static bool find_peer(const struct imap_session *session, struct sockaddr_storage *peer_out,
                      socklen_t *len_out)
{
    *len_out = sizeof(*peer_out);
    memset(peer_out, 0, sizeof(*peer_out));
    return session->connect && !session->site->imap.proxy &&
           getpeername(session->fd, (struct sockaddr *)peer_out, len_out) == 0;
}

bool imap_session_is_same_server(const struct imap_session *a, const struct imap_session *b)
{
    struct sockaddr_storage peer_a, peer_b;
    socklen_t len_a, len_b;
    return find_peer(a, &peer_a, &len_a) && find_peer(b, &peer_b, &len_b) && len_a == len_b &&
           memcmp(&peer_a, &peer_b, len_a) == 0;
}

const char *imap_session_server_words(const struct imap_session *session)
{
    return session->words ? session->words : "";
}

bool imap_session_key_digest(const struct imap_session *session, uint8_t digest_out[DIGEST_BYTES])
{
    return session->connect && imap_connect_key_digest(session->connect, digest_out);
}

bool imap_session_has(const struct imap_session *session, enum imap_capability_id id)
{
    return session->capabilities & (UINT32_C(1) << id);
}

uint32_t imap_session_exists(const struct imap_session *session)
{
    return session->exists;
}

/* ---- what comes ---- */

static int take_bye(struct imap_session *session, const struct imap_response *response, struct err *err)
{
    if (imap_pipeline_is_leaving(&session->pipeline))
        return 0;
    err_set(err, scope_of_loss(session), ERR_RETRY_LATER, "the server ended the connection: BYE %s",
            response->text);
    imap_session_mask(session, err->text);
    return -1;
}

static void begin_window(struct imap_session *session)
{
    session->window_ms = clock_boot_ms();
    session->window_bytes = 0;
}

static int on_response(void *context, const struct imap_response *response, struct err *err)
{
    struct imap_session *session = context;
    if (response->kind == IMAP_RESPONSE_CONDITION && response->condition == IMAP_BYE)
        return take_bye(session, response, err);
    if (response->kind == IMAP_RESPONSE_EXISTS) {
        session->exists = response->first;
        session->has_exists = true;
    }
    if (response->kind == IMAP_RESPONSE_EXPUNGE && session->exists > 0)
        session->exists--;
    if (response->kind == IMAP_RESPONSE_TAGGED)
        begin_window(session);
    if (response->kind == IMAP_RESPONSE_CONTINUE && session->append)
        imap_append_on_continue(session->append);
    return imap_pipeline_take(&session->pipeline, response, err);
}

static int on_body_begin(void *context, uint32_t uid, uint64_t size_bytes, struct err *err)
{
    struct imap_session *session = context;
    (void)err;
    return imap_pipeline_body_begin(&session->pipeline, uid, size_bytes);
}

static size_t on_body_bytes(void *context, const char *bytes, size_t len)
{
    struct imap_session *session = context;
    return imap_pipeline_body_bytes(&session->pipeline, bytes, len);
}

static int feed(struct imap_session *session)
{
    struct err err = {0};
    size_t used;
    int result;
    session->in_callbacks = true;
    result = imap_response_feed(session->reader, buf_data(&session->in), buf_len(&session->in), &used, &err);
    session->in_callbacks = false;
    if (result == 0 && session->doomed) {
        err = session->error;
        result = -1;
    }
    if (result != 0) {
        imap_session_die(session, &err);
        return -1;
    }
    buf_consume(&session->in, used);
    session->paused = imap_response_is_stopped(session->reader);
    return 0;
}

static void read_some(struct imap_session *session)
{
    ssize_t total = 0;
    while (session->phase != IMAP_PHASE_OVER && session->unread && !session->paused &&
           total < READ_BUDGET_BYTES) {
        struct err err = {0};
        char *room = buf_reserve(&session->in, IMAP_SESSION_IN_BYTES - buf_len(&session->in));
        ssize_t got =
            imap_connect_read(session->connect, room, IMAP_SESSION_IN_BYTES - buf_len(&session->in), &err);
        if (got < 0) {
            lose(session, &err);
            return;
        }
        if (got == 0) {
            session->unread = false;
            return;
        }
        buf_commit(&session->in, (size_t)got);
        session->progress_ms = clock_boot_ms();
        session->window_bytes += (uint64_t)got;
        total += got;
        if (feed(session) != 0)
            return;
    }
}

void imap_session_resume(struct imap_session *session)
{
    if (session->phase == IMAP_PHASE_OVER || !session->paused)
        return;
    session->progress_ms = clock_boot_ms();
    feed(session);
}

/* ---- what goes ---- */

/* The server threw the message away already, but counts its bytes. */
static void pump_filler(struct imap_session *session)
{
    char blanks[4096];
    memset(blanks, ' ', sizeof(blanks));
    while (session->filler_bytes > 0 && buf_room(&session->out) > sizeof(blanks)) {
        size_t len = session->filler_bytes < sizeof(blanks) ? (size_t)session->filler_bytes : sizeof(blanks);
        buf_add(&session->out, blanks, len);
        session->filler_bytes -= len;
    }
    if (session->filler_bytes > 0 || buf_add_str(&session->out, "\r\n") != 0)
        return;
    session->pipeline.literal_open = false;
}

static void pump(struct imap_session *session)
{
    struct imap_command *command;
    if (session->append)
        imap_append_on_room(session->append);
    else if (session->pipeline.literal_open)
        pump_filler(session);
    while ((command = imap_pipeline_next(&session->pipeline))) {
        const char *line = imap_pipeline_line(command);
        if (buf_room(&session->out) < strlen(line) + 64)
            return;
        if (!imap_pipeline_is_waiting(&session->pipeline))
            session->progress_ms = clock_boot_ms();
        buf_addf(&session->out, "%s %s", imap_pipeline_tag(command), line);
        if (imap_pipeline_set_sent(&session->pipeline, command))
            buf_add_str(&session->out, "\r\n");
    }
}

static bool has_output(const struct imap_session *session)
{
    return session->chunk_sent < session->chunk_len || buf_len(&session->out) > 0;
}

static void fill_chunk(struct imap_session *session)
{
    size_t len = buf_len(&session->out);
    if (session->chunk_sent < session->chunk_len)
        return;
    session->chunk_len = len < sizeof(session->chunk) ? len : sizeof(session->chunk);
    session->chunk_sent = 0;
    memcpy(session->chunk, buf_data(&session->out), session->chunk_len);
    buf_consume(&session->out, session->chunk_len);
}

int imap_session_flush(struct imap_session *session)
{
    int moved = 0;
    if (session->phase == IMAP_PHASE_OVER || session->phase == IMAP_PHASE_CONNECT)
        return 0;
    for (pump(session); has_output(session); pump(session)) {
        struct err err = {0};
        ssize_t sent;
        fill_chunk(session);
        sent = imap_connect_write(session->connect, session->chunk + session->chunk_sent,
                                  session->chunk_len - session->chunk_sent, &err);
        if (sent < 0) {
            lose(session, &err);
            return -1;
        }
        if (sent == 0)
            break;
        moved = 1;
        session->chunk_sent += (size_t)sent;
        session->progress_ms = clock_boot_ms();
        session->window_bytes += (uint64_t)sent;
    }
    return moved;
}

struct imap_command *imap_session_add(struct imap_session *session, const struct imap_handlers *handlers,
                                      const struct imap_pipeline_extras *extras, char *line)
{
    struct imap_command *command;
    if (session->phase == IMAP_PHASE_OVER || imap_pipeline_is_leaving(&session->pipeline)) {
        free(line);
        return NULL;
    }
    command = imap_pipeline_add(&session->pipeline, handlers, extras, line);
    pump(session);
    return command;
}

/* ---- rounds ---- */

short imap_session_events(const struct imap_session *session, bool *at_once_out)
{
    *at_once_out = false;
    if (session->phase == IMAP_PHASE_OVER || session->phase == IMAP_PHASE_CONNECT)
        return 0;
    *at_once_out = session->unread && !session->paused;
    return (short)((session->paused ? 0 : CURL_WAIT_POLLIN) | (has_output(session) ? CURL_WAIT_POLLOUT : 0));
}

static bool is_unanswered(const struct imap_session *session, int64_t now_ms)
{
    return session->phase == IMAP_PHASE_CONNECT && !imap_connect_is_greeted(session->connect) &&
           now_ms - session->started_ms > (int64_t)session->site->imap.connect_seconds * 1000;
}

/* Connecting and logging in have a limit as a whole, so that a server which answers drop by drop holds nobody for ever. */
static bool is_too_slow_to_begin(const struct imap_session *session, int64_t now_ms)
{
    const struct config_imap *imap = &session->site->imap;
    int64_t most_seconds = (int64_t)imap->connect_seconds + 3 * (int64_t)imap->answer_seconds;
    return session->phase < IMAP_PHASE_READY && now_ms - session->started_ms > most_seconds * 1000;
}

/* Is it the server that has to do something? */
static bool waits_for_server(const struct imap_session *session)
{
    bool server_waits = session->append && !has_output(session) && imap_append_is_hungry(session->append);
    return session->phase != IMAP_PHASE_CONNECT && !session->paused && !server_waits &&
           imap_pipeline_is_waiting(&session->pipeline);
}

static bool is_silent(const struct imap_session *session, int64_t now_ms)
{
    return waits_for_server(session) &&
           now_ms - session->progress_ms > (int64_t)session->site->imap.answer_seconds * 1000;
}

/* Never silent, and never through: it would hold whoever waits for ever. A slow line moves more than this, and a server with
 * much to do has the time of a whole window for one command. */
static bool is_crawling(struct imap_session *session, int64_t now_ms)
{
    if (!waits_for_server(session) || session->window_bytes >= WINDOW_LEAST_BYTES)
        begin_window(session);
    return now_ms - session->window_ms > WINDOW_ANSWERS * (int64_t)session->site->imap.answer_seconds * 1000;
}

static void look_at_clock(struct imap_session *session)
{
    const struct config_imap *imap = &session->site->imap;
    int64_t now_ms = clock_boot_ms();
    char words[100];
    if (is_unanswered(session, now_ms))
        snprintf(words, sizeof(words), "no answer within %u s (imap.connect_seconds)", imap->connect_seconds);
    else if (is_too_slow_to_begin(session, now_ms))
        snprintf(words, sizeof(words),
                 "the login took longer than imap.connect_seconds and three times "
                 "imap.answer_seconds");
    else if (is_silent(session, now_ms))
        snprintf(words, sizeof(words), "the server was silent for %u s (imap.answer_seconds)",
                 imap->answer_seconds);
    else if (is_crawling(session, now_ms))
        snprintf(words, sizeof(words), "no answer ended, and less than %d KiB moved, in %u s: too slow",
                 WINDOW_LEAST_BYTES / 1024, WINDOW_ANSWERS * imap->answer_seconds);
    else
        return;
    fail(session, scope_of_loss(session), words);
}

void imap_session_serve(struct imap_session *session)
{
    if (session->phase == IMAP_PHASE_OVER)
        return;
    if (session->phase != IMAP_PHASE_CONNECT)
        read_some(session);
    if (session->phase != IMAP_PHASE_OVER)
        look_at_clock(session);
}

void imap_session_connected(struct imap_session *session, CURLcode code)
{
    struct err err = {0};
    session->fd = imap_connect_fd(session->connect);
    session->progress_ms = clock_boot_ms();
    if (imap_connect_end(session->connect, code, &err) != 0) {
        imap_session_die(session, &err);
        return;
    }
    session->words = str_copy(imap_connect_greeting(session->connect));
    imap_session_greet(session);
    /* At once: the first curl_easy_recv() is what binds connection and handle together; before it libcurl counts the
     * connection as idle, and may close it while another one connects. */
    session->unread = true;
    read_some(session);
}

/* ---- beginning and end ---- */

struct imap_session *imap_session_start(const struct imap_session_params *params, struct err *err)
{
    struct imap_session *session = mem_new(sizeof(*session));
    const struct imap_response_handlers handlers = {
        .context = session,
        .on_response = on_response,
        .on_body_begin = on_body_begin,
        .on_body_bytes = on_body_bytes,
    };
    session->site = params->site;
    session->mailbox = str_copy(params->mailbox);
    session->side = params->side;
    session->list_early = params->list_early;
    session->password = secret_from(secret_reveal(params->password));
    session->reactor = params->reactor;
    session->started_ms = clock_boot_ms();
    session->reader =
        imap_response_new(&handlers, params->site->imap.max_message_bytes + LITERAL_SLACK_BYTES);
    buf_init(&session->in, IMAP_SESSION_IN_BYTES);
    buf_init(&session->out, IMAP_SESSION_OUT_BYTES);
    session->connect = imap_connect_new(params, session, err);
    if (session->connect) {
        imap_reactor_add(session->reactor, session);
        return session;
    }
    err_prefix(err, "site %s", params->site->name);
    err_blame(err, params->side);
    session->phase = IMAP_PHASE_OVER;
    imap_session_free(session);
    return NULL;
}

void imap_session_cut(struct imap_session *session)
{
    fail(session, ERR_MAILBOX, "the connection was cut off by us");
}

void imap_session_free(struct imap_session *session)
{
    if (!session)
        return;
    imap_session_cut(session);
    imap_session_list_forget(session);
    imap_reactor_remove(session->reactor, session);
    imap_response_free(session->reader);
    buf_fini(&session->in);
    buf_fini(&session->out);
    secret_free(session->password);
    free(session->words);
    free(session->mailbox);
    free(session);
}
