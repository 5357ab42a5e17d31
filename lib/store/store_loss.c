/*
 * Messages over which a connection was lost; see store_loss.h.
 */
#include "store/store_loss.h"

#include "base/str.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <stdlib.h>

static const char *const words[] = {"header", "body", "append", "target"};

static enum store_loss_kind kind_of(const char *word)
{
    unsigned kind = STORE_LOSS_HEADER;
    while (kind < STORE_LOSS_TARGET && !str_equal(word, words[kind]))
        kind++;
    return (enum store_loss_kind)kind;
}

static void read_loss(struct store_query *query, struct store_loss *loss)
{
    loss->kind = kind_of(store_query_text(query));
    loss->uid = store_query_u32(query);
    loss->losses = store_query_u32(query);
    str_into(loss->error, sizeof(loss->error), store_query_text(query));
}

int store_loss_list(struct store *store, uint64_t folder_id, struct store_loss **losses_out,
                    size_t *count_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err, "SELECT kind, uid, losses, error FROM loss WHERE folder_id = ?", bind_u64(folder_id));
    struct store_loss *losses = NULL;
    size_t count = 0;
    if (query && store_query_count(query) > 0)
        losses = mem_new(store_query_count(query) * sizeof(*losses));
    while (query && store_query_next(query))
        read_loss(query, &losses[count++]);
    if (store_query_end(query, err)) {
        free(losses);
        return -1;
    }
    *losses_out = losses;
    *count_out = count;
    return 0;
}

struct setting {
    uint64_t folder_id;
    const struct store_loss *loss;
};

static int set_body(struct store *store, void *context, struct err *err)
{
    const struct setting *setting = context;
    const struct store_loss *loss = setting->loss;
    int64_t rows =
        loss->losses == 0
            ? STORE_EXEC(store, err, "DELETE FROM loss WHERE folder_id = ? AND kind = ? AND uid = ?",
                         bind_u64(setting->folder_id), bind_text(words[loss->kind]), bind_u64(loss->uid))
            : STORE_EXEC(store, err,
                         "REPLACE INTO loss (folder_id, kind, uid, losses, error) VALUES (?, ?, ?, ?, ?)",
                         bind_u64(setting->folder_id), bind_text(words[loss->kind]), bind_u64(loss->uid),
                         bind_u64(loss->losses), bind_cut(loss->error, 800));
    return rows < 0 ? -1 : 0;
}

int store_loss_set(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                   const struct store_loss *loss, struct err *err)
{
    struct setting setting = {.folder_id = folder_id, .loss = loss};
    return store_tx_fenced(store, lease, set_body, &setting, err);
}
