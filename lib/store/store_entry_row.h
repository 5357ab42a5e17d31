/*
 * Inside lib/store: how a struct store_entry is read. `e` is the table's alias.
 */
#ifndef MIRROR_STORE_STORE_ENTRY_ROW_H
#define MIRROR_STORE_STORE_ENTRY_ROW_H

#include "store/store_entry.h"
#include "store/store_query.h"

/* `state`: an expression for it, e.state where it is as the table has it. */
#define STORE_ENTRY_ROW_WITH(state)                                                                          \
    "e.entry_id, e.kind, e.identity, e.number, e.name, e.cos, e.source_dn, e.target_dn, " state              \
    ", EXISTS (SELECT 1 FROM entry_attribute a WHERE a.entry_id = e.entry_id), NOT EXISTS (SELECT 1 FROM "   \
    "listed t FORCE INDEX (number) WHERE t.route_id = e.route_id AND t.side = 'target' AND t.kind = e.kind " \
    "AND t.number = "                                                                                        \
    "e.number AND t.dn <> e.target_dn) AND NOT EXISTS (SELECT 1 FROM mirror m JOIN mailbox b ON "            \
    "b.mailbox_id = m.mailbox_id WHERE m.route_id = e.route_id AND b.number = e.number AND m.owner <> '' "   \
    "AND m.owner <> e.identity), (SELECT p.digest FROM listed p FORCE INDEX (PRIMARY) WHERE p.route_id = "   \
    "e.route_id AND p.side = "                                                                               \
    "'production' AND p.kind = e.kind AND p.dn = e.source_dn)"
#define STORE_ENTRY_ROW STORE_ENTRY_ROW_WITH("e.state")

/* An entry that is equal is proven anew by each whole comparison of the directory `d`, without being written. NULL: never was. */
#define STORE_ENTRY_PROVEN_AT                                                                                \
    "IF(e.state = 'equal' AND e.gone_at IS NULL AND d.compared_at > e.proven_at, d.compared_at, "            \
    "e.proven_at)"

void store_entry_row_read(struct store_query *query, struct store_entry *entry);
/* As many as the query's LIMIT says; frees it. How many, or -1. */
int store_entry_row_read_all(struct store_query *query, struct store_entry *entries_out, struct err *err);

#endif
