/*
 * Complete listings; see listing.h.
 *
 *   PAGES ---- not known ----> ALL AT ONCE
 *     '---- sizeLimitExceeded ------'----> RANGES of digits, or (numbers that are integers) of values
 *
 * Entries that came before a limit cut in come again with the ranges: on_entry may see them twice, which is harmless, since
 * what it does with them is the same; who counts them is told by on_mark.
 */
#include "ldapsync/listing.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "ldapsync/ranges.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_ENTRIES = 200, WAIT_MS = 500, WHY_BYTES = 300, SPLITS_FOR_NOTHING = 100 };

struct listing {
    struct listing_params params;
    struct ranges *ranges; /* NULL: by pages, or in one */
    bool paged;
    bool ended;
    int message_id;
    struct berval cookie;
    uint64_t count, in_request; /* entries so far; of this request */
    uint64_t before_ranges;     /* those that came before a limit cut in */
    uint64_t splits;            /* ranges that were too much */
    uint64_t announced;         /* the most that a page's control said there are in all */
    int64_t answer_until_boot_ms;
    char why[WHY_BYTES]; /* why it is not whole; "" */
};

struct listing *listing_new(const struct listing_params *params)
{
    struct listing *listing = mem_new(sizeof(*listing));
    listing->params = *params;
    listing->paged =
        params->page_size > 0 && connection_offers_control(params->connection, LDAP_CONTROL_PAGEDRESULTS);
    return listing;
}

void listing_free(struct listing *listing)
{
    if (!listing)
        return;
    if (listing->message_id && connection_is_open(listing->params.connection))
        ldap_abandon_ext(connection_handle(listing->params.connection), listing->message_id, NULL, NULL);
    ranges_free(listing->ranges);
    ber_memfree(listing->cookie.bv_val);
    free(listing);
}

const char *listing_why(const struct listing *listing)
{
    return listing->why[0] ? listing->why : "it is not at its end";
}

static void doubt(struct listing *listing, const char *why)
{
    if (!listing->why[0])
        str_into(listing->why, sizeof(listing->why), why);
}

static void wait_anew(struct listing *listing, uint32_t seconds)
{
    listing->answer_until_boot_ms = clock_boot_ms() + (int64_t)seconds * 1000;
}

static void tell(const struct listing *listing, enum listing_mark mark)
{
    if (listing->params.on_mark)
        listing->params.on_mark(listing->params.context, mark);
}

/* 0, or -1: the connection is gone. */
static int send_request(struct listing *listing, const char *filter, uint32_t answer_seconds, struct err *err)
{
    LDAP *handle = connection_handle(listing->params.connection);
    LDAPControl *page = NULL, *controls[2] = {NULL, NULL};
    if (listing->paged && !listing->ranges &&
        ldap_create_page_control(handle, (ber_int_t)listing->params.page_size,
                                 listing->cookie.bv_val ? &listing->cookie : NULL, 0, &page) == LDAP_SUCCESS)
        controls[0] = page;
    int code = ldap_search_ext(handle, listing->params.base, LDAP_SCOPE_SUBTREE, filter,
                               (char **)(uintptr_t)listing->params.attributes, 0, controls, NULL, NULL, 0,
                               &listing->message_id);
    ldap_control_free(page);
    listing->in_request = 0;
    tell(listing, LISTING_REQUEST);
    wait_anew(listing, answer_seconds);
    if (code == LDAP_SUCCESS)
        return 0;
    listing->message_id = 0;
    connection_fail(listing->params.connection, code, "", err);
    if (code == LDAP_FILTER_ERROR)
        err_prefix(err, "correct subscriber_filter, cos_filter or subscribe_filter (RFC 4515): %.200s",
                   filter);
    err->scope = ERR_SITE;
    return -1;
}

static uint32_t answer_seconds(const struct listing *listing)
{
    return connection_answer_seconds(listing->params.connection);
}

/* Asks on, or is at its end. */
static int go_on(struct listing *listing, struct err *err)
{
    const char *filter = listing->ranges ? ranges_next(listing->ranges) : listing->params.filter;
    listing->ended = !filter;
    return filter ? send_request(listing, filter, answer_seconds(listing), err) : 0;
}

static int begin_ranges(struct listing *listing, enum ranges_form form, struct err *err)
{
    ranges_free(listing->ranges);
    listing->ranges = ranges_new(listing->params.filter, listing->params.number_attribute, form);
    listing->before_ranges = listing->count;
    listing->announced = 0;
    tell(listing, LISTING_ALL_AGAIN);
    return go_on(listing, err);
}

/* ---- answers ---- */

static int take_entry(struct listing *listing, LDAPMessage *message, struct err *err)
{
    struct entry entry;
    struct err why = {0};
    int result = 0;
    listing->in_request++;
    if (entry_read(connection_handle(listing->params.connection), message, &entry, &why) != 0) {
        doubt(listing, "an entry could not be read");
        if (listing->params.on_bad_entry)
            listing->params.on_bad_entry(listing->params.context, entry.dn ? entry.dn : "", &why);
    } else {
        listing->count++;
        result = listing->params.on_entry(listing->params.context, &entry, err);
    }
    entry_fini(&entry);
    return result;
}

static void take_page_control(struct listing *listing, LDAPControl **controls)
{
    LDAPControl *control = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL);
    ber_int_t estimate = 0;
    ber_memfree(listing->cookie.bv_val);
    listing->cookie = (struct berval){0};
    if (!control) {
        if (listing->paged && !listing->ranges)
            doubt(listing, "a page came without its control");
        return;
    }
    if (ldap_parse_pageresponse_control(connection_handle(listing->params.connection), control, &estimate,
                                        &listing->cookie) != LDAP_SUCCESS)
        doubt(listing, "a page's control cannot be read");
    if (estimate > 0 && (uint64_t)estimate > listing->announced)
        listing->announced = (uint64_t)estimate;
}

static bool is_limit(int code)
{
    return code == LDAP_SIZELIMIT_EXCEEDED || code == LDAP_ADMINLIMIT_EXCEEDED ||
           code == LDAP_TIMELIMIT_EXCEEDED;
}

/* The server would have to know pages, or gives no more: by ranges, which are split as far as it takes; but not by one who
 * finds everything too much, be it nothing. */
static int after_limit(struct listing *listing, int code, const char *words, struct err *err)
{
    if (!listing->ranges)
        return begin_ranges(listing, RANGES_PREFIXES, err);
    bool is_hopeless = ++listing->splits > SPLITS_FOR_NOTHING + listing->count;
    if (!is_hopeless && ranges_split(listing->ranges)) {
        tell(listing, LISTING_REQUEST_AGAIN);
        return go_on(listing, err);
    }
    connection_fail(listing->params.connection, code, words, err);
    doubt(listing, err->text);
    err_clear(err);
    listing->ended = is_hopeless;
    return is_hopeless ? 0 : go_on(listing, err);
}

static int after_refusal(struct listing *listing, int code, const char *words, struct err *err)
{
    struct err why = {0};
    bool of_pages = listing->paged && !listing->ranges && !listing->in_request &&
                    (code == LDAP_UNAVAILABLE_CRITICAL_EXTENSION || code == LDAP_UNWILLING_TO_PERFORM);
    if (of_pages) {
        listing->paged = false;
        return go_on(listing, err);
    }
    connection_fail(listing->params.connection, code, words, &why);
    doubt(listing, why.text);
    listing->ended = true;
    if (why.scope < ERR_SITE || code == LDAP_BUSY || code == LDAP_UNAVAILABLE)
        return 0;
    *err = why;
    return -1;
}

static int end_well(struct listing *listing)
{
    listing->ended = true;
    if (listing->announced > listing->count)
        doubt(listing, "fewer entries came than were announced");
    return 0;
}

static int take_end(struct listing *listing, LDAPMessage *message, struct err *err)
{
    char *words = NULL, **referrals = NULL;
    LDAPControl **controls = NULL;
    int code = LDAP_OTHER, result;
    listing->message_id = 0;
    if (ldap_parse_result(connection_handle(listing->params.connection), message, &code, NULL, &words,
                          &referrals, &controls, 0) != LDAP_SUCCESS)
        code = LDAP_DECODING_ERROR;
    if (code == LDAP_REFERRAL || (referrals && referrals[0]))
        doubt(listing, "a part of it is at another server, which is not asked");
    if (code == LDAP_SUCCESS)
        take_page_control(listing, controls);
    if (is_limit(code))
        result = after_limit(listing, code, words, err);
    else if (code != LDAP_SUCCESS)
        result = after_refusal(listing, code, words, err);
    else if (listing->cookie.bv_len > 0 || listing->ranges)
        result = go_on(listing, err);
    else
        result = end_well(listing);
    ldap_memfree(words);
    ldap_memvfree((void **)referrals);
    ldap_controls_free(controls);
    return result;
}

static int take_message(struct listing *listing, LDAPMessage *message, struct err *err)
{
    wait_anew(listing, answer_seconds(listing));
    if (ldap_msgid(message) != listing->message_id)
        return 0;
    switch (ldap_msgtype(message)) {
    case LDAP_RES_SEARCH_ENTRY:
        return take_entry(listing, message, err);
    case LDAP_RES_SEARCH_REFERENCE:
        doubt(listing, "a part of it is at another server, which is not asked");
        return 0;
    case LDAP_RES_SEARCH_RESULT:
        return take_end(listing, message, err);
    default:
        return 0;
    }
}

/* Ranges must find what is known to be there: servers answer a prefix of an integer with nothing, and success. -1: the
 * connection is gone. */
static int check_ranges(struct listing *listing, struct err *err)
{
    const struct listing_probe probe = {.base = listing->params.base, .filter = listing->params.filter};
    unsigned there = 0;
    if (!listing->ranges || listing->count > listing->before_ranges)
        return 0;
    if (listing_probe(listing->params.connection, &probe, &there, err) != 0)
        return -1;
    if (there == 0)
        return 0;
    if (ranges_form(listing->ranges) == RANGES_PREFIXES) {
        listing->ended = false;
        return begin_ranges(listing, RANGES_VALUES, err);
    }
    doubt(listing, "the directory finds no ranges of numbers, and gives no pages");
    return 0;
}

int listing_step(struct listing *listing, bool *ended_out, struct err *err)
{
    *ended_out = false;
    if (!listing->message_id && !listing->ended && go_on(listing, err) != 0)
        return -1;
    for (int i = 0; i < STEP_ENTRIES && !listing->ended; i++) {
        LDAPMessage *message = NULL;
        if (connection_any(listing->params.connection, 0, &message, err) != 0)
            return -1;
        if (!message && clock_boot_ms() > listing->answer_until_boot_ms)
            return connection_is_silent(listing->params.connection, err);
        if (!message)
            return 0;
        int result = take_message(listing, message, err);
        ldap_msgfree(message);
        if (result != 0)
            return -1;
    }
    if (listing->ended && !listing->why[0] && check_ranges(listing, err) != 0)
        return -1;
    *ended_out = listing->ended;
    return 0;
}

bool listing_is_whole(const struct listing *listing)
{
    return listing->ended && !listing->why[0];
}

/* ---- both at once ---- */

static int step_one(struct listing *listing, bool *going_out, bool *moved_out, struct err *err)
{
    bool ended = false;
    uint64_t before = listing ? listing->count : 0;
    if (!*going_out)
        return 0;
    if (listing_step(listing, &ended, err) != 0)
        return -1;
    *going_out = !ended;
    *moved_out = *moved_out || listing->count != before || ended;
    return 0;
}

int listing_run(struct listing *a, struct listing *b, struct err *err)
{
    bool a_goes = a != NULL, b_goes = b != NULL;
    while (a_goes || b_goes) {
        struct pollfd fds[2];
        nfds_t count = 0;
        bool moved = false;
        if (step_one(a, &a_goes, &moved, err) != 0 || step_one(b, &b_goes, &moved, err) != 0)
            return -1;
        if (!connection_tick((a ? a : b)->params.connection, err))
            return -1;
        if (moved)
            continue;
        if (a_goes)
            fds[count++] = (struct pollfd){.fd = connection_fd(a->params.connection), .events = POLLIN};
        if (b_goes)
            fds[count++] = (struct pollfd){.fd = connection_fd(b->params.connection), .events = POLLIN};
        poll(fds, count, WAIT_MS);
    }
    return 0;
}

/* ---- single entries ---- */

struct asked {
    struct entry *entry; /* NULL: only counts */
    unsigned count;
    bool elsewhere; /* referral */
};

static int take_single(struct connection *connection, LDAPMessage *message, struct asked *asked,
                       int *code_out, char words[512], struct err *err)
{
    switch (ldap_msgtype(message)) {
    case LDAP_RES_SEARCH_ENTRY:
        asked->count++;
        return asked->entry && asked->count == 1
                   ? entry_read(connection_handle(connection), message, asked->entry, err)
                   : 0;
    case LDAP_RES_SEARCH_REFERENCE:
        asked->elsewhere = true;
        return 0;
    default:
        return connection_result(connection, message, code_out, words, err);
    }
}

static int ask(struct connection *connection, const char *base, int scope, const char *filter,
               struct asked *asked, struct err *err)
{
    char *none[] = {LDAP_NO_ATTRS, NULL}, words[512] = "";
    int id, code = -1, result = 0, type = 0;
    if (!connection_is_open(connection))
        return err_set(err, ERR_SITE, ERR_RETRY_LATER, "connection lost");
    code = ldap_search_ext(connection_handle(connection), base, scope, filter, asked->entry ? NULL : none, 0,
                           NULL, NULL, NULL, scope == LDAP_SCOPE_BASE ? 0 : 2, &id);
    if (code != LDAP_SUCCESS)
        return connection_fail(connection, code, "", err);
    while (result == 0 && type != LDAP_RES_SEARCH_RESULT) {
        LDAPMessage *message = NULL;
        if (connection_wait(connection, id, &message, err) != 0)
            return -1;
        type = ldap_msgtype(message);
        result = take_single(connection, message, asked, &code, words, err);
        ldap_msgfree(message);
    }
    if (result != 0)
        return -1;
    if (asked->elsewhere || code == LDAP_REFERRAL)
        return err_set(err, ERR_MESSAGE, ERR_RETRY_LATER, "it is at another server, which is not asked");
    bool fine = code == LDAP_SUCCESS || code == LDAP_NO_SUCH_OBJECT ||
                (code == LDAP_SIZELIMIT_EXCEEDED && asked->count);
    return fine ? 0 : connection_fail(connection, code, words, err);
}

int listing_read(struct connection *connection, const char *dn, const char *filter, struct entry *entry_out,
                 bool *found_out, struct err *err)
{
    struct asked asked = {.entry = entry_out};
    *entry_out = (struct entry){0};
    int result = ask(connection, dn, LDAP_SCOPE_BASE, filter, &asked, err);
    *found_out = result == 0 && asked.count > 0;
    if (result != 0)
        entry_fini(entry_out);
    return result;
}

/* The value escaped (RFC 4515). The caller frees. */
static char *filter_of(const struct listing_probe *probe)
{
    const char *value = probe->attribute ? probe->value : "";
    struct berval raw = {.bv_len = strlen(value), .bv_val = (char *)(uintptr_t)value}, escaped = {0};
    char *text = NULL;
    if (!probe->attribute)
        return str_copy(probe->filter);
    if (ldap_bv2escaped_filter_value(&raw, &escaped) == 0)
        text =
            str_format("(&%s(%s=%s))", probe->filter, probe->attribute, escaped.bv_val ? escaped.bv_val : "");
    ber_memfree(escaped.bv_val);
    ASSERT(text);
    return text;
}

int listing_probe(struct connection *connection, const struct listing_probe *probe, unsigned *count_out,
                  struct err *err)
{
    struct asked asked = {0};
    char *filter = filter_of(probe);
    int result = ask(connection, probe->base, LDAP_SCOPE_SUBTREE, filter, &asked, err);
    *count_out = asked.count;
    free(filter);
    return result;
}
