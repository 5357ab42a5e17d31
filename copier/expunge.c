/*
 * Expunge; see the header. Runs in the copier. Whatever it dies of, the same again finds gone what is gone.
 */
#include "copier/expunge.h"

#include "copier/folders.h"

#include <stdlib.h>

/* A batch keeps one answer of the target, and what is lost by a kill, small. */
enum { BATCH = 500 };

int expunge_is_missing(struct turn *turn, const struct store_folder *folder, bool *missing_out,
                       struct err *err)
{
    struct imap_folder_status status = {0};
    struct err why = {0};
    *missing_out = false;
    if (target_folder_find(turn->target, folder->target_name))
        return 0;
    if (target_folder_status(turn->target, folder->target_name, &status, &why) == 0) {
        imap_folder_status_fini(&status);
        err_set(err, ERR_FOLDER, ERR_RETRY_LATER,
                "folder %s: the target does not list it, but knows it: its list is not whole",
                folder->target_name);
        return err_blame(err, ERR_SIDE_TARGET);
    }
    *missing_out = why.scope <= ERR_FOLDER && !folders_is_passing(&why);
    if (*missing_out)
        return 0;
    *err = why;
    return -1;
}

/* A STATUS that failed in the list is asked for again: nothing may be concluded from it. */
int expunge_are_uids_known(struct turn *turn, const struct store_folder *folder, bool *known_out,
                           struct err *err)
{
    const struct imap_list_entry *entry = target_folder_find(turn->target, folder->target_name);
    struct imap_folder_status status = {0};
    bool told = entry && entry->has_status && entry->status.has_uidvalidity;
    uint32_t now = told ? entry->status.uidvalidity : 0;
    if (!told) {
        if (target_folder_status(turn->target, folder->target_name, &status, err) != 0)
            return -1;
        now = status.uidvalidity;
        imap_folder_status_fini(&status);
    }
    *known_out = now != 0 && now == folder->marks.target_uidvalidity;
    return 0;
}

void expunge_result_fini(struct expunge_result *result)
{
    imap_uids_fini(&result->gone);
    imap_uids_fini(&result->strangers);
}

/* Targets that keep dates or sizes of their own have them on record as altered. */
static bool is_as_recorded(const struct expunge_copy *copy, const struct target_message *there)
{
    return there->size_bytes == copy->size_bytes &&
           (copy->altered || there->internal_date == copy->internal_date);
}

static int look(struct turn *turn, const struct expunge_request *request, size_t first, size_t count,
                struct target_messages *there, struct err *err)
{
    uint32_t uids[BATCH];
    for (size_t i = 0; i < count; i++)
        uids[i] = request->copies[first + i].target_uid;
    if (target_folder_fetch(turn->target, request->folder, uids, count, there, err) != 0)
        return -1;
    if (there->status.uidvalidity == request->uidvalidity)
        return 0;
    err_set(err, ERR_FOLDER, ERR_RETRY_LATER, "folder %s: made anew on the target: nothing is removed",
            request->folder);
    return err_blame(err, ERR_SIDE_TARGET);
}

/* Of a batch: those to be removed; the others are sorted into the result. */
static void sort_out(const struct expunge_request *request, size_t first, size_t count,
                     const struct target_messages *there, struct imap_uids *ours,
                     struct expunge_result *result)
{
    for (size_t i = first; i < first + count; i++) {
        const struct expunge_copy *copy = &request->copies[i];
        const struct target_message *found = target_messages_find(there, copy->target_uid);
        imap_uids_add(!found                        ? &result->gone
                      : is_as_recorded(copy, found) ? ours
                                                    : &result->strangers,
                      copy->target_uid);
    }
}

static int remove_batch(struct turn *turn, const struct expunge_request *request, size_t first, size_t count,
                        struct expunge_result *result, struct err *err)
{
    struct target_messages there = {0};
    struct imap_uids ours = {0};
    bool removed = true;
    int status = look(turn, request, first, count, &there, err);
    if (status != 0)
        goto out;
    sort_out(request, first, count, &there, &ours, result);
    if (ours.count > 0)
        status = target_remove(turn->target,
                               &(struct target_removal){.name = request->folder,
                                                        .uidvalidity = request->uidvalidity,
                                                        .uids = ours.items,
                                                        .count = ours.count,
                                                        .spared = request->spared,
                                                        .spared_count = request->spared_count},
                               &removed, err);
    for (size_t i = 0; i < ours.count && status == 0 && removed; i++)
        imap_uids_add(&result->gone, ours.items[i]);
    result->removed += status == 0 && removed ? (uint32_t)ours.count : 0;
    result->waiting |= !removed;
out:
    imap_uids_fini(&ours);
    target_messages_fini(&there);
    return status;
}

int expunge_copies(struct turn *turn, const struct expunge_request *request,
                   struct expunge_result *result_out, struct err *err)
{
    int status = 0;
    *result_out = (struct expunge_result){0};
    for (size_t first = 0; first < request->count && status == 0 && !result_out->waiting; first += BATCH) {
        size_t count = request->count - first < BATCH ? request->count - first : BATCH;
        status = remove_batch(turn, request, first, count, result_out, err);
    }
    imap_uids_sort(&result_out->gone);
    return status;
}
