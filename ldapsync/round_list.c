/*
 * The listings of a round; see round_list.h.
 */
#include "ldapsync/round_list.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "ldapsync/intake.h"
#include "store/store_listed.h"

#include <stdlib.h>

/* Names only: what intake_name() asks for. */
struct names {
    const char *attributes[5];
};

static void choose_names(const struct round *round, enum store_kind kind, struct names *names)
{
    const struct config_ldap *ldap = round_ldap(round, STORE_LISTED_PRODUCTION);
    size_t count = 0;
    names->attributes[count++] = round_number_attribute(round, STORE_LISTED_PRODUCTION, kind);
    names->attributes[count++] = ldap->display_attribute;
    if (kind == STORE_SUBSCRIBER)
        names->attributes[count++] = ldap->cos_attribute;
    if (kind == STORE_SUBSCRIBER && ldap->id_attribute[0])
        names->attributes[count++] = ldap->id_attribute;
    names->attributes[count] = NULL;
}

static struct listing_params params_of(struct intake *intake, struct connection *connection,
                                       const char *const *names)
{
    const struct round *round = intake->round;
    enum store_listed_side side = intake->listing.side;
    enum store_kind kind = intake->listing.kind;
    return (struct listing_params){.connection = connection,
                                   .base = round_base(round, side, kind),
                                   .filter = round_filter(round, side, kind),
                                   .number_attribute = round_number_attribute(round, side, kind),
                                   .attributes = names,
                                   .page_size = round_ldap(round, side)->page_size,
                                   .on_entry = intake_entry,
                                   .on_bad_entry = intake_bad_entry,
                                   .context = intake};
}

static const char *const all_and_time[] = {"*", "modifyTimestamp", NULL};

static const char *side_word(enum store_listed_side side)
{
    return side == STORE_LISTED_PRODUCTION ? "production" : "the target";
}

/* The end of one side's listing: what it said last goes in, and if it was whole, what it did not see is not there. */
static int conclude(struct intake *intake, struct listing *listing, bool *whole_out, struct err *err)
{
    struct round *round = intake->round;
    *whole_out = listing_is_whole(listing);
    if (intake_flush(intake, err) != 0)
        return -1;
    if (!*whole_out) {
        struct err why = {0};
        err_set(&why, ERR_SITE, ERR_RETRY_LATER, "the list of %s entries of %s is not complete: %s",
                round_kind_word(intake->listing.kind), side_word(intake->listing.side), listing_why(listing));
        err_blame(&why,
                  intake->listing.side == STORE_LISTED_PRODUCTION ? ERR_SIDE_PRODUCTION : ERR_SIDE_TARGET);
        round_doubt(round, &why);
        return 0;
    }
    return CRASH_AFTER(LISTING_CONCLUDED,
                       store_listed_whole(round->tools->store, &round->claim->lease, &intake->listing, err));
}

/* No entry at all shows its password: that is a missing right, and it looks like success. */
static int check_rights(const struct intake *intake, struct err *err)
{
    if (intake_lacks(intake)[0] == '\0')
        return 0;
    err_set(err, ERR_SITE, ERR_RETRY_LATER,
            "no subscriber of production shows %s: give our bind DN the right to read it, or correct "
            "required_attributes; nothing is written",
            intake_lacks(intake));
    return err_blame(err, ERR_SIDE_PRODUCTION);
}

static enum store_mark_kind choose_means(const struct round *round)
{
    bool offered = !round->no_syncrepl && connection_offers_control(round->production, LDAP_CONTROL_SYNC);
    return refresh_choose(round->route->from_site->ldap.change_detection, offered);
}

/* After a whole listing by modifyTimestamp: changes begin with the newest that it showed. */
static void begin_at_newest(struct round *round, const struct intake *intake)
{
    enum store_kind kind = intake->listing.kind;
    if (choose_means(round) != STORE_MARK_MODIFY_TIMESTAMP)
        return;
    round->new_marks.of[kind] = intake->newest;
    if (intake->newest.kind == STORE_MARK_NONE && intake->entries > 0)
        log_warning("production's directory shows no modifyTimestamp: changes are found by whole comparisons "
                    "only; see "
                    "directory.compare_hours",
                    LOG_STR("site", round->route->from));
}

/* Both sides of a whole listing. */
struct both {
    struct intake *production, *target;
    struct listing *of_production, *of_target;
};

static void both_init(struct both *both, struct round *round, enum store_kind kind, uint64_t number,
                      bool sums_only)
{
    struct store_listing listing = {.kind = kind, .side = STORE_LISTED_PRODUCTION, .listing = number};
    both->production = mem_new(sizeof(*both->production));
    both->target = mem_new(sizeof(*both->target));
    intake_init(both->production, round, &listing);
    listing.side = STORE_LISTED_TARGET;
    intake_init(both->target, round, &listing);
    struct listing_params of_production = params_of(both->production, round->production, all_and_time);
    struct listing_params of_target = params_of(both->target, round->target, NULL);
    both->production->sums_only = both->target->sums_only = sums_only;
    of_production.on_mark = of_target.on_mark = sums_only ? intake_mark : NULL;
    both->of_production = listing_new(&of_production);
    both->of_target = listing_new(&of_target);
}

static void both_fini(struct both *both)
{
    listing_free(both->of_production);
    listing_free(both->of_target);
    free(both->production);
    free(both->target);
}

static int is_side_as_listed(const struct intake *intake, bool *same_out, struct err *err)
{
    const struct round *round = intake->round;
    struct store_listed_sum known, sum = intake_sum(intake);
    if (store_listed_sum_read(round->tools->store, round->claim->lease.route_id, intake->listing.kind,
                              intake->listing.side, &known, err) != 0)
        return -1;
    *same_out = store_listed_sum_is(&sum, &known);
    return 0;
}

/* Reads both sides whole, writes nothing, and compares with what the store knows of them. */
static int is_as_listed(struct round *round, enum store_kind kind, bool *same_out, struct err *err)
{
    struct both both;
    bool settled = false;
    *same_out = false;
    if (store_listed_is_settled(round->tools->store, round->claim->lease.route_id, kind, &settled, err) != 0)
        return -1;
    if (!settled)
        return 0;
    both_init(&both, round, kind, 0, true);
    int result = listing_run(both.of_production, both.of_target, err);
    bool whole = result == 0 && listing_is_whole(both.of_production) && listing_is_whole(both.of_target) &&
                 !both.production->has_trouble && !both.target->has_trouble;
    if (whole)
        result = is_side_as_listed(both.production, same_out, err);
    if (result == 0 && *same_out)
        result = is_side_as_listed(both.target, same_out, err);
    if (result == 0 && *same_out)
        begin_at_newest(round, both.production);
    both_fini(&both);
    return result;
}

static int list_both(struct round *round, enum store_kind kind, struct err *err)
{
    struct both both;
    uint64_t number;
    bool production_whole = false, target_whole = false;
    if (CRASH_AFTER(LISTING_BEGUN, store_directory_new_listing(round->tools->store, &round->claim->lease,
                                                               &number, err)) != 0)
        return -1;
    both_init(&both, round, kind, number, false);
    int result = listing_run(both.of_production, both.of_target, err);
    if (result == 0)
        result = check_rights(both.production, err);
    if (result == 0)
        result = conclude(both.production, both.of_production, &production_whole, err);
    if (result == 0)
        begin_at_newest(round, both.production);
    if (result == 0)
        result = conclude(both.target, both.of_target, &target_whole, err);
    both_fini(&both);
    round->full_whole = round->full_whole && production_whole && target_whole;
    round->names_whole = round->names_whole && production_whole;
    return result;
}

int round_list_both(struct round *round, enum store_kind kind, bool *changed_out, struct err *err)
{
    bool same = false;
    if (is_as_listed(round, kind, &same, err) != 0)
        return -1;
    *changed_out = !same;
    return same ? 0 : list_both(round, kind, err);
}

int round_list_names(struct round *round, enum store_kind kind, struct err *err)
{
    struct intake *intake = mem_new(sizeof(*intake));
    struct listing *listing = NULL;
    struct names names;
    uint64_t number;
    bool whole = false;
    int result = CRASH_AFTER(
        LISTING_BEGUN, store_directory_new_listing(round->tools->store, &round->claim->lease, &number, err));
    if (result != 0)
        goto out;
    choose_names(round, kind, &names);
    intake_init(intake, round,
                &(struct store_listing){.kind = kind, .side = STORE_LISTED_PRODUCTION, .listing = number});
    intake->listing.names_only = true;
    struct listing_params params = params_of(intake, round->production, names.attributes);
    listing = listing_new(&params);
    result = listing_run(listing, NULL, err);
    if (result == 0)
        result = conclude(intake, listing, &whole, err);
    if (result == 0)
        round->names_whole = round->names_whole && whole;
out:
    listing_free(listing);
    free(intake);
    return result;
}

/* ---- changes ---- */

int round_list_begin_marks(struct round *round, enum store_kind kind, struct err *err)
{
    struct intake *intake = mem_new(sizeof(*intake));
    struct refresh_result refreshed = {0};
    int result = 0;
    round->new_marks.of[kind] = (struct store_mark){0};
    if (choose_means(round) == STORE_MARK_SYNCREPL) {
        intake_init(intake, round, &(struct store_listing){.kind = kind, .side = STORE_LISTED_PRODUCTION});
        struct listing_params params = params_of(intake, round->production, NULL);
        result = refresh_run(&(struct refresh_params){.listing = &params,
                                                      .mark = &round->new_marks.of[kind],
                                                      .kind = STORE_MARK_SYNCREPL},
                             &refreshed, err);
    }
    round->no_syncrepl = round->no_syncrepl || refreshed.not_offered;
    if (result == 0 && !refreshed.not_offered)
        round->new_marks.of[kind] = refreshed.mark;
    free(intake);
    return result;
}

/* Deletions that syncrepl tells of, or a present list that lacks some of what we know: only a hint to list all names. */
static int take_hint(struct round *round, enum store_kind kind, const struct refresh_result *refreshed,
                     struct err *err)
{
    uint64_t known = 0;
    bool is_short = false;
    if (refreshed->had_present_list) {
        if (store_listed_count(round->tools->store, round->claim->lease.route_id, kind,
                               STORE_LISTED_PRODUCTION, &known, err) != 0)
            return -1;
        is_short = refreshed->present + refreshed->changed < known;
    }
    if (refreshed->deleted == 0 && !is_short)
        return 0;
    return CRASH_AFTER(LIST_WANTED,
                       store_directory_want_list(round->tools->store, &round->claim->lease, err));
}

static int want_all(struct round *round, struct err *err)
{
    log_info("production's directory cannot tell what changed since then: both sides are compared whole");
    round->new_marks = (struct change_marks){0};
    return CRASH_AFTER(FULL_WANTED,
                       store_directory_want_full(round->tools->store, &round->claim->lease, err));
}

int round_list_changes(struct round *round, enum store_kind kind, uint64_t *since_listing_out,
                       bool *changed_out, struct err *err)
{
    struct intake *intake = mem_new(sizeof(*intake));
    const struct store_mark *mark = &round->marks.of[kind];
    struct refresh_result refreshed = {0};
    uint64_t number;
    *changed_out = false;
    int result = CRASH_AFTER(
        LISTING_BEGUN, store_directory_new_listing(round->tools->store, &round->claim->lease, &number, err));
    if (result != 0)
        goto out;
    intake_init(intake, round,
                &(struct store_listing){.kind = kind, .side = STORE_LISTED_PRODUCTION, .listing = number});
    struct listing_params params = params_of(intake, round->production, NULL);
    result = refresh_run(&(struct refresh_params){.listing = &params,
                                                  .mark = mark,
                                                  .kind = mark->kind,
                                                  .overlap_seconds = round->route->directory.overlap_seconds},
                         &refreshed, err);
    if (result != 0 || (result = intake_flush(intake, err)) != 0)
        goto out;
    round->new_marks.of[kind] = refreshed.mark;
    *since_listing_out = number;
    *changed_out = intake->entries > 0;
    result = refreshed.start_again ? want_all(round, err) : take_hint(round, kind, &refreshed, err);
out:
    free(intake);
    return result;
}
