/*
 * Runs in mirror-scanner: one round after the other, each site's looks and the ventilator in turn, waiting in the
 * reactor. A store that is away is waited for: the looks in hand are dropped (their leases end by themselves), nothing
 * else is lost.
 */
#include "scanner/scanner.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "scanner/scan_base.h"
#include "scanner/scan_site.h"
#include "scanner/scan_ventilator.h"
#include "store/store_look.h"
#include "store/store_mirror.h"
#include "store/store_removal.h"
#include "store/store_site.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    PERIODIC_EVERY_MS = 2000,
    TIDY_EVERY_MS = 60 * 1000,
    SEEN_EVERY_MS = 5000,
    STORE_RETRY_MS = 1000,
    DRAIN_MS = 3000,
    SESSION_SECONDS = 120,
};

struct scanner {
    struct scan_base base;
    struct scan_ventilator *ventilator;
    struct scan_site **sites;
    size_t site_count;
    int64_t periodic_at_ms, tidy_at_ms, seen_at_ms, renew_at_ms, store_retry_at_ms;
    bool store_away;
    char doing[200];
};

/* ---- pulse and the worker's row ---- */

static void describe(struct scanner *scanner)
{
    struct scan_site_figures sum = {0};

    for (size_t i = 0; i < scanner->site_count; i++) {
        struct scan_site_figures one = scan_site_figures(scanner->sites[i]);

        sum.looks += one.looks;
        sum.failed += one.failed;
        sum.in_hand += one.in_hand;
        sum.kept += one.kept;
    }
    snprintf(scanner->doing, sizeof(scanner->doing),
             "%llu looks (%llu failed), %zu in hand, %zu sessions kept", (unsigned long long)sum.looks,
             (unsigned long long)sum.failed, sum.in_hand, sum.kept);
}

static bool on_tick(void *context)
{
    struct scanner *scanner = context;

    describe(scanner);
    daemon_tick(scanner->base.daemon, scanner->store_away ? "waiting for the store" : scanner->doing);
    return true;
}

/* ---- the sites ---- */

static bool is_production(const struct config *config, const struct config_site *site)
{
    for (size_t i = 0; i < config->route_count; i++) {
        if (config->routes[i].from_site == site && site->imap.host != NULL)
            return true;
    }
    return false;
}

static void open_sites(struct scanner *scanner)
{
    const struct config *config = scanner->base.config;

    scanner->sites = mem_new((config->site_count + 1) * sizeof(struct scan_site *));
    for (size_t i = 0; i < config->site_count; i++) {
        if (is_production(config, &config->sites[i]))
            scanner->sites[scanner->site_count++] = scan_site_new(&scanner->base, &config->sites[i]);
    }
}

static void close_sites(struct scanner *scanner)
{
    for (size_t i = 0; i < scanner->site_count; i++)
        scan_site_free(scanner->sites[i]);
    free(scanner->sites);
    scanner->sites = NULL;
    scanner->site_count = 0;
}

static void open_access(struct scanner *scanner)
{
    const struct access_params params = {
        .store = scanner->base.store,
        .reactor = scanner->base.reactor,
        .owner = scanner->base.owner,
        .purpose = "scanner",
        .session_seconds = SESSION_SECONDS,
    };

    scanner->base.access = access_new(&params);
}

/* ---- one round ---- */

static void do_periodic(struct scanner *scanner)
{
    struct scan_base *base = &scanner->base;
    struct err err = {0};
    int64_t now_ms = clock_boot_ms();
    int raised;

    if (now_ms >= scanner->seen_at_ms) {
        scanner->seen_at_ms = now_ms + SEEN_EVERY_MS;
        describe(scanner);
        if (store_worker_seen(base->store, base->owner, "scanner", scanner->doing, &err) != 0)
            scan_base_store_failed(base, &err);
    }
    if (now_ms < scanner->periodic_at_ms || base->store_failed)
        return;
    scanner->periodic_at_ms = now_ms + PERIODIC_EVERY_MS;
    raised = store_mirror_want_periodic(base->store, &err);
    if (raised < 0)
        scan_base_store_failed(base, &err);
    else
        base->raised += (uint64_t)raised;
}

static void tidy(struct scanner *scanner)
{
    struct scan_base *base = &scanner->base;
    struct err err = {0};

    if (clock_boot_ms() < scanner->tidy_at_ms || base->store_failed)
        return;
    scanner->tidy_at_ms = clock_boot_ms() + TIDY_EVERY_MS;
    if (store_removal_tidy(base->store, &err) != 0)
        scan_base_store_failed(base, &err);
}

/* A session whose row was lost fails by itself at its next use; one log line says so. */
static void renew_sessions(struct scanner *scanner)
{
    struct err err = {0};

    if (clock_boot_ms() < scanner->renew_at_ms)
        return;
    scanner->renew_at_ms = clock_boot_ms() + DAEMON_TICK_MS;
    if (access_renew(scanner->base.access, &err) == 0)
        return;
    if (err.scope == ERR_PROCESS)
        scan_base_store_failed(&scanner->base, &err);
    else
        log_warning("session given up", LOG_STR("error", err.text));
}

static int work(struct scanner *scanner)
{
    int wait_ms = DAEMON_TICK_MS;

    if (scan_ventilator_receive(scanner->ventilator)) {
        for (size_t i = 0; i < scanner->site_count; i++)
            scan_site_wake(scanner->sites[i]);
    }
    do_periodic(scanner);
    tidy(scanner);
    renew_sessions(scanner);
    for (size_t i = 0; i < scanner->site_count && !scanner->base.store_failed; i++) {
        int wish_ms = scan_site_step(scanner->sites[i]);

        if (wish_ms < wait_ms)
            wait_ms = wish_ms;
    }
    if (!scanner->base.store_failed)
        scan_ventilator_push(scanner->ventilator);
    access_step(scanner->base.access);
    return wait_ms;
}

static void wait_for_events(struct scanner *scanner, int wait_ms)
{
    struct pollfd fds[SCAN_VENTILATOR_FDS];

    scan_ventilator_fds(scanner->ventilator, fds);
    imap_reactor_run(scanner->base.reactor, fds, SCAN_VENTILATOR_FDS, wait_ms);
}

/* ---- a store that is away ---- */

static void lose_store(struct scanner *scanner)
{
    if (!scanner->store_away)
        log_warning("store is away: looks wait", LOG_STR("error", scanner->base.store_error.text));
    scanner->store_away = true;
    scanner->store_retry_at_ms = clock_boot_ms() + STORE_RETRY_MS;
    /* What was in hand is dropped: claimed looks come again when their leases are over. */
    close_sites(scanner);
}

static void try_store(struct scanner *scanner)
{
    struct err err = {0};

    if (clock_boot_ms() < scanner->store_retry_at_ms)
        return;
    scanner->store_retry_at_ms = clock_boot_ms() + STORE_RETRY_MS;
    if (store_ping(scanner->base.store, &err) != 0)
        return;
    log_info("store answers again");
    scanner->store_away = false;
    scanner->base.store_failed = false;
    open_sites(scanner);
}

int scanner_step(void *state, struct err *err)
{
    struct scanner *scanner = state;
    int wait_ms = DAEMON_TICK_MS;

    (void)err;
    on_tick(scanner);
    if (scanner->store_away)
        try_store(scanner);
    else
        wait_ms = work(scanner);
    if (scanner->base.store_failed && !scanner->store_away)
        lose_store(scanner);
    if (daemon_is_draining(scanner->base.daemon))
        return 0;
    wait_for_events(scanner, wait_ms);
    return 0;
}

/* ---- beginning and end ---- */

int scanner_start(struct daemon *daemon, void **state_out, struct err *err)
{
    struct scanner *scanner = mem_new(sizeof(*scanner));
    struct scan_base *base = &scanner->base;

    *state_out = scanner;
    base->daemon = daemon;
    base->config = daemon_config(daemon);
    base->owner = daemon_owner(daemon);
    if (getrandom(&base->random, sizeof(base->random), 0) < 0)
        base->random = (uint64_t)clock_wall_us();
    base->reactor = imap_reactor_new(on_tick, scanner);
    base->store = store_open(base->config, err);
    if (base->store == NULL || store_check_version(base->store, err) != 0)
        goto failed;
    scanner->ventilator = scan_ventilator_new(base, err);
    /* Its pipes are ours, so whoever had our number before is dead. */
    if (scanner->ventilator == NULL || store_look_inherit(base->store, base->owner, err) != 0 ||
        store_site_inherit(base->store, base->owner, err) != 0)
        goto failed;
    open_access(scanner);
    open_sites(scanner);
    return 0;
failed:
    scanner_stop(scanner);
    *state_out = NULL;
    return -1;
}

/* Everything points into the old configuration: what is in hand goes back, and all begins anew. */
int scanner_reload(void *state, const struct config *config, struct err *err)
{
    struct scanner *scanner = state;

    (void)err;
    for (size_t i = 0; i < scanner->site_count; i++)
        scan_site_return_all(scanner->sites[i]);
    close_sites(scanner);
    access_free(scanner->base.access);
    scanner->base.config = config;
    open_access(scanner);
    if (!scanner->store_away)
        open_sites(scanner);
    return 0;
}

static void drain(struct scanner *scanner)
{
    int64_t until_ms = clock_boot_ms() + DRAIN_MS;
    bool empty = false;

    while (!empty && clock_left_ms(until_ms) > 0 && !scanner->base.store_failed) {
        empty = true;
        for (size_t i = 0; i < scanner->site_count; i++)
            empty = scan_site_drain(scanner->sites[i]) && empty;
        access_step(scanner->base.access);
        if (!empty)
            imap_reactor_run(scanner->base.reactor, NULL, 0, 20);
    }
    for (size_t i = 0; i < scanner->site_count; i++)
        scan_site_return_all(scanner->sites[i]);
}

void scanner_stop(void *state)
{
    struct scanner *scanner = state;
    struct err ignored;

    if (scanner == NULL)
        return;
    if (scanner->base.access != NULL)
        drain(scanner);
    close_sites(scanner);
    access_free(scanner->base.access);
    if (scanner->base.store != NULL && !scanner->store_away)
        store_worker_gone(scanner->base.store, scanner->base.owner, &ignored);
    scan_ventilator_free(scanner->ventilator);
    store_free(scanner->base.store);
    imap_reactor_free(scanner->base.reactor);
    free(scanner);
}
