/*
 * Subscribing from the directory; see follow.h.
 */
#include "ldapsync/follow.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"
#include "ldapsync/intake.h"
#include "ldapsync/listing.h"
#include "store/store_follow.h"

#include <stdlib.h>
#include <string.h>

struct following {
    struct round *round;
    uint64_t number; /* of the list */
    char identities[STORE_FOLLOW_BATCH][STORE_IDENTITY_BYTES];
    size_t count;
};

bool follow_is_wanted(const struct config_directory *directory)
{
    return (directory->subscribe_filter && directory->subscribe_filter[0]) ||
           directory->subscribe_numbers.count > 0;
}

/* "4000-4999": with as many digits the order of texts is that of numbers. */
static bool is_in_range(const char *range, const char *number)
{
    size_t digits = strcspn(range, "-");
    return strlen(number) == digits && strncmp(number, range, digits) >= 0 &&
           strcmp(number, range + digits + 1) <= 0;
}

static bool is_in_ranges(const struct config_strings *ranges, const char *number)
{
    for (size_t i = 0; i < ranges->count; i++)
        if (is_in_range(ranges->items[i], number))
            return true;
    return ranges->count == 0;
}

static int flush(struct following *following, struct err *err)
{
    struct round *round = following->round;
    size_t count = following->count;
    following->count = 0;
    if (count == 0)
        return 0;
    return CRASH_AFTER(FOLLOWED_LISTED,
                       store_follow_mark(round->tools->store, &round->claim->lease, following->number,
                                         (const char(*)[STORE_IDENTITY_BYTES])following->identities, count,
                                         err));
}

static int on_entry(void *context, const struct entry *entry, struct err *err)
{
    struct following *following = context;
    struct round *round = following->round;
    const struct store_listing listing = {.kind = STORE_SUBSCRIBER, .side = STORE_LISTED_PRODUCTION};
    struct store_listed listed = {0};
    struct err why = {0};
    if (intake_name(round, &listing, entry, &listed, &why) != 0)
        return 0; /* said where all are listed */
    if (!is_in_ranges(&round->route->directory.subscribe_numbers, listed.number))
        return 0;
    str_into(following->identities[following->count++], STORE_IDENTITY_BYTES, listed.identity);
    return following->count < STORE_FOLLOW_BATCH ? 0 : flush(following, err);
}

/* Only following waits for it: a filter that is none must not stop the passwords. */
static void doubt(struct round *round, const char *words)
{
    struct err why = {0};
    err_set(&why, ERR_SITE, ERR_RETRY_LATER,
            "the list of those to be subscribed (directory.subscribe_filter) is not complete: %s", words);
    err_blame(&why, ERR_SIDE_PRODUCTION);
    round_doubt(round, &why);
}

static int list(struct following *following, bool *whole_out, struct err *err)
{
    struct round *round = following->round;
    const enum store_listed_side side = STORE_LISTED_PRODUCTION;
    const struct config_ldap *ldap = round_ldap(round, side);
    const char *attributes[] = {ldap->mailbox_attribute, ldap->id_attribute[0] ? ldap->id_attribute : NULL,
                                NULL};
    const char *more = round->route->directory.subscribe_filter;
    char *filter = str_format("(&%s%s)", round_filter(round, side, STORE_SUBSCRIBER), more ? more : "");
    const struct listing_params params = {.connection = round->production,
                                          .base = round_base(round, side, STORE_SUBSCRIBER),
                                          .filter = filter,
                                          .number_attribute =
                                              round_number_attribute(round, side, STORE_SUBSCRIBER),
                                          .attributes = attributes,
                                          .page_size = ldap->page_size,
                                          .on_entry = on_entry,
                                          .context = following};
    struct listing *listing = listing_new(&params);
    int result = listing_run(listing, NULL, err);
    *whole_out = result == 0 && listing_is_whole(listing);
    if (result == 0 && !*whole_out)
        doubt(round, listing_why(listing));
    bool refused = result != 0 && err->side == ERR_SIDE_PRODUCTION && connection_is_open(round->production);
    if (refused) {
        doubt(round, err->text);
        err_clear(err);
        result = 0;
    }
    listing_free(listing);
    free(filter);
    return result == 0 ? flush(following, err) : -1;
}

static int apply(struct following *following, struct err *err)
{
    struct round *round = following->round;
    struct store *store = round->tools->store;
    struct store_follow_result result;
    char after[STORE_NUMBER_BYTES] = "";
    uint32_t added = 0;
    int count = STORE_FOLLOW_BATCH;
    if (CRASH_AFTER(FOLLOWED_HELD,
                    store_follow_hold(store, &round->claim->lease, following->number, &result, err)) != 0)
        return -1;
    if (result.in_list == 0)
        log_warning("nobody of production is to be subscribed; nothing is put on hold for that");
    while (count == STORE_FOLLOW_BATCH)
        count = round_guard(round, err) != 0
                    ? -1
                    : store_follow_subscribe(store, &round->claim->lease, following->number,
                                             round->route->name, after, &added, err);
    if (added + result.held + result.resumed > 0)
        log_info("mailboxes follow the directory", LOG_UINT("subscribed", added),
                 LOG_UINT("put_on_hold", result.held), LOG_UINT("resumed", result.resumed));
    return count < 0 ? -1 : 0;
}

int follow_run(struct round *round, struct err *err)
{
    struct following *following = mem_new(sizeof(*following));
    bool whole = false;
    following->round = round;
    int result =
        CRASH_AFTER(LISTING_BEGUN, store_directory_new_listing(round->tools->store, &round->claim->lease,
                                                               &following->number, err));
    if (result == 0)
        result = list(following, &whole, err);
    if (result == 0 && whole)
        result = apply(following, err);
    free(following);
    return result;
}
