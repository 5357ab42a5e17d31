/*
 * Subscribed mailboxes and what people ask about them: used by the API only.
 */
#ifndef MIRROR_STORE_MAILBOX_H
#define MIRROR_STORE_MAILBOX_H

#include "store/store.h"

#include <stddef.h>

struct store_mailbox {
    char number[65];
    char name[257];
    char cos[33];
    uint32_t priority; /* 1..8 */
    bool followed;     /* by ldapsync: a mailbox that a person subscribed is left as it is */
};

enum store_added { STORE_ADDED, STORE_ADDED_CHANGED, STORE_ADDED_UNCHANGED };

/* Subscribes on these routes (all configured ones if route_count is 0): rows of mailbox, look and mirror in one
 * transaction. A mailbox already there gets its name, cos, priority and further routes. Where a route has a directory, its
 * mirror waits until ldapsync has looked whether the subscriber is on the target. */
int store_mailbox_add(struct store *store, const struct store_mailbox *mailbox, const char *const *routes,
                      size_t route_count, enum store_added *added_out, struct err *err);
/* Removes mirrors and everything recorded of them; copies on the targets stay. *found_out. A mirror that is leased is
 * fenced by that: its copier loses the lease. */
int store_mailbox_remove(struct store *store, const char *number, bool *found_out, struct err *err);
/* The same, but copiers remove the copies from the targets first: the mailbox is `removing` until the last of its mirrors
 * is done (store_mirror_forget()). Adding it again meanwhile takes that back. */
int store_mailbox_remove_with_copies(struct store *store, const char *number, bool *found_out,
                                     struct err *err);

/* One mirror as `status`, `list`, `show` and `why` print it. Strings valid during the callback. Ages in seconds, -1:
 * none. */
struct store_mirror_status {
    uint64_t mirror_id;
    const char *mailbox, *name, *cos, *route;
    uint32_t priority;
    bool equal, paused, removing, working, wanted, verify_wanted;
    uint64_t wanted_seq, done_seq, verify_wanted_seq, verify_done_seq;
    uint32_t source_messages, target_messages, missing_messages, refused_messages, altered_messages,
        gone_messages;                     /* gone from production: their copies go after the second look */
    uint32_t held_messages, kept_messages; /* gone too, but in an open plan; in one that a person refused */
    uint32_t withheld_messages;            /* their flags are not written: the breaker */
    uint32_t waiting_messages;             /* of gone: begun, but others' messages are in the way */
    uint32_t foreign_messages, late_messages, gone_folders;
    uint64_t copied_messages, copied_bytes;
    const char *refused_keywords;
    const char *doing_owner; /* lease owner, or "" */
    double lag_seconds;      /* age of behind_since; 0: nothing is known to be missing */
    double proven_age_seconds;
    double next_try_seconds; /* until; -1: none */
    const char *error, *error_scope, *error_side;
    double error_age_seconds, error_since_seconds;
    const char *look_error;
    double look_error_age_seconds;
    double verified_age_seconds;
    int64_t verify_differences; /* -1: never verified */
    const char *verify_report;
    const char *from_site, *to_site;
    double deletion_due_seconds; /* until the second look; -1: none is due */
    uint64_t held_plan;          /* the oldest that holds some of its messages; 0: none */
    uint32_t held_plans;
    const char *held_reason; /* of that one */
    uint64_t kept_plan;      /* the newest that was refused; 0: none */
    const char *kept_by;
    uint64_t breaker_plan; /* stops deletions and overwriting on all routes from its production; 0: none */
    bool breaker_refused;
    const char *from_login_state, *to_login_state, *from_error, *to_error;
    bool waits_for_owner;         /* not copied yet: its subscriber is not on the target */
    bool followed;                /* subscribed by ldapsync */
    double on_hold_seconds;       /* since when it is on hold (store_follow.h); -1: it is not */
    bool handing_over;            /* its number is another person's (store_handover.h) */
    struct {                      /* the last time it was, if ever */
        const char *host, *place; /* "": never */
        uint32_t messages;
        double done_seconds; /* -1: not done */
    } handover;
    const char *subscriber_state, *subscriber_reason,
        *subscriber_attributes; /* as the directory knows him; "" */
};
struct store_status_filter {
    const char *mailbox;       /* NULL: all */
    const char *route;         /* NULL: all */
    const char *after_mailbox; /* paging: mailboxes behind this one; NULL from the start */
    uint32_t limit;            /* 0: no limit */
};
int store_mailbox_status(struct store *store, const struct store_status_filter *filter,
                         void (*on_mirror)(void *context, const struct store_mirror_status *mirror),
                         void *context, struct err *err);

/* The folders of a mailbox's mirrors, with counts, for `show`. */
struct store_folder_status {
    const char *route, *name, *target_name;
    uint32_t messages, refused, altered, lost, gone, foreign_messages;
    bool gone_folder;
};
int store_mailbox_folders(struct store *store, const char *mailbox,
                          void (*on_folder)(void *context, const struct store_folder_status *folder),
                          void *context, struct err *err);
/* Messages that cannot be mirrored, or are altered or lost, for `why`: at most `limit`. */
struct store_trouble {
    const char *route, *folder, *state, *error;
    uint32_t source_uid;
    uint64_t size_bytes;
    int64_t internal_date;
};
int store_mailbox_troubles(struct store *store, const char *mailbox, uint32_t limit,
                           void (*on_trouble)(void *context, const struct store_trouble *trouble),
                           void *context, struct err *err);

/* verify wanted for one mailbox or all (NULL): verify_wanted_seq + 1. Returns how many mirrors, or -1. */
int store_mailbox_want_verify(struct store *store, const char *mailbox, bool deep, struct err *err);
/* sync asked for: look asked and wanted_seq + 1 with priority 0. Returns how many mirrors, or -1. */
int store_mailbox_want_sync(struct store *store, const char *mailbox, struct err *err);
/* *found_out: the route exists. */
int store_route_pause(struct store *store, const char *route, bool paused, bool *found_out, struct err *err);

int store_audit(struct store *store, const char *who, const char *what, const char *detail, struct err *err);

#endif
