/*
 * Looks: one mailbox on one production site, claimed by scanners in batches with SKIP LOCKED, and the marks that the
 * mirrors of that mailbox have stored, to compare with.
 */
#ifndef MIRROR_STORE_LOOK_H
#define MIRROR_STORE_LOOK_H

#include "store/store.h"

#include <stddef.h>

struct store_look {
    uint64_t mailbox_id;
    uint32_t site_id;
    char mailbox[65];
    char site[65];
    bool asked;         /* a person or a program asked for it: look with all means, raise even if equal */
    bool full_look_due; /* flags of big folders, no CONDSTORE: their turn */
    uint32_t fail_count;
    int64_t seconds_since_change; /* -1: never changed */
};

/* Due looks of one site (so that a site that is down or busy holds up no other), asked ones first, then the longest due;
 * lease of `lease_seconds`; returns how many were put into looks_out (at most max), or -1. Those whose lease is over are
 * due too. */
int store_look_claim(struct store *store, const char *owner, const char *site, uint32_t lease_seconds,
                     struct store_look *looks_out, uint32_t max, struct err *err);

struct store_look_result {
    const struct store_look *look;
    bool failed;
    bool changed;
    bool full_look_done;
    double next_seconds;      /* when it is due again */
    double full_look_seconds; /* when the next full look is due, if one was done */
    const struct err *error;  /* failed */
};
/* Releases it. A failed one's mirrors get the error too (error_side production) if they have none of their own. */
int store_look_finish(struct store *store, const char *owner, const struct store_look_result *result,
                      struct err *err);
/* Puts a claimed look back, due in `seconds`, nothing else changed (site's budget used up, drain). */
int store_look_return(struct store *store, const char *owner, const struct store_look *look, double seconds,
                      struct err *err);

/* Frees the looks that a predecessor (same host, program and instance) had in hand when it died. Only for who knows that
 * it is dead: the instance's pipes are ours. */
int store_look_inherit(struct store *store, const char *owner, struct err *err);

/* Due now (and asked) for one mailbox, NULL for all. Returns how many rows, or -1. */
int store_look_ask(struct store *store, const char *mailbox, struct err *err);
/* How many looks are due per site and what interval the number of mailboxes needs: for the reachable interval. */
int store_look_count(struct store *store, const char *site, uint32_t *mailboxes_out, struct err *err);

/* The marks of one folder of one mirror. */
struct store_marks {
    uint64_t mirror_id;
    const char *name; /* neutral, valid during the callback */
    bool has_uidvalidity, has_uidnext, has_exists, has_unseen, has_highestmodseq, has_flags_digest;
    uint32_t uidvalidity, uidnext, exists, unseen;
    uint64_t highestmodseq;
    uint8_t flags_digest[32];
    bool gone; /* the copier knows that it is gone from production */
};
/* All mirrors of a mailbox that come from this site: first one callback per mirror with name NULL, then its folders. */
int store_look_marks(struct store *store, uint64_t mailbox_id, uint32_t site_id,
                     void (*on_marks)(void *context, const struct store_marks *marks), void *context,
                     struct err *err);

#endif
