/*
 * The one table of configuration keys: what may stand in mirror.yaml, of which type, within which limits, and where
 * the value goes. The loader, the defaults, the freeing and README's table all walk it: a new key is one line there.
 */
#ifndef MIRROR_BASE_CONFIG_KEYS_H
#define MIRROR_BASE_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum config_key_type {
    CONFIG_KEY_STRING,
    CONFIG_KEY_PATH, /* a string, made absolute from the file's directory */
    CONFIG_KEY_INTEGER,
    CONFIG_KEY_NUMBER, /* may have a fraction */
    CONFIG_KEY_BOOL,
    CONFIG_KEY_ENUM,    /* stored as the position in names */
    CONFIG_KEY_STRINGS, /* list of strings */
    CONFIG_KEY_MAPS,    /* list of maps: their keys are "<path>[].…" and a level of their own */
    CONFIG_KEY_LATER,   /* known to the design, refused by this version: nobody must believe that it works */
    CONFIG_KEY_LATER_EMPTY, /* the same, but 0, {} and nothing are accepted */
};

struct config_key {
    const char *path; /* "sites[].imap.port" */
    enum config_key_type type;
    size_t offset, bytes; /* of the member in the struct of its level: config, site, route, rename */
    size_t count_offset, item_bytes; /* MAPS: the member that counts, and the size of an item */
    const char *fallback; /* the default as one would write it; NULL: none. Lists: separated by ", " */
    const char *shown;    /* the default for people, where it is not `fallback` */
    double min, max;      /* of the number; of a list: how many */
    const char *unit;
    const char *const *names;           /* ENUM: ends with NULL */
    const char *(*wrong)(const char *); /* strings and items: what is wrong with it, or NULL */
    bool unsaid;                        /* may hold a secret by mistake: errors don't repeat it (I8) */
    bool required;
    const char *help; /* LATER: what to say instead of "not supported by this version yet" */
};

/* All keys; ends with path NULL. Those of one group stand together. */
const struct config_key *config_keys(void);

/* Patterns are paths without numbers: "sites[].imap". NULL: no such key. */
const struct config_key *config_keys_find(const char *pattern);
bool config_keys_is_group(const char *pattern);

/* Is the key a member of the struct of this level ("", "sites[]", "routes[].folders.rename[]")? */
bool config_keys_at_level(const struct config_key *key, const char *level);

/* What to write instead of the unknown `name` in the group `pattern`: "did you mean 'port'?", or what is known there. */
void config_keys_suggest(const char *pattern, const char *name, char *text, size_t size);

/* Distance of two words in letters added, left out, exchanged, or swapped with their neighbour. */
size_t config_keys_distance(const char *a, const char *b);

#endif
