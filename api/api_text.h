/*
 * Words for people: durations, counts, and text that is safe to print and to put into JSON.
 */
#ifndef MIRROR_API_TEXT_H
#define MIRROR_API_TEXT_H

#include <cjson/cJSON.h>
#include <stdint.h>

enum { API_TEXT_BYTES = 64 };

/* "less than a second", "1 second", "119 seconds", "2 minutes", "3 hours", "12 days"; rounded down. Returns `text`. */
char *api_text_duration(double seconds, char text[API_TEXT_BYTES]);

/* "1 message", "no messages", "12 messages". */
char *api_text_count(uint64_t count, const char *noun, char text[API_TEXT_BYTES]);

/* Adds a string member; what is not UTF-8 (a server's words cut in the middle of a character) becomes '?'. */
void api_text_add(cJSON *object, const char *name, const char *value);
/* The same, to an array. */
void api_text_append(cJSON *array, const char *value);
/* Adds a number of seconds, rounded to tenths, or null if it is negative: none. */
void api_text_add_seconds(cJSON *object, const char *name, double seconds);

#endif
