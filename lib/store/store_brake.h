/*
 * The brake on deletions (I6): may what is gone from production be removed from the target without asking? Pure: figures
 * in, verdict out; store_removal.c counts them, under a lock of the route's row.
 *
 * Counted are messages gone from production whose copy is still there (from the first look on, proven or not), those held
 * lately, and those removed without a person's word, all within the window; but not those that passed lately the age at
 * which the store removes its messages by itself (retention_days). Shares are of what is left and what is going: neither
 * what a person decided to keep nor a night's clean-up makes a loss look smaller.
 */
#ifndef MIRROR_STORE_STORE_BRAKE_H
#define MIRROR_STORE_STORE_BRAKE_H

#include "base/config.h"

/* One mailbox on one route. Greetings are counted apart: where little else is kept, those that stay would make the loss of
 * all messages look small. */
struct store_brake_mailbox {
    uint32_t left;     /* messages with a copy, still on production */
    uint32_t going;    /* gone: to be removed, held or removed within the window; counted ones only */
    uint32_t nameless; /* gone, greetings too, when UIDVALIDITY changed: nobody deleted them one by one */
    uint32_t greetings_gone; /* proven ones only: one that is recorded anew may be away for a minute */
    uint32_t greetings_left;
    uint32_t folders_gone; /* with undecided messages in them */
    uint32_t folders_left; /* still on production, without INBOX, which is always there */
};

/* All mailboxes of the route, this one included. */
struct store_brake_route {
    uint32_t mailboxes;
    uint32_t emptied; /* see store_brake_is_emptied() */
    uint64_t left, going;
};

enum store_brake_verdict { STORE_BRAKE_GO, STORE_BRAKE_HOLD_MAILBOX, STORE_BRAKE_HOLD_ROUTE };

enum { STORE_BRAKE_REASON_BYTES = 300 };

/* Figures below are from a model of 1,000 ordinary mailboxes, tests/unit/test_store_brake_month.c.
 *
 * What users of a route may delete within the window, for each mailbox, whatever the share. In the busiest hour it is 2.7 on
 * average, a Monday's; 4.3 on the morning after four days off. */
enum { STORE_BRAKE_ROUTE_PER_MAILBOX = 5 };
/* More than this share of all messages goes with no users, on a route of STORE_BRAKE_MANY mailboxes: they reach 0.82 on a
 * route of 20 that began empty, 0.50 on one of 200. */
#define STORE_BRAKE_WIPED_SHARE 0.9

enum { STORE_BRAKE_FOLDERS = 2 };

/* The reason for people goes to `reason` (empty on GO): "31 of 40 messages are gone from production: more than 30 and more
 * than 50 %". Held are, in this order:
 *   - a mailbox that lost messages when UIDVALIDITY changed, however few;
 *   - one that lost its last greeting ("all 2 greetings are gone, and 28 of 31 messages");
 *   - one that lost all its folders but INBOX, STORE_BRAKE_FOLDERS at least: a LIST may be cut short, or tell of another
 *     machine;
 *   - one that lost more than mailbox_messages and more than mailbox_share of what it had;
 *   - any mailbox of a route that lost more than route_messages, more than STORE_BRAKE_ROUTE_PER_MAILBOX for each mailbox
 *     and more than route_share of all messages;
 *   - or that lost more than mailbox_messages and more than STORE_BRAKE_WIPED_SHARE;
 *   - or that lost more than route_messages and had STORE_BRAKE_MANY mailboxes, and more than route_mailboxes_share of them,
 *     emptied. */
enum store_brake_verdict store_brake_decide(const struct config_deletions *limits,
                                            const struct store_brake_mailbox *mailbox,
                                            const struct store_brake_route *route,
                                            char reason[STORE_BRAKE_REASON_BYTES]);

/* No message is left, and it was more than what many users delete in passing: where every fifth deletes all that he hears,
 * up to 3 % of the mailboxes are emptied of 10 within an hour; of 6 it were 5 % on a Monday, 6 % after four days off. */
enum { STORE_BRAKE_EMPTIED_FROM = 10 };
bool store_brake_is_emptied(const struct store_brake_mailbox *mailbox);

/* Signs that production was restored, rebuilt or exchanged: do so many mailboxes of so many trip the breaker? At least
 * STORE_BRAKE_MANY and 5 %. */
enum { STORE_BRAKE_MANY = 3 };
bool store_brake_are_many(uint32_t mailboxes_with_sign, uint32_t mailboxes);

#endif
