/*
 * A turn: one claimed mirror brought as near to production as the turn's time allows. Opens both sides, goes over the
 * folders, and says how it ended. Runs in the copier, which does one turn at a time.
 */
#ifndef MIRROR_COPIER_TURN_H
#define MIRROR_COPIER_TURN_H

#include "access/access.h"
#include "daemon/daemon.h"
#include "store/store_mirror.h"
#include "target/target.h"

/* What all turns of this process share. */
struct turn_tools {
    struct daemon *daemon;
    struct store *store;
    struct imap_reactor *reactor;
    struct access *access;
    struct turn **current; /* the turn that runs now, for the reactor's tick; NULL between turns */
};

struct turn {
    const struct turn_tools *tools;
    const struct config *config;
    const struct config_route *route;
    struct store_claim *claim;
    int64_t end_boot_ms; /* after this, yield at the next batch */
    struct access_session *source_session, *target_session;
    struct imap_session *source;
    struct target *target;
    struct imap_list source_list;
    bool list_target;            /* list every target folder whole in this turn */
    bool yielded;                /* time was over before all was done */
    bool given_back;             /* the lease ended with the work's own last transaction */
    bool breaker_tripped;        /* production's: nothing is removed or overwritten (I6) */
    int64_t next_glance_boot_ms; /* when to ask the store again whether something more urgent waits */
    struct store_mirror_figures figures;
    struct turn_copied {
        uint64_t messages, bytes;
    } copied, copied_told;   /* in this turn; of that, what the store was told */
    uint64_t commits;        /* batches recorded in this turn: work that got on */
    struct err folder_error; /* the first folder that failed; the others went on */
    struct err lost;         /* why the turn must stop at once (lease, store); ERR_NONE: nothing */
    char *verify_report;
    uint32_t verify_differences;
};

/* Does the turn and gives the mirror back to the store. The text for people, such as "equal, 12 copied", goes to `said`
 * (at least 512 bytes). Returns true if the mirror is up to date now. */
bool turn_run(const struct turn_tools *tools, struct store_claim *claim, char *said, size_t said_size);

/* A folder's own error (scope at most ERR_FOLDER): logged, and the first one kept as the turn's; the others go on. */
void turn_keep_folder_error(struct turn *turn, const struct err *err);

/* 0: `why` was a folder's own, and is kept so; else -1, and `err` is `why`. */
int turn_bear(struct turn *turn, const struct err *why, struct err *err);

/* Called from the reactor once a second and by the copier in long loops: pulse, lease, session rows. false: stop. */
bool turn_tick(struct turn *turn);

/* Before each command that changes the target: is the lease still ours beyond doubt? */
int turn_guard(void *turn, struct err *err);

/* True when the turn should end at the next safe point: time over, drain, something more urgent waits. */
bool turn_is_over(struct turn *turn);

#endif
