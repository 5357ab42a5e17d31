/*
 * Signs; see the header. Runs in the copier.
 */
#include "copier/signs.h"

#include "base/log.h"
#include "store/store_breaker.h"

#include <stdio.h>

enum { REASON_BYTES = 800 };

static void say_tripped(struct turn *turn, bool just_now, const char *reason)
{
    if (just_now)
        log_error(
            "breaker tripped: nothing is removed or overwritten on routes from this site before a person "
            "decides (mirrorctl held list)",
            LOG_STR("site", turn->route->from), LOG_STR("reason", reason));
}

static int trip(struct turn *turn, const char *reason, struct err *err)
{
    bool just_now = false;
    if (store_breaker_trip(turn->tools->store, turn->route->from, reason, &just_now, err) != 0)
        return -1;
    turn->breaker_tripped = true;
    say_tripped(turn, just_now, reason);
    return 0;
}

int signs_went_back(struct turn *turn, const char *folder, struct err *err)
{
    char reason[REASON_BYTES];
    snprintf(
        reason, sizeof(reason),
        "mailbox %s, folder %.200s: it went back to a former state (UIDNEXT is lower than it was, or known "
        "UIDs name other messages)",
        turn->claim->mailbox, folder);
    return trip(turn, reason, err);
}

int signs_new_uidvalidity(struct turn *turn, struct err *err)
{
    bool just_now = false;
    if (store_breaker_sign(turn->tools->store, turn->route->from, STORE_SIGN_UIDVALIDITY,
                           turn->claim->mailbox_id, &just_now, err) != 0)
        return -1;
    turn->breaker_tripped |= just_now;
    say_tripped(turn, just_now, "UIDVALIDITY changed on many mailboxes");
    return 0;
}

int signs_swapped(struct turn *turn, const char *folder, struct err *err)
{
    char reason[REASON_BYTES];
    snprintf(reason, sizeof(reason),
             "mailbox %s, folder %.200s: what answers as site %s is what was site %s before",
             turn->claim->mailbox, folder, turn->route->from, turn->route->to);
    if (trip(turn, reason, err) != 0)
        return -1;
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER,
                   "%s: correct the addresses of the two sites; nothing is mirrored like this", reason);
}
