/*
 * From production's entry to what the target should hold; see mapping.h.
 */
#include "ldapsync/mapping.h"

#include "base/str.h"
#include "ldapsync/dn.h"
#include "ldapsync/mapping_part.h"

#include <ldap.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_base(struct mapping_base *base, const char *from, const char *to)
{
    if (dn_normalise(from, base->from, sizeof(base->from)) != 0)
        str_into(base->from, sizeof(base->from), from);
    if (dn_normalise(to, base->to, sizeof(base->to)) != 0)
        str_into(base->to, sizeof(base->to), to);
}

struct mapping *mapping_new(const struct mapping_params *params)
{
    const struct config_ldap *from = &params->route->from_site->ldap, *to = &params->route->to_site->ldap;
    struct mapping *mapping = mem_new(sizeof(*mapping));
    bool people_last = strlen(from->people_dn) < strlen(from->cos_dn);
    mapping->params = *params;
    set_base(&mapping->bases[people_last], from->people_dn, to->people_dn);
    set_base(&mapping->bases[!people_last], from->cos_dn, to->cos_dn);
    mapping->of_production = mapping_rules_new();
    mapping->of_target = mapping_rules_new();
    mapping->mac = mapping_digest_key(params->key);
    return mapping;
}

void mapping_free(struct mapping *mapping)
{
    if (!mapping)
        return;
    mapping_rules_free(mapping->of_production);
    mapping_rules_free(mapping->of_target);
    EVP_MAC_CTX_free(mapping->mac);
    free(mapping);
}

const struct schema_view *mapping_target_schema(const struct mapping *mapping)
{
    return mapping->params.target;
}

/* ---- DNs ---- */

/* The types of the RDN as the target calls them. */
static char *rename_types(const struct mapping *mapping, const char *moved)
{
    LDAPDN dn = NULL;
    struct berval kept[8];
    size_t parts = 0;
    char *text = NULL, *renamed;
    if (ldap_str2dn(moved, &dn, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS || !dn || !dn[0])
        return NULL;
    for (; dn[0][parts] && parts < 8; parts++) {
        char *type = str_copy_n(dn[0][parts]->la_attr.bv_val, dn[0][parts]->la_attr.bv_len);
        kept[parts] = dn[0][parts]->la_attr;
        dn[0][parts]->la_attr.bv_val = str_copy(mapping_rule_of_production(mapping, type)->target);
        dn[0][parts]->la_attr.bv_len = strlen(dn[0][parts]->la_attr.bv_val);
        free(type);
    }
    int code = ldap_dn2str(dn, &text, LDAP_DN_FORMAT_LDAPV3);
    while (parts-- > 0) {
        free(dn[0][parts]->la_attr.bv_val);
        dn[0][parts]->la_attr = kept[parts];
    }
    ldap_dnfree(dn);
    renamed = str_copy(code == LDAP_SUCCESS ? text : moved);
    ldap_memfree(text);
    return renamed;
}

char *mapping_wanted_dn(const struct mapping *mapping, const char *production_dn, struct err *err)
{
    char moved[MAPPING_DN_BYTES], *renamed = NULL;
    if (!mapping_parts_move_dn(mapping, production_dn, moved)) {
        err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "its DN is not below people_dn or cos_dn, or too long");
        return NULL;
    }
    if (mapping->params.route->directory.rename_attributes_count == 0 && dn_is_plain(moved))
        return str_copy(moved);
    renamed = rename_types(mapping, moved);
    if (!renamed)
        err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "its DN cannot be read");
    return renamed;
}

static bool is_compared(const struct mapping *mapping, const char *type, size_t len)
{
    char *text = str_copy_n(type, len);
    const struct mapping_rule *rule = mapping_rule_of_target(mapping, text);
    free(text);
    return !rule->left_out && !rule->kept;
}

bool mapping_compares_dn(const struct mapping *mapping, const char *dn)
{
    LDAPDN parts = NULL;
    bool compares = true;
    if (dn_is_plain(dn))
        return is_compared(mapping, dn, strcspn(dn, "="));
    if (ldap_str2dn(dn, &parts, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS || !parts)
        return false;
    for (size_t i = 0; compares && parts[0] && parts[0][i]; i++)
        compares = is_compared(mapping, parts[0][i]->la_attr.bv_val, parts[0][i]->la_attr.bv_len);
    ldap_dnfree(parts);
    return compares;
}

/* ---- entries ---- */

static void add_all(const struct mapping_parts *parts, struct entry *entry)
{
    for (size_t i = 0; i < parts->count; i++)
        entry_add(entry, parts->items[i].rule->target, parts->items[i].bytes, parts->items[i].len);
}

int mapping_wanted(const struct mapping *mapping, const struct entry *production, struct entry *wanted_out,
                   struct err *err)
{
    struct mapping_parts parts;
    *wanted_out = (struct entry){.dn = mapping_wanted_dn(mapping, production->dn, err)};
    if (!wanted_out->dn)
        return -1;
    mapping_parts_wanted(mapping, production, &parts);
    add_all(&parts, wanted_out);
    mapping_parts_fini(&parts);
    return 0;
}

void mapping_counts(const struct mapping *mapping, const struct entry *target, struct entry *counts_out)
{
    struct mapping_parts parts;
    *counts_out = (struct entry){.dn = str_copy(target->dn)};
    mapping_parts_counts(mapping, target, &parts);
    add_all(&parts, counts_out);
    mapping_parts_fini(&parts);
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
