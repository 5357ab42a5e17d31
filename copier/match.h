/*
 * Which message of one side is which of the other: candidates by INTERNALDATE and digest of the header (line ends
 * normalised), confirmed by the caller, each used once, so that two equal messages stay two (a multiset). Used to
 * settle intents, to adopt, to identify again after UIDVALIDITY changed and to find ghosts. Pure but for `confirm`.
 */
#ifndef MIRROR_COPIER_MATCH_H
#define MIRROR_COPIER_MATCH_H

#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct match_key {
    int64_t internal_date;
    uint64_t size_bytes;
    bool has_header; /* without: size_bytes stands in its place */
    uint8_t header_sha256[DIGEST_BYTES];
};

enum { MATCH_NONE = -1 };

/* Are left i and right j the same message? 0 and *equal_out, or -1. */
typedef int (*match_confirm)(void *context, size_t left, size_t right, bool *equal_out, struct err *err);

/* partner_out[i] (left_count of them) becomes the index on the right, or MATCH_NONE. Without `confirm` equal keys are
 * enough. */
int match_run(const struct match_key *left, size_t left_count, const struct match_key *right,
              size_t right_count, match_confirm confirm, void *context, long *partner_out, struct err *err);

/* The same, and then those left over once more without their dates: some servers keep dates of their own. `confirm` is
 * needed all the more. */
int match_run_any_date(const struct match_key *left, size_t left_count, const struct match_key *right,
                       size_t right_count, match_confirm confirm, void *context, long *partner_out,
                       struct err *err);

#endif
