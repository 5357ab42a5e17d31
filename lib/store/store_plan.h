/*
 * Held plans: deletions that a brake stopped, of messages and of entries of a directory, and a production site's breaker (kind
 * "site"), as people see and decide them. Used by the API.
 */
#ifndef MIRROR_STORE_PLAN_H
#define MIRROR_STORE_PLAN_H

#include "store/store.h"

#include <stddef.h>

/* Strings valid during the callback. Ages in seconds, -1: none. */
struct store_plan {
    uint64_t plan_id;
    const char *kind;  /* "mailbox", "route": which limit; "site": the breaker; "subscribers", "cos" */
    const char *state; /* "held", "allowed" (not yet carried out), "refused", "done", "dissolved" */
    const char *site;  /* production */
    const char *route, *mailbox; /* "" for kind site; mailbox: also for those of a directory */
    const char *reason;
    const char *words;                  /* site: how it introduces itself now; else "" */
    uint32_t messages;                  /* the set's size when it was made; subscribers, cos: of entries */
    uint32_t open, removed, kept, back; /* what became of them */
    double made_age_seconds, decided_age_seconds, ended_age_seconds;
    const char *decided_by, *decision;
};

struct store_plan_filter {
    uint64_t plan_id;       /* 0: all */
    const char *mailbox;    /* NULL: all; a site's plan belongs to every mailbox on a route from it, one of
                             * subscribers to those whose subscriber is in it */
    const char *route;      /* NULL: all; a site's plan belongs to every route from it */
    bool open_only;         /* held, allowed, and refused ones of kind site */
    bool sites_only;        /* kind site */
    uint64_t after_plan_id; /* paging: those behind this one */
    uint32_t limit;         /* 0: no limit */
};
int store_plan_list(struct store *store, const struct store_plan_filter *filter,
                    void (*on_plan)(void *context, const struct store_plan *plan), void *context,
                    struct err *err);

/* What waits for a person, of all kinds but site; without what is back on production by now. */
struct store_plan_waiting {
    uint32_t plans;
    uint64_t messages, entries;
};
int store_plan_count(struct store *store, struct store_plan_waiting *waiting_out, struct err *err);

struct store_plan_message {
    uint64_t message_id;
    const char *folder;
    uint32_t source_uidvalidity, source_uid; /* 0: not known any more */
    int64_t internal_date;
    uint64_t size_bytes;
    const char *outcome; /* "open", "removed", "kept", "back" */
};
/* The set, by message_id. */
int store_plan_messages(struct store *store, uint64_t plan_id, uint64_t after_message_id, uint32_t limit,
                        void (*on_message)(void *context, const struct store_plan_message *message),
                        void *context, struct err *err);

struct store_plan_entry {
    uint64_t entry_id;
    const char *number, *name, *dn;
    const char *outcome; /* as of a message */
};
/* The same of a plan of subscribers or COS, by entry_id. */
int store_plan_entries(struct store *store, uint64_t plan_id, uint64_t after_entry_id, uint32_t limit,
                       void (*on_entry)(void *context, const struct store_plan_entry *entry), void *context,
                       struct err *err);

struct store_plan_decision {
    bool allow;
    const char *who, *reason; /* for ever on record: who decided, and why */
};
enum { STORE_PLAN_STATE_BYTES = 16 };
enum store_plan_decided {
    STORE_PLAN_DECIDED,
    STORE_PLAN_UNKNOWN, /* no such plan */
    STORE_PLAN_OVER,    /* not held any more: `state` tells */
};
/* Just this plan, once; with its line in the audit log, in one transaction. Its mirror is wanted at once: a copier carries
 * the decision out; a directory's: ldapsync does. A site's plan: allowed, its new fingerprint is accepted, its signs are forgotten, its mirrors go on;
 * refused, it stays tripped (a refused one may still be allowed). `state` (of STORE_PLAN_STATE_BYTES) is the one it has
 * now. After a COMMIT without an answer it is asked for again, and one that was carried out counts as decided. */
int store_plan_decide(struct store *store, uint64_t plan_id, const struct store_plan_decision *decision,
                      enum store_plan_decided *decided_out, char *state, struct err *err);

#endif
