/*
 * A turn; see turn.h. Runs in the copier. Whatever happens inside, the mirror's row is given back with what is true: done
 * up to the number that was read at the claim, yielded, or failed with the reason in words.
 */
#include "copier/turn.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "copier/deletions.h"
#include "copier/handover.h"
#include "copier/reconcile.h"
#include "copier/remove.h"
#include "copier/verify.h"
#include "store/store_breaker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPEN_WAIT_MS = 20000, ROUND_MS = 250, GLANCE_MS = 1000 };

/* ---- lease ---- */

static int64_t lease_ms(const struct turn *turn)
{
    return (int64_t)(turn->config->copy.lease_seconds * 1000);
}

/* A store that is away is tried again until the lease is nearly over; a lease that was lost is lost. */
static void renew(struct turn *turn)
{
    struct err err = {0};
    if (turn->claim->deadline_boot_ms - clock_boot_ms() > lease_ms(turn) / 2)
        return;
    if (store_mirror_renew(turn->tools->store, turn->config, &turn->claim->lease,
                           &turn->claim->deadline_boot_ms, &err) != 0 &&
        store_err_is_lease_lost(&err))
        turn->lost = err;
}

bool turn_tick(struct turn *turn)
{
    struct err err = {0};
    daemon_tick(turn->tools->daemon, NULL);
    if (turn->lost.scope != ERR_NONE)
        return false;
    renew(turn);
    if (access_renew(turn->tools->access, &err) != 0 && err.scope != ERR_PROCESS)
        turn->lost = err; /* the row of a session is gone: others may use its place already */
    return turn->lost.scope == ERR_NONE && turn_guard(turn, NULL) == 0;
}

/* A quarter of the lease is kept for what is still on its way when we stop. */
int turn_guard(void *context, struct err *err)
{
    struct turn *turn = context;
    if (turn->lost.scope != ERR_NONE) {
        if (err)
            *err = turn->lost;
        return -1;
    }
    if (turn->claim->deadline_boot_ms - clock_boot_ms() > lease_ms(turn) / 4)
        return 0;
    err_set(&turn->lost, ERR_PROCESS, ERR_RETRY_LATER,
            "the lease on this mirror is nearly over and was not renewed");
    if (err)
        *err = turn->lost;
    return -1;
}

bool turn_is_over(struct turn *turn)
{
    bool waiting = false;
    int64_t now = clock_boot_ms();
    if (daemon_is_draining(turn->tools->daemon) || now >= turn->end_boot_ms)
        return true;
    if (now < turn->next_glance_boot_ms)
        return false;
    turn->next_glance_boot_ms = now + GLANCE_MS;
    return store_mirror_is_more_urgent_waiting(turn->tools->store, turn->claim->priority, &waiting, NULL) ==
               0 &&
           waiting;
}

/* ---- both sides ---- */

static bool is_open_or_failed(struct access_session *session)
{
    enum access_state state = access_session_poll(session);
    return state == ACCESS_READY || state == ACCESS_FAILED;
}

static int round_ms(const struct turn *turn)
{
    return access_session_wait_ms(turn->source_session,
                                  access_session_wait_ms(turn->target_session, ROUND_MS));
}

/* Both connect at once: a far target costs its round trips only once. */
static int await_sides(struct turn *turn, struct err *err)
{
    int64_t deadline = clock_boot_ms() + OPEN_WAIT_MS +
                       (int64_t)turn->route->from_site->imap.connect_seconds * 1000 +
                       (int64_t)turn->route->to_site->imap.connect_seconds * 1000;
    for (;;) {
        bool source = is_open_or_failed(turn->source_session),
             target = is_open_or_failed(turn->target_session);
        if (access_session_poll(turn->source_session) == ACCESS_FAILED) {
            *err = *access_session_error(turn->source_session);
            return -1;
        }
        if (access_session_poll(turn->target_session) == ACCESS_FAILED) {
            *err = *access_session_error(turn->target_session);
            return -1;
        }
        if (source && target)
            return 0;
        /* This copier is wanted elsewhere. */
        if (access_session_is_hopeless(turn->source_session, err) ||
            access_session_is_hopeless(turn->target_session, err))
            return -1;
        if (clock_boot_ms() > deadline)
            return err_set(err, ERR_SITE, ERR_RETRY_LATER,
                           "no session was free within %d s: imap.max_sessions of the "
                           "sites, or imap.max_logins_per_second, may be too small",
                           OPEN_WAIT_MS / 1000);
        if (daemon_is_draining(turn->tools->daemon))
            return err_set(err, ERR_PROCESS, ERR_RETRY_NOW, "stopping");
        if (!imap_reactor_run(turn->tools->reactor, NULL, 0, round_ms(turn))) {
            turn_guard(turn, err);
            return -1;
        }
    }
}

/* The configuration compares names; two names may lead to one store. Its mirror would be called equal, and be worth
 * nothing. */
static int check_two_stores(const struct turn *turn, struct err *err)
{
    if (!imap_session_is_same_server(turn->source, access_session_imap(turn->target_session)))
        return 0;
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER,
                   "sites %s and %s are one store (%s and %s, port %u): correct the address of one",
                   turn->route->from, turn->route->to, turn->route->from_site->imap.host,
                   turn->route->to_site->imap.host, turn->route->to_site->imap.port);
}

static int open_sides(struct turn *turn, struct err *err)
{
    turn->source_session = access_session_start(turn->tools->access, turn->route->from_site,
                                                turn->claim->mailbox, ERR_SIDE_PRODUCTION);
    turn->target_session = access_session_start(turn->tools->access, turn->route->to_site,
                                                turn->claim->mailbox, ERR_SIDE_TARGET);
    if (await_sides(turn, err) != 0)
        return -1;
    turn->source = access_session_imap(turn->source_session);
    if (check_two_stores(turn, err) != 0)
        return -1;
    turn->target = target_open_imap(access_session_imap(turn->target_session), turn_guard, turn);
    if (store_breaker_is_tripped(turn->tools->store, turn->route->from, &turn->breaker_tripped, err) != 0)
        return -1;
    if (imap_session_list(turn->source, true, &turn->source_list, err) != 0)
        return err_prefix(err, "list folders");
    return target_list(turn->target, err);
}

/* Without waiting for the answers to LOGOUT: the next turn may begin. */
static void close_sides(struct turn *turn)
{
    imap_list_fini(&turn->source_list);
    target_free(turn->target);
    access_session_leave(turn->source_session);
    access_session_leave(turn->target_session);
}

/* ---- folders ---- */

void turn_keep_folder_error(struct turn *turn, const struct err *err)
{
    log_warning("folder failed", LOG_STR("error", err->text));
    if (turn->folder_error.scope == ERR_NONE)
        turn->folder_error = *err;
}

int turn_bear(struct turn *turn, const struct err *why, struct err *err)
{
    if (why->scope > ERR_FOLDER) {
        *err = *why;
        return -1;
    }
    turn_keep_folder_error(turn, why);
    return 0;
}

/* A turn ends only after some folder behind INBOX, which comes first each time, got on: else, where looking at unchanged
 * folders takes all its time, those at the end would never have their turn. */
static bool may_end(const struct turn *turn, size_t i, uint64_t commits_before)
{
    return daemon_is_draining(turn->tools->daemon) || (i > 1 && turn->commits > commits_before);
}

/* A folder's own error is kept and the others go on; anything wider ends the turn. */
static int reconcile_all(struct turn *turn, const struct folders_work *work, struct err *err)
{
    uint64_t commits_after_first = 0;
    for (size_t i = 0; i < work->count; i++) {
        struct err folder_err = {0};
        if (i == 1)
            commits_after_first = turn->commits;
        if (i > 0 && may_end(turn, i, commits_after_first) && turn_is_over(turn)) {
            turn->yielded = true;
            return 0;
        }
        work->pairs[i].failed = reconcile_folder(turn, &work->pairs[i], &folder_err) != 0;
        if (work->pairs[i].failed && turn_bear(turn, &folder_err, err) != 0)
            return -1;
    }
    return 0;
}

static int settle_gone_folders(struct turn *turn, const struct folders_work *work, struct err *err)
{
    for (size_t i = 0; i < work->folder_count; i++) {
        struct store_folder *folder = &work->folders[i];
        struct err folder_err = {0};
        if (folder->source_gone && folder->open_intents + folder->ghosts > 0 &&
            reconcile_gone_folder(turn, folder, &folder_err) != 0 && turn_bear(turn, &folder_err, err) != 0)
            return -1;
    }
    return 0;
}

static bool is_verify_wanted(const struct turn *turn)
{
    return turn->claim->verify_wanted_seq > turn->claim->verify_done_seq;
}

static int verify_if_wanted(struct turn *turn, const struct folders_work *work, bool *verified_out,
                            struct err *err)
{
    *verified_out = false;
    if (!is_verify_wanted(turn) || turn->yielded)
        return 0;
    return verify_mirror(turn, work, turn->claim->verify_deep, verified_out, err);
}

static int work_on(struct turn *turn, bool *verified_out, struct err *err)
{
    struct folders_work work = {0};
    int result = -1;
    if (turn->claim->removing)
        return remove_copies(turn, err);
    if (turn->claim->taken_over || turn->claim->recheck_target)
        turn->list_target = true;
    if (turn->claim->taken_over &&
        CRASH_AFTER(RECHECK_NOTED, store_mirror_recheck_later(turn->tools->store, &turn->claim->lease,
                                                              turn->route->late_command_minutes, err)) != 0)
        return -1;
    if (turn->claim->handing_over)
        return handover_run(turn, err);
    if (open_sides(turn, err) != 0 || folders_prepare(turn, &work, err) != 0)
        goto out;
    result = reconcile_all(turn, &work, err);
    if (result == 0 && !turn->yielded)
        result = settle_gone_folders(turn, &work, err);
    if (result == 0 && !turn->yielded)
        result = deletions_follow(turn, &work, err);
    if (result == 0)
        result = verify_if_wanted(turn, &work, verified_out, err);
out:
    folders_work_fini(&work);
    return result;
}

/* ---- the end of a turn ---- */

static bool is_equal(const struct turn *turn)
{
    const struct store_mirror_figures *figures = &turn->figures;
    return figures->missing_messages + figures->refused_messages + figures->altered_messages == 0 &&
           figures->refused_keywords[0] == 0;
}

/* A store that is away is asked again while the lease lasts: else the mailbox would wait for its end. */
static int finish_patiently(struct turn *turn, const struct store_finish *finish, struct err *err)
{
    const struct store_lease *lease = &turn->claim->lease;
    while (store_mirror_finish(turn->tools->store, lease, finish, err) != 0) {
        if (store_err_is_lease_lost(err) || daemon_is_draining(turn->tools->daemon) ||
            clock_boot_ms() > turn->claim->deadline_boot_ms)
            return -1;
        imap_reactor_run(turn->tools->reactor, NULL, 0, ROUND_MS);
        turn_tick(turn);
    }
    return 0;
}

/* A verify that was cut off goes on in a turn of its own, behind all other work; the mirror is brought up for all that. */
static bool give_back(struct turn *turn, int result, bool verified, const struct err *error)
{
    struct store_finish finish = {.turn = result != 0     ? STORE_TURN_FAILED
                                          : turn->yielded ? STORE_TURN_YIELDED
                                                          : STORE_TURN_DONE,
                                  .wanted_seq = turn->claim->wanted_seq,
                                  .verify_wanted_seq = verified ? turn->claim->verify_wanted_seq : 0,
                                  .figures = &turn->figures,
                                  .equal = is_equal(turn),
                                  .deletion_delay_seconds =
                                      turn->route ? turn->route->deletions.delay_seconds : 0,
                                  .verify_differences = turn->verify_differences,
                                  .verify_report = turn->verify_report,
                                  .error = result != 0 ? error : NULL};
    struct err err = {0};
    if (CRASH_AFTER(TURN_RECORDED, finish_patiently(turn, &finish, &err)) != 0)
        log_warning("the mirror could not be given back; its lease will run out", LOG_STR("error", err.text));
    else if (verified && turn->verify_differences > 0 &&
             store_mirror_want(turn->tools->store, turn->claim->lease.mirror_id, turn->claim->priority,
                               &err) != 0)
        log_warning("the repair after a verify could not be asked for", LOG_STR("error", err.text));
    return finish.turn == STORE_TURN_DONE;
}

static void say(const struct turn *turn, int result, const struct err *error, char *said, size_t said_size)
{
    if (result == 0 && turn->given_back) {
        snprintf(said, said_size, "%s", turn->claim->removing ? "copies removed" : "handed over");
        return;
    }
    if (result != 0) {
        snprintf(said, said_size, "failed: %s", error->text);
        log_warning("turn failed", LOG_STR("error", error->text),
                    LOG_STR("side", err_side_name(error->side)));
        return;
    }
    snprintf(said, said_size, "%s, %" PRIu64 " copied",
             turn->yielded    ? "to be continued"
             : is_equal(turn) ? "equal"
                              : "not equal",
             turn->copied.messages);
    log_info("turn done", LOG_STR("outcome", said), LOG_UINT("messages", turn->figures.source_messages),
             LOG_UINT("bytes", turn->copied.bytes));
}

static void error_of(const struct turn *turn, struct err *err)
{
    if (turn->lost.scope != ERR_NONE)
        *err = turn->lost;
    err_prefix(err, "mirror %s to %s", turn->claim->mailbox, turn->claim->route);
}

bool turn_run(const struct turn_tools *tools, struct store_claim *claim, char *said, size_t said_size)
{
    const struct config *config = daemon_config(tools->daemon);
    int64_t now = clock_boot_ms();
    /* Nothing more urgent waits now: the claim has just looked. */
    struct turn turn = {.tools = tools,
                        .config = config,
                        .route = config_route_find(config, claim->route),
                        .claim = claim,
                        .end_boot_ms = now + (int64_t)(config->copy.turn_seconds * 1000),
                        .next_glance_boot_ms = now + GLANCE_MS};
    struct err err = {0};
    bool verified = false, done;
    int result;
    log_context_push("mailbox", claim->mailbox);
    log_context_push("route", claim->route);
    *tools->current = &turn;
    result = turn.route ? work_on(&turn, &verified, &err)
                        : err_set(&err, ERR_PROCESS, ERR_RETRY_LATER,
                                  "the route is not in this host's configuration");
    /* Not even LOGOUT: what waits to be sent would go before it. */
    if (turn.lost.scope != ERR_NONE)
        access_session_cut(turn.target_session);
    if (result == 0 && turn.folder_error.scope != ERR_NONE) {
        err = turn.folder_error;
        result = -1;
    }
    if (result != 0)
        error_of(&turn, &err);
    say(&turn, result, &err, said, said_size);
    done = result == 0 && turn.given_back ? true : give_back(&turn, result, verified, &err);
    close_sides(&turn);
    *tools->current = NULL;
    free(turn.verify_report);
    log_context_pop();
    log_context_pop();
    return done;
}
