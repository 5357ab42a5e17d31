/*
 * Verify; see verify.h. Runs in the copier. What is recorded says which message of one side is which of the other; that
 * both are there, with equal size, date, flags and order, is read from the servers.
 */
#include "copier/verify.h"

#include "base/buf.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/pass.h"
#include "copier/unmapped.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_LINES = 200, REPORT_MAX_BYTES = 60000, LINE_BYTES = 400 };

struct verifying {
    struct turn *turn;
    struct pass pass;   /* rows, and both sides listed */
    const char *folder; /* its name, for the report */
    bool deep, all;
    struct buf report;
    uint32_t differences, folder_differences;
    uint32_t last_target_uid;
    struct pass_rows read; /* rows whose bytes were read, to be committed */
    bool has_read;         /* at least one in this turn: a deep verify always gets on */
};

static void differ(struct verifying *verifying, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void differ(struct verifying *verifying, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    verifying->differences++;
    verifying->folder_differences++;
    if (verifying->differences > REPORT_LINES)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    buf_addf(&verifying->report, "%.200s: %s\n", verifying->folder, line);
}

/* Keywords that others set on the target are theirs. */
static void compare_flags(struct verifying *verifying, const struct imap_message *message,
                          const struct target_message *copy)
{
    struct imap_flags missing;
    char *here, *there;
    imap_flags_init(&missing);
    imap_flags_minus(&message->flags, &copy->flags, &missing);
    if (!imap_flags_is_empty(&missing) || message->flags.system != copy->flags.system) {
        here = imap_flags_format(&message->flags);
        there = imap_flags_format(&copy->flags);
        differ(verifying, "message %" PRIu32 ": flags (%s) on production, (%s) on the target", message->uid,
               here, there);
        free(here);
        free(there);
    }
    imap_flags_fini(&missing);
}

/* What was read so far need not be read again, should the turn end or the process die. */
static int commit_read(struct verifying *verifying, struct err *err)
{
    struct pass_commit commit = {.rows = verifying->read.items, .row_count = verifying->read.count};
    verifying->read.count = 0;
    return pass_commit(&verifying->pass, &commit, err);
}

static int read_bytes(struct verifying *verifying, struct store_message *row, struct err *err)
{
    struct pass *pass = &verifying->pass;
    struct digest_pair here, there;
    enum pass_body body_here, body_there;
    if (pass_source_body(pass, row->source_uid, &here, &body_here, err) != 0 ||
        pass_target_body(pass, row->target_uid, &there, &body_there, err) != 0)
        return -1;
    verifying->has_read = true;
    if (body_here == PASS_BODY_GONE || body_there == PASS_BODY_GONE)
        return 0; /* since the listing: the next pass tells */
    row->has_target_digest = body_there == PASS_BODY_READ;
    if (row->has_target_digest)
        memcpy(row->target_sha256, there.raw, DIGEST_BYTES);
    row->bytes_differ = body_here != PASS_BODY_READ || body_there != PASS_BODY_READ ||
                        memcmp(here.normal, there.normal, DIGEST_BYTES) != 0;
    row->verified_seq = pass->turn->claim->verify_wanted_seq;
    pass_rows_add(&verifying->read, (size_t)(row - pass->rows));
    return verifying->read.count < pass->turn->config->copy.batch_messages ? 0 : commit_read(verifying, err);
}

/* A verify may take many turns: what an earlier one read is not read again, but told again. */
static int compare_bytes(struct verifying *verifying, struct store_message *row, struct err *err)
{
    uint64_t wanted_seq = verifying->turn->claim->verify_wanted_seq;
    if (row->verified_seq != wanted_seq) {
        if (verifying->has_read && turn_is_over(verifying->turn)) {
            verifying->all = false;
            return 0;
        }
        if (read_bytes(verifying, row, err) != 0)
            return -1;
    }
    if (row->verified_seq == wanted_seq && row->bytes_differ)
        differ(verifying, "message %" PRIu32 ": the bytes differ, or cannot be read", row->source_uid);
    return 0;
}

static int compare_message(struct verifying *verifying, const struct imap_message *message,
                           struct store_message *row, struct err *err)
{
    const struct target_message *copy =
        row && row->target_uid ? target_messages_find(&verifying->pass.target, row->target_uid) : NULL;
    if (!copy) {
        differ(verifying, "message %" PRIu32 ": not on the target%s%s", message->uid,
               row && row->error ? ": " : "", row && row->error ? row->error : "");
        return 0;
    }
    if (copy->size_bytes != message->size_bytes)
        differ(verifying, "message %" PRIu32 ": %" PRIu64 " bytes on production, %" PRIu64 " on the target",
               message->uid, message->size_bytes, copy->size_bytes);
    if (copy->internal_date != message->date.unix_seconds)
        differ(verifying, "message %" PRIu32 ": its date differs by %" PRId64 " s", message->uid,
               copy->internal_date - message->date.unix_seconds);
    compare_flags(verifying, message, copy);
    if (copy->uid < verifying->last_target_uid)
        differ(verifying, "message %" PRIu32 ": out of order on the target", message->uid);
    else
        verifying->last_target_uid = copy->uid;
    return verifying->deep ? compare_bytes(verifying, row, err) : 0;
}

static int compare_folder(struct verifying *verifying, struct err *err)
{
    struct pass *pass = &verifying->pass;
    struct pass_index index;
    int result = 0;
    verifying->last_target_uid = 0;
    verifying->folder_differences = 0;
    pass_index_rows(pass, STORE_SOURCE, &index);
    for (size_t i = 0; i < pass->source.messages.count && result == 0 && verifying->all; i++) {
        const struct imap_message *message = &pass->source.messages.items[i];
        result = compare_message(verifying, message, pass_index_find(pass, &index, message->uid), err);
    }
    pass_index_fini(&index);
    return result != 0 ? -1 : commit_read(verifying, err);
}

/* ---- surplus ---- */

static int by_date_and_header(const void *a, const void *b)
{
    const struct match_key *x = a, *y = b;
    if (x->internal_date != y->internal_date)
        return x->internal_date < y->internal_date ? -1 : 1;
    return memcmp(x->header_sha256, y->header_sha256, DIGEST_BYTES);
}

/* Of what is mirrored, with the dates that the target keeps. */
static struct match_key *mirrored_keys(const struct pass *pass, size_t *count_out)
{
    struct match_key *keys = mem_new((pass->row_count + 1) * sizeof(*keys));
    *count_out = 0;
    for (size_t i = 0; i < pass->row_count; i++) {
        const struct store_message *row = &pass->rows[i];
        const struct target_message *copy = row->target_uid && row->has_header_digest
                                                ? target_messages_find(&pass->target, row->target_uid)
                                                : NULL;
        if (!copy)
            continue;
        keys[*count_out] = (struct match_key){.internal_date = copy->internal_date, .has_header = true};
        memcpy(keys[(*count_out)++].header_sha256, row->header_sha256, DIGEST_BYTES);
    }
    qsort(keys, *count_out, sizeof(*keys), by_date_and_header);
    return keys;
}

/* A message that no row names but which is like a mirrored one is a doubled one (I3); any other is somebody else's, and
 * only counted (I5). */
static int find_surplus(struct verifying *verifying, struct err *err)
{
    struct unmapped unmapped = {0};
    size_t count;
    struct match_key *keys = mirrored_keys(&verifying->pass, &count);
    int result = count ? unmapped_load(&verifying->pass, keys, count, 1, &unmapped, err) : 0;
    for (size_t i = 0; i < unmapped.count && result == 0; i++)
        if (unmapped.keys[i].has_header &&
            bsearch(&unmapped.keys[i], keys, count, sizeof(*keys), by_date_and_header))
            differ(verifying, "the target's message %" PRIu32 " is a second copy of a mirrored one",
                   unmapped.uids[i]);
    free(keys);
    unmapped_fini(&unmapped);
    return result;
}

static int list_sides(struct pass *pass, struct err *err)
{
    struct turn *turn = pass->turn;
    struct store_folder_marks none = {0};
    if (store_message_list(turn->tools->store, pass->folder->folder_id, &pass->rows, &pass->row_count, err) !=
            0 ||
        source_look(turn->source, pass->entry, &none, &pass->source, err) != 0)
        return -1;
    if (pass->source.status.exists > 0 && imap_messages_fetch(turn->source, "1:*", "INTERNALDATE RFC822.SIZE",
                                                              "", &pass->source.messages, err) != 0)
        return -1;
    return target_folder_look(turn->target, pass->folder->target_name, 1, &pass->target, err);
}

static int forget_target_marks(struct pass *pass, struct err *err)
{
    struct store_folder_marks marks = pass->folder->marks;
    marks.has_target = marks.has_target_modseq = false;
    return CRASH_AFTER(MARKS_STORED,
                       store_folder_set_marks(pass->turn->tools->store, &pass->turn->claim->lease,
                                              pass->folder->folder_id, &marks, pass->folder->foreign_messages,
                                              err));
}

static int verify_folder(struct verifying *verifying, const struct folders_pair *pair, struct err *err)
{
    int result;
    verifying->pass = (struct pass){.turn = verifying->turn, .folder = pair->folder, .entry = pair->entry};
    if (!target_folder_find(verifying->turn->target, pair->folder->target_name)) {
        differ(verifying, "the folder is not on the target");
        return 0;
    }
    result = list_sides(&verifying->pass, err);
    if (result == 0)
        result = compare_folder(verifying, err);
    if (result == 0 && verifying->all)
        result = find_surplus(verifying, err);
    if (result == 0 && verifying->folder_differences > 0)
        result = forget_target_marks(&verifying->pass, err);
    pass_fini(&verifying->pass);
    return result == 0 ? 0 : err_prefix(err, "verify folder %s", pair->folder->name);
}

/* A folder's own trouble is a difference, and keeps no other from being verified. */
static int verify_folders(struct verifying *verifying, const struct folders_work *work, struct err *err)
{
    const struct imap_list *list = &verifying->turn->source_list;
    for (size_t i = 0; i < work->count && verifying->all; i++) {
        verifying->folder = work->pairs[i].folder->name;
        if (verify_folder(verifying, &work->pairs[i], err) == 0)
            continue;
        if (err->scope > ERR_FOLDER)
            return -1;
        differ(verifying, "could not be verified: %.300s", err->text);
    }
    for (size_t i = 0; i < list->count && verifying->all; i++) {
        verifying->folder = list->entries[i].name;
        if (work->skipped[i])
            differ(verifying, "the folder is not mirrored");
    }
    return 0;
}

int verify_mirror(struct turn *turn, const struct folders_work *work, bool deep, bool *all_out,
                  struct err *err)
{
    struct verifying verifying = {.turn = turn, .deep = deep, .all = true};
    int result;
    buf_init(&verifying.report, REPORT_MAX_BYTES);
    result = verify_folders(&verifying, work, err);
    pass_rows_fini(&verifying.read);
    if (result == 0 && verifying.all) {
        turn->verify_differences = verifying.differences;
        turn->verify_report = str_copy(buf_data(&verifying.report));
        log_info("mirror verified", LOG_UINT("differences", verifying.differences), LOG_INT("deep", deep));
    }
    *all_out = result == 0 && verifying.all;
    buf_fini(&verifying.report);
    return result;
}
