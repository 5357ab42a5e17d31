/*
 * UID sets for commands: ascending UIDs as ranges ("3:7,9"), in pieces that fit a command line. Pure.
 */
#ifndef MIRROR_IMAP_UIDS_H
#define MIRROR_IMAP_UIDS_H

#include <stddef.h>
#include <stdint.h>

enum { IMAP_UIDS_SET_BYTES = 1000 }; /* a line stays far below the 8,192 bytes of RFC 7162 section 4 */

/* Writes as many of `uids` (ascending) as fit into `set`; returns how many (at least 1 if count > 0). */
size_t imap_uids_format(const uint32_t *uids, size_t count, char set[IMAP_UIDS_SET_BYTES]);

/* Growing list of UIDs. */
struct imap_uids {
    uint32_t *items;
    size_t count, size;
};
void imap_uids_add(struct imap_uids *uids, uint32_t uid);
void imap_uids_sort(struct imap_uids *uids); /* ascending, duplicates removed */
void imap_uids_fini(struct imap_uids *uids);
/* In an ascending array. */
int imap_uids_has(const uint32_t *uids, size_t count, uint32_t uid);

#endif
