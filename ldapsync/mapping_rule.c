/*
 * What is done with which attribute; see mapping_rule.h.
 */
#include "ldapsync/mapping_rule.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RULES_KEPT = 500, OPTIONS_MAX = 16 };

static const struct config_directory *directory(const struct mapping *mapping)
{
    return &mapping->params.route->directory;
}

static bool lists(const struct config_strings *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (entry_name_is_of(name, list->items[i]))
            return true;
    return false;
}

/* The type is renamed, options stay. */
static void rename_description(const struct mapping *mapping, const char *name, char text[MAPPING_NAME_BYTES])
{
    for (size_t i = 0; i < directory(mapping)->rename_attributes_count; i++) {
        const struct config_rename *rename = &directory(mapping)->rename_attributes[i];
        if (entry_name_is_of(name, rename->from)) {
            snprintf(text, MAPPING_NAME_BYTES, "%s%s", rename->to, name + strcspn(name, ";"));
            return;
        }
    }
    str_into(text, MAPPING_NAME_BYTES, name);
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

static bool is_left_out(const struct mapping *mapping, const char *target_name)
{
    return lists_target(mapping, &directory(mapping)->exclude_attributes, target_name) ||
           is_unwritable(mapping->params.target, target_name);
}

static bool is_replaced(const struct mapping *mapping, const char *production_name)
{
    for (size_t i = 0; i < directory(mapping)->replace_values_count; i++)
        if (entry_name_is_of(production_name, directory(mapping)->replace_values[i].attribute))
            return true;
    return false;
}

/* ---- descriptions in one form ---- */

static void fold(const char *name, char folded[MAPPING_NAME_BYTES])
{
    char *at = str_into(folded, MAPPING_NAME_BYTES, name);
    for (; *at; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
}

static void make_canonical(const char *name, char text[MAPPING_NAME_BYTES])
{
    char folded[MAPPING_NAME_BYTES], *rest = folded, *options[OPTIONS_MAX];
    size_t count = 0;
    fold(name, folded);
    char *type = strsep(&rest, ";");
    while (rest && count < OPTIONS_MAX) {
        char *option = strsep(&rest, ";");
        size_t at = count++;
        for (; at > 0 && strcmp(options[at - 1], option) > 0; at--)
            options[at] = options[at - 1];
        options[at] = option;
    }
    str_into(text, MAPPING_NAME_BYTES, type);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(text);
        snprintf(text + len, MAPPING_NAME_BYTES - len, ";%s", options[i]);
    }
}

/* ---- rules ---- */

struct mapping_rules *mapping_rules_new(void)
{
    return mem_new(sizeof(struct mapping_rules));
}

static void forget(struct mapping_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->items[i]);
    rules->count = 0;
}

void mapping_rules_free(struct mapping_rules *rules)
{
    forget(rules);
    free(rules->items);
    free(rules);
}

void mapping_rules_tidy(struct mapping_rules *rules)
{
    if (rules->count > RULES_KEPT)
        forget(rules);
}

/* Servers tell attributes in the same order again and again. */
static struct mapping_rule *find(struct mapping_rules *rules, const char *name)
{
    for (size_t i = 0; i < rules->count; i++) {
        size_t at = (rules->next + i) % rules->count;
        if (strcmp(rules->items[at]->name, name) == 0) {
            rules->next = at + 1;
            return rules->items[at];
        }
    }
    return NULL;
}

static struct mapping_rule *add(struct mapping_rules *rules, const char *name)
{
    if (rules->count == rules->size) {
        rules->size = rules->size ? rules->size * 2 : 32;
        rules->items = mem_grow(rules->items, rules->size, sizeof(*rules->items));
    }
    struct mapping_rule *rule = mem_new(sizeof(*rule));
    str_into(rule->name, sizeof(rule->name), name);
    rules->items[rules->count++] = rule;
    rules->next = rules->count;
    return rule;
}

static void decide_for_target(const struct mapping *mapping, struct mapping_rule *rule)
{
    rule->left_out = rule->left_out || is_left_out(mapping, rule->target);
    rule->kept = lists_target(mapping, &directory(mapping)->keep_attributes, rule->target);
    make_canonical(rule->target, rule->canonical);
}

const struct mapping_rule *mapping_rule_of_production(const struct mapping *mapping, const char *name)
{
    struct mapping_rule *rule = find(mapping->of_production, name);
    if (rule)
        return rule;
    rule = add(mapping->of_production, name);
    rename_description(mapping, name, rule->target);
    rule->left_out = is_unwritable(mapping->params.production, name) ||
                     lists(&directory(mapping)->exclude_attributes, name);
    rule->is_class = entry_name_compare(name, "objectClass") == 0;
    rule->is_dn = lists(&directory(mapping)->dn_attributes, name);
    rule->is_replaced = is_replaced(mapping, name);
    decide_for_target(mapping, rule);
    return rule;
}

const struct mapping_rule *mapping_rule_of_target(const struct mapping *mapping, const char *name)
{
    struct mapping_rule *rule = find(mapping->of_target, name);
    if (rule)
        return rule;
    rule = add(mapping->of_target, name);
    str_into(rule->target, sizeof(rule->target), name);
    rule->is_class = entry_name_compare(name, "objectClass") == 0;
    decide_for_target(mapping, rule);
    return rule;
}

/* ---- single questions ---- */

bool mapping_is_kept(const struct mapping *mapping, const char *target_name)
{
    return mapping_rule_of_target(mapping, target_name)->kept;
}

bool mapping_is_secret(const struct mapping *mapping, const char *target_name)
{
    const struct config_route *route = mapping->params.route;
    return lists_target(mapping, &route->from_site->ldap.password_attributes, target_name) ||
           lists(&route->to_site->ldap.password_attributes, target_name);
}
