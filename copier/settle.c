/*
 * Intents and ghosts; see settle.h. Runs in the copier.
 *
 * The window of an intent is every UID from the target's UIDNEXT on that was committed with it; under another
 * UIDVALIDITY it is the whole folder. A candidate in the window has the same header, and the same INTERNALDATE unless the
 * target keeps dates of its own; where production still has the message, both bodies are compared by digest before the
 * intent counts as present.
 */
#include "copier/settle.h"

#include "base/log.h"
#include "base/str.h"
#include "copier/unmapped.h"

#include <stdlib.h>
#include <string.h>

struct settling {
    struct pass *pass;
    const struct settle_known *known;
    size_t known_count;
    struct store_intent **intents; /* those to be settled, in order */
    struct match_key *keys;
    long *partners;
    size_t count;
    struct unmapped unmapped;
    struct digest_pair *pairs; /* source digests, filled when confirmed */
    bool *has_pair, *source_gone;
};

/* UIDNEXT gone back: the target was put back to a former state, and deals those UIDs out again. */
static uint32_t window_of(const struct pass *pass, const struct store_intent *intent)
{
    bool is_as_then = intent->target_uidvalidity == pass->target_uidvalidity &&
                      intent->target_uidnext <= pass->target_uidnext;
    return is_as_then ? intent->target_uidnext : 1;
}

/* Under another UIDVALIDITY production's message cannot be asked for: its row is identified again like all others. */
static bool can_ask_source(const struct pass *pass, const struct store_intent *intent)
{
    return intent->source_uidvalidity == pass->source.status.uidvalidity;
}

/* A folder that is gone from production is not asked at all; its UIDs count as they were recorded. */
static bool is_uid_known(const struct pass *pass, const struct store_intent *intent)
{
    return can_ask_source(pass, intent) ||
           (pass->folder->source_gone &&
            intent->source_uidvalidity == pass->folder->marks.source_uidvalidity);
}

static struct match_key key_of(const struct store_intent *intent)
{
    struct match_key key = {
        .internal_date = intent->internal_date, .size_bytes = intent->size_bytes, .has_header = true};
    memcpy(key.header_sha256, intent->header_sha256, DIGEST_BYTES);
    return key;
}

static const struct settle_known *find_known(const struct settling *settling, uint32_t source_uid)
{
    for (size_t i = 0; i < settling->known_count; i++)
        if (settling->known[i].source_uid == source_uid)
            return &settling->known[i];
    return NULL;
}

/* Production's digest of an intent's message; source_gone[i] if it has it no more. */
static int load_source_digest(struct settling *settling, size_t i, struct err *err)
{
    struct pass *pass = settling->pass;
    const struct store_intent *intent = settling->intents[i];
    enum pass_body body;
    if (settling->has_pair[i] || settling->source_gone[i] || !can_ask_source(pass, intent))
        return 0;
    if (pass_source_body(pass, intent->source_uid, &settling->pairs[i], &body, err) != 0)
        return -1;
    settling->has_pair[i] = body == PASS_BODY_READ;
    settling->source_gone[i] = body == PASS_BODY_GONE;
    return 0;
}

/* One that cannot be read on a side is told by its size: sent again it would be doubled (I3). */
static bool is_of_size(const struct settling *settling, size_t left, size_t right)
{
    return settling->keys[left].size_bytes == settling->unmapped.keys[right].size_bytes;
}

static int confirm(void *context, size_t left, size_t right, bool *equal_out, struct err *err)
{
    struct settling *settling = context;
    struct pass *pass = settling->pass;
    const struct store_intent *intent = settling->intents[left];
    struct digest_pair on_target;
    enum pass_body body;
    *equal_out = false;
    if (settling->unmapped.uids[right] < window_of(pass, intent))
        return 0;
    if (find_known(settling, intent->source_uid)) {
        *equal_out = true; /* appended a moment ago, the server said OK: the key tells which is which */
        return 0;
    }
    if (load_source_digest(settling, left, err) != 0)
        return -1;
    if (!settling->has_pair[left]) {
        /* Nothing left to compare with. */
        *equal_out =
            settling->source_gone[left] || !can_ask_source(pass, intent) || is_of_size(settling, left, right);
        return 0;
    }
    if (pass_target_body(pass, settling->unmapped.uids[right], &on_target, &body, err) != 0)
        return -1;
    *equal_out = body == PASS_BODY_UNREADABLE
                     ? is_of_size(settling, left, right)
                     : body == PASS_BODY_READ &&
                           memcmp(on_target.normal, settling->pairs[left].normal, DIGEST_BYTES) == 0;
    return 0;
}

static void take_digests(struct store_message *row, const struct digest_pair *pair)
{
    memcpy(row->raw_sha256, pair->raw, DIGEST_BYTES);
    memcpy(row->normal_sha256, pair->normal, DIGEST_BYTES);
    row->has_digest = true;
}

/* Without a source UID, and not gone, it is identified again. */
static struct store_message *row_of(struct settling *settling, size_t i)
{
    struct pass *pass = settling->pass;
    const struct store_intent *intent = settling->intents[i];
    const struct settle_known *known = find_known(settling, intent->source_uid);
    bool gone = settling->source_gone[i] || pass->folder->source_gone, named = is_uid_known(pass, intent);
    struct store_message *row = named ? pass_row_by_source(pass, intent->source_uid) : NULL;
    if (!row)
        row = pass_row_add(pass);
    row->source_uid = named ? intent->source_uid : 0;
    row->source_gone = gone;
    row->has_target_size = false;
    row->verified_seq = 0;
    free(row->error);
    row->error = NULL;
    row->internal_date = intent->internal_date;
    row->size_bytes = intent->size_bytes;
    memcpy(row->header_sha256, intent->header_sha256, DIGEST_BYTES);
    row->has_header_digest = true;
    if (known || settling->has_pair[i])
        take_digests(row, known ? &known->pair : &settling->pairs[i]);
    free(row->flags_written);
    row->flags_written = str_copy(intent->flags);
    free(row->flags_refused);
    row->flags_refused = str_copy("");
    return row;
}

/* The row of a message that the target turned out to have. */
static size_t record_present(struct settling *settling, size_t i)
{
    struct store_message *row = row_of(settling, i);
    row->target_uid = settling->unmapped.uids[settling->partners[i]];
    row->state = STORE_MESSAGE_MIRRORED;
    row->fail_count = 0;
    imap_uids_add(&settling->pass->touched, row->target_uid);
    return (size_t)(row - settling->pass->rows);
}

/* The target said OK to it a moment ago and shows nothing like it: sent again it would only be doubled (I3). */
static size_t record_unfindable(struct settling *settling, size_t i)
{
    struct store_message *row = row_of(settling, i);
    row->target_uid = 0;
    row->state = STORE_MESSAGE_LOST;
    row->times_lost = PASS_COPIES_OF_LOST + 1;
    free(row->error);
    row->error = str_copy("the target said that it stored it, but shows no message like it");
    log_warning("message not found after APPEND", LOG_STR("folder", settling->pass->folder->name),
                LOG_UINT("source_uid", row->source_uid));
    return (size_t)(row - settling->pass->rows);
}

/* `known` is given for what was sent a moment ago: then nothing was left open by anybody. */
static void say_settled(const struct settling *settling, size_t present)
{
    if (!settling->known)
        log_info("intents left open are settled", LOG_UINT("present", present),
                 LOG_UINT("absent", settling->count - present));
}

static int commit(struct settling *settling, struct err *err)
{
    struct pass_rows rows = {0};
    struct pass_commit commit = {0};
    uint64_t *gone = mem_grow(NULL, settling->count, sizeof(*gone));
    uint64_t *ghost = mem_grow(NULL, settling->count, sizeof(*ghost));
    int result;
    for (size_t i = 0; i < settling->count; i++) {
        bool present = settling->partners[i] != MATCH_NONE;
        if (present || find_known(settling, settling->intents[i]->source_uid)) {
            pass_rows_add(&rows, present ? record_present(settling, i) : record_unfindable(settling, i));
            gone[commit.intents_gone_count++] = settling->intents[i]->intent_id;
        } else {
            ghost[commit.intents_ghost_count++] = settling->intents[i]->intent_id;
            settling->intents[i]->ghost = true;
        }
    }
    commit.rows = rows.items;
    commit.row_count = rows.count;
    commit.intents_gone = gone;
    commit.intents_ghost = ghost;
    result = pass_commit(settling->pass, &commit, err);
    if (result == 0)
        say_settled(settling, commit.intents_gone_count);
    pass_rows_fini(&rows);
    free(gone);
    free(ghost);
    return result;
}

static void begin(struct settling *settling, bool ghosts)
{
    struct pass *pass = settling->pass;
    size_t most = pass->intent_count ? pass->intent_count : 1;
    settling->intents = mem_grow(NULL, most, sizeof(*settling->intents));
    settling->keys = mem_grow(NULL, most, sizeof(*settling->keys));
    settling->partners = mem_grow(NULL, most, sizeof(*settling->partners));
    settling->pairs = mem_new(most * sizeof(*settling->pairs));
    settling->has_pair = mem_new(most * sizeof(bool));
    settling->source_gone = mem_new(most * sizeof(bool));
    for (size_t i = 0; i < pass->intent_count; i++) {
        if (pass->intents[i].ghost != ghosts || pass->intents[i].intent_id == 0)
            continue;
        if (settling->known && !find_known(settling, pass->intents[i].source_uid))
            continue; /* refused a moment ago, to be sent again under the same intent */
        settling->intents[settling->count] = &pass->intents[i];
        settling->keys[settling->count++] = key_of(&pass->intents[i]);
    }
}

static void end(struct settling *settling)
{
    free(settling->intents);
    free(settling->keys);
    free(settling->partners);
    free(settling->pairs);
    free(settling->has_pair);
    free(settling->source_gone);
    unmapped_fini(&settling->unmapped);
}

/* Settled ones are taken out of the pass: those with a row for good, as absent they are ghosts now. */
static void forget_settled(struct settling *settling)
{
    for (size_t i = 0; i < settling->count; i++)
        if (!settling->intents[i]->ghost)
            settling->intents[i]->intent_id = 0;
}

static uint32_t least_window(const struct settling *settling)
{
    uint32_t least = UINT32_MAX;
    for (size_t i = 0; i < settling->count; i++)
        if (window_of(settling->pass, settling->intents[i]) < least)
            least = window_of(settling->pass, settling->intents[i]);
    return least;
}

int settle_intents(struct pass *pass, const struct settle_known *known, size_t known_count, struct err *err)
{
    struct settling settling = {.pass = pass, .known = known, .known_count = known_count};
    int result = 0;
    begin(&settling, false);
    if (settling.count == 0)
        goto out;
    result = unmapped_load(pass, NULL, 0, least_window(&settling), &settling.unmapped, err);
    if (result == 0)
        result = match_run_any_date(settling.keys, settling.count, settling.unmapped.keys,
                                    settling.unmapped.count, confirm, &settling, settling.partners, err);
    if (result == 0)
        result = commit(&settling, err);
    if (result == 0)
        forget_settled(&settling);
out:
    end(&settling);
    return result == 0 ? 0 : err_prefix(err, "settle intents");
}

/* ---- ghosts ---- */

/* The row of what the intent was for, if its bytes are known. */
static const struct store_message *row_with_digest(const struct pass *pass, const struct store_intent *intent)
{
    const struct store_message *row =
        can_ask_source(pass, intent) ? pass_row_by_source(pass, intent->source_uid) : NULL;
    return row && row->has_digest ? row : NULL;
}

/* It is about to be removed: only what is beyond doubt ours (I5), by its bytes; where they are not known any more, by
 * header, date and size. */
static int confirm_ghost(void *context, size_t left, size_t right, bool *equal_out, struct err *err)
{
    const struct settling *settling = context;
    struct pass *pass = settling->pass;
    const struct match_key *ghost = &settling->keys[left], *copy = &settling->unmapped.keys[right];
    const struct store_message *row = row_with_digest(pass, settling->intents[left]);
    struct digest_pair pair;
    enum pass_body body;
    *equal_out = false;
    if (settling->unmapped.uids[right] < window_of(pass, settling->intents[left]))
        return 0;
    if (!row) {
        *equal_out = ghost->has_header && copy->has_header && ghost->internal_date == copy->internal_date &&
                     ghost->size_bytes == copy->size_bytes;
        return 0;
    }
    if (pass_target_body(pass, settling->unmapped.uids[right], &pair, &body, err) != 0)
        return -1;
    *equal_out = body == PASS_BODY_READ && memcmp(pair.normal, row->normal_sha256, DIGEST_BYTES) == 0;
    return 0;
}

/* They are not there any more, neither as messages nor as strangers to be counted. */
static void forget_removed(struct pass *pass, const struct imap_uids *removed)
{
    size_t kept = 0;
    for (size_t i = 0; i < pass->target.count; i++) {
        if (imap_uids_has(removed->items, removed->count, pass->target.items[i].uid))
            imap_flags_fini(&pass->target.items[i].flags);
        else
            pass->target.items[kept++] = pass->target.items[i];
    }
    pass->target.count = kept;
    pass->target_exists -= (uint32_t)removed->count;
}

/* Some may wait there, marked \Deleted, as these do: neither is to wait for the other for ever. Should we die while they are
 * unmarked, the ghost is still recorded, and the next pass compares all flags. */
static void recorded_copies(const struct pass *pass, struct imap_uids *uids)
{
    for (size_t i = 0; i < pass->row_count; i++)
        if (pass->rows[i].target_uid != 0)
            imap_uids_add(uids, pass->rows[i].target_uid);
    imap_uids_sort(uids);
}

static int remove_surplus(struct settling *settling, bool *all_removed_out, struct err *err)
{
    struct pass *pass = settling->pass;
    struct imap_uids surplus = {0}, recorded = {0};
    int result = 0;
    *all_removed_out = true;
    for (size_t i = 0; i < settling->count; i++)
        if (settling->partners[i] != MATCH_NONE)
            imap_uids_add(&surplus, settling->unmapped.uids[settling->partners[i]]);
    imap_uids_sort(&surplus);
    recorded_copies(pass, &recorded);
    if (surplus.count > 0) {
        result = target_remove(pass->turn->target,
                               &(struct target_removal){.name = pass->folder->target_name,
                                                        .uidvalidity = pass->target_uidvalidity,
                                                        .uids = surplus.items,
                                                        .count = surplus.count,
                                                        .spared = recorded.items,
                                                        .spared_count = recorded.count},
                               all_removed_out, err);
        log_info("surplus copies of late commands removed", LOG_UINT("messages", surplus.count),
                 LOG_STR("outcome", result != 0        ? "failed"
                                    : *all_removed_out ? "removed"
                                                       : "waiting"));
    }
    if (result == 0 && *all_removed_out && surplus.count > 0)
        forget_removed(pass, &surplus);
    imap_uids_fini(&surplus);
    imap_uids_fini(&recorded);
    return result;
}

/* A ghost that came true is over, and so is one whose time has come. */
static int drop_ghosts(struct settling *settling, bool all_removed, struct err *err)
{
    struct pass_commit commit = {0};
    uint64_t *gone = mem_grow(NULL, settling->count ? settling->count : 1, sizeof(*gone));
    int result;
    for (size_t i = 0; i < settling->count; i++) {
        bool came_true = settling->partners[i] != MATCH_NONE;
        if (came_true ? all_removed : settling->intents[i]->ghost_over)
            gone[commit.intents_gone_count++] = settling->intents[i]->intent_id;
    }
    commit.intents_gone = gone;
    result = pass_commit(settling->pass, &commit, err);
    free(gone);
    return result;
}

int settle_ghosts(struct pass *pass, struct err *err)
{
    struct settling settling = {.pass = pass};
    bool all_removed = true;
    int result = 0;
    begin(&settling, true);
    if (settling.count == 0)
        goto out;
    result = unmapped_load(pass, NULL, 0, least_window(&settling), &settling.unmapped, err);
    if (result == 0)
        result =
            match_run_any_date(settling.keys, settling.count, settling.unmapped.keys, settling.unmapped.count,
                               confirm_ghost, &settling, settling.partners, err);
    if (result == 0)
        result = remove_surplus(&settling, &all_removed, err);
    if (result == 0)
        result = drop_ghosts(&settling, all_removed, err);
out:
    end(&settling);
    return result == 0 ? 0 : err_prefix(err, "look for late copies");
}
