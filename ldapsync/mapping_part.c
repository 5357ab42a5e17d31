/*
 * Values as the target should hold them; see mapping_part.h.
 */
#include "ldapsync/mapping_part.h"

#include "base/str.h"
#include "ldapsync/dn.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct config_directory *directory(const struct mapping *mapping)
{
    return &mapping->params.route->directory;
}

/* ---- a list of parts ---- */

static struct mapping_part *add(struct mapping_parts *parts, const struct mapping_rule *rule)
{
    if (parts->count == parts->size) {
        parts->size = parts->size ? parts->size * 2 : 32;
        parts->items = mem_grow(parts->items, parts->size, sizeof(*parts->items));
    }
    struct mapping_part *part = &parts->items[parts->count++];
    *part = (struct mapping_part){.rule = rule};
    return part;
}

static void add_borrowed(struct mapping_parts *parts, const struct mapping_rule *rule,
                         const struct berval *value)
{
    struct mapping_part *part = add(parts, rule);
    part->bytes = value->bv_val;
    part->len = value->bv_len;
}

/* Takes the text over. */
static void add_own(struct mapping_parts *parts, const struct mapping_rule *rule, char *text)
{
    struct mapping_part *part = add(parts, rule);
    part->bytes = part->own = text;
    part->len = strlen(text);
}

void mapping_parts_fini(struct mapping_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        if (parts->items[i].own)
            explicit_bzero(parts->items[i].own, parts->items[i].len);
        free(parts->items[i].own);
    }
    free(parts->items);
    *parts = (struct mapping_parts){0};
}

/* ---- values that change ---- */

bool mapping_parts_move_dn(const struct mapping *mapping, const char *dn, char moved[MAPPING_DN_BYTES])
{
    const struct mapping_base *bases = mapping->bases;
    return dn_move(dn, bases[0].from, bases[0].to, moved, MAPPING_DN_BYTES) ||
           dn_move(dn, bases[1].from, bases[1].to, moved, MAPPING_DN_BYTES);
}

static bool is_text(const struct berval *value)
{
    return !memchr(value->bv_val, 0, value->bv_len);
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

/* The caller frees. */
static char *replaced(const struct mapping *mapping, const char *production_name, const char *value)
{
    char *text = str_copy(value);
    for (size_t i = 0; i < directory(mapping)->replace_values_count; i++) {
        const struct config_replace *replace = &directory(mapping)->replace_values[i];
        if (!entry_name_is_of(production_name, replace->attribute) || replace->from[0] == '\0')
            continue;
        char *next = replace_all(text, replace->from, replace->to);
        free(text);
        text = next;
    }
    return text;
}

static void add_class(const struct mapping *mapping, struct mapping_parts *parts,
                      const struct mapping_rule *rule, const struct berval *value)
{
    const struct config_rename *renames = directory(mapping)->rename_classes;
    for (size_t i = 0; i < directory(mapping)->rename_classes_count; i++) {
        if (strcasecmp(value->bv_val, renames[i].from) != 0)
            continue;
        if (renames[i].to)
            add_own(parts, rule, str_copy(renames[i].to));
        return;
    }
    add_borrowed(parts, rule, value);
}

static void add_value(const struct mapping *mapping, struct mapping_parts *parts,
                      const struct mapping_rule *rule, const struct berval *value)
{
    char moved[MAPPING_DN_BYTES];
    if (rule->is_class)
        add_class(mapping, parts, rule, value);
    else if (rule->is_replaced && is_text(value))
        add_own(parts, rule, replaced(mapping, rule->name, value->bv_val));
    else if (rule->is_dn && is_text(value) && mapping_parts_move_dn(mapping, value->bv_val, moved))
        add_own(parts, rule, str_copy(moved));
    else
        add_borrowed(parts, rule, value);
}

/* ---- entries ---- */

void mapping_parts_wanted(const struct mapping *mapping, const struct entry *production,
                          struct mapping_parts *parts_out)
{
    *parts_out = (struct mapping_parts){0};
    mapping_rules_tidy(mapping->of_production);
    for (size_t i = 0; i < production->count; i++) {
        const struct attribute *attribute = &production->attributes[i];
        const struct mapping_rule *rule = mapping_rule_of_production(mapping, attribute->name);
        for (size_t j = 0; j < attribute->count && !rule->left_out; j++)
            add_value(mapping, parts_out, rule, &attribute->values[j]);
    }
}

void mapping_parts_counts(const struct mapping *mapping, const struct entry *target,
                          struct mapping_parts *parts_out)
{
    *parts_out = (struct mapping_parts){0};
    mapping_rules_tidy(mapping->of_target);
    for (size_t i = 0; i < target->count; i++) {
        const struct attribute *attribute = &target->attributes[i];
        const struct mapping_rule *rule = mapping_rule_of_target(mapping, attribute->name);
        for (size_t j = 0; j < attribute->count && !rule->left_out; j++)
            add_borrowed(parts_out, rule, &attribute->values[j]);
    }
}
