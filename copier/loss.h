/*
 * A message over which a connection was lost: once may be anybody's fault; each time is that message's own (a server that
 * dies over its file). So it goes by itself after the first time, behind all others after the second, where that can be
 * arranged, and is then passed over, with the words of the loss, and tried once more whenever it is due again. Without this
 * one bad message would end every turn on its mailbox (I11).
 */
#ifndef MIRROR_COPIER_LOSS_H
#define MIRROR_COPIER_LOSS_H

#include "copier/pass.h"
#include "store/store_loss.h"

/* A message to be copied goes behind all others after so many. */
enum { LOSS_LAST = 2 };

/* What is recorded about it; *found_out NULL: nothing. -1: the store cannot be asked. Borrowed until the next call. */
int loss_find(struct pass *pass, enum store_loss_kind kind, uint32_t uid, const struct store_loss **found_out,
              struct err *err);
/* Is it to be passed over in this pass? `words` (LOSS_WORDS_BYTES): why. Whoever is told so passes it over: the next try
 * after that counts as the second again. */
enum { LOSS_WORDS_BYTES = 800 };
int loss_is_given_up(struct pass *pass, enum store_loss_kind kind, uint32_t uid, bool *given_up_out,
                     char *words, struct err *err);
/* After a failure: counts it, if it was a connection that was lost. */
void loss_note(struct pass *pass, enum store_loss_kind kind, uint32_t uid, const struct err *why);
/* It was done after all. */
int loss_forget(struct pass *pass, enum store_loss_kind kind, uint32_t uid, struct err *err);

#endif
