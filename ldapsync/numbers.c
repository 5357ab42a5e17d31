/*
 * Numbers exchanged in steps; see numbers.h. All here is rare, so it may wait for answers.
 */
#include "ldapsync/numbers.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "ldapsync/change.h"
#include "ldapsync/dn.h"
#include "ldapsync/listing.h"
#include "ldapsync/retire.h"
#include "ldapsync/results.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARKING_TRIES = 40 };

static const char *number_attribute(const struct round *round)
{
    return round_number_attribute(round, STORE_LISTED_TARGET, STORE_SUBSCRIBER);
}

static int is_free(struct round *round, const char *number, bool *free_out, struct err *err)
{
    const struct listing_probe probe = {.base = round_base(round, STORE_LISTED_TARGET, STORE_SUBSCRIBER),
                                        .filter = round_filter(round, STORE_LISTED_TARGET, STORE_SUBSCRIBER),
                                        .attribute = number_attribute(round),
                                        .value = number};
    bool used = true;
    unsigned there = 0;
    if (store_listed_number_is_used(round->tools->store, round->claim->lease.route_id, STORE_SUBSCRIBER,
                                    number, &used, err) != 0)
        return -1;
    if (!used && listing_probe(round->target, &probe, &there, err) != 0)
        return -1;
    *free_out = !used && there == 0;
    return 0;
}

/* A number of the same length (one more after many tries) that neither side has. */
static int choose_parking(struct round *round, const char *number, char parking[STORE_NUMBER_BYTES],
                          struct err *err)
{
    for (int i = 0; i < PARKING_TRIES; i++) {
        unsigned char random[STORE_NUMBER_BYTES];
        bool free_there = false;
        size_t digits = strlen(number) + (size_t)(i >= PARKING_TRIES / 2);
        if (digits >= STORE_NUMBER_BYTES || RAND_bytes(random, (int)digits) != 1)
            break;
        for (size_t j = 0; j < digits; j++)
            parking[j] = j == 0 ? '9' : (char)('0' + random[j] % 10);
        parking[digits] = '\0';
        if (is_free(round, parking, &free_there, err) != 0)
            return -1;
        if (free_there)
            return 0;
    }
    return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "no free number was found to park %s at meanwhile",
                   number);
}

static int write_change(struct round *round, const struct change *change, struct err *err)
{
    LDAP *handle = connection_handle(round->target);
    char words[CONNECTION_WORDS_BYTES] = "";
    int id;
    if (round_guard(round, err) != 0)
        return -1;
    int code = change->new_rdn
                   ? CRASH_AFTER(ENTRY_RENAME_SENT, ldap_rename(handle, change->dn, change->new_rdn, NULL,
                                                                !change->keep_old_rdn, NULL, NULL, &id))
                   : CRASH_AFTER(ENTRY_MODIFY_SENT,
                                 ldap_modify_ext(handle, change->dn, change->mods, NULL, NULL, &id));
    if (code == LDAP_SUCCESS && connection_finish(round->target, id, &code, words, err) != 0)
        return -1;
    return code == LDAP_SUCCESS ? CRASH_AFTER(ENTRY_WRITTEN, 0)
                                : connection_fail(round->target, code, words, err);
}

/* The entry as it would be with the other number: change_make() finds the way, a rename where the RDN has it. */
static int write_number(struct round *round, const struct entry *there, const char *number,
                        char dn[STORE_DN_BYTES], struct err *err)
{
    struct entry counts = {0}, wanted = {0};
    struct change change = {0};
    mapping_counts(round->mapping, there, &counts);
    entry_copy(&counts, &wanted);
    entry_drop(&wanted, number_attribute(round));
    entry_add(&wanted, number_attribute(round), number, strlen(number));
    change_number_in_dn(&wanted, number_attribute(round), number);
    change_make(&(struct change_request){.mapping = round->mapping, .wanted = &wanted, .target = &counts},
                &change);
    dn_normalise(wanted.dn, dn, STORE_DN_BYTES);
    int result = write_change(round, &change, err);
    change_fini(&change);
    entry_fini(&counts);
    entry_fini(&wanted);
    return result;
}

static int park(struct round *round, const struct store_listed_holder *holder, const char *number,
                struct err *err)
{
    struct entry there = {0};
    char parking[STORE_NUMBER_BYTES], now[STORE_NUMBER_BYTES], dn[STORE_DN_BYTES];
    struct store_entry_moved moved = {.entry_id = holder->entry_id, .target_dn = dn, .number = parking};
    bool found = false;
    if (choose_parking(round, number, parking, err) != 0 ||
        listing_read(round->target, holder->dn, "(objectClass=*)", &there, &found, err) != 0)
        return -1;
    bool has_it = found && str_equal(entry_text(&there, number_attribute(round), now, sizeof(now)), number);
    int result = has_it ? write_number(round, &there, parking, dn, err) : 0;
    entry_fini(&there);
    if (!has_it || result != 0)
        return result; /* not there any more: free */
    log_info("number made free: its entry is parked meanwhile", LOG_STR("number", number),
             LOG_STR("parked_at", parking), LOG_STR("dn", holder->dn));
    return CRASH_AFTER(NUMBER_MOVED,
                       store_entry_note_moved(round->tools->store, &round->claim->lease, &moved, err));
}

static int waits(char why[NUMBERS_WHY_BYTES], enum numbers_verdict *verdict_out, const char *words)
{
    *verdict_out = NUMBERS_WAITS;
    str_into(why, NUMBERS_WHY_BYTES, words);
    return 0;
}

int numbers_make_free(struct round *round, const struct store_entry *entry, enum numbers_verdict *verdict_out,
                      char why[NUMBERS_WHY_BYTES], struct err *err)
{
    struct store_listed_holder holder = {0};
    struct err own = {0};
    uint32_t route_id = round->claim->lease.route_id;
    bool has_former = false;
    *verdict_out = NUMBERS_FREE;
    if (entry
            ->number_is_free) /* nobody else's gets this one meanwhile: it is one entry's of production, and parked ones are neither's */
        return 0;
    if (store_entry_has_former_owner(round->tools->store, route_id, entry->number, entry->identity,
                                     &has_former, err) != 0)
        return -1;
    if (has_former)
        return waits(why, verdict_out,
                     "its number was another person's, whose messages are still on the target");
    if (store_listed_number_holder(round->tools->store, route_id, entry->kind, entry->number,
                                   entry->target_dn, &holder, err) != 0)
        return -1;
    if (holder.dn[0] == '\0')
        return 0;
    /* The holder may be through with its own work, and have another number by now. */
    if (results_flush(round->results, err) != 0 ||
        store_listed_number_holder(round->tools->store, route_id, entry->kind, entry->number,
                                   entry->target_dn, &holder, err) != 0)
        return -1;
    if (holder.dn[0] == '\0')
        return 0;
    if (holder.entry_id == 0) {
        err_set(
            &own, ERR_MESSAGE, ERR_RETRY_LATER,
            "its number is that of %s on the target, which did not come from us: remove or renumber it there",
            holder.dn);
        return waits(why, verdict_out, own.text);
    }
    int result =
        holder.number[0] ? park(round, &holder, entry->number, &own) : retire_former(round, &holder, &own);
    if (result == 0)
        return 0;
    if (own.scope > ERR_MESSAGE) {
        *err = own;
        return -1;
    }
    err_prefix(&own, "its number is still another's on the target");
    return waits(why, verdict_out, own.text);
}
