/*
 * What a server's schema (RFC 4512, 4.2) tells that matters here: which attributes are operational or refuse writing, and
 * which compare how. A server whose schema we may not read has an empty one: then "*" decides what is a user attribute, and
 * its errors what it refuses.
 */
#ifndef MIRROR_LDAPSYNC_SCHEMA_VIEW_H
#define MIRROR_LDAPSYNC_SCHEMA_VIEW_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct schema_view;

struct schema_view *schema_view_new(void);
void schema_view_free(struct schema_view *view);
/* One value of attributeTypes. One that cannot be read is left out. */
void schema_view_add_type(struct schema_view *view, const char *definition);

/* Of a description with options or without; aliases and OIDs are known. An unknown type is none of these. */
bool schema_view_knows(const struct schema_view *view, const char *name);
bool schema_view_is_operational(const struct schema_view *view,
                                const char *name); /* USAGE other than userApplications */
bool schema_view_refuses_writing(const struct schema_view *view,
                                 const char *name); /* NO-USER-MODIFICATION, COLLECTIVE */
bool schema_view_compares(
    const struct schema_view *view,
    const char *name); /* has an equality rule (its own or its SUP's): single values can be deleted */

#endif
