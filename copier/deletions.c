/*
 * Deletions; see the header. Runs in the copier. In this order:
 *
 *   prove    each folder with something that may go: opened afresh, SEARCHed whole; what is there again is gone no more
 *   ask      the brakes, with all that is gone: the proven ones are begun, or all of it becomes a held plan
 *   remove   what is begun: deletions_remove.c
 *
 * Each step is committed before the next, so that a turn that dies leaves the next one to go on.
 */
#include "copier/deletions.h"

#include "access/access_folders.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/deletions_private.h"
#include "copier/source.h"

#include <stdlib.h>
#include <string.h>

/* So many are begun in one transaction, under a lock of the route's row: a second. The others have their turn soon. */
enum { BEGIN_MOST = 5000 };

bool deletions_is_candidate(const struct following *following, const struct store_gone *gone)
{
    bool ripe = gone->gone_seconds >= following->turn->route->deletions.delay_seconds;
    if (gone->removal == STORE_REMOVAL_BEGUN)
        return true;
    return ripe && (gone->removal == STORE_REMOVAL_NONE || gone->target_uid == 0 ||
                    (gone->removal == STORE_REMOVAL_ON_HOLD && gone->allowed));
}

struct store_folder *deletions_find_folder(const struct following *following, uint64_t folder_id)
{
    for (size_t i = 0; i < following->work->folder_count; i++)
        if (following->work->folders[i].folder_id == folder_id)
            return &following->work->folders[i];
    return NULL;
}

const struct folders_pair *deletions_find_pair(const struct following *following, uint64_t folder_id)
{
    for (size_t i = 0; i < following->work->count; i++)
        if (following->work->pairs[i].folder->folder_id == folder_id)
            return &following->work->pairs[i];
    return NULL;
}

size_t deletions_end_of_folder(const struct following *following, size_t first)
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
    const struct store_folder *folder = deletions_find_folder(following, following->gone[first].folder_id);
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
        if (deletions_is_candidate(following, &following->gone[i]))
            return true;
    return false;
}

/* A folder that is gone was not listed, and refused to be opened, in this turn and before (folders.c). One that is no
 * longer mirrored (folders.exclude) is left as it is; so is one whose pass failed: copies that seem to be missing may only
 * not have been looked for. */
static int prove_folder(struct following *following, size_t first, size_t end, struct err *err)
{
    const struct store_folder *folder = deletions_find_folder(following, following->gone[first].folder_id);
    const struct folders_pair *pair = deletions_find_pair(following, following->gone[first].folder_id);
    if (!has_candidate(following, first, end) || (pair && pair->failed))
        return 0;
    if (pair)
        return prove_in_listing(following, first, end, pair->entry, err);
    if (folder && folder->source_gone &&
        folder->gone_seconds >= following->turn->route->deletions.delay_seconds)
        prove_all(following, first, end);
    return 0;
}

static int prove(struct following *following, struct err *err)
{
    for (size_t first = 0; first < following->count;) {
        size_t end = deletions_end_of_folder(following, first);
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

static void collect_greeting_folders(const struct following *following, struct ids *folders)
{
    for (size_t i = 0; i < following->work->folder_count; i++)
        if (access_folders_is_greeting(following->turn->route->from_site, following->work->folders[i].name))
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
            !deletions_is_candidate(following, &following->gone[i]))
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
        else if (answer->verdict == STORE_REMOVAL_GO && following->proven[i] &&
                 deletions_is_candidate(following, gone))
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

/* ---- the whole ---- */

static int follow(struct following *following, struct err *err)
{
    if (prove(following, err) != 0 || ask(following, err) != 0 || begin_allowed(following, err) != 0)
        return -1;
    if (following->turn->breaker_tripped)
        return 0;
    if (deletions_remove_begun(following, err) != 0)
        return -1;
    return following->turn->breaker_tripped || following->turn->yielded
               ? 0
               : deletions_drop_folders(following, err);
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
