/*
 * Folder names: modified UTF-7 (RFC 3501 section 5.1.3), delimiters, and the neutral form that the store uses:
 * UTF-8, levels separated by '/', a '/' or '%' inside a level written "%2F" "%25". INBOX in any case is "INBOX".
 * A wire name that is no valid modified UTF-7 (8-bit, bad shift) is kept byte for byte as "%XX" escapes, so that
 * it still has a neutral name and comes back the same. Pure.
 */
#ifndef MIRROR_IMAP_NAMES_H
#define MIRROR_IMAP_NAMES_H

#include <stddef.h>

enum { IMAP_NAME_MAX_BYTES = 1000 };

/* Neutral name from a wire name; `delimiter` 0 for NIL. NULL if over IMAP_NAME_MAX_BYTES or empty. Caller frees. */
char *imap_names_from_wire(const char *wire, size_t len, char delimiter);

/* Wire name for a server with that delimiter; a delimiter character that stands inside a level is replaced by '_'
 * followed by its two hex digits (and a level that the server could not hold, such as empty, likewise), so that two
 * folders stay two. NULL if too long. Caller frees. */
char *imap_names_to_wire(const char *neutral, char delimiter);

/* "include"/"exclude" patterns: '*' any bytes, '?' one; without case for INBOX only. */
int imap_names_match(const char *pattern, const char *neutral);

#endif
