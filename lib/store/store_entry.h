/*
 * Subscribers and COS of production, and how each stands on the target (table `entry`): work for ldapsync's writer, its
 * results, removals under the brake, owners of mirrors (I10); and what people ask about them.
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
bool store_entry_state_is(const char *name); /* one of them */

struct store_entry {
    uint64_t entry_id;
    enum store_kind kind;
    char identity[STORE_IDENTITY_BYTES];
    char number[STORE_NUMBER_BYTES];
    char name[STORE_LABEL_BYTES];
    char cos[STORE_COS_BYTES];
    char source_dn[STORE_DN_BYTES], target_dn[STORE_DN_BYTES]; /* target_dn "": not there, as far as known */
    enum store_entry_state state;
    bool has_attributes; /* store_entry_attributes() has some */
    bool
        number_is_free; /* on the target, as far as is known: nobody else's entry has it, and no former owner's messages are there */
    bool has_listed; /* production's digest in `listed` */
    uint8_t listed[32];
};

/* ---- work ---- */
/* Entries to be settled: todo (or next_try_at come), on production, behind `after_entry_id`, in order. At most `max`; returns
 * how many, or -1. `all_unequal` (asked for, dry runs): also those whose difference is settled. */
int store_entry_todo(struct store *store, const struct store_directory_lease *lease, enum store_kind kind,
                     bool all_unequal, uint64_t after_entry_id, struct store_entry *entries_out, uint32_t max,
                     struct err *err);
/* One by its number in the table; ERR_MESSAGE if it is not there. */
int store_entry_find(struct store *store, uint64_t entry_id, struct store_entry *entry_out, struct err *err);
/* Before entries are added to the target, in one transaction: should nobody hear the answers, they are known to be ours. */
struct store_entry_adding {
    uint64_t entry_id;
    const char *target_dn;
};
enum { STORE_ENTRY_RESULTS_MAX = 64 }; /* at once, of these and of store_entry_settled() */
int store_entry_adding(struct store *store, const struct store_directory_lease *lease,
                       const struct store_entry_adding *entries, size_t count, struct err *err);
/* The target's entry was given another number, and with it perhaps another DN: target_dn and its row in `listed` follow. */
struct store_entry_moved {
    uint64_t entry_id;
    const char *target_dn, *number;
};
int store_entry_note_moved(struct store *store, const struct store_directory_lease *lease,
                           const struct store_entry_moved *moved, struct err *err);

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
    const struct store_entry *entry; /* as it was when the work began */
    enum store_entry_state
        state; /* EQUAL, DIFFERS, MISSING, WAITING; UNPROVEN: could not be looked at now, stays todo */
    const char *attributes;      /* names that differ, separated by blanks */
    const char *reason;          /* in words; for MISSING the server's */
    const char *target_dn;       /* "" if it is not there */
    bool retry;                  /* tried again by itself, after a growing delay (10 s to 1 h) */
    bool wrote;                  /* the target was changed */
    bool has_source, has_target; /* as read just now: they become settled_*, and those of `listed` */
    uint8_t source[32], target[32];
    const char *target_number, *target_identity, *target_cos,
        *target_name;                          /* of the entry there, for `listed`; NULL: none */
    const struct store_entry_attribute *known; /* replaces all of its entry_attribute rows */
    size_t known_count;
};
/* All of them in one transaction; todo goes (but for UNPROVEN). */
int store_entry_settled(struct store *store, const struct store_directory_lease *lease,
                        const struct store_entry_result *const *results, size_t count, struct err *err);

/* ---- owners (I10) ---- */
struct store_entry_strangers {
    uint32_t count;   /* mirrors whose number is found to be another person's just now */
    uint32_t lately;  /* and those of the last hour, unless a person has decided about production since */
    uint32_t mirrors; /* of all on the route */
    bool production_in_doubt; /* so many of them that production was rather exchanged: the breaker's matter */
};
/* Whose messages the route's mirrors hold: one without an owner gets the present one, if he is on the target. With another
 * `id_attribute` than last time nobody is a stranger: all owners are told anew. */
int store_entry_tell_owners(struct store *store, const struct store_directory_lease *lease,
                            const char *id_attribute, struct store_entry_strangers *strangers_out,
                            struct err *err);
/* Where a mirror's number is another person's by now, it is handed over (store_handover.h), and the new one's entry waits: else
 * he would hear the former one's messages. One whose number is its owner's again is not handed over any more. */
int store_entry_hand_over(struct store *store, const struct store_directory_lease *lease, struct err *err);
/* Does the number's mirror still hold another person's messages? */
int store_entry_has_former_owner(struct store *store, uint32_t route_id, const char *number,
                                 const char *identity, bool *has_out, struct err *err);
/* Where the directory is only looked at, no mirror waits for it. */
int store_entry_let_mirrors_go(struct store *store, const struct store_directory_lease *lease,
                               struct err *err);
/* Mirrors of subscribers that are not on the target wait, all others do not. At the end of a round, also of a failed one. */
int store_entry_release_mirrors(struct store *store, const struct store_directory_lease *lease,
                                struct err *err);

/* ---- removals ---- */
/* Entries that are to be removed: ours (target_dn), missed in two whole listings at least delay_seconds apart; not while their
 * messages are handed over, nor while their mailbox is one that ldapsync subscribed: it would go with its subscriber; nor while production's breaker is tripped. All that is gone is
 * judged as one for the route and kind by the brake (store_entry_brake.h): too much, and all of it goes into a plan that waits for
 * a person (store_plan.h), and none of it is returned before he allowed that plan. At most `max`, behind `after_entry_id`; each
 * must be looked for once more. Their state is GONE. `dry`: no plan is made, and what is held, or would be, is returned too, as
 * HELD. */
struct store_entry_removal {
    const struct config_directory *limits;
    enum store_kind kind;
    bool dry;
    bool holds; /* out: what the brake said */
};
int store_entry_removable(struct store *store, const struct store_directory_lease *lease,
                          struct store_entry_removal *removal, uint64_t after_entry_id,
                          struct store_entry *entries_out, uint32_t max, struct err *err);
enum store_entry_removed {
    STORE_ENTRY_BEGIN,
    STORE_ENTRY_REMOVED,
    STORE_ENTRY_NOT_GONE,
    STORE_ENTRY_NOT_REMOVED,
    STORE_ENTRY_NEVER
};
/* BEGIN before the target is told (journalled for the brake, once, unless a person allowed it), REMOVED after (its row goes);
 * NOT_GONE: it is on production after all (no more gone, and out of its plan); NOT_REMOVED with words (in use, refused): stays
 * gone, tried again later; NEVER with words: is kept. */
int store_entry_remove(struct store *store, const struct store_directory_lease *lease, uint64_t entry_id,
                       enum store_entry_removed step, const char *words, struct err *err);
/* When all that could be removed was: plans of which nothing is open any more are over. */
int store_entry_plan_end(struct store *store, const struct store_directory_lease *lease, enum store_kind kind,
                         struct err *err);

/* Is a test mailbox's password to be tried on the target: its entry is equal there, and was settled since the last try, or that
 * was a day ago? */
int store_entry_password_due(struct store *store, uint32_t route_id, const char *number, bool *due_out,
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
#endif
