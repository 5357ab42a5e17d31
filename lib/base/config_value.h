/*
 * Values of the configuration: from text into the member that the table of keys names, defaults, and freeing.
 */
#ifndef MIRROR_BASE_CONFIG_VALUE_H
#define MIRROR_BASE_CONFIG_VALUE_H

#include "base/config_keys.h"

enum { CONFIG_VALUE_WHY_BYTES = 320 };

/* 0, or -1 and in `why` what is wrong and what to write instead. `base`: the struct of the key's level; `directory`:
 * where relative paths begin; `quoted`: it stood in quotes. */
struct config_value {
    const char *text;
    bool quoted;
    const char *directory;
};
int config_value_set(const struct config_key *key, void *base, const struct config_value *value,
                     char why[CONFIG_VALUE_WHY_BYTES]);

/* The same for one more item of a CONFIG_KEY_STRINGS. */
int config_value_add(const struct config_key *key, void *base, const struct config_value *value,
                     char why[CONFIG_VALUE_WHY_BYTES]);

/* Removes all items of a CONFIG_KEY_STRINGS (its default gives way to what the file says). */
void config_value_clear(const struct config_key *key, void *base);

/* A zeroed array of `count` items of a CONFIG_KEY_MAPS; item i. */
void config_value_new_items(const struct config_key *key, void *base, size_t count);
void *config_value_item(const struct config_key *key, void *base, size_t i);

void config_value_defaults(const char *level, void *base);
bool config_value_is_missing(const struct config_key *key, const void *base); /* required, and not there */
void config_value_free(const char *level, void *base);

#endif
