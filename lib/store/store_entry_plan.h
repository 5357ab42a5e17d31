/*
 * Inside lib/store: plans of a directory's entries (kinds subscribers and cos), within a transaction under its lease. What people
 * see and decide of them is in store_plan.h; only ldapsync writes their sets.
 */
#ifndef MIRROR_STORE_STORE_ENTRY_PLAN_H
#define MIRROR_STORE_STORE_ENTRY_PLAN_H

#include "store/store_entry.h"

/* Of an entry `e`: gone from production, on the target, and in no plan that holds it or was refused. */
#define STORE_ENTRY_UNDECIDED                                                                                \
    "e.gone_at IS NOT NULL AND e.state NOT IN ('held', 'kept') AND e.target_dn <> ''"

/* All that is undecided becomes a plan. */
int store_entry_plan_hold(struct store *store, uint32_t route_id, enum store_kind kind, const char *reason,
                          struct err *err);
/* What was refused is kept; what is gone from the target without us, is removed; and plans with nothing open are over. */
int store_entry_plan_settle(struct store *store, uint32_t route_id, enum store_kind kind, struct err *err);
/* In the plan that the entry is in, if there is one. */
int store_entry_plan_outcome(struct store *store, uint64_t entry_id, const char *outcome, struct err *err);

#endif
