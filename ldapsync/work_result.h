/*
 * How the work on an entry ended: for the store (work->result, recorded by results.h), or in a dry run, into the list of
 * differences.
 */
#ifndef MIRROR_LDAPSYNC_WORK_RESULT_H
#define MIRROR_LDAPSYNC_WORK_RESULT_H

#include "ldapsync/work.h"

/* Ends the work with this state; `reason` NULL: none. `retry`: by itself, later. */
int work_result(struct work *work, enum store_entry_state state, const char *reason, bool retry,
                struct err *err);
/* Of a side's entry, once while it stays so. */
void work_result_digest(const struct work *work, struct work_digest *digest, const struct entry *entry);
/* Nothing is left to write: equal, but for what the target is known to alter or to refuse. */
int work_result_settled(struct work *work, struct err *err);
/* The dry run's line of this change. */
int work_result_difference(struct work *work, const char *action, const char *reason, struct err *err);

#endif
