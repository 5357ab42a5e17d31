/*
 * Any text as a DN: one form of it, that stays as it is; below a base only what comes back when it is moved there and back.
 */
#include "base/err.h"
#include "base/str.h"
#include "ldapsync/entry.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DN_BYTES = 800 };

static void move_there_and_back(const char *normal)
{
    char there[DN_BYTES], back[DN_BYTES], again[DN_BYTES];
    if (!entry_dn_move(normal, "ou=People,dc=a", "o=backup", there, sizeof(there)))
        return;
    ASSERT(entry_dn_move(there, "o=backup", "ou=people,dc=a", back, sizeof(back)));
    ASSERT(entry_dn_normalise(back, again, sizeof(again)) == 0);
    ASSERT(strcasecmp(again, normal) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char normal[DN_BYTES], again[DN_BYTES];
    char *dn = str_copy_n((const char *)data, size);
    if (entry_dn_normalise(dn, normal, sizeof(normal)) == 0) {
        ASSERT(strlen(normal) < sizeof(normal));
        ASSERT(entry_dn_normalise(normal, again, sizeof(again)) == 0);
        ASSERT(strcmp(normal, again) == 0);
        move_there_and_back(normal);
    }
    free(dn);
    return 0;
}
