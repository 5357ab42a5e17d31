/*
 * Lists of messages of the open folder: what FETCH and SEARCH tell about many, merged by UID. Blocking helpers on top
 * of imap_session.h, used on both sides.
 */
#ifndef MIRROR_IMAP_MESSAGES_H
#define MIRROR_IMAP_MESSAGES_H

#include "base/digest.h"
#include "imap/imap_session.h"
#include "imap/imap_uids.h"

struct imap_message {
    uint32_t uid;
    bool has_flags, has_date, has_size, has_header;
    struct imap_flags flags;
    struct imap_date date;
    uint64_t size_bytes;
    uint8_t header_sha256[DIGEST_BYTES]; /* of the header with line ends normalised */
};

struct imap_messages {
    struct imap_message *items; /* ascending UIDs, no duplicates */
    size_t count, size;
};

void imap_messages_fini(struct imap_messages *messages);
struct imap_message *imap_messages_find(const struct imap_messages *messages,
                                        uint32_t uid); /* NULL: not there */

/* UID FETCH of a set as text ("1:*") or of UIDs (ascending; in pieces, pipelined), `items` as in "(FLAGS)" but without
 * parentheses; `modifier` "" or e.g. " (CHANGEDSINCE 7)". What is in `messages` already is kept and completed. */
int imap_messages_fetch(struct imap_session *session, const char *set, const char *items,
                        const char *modifier, struct imap_messages *messages, struct err *err);
int imap_messages_fetch_uids(struct imap_session *session, const uint32_t *uids, size_t count,
                             const char *items, struct imap_messages *messages, struct err *err);

/* EXAMINE with the FETCH on its heels: one round trip. Only for folders that are thought to hold something: some servers
 * call "1:*" nonsense in an empty one (which is no error here). */
struct imap_messages_opening {
    const char *wire_name;
    const char *set; /* or NULL: */
    const uint32_t *uids;
    size_t count;
    const char *items;
};
int imap_messages_open(struct imap_session *session, const struct imap_messages_opening *opening,
                       struct imap_folder_status *status_out, struct imap_messages *messages,
                       struct err *err);

/* All UIDs of the open folder: UID SEARCH ALL (ESEARCH where offered), ascending. */
int imap_messages_search_all(struct imap_session *session, struct imap_uids *uids_out, struct err *err);

/* Digests of one whole message, streamed; *found_out false if it is gone. */
int imap_messages_body_digest(struct imap_session *session, uint32_t uid, struct digest_pair *pair_out,
                              bool *found_out, struct err *err);
/* The same, and each piece goes to the sink as it comes. After -1 the sink may have had a part of the message. */
struct imap_body_sink {
    void (*on_bytes)(void *context, const char *bytes, size_t len);
    void *context;
};
int imap_messages_body_copy(struct imap_session *session, uint32_t uid, const struct imap_body_sink *sink,
                            struct digest_pair *pair_out, bool *found_out, struct err *err);

#endif
