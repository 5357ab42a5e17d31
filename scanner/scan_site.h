/*
 * The looks at one production site: claims due ones, runs several at once, says in the store how they ended, and bears
 * with a site that is down without troubling the others.
 */
#ifndef MIRROR_SCANNER_SCAN_SITE_H
#define MIRROR_SCANNER_SCAN_SITE_H

#include "scanner/scan_base.h"

struct scan_site;

struct scan_site *scan_site_new(struct scan_base *base, const struct config_site *site);
/* Everything in hand is cut; the rows' leases end by themselves. */
void scan_site_free(struct scan_site *site);

/* One round. Returns in how many ms it wants the next at the latest. base->store_failed tells when the store is away. */
int scan_site_step(struct scan_site *site);

/* Something was asked for: claim at once, count the mailboxes again. */
void scan_site_wake(struct scan_site *site);

/* Takes no new looks; those waiting for a session go back at once. true: nothing is in hand any more. */
bool scan_site_drain(struct scan_site *site);
/* Puts back what is still in hand. */
void scan_site_return_all(struct scan_site *site);

struct scan_site_figures {
    uint64_t looks, failed, returned;
    size_t in_hand, kept;
};
struct scan_site_figures scan_site_figures(const struct scan_site *site);
const char *scan_site_name(const struct scan_site *site);

#endif
