/*
 * The brake on removals from a target's directory (I6), pure: subscribers and COS each for themselves. Counted is all that is
 * gone from production, proven or not, and what was removed without a person's word within a day: a disaster that comes in
 * pieces is held whole.
 */
#ifndef MIRROR_STORE_STORE_ENTRY_BRAKE_H
#define MIRROR_STORE_STORE_ENTRY_BRAKE_H

#include "base/config.h"

struct store_entry_brake {
    uint32_t present; /* on production */
    uint32_t going;
};

enum { STORE_ENTRY_BRAKE_REASON_BYTES = 200 };
/* true: held; the reason for people. More than removed_entries and more than removed_share of all; or all of them, however few:
 * a right that was taken from us looks like success without entries. */
bool store_entry_brake_holds(const struct config_directory *limits, const struct store_entry_brake *figures,
                             const char *noun, char reason[STORE_ENTRY_BRAKE_REASON_BYTES]);

#endif
