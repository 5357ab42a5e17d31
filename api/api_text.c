/*
 * Words for people, in mirror-api.
 */
#include "api/api_text.h"

#include "base/err.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *api_text_duration(double seconds, char text[API_TEXT_BYTES])
{
    static const struct {
        double seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};

    if (!(seconds >= 1))
        return str_into(text, API_TEXT_BYTES, "less than a second");
    size_t unit = 0; /* the largest that gives at least 2: "119 seconds", then "2 minutes" */
    while (unit < 3 && seconds < 2 * units[unit].seconds)
        unit++;
    double count = floor(seconds / units[unit].seconds);
    snprintf(text, API_TEXT_BYTES, "%.0f %s%s", count, units[unit].name, count < 2 ? "" : "s");
    return text;
}

char *api_text_count(uint64_t count, const char *noun, char text[API_TEXT_BYTES])
{
    if (count == 0)
        snprintf(text, API_TEXT_BYTES, "no %ss", noun);
    else
        snprintf(text, API_TEXT_BYTES, "%llu %s%s", (unsigned long long)count, noun, count == 1 ? "" : "s");
    return text;
}

static cJSON *clean_string(const char *value)
{
    char *copy = str_copy(value ? value : "");
    if (!str_is_utf8(copy, strlen(copy))) {
        for (char *at = copy; *at; at++)
            if ((unsigned char)*at >= 0x80)
                *at = '?';
    }
    cJSON *string = cJSON_CreateString(copy);
    free(copy);
    if (!string)
        BUG("out of memory");
    return string;
}

void api_text_add(cJSON *object, const char *name, const char *value)
{
    cJSON_AddItemToObject(object, name, clean_string(value));
}

void api_text_append(cJSON *array, const char *value)
{
    cJSON_AddItemToArray(array, clean_string(value));
}

void api_text_add_seconds(cJSON *object, const char *name, double seconds)
{
    cJSON *added = seconds < 0 ? cJSON_AddNullToObject(object, name)
                               : cJSON_AddNumberToObject(object, name, round(seconds * 10) / 10);
    if (!added)
        BUG("out of memory");
}
