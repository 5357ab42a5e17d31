/*
 * ldapsync's process; see ldapsync.h. Between rounds it looks in the store twice a second; inside a round the tick keeps pulse
 * and lease alive. A store that is away pauses it, nothing else.
 */
#include "ldapsync/ldapsync.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "ldapsync/digest_key.h"
#include "ldapsync/round.h"

#include <malloc.h>
#include <stdlib.h>

enum { SAID_BYTES = 512, LOOK_EVERY_MS = 200, SEEN_EVERY_MS = 10000 };

struct ldapsync {
    struct daemon *daemon;
    struct round_tools tools;
    bool store_is_away;
    int64_t next_seen_boot_ms;
};

static void note_store(struct ldapsync *ldapsync, bool away, const char *text)
{
    if (away && !ldapsync->store_is_away)
        log_error("the store is away: work pauses", LOG_STR("error", text));
    if (!away && ldapsync->store_is_away)
        log_info("the store is back");
    ldapsync->store_is_away = away;
}

/* true if a round was done: the next is looked for at once. */
static bool work_once(struct ldapsync *ldapsync)
{
    struct store_directory_claim claim = {0};
    struct err err = {0};
    char said[SAID_BYTES];
    if (store_directory_claim(ldapsync->tools.store, daemon_config(ldapsync->daemon),
                              daemon_owner(ldapsync->daemon), &claim, &err) != 0) {
        note_store(ldapsync, true, err.text);
        return false;
    }
    note_store(ldapsync, false, "");
    if (claim.lease.route_id == 0)
        return false;
    CRASH_POINT(DIRECTORY_CLAIMED);
    if (round_run(&ldapsync->tools, &claim, said, sizeof(said)))
        daemon_event(ldapsync->daemon, "", claim.route, said);
    malloc_trim(0);
    return true;
}

static void say_seen(struct ldapsync *ldapsync)
{
    struct err err = {0};
    if (clock_boot_ms() < ldapsync->next_seen_boot_ms)
        return;
    ldapsync->next_seen_boot_ms = clock_boot_ms() + SEEN_EVERY_MS;
    if (store_worker_seen(ldapsync->tools.store, daemon_owner(ldapsync->daemon), "ldapsync", "", &err) != 0)
        note_store(ldapsync, true, err.text);
}

static int step(void *state, struct err *err)
{
    struct ldapsync *ldapsync = state;
    (void)err;
    say_seen(ldapsync);
    if (!daemon_is_draining(ldapsync->daemon) && work_once(ldapsync))
        return 0;
    daemon_tick(ldapsync->daemon, "waiting");
    daemon_wait(ldapsync->daemon, NULL, 0, LOOK_EVERY_MS);
    return 0;
}

static void stop(void *state)
{
    struct ldapsync *ldapsync = state;
    struct err err;
    if (!ldapsync)
        return;
    if (ldapsync->tools.store)
        store_worker_gone(ldapsync->tools.store, daemon_owner(ldapsync->daemon), &err);
    sides_free(ldapsync->tools.sides);
    store_free(ldapsync->tools.store);
    digest_key_wipe(ldapsync->tools.key);
    free(ldapsync);
}

static int start(struct daemon *daemon, void **state_out, struct err *err)
{
    struct ldapsync *ldapsync = mem_new(sizeof(*ldapsync));
    const struct config *config = daemon_config(daemon);
    /* Before libldap's first use: neither ldap.conf nor somebody's environment decides whom we trust. */
    setenv("LDAPNOINIT", "1", 1);
    ldapsync->daemon = daemon;
    ldapsync->tools.daemon = daemon;
    ldapsync->tools.store = store_open(config, err);
    if (!ldapsync->tools.store || store_check_version(ldapsync->tools.store, err) != 0 ||
        store_directory_inherit(ldapsync->tools.store, daemon_owner(daemon), err) != 0 ||
        digest_key_read(config, ldapsync->tools.key, err) != 0) {
        stop(ldapsync);
        return -1;
    }
    ldapsync->tools.sides = sides_new(&(struct sides_params){.store = ldapsync->tools.store,
                                                             .owner = daemon_owner(daemon),
                                                             .tick = round_tick,
                                                             .context = &ldapsync->tools});
    *state_out = ldapsync;
    return 0;
}

/* Connections point into the configuration, and what they were opened with may have changed. */
static int reload(void *state, const struct config *config, struct err *err)
{
    struct ldapsync *ldapsync = state;
    (void)config;
    (void)err;
    sides_close_all(ldapsync->tools.sides);
    return 0;
}

const struct daemon_program ldapsync_program = {
    .name = "ldapsync", .start = start, .step = step, .reload = reload, .stop = stop};
