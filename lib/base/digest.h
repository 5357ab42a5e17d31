/*
 * SHA-256 taken on the way, raw and with line ends normalised (each bare CR or LF and each CRLF counts as CRLF),
 * in one pass. Two copies are "equal" (I3, adoption) when their normalised digests are.
 */
#ifndef MIRROR_BASE_DIGEST_H
#define MIRROR_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_BYTES = 32, DIGEST_HEX_BYTES = 65 };

struct digest_pair {
    uint8_t raw[DIGEST_BYTES];
    uint8_t normal[DIGEST_BYTES];
    uint64_t raw_bytes;    /* length as given */
    uint64_t normal_bytes; /* length after normalising */
};

struct digest;

struct digest *digest_new(void);
void digest_free(struct digest *digest);
void digest_reset(struct digest *digest);
void digest_add(struct digest *digest, const void *bytes, size_t len);
void digest_end(struct digest *digest, struct digest_pair *pair_out); /* then reset before use again */

void digest_of(const void *bytes, size_t len, struct digest_pair *pair_out);
char *digest_hex(const uint8_t digest[DIGEST_BYTES], char text[DIGEST_HEX_BYTES]);

#endif
