/*
 * Identity; see identify.h. Runs in the copier. Date and header digest choose the candidates, the digest of the whole
 * message decides; only candidates are read.
 */
#include "copier/identify.h"

#include "base/log.h"
#include "base/str.h"
#include "copier/unmapped.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Three problems of one shape: a left side that seeks partners on a right side. */
struct search {
    struct pass *pass;
    size_t *left; /* rows, or places in fresh */
    struct match_key *left_keys;
    long *partners;
    size_t left_count;
    const struct imap_messages *fresh; /* messages of production */
    struct unmapped unmapped;          /* of the target */
    struct digest_pair *pairs;         /* of fresh, by place; filled when read */
    enum pass_body *bodies;
};

static void search_init(struct search *search, struct pass *pass, size_t most)
{
    *search = (struct search){.pass = pass,
                              .left = mem_grow(NULL, most + 1, sizeof(size_t)),
                              .left_keys = mem_grow(NULL, most + 1, sizeof(struct match_key)),
                              .partners = mem_grow(NULL, most + 1, sizeof(long))};
}

static void search_fini(struct search *search)
{
    free(search->left);
    free(search->left_keys);
    free(search->partners);
    free(search->pairs);
    free(search->bodies);
    unmapped_fini(&search->unmapped);
}

static void search_add(struct search *search, size_t left, struct match_key key)
{
    search->left[search->left_count] = left;
    search->left_keys[search->left_count++] = key;
}

static struct match_key key_of_row(const struct store_message *row)
{
    struct match_key key = {.internal_date = row->internal_date,
                            .size_bytes = row->size_bytes,
                            .has_header = row->has_header_digest};
    memcpy(key.header_sha256, row->header_sha256, DIGEST_BYTES);
    return key;
}

static struct match_key key_of_message(const struct imap_message *message)
{
    struct match_key key = {.internal_date = message->date.unix_seconds,
                            .size_bytes = message->size_bytes,
                            .has_header = message->has_header};
    memcpy(key.header_sha256, message->header_sha256, DIGEST_BYTES);
    return key;
}

static void use_fresh(struct search *search, const struct imap_messages *fresh)
{
    search->fresh = fresh;
    search->pairs = mem_new((fresh->count + 1) * sizeof(*search->pairs));
    search->bodies = mem_grow(NULL, fresh->count + 1, sizeof(*search->bodies));
    for (size_t i = 0; i < fresh->count; i++)
        search->bodies[i] = PASS_BODY_GONE;
}

/* Production's digest of fresh[place]. */
static int read_fresh(struct search *search, size_t place, struct err *err)
{
    if (search->bodies[place] != PASS_BODY_GONE)
        return 0;
    return pass_source_body(search->pass, search->fresh->items[place].uid, &search->pairs[place],
                            &search->bodies[place], err);
}

/* ---- production's UIDVALIDITY changed ---- */

/* One that cannot be read is told by its header and size: taken for another it would be copied again. */
static int confirm_source(void *context, size_t left, size_t right, bool *equal_out, struct err *err)
{
    struct search *search = context;
    const struct store_message *row = &search->pass->rows[search->left[left]];
    if (read_fresh(search, right, err) != 0)
        return -1;
    *equal_out = row->has_digest && search->bodies[right] == PASS_BODY_READ
                     ? memcmp(row->raw_sha256, search->pairs[right].raw, DIGEST_BYTES) == 0
                     : row->size_bytes == search->fresh->items[right].size_bytes;
    return 0;
}

static void unknown_source_uids(const struct pass *pass, struct imap_uids *uids)
{
    struct pass_index index;
    pass_index_rows(pass, STORE_SOURCE, &index);
    for (size_t i = 0; i < pass->source.messages.count; i++)
        if (!pass_index_find(pass, &index, pass->source.messages.items[i].uid))
            imap_uids_add(uids, pass->source.messages.items[i].uid);
    pass_index_fini(&index);
}

/* Those that were gone and still are need no writing. */
static int commit_source(struct search *search, struct err *err)
{
    struct pass_rows rows = {0};
    struct pass_commit commit = {0};
    size_t found = 0;
    int result;
    for (size_t i = 0; i < search->left_count; i++) {
        struct store_message *row = &search->pass->rows[search->left[i]];
        bool is_there = search->partners[i] != MATCH_NONE;
        if (!is_there && row->source_gone)
            continue;
        row->source_uid = is_there ? search->fresh->items[search->partners[i]].uid : 0;
        if (is_there)
            row->internal_date = search->fresh->items[search->partners[i]].date.unix_seconds;
        row->source_gone = !is_there;
        found += is_there;
        pass_rows_add(&rows, search->left[i]);
    }
    if (rows.count > 0)
        log_info("messages identified again on production", LOG_UINT("found", found),
                 LOG_UINT("gone", rows.count - found));
    commit.rows = rows.items;
    commit.row_count = rows.count;
    result = pass_commit(search->pass, &commit, err);
    pass_rows_fini(&rows);
    return result;
}

/* Those that are not gone come first: they have the better right to an equal message. */
static void collect_unnamed(const struct pass *pass, bool gone, struct search *search)
{
    for (size_t i = 0; i < pass->row_count; i++)
        if (pass->rows[i].source_uid == 0 && pass->rows[i].source_gone == gone)
            search_add(search, i, key_of_row(&pass->rows[i]));
}

int identify_source(struct pass *pass, struct err *err)
{
    struct search search;
    struct imap_uids uids = {0};
    struct imap_messages fresh = {0};
    struct match_key *right = NULL;
    size_t wanted;
    int result = 0;
    search_init(&search, pass, pass->row_count);
    if (pass->source.whole)
        collect_unnamed(pass, false, &search);
    wanted = search.left_count;
    collect_unnamed(pass, true, &search);
    if (search.left_count == 0)
        goto out;
    unknown_source_uids(pass, &uids);
    if (wanted + uids.count == 0)
        goto out;
    result = source_details(pass->turn->source, &pass->source, uids.items, uids.count, &fresh, err);
    if (result != 0)
        goto out;
    use_fresh(&search, &fresh);
    right = mem_grow(NULL, fresh.count + 1, sizeof(*right));
    for (size_t i = 0; i < fresh.count; i++)
        right[i] = key_of_message(&fresh.items[i]);
    result = match_run_any_date(search.left_keys, search.left_count, right, fresh.count, confirm_source,
                                &search, search.partners, err);
    if (result == 0)
        result = commit_source(&search, err);
out:
    free(right);
    imap_messages_fini(&fresh);
    imap_uids_fini(&uids);
    search_fini(&search);
    return result == 0 ? 0 : err_prefix(err, "identify on production");
}

/* ---- the target lost UIDs, or messages ---- */

static int confirm_target(void *context, size_t left, size_t right, bool *equal_out, struct err *err)
{
    struct search *search = context;
    const struct pass *pass = search->pass;
    const struct store_message *row = &pass->rows[search->left[left]];
    struct digest_pair pair;
    enum pass_body body;
    if (pass_target_body(search->pass, search->unmapped.uids[right], &pair, &body, err) != 0)
        return -1;
    if (row->has_digest && body == PASS_BODY_READ)
        *equal_out = memcmp(pair.normal, row->normal_sha256, DIGEST_BYTES) == 0;
    else
        *equal_out =
            body != PASS_BODY_GONE && search->unmapped.keys[right].size_bytes ==
                                          (row->has_target_size ? row->target_size : row->size_bytes);
    return 0;
}

/* Rows that should be on the target but are not under their UID; also those that were given up: they may be back. */
static void collect_unplaced(struct pass *pass, struct search *search)
{
    for (size_t i = 0; i < pass->row_count; i++) {
        struct store_message *row = &pass->rows[i];
        if (row->state == STORE_MESSAGE_REFUSED ||
            (row->target_uid != 0 && target_messages_find(&pass->target, row->target_uid)))
            continue;
        row->target_uid = 0;
        search_add(search, i, key_of_row(row));
    }
}

static bool was_deleted(const struct store_message *row)
{
    struct imap_flags written;
    bool deleted;
    imap_flags_init(&written);
    imap_flags_parse(row->flags_written, &written);
    deleted = (written.system & IMAP_FLAG_DELETED) != 0;
    imap_flags_fini(&written);
    return deleted;
}

/* The target removes by itself what is older. */
static bool is_past_retention(const struct config_site *target, const struct store_message *row)
{
    int64_t kept_seconds = (int64_t)target->retention_days * 86400;
    return kept_seconds > 0 && row->internal_date < (int64_t)time(NULL) - kept_seconds;
}

/* Its own clean-up took it, and would again: then it is not copied again. */
static void note_lost(const struct pass *pass, struct store_message *row)
{
    const char *why = "it vanished from the target; not removed by us";
    bool cleaned_up = was_deleted(row);
    if (cleaned_up)
        why = "it was marked \\Deleted, and is gone from the target; not removed by us";
    else if ((cleaned_up = is_past_retention(pass->turn->route->to_site, row)))
        why = "it is older than the target keeps messages (retention_days), and is gone from there; not "
              "removed by "
              "us";
    row->state = STORE_MESSAGE_LOST;
    row->times_lost += cleaned_up ? PASS_COPIES_OF_LOST + 1 : 1;
    free(row->error);
    row->error = str_copy(why);
}

static void note_found(struct store_message *row, uint32_t target_uid)
{
    row->target_uid = target_uid;
    row->state = STORE_MESSAGE_MIRRORED;
    free(row->error);
    row->error = NULL;
}

/* Found ones get their UID; their flags are compared with what the target has, later. */
static int commit_target(struct search *search, struct err *err)
{
    struct pass_rows rows = {0};
    struct pass_commit commit = {0};
    size_t found = 0;
    int result;
    for (size_t i = 0; i < search->left_count; i++) {
        struct store_message *row = &search->pass->rows[search->left[i]];
        bool is_there = search->partners[i] != MATCH_NONE;
        if (!is_there && row->state == STORE_MESSAGE_LOST)
            continue;
        if (is_there)
            note_found(row, search->unmapped.uids[search->partners[i]]);
        else
            note_lost(search->pass, row);
        found += is_there;
        pass_rows_add(&rows, search->left[i]);
    }
    if (rows.count > 0)
        log_info("messages identified again on the target", LOG_UINT("found", found),
                 LOG_UINT("vanished", rows.count - found));
    commit.rows = rows.items;
    commit.row_count = rows.count;
    result = pass_commit(search->pass, &commit, err);
    pass_rows_fini(&rows);
    return result;
}

static bool is_any_unmatched(const struct search *search)
{
    for (size_t i = 0; i < search->left_count; i++)
        if (search->partners[i] == MATCH_NONE)
            return true;
    return false;
}

/* By date first, which spares reading headers; what is left over may lie on a target that keeps dates of its own. */
static int seek_on_target(struct search *search, struct err *err)
{
    int result =
        unmapped_load(search->pass, search->left_keys, search->left_count, 1, &search->unmapped, err);
    if (result == 0)
        result = match_run(search->left_keys, search->left_count, search->unmapped.keys,
                           search->unmapped.count, confirm_target, search, search->partners, err);
    if (result != 0 || !is_any_unmatched(search))
        return result;
    unmapped_fini(&search->unmapped);
    result = unmapped_load(search->pass, NULL, 0, 1, &search->unmapped, err);
    if (result == 0)
        result = match_run_any_date(search->left_keys, search->left_count, search->unmapped.keys,
                                    search->unmapped.count, confirm_target, search, search->partners, err);
    return result;
}

int identify_target(struct pass *pass, struct err *err)
{
    struct search search;
    int result = 0;
    search_init(&search, pass, pass->row_count);
    collect_unplaced(pass, &search);
    if (search.left_count == 0)
        goto out;
    result = seek_on_target(&search, err);
    if (result == 0)
        result = commit_target(&search, err);
out:
    search_fini(&search);
    return result == 0 ? 0 : err_prefix(err, "identify on the target");
}

/* ---- adoption ---- */

static int confirm_adoption(void *context, size_t left, size_t right, bool *equal_out, struct err *err)
{
    struct search *search = context;
    struct digest_pair pair;
    enum pass_body body;
    *equal_out = false;
    if (read_fresh(search, search->left[left], err) != 0)
        return -1;
    if (search->bodies[search->left[left]] != PASS_BODY_READ)
        return 0;
    if (pass_target_body(search->pass, search->unmapped.uids[right], &pair, &body, err) != 0)
        return -1;
    *equal_out = body == PASS_BODY_READ &&
                 memcmp(pair.normal, search->pairs[search->left[left]].normal, DIGEST_BYTES) == 0;
    return 0;
}

/* What the target has counts as written by us, so that the flags step makes it equal to production's. */
static void fill_adopted(struct store_message *row, const struct imap_message *message,
                         const struct digest_pair *pair, const struct target_message *on_target)
{
    row->source_uid = message->uid;
    row->target_uid = on_target->uid;
    row->state = STORE_MESSAGE_MIRRORED;
    row->fail_count = 0;
    free(row->error);
    row->error = NULL;
    row->internal_date = message->date.unix_seconds;
    row->size_bytes = pair->raw_bytes;
    memcpy(row->header_sha256, message->header_sha256, DIGEST_BYTES);
    row->has_header_digest = message->has_header;
    memcpy(row->raw_sha256, pair->raw, DIGEST_BYTES);
    memcpy(row->normal_sha256, pair->normal, DIGEST_BYTES);
    row->has_digest = true;
    row->has_target_size = true;
    row->target_size = on_target->size_bytes;
    row->altered = on_target->size_bytes != pair->raw_bytes;
    free(row->flags_written);
    row->flags_written = imap_flags_format(&on_target->flags);
    free(row->flags_refused);
    row->flags_refused = str_copy("");
}

static int commit_adopted(struct search *search, struct err *err)
{
    struct pass *pass = search->pass;
    struct pass_rows rows = {0};
    struct pass_commit commit = {0};
    int result;
    for (size_t i = 0; i < search->left_count; i++) {
        size_t place = search->left[i];
        const struct target_message *on_target;
        struct store_message *row;
        if (search->partners[i] == MATCH_NONE)
            continue;
        on_target = &pass->target.items[search->unmapped.places[search->partners[i]]];
        row = pass_row_by_source(pass, search->fresh->items[place].uid);
        if (!row)
            row = pass_row_add(pass);
        fill_adopted(row, &search->fresh->items[place], &search->pairs[place], on_target);
        pass_rows_add(&rows, (size_t)(row - pass->rows));
    }
    if (rows.count > 0)
        log_info("messages adopted", LOG_UINT("messages", rows.count));
    commit.rows = rows.items;
    commit.row_count = rows.count;
    result = pass_commit(pass, &commit, err);
    pass_rows_fini(&rows);
    return result;
}

int identify_adopt(struct pass *pass, const struct imap_messages *fresh, struct err *err)
{
    struct search search;
    int result;
    search_init(&search, pass, fresh->count);
    use_fresh(&search, fresh);
    for (size_t i = 0; i < fresh->count; i++)
        search_add(&search, i, key_of_message(&fresh->items[i]));
    result = unmapped_load(pass, search.left_keys, search.left_count, 1, &search.unmapped, err);
    if (result == 0 && search.unmapped.count > 0)
        result = match_run(search.left_keys, search.left_count, search.unmapped.keys, search.unmapped.count,
                           confirm_adoption, &search, search.partners, err);
    if (result == 0 && search.unmapped.count > 0)
        result = commit_adopted(&search, err);
    search_fini(&search);
    return result == 0 ? 0 : err_prefix(err, "adopt");
}
