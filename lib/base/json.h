/*
 * JSON from outside: cJSON behind a cap of size and depth, and strict getters. Everything that arrives on the bus
 * or over HTTP passes here before anything looks at it.
 */
#ifndef MIRROR_BASE_JSON_H
#define MIRROR_BASE_JSON_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_MAX_DEPTH = 16 };

/* NULL on anything that is not one whole JSON object of at most max_bytes and JSON_MAX_DEPTH levels, in valid UTF-8
 * and without duplicate or NUL-carrying keys at the top. The caller frees with cJSON_Delete(). */
cJSON *json_parse_object(const char *bytes, size_t len, size_t max_bytes, struct err *err);

/* The member must be there, of that type and within the limits; else -1 and an error that names the field. */
int json_get_string(const cJSON *object, const char *name, size_t max_bytes, const char **value_out,
                    struct err *err);
int json_get_u64(const cJSON *object, const char *name, uint64_t max, uint64_t *value_out, struct err *err);
int json_get_bool(const cJSON *object, const char *name, bool *value_out, struct err *err);
bool json_has(const cJSON *object, const char *name);

/* -1 if it has a member that is none of `names` (which end with NULL): a mistyped one must not pass for one left out. */
int json_has_only(const cJSON *object, const char *const *names, struct err *err);

/* Prints without blanks; the caller frees with free(). */
char *json_print(const cJSON *object);

#endif
