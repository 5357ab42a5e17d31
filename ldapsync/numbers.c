/*
 * Numbers exchanged in steps; see numbers.h. All here is rare, so it may wait for answers.
 */
#include "ldapsync/numbers.h"

#include "base/log.h"
#include "base/str.h"
#include "ldapsync/change.h"
#include "ldapsync/listing.h"
#include "ldapsync/retire.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARKING_TRIES = 40 };

static const char *number_attribute(const struct round *round, enum store_kind kind)
{
    return round_number_attribute(round, STORE_LISTED_TARGET, kind);
}

/* A number of the same length (one more after many tries) that neither side has. */
static int choose_parking(struct round *round, const struct store_listed_holder *holder, const char *number,
                          char parking[STORE_NUMBER_BYTES], struct err *err)
{
    size_t len = strlen(number);
    for (int i = 0; i < PARKING_TRIES; i++) {
        unsigned char random[STORE_NUMBER_BYTES];
        bool used = true;
        unsigned there = 0;
        size_t digits = len + (size_t)(i >= PARKING_TRIES / 2);
        if (digits >= STORE_NUMBER_BYTES || RAND_bytes(random, (int)digits) != 1)
            break;
        for (size_t j = 0; j < digits; j++)
            parking[j] = j == 0 ? '9' : (char)('0' + random[j] % 10);
        parking[digits] = '\0';
        if (store_listed_number_is_used(round->tools->store, round->claim->lease.route_id, STORE_SUBSCRIBER,
                                        parking, &used, err) != 0)
            return -1;
        if (used)
            continue;
        char *filter = listing_filter_equals(round_filter(round, STORE_LISTED_TARGET, STORE_SUBSCRIBER),
                                             number_attribute(round, STORE_SUBSCRIBER), parking);
        int result = listing_probe(round->target, round_base(round, STORE_LISTED_TARGET, STORE_SUBSCRIBER),
                                   filter, &there, err);
        free(filter);
        if (result != 0 || there == 0)
            return result;
    }
    return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "no free number was found to park %s at meanwhile",
                   holder->number);
}

static int await_result(struct round *round, int message_id, const char *dn, struct err *err)
{
    LDAPMessage *message = NULL;
    char words[512];
    int code = LDAP_OTHER;
    if (connection_wait(round->target, message_id, &message, err) != 0)
        return -1;
    int result = connection_result(round->target, message, &code, words, err);
    ldap_msgfree(message);
    if (result == 0 && code != LDAP_SUCCESS) {
        connection_fail(round->target, code, words, err);
        return err_prefix(err, "park %s", dn);
    }
    return result;
}

/* The holder's entry as it would be with the other number: change_make() finds the way, a rename where the RDN has it. */
static int park(struct round *round, const struct store_listed_holder *holder, const char *number,
                struct err *err)
{
    struct entry there = {0}, counts = {0}, wanted = {0};
    struct change change = {0};
    char parking[STORE_NUMBER_BYTES];
    bool found = false;
    const char *attribute = number_attribute(round, STORE_SUBSCRIBER);
    int message_id = 0, code;
    if (choose_parking(round, holder, number, parking, err) != 0 ||
        listing_read(round->target, holder->dn, "(objectClass=*)", &there, &found, err) != 0)
        return -1;
    char now[STORE_NUMBER_BYTES];
    if (!found || !str_equal(entry_text(&there, attribute, now, sizeof(now)), number)) {
        entry_fini(&there); /* not there any more: free */
        return 0;
    }
    mapping_counts(round->mapping, &there, &counts);
    entry_copy(&counts, &wanted);
    entry_drop(&wanted, attribute);
    entry_add(&wanted, attribute, parking, strlen(parking));
    change_number_in_dn(&wanted, attribute, parking);
    change_make(&(struct change_request){.mapping = round->mapping, .wanted = &wanted, .target = &counts},
                &change);
    code = change.new_rdn ? ldap_rename(connection_handle(round->target), change.dn, change.new_rdn, NULL, 1,
                                        NULL, NULL, &message_id)
                          : ldap_modify_ext(connection_handle(round->target), change.dn, change.mods, NULL,
                                            NULL, &message_id);
    if (code != LDAP_SUCCESS)
        connection_fail(round->target, code, "", err);
    else if (await_result(round, message_id, holder->dn, err) == 0)
        log_info("number made free: its entry is parked meanwhile", LOG_STR("number", number),
                 LOG_STR("parked_at", parking), LOG_STR("dn", holder->dn));
    code = err->scope == ERR_NONE ? 0 : -1;
    if (code == 0)
        code = retire_note_number(round, holder, wanted.dn, parking, err);
    change_fini(&change);
    entry_fini(&there);
    entry_fini(&counts);
    entry_fini(&wanted);
    return code;
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
