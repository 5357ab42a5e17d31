/*
 * Removing copies; see remove.h. Runs in the copier, as a turn of its own. Whatever it dies of, the next turn does the same
 * again: what is gone is found gone.
 */
#include "copier/remove.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/expunge.h"
#include "store/store_folder.h"

#include <stdlib.h>

enum { OPEN_WAIT_MS = 15000 };

static int by_target_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct expunge_copy *)a)->target_uid,
             y = ((const struct expunge_copy *)b)->target_uid;
    return (x > y) - (x < y);
}

static int load_copies(struct turn *turn, const struct store_folder *folder, struct expunge_copy **copies_out,
                       size_t *count_out, struct err *err)
{
    struct store_message *rows = NULL;
    size_t row_count = 0, count = 0;
    if (store_message_list(turn->tools->store, folder->folder_id, &rows, &row_count, err) != 0)
        return -1;
    *copies_out = mem_grow(NULL, row_count + 1, sizeof(**copies_out));
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].target_uid)
            (*copies_out)[count++] = (struct expunge_copy){
                .target_uid = rows[i].target_uid,
                .size_bytes = rows[i].has_target_size ? rows[i].target_size : rows[i].size_bytes,
                .internal_date = rows[i].internal_date,
                .altered = rows[i].altered};
    store_message_list_free(rows, row_count);
    qsort(*copies_out, count, sizeof(**copies_out), by_target_uid);
    *count_out = count;
    return 0;
}

static int expunge(struct turn *turn, const struct store_folder *folder, struct err *err)
{
    struct expunge_request request = {.folder = folder->target_name,
                                      .uidvalidity = folder->marks.target_uidvalidity};
    struct expunge_copy *copies = NULL;
    struct expunge_result done = {0};
    int result = load_copies(turn, folder, &copies, &request.count, err);
    request.copies = copies;
    if (result == 0)
        result = expunge_copies(turn, &request, &done, err);
    if (result == 0 && done.waiting)
        result = err_set(
            err, ERR_FOLDER, ERR_RETRY_LATER,
            "folder %s: other messages are marked as deleted there, and without UIDPLUS they would go, "
            "too; ours wait",
            folder->target_name);
    else if (result == 0)
        log_info("copies removed", LOG_STR("folder", folder->target_name),
                 LOG_UINT("messages", done.gone.count));
    expunge_result_fini(&done);
    free(copies);
    return result;
}

static int remove_from(struct turn *turn, const struct store_folder *folder, struct err *err)
{
    bool missing = false, known = false;
    if (expunge_is_missing(turn, folder, &missing, err) != 0)
        return -1;
    if (missing)
        return 0;
    if (expunge_are_uids_known(turn, folder, &known, err) != 0)
        return -1;
    if (known)
        return expunge(turn, folder, err);
    log_warning("copies left on the target: its UIDVALIDITY is not the recorded one",
                LOG_STR("folder", folder->target_name));
    return 0;
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
    if (CRASH_AFTER(MIRROR_FORGOTTEN, store_mirror_forget(turn->tools->store, &turn->claim->lease, err)) != 0)
        return -1;
    log_info("mirror ended: its copies are removed");
    turn->given_back = true;
    return 0;
}
