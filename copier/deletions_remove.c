/*
 * The removing part of deletions.c: what is begun is checked against the record on the target, EXPUNGEd, and its row dropped;
 * then folders that are gone. Runs in the copier. Each batch is recorded before the next, so that a turn that ends, or dies,
 * leaves the next one to go on.
 */
#include "copier/deletions_private.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/expunge.h"
#include "store/store_breaker.h"

#include <stdlib.h>
#include <string.h>

enum { COMMIT_BATCH = 500 };

/* ---- remove ---- */

/* Rows by the UIDs that expunge_copies() sorted. */
static void ids_of(const struct store_gone *gone, size_t count, const struct imap_uids *uids, struct ids *ids)
{
    ids->count = 0;
    for (size_t i = 0; i < count; i++)
        if (imap_uids_has(uids->items, uids->count, gone[i].target_uid))
            ids->items[ids->count++] = gone[i].message_id;
}

static int record_removed(struct following *following, const struct store_gone *gone, size_t count,
                          const struct expunge_result *done, struct err *err)
{
    struct turn *turn = following->turn;
    struct ids ids;
    int result;
    ids_init(&ids, count);
    ids_of(gone, count, &done->gone, &ids);
    result = CRASH_AFTER(REMOVAL_RECORDED, store_removal_end(turn->tools->store, &turn->claim->lease,
                                                             ids.items, ids.count, err));
    if (result == 0 && ids.count > 0) {
        following->removed += done->removed;
        turn->commits++;
        log_info("messages removed from the target", LOG_UINT("messages", ids.count));
    }
    ids_of(gone, count, &done->strangers, &ids);
    if (result == 0 && ids.count > 0) {
        following->doubted = true;
        log_warning("other messages have the UIDs of copies to be removed: left alone",
                    LOG_UINT("messages", ids.count));
        result =
            CRASH_AFTER(SIGHT_LOST_RECORDED, store_removal_lost_sight(turn->tools->store, &turn->claim->lease,
                                                                      ids.items, ids.count, err));
    }
    ids_fini(&ids);
    return result;
}

/* Of one folder, at most COMMIT_BATCH. *waiting_out: strangers are in the way. */
static int remove_some(struct following *following, const struct store_folder *folder,
                       const struct store_gone *gone, struct expunge_request *request, bool *waiting_out,
                       struct err *err)
{
    struct expunge_copy copies[COMMIT_BATCH];
    struct expunge_result done = {0};
    int result;
    for (size_t i = 0; i < request->count; i++)
        copies[i] = (struct expunge_copy){.target_uid = gone[i].target_uid,
                                          .size_bytes = gone[i].copy_bytes,
                                          .internal_date = gone[i].internal_date,
                                          .altered = gone[i].altered};
    request->folder = folder->target_name;
    request->uidvalidity = folder->marks.target_uidvalidity;
    request->copies = copies;
    result = expunge_copies(following->turn, request, &done, err);
    if (result == 0)
        result = record_removed(following, gone, request->count, &done, err);
    *waiting_out = done.waiting;
    expunge_result_fini(&done);
    return result;
}

/* Others may trip the breaker meanwhile; and what is begun may be ended in another turn. */
static int may_remove(struct following *following, size_t done, bool *may_out, struct err *err)
{
    struct turn *turn = following->turn;
    *may_out = false;
    if (store_breaker_is_tripped(turn->tools->store, turn->route->from, &turn->breaker_tripped, err) != 0)
        return -1;
    turn->yielded |= done > 0 && turn_is_over(turn);
    *may_out = !turn->breaker_tripped && !turn->yielded;
    return 0;
}

static int remove_batches(struct following *following, const struct store_folder *folder,
                          const struct store_gone *gone, size_t count, struct err *err)
{
    struct expunge_request request = {0};
    uint32_t *spared = NULL;
    bool waiting = false;
    int result = 0;
    if (!target_has(following->turn->target, IMAP_CAP_UIDPLUS))
        result = store_removal_mirrored(following->turn->tools->store, folder->folder_id, &spared,
                                        &request.spared_count, err);
    request.spared = spared;
    for (size_t first = 0; first < count && result == 0 && !waiting; first += request.count) {
        bool may = false;
        result = may_remove(following, first, &may, err);
        if (result != 0 || !may)
            break;
        request.count = count - first < COMMIT_BATCH ? count - first : COMMIT_BATCH;
        result = remove_some(following, folder, gone + first, &request, &waiting, err);
    }
    if (waiting)
        log_warning(
            "removal waits: others' messages are marked as deleted there, and without UIDPLUS they would "
            "go, too",
            LOG_STR("folder", folder->target_name), LOG_UINT("messages", count));
    free(spared);
    return result;
}

/* What the target shows now counts only if our own removal explains it: then its next listing is spared. */
static int renew_marks(struct following *following, struct store_folder *folder, struct err *err)
{
    struct turn *turn = following->turn;
    struct store_folder_marks *marks = &folder->marks;
    struct imap_folder_status now = {0};
    int result = 0;
    if (!deletions_find_pair(following, folder->folder_id))
        return 0;
    turn->figures.target_messages -= following->removed;
    if (!marks->has_target || following->doubted)
        return 0;
    result = target_folder_status(turn->target, folder->target_name, &now, err);
    if (result == 0 && now.has_exists && now.has_uidnext && now.uidvalidity == marks->target_uidvalidity &&
        now.uidnext == marks->target_uidnext && now.exists + following->removed == marks->target_exists) {
        marks->target_exists = now.exists;
        marks->target_highestmodseq = now.highestmodseq;
        marks->has_target_modseq = now.highestmodseq != 0;
        result = CRASH_AFTER(MARKS_STORED,
                             store_folder_set_marks(turn->tools->store, &turn->claim->lease,
                                                    folder->folder_id, marks, folder->foreign_messages, err));
    }
    imap_folder_status_fini(&now);
    return result;
}

/* Without a copy, or with one that stays. */
static int drop_rows(struct following *following, const struct store_gone *gone, size_t count,
                     bool copies_stay, struct err *err)
{
    struct store *store = following->turn->tools->store;
    const struct store_lease *lease = &following->turn->claim->lease;
    struct ids ids;
    int result;
    if (count == 0)
        return 0;
    ids_init(&ids, count);
    for (size_t i = 0; i < count; i++)
        ids.items[ids.count++] = gone[i].message_id;
    result = CRASH_AFTER(REMOVAL_RECORDED, copies_stay
                                               ? store_removal_leave(store, lease, ids.items, ids.count, err)
                                               : store_removal_end(store, lease, ids.items, ids.count, err));
    ids_fini(&ids);
    return result;
}

static int remove_copies_of(struct following *following, struct store_folder *folder,
                            const struct store_gone *gone, size_t count, struct err *err)
{
    struct turn *turn = following->turn;
    bool missing = false, known = false;
    if (expunge_is_missing(turn, folder, &missing, err) != 0)
        return -1;
    if (missing)
        return drop_rows(following, gone, count, false, err);
    /* A folder that had its pass was identified again; this is one that is gone from production. */
    if (expunge_are_uids_known(turn, folder, &known, err) != 0)
        return -1;
    if (!known) {
        log_warning("copies left on the target for good: its UIDVALIDITY is not the recorded one",
                    LOG_STR("folder", folder->target_name), LOG_UINT("messages", count));
        return drop_rows(following, gone, count, true, err);
    }
    if (CRASH_AFTER(TARGET_DOUBTED, store_removal_doubt_target(turn->tools->store, &turn->claim->lease,
                                                               folder->folder_id, err)) != 0)
        return -1;
    following->removed = 0;
    following->doubted = false;
    if (remove_batches(following, folder, gone, count, err) != 0)
        return -1;
    return renew_marks(following, folder, err);
}

/* Another recorded folder that leads to the same one on the target: folders.rename was changed. */
static const struct store_folder *find_namesake(const struct following *following,
                                                const struct store_folder *folder)
{
    for (size_t i = 0; i < following->work->folder_count; i++) {
        const struct store_folder *other = &following->work->folders[i];
        if (other->folder_id != folder->folder_id && str_equal(other->target_name, folder->target_name))
            return other;
    }
    return NULL;
}

/* Copies that the namesake has adopted are its own by now: only our rows go. *count is left with the others. */
static int spare_adopted(struct following *following, const struct store_folder *folder,
                         struct store_gone *gone, size_t *count, struct err *err)
{
    const struct store_folder *namesake = find_namesake(following, folder);
    struct store_gone *adopted = NULL;
    size_t adopted_count = 0, kept = 0, uid_count = 0;
    uint32_t *uids = NULL;
    int result;
    if (!namesake)
        return 0;
    if (store_removal_mirrored(following->turn->tools->store, namesake->folder_id, &uids, &uid_count, err) !=
        0)
        return -1;
    adopted = mem_grow(NULL, *count + 1, sizeof(*adopted));
    for (size_t i = 0; i < *count; i++)
        if (imap_uids_has(uids, uid_count, gone[i].target_uid))
            adopted[adopted_count++] = gone[i];
        else
            gone[kept++] = gone[i];
    *count = kept;
    result = drop_rows(following, adopted, adopted_count, true, err);
    free(adopted);
    free(uids);
    return result;
}

/* Sorts the folder's rows: those to be removed, and those that never had, or have no more, a copy. */
static int remove_folder_rows(struct following *following, size_t first, size_t end, struct err *err)
{
    struct store_folder *folder = deletions_find_folder(following, following->gone[first].folder_id);
    struct store_gone *begun = mem_grow(NULL, end - first + 1, sizeof(*begun));
    struct store_gone *bare = mem_grow(NULL, end - first + 1, sizeof(*bare));
    size_t begun_count = 0, bare_count = 0;
    int result = 0;
    for (size_t i = first; i < end; i++) {
        const struct store_gone *gone = &following->gone[i];
        if (!following->proven[i] || !deletions_is_candidate(following, gone))
            continue;
        if (gone->target_uid == 0)
            bare[bare_count++] = *gone;
        else if (gone->removal == STORE_REMOVAL_BEGUN)
            begun[begun_count++] = *gone;
    }
    if (folder)
        result = drop_rows(following, bare, bare_count, false, err);
    if (folder && result == 0)
        result = spare_adopted(following, folder, begun, &begun_count, err);
    if (folder && result == 0 && begun_count > 0)
        result = remove_copies_of(following, folder, begun, begun_count, err);
    free(begun);
    free(bare);
    return result;
}

int deletions_remove_begun(struct following *following, struct err *err)
{
    for (size_t first = 0; first < following->count;) {
        size_t end = deletions_end_of_folder(following, first);
        struct err why = {0};
        if (remove_folder_rows(following, first, end, &why) != 0 &&
            turn_bear(following->turn, &why, err) != 0)
            return -1;
        first = end;
    }
    return 0;
}

/* ---- folders ---- */

static bool has_children(const struct turn *turn, const char *name)
{
    const struct imap_list *list = target_folders(turn->target);
    size_t len = strlen(name);
    for (size_t i = 0; i < list->count; i++)
        if (strncmp(list->entries[i].name, name, len) == 0 && list->entries[i].name[len] == '/')
            return true;
    return false;
}

/* Only one that we made, and that is empty (I5). One that stays is not ours any more. */
static int delete_on_target(struct following *following, const struct store_folder *folder, struct err *err)
{
    struct turn *turn = following->turn;
    struct imap_folder_status status = {0};
    struct err why = {0};
    int result = 0;
    if (!target_folder_find(turn->target, folder->target_name) || !folder->made_by_us ||
        has_children(turn, folder->target_name) || find_namesake(following, folder) ||
        str_equal(folder->target_name, "INBOX"))
        return 0;
    result = target_folder_status(turn->target, folder->target_name, &status, err);
    if (result != 0 || !status.has_exists || status.exists > 0 ||
        (folder->marks.target_uidvalidity && status.uidvalidity != folder->marks.target_uidvalidity))
        goto out;
    if (CRASH_AFTER(FOLDER_DELETED, target_folder_delete(turn->target, folder->target_name, &why)) == 0) {
        log_info("folder deleted on the target", LOG_STR("folder", folder->target_name));
    } else if (why.scope > ERR_FOLDER) {
        *err = why;
        result = -1;
    } else {
        log_info("folder left on the target", LOG_STR("folder", folder->target_name),
                 LOG_STR("error", why.text));
    }
out:
    imap_folder_status_fini(&status);
    return result;
}

static int drop_folder(struct following *following, const struct store_folder *folder, struct err *err)
{
    struct turn *turn = following->turn;
    bool dropped = false;
    if (delete_on_target(following, folder, err) != 0 ||
        CRASH_AFTER(FOLDER_DROPPED, store_removal_drop_folder(turn->tools->store, &turn->claim->lease,
                                                              folder->folder_id, &dropped, err)) != 0)
        return -1;
    turn->figures.gone_folders -= dropped && turn->figures.gone_folders > 0;
    return 0;
}

/* Children before their parents: the list is by name. */
int deletions_drop_folders(struct following *following, struct err *err)
{
    for (size_t i = following->work->folder_count; i > 0; i--) {
        const struct store_folder *folder = &following->work->folders[i - 1];
        struct err why = {0};
        bool empty = false;
        if (!folder->source_gone || folder->gone_seconds < following->turn->route->deletions.delay_seconds ||
            folder->open_intents + folder->ghosts > 0)
            continue;
        if (store_removal_is_empty(following->turn->tools->store, folder->folder_id, &empty, err) != 0)
            return -1;
        if (empty && drop_folder(following, folder, &why) != 0 && turn_bear(following->turn, &why, err) != 0)
            return -1;
    }
    return 0;
}
