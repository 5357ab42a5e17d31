/*
 * INTERNALDATE (RFC 3501 section 9, date-time): text and instant. Pure.
 */
#ifndef MIRROR_IMAP_DATE_H
#define MIRROR_IMAP_DATE_H

#include "imap/imap_types.h"

/* " 3-Mar-2026 09:14:05 +0100", liberally read; the text is kept in its strict form, as APPEND wants it. -1 if it is no
 * date. */
int imap_date_parse(const char *text, struct imap_date *date_out);

#endif
