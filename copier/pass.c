/*
 * What the steps of a pass share; see pass.h. Runs in the copier.
 */
#include "copier/pass.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/loss.h"
#include "imap/imap_messages.h"

#include <stdlib.h>
#include <string.h>

struct store_message *pass_row_add(struct pass *pass)
{
    struct store_message *row;
    if (pass->row_count == pass->row_size) {
        pass->row_size = pass->row_size ? pass->row_size * 2 : 64;
        pass->rows = mem_grow(pass->rows, pass->row_size, sizeof(*pass->rows));
    }
    row = &pass->rows[pass->row_count++];
    *row = (struct store_message){.flags_written = str_copy(""), .flags_refused = str_copy("")};
    return row;
}

struct store_message *pass_row_by_source(const struct pass *pass, uint32_t source_uid)
{
    for (size_t i = 0; i < pass->row_count; i++)
        if (pass->rows[i].source_uid == source_uid)
            return &pass->rows[i];
    return NULL;
}

static int by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct pass_index_entry *)a)->uid, y = ((const struct pass_index_entry *)b)->uid;
    return (x > y) - (x < y);
}

void pass_index_rows(const struct pass *pass, enum store_side side, struct pass_index *index_out)
{
    index_out->entries = mem_grow(NULL, pass->row_count ? pass->row_count : 1, sizeof(*index_out->entries));
    index_out->count = 0;
    for (size_t i = 0; i < pass->row_count; i++) {
        uint32_t uid = side == STORE_SOURCE ? pass->rows[i].source_uid : pass->rows[i].target_uid;
        if (uid != 0)
            index_out->entries[index_out->count++] = (struct pass_index_entry){.uid = uid, .row = i};
    }
    qsort(index_out->entries, index_out->count, sizeof(*index_out->entries), by_uid);
}

struct store_message *pass_index_find(const struct pass *pass, const struct pass_index *index, uint32_t uid)
{
    struct pass_index_entry key = {.uid = uid};
    const struct pass_index_entry *found =
        bsearch(&key, index->entries, index->count, sizeof(*index->entries), by_uid);
    return found ? &pass->rows[found->row] : NULL;
}

void pass_index_fini(struct pass_index *index)
{
    free(index->entries);
    *index = (struct pass_index){0};
}

enum { RETRY_FIRST_SECONDS = 60, RETRY_DOUBLINGS = 8 };

/* How long refused ones of this commit wait: by the one that failed most often. */
static double retry_seconds(const struct pass *pass, const struct pass_commit *commit)
{
    uint32_t most = 1;
    for (size_t i = 0; i < commit->row_count; i++)
        if (pass->rows[commit->rows[i]].fail_count > most)
            most = pass->rows[commit->rows[i]].fail_count;
    return RETRY_FIRST_SECONDS * (double)(1u << (most - 1 < RETRY_DOUBLINGS ? most - 1 : RETRY_DOUBLINGS));
}

int pass_commit(struct pass *pass, const struct pass_commit *commit, struct err *err)
{
    struct turn *turn = pass->turn;
    struct store_change change = {.folder_id = pass->folder->folder_id,
                                  .message_count = commit->row_count,
                                  .as_sent = commit->as_sent,
                                  .intents_gone = commit->intents_gone,
                                  .intents_gone_count = commit->intents_gone_count,
                                  .intents_ghost = commit->intents_ghost,
                                  .intents_ghost_count = commit->intents_ghost_count,
                                  .copied_messages = turn->copied.messages - turn->copied_told.messages,
                                  .copied_bytes = turn->copied.bytes - turn->copied_told.bytes,
                                  .late_command_minutes = turn->route->late_command_minutes,
                                  .retry_seconds = retry_seconds(pass, commit)};
    int result;
    if (commit->row_count + commit->intents_gone_count + commit->intents_ghost_count == 0)
        return 0;
    change.messages = mem_grow(NULL, commit->row_count ? commit->row_count : 1, sizeof(*change.messages));
    for (size_t i = 0; i < commit->row_count; i++)
        change.messages[i] = pass->rows[commit->rows[i]];
    result = CRASH_AFTER(ROWS_COMMITTED,
                         store_folder_commit(turn->tools->store, &turn->claim->lease, &change, err));
    for (size_t i = 0; i < commit->row_count && result == 0; i++) {
        struct store_message *row = &pass->rows[commit->rows[i]];
        row->message_id = change.messages[i].message_id;
        row->recorded_source_uid = row->source_uid;
        row->recorded_target_uid = row->target_uid;
    }
    if (result == 0) {
        turn->copied_told = turn->copied;
        turn->commits++;
    }
    free(change.messages);
    return result;
}

/* The details of new ones are the later word. */
static const struct imap_message *find_told(const struct pass *pass, const struct store_message *row)
{
    const struct imap_message *told = imap_messages_find(&pass->fresh, row->source_uid);
    if (!told || !told->has_flags)
        told = imap_messages_find(&pass->source.messages, row->source_uid);
    return told && told->has_flags ? told : NULL;
}

bool pass_row_is_told(const struct pass *pass, const struct store_message *row)
{
    return find_told(pass, row) != NULL;
}

void pass_flags_differ(const struct imap_flags *a, const struct imap_flags *b, struct imap_flags *result)
{
    struct imap_flags only_b;
    imap_flags_minus(a, b, result);
    imap_flags_minus(b, a, &only_b);
    result->system |= only_b.system;
    for (size_t i = 0; i < only_b.keyword_count; i++)
        imap_flags_add(result, only_b.keywords[i], strlen(only_b.keywords[i]));
    imap_flags_fini(&only_b);
}

void pass_row_flags(const struct pass *pass, const struct store_message *row, struct imap_flags *flags_out)
{
    const struct imap_message *told = find_told(pass, row);
    struct imap_flags written, refused;
    imap_flags_init(flags_out);
    if (told) {
        imap_flags_copy(flags_out, &told->flags);
        return;
    }
    imap_flags_init(&written);
    imap_flags_init(&refused);
    imap_flags_parse(row->flags_written, &written);
    imap_flags_parse(row->flags_refused, &refused);
    pass_flags_differ(&written, &refused, flags_out);
    imap_flags_fini(&written);
    imap_flags_fini(&refused);
}

/* A body to be read, on either side. */
struct reading {
    struct pass *pass;
    enum store_loss_kind kind;
    uint32_t uid;
};

static void say_unreadable(const struct reading *reading, const char *why)
{
    log_warning("message not readable", LOG_STR("folder", reading->pass->folder->name),
                LOG_STR("side", reading->kind == STORE_LOSS_BODY ? "source" : "target"),
                LOG_UINT("uid", reading->uid), LOG_STR("error", why));
}

static int judge_body(const struct reading *reading, int result, bool found, enum pass_body *body_out,
                      struct err *err)
{
    *body_out = result != 0 ? PASS_BODY_UNREADABLE : found ? PASS_BODY_READ : PASS_BODY_GONE;
    if (result == 0)
        return loss_forget(reading->pass, reading->kind, reading->uid, err);
    if (err->scope > ERR_FOLDER) {
        loss_note(reading->pass, reading->kind, reading->uid, err);
        return -1;
    }
    say_unreadable(reading, err->text);
    return 0;
}

static int read_body(const struct reading *reading, struct digest_pair *pair_out, enum pass_body *body_out,
                     struct err *err)
{
    struct turn *turn = reading->pass->turn;
    char words[LOSS_WORDS_BYTES];
    bool given_up, found = false;
    int result;
    *body_out = PASS_BODY_UNREADABLE;
    if (loss_is_given_up(reading->pass, reading->kind, reading->uid, &given_up, words, err) != 0)
        return -1;
    if (given_up) {
        say_unreadable(reading, words);
        return 0;
    }
    result = reading->kind == STORE_LOSS_BODY
                 ? imap_messages_body_digest(turn->source, reading->uid, pair_out, &found, err)
                 : target_body_digest(turn->target, reading->pass->folder->target_name, reading->uid,
                                      pair_out, &found, err);
    return judge_body(reading, result, found, body_out, err);
}

int pass_source_body(struct pass *pass, uint32_t uid, struct digest_pair *pair_out, enum pass_body *body_out,
                     struct err *err)
{
    const struct reading reading = {.pass = pass, .kind = STORE_LOSS_BODY, .uid = uid};
    return read_body(&reading, pair_out, body_out, err);
}

int pass_target_body(struct pass *pass, uint32_t uid, struct digest_pair *pair_out, enum pass_body *body_out,
                     struct err *err)
{
    const struct reading reading = {.pass = pass, .kind = STORE_LOSS_TARGET, .uid = uid};
    return read_body(&reading, pair_out, body_out, err);
}

void pass_rows_add(struct pass_rows *rows, size_t row)
{
    if (rows->count == rows->size) {
        rows->size = rows->size ? rows->size * 2 : 64;
        rows->items = mem_grow(rows->items, rows->size, sizeof(*rows->items));
    }
    rows->items[rows->count++] = row;
}

void pass_rows_fini(struct pass_rows *rows)
{
    free(rows->items);
    *rows = (struct pass_rows){0};
}

void pass_fini(struct pass *pass)
{
    source_view_fini(&pass->source);
    store_message_list_free(pass->rows, pass->row_count);
    store_intent_list_free(pass->intents, pass->intent_count);
    target_messages_fini(&pass->target);
    imap_messages_fini(&pass->fresh);
    imap_uids_fini(&pass->touched);
    free(pass->losses);
    imap_folder_status_fini(&pass->read_back);
}
