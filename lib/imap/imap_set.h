/*
 * UID sets in answers ("4,7:9"): read range by range. (Sets in commands are made by imap_uids.h.) Pure.
 */
#ifndef MIRROR_IMAP_SET_H
#define MIRROR_IMAP_SET_H

#include <stdint.h>

/* Takes the next range off `*text`. 1: `*first_out` <= `*last_out`, neither 0; 0: the end; -1: nonsense. */
int imap_set_next(const char **text, uint32_t *first_out, uint32_t *last_out);

#endif
