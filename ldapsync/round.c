/*
 * One round on one route; see round.h.
 */
#include "ldapsync/round.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "ldapsync/follow.h"
#include "ldapsync/retire.h"
#include "ldapsync/round_list.h"
#include "ldapsync/user_login.h"
#include "ldapsync/writer.h"
#include "store/store_breaker.h"
#include "store/store_listed.h"
#include "store/store_mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the parts ask ---- */

const char *round_kind_word(enum store_kind kind)
{
    return kind == STORE_COS ? "COS" : "subscriber";
}

const struct config_ldap *round_ldap(const struct round *round, enum store_listed_side side)
{
    return side == STORE_LISTED_PRODUCTION ? &round->route->from_site->ldap : &round->route->to_site->ldap;
}

const char *round_base(const struct round *round, enum store_listed_side side, enum store_kind kind)
{
    return kind == STORE_COS ? round_ldap(round, side)->cos_dn : round_ldap(round, side)->people_dn;
}

const char *round_filter(const struct round *round, enum store_listed_side side, enum store_kind kind)
{
    return kind == STORE_COS ? round_ldap(round, side)->cos_filter
                             : round_ldap(round, side)->subscriber_filter;
}

const char *round_number_attribute(const struct round *round, enum store_listed_side side,
                                   enum store_kind kind)
{
    return kind == STORE_COS ? round_ldap(round, side)->cos_number_attribute
                             : round_ldap(round, side)->mailbox_attribute;
}

void round_doubt(struct round *round, const struct err *err)
{
    log_warning("not whole", LOG_STR("error", err->text));
    if (round->doubt.scope == ERR_NONE)
        round->doubt = *err;
}

int round_guard(const struct round *round, struct err *err)
{
    if (round->lost.scope == ERR_NONE && clock_left_ms(round->claim->deadline_boot_ms) > 0)
        return 0;
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "the lease's time is over: nothing more is written");
}

bool round_tick(void *context)
{
    struct round_tools *tools = context;
    struct round *round = tools->current;
    daemon_tick(tools->daemon, NULL);
    if (!round)
        return !daemon_is_draining(tools->daemon);
    int64_t half_lease_ms = (int64_t)(round->config->copy.lease_seconds * 500);
    if (round->lost.scope == ERR_NONE && clock_left_ms(round->claim->deadline_boot_ms) < half_lease_ms &&
        store_directory_renew(tools->store, round->config, &round->claim->lease,
                              &round->claim->deadline_boot_ms, &round->lost) != 0 &&
        !store_err_is_lease_lost(&round->lost) && clock_left_ms(round->claim->deadline_boot_ms) > 0)
        err_clear(&round->lost); /* the store is away: asked again at the next tick */
    return round->lost.scope == ERR_NONE && !daemon_is_draining(tools->daemon);
}

/* ---- the steps ---- */

static int open_sides(struct round *round, struct err *err)
{
    struct round_tools *tools = round->tools;
    round->production = sides_open(tools->sides, round->route->from_site, ERR_SIDE_PRODUCTION, err);
    round->target =
        round->production ? sides_open(tools->sides, round->route->to_site, ERR_SIDE_TARGET, err) : NULL;
    if (!round->target)
        return -1;
    struct mapping_params params = {.route = round->route,
                                    .production = connection_schema(round->production),
                                    .target = connection_schema(round->target)};
    memcpy(params.key, tools->key, sizeof(params.key));
    round->mapping = mapping_new(&params);
    return 0;
}

static int list(struct round *round, enum store_kind kind, struct err *err)
{
    const struct round_scope *wanted = &round->wanted;
    bool changed = false;
    uint64_t since = 0;
    if (wanted->full &&
        (round_list_begin_marks(round, kind, err) != 0 || round_list_both(round, kind, &changed, err) != 0))
        return -1;
    if (!wanted->full && wanted->changes && round_list_changes(round, kind, &since, &changed, err) != 0)
        return -1;
    if (!wanted->full && wanted->names && round_list_names(round, kind, err) != 0)
        return -1;
    if (!changed && (wanted->full || !wanted->names))
        return 0;
    return store_listed_pair(round->tools->store, &round->claim->lease, kind, wanted->names ? 0 : since, err);
}

/* Where a great many numbers became strangers' at once, it is rather production that is another. */
static int doubt_production(struct round *round, const struct store_entry_strangers *strangers,
                            struct err *err)
{
    bool tripped = false;
    char *reason =
        str_format("the directory says that %u of %u mirrored numbers became another person's at once",
                   strangers->count + strangers->lately, strangers->mirrors);
    int result = store_breaker_trip(round->tools->store, round->route->from, reason, &tripped, err);
    if (result == 0 && tripped)
        log_error(
            "breaker tripped: nothing is removed or overwritten on routes from this site before a person "
            "decides (mirrorctl held list)",
            LOG_STR("site", round->route->from), LOG_STR("reason", reason));
    free(reason);
    return result;
}

static int tell_owners(struct round *round, struct err *err)
{
    struct store *store = round->tools->store;
    const struct store_directory_lease *lease = &round->claim->lease;
    struct store_entry_strangers strangers;
    if (CRASH_AFTER(OWNERS_TOLD,
                    store_entry_tell_owners(store, lease, round->route->from_site->ldap.id_attribute,
                                            &strangers, err)) != 0)
        return -1;
    if (strangers.production_in_doubt && doubt_production(round, &strangers, err) != 0)
        return -1;
    if (strangers.count > 0)
        log_warning("numbers became another person's: their mirrors are handed over",
                    LOG_UINT("numbers", strangers.count));
    return CRASH_AFTER(HANDOVER_ORDERED, store_entry_hand_over(store, lease, err));
}

/* COS come before the subscribers, who refer to them, and go after them. */
static int carry_out(struct round *round, struct err *err)
{
    if (round->dry &&
        CRASH_AFTER(DIFFERENCES_CLEARED,
                    store_difference_clear(round->tools->store, &round->claim->lease, err)) != 0)
        return -1;
    if (list(round, STORE_COS, err) != 0 || writer_run(round, STORE_COS, err) != 0 ||
        list(round, STORE_SUBSCRIBER, err) != 0)
        return -1;
    if (!round->dry && tell_owners(round, err) != 0)
        return -1;
    if (!round->dry && round->names_whole && follow_is_wanted(&round->route->directory) &&
        follow_run(round, err) != 0)
        return -1;
    if (writer_run(round, STORE_SUBSCRIBER, err) != 0)
        return -1;
    if (round->names_whole &&
        (retire_gone(round, STORE_SUBSCRIBER, err) != 0 || retire_gone(round, STORE_COS, err) != 0))
        return -1;
    return round->dry ? 0 : user_login_prove(round, err);
}

/* What this round is to ask production for. Whole until a listing was not. */
static void plan_round(struct round *round)
{
    const struct store_directory_claim *claim = round->claim;
    struct round_scope *wanted = &round->wanted;
    wanted->changes = round->marks.of[STORE_COS].kind != STORE_MARK_NONE &&
                      round->marks.of[STORE_SUBSCRIBER].kind != STORE_MARK_NONE;
    wanted->full = claim->full_due || claim->dry;
    wanted->names = wanted->full || claim->list_due || claim->wanted || !wanted->changes;
    round->dry = claim->dry;
    round->names_whole = wanted->names;
    round->full_whole = wanted->full;
    round->new_marks = round->marks;
}

/* ---- the end ---- */

static void say(const struct round *round, const struct err *error, char *said, size_t said_size)
{
    if (daemon_is_draining(round->tools->daemon)) {
        snprintf(said, said_size, "directory: stopped");
        return;
    }
    if (error) {
        snprintf(said, said_size, "directory: failed: %.400s", error->text);
        log_warning("round failed", LOG_STR("error", error->text),
                    LOG_STR("side", err_side_name(error->side)));
        return;
    }
    snprintf(said, said_size, "directory: %u written, %u not equal, %u removed", round->written,
             round->refused, round->removed);
    if (round->written + round->removed > 0 || (round->full_whole && !round->dry))
        log_info("round done", LOG_UINT("written", round->written), LOG_UINT("not_equal", round->refused),
                 LOG_UINT("removed", round->removed),
                 LOG_STR("compared", round->full_whole ? "whole" : "changes"));
}

static const char *means_of(const struct round *round)
{
    enum store_mark_kind kind = round->new_marks.of[STORE_SUBSCRIBER].kind;
    return kind == STORE_MARK_SYNCREPL           ? "syncrepl"
           : kind == STORE_MARK_MODIFY_TIMESTAMP ? "modifyTimestamp"
                                                 : "whole comparisons";
}

static bool only_looks(const struct round *round)
{
    return round->route && !round->route->directory.write;
}

static int release_mirrors(const struct round *round, struct err *err)
{
    struct store *store = round->tools->store;
    const struct store_directory_lease *lease = &round->claim->lease;
    return CRASH_AFTER(MIRRORS_RELEASED, only_looks(round) ? store_entry_let_mirrors_go(store, lease, err)
                                                           : store_entry_release_mirrors(store, lease, err));
}

/* What was interrupted by a stop failed in nothing, and is done again. */
static void give_back(struct round *round, bool ended, const struct err *error)
{
    const struct store_directory_claim *claim = round->claim;
    struct store_mark packed;
    struct err err = {0};
    bool well = ended && round->doubt.scope == ERR_NONE;
    struct store_directory_finish finish = {
        .next_seconds = round->route ? round->route->directory.poll_seconds : 60, .error = error};
    if (well && round->dry)
        finish.dry_wanted_seq = claim->dry_wanted_seq;
    if (well && !round->dry) {
        finish.wanted_seq = claim->wanted_seq;
        finish.full_wanted_seq = round->full_whole ? claim->full_wanted_seq : 0;
        finish.changes_seen = true;
        finish.listed = round->names_whole;
        finish.compared = round->full_whole;
        finish.compared_seconds_ago = (double)(clock_boot_ms() - round->began_boot_ms) / 1000;
        finish.means = means_of(round);
        if (change_marks_pack(&round->new_marks, &packed) == 0)
            finish.mark = &packed;
    }
    if (release_mirrors(round, &err) != 0 ||
        CRASH_AFTER(ROUND_RECORDED, store_directory_finish(round->tools->store, claim, &finish, &err)) != 0)
        log_warning("the directory could not be given back; its lease will run out",
                    LOG_STR("error", err.text));
}

/* What the round is remembered for: what ended it, or the first thing that was not whole. NULL: nothing. */
static const struct err *error_of(const struct round *round, int result, const struct err *err)
{
    if (daemon_is_draining(round->tools->daemon))
        return NULL;
    if (round->lost.scope != ERR_NONE)
        return &round->lost;
    if (result != 0)
        return err;
    return round->doubt.scope != ERR_NONE ? &round->doubt : NULL;
}

static int may_begin(const struct round *round, struct err *err)
{
    if (!round->route)
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "the route is not in this host's configuration");
    if (round->dry || !only_looks(round))
        return 0;
    return err_set(
        err, ERR_PROCESS, ERR_RETRY_LATER,
        "nothing is written, since routes[].directory.write is false: mirrorctl directory diff shows "
        "what would be; when that is right, set it to true, send SIGHUP, and mirrorctl directory sync");
}

bool round_run(struct round_tools *tools, struct store_directory_claim *claim, char *said, size_t said_size)
{
    const struct config *config = daemon_config(tools->daemon);
    struct round round = {.tools = tools,
                          .config = config,
                          .route = config_route_find(config, claim->route),
                          .claim = claim,
                          .began_boot_ms = clock_boot_ms()};
    struct err err = {0};
    int result;
    log_context_push("route", claim->route);
    daemon_tick(tools->daemon, claim->route);
    change_marks_unpack(&claim->mark, &round.marks);
    plan_round(&round);
    tools->current = &round;
    result = may_begin(&round, &err);
    if (result == 0)
        result = open_sides(&round, &err);
    if (result == 0)
        result = carry_out(&round, &err);
    const struct err *error = error_of(&round, result, &err);
    say(&round, result != 0 ? error : NULL, said, said_size);
    give_back(&round, result == 0, error);
    tools->current = NULL;
    mapping_free(round.mapping);
    log_context_pop();
    return result != 0 || round.written + round.removed > 0;
}
