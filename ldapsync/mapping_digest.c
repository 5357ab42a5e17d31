/*
 * Keyed digests of mapped entries; see mapping.h. All values are sorted by description and bytes and go through one HMAC, each
 * with its length before it: no two different entries read the same.
 */
#include "ldapsync/mapping_part.h"

#include "base/str.h"
#include "ldapsync/dn.h"

#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DIGEST = 32 };

EVP_MAC_CTX *mapping_digest_key(const uint8_t key[MAPPING_KEY_BYTES])
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    OSSL_PARAM choose[] = {OSSL_PARAM_construct_utf8_string("digest", (char[]){"SHA256"}, 0), OSSL_PARAM_END};
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);
    ASSERT(mac && EVP_MAC_init(mac, key, MAPPING_KEY_BYTES, choose) == 1);
    EVP_MAC_free(hmac);
    return mac;
}

static EVP_MAC_CTX *mac_begin(const struct mapping *mapping)
{
    EVP_MAC_CTX *mac = EVP_MAC_CTX_dup(mapping->mac);
    ASSERT(mac);
    return mac;
}

static void mac_add(EVP_MAC_CTX *mac, const char *bytes, size_t len)
{
    uint64_t length = len;
    ASSERT(EVP_MAC_update(mac, (const unsigned char *)&length, sizeof(length)) == 1);
    ASSERT(len == 0 || EVP_MAC_update(mac, (const unsigned char *)bytes, len) == 1);
}

static void mac_end(EVP_MAC_CTX *mac, uint8_t digest[DIGEST])
{
    size_t len = 0;
    ASSERT(EVP_MAC_final(mac, digest, &len, DIGEST) == 1 && len == DIGEST);
    EVP_MAC_CTX_free(mac);
}

/* ---- sets of values ---- */

/* Names of classes are compared without regard to case, and so is their digest. */
static void fold_class(struct mapping_part *part)
{
    if (!part->rule->is_class)
        return;
    char *text = str_copy_n(part->bytes, part->len);
    for (size_t i = 0; i < part->len; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] - 'A' + 'a');
    free(part->own);
    part->bytes = part->own = text;
}

static int compare_parts(const void *a, const void *b)
{
    const struct mapping_part *left = a, *right = b;
    int order = left->rule == right->rule ? 0 : strcmp(left->rule->canonical, right->rule->canonical);
    if (order == 0)
        order = memcmp(left->bytes, right->bytes, left->len < right->len ? left->len : right->len);
    return order != 0 ? order : left->len < right->len ? -1 : left->len > right->len;
}

/* What is there twice (two attributes renamed to one) is there. */
static void mac_add_parts(EVP_MAC_CTX *mac, struct mapping_parts *parts, bool with_kept)
{
    for (size_t i = 0; i < parts->count; i++)
        fold_class(&parts->items[i]);
    if (parts->count > 0)
        qsort(parts->items, parts->count, sizeof(*parts->items), compare_parts);
    for (size_t i = 0; i < parts->count; i++) {
        const struct mapping_part *part = &parts->items[i];
        if ((part->rule->kept && !with_kept) || (i > 0 && compare_parts(part - 1, part) == 0))
            continue;
        mac_add(mac, part->rule->canonical, strlen(part->rule->canonical));
        mac_add(mac, part->bytes, part->len);
    }
}

/* ---- entries ---- */

static void digest_parts(const struct mapping *mapping, const char *dn, struct mapping_parts *parts,
                         uint8_t digest[DIGEST])
{
    char normal[MAPPING_DN_BYTES] = "";
    if (mapping_compares_dn(mapping, dn))
        dn_normalise(dn, normal, sizeof(normal));
    EVP_MAC_CTX *mac = mac_begin(mapping);
    mac_add(mac, normal, strlen(normal));
    mac_add_parts(mac, parts, false);
    mac_end(mac, digest);
    mapping_parts_fini(parts);
}

void mapping_digest(const struct mapping *mapping, const struct entry *entry, uint8_t digest[32])
{
    struct mapping_parts parts;
    mapping_parts_counts(mapping, entry, &parts);
    digest_parts(mapping, entry->dn, &parts, digest);
}

int mapping_digest_wanted(const struct mapping *mapping, const struct entry *production, uint8_t digest[32],
                          struct err *err)
{
    struct mapping_parts parts;
    char *dn = mapping_wanted_dn(mapping, production->dn, err);
    if (!dn)
        return -1;
    mapping_parts_wanted(mapping, production, &parts);
    digest_parts(mapping, dn, &parts, digest);
    free(dn);
    return 0;
}

void mapping_digest_attribute(const struct mapping *mapping, const struct attribute *attribute,
                              uint8_t digest[32])
{
    if (!attribute) {
        memset(digest, 0, DIGEST);
        return;
    }
    struct attribute only = *attribute;
    struct entry entry = {.attributes = &only, .count = 1};
    struct mapping_parts parts;
    EVP_MAC_CTX *mac = mac_begin(mapping);
    mapping_parts_counts(mapping, &entry, &parts);
    mac_add_parts(mac, &parts, true);
    mac_end(mac, digest);
    mapping_parts_fini(&parts);
}
