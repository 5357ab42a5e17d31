/*
 * Subscribers and COS of production, and how each stands on the target (table `entry`): work for ldapsync's writer, its
 * results, removals under the brake, handovers (I10), subscriptions by filter; and what people ask about them.
 */
#ifndef MIRROR_STORE_ENTRY_H
#define MIRROR_STORE_ENTRY_H

#include "store/store_listed.h"

enum store_entry_state {
    STORE_ENTRY_UNPROVEN,
    STORE_ENTRY_EQUAL,
    STORE_ENTRY_DIFFERS,
    STORE_ENTRY_MISSING,
    STORE_ENTRY_WAITING,
    STORE_ENTRY_GONE,
    STORE_ENTRY_HELD,
    STORE_ENTRY_KEPT
};
const char *store_entry_state_name(enum store_entry_state state);

struct store_entry {
    uint64_t entry_id;
    enum store_kind kind;
    char identity[STORE_IDENTITY_BYTES];
    char number[STORE_NUMBER_BYTES];
    char name[STORE_LABEL_BYTES];
    char cos[STORE_COS_BYTES];
    char source_dn[STORE_DN_BYTES], target_dn[STORE_DN_BYTES]; /* target_dn "": not there, as far as known */
    enum store_entry_state state;
    uint64_t plan_id;
};

/* ---- work ---- */
/* Entries to be settled: todo (or next_try_at come), on production, behind `after_entry_id`, in order. At most `max`; returns
 * how many, or -1. `with_waiting` false leaves out those in state waiting whose cause a handover is. */
int store_entry_todo(struct store *store, const struct store_directory_lease *lease, enum store_kind kind,
                     uint64_t after_entry_id, struct store_entry *entries_out, uint32_t max, struct err *err);

/* An attribute that the target alters or refuses; digests keyed. */
struct store_entry_attribute {
    char name[129]; /* description with options, lower case, as production calls it */
    bool refused;   /* else altered */
    uint8_t source[32], target[32];
    char words[400];
};
enum { STORE_ENTRY_ATTRIBUTES_MAX = 100 };
/* At most `max`, returns how many, or -1. */
int store_entry_attributes(struct store *store, uint64_t entry_id,
                           struct store_entry_attribute *attributes_out, uint32_t max, struct err *err);

struct store_entry_result {
    uint64_t entry_id;
    enum store_entry_state
        state; /* EQUAL, DIFFERS, MISSING, WAITING; UNPROVEN: could not be looked at now, stays todo */
    const char *attributes; /* names that differ, separated by blanks */
    const char *reason;     /* in words; for MISSING the server's */
    const char *target_dn;  /* "" if it is not there; NULL: as it was */
    bool retry;             /* tried again by itself, after a growing delay (10 s to 1 h) */
    bool has_digests;       /* both sides as read just now: they become settled_*, and listed's */
    uint8_t source[32], target[32];
    const char *target_number, *target_identity, *target_cos,
        *target_name;                          /* of the entry there, for `listed`; NULL: none */
    const struct store_entry_attribute *known; /* replaces all of its entry_attribute rows */
    size_t known_count;
};
/* In one transaction; todo goes (but for UNPROVEN), fail_count as told; a subscriber that is on the target frees its mirror
 * (owner, waits_for_owner = 0, wanted), unless that mirror is handing over. */
int store_entry_settled(struct store *store, const struct store_directory_lease *lease,
                        const struct store_entry_result *result, struct err *err);

/* ---- handovers (I10) ---- */
/* For all subscribers of the route: where the mirror of a number has an owner other than the identity that has the number on
 * production now, the mirror begins to hand over (a handover row, handing_over = 1), and both entries concerned (the new
 * one, and the one that still has the number on the target) wait. A mirror without an owner gets the present one if that
 * entry is on the target. Returns how many handovers are under way, or -1. */
int store_entry_handovers(struct store *store, const struct store_directory_lease *lease, struct err *err);
/* Is a handover of this number on this route under way? */
int store_entry_is_handing_over(struct store *store, uint32_t route_id, const char *number, bool *is_out,
                                struct err *err);

/* ---- removals ---- */
/* Entries that may be removed: ours (target_dn), missed in two whole listings at least delay_seconds apart, state gone or in
 * an allowed plan. Judged as one for the route and kind by the brake: held ones become one plan (state held) and are not
 * returned. The others are returned, at most `max`, behind `after_entry_id`; each must be proven once more by looking, then
 * store_entry_removed(). `dry`: judges, changes nothing; held ones are returned too, with state HELD. */
struct store_entry_removal {
    const struct config_directory *limits;
    enum store_kind kind;
    bool dry;
};
int store_entry_removable(struct store *store, const struct store_directory_lease *lease,
                          const struct store_entry_removal *removal, uint64_t after_entry_id,
                          struct store_entry *entries_out, uint32_t max, struct err *err);
enum store_entry_removed {
    STORE_ENTRY_BEGIN,
    STORE_ENTRY_REMOVED,
    STORE_ENTRY_NOT_GONE,
    STORE_ENTRY_NOT_REMOVED
};
/* BEGIN before the target is told (journalled for the brake), REMOVED after, NOT_GONE: it is on production after all (no more
 * gone; leaves its plan); NOT_REMOVED with words (in use, refused): stays gone, tried again later. */
int store_entry_remove(struct store *store, const struct store_directory_lease *lease, uint64_t entry_id,
                       enum store_entry_removed step, const char *words, struct err *err);
/* The former person's entry, which still has a number on the target that is another's now, is removed without the brake. */
/* (Same function: BEGIN is not journalled if its number is another identity's on production.) */

/* ---- subscriptions by filter ---- */
/* Which of the route's subscribers match the filter (by the numbers given, in batches; a listing begins with first = true, and
 * is whole with last = true). When whole: matching ones that are not subscribed are (mailbox, look, mirror of this route);
 * mirrors of mailboxes that the directory subscribed and that match no more go on hold, and back when they match again.
 * Returns 0; *changed_out: how many were subscribed, held or taken back. */
struct store_entry_matches {
    uint64_t listing;
    const char *const *numbers;
    size_t count;
    bool whole;
    uint32_t subscribed, held, back; /* out */
};
int store_entry_matches(struct store *store, const struct store_directory_lease *lease,
                        struct store_entry_matches *matches, struct err *err);

/* What of waits_for_owner follows from the entries: mirrors of subscribers that are not on the target wait, those without an
 * entry do not. At the end of a round, also a failed one. */
int store_entry_release_mirrors(struct store *store, const struct store_directory_lease *lease,
                                struct err *err);

int store_entry_password(struct store *store, const struct store_directory_lease *lease, const char *number,
                         bool proven, const char *words, struct err *err);

/* ---- dry run ---- */
struct store_difference {
    uint64_t difference_id;
    enum store_kind kind;
    const char *number, *name, *dn, *action; /* "add", "modify", "rename", "remove", "hold", "keep" */
    const char *attributes;                  /* JSON: [{"name","op","what"}...], without secrets */
    const char *ldif;
};
int store_difference_clear(struct store *store, const struct store_directory_lease *lease, struct err *err);
int store_difference_add(struct store *store, const struct store_directory_lease *lease,
                         const struct store_difference *difference, struct err *err);
int store_difference_list(struct store *store, const char *route, uint64_t after, uint32_t limit,
                          void (*on_difference)(void *context, const struct store_difference *difference),
                          void *context, struct err *err);

/* ---- api ---- */
struct store_entry_status {
    uint64_t entry_id;
    const char *route;
    enum store_kind kind;
    const char *number, *name, *identity, *cos, *state, *attributes, *reason;
    double differs_seconds, proven_seconds, next_try_seconds; /* since, age, until; -1: none */
    uint64_t plan_id;
    double password_proven_seconds;
    const char *password_error;
    const char *known; /* attributes altered or refused by the target, "name: words" separated by line ends */
};
struct store_entry_filter {
    const char *route, *number; /* NULL: all */
    int kind;                   /* -1: all */
    const char *state;          /* NULL: all; "not-equal": all but equal */
    uint64_t after_entry_id;
    uint32_t limit;
};
int store_entry_list(struct store *store, const struct store_entry_filter *filter,
                     void (*on_entry)(void *context, const struct store_entry_status *entry), void *context,
                     struct err *err);
struct store_trouble_status {
    const char *route, *side, *dn, *number, *words;
    enum store_kind kind;
    double since_seconds;
};
int store_entry_troubles(struct store *store, const char *route, uint32_t limit,
                         void (*on_trouble)(void *context, const struct store_trouble_status *trouble),
                         void *context, struct err *err);
/* The set of a plan of kind subscribers or cos. */
struct store_plan_entry {
    uint64_t entry_id;
    const char *number, *name, *outcome;
};
int store_entry_plan(struct store *store, uint64_t plan_id, uint64_t after_entry_id, uint32_t limit,
                     void (*on_entry)(void *context, const struct store_plan_entry *entry), void *context,
                     struct err *err);

#endif
