/*
 * Entries that are gone from production, and the brake on their removal; see store_entry.h.
 */
#include "store/store_entry.h"

#include "base/crash.h"
#include "base/str.h"
#include "store/store_breaker_sql.h"
#include "store/store_directory_tx.h"
#include "store/store_entry_brake.h"
#include "store/store_entry_plan.h"
#include "store/store_entry_row.h"
#include "store/store_query.h"

struct judging {
    const struct store_directory_lease *lease;
    struct store_entry_removal *removal;
};

struct figures {
    struct store_entry_brake brake;
    uint32_t undecided; /* of those that go: in no plan, and not removed */
};

/* What a person has yet to decide counts for a day, as does what was removed without his word; what he decided does not. */
static int count(struct store *store, const struct judging *judging, struct figures *figures, struct err *err)
{
    const char *kind = store_directory_tx_kind(judging->removal->kind);
    uint32_t route_id = judging->lease->route_id;
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT COALESCE(SUM(e.gone_at IS NULL), 0), COALESCE(SUM(" STORE_ENTRY_UNDECIDED
        "), 0), COALESCE(SUM(e.state = 'held' AND e.target_dn <> '' AND p.state = 'held' AND p.made_at > "
        "UTC_TIMESTAMP(6) - INTERVAL 1 DAY), 0) + (SELECT COUNT(*) FROM entry_removal r LEFT JOIN entry o "
        "ON o.entry_id = r.entry_id WHERE r.route_id = ? AND r.kind = ? AND o.entry_id IS NULL) FROM entry e "
        "LEFT JOIN plan p ON p.plan_id = e.plan_id WHERE e.route_id = ? AND e.kind = ?",
        bind_u64(route_id), bind_text(kind), bind_u64(route_id), bind_text(kind));
    if (query && store_query_next(query)) {
        figures->brake.present = store_query_u32(query);
        figures->undecided = store_query_u32(query);
        figures->brake.going = figures->undecided + store_query_u32(query);
    }
    return store_query_end(query, err);
}

/* What is gone from both sides is nothing more to be told, and what was removed long ago counts no more. */
static int tidy(struct store *store, const struct judging *judging, struct err *err)
{
    return STORE_EXEC(store, err,
                      "DELETE e, a FROM entry e LEFT JOIN entry_attribute a ON a.entry_id = e.entry_id WHERE "
                      "e.route_id = ? "
                      "AND e.kind = ? AND e.gone_listings >= 2 AND e.target_dn = ''",
                      bind_u64(judging->lease->route_id),
                      bind_text(store_directory_tx_kind(judging->removal->kind))) < 0 ||
                   STORE_EXEC(store, err,
                              "DELETE FROM entry_removal WHERE at < UTC_TIMESTAMP(6) - INTERVAL 1 DAY") < 0
               ? -1
               : 0;
}

static int tell_what_stays(struct store *store, const struct judging *judging, struct err *err)
{
    return STORE_EXEC(
               store, err,
               "UPDATE entry e SET e.reason = 'stays while its mailbox is on hold or handed over; mirrorctl "
               "mailbox remove ends that' WHERE e.route_id = ? AND e.kind = ? AND e.state = 'gone' "
               "AND " STORE_ENTRY_HAS_MESSAGES,
               bind_u64(judging->lease->route_id),
               bind_text(store_directory_tx_kind(judging->removal->kind))) < 0
               ? -1
               : 0;
}

/* All that is gone and undecided, proven or not, is held as one. */
static int judge_body(struct store *store, void *context, struct err *err)
{
    const struct judging *judging = context;
    struct store_entry_removal *removal = judging->removal;
    uint32_t route_id = judging->lease->route_id;
    struct figures figures = {0};
    char reason[STORE_ENTRY_BRAKE_REASON_BYTES];
    const char *noun = removal->kind == STORE_COS ? "COS" : "subscribers";
    if (!removal->dry && (store_entry_plan_settle(store, route_id, removal->kind, err) != 0 ||
                          tidy(store, judging, err) != 0 || tell_what_stays(store, judging, err) != 0))
        return -1;
    if (count(store, judging, &figures, err) != 0)
        return -1;
    removal->holds = store_entry_brake_holds(removal->limits, &figures.brake, noun, reason);
    if (!removal->holds || figures.undecided == 0 || removal->dry)
        return 0;
    return store_entry_plan_hold(store, route_id, removal->kind, reason, err);
}

/* While production may be another (its breaker), nothing is removed, be it allowed or within the limits. */
#define TRIPPED                                                                                              \
    "EXISTS (SELECT 1 FROM plan b JOIN route r ON r.from_site_id = b.site_id WHERE r.route_id = e.route_id " \
    "AND b." STORE_BREAKER_TRIPPED ")"

/* As a round sees it: to be removed, or (dry) held; `?`: what the brake said of what is undecided. */
#define ROW STORE_ENTRY_ROW_WITH("IF(IF(e.state = 'held', p.state = 'held', ?), 'held', 'gone')")
#define ITS_TURN                                                                                             \
    "(e.state = 'gone' OR (e.state = 'held' AND (p.state = 'allowed' OR (? AND p.state = 'held'))))"

int store_entry_removable(struct store *store, const struct store_directory_lease *lease,
                          struct store_entry_removal *removal, uint64_t after_entry_id,
                          struct store_entry *entries_out, uint32_t max, struct err *err)
{
    struct judging judging = {lease, removal};
    if (after_entry_id == 0 &&
        CRASH_AFTER(GONE_JUDGED, store_directory_tx(store, lease, judge_body, &judging, err)) != 0)
        return -1;
    return store_entry_row_read_all(
        STORE_ROWS(
            store, err,
            "SELECT " ROW
            " FROM entry e LEFT JOIN plan p ON p.plan_id = e.plan_id WHERE e.route_id = ? AND e.kind = ? AND "
            "e.entry_id > ? AND e.gone_listings >= 2 AND e.gone_at <= UTC_TIMESTAMP(6) - INTERVAL ? "
            "MICROSECOND AND e.target_dn <> '' AND " ITS_TURN " AND (? OR NOT " TRIPPED ") AND "
            "(e.next_try_at IS NULL OR e.next_try_at <= UTC_TIMESTAMP(6)) AND NOT " STORE_ENTRY_HAS_MESSAGES
            " ORDER BY e.entry_id LIMIT ?",
            bind_bool(removal->holds), bind_u64(lease->route_id),
            bind_text(store_directory_tx_kind(removal->kind)), bind_u64(after_entry_id),
            bind_u64((uint64_t)(removal->limits->delay_seconds * 1e6)), bind_bool(removal->dry),
            bind_bool(removal->dry), bind_u64(max)),
        entries_out, err);
}

struct removing {
    const struct store_directory_lease *lease;
    uint64_t entry_id;
    enum store_entry_removed step;
    const char *words;
};

/* Not counted: what a person allowed, and a former person's entry, whose number is another's on production now (I10). */
static int begin(struct store *store, const struct removing *removing, struct err *err)
{
    return STORE_EXEC(store, err,
                      "INSERT IGNORE INTO entry_removal (entry_id, route_id, kind, at) SELECT e.entry_id, "
                      "e.route_id, e.kind, "
                      "UTC_TIMESTAMP(6) FROM entry e WHERE e.entry_id = ? AND e.state <> 'held' AND NOT "
                      "EXISTS (SELECT 1 FROM "
                      "entry o WHERE "
                      "o.route_id = e.route_id AND o.kind = e.kind AND o.number = e.number AND o.entry_id <> "
                      "e.entry_id AND "
                      "o.gone_at IS NULL)",
                      bind_u64(removing->entry_id)) < 0
               ? -1
               : 0;
}

static int end(struct store *store, const struct removing *removing, struct err *err)
{
    return STORE_EXEC(store, err,
                      "DELETE e, a, l FROM entry e LEFT JOIN entry_attribute a ON a.entry_id = e.entry_id "
                      "LEFT JOIN listed l "
                      "ON l.route_id = e.route_id AND l.side = 'target' AND l.kind = e.kind AND l.dn = "
                      "e.target_dn WHERE "
                      "e.entry_id = ?",
                      bind_u64(removing->entry_id)) < 0
               ? -1
               : 0;
}

static int reconsider(struct store *store, const struct removing *removing, struct err *err)
{
    return STORE_EXEC(
               store, err,
               "UPDATE entry SET gone_at = NULL, gone_listings = 0, state = 'unproven', plan_id = NULL, "
               "todo = 1 WHERE entry_id = ?",
               bind_u64(removing->entry_id)) < 0
               ? -1
               : 0;
}

static int keep(struct store *store, const struct removing *removing, struct err *err)
{
    return STORE_EXEC(store, err, "UPDATE entry SET state = 'kept', reason = ? WHERE entry_id = ?",
                      bind_cut(removing->words, 800), bind_u64(removing->entry_id)) < 0
               ? -1
               : 0;
}

static int put_off(struct store *store, const struct removing *removing, struct err *err)
{
    return STORE_EXEC(store, err,
                      "UPDATE entry SET reason = ?, next_try_at = UTC_TIMESTAMP(6) + INTERVAL 10 MINUTE "
                      "WHERE entry_id = ?",
                      bind_cut(removing->words, 800), bind_u64(removing->entry_id)) < 0
               ? -1
               : 0;
}

static int remove_body(struct store *store, void *context, struct err *err)
{
    const struct removing *removing = context;
    const struct {
        const char *outcome; /* in its plan, if it is in one; NULL: open still */
        int (*record)(struct store *store, const struct removing *removing, struct err *err);
    } steps[] = {[STORE_ENTRY_BEGIN] = {NULL, begin},
                 [STORE_ENTRY_REMOVED] = {"removed", end},
                 [STORE_ENTRY_NOT_GONE] = {"back", reconsider},
                 [STORE_ENTRY_NOT_REMOVED] = {NULL, put_off},
                 [STORE_ENTRY_NEVER] = {"kept", keep}};
    const char *outcome = steps[removing->step].outcome;
    if (outcome && store_entry_plan_outcome(store, removing->entry_id, outcome, err) != 0)
        return -1;
    return steps[removing->step].record(store, removing, err);
}

int store_entry_remove(struct store *store, const struct store_directory_lease *lease, uint64_t entry_id,
                       enum store_entry_removed step, const char *words, struct err *err)
{
    struct removing removing = {lease, entry_id, step, words};
    return store_directory_tx(store, lease, remove_body, &removing, err);
}
