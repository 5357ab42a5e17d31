/*
 * The breaker of a production site (I6): signs that it was restored, rebuilt or exchanged stop all deletions and
 * overwriting on all routes from it, until a person says what is so (store_plan_decide()). It is tripped while the site has
 * a plan of kind "site" that is held or refused; one plan, however many mailboxes show the sign. What is seen while there is
 * one is added to its reason, so that nobody allows what he was not told.
 */
#ifndef MIRROR_STORE_BREAKER_H
#define MIRROR_STORE_BREAKER_H

#include "base/digest.h"
#include "store/store.h"

int store_breaker_is_tripped(struct store *store, const char *site, bool *tripped_out, struct err *err);

/* Trips it; if it is tripped already, only adds the reason, once. *tripped_out: just now (the caller logs it, once).
 * `reason` for people. */
int store_breaker_trip(struct store *store, const char *site, const char *reason, bool *tripped_out,
                       struct err *err);

enum store_sign {
    STORE_SIGN_UIDVALIDITY,  /* a folder's UIDVALIDITY changed */
    STORE_SIGN_LISTS_NOTHING /* a mailbox with messages lists no folder, or nothing in any */
};
/* One mailbox shows this sign; many within an hour (store_brake_are_many()) trip the breaker. */
int store_breaker_sign(struct store *store, const char *site, enum store_sign sign, uint64_t mailbox_id,
                       bool *tripped_out, struct err *err);

/* How the site introduced itself at a login. The first is learnt; one not known trips the breaker; a known one, met again
 * after a person refused the stranger, ends that. */
struct store_breaker_fingerprint {
    uint8_t digest[DIGEST_BYTES];
    const char *words;
};
int store_breaker_meet(struct store *store, const char *site,
                       const struct store_breaker_fingerprint *fingerprint, bool *tripped_out,
                       struct err *err);

/* Inside lib/store: in the transaction that ends a site's plan. What was stopped on its routes gets its second look now. */
int store_breaker_release(struct store *store, uint32_t site_id, struct err *err);

#endif
