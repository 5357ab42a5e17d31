/*
 * The hold place of one hand-over (I10): a Maildir (Maildir++ for folders) that any mail program reads, and beside it
 * index.jsonl, one JSON object a line, with what a Maildir has no room for: folder, file, uidvalidity, uid, internal_date (RFC
 * 3339, UTC), size_bytes, sha256, flags. A file's name carries UID and SHA-256, so what is there is known and can be proven
 * again without any other record; its line in the index is on disk before it has its name. What is there stays for ever.
 *
 * Errors are ERR_MAILBOX on our side, and say what to do. Used by one process at a time, under the mirror's lease.
 */
#ifndef MIRROR_COPIER_HOLD_H
#define MIRROR_COPIER_HOLD_H

#include "base/digest.h"
#include "base/err.h"
#include "imap/imap_types.h"

struct hold;

/* Makes the directory `place` (absolute) and those above it where they are missing, for its owner only. NULL: error. */
struct hold *hold_open(const char *place, struct err *err);
void hold_free(struct hold *hold);

/* From now on messages are of this folder (neutral name, INBOX is the Maildir itself). */
int hold_folder(struct hold *hold, const char *name, struct err *err);
/* Is it there, whole as far as its name says? */
bool hold_has(const struct hold *hold, uint32_t uidvalidity, uint32_t uid);
/* Is there room for so many bytes, and some to spare for whatever else lives on that file system? */
int hold_check_room(const struct hold *hold, uint64_t bytes, struct err *err);

struct hold_message {
    uint32_t uidvalidity, uid;
    int64_t internal_date; /* seconds since 1970 */
    const struct imap_flags *flags;
};
/* begin, add each piece (errors come out at the end), end: written, read back and compared with the digest of what came, on disk.
 * Or abandon. */
int hold_begin(struct hold *hold, const struct hold_message *message, struct err *err);
void hold_add(void *hold, const char *bytes, size_t len);
int hold_end(struct hold *hold, const struct digest_pair *pair, struct err *err);
void hold_abandon(struct hold *hold);

/* Reads the file again, whole. One that is not what its name says is removed, to be written again. */
bool hold_prove(struct hold *hold, uint32_t uidvalidity, uint32_t uid);
/* All that is there, in every folder. */
int hold_total(const struct hold *hold, uint32_t *messages_out, uint64_t *bytes_out, struct err *err);
/* All of the folder is on disk, names too. */
int hold_sync(const struct hold *hold, struct err *err);

#endif
