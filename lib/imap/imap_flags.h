/*
 * Flags as a value: parse, compare, canonical text, and the digest by which scanner and copier tell whether any flag
 * in a folder changed. Pure.
 */
#ifndef MIRROR_IMAP_FLAGS_H
#define MIRROR_IMAP_FLAGS_H

#include "base/digest.h"
#include "imap/imap_types.h"

void imap_flags_init(struct imap_flags *flags);
void imap_flags_fini(struct imap_flags *flags);
void imap_flags_copy(struct imap_flags *dst,
                     const struct imap_flags *src); /* dst is overwritten (fini'd first) */

/* Adds one flag as on the wire ("\Seen", "$Important"); \Recent and unknown system flags are passed over; keywords
 * over the caps are an error (-1). Keywords compare without case (RFC 3501). */
int imap_flags_add(struct imap_flags *flags, const char *flag, size_t len);
bool imap_flags_has_keyword(const struct imap_flags *flags, const char *keyword);
bool imap_flags_equal(const struct imap_flags *a, const struct imap_flags *b);

/* result = a without b, result = a and b (caller fini's). */
void imap_flags_minus(const struct imap_flags *a, const struct imap_flags *b, struct imap_flags *result);
void imap_flags_common(const struct imap_flags *a, const struct imap_flags *b, struct imap_flags *result);
bool imap_flags_is_empty(const struct imap_flags *flags);

/* Canonical: "\Answered \Seen kw1 kw2" (system flags in a fixed order, keywords sorted), also what stands in the
 * store. The caller frees. imap_flags_parse() reads it back. */
char *imap_flags_format(const struct imap_flags *flags);
int imap_flags_parse(const char *text, struct imap_flags *flags_out);

/* Digest over (uid, canonical flags) of a whole folder, added in ascending UID order. */
struct imap_flags_digest;
struct imap_flags_digest *imap_flags_digest_new(void);
void imap_flags_digest_free(struct imap_flags_digest *digest);
void imap_flags_digest_add(struct imap_flags_digest *digest, uint32_t uid, const struct imap_flags *flags);
void imap_flags_digest_end(struct imap_flags_digest *digest, uint8_t out[DIGEST_BYTES]);

#endif
