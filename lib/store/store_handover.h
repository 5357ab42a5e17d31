/*
 * A mailbox number that became another person's (I10): the mirror is handed over. ldapsync says so (store_entry_owners());
 * the copier that claims the mirror then only brings the former owner's messages to the hold place, empties the target's mailbox
 * and makes the mirror a new one; the directory's next round writes the new person's entry.
 */
#ifndef MIRROR_STORE_HANDOVER_H
#define MIRROR_STORE_HANDOVER_H

#include "store/store_mirror.h"

struct store_handover {
    uint64_t handover_id;
    char place[1001];       /* directory of this hand-over, below the hold place */
    bool target_has_number; /* some entry of the target's directory has it, as far as was listed */
};
/* Notes that it begins, or finds it again: one for each mirror, former owner, host and hold place. */
int store_handover_begin(struct store *store, const struct store_lease *lease, const char *hold_dir,
                         struct store_handover *handover_out, struct err *err);

struct store_handover_figures {
    uint64_t handover_id;
    uint32_t messages; /* held now, all told */
    uint64_t bytes;
};
int store_handover_note(struct store *store, const struct store_lease *lease,
                        const struct store_handover_figures *figures, struct err *err);

/* Seconds until no command of before can arrive on the target any more: open intents, ghosts, a recheck that is due. */
int store_handover_late_seconds(struct store *store, const struct store_lease *lease,
                                double late_command_minutes, double *seconds_out, struct err *err);
/* Gives the mirror back until then: what a former owner of the lease may have sent is waited for once. */
int store_handover_wait(struct store *store, const struct store_lease *lease, double seconds,
                        struct err *err);

/* The target's mailbox is empty: the mirror's contents go, it is nobody's, the directory is wanted at once. Gives it back. If the
 * number is its owner's again by now, it is only given back. */
int store_handover_done(struct store *store, const struct store_lease *lease, uint64_t handover_id,
                        struct err *err);

/* ---- api ---- */
struct store_handover_status {
    const char *number, *former_owner, *host, *place;
    uint64_t handover_id;
    uint32_t messages;
    uint64_t bytes;
    double begun_seconds, done_seconds; /* ages; done -1: not done */
    bool going_on;                      /* else, if not done: the number went back to its owner */
};
/* Of a route, by handover_id, those above `after`. Borrowed during the call. */
int store_handover_list(struct store *store, const char *route, uint64_t after, uint32_t limit,
                        void (*on_handover)(void *context, const struct store_handover_status *handover),
                        void *context, struct err *err);
#endif
