/*
 * Inside the mapping: the single values of an entry as the target should hold them, or as they count there; without copying
 * what stays as it is.
 */
#ifndef MIRROR_LDAPSYNC_MAPPING_PART_H
#define MIRROR_LDAPSYNC_MAPPING_PART_H

#include "ldapsync/mapping_rule.h"

struct mapping_part {
    const struct mapping_rule *rule;
    const char *bytes;
    size_t len;
    char *own; /* bytes, where the value is another one; NULL: it is the entry's */
};

struct mapping_parts {
    struct mapping_part *items;
    size_t count, size;
};

/* The values of an attribute stand together. Borrow from the entry. */
void mapping_parts_wanted(const struct mapping *mapping, const struct entry *production,
                          struct mapping_parts *parts_out);
void mapping_parts_counts(const struct mapping *mapping, const struct entry *target,
                          struct mapping_parts *parts_out);
/* Wipes what it owns. */
void mapping_parts_fini(struct mapping_parts *parts);

/* A DN of production below the target's bases; false: not below ours, or too long. */
bool mapping_parts_move_dn(const struct mapping *mapping, const char *dn, char moved[MAPPING_DN_BYTES]);

#endif
