/*
 * Inside lib/store: the parts of the copier's batch (store_folder_commit), run in its transaction.
 */
#ifndef MIRROR_STORE_STORE_MESSAGE_H
#define MIRROR_STORE_STORE_MESSAGE_H

#include "store/store_folder.h"

/* Inserts and updates; new_ids[i] is filled for those that were new. */
int store_message_write(struct store *store, const struct store_change *change, uint64_t *new_ids,
                        struct err *err);

/* The word in the column `removal`. Pure. */
enum store_removal store_message_removal(const char *word);

/* Intents removed or turned into ghosts. */
int store_intent_settle(struct store *store, const struct store_change *change, struct err *err);

#endif
