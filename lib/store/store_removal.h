/*
 * What is gone from production, and the removal of its copies (I5, I6): listed, judged by the brakes, begun, ended. All
 * written by the copier that holds the lease; each writing function is one fenced transaction.
 *
 *   gone (source_gone_at) --brakes--> begun --EXPUNGE--> the row is dropped
 *                             \-----> held, in a plan --allowed, proven again--> begun
 *                                              \------refused--> kept
 *
 * A row that is on production again is none of these any more: store_folder_commit() and store_removal_back() see to it.
 */
#ifndef MIRROR_STORE_REMOVAL_H
#define MIRROR_STORE_REMOVAL_H

#include "store/store_brake.h"
#include "store/store_folder.h"

/* One message that is gone from production. */
struct store_gone {
    uint64_t message_id, folder_id;
    uint32_t source_uid; /* 0: not known since UIDVALIDITY changed */
    uint32_t target_uid; /* 0: no copy */
    int64_t internal_date;
    uint64_t copy_bytes; /* its size as the target has it */
    bool altered;        /* the target keeps a date or size of its own */
    enum store_removal removal;
    bool allowed;        /* held, and its plan is allowed now */
    double gone_seconds; /* since it was first seen gone, by the database's clock */
};

/* All of the mirror, by folder_id and target_uid. Free with free(). */
int store_removal_list(struct store *store, uint64_t mirror_id, struct store_gone **gone_out,
                       size_t *count_out, struct err *err);

/* Production's UIDs of all rows of the folder that are there, ascending. Free with free(). */
int store_removal_present(struct store *store, uint64_t folder_id, uint32_t **uids_out, size_t *count_out,
                          struct err *err);

/* Target UIDs of all rows of the folder, ascending. Free with free(). */
int store_removal_mirrored(struct store *store, uint64_t folder_id, uint32_t **uids_out, size_t *count_out,
                           struct err *err);

/* Found on production after all. */
int store_removal_back(struct store *store, const struct store_lease *lease, const uint64_t *message_ids,
                       size_t count, struct err *err);

struct store_removal_request {
    const struct config_route *route;
    const uint64_t *greeting_folders; /* folder_ids */
    size_t greeting_folder_count;
    const uint64_t *proven; /* message_ids with a copy and without a plan, proven gone: they may go */
    size_t proven_count;
};

enum store_removal_verdict {
    STORE_REMOVAL_GO,     /* the proven ones are begun */
    STORE_REMOVAL_HELD,   /* all that is gone and undecided became a plan */
    STORE_REMOVAL_TRIPPED /* the site's breaker: nothing is decided */
};

struct store_removal_answer {
    enum store_removal_verdict verdict;
    uint64_t plan_id;
    uint32_t held;
    char reason[STORE_BRAKE_REASON_BYTES];
};

/* Asks the brakes, under a lock of the route's row, and acts on the verdict in the same transaction. To be called when
 * anything is gone and undecided, also if nothing is proven yet: a disaster is held at its first look. */
int store_removal_ask(struct store *store, const struct store_lease *lease,
                      const struct store_removal_request *request, struct store_removal_answer *answer_out,
                      struct err *err);

/* Rows of allowed plans, proven again, are begun. *begun_out is false if the breaker was tripped meanwhile. */
int store_removal_begin_allowed(struct store *store, const struct store_lease *lease,
                                const uint64_t *message_ids, size_t count, bool *begun_out, struct err *err);

/* Before EXPUNGE: the target's marks of the folder count no more until its next listing. Should we die over it, all flags
 * are compared then. */
int store_removal_doubt_target(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                               struct err *err);

/* They are gone from the target, or never had a copy there: the rows are dropped. */
int store_removal_end(struct store *store, const struct store_lease *lease, const uint64_t *message_ids,
                      size_t count, struct err *err);
/* Likewise, but their copies stay: nobody can tell any more which they are, or they are another folder's by now. */
int store_removal_leave(struct store *store, const struct store_lease *lease, const uint64_t *message_ids,
                        size_t count, struct err *err);
/* Their target UIDs name other messages by now: forgotten, to be found again by the folder's next listing. What was begun is
 * judged again then; what a plan allowed stays allowed. */
int store_removal_lost_sight(struct store *store, const struct store_lease *lease,
                             const uint64_t *message_ids, size_t count, struct err *err);

/* Decisions and ends of the mirror's plans: rows of refused ones are kept; a plan without an open message is done or
 * dissolved. */
int store_removal_settle_plans(struct store *store, const struct store_lease *lease, struct err *err);

/* Is no message of the folder recorded? */
int store_removal_is_empty(struct store *store, uint64_t folder_id, bool *empty_out, struct err *err);

/* A folder that is gone from production, with its rows gone: its own row. Nothing happens (false) if anything of it is
 * still recorded. */
int store_removal_drop_folder(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                              bool *dropped_out, struct err *err);

/* ---- scanner ---- */
/* Removals that no window reaches back to any more go from the journal, a few at a time. */
int store_removal_tidy(struct store *store, struct err *err);

#endif
