/*
 * Messages of a folder: read whole, written in the copier's batch. The tricky thing: rows may exchange UIDs within one
 * batch, and (folder, UID) is unique, so UIDs that change are cleared in all rows before any is set.
 */
#include "store/store_message.h"

#include "base/str.h"
#include "store/store_query.h"

#include <stdlib.h>

void store_message_fini(struct store_message *message)
{
    free(message->flags_written);
    free(message->flags_refused);
    free(message->error);
    message->flags_written = message->flags_refused = message->error = NULL;
}

void store_message_list_free(struct store_message *messages, size_t count)
{
    for (size_t i = 0; messages && i < count; i++)
        store_message_fini(&messages[i]);
    free(messages);
}

static void read_digests(struct store_query *query, struct store_message *message)
{
    message->has_digest = store_query_bytes(query, message->raw_sha256, DIGEST_BYTES);
    message->has_digest =
        store_query_bytes(query, message->normal_sha256, DIGEST_BYTES) && message->has_digest;
    message->has_header_digest = store_query_bytes(query, message->header_sha256, DIGEST_BYTES);
    message->has_target_size = !store_query_is_null(query);
    message->target_size = store_query_u64(query);
    message->has_target_digest = store_query_bytes(query, message->target_sha256, DIGEST_BYTES);
    message->verified_seq = store_query_u64(query);
    message->bytes_differ = store_query_bool(query);
}

static enum store_message_state state_of(const char *word)
{
    if (str_equal(word, "mirrored"))
        return STORE_MESSAGE_MIRRORED;
    return str_equal(word, "refused") ? STORE_MESSAGE_REFUSED : STORE_MESSAGE_LOST;
}

enum store_removal store_message_removal(const char *word)
{
    static const char *const words[] = {"none", "held", "kept", "begun"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (str_equal(word, words[i]))
            return (enum store_removal)i;
    return STORE_REMOVAL_NONE;
}

static void read_message(struct store_query *query, struct store_message *message)
{
    *message = (struct store_message){.message_id = store_query_u64(query)};
    message->source_uid = store_query_u32(query);
    message->target_uid = store_query_u32(query);
    message->recorded_source_uid = message->source_uid;
    message->recorded_target_uid = message->target_uid;
    message->state = state_of(store_query_text(query));
    message->altered = store_query_bool(query);
    message->source_gone = store_query_bool(query);
    message->removal = store_message_removal(store_query_text(query));
    message->internal_date = store_query_i64(query);
    message->size_bytes = store_query_u64(query);
    read_digests(query, message);
    message->flags_written = str_copy(store_query_text(query));
    message->flags_refused = str_copy(store_query_text(query));
    message->times_lost = store_query_u32(query);
    message->fail_count = store_query_u32(query);
    message->try_due = store_query_bool(query);
    const char *error = store_query_text(query);
    message->error = *error ? str_copy(error) : NULL;
}

enum { PAGE_ROWS = 1000 };
#define PAGE_OF(which)                                                                                       \
    "SELECT message_id, source_uid, target_uid, state, altered, source_gone_at IS NOT NULL, removal, "       \
    "internal_date, size_bytes, raw_sha256, normal_sha256, header_sha256, target_size, target_sha256, "      \
    "verified_seq, bytes_differ, flags_written, flags_refused, times_lost, fail_count, "                     \
    "next_try_at IS NULL OR next_try_at <= UTC_TIMESTAMP(6), error "                                         \
    "FROM message WHERE folder_id = ? AND " which " LIMIT 1000"

struct listing {
    struct store_message *messages;
    size_t count;
};

/* Returns how many there were, or -1. */
static long read_page(struct store *store, const char *sql, uint64_t folder_id, uint64_t after,
                      struct listing *listing, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err, sql, bind_u64(folder_id), bind_u64(after));
    size_t rows = query ? store_query_count(query) : 0;
    listing->messages = mem_grow(listing->messages, listing->count + rows + 1, sizeof(*listing->messages));
    while (query && store_query_next(query))
        read_message(query, &listing->messages[listing->count++]);
    return store_query_end(query, err) ? -1 : (long)rows;
}

/* Page by page: an answer takes several times the room of the rows that it becomes. Only the lease's owner changes them. */
static int read_all(struct store *store, uint64_t folder_id, struct listing *listing, struct err *err)
{
    uint64_t after = 0;
    long rows;
    do {
        rows =
            read_page(store, PAGE_OF("source_uid > ? ORDER BY source_uid"), folder_id, after, listing, err);
        after = rows > 0 ? listing->messages[listing->count - 1].source_uid : 0;
    } while (rows == PAGE_ROWS);
    after = 0;
    while (rows >= 0) {
        rows = read_page(store, PAGE_OF("source_uid IS NULL AND message_id > ? ORDER BY message_id"),
                         folder_id, after, listing, err);
        if (rows >= 0 && rows < PAGE_ROWS)
            return 0;
        after = rows > 0 ? listing->messages[listing->count - 1].message_id : 0;
    }
    return -1;
}

int store_message_list(struct store *store, uint64_t folder_id, struct store_message **messages_out,
                       size_t *count_out, struct err *err)
{
    struct listing listing = {0};
    if (read_all(store, folder_id, &listing, err) != 0) {
        store_message_list_free(listing.messages, listing.count);
        return -1;
    }
    *messages_out = listing.messages;
    *count_out = listing.count;
    return 0;
}

/* ---- writing ---- */

static const char *state_word(enum store_message_state state)
{
    static const char *const words[] = {"mirrored", "refused", "lost"};
    return words[state];
}

static struct store_param bind_uid(uint32_t uid)
{
    return bind_u64_if(uid != 0, uid);
}

static struct store_param bind_digest(bool there, const uint8_t digest[DIGEST_BYTES])
{
    return bind_bytes_if(there, digest, DIGEST_BYTES);
}

/* How long a refused one waits; the others have no next try. */
static struct store_param bind_retry_us(const struct store_message *message,
                                        const struct store_change *change)
{
    return bind_u64_if(message->state == STORE_MESSAGE_REFUSED, (uint64_t)(change->retry_seconds * 1e6));
}

enum { VALUES_COUNT = 21, ROW_COUNT = VALUES_COUNT + 1 };

/* The columns that both INSERT and UPDATE name first, in their order. */
static void bind_values(const struct store_message *m, const struct store_change *change,
                        struct store_param params[VALUES_COUNT])
{
    const struct store_param values[VALUES_COUNT] = {
        bind_uid(m->source_uid),
        bind_uid(m->target_uid),
        bind_text(state_word(m->state)),
        bind_bool(m->altered),
        bind_i64(m->internal_date),
        bind_u64(m->size_bytes),
        bind_digest(m->has_digest, m->raw_sha256),
        bind_digest(m->has_digest, m->normal_sha256),
        bind_digest(m->has_header_digest, m->header_sha256),
        bind_u64_if(m->has_target_size, m->target_size),
        bind_digest(m->has_target_digest, m->target_sha256),
        bind_u64(m->verified_seq),
        bind_bool(m->bytes_differ),
        bind_text(m->flags_written ? m->flags_written : ""),
        bind_text(m->flags_refused ? m->flags_refused : ""),
        bind_u64(m->times_lost < 255 ? m->times_lost : 255),
        bind_u64(m->fail_count),
        bind_retry_us(m, change),
        bind_cut(m->error, 800),
        bind_bool(m->source_gone),
        bind_bool(m->state == STORE_MESSAGE_MIRRORED && m->target_uid),
    };
    memcpy(params, values, sizeof(values));
}

#define INSERT_OF(rows)                                                                                      \
    "INSERT INTO message (source_uid, target_uid, state, altered, internal_date, size_bytes, "               \
    "raw_sha256, normal_sha256, header_sha256, target_size, target_sha256, verified_seq, "                   \
    "bytes_differ, flags_written, flags_refused, times_lost, fail_count, next_try_at, error, "               \
    "source_gone_at, mirrored_at, folder_id) VALUES " rows
#define INSERT_ROW                                                                                           \
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, ?, "     \
    "IF(?, UTC_TIMESTAMP(6), NULL), IF(?, UTC_TIMESTAMP(6), NULL), ?)"

static int insert(struct store *store, const struct store_change *change, size_t first, size_t count,
                  struct err *err)
{
    struct store_param params[STORE_MANY * ROW_COUNT + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        bind_values(&change->messages[first + i], change, &params[i * ROW_COUNT]);
        params[i * ROW_COUNT + VALUES_COUNT] = bind_u64(change->folder_id);
    }
    if (store_query_exec(store, STORE_TIMES(count, INSERT_OF, INSERT_ROW), params, err) < 0)
        return err_prefix(err, "message UID %u", change->messages[first].source_uid);
    return 0;
}

/* Ids ascend in the order of insertion, in steps that a cluster chooses; only the lease's owner adds to this folder. */
static int read_new_ids(struct store *store, const struct store_change *change, uint64_t first_id,
                        uint64_t *new_ids, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT message_id FROM message WHERE folder_id = ? AND message_id >= ? ORDER BY message_id",
        bind_u64(change->folder_id), bind_u64(first_id));
    for (size_t i = 0; query && i < change->message_count; i++)
        if (change->messages[i].message_id == 0 && store_query_next(query))
            new_ids[i] = store_query_u64(query);
    return store_query_end(query, err);
}

static int update(struct store *store, const struct store_message *message, const struct store_change *change,
                  struct err *err)
{
    struct store_param params[VALUES_COUNT + 3] = {0};
    bind_values(message, change, params);
    params[VALUES_COUNT] = bind_u64(message->message_id);
    params[VALUES_COUNT + 1] = bind_u64(change->folder_id);
    if (store_query_exec(
            store,
            "UPDATE message SET source_uid = ?, target_uid = ?, state = ?, altered = ?, "
            "internal_date = ?, size_bytes = ?, raw_sha256 = ?, normal_sha256 = ?, header_sha256 = ?, "
            "target_size = ?, target_sha256 = ?, verified_seq = ?, bytes_differ = ?, flags_written = ?, "
            "flags_refused = ?, times_lost = ?, "
            "fail_count = ?, next_try_at = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, error = ?, "
            "source_gone_at = IF(?, COALESCE(source_gone_at, UTC_TIMESTAMP(6)), NULL), "
            "removal = IF(source_gone_at IS NULL, 'none', removal), "
            "plan_id = IF(source_gone_at IS NULL, NULL, plan_id), "
            "mirrored_at = IF(?, COALESCE(mirrored_at, UTC_TIMESTAMP(6)), NULL) "
            "WHERE message_id = ? AND folder_id = ?",
            params, err) < 0)
        return err_prefix(err, "message UID %u", message->source_uid);
    return 0;
}

/* For others of the same batch that take these UIDs over. */
static int clear_uids(struct store *store, const struct store_message *message, uint64_t folder_id,
                      struct err *err)
{
    if (message->message_id == 0 || (message->source_uid == message->recorded_source_uid &&
                                     message->target_uid == message->recorded_target_uid))
        return 0;
    return STORE_EXEC(
               store, err,
               "UPDATE message SET source_uid = IF(source_uid <=> ?, source_uid, NULL), "
               "target_uid = IF(target_uid <=> ?, target_uid, NULL) WHERE message_id = ? AND folder_id = ?",
               bind_uid(message->source_uid), bind_uid(message->target_uid), bind_u64(message->message_id),
               bind_u64(folder_id)) < 0
               ? -1
               : 0;
}

/* A held one is on production again: its plan shrinks. */
static int leave_plan(struct store *store, const struct store_message *message, struct err *err)
{
    if (message->source_gone || message->removal == STORE_REMOVAL_NONE)
        return 0;
    return STORE_EXEC(store, err,
                      "UPDATE plan_message SET outcome = 'back' WHERE message_id = ? AND outcome = 'open'",
                      bind_u64(message->message_id)) < 0
               ? -1
               : 0;
}

/* How many from `first` on may go into one INSERT. */
static size_t count_new(const struct store_change *change, size_t first)
{
    size_t count = 0;
    while (first + count < change->message_count && count < STORE_MANY &&
           change->messages[first + count].message_id == 0)
        count++;
    return store_at_once(count);
}

#define AS_SENT(ids)                                                                                         \
    "UPDATE message SET target_size = size_bytes WHERE folder_id = ? AND message_id IN (" ids ")"

static int write_as_sent(struct store *store, const struct store_change *change, struct err *err)
{
    uint64_t *ids = mem_new((change->message_count + 1) * sizeof(*ids));
    for (size_t i = 0; i < change->message_count; i++)
        ids[i] = change->messages[i].message_id;
    int result = store_query_exec_lists(store, STORE_LISTS(AS_SENT), change->folder_id, ids,
                                        change->message_count, err);
    free(ids);
    return result;
}

static int write_one(struct store *store, const struct store_change *change, size_t i, struct err *err)
{
    if (leave_plan(store, &change->messages[i], err))
        return -1;
    return update(store, &change->messages[i], change, err);
}

int store_message_write(struct store *store, const struct store_change *change, uint64_t *new_ids,
                        struct err *err)
{
    uint64_t first_id = 0;
    if (change->as_sent)
        return write_as_sent(store, change, err);
    for (size_t i = 0; i < change->message_count; i++)
        if (clear_uids(store, &change->messages[i], change->folder_id, err))
            return -1;
    for (size_t i = 0, count; i < change->message_count; i += count) {
        bool is_new = change->messages[i].message_id == 0;
        count = is_new ? count_new(change, i) : 1;
        if (is_new ? insert(store, change, i, count, err) : write_one(store, change, i, err))
            return -1;
        if (is_new && first_id == 0)
            first_id = store_query_insert_id(store);
    }
    return first_id ? read_new_ids(store, change, first_id, new_ids, err) : 0;
}
