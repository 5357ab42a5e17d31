/*
 * Target: what the copier writes to. It knows folders by neutral names, messages by the target's own UIDs. One
 * implementation now: an IMAP site (target_imap.c).
 *
 * Errors are those of imap_session.h with side ERR_SIDE_TARGET. Nothing here decides anything: the copier says what to
 * append, mark or remove. A folder is never CLOSEd, and SELECTed only to STORE or EXPUNGE, or to have its UIDs last.
 */
#ifndef MIRROR_TARGET_TARGET_H
#define MIRROR_TARGET_TARGET_H

#include "base/digest.h"
#include "base/err.h"
#include "imap/imap_append.h"
#include "imap/imap_messages.h"

struct target;

/* Takes no ownership of the session. `guard` is asked before each command that changes the target: -1 (the lease may
 * be over) means that the command is not sent. */
struct target *target_open_imap(struct imap_session *session, int (*guard)(void *context, struct err *err),
                                void *context);
void target_free(struct target *target);

/* Lists the folders with their STATUS and remembers them: target_folder_*() refer to the last list. */
int target_list(struct target *target, struct err *err);
/* NULL: not there. Borrowed until the next list. A folder whose STATUS failed has has_status false. */
const struct imap_list_entry *target_folder_find(const struct target *target, const char *name);
const struct imap_list *target_folders(const struct target *target);
/* STATUS of one folder, now. */
int target_folder_status(struct target *target, const char *name, struct imap_folder_status *status_out,
                         struct err *err);
int target_folder_create(struct target *target, const char *name, struct err *err);
int target_folder_rename(struct target *target, const char *from, const char *to, struct err *err);

/* One message of the target, as listed. */
struct target_message {
    uint32_t uid;
    uint64_t size_bytes;
    int64_t internal_date; /* seconds since 1970 */
    struct imap_flags flags;
};
struct target_messages {
    struct target_message *items; /* ascending UIDs, no duplicates */
    size_t count;
    struct imap_folder_status
        status; /* of the EXAMINE it was listed under; likewise of target_folder_fetch() */
};
void target_messages_fini(struct target_messages *messages);
/* NULL: not there. */
const struct target_message *target_messages_find(const struct target_messages *messages, uint32_t uid);
/* EXAMINEs; messages with UID >= first_uid (1: the whole folder). A whole listing that disagrees with EXISTS fails. */
int target_folder_look(struct target *target, const char *name, uint32_t first_uid,
                       struct target_messages *messages_out, struct err *err);
/* After APPENDs whose UIDs were not told, before they are looked for: SELECTs, since there are servers (mailutils 3.15)
 * that deal new messages another UID at each EXAMINE until the folder was opened for writing. */
int target_folder_fix_uids(struct target *target, const char *name, struct err *err);
/* Just these UIDs (ascending). Those gone are left out. */
int target_folder_fetch(struct target *target, const char *name, const uint32_t *uids, size_t count,
                        struct target_messages *messages_out, struct err *err);

/* Digests of the header with line ends normalised; found_out[i] is false if the message is gone. UIDs ascending. */
int target_header_digests(struct target *target, const char *name, const uint32_t *uids, size_t count,
                          uint8_t (*digests_out)[DIGEST_BYTES], bool *found_out, struct err *err);
int target_body_digest(struct target *target, const char *name, uint32_t uid, struct digest_pair *pair_out,
                       bool *found_out, struct err *err);
/* The same, and the bytes go to the sink (imap_messages.h). */
int target_body_copy(struct target *target, const char *name, uint32_t uid, const struct imap_body_sink *sink,
                     struct digest_pair *pair_out, bool *found_out, struct err *err);

/* Changes flags of these UIDs (ascending): only +FLAGS and -FLAGS, others' keywords stay. What of `add` the folder
 * cannot keep (PERMANENTFLAGS) is not sent: the caller reads back what the target has. *refused_out: the server said NO
 * to a STORE, and not all was done. */
int target_store_flags(struct target *target, const char *name, const uint32_t *uids, size_t count,
                       const struct imap_flags *add, const struct imap_flags *remove, bool *refused_out,
                       struct err *err);

/* Removes exactly these UIDs (ascending). Without UIDPLUS, EXPUNGE takes all that is marked \Deleted: `spared` (ascending,
 * may be NULL) are copies of ours that stay; where they are marked, too, they are unmarked meanwhile. A marked message that
 * is in neither list forbids EXPUNGE: ours stay marked then, and *removed_out is false. */
struct target_removal {
    const char *name;
    uint32_t uidvalidity; /* of the UIDs: opened under another, nothing is done, an error of the folder */
    const uint32_t *uids;
    size_t count;
    const uint32_t *spared;
    size_t spared_count;
};
int target_remove(struct target *target, const struct target_removal *removal, bool *removed_out,
                  struct err *err);

/* DELETE, for a folder that is empty. A NO is an error of the folder: it stays. */
int target_folder_delete(struct target *target, const char *name, struct err *err);

/* APPEND, streamed: imap_append_*() work on what this returns. NULL: the guard said no, or the session is dead. */
struct imap_append *target_append_begin(struct target *target, const char *name, struct err *err);
bool target_has(const struct target *target, enum imap_capability_id id);

#endif
