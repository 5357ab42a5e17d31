/*
 * From production's entry to what the target should hold; see mapping.h.
 */
#include "ldapsync/mapping.h"

#include "base/str.h"

#include <ldap.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DN_BYTES = 1024, NAME_BYTES = 160, DIGEST = 32 };

struct mapping {
    struct mapping_params params;
    EVP_MAC_CTX *mac; /* keyed; copied for each use */
};

struct mapping *mapping_new(const struct mapping_params *params)
{
    struct mapping *mapping = mem_new(sizeof(*mapping));
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    OSSL_PARAM choose[] = {OSSL_PARAM_construct_utf8_string("digest", (char[]){"SHA256"}, 0), OSSL_PARAM_END};
    mapping->params = *params;
    mapping->mac = EVP_MAC_CTX_new(hmac);
    ASSERT(mapping->mac && EVP_MAC_init(mapping->mac, params->key, MAPPING_KEY_BYTES, choose) == 1);
    EVP_MAC_free(hmac);
    return mapping;
}

void mapping_free(struct mapping *mapping)
{
    if (!mapping)
        return;
    EVP_MAC_CTX_free(mapping->mac);
    free(mapping);
}

/* ---- which attributes ---- */

static bool lists(const struct config_strings *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (entry_name_is_of(name, list->items[i]))
            return true;
    return false;
}

static const struct config_directory *directory(const struct mapping *mapping)
{
    return &mapping->params.route->directory;
}

/* The target's name of production's description: the type is renamed, options stay. */
static const char *rename_description(const struct mapping *mapping, const char *name, char text[NAME_BYTES])
{
    for (size_t i = 0; i < directory(mapping)->rename_attributes_count; i++) {
        const struct config_rename *rename = &directory(mapping)->rename_attributes[i];
        if (entry_name_is_of(name, rename->from)) {
            snprintf(text, NAME_BYTES, "%s%s", rename->to, name + strcspn(name, ";"));
            return text;
        }
    }
    return str_into(text, NAME_BYTES, name);
}

const char *mapping_target_name(const struct mapping *mapping, const char *production_type)
{
    for (size_t i = 0; i < directory(mapping)->rename_attributes_count; i++)
        if (strcasecmp(production_type, directory(mapping)->rename_attributes[i].from) == 0)
            return directory(mapping)->rename_attributes[i].to;
    return production_type;
}

/* Does any of the names that production calls attributes by, as the target calls it, name this one? */
static bool lists_target(const struct mapping *mapping, const struct config_strings *list,
                         const char *target_name)
{
    for (size_t i = 0; i < list->count; i++)
        if (entry_name_is_of(target_name, mapping_target_name(mapping, list->items[i])))
            return true;
    return false;
}

static bool is_unwritable(const struct schema_view *schema, const char *name)
{
    return schema_view_is_operational(schema, name) || schema_view_refuses_writing(schema, name);
}

/* As the target calls it. */
static bool is_left_out(const struct mapping *mapping, const char *target_name)
{
    return lists_target(mapping, &directory(mapping)->exclude_attributes, target_name) ||
           is_unwritable(mapping->params.target, target_name);
}

bool mapping_is_kept(const struct mapping *mapping, const char *target_name)
{
    return lists_target(mapping, &directory(mapping)->keep_attributes, target_name);
}

bool mapping_is_secret(const struct mapping *mapping, const char *target_name)
{
    const struct config_route *route = mapping->params.route;
    return lists_target(mapping, &route->from_site->ldap.password_attributes, target_name) ||
           lists(&route->to_site->ldap.password_attributes, target_name);
}

const struct schema_view *mapping_target_schema(const struct mapping *mapping)
{
    return mapping->params.target;
}

/* ---- values ---- */

static bool move_dn(const struct mapping *mapping, const char *dn, char moved[DN_BYTES])
{
    const struct config_ldap *from = &mapping->params.route->from_site->ldap;
    const struct config_ldap *to = &mapping->params.route->to_site->ldap;
    bool people_first = strlen(from->people_dn) >= strlen(from->cos_dn);
    return entry_dn_move(dn, people_first ? from->people_dn : from->cos_dn,
                         people_first ? to->people_dn : to->cos_dn, moved, DN_BYTES) ||
           entry_dn_move(dn, people_first ? from->cos_dn : from->people_dn,
                         people_first ? to->cos_dn : to->people_dn, moved, DN_BYTES);
}

static void add_moved(const struct mapping *mapping, struct entry *wanted, const char *name,
                      const struct berval *value)
{
    char moved[DN_BYTES];
    if (!memchr(value->bv_val, 0, value->bv_len) && move_dn(mapping, value->bv_val, moved))
        entry_add(wanted, name, moved, strlen(moved));
    else
        entry_add(wanted, name, value->bv_val, value->bv_len);
}

static char *replace_all(const char *text, const char *from, const char *to)
{
    size_t from_len = strlen(from), to_len = strlen(to), found = 0, used = 0;
    for (const char *at = text; (at = strstr(at, from)) != NULL; at += from_len)
        found++;
    char *result = mem_new(strlen(text) + found * to_len + 1);
    for (const char *next; (next = strstr(text, from)) != NULL; text = next + from_len) {
        memcpy(result + used, text, (size_t)(next - text));
        used += (size_t)(next - text);
        memcpy(result + used, to, to_len);
        used += to_len;
    }
    memcpy(result + used, text, strlen(text));
    return result;
}

/* NULL: no replacement is meant for it. The caller frees. */
static char *replaced(const struct mapping *mapping, const char *production_name, const struct berval *value)
{
    char *text = NULL;
    for (size_t i = 0; i < directory(mapping)->replace_values_count; i++) {
        const struct config_replace *replace = &directory(mapping)->replace_values[i];
        if (!entry_name_is_of(production_name, replace->attribute) || replace->from[0] == '\0' ||
            memchr(value->bv_val, 0, value->bv_len))
            continue;
        char *next = replace_all(text ? text : value->bv_val, replace->from, replace->to);
        free(text);
        text = next;
    }
    return text;
}

static void add_class(const struct mapping *mapping, struct entry *wanted, const struct berval *value)
{
    const struct config_rename *renames = directory(mapping)->rename_classes;
    for (size_t i = 0; i < directory(mapping)->rename_classes_count; i++) {
        if (strcasecmp(value->bv_val, renames[i].from) != 0)
            continue;
        if (renames[i].to)
            entry_add(wanted, "objectClass", renames[i].to, strlen(renames[i].to));
        return;
    }
    entry_add(wanted, "objectClass", value->bv_val, value->bv_len);
}

static void map_attribute(const struct mapping *mapping, const struct attribute *attribute,
                          struct entry *wanted)
{
    char name[NAME_BYTES];
    bool is_class = entry_name_compare(attribute->name, "objectClass") == 0;
    rename_description(mapping, attribute->name, name);
    if (is_unwritable(mapping->params.production, attribute->name) ||
        lists(&directory(mapping)->exclude_attributes, attribute->name) || is_left_out(mapping, name))
        return;
    for (size_t i = 0; i < attribute->count; i++) {
        char *text = replaced(mapping, attribute->name, &attribute->values[i]);
        if (is_class)
            add_class(mapping, wanted, &attribute->values[i]);
        else if (text)
            entry_add(wanted, name, text, strlen(text));
        else if (lists(&directory(mapping)->dn_attributes, attribute->name))
            add_moved(mapping, wanted, name, &attribute->values[i]);
        else
            entry_add(wanted, name, attribute->values[i].bv_val, attribute->values[i].bv_len);
        free(text);
    }
}

/* The RDN's types as the target calls them. A DN that is not below our bases is no entry of ours. */
static int map_dn(const struct mapping *mapping, const struct entry *production, struct entry *wanted,
                  struct err *err)
{
    char moved[DN_BYTES], name[NAME_BYTES];
    LDAPDN dn = NULL;
    char *text = NULL;
    if (!move_dn(mapping, production->dn, moved))
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER,
                       "its DN is not below people_dn or cos_dn, or too long");
    if (ldap_str2dn(moved, &dn, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS || !dn || !dn[0])
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "its DN cannot be read");
    struct berval kept[8];
    size_t parts = 0;
    for (; dn[0][parts] && parts < 8; parts++) {
        char *type = str_copy_n(dn[0][parts]->la_attr.bv_val, dn[0][parts]->la_attr.bv_len);
        kept[parts] = dn[0][parts]->la_attr;
        rename_description(mapping, type, name);
        free(type);
        dn[0][parts]->la_attr.bv_val = str_copy(name);
        dn[0][parts]->la_attr.bv_len = strlen(name);
    }
    int code = ldap_dn2str(dn, &text, LDAP_DN_FORMAT_LDAPV3);
    while (parts-- > 0) {
        free(dn[0][parts]->la_attr.bv_val);
        dn[0][parts]->la_attr = kept[parts];
    }
    ldap_dnfree(dn);
    wanted->dn = str_copy(code == LDAP_SUCCESS ? text : moved);
    ldap_memfree(text);
    return 0;
}

int mapping_wanted(const struct mapping *mapping, const struct entry *production, struct entry *wanted_out,
                   struct err *err)
{
    *wanted_out = (struct entry){0};
    if (map_dn(mapping, production, wanted_out, err) != 0)
        return -1;
    for (size_t i = 0; i < production->count; i++)
        map_attribute(mapping, &production->attributes[i], wanted_out);
    return 0;
}

void mapping_counts(const struct mapping *mapping, const struct entry *target, struct entry *counts_out)
{
    *counts_out = (struct entry){.dn = str_copy(target->dn)};
    for (size_t i = 0; i < target->count; i++) {
        const struct attribute *attribute = &target->attributes[i];
        if (is_left_out(mapping, attribute->name))
            continue;
        for (size_t j = 0; j < attribute->count; j++)
            entry_add(counts_out, attribute->name, attribute->values[j].bv_val, attribute->values[j].bv_len);
    }
}

bool mapping_compares_dn(const struct mapping *mapping, const char *dn)
{
    LDAPDN parts = NULL;
    bool compares = true;
    if (ldap_str2dn(dn, &parts, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS || !parts)
        return false;
    for (size_t i = 0; parts[0] && parts[0][i]; i++) {
        char *type = str_copy_n(parts[0][i]->la_attr.bv_val, parts[0][i]->la_attr.bv_len);
        compares = compares && !is_left_out(mapping, type) && !mapping_is_kept(mapping, type);
        free(type);
    }
    ldap_dnfree(parts);
    return compares;
}

size_t mapping_lacks(const struct mapping *mapping, const struct entry *production, char *text, size_t size)
{
    const struct config_ldap *ldap = &mapping->params.route->from_site->ldap;
    const char *by_default[] = {ldap->mailbox_attribute, ldap->cos_attribute,
                                ldap->password_attributes.count > 0 ? ldap->password_attributes.items[0]
                                                                    : NULL};
    bool configured = ldap->required_attributes.count > 0;
    size_t count = configured ? ldap->required_attributes.count : 3, lacking = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *name = configured ? ldap->required_attributes.items[i] : by_default[i];
        size_t len = strlen(text);
        if (!name || entry_value_count(production, name) > 0)
            continue;
        lacking++;
        if (len < size)
            snprintf(text + len, size - len, "%s%s", len ? " " : "", name);
    }
    return lacking;
}

/* ---- digests ---- */

static EVP_MAC_CTX *mac_begin(const struct mapping *mapping)
{
    EVP_MAC_CTX *mac = EVP_MAC_CTX_dup(mapping->mac);
    ASSERT(mac);
    return mac;
}

/* With its length before it: no two different lists of parts read the same. */
static void mac_add(EVP_MAC_CTX *mac, const void *bytes, size_t len)
{
    uint64_t length = len;
    ASSERT(EVP_MAC_update(mac, (const unsigned char *)&length, sizeof(length)) == 1);
    ASSERT(len == 0 || EVP_MAC_update(mac, bytes, len) == 1);
}

static void mac_end(EVP_MAC_CTX *mac, uint8_t digest[DIGEST])
{
    size_t len = 0;
    ASSERT(EVP_MAC_final(mac, digest, &len, DIGEST) == 1 && len == DIGEST);
    EVP_MAC_CTX_free(mac);
}

static void fold_name(const char *name, char folded[NAME_BYTES])
{
    char *at = str_into(folded, NAME_BYTES, name);
    for (; *at; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
}

static void digest_value(const struct mapping *mapping, const char *folded, const struct berval *value,
                         uint8_t digest[DIGEST])
{
    EVP_MAC_CTX *mac = mac_begin(mapping);
    mac_add(mac, folded, strlen(folded));
    if (strcmp(folded, "objectclass") == 0) {
        char class[NAME_BYTES];
        fold_name(value->bv_val, class);
        mac_add(mac, class, strlen(class));
    } else {
        mac_add(mac, value->bv_val, value->bv_len);
    }
    mac_end(mac, digest);
}

static int compare_digests(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST);
}

/* Options in one order: the parts of the name, sorted, joined again. */
static void canonical_name(const char *name, char text[NAME_BYTES])
{
    char folded[NAME_BYTES], *rest = folded, *options[16];
    size_t count = 0;
    fold_name(name, folded);
    char *type = strsep(&rest, ";");
    while (rest && count < 16) {
        char *option = strsep(&rest, ";");
        size_t at = count++;
        for (; at > 0 && strcmp(options[at - 1], option) > 0; at--)
            options[at] = options[at - 1];
        options[at] = option;
    }
    str_into(text, NAME_BYTES, type);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(text);
        snprintf(text + len, NAME_BYTES - len, ";%s", options[i]);
    }
}

static void digest_set(const struct mapping *mapping, const struct attribute *attribute,
                       uint8_t digest[DIGEST])
{
    char name[NAME_BYTES];
    canonical_name(attribute->name, name);
    if (attribute->count == 1) {
        digest_value(mapping, name, &attribute->values[0], digest);
        return;
    }
    uint8_t *digests = mem_new((attribute->count + 1) * DIGEST);
    for (size_t i = 0; i < attribute->count; i++)
        digest_value(mapping, name, &attribute->values[i], digests + i * DIGEST);
    qsort(digests, attribute->count, DIGEST, compare_digests);
    EVP_MAC_CTX *mac = mac_begin(mapping);
    mac_add(mac, name, strlen(name));
    mac_add(mac, digests, attribute->count * DIGEST);
    mac_end(mac, digest);
    free(digests);
}

void mapping_digest_attribute(const struct mapping *mapping, const struct attribute *attribute,
                              uint8_t digest[32])
{
    if (attribute)
        digest_set(mapping, attribute, digest);
    else
        memset(digest, 0, DIGEST);
}

void mapping_digest(const struct mapping *mapping, const struct entry *entry, uint8_t digest[32])
{
    uint8_t *digests = mem_new((entry->count + 1) * DIGEST);
    char dn[DN_BYTES] = "";
    size_t count = 0;
    for (size_t i = 0; i < entry->count; i++)
        if (entry->attributes[i].count > 0 && !mapping_is_kept(mapping, entry->attributes[i].name))
            digest_set(mapping, &entry->attributes[i], digests + count++ * DIGEST);
    qsort(digests, count, DIGEST, compare_digests);
    if (mapping_compares_dn(mapping, entry->dn))
        entry_dn_normalise(entry->dn, dn, sizeof(dn));
    EVP_MAC_CTX *mac = mac_begin(mapping);
    mac_add(mac, dn, strlen(dn));
    mac_add(mac, digests, count * DIGEST);
    mac_end(mac, digest);
    free(digests);
}
