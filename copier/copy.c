/*
 * Copying; see copy.h. Runs in the copier. What may go wrong with a batch, and what is done:
 *
 *   the target says OK, names UIDs      rows are committed, intents gone
 *   the target says OK, names no UIDs   intents are settled by looking (UIDPLUS missing, or a wrong count); what is
 *                                       not found counts as missing
 *   MULTIAPPEND refused                 each for itself, under the same intents
 *   one refused with keywords           once more without; the flags step tries them by STORE
 *   one refused                         recorded as refused, the others go on
 *   production gives no body            gone meanwhile, or recorded as refused if it lists the message all the same
 *   a side fails                        intents stay open, the turn ends, the next one settles them (and loss.h)
 *
 * While a batch is under way the next one is begun, its intents committed before: with a far site each batch would
 * else cost a round trip on either side. Once anything but OK with UIDs came, no further batch is begun early in this
 * pass: one that is refused is tried by itself, and what stands behind it would come to stand before it.
 */
#include "copier/copy.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/loss.h"
#include "copier/settle.h"
#include "copier/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct batch {
    struct pass *pass;
    struct stream_item *items;
    size_t count;
    bool alone; /* its one message goes by itself: a connection was lost over it */
    struct stream_options options;
    struct stream *stream; /* on its way */
    bool landed;           /* every item has its fate */
};

/* ---- intents ---- */

static void fill_intent(const struct pass *pass, const struct imap_message *message,
                        struct store_intent *intent)
{
    *intent = (struct store_intent){.folder_id = pass->folder->folder_id,
                                    .source_uidvalidity = pass->source.status.uidvalidity,
                                    .source_uid = message->uid,
                                    .internal_date = message->date.unix_seconds,
                                    .size_bytes = message->size_bytes,
                                    .flags = imap_flags_format(&message->flags),
                                    .target_uidvalidity = pass->target_uidvalidity,
                                    .target_uidnext = pass->target_uidnext};
    memcpy(intent->header_sha256, message->header_sha256, DIGEST_BYTES);
}

/* Committed before the first byte of an APPEND (I3). They are kept in the pass, for settling without UIDPLUS. */
static int commit_intents(struct batch *batch, struct err *err)
{
    struct pass *pass = batch->pass;
    struct store_intent *fresh;
    pass->intents = mem_grow(pass->intents, pass->intent_count + batch->count, sizeof(*pass->intents));
    fresh = &pass->intents[pass->intent_count];
    for (size_t i = 0; i < batch->count; i++)
        fill_intent(pass, batch->items[i].message, &fresh[i]);
    pass->intent_count += batch->count;
    if (CRASH_AFTER(INTENTS_COMMITTED, store_intent_add(pass->turn->tools->store, &pass->turn->claim->lease,
                                                        fresh, batch->count, err)) != 0)
        return -1;
    for (size_t i = 0; i < batch->count; i++)
        batch->items[i].intent_id = fresh[i].intent_id;
    return 0;
}

static bool is_among(const uint64_t *ids, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Only what is open stays in memory: there are two batches at most, in a mailbox of any size. */
static void forget_intents(struct pass *pass, const uint64_t *gone, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < pass->intent_count; i++) {
        if (is_among(gone, count, pass->intents[i].intent_id))
            free(pass->intents[i].flags);
        else
            pass->intents[kept++] = pass->intents[i];
    }
    pass->intent_count = kept;
}

/* ---- rows ---- */

static struct store_message *row_of(struct pass *pass, struct stream_item *item)
{
    struct store_message *row;
    const struct imap_message *message = item->message;
    if (item->row == (size_t)PASS_NO_ROW) {
        row = pass_row_add(pass);
        item->row = pass->row_count - 1;
    }
    row = &pass->rows[item->row];
    row->source_uid = message->uid;
    row->source_gone = false;
    row->internal_date = message->date.unix_seconds;
    row->size_bytes = message->size_bytes;
    memcpy(row->header_sha256, message->header_sha256, DIGEST_BYTES);
    row->has_header_digest = message->has_header;
    return row;
}

static void set_error(struct store_message *row, const char *text)
{
    free(row->error);
    row->error = text ? str_copy(text) : NULL;
}

/* A new copy, a new try. */
static void reset_refused_flags(struct store_message *row)
{
    free(row->flags_refused);
    row->flags_refused = str_copy("");
}

static void record_stored(struct pass *pass, struct stream_item *item, bool bare)
{
    struct store_message *row = row_of(pass, item);
    struct imap_flags flags = {.system = item->message->flags.system};
    row->target_uid = item->target_uid;
    row->state = STORE_MESSAGE_MIRRORED;
    row->fail_count = 0;
    row->has_target_size = false;
    row->has_target_digest = false;
    row->verified_seq = 0;
    reset_refused_flags(row);
    row->size_bytes = item->pair.raw_bytes;
    memcpy(row->raw_sha256, item->pair.raw, DIGEST_BYTES);
    memcpy(row->normal_sha256, item->pair.normal, DIGEST_BYTES);
    row->has_digest = true;
    set_error(row, NULL);
    free(row->flags_written);
    row->flags_written = imap_flags_format(bare ? &flags : &item->message->flags);
    imap_uids_add(&pass->touched, item->target_uid);
    pass->target_exists++;
    if (item->target_uid >= pass->target_uidnext)
        pass->target_uidnext = item->target_uid + 1;
    pass->turn->copied.messages++;
    pass->turn->copied.bytes += item->pair.raw_bytes;
}

static void record_refused(struct pass *pass, struct stream_item *item, const char *words)
{
    struct store_message *row = row_of(pass, item);
    row->target_uid = 0;
    row->state = STORE_MESSAGE_REFUSED;
    row->fail_count++;
    set_error(row, words);
    log_warning("message not mirrored", LOG_STR("folder", pass->folder->name),
                LOG_UINT("source_uid", item->message->uid), LOG_STR("error", words));
}

/* Still to be copied, as far as we know: no marks are stored, so that the next look takes it up again. */
static void note_missing(struct pass *pass, size_t count)
{
    pass->missing += (uint32_t)count;
    pass->incomplete |= count > 0;
}

/* What production lists without giving its body: said to be so, and tried again after a growing delay (I7). Not after a
 * refusal: what came behind the refused one in a MULTIAPPEND was not sent either. */
static int refuse_withheld(struct batch *batch, struct err *err)
{
    struct imap_uids uids = {0};
    struct imap_messages listed = {0};
    int result = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i].fate == STREAM_NOT_SENT)
            imap_uids_add(&uids, batch->items[i].message->uid);
    if (uids.count > 0)
        result = imap_messages_fetch_uids(batch->pass->turn->source, uids.items, uids.count, "FLAGS", &listed,
                                          err);
    for (size_t i = 0; i < batch->count && result == 0; i++) {
        struct stream_item *item = &batch->items[i];
        if (item->fate != STREAM_NOT_SENT || !imap_messages_find(&listed, item->message->uid))
            continue;
        stream_item_refuse(item, "production lists it but does not give its body");
    }
    imap_messages_fini(&listed);
    imap_uids_fini(&uids);
    return result;
}

/* To be settled by looking. */
static bool is_untold(const struct stream_item *item)
{
    return item->fate == STREAM_STORED && item->target_uid == 0;
}

/* One transaction: the rows of what has a known fate, and their intents gone. */
static int commit_fates(struct batch *batch, bool bare, struct err *err)
{
    struct pass_rows rows = {0};
    struct pass_commit commit = {0};
    uint64_t *gone = mem_grow(NULL, batch->count, sizeof(*gone));
    size_t not_sent = 0;
    int result;
    for (size_t i = 0; i < batch->count; i++) {
        struct stream_item *item = &batch->items[i];
        if (item->recorded || item->left || is_untold(item))
            continue;
        item->recorded = true;
        if (item->fate == STREAM_STORED)
            record_stored(batch->pass, item, bare);
        if (item->fate == STREAM_REFUSED)
            record_refused(batch->pass, item, item->refusal);
        if (item->fate == STREAM_NOT_SENT)
            not_sent++;
        else
            pass_rows_add(&rows, item->row);
        gone[commit.intents_gone_count++] = item->intent_id;
    }
    commit.rows = rows.items;
    commit.row_count = rows.count;
    commit.intents_gone = gone;
    result = pass_commit(batch->pass, &commit, err);
    if (result == 0)
        forget_intents(batch->pass, gone, commit.intents_gone_count);
    note_missing(batch->pass, not_sent);
    pass_rows_fini(&rows);
    free(gone);
    return result;
}

/* ---- stored, but the target did not say under which UIDs ---- */

/* Moves the listing of `newer`, from first_uid on, to the end of `whole`. */
static void join_listing(struct target_messages *whole, struct target_messages *newer, uint32_t first_uid)
{
    struct imap_folder_status old = whole->status;
    while (whole->count > 0 && whole->items[whole->count - 1].uid >= first_uid)
        imap_flags_fini(&whole->items[--whole->count].flags);
    if (newer->count > 0) {
        whole->items = mem_grow(whole->items, whole->count + newer->count, sizeof(*whole->items));
        memcpy(&whole->items[whole->count], newer->items, newer->count * sizeof(*whole->items));
    }
    whole->count += newer->count;
    whole->status = newer->status;
    newer->status = old;
    newer->count = 0;
    target_messages_fini(newer);
}

/* A listing that the pass made before is kept and continued: the flags step compares with it. */
static int list_from(struct pass *pass, uint32_t first_uid, struct err *err)
{
    struct target_messages newer = {0};
    if (target_folder_fix_uids(pass->turn->target, pass->folder->target_name, err) != 0 ||
        target_folder_look(pass->turn->target, pass->folder->target_name, first_uid, &newer, err) != 0)
        return -1;
    join_listing(&pass->target, &newer, first_uid);
    pass->target_listed |= first_uid == 1;
    if (pass->target.status.has_uidnext)
        pass->target_uidnext = pass->target.status.uidnext;
    pass->target_exists = pass->target.status.exists;
    return 0;
}

static void count_copied(struct batch *batch, size_t *stored_out, struct settle_known *known)
{
    *stored_out = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct stream_item *item = &batch->items[i];
        if (!is_untold(item))
            continue;
        known[(*stored_out)++] = (struct settle_known){.source_uid = item->message->uid, .pair = item->pair};
        batch->pass->turn->copied.messages++;
        batch->pass->turn->copied.bytes += item->pair.raw_bytes;
    }
}

/* Rows of lost or refused messages are found again by source UID in settle.c. */
static int settle_stored(struct batch *batch, struct err *err)
{
    struct settle_known *known = mem_grow(NULL, batch->count, sizeof(*known));
    uint32_t from = batch->pass->target_uidnext;
    size_t stored;
    int result = 0;
    count_copied(batch, &stored, known);
    if (stored > 0) {
        result = list_from(batch->pass, from, err);
        if (result == 0)
            result = settle_intents(batch->pass, known, stored, err);
    }
    free(known);
    return result;
}

/* ---- one batch ---- */

static bool has_keywords(const struct stream_item *item)
{
    return item->message->flags.keyword_count > 0;
}

/* A side that failed over a message may do so each time. Is there a suspect? */
static bool note_losses(const struct batch *batch, const struct err *err)
{
    bool noted = false;
    for (size_t i = 0; i < batch->count; i++) {
        enum err_side suspect = batch->items[i].suspect;
        if (suspect == ERR_SIDE_US)
            continue;
        noted = true;
        loss_note(batch->pass, suspect == ERR_SIDE_TARGET ? STORE_LOSS_APPEND : STORE_LOSS_BODY,
                  batch->items[i].message->uid, err);
    }
    return noted;
}

static int run_alone(struct batch *one, struct err *err)
{
    one->stream = stream_begin(one->pass, one->items, one->count, one->options, NULL);
    if (stream_end(&one->stream, err) == 0)
        return 0;
    note_losses(one, err);
    return -1;
}

static int send_one(struct batch *all, size_t i, struct err *err)
{
    struct batch one = {.pass = all->pass, .items = &all->items[i], .count = 1};
    one.items->left = false;
    if (all->count > 1 && run_alone(&one, err) != 0)
        return -1;
    if (one.items->fate == STREAM_REFUSED && has_keywords(one.items)) {
        one.options.bare = true;
        if (run_alone(&one, err) != 0)
            return -1;
    }
    if (refuse_withheld(&one, err) != 0 || commit_fates(&one, one.options.bare, err) != 0)
        return -1;
    return settle_stored(&one, err);
}

/* To be tried by themselves: what was refused, or stood behind the one over which a MULTIAPPEND was refused in the middle.
 * Their intents stay open. A message that went alone and had no keywords was tried already. */
static size_t mark_left(struct batch *batch)
{
    bool any_refused = false;
    size_t left = 0;
    for (size_t i = 0; i < batch->count; i++)
        any_refused |= batch->items[i].fate == STREAM_REFUSED;
    if (!any_refused || (batch->count == 1 && !has_keywords(batch->items)))
        return 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct stream_item *item = &batch->items[i];
        item->left = item->fate == STREAM_REFUSED ||
                     (batch->options.multi && item->fate == STREAM_NOT_SENT && !item->recorded);
        left += item->left;
    }
    return left;
}

static int record(struct batch *batch, struct err *err)
{
    size_t left = mark_left(batch);
    if (left == 0 && refuse_withheld(batch, err) != 0)
        return -1;
    if (commit_fates(batch, false, err) != 0 || settle_stored(batch, err) != 0)
        return -1;
    for (size_t i = 0; i < batch->count && left > 0; i++)
        if (batch->items[i].left && send_one(batch, i, err) != 0)
            return -1;
    return 0;
}

/* ---- two batches ---- */

static int launch(struct batch *batch, struct stream *before, struct err *err)
{
    const struct target *target = batch->pass->turn->target;
    /* Where each message waits for its "+" anyway, several in one command would win nothing. */
    batch->options =
        (struct stream_options){.multi = batch->count > 1 && target_has(target, IMAP_CAP_MULTIAPPEND) &&
                                         target_has(target, IMAP_CAP_LITERAL_PLUS)};
    if (commit_intents(batch, err) != 0)
        return -1;
    batch->stream = stream_begin(batch->pass, batch->items, batch->count, batch->options, before);
    return 0;
}

static bool went_well(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i].fate != STREAM_STORED || batch->items[i].target_uid == 0)
            return false;
    return true;
}

/* What has a known fate and UID, ahead of its turn: looking for the others must not take it for a stranger's. */
static int record_told(struct batch *batch, struct err *err)
{
    int result;
    for (size_t i = 0; i < batch->count; i++)
        batch->items[i].left = batch->items[i].fate != STREAM_STORED;
    result = commit_fates(batch, false, err);
    for (size_t i = 0; i < batch->count; i++)
        batch->items[i].left = false;
    return result;
}

static int land(struct batch *batch, struct err *err)
{
    if (!batch->stream)
        return 0;
    batch->landed = true;
    return stream_end(&batch->stream, err);
}

/* A connection lost with two batches on their way was lost over one message of one of them. */
static int land_both(struct batch *now, struct batch *next, struct err *err)
{
    struct err ignored = {0};
    if (land(now, err) == 0)
        return went_well(now) ? 0 : land(next, err);
    land(next, &ignored);
    if (!note_losses(now, err))
        note_losses(next, err);
    return -1;
}

static int finish(struct batch *now, struct batch *next, struct err *err)
{
    if (land_both(now, next, err) != 0)
        return -1;
    if (next->landed && record_told(next, err) != 0)
        return -1;
    return record(now, err);
}

/* ---- all batches ---- */

static uint64_t largest_allowed(const struct pass *pass)
{
    uint64_t here = pass->turn->route->from_site->imap.max_message_bytes;
    uint64_t there = pass->turn->route->to_site->imap.max_message_bytes;
    return here < there ? here : there;
}

/* What is to be done with a message before it is tried. */
struct verdict {
    char words[LOSS_WORDS_BYTES]; /* why it is not even tried; "" if it is */
    bool alone;                   /* a connection was lost over it: no other is to suffer for it */
};

static int judge_losses(struct pass *pass, uint32_t uid, struct verdict *verdict, struct err *err)
{
    static const enum store_loss_kind kinds[] = {STORE_LOSS_BODY, STORE_LOSS_APPEND};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct store_loss *loss;
        bool given_up;
        if (loss_is_given_up(pass, kinds[i], uid, &given_up, verdict->words, err) != 0 ||
            loss_find(pass, kinds[i], uid, &loss, err) != 0)
            return -1;
        verdict->alone |= loss != NULL;
    }
    return 0;
}

static int judge(struct pass *pass, const struct imap_message *message, struct verdict *verdict,
                 struct err *err)
{
    *verdict = (struct verdict){0};
    if (message->size_bytes <= largest_allowed(pass))
        return judge_losses(pass, message->uid, verdict, err);
    snprintf(verdict->words, sizeof(verdict->words),
             "%" PRIu64 " bytes are more than max_message_bytes (%" PRIu64 ") allows", message->size_bytes,
             largest_allowed(pass));
    return 0;
}

static int refuse_untried(struct pass *pass, struct stream_item *item, const char *words, struct err *err)
{
    struct pass_commit commit = {.rows = &item->row, .row_count = 1};
    record_refused(pass, item, words);
    return pass_commit(pass, &commit, err);
}

/* What is to be copied, in order. */
struct queue {
    struct pass *pass;
    struct stream_item *items;
    size_t count, next;
    bool early; /* may the next batch be begun before the one under way is through? */
};

/* What is not even tried is passed over here and recorded. An empty batch: nothing is left. */
static int fill_batch(struct queue *queue, struct batch *batch, struct err *err)
{
    const struct pass *pass = queue->pass;
    uint64_t bytes = 0;
    *batch = (struct batch){.pass = queue->pass, .items = &queue->items[queue->next]};
    for (; queue->next < queue->count && batch->count < pass->turn->config->copy.batch_messages;
         queue->next++) {
        struct stream_item *item = &queue->items[queue->next];
        struct verdict verdict;
        if (batch->alone)
            break;
        if (judge(queue->pass, item->message, &verdict, err) != 0)
            return -1;
        if (batch->count > 0 && (verdict.words[0] || verdict.alone ||
                                 bytes + item->message->size_bytes > pass->turn->config->copy.batch_bytes))
            break;
        if (verdict.words[0]) {
            if (refuse_untried(queue->pass, item, verdict.words, err) != 0)
                return -1;
            batch->items = item + 1;
            continue;
        }
        bytes += item->message->size_bytes;
        batch->count++;
        batch->alone = verdict.alone;
    }
    return 0;
}

/* Answered, one way or the other. */
static int forget_losses(struct batch *batch, struct err *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        uint32_t uid = batch->items[i].message->uid;
        if (batch->items[i].fate != STREAM_NOT_SENT &&
            (loss_forget(batch->pass, STORE_LOSS_BODY, uid, err) != 0 ||
             loss_forget(batch->pass, STORE_LOSS_APPEND, uid, err) != 0))
            return -1;
    }
    return 0;
}

static void say_progress(const struct pass *pass, size_t done, size_t count)
{
    char doing[300];
    snprintf(doing, sizeof(doing), "mirror %.64s to %.64s: %.100s %zu of %zu", pass->turn->claim->mailbox,
             pass->turn->claim->route, pass->folder->name, done, count);
    daemon_tick(pass->turn->tools->daemon, doing);
}

/* The next batch, begun already if that may be. */
static int prepare(struct queue *queue, const struct batch *now, struct batch *next, struct err *err)
{
    if (fill_batch(queue, next, err) != 0)
        return -1;
    if (next->count == 0 || !queue->early || !now->stream || now->alone || next->alone)
        return 0;
    return launch(next, now->stream, err);
}

/* One step: `now` goes to its end, while `next` is prepared. */
static int copy_batch(struct queue *queue, struct batch *now, struct batch *next, bool *over, struct err *err)
{
    if (!now->stream && !now->landed && launch(now, NULL, err) != 0)
        return -1;
    if (!*over && prepare(queue, now, next, err) != 0)
        return -1;
    if (finish(now, next, err) != 0 || forget_losses(now, err) != 0)
        return -1;
    queue->early &= !next->landed;
    say_progress(queue->pass, queue->next, queue->count);
    *over |= turn_is_over(queue->pass->turn);
    return 0;
}

/* What is on its way goes to its end also when the turn is over, and after an error, which leaves its intents open. */
static int copy_all(struct queue *queue, struct err *err)
{
    struct batch now, next = {0};
    struct err ignored = {0};
    bool over = false;
    size_t left;
    int result = fill_batch(queue, &now, err);
    while (result == 0 && now.count > 0 && (!over || now.stream || now.landed)) {
        next = (struct batch){0};
        result = copy_batch(queue, &now, &next, &over, err);
        if (result == 0)
            now = next;
    }
    if (result != 0) {
        land(&now, &ignored);
        land(&next, &ignored);
        return -1;
    }
    left = now.count + queue->count - queue->next;
    queue->pass->turn->yielded |= left > 0;
    note_missing(queue->pass, left);
    return 0;
}

static int is_last(struct pass *pass, uint32_t uid, bool *last_out, struct err *err)
{
    const struct store_loss *body, *append;
    if (loss_find(pass, STORE_LOSS_BODY, uid, &body, err) != 0 ||
        loss_find(pass, STORE_LOSS_APPEND, uid, &append, err) != 0)
        return -1;
    *last_out = (body && body->losses >= LOSS_LAST) || (append && append->losses >= LOSS_LAST);
    return 0;
}

/* In the order of arrival, but for those that go last. */
static int collect(struct pass *pass, const struct imap_messages *fresh, bool last, struct stream_item *items,
                   size_t *count, struct err *err)
{
    struct pass_index index;
    int result = 0;
    pass_index_rows(pass, STORE_SOURCE, &index);
    for (size_t i = 0; i < fresh->count && result == 0; i++) {
        const struct store_message *row = pass_index_find(pass, &index, fresh->items[i].uid);
        bool goes_last = false;
        if (row && row->state == STORE_MESSAGE_MIRRORED)
            continue; /* adopted meanwhile */
        result = is_last(pass, fresh->items[i].uid, &goes_last, err);
        if (result != 0 || goes_last != last)
            continue;
        items[*count].message = &fresh->items[i];
        items[(*count)++].row = row ? (size_t)(row - pass->rows) : (size_t)PASS_NO_ROW;
    }
    pass_index_fini(&index);
    return result;
}

int copy_messages(struct pass *pass, const struct imap_messages *fresh, struct err *err)
{
    struct stream_item *items = mem_new((fresh->count + 1) * sizeof(*items));
    /* Without UIDs told each batch is looked for on the target, which has to have nothing else to do then. */
    struct queue queue = {
        .pass = pass, .items = items, .early = target_has(pass->turn->target, IMAP_CAP_UIDPLUS)};
    int result = collect(pass, fresh, false, items, &queue.count, err);
    if (result == 0)
        result = collect(pass, fresh, true, items, &queue.count, err);
    if (result == 0)
        result = copy_all(&queue, err);
    for (size_t i = 0; i < queue.count; i++)
        stream_item_fini(&items[i]);
    free(items);
    return result == 0 ? 0 : err_prefix(err, "copy");
}
