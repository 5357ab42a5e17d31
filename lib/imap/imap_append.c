/*
 * One APPEND command; see imap_append.h. Heads of messages wait in `heads` until there is room; message bytes go straight
 * into the session's `out`.
 *
 *   WAITING --its turn--> WRITING --all written--> ASKED --tagged answer--> (outcome)
 *                         "+" awaited after each head without LITERAL+
 *
 * Refused in the middle of a literal, the server still counts the announced bytes: the session sends it filler.
 */
#include "imap/imap_append.h"

#include "base/crash.h"
#include "base/str.h"
#include "imap/imap_names.h"
#include "imap/imap_session_private.h"
#include "imap/imap_set.h"
#include "imap/imap_uids.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_HEAD_BYTES = 32 * 1024 };

struct imap_append {
    struct imap_session *session;
    struct imap_command *command; /* NULL once it is answered */
    bool in_turn, literal_plus;
    bool awaiting; /* the server's "+" */
    bool ended;    /* all messages were given */
    struct buf heads;
    size_t messages;
    uint64_t left; /* of the current literal */
    enum imap_append_outcome outcome;
    struct err err;
    uint32_t uidvalidity;
    struct imap_uids uids;
};

/* ---- answers ---- */

/* "APPENDUID 38505 3955:3957" */
static void take_uids(struct imap_append *append, const char *code)
{
    static const char name[] = "APPENDUID ";
    uint32_t first, last;
    char *set = NULL;
    int found = 0;
    if (!imap_session_has(append->session, IMAP_CAP_UIDPLUS) ||
        strncasecmp(code, name, sizeof(name) - 1) != 0)
        return;
    append->uidvalidity = (uint32_t)strtoul(code + sizeof(name) - 1, &set, 10);
    if (*set++ != ' ')
        return;
    const char *rest = set;
    while ((found = imap_set_next(&rest, &first, &last)) > 0 && last - first < append->messages)
        for (uint64_t uid = first; uid <= last; uid++)
            imap_uids_add(&append->uids, (uint32_t)uid);
    if (found != 0 || append->uids.count != append->messages)
        append->uids.count = 0;
}

/* The command is written to its end, or given up: what comes next may follow. */
static void leave_turn(struct imap_append *append, bool owes_end, uint64_t filler_bytes)
{
    struct imap_session *session = append->session;
    if (!append->in_turn)
        return;
    append->in_turn = false;
    session->append = NULL;
    session->filler_bytes = filler_bytes;
    session->pipeline.literal_open = owes_end;
}

/* OK to half a command is an answer to nothing: what the server has now, a look will tell. */
static void doubt(struct imap_append *append)
{
    append->outcome = IMAP_APPEND_UNKNOWN;
    err_set(&append->err, ERR_MAILBOX, ERR_RETRY_LATER,
            "the server's answer makes no sense: OK to an APPEND before its end");
    imap_session_doom(append->session, &append->err);
}

static void on_done(void *context, int result, const char *code, const struct err *err)
{
    struct imap_append *append = context;
    bool dead = append->session->phase == IMAP_PHASE_OVER;
    append->command = NULL;
    if (result != 0) {
        append->outcome = dead ? IMAP_APPEND_UNKNOWN : IMAP_APPEND_REFUSED;
        append->err = *err;
    } else if (append->in_turn) {
        doubt(append);
    } else {
        append->outcome = IMAP_APPEND_DONE;
        take_uids(append, code);
        CRASH_POINT(APPEND_ANSWERED);
    }
    /* A NO in place of "+" ends the command; else the server goes on to its announced end. A head that was not written
     * yet announced nothing. */
    if (buf_len(&append->heads) > 0)
        leave_turn(append, true, 0);
    else
        leave_turn(append, !append->awaiting, append->awaiting ? 0 : append->left);
}

/* ---- writing ---- */

static void write_heads(struct imap_append *append)
{
    struct buf *out = &append->session->out;
    if (!append->in_turn || buf_add(out, buf_data(&append->heads), buf_len(&append->heads)) != 0)
        return;
    buf_clear(&append->heads);
    if (append->ended && !append->awaiting && buf_add_str(out, "\r\n") == 0)
        leave_turn(append, false, 0);
}

void imap_append_on_room(struct imap_append *append)
{
    write_heads(append);
}

bool imap_append_is_hungry(const struct imap_append *append)
{
    return !append->awaiting && !append->ended;
}

void imap_append_on_continue(struct imap_append *append)
{
    if (buf_len(&append->heads) > 0)
        return; /* to what was not asked yet */
    append->awaiting = false;
    write_heads(append);
}

static void on_turn(void *context)
{
    struct imap_append *append = context;
    append->in_turn = true;
    append->session->append = append;
    write_heads(append);
}

/* ---- the calls ---- */

struct imap_append *imap_append_begin(struct imap_session *session, const char *wire_name)
{
    struct imap_append *append = mem_new(sizeof(*append));
    const struct imap_handlers handlers = {.context = append, .on_done = on_done};
    const struct imap_pipeline_extras extras = {.on_turn = on_turn};
    char quoted[2 * IMAP_NAME_MAX_BYTES + 3];
    append->session = session;
    append->literal_plus = imap_session_has(session, IMAP_CAP_LITERAL_PLUS);
    buf_init(&append->heads, MAX_HEAD_BYTES);
    if (imap_session_quote(wire_name, quoted, sizeof(quoted)) == 0)
        append->command = imap_session_add(session, &handlers, &extras, str_format("APPEND %s", quoted));
    if (append->command)
        return append;
    buf_fini(&append->heads);
    free(append);
    return NULL;
}

int imap_append_message(struct imap_append *append, const struct imap_flags *flags, const char *date,
                        uint64_t size_bytes, struct err *err)
{
    char *text;
    int result;
    if (append->outcome != IMAP_APPEND_RUNNING || append->left > 0 || append->awaiting || append->ended)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_LATER,
                       "APPEND: the command is over, or its last message not complete");
    text = imap_flags_format(flags);
    result = buf_addf(&append->heads, " (%s) %s%s%s{%" PRIu64 "%s}\r\n", text, date ? "\"" : "",
                      date ? date : "", date ? "\" " : "", size_bytes, append->literal_plus ? "+" : "");
    free(text);
    if (result != 0)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_NEVER, "APPEND: more flags than a command can hold");
    append->messages++;
    append->left = size_bytes;
    append->awaiting = !append->literal_plus;
    write_heads(append);
    return 0;
}

size_t imap_append_room(const struct imap_append *append)
{
    size_t room = buf_room(&append->session->out);
    if (append->outcome != IMAP_APPEND_RUNNING || !append->in_turn || append->awaiting ||
        buf_len(&append->heads) > 0)
        return 0;
    return append->left < room ? (size_t)append->left : room;
}

size_t imap_append_bytes(struct imap_append *append, const char *bytes, size_t len)
{
    size_t room = imap_append_room(append);
    if (len > room)
        len = room;
    buf_add(&append->session->out, bytes, len);
    append->left -= len;
    if (append->left == 0)
        CRASH_SENT(LITERAL_SENT, imap_session_flush(append->session));
    return len;
}

int imap_append_end(struct imap_append *append, struct err *err)
{
    if (append->outcome != IMAP_APPEND_RUNNING || append->left > 0)
        return err_set(err, ERR_MAILBOX, ERR_RETRY_LATER,
                       "APPEND: the command is over, or its last message not complete");
    append->ended = true;
    write_heads(append);
    CRASH_SENT(APPEND_SENT, imap_session_flush(append->session));
    return 0;
}

enum imap_append_outcome imap_append_outcome(const struct imap_append *append, struct err *err)
{
    if (err && (append->outcome == IMAP_APPEND_REFUSED || append->outcome == IMAP_APPEND_UNKNOWN))
        *err = append->err;
    return append->outcome;
}

size_t imap_append_uids(const struct imap_append *append, uint32_t *uidvalidity_out, uint32_t *uids_out,
                        size_t max)
{
    size_t count = append->uids.count <= max ? append->uids.count : 0;
    *uidvalidity_out = append->uidvalidity;
    if (count > 0)
        memcpy(uids_out, append->uids.items, count * sizeof(*uids_out));
    return count;
}

void imap_append_free(struct imap_append *append)
{
    if (!append)
        return;
    if (append->command && !append->in_turn && !append->ended)
        imap_pipeline_forget(&append->session->pipeline, append->command);
    else if (append->command)
        imap_session_cut(append->session);
    buf_fini(&append->heads);
    imap_uids_fini(&append->uids);
    free(append);
}
