/*
 * Flags and keywords of what is mirrored, made as production's: only +FLAGS and -FLAGS, against what was last written,
 * so that keywords which others set on the target stay. System flags are production's whoever changed them. A flag that
 * the target does not keep is remembered by name and not written again and again.
 */
#ifndef MIRROR_COPIER_MARKS_H
#define MIRROR_COPIER_MARKS_H

#include "copier/pass.h"

/* Reads size, date and flags of what this pass appended: what the target altered is recorded, and a flag that APPEND did
 * not set is left to marks_sync(). */
int marks_see_appended(struct pass *pass, struct err *err);

int marks_sync(struct pass *pass, struct err *err);

/* Reads back the flags of what marks_sync() marked: what the target does not keep is recorded as refused. */
int marks_read_back(struct pass *pass, struct err *err);

/* What is to be done for one message. Pure; caller fini's the three. */
struct marks_plan {
    struct imap_flags written; /* what counts as ours on the target now */
    struct imap_flags add, remove;
};
/* `actual`: flags on the target as listed, NULL if not listed. */
void marks_decide(const struct imap_flags *wanted, const char *flags_written, const char *flags_refused,
                  const struct imap_flags *actual, struct marks_plan *plan_out);
void marks_plan_fini(struct marks_plan *plan);

#endif
