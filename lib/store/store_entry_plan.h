/*
 * Inside lib/store: plans of a directory's entries (kinds subscribers and cos), within a transaction under its lease. What people
 * see and decide of them is in store_plan.h; only ldapsync writes their sets.
 */
#ifndef MIRROR_STORE_STORE_ENTRY_PLAN_H
#define MIRROR_STORE_STORE_ENTRY_PLAN_H

#include "store/store_entry.h"

/* Of an entry `e`: its messages on the target are not to go, and on the real system they would with it: they are being handed
 * over, or ldapsync subscribed its mailbox, which goes on hold and is a person's to remove. */
#define STORE_ENTRY_HAS_MESSAGES                                                                             \
    "(e.kind = 'subscriber' AND EXISTS (SELECT 1 FROM mirror m JOIN mailbox b ON b.mailbox_id = "            \
    "m.mailbox_id WHERE b.number = e.number AND m.route_id = e.route_id AND m.owner = e.identity AND "       \
    "(m.handing_over OR b.followed)))"

/* Of an entry `e`: gone from production, on the target, and nobody and nothing has decided that it stays or goes. */
#define STORE_ENTRY_UNDECIDED                                                                                \
    "e.gone_at IS NOT NULL AND e.state NOT IN ('held', 'kept') AND e.target_dn <> '' AND "                   \
    "NOT " STORE_ENTRY_HAS_MESSAGES

/* All that is undecided becomes a plan. */
int store_entry_plan_hold(struct store *store, uint32_t route_id, enum store_kind kind, const char *reason,
                          struct err *err);
/* What was refused is kept; what is gone from the target without us, is removed; and plans with nothing open are over. */
int store_entry_plan_settle(struct store *store, uint32_t route_id, enum store_kind kind, struct err *err);
/* In the plan that the entry is in, if there is one. */
int store_entry_plan_outcome(struct store *store, uint64_t entry_id, const char *outcome, struct err *err);

#endif
