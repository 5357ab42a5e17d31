/*
 * Production's side of one folder: what is there now, by the best means that the server has. Only reads: EXAMINE,
 * FETCH of FLAGS, INTERNALDATE, RFC822.SIZE and BODY.PEEK, SEARCH (I1).
 */
#ifndef MIRROR_COPIER_SOURCE_H
#define MIRROR_COPIER_SOURCE_H

#include "imap/imap_messages.h"
#include "store/store_folder.h"

struct source_view {
    struct imap_folder_status status; /* of the EXAMINE */
    struct imap_messages
        messages; /* whole: all of them with flags and date; else those new or changed since the marks */
    bool whole;
    bool has_uids; /* not whole, but all UIDs were listed, since the counts did not add up */
    struct imap_uids uids;
};

/* `marks`: of the last complete pass. With CONDSTORE and the same UIDVALIDITY only what changed since is fetched;
 * else everything's flags. A listing that disagrees with EXISTS fails (I6). */
int source_look(struct imap_session *session, const struct imap_list_entry *entry,
                const struct store_folder_marks *marks, struct source_view *view_out, struct err *err);
/* The same for a folder of which nothing is recorded and which is listed as not empty: everything in one round trip, with
 * the details that all of it will need. */
int source_look_first(struct imap_session *session, const struct imap_list_entry *entry,
                      struct source_view *view_out, struct err *err);
void source_view_fini(struct source_view *view);

/* The second look: opens the folder afresh and SEARCHes all of it. Fails (ERR_FOLDER) if the answer disagrees with EXISTS,
 * if UIDVALIDITY is not that of `marks`, or if UIDNEXT went back (I6). */
int source_list_uids(struct imap_session *session, const struct imap_list_entry *entry,
                     const struct store_folder_marks *marks, struct imap_uids *uids_out, struct err *err);

/* Is a recorded message still there? */
bool source_view_has(const struct source_view *view, uint32_t uid);

/* Completes `messages` for these UIDs (ascending): flags, date, size and digest of the header. What `view` tells already is
 * not asked for, if `messages` is empty. */
int source_details(struct imap_session *session, const struct source_view *view, const uint32_t *uids,
                   size_t count, struct imap_messages *messages, struct err *err);

#endif
