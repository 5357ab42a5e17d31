/*
 * What changed on production since a mark: by modifyTimestamp, or by syncrepl (RFC 4533), refreshOnly. Either gives changed
 * entries; neither is ever proof that something is gone: syncrepl's deletions are only a hint.
 */
#ifndef MIRROR_LDAPSYNC_REFRESH_H
#define MIRROR_LDAPSYNC_REFRESH_H

#include "ldapsync/listing.h"
#include "store/store_directory.h"

struct refresh_params {
    const struct listing_params *listing; /* on_entry gets each changed entry */
    const struct store_mark *mark; /* kind NONE: only finds out where to begin (mark_out), no entries */
    enum store_mark_kind kind;     /* the means to be used now */
    double overlap_seconds;
};
struct refresh_result {
    struct store_mark mark;             /* to be stored once all that was told is settled */
    uint64_t changed, deleted, present; /* told; present: entries said to be unchanged */
    bool had_present_list;              /* the server could not tell deletions one by one */
    bool not_offered;                   /* syncrepl: announced, but not for this part of the tree */
    bool start_again;                   /* e-syncRefreshRequired, cookie not known: compare whole */
};
/* Keeps the newest modifyTimestamp that an entry shows: where changes begin after a whole listing. */
void refresh_note_time(const struct entry *entry, struct store_mark *mark);

/* 0, or -1 (also where the answer was not whole: the old mark stays good). */
int refresh_run(const struct refresh_params *params, struct refresh_result *result_out, struct err *err);

/* The means: as configured; `auto`: syncrepl where it is offered, else modifyTimestamp. Pure. */
enum store_mark_kind refresh_choose(enum config_change_detection wanted, bool offers_syncrepl);

#endif
