/*
 * Verify; see verify.h. Runs in the copier. What is recorded says which message of one side is which of the other; that
 * both are there, with equal size, date, flags and order, is read from the servers.
 */
#include "copier/verify.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/pass.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_LINES = 200, REPORT_MAX_BYTES = 60000, LINE_BYTES = 400 };

struct verifying {
    struct turn *turn;
    struct pass pass; /* rows, and both sides listed */
    bool deep, all;
    struct buf report;
    uint32_t differences, folder_differences;
    uint32_t last_target_uid;
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
    buf_addf(&verifying->report, "%.200s: %s\n", verifying->pass.folder->name, line);
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

static int compare_bytes(struct verifying *verifying, struct store_message *row, struct err *err)
{
    struct pass *pass = &verifying->pass;
    struct digest_pair here, there;
    bool found_here = false, found_there = false;
    if (imap_messages_body_digest(pass->turn->source, row->source_uid, &here, &found_here, err) != 0 ||
        target_body_digest(pass->turn->target, pass->folder->target_name, row->target_uid, &there,
                           &found_there, err) != 0)
        return -1;
    if (!found_here || !found_there)
        return 0; /* gone since the listing: the next pass tells */
    if (memcmp(here.normal, there.normal, DIGEST_BYTES) != 0)
        differ(verifying, "message %" PRIu32 ": the bytes differ", row->source_uid);
    memcpy(row->target_sha256, there.raw, DIGEST_BYTES);
    row->has_target_digest = true;
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
    for (size_t i = 0; i < pass->source.messages.count && result == 0; i++) {
        const struct imap_message *message = &pass->source.messages.items[i];
        if (verifying->deep && turn_is_over(pass->turn)) {
            verifying->all = false;
            break;
        }
        result = compare_message(verifying, message, pass_index_find(pass, &index, message->uid), err);
    }
    pass_index_fini(&index);
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
    return store_folder_set_marks(pass->turn->tools->store, &pass->turn->claim->lease,
                                  pass->folder->folder_id, &marks, pass->folder->foreign_messages, err);
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
    if (result == 0 && verifying->folder_differences > 0)
        result = forget_target_marks(&verifying->pass, err);
    pass_fini(&verifying->pass);
    return result == 0 ? 0 : err_prefix(err, "verify folder %s", pair->folder->name);
}

int verify_mirror(struct turn *turn, const struct folders_work *work, bool deep, bool *all_out,
                  struct err *err)
{
    struct verifying verifying = {.turn = turn, .deep = deep, .all = true};
    int result = 0;
    buf_init(&verifying.report, REPORT_MAX_BYTES);
    for (size_t i = 0; i < work->count && result == 0 && verifying.all; i++)
        result = verify_folder(&verifying, &work->pairs[i], err);
    if (result == 0) {
        turn->verify_differences = verifying.differences;
        turn->verify_report = str_copy(buf_data(&verifying.report));
        log_info("mirror verified", LOG_UINT("differences", verifying.differences), LOG_INT("deep", deep));
    }
    *all_out = verifying.all;
    buf_fini(&verifying.report);
    return result;
}
