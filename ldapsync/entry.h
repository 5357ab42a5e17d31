/*
 * An entry of a directory, as read: DN, attributes with options, values as bytes. Pure; owns its bytes.
 */
#ifndef MIRROR_LDAPSYNC_ENTRY_H
#define MIRROR_LDAPSYNC_ENTRY_H

#include "base/err.h"

#include <lber.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ldap;
struct ldapmsg;

struct attribute {
    char *name; /* attribute description with options as the server wrote it: "cn;lang-de" */
    struct berval *values;
    size_t count, size;
};

struct entry {
    char *dn;
    struct attribute *attributes;
    size_t count, size;
};

/* Caps (hostile input): more is ERR_MESSAGE "entry ...: too many/too big". */
enum { ENTRY_ATTRIBUTES_MAX = 1000, ENTRY_VALUES_MAX = 10000, ENTRY_BYTES_MAX = 8 * 1024 * 1024 };

/* From a search entry of libldap. Values without any are kept (names only). */
int entry_read(struct ldap *handle, struct ldapmsg *message, struct entry *entry_out, struct err *err);
void entry_fini(struct entry *entry); /* wipes the values: they may be secret */
void entry_copy(const struct entry *entry, struct entry *copy_out);
size_t entry_bytes(const struct entry *entry); /* of all values */

/* Names compare without regard to case; options in any order (RFC 4512, 2.5). NULL: not there. */
const struct attribute *entry_find(const struct entry *entry, const char *name);
int entry_name_compare(const char *a, const char *b);
/* The type without options is that: "cn;lang-de" is of "cn". */
bool entry_name_is_of(const char *name, const char *type);

/* Adds a copy of the value; makes the attribute. */
void entry_add(struct entry *entry, const char *name, const void *bytes, size_t len);
void entry_drop(struct entry *entry, const char *name);

/* The only (or first) value of the type without options as text; "" if there is none, or it holds NUL or is no UTF-8. */
const char *entry_text(const struct entry *entry, const char *type, char *text, size_t size);
size_t entry_value_count(const struct entry *entry, const char *type);

#endif
