/*
 * A round: one time of ldapsync with one route. Lists both sides, pairs, settles what differs, removes what is gone, and
 * says how it ended. COS come first, since subscribers refer to them; removals go the other way round.
 *
 *   round_list.c  both sides, or what changed, into the store (listed)
 *   writer.c      entries that are not equal, several at a time (work.c: one of them; results.c: their results)
 *   follow.c      mailboxes that are subscribed from the directory
 *   numbers.c     numbers that somebody else still has on the target
 *   retire.c      entries that are gone from production, under the brake
 *   user_login.c  that copied passwords work
 */
#ifndef MIRROR_LDAPSYNC_ROUND_H
#define MIRROR_LDAPSYNC_ROUND_H

#include "daemon/daemon.h"
#include "ldapsync/change_marks.h"
#include "ldapsync/mapping.h"
#include "ldapsync/refresh.h"
#include "ldapsync/sides.h"
#include "store/store_directory.h"
#include "store/store_entry.h"

struct round;
struct results;

/* What all rounds of this process share. */
struct round_tools {
    struct daemon *daemon;
    struct store *store;
    struct sides *sides;
    uint8_t key[MAPPING_KEY_BYTES];
    struct round *current; /* the round that runs now, for the tick; NULL between rounds */
};

struct round {
    struct round_tools *tools;
    const struct config *config;
    const struct config_route *route;
    struct store_directory_claim *claim;
    struct connection *production, *target;
    struct mapping *mapping;
    bool dry; /* only says what it would do */
    struct round_scope {
        bool changes, names, full; /* full: both sides, which tells the names too */
    } wanted;
    bool names_whole, full_whole;         /* of what was wanted, and got of COS and subscribers */
    bool no_syncrepl;                     /* announced, but not for our entries */
    struct change_marks marks, new_marks; /* as stored; what they become if all that they cover is settled */
    struct results *results;              /* results that are not recorded yet (results.h); NULL: none */
    struct err doubt;                     /* the first thing that was not whole; the rest went on */
    struct err lost;                      /* why the round must stop at once; ERR_NONE: nothing */
    uint32_t written, refused, removed;
    int64_t began_boot_ms;
};

/* Does the round and gives the row back to the store. What is worth telling people goes to `said`; false: nothing was
 * done that is worth it. */
bool round_run(struct round_tools *tools, struct store_directory_claim *claim, char *said, size_t said_size);

/* Before each command that changes the target: is the lease still ours beyond doubt? */
int round_guard(const struct round *round, struct err *err);

/* For connections: pulse and lease. false: stop. */
bool round_tick(void *tools);

/* Something was not whole: kept (the first), said once, and the round goes on without it. */
void round_doubt(struct round *round, const struct err *err);
const struct config_ldap *round_ldap(const struct round *round, enum store_listed_side side);
const char *round_base(const struct round *round, enum store_listed_side side, enum store_kind kind);
const char *round_filter(const struct round *round, enum store_listed_side side, enum store_kind kind);
/* The attribute of the number, as that side calls it. */
const char *round_number_attribute(const struct round *round, enum store_listed_side side,
                                   enum store_kind kind);
const char *round_kind_word(enum store_kind kind); /* "subscriber", "COS" */

#endif
