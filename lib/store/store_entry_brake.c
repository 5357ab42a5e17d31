/*
 * When removals from a directory are too many; see store_entry_brake.h.
 */
#include "store/store_entry_brake.h"

#include <stdio.h>

bool store_entry_brake_holds(const struct config_directory *limits, const struct store_entry_brake *figures,
                             const char *noun, char reason[STORE_ENTRY_BRAKE_REASON_BYTES])
{
    double all = (double)figures->present + figures->going;
    reason[0] = '\0';
    if (figures->present == 0 && figures->going > 0) {
        snprintf(reason, STORE_ENTRY_BRAKE_REASON_BYTES, "production lists no %s at all", noun);
        return true;
    }
    if (figures->going <= limits->removed_entries || figures->going <= limits->removed_share * all)
        return false;
    snprintf(reason, STORE_ENTRY_BRAKE_REASON_BYTES,
             "%u of %.0f %s are gone from production: more than %u and more than %.3g %%", figures->going,
             all, noun, limits->removed_entries, limits->removed_share * 100);
    return true;
}
