/*
 * From entries to rows of `listed`; see intake.h. An entry that cannot be mirrored becomes a trouble in words, and holds up
 * nobody.
 */
#include "ldapsync/intake.h"

#include "base/crash.h"
#include "base/str.h"
#include "ldapsync/dn.h"
#include "store/store_listed.h"

#include <stdio.h>
#include <string.h>

void intake_init(struct intake *intake, struct round *round, const struct store_listing *listing)
{
    *intake = (struct intake){.round = round, .listing = *listing};
}

static int take_text(const struct entry *entry, const char *attribute, char *text, size_t size,
                     struct err *err)
{
    size_t values = entry_value_count(entry, attribute);
    if (values == 0)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "has no %s", attribute);
    if (values > 1)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "has %zu values of %s; it must have one", values,
                       attribute);
    entry_text(entry, attribute, text, size);
    if (text[0] == '\0' || strlen(text) >= size - 1)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "its %s is empty, too long or no text", attribute);
    return 0;
}

int intake_name(const struct round *round, const struct store_listing *listing, const struct entry *entry,
                struct store_listed *listed_out, struct err *err)
{
    const struct config_ldap *ldap = round_ldap(round, listing->side);
    bool is_subscriber = listing->kind == STORE_SUBSCRIBER;
    *listed_out = (struct store_listed){0};
    if (dn_normalise(entry->dn, listed_out->dn, sizeof(listed_out->dn)) != 0)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "its DN is too long, or none");
    entry_text(entry, ldap->display_attribute, listed_out->name, sizeof(listed_out->name));
    if (take_text(entry, round_number_attribute(round, listing->side, listing->kind), listed_out->number,
                  sizeof(listed_out->number), err) != 0)
        return -1;
    if (!str_is_mailbox_number(listed_out->number))
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "'%s' is no mailbox number", listed_out->number);
    if (is_subscriber && ldap->id_attribute[0] &&
        take_text(entry, ldap->id_attribute, listed_out->identity, sizeof(listed_out->identity), err) != 0)
        return listing->side == STORE_LISTED_TARGET ? 0 : -1;
    if (!listed_out->identity[0])
        str_into(listed_out->identity, sizeof(listed_out->identity), listed_out->number);
    if (is_subscriber)
        entry_text(entry, ldap->cos_attribute, listed_out->cos, sizeof(listed_out->cos));
    return 0;
}

int intake_flush(struct intake *intake, struct err *err)
{
    size_t count = intake->batched;
    intake->batched = 0;
    if (count == 0)
        return 0;
    return CRASH_AFTER(LISTED, store_listed_add(intake->round->tools->store, &intake->round->claim->lease,
                                                &intake->listing, intake->batch, count, err));
}

static int trouble(struct intake *intake, const char *dn, const char *number, const char *words,
                   struct err *err)
{
    char normal[STORE_DN_BYTES];
    intake->has_trouble = true;
    if (intake->sums_only)
        return 0;
    if (dn_normalise(dn, normal, sizeof(normal)) != 0)
        str_into(normal, sizeof(normal), dn);
    struct store_trouble_entry entry = {.dn = normal, .number = number, .words = words};
    return CRASH_AFTER(TROUBLE_NOTED,
                       store_listed_trouble(intake->round->tools->store, &intake->round->claim->lease,
                                            &intake->listing, &entry, err));
}

/* Keeps of `lacked_by_all` what this entry lacks too. */
static void note_lacks(struct intake *intake, const char *lacks)
{
    char kept[sizeof(intake->lacked_by_all)] = "", padded[sizeof(intake->lacked_by_all) + 2];
    if (!intake->lacked_once) {
        intake->lacked_once = true;
        str_into(intake->lacked_by_all, sizeof(intake->lacked_by_all), lacks);
        return;
    }
    snprintf(padded, sizeof(padded), " %s ", lacks);
    char *rest = intake->lacked_by_all, *name;
    while ((name = strsep(&rest, " ")) != NULL) {
        char word[sizeof(kept)];
        snprintf(word, sizeof(word), " %.300s ", name);
        size_t len = strlen(kept);
        if (*name && strstr(padded, word))
            snprintf(kept + len, sizeof(kept) - len, "%s%.300s", len ? " " : "", name);
    }
    str_into(intake->lacked_by_all, sizeof(intake->lacked_by_all), kept);
}

/* The digest of what the target should hold. An entry that lacks what it must have gets none: it is not compared, nor
 * taken for gone. */
static int digest_production(struct intake *intake, const struct entry *entry, struct store_listed *listed,
                             struct err *err)
{
    const struct mapping *mapping = intake->round->mapping;
    char lacks[sizeof(intake->lacked_by_all)] = "";
    if (intake->listing.kind == STORE_SUBSCRIBER) {
        mapping_lacks(mapping, entry, lacks, sizeof(lacks));
        note_lacks(intake, lacks);
    }
    if (lacks[0])
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER,
                       "shows no %s: it has none, or we may not read it; nothing of it is written", lacks);
    if (mapping_digest_wanted(mapping, entry, listed->digest, err) != 0)
        return -1;
    listed->has_digest = true;
    return 0;
}

static void digest_target(const struct intake *intake, const struct entry *entry, struct store_listed *listed)
{
    mapping_digest(intake->round->mapping, entry, listed->digest);
    listed->has_digest = true;
}

/* The row that stands behind the batch. */
static int take(struct intake *intake, struct err *err)
{
    if (!intake->sums_only)
        return ++intake->batched == STORE_LISTED_BATCH ? intake_flush(intake, err) : 0;
    store_listed_sum_add(&intake->of_request, &intake->batch[0]);
    return 0;
}

int intake_entry(void *context, const struct entry *entry, struct err *err)
{
    struct intake *intake = context;
    struct store_listed *listed = &intake->batch[intake->batched];
    struct err why = {0};
    bool is_production = intake->listing.side == STORE_LISTED_PRODUCTION;
    intake->entries++;
    refresh_note_time(entry, &intake->newest);
    bool named = intake_name(intake->round, &intake->listing, entry, listed, &why) == 0;
    if (named && !intake->listing.names_only && is_production)
        digest_production(intake, entry, listed, &why);
    if (named && !intake->listing.names_only && !is_production)
        digest_target(intake, entry, listed);
    if (why.scope > ERR_MESSAGE) {
        *err = why;
        return -1;
    }
    if (is_production && why.scope != ERR_NONE &&
        trouble(intake, entry->dn, listed->number, why.text, err) != 0)
        return -1;
    if (!named && (is_production || listed->dn[0] == '\0'))
        return 0;
    return take(intake, err);
}

void intake_bad_entry(void *context, const char *dn, const struct err *why)
{
    struct intake *intake = context;
    struct err err = {0};
    if (trouble(intake, dn, "", why->text, &err) != 0)
        round_doubt(intake->round, &err);
}

struct store_listed_sum intake_sum(const struct intake *intake)
{
    struct store_listed_sum sum = intake->sum;
    store_listed_sum_join(&sum, &intake->of_request);
    return sum;
}

void intake_mark(void *context, enum listing_mark mark)
{
    struct intake *intake = context;
    if (mark == LISTING_REQUEST)
        intake->sum = intake_sum(intake);
    if (mark == LISTING_ALL_AGAIN)
        intake->sum = (struct store_listed_sum){0};
    intake->of_request = (struct store_listed_sum){0};
}

const char *intake_lacks(const struct intake *intake)
{
    return intake->entries > 0 ? intake->lacked_by_all : "";
}
