/*
 * Distinguished names (RFC 4514), read by libldap alone: their grammar has more corners than it looks. Only those that have
 * none of them, which is nearly all, are compared and moved as the text that they are. Pure.
 */
#ifndef MIRROR_LDAPSYNC_DN_H
#define MIRROR_LDAPSYNC_DN_H

#include <stdbool.h>
#include <stddef.h>

/* One type and value in each part; types of letters, digits and hyphens; in values besides letters and digits only
 * . _ @ / - and single spaces between others. */
bool dn_is_plain(const char *dn);

/* For comparing with others of the same server: types in lower case, blanks and escapes made one way, values as they are (some
 * compare by case). -1: not a DN, or too long. */
int dn_normalise(const char *dn, char *text, size_t size);
/* Is it below (or at) the base, both in any form and case? If so, the DN below the other base instead goes to `moved` (NULL: only
 * asks). false also if it is too long. */
bool dn_move(const char *dn, const char *from_base, const char *to_base, char *moved, size_t size);

#endif
