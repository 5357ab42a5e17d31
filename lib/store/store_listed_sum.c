/*
 * Sums of listings; see store_listed_sum.h. The text that is hashed is made twice, here and in SQL: a unit test compares both.
 */
#include "store/store_listed_sum.h"

#include "base/err.h"
#include "store/store_directory_tx.h"
#include "store/store_query.h"

#include <openssl/evp.h>
#include <string.h>

enum { TEXTS = 5, ROW_BYTES = sizeof(struct store_listed) };

static uint64_t read_bits(const uint8_t *bytes)
{
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | bytes[i];
    return bits;
}

void store_listed_sum_add(struct store_listed_sum *sum, const struct store_listed *row)
{
    const char *texts[TEXTS] = {row->dn, row->number, row->identity, row->cos, row->name};
    uint8_t bytes[ROW_BYTES], hash[32];
    size_t len = 0;
    for (size_t i = 0; i < TEXTS; i++) {
        size_t more = strlen(texts[i]) + 1; /* with its NUL */
        memcpy(bytes + len, texts[i], more);
        len += more;
    }
    if (row->has_digest) {
        memcpy(bytes + len, row->digest, sizeof(row->digest));
        len += sizeof(row->digest);
    }
    ASSERT(EVP_Digest(bytes, len, hash, NULL, EVP_sha256(), NULL) == 1);
    sum->count++;
    sum->bits[0] ^= read_bits(hash);
    sum->bits[1] ^= read_bits(hash + 8);
}

void store_listed_sum_join(struct store_listed_sum *sum, const struct store_listed_sum *other)
{
    sum->count += other->count;
    sum->bits[0] ^= other->bits[0];
    sum->bits[1] ^= other->bits[1];
}

bool store_listed_sum_is(const struct store_listed_sum *sum, const struct store_listed_sum *other)
{
    return memcmp(sum, other, sizeof(*sum)) == 0;
}

#define ROW_HASH                                                                                             \
    "SHA2(CONCAT(dn, '\\0', number, '\\0', identity, '\\0', cos, '\\0', name, '\\0', COALESCE(digest, "      \
    "'')), 256)"
#define BITS(first) "BIT_XOR(CAST(CONV(SUBSTR(" ROW_HASH ", " #first ", 16), 16, 10) AS UNSIGNED))"

int store_listed_sum_read(struct store *store, uint32_t route_id, enum store_kind kind,
                          enum store_listed_side side, struct store_listed_sum *sum_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT COUNT(*), " BITS(1) ", " BITS(17) " FROM listed WHERE route_id = ? AND side = ? AND "
                                                  "kind = ?",
        bind_u64(route_id), bind_text(store_directory_tx_side(side)),
        bind_text(store_directory_tx_kind(kind)));
    *sum_out = (struct store_listed_sum){0};
    if (query && store_query_next(query)) {
        sum_out->count = store_query_u64(query);
        sum_out->bits[0] = store_query_u64(query);
        sum_out->bits[1] = store_query_u64(query);
    }
    return store_query_end(query, err);
}

/* The indexes are named, as in all that is done for a whole directory: see store_listed.c. */
#define IS_AS_LISTED                                                                                         \
    "e.state = 'equal' AND NOT e.todo AND e.gone_at IS NULL AND e.proven_at IS NOT NULL AND l.digest = "     \
    "e.settled_source AND t.digest = "                                                                       \
    "e.settled_target AND (e.number, e.name, e.cos, e.source_dn) = (l.number, l.name, l.cos, l.dn)"

int store_listed_is_settled(struct store *store, uint32_t route_id, enum store_kind kind, bool *settled_out,
                            struct err *err)
{
    const char *word = store_directory_tx_kind(kind);
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT COUNT(*) > 0 AND COUNT(*) = SUM(COALESCE(" IS_AS_LISTED
        ", 0)) AND COUNT(*) = (SELECT COUNT(*) FROM listed p WHERE p.route_id = ? AND p.side = 'production' "
        "AND p.kind = ?) AND NOT EXISTS (SELECT 1 FROM directory_trouble w WHERE w.route_id = ? AND w.kind = "
        "?) FROM entry e LEFT JOIN listed l FORCE INDEX (identity) ON l.route_id = e.route_id AND l.side = "
        "'production' AND l.kind = e.kind AND l.identity = e.identity LEFT JOIN listed t FORCE INDEX "
        "(PRIMARY) ON t.route_id = e.route_id AND t.side = 'target' AND t.kind = e.kind AND t.dn = "
        "e.target_dn WHERE e.route_id = ? AND e.kind = ?",
        bind_u64(route_id), bind_text(word), bind_u64(route_id), bind_text(word), bind_u64(route_id),
        bind_text(word));
    *settled_out = query && store_query_next(query) && store_query_bool(query);
    return store_query_end(query, err);
}
