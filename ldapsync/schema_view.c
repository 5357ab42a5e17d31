/*
 * A server's schema as far as it matters here; see schema_view.h. libldap reads the definitions.
 */
#include "ldapsync/schema_view.h"

#include "base/str.h"

#include <ldap_schema.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One for each name and OID that a type goes by. */
struct known {
    char *name, *superior; /* superior: NULL, or the type that an equality rule may come from */
    bool operational, refuses_writing, compares;
};

struct schema_view {
    struct known *known;
    size_t count, size;
    bool sorted;
};

struct schema_view *schema_view_new(void)
{
    return mem_new(sizeof(struct schema_view));
}

void schema_view_free(struct schema_view *view)
{
    if (!view)
        return;
    for (size_t i = 0; i < view->count; i++) {
        free(view->known[i].name);
        free(view->known[i].superior);
    }
    free(view->known);
    free(view);
}

static void add(struct schema_view *view, const struct known *known, const char *name, const char *superior)
{
    if (view->count == view->size) {
        view->size = view->size ? view->size * 2 : 256;
        view->known = mem_grow(view->known, view->size, sizeof(*view->known));
    }
    struct known *place = &view->known[view->count++];
    *place = *known;
    place->name = str_copy(name);
    place->superior = str_copy(superior);
    view->sorted = false;
}

static void add_names(struct schema_view *view, const struct known *known, const char *oid, char **names,
                      const char *superior)
{
    if (oid)
        add(view, known, oid, superior);
    for (size_t i = 0; names && names[i]; i++)
        add(view, known, names[i], superior);
}

void schema_view_add_type(struct schema_view *view, const char *definition)
{
    int code;
    const char *where;
    LDAPAttributeType *type = ldap_str2attributetype(definition, &code, &where, LDAP_SCHEMA_ALLOW_ALL);
    if (!type)
        return;
    struct known known = {.operational = type->at_usage != LDAP_SCHEMA_USER_APPLICATIONS,
                          .refuses_writing = type->at_no_user_mod || type->at_collective,
                          .compares = type->at_equality_oid != NULL};
    add_names(view, &known, type->at_oid, type->at_names, type->at_sup_oid);
    ldap_attributetype_free(type);
}

static int compare_known(const void *a, const void *b)
{
    const struct known *left = a, *right = b;
    return strcasecmp(left->name, right->name);
}

/* NULL: unknown. */
static const struct known *find(const struct schema_view *view, const char *name)
{
    char type[129];
    size_t len = strcspn(name, ";");
    if (len >= sizeof(type))
        return NULL;
    memcpy(type, name, len);
    type[len] = '\0';
    if (!view->sorted) {
        struct schema_view *mine = (struct schema_view *)(uintptr_t)view;
        if (mine->count > 0)
            qsort(mine->known, mine->count, sizeof(*mine->known), compare_known);
        mine->sorted = true;
    }
    const struct known key = {.name = type};
    return view->count > 0 ? bsearch(&key, view->known, view->count, sizeof(*view->known), compare_known)
                           : NULL;
}

bool schema_view_knows(const struct schema_view *view, const char *name)
{
    return find(view, name) != NULL;
}

bool schema_view_is_operational(const struct schema_view *view, const char *name)
{
    const struct known *known = find(view, name);
    return known && known->operational;
}

bool schema_view_refuses_writing(const struct schema_view *view, const char *name)
{
    const struct known *known = find(view, name);
    return known && known->refuses_writing;
}

bool schema_view_compares(const struct schema_view *view, const char *name)
{
    const struct known *known = find(view, name);
    for (int depth = 0; known && depth < 16; depth++) {
        if (known->compares)
            return true;
        known = known->superior ? find(view, known->superior) : NULL;
    }
    return false;
}
