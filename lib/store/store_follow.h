/*
 * Subscribers who are subscribed by themselves, since a route's configuration names them (directory.subscribe_*): ldapsync
 * marks those of a whole list of production, and then mailboxes follow. What a person subscribed is never touched.
 */
#ifndef MIRROR_STORE_FOLLOW_H
#define MIRROR_STORE_FOLLOW_H

#include "store/store_listed.h"

enum { STORE_FOLLOW_BATCH = 64 };
/* These are in the list (at most STORE_FOLLOW_BATCH). Repeating is harmless. */
int store_follow_mark(struct store *store, const struct store_directory_lease *lease, uint64_t listing,
                      const char (*identities)[STORE_IDENTITY_BYTES], size_t count, struct err *err);

struct store_follow_result {
    uint32_t in_list, held, resumed; /* mailboxes put on hold, and back, just now */
};
/* The list is whole: followed mailboxes that were in none of the last two go on hold, those that are in it again go on. An empty
 * list changes nothing. */
int store_follow_hold(struct store *store, const struct store_directory_lease *lease, uint64_t listing,
                      struct store_follow_result *result_out, struct err *err);
/* Subscribes those of the list who have no mailbox on this route, at most STORE_FOLLOW_BATCH with numbers above `after`, which
 * becomes the last one's. How many there were, or -1. *added_out is raised. */
int store_follow_subscribe(struct store *store, const struct store_directory_lease *lease, uint64_t listing,
                           const char *route, char after[STORE_NUMBER_BYTES], uint32_t *added_out,
                           struct err *err);
#endif
