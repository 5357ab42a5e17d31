/*
 * JSON from outside; see json.h. Used by the bus, the API and mirrorctl.
 *
 * cJSON alone is too kind: it recurses 1,000 levels deep, takes raw control characters, ends strings at \u0000 and
 * keeps duplicate keys. One pass over the bytes refuses these before it sees them.
 */
#include "base/json.h"

#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Above this a double, which is what cJSON keeps, is no longer every whole number. */
static const double largest_exact = 9007199254740992.0;

static int refuse(struct err *err, const char *why)
{
    return err_set(err, ERR_MESSAGE, ERR_RETRY_NEVER, "JSON: %s", why);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Moves *at from the opening quote to behind the closing one. */
static int scan_string(const char *bytes, size_t len, size_t *at, struct err *err)
{
    for ((*at)++; *at < len; (*at)++) {
        unsigned char c = (unsigned char)bytes[*at];
        if (c == '"') {
            (*at)++;
            return 0;
        }
        if (c < 0x20)
            return refuse(err, "a control character in a string; write it as \\n, \\t or \\u001b");
        if (c != '\\')
            continue;
        if (len - *at >= 6 && memcmp(bytes + *at, "\\u0000", 6) == 0)
            return refuse(err, "a NUL in a string; leave it out");
        (*at)++;
    }
    return refuse(err, "a string without its closing quote");
}

static int scan(const char *bytes, size_t len, struct err *err)
{
    unsigned depth = 0;
    for (size_t at = 0; at < len;) {
        char c = bytes[at];
        if (c == 0)
            return refuse(err, "a NUL byte; leave it out");
        if (c == '"') {
            if (scan_string(bytes, len, &at, err) < 0)
                return -1;
            continue;
        }
        if ((c == '{' || c == '[') && ++depth > JSON_MAX_DEPTH)
            return refuse(err, "nested more than 16 levels deep");
        if ((c == '}' || c == ']') && depth-- == 0)
            return refuse(err, "a closing bracket too many");
        at++;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_names(const cJSON *object, struct err *err)
{
    size_t count = 0;
    const cJSON *item;
    cJSON_ArrayForEach (item, object)
        count++;
    const char **names = mem_new((count + 1) * sizeof(*names));
    size_t at = 0;
    cJSON_ArrayForEach (item, object)
        names[at++] = item->string;
    qsort(names, count, sizeof(*names), by_name);
    int result = 0;
    for (at = 1; at < count && result == 0; at++)
        if (strcmp(names[at - 1], names[at]) == 0)
            result = err_set(err, ERR_MESSAGE, ERR_RETRY_NEVER, "JSON: field '%.64s' twice; leave one out",
                             names[at]);
    free(names);
    return result;
}

static int check_bytes(const char *bytes, size_t len, size_t max_bytes, struct err *err)
{
    if (len > max_bytes)
        return refuse(err, "too long");
    if (!str_is_utf8(bytes, len))
        return refuse(err, "not in UTF-8");
    size_t at = 0;
    while (at < len && is_blank(bytes[at]))
        at++;
    if (at == len || bytes[at] != '{')
        return refuse(err, "not an object, which begins with {");
    return scan(bytes, len, err);
}

cJSON *json_parse_object(const char *bytes, size_t len, size_t max_bytes, struct err *err)
{
    const char *end = NULL;
    if (check_bytes(bytes, len, max_bytes, err) < 0)
        return NULL;
    cJSON *object = cJSON_ParseWithLengthOpts(bytes, len, &end, false);
    if (object == NULL) {
        err_set(err, ERR_MESSAGE, ERR_RETRY_NEVER, "JSON: not well formed at byte %zu",
                (size_t)(end - bytes) + 1);
        return NULL;
    }
    while (end < bytes + len && is_blank(*end))
        end++;
    if (end != bytes + len)
        refuse(err, "something behind the closing }");
    else if (check_names(object, err) == 0)
        return object;
    cJSON_Delete(object);
    return NULL;
}

static int field_error(struct err *err, const char *name, const char *why)
{
    return err_set(err, ERR_MESSAGE, ERR_RETRY_NEVER, "field '%s': %s", name, why);
}

static const cJSON *find(const cJSON *object, const char *name, struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (item == NULL)
        field_error(err, name, "missing");
    return item;
}

int json_get_string(const cJSON *object, const char *name, size_t max_bytes, const char **value_out,
                    struct err *err)
{
    const cJSON *item = find(object, name, err);
    if (item == NULL)
        return -1;
    if (!cJSON_IsString(item) || item->valuestring == NULL)
        return field_error(err, name, "must be a text in quotes");
    if (strlen(item->valuestring) > max_bytes)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_NEVER, "field '%s': longer than %zu bytes; shorten it",
                       name, max_bytes);
    *value_out = item->valuestring;
    return 0;
}

int json_get_u64(const cJSON *object, const char *name, uint64_t max, uint64_t *value_out, struct err *err)
{
    const cJSON *item = find(object, name, err);
    if (item == NULL)
        return -1;
    if (!cJSON_IsNumber(item))
        return field_error(err, name, "must be a number, without quotes");
    double value = item->valuedouble;
    if (!(value >= 0) || value > largest_exact || floor(value) != value)
        return field_error(err, name, "must be a whole number from 0 to 2^53");
    if ((uint64_t)value > max)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_NEVER, "field '%s': above %llu", name,
                       (unsigned long long)max);
    *value_out = (uint64_t)value;
    return 0;
}

int json_get_bool(const cJSON *object, const char *name, bool *value_out, struct err *err)
{
    const cJSON *item = find(object, name, err);
    if (item == NULL)
        return -1;
    if (!cJSON_IsBool(item))
        return field_error(err, name, "must be true or false, without quotes");
    *value_out = cJSON_IsTrue(item);
    return 0;
}

bool json_has(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name) != NULL;
}

int json_has_only(const cJSON *object, const char *const *names, struct err *err)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, object) {
        size_t i = 0;
        while (names[i] != NULL && strcmp(names[i], item->string) != 0)
            i++;
        if (names[i] != NULL)
            continue;
        char known[256] = "";
        for (i = 0; names[i] != NULL; i++) {
            size_t len = strlen(known);
            snprintf(known + len, sizeof(known) - len, "%s%s", i > 0 ? ", " : "", names[i]);
        }
        return err_set(err, ERR_MESSAGE, ERR_RETRY_NEVER, "field '%.64s': unknown; known here are %s",
                       item->string, known);
    }
    return 0;
}

char *json_print(const cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    if (text == NULL)
        BUG("out of memory");
    return text;
}
