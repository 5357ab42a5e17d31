/*
 * Results of single entries; see work_result.h.
 */
#include "ldapsync/work_result.h"

#include "base/buf.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "ldapsync/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LDIF_MAX = 4 * 1024 * 1024, WARNINGS_A_ROUND = 10 };

/* Each that was written at level debug, and each that is not equal at first, up to a number: what is true of all of 20,000 is
 * told by the round's count, by `directory list` and by the entry. */
static void log_result(const struct work *work, enum store_entry_state state, const char *reason)
{
    if (state == STORE_ENTRY_UNPROVEN || (state == STORE_ENTRY_EQUAL && !work->wrote))
        return;
    if (state == STORE_ENTRY_EQUAL)
        log_debug(work->change.add ? "entry added" : "entry made equal",
                  LOG_STR("kind", round_kind_word(work->entry.kind)), LOG_STR("number", work->entry.number));
    else if (state != work->entry.state && work->round->refused < WARNINGS_A_ROUND)
        log_warning("entry is not equal", LOG_STR("kind", round_kind_word(work->entry.kind)),
                    LOG_STR("number", work->entry.number), LOG_STR("state", store_entry_state_name(state)),
                    LOG_STR("reason", reason));
}

/* What `listed` will say of the target's entry. */
static void name_target(struct work *work)
{
    struct store_listing listing = {.kind = work->entry.kind, .side = STORE_LISTED_TARGET};
    struct err ignored;
    if (!work->target.found)
        return;
    intake_name(work->round, &listing, &work->target.entry, &work->there, &ignored);
    work->result.target_number = work->there.number;
    work->result.target_identity = work->there.identity;
    work->result.target_cos = work->there.cos;
    work->result.target_name = work->there.name;
}

void work_result_digest(const struct work *work, struct work_digest *digest, const struct entry *entry)
{
    if (!digest->known)
        mapping_digest(work->round->mapping, entry, digest->bytes);
    digest->known = true;
}

int work_result(struct work *work, enum store_entry_state state, const char *reason, bool retry,
                struct err *err)
{
    struct round *round = work->round;
    struct store_entry_result *result = &work->result;
    work->state = WORK_DONE;
    if (round->dry)
        return state == STORE_ENTRY_UNPROVEN ? 0 : work_result_difference(work, "keep", reason, err);
    if (work->has_wanted && work->has_counts && state != STORE_ENTRY_EQUAL)
        change_names(round->mapping, &work->wanted, &work->counts, work->names, sizeof(work->names));
    str_into(work->reason, sizeof(work->reason), reason);
    *result = (struct store_entry_result){.entry = &work->entry,
                                          .state = state,
                                          .attributes = work->names,
                                          .reason = work->reason,
                                          .retry = retry,
                                          .wrote = work->wrote,
                                          .known = work->known,
                                          .known_count = work->known_count};
    name_target(work);
    result->target_dn = work->target.found ? work->there.dn : work->entry.target_dn;
    if (work->has_wanted)
        work_result_digest(work, &work->of_wanted, &work->wanted);
    if (work->has_counts)
        work_result_digest(work, &work->of_target, &work->counts);
    result->has_source = work->of_wanted.known;
    result->has_target = work->of_target.known;
    memcpy(result->source, work->of_wanted.bytes, sizeof(result->source));
    memcpy(result->target, work->of_target.bytes, sizeof(result->target));
    work->has_result = true;
    log_result(work, state, work->reason);
    round->written += work->wrote;
    round->refused += state == STORE_ENTRY_DIFFERS || state == STORE_ENTRY_MISSING;
    return 0;
}

int work_result_settled(struct work *work, struct err *err)
{
    char reason[800] = "";
    for (size_t i = 0; i < work->known_count; i++) {
        size_t len = strlen(reason);
        if (work->known[i].refused && len < sizeof(reason))
            snprintf(reason + len, sizeof(reason) - len, "%sthe target refuses %s: %s", len ? "; " : "",
                     work->known[i].name, work->known[i].words);
    }
    return work_result(work, reason[0] ? STORE_ENTRY_DIFFERS : STORE_ENTRY_EQUAL, reason, reason[0] != '\0',
                       err);
}

int work_result_difference(struct work *work, const char *action, const char *reason, struct err *err)
{
    struct round *round = work->round;
    struct buf ldif;
    work->state = WORK_DONE;
    buf_init(&ldif, LDIF_MAX);
    if (reason && *reason)
        buf_addf(&ldif, "# %s: %s\n", work->entry.number, reason);
    change_ldif(&work->change, round->mapping, &ldif);
    char *attributes = change_json(&work->change, round->mapping);
    struct store_difference difference = {.kind = work->entry.kind,
                                          .number = work->entry.number,
                                          .name = work->entry.name,
                                          .dn = work->change.dn ? work->change.dn : work->entry.target_dn,
                                          .action = action,
                                          .attributes = attributes,
                                          .ldif = buf_data(&ldif)};
    int result =
        CRASH_AFTER(DIFFERENCE_RECORDED,
                    store_difference_add(round->tools->store, &round->claim->lease, &difference, err));
    free(attributes);
    buf_fini(&ldif);
    return result;
}
