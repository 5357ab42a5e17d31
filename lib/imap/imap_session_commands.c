/*
 * Commands of a session: sending, waiting, and the blocking helpers about one folder; see imap_session.h.
 */
#include "imap/imap_session_private.h"

#include "base/crash.h"
#include "base/str.h"
#include "imap/imap_folder.h"
#include "imap/imap_names.h"
#include "imap/imap_reactor_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WAIT_MS = 1000 };

/* ---- sending and waiting ---- */

struct imap_command *imap_session_send(struct imap_session *session, const struct imap_handlers *handlers,
                                       const char *format, ...)
{
    const struct imap_pipeline_extras none = {0};
    char *line = NULL;
    va_list arguments;
    int len;
    va_start(arguments, format);
    len = vasprintf(&line, format, arguments);
    va_end(arguments);
    ASSERT(len >= 0);
    return imap_session_add(session, handlers, &none, line);
}

int imap_session_wait(struct imap_session *session, struct err *err)
{
    bool going = true;
    while (going && session->phase != IMAP_PHASE_OVER && !imap_pipeline_is_empty(&session->pipeline))
        going = imap_reactor_run(session->reactor, NULL, 0, WAIT_MS);
    if (!going) {
        /* What was sent can no longer be answered to a caller that is gone. */
        struct err stopped;
        err_set(&stopped, ERR_PROCESS, ERR_RETRY_LATER, "stopped");
        imap_session_die(session, &stopped);
    }
    if (session->phase != IMAP_PHASE_OVER)
        return 0;
    if (err)
        *err = session->error;
    return -1;
}

int imap_session_quote(const char *value, char *text, size_t size)
{
    size_t len = 0;
    if (size < 3 || strpbrk(value, "\r\n"))
        return -1;
    text[len++] = '"';
    for (; *value; value++) {
        if (len + 4 > size)
            return -1;
        if (*value == '"' || *value == '\\')
            text[len++] = '\\';
        text[len++] = *value;
    }
    text[len++] = '"';
    text[len] = 0;
    return 0;
}

/* ---- one command with an answer ---- */

struct answer {
    int result;
    char code[64];
    struct err err;
    struct imap_session *session;
    struct imap_folder_status *status; /* filled where the command tells of a folder */
    uint32_t exists;                   /* when the answer came */
    bool has_exists;
};

static void on_done(void *context, int result, const char *code, const struct err *err)
{
    struct answer *answer = context;
    answer->result = result;
    answer->exists = answer->session->exists;
    answer->has_exists = answer->session->has_exists;
    str_into(answer->code, sizeof(answer->code), code);
    if (result != 0)
        answer->err = *err;
}

/* "<word> <name>[ <name>][ <rest>]" */
static int send_question(struct answer *answer, imap_pipeline_untagged *on_untagged, const char *word,
                         const char *name, const char *rest, struct err *err)
{
    const struct imap_handlers handlers = {.context = answer, .on_done = on_done};
    const struct imap_pipeline_extras extras = {.on_untagged = on_untagged};
    char quoted[2 * IMAP_NAME_MAX_BYTES + 3];
    if (imap_session_quote(name, quoted, sizeof(quoted)) != 0)
        return err_set(err, ERR_FOLDER, ERR_RETRY_NEVER, "%s: the folder's name cannot be sent", word);
    answer->result = -1;
    if (!imap_session_add(answer->session, &handlers, &extras, str_format("%s %s%s", word, quoted, rest))) {
        *err = answer->session->error;
        return -1;
    }
    return 0;
}

static int await_answer(struct answer *answer, struct err *err)
{
    if (imap_session_wait(answer->session, err) != 0)
        return -1;
    if (answer->result != 0)
        *err = answer->err;
    return answer->result;
}

static int ask(struct answer *answer, imap_pipeline_untagged *on_untagged, const char *word, const char *name,
               const char *rest, struct err *err)
{
    return send_question(answer, on_untagged, word, name, rest, err) == 0 ? await_answer(answer, err) : -1;
}

/* ---- EXAMINE and SELECT ---- */

static int on_opening(void *context, const struct imap_response *response, struct err *err)
{
    struct answer *answer = context;
    (void)err;
    if (response->kind == IMAP_RESPONSE_FLAGS)
        imap_folder_take_flags(answer->status, response->flags);
    else if (response->kind == IMAP_RESPONSE_CONDITION)
        imap_folder_take_code(answer->status, response->code);
    return 0;
}

/* HIGHESTMODSEQ counts only where CONDSTORE may be used. */
static void drop_modseq(const struct imap_session *session, struct imap_folder_status *status)
{
    if (!imap_session_has(session, IMAP_CAP_CONDSTORE))
        status->highestmodseq = 0;
}

static int send_opening(struct answer *answer, const char *word, const char *wire_name, struct err *err)
{
    imap_folder_begin(answer->status);
    answer->session->exists = 0;
    answer->session->has_exists = false;
    return send_question(answer, on_opening, word, wire_name, "", err);
}

static int await_opening(struct answer *answer, struct err *err)
{
    struct imap_session *session = answer->session;
    struct imap_folder_status *status_out = answer->status;
    if (await_answer(answer, err) != 0)
        return -1;
    /* Required (RFC 3501 section 6.3.1). Taken for 0 it would tell of an emptied folder (I6). */
    if (!answer->has_exists)
        return err_set(err, ERR_FOLDER, ERR_RETRY_LATER,
                       "the server opens the folder but does not tell how many messages exist in it");
    imap_folder_take_code(status_out, answer->code); /* READ-ONLY, READ-WRITE */
    status_out->exists = answer->exists;
    status_out->has_exists = true;
    drop_modseq(session, status_out);
    return 0;
}

static int open_folder(struct imap_session *session, const char *word, const char *wire_name,
                       struct imap_folder_status *status_out, struct err *err)
{
    struct answer answer = {.session = session, .status = status_out};
    if (send_opening(&answer, word, wire_name, err) == 0 && await_opening(&answer, err) == 0)
        return 0;
    imap_folder_status_fini(status_out);
    return -1;
}

int imap_session_examine_and(struct imap_session *session, const char *wire_name,
                             struct imap_folder_status *status_out, void (*send_more)(void *context),
                             void *context, struct err *err)
{
    struct answer answer = {.session = session, .status = status_out};
    int result = send_opening(&answer, "EXAMINE", wire_name, err);
    if (result == 0) {
        send_more(context);
        result = await_opening(&answer, err);
    }
    if (result != 0)
        imap_folder_status_fini(status_out);
    return result;
}

int imap_session_examine(struct imap_session *session, const char *wire_name,
                         struct imap_folder_status *status_out, struct err *err)
{
    return open_folder(session, "EXAMINE", wire_name, status_out, err);
}

int imap_session_select(struct imap_session *session, const char *wire_name,
                        struct imap_folder_status *status_out, struct err *err)
{
    return open_folder(session, "SELECT", wire_name, status_out, err);
}

/* ---- STATUS ---- */

const char *imap_session_status_items(const struct imap_session *session)
{
    return imap_session_has(session, IMAP_CAP_CONDSTORE)
               ? "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)"
               : "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)";
}

static int on_status(void *context, const struct imap_response *response, struct err *err)
{
    struct answer *answer = context;
    (void)err;
    if (response->kind == IMAP_RESPONSE_STATUS)
        *answer->status = *response->status;
    return 0;
}

int imap_session_status(struct imap_session *session, const char *wire_name,
                        struct imap_folder_status *status_out, struct err *err)
{
    struct answer answer = {.session = session, .status = status_out};
    char *rest = str_format(" %s", imap_session_status_items(session));
    int result;
    imap_folder_status_fini(status_out);
    result = ask(&answer, on_status, "STATUS", wire_name, rest, err);
    free(rest);
    drop_modseq(session, status_out);
    return result;
}

/* ---- CREATE and RENAME ---- */

int imap_session_create(struct imap_session *session, const char *wire_name, struct err *err)
{
    struct answer answer = {.session = session};
    struct imap_folder_status status = {0};
    struct err ignored;
    if (send_question(&answer, NULL, "CREATE", wire_name, "", err) != 0)
        return -1;
    CRASH_SENT(CREATE_SENT, imap_session_flush(session));
    if (await_answer(&answer, err) == 0 ||
        strncasecmp(answer.code, "ALREADYEXISTS", strlen("ALREADYEXISTS")) == 0)
        return 0;
    /* Older servers have no code for it; somebody else may have been faster. */
    if (session->phase != IMAP_PHASE_READY || imap_session_status(session, wire_name, &status, &ignored) != 0)
        return -1;
    imap_folder_status_fini(&status);
    return 0;
}

int imap_session_rename(struct imap_session *session, const char *from, const char *to, struct err *err)
{
    struct answer answer = {.session = session};
    char quoted[2 * IMAP_NAME_MAX_BYTES + 3], *rest;
    int result;
    if (imap_session_quote(to, quoted, sizeof(quoted)) != 0)
        return err_set(err, ERR_FOLDER, ERR_RETRY_NEVER, "RENAME: the folder's name cannot be sent");
    rest = str_format(" %s", quoted);
    result = send_question(&answer, NULL, "RENAME", from, rest, err);
    free(rest);
    if (result != 0)
        return -1;
    CRASH_SENT(RENAME_SENT, imap_session_flush(session));
    return await_answer(&answer, err);
}

int imap_session_delete(struct imap_session *session, const char *wire_name, struct err *err)
{
    struct answer answer = {.session = session};
    if (send_question(&answer, NULL, "DELETE", wire_name, "", err) != 0)
        return -1;
    CRASH_SENT(DELETE_SENT, imap_session_flush(session));
    return await_answer(&answer, err);
}
