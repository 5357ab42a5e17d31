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
    static const char names[] =
        "mon tue wed thu fri sat sun jan feb mar apr may jun jul aug sep oct nov dec am pm ";
    char key[8];
    if (len > 3)
        return false;
    snprintf(key, sizeof(key), "%.*s ", (int)len, word);
    return strcasestr(names, key) != NULL;
}

/* 20:14:05, +0100, 10.1.1.1, 7; b12mb123; <17.42@store>; but not v7.2 or mss1.example, which have letters and a point. */
static bool is_passing(const char *word, size_t len)
{
    bool letter = false, digit = false, point = false;
    for (size_t i = 0; i < len; i++) {
        letter |= isalpha((unsigned char)word[i]) != 0;
        digit |= isdigit((unsigned char)word[i]) != 0;
        point |= word[i] == '.' && i > 0 && i + 1 < len;
    }
    return word[0] == '<' || is_calendar_word(word, len) || (digit && (!letter || !point));
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
    static const char separators[] = " \t()[]\"";
    struct digest_pair pair;
    text[0] = '\0';
    for (const char *at = skip_capabilities(server_words); *at;) {
        size_t len = strcspn(at, separators);
        if (len > 0 && !is_passing(at, len))
            add(text, at, len);
        at += len > 0 ? len : 1;
    }
    add_key(text, key);
    digest_of(text, strlen(text), &pair);
    memcpy(digest_out, pair.raw, DIGEST_BYTES);
}
