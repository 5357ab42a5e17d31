/*
 * How a site is recognised (I6): by what its greeting and ID say, and by the key of its certificate. Pure.
 */
#ifndef MIRROR_ACCESS_ACCESS_FINGERPRINT_H
#define MIRROR_ACCESS_ACCESS_FINGERPRINT_H

#include "base/digest.h"

#include <stddef.h>

enum { ACCESS_FINGERPRINT_BYTES = 800 };

/* What of a server's words does not change from one connection to the next, of its key the first bytes in hex: clock times,
 * dates, addresses, numbers and session identifiers are left out, names and versions with letters stay. `key` NULL: no TLS.
 * Writes the text for people, and its digest. */
void access_fingerprint(const char *server_words, const uint8_t *key, char text[ACCESS_FINGERPRINT_BYTES],
                        uint8_t digest_out[DIGEST_BYTES]);

#endif
