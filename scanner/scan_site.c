/*
 * See the header. Runs in the scanner, one for each site that a route starts from.
 *
 *   NEW -> ANSWERS <-> FULL      (no session or login was free for long)
 *    \________|_______/
 *          FAILS                 (cannot be entered at all: one look at a time, with a growing delay)
 *
 * One log line for each change of state, however many mailboxes it concerns.
 */
#include "scanner/scan_site.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "scanner/scan_kept.h"
#include "scanner/scan_look.h"
#include "scanner/scan_pace.h"
#include "store/store_look.h"

#include <stdlib.h>

enum {
    LOOK_LEASE_SECONDS = 120, /* more than a look may last (scan_look.c), less than anybody would miss it */
    CLAIM_IDLE_MS = 500,
    COUNT_EVERY_MS = 60 * 1000,
    KEPT_IDLE_MS = 30 * 60 * 1000, /* servers log out then, too (RFC 3501 section 5.4) */
    TIDY_EVERY_MS = 5 * 1000,
    WAITING_ROUND_MS = 20,
    RUNNING_ROUND_MS = 250,
};

static const double RETURN_FULL_SECONDS = 2;

#define SITE_STATES(X) X(NEW) X(ANSWERS) X(FULL) X(FAILS)

enum site_state {
#define SITE_STATE_ENUM(id) SITE_##id,
    SITE_STATES(SITE_STATE_ENUM)
#undef SITE_STATE_ENUM
};

struct scan_site {
    struct scan_base *base;
    const struct config_site *site;
    enum site_state state;
    uint32_t fail_count;
    bool just_failed;
    int64_t failing_since_ms, retry_at_ms;

    struct scan_look **looks;
    size_t look_count, look_max;
    struct scan_kept *kept;
    int64_t claim_at_ms, count_at_ms, tidy_at_ms;

    uint32_t mailboxes;
    bool counted, misses_target;
    struct scan_pace pace;
    uint64_t looks_done, looks_failed, looks_returned;
};

/* ---- state ---- */

static void enter(struct scan_site *site, enum site_state state, const struct err *why)
{
    enum site_state before = site->state;
    int64_t now_ms = clock_boot_ms();

    if (before == state)
        return;
    site->state = state;
    if (state == SITE_FAILS) {
        site->failing_since_ms = now_ms;
        log_warning("site cannot be looked at", LOG_STR("site", site->site->name),
                    LOG_STR("error", why->text));
    } else if (state == SITE_FULL) {
        log_warning("no session or login is free for looks", LOG_STR("site", site->site->name),
                    LOG_UINT("max_sessions", site->site->imap.max_sessions),
                    LOG_NUM("max_logins_per_second", site->site->imap.max_logins_per_second));
    } else if (before == SITE_FAILS) {
        log_info("site can be looked at again", LOG_STR("site", site->site->name),
                 LOG_INT("after_seconds", (now_ms - site->failing_since_ms) / 1000));
    } else if (before == SITE_FULL) {
        log_info("sessions are free for looks again", LOG_STR("site", site->site->name));
    }
}

static void site_answers(struct scan_site *site)
{
    site->fail_count = 0;
    enter(site, SITE_ANSWERS, NULL);
}

static void site_fails(struct scan_site *site, const struct err *why)
{
    double delay;

    /* Others that were on their way fail with the first: that is one failure. */
    if (site->state == SITE_FAILS && clock_left_ms(site->retry_at_ms) > 0)
        return;
    site->just_failed = true;
    site->fail_count++;
    delay = scan_pace_site_delay_seconds(site->fail_count, scan_base_chance(site->base));
    site->retry_at_ms = clock_boot_ms() + (int64_t)(delay * 1000);
    enter(site, SITE_FAILS, why);
}

/* ---- the plan ---- */

static double strictest_target_seconds(const struct scan_site *site)
{
    const struct config *config = site->base->config;
    double strictest = 0;

    for (size_t i = 0; i < config->route_count; i++) {
        double seconds = config->routes[i].target_lag_minutes * 60;

        if (config->routes[i].from_site == site->site && (strictest <= 0 || seconds < strictest))
            strictest = seconds;
    }
    return strictest;
}

static uint32_t scanners(const struct scan_site *site)
{
    return site->base->config->workers.scanner > 0 ? site->base->config->workers.scanner : 1;
}

static uint32_t kept_wished(const struct scan_site *site)
{
    return scan_pace_kept(site->site->imap.max_sessions, scanners(site),
                          site->base->config->scan.kept_sessions);
}

static void say_plan(struct scan_site *site, double target_seconds)
{
    log_info("looks planned", LOG_STR("site", site->site->name), LOG_UINT("mailboxes", site->mailboxes),
             LOG_NUM("reachable_seconds", site->pace.reachable_seconds),
             LOG_NUM("interval_seconds", site->pace.quiet_seconds),
             LOG_NUM("interval_if_changed_lately_seconds", site->pace.busy_seconds));
    if (site->pace.misses_target && !site->misses_target)
        log_warning(
            "looks are too seldom for the target lag: raise imap.max_logins_per_second or target_lag_minutes",
            LOG_STR("site", site->site->name), LOG_NUM("interval_seconds", site->pace.quiet_seconds),
            LOG_NUM("target_lag_seconds", target_seconds));
    site->misses_target = site->pace.misses_target;
}

static int plan(struct scan_site *site)
{
    const struct config *config = site->base->config;
    struct scan_pace_input input = {
        .kept_sessions = kept_wished(site) * scanners(site),
        .max_logins_per_second = site->site->imap.max_logins_per_second,
        .look_interval_seconds = config->scan.look_interval_seconds,
        .target_lag_seconds = strictest_target_seconds(site),
    };
    struct err err = {0};

    if (clock_boot_ms() < site->count_at_ms)
        return 0;
    if (store_look_count(site->base->store, site->site->name, &input.mailboxes, &err) != 0)
        return scan_base_store_failed(site->base, &err);
    site->count_at_ms = clock_boot_ms() + COUNT_EVERY_MS;
    if (site->counted && input.mailboxes == site->mailboxes)
        return 0;
    site->counted = true;
    site->mailboxes = input.mailboxes;
    scan_pace_plan(&input, &site->pace);
    say_plan(site, input.target_lag_seconds);
    return 0;
}

/* ---- how a look ended ---- */

static int put_back(struct scan_site *site, const struct scan_look *look, double seconds)
{
    struct err err = {0};

    site->looks_returned++;
    if (store_look_return(site->base->store, site->base->owner, scan_look_row(look), seconds, &err) != 0)
        return scan_base_store_failed(site->base, &err);
    return 0;
}

/* A folder that cannot be looked at does not hold up the rest of its mailbox. */
static double next_seconds(struct scan_site *site, const struct scan_look *look, bool failed)
{
    const struct store_look *row = scan_look_row(look);
    double chance = scan_base_chance(site->base);

    if (failed && scan_look_error(look)->scope > ERR_FOLDER)
        return scan_pace_mailbox_delay_seconds(row->fail_count + 1, chance);
    return scan_pace_next_seconds(&site->pace, scan_look_has_changed(look) ? 0 : row->seconds_since_change,
                                  chance);
}

static int finish(struct scan_site *site, struct scan_look *look, bool failed)
{
    const struct store_look *row = scan_look_row(look);
    struct store_look_result result = {
        .look = row,
        .failed = failed,
        .changed = scan_look_has_changed(look),
        .full_look_done = scan_look_was_full(look),
        .next_seconds = next_seconds(site, look, failed),
        .full_look_seconds = site->base->config->scan.full_look_minutes * 60,
        .error = failed ? scan_look_error(look) : NULL,
    };
    struct err err = {0};

    site->looks_done++;
    if (failed) {
        site->looks_failed++;
        if (row->fail_count == 0)
            log_warning("mailbox cannot be looked at", LOG_STR("site", row->site),
                        LOG_STR("mailbox", row->mailbox), LOG_STR("error", result.error->text),
                        LOG_NUM("next_try_seconds", result.next_seconds));
    } else if (row->fail_count > 0) {
        log_info("mailbox can be looked at again", LOG_STR("site", row->site),
                 LOG_STR("mailbox", row->mailbox));
    }
    if (store_look_finish(site->base->store, site->base->owner, &result, &err) != 0)
        return scan_base_store_failed(site->base, &err);
    return 0;
}

static void keep_session(struct scan_site *site, struct scan_look *look)
{
    const struct store_look *row = scan_look_row(look);

    scan_kept_give(site->kept, row->mailbox, scan_look_has_changed(look) ? 0 : row->seconds_since_change,
                   scan_look_take_session(look));
}

static void end_look(struct scan_site *site, struct scan_look *look, enum scan_look_end end)
{
    if (end == SCAN_LOOK_DONE || end == SCAN_LOOK_FAILED) {
        site_answers(site);
        finish(site, look, end == SCAN_LOOK_FAILED);
        /* The session itself may be what failed: a server's process whose mailbox was exchanged under it. */
        if (end == SCAN_LOOK_DONE)
            keep_session(site, look);
    } else if (end == SCAN_LOOK_SITE_FAILED) {
        site_fails(site, scan_look_error(look));
        put_back(site, look, (double)clock_left_ms(site->retry_at_ms) / 1000);
    } else if (end == SCAN_LOOK_NO_SESSION) {
        enter(site, SITE_FULL, NULL);
        put_back(site, look, RETURN_FULL_SECONDS);
    }
}

static void remove_look(struct scan_site *site, size_t index)
{
    scan_look_free(site->looks[index]);
    site->looks[index] = site->looks[--site->look_count];
}

static void poll_looks(struct scan_site *site)
{
    for (size_t i = site->look_count; i > 0 && !site->base->store_failed; i--) {
        enum scan_look_end end = scan_look_poll(site->looks[i - 1]);

        if (end == SCAN_LOOK_RUNNING)
            continue;
        end_look(site, site->looks[i - 1], end);
        remove_look(site, i - 1);
    }
}

/* Those that hold nothing yet. */
static void return_waiting(struct scan_site *site, double seconds)
{
    for (size_t i = site->look_count; i > 0 && !site->base->store_failed; i--) {
        if (!scan_look_is_waiting(site->looks[i - 1]))
            continue;
        put_back(site, site->looks[i - 1], seconds);
        remove_look(site, i - 1);
    }
}

/* ---- claiming ---- */

static bool is_in_hand(const struct scan_site *site, const struct store_look *row)
{
    for (size_t i = 0; i < site->look_count; i++) {
        if (scan_look_row(site->looks[i])->mailbox_id == row->mailbox_id)
            return true;
    }
    return false;
}

static void begin_look(struct scan_site *site, const struct store_look *row)
{
    struct access_session *session;

    /* Only if a look outlived its own lease. */
    if (is_in_hand(site, row))
        return;
    session = scan_kept_take(site->kept, row->mailbox);
    site->looks[site->look_count++] = scan_look_new(site->base, site->site, row, &session);
}

static size_t room(const struct scan_site *site)
{
    size_t most = site->state == SITE_FAILS || site->state == SITE_NEW ? 1 : site->look_max;

    return site->look_count < most ? most - site->look_count : 0;
}

/* true: there are new ones. */
static bool claim(struct scan_site *site)
{
    struct store_look *rows;
    struct err err = {0};
    size_t free_places = room(site);
    int64_t now_ms = clock_boot_ms();
    int count;

    if (free_places == 0 || now_ms < site->claim_at_ms ||
        (site->state == SITE_FAILS && now_ms < site->retry_at_ms))
        return false;
    rows = mem_new(free_places * sizeof(*rows));
    count = store_look_claim(site->base->store, site->base->owner, site->site->name, LOOK_LEASE_SECONDS, rows,
                             (uint32_t)free_places, &err);
    if (count < 0)
        scan_base_store_failed(site->base, &err);
    for (int i = 0; i < count; i++)
        begin_look(site, &rows[i]);
    if (count >= 0 && (size_t)count < free_places)
        site->claim_at_ms = now_ms + CLAIM_IDLE_MS;
    free(rows);
    return count > 0;
}

/* ---- the whole ---- */

static int wish_ms(const struct scan_site *site)
{
    int wish = RUNNING_ROUND_MS;

    for (size_t i = 0; i < site->look_count; i++) {
        if (scan_look_is_waiting(site->looks[i]))
            return WAITING_ROUND_MS;
    }
    if (room(site) > 0 && clock_left_ms(site->claim_at_ms) < wish)
        wish = clock_left_ms(site->claim_at_ms);
    if (site->state == SITE_FAILS && wish < WAITING_ROUND_MS)
        wish = WAITING_ROUND_MS;
    return wish;
}

int scan_site_step(struct scan_site *site)
{
    if (plan(site) != 0)
        return RUNNING_ROUND_MS;
    poll_looks(site);
    if (site->just_failed) /* the others would each find out for themselves */
        return_waiting(site, (double)clock_left_ms(site->retry_at_ms) / 1000);
    site->just_failed = false;
    if (!site->base->store_failed && claim(site))
        poll_looks(site);
    if (clock_boot_ms() >= site->tidy_at_ms) {
        scan_kept_tidy(site->kept, KEPT_IDLE_MS);
        site->tidy_at_ms = clock_boot_ms() + TIDY_EVERY_MS;
    }
    return wish_ms(site);
}

void scan_site_wake(struct scan_site *site)
{
    site->claim_at_ms = 0;
    site->count_at_ms = 0;
}

bool scan_site_drain(struct scan_site *site)
{
    return_waiting(site, 0);
    poll_looks(site);
    return site->look_count == 0;
}

void scan_site_return_all(struct scan_site *site)
{
    while (site->look_count > 0) {
        if (!site->base->store_failed)
            put_back(site, site->looks[site->look_count - 1], 0);
        remove_look(site, site->look_count - 1);
    }
}

struct scan_site *scan_site_new(struct scan_base *base, const struct config_site *config)
{
    struct scan_site *site = mem_new(sizeof(*site));

    site->base = base;
    site->site = config;
    site->look_max = scan_pace_looks(config->imap.max_sessions, scanners(site));
    site->looks = mem_new(site->look_max * sizeof(*site->looks));
    site->kept = scan_kept_new(kept_wished(site));
    return site;
}

void scan_site_free(struct scan_site *site)
{
    if (site == NULL)
        return;
    while (site->look_count > 0)
        remove_look(site, site->look_count - 1);
    free(site->looks);
    scan_kept_free(site->kept);
    free(site);
}

struct scan_site_figures scan_site_figures(const struct scan_site *site)
{
    return (struct scan_site_figures){
        .looks = site->looks_done,
        .failed = site->looks_failed,
        .returned = site->looks_returned,
        .in_hand = site->look_count,
        .kept = scan_kept_count(site->kept),
    };
}

const char *scan_site_name(const struct scan_site *site)
{
    return site->site->name;
}
