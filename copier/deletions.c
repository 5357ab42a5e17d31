/*
 * Deletions; see the header. Runs in the copier. In this order:
 *
 *   prove    each folder with something that may go: opened afresh, SEARCHed whole; what is there again is gone no more
 *   ask      the brakes, with all that is gone: the proven ones are begun, or all of it becomes a held plan
 *   remove   what is begun: checked against the record on the target, EXPUNGEd, its row dropped
 *
 * Each step is committed before the next, so that a turn that dies leaves the next one to go on.
 */
#include "copier/deletions.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/expunge.h"
#include "copier/source.h"
#include "store/store_breaker.h"
#include "store/store_removal.h"

#include <stdlib.h>
#include <string.h>

/* So many are begun in one transaction, under a lock of the route's row: a second. The others have their turn soon. */
enum { BEGIN_MOST = 5000, COMMIT_BATCH = 500 };

struct following {
    struct turn *turn;
    const struct folders_work *work;
    struct store_gone *gone; /* by folder and target UID */
    bool *proven;
    size_t count;
    uint32_t removed; /* from the folder that is worked on */
    bool doubted;     /* its recorded UIDs name others */
};

/* Message ids for one call of the store. */
struct ids {
    uint64_t *items;
    size_t count;
};

static void ids_init(struct ids *ids, size_t most)
{
    *ids = (struct ids){.items = mem_grow(NULL, most + 1, sizeof(*ids->items))};
}

static void ids_fini(struct ids *ids)
{
    free(ids->items);
}

static double delay_seconds(const struct following *following)
{
    return following->turn->route->deletions.delay_seconds;
}

/* May it go, if it is proven now? What is held waits for a person, what is kept stays; but neither needs a row once its
 * copy is gone. */
static bool is_candidate(const struct following *following, const struct store_gone *gone)
{
    bool ripe = gone->gone_seconds >= delay_seconds(following);
    if (gone->removal == STORE_REMOVAL_BEGUN)
        return true;
    return ripe && (gone->removal == STORE_REMOVAL_NONE || gone->target_uid == 0 ||
                    (gone->removal == STORE_REMOVAL_ON_HOLD && gone->allowed));
}

static struct store_folder *find_folder(const struct following *following, uint64_t folder_id)
{
    for (size_t i = 0; i < following->work->folder_count; i++)
        if (following->work->folders[i].folder_id == folder_id)
            return &following->work->folders[i];
    return NULL;
}

static const struct folders_pair *find_pair(const struct following *following, uint64_t folder_id)
{
    for (size_t i = 0; i < following->work->count; i++)
        if (following->work->pairs[i].folder->folder_id == folder_id)
            return &following->work->pairs[i];
    return NULL;
}

static size_t end_of_folder(const struct following *following, size_t first)
{
    size_t end = first;
    while (end < following->count && following->gone[end].folder_id == following->gone[first].folder_id)
        end++;
    return end;
}

/* ---- prove ---- */

static bool has_nameless(const struct following *following, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        if (following->gone[i].source_uid == 0)
            return true;
    return false;
}

/* One without a UID is not there if every message that is there is another's. */
static int are_nameless_proven(struct following *following, uint64_t folder_id, const struct imap_uids *there,
                               bool *proven_out, struct err *err)
{
    uint32_t *known;
    size_t count;
    *proven_out = false;
    if (store_removal_present(following->turn->tools->store, folder_id, &known, &count, err) != 0)
        return -1;
    *proven_out = true;
    for (size_t i = 0; i < there->count; i++)
        *proven_out &= imap_uids_has(known, count, there->items[i]) != 0;
    free(known);
    return 0;
}

/* The pass did not see them: their flags are the next turn's. */
static int record_back(struct following *following, const struct ids *back, struct err *err)
{
    struct turn *turn = following->turn;
    if (back->count == 0)
        return 0;
    log_info("messages are on production again", LOG_UINT("messages", back->count));
    if (CRASH_AFTER(GONE_RECORDED, store_removal_back(turn->tools->store, &turn->claim->lease, back->items,
                                                      back->count, err)) != 0)
        return -1;
    return store_mirror_want(turn->tools->store, turn->claim->lease.mirror_id, turn->claim->priority, err);
}

static int judge_listing(struct following *following, size_t first, size_t end, const struct imap_uids *there,
                         struct err *err)
{
    struct ids back;
    bool nameless = false;
    int result = 0;
    if (has_nameless(following, first, end))
        result = are_nameless_proven(following, following->gone[first].folder_id, there, &nameless, err);
    ids_init(&back, end - first);
    for (size_t i = first; i < end && result == 0; i++) {
        uint32_t uid = following->gone[i].source_uid;
        if (uid != 0 && imap_uids_has(there->items, there->count, uid))
            back.items[back.count++] = following->gone[i].message_id;
        else
            following->proven[i] = uid != 0 || nameless;
    }
    if (result == 0)
        result = record_back(following, &back, err);
    ids_fini(&back);
    return result;
}

static int prove_in_listing(struct following *following, size_t first, size_t end,
                            const struct imap_list_entry *entry, struct err *err)
{
    const struct store_folder *folder = find_folder(following, following->gone[first].folder_id);
    struct imap_uids there = {0};
    int result = source_list_uids(following->turn->source, entry, &folder->marks, &there, err);
    if (result == 0)
        result = judge_listing(following, first, end, &there, err);
    imap_uids_fini(&there);
    return result == 0 ? 0 : err_prefix(err, "folder %s: second look", folder->name);
}

static void prove_all(struct following *following, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        following->proven[i] = true;
}

static bool has_candidate(const struct following *following, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        if (is_candidate(following, &following->gone[i]))
            return true;
    return false;
}

/* A folder that is gone was not listed, and refused to be opened, in this turn and before (folders.c). One that is no
 * longer mirrored (folders.exclude) is left as it is; so is one whose pass failed: copies that seem to be missing may only
 * not have been looked for. */
static int prove_folder(struct following *following, size_t first, size_t end, struct err *err)
{
    const struct store_folder *folder = find_folder(following, following->gone[first].folder_id);
    const struct folders_pair *pair = find_pair(following, following->gone[first].folder_id);
    if (!has_candidate(following, first, end) || (pair && pair->failed))
        return 0;
    if (pair)
        return prove_in_listing(following, first, end, pair->entry, err);
    if (folder && folder->source_gone && folder->gone_seconds >= delay_seconds(following))
        prove_all(following, first, end);
    return 0;
}

static int prove(struct following *following, struct err *err)
{
    for (size_t first = 0; first < following->count;) {
        size_t end = end_of_folder(following, first);
        struct err why = {0};
        if (prove_folder(following, first, end, &why) != 0) {
            if (turn_bear(following->turn, &why, err) != 0)
                return -1;
            memset(&following->proven[first], 0, (end - first) * sizeof(*following->proven));
        }
        first = end;
    }
    return 0;
}

/* ---- ask ---- */

bool deletions_is_greeting_folder(const struct config_site *site, const char *name)
{
    for (size_t i = 0; i < site->greetings_folders.count; i++)
        if (str_equal(site->greetings_folders.items[i], name))
            return true;
    return false;
}

static void collect_greeting_folders(const struct following *following, struct ids *folders)
{
    for (size_t i = 0; i < following->work->folder_count; i++)
        if (deletions_is_greeting_folder(following->turn->route->from_site, following->work->folders[i].name))
            folders->items[folders->count++] = following->work->folders[i].folder_id;
}

static bool is_undecided(const struct store_gone *gone)
{
    return gone->removal == STORE_REMOVAL_NONE && gone->target_uid != 0;
}

static size_t collect_proven(const struct following *following, struct ids *proven)
{
    size_t undecided = 0;
    for (size_t i = 0; i < following->count; i++) {
        undecided += is_undecided(&following->gone[i]);
        if (!is_undecided(&following->gone[i]) || !following->proven[i] ||
            !is_candidate(following, &following->gone[i]))
            continue;
        following->proven[i] = proven->count < BEGIN_MOST;
        if (following->proven[i])
            proven->items[proven->count++] = following->gone[i].message_id;
    }
    return undecided;
}

static void say_verdict(const struct store_removal_answer *answer)
{
    if (answer->verdict == STORE_REMOVAL_HELD)
        log_warning("deletion held: mirrorctl held show tells more, and allows or refuses it",
                    LOG_UINT("plan", answer->plan_id), LOG_UINT("messages", answer->held),
                    LOG_STR("reason", answer->reason));
}

/* What the store made of them. */
static void follow_verdict(struct following *following, const struct store_removal_answer *answer)
{
    for (size_t i = 0; i < following->count; i++) {
        struct store_gone *gone = &following->gone[i];
        if (!is_undecided(gone))
            continue;
        if (answer->verdict == STORE_REMOVAL_HELD)
            gone->removal = STORE_REMOVAL_ON_HOLD;
        else if (answer->verdict == STORE_REMOVAL_GO && following->proven[i] && is_candidate(following, gone))
            gone->removal = STORE_REMOVAL_BEGUN;
    }
}

static int ask(struct following *following, struct err *err)
{
    struct turn *turn = following->turn;
    struct store_removal_answer answer = {0};
    struct ids proven, folders;
    int result = 0;
    ids_init(&proven, following->count);
    ids_init(&folders, following->work->folder_count);
    collect_greeting_folders(following, &folders);
    if (collect_proven(following, &proven) > 0) {
        struct store_removal_request request = {.route = turn->route,
                                                .greeting_folders = folders.items,
                                                .greeting_folder_count = folders.count,
                                                .proven = proven.items,
                                                .proven_count = proven.count};
        result = CRASH_AFTER(GONE_RECORDED, store_removal_ask(turn->tools->store, &turn->claim->lease,
                                                              &request, &answer, err));
    }
    if (result == 0 && answer.verdict == STORE_REMOVAL_TRIPPED)
        turn->breaker_tripped = true;
    if (result == 0)
        follow_verdict(following, &answer);
    say_verdict(&answer);
    ids_fini(&proven);
    ids_fini(&folders);
    return result;
}

/* ---- what was allowed ---- */

static bool is_allowed(const struct following *following, size_t i)
{
    return following->proven[i] && following->gone[i].removal == STORE_REMOVAL_ON_HOLD &&
           following->gone[i].allowed && following->gone[i].target_uid != 0;
}

static int begin_allowed(struct following *following, struct err *err)
{
    struct ids allowed;
    bool begun = false;
    int result = 0;
    ids_init(&allowed, following->count);
    for (size_t i = 0; i < following->count; i++) {
        if (!is_allowed(following, i))
            continue;
        following->proven[i] = allowed.count < BEGIN_MOST;
        following->turn->yielded |= !following->proven[i]; /* the rest in another turn */
        if (following->proven[i])
            allowed.items[allowed.count++] = following->gone[i].message_id;
    }
    if (allowed.count > 0) {
        log_info("an allowed plan is carried out", LOG_UINT("messages", allowed.count));
        result = CRASH_AFTER(GONE_RECORDED, store_removal_begin_allowed(
                                                following->turn->tools->store, &following->turn->claim->lease,
                                                allowed.items, allowed.count, &begun, err));
    }
    for (size_t i = 0; i < following->count && begun; i++)
        if (is_allowed(following, i))
            following->gone[i].removal = STORE_REMOVAL_BEGUN;
    ids_fini(&allowed);
    return result;
}

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
    if (!find_pair(following, folder->folder_id))
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
    struct store_folder *folder = find_folder(following, following->gone[first].folder_id);
    struct store_gone *begun = mem_grow(NULL, end - first + 1, sizeof(*begun));
    struct store_gone *bare = mem_grow(NULL, end - first + 1, sizeof(*bare));
    size_t begun_count = 0, bare_count = 0;
    int result = 0;
    for (size_t i = first; i < end; i++) {
        const struct store_gone *gone = &following->gone[i];
        if (!following->proven[i] || !is_candidate(following, gone))
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

static int remove_begun(struct following *following, struct err *err)
{
    for (size_t first = 0; first < following->count;) {
        size_t end = end_of_folder(following, first);
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
static int drop_gone_folders(struct following *following, struct err *err)
{
    for (size_t i = following->work->folder_count; i > 0; i--) {
        const struct store_folder *folder = &following->work->folders[i - 1];
        struct err why = {0};
        bool empty = false;
        if (!folder->source_gone || folder->gone_seconds < delay_seconds(following) ||
            folder->open_intents + folder->ghosts > 0)
            continue;
        if (store_removal_is_empty(following->turn->tools->store, folder->folder_id, &empty, err) != 0)
            return -1;
        if (empty && drop_folder(following, folder, &why) != 0 && turn_bear(following->turn, &why, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- the whole ---- */

static int follow(struct following *following, struct err *err)
{
    if (prove(following, err) != 0 || ask(following, err) != 0 || begin_allowed(following, err) != 0)
        return -1;
    if (following->turn->breaker_tripped)
        return 0;
    if (remove_begun(following, err) != 0)
        return -1;
    return following->turn->breaker_tripped || following->turn->yielded ? 0
                                                                        : drop_gone_folders(following, err);
}

int deletions_follow(struct turn *turn, const struct folders_work *work, struct err *err)
{
    struct following following = {.turn = turn, .work = work};
    struct store *store = turn->tools->store;
    int result = 0;
    if (turn->figures.any_gone && !turn->breaker_tripped) {
        result =
            store_removal_list(store, turn->claim->lease.mirror_id, &following.gone, &following.count, err);
        following.proven = mem_new((following.count + 1) * sizeof(*following.proven));
        if (result == 0)
            result = follow(&following, err);
    }
    if (result == 0)
        result = store_removal_settle_plans(store, &turn->claim->lease, err);
    free(following.gone);
    free(following.proven);
    return result == 0 ? 0 : err_prefix(err, "deletions");
}
