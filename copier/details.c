/*
 * Details of new messages; see details.h. Runs in the copier. All are asked for in few commands; a NO to many is narrowed
 * down by halves to those that production cannot tell about.
 */
#include "copier/details.h"

#include "base/log.h"
#include "base/str.h"
#include "copier/loss.h"

#include <stdlib.h>

/* So many refused ones, and none described: then it is the folder's trouble, not that of each message. */
enum { MOST_REFUSED = 20 };

struct asking {
    struct pass *pass;
    struct pass_rows refused; /* rows, to be committed */
    struct imap_uids refused_uids;
};

static bool is_described(const struct pass *pass, uint32_t uid)
{
    const struct imap_message *message = imap_messages_find(&pass->fresh, uid);
    return message && message->has_flags && message->has_date && message->has_size && message->has_header;
}

static void refuse(struct asking *asking, uint32_t uid, const char *words)
{
    struct pass *pass = asking->pass;
    const struct imap_message *listed = imap_messages_find(&pass->source.messages, uid);
    struct store_message *row = pass_row_by_source(pass, uid);
    if (!row)
        row = pass_row_add(pass);
    row->source_uid = uid;
    row->source_gone = false;
    row->target_uid = 0;
    row->state = STORE_MESSAGE_REFUSED;
    row->fail_count++;
    if (listed && listed->has_date)
        row->internal_date = listed->date.unix_seconds;
    free(row->error);
    row->error = str_copy(words);
    pass_rows_add(&asking->refused, (size_t)(row - pass->rows));
    imap_uids_add(&asking->refused_uids, uid);
    log_warning("message not mirrored", LOG_UINT("source_uid", uid), LOG_STR("error", words));
}

static void take_out(struct imap_uids *uids, const struct imap_uids *those)
{
    size_t kept = 0;
    for (size_t i = 0; i < uids->count; i++)
        if (!imap_uids_has(those->items, those->count, uids->items[i]))
            uids->items[kept++] = uids->items[i];
    uids->count = kept;
}

static int pass_over_given_up(struct asking *asking, struct imap_uids *uids, struct err *err)
{
    char words[LOSS_WORDS_BYTES];
    for (size_t i = 0; i < uids->count; i++) {
        bool given_up;
        if (loss_is_given_up(asking->pass, STORE_LOSS_HEADER, uids->items[i], &given_up, words, err) != 0)
            return -1;
        if (given_up)
            refuse(asking, uids->items[i], words);
    }
    take_out(uids, &asking->refused_uids);
    return 0;
}

/* Servers answer in the order of UIDs: it died over the first that it did not describe. */
static void note_loss(struct pass *pass, const uint32_t *uids, size_t count, const struct err *why)
{
    for (size_t i = 0; i < count; i++)
        if (!is_described(pass, uids[i])) {
            loss_note(pass, STORE_LOSS_HEADER, uids[i], why);
            return;
        }
}

static int ask(struct pass *pass, const uint32_t *uids, size_t count, struct err *err)
{
    int result = source_details(pass->turn->source, &pass->source, uids, count, &pass->fresh, err);
    if (result != 0)
        note_loss(pass, uids, count, err);
    return result;
}

/* `err` is a NO to all of them together. */
static int narrow_down(struct asking *asking, const uint32_t *uids, size_t count, struct err *err)
{
    size_t half = (count + 1) / 2;
    struct err why = *err;
    if (count == 1 && is_described(asking->pass, uids[0]))
        return 0;
    if (count == 1) {
        refuse(asking, uids[0], why.text);
        return asking->refused_uids.count > MOST_REFUSED && asking->pass->fresh.count == 0 ? -1 : 0;
    }
    for (size_t first = 0; first < count; first += half) {
        size_t some = first + half < count ? half : count - first;
        if (ask(asking->pass, uids + first, some, err) != 0 &&
            (err->scope > ERR_FOLDER || narrow_down(asking, uids + first, some, err) != 0))
            return -1;
    }
    return 0;
}

static int commit_refused(struct asking *asking, struct err *err)
{
    struct pass_commit commit = {.rows = asking->refused.items, .row_count = asking->refused.count};
    return pass_commit(asking->pass, &commit, err);
}

int details_fetch(struct pass *pass, struct imap_uids *uids, struct err *err)
{
    struct asking asking = {.pass = pass};
    int result = pass_over_given_up(&asking, uids, err);
    if (result == 0)
        result = ask(pass, uids->items, uids->count, err);
    if (result != 0 && err->scope == ERR_FOLDER)
        result = narrow_down(&asking, uids->items, uids->count, err);
    if (result == 0) {
        imap_uids_sort(&asking.refused_uids);
        take_out(uids, &asking.refused_uids);
        result = commit_refused(&asking, err);
    }
    pass_rows_fini(&asking.refused);
    imap_uids_fini(&asking.refused_uids);
    return result;
}
