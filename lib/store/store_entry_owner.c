/*
 * Whose messages a mirror holds (I10), and whether its owner is on the target yet.
 */
#include "store/store_entry.h"

#include "store/store_directory_tx.h"
#include "store/store_query.h"

#define MIRROR_OF_ENTRY                                                                                      \
    "mirror m JOIN mailbox b ON b.mailbox_id = m.mailbox_id JOIN entry e ON e.route_id = m.route_id AND "    \
    "e.kind = "                                                                                              \
    "'subscriber' AND e.number = b.number AND e.gone_at IS NULL AND NOT b.removing"

/* Not while it is only being added. */
#define ON_TARGET "e.target_dn <> '' AND e.state NOT IN ('unproven', 'missing')"

static int take_owners(struct store *store, uint32_t route_id, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE " MIRROR_OF_ENTRY
                      " SET m.owner = e.identity WHERE m.route_id = ? AND m.owner = '' AND " ON_TARGET,
                      bind_u64(route_id)) < 0
               ? -1
               : 0;
}

/* The former one's messages would be the new one's: neither is he written there, nor is anything copied. */
static int stop_strangers(struct store *store, uint32_t route_id, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE " MIRROR_OF_ENTRY " SET m.waits_for_owner = 1, e.state = 'waiting', e.todo = "
                      "1, e.reason = 'its number was another "
                      "person\\'s, whose messages are still on the target' WHERE m.route_id = ? AND m.owner "
                      "<> '' AND m.owner "
                      "<> e.identity AND e.state <> 'waiting'",
                      bind_u64(route_id)) < 0
               ? -1
               : 0;
}

static int owners_body(struct store *store, void *context, struct err *err)
{
    const struct store_directory_lease *lease = context;
    return take_owners(store, lease->route_id, err) != 0 || stop_strangers(store, lease->route_id, err) != 0
               ? -1
               : 0;
}

int store_entry_owners(struct store *store, const struct store_directory_lease *lease, struct err *err)
{
    return store_directory_tx(store, lease, owners_body, (void *)(uintptr_t)lease, err);
}

int store_entry_has_former_owner(struct store *store, uint32_t route_id, const char *number,
                                 const char *identity, bool *has_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err,
                                           "SELECT 1 FROM mirror m JOIN mailbox b ON b.mailbox_id = "
                                           "m.mailbox_id WHERE m.route_id = ? AND b.number = "
                                           "? AND m.owner <> '' AND m.owner <> ?",
                                           bind_u64(route_id), bind_text(number), bind_text(identity));
    *has_out = query && store_query_next(query);
    return store_query_end(query, err);
}

/* due_at: a mirror that may go on is not to wait for the next look. */
static int release_body(struct store *store, void *context, struct err *err)
{
    const struct store_directory_lease *lease = context;
    if (take_owners(store, lease->route_id, err) != 0)
        return -1;
    if (STORE_EXEC(
            store, err,
            "UPDATE mirror m JOIN mailbox b ON b.mailbox_id = m.mailbox_id LEFT JOIN entry e ON e.route_id = "
            "m.route_id AND e.kind = 'subscriber' AND e.number = b.number AND e.gone_at IS NULL SET "
            "m.waits_for_owner "
            "= 0, m.due_at = LEAST(m.due_at, UTC_TIMESTAMP(6)) WHERE "
            "m.route_id = ? AND m.waits_for_owner AND (e.entry_id IS NULL OR (" ON_TARGET
            " AND m.owner IN ('', e.identity)))",
            bind_u64(lease->route_id)) < 0)
        return -1;
    return STORE_EXEC(store, err,
                      "UPDATE " MIRROR_OF_ENTRY " SET m.waits_for_owner = 1 WHERE m.route_id = ? AND NOT "
                      "m.waits_for_owner AND e.target_dn = ''",
                      bind_u64(lease->route_id)) < 0
               ? -1
               : 0;
}

int store_entry_release_mirrors(struct store *store, const struct store_directory_lease *lease,
                                struct err *err)
{
    return store_directory_tx(store, lease, release_body, (void *)(uintptr_t)lease, err);
}
