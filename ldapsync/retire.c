/*
 * Removing entries from the target; see retire.h. All of it is rare and waits for its answers.
 */
#include "ldapsync/retire.h"

#include "base/buf.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "ldapsync/change.h"
#include "ldapsync/listing.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 32 };

static bool is_test_mailbox(const struct round *round, const char *number)
{
    const struct config_strings *lists[] = {&round->route->from_site->test_mailboxes,
                                            &round->route->to_site->test_mailboxes};
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < lists[i]->count; j++)
            if (str_equal(lists[i]->items[j], number))
                return true;
    return false;
}

static bool has_id(const struct round *round, enum store_listed_side side, const struct store_entry *entry)
{
    return entry->kind == STORE_SUBSCRIBER && round_ldap(round, side)->id_attribute[0];
}

/* Two lists without it, and there it is: such lists prove nothing, and nothing more is removed by them. */
static void doubt_lists(struct round *round, const struct store_entry *entry)
{
    struct err why = {0};
    err_set(&why, ERR_SITE, ERR_RETRY_LATER,
            "production's lists were told to be complete, but lacked %s %s, which is there: nothing is "
            "removed by them; look for what its directory leaves out",
            round_kind_word(entry->kind), entry->number);
    err_blame(&why, ERR_SIDE_PRODUCTION);
    round_doubt(round, &why);
    round->names_whole = false;
}

/* Production is asked for this very entry: by DN, and by what identifies it. One that is there and shows it no more was not
 * replaced by another: we may not read it. */
static int is_gone(struct round *round, const struct store_entry *entry, bool *gone_out, struct err *err)
{
    struct listing_probe probe = {
        .base = round_base(round, STORE_LISTED_PRODUCTION, entry->kind),
        .filter = round_filter(round, STORE_LISTED_PRODUCTION, entry->kind),
        .attribute = has_id(round, STORE_LISTED_PRODUCTION, entry)
                         ? round_ldap(round, STORE_LISTED_PRODUCTION)->id_attribute
                         : round_number_attribute(round, STORE_LISTED_PRODUCTION, entry->kind),
        .value = entry->identity};
    struct entry there = {0};
    char identity[STORE_IDENTITY_BYTES];
    bool found = false;
    unsigned count = 0;
    *gone_out = false;
    if (listing_read(round->production, entry->source_dn, probe.filter, &there, &found, err) != 0)
        return -1;
    entry_text(&there, probe.attribute, identity, sizeof(identity));
    entry_fini(&there);
    if (found && identity[0] == '\0')
        return 0;
    count = found && str_equal(identity, entry->identity);
    if (count == 0 && listing_probe(round->production, &probe, &count, err) != 0)
        return -1;
    *gone_out = count == 0;
    if (count > 0)
        doubt_lists(round, entry);
    return 0;
}

/* A DN of the target may have become another's since it was listed. Told by its id, or, where it shows none, by its number. */
static int is_anothers(struct round *round, const struct store_entry *entry, bool *anothers_out,
                       struct err *err)
{
    struct entry there = {0};
    char text[STORE_IDENTITY_BYTES] = "";
    const char *ours = entry->identity;
    bool found = false;
    if (listing_read(round->target, entry->target_dn, "(objectClass=*)", &there, &found, err) != 0)
        return -1;
    if (has_id(round, STORE_LISTED_TARGET, entry))
        entry_text(&there, round_ldap(round, STORE_LISTED_TARGET)->id_attribute, text, sizeof(text));
    if (!text[0]) {
        entry_text(&there, round_number_attribute(round, STORE_LISTED_TARGET, entry->kind), text,
                   sizeof(text));
        ours = entry->number;
    }
    entry_fini(&there);
    *anothers_out = found && !str_equal(text, ours);
    return 0;
}

/* Asked there, not only in what was listed: a subscriber may have come since. */
static int is_cos_in_use(struct round *round, const char *cos, bool *in_use_out, struct err *err)
{
    const struct listing_probe probe = {.base = round_base(round, STORE_LISTED_TARGET, STORE_SUBSCRIBER),
                                        .filter = "(objectClass=*)",
                                        .attribute = round_ldap(round, STORE_LISTED_TARGET)->cos_attribute,
                                        .value = cos};
    unsigned count = 0;
    if (listing_probe(round->target, &probe, &count, err) != 0)
        return -1;
    *in_use_out = count > 0;
    return 0;
}

static int delete_entry(struct round *round, const char *dn, char words[CONNECTION_WORDS_BYTES],
                        int *code_out, struct err *err)
{
    int id;
    if (round_guard(round, err) != 0)
        return -1;
    int code = CRASH_AFTER(ENTRY_DELETE_SENT,
                           ldap_delete_ext(connection_handle(round->target), dn, NULL, NULL, &id));
    return code == LDAP_SUCCESS ? connection_finish(round->target, id, code_out, words, err)
                                : connection_fail(round->target, code, "", err);
}

static int step(struct round *round, const struct store_entry *entry, enum store_entry_removed step,
                const char *words, struct err *err)
{
    return CRASH_AFTER(REMOVAL_STEP, store_entry_remove(round->tools->store, &round->claim->lease,
                                                        entry->entry_id, step, words, err));
}

static int refuse(struct round *round, const struct store_entry *entry, const char *words, struct err *err)
{
    return step(round, entry, STORE_ENTRY_NOT_REMOVED, words, err);
}

static int leave_to_another(struct round *round, const struct store_entry *entry, struct err *err)
{
    log_warning("entry not removed: on the target it is another's by now",
                LOG_STR("kind", round_kind_word(entry->kind)), LOG_STR("number", entry->number),
                LOG_STR("dn", entry->target_dn));
    return step(round, entry, STORE_ENTRY_REMOVED, "", err);
}

static int carry_out(struct round *round, const struct store_entry *entry, struct err *err)
{
    bool anothers = false;
    char words[CONNECTION_WORDS_BYTES] = "";
    int code = LDAP_OTHER;
    struct err why = {0};
    if (is_anothers(round, entry, &anothers, err) != 0)
        return -1;
    if (anothers)
        return leave_to_another(round, entry, err);
    if (step(round, entry, STORE_ENTRY_BEGIN, "", err) != 0 ||
        delete_entry(round, entry->target_dn, words, &code, err) != 0)
        return -1;
    if (code != LDAP_SUCCESS && code != LDAP_NO_SUCH_OBJECT) {
        connection_fail(round->target, code, words, &why);
        if (why.scope > ERR_MESSAGE) {
            *err = why;
            return -1;
        }
        return refuse(round, entry, why.text, err);
    }
    CRASH_POINT(ENTRY_DELETED);
    round->removed++;
    log_info("entry removed: it is gone from production", LOG_STR("kind", round_kind_word(entry->kind)),
             LOG_STR("number", entry->number));
    return step(round, entry, STORE_ENTRY_REMOVED, "", err);
}

static int say_difference(struct round *round, const struct store_entry *entry, struct err *err)
{
    bool held = entry->state == STORE_ENTRY_HELD;
    char *ldif = held ? str_format("# %s would be held for a person to decide\n", entry->number)
                      : str_format("dn: %s\nchangetype: delete\n\n", entry->target_dn);
    struct store_difference difference = {.kind = entry->kind,
                                          .number = entry->number,
                                          .name = entry->name,
                                          .dn = entry->target_dn,
                                          .action = held ? "hold" : "remove",
                                          .attributes = "[]",
                                          .ldif = ldif};
    int result =
        CRASH_AFTER(DIFFERENCE_RECORDED,
                    store_difference_add(round->tools->store, &round->claim->lease, &difference, err));
    free(ldif);
    return result;
}

static int try_one(struct round *round, const struct store_entry *entry, struct err *err)
{
    bool gone = false, in_use = false;
    if (is_test_mailbox(round, entry->number))
        return round->dry ? 0 : step(round, entry, STORE_ENTRY_NEVER, "a test mailbox is never removed", err);
    if (is_gone(round, entry, &gone, err) != 0)
        return -1;
    if (!gone)
        return round->dry ? 0 : step(round, entry, STORE_ENTRY_NOT_GONE, "", err);
    if (entry->kind == STORE_COS && is_cos_in_use(round, entry->number, &in_use, err) != 0)
        return -1;
    if (in_use)
        return round->dry ? 0 : refuse(round, entry, "subscribers of the target still have this COS", err);
    return round->dry ? say_difference(round, entry, err) : carry_out(round, entry, err);
}

/* What either side says of this one entry alone does not hold up the others. */
static int retire_one(struct round *round, const struct store_entry *entry, struct err *err)
{
    struct err own = {0};
    if (try_one(round, entry, &own) == 0)
        return 0;
    if (own.scope <= ERR_MESSAGE && !round->dry)
        return refuse(round, entry, own.text, err);
    if (own.scope <= ERR_MESSAGE)
        return 0;
    *err = own;
    return -1;
}

int retire_gone(struct round *round, enum store_kind kind, struct err *err)
{
    struct store_entry_removal removal = {
        .limits = &round->route->directory, .kind = kind, .dry = round->dry};
    struct store_entry *entries = mem_new(BATCH * sizeof(*entries));
    uint64_t after = 0;
    int count, result = 0;
    do {
        count = store_entry_removable(round->tools->store, &round->claim->lease, &removal, after, entries,
                                      BATCH, err);
        if (count < 0)
            result = -1;
        for (int i = 0; result == 0 && i < count && round->names_whole; i++) {
            after = entries[i].entry_id;
            result = retire_one(round, &entries[i], err);
        }
    } while (result == 0 && count == BATCH && round->names_whole);
    free(entries);
    if (result != 0 || after == 0 || round->dry)
        return result;
    return CRASH_AFTER(ENTRY_PLAN_ENDED,
                       store_entry_plan_end(round->tools->store, &round->claim->lease, kind, err));
}

int retire_former(struct round *round, const struct store_listed_holder *holder, struct err *err)
{
    struct store_entry former;
    bool gone = false;
    if (store_entry_find(round->tools->store, holder->entry_id, &former, err) != 0)
        return -1;
    if (former.state == STORE_ENTRY_KEPT)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER,
                       "its former owner's entry %s is kept: remove or renumber it there", former.target_dn);
    if (is_gone(round, &former, &gone, err) != 0)
        return -1;
    if (!gone)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "its owner is still on production");
    return carry_out(round, &former, err);
}
