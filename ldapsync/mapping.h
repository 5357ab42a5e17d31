/*
 * The mapping of a route, pure: what the target should hold of an entry of production (the wanted entry), and what of the
 * target's entry counts when both are compared. One for COS and subscribers alike.
 *
 * Left out: operational attributes and those that the target's schema refuses to have written (by both schemas, if they
 * tell), directory.exclude_attributes (with all options). Renamed: rename_attributes, rename_classes. Base DNs in the entry's
 * own DN and in dn_attributes become the target's. replace_values. keep_attributes are in the wanted entry (for a new one),
 * but not compared.
 */
#ifndef MIRROR_LDAPSYNC_MAPPING_H
#define MIRROR_LDAPSYNC_MAPPING_H

#include "base/config.h"
#include "ldapsync/entry.h"
#include "ldapsync/schema_view.h"

enum { MAPPING_KEY_BYTES = 32 };

struct mapping_params {
    const struct config_route *route;
    const struct schema_view *production, *target; /* borrowed for the mapping's life */
    uint8_t key[MAPPING_KEY_BYTES];                /* of the digests (I8); see digest_key.h */
};
struct mapping;
struct mapping *mapping_new(const struct mapping_params *params);
void mapping_free(struct mapping *mapping);

/* Production's entry as the target should hold it; fails (ERR_MESSAGE) if its DN is not below the base DNs. */
int mapping_wanted(const struct mapping *mapping, const struct entry *production, struct entry *wanted_out,
                   struct err *err);
/* The DN of the wanted entry; NULL: as above. The caller frees. */
char *mapping_wanted_dn(const struct mapping *mapping, const char *production_dn, struct err *err);
/* Of the target's entry what counts: without operational, excluded and unwritable ones. kept ones stay in (see below). */
void mapping_counts(const struct mapping *mapping, const struct entry *target, struct entry *counts_out);

bool mapping_is_kept(const struct mapping *mapping, const char *target_name); /* keep_attributes */
bool mapping_is_secret(const struct mapping *mapping,
                       const char *target_name); /* password_attributes, as the target calls them */
/* Not if an attribute of the RDN is excluded or kept. */
bool mapping_compares_dn(const struct mapping *mapping, const char *dn);
const char *mapping_target_name(const struct mapping *mapping,
                                const char *production_type); /* rename_attributes; without options */
const struct schema_view *mapping_target_schema(const struct mapping *mapping);

/* Keyed digest (HMAC-SHA256) of a wanted entry, or of what counts of the target's: equal if and only if change_make() of both
 * is nothing. Independent of the order of attributes, options and values; kept attributes are left out. Neither has to be made
 * first: mapping_digest() takes the target's entry as read, mapping_digest_wanted() production's, and fails as
 * mapping_wanted() does. */
int mapping_digest_wanted(const struct mapping *mapping, const struct entry *production, uint8_t digest[32],
                          struct err *err);
void mapping_digest(const struct mapping *mapping, const struct entry *entry, uint8_t digest[32]);
/* Of one attribute's set of values; NULL: there is none. */
void mapping_digest_attribute(const struct mapping *mapping, const struct attribute *attribute,
                              uint8_t digest[32]);

/* Attributes that every subscriber must show (required_attributes, or their default) which this entry has not: names
 * separated by blanks into text; returns how many. */
size_t mapping_lacks(const struct mapping *mapping, const struct entry *production, char *text, size_t size);

#endif
