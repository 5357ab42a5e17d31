/*
 * The mirror's row, which is the queue: raise, claim, renew, finish. Leases expire by the database's clock; every write
 * to a mirror's content names the lease epoch and fails with ERR_PROCESS "lease lost" (store_err_is_lease_lost())
 * when another owner has claimed since, or when the lease is over.
 */
#ifndef MIRROR_STORE_MIRROR_H
#define MIRROR_STORE_MIRROR_H

#include "store/store.h"

/* The right of one worker to work on one mirror, from claim to finish. */
struct store_lease {
    uint64_t mirror_id;
    uint64_t epoch;
    char owner[201];
};

struct store_claim {
    struct store_lease lease;
    int64_t deadline_boot_ms; /* local end of the lease, counted from before the query */
    char mailbox[65];
    char route[65];
    uint64_t mailbox_id;
    uint32_t route_id;
    uint32_t priority;
    uint64_t wanted_seq, done_seq;
    uint64_t verify_wanted_seq, verify_done_seq;
    bool verify_deep;
    bool taken_over;     /* the former owner did not release it: list the target whole */
    bool recheck_target; /* recheck_target_at has come: list the target whole once more */
    bool removing;       /* a person asked to remove the copies: nothing else is to be done */
    bool handing_over;   /* its number is another person's (store_handover.h): likewise */
    uint32_t fail_count;
};

/* The copies of a mirror that is `removing` are gone: takes its rows away, with the last one the mailbox. Nothing is done
 * if the mailbox was subscribed again meanwhile: then the lease is only released. */
int store_mirror_forget(struct store *store, const struct store_lease *lease, struct err *err);

bool store_err_is_lease_lost(const struct err *err);

/* The most urgent due mirror without a living lease on a configured, unpaused route: wanted (or verify wanted, or
 * recheck_target_at or a ghost's end due) and due_at <= now. Order: priority 0..9 first (0 asked for by a person, 1 new
 * voicemail, 5 ordinary, 9 verification only), then due_at. SKIP LOCKED. Sets owner, lease_until, epoch + 1.
 * `routes` limits to routes the caller can serve; returns 0 with lease.mirror_id 0 if there is none. */
int store_mirror_claim(struct store *store, const struct config *config, const char *owner,
                       struct store_claim *claim_out, struct err *err);
/* A claim that was lost in an unknown COMMIT is found again by owner: claim calls this itself. */

/* lease_until = now + lease_seconds if the epoch still stands. Updates *deadline_boot_ms. */
int store_mirror_renew(struct store *store, const struct config *config, const struct store_lease *lease,
                       int64_t *deadline_boot_ms, struct err *err);

/* Ends the leases of a predecessor (same host, program and instance), which count as taken over then. Only for who knows
 * that it is dead: its supervisor starts a copier only after the end of the former one. */
int store_mirror_inherit(struct store *store, const char *owner, struct err *err);

/* Figures of a whole pass over a mirror. */
struct store_mirror_figures {
    uint32_t source_messages, target_messages, missing_messages, refused_messages, altered_messages;
    uint32_t foreign_messages, late_messages, gone_folders;
    uint32_t left_messages;     /* with a copy, still on production; greetings apart (store_brake.h) */
    uint32_t withheld_messages; /* their flags are not written since the breaker is tripped */
    bool any_gone; /* something is recorded as gone from production: counted in the store, see below */
    char refused_keywords[800];
};

enum store_turn { STORE_TURN_DONE, STORE_TURN_YIELDED, STORE_TURN_FAILED };

struct store_finish {
    enum store_turn turn;
    uint64_t wanted_seq;        /* the number read at the claim: done_seq becomes this (DONE) */
    uint64_t verify_wanted_seq; /* likewise; 0: no verify was done */
    const struct store_mirror_figures *figures; /* DONE; else NULL */
    bool equal;                                 /* DONE: nothing is missing, refused, altered */
    double deletion_delay_seconds;              /* DONE: what is gone is due again when it is over */
    uint32_t verify_differences;
    const char *verify_report; /* text, a difference a line; NULL if none was done */
    const struct err *error;   /* FAILED: kept in words, fail_count + 1, due after a growing delay with jitter
                                   (2 s doubling to 15 min; ERR_SITE: 5 s to 2 min; at most
                                   ERR_FOLDER: to 1 min) */
};
/* Releases the lease. YIELDED: due at once again, behind others of the same priority. DONE: behind_since becomes NULL
 * if wanted_seq is still the number read, else wanted_at; proven_at = now. */
int store_mirror_finish(struct store *store, const struct store_lease *lease,
                        const struct store_finish *finish, struct err *err);
/* recheck_target_at = now + late_command_minutes of the route. */
int store_mirror_recheck_later(struct store *store, const struct store_lease *lease,
                               double late_command_minutes, struct err *err);
/* true: a more urgent one is due than `priority` (the owner may end its turn early). */
int store_mirror_is_more_urgent_waiting(struct store *store, uint32_t priority, bool *waiting_out,
                                        struct err *err);

/* ---- scanner ---- */
/* Raises wanted_seq by one, due now, priority at least this urgent, behind_since if it was NULL. */
int store_mirror_want(struct store *store, uint64_t mirror_id, uint32_t priority, struct err *err);
/* proven_at = now for a mirror found unchanged (only if nothing is wanted). */
int store_mirror_proven(struct store *store, uint64_t mirror_id, struct err *err);

struct store_due {
    uint64_t mirror_id;
    char mailbox[65], route[65];
    uint64_t wanted_seq;
    uint32_t priority;
    bool verify_only;
};
/* Due and unclaimed mirrors not pushed within the last 5 s, at most `max`, marked as pushed now. Returns how many, or
 * -1. */
int store_mirror_due(struct store *store, struct store_due *due_out, uint32_t max, struct err *err);

/* Mirrors whose recheck, ghosts or deletions are due get wanted_seq raised. Returns how many, or -1. */
int store_mirror_want_periodic(struct store *store, struct err *err);

#endif
