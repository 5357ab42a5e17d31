/*
 * Any text as a DN: one form of it, that stays as it is; below a base only what comes back when it is moved there and back.
 */
#include "base/err.h"
#include "base/str.h"
#include "ldapsync/dn.h"

#include <ldap.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DN_BYTES = 800 };

static void move_there_and_back(const char *normal)
{
    char there[DN_BYTES], back[DN_BYTES], again[DN_BYTES];
    if (!dn_move(normal, "ou=People,dc=a", "o=backup", there, sizeof(there)))
        return;
    ASSERT(dn_move(there, "o=backup", "ou=people,dc=a", back, sizeof(back)));
    ASSERT(dn_normalise(back, again, sizeof(again)) == 0);
    ASSERT(strcasecmp(again, normal) == 0);
}

/* What is handled as text comes out as libldap prints it. */
static void compare_plain(const char *dn)
{
    LDAPDN parts = NULL;
    char *printed = NULL;
    ASSERT(ldap_str2dn(dn, &parts, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS);
    ASSERT(ldap_dn2str(parts, &printed, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS && strcmp(printed, dn) == 0);
    ldap_memfree(printed);
    ldap_dnfree(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char normal[DN_BYTES], again[DN_BYTES];
    char *dn = str_copy_n((const char *)data, size);
    if (dn_is_plain(dn))
        compare_plain(dn);
    if (dn_normalise(dn, normal, sizeof(normal)) == 0) {
        ASSERT(strlen(normal) < sizeof(normal));
        ASSERT(dn_normalise(normal, again, sizeof(again)) == 0);
        ASSERT(strcmp(normal, again) == 0);
        move_there_and_back(normal);
    }
    free(dn);
    return 0;
}
