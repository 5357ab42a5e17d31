/*
 * The directory's row of a route, which is the queue of ldapsync: claim, renew, finish; and what holds for a site's
 * directory as a whole. Every write of this file, store_listed.h and store_entry.h is fenced by the row's lease_epoch as a
 * copier's are by the mirror's: ERR_PROCESS "lease lost" (store_err_is_lease_lost()) when somebody else has it.
 */
#ifndef MIRROR_STORE_DIRECTORY_H
#define MIRROR_STORE_DIRECTORY_H

#include "store/store.h"

#include <stddef.h>

enum store_kind { STORE_COS, STORE_SUBSCRIBER };
enum store_listed_side { STORE_LISTED_PRODUCTION, STORE_LISTED_TARGET };

struct store_directory_lease {
    uint32_t route_id;
    uint64_t epoch;
    char owner[201];
};

enum store_mark_kind { STORE_MARK_NONE, STORE_MARK_MODIFY_TIMESTAMP, STORE_MARK_SYNCREPL };
enum { STORE_MARK_BYTES = 2000 };
/* bytes: of STORE_MARK_MODIFY_TIMESTAMP the newest seen, as GeneralizedTime; of SYNCREPL the cookie. */
struct store_mark {
    enum store_mark_kind kind;
    size_t len;
    char bytes[STORE_MARK_BYTES];
};

struct store_directory_claim {
    struct store_directory_lease lease; /* route_id 0: nothing is due */
    int64_t deadline_boot_ms;
    char route[65];
    uint64_t wanted_seq, full_wanted_seq, dry_wanted_seq;
    bool wanted;   /* a person or a program asked */
    bool full_due; /* asked for, never done, or compare_hours are over */
    bool dry;      /* a dry run is asked for: nothing else is to be done in this round */
    bool list_due; /* names: list_minutes are over, or list_wanted */
    struct store_mark mark;
};

/* The most urgent due row (asked for first) without a living lease, of a configured and unpaused route that `config` has a
 * directory for. A paused route's dry run is done all the same. */
int store_directory_claim(struct store *store, const struct config *config, const char *owner,
                          struct store_directory_claim *claim_out, struct err *err);
int store_directory_renew(struct store *store, const struct config *config,
                          const struct store_directory_lease *lease, int64_t *deadline_boot_ms,
                          struct err *err);
/* Ends the leases of a dead predecessor (same host, program, instance). */
int store_directory_inherit(struct store *store, const char *owner, struct err *err);

/* A new number for a listing that begins now; unseen before. */
int store_directory_new_listing(struct store *store, const struct store_directory_lease *lease,
                                uint64_t *listing_out, struct err *err);
/* Production's numbers are to be listed at the next round (syncrepl told of deletions). */
int store_directory_want_list(struct store *store, const struct store_directory_lease *lease,
                              struct err *err);

/* Both sides are to be compared whole at the next round (the mark is good for nothing). */
int store_directory_want_full(struct store *store, const struct store_directory_lease *lease,
                              struct err *err);

struct store_directory_finish {
    uint64_t wanted_seq, full_wanted_seq, dry_wanted_seq; /* as claimed: become the done ones. 0: not done */
    bool changes_seen, listed, compared; /* production answered; told all numbers; both compared whole */
    double compared_seconds_ago;         /* when the comparison began */
    const struct store_mark *mark;       /* NULL: stays */
    const char *means;                   /* "syncrepl", ...; NULL: stays */
    double next_seconds;                 /* due again after */
    const struct err
        *error; /* NULL: went well; else kept in words, fail_count + 1, due after 2 s doubling to 5 min */
};
/* Releases the lease. Counts foreign entries and troubles anew. What was asked for since the claim, or is still to be done after
 * a round that went well, is due at once. */
int store_directory_finish(struct store *store, const struct store_directory_claim *claim,
                           const struct store_directory_finish *finish, struct err *err);

/* ---- a site's directory ---- */
struct store_directory_gate {
    const char *site, *host; /* name in the configuration; name of this host */
    uint64_t secret_version;
};
/* *stopped_seconds_out: 0, bind now; else left alone for so long, `error` (of 800 bytes) being what it said. */
int store_directory_may_bind(struct store *store, const struct store_directory_gate *gate,
                             uint32_t *stopped_seconds_out, char *error, struct err *err);
/* After a bind: accepted, or refused for the secret's sake, in the server's words: the first refusal stops the site for
 * retry_minutes. */
int store_directory_bound(struct store *store, const struct store_directory_gate *gate, bool accepted,
                          const char *words, double retry_minutes, struct err *err);

/* ---- api ---- */
struct store_directory_ask {
    const char *route; /* NULL: all that have a directory */
    bool full, dry;
};
/* Due at once. Returns how many routes, or -1. */
int store_directory_want(struct store *store, const struct store_directory_ask *ask, struct err *err);

/* Strings valid during the callback. Ages in seconds, -1: never. */
struct store_directory_counts {
    uint32_t total, equal, differs, missing, waiting, unproven, gone, held, kept, foreign;
    double oldest_difference_seconds; /* 0: none differs */
    double oldest_proof_seconds;
};
struct store_directory_status {
    const char *route, *from_site, *to_site, *means;
    bool paused, working, wanted, dry_wanted;
    uint64_t wanted_seq, done_seq, full_wanted_seq, full_done_seq, dry_wanted_seq, dry_done_seq;
    struct store_directory_counts subscribers, cos;
    uint32_t troubles;
    double changes_age_seconds, listed_age_seconds, compared_age_seconds, dry_age_seconds;
    const char *error, *error_side;
    double error_since_seconds;
};
/* One callback a route with a directory. */
int store_directory_list(struct store *store,
                         void (*on_directory)(void *context, const struct store_directory_status *status),
                         void *context, struct err *err);

#endif
