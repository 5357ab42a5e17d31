/*
 * What all parts of a scanner share.
 */
#ifndef MIRROR_SCANNER_SCAN_BASE_H
#define MIRROR_SCANNER_SCAN_BASE_H

#include "access/access.h"
#include "base/config.h"
#include "daemon/daemon.h"
#include "imap/imap_reactor.h"
#include "store/store.h"

struct scan_base {
    struct daemon *daemon; /* NULL in unit tests: then nobody hears the events */
    const struct config *config;
    struct store *store;
    struct imap_reactor *reactor;
    struct access *access;
    const char *owner;
    uint64_t raised;   /* mirrors raised so far: the ventilator looks when it moves */
    bool store_failed; /* a call just failed: the scanner drops what it has in hand and waits */
    struct err store_error;
    uint64_t random;
};

/* Even over 0 to 1. */
double scan_base_chance(struct scan_base *base);

/* Notes that the store is away; returns -1. */
int scan_base_store_failed(struct scan_base *base, const struct err *err);

/* Tells the console, where somebody looks at it. */
void scan_base_event(struct scan_base *base, const char *mailbox, const char *text);

#endif
