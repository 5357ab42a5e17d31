/*
 * Intents: the committed note that an APPEND is about to be made (I3), written before it, settled after it in the
 * transaction that records the message.
 */
#include "base/str.h"
#include "store/store_message.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <stdlib.h>

void store_intent_list_free(struct store_intent *intents, size_t count)
{
    for (size_t i = 0; intents && i < count; i++)
        free(intents[i].flags);
    free(intents);
}

static void read_intent(struct store_query *query, struct store_intent *intent)
{
    *intent = (struct store_intent){.intent_id = store_query_u64(query)};
    intent->folder_id = store_query_u64(query);
    intent->source_uidvalidity = store_query_u32(query);
    intent->source_uid = store_query_u32(query);
    intent->internal_date = store_query_i64(query);
    intent->size_bytes = store_query_u64(query);
    store_query_bytes(query, intent->header_sha256, DIGEST_BYTES);
    intent->flags = str_copy(store_query_text(query));
    intent->target_uidvalidity = store_query_u32(query);
    intent->target_uidnext = store_query_u32(query);
    intent->ghost = store_query_bool(query);
    intent->ghost_over = store_query_bool(query);
}

int store_intent_list(struct store *store, uint64_t folder_id, struct store_intent **intents_out,
                      size_t *count_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err,
                                           "SELECT intent_id, folder_id, source_uidvalidity, source_uid, "
                                           "internal_date, size_bytes, header_sha256, flags, "
                                           "target_uidvalidity, target_uidnext, state = 'ghost', "
                                           "state = 'ghost' AND ghost_until <= UTC_TIMESTAMP(6) FROM intent "
                                           "WHERE folder_id = ? ORDER BY intent_id",
                                           bind_u64(folder_id));
    struct store_intent *intents = NULL;
    size_t count = 0;
    if (query)
        intents = mem_new((store_query_count(query) + 1) * sizeof(*intents));
    while (query && store_query_next(query))
        read_intent(query, &intents[count++]);
    if (store_query_end(query, err)) {
        store_intent_list_free(intents, count);
        return -1;
    }
    *intents_out = intents;
    *count_out = count;
    return 0;
}

/* ---- writing ---- */

struct noting {
    const struct store_lease *lease;
    struct store_intent *intents;
    size_t count;
};

enum { VALUES_COUNT = 10 };
#define INSERT_OF(rows)                                                                                      \
    "INSERT INTO intent (folder_id, source_uidvalidity, source_uid, internal_date, size_bytes, "             \
    "header_sha256, flags, target_uidvalidity, target_uidnext, lease_epoch, created_at) VALUES " rows
#define INSERT_ROW "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(6))"

static void bind_values(const struct store_intent *intent, const struct store_lease *lease,
                        struct store_param params[VALUES_COUNT])
{
    const struct store_param values[VALUES_COUNT] = {
        bind_u64(intent->folder_id),
        bind_u64(intent->source_uidvalidity),
        bind_u64(intent->source_uid),
        bind_i64(intent->internal_date),
        bind_u64(intent->size_bytes),
        bind_bytes(intent->header_sha256, DIGEST_BYTES),
        bind_text(intent->flags ? intent->flags : ""),
        bind_u64(intent->target_uidvalidity),
        bind_u64(intent->target_uidnext),
        bind_u64(lease->epoch),
    };
    memcpy(params, values, sizeof(values));
}

static int insert(struct store *store, const struct noting *noting, size_t first, size_t count,
                  struct err *err)
{
    struct store_param params[STORE_MANY * VALUES_COUNT + 1] = {0};
    for (size_t i = 0; i < count; i++)
        bind_values(&noting->intents[first + i], noting->lease, &params[i * VALUES_COUNT]);
    if (store_query_exec(store, STORE_TIMES(count, INSERT_OF, INSERT_ROW), params, err) < 0)
        return err_prefix(err, "intent for UID %u", noting->intents[first].source_uid);
    return 0;
}

/* As with messages: they ascend in the order of insertion. */
static int read_ids(struct store *store, const struct noting *noting, uint64_t first_id, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err, "SELECT intent_id FROM intent WHERE folder_id = ? AND intent_id >= ? ORDER BY intent_id",
        bind_u64(noting->intents[0].folder_id), bind_u64(first_id));
    for (size_t i = 0; query && i < noting->count && store_query_next(query); i++)
        noting->intents[i].intent_id = store_query_u64(query);
    return store_query_end(query, err);
}

static int add_body(struct store *store, void *context, struct err *err)
{
    const struct noting *noting = context;
    uint64_t first_id = 0;
    for (size_t i = 0, count; i < noting->count; i += count) {
        count = store_at_once(noting->count - i);
        if (insert(store, noting, i, count, err))
            return -1;
        if (first_id == 0)
            first_id = store_query_insert_id(store);
    }
    return read_ids(store, noting, first_id, err);
}

int store_intent_add(struct store *store, const struct store_lease *lease, struct store_intent *intents,
                     size_t count, struct err *err)
{
    struct noting noting = {.lease = lease, .intents = intents, .count = count};
    return count == 0 ? 0 : store_tx_fenced(store, lease, add_body, &noting, err);
}

#define DROP_OF(ids) "DELETE FROM intent WHERE folder_id = ? AND intent_id IN (" ids ")"

/* One that is a ghost already keeps its time. */
static int make_ghost(struct store *store, uint64_t intent_id, const struct store_change *change,
                      struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE intent SET state = 'ghost', "
                      "ghost_until = COALESCE(ghost_until, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND) "
                      "WHERE intent_id = ? AND folder_id = ?",
                      bind_u64((uint64_t)(change->late_command_minutes * 60e6)), bind_u64(intent_id),
                      bind_u64(change->folder_id)) < 0
               ? -1
               : 0;
}

int store_intent_settle(struct store *store, const struct store_change *change, struct err *err)
{
    if (store_query_exec_lists(store, STORE_LISTS(DROP_OF), change->folder_id, change->intents_gone,
                               change->intents_gone_count, err))
        return -1;
    for (size_t i = 0; i < change->intents_ghost_count; i++)
        if (make_ghost(store, change->intents_ghost[i], change, err))
            return -1;
    return 0;
}
