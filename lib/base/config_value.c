/*
 * Values of the configuration; see config_value.h.
 *
 * Members are written through offsets of the table, by the size that the table took from the struct itself.
 */
#include "base/config_value.h"

#include "base/config.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRING_MAX = 1024 };

#define FAIL(...) return (snprintf(why, CONFIG_VALUE_WHY_BYTES, __VA_ARGS__), -1)

static void *member(const struct config_key *key, void *base)
{
    return (char *)base + key->offset;
}

static void store_integer(const struct config_key *key, void *base, uint64_t value)
{
    void *place = member(key, base);
    if (key->bytes == sizeof(uint8_t))
        *(uint8_t *)place = (uint8_t)value;
    else if (key->bytes == sizeof(uint32_t))
        *(uint32_t *)place = (uint32_t)value;
    else
        *(uint64_t *)place = value;
}

static const char *unit_of(const struct config_key *key, char text[64])
{
    snprintf(text, 64, "%s%s", key->unit ? " " : "", key->unit ? key->unit : "");
    return text;
}

static int set_number(const struct config_key *key, void *base, const struct config_value *value, char *why)
{
    bool whole = key->type == CONFIG_KEY_INTEGER;
    const char *kind = whole ? "whole number" : "number";
    const char *allowed = whole ? "0123456789" : "0123456789.";
    char *end, unit[64];
    size_t len = strlen(value->text);
    unit_of(key, unit);
    double number = strtod(value->text, &end);
    bool is_number = len > 0 && strspn(value->text, allowed) == len && *end == 0;
    bool is_negative = value->text[0] == '-' && len > 1 && strspn(value->text + 1, allowed) == len - 1;
    if (value->quoted && is_number)
        FAIL("a %s stands without quotes; write %.64s", kind, value->text);
    if (!is_number && !is_negative)
        FAIL("'%.64s' is not a %s; write one from %.15g to %.15g%s", value->text, kind, key->min, key->max,
             unit);
    if (!is_number || number < key->min || number > key->max)
        FAIL("%.64s is out of range; write a %s from %.15g to %.15g%s", value->text, kind, key->min, key->max,
             unit);
    if (whole)
        store_integer(key, base, (uint64_t)number);
    else
        *(double *)member(key, base) = number;
    return 0;
}

static int set_bool(const struct config_key *key, void *base, const struct config_value *value, char *why)
{
    bool yes = str_equal(value->text, "true");
    if (value->quoted || (!yes && !str_equal(value->text, "false")))
        FAIL("'%.64s' is neither true nor false; write true or false", value->text);
    store_integer(key, base, yes);
    return 0;
}

static void list_names(const struct config_key *key, char *text, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; key->names[i] != NULL && len < size; i++) {
        const char *between = i == 0 ? "" : key->names[i + 1] == NULL ? " or " : ", ";
        len += (size_t)snprintf(text + len, size - len, "%s%s", between, key->names[i]);
    }
}

static int set_enum(const struct config_key *key, void *base, const struct config_value *value, char *why)
{
    char names[128];
    for (size_t i = 0; key->names[i] != NULL; i++)
        if (str_equal(key->names[i], value->text)) {
            store_integer(key, base, i);
            return 0;
        }
    list_names(key, names, sizeof(names));
    FAIL("'%.64s' is not one of the choices; write %s", value->text, names);
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static int check_string(const struct config_key *key, const char *text, char *why)
{
    const char *wrong;
    if (*text == 0)
        FAIL("is empty; write a value, or leave the key out");
    if (strlen(text) > STRING_MAX)
        FAIL("is longer than %d bytes; write a shorter one", STRING_MAX);
    if (has_control(text))
        FAIL("holds a control character; write it on one line, without tabs");
    if (key->wrong == NULL || (wrong = key->wrong(text)) == NULL)
        return 0;
    /* "user:password@host" is a common form of addresses. */
    if (key->unsaid || strchr(text, '@') != NULL)
        FAIL("%s", wrong);
    FAIL("'%.64s': %s", text, wrong);
}

static char *absolute(const struct config_value *value)
{
    if (value->text[0] == '/')
        return str_copy(value->text);
    return str_format("%s/%s", str_equal(value->directory, "/") ? "" : value->directory, value->text);
}

static int set_string(const struct config_key *key, void *base, const struct config_value *value, char *why)
{
    char **place = member(key, base);
    if (check_string(key, value->text, why) < 0)
        return -1;
    free(*place);
    *place = key->type == CONFIG_KEY_PATH ? absolute(value) : str_copy(value->text);
    return 0;
}

int config_value_set(const struct config_key *key, void *base, const struct config_value *value,
                     char why[CONFIG_VALUE_WHY_BYTES])
{
    bool is_null = !value->quoted &&
                   (*value->text == 0 || str_equal(value->text, "~") || str_equal(value->text, "null"));
    if (is_null)
        FAIL("is empty; write a value, or leave the key out");
    switch (key->type) {
    case CONFIG_KEY_INTEGER:
    case CONFIG_KEY_NUMBER:
        return set_number(key, base, value, why);
    case CONFIG_KEY_BOOL:
        return set_bool(key, base, value, why);
    case CONFIG_KEY_ENUM:
        return set_enum(key, base, value, why);
    default:
        return set_string(key, base, value, why);
    }
}

int config_value_add(const struct config_key *key, void *base, const struct config_value *value,
                     char why[CONFIG_VALUE_WHY_BYTES])
{
    struct config_strings *strings = member(key, base);
    if (check_string(key, value->text, why) < 0)
        return -1;
    strings->items = mem_grow(strings->items, strings->count + 1, sizeof(*strings->items));
    strings->items[strings->count++] = str_copy(value->text);
    return 0;
}

void config_value_clear(const struct config_key *key, void *base)
{
    struct config_strings *strings = member(key, base);
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct config_strings){0};
}

void config_value_new_items(const struct config_key *key, void *base, size_t count)
{
    *(void **)member(key, base) = mem_new(count * key->item_bytes);
    *(size_t *)(void *)((char *)base + key->count_offset) = count;
}

void *config_value_item(const struct config_key *key, void *base, size_t i)
{
    return *(char **)member(key, base) + i * key->item_bytes;
}

static void default_strings(const struct config_key *key, void *base, char *why)
{
    const char *at = key->fallback;
    while (*at) {
        const char *comma = strstr(at, ", ");
        char *item = str_copy_n(at, comma ? (size_t)(comma - at) : strlen(at));
        ASSERT(config_value_add(key, base, &(struct config_value){.text = item}, why) == 0);
        at += strlen(item) + (comma ? 2 : 0);
        free(item);
    }
}

void config_value_defaults(const char *level, void *base)
{
    char why[CONFIG_VALUE_WHY_BYTES];
    for (const struct config_key *key = config_keys(); key->path != NULL; key++) {
        if (key->fallback == NULL || !config_keys_at_level(key, level))
            continue;
        if (key->type == CONFIG_KEY_STRINGS)
            default_strings(key, base, why);
        else
            ASSERT(config_value_set(key, base, &(struct config_value){.text = key->fallback}, why) == 0);
    }
}

bool config_value_is_missing(const struct config_key *key, const void *base)
{
    /* Required are only strings and lists of maps: both begin with a pointer. */
    return key->required && *(const char *const *)(const void *)((const char *)base + key->offset) == NULL;
}

static void free_items(const struct config_key *key, void *base)
{
    size_t count = *(size_t *)(void *)((char *)base + key->count_offset);
    char *level = str_format("%s[]", key->path);
    for (size_t i = 0; i < count; i++)
        config_value_free(level, config_value_item(key, base, i));
    free(*(void **)member(key, base));
    free(level);
}

void config_value_free(const char *level, void *base)
{
    for (const struct config_key *key = config_keys(); key->path != NULL; key++) {
        if (!config_keys_at_level(key, level))
            continue;
        if (key->type == CONFIG_KEY_STRING || key->type == CONFIG_KEY_PATH)
            free(*(char **)member(key, base));
        else if (key->type == CONFIG_KEY_STRINGS)
            config_value_clear(key, base);
        else if (key->type == CONFIG_KEY_MAPS)
            free_items(key, base);
    }
}
