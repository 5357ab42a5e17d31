/*
 * The digest of a folder's flags from FETCH answers that may come in any order, twice, or unasked. Pure; the same value
 * as the copier stores (imap_flags_digest_*, ascending UIDs).
 */
#ifndef MIRROR_SCANNER_SCAN_DIGEST_H
#define MIRROR_SCANNER_SCAN_DIGEST_H

#include "imap/imap_flags.h"

struct scan_digest {
    struct scan_digest_item *items;
    size_t count, size;
    uint32_t last_uid; /* highest seen */
    bool is_over;      /* more messages than anybody believes: no digest */
};

void scan_digest_add(struct scan_digest *digest, uint32_t uid, const struct imap_flags *flags);
/* -1 if is_over. */
int scan_digest_end(struct scan_digest *digest, uint8_t out[DIGEST_BYTES]);
void scan_digest_fini(struct scan_digest *digest);

#endif
