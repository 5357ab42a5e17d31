/*
 * Hand-over; see handover.h. Runs in the copier, as a turn of its own.
 *
 *   hold     every message of every folder -> hold.c      what is there already is passed over
 *   remove   each file read again, its message expunged   none, while one folder has a message that is not held
 *   late     until no command of before can arrive        then once more from the start
 *   done     the mirror is a new one
 *
 * Whatever it dies of, the next turn goes on: what is held has its file, what is gone is not listed.
 */
#include "copier/handover.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/hold.h"
#include "imap/imap_uids.h"
#include "store/store_breaker.h"
#include "store/store_folder.h"
#include "store/store_handover.h"

#include <stdlib.h>
#include <string.h>

enum { OPEN_WAIT_MS = 15000, BATCH = 200 };

struct handing {
    struct turn *turn;
    struct hold *hold;
    struct store_handover_figures figures;
    uint32_t left; /* messages that are still on the target */
};

/* ---- hold ---- */

static int hold_message(struct handing *handing, const char *folder, uint32_t uidvalidity,
                        const struct target_message *message, struct err *err)
{
    const struct hold_message held = {.uidvalidity = uidvalidity,
                                      .uid = message->uid,
                                      .internal_date = message->internal_date,
                                      .flags = &message->flags};
    const struct imap_body_sink sink = {.on_bytes = hold_add, .context = handing->hold};
    struct digest_pair pair;
    bool found = false;
    if (hold_begin(handing->hold, &held, err) != 0)
        return -1;
    int result = target_body_copy(handing->turn->target, folder, message->uid, &sink, &pair, &found, err);
    if (result == 0 && !found)
        result = err_set(err, ERR_MAILBOX, ERR_RETRY_LATER, "the target lists it, and does not give it");
    if (result == 0)
        return hold_end(handing->hold, &pair, err);
    hold_abandon(handing->hold);
    return err_prefix(err, "message with UID %u of folder %s", message->uid, folder);
}

static uint64_t bytes_to_come(const struct hold *hold, const struct target_messages *there)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < there->count; i++)
        if (!hold_has(hold, there->status.uidvalidity, there->items[i].uid))
            bytes += there->items[i].size_bytes;
    return bytes;
}

static int hold_messages(struct handing *handing, const char *folder, const struct target_messages *there,
                         struct err *err)
{
    for (size_t i = 0; i < there->count; i++) {
        const struct target_message *message = &there->items[i];
        if (!hold_has(handing->hold, there->status.uidvalidity, message->uid)) {
            if (turn_is_over(handing->turn)) {
                handing->turn->yielded = true;
                return 0;
            }
            if (hold_message(handing, folder, there->status.uidvalidity, message, err) != 0)
                return -1;
        }
    }
    return 0;
}

static int hold_folder_whole(struct handing *handing, const char *folder, struct err *err)
{
    struct target_messages there = {0};
    int result = target_folder_look(handing->turn->target, folder, 1, &there, err);
    if (result == 0 && there.count > 0)
        result = hold_folder(handing->hold, folder, err);
    if (result == 0 && there.count > 0)
        result = hold_check_room(handing->hold, bytes_to_come(handing->hold, &there), err);
    if (result == 0)
        result = hold_messages(handing, folder, &there, err);
    target_messages_fini(&there);
    return result;
}

/* ---- remove ---- */

/* At most a batch of those whose files are what they should be. */
static int prove_some(struct handing *handing, const struct target_messages *there, size_t *next,
                      struct imap_uids *proven, struct err *err)
{
    for (; *next < there->count && proven->count < BATCH; ++*next) {
        uint32_t uid = there->items[*next].uid;
        if (!turn_tick(handing->turn))
            return turn_guard(handing->turn, err);
        if (hold_prove(handing->hold, there->status.uidvalidity, uid))
            imap_uids_add(proven, uid);
        else
            handing->left++; /* came since, or its file was touched */
    }
    return 0;
}

static int remove_batch(struct handing *handing, const char *folder, uint32_t uidvalidity,
                        const struct imap_uids *proven, struct err *err)
{
    const struct target_removal removal = {
        .name = folder, .uidvalidity = uidvalidity, .uids = proven->items, .count = proven->count};
    bool removed = true;
    if (proven->count == 0)
        return 0;
    if (target_remove(handing->turn->target, &removal, &removed, err) != 0)
        return -1;
    handing->left += removed ? 0 : (uint32_t)proven->count;
    return 0;
}

static int empty_folder(struct handing *handing, const char *folder, struct err *err)
{
    struct target_messages there = {0};
    size_t next = 0;
    int result = target_folder_look(handing->turn->target, folder, 1, &there, err);
    if (result == 0 && there.count > 0 &&
        (hold_folder(handing->hold, folder, err) != 0 || hold_sync(handing->hold, err) != 0))
        result = -1;
    while (result == 0 && next < there.count) {
        struct imap_uids proven = {0};
        result = prove_some(handing, &there, &next, &proven, err);
        if (result == 0)
            result = remove_batch(handing, folder, there.status.uidvalidity, &proven, err);
        imap_uids_fini(&proven);
    }
    target_messages_fini(&there);
    return result;
}

/* ---- all folders ---- */

static int each_folder(struct handing *handing,
                       int (*work)(struct handing *handing, const char *folder, struct err *err),
                       struct err *err)
{
    const struct imap_list *list = target_folders(handing->turn->target);
    int result = 0;
    for (size_t i = 0; i < list->count && result == 0 && !handing->turn->yielded; i++)
        if (!list->entries[i].no_select)
            result = work(handing, list->entries[i].name, err);
    return result;
}

/* Nothing of the former one is to tell of him, not even a folder's name; one that stays for its own reasons does no harm. */
static int remove_folders_of_ours(struct turn *turn, struct err *err)
{
    struct store_folder *folders = NULL;
    size_t count = 0;
    if (store_folder_list(turn->tools->store, turn->claim->lease.mirror_id, &folders, &count, err) != 0)
        return -1;
    for (size_t i = count; i > 0; i--) {
        struct err why = {0};
        const struct store_folder *folder = &folders[i - 1];
        if (folder->made_by_us && target_folder_find(turn->target, folder->target_name) &&
            CRASH_AFTER(FOLDER_DELETED, target_folder_delete(turn->target, folder->target_name, &why)) != 0)
            log_warning("folder of the former owner stays, empty", LOG_STR("folder", folder->target_name),
                        LOG_STR("error", why.text));
    }
    store_folder_list_free(folders, count);
    return 0;
}

static int note(struct handing *handing, struct err *err)
{
    struct turn *turn = handing->turn;
    struct store_handover_figures *figures = &handing->figures;
    if (hold_total(handing->hold, &figures->messages, &figures->bytes, err) != 0)
        return -1;
    return CRASH_AFTER(HANDOVER_NOTED,
                       store_handover_note(turn->tools->store, &turn->claim->lease, &handing->figures, err));
}

/* While production itself is in doubt, so is what its directory says (I6). */
static int check_breaker(const struct turn *turn, struct err *err)
{
    bool tripped = false;
    if (store_breaker_is_tripped(turn->tools->store, turn->route->from, &tripped, err) != 0)
        return -1;
    return tripped
               ? err_set(
                     err, ERR_MAILBOX, ERR_RETRY_LATER,
                     "its number is another person's; the former one's messages are held, and stay on the "
                     "target until somebody decides about site %s (mirrorctl held list)",
                     turn->route->from)
               : 0;
}

static int work_on_all(struct handing *handing, struct err *err)
{
    struct turn *turn = handing->turn;
    int result = each_folder(handing, hold_folder_whole, err);
    if (result == 0)
        result = note(handing, err);
    if (result != 0 || turn->yielded)
        return result;
    if (check_breaker(turn, err) != 0 || each_folder(handing, empty_folder, err) != 0)
        return -1;
    if (handing->left > 0)
        return err_set(
            err, ERR_MAILBOX, ERR_RETRY_LATER,
            "%u messages are still on the target: they came meanwhile, or stand beside others that did",
            handing->left);
    return remove_folders_of_ours(turn, err);
}

/* ---- the end ---- */

static int end(struct turn *turn, const struct store_handover *handover, struct err *err)
{
    struct store *store = turn->tools->store;
    const struct store_lease *lease = &turn->claim->lease;
    double seconds = 0;
    if (store_handover_late_seconds(store, lease, turn->route->late_command_minutes, &seconds, err) != 0)
        return -1;
    int result = seconds > 0 ? CRASH_AFTER(HANDOVER_WAITS, store_handover_wait(store, lease, seconds, err))
                             : CRASH_AFTER(HANDOVER_DONE,
                                           store_handover_done(store, lease, handover->handover_id, err));
    turn->given_back = result == 0;
    if (result != 0)
        return -1;
    if (seconds > 0)
        log_info("hand-over waits: commands of before may still arrive on the target",
                 LOG_UINT("seconds", (uint64_t)seconds + 1));
    else
        log_info("number handed over: the former owner's messages are held",
                 LOG_STR("place", handover->place));
    return 0;
}

static int open_target(struct turn *turn, struct err *err)
{
    turn->target_session = access_session_open(turn->tools->access, turn->route->to_site,
                                               turn->claim->mailbox, ERR_SIDE_TARGET, OPEN_WAIT_MS, err);
    if (!turn->target_session)
        return -1;
    turn->target = target_open_imap(access_session_imap(turn->target_session), turn_guard, turn);
    return target_list(turn->target, err);
}

/* A number that the target's directory does not have has no mailbox there. */
static bool is_no_mailbox(const struct turn *turn, const struct store_handover *handover,
                          const struct err *err)
{
    return !turn->target_session && !handover->target_has_number && err->scope == ERR_MAILBOX;
}

static int bring_to(struct turn *turn, const struct store_handover *handover, struct err *err)
{
    struct handing handing = {.turn = turn, .figures = {.handover_id = handover->handover_id}};
    handing.hold = hold_open(handover->place, err);
    int result = handing.hold ? work_on_all(&handing, err) : -1;
    hold_free(handing.hold);
    return result;
}

int handover_run(struct turn *turn, struct err *err)
{
    const char *configured = turn->route->directory.hold_dir;
    char *hold_dir = configured ? str_copy(configured) : config_path(turn->config, "held");
    struct store_handover handover;
    int result = CRASH_AFTER(HANDOVER_BEGUN, store_handover_begin(turn->tools->store, &turn->claim->lease,
                                                                  hold_dir, &handover, err));
    free(hold_dir);
    if (result != 0)
        return -1;
    if (open_target(turn, err) == 0)
        result = bring_to(turn, &handover, err);
    else
        result = is_no_mailbox(turn, &handover, err) ? 0 : -1;
    if (result != 0)
        return err_prefix(err, "hand over to another person");
    return turn->yielded ? 0 : end(turn, &handover, err);
}
