/*
 * Fingerprints; see the header. A greeting may hold anything (RFC 3501 section 7.1.5): what differs at each login would
 * trip the breaker at once, so doubtful words are rather left out; the key of the certificate, where there is one, is the
 * better witness.
 */
#include "access/access_fingerprint.h"

#include "base/str.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_calendar_word(const char *word, size_t len)
{
    static const char *const names[] = {
        "Mon",     "Tue",       "Wed",      "Thu",      "Fri",      "Sat",    "Sun",  "Monday",
        "Tuesday", "Wednesday", "Thursday", "Friday",   "Saturday", "Sunday", "Jan",  "Feb",
        "Mar",     "Apr",       "May",      "Jun",      "Jul",      "Aug",    "Sep",  "Oct",
        "Nov",     "Dec",       "January",  "February", "March",    "April",  "June", "July",
        "August",  "September", "October",  "November", "December", "AM",     "PM"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strlen(names[i]) == len && strncasecmp(names[i], word, len) == 0)
            return true;
    return false;
}

/* 20:14:05, +0100, 10.1.1.1, 7; b12mb123; <17.42@store>; 2026-10-04T20:14:05.1Z, ::ffff:10.1.1.1; but not v7.2 or
 * mss1.example, which have letters and a point. */
static bool is_passing(const char *word, size_t len)
{
    bool letter = false, digit = false, point = false;
    unsigned colons = 0;
    for (size_t i = 0; i < len; i++) {
        letter |= isalpha((unsigned char)word[i]) != 0;
        digit |= isdigit((unsigned char)word[i]) != 0;
        point |= word[i] == '.' && i > 0 && i + 1 < len;
        colons += word[i] == ':';
    }
    return word[0] == '<' || is_calendar_word(word, len) || (digit && (!letter || !point || colons > 1));
}

/* BST after +0100: half a year later it is GMT (UW-IMAP). */
static bool is_time_zone(const char *word, size_t len, bool after_offset)
{
    size_t capitals = 0;
    while (capitals < len && isupper((unsigned char)word[capitals]))
        capitals++;
    return after_offset && len <= 5 && capitals == len;
}

static bool is_offset(const char *word, size_t len)
{
    return len == 5 && (word[0] == '+' || word[0] == '-') && strspn(word + 1, "0123456789") >= 4;
}

static void add(char text[ACCESS_FINGERPRINT_BYTES], const char *word, size_t len)
{
    size_t used = strlen(text);
    if (used + len + 2 < ACCESS_FINGERPRINT_BYTES)
        snprintf(text + used, ACCESS_FINGERPRINT_BYTES - used, "%s%.*s", used ? " " : "", (int)len, word);
}

static void add_key(char text[ACCESS_FINGERPRINT_BYTES], const uint8_t *key)
{
    char hex[DIGEST_HEX_BYTES], word[48];
    if (!key)
        return;
    snprintf(word, sizeof(word), "key %.16s", digest_hex(key, hex));
    add(text, word, strlen(word));
}

/* A setting, not an identity. */
static const char *skip_capabilities(const char *words)
{
    static const char code[] = "[CAPABILITY ";
    const char *end = strncasecmp(words, code, sizeof(code) - 1) == 0 ? strchr(words, ']') : NULL;
    return end ? end + 1 : words;
}

void access_fingerprint(const char *server_words, const uint8_t *key, char text[ACCESS_FINGERPRINT_BYTES],
                        uint8_t digest_out[DIGEST_BYTES])
{
    static const char separators[] = " \t()[]\",;";
    struct digest_pair pair;
    bool after_offset = false;
    text[0] = '\0';
    for (const char *at = skip_capabilities(server_words); *at;) {
        size_t len = strcspn(at, separators);
        if (len > 0 && !is_passing(at, len) && !is_time_zone(at, len, after_offset))
            add(text, at, len);
        if (len > 0)
            after_offset = is_offset(at, len);
        at += len > 0 ? len : 1;
    }
    add_key(text, key);
    digest_of(text, strlen(text), &pair);
    memcpy(digest_out, pair.raw, DIGEST_BYTES);
}
