/*
 * One pass over one folder; see reconcile.h. Runs in the copier. The order of the steps matters: what is on the target
 * must be understood (intents, identity, adoption, ghosts) before anything is copied, and the marks are stored last, as
 * they were when the folder was opened, so that a pass that dies leaves the next one everything to see.
 */
#include "copier/reconcile.h"

#include "access/access_folders.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/copy.h"
#include "copier/details.h"
#include "copier/expunge.h"
#include "copier/identify.h"
#include "copier/marks.h"
#include "copier/settle.h"
#include "copier/signs.h"
#include "copier/unmapped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int load(struct pass *pass, struct err *err)
{
    struct store *store = pass->turn->tools->store;
    if (store_message_list(store, pass->folder->folder_id, &pass->rows, &pass->row_count, err) != 0)
        return -1;
    pass->row_size = pass->row_count;
    /* What was withheld may be written now: all flags are looked at. */
    if (pass->folder->marks.withheld_messages > 0 && !pass->turn->breaker_tripped)
        pass->folder->marks.has_source_modseq = false;
    if (pass->folder->open_intents + pass->folder->ghosts == 0)
        return 0;
    return store_intent_list(store, pass->folder->folder_id, &pass->intents, &pass->intent_count, err);
}

static bool wants_copy(const struct store_message *row)
{
    if (row->source_uid == 0 || row->source_gone)
        return false;
    return (row->state == STORE_MESSAGE_LOST && row->times_lost <= PASS_COPIES_OF_LOST) ||
           (row->state == STORE_MESSAGE_REFUSED && row->try_due);
}

/* ---- is there anything to do? ---- */

static bool source_is_as_recorded(const struct store_folder_marks *marks, const struct imap_list_entry *entry)
{
    const struct imap_folder_status *now = &entry->status;
    return entry->has_status && marks->has_source && marks->has_source_modseq && now->has_uidvalidity &&
           now->has_uidnext && now->has_exists && now->uidvalidity == marks->source_uidvalidity &&
           now->uidnext == marks->source_uidnext && now->exists == marks->source_exists &&
           now->highestmodseq != 0 && now->highestmodseq == marks->source_highestmodseq;
}

static bool target_is_as_recorded(const struct store_folder_marks *marks,
                                  const struct imap_folder_status *now)
{
    if (!marks->has_target || !now->has_uidvalidity || !now->has_uidnext || !now->has_exists)
        return false;
    if (now->highestmodseq != 0 && marks->has_target_modseq &&
        now->highestmodseq != marks->target_highestmodseq)
        return false;
    return now->uidvalidity == marks->target_uidvalidity && now->uidnext == marks->target_uidnext &&
           now->exists == marks->target_exists;
}

static bool rows_want_something(const struct pass *pass)
{
    for (size_t i = 0; i < pass->row_count; i++) {
        const struct store_message *row = &pass->rows[i];
        if (wants_copy(row) || (row->source_uid == 0 && !row->source_gone) ||
            (row->state == STORE_MESSAGE_MIRRORED && (row->target_uid == 0 || !row->has_target_size)))
            return true;
    }
    return false;
}

static bool is_unchanged(const struct pass *pass)
{
    const struct imap_list_entry *on_target =
        target_folder_find(pass->turn->target, pass->folder->target_name);
    return !pass->turn->list_target && pass->intent_count == 0 && !rows_want_something(pass) && on_target &&
           on_target->has_status && source_is_as_recorded(&pass->folder->marks, pass->entry) &&
           target_is_as_recorded(&pass->folder->marks, &on_target->status);
}

/* ---- looking at both sides ---- */

static bool is_new(const struct pass *pass)
{
    return pass->row_count == 0 && pass->intent_count == 0 && pass->folder->marks.source_uidvalidity == 0 &&
           pass->folder->marks.target_uidvalidity == 0;
}

static int forget_uids(struct pass *pass, enum store_side side, uint32_t uidvalidity, struct err *err)
{
    struct store_folder_marks *marks = &pass->folder->marks;
    bool source = side == STORE_SOURCE;
    if (!pass->is_new &&
        CRASH_AFTER(UIDS_FORGOTTEN,
                    store_folder_forget_uids(pass->turn->tools->store, &pass->turn->claim->lease,
                                             pass->folder->folder_id, side, uidvalidity, err)) != 0)
        return -1;
    for (size_t i = 0; i < pass->row_count; i++)
        *(source ? &pass->rows[i].source_uid : &pass->rows[i].target_uid) = 0;
    *(source ? &marks->source_uidvalidity : &marks->target_uidvalidity) = uidvalidity;
    *(source ? &marks->has_source : &marks->has_target) = false;
    if (pass->row_count > 0)
        log_warning(
            "UIDs count no more (another UIDVALIDITY, or dealt out anew): messages are identified again",
            LOG_STR("side", source ? "source" : "target"), LOG_UINT("uidvalidity", uidvalidity));
    return 0;
}

/* Of a new folder there was nothing to forget: what both looks told is recorded at once, before anything goes by it. */
static int record_new(struct pass *pass, struct err *err)
{
    if (!pass->is_new)
        return 0;
    return CRASH_AFTER(UIDS_FORGOTTEN,
                       store_folder_set_marks(pass->turn->tools->store, &pass->turn->claim->lease,
                                              pass->folder->folder_id, &pass->folder->marks, pass->foreign,
                                              err));
}

/* Below what was told before, or not above a UID that is recorded: a store restored from its backup deals the same UIDs
 * out again, to other messages. */
static bool went_back(const struct pass *pass, enum store_side side, const struct imap_folder_status *now)
{
    const struct store_folder_marks *marks = &pass->folder->marks;
    bool source = side == STORE_SOURCE;
    uint32_t before = source ? marks->source_uidnext : marks->target_uidnext;
    if (!now->has_uidnext)
        return false;
    if ((source ? marks->has_source : marks->has_target) && now->uidnext < before)
        return true;
    for (size_t i = 0; i < pass->row_count; i++)
        if ((source ? pass->rows[i].source_uid : pass->rows[i].target_uid) >= now->uidnext)
            return true;
    return false;
}

/* UIDNEXT may have grown again since it went back: then a recorded UID has another date. */
static bool source_has_strangers(const struct pass *pass)
{
    for (size_t i = 0; i < pass->row_count; i++) {
        const struct store_message *row = &pass->rows[i];
        const struct imap_message *now =
            row->source_uid ? imap_messages_find(&pass->source.messages, row->source_uid) : NULL;
        if (now && now->has_date && now->date.unix_seconds != row->internal_date)
            return true;
    }
    return false;
}

/* With forgotten marks it is a whole view. */
static int look_again(struct pass *pass, struct err *err)
{
    if (forget_uids(pass, STORE_SOURCE, pass->source.status.uidvalidity, err) != 0)
        return -1;
    if (pass->source.whole)
        return 0;
    source_view_fini(&pass->source);
    return source_look(pass->turn->source, pass->entry, &pass->folder->marks, &pass->source, err);
}

/* Known UIDs that name other messages are one message's own matter nowhere: the store was put back. */
static int note_signs(struct pass *pass, struct err *err)
{
    if (pass->folder->marks.source_uidvalidity == 0 || pass->row_count == 0)
        return 0;
    if (pass->source.status.uidvalidity == pass->folder->marks.source_uidvalidity)
        return signs_went_back(pass->turn, pass->folder->name, err);
    return signs_new_uidvalidity(pass->turn, err);
}

/* After a failed turn with the short question: one message's header may be what production died over or said NO to, and
 * details_fetch() finds out which. */
static bool may_ask_for_all(const struct pass *pass)
{
    const struct imap_list_entry *entry = pass->entry;
    return pass->row_count == 0 && !pass->folder->marks.has_source && entry->has_status &&
           entry->status.exists > 0 && pass->turn->claim->fail_count == 0;
}

static int look(struct pass *pass, struct err *err)
{
    if (may_ask_for_all(pass)) {
        int result = source_look_first(pass->turn->source, pass->entry, &pass->source, err);
        if (result == 0 || err->scope != ERR_FOLDER)
            return result;
        err_clear(err);
    }
    return source_look(pass->turn->source, pass->entry, &pass->folder->marks, &pass->source, err);
}

static int look_at_source(struct pass *pass, struct err *err)
{
    const struct store_folder_marks *marks = &pass->folder->marks;
    if (look(pass, err) != 0)
        return -1;
    if (pass->source.status.uidvalidity == 0)
        return err_set(err, ERR_FOLDER, ERR_RETRY_LATER, "production tells no UIDVALIDITY");
    if (pass->source.status.uidvalidity == marks->source_uidvalidity &&
        !went_back(pass, STORE_SOURCE, &pass->source.status) && !source_has_strangers(pass))
        return 0;
    return note_signs(pass, err) == 0 ? look_again(pass, err) : -1;
}

/* The folder's figures on the target, making it if it is not there. */
static int target_status(struct pass *pass, struct imap_folder_status *status_out, struct err *err)
{
    struct target *target = pass->turn->target;
    const char *name = pass->folder->target_name;
    const struct imap_list_entry *entry = target_folder_find(target, name);
    if (!entry) {
        if (target_folder_create(target, name, err) != 0)
            return -1;
        log_info("folder created on the target", LOG_STR("folder", name));
        if (CRASH_AFTER(FOLDER_MADE,
                        store_folder_set_made(pass->turn->tools->store, &pass->turn->claim->lease,
                                              pass->folder->folder_id, err)) != 0)
            return -1;
        entry = target_folder_find(target, name);
    }
    if (!entry || !entry->has_status)
        return target_folder_status(target, name, status_out, err);
    *status_out = entry->status;
    status_out->permanent = (struct imap_flags){0};
    return 0;
}

static int list_target(struct pass *pass, struct err *err)
{
    if (target_folder_look(pass->turn->target, pass->folder->target_name, 1, &pass->target, err) != 0)
        return -1;
    pass->target_listed = true;
    pass->target_uidvalidity = pass->target.status.uidvalidity;
    pass->target_exists = pass->target.status.exists;
    if (pass->target.status.has_uidnext && pass->target.status.uidnext > pass->target_uidnext)
        pass->target_uidnext = pass->target.status.uidnext;
    return 0;
}

/* Likewise there. Not by date: the target may keep dates of its own. */
static bool target_has_strangers(const struct pass *pass)
{
    for (size_t i = 0; i < pass->row_count; i++) {
        const struct store_message *row = &pass->rows[i];
        const struct target_message *now = row->target_uid && row->has_target_size
                                               ? target_messages_find(&pass->target, row->target_uid)
                                               : NULL;
        if (now && now->size_bytes != row->target_size)
            return true;
    }
    return false;
}

/* Its STATUS is a listing of nothing. Where there is something to be settled, we look as it stands now. */
static bool is_known_empty(const struct pass *pass, const struct imap_folder_status *status)
{
    return !pass->turn->list_target && pass->intent_count == 0 && pass->row_count == 0 &&
           status->has_exists && status->exists == 0 && status->has_uidnext && status->has_uidvalidity;
}

/* Its UIDNEXT going back, or another UIDVALIDITY, means that recorded UIDs may name strangers. */
static int look_at_target(struct pass *pass, struct err *err)
{
    const struct store_folder_marks *marks = &pass->folder->marks;
    struct imap_folder_status status = {0};
    bool as_recorded;
    if (target_status(pass, &status, err) != 0)
        return -1;
    as_recorded = target_is_as_recorded(marks, &status);
    if (status.uidvalidity != marks->target_uidvalidity || went_back(pass, STORE_TARGET, &status)) {
        if (forget_uids(pass, STORE_TARGET, status.uidvalidity, err) != 0)
            return -1;
        as_recorded = false;
    }
    pass->target_uidvalidity = status.uidvalidity;
    pass->target_uidnext = status.has_uidnext ? status.uidnext : 1;
    pass->target_exists = status.exists;
    if (as_recorded && !pass->turn->list_target && pass->intent_count == 0)
        return 0;
    if (is_known_empty(pass, &status)) {
        pass->target.status = status;
        pass->target_listed = true;
        return 0;
    }
    if (list_target(pass, err) != 0)
        return -1;
    /* STATUS is older than the EXAMINE of the listing: what it listed counts. */
    if (pass->target_uidvalidity == marks->target_uidvalidity && !target_has_strangers(pass))
        return 0;
    return forget_uids(pass, STORE_TARGET, pass->target_uidvalidity, err);
}

/* ---- what is gone, what is new ---- */

/* Also those that are there again: production may have shown too little for a while. */
static int note_gone(struct pass *pass, struct err *err)
{
    struct pass_rows rows = {0};
    struct pass_commit commit = {0};
    bool all_listed = pass->source.whole || pass->source.has_uids;
    int result;
    for (size_t i = 0; i < pass->row_count && all_listed; i++) {
        struct store_message *row = &pass->rows[i];
        bool gone = !source_view_has(&pass->source, row->source_uid);
        if (row->source_uid == 0 || row->source_gone == gone)
            continue;
        row->source_gone = gone;
        pass_rows_add(&rows, i);
    }
    if (rows.count > 0)
        log_info("messages gone from production, or there again", LOG_UINT("messages", rows.count));
    commit.rows = rows.items;
    commit.row_count = rows.count;
    result = pass_commit(pass, &commit, err);
    pass_rows_fini(&rows);
    return result;
}

static void collect_fresh(const struct pass *pass, struct imap_uids *uids)
{
    struct pass_index index;
    pass_index_rows(pass, STORE_SOURCE, &index);
    for (size_t i = 0; i < pass->source.messages.count; i++)
        if (!pass_index_find(pass, &index, pass->source.messages.items[i].uid))
            imap_uids_add(uids, pass->source.messages.items[i].uid);
    for (size_t i = 0; i < pass->row_count; i++)
        if (wants_copy(&pass->rows[i]))
            imap_uids_add(uids, pass->rows[i].source_uid);
    imap_uids_sort(uids);
    pass_index_fini(&index);
}

/* Without date, size or header nothing can be promised about a message; it may have vanished since the listing: no marks
 * are stored then, so that the next look takes it up again. */
static void drop_undescribed(struct imap_messages *fresh)
{
    size_t kept = 0;
    for (size_t i = 0; i < fresh->count; i++) {
        struct imap_message *message = &fresh->items[i];
        if (message->has_flags && message->has_date && message->has_size && message->has_header)
            fresh->items[kept++] = *message;
        else
            imap_flags_fini(&message->flags);
    }
    fresh->count = kept;
}

static int copy_fresh(struct pass *pass, struct err *err)
{
    struct imap_uids uids = {0};
    struct imap_messages *fresh = &pass->fresh;
    int result;
    collect_fresh(pass, &uids);
    result = details_fetch(pass, &uids, err);
    if (result == 0) {
        drop_undescribed(fresh);
        pass->missing = (uint32_t)(uids.count - fresh->count);
        pass->incomplete = pass->missing > 0;
    }
    if (result == 0 && pass->target_listed)
        result = identify_adopt(pass, fresh, err);
    if (result == 0 && pass->target_listed)
        result = settle_ghosts(pass, err);
    if (result == 0 && pass->target_listed)
        pass->foreign = unmapped_count(pass);
    if (result == 0)
        result = copy_messages(pass, fresh, err);
    imap_uids_fini(&uids);
    return result;
}

/* ---- marks and figures ---- */

static int by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct imap_message *)a)->uid, y = ((const struct imap_message *)b)->uid;
    return (x > y) - (x < y);
}

/* The folder's flags as production has them, for the digest and the count of unseen ones. */
static void digest_flags(const struct pass *pass, struct store_folder_marks *marks)
{
    struct imap_message *all = mem_grow(NULL, pass->row_count + 1, sizeof(*all));
    struct imap_flags_digest *digest = imap_flags_digest_new();
    size_t count = 0;
    for (size_t i = 0; i < pass->row_count; i++) {
        const struct store_message *row = &pass->rows[i];
        if (row->source_uid == 0 || row->source_gone)
            continue;
        all[count] = (struct imap_message){.uid = row->source_uid};
        pass_row_flags(pass, row, &all[count++].flags);
    }
    qsort(all, count, sizeof(*all), by_uid);
    marks->source_unseen = 0;
    for (size_t i = 0; i < count; i++) {
        imap_flags_digest_add(digest, all[i].uid, &all[i].flags);
        marks->source_unseen += !(all[i].flags.system & IMAP_FLAG_SEEN);
        imap_flags_fini(&all[i].flags);
    }
    imap_flags_digest_end(digest, marks->source_flags_digest);
    marks->has_flags_digest = true;
    imap_flags_digest_free(digest);
    free(all);
}

static bool is_flag_missing(const struct pass *pass, const struct store_message *row)
{
    struct marks_plan plan;
    struct imap_flags wanted;
    bool missing;
    if (row->target_uid == 0 || row->source_gone || !pass_row_is_told(pass, row))
        return false;
    pass_row_flags(pass, row, &wanted);
    marks_decide(&wanted, row->flags_written, row->flags_refused, NULL, &plan);
    missing = !imap_flags_is_empty(&plan.add) || !imap_flags_is_empty(&plan.remove);
    marks_plan_fini(&plan);
    imap_flags_fini(&wanted);
    return missing;
}

/* How many have flags that are not written since the breaker is tripped; those of an earlier look are not told again. */
static uint32_t count_withheld(const struct pass *pass)
{
    uint32_t count = pass->source.whole ? 0 : pass->folder->marks.withheld_messages;
    if (!pass->turn->breaker_tripped)
        return 0;
    for (size_t i = 0; i < pass->row_count; i++)
        count += is_flag_missing(pass, &pass->rows[i]);
    return count;
}

static void fill_source_marks(const struct pass *pass, struct store_folder_marks *marks)
{
    const struct imap_folder_status *status = &pass->source.status;
    marks->source_uidvalidity = status->uidvalidity;
    marks->has_source = status->has_uidnext && status->has_exists && !pass->incomplete;
    marks->source_uidnext = status->uidnext;
    marks->source_exists = status->exists;
    marks->has_source_modseq = marks->has_source && status->highestmodseq != 0;
    marks->source_highestmodseq = status->highestmodseq;
    digest_flags(pass, marks);
    marks->has_flags_digest = marks->has_source;
    marks->withheld_messages = count_withheld(pass);
}

/* The target's figures after our writing count only if they are what our own writing explains: else somebody else was
 * there, and the next pass lists the folder. */
static int fill_target_marks(struct pass *pass, struct store_folder_marks *marks, struct err *err)
{
    struct imap_folder_status now = pass->read_back;
    if (!now.has_uidvalidity &&
        target_folder_status(pass->turn->target, pass->folder->target_name, &now, err) != 0)
        return -1;
    pass->read_back = (struct imap_folder_status){0};
    marks->target_uidvalidity = pass->target_uidvalidity;
    marks->target_uidnext = now.uidnext;
    marks->target_exists = now.exists;
    marks->target_highestmodseq = now.highestmodseq;
    marks->has_target = !pass->incomplete && now.has_uidnext && now.has_exists && now.has_uidvalidity &&
                        now.uidvalidity == pass->target_uidvalidity && now.exists == pass->target_exists &&
                        now.uidnext == pass->target_uidnext;
    marks->has_target_modseq = marks->has_target && now.highestmodseq != 0;
    imap_folder_status_fini(&now);
    return 0;
}

static bool marks_equal(const struct store_folder_marks *a, const struct store_folder_marks *b)
{
    return a->has_source == b->has_source && a->has_source_modseq == b->has_source_modseq &&
           a->has_flags_digest == b->has_flags_digest && a->has_target == b->has_target &&
           a->has_target_modseq == b->has_target_modseq && a->source_uidvalidity == b->source_uidvalidity &&
           a->source_uidnext == b->source_uidnext && a->source_exists == b->source_exists &&
           a->source_unseen == b->source_unseen && a->source_highestmodseq == b->source_highestmodseq &&
           memcmp(a->source_flags_digest, b->source_flags_digest, DIGEST_BYTES) == 0 &&
           a->target_uidvalidity == b->target_uidvalidity && a->target_uidnext == b->target_uidnext &&
           a->target_exists == b->target_exists && a->target_highestmodseq == b->target_highestmodseq &&
           a->withheld_messages == b->withheld_messages;
}

/* Nothing is written for a folder that stayed as it was (I7). */
static int store_marks(struct pass *pass, struct err *err)
{
    struct store_folder_marks marks = {0};
    fill_source_marks(pass, &marks);
    if (fill_target_marks(pass, &marks, err) != 0)
        return -1;
    if (marks_equal(&marks, &pass->folder->marks) && pass->foreign == pass->folder->foreign_messages)
        return 0;
    if (CRASH_AFTER(MARKS_STORED,
                    store_folder_set_marks(pass->turn->tools->store, &pass->turn->claim->lease,
                                           pass->folder->folder_id, &marks, pass->foreign, err)) != 0)
        return -1;
    pass->folder->marks = marks;
    pass->folder->foreign_messages = pass->foreign;
    return 0;
}

static void add_keyword_names(struct store_mirror_figures *figures, const char *flags)
{
    struct imap_flags refused, known, fresh;
    size_t used = strlen(figures->refused_keywords);
    char *text;
    imap_flags_init(&refused);
    imap_flags_init(&known);
    imap_flags_init(&fresh);
    imap_flags_parse(flags, &refused);
    imap_flags_parse(figures->refused_keywords, &known);
    imap_flags_minus(&refused, &known, &fresh);
    text = imap_flags_format(&fresh);
    if (text[0] && used + strlen(text) + 2 < sizeof(figures->refused_keywords))
        snprintf(figures->refused_keywords + used, sizeof(figures->refused_keywords) - used, "%s%s",
                 used ? " " : "", text);
    free(text);
    imap_flags_fini(&refused);
    imap_flags_fini(&known);
    imap_flags_fini(&fresh);
}

static void count_row(struct store_mirror_figures *figures, const struct store_message *row,
                      uint32_t *highest)
{
    figures->any_gone |= row->source_gone;
    if (row->source_gone)
        return;
    figures->left_messages += row->target_uid != 0;
    figures->refused_messages += row->state == STORE_MESSAGE_REFUSED;
    figures->missing_messages += row->state == STORE_MESSAGE_LOST;
    figures->altered_messages += row->altered;
    if (row->flags_refused[0])
        add_keyword_names(figures, row->flags_refused);
    if (row->state != STORE_MESSAGE_MIRRORED || row->source_uid == 0)
        return;
    figures->late_messages += row->target_uid < *highest;
    if (row->target_uid > *highest)
        *highest = row->target_uid;
}

/* Rows come in order of source UID: one whose target UID is below one before it arrived late (I4). */
static void count_figures(struct pass *pass, bool unchanged)
{
    struct store_mirror_figures *figures = &pass->turn->figures;
    const struct store_folder_marks *marks = &pass->folder->marks;
    struct pass_index index;
    uint32_t highest = 0, left_before = figures->left_messages;
    figures->source_messages += unchanged ? marks->source_exists : pass->source.status.exists;
    figures->target_messages += unchanged ? marks->target_exists : pass->target_exists;
    figures->missing_messages += pass->missing;
    figures->foreign_messages += pass->foreign;
    figures->withheld_messages += marks->withheld_messages;
    pass_index_rows(pass, STORE_SOURCE, &index);
    for (size_t i = 0; i < index.count; i++)
        count_row(figures, &pass->rows[index.entries[i].row], &highest);
    pass_index_fini(&index);
    for (size_t i = 0; i < pass->row_count; i++)
        if (pass->rows[i].source_uid == 0)
            count_row(figures, &pass->rows[i], &highest);
    if (access_folders_is_greeting(pass->turn->route->from_site, pass->folder->name))
        figures->left_messages = left_before;
}

static int bring_up(struct pass *pass, struct err *err)
{
    pass->is_new = is_new(pass);
    if (look_at_source(pass, err) != 0 || look_at_target(pass, err) != 0 || record_new(pass, err) != 0)
        return -1;
    if (pass->target_listed && settle_intents(pass, NULL, 0, err) != 0)
        return -1;
    if (identify_source(pass, err) != 0)
        return -1;
    if (pass->target_listed && identify_target(pass, err) != 0)
        return -1;
    if (note_gone(pass, err) != 0 || copy_fresh(pass, err) != 0)
        return -1;
    if (marks_see_appended(pass, err) != 0)
        return -1;
    /* Not with a tripped breaker: production's flags may be those of long ago. */
    if (!pass->turn->breaker_tripped && (marks_sync(pass, err) != 0 || marks_read_back(pass, err) != 0))
        return -1;
    return store_marks(pass, err);
}

int reconcile_folder(struct turn *turn, const struct folders_pair *pair, struct err *err)
{
    struct pass pass = {.turn = turn,
                        .folder = pair->folder,
                        .entry = pair->entry,
                        .foreign = pair->folder->foreign_messages};
    bool unchanged = false;
    int result;
    log_context_push("folder", pair->folder->name);
    result = load(&pass, err);
    if (result == 0)
        unchanged = is_unchanged(&pass);
    if (result == 0 && !unchanged)
        result = bring_up(&pass, err);
    if (result == 0)
        count_figures(&pass, unchanged);
    pass_fini(&pass);
    log_context_pop();
    return result == 0 ? 0 : err_prefix(err, "folder %s", pair->folder->name);
}

/* ---- gone from production ---- */

/* The target has no such folder: nothing can have come true in it. */
static int drop_intents(struct pass *pass, struct err *err)
{
    struct pass_commit commit = {0};
    uint64_t *ids = mem_grow(NULL, pass->intent_count + 1, sizeof(*ids));
    int result;
    for (size_t i = 0; i < pass->intent_count; i++)
        ids[commit.intents_gone_count++] = pass->intents[i].intent_id;
    commit.intents_gone = ids;
    result = pass_commit(pass, &commit, err);
    free(ids);
    return result;
}

static int settle_gone(struct pass *pass, struct err *err)
{
    bool missing = false;
    if (load(pass, err) != 0 || expunge_is_missing(pass->turn, pass->folder, &missing, err) != 0)
        return -1;
    if (missing)
        return drop_intents(pass, err);
    if (look_at_target(pass, err) != 0 || settle_intents(pass, NULL, 0, err) != 0 ||
        identify_target(pass, err) != 0)
        return -1;
    return settle_ghosts(pass, err);
}

int reconcile_gone_folder(struct turn *turn, struct store_folder *folder, struct err *err)
{
    struct pass pass = {.turn = turn, .folder = folder};
    int result;
    log_context_push("folder", folder->name);
    result = settle_gone(&pass, err);
    pass_fini(&pass);
    log_context_pop();
    return result == 0 ? 0 : err_prefix(err, "folder %s", folder->name);
}
