/*
 * The breaker; see the header. Each function that may trip it locks the site's row first, so that two workers that see
 * the same sign make one plan.
 */
#include "store/store_breaker.h"

#include "base/str.h"
#include "store/store_brake.h"
#include "store/store_breaker_sql.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_MINUTES = 60, REASON_BYTES = 800, SIGNS_BYTES = 250, WORDS_BYTES = 200 };

struct tripping {
    const char *site, *reason;
    const char *sign_words; /* tell the reason of a sign from others; NULL: it is of none */
    const struct store_breaker_fingerprint *fingerprint; /* may be NULL */
    enum store_sign sign;
    uint64_t mailbox_id;
    uint32_t site_id, signs;
    bool tripped; /* out: just now */
};

static int lock_site(struct store *store, struct tripping *tripping, struct err *err)
{
    struct store_query *query = STORE_ROWS(store, err, "SELECT site_id FROM site WHERE name = ? FOR UPDATE",
                                           bind_text(tripping->site));
    tripping->tripped = false;
    tripping->site_id = query && store_query_next(query) ? store_query_u32(query) : 0;
    if (store_query_end(query, err))
        return -1;
    if (tripping->site_id)
        return 0;
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "store: site '%s' is not recorded", tripping->site);
}

int store_breaker_is_tripped(struct store *store, const char *site, bool *tripped_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT EXISTS (SELECT 1 FROM plan WHERE site_id = (SELECT site_id FROM site WHERE name = ?) "
        "AND " STORE_BREAKER_TRIPPED ")",
        bind_text(site));
    *tripped_out = query && store_query_next(query) && store_query_bool(query);
    return store_query_end(query, err);
}

struct open_plan {
    uint64_t plan_id; /* 0: there is none */
    bool same_face;   /* made for the fingerprint that is met again */
    char reason[REASON_BYTES + 1];
};

static int find_open(struct store *store, const struct tripping *tripping, struct open_plan *plan_out,
                     struct err *err)
{
    const struct store_breaker_fingerprint *fingerprint = tripping->fingerprint;
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT plan_id, COALESCE(fingerprint = ?, 0), reason FROM plan WHERE site_id = ? "
                   "AND " STORE_BREAKER_TRIPPED " LIMIT 1",
                   bind_bytes_if(fingerprint != NULL, fingerprint ? fingerprint->digest : NULL, DIGEST_BYTES),
                   bind_u64(tripping->site_id));
    *plan_out = (struct open_plan){0};
    if (query && store_query_next(query)) {
        plan_out->plan_id = store_query_u64(query);
        plan_out->same_face = store_query_bool(query);
        str_into(plan_out->reason, sizeof(plan_out->reason), store_query_text(query));
    }
    return store_query_end(query, err);
}

/* ---- one plan, several reasons ---- */

#define AND_THEN "; "
#define AND_MORE AND_THEN "and more like that"

static size_t put(char *reason, size_t used, const char *news)
{
    return used + (size_t)snprintf(reason + used, REASON_BYTES + 1 - used, "%s", news);
}

/* Figures only grow: what a person saw is not taken back. */
static bool update_sign(const struct tripping *tripping, char *reason, char *words)
{
    char *begin = words, rest[REASON_BYTES + 1];
    while (begin > reason && begin[-1] != ';')
        begin--;
    begin += strspn(begin, " ");
    if (strtoul(begin, NULL, 10) >= tripping->signs)
        return false;
    str_into(rest, sizeof(rest), words + strcspn(words, ";"));
    size_t used = (size_t)(begin - reason);
    if (used + strlen(tripping->reason) + strlen(rest) > REASON_BYTES)
        return false;
    put(reason, put(reason, used, tripping->reason), rest);
    return true;
}

/* Whether the reason is another one now. Single mailboxes leave room for what many show. */
static bool add_reason(const struct tripping *tripping, const char *news, char *reason)
{
    size_t used = strlen(reason);
    size_t room = tripping->sign_words ? REASON_BYTES : REASON_BYTES - SIGNS_BYTES;
    char *there = strstr(reason, tripping->sign_words ? tripping->sign_words : news);
    if (there)
        return tripping->sign_words && update_sign(tripping, reason, there);
    if (used + strlen(AND_THEN) + strlen(news) > room) {
        if (strstr(reason, AND_MORE) || used + strlen(AND_MORE) > REASON_BYTES)
            return false;
        put(reason, used, AND_MORE);
        return true;
    }
    put(reason, put(reason, used, AND_THEN), news);
    return true;
}

/* Whoever decides on it decides on this, too, and ought to see it. Its fingerprint stays the first: allowed is what it says
 * there, and whoever else answers trips the breaker again. */
static int add_to_open(struct store *store, const struct tripping *tripping, struct open_plan *plan,
                       struct err *err)
{
    char news[REASON_BYTES], words[WORDS_BYTES];
    if (plan->same_face)
        return 0;
    str_into(words, sizeof(words), tripping->fingerprint ? tripping->fingerprint->words : "");
    snprintf(news, sizeof(news), "%s%s%s", tripping->reason, *words ? ": " : "", words);
    if (!add_reason(tripping, news, plan->reason))
        return 0;
    return STORE_EXEC(store, err, "UPDATE plan SET reason = ? WHERE plan_id = ?",
                      bind_cut(plan->reason, REASON_BYTES), bind_u64(plan->plan_id)) < 0
               ? -1
               : 0;
}

static int trip(struct store *store, struct tripping *tripping, struct err *err)
{
    const struct store_breaker_fingerprint *fingerprint = tripping->fingerprint;
    struct open_plan open;
    if (find_open(store, tripping, &open, err))
        return -1;
    if (open.plan_id)
        return add_to_open(store, tripping, &open, err);
    tripping->tripped = true;
    return STORE_EXEC(
               store, err,
               "INSERT INTO plan (kind, site_id, reason, fingerprint, words, made_at) "
               "VALUES ('site', ?, ?, ?, ?, UTC_TIMESTAMP(6))",
               bind_u64(tripping->site_id), bind_cut(tripping->reason, REASON_BYTES),
               bind_bytes_if(fingerprint != NULL, fingerprint ? fingerprint->digest : NULL, DIGEST_BYTES),
               bind_cut(fingerprint ? fingerprint->words : "", REASON_BYTES)) < 0
               ? -1
               : 0;
}

static int trip_body(struct store *store, void *context, struct err *err)
{
    struct tripping *tripping = context;
    return lock_site(store, tripping, err) || trip(store, tripping, err) ? -1 : 0;
}

static int run(struct store *store, store_tx_body *body, struct tripping *tripping, bool *tripped_out,
               struct err *err)
{
    int result = store_tx_run(store, body, tripping, err);
    *tripped_out = result == 0 && tripping->tripped;
    return result;
}

int store_breaker_trip(struct store *store, const char *site, const char *reason, bool *tripped_out,
                       struct err *err)
{
    struct tripping tripping = {.site = site, .reason = reason};
    return run(store, trip_body, &tripping, tripped_out, err);
}

/* ---- signs ---- */

static const char *sign_word(enum store_sign sign)
{
    return sign == STORE_SIGN_UIDVALIDITY ? "uidvalidity" : "lists_nothing";
}

static int count_signs(struct store *store, const struct tripping *tripping, uint32_t *signs_out,
                       uint32_t *mailboxes_out, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT (SELECT COUNT(*) FROM sign WHERE site_id = ? AND kind = ? AND seen_at > "
                   "UTC_TIMESTAMP(6) - INTERVAL ? MINUTE), (SELECT COUNT(*) FROM look WHERE site_id = ?)",
                   bind_u64(tripping->site_id), bind_text(sign_word(tripping->sign)),
                   bind_u64(WINDOW_MINUTES), bind_u64(tripping->site_id));
    bool there = query && store_query_next(query);
    *signs_out = there ? store_query_u32(query) : 0;
    *mailboxes_out = there ? store_query_u32(query) : 0;
    return store_query_end(query, err);
}

static int sign_body(struct store *store, void *context, struct err *err)
{
    struct tripping *tripping = context;
    char reason[REASON_BYTES];
    uint32_t mailboxes;
    if (lock_site(store, tripping, err) ||
        STORE_EXEC(
            store, err,
            "REPLACE INTO sign (site_id, kind, mailbox_id, seen_at) VALUES (?, ?, ?, UTC_TIMESTAMP(6))",
            bind_u64(tripping->site_id), bind_text(sign_word(tripping->sign)),
            bind_u64(tripping->mailbox_id)) < 0 ||
        count_signs(store, tripping, &tripping->signs, &mailboxes, err))
        return -1;
    if (!store_brake_are_many(tripping->signs, mailboxes))
        return 0;
    tripping->sign_words = tripping->sign == STORE_SIGN_UIDVALIDITY
                               ? "had their folders made anew (UIDVALIDITY changed)"
                               : "suddenly showed nothing";
    snprintf(reason, sizeof(reason), "%u of %u mailboxes %s within %d minutes", tripping->signs, mailboxes,
             tripping->sign_words, WINDOW_MINUTES);
    tripping->reason = reason;
    return trip(store, tripping, err);
}

int store_breaker_sign(struct store *store, const char *site, enum store_sign sign, uint64_t mailbox_id,
                       bool *tripped_out, struct err *err)
{
    struct tripping tripping = {.site = site, .sign = sign, .mailbox_id = mailbox_id};
    return run(store, sign_body, &tripping, tripped_out, err);
}

/* ---- the end ---- */

/* 10,000 mirrors are spread over five minutes, few come at once. */
int store_breaker_release(struct store *store, uint32_t site_id, struct err *err)
{
    return STORE_EXEC(
               store, err,
               "UPDATE mirror m JOIN route r ON r.route_id = m.route_id, (SELECT COUNT(*) AS mirrors FROM "
               "mirror n JOIN route o ON o.route_id = n.route_id WHERE o.from_site_id = ? AND "
               "n.gone_messages + n.held_messages + n.withheld_messages + n.gone_folders > 0) c SET "
               "m.deletion_due_at = "
               "UTC_TIMESTAMP(6) + "
               "INTERVAL FLOOR(RAND() * LEAST(c.mirrors * 30000, 300000000)) MICROSECOND "
               "WHERE r.from_site_id = ? AND m.gone_messages + m.held_messages + m.withheld_messages + "
               "m.gone_folders > 0",
               bind_u64(site_id), bind_u64(site_id)) < 0
               ? -1
               : 0;
}

/* ---- fingerprints ---- */

static int find_known(struct store *store, const struct tripping *tripping, bool *any_out, bool *known_out,
                      struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT COUNT(*), COALESCE(SUM(fingerprint = ?), 0) FROM site_fingerprint WHERE site_id = ?",
        bind_bytes(tripping->fingerprint->digest, DIGEST_BYTES), bind_u64(tripping->site_id));
    bool there = query && store_query_next(query);
    *any_out = there && store_query_u64(query) > 0;
    *known_out = there && store_query_u64(query) > 0;
    return store_query_end(query, err);
}

static int learn(struct store *store, const struct tripping *tripping, struct err *err)
{
    return STORE_EXEC(store, err,
                      "INSERT INTO site_fingerprint (site_id, fingerprint, words, accepted_at) "
                      "VALUES (?, ?, ?, UTC_TIMESTAMP(6))",
                      bind_u64(tripping->site_id), bind_bytes(tripping->fingerprint->digest, DIGEST_BYTES),
                      bind_cut(tripping->fingerprint->words, REASON_BYTES)) < 0
               ? -1
               : 0;
}

/* A person refused the stranger, and now the one that is known answers. */
static int end_refused(struct store *store, const struct tripping *tripping, struct err *err)
{
    int64_t ended =
        STORE_EXEC(store, err,
                   "UPDATE plan SET state = 'dissolved', ended_at = UTC_TIMESTAMP(6) WHERE site_id = ? AND "
                   "kind = 'site' AND state = 'refused' AND fingerprint IS NOT NULL",
                   bind_u64(tripping->site_id));
    return ended <= 0 ? (int)ended : store_breaker_release(store, tripping->site_id, err);
}

static int meet_body(struct store *store, void *context, struct err *err)
{
    struct tripping *tripping = context;
    bool any, known;
    if (lock_site(store, tripping, err) || find_known(store, tripping, &any, &known, err))
        return -1;
    if (known)
        return end_refused(store, tripping, err);
    return any ? trip(store, tripping, err) : learn(store, tripping, err);
}

/* Nearly every login: no lock, no transaction. */
static int is_all_well(struct store *store, const char *site,
                       const struct store_breaker_fingerprint *fingerprint, bool *well_out, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT NOT EXISTS (SELECT 1 FROM plan p WHERE p.site_id = s.site_id AND p.kind = 'site' AND "
        "p.state = 'refused' AND p.fingerprint IS NOT NULL) FROM site s JOIN site_fingerprint f ON "
        "f.site_id = s.site_id WHERE s.name = ? AND f.fingerprint = ?",
        bind_text(site), bind_bytes(fingerprint->digest, DIGEST_BYTES));
    *well_out = query && store_query_next(query) && store_query_bool(query);
    return store_query_end(query, err);
}

int store_breaker_meet(struct store *store, const char *site,
                       const struct store_breaker_fingerprint *fingerprint, bool *tripped_out,
                       struct err *err)
{
    bool well = false;
    *tripped_out = false;
    if (is_all_well(store, site, fingerprint, &well, err))
        return -1;
    if (well)
        return 0;
    struct tripping tripping = {
        .site = site,
        .fingerprint = fingerprint,
        .reason =
            "another server answers at its address than before (greeting, ID or key of the certificate)"};
    return run(store, meet_body, &tripping, tripped_out, err);
}
