/*
 * The smallest change; see change.h. What a rename does to the values of the RDN is not done twice.
 */
#include "ldapsync/change.h"

#include "base/json.h"
#include "base/str.h"
#include "ldapsync/dn.h"

#include <ldap.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DN_BYTES = 1024, VALUE_SHOWN = 200, VALUE_WHOLE = 1024 };

static bool is_class(const char *name)
{
    return entry_name_compare(name, "objectClass") == 0;
}

static bool same_value(const char *name, const struct berval *a, const struct berval *b)
{
    if (a->bv_len != b->bv_len)
        return false;
    return is_class(name) ? strncasecmp(a->bv_val, b->bv_val, a->bv_len) == 0
                          : memcmp(a->bv_val, b->bv_val, a->bv_len) == 0;
}

static bool has_value(const struct attribute *attribute, const char *name, const struct berval *value)
{
    for (size_t i = 0; attribute && i < attribute->count; i++)
        if (same_value(name, &attribute->values[i], value))
            return true;
    return false;
}

/* ---- making ---- */

static LDAPMod *new_mod(struct change *change, int op, const char *name, size_t values)
{
    LDAPMod *mod = mem_new(sizeof(*mod));
    mod->mod_op = op | LDAP_MOD_BVALUES;
    mod->mod_type = str_copy(name);
    mod->mod_bvalues = mem_new((values + 1) * sizeof(struct berval *));
    change->mods = mem_grow(change->mods, change->mod_count + 2, sizeof(*change->mods));
    change->mods[change->mod_count++] = mod;
    change->mods[change->mod_count] = NULL;
    return mod;
}

static void drop_mod(struct change *change, size_t i)
{
    free(change->mods[i]->mod_type);
    free(change->mods[i]->mod_bvalues);
    free(change->mods[i]);
    memmove(&change->mods[i], &change->mods[i + 1], (change->mod_count - i) * sizeof(*change->mods));
    change->mod_count--;
}

static size_t count_values(const LDAPMod *mod)
{
    size_t count = 0;
    while (mod->mod_bvalues && mod->mod_bvalues[count])
        count++;
    return count;
}

/* Those of `has` that `other` lacks. */
static void add_missing(struct change *change, int op, const struct attribute *has,
                        const struct attribute *other)
{
    LDAPMod *mod = NULL;
    size_t count = 0;
    for (size_t i = 0; has && i < has->count; i++) {
        if (has_value(other, has->name, &has->values[i]))
            continue;
        if (!mod)
            mod = new_mod(change, op, has->name, has->count);
        mod->mod_bvalues[count++] = &has->values[i];
    }
}

static bool same_set(const struct attribute *a, const struct attribute *b)
{
    size_t a_count = a ? a->count : 0, b_count = b ? b->count : 0;
    for (size_t i = 0; i < a_count; i++)
        if (!has_value(b, a->name, &a->values[i]))
            return false;
    return a_count == b_count;
}

static void replace(struct change *change, const char *name, const struct attribute *wanted)
{
    LDAPMod *mod = new_mod(change, LDAP_MOD_REPLACE, name, wanted ? wanted->count : 0);
    for (size_t i = 0; wanted && i < wanted->count; i++)
        mod->mod_bvalues[i] = &wanted->values[i];
}

static bool compares(const struct change_request *request, const char *name)
{
    const struct schema_view *schema = mapping_target_schema(request->mapping);
    return !request->replace_whole &&
           (!schema_view_knows(schema, name) || schema_view_compares(schema, name));
}

/* delete before add: a single-valued attribute never has two. */
static void change_attribute(const struct change_request *request, struct change *change, const char *name,
                             const struct attribute *wanted, const struct attribute *target)
{
    if (same_set(wanted, target))
        return;
    if (!compares(request, name)) {
        replace(change, name, wanted);
        return;
    }
    add_missing(change, LDAP_MOD_DELETE, target, wanted);
    add_missing(change, LDAP_MOD_ADD, wanted, target);
}

static bool is_left_out(const struct change_request *request, const char *name)
{
    if (request->target && mapping_is_kept(request->mapping, name))
        return true;
    for (size_t i = 0; request->leave_out && request->leave_out[i]; i++)
        if (entry_name_compare(request->leave_out[i], name) == 0)
            return true;
    return false;
}

static void change_attributes(const struct change_request *request, struct change *change)
{
    const struct entry *wanted = request->wanted, *target = request->target;
    for (size_t i = 0; i < wanted->count; i++) {
        const char *name = wanted->attributes[i].name;
        const struct attribute *there = target ? entry_find(target, name) : NULL;
        if (is_left_out(request, name))
            continue;
        if (!target)
            add_missing(change, LDAP_MOD_ADD, &wanted->attributes[i], NULL);
        else
            change_attribute(request, change, there ? there->name : name, &wanted->attributes[i], there);
    }
    for (size_t i = 0; target && i < target->count; i++) {
        const char *name = target->attributes[i].name;
        if (!is_left_out(request, name) && !entry_find(wanted, name))
            change_attribute(request, change, name, NULL, &target->attributes[i]);
    }
}

/* ---- renaming ---- */

struct place {
    size_t mod, value;
};

static bool find_value(const struct change *change, int op, const LDAPAVA *part, struct place *place_out)
{
    char *name = str_copy_n(part->la_attr.bv_val, part->la_attr.bv_len);
    bool found = false;
    for (size_t i = 0; i < change->mod_count && !found; i++) {
        LDAPMod *mod = change->mods[i];
        if ((mod->mod_op & LDAP_MOD_OP) != op || entry_name_compare(mod->mod_type, name) != 0)
            continue;
        size_t count = count_values(mod);
        for (size_t j = 0; j < count && !found; j++) {
            found = same_value(name, mod->mod_bvalues[j], &part->la_value);
            *place_out = (struct place){i, j};
        }
    }
    free(name);
    return found;
}

static void drop_value(struct change *change, int op, const LDAPAVA *part)
{
    struct place at;
    if (!find_value(change, op, part, &at))
        return;
    struct berval **values = change->mods[at.mod]->mod_bvalues;
    size_t count = count_values(change->mods[at.mod]);
    memmove(&values[at.value], &values[at.value + 1], (count - at.value) * sizeof(*values));
    if (count == 1)
        drop_mod(change, at.mod);
}

static void drop_values(struct change *change, int op, const LDAPRDN parts)
{
    for (size_t i = 0; parts && parts[i]; i++)
        drop_value(change, op, parts[i]);
}

static bool is_in_rdn(const LDAPRDN parts, const LDAPAVA *part)
{
    for (size_t i = 0; parts && parts[i]; i++)
        if (parts[i]->la_attr.bv_len == part->la_attr.bv_len &&
            strncasecmp(parts[i]->la_attr.bv_val, part->la_attr.bv_val, part->la_attr.bv_len) == 0 &&
            parts[i]->la_value.bv_len == part->la_value.bv_len &&
            memcmp(parts[i]->la_value.bv_val, part->la_value.bv_val, part->la_value.bv_len) == 0)
            return true;
    return false;
}

/* Each value of the old RDN goes, or is in the new one, where the server leaves it. */
static bool old_rdn_goes(const struct change *change, const LDAPRDN from, const LDAPRDN to)
{
    struct place ignored;
    for (size_t i = 0; from && from[i]; i++)
        if (!is_in_rdn(to, from[i]) && !find_value(change, LDAP_MOD_DELETE, from[i], &ignored))
            return false;
    return true;
}

/* modrdn adds the new RDN's values, and removes the old one's, if all of them are to go. */
static void rename_entry(const struct entry *wanted, struct change *change)
{
    LDAPDN from = NULL, to = NULL;
    char *rdn = NULL, *parent = NULL, *old_parent = NULL;
    if (ldap_str2dn(change->dn, &from, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS &&
        ldap_str2dn(wanted->dn, &to, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS && from && to && to[0] &&
        ldap_rdn2str(to[0], &rdn, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS &&
        ldap_dn2str(to + 1, &parent, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS &&
        ldap_dn2str(from + 1, &old_parent, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS) {
        change->new_rdn = str_copy(rdn);
        change->dn_after = str_copy(wanted->dn);
        if (!str_equal_nocase(parent, old_parent))
            change->new_parent = str_copy(parent);
        change->keep_old_rdn = !old_rdn_goes(change, from[0], to[0]);
        if (!change->keep_old_rdn)
            drop_values(change, LDAP_MOD_DELETE, from[0]);
        drop_values(change, LDAP_MOD_ADD, to[0]);
    }
    ldap_memfree(rdn);
    ldap_memfree(parent);
    ldap_memfree(old_parent);
    ldap_dnfree(from);
    ldap_dnfree(to);
}

static bool is_elsewhere(const struct change_request *request)
{
    char wanted[DN_BYTES], target[DN_BYTES];
    if (!mapping_compares_dn(request->mapping, request->wanted->dn) ||
        !mapping_compares_dn(request->mapping, request->target->dn))
        return false;
    return dn_normalise(request->wanted->dn, wanted, sizeof(wanted)) == 0 &&
           dn_normalise(request->target->dn, target, sizeof(target)) == 0 && strcmp(wanted, target) != 0;
}

/* The RDN's values of an entry that keeps its own RDN are not ours to change. */
static void leave_rdn(struct change *change)
{
    LDAPDN dn = NULL;
    if (ldap_str2dn(change->dn, &dn, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS && dn)
        drop_values(change, LDAP_MOD_DELETE, dn[0]);
    ldap_dnfree(dn);
}

void change_make(const struct change_request *request, struct change *change_out)
{
    *change_out = (struct change){.add = !request->target};
    change_out->dn = str_copy(request->target ? request->target->dn : request->wanted->dn);
    change_attributes(request, change_out);
    if (!request->target)
        return;
    if (is_elsewhere(request))
        rename_entry(request->wanted, change_out);
    else
        leave_rdn(change_out);
}

void change_number_in_dn(struct entry *entry, const char *type, const char *number)
{
    LDAPDN dn = NULL;
    char *text = NULL;
    if (ldap_str2dn(entry->dn, &dn, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS || !dn)
        return;
    for (size_t i = 0; dn[0] && dn[0][i]; i++) {
        char *name = str_copy_n(dn[0][i]->la_attr.bv_val, dn[0][i]->la_attr.bv_len);
        struct berval kept = dn[0][i]->la_value;
        if (entry_name_compare(name, type) == 0) {
            dn[0][i]->la_value =
                (struct berval){.bv_len = strlen(number), .bv_val = (char *)(uintptr_t)number};
            if (ldap_dn2str(dn, &text, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS) {
                free(entry->dn);
                entry->dn = str_copy(text);
            }
            ldap_memfree(text);
            text = NULL;
            dn[0][i]->la_value = kept;
        }
        free(name);
    }
    ldap_dnfree(dn);
}

void change_fini(struct change *change)
{
    while (change->mod_count > 0)
        drop_mod(change, change->mod_count - 1);
    free(change->mods);
    free(change->dn);
    free(change->new_rdn);
    free(change->new_parent);
    free(change->dn_after);
    *change = (struct change){0};
}

bool change_is_empty(const struct change *change)
{
    return !change->add && !change->new_rdn && change->mod_count == 0;
}

/* ---- for people ---- */

void change_names(const struct mapping *mapping, const struct entry *wanted, const struct entry *target,
                  char *text, size_t size)
{
    struct change change;
    size_t len = 0, shown = 0;
    change_make(&(struct change_request){.mapping = mapping, .wanted = wanted, .target = target}, &change);
    text[0] = '\0';
    for (size_t i = 0; i < change.mod_count; i++) {
        const char *name = change.mods[i]->mod_type;
        if (i > 0 && entry_name_compare(name, change.mods[i - 1]->mod_type) == 0)
            continue;
        if (len + strlen(name) + 32 > size) {
            snprintf(text + len, size - len, " … and more");
            break;
        }
        len += (size_t)snprintf(text + len, size - len, "%s%s", shown++ ? " " : "", name);
    }
    if (shown == 0 && change.new_rdn && size > 3)
        str_into(text, size, "dn");
    change_fini(&change);
}

static const char *op_word(const LDAPMod *mod)
{
    int op = mod->mod_op & LDAP_MOD_OP;
    return op == LDAP_MOD_ADD ? "add" : op == LDAP_MOD_DELETE ? "delete" : "replace";
}

static bool is_shown(const struct berval *value)
{
    for (size_t i = 0; i < value->bv_len; i++)
        if ((unsigned char)value->bv_val[i] < ' ' || value->bv_val[i] == 0x7f)
            return false;
    return value->bv_len <= VALUE_SHOWN && str_is_utf8(value->bv_val, value->bv_len);
}

static void describe(const LDAPMod *mod, const struct mapping *mapping, char *text, size_t size)
{
    size_t count = count_values(mod), len = 0;
    if (mapping_is_secret(mapping, mod->mod_type)) {
        str_into(text, size, "differs");
        return;
    }
    text[0] = '\0';
    for (size_t i = 0; i < count && len + VALUE_SHOWN + 8 < size; i++) {
        const struct berval *value = mod->mod_bvalues[i];
        const char *comma = i ? ", " : "";
        len += (size_t)(is_shown(value)
                            ? snprintf(text + len, size - len, "%s%.*s", comma, (int)value->bv_len,
                                       value->bv_val)
                            : snprintf(text + len, size - len, "%s%zu bytes", comma, (size_t)value->bv_len));
    }
}

char *change_json(const struct change *change, const struct mapping *mapping)
{
    cJSON *list = cJSON_CreateArray();
    char what[1024];
    if (change->new_rdn) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", "dn");
        cJSON_AddStringToObject(item, "op", "rename");
        cJSON_AddStringToObject(item, "what", change->new_rdn);
        cJSON_AddItemToArray(list, item);
    }
    for (size_t i = 0; i < change->mod_count; i++) {
        cJSON *item = cJSON_CreateObject();
        describe(change->mods[i], mapping, what, sizeof(what));
        cJSON_AddStringToObject(item, "name", change->mods[i]->mod_type);
        cJSON_AddStringToObject(item, "op", op_word(change->mods[i]));
        cJSON_AddStringToObject(item, "what", what);
        cJSON_AddItemToArray(list, item);
    }
    char *text = json_print(list);
    cJSON_Delete(list);
    return text;
}

/* RFC 2849: base64 where a value is not plain ASCII, begins with ' ', ':' or '<', or ends with ' '. */
static bool is_safe(const struct berval *value)
{
    const char *bytes = value->bv_val;
    size_t len = value->bv_len;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)bytes[i] < ' ' || (unsigned char)bytes[i] > '~')
            return false;
    return len == 0 || (strchr(" :<", bytes[0]) == NULL && bytes[len - 1] != ' ');
}

static void ldif_value(struct buf *ldif, const char *name, const struct berval *value)
{
    if (is_safe(value)) {
        buf_addf(ldif, "%s: %.*s\n", name, (int)value->bv_len, value->bv_val);
        return;
    }
    char *text = mem_new(value->bv_len / 3 * 4 + 8);
    EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)value->bv_val, (int)value->bv_len);
    buf_addf(ldif, "%s:: %s\n", name, text);
    free(text);
}

static void ldif_dn(struct buf *ldif, const char *name, const char *dn)
{
    ldif_value(ldif, name, &(struct berval){.bv_len = strlen(dn), .bv_val = (char *)(uintptr_t)dn});
}

/* true: it may be shown whole; else a comment stands for it. */
static bool ldif_shows(struct buf *ldif, const LDAPMod *mod, const struct mapping *mapping)
{
    if (mapping_is_secret(mapping, mod->mod_type)) {
        buf_addf(ldif, "# %s: not shown\n", mod->mod_type);
        return false;
    }
    for (size_t i = 0; mod->mod_bvalues[i]; i++)
        if (mod->mod_bvalues[i]->bv_len > VALUE_WHOLE) {
            buf_addf(ldif, "# %s: %zu bytes\n", mod->mod_type, (size_t)mod->mod_bvalues[i]->bv_len);
            return false;
        }
    return true;
}

static void ldif_mods(const struct change *change, const struct mapping *mapping, struct buf *ldif)
{
    for (size_t i = 0; i < change->mod_count; i++) {
        const LDAPMod *mod = change->mods[i];
        if (!ldif_shows(ldif, mod, mapping))
            continue;
        if (!change->add)
            buf_addf(ldif, "%s: %s\n", op_word(mod), mod->mod_type);
        for (size_t j = 0; mod->mod_bvalues[j]; j++)
            ldif_value(ldif, mod->mod_type, mod->mod_bvalues[j]);
        if (!change->add)
            buf_add_str(ldif, "-\n");
    }
}

void change_ldif(const struct change *change, const struct mapping *mapping, struct buf *ldif)
{
    if (change->new_rdn) {
        ldif_dn(ldif, "dn", change->dn);
        buf_add_str(ldif, "changetype: modrdn\n");
        ldif_dn(ldif, "newrdn", change->new_rdn);
        buf_addf(ldif, "deleteoldrdn: %d\n", !change->keep_old_rdn);
        if (change->new_parent)
            ldif_dn(ldif, "newsuperior", change->new_parent);
        buf_add_str(ldif, "\n");
    }
    if (change->mod_count == 0)
        return;
    ldif_dn(ldif, "dn", change->dn_after ? change->dn_after : change->dn);
    buf_addf(ldif, "changetype: %s\n", change->add ? "add" : "modify");
    ldif_mods(change, mapping, ldif);
    buf_add_str(ldif, "\n");
}
