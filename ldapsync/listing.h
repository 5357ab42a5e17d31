/*
 * A complete listing, or none: all entries that a filter matches, one by one as they come, and at the end whether that was
 * all. By pages (RFC 2696) where they are offered; where a size limit cuts in, by ranges of the number (prefixes of digits,
 * split until each is complete). Not whole: sizeLimitExceeded, timeLimitExceeded, adminLimitExceeded, a lost connection, a
 * referral or search reference, fewer entries than a page's control announced, an error of one page.
 *
 * Steps by themselves never wait, so that two listings (production's and the target's) go on at once.
 */
#ifndef MIRROR_LDAPSYNC_LISTING_H
#define MIRROR_LDAPSYNC_LISTING_H

#include "ldapsync/connection.h"
#include "ldapsync/entry.h"

struct listing;

/* A request begins; what came of it comes again, in smaller ranges; all that came of the listing does. */
enum listing_mark { LISTING_REQUEST, LISTING_REQUEST_AGAIN, LISTING_ALL_AGAIN };

struct listing_params {
    struct connection *connection;
    const char *base, *filter;
    const char *number_attribute;  /* ranges go by it */
    const char *const *attributes; /* NULL-terminated; NULL: all user attributes ("*") */
    uint32_t page_size;            /* 0: no pages */
    /* An entry; borrowed. -1: the listing fails with err. */
    int (*on_entry)(void *context, const struct entry *entry, struct err *err);
    /* An entry that could not be read (too big): the listing goes on, and is not whole. */
    void (*on_bad_entry)(void *context, const char *dn, const struct err *why);
    /* For who must not count an entry twice; NULL: no matter. */
    void (*on_mark)(void *context, enum listing_mark mark);
    void *context;
};

struct listing *listing_new(const struct listing_params *params);
void listing_free(struct listing *listing); /* abandons what is under way */
/* Takes what has come (at most some entries), sends the next page or range; *ended_out: there is no more. -1: connection lost or
 * on_entry failed. */
int listing_step(struct listing *listing, bool *ended_out, struct err *err);
/* After its end: was that all? If not, listing_why() tells. */
bool listing_is_whole(const struct listing *listing);
const char *listing_why(const struct listing *listing);

/* Both until their end, waiting on both sockets; either may be NULL. -1 as soon as one fails. */
int listing_run(struct listing *a, struct listing *b, struct err *err);

/* One entry by its DN (scope base): 0 and found or not (noSuchObject, or the filter matches not). A referral, an error: -1. */
int listing_read(struct connection *connection, const char *dn, const char *filter, struct entry *entry_out,
                 bool *found_out, struct err *err);
/* How many entries below `base` match the filter and have this value: 0, 1, or 2 for "several" (stops there). */
struct listing_probe {
    const char *base, *filter, *attribute, *value; /* attribute NULL: whatever matches the filter */
};
int listing_probe(struct connection *connection, const struct listing_probe *probe, unsigned *count_out,
                  struct err *err);

#endif
