/*
 * Folders, messages and intents of one mirror: all written by the copier that holds the lease. Each writing function is
 * one transaction that first locks the mirror's row and checks epoch and lease (fencing).
 */
#ifndef MIRROR_STORE_FOLDER_H
#define MIRROR_STORE_FOLDER_H

#include "base/digest.h"
#include "store/store_mirror.h"

#include <stddef.h>

/* Marks; each may be absent (has_ false -> NULL). A uidvalidity is kept for itself, also without the side's other marks
 * (after store_folder_forget_uids()); 0: not known. */
struct store_folder_marks {
    bool has_source, has_source_modseq, has_flags_digest, has_target, has_target_modseq;
    uint32_t source_uidvalidity, source_uidnext, source_exists, source_unseen;
    uint64_t source_highestmodseq;
    uint8_t source_flags_digest[DIGEST_BYTES];
    uint32_t target_uidvalidity, target_uidnext, target_exists;
    uint64_t target_highestmodseq;
    uint32_t withheld_messages; /* flags that were seen, but not written since the breaker was tripped */
};

struct store_folder {
    uint64_t folder_id;
    char *name;        /* neutral source name */
    char *target_name; /* neutral target name */
    struct store_folder_marks marks;
    bool source_gone;
    double gone_seconds; /* since it was first found gone; 0 if it is not */
    bool made_by_us;     /* the target did not have it before */
    uint32_t foreign_messages;
    uint32_t open_intents, ghosts; /* counts */
};

/* What becomes of the copy of a message that is gone from production (store_removal.h). */
enum store_removal { STORE_REMOVAL_NONE, STORE_REMOVAL_ON_HOLD, STORE_REMOVAL_KEPT, STORE_REMOVAL_BEGUN };

enum store_message_state { STORE_MESSAGE_MIRRORED, STORE_MESSAGE_REFUSED, STORE_MESSAGE_LOST };

struct store_message {
    uint64_t message_id;                               /* 0: new */
    uint32_t source_uid;                               /* 0: NULL */
    uint32_t target_uid;                               /* 0: NULL */
    uint32_t recorded_source_uid, recorded_target_uid; /* as read or committed last */
    enum store_message_state state;
    bool altered;
    bool source_gone;           /* written false, it ends whatever was decided about its removal */
    enum store_removal removal; /* read only */
    int64_t internal_date;      /* seconds since 1970 */
    uint64_t size_bytes;
    bool has_digest, has_header_digest, has_target_size, has_target_digest;
    uint8_t raw_sha256[DIGEST_BYTES], normal_sha256[DIGEST_BYTES], header_sha256[DIGEST_BYTES];
    uint64_t target_size;
    uint8_t target_sha256[DIGEST_BYTES]; /* raw, as read back */
    uint64_t verified_seq;               /* verify_wanted_seq of the last deep verify that read it; 0: none */
    bool bytes_differ;                   /* what that found */
    char *flags_written;                 /* canonical text; never NULL in what is read */
    char *flags_refused;
    uint32_t times_lost, fail_count;
    bool try_due; /* refused: next_try_at has come */
    char *error;  /* may be NULL */
};

struct store_intent {
    uint64_t intent_id;
    uint64_t folder_id;
    uint32_t source_uidvalidity, source_uid;
    int64_t internal_date;
    uint64_t size_bytes;
    uint8_t header_sha256[DIGEST_BYTES];
    char *flags; /* canonical, as given to APPEND */
    uint32_t target_uidvalidity, target_uidnext;
    bool ghost;
    bool ghost_over; /* its time is over: to be dropped after one last look */
};

void store_folder_list_free(struct store_folder *folders, size_t count);
void store_message_list_free(struct store_message *messages, size_t count);
void store_message_fini(struct store_message *message);
void store_intent_list_free(struct store_intent *intents, size_t count);

/* ---- reading ---- */
int store_folder_list(struct store *store, uint64_t mirror_id, struct store_folder **folders_out,
                      size_t *count_out, struct err *err);
/* Ordered by source_uid, NULLs last. */
int store_message_list(struct store *store, uint64_t folder_id, struct store_message **messages_out,
                       size_t *count_out, struct err *err);
/* Open ones and ghosts, ordered by intent_id. */
int store_intent_list(struct store *store, uint64_t folder_id, struct store_intent **intents_out,
                      size_t *count_out, struct err *err);

/* ---- writing, fenced ---- */
/* New folder row; *folder_id_out. If (mirror, name) is there already its id is returned. */
int store_folder_add(struct store *store, const struct store_lease *lease, const char *name,
                     const char *target_name, uint64_t *folder_id_out, struct err *err);
int store_folder_rename(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                        const char *name, const char *target_name, struct err *err);
int store_folder_set_marks(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                           const struct store_folder_marks *marks, uint32_t foreign_messages,
                           struct err *err);
/* With the folder its messages are gone. With one that is back they are so until a pass has looked, but the time until
 * their second look begins anew. */
int store_folder_set_gone(struct store *store, const struct store_lease *lease, uint64_t folder_id, bool gone,
                          struct err *err);
/* The folder was made on the target by us. */
int store_folder_set_made(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                          struct err *err);
/* UIDVALIDITY of a side changed: all UIDs of that side become NULL, the side's marks too, and its uidvalidity is set
 * to the new one, in one transaction. Production's: what was gone before must be proven anew, also if it was held. */
enum store_side { STORE_SOURCE, STORE_TARGET };
int store_folder_forget_uids(struct store *store, const struct store_lease *lease, uint64_t folder_id,
                             enum store_side side, uint32_t uidvalidity, struct err *err);

/* Before a batch: its intents, committed (I3). Fills intent_id. */
int store_intent_add(struct store *store, const struct store_lease *lease, struct store_intent *intents,
                     size_t count, struct err *err);

/*
 * One transaction of the copier: messages inserted (message_id 0) or updated whole by message_id, intents removed
 * (settled as present, refused, never sent) or turned into ghosts (settled as absent) until now + late_command_minutes.
 * Clearing UIDs before setting them lets rows exchange UIDs.
 */
struct store_change {
    uint64_t folder_id;
    struct store_message *messages; /* message_id filled for new ones */
    size_t message_count;
    bool as_sent; /* the messages are recorded; new is only that the target tells the size that was sent */
    const uint64_t *intents_gone;
    size_t intents_gone_count;
    const uint64_t *intents_ghost;
    size_t intents_ghost_count;
    uint64_t copied_messages, copied_bytes; /* added to the mirror's totals */
    double late_command_minutes;
    double retry_seconds; /* REFUSED ones: next_try_at = now + this (growing with fail_count by the caller) */
};
int store_folder_commit(struct store *store, const struct store_lease *lease,
                        const struct store_change *change, struct err *err);

#endif
