/*
 * Removing copies; see remove.h. Runs in the copier, as a turn of its own. Whatever it dies of, the next turn does the same
 * again: what is gone is found gone.
 */
#include "copier/remove.h"

#include "base/crash.h"
#include "base/log.h"
#include "imap/imap_uids.h"
#include "store/store_folder.h"

#include <stdlib.h>

enum { OPEN_WAIT_MS = 15000 };

/* A UID that names another message by now is not ours. Targets that keep dates or sizes of their own have them on record
 * as altered. */
static bool is_as_recorded(const struct store_message *row, const struct target_message *there)
{
    uint64_t size = row ? (row->has_target_size ? row->target_size : row->size_bytes) : 0;
    return row && there->size_bytes == size && (row->altered || there->internal_date == row->internal_date);
}

static int by_target_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct store_message *)a)->target_uid,
             y = ((const struct store_message *)b)->target_uid;
    return (x > y) - (x < y);
}

static void collect_uids(const struct store_message *rows, size_t count, struct imap_uids *recorded)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].target_uid)
            imap_uids_add(recorded, rows[i].target_uid);
}

/* Of the recorded ones, those that the target still has as they were recorded. */
static int choose(struct turn *turn, const struct store_folder *folder, struct imap_uids *ours,
                  struct err *err)
{
    struct store_message *rows = NULL;
    struct target_messages there = {0};
    struct imap_uids recorded = {0};
    size_t count = 0;
    int result = store_message_list(turn->tools->store, folder->folder_id, &rows, &count, err);
    if (result == 0 && count > 0)
        qsort(rows, count, sizeof(*rows), by_target_uid);
    collect_uids(rows, count, &recorded);
    if (result == 0 && recorded.count > 0)
        result = target_folder_fetch(turn->target, folder->target_name, recorded.items, recorded.count,
                                     &there, err);
    for (size_t i = 0; i < there.count; i++) {
        struct store_message key = {.target_uid = there.items[i].uid};
        if (is_as_recorded(bsearch(&key, rows, count, sizeof(*rows), by_target_uid), &there.items[i]))
            imap_uids_add(ours, there.items[i].uid);
    }
    target_messages_fini(&there);
    imap_uids_fini(&recorded);
    store_message_list_free(rows, count);
    return result;
}

/* Another UIDVALIDITY than recorded: the recorded UIDs name strangers. */
static bool are_uids_known(const struct turn *turn, const struct store_folder *folder)
{
    const struct imap_list_entry *entry = target_folder_find(turn->target, folder->target_name);
    return entry && entry->has_status && entry->status.uidvalidity == folder->marks.target_uidvalidity;
}

static int remove_from(struct turn *turn, const struct store_folder *folder, struct err *err)
{
    struct imap_uids ours = {0};
    bool removed = true;
    int result = 0;
    if (!target_folder_find(turn->target, folder->target_name))
        return 0;
    if (!are_uids_known(turn, folder)) {
        log_warning("copies left on the target: its UIDVALIDITY is not the recorded one",
                    LOG_STR("folder", folder->target_name));
        return 0;
    }
    result = choose(turn, folder, &ours, err);
    if (result == 0 && ours.count > 0)
        result = target_remove(turn->target, folder->target_name, ours.items, ours.count, &removed, err);
    if (result == 0 && !removed)
        result = err_set(
            err, ERR_FOLDER, ERR_RETRY_LATER,
            "folder %s: other messages are marked as deleted there, and without UIDPLUS they would go, "
            "too; ours wait",
            folder->target_name);
    else if (result == 0)
        log_info("copies removed", LOG_STR("folder", folder->target_name), LOG_UINT("messages", ours.count));
    imap_uids_fini(&ours);
    return result;
}

static int remove_from_all(struct turn *turn, struct err *err)
{
    struct store_folder *folders = NULL;
    size_t count = 0;
    int result = store_folder_list(turn->tools->store, turn->claim->lease.mirror_id, &folders, &count, err);
    for (size_t i = 0; i < count && result == 0; i++)
        result = remove_from(turn, &folders[i], err);
    store_folder_list_free(folders, count);
    return result;
}

int remove_copies(struct turn *turn, struct err *err)
{
    turn->target_session = access_session_open(turn->tools->access, turn->route->to_site,
                                               turn->claim->mailbox, ERR_SIDE_TARGET, OPEN_WAIT_MS, err);
    if (!turn->target_session)
        return -1;
    turn->target = target_open_imap(access_session_imap(turn->target_session), turn_guard, turn);
    if (target_list(turn->target, err) != 0 || remove_from_all(turn, err) != 0)
        return err_prefix(err, "remove copies");
    return CRASH_AFTER(MIRROR_FORGOTTEN, store_mirror_forget(turn->tools->store, &turn->claim->lease, err));
}
