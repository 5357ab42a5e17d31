/*
 * Folders of a mirror, and the copier's batch commit. All writing is fenced (store_tx.h). The bodies may run again after a
 * conflict, so new ids are kept aside and given out only when the transaction is through.
 */
#include "store/store_folder.h"

#include "base/str.h"
#include "store/store_message.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <stdlib.h>

enum { NAME_MAX_BYTES = 1000 };

/* ---- reading ---- */

void store_folder_list_free(struct store_folder *folders, size_t count)
{
    for (size_t i = 0; folders && i < count; i++) {
        free(folders[i].name);
        free(folders[i].target_name);
    }
    free(folders);
}

static void read_source_marks(struct store_query *query, struct store_folder_marks *marks)
{
    marks->has_source = !store_query_is_null(query);
    marks->source_uidvalidity = store_query_u32(query);
    marks->has_source = !store_query_is_null(query) && marks->has_source;
    marks->source_uidnext = store_query_u32(query);
    marks->has_source = !store_query_is_null(query) && marks->has_source;
    marks->source_exists = store_query_u32(query);
    marks->source_unseen = store_query_u32(query);
    marks->has_source_modseq = !store_query_is_null(query);
    marks->source_highestmodseq = store_query_u64(query);
    marks->has_flags_digest = store_query_bytes(query, marks->source_flags_digest, DIGEST_BYTES);
}

static void read_target_marks(struct store_query *query, struct store_folder_marks *marks)
{
    marks->has_target = !store_query_is_null(query);
    marks->target_uidvalidity = store_query_u32(query);
    marks->has_target = !store_query_is_null(query) && marks->has_target;
    marks->target_uidnext = store_query_u32(query);
    marks->has_target = !store_query_is_null(query) && marks->has_target;
    marks->target_exists = store_query_u32(query);
    marks->has_target_modseq = !store_query_is_null(query);
    marks->target_highestmodseq = store_query_u64(query);
}

static void read_folder(struct store_query *query, struct store_folder *folder)
{
    *folder = (struct store_folder){.folder_id = store_query_u64(query)};
    folder->name = str_copy(store_query_text(query));
    folder->target_name = str_copy(store_query_text(query));
    read_source_marks(query, &folder->marks);
    read_target_marks(query, &folder->marks);
    folder->source_gone = !store_query_is_null(query);
    folder->gone_seconds = store_query_real_or(query, 0);
    folder->made_by_us = store_query_bool(query);
    folder->marks.withheld_messages = store_query_u32(query);
    folder->foreign_messages = store_query_u32(query);
    folder->open_intents = store_query_u32(query);
    folder->ghosts = store_query_u32(query);
}

int store_folder_list(struct store *store, uint64_t mirror_id, struct store_folder **folders_out,
                      size_t *count_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT f.folder_id, f.name, f.target_name, f.source_uidvalidity, f.source_uidnext, f.source_exists, "
        "f.source_unseen, f.source_highestmodseq, f.source_flags_digest, f.target_uidvalidity, "
        "f.target_uidnext, "
        "f.target_exists, f.target_highestmodseq, "
        "TIMESTAMPDIFF(MICROSECOND, f.source_gone_at, UTC_TIMESTAMP(6)) / 1000000.0, f.made_by_us, "
        "f.withheld_messages, "
        "f.foreign_messages, "
        "(SELECT COUNT(*) FROM intent i WHERE i.folder_id = f.folder_id AND i.state = 'open'), "
        "(SELECT COUNT(*) FROM intent i WHERE i.folder_id = f.folder_id AND i.state = 'ghost') "
        "FROM folder f WHERE f.mirror_id = ? ORDER BY f.name",
        bind_u64(mirror_id));
    struct store_folder *folders = NULL;
    size_t count = 0;
    if (query)
        folders = mem_new((store_query_count(query) + 1) * sizeof(*folders));
    while (query && store_query_next(query))
        read_folder(query, &folders[count++]);
    if (store_query_end(query, err)) {
        store_folder_list_free(folders, count);
        return -1;
    }
    *folders_out = folders;
    *count_out = count;
    return 0;
}

/* ---- the folder's row ---- */

struct naming {
    const struct store_lease *lease;
    uint64_t folder_id; /* add: out */
    const char *name, *target_name;
};

static int check_names(const char *name, const char *target_name, struct err *err)
{
    if (strlen(name) <= NAME_MAX_BYTES && strlen(target_name) <= NAME_MAX_BYTES)
        return 0;
    return err_set(err, ERR_FOLDER, ERR_RETRY_NEVER, "the folder's name has over %d bytes: %.80s...",
                   NAME_MAX_BYTES, name);
}

static int add_body(struct store *store, void *context, struct err *err)
{
    struct naming *naming = context;
    struct store_query *query =
        STORE_ROWS(store, err, "SELECT folder_id FROM folder WHERE mirror_id = ? AND name = ?",
                   bind_u64(naming->lease->mirror_id), bind_text(naming->name));
    naming->folder_id = query && store_query_next(query) ? store_query_u64(query) : 0;
    if (store_query_end(query, err))
        return -1;
    if (naming->folder_id)
        return 0;
    if (STORE_EXEC(store, err, "INSERT INTO folder (mirror_id, name, target_name) VALUES (?, ?, ?)",
                   bind_u64(naming->lease->mirror_id), bind_text(naming->name),
                   bind_text(naming->target_name)) < 0)
        return -1;
    naming->folder_id = store_query_insert_id(store);
    return 0;
}

int store_folder_add(struct store *store, const struct store_lease *lease, const char *name,
                     const char *target_name, uint64_t *folder_id_out, struct err *err)
{
    struct naming naming = {.lease = lease, .name = name, .target_name = target_name};
    if (check_names(name, target_name, err) || store_tx_fenced(store, lease, add_body, &naming, err))
        return -1;
    *folder_id_out = naming.folder_id;
    return 0;
}

static int rename_body(struct store *store, void *context, struct err *err)
{
    const struct naming *naming = context;
    return STORE_EXEC(store, err,
                      "UPDATE folder SET name = ?, target_name = ? WHERE folder_id = ? AND mirror_id = ?",
                      bind_text(naming->name), bind_text(naming->target_name), bind_u64(naming->folder_id),
                      bind_u64(naming->lease->mirror_id)) < 0
               ? -1
               : 0;
}

int store_folder_rename(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                        const char *name, const char *target_name, struct err *err)
{
    struct naming naming = {.lease = lease, .folder_id = folder_id, .name = name, .target_name = target_name};
    if (check_names(name, target_name, err))
        return -1;
    return store_tx_fenced(store, lease, rename_body, &naming, err);
}

struct marking {
    const struct store_lease *lease;
    uint64_t folder_id;
    const struct store_folder_marks *marks;
    uint32_t foreign_messages;
};

static int marks_body(struct store *store, void *context, struct err *err)
{
    const struct marking *marking = context;
    const struct store_folder_marks *m = marking->marks;
    int64_t rows = STORE_EXEC(
        store, err,
        "UPDATE folder SET source_uidvalidity = ?, source_uidnext = ?, source_exists = ?, source_unseen = ?, "
        "source_highestmodseq = ?, source_flags_digest = ?, target_uidvalidity = ?, target_uidnext = ?, "
        "target_exists = ?, target_highestmodseq = ?, withheld_messages = ?, foreign_messages = ? WHERE "
        "folder_id = ? AND mirror_id "
        "= ?",
        bind_u64_if(m->source_uidvalidity != 0, m->source_uidvalidity),
        bind_u64_if(m->has_source, m->source_uidnext), bind_u64_if(m->has_source, m->source_exists),
        bind_u64_if(m->has_source, m->source_unseen),
        bind_u64_if(m->has_source_modseq, m->source_highestmodseq),
        bind_bytes_if(m->has_flags_digest, m->source_flags_digest, DIGEST_BYTES),
        bind_u64_if(m->target_uidvalidity != 0, m->target_uidvalidity),
        bind_u64_if(m->has_target, m->target_uidnext), bind_u64_if(m->has_target, m->target_exists),
        bind_u64_if(m->has_target_modseq, m->target_highestmodseq), bind_u64(m->withheld_messages),
        bind_u64(marking->foreign_messages), bind_u64(marking->folder_id),
        bind_u64(marking->lease->mirror_id));
    return rows < 0 ? -1 : 0;
}

int store_folder_set_marks(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                           const struct store_folder_marks *marks, uint32_t foreign_messages, struct err *err)
{
    struct marking marking = {
        .lease = lease, .folder_id = folder_id, .marks = marks, .foreign_messages = foreign_messages};
    return store_tx_fenced(store, lease, marks_body, &marking, err);
}

struct parting {
    const struct store_lease *lease;
    uint64_t folder_id;
    bool gone;            /* set_gone */
    enum store_side side; /* forget_uids */
    uint32_t uidvalidity;
};

/* What is not there again was not looked for meanwhile: its second look begins anew. */
static const char gone_with_folder[] = "UPDATE message SET source_gone_at = UTC_TIMESTAMP(6) "
                                       "WHERE folder_id = ? AND source_gone_at IS NULL";
static const char back_with_folder[] =
    "UPDATE message SET source_gone_at = UTC_TIMESTAMP(6) "
    "WHERE folder_id = ? AND source_gone_at IS NOT NULL AND removal = 'none'";

static int gone_body(struct store *store, void *context, struct err *err)
{
    const struct parting *parting = context;
    if (STORE_EXEC(
            store, err,
            "UPDATE folder SET source_gone_at = IF(?, COALESCE(source_gone_at, UTC_TIMESTAMP(6)), NULL) "
            "WHERE folder_id = ? AND mirror_id = ?",
            bind_bool(parting->gone), bind_u64(parting->folder_id), bind_u64(parting->lease->mirror_id)) < 0)
        return -1;
    return STORE_EXEC(store, err, parting->gone ? gone_with_folder : back_with_folder,
                      bind_u64(parting->folder_id)) < 0
               ? -1
               : 0;
}

static int made_body(struct store *store, void *context, struct err *err)
{
    const struct parting *parting = context;
    return STORE_EXEC(store, err, "UPDATE folder SET made_by_us = 1 WHERE folder_id = ? AND mirror_id = ?",
                      bind_u64(parting->folder_id), bind_u64(parting->lease->mirror_id)) < 0
               ? -1
               : 0;
}

int store_folder_set_made(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                          struct err *err)
{
    struct parting parting = {.lease = lease, .folder_id = folder_id};
    return store_tx_fenced(store, lease, made_body, &parting, err);
}

int store_folder_set_gone(struct store *store, const struct store_lease *lease, uint64_t folder_id, bool gone,
                          struct err *err)
{
    struct parting parting = {.lease = lease, .folder_id = folder_id, .gone = gone};
    return store_tx_fenced(store, lease, gone_body, &parting, err);
}

static int forget_side(struct store *store, const struct parting *parting, const char *forget_marks,
                       const char *forget_uids, struct err *err)
{
    if (STORE_EXEC(store, err, "DELETE FROM loss WHERE folder_id = ? AND (kind = 'target') = ?",
                   bind_u64(parting->folder_id), bind_bool(parting->side == STORE_TARGET)) < 0)
        return -1;
    if (STORE_EXEC(store, err, forget_marks, bind_u64(parting->uidvalidity), bind_u64(parting->folder_id),
                   bind_u64(parting->lease->mirror_id)) < 0)
        return -1;
    return STORE_EXEC(store, err, forget_uids, bind_u64(parting->folder_id)) < 0 ? -1 : 0;
}

/* Proven under another UIDVALIDITY, it counts no more: the clock of what is gone starts again, and plans lose it. */
static int doubt_gone(struct store *store, const struct parting *parting, struct err *err)
{
    if (STORE_EXEC(
            store, err,
            "UPDATE plan_message p JOIN message g ON g.message_id = p.message_id "
            "SET p.outcome = 'back' WHERE g.folder_id = ? AND g.removal = 'held' AND p.outcome = 'open'",
            bind_u64(parting->folder_id)) < 0)
        return -1;
    return STORE_EXEC(store, err,
                      "UPDATE message SET source_gone_at = UTC_TIMESTAMP(6), "
                      "plan_id = IF(removal = 'held', NULL, plan_id), "
                      "removal = IF(removal = 'held', 'none', removal) "
                      "WHERE folder_id = ? AND source_gone_at IS NOT NULL AND removal <> 'kept'",
                      bind_u64(parting->folder_id)) < 0
               ? -1
               : 0;
}

static int forget_body(struct store *store, void *context, struct err *err)
{
    const struct parting *parting = context;
    if (parting->side == STORE_SOURCE && doubt_gone(store, parting, err))
        return -1;
    if (parting->side == STORE_SOURCE)
        return forget_side(
            store, parting,
            "UPDATE folder SET source_uidvalidity = ?, source_uidnext = NULL, source_exists = NULL, "
            "source_unseen = NULL, source_highestmodseq = NULL, source_flags_digest = NULL "
            "WHERE folder_id = ? AND mirror_id = ?",
            "UPDATE message SET source_uid = NULL WHERE folder_id = ? AND source_uid IS NOT NULL", err);
    return forget_side(
        store, parting,
        "UPDATE folder SET target_uidvalidity = ?, target_uidnext = NULL, target_exists = NULL, "
        "target_highestmodseq = NULL WHERE folder_id = ? AND mirror_id = ?",
        "UPDATE message SET target_uid = NULL WHERE folder_id = ? AND target_uid IS NOT NULL", err);
}

int store_folder_forget_uids(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                             enum store_side side, uint32_t uidvalidity, struct err *err)
{
    struct parting parting = {
        .lease = lease, .folder_id = folder_id, .side = side, .uidvalidity = uidvalidity};
    return store_tx_fenced(store, lease, forget_body, &parting, err);
}

/* ---- the batch ---- */

struct committing {
    const struct store_lease *lease;
    const struct store_change *change;
    uint64_t *new_ids;
};

/* The epoch guards the mirror; this guards that the folder is one of it. */
static int check_folder(struct store *store, const struct committing *committing, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err, "SELECT 1 FROM folder WHERE folder_id = ? AND mirror_id = ?",
                   bind_u64(committing->change->folder_id), bind_u64(committing->lease->mirror_id));
    bool there = query && store_query_next(query);
    if (store_query_end(query, err))
        return -1;
    if (there)
        return 0;
    return err_set(err, ERR_MAILBOX, ERR_RETRY_LATER, "store: folder %llu is not one of mirror %llu",
                   (unsigned long long)committing->change->folder_id,
                   (unsigned long long)committing->lease->mirror_id);
}

static int add_copied(struct store *store, const struct committing *committing, struct err *err)
{
    if (committing->change->copied_messages == 0)
        return 0;
    return STORE_EXEC(
               store, err,
               "UPDATE mirror SET copied_messages = copied_messages + ?, copied_bytes = copied_bytes + ? "
               "WHERE mirror_id = ?",
               bind_u64(committing->change->copied_messages), bind_u64(committing->change->copied_bytes),
               bind_u64(committing->lease->mirror_id)) < 0
               ? -1
               : 0;
}

static int commit_body(struct store *store, void *context, struct err *err)
{
    const struct committing *committing = context;
    if (check_folder(store, committing, err) || add_copied(store, committing, err) ||
        store_message_write(store, committing->change, committing->new_ids, err))
        return -1;
    return store_intent_settle(store, committing->change, err);
}

int store_folder_commit(struct store *store, const struct store_lease *lease,
                        const struct store_change *change, struct err *err)
{
    struct committing committing = {.lease = lease, .change = change};
    committing.new_ids = mem_new((change->message_count + 1) * sizeof(*committing.new_ids));
    int result = store_tx_fenced(store, lease, commit_body, &committing, err);
    for (size_t i = 0; !result && i < change->message_count; i++)
        if (!change->messages[i].message_id)
            change->messages[i].message_id = committing.new_ids[i];
    free(committing.new_ids);
    return result;
}
