/*
 * Target: what the copier writes to. It knows folders by neutral names, messages by the target's own UIDs. One
 * implementation now: an IMAP site.
 *
 * Errors are those of imap_session.h with side ERR_SIDE_TARGET. Nothing here decides anything: the copier says what to
 * append, mark or remove. A folder is never CLOSEd, and SELECTed only to STORE or EXPUNGE.
 */
#ifndef MIRROR_TARGET_TARGET_H
#define MIRROR_TARGET_TARGET_H

#include "base/digest.h"
#include "base/err.h"
#include "imap/imap_session.h"

struct target;

/* Takes no ownership of the session. `guard` is asked before each command that changes the target: -1 (the lease may
 * be over) means that the command is not sent. */
struct target *target_open_imap(struct imap_session *session, int (*guard)(void *context, struct err *err),
                                void *context);
void target_free(struct target *target);

/* Folders. Names neutral. `*status_out` as of now (STATUS). */
int target_list(struct target *target, struct imap_list *list_out, struct err *err);
/* The name under which the target has this folder: as listed (its own spelling) or as it would be made. */
int target_folder_create(struct target *target, const char *name, struct err *err);
int target_folder_rename(struct target *target, const char *from, const char *to, struct err *err);
bool target_folder_is_there(const struct target *target, const char *name); /* by the last target_list() */

/* One message of the target, as listed. */
struct target_message {
    uint32_t uid;
    uint64_t size_bytes;
    int64_t internal_date;
    struct imap_flags flags;
};
struct target_messages {
    struct target_message *items; /* ascending UIDs */
    size_t count;
    struct imap_folder_status status; /* of the EXAMINE or SELECT that it was listed under */
};
void target_messages_fini(struct target_messages *messages);
/* EXAMINE; messages with UID >= first_uid (1: the whole folder). */
int target_folder_look(struct target *target, const char *name, uint32_t first_uid,
                       struct target_messages *messages_out, struct err *err);
/* Of the folder last looked at: digests of the header and of the whole of these UIDs; found_out[i] false if gone. */
int target_header_digest(struct target *target, const uint32_t *uids, size_t count, uint8_t (*digests_out)[DIGEST_BYTES],
                         bool *found_out, struct err *err);
int target_body_digest(struct target *target, uint32_t uid, struct digest_pair *pair_out, bool *found_out,
                       struct err *err);

/* Changes flags of these UIDs: only +FLAGS and -FLAGS (others' keywords stay). SELECTs when needed. `*refused_out`
 * (caller fini's) are the flags of `add` that the folder cannot keep (PERMANENTFLAGS, or missing when read back). */
struct target_flag_change {
    const uint32_t *uids;
    size_t uid_count;
    const struct imap_flags *add, *remove;
};
int target_store_flags(struct target *target, const char *name, const struct target_flag_change *change,
                       struct err *err);
/* What of `flags` the folder can keep, as SELECTed: the rest goes into refused_out. */
int target_storable_flags(struct target *target, const char *name, const struct imap_flags *flags,
                          struct imap_flags *keep_out, struct imap_flags *refused_out, struct err *err);

/* Removes exactly these UIDs: UID EXPUNGE with UIDPLUS; without it as in ARCHITECTURE "Removing without UIDPLUS".
 * `*removed_out`: false if others' \Deleted messages were in the way: ours stay marked. */
int target_remove(struct target *target, const char *name, const uint32_t *uids, size_t count, bool *removed_out,
                  struct err *err);

/* APPEND, streamed: imap_append.h's functions work on it. */
struct imap_append *target_append_begin(struct target *target, const char *name, struct err *err);
bool target_has_multiappend(const struct target *target);
struct imap_session *target_session(struct target *target); /* for waiting and cutting */

#endif
