/*
 * Inside the mapping: what it does with an attribute, which depends on its description (type and options) alone, so it is decided
 * once and kept: 20,000 subscribers have the same twenty descriptions.
 */
#ifndef MIRROR_LDAPSYNC_MAPPING_RULE_H
#define MIRROR_LDAPSYNC_MAPPING_RULE_H

#include "ldapsync/mapping.h"

#include <openssl/types.h>

enum { MAPPING_NAME_BYTES = 160, MAPPING_DN_BYTES = 1024 };

struct mapping_rule {
    bool left_out, kept;                /* not mirrored; not compared */
    bool is_class, is_dn, is_replaced;  /* objectClass; dn_attributes; named in replace_values */
    char canonical[MAPPING_NAME_BYTES]; /* of target: lower case, options in one order */
    char target[MAPPING_NAME_BYTES];    /* as the target calls it */
    char name[MAPPING_NAME_BYTES];      /* as the server wrote it */
};

struct mapping_rules {
    struct mapping_rule **items;
    size_t count, size, next; /* next: where the one after the last asked for is */
};

struct mapping_base {
    char from[MAPPING_DN_BYTES], to[MAPPING_DN_BYTES]; /* as dn_normalise() writes them */
};

struct mapping {
    struct mapping_params params;
    struct mapping_base bases[2]; /* of people and COS; one may be below the other, and comes first */
    struct mapping_rules *of_production, *of_target;
    EVP_MAC_CTX *mac; /* keyed; copied for each use */
};

EVP_MAC_CTX *mapping_digest_key(const uint8_t key[MAPPING_KEY_BYTES]);

struct mapping_rules *mapping_rules_new(void);
void mapping_rules_free(struct mapping_rules *rules);

/* Valid until mapping_rules_tidy(). */
const struct mapping_rule *mapping_rule_of_production(const struct mapping *mapping, const char *name);
const struct mapping_rule *mapping_rule_of_target(const struct mapping *mapping, const char *name);
/* Between two entries: a server that invents names without end costs no memory without end. */
void mapping_rules_tidy(struct mapping_rules *rules);

#endif
