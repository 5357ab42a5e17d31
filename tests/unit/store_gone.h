/*
 * For the store's tests of deletions: a claimed mirror among others, with messages that are gone from production.
 */
#ifndef MIRROR_TESTS_STORE_GONE_H
#define MIRROR_TESTS_STORE_GONE_H

#include "store/store_folder.h"
#include "store/store_removal.h"
#include "store_fixture.h"

struct store_gone_work {
    struct store_fixture *fixture;
    struct store_claim claim;
    uint64_t inbox, greetings;
};

/* The route "dr" with so many mailboxes of 12 messages each; the first one is claimed, and has no messages. Limits: those of
 * README, a window of 60 minutes. */
struct store_gone_work store_gone_begin(struct store_fixture *fixture, unsigned mailboxes);
/* Another mailbox of the same route. */
struct store_gone_work store_gone_begin_next(const struct store_gone_work *work);
/* So many messages with a copy; gone for so many seconds, or there (-1). Their UIDs go on from the highest. */
void store_gone_add(const struct store_gone_work *work, uint64_t folder_id, unsigned count, int gone_seconds);
/* Asks the brakes. All that is undecided, with a copy and gone for `proven_seconds` is proven; -1: nothing. */
struct store_removal_answer store_gone_ask(const struct store_gone_work *work, int proven_seconds);
int store_gone_try_ask(const struct store_gone_work *work, int proven_seconds,
                       struct store_removal_answer *answer_out, struct err *err);
/* Fails the test unless the SQL gives this text. */
void store_gone_assert(const struct store_gone_work *work, const char *want, const char *sql);

#endif
