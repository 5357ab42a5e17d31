/*
 * Modified UTF-7 (RFC 3501 section 5.1.3), strictly: what would not come back the same is refused. Pure.
 */
#ifndef MIRROR_IMAP_MUTF7_H
#define MIRROR_IMAP_MUTF7_H

#include "base/buf.h"

#include <stddef.h>

/* Adds the UTF-8 of `wire` to `utf8`. -1 (and nothing of use in it) if it is no modified UTF-7, not in its one
 * canonical form, holds control characters, or does not fit. */
int imap_mutf7_decode(const char *wire, size_t len, struct buf *utf8);

/* Adds the modified UTF-7 of valid UTF-8. -1 if it is none, or does not fit. */
int imap_mutf7_encode(const char *utf8, size_t len, struct buf *wire);

#endif
