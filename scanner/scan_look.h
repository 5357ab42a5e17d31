/*
 * One look at one mailbox of production: a session, LIST with STATUS, where needed the flags of folders, the comparison
 * with every mirror of the mailbox; raises those that differ and notes those proven equal. A state machine that never
 * waits; folders are opened with EXAMINE only (I1).
 */
#ifndef MIRROR_SCANNER_SCAN_LOOK_H
#define MIRROR_SCANNER_SCAN_LOOK_H

#include "scanner/scan_base.h"
#include "store/store_look.h"

struct scan_look;

/* `kept`: a session on that mailbox from an earlier look (taken, set to NULL), or NULL to open one. */
struct scan_look *scan_look_new(struct scan_base *base, const struct config_site *site,
                                const struct store_look *row, struct access_session **kept);
/* Cuts what is under way. Not from a callback of the engine. */
void scan_look_free(struct scan_look *look);

enum scan_look_end {
    SCAN_LOOK_RUNNING,
    SCAN_LOOK_DONE,
    SCAN_LOOK_FAILED, /* this mailbox could not be looked at, or not wholly */
    SCAN_LOOK_SITE_FAILED, /* no session could be opened, and it is the site's matter: nothing is known of the mailbox */
    SCAN_LOOK_NO_SESSION, /* none was free in good time */
    SCAN_LOOK_NO_STORE,   /* the store is away: base->store_failed */
};
/* Call it in each round of the reactor. */
enum scan_look_end scan_look_poll(struct scan_look *look);

const struct store_look *scan_look_row(const struct scan_look *look);
const struct err *scan_look_error(const struct scan_look *look); /* FAILED, SITE_FAILED */
bool scan_look_is_waiting(const struct scan_look *look);         /* for a session; holds nothing */
bool scan_look_has_changed(const struct scan_look *look);        /* some mirror differed */
bool scan_look_was_full(const struct scan_look *look); /* the flags of the big folders were looked at, too */
/* The session in good order, with no folder open, for the next look; NULL if there is none. The caller takes it. */
struct access_session *scan_look_take_session(struct scan_look *look);

#endif
