/*
 * One batch on its way; see stream.h. Runs in the copier. The flow is driven by production's answers: a body begins ->
 * an APPEND (or the next message of a MULTIAPPEND) begins; a piece comes -> as much as the target has room for is taken,
 * and production is read no further until there is room again.
 */
#include "copier/stream.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* PARCEL_MESSAGES: a NO to one of them is a NO to all, and what a MULTIAPPEND holds shows only at its end. */
enum { ROUND_MS = 1000, NO_ITEM = -1, PARCEL_MESSAGES = 32 };

/* One APPEND command and the items in it, in order. */
struct parcel {
    struct imap_append *append;
    size_t *items;
    size_t count;
    bool ended;
};

/* One FETCH and whose body it asks for. */
struct request {
    struct stream *stream;
    size_t item;
    bool answered;
};

struct stream {
    struct stream *ahead, *behind; /* others on their way, or NULL */
    struct pass *pass;
    struct stream_item *items;
    size_t count;
    struct stream_options options;
    struct request *requests;
    struct parcel *parcels;
    size_t parcel_count;
    struct digest *digest;
    long current; /* item whose body comes now, or NO_ITEM */
    bool swallow; /* its APPEND failed already: let the bytes pass */
    bool paused;
    size_t answered; /* tagged answers of production */
    bool failed;     /* a side cannot go on: err says why */
    struct err err;
};

void stream_item_refuse(struct stream_item *item, const char *words)
{
    free(item->refusal);
    item->refusal = str_copy(words);
    item->fate = STREAM_REFUSED;
}

void stream_item_fini(struct stream_item *item)
{
    free(item->refusal);
    item->refusal = NULL;
}

static struct imap_session *target_side(const struct stream *stream)
{
    return access_session_imap(stream->pass->turn->target_session);
}

static void fail(struct stream *stream, const struct err *err)
{
    if (!stream->failed)
        stream->err = *err;
    stream->failed = true;
}

/* ---- parcels ---- */

static struct parcel *open_parcel(struct stream *stream)
{
    struct parcel *parcel = stream->parcel_count ? &stream->parcels[stream->parcel_count - 1] : NULL;
    if (parcel && !parcel->ended)
        return parcel;
    parcel = &stream->parcels[stream->parcel_count];
    *parcel = (struct parcel){.items = mem_grow(NULL, PARCEL_MESSAGES, sizeof(*parcel->items))};
    parcel->append =
        target_append_begin(stream->pass->turn->target, stream->pass->folder->target_name, &stream->err);
    if (!parcel->append) {
        free(parcel->items);
        stream->failed = true;
        return NULL;
    }
    stream->parcel_count++;
    return parcel;
}

static void end_parcel(struct stream *stream, struct parcel *parcel)
{
    struct err err = {0};
    if (parcel->ended)
        return;
    parcel->ended = true;
    if (imap_append_end(parcel->append, &err) != 0 &&
        imap_append_outcome(parcel->append, NULL) == IMAP_APPEND_RUNNING)
        fail(stream, &err);
}

static int add_to_parcel(struct stream *stream, size_t item, uint64_t size_bytes)
{
    const struct imap_message *message = stream->items[item].message;
    struct imap_flags flags = {.system = message->flags.system};
    struct parcel *parcel = open_parcel(stream);
    struct err err = {0};
    if (!parcel || imap_append_message(parcel->append, stream->options.bare ? &flags : &message->flags,
                                       message->date.text, size_bytes, &err) != 0)
        return -1;
    parcel->items[parcel->count++] = item;
    return 0;
}

/* ---- production's answers ---- */

static long item_of(const struct stream *stream, uint32_t uid)
{
    for (size_t i = 0; i < stream->count; i++)
        if (stream->items[i].message->uid == uid)
            return (long)i;
    return NO_ITEM;
}

static bool was_sent(const struct stream *stream, size_t item)
{
    for (size_t p = 0; p < stream->parcel_count; p++)
        for (size_t i = 0; i < stream->parcels[p].count; i++)
            if (stream->parcels[p].items[i] == item)
                return true;
    return false;
}

static void end_open_parcel(struct stream *stream)
{
    if (stream && stream->parcel_count > 0 && !stream->failed)
        end_parcel(stream, &stream->parcels[stream->parcel_count - 1]);
}

/* Bodies come one after the other, but not always in the order in which they were asked for, and Dovecot's tagged answers
 * may come behind the next body: an APPEND that waited for more would keep this one waiting. */
static void on_body_begin(void *context, uint32_t uid, uint64_t size_bytes)
{
    struct stream *stream = ((struct request *)context)->stream;
    end_open_parcel(stream->ahead);
    end_open_parcel(stream->behind);
    stream->current = item_of(stream, uid);
    stream->swallow =
        stream->failed || stream->current == NO_ITEM || was_sent(stream, (size_t)stream->current);
    digest_reset(stream->digest);
    if (stream->swallow)
        return;
    stream->swallow = add_to_parcel(stream, (size_t)stream->current, size_bytes) != 0;
}

static bool current_append_runs(const struct stream *stream)
{
    const struct imap_append *append = stream->parcels[stream->parcel_count - 1].append;
    return imap_append_outcome(append, NULL) == IMAP_APPEND_RUNNING;
}

static size_t on_body_bytes(void *context, const char *bytes, size_t len)
{
    struct stream *stream = ((struct request *)context)->stream;
    size_t taken;
    if (stream->swallow || !current_append_runs(stream))
        return len;
    taken = imap_append_bytes(stream->parcels[stream->parcel_count - 1].append, bytes, len);
    digest_add(stream->digest, bytes, taken);
    stream->paused = taken < len;
    return taken;
}

static void on_body_end(void *context)
{
    struct stream *stream = ((struct request *)context)->stream;
    struct parcel *parcel = stream->parcel_count ? &stream->parcels[stream->parcel_count - 1] : NULL;
    if (!stream->swallow) {
        digest_end(stream->digest, &stream->items[stream->current].pair);
        if (!stream->options.multi || parcel->count == PARCEL_MESSAGES)
            end_parcel(stream, parcel);
    }
    stream->current = NO_ITEM;
}

/* A NO without a body is that message's own trouble (I11): the others go on. */
static void on_answer(void *context, int result, const char *code, const struct err *err)
{
    struct request *request = context;
    struct stream *stream = request->stream;
    (void)code;
    stream->answered++;
    request->answered = err == NULL || err->scope <= ERR_FOLDER;
    if (result != 0 && (err->scope > ERR_FOLDER || was_sent(stream, request->item))) {
        fail(stream, err);
        return;
    }
    if (result != 0)
        stream_item_refuse(&stream->items[request->item], err->text);
    if (stream->answered == stream->count)
        end_open_parcel(stream);
}

/* ---- the loop ---- */

static void send_fetches(struct stream *stream)
{
    struct imap_handlers handlers = {.on_body_begin = on_body_begin,
                                     .on_body_bytes = on_body_bytes,
                                     .on_body_end = on_body_end,
                                     .on_done = on_answer};
    for (size_t i = 0; i < stream->count; i++) {
        stream->requests[i] = (struct request){.stream = stream, .item = i};
        handlers.context = &stream->requests[i];
        if (!imap_session_send(stream->pass->turn->source, &handlers, "UID FETCH %u (UID BODY.PEEK[])",
                               stream->items[i].message->uid))
            break;
    }
}

static bool run_once(struct stream *stream)
{
    struct turn *turn = stream->pass->turn;
    if (turn_guard(turn, &stream->err) != 0 || !imap_reactor_run(turn->tools->reactor, NULL, 0, ROUND_MS)) {
        if (stream->err.scope == ERR_NONE)
            err_set(&stream->err, ERR_PROCESS, ERR_RETRY_LATER, "stopped");
        stream->failed = true;
        return false;
    }
    return true;
}

static bool is_source_dead(struct stream *stream)
{
    if (imap_session_state(stream->pass->turn->source) != IMAP_SESSION_DEAD)
        return false;
    fail(stream, imap_session_error(stream->pass->turn->source));
    return true;
}

static bool is_target_dead(struct stream *stream)
{
    struct err err;
    if (imap_session_state(target_side(stream)) != IMAP_SESSION_DEAD)
        return false;
    err = *imap_session_error(target_side(stream));
    err_blame(&err, ERR_SIDE_TARGET);
    fail(stream, &err);
    return true;
}

static bool may_go_on(const struct stream *stream)
{
    return !current_append_runs(stream) ||
           imap_append_room(stream->parcels[stream->parcel_count - 1].append) > 0;
}

/* Of all that are on their way, one at most is paused. */
static void resume(struct stream *stream)
{
    for (; stream; stream = stream->behind)
        while (stream->paused && may_go_on(stream)) {
            stream->paused = false;
            imap_session_resume(stream->pass->turn->source);
        }
}

static bool serve_once(struct stream *stream)
{
    resume(stream);
    return run_once(stream);
}

static void read_bodies(struct stream *stream)
{
    while (stream->answered < stream->count && !is_source_dead(stream) && !is_target_dead(stream))
        if (!serve_once(stream))
            return;
}

static void await_answers(struct stream *stream)
{
    for (size_t p = 0; p < stream->parcel_count; p++)
        while (imap_append_outcome(stream->parcels[p].append, NULL) == IMAP_APPEND_RUNNING &&
               !is_target_dead(stream))
            if (!serve_once(stream))
                return;
}

/* ---- outcome ---- */

/* New messages get ascending UIDs, from the UIDNEXT on that the intents name (RFC 3501 section 2.3.1.1). Any others would
 * name messages that are not ours (I5): then nothing was told, and we look. */
static bool are_new(const struct stream *stream, const uint32_t *uids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (uids[i] < stream->pass->target_uidnext || (i > 0 && uids[i] <= uids[i - 1]))
            return false;
    return true;
}

static int take_uids(struct stream *stream, const struct parcel *parcel, struct err *err)
{
    uint32_t uidvalidity = 0;
    uint32_t *uids = mem_new(parcel->count * sizeof(*uids));
    size_t told = imap_append_uids(parcel->append, &uidvalidity, uids, parcel->count);
    int result = 0;
    if (!are_new(stream, uids, told))
        told = 0;
    if (told == parcel->count && uidvalidity != stream->pass->target_uidvalidity)
        result =
            err_set(err, ERR_FOLDER, ERR_RETRY_LATER, "UIDVALIDITY changed on the target while we copied");
    for (size_t i = 0; i < parcel->count; i++) {
        stream->items[parcel->items[i]].fate = STREAM_STORED;
        stream->items[parcel->items[i]].target_uid = told == parcel->count ? uids[i] : 0;
    }
    free(uids);
    return result == 0 ? 0 : err_blame(err, ERR_SIDE_TARGET);
}

static int take_outcome(struct stream *stream, const struct parcel *parcel, struct err *err)
{
    struct err refusal = {0};
    switch (imap_append_outcome(parcel->append, &refusal)) {
    case IMAP_APPEND_DONE:
        return take_uids(stream, parcel, err);
    case IMAP_APPEND_REFUSED:
        for (size_t i = 0; i < parcel->count; i++)
            stream_item_refuse(&stream->items[parcel->items[i]], refusal.text);
        return 0;
    case IMAP_APPEND_RUNNING:
    case IMAP_APPEND_UNKNOWN:
        break;
    }
    *err = refusal;
    if (err->scope == ERR_NONE)
        err_set(err, ERR_MAILBOX, ERR_RETRY_LATER, "APPEND is unanswered");
    stream->items[parcel->items[0]].suspect = ERR_SIDE_TARGET;
    return err_blame(err, ERR_SIDE_TARGET);
}

static bool is_settled(const struct parcel *parcel)
{
    enum imap_append_outcome outcome = imap_append_outcome(parcel->append, NULL);
    return outcome == IMAP_APPEND_DONE || outcome == IMAP_APPEND_REFUSED;
}

/* Production answers in the order in which it is asked; the target has what was begun last, or all of it. */
static long find_suspect(const struct stream *stream, bool source)
{
    const struct parcel *last = stream->parcel_count ? &stream->parcels[stream->parcel_count - 1] : NULL;
    for (size_t i = 0; source && i < stream->count; i++)
        if (!stream->requests[i].answered)
            return (long)i;
    if (source || !last)
        return NO_ITEM;
    for (size_t p = 0; p < stream->parcel_count; p++)
        if (stream->parcels[p].ended && !is_settled(&stream->parcels[p]))
            return (long)stream->parcels[p].items[0];
    return last->count ? (long)last->items[last->count - 1] : NO_ITEM;
}

static void note_suspect(struct stream *stream)
{
    long item = find_suspect(stream, stream->err.side == ERR_SIDE_PRODUCTION);
    if (item != NO_ITEM && stream->err.scope == ERR_MAILBOX)
        stream->items[item].suspect = stream->err.side;
}

/* Half a literal may be on its way, or an APPEND whose end we can no longer answer for; and production may still be
 * about to answer FETCHes into a stream that is no more. */
static void cut_sides(struct stream *stream)
{
    access_session_cut(stream->pass->turn->target_session);
    if (stream->answered < stream->count)
        access_session_cut(stream->pass->turn->source_session);
}

static void stream_free(struct stream *stream)
{
    for (size_t p = 0; p < stream->parcel_count; p++) {
        imap_append_free(stream->parcels[p].append);
        free(stream->parcels[p].items);
    }
    free(stream->parcels);
    free(stream->requests);
    digest_free(stream->digest);
    if (stream->behind)
        stream->behind->ahead = NULL;
    if (stream->ahead)
        stream->ahead->behind = NULL;
    free(stream);
}

static int take_outcomes(struct stream *stream, struct err *err)
{
    if (!stream->failed)
        await_answers(stream);
    if (stream->failed) {
        note_suspect(stream);
        cut_sides(stream);
        *err = stream->err;
        return -1;
    }
    for (size_t p = 0; p < stream->parcel_count; p++)
        if (take_outcome(stream, &stream->parcels[p], err) != 0)
            return -1;
    return 0;
}

struct stream *stream_begin(struct pass *pass, struct stream_item *items, size_t count,
                            struct stream_options options, struct stream *before)
{
    struct stream *stream = mem_new(sizeof(*stream));
    *stream = (struct stream){.pass = pass,
                              .ahead = before,
                              .items = items,
                              .count = count,
                              .options = options,
                              .current = NO_ITEM};
    if (before)
        before->behind = stream;
    for (size_t i = 0; i < count; i++) {
        items[i].fate = STREAM_NOT_SENT;
        items[i].suspect = ERR_SIDE_US;
    }
    stream->parcels = mem_new((count + 1) * sizeof(*stream->parcels));
    stream->requests = mem_new((count + 1) * sizeof(*stream->requests));
    stream->digest = digest_new();
    send_fetches(stream);
    return stream;
}

int stream_end(struct stream **stream, struct err *err)
{
    int result;
    read_bodies(*stream);
    result = take_outcomes(*stream, err);
    stream_free(*stream);
    *stream = NULL;
    return result;
}
