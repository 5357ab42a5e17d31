/*
 * What the listings of both directories saw last (table `listed`), in batches, and the pairing of both sides in SQL: so
 * that a comparison needs no memory of its own. Used by ldapsync.
 */
#ifndef MIRROR_STORE_LISTED_H
#define MIRROR_STORE_LISTED_H

#include "store/store_directory.h"

/* The longest that fit the columns; longer ones are a trouble of that entry. */
enum {
    STORE_DN_BYTES = 801,
    STORE_IDENTITY_BYTES = 201,
    STORE_NUMBER_BYTES = 65,
    STORE_LABEL_BYTES = 257,
    STORE_COS_BYTES = 33
};

struct store_listed {
    char dn[STORE_DN_BYTES]; /* normalised */
    char number[STORE_NUMBER_BYTES];
    char identity[STORE_IDENTITY_BYTES];
    char cos[STORE_COS_BYTES]; /* subscribers */
    char name[STORE_LABEL_BYTES];
    bool has_digest; /* else it is not known now, and the entry is not compared */
    uint8_t digest[32];
};

struct store_listing {
    enum store_kind kind;
    enum store_listed_side side;
    uint64_t listing;
    bool names_only; /* digests stay as they were */
};

enum { STORE_LISTED_BATCH = 128 };
/* Inserts or refreshes, in one transaction; `listing` becomes the number of this one. Returns 0. Repeating is harmless. */
int store_listed_add(struct store *store, const struct store_directory_lease *lease,
                     const struct store_listing *listing, const struct store_listed *entries, size_t count,
                     struct err *err);

/* An entry that cannot be mirrored at all. Keeps its `since` if it is there already with these words. */
struct store_trouble_entry {
    const char *dn, *number, *words;
};
int store_listed_trouble(struct store *store, const struct store_directory_lease *lease,
                         const struct store_listing *listing, const struct store_trouble_entry *trouble,
                         struct err *err);

/* The listing was whole: what it did not see is not there. Rows of that side and kind with an older number go; troubles
 * likewise. On production's side the entries of what went are missed once more (gone_at, gone_listings), those that are
 * there are not gone any more. On the target's side entries that are not there lose their target_dn. */
int store_listed_whole(struct store *store, const struct store_directory_lease *lease,
                       const struct store_listing *listing, struct err *err);

/* How many rows that side and kind has now: what a present list is compared with. */
int store_listed_count(struct store *store, uint32_t route_id, enum store_kind kind,
                       enum store_listed_side side, uint64_t *count_out, struct err *err);

/* Pairs what production has with the target: entries are made or refreshed (by identity) from listed rows whose `listing` is
 * at least `since_listing` (0: all); target_dn is found by number where it is not known yet and no other entry has it.
 * Equal digests, or the two that it was last settled with and a verdict of then, are no work: equal ones are proven if both
 * sides were read just now.
 * All others become todo. Numbers that two entries of production have are a trouble of both, and neither is paired anew. Runs
 * in several short transactions. */
int store_listed_pair(struct store *store, const struct store_directory_lease *lease, enum store_kind kind,
                      uint64_t since_listing, struct err *err);

/* Who has this number on the target, other than `dn`? '' in dn_out: nobody. entry_id_out: the entry whose target_dn it is, 0:
 * a stranger's. */
struct store_listed_holder {
    char dn[STORE_DN_BYTES];
    uint64_t entry_id;
    char number
        [STORE_NUMBER_BYTES]; /* the number that this entry has on production now; "" if it is gone from there */
};
int store_listed_number_holder(struct store *store, uint32_t route_id, enum store_kind kind,
                               const char *number, const char *dn, struct store_listed_holder *holder_out,
                               struct err *err);
/* Is the number used by anybody on either side? For a number to park an entry at. */
int store_listed_number_is_used(struct store *store, uint32_t route_id, enum store_kind kind,
                                const char *number, bool *used_out, struct err *err);
#endif
