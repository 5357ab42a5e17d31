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

/* Not while it is only being added, nor while it is on the target under another number. */
#define ON_TARGET                                                                                            \
    "e.target_dn <> '' AND e.state NOT IN ('unproven', 'missing') AND EXISTS (SELECT 1 FROM listed l WHERE " \
    "l.route_id = e.route_id AND l.side = 'target' AND l.kind = e.kind AND l.dn = e.target_dn AND l.number " \
    "= e.number)"
#define STRANGER "m.route_id = ? AND m.owner <> '' AND m.owner <> e.identity"
/* One who only has the same number as the former one, who is still there, is a mistake on production. */
#define FORMER_IS_GONE                                                                                       \
    "NOT EXISTS (SELECT 1 FROM entry f WHERE f.route_id = m.route_id AND f.kind = 'subscriber' AND "         \
    "f.identity = m.owner AND f.number = b.number AND f.gone_at IS NULL)"
#define NEW_STRANGER "NOT m.handing_over AND " FORMER_IS_GONE " AND " STRANGER
/* More within an hour, and more than this share of all: production was rather rebuilt, with other identities. */
enum { STRANGERS_MANY = 20, STRANGERS_SHARE_PERCENT = 20 };
#define FORMER "its number was another person\\'s, whose messages are still on the target"

struct owning {
    const struct store_directory_lease *lease;
    const char *id_attribute;
    uint32_t new_strangers, lately, mirrors;
};

static int take_owners(struct store *store, uint32_t route_id, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE " MIRROR_OF_ENTRY
                      " SET m.owner = e.identity WHERE m.route_id = ? AND m.owner = '' AND " ON_TARGET,
                      bind_u64(route_id)) < 0
               ? -1
               : 0;
}

/* Told by another attribute, everybody would be another person. */
static int forget_owners_of_old(struct store *store, const struct owning *owning, struct err *err)
{
    uint32_t route_id = owning->lease->route_id;
    int64_t changed = STORE_EXEC(
        store, err, "UPDATE directory SET id_attribute = ? WHERE route_id = ? AND id_attribute <> ?",
        bind_text(owning->id_attribute), bind_u64(route_id), bind_text(owning->id_attribute));
    if (changed <= 0)
        return (int)changed;
    return STORE_EXEC(store, err, "UPDATE mirror SET owner = '' WHERE route_id = ? AND NOT handing_over",
                      bind_u64(route_id)) < 0
               ? -1
               : 0;
}

/* With those of the last hour, unless a person has decided about production since. */
#define LATELY                                                                                               \
    "SELECT COUNT(*) FROM handover h JOIN route r ON r.route_id = h.route_id WHERE h.route_id = ? AND "      \
    "h.begun_at > UTC_TIMESTAMP(6) - INTERVAL 60 MINUTE AND h.begun_at > COALESCE((SELECT "                  \
    "MAX(p.decided_at) FROM plan p WHERE p.site_id = r.from_site_id AND p.kind = 'site'), '1970-01-01')"

static int count_strangers(struct store *store, struct owning *owning, struct err *err)
{
    uint64_t route_id = owning->lease->route_id;
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT (SELECT COUNT(*) FROM " MIRROR_OF_ENTRY " WHERE " NEW_STRANGER "), (" LATELY
                   "), (SELECT COUNT(*) FROM mirror WHERE route_id = ?)",
                   bind_u64(route_id), bind_u64(route_id), bind_u64(route_id));
    if (query && store_query_next(query)) {
        owning->new_strangers = store_query_u32(query);
        owning->lately = store_query_u32(query);
        owning->mirrors = store_query_u32(query);
    }
    return store_query_end(query, err);
}

/* The former one's messages would be the new one's: neither is he written there, nor is anything copied. */
static int stop_strangers(struct store *store, uint32_t route_id, struct err *err)
{
    if (STORE_EXEC(
            store, err,
            "UPDATE " MIRROR_OF_ENTRY
            " SET m.waits_for_owner = 1, m.handing_over = 1, m.due_at = UTC_TIMESTAMP(6), m.priority = "
            "LEAST(m.priority, 1) WHERE " NEW_STRANGER,
            bind_u64(route_id)) < 0)
        return -1;
    return STORE_EXEC(store, err,
                      "UPDATE " MIRROR_OF_ENTRY " SET e.state = 'waiting', e.todo = 1, e.reason = '" FORMER
                      "' WHERE e.state <> 'waiting' AND " STRANGER,
                      bind_u64(route_id)) < 0
               ? -1
               : 0;
}

/* A number that went back to its owner before it was handed over. */
static int let_back(struct store *store, uint32_t route_id, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE " MIRROR_OF_ENTRY
                      " SET m.handing_over = 0, m.wanted_seq = m.wanted_seq + 1, m.recheck_target_at = "
                      "UTC_TIMESTAMP(6) WHERE m.route_id = ? AND m.handing_over AND m.owner = e.identity",
                      bind_u64(route_id)) < 0
               ? -1
               : 0;
}

static int tell_body(struct store *store, void *context, struct err *err)
{
    struct owning *owning = context;
    return forget_owners_of_old(store, owning, err) != 0 ||
                   take_owners(store, owning->lease->route_id, err) != 0
               ? -1
               : count_strangers(store, owning, err);
}

int store_entry_tell_owners(struct store *store, const struct store_directory_lease *lease,
                            const char *id_attribute, struct store_entry_strangers *strangers_out,
                            struct err *err)
{
    struct owning owning = {.lease = lease, .id_attribute = id_attribute};
    if (store_directory_tx(store, lease, tell_body, &owning, err) != 0)
        return -1;
    uint64_t all = (uint64_t)owning.new_strangers + owning.lately;
    *strangers_out = (struct store_entry_strangers){
        .count = owning.new_strangers,
        .lately = owning.lately,
        .mirrors = owning.mirrors,
        .production_in_doubt = owning.new_strangers > 0 && all > STRANGERS_MANY &&
                               all * 100 > (uint64_t)owning.mirrors * STRANGERS_SHARE_PERCENT};
    return 0;
}

static int hand_over_body(struct store *store, void *context, struct err *err)
{
    const struct store_directory_lease *lease = context;
    return stop_strangers(store, lease->route_id, err) != 0 ? -1 : let_back(store, lease->route_id, err);
}

int store_entry_hand_over(struct store *store, const struct store_directory_lease *lease, struct err *err)
{
    return store_directory_tx(store, lease, hand_over_body, (void *)(uintptr_t)lease, err);
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

/* A number that no entry has is nobody's; but only where all numbers were told. */
#define LISTED_ONCE                                                                                          \
    "EXISTS (SELECT 1 FROM directory d WHERE d.route_id = m.route_id AND d.listed_at IS NOT NULL)"

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
            "m.route_id = ? AND m.waits_for_owner AND ((e.entry_id IS NULL AND " LISTED_ONCE
            ") OR (" ON_TARGET " AND m.owner IN ('', e.identity)))",
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

static int let_go_body(struct store *store, void *context, struct err *err)
{
    const struct store_directory_lease *lease = context;
    return STORE_EXEC(store, err,
                      "UPDATE mirror SET waits_for_owner = 0 WHERE route_id = ? AND NOT handing_over",
                      bind_u64(lease->route_id)) < 0
               ? -1
               : 0;
}

int store_entry_let_mirrors_go(struct store *store, const struct store_directory_lease *lease,
                               struct err *err)
{
    return store_directory_tx(store, lease, let_go_body, (void *)(uintptr_t)lease, err);
}
