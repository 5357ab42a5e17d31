/*
 * What changed on production; see refresh.h. The controls of syncrepl are read with liblber; libldap's own ldap_sync_* knows
 * neither our ticks nor our time limits.
 */
#include "ldapsync/refresh.h"

#include "base/str.h"
#include "ldapsync/sync_value.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* As far as a site's clock may be ahead of ours. */
enum { AHEAD_SECONDS = 3600 };

enum store_mark_kind refresh_choose(enum config_change_detection wanted, bool offers_syncrepl)
{
    switch (wanted) {
    case CONFIG_CHANGES_FULL:
        return STORE_MARK_NONE;
    case CONFIG_CHANGES_MODIFY_TIMESTAMP:
        return STORE_MARK_MODIFY_TIMESTAMP;
    case CONFIG_CHANGES_SYNCREPL:
        return STORE_MARK_SYNCREPL;
    case CONFIG_CHANGES_AUTO:
        break;
    }
    return offers_syncrepl ? STORE_MARK_SYNCREPL : STORE_MARK_MODIFY_TIMESTAMP;
}

/* ---- modifyTimestamp ---- */

/* GeneralizedTime of whole seconds in UTC, as modifyTimestamp is; -1: it is not. */
static int parse_time(const char *text, time_t *time_out)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y%m%d%H%M%S", &tm);
    if (!end || (*end != 'Z' && *end != '.'))
        return -1;
    *time_out = timegm(&tm);
    return 0;
}

void refresh_note_time(const struct entry *entry, struct store_mark *mark)
{
    char text[64];
    time_t at;
    entry_text(entry, "modifyTimestamp", text, sizeof(text));
    size_t len = strlen(text);
    bool is_newer = mark->kind == STORE_MARK_NONE || mark->len == 0 || strcmp(text, mark->bytes) > 0;
    /* One that is dated in the future would hide all changes until then. */
    if (len == 0 || parse_time(text, &at) != 0 || !is_newer || at > time(NULL) + AHEAD_SECONDS)
        return;
    mark->kind = STORE_MARK_MODIFY_TIMESTAMP;
    mark->len = len;
    memcpy(mark->bytes, text, len + 1);
}

struct timed {
    const struct listing_params *listing;
    struct refresh_result *result;
};

static int on_timed_entry(void *context, const struct entry *entry, struct err *err)
{
    struct timed *timed = context;
    refresh_note_time(entry, &timed->result->mark);
    timed->result->changed++;
    return timed->listing->on_entry(timed->listing->context, entry, err);
}

static void on_bad_timed_entry(void *context, const char *dn, const struct err *why)
{
    struct timed *timed = context;
    if (timed->listing->on_bad_entry)
        timed->listing->on_bad_entry(timed->listing->context, dn, why);
}

static char *since_filter(const struct refresh_params *params)
{
    char text[STORE_MARK_BYTES + 1] = "", since[32];
    time_t mark = 0;
    struct tm tm;
    memcpy(text, params->mark->bytes, params->mark->len);
    if (parse_time(text, &mark) != 0)
        return NULL;
    mark -= (time_t)params->overlap_seconds;
    gmtime_r(&mark, &tm);
    strftime(since, sizeof(since), "%Y%m%d%H%M%SZ", &tm);
    return str_format("(&%s(modifyTimestamp>=%s))", params->listing->filter, since);
}

static int run_by_time(const struct refresh_params *params, struct refresh_result *result, struct err *err)
{
    static const char *const attributes[] = {"*", "modifyTimestamp", NULL};
    struct timed timed = {params->listing, result};
    struct listing_params listing_params = *params->listing;
    char *filter = since_filter(params);
    if (!filter) {
        result->start_again = true;
        return 0;
    }
    listing_params.filter = filter;
    listing_params.attributes = attributes;
    listing_params.on_entry = on_timed_entry;
    listing_params.on_bad_entry = on_bad_timed_entry;
    listing_params.on_mark = NULL;
    listing_params.context = &timed;
    result->mark = *params->mark;
    struct listing *listing = listing_new(&listing_params);
    int done = listing_run(listing, NULL, err);
    if (done == 0 && !listing_is_whole(listing))
        done = err_set(err, ERR_SITE, ERR_RETRY_LATER, "the list of changes is not complete: %s",
                       listing_why(listing));
    listing_free(listing);
    free(filter);
    return done;
}

/* ---- syncrepl ---- */

static void take_cookie(struct refresh_result *result, const struct berval *cookie)
{
    if (!cookie->bv_val || cookie->bv_len > sizeof(result->mark.bytes))
        return;
    result->mark.kind = STORE_MARK_SYNCREPL;
    result->mark.len = cookie->bv_len;
    memcpy(result->mark.bytes, cookie->bv_val, cookie->bv_len);
}

static int bad_answer(const char *what, struct err *err)
{
    return err_set(err, ERR_SITE, ERR_RETRY_LATER,
                   "syncrepl: %s cannot be read; change_detection: modify_timestamp "
                   "does without it",
                   what);
}

static int take_changed(const struct refresh_params *params, LDAPMessage *message,
                        struct refresh_result *result, struct err *err)
{
    struct entry entry;
    struct err why = {0};
    int done = 0;
    result->changed++;
    if (params->mark->kind == STORE_MARK_NONE)
        return 0;
    if (entry_read(connection_handle(params->listing->connection), message, &entry, &why) == 0)
        done = params->listing->on_entry(params->listing->context, &entry, err);
    else if (params->listing->on_bad_entry)
        params->listing->on_bad_entry(params->listing->context, entry.dn ? entry.dn : "", &why);
    entry_fini(&entry);
    return done;
}

static int take_sync_entry(const struct refresh_params *params, LDAPMessage *message,
                           struct refresh_result *result, struct err *err)
{
    LDAPControl **controls = NULL;
    struct sync_value_state state = {0};
    int done = -1;
    ldap_get_entry_controls(connection_handle(params->listing->connection), message, &controls);
    LDAPControl *control = ldap_control_find(LDAP_CONTROL_SYNC_STATE, controls, NULL);
    if (!control || sync_value_parse_state(&control->ldctl_value, &state) != 0) {
        bad_answer("an entry's state", err);
    } else if (state.state == LDAP_SYNC_DELETE) {
        result->deleted++;
        done = 0;
    } else if (state.state == LDAP_SYNC_PRESENT) {
        result->present++;
        done = 0;
    } else {
        done = take_changed(params, message, result, err);
    }
    ldap_controls_free(controls);
    return done;
}

static int take_info(const struct refresh_params *params, LDAPMessage *message, struct refresh_result *result,
                     struct err *err)
{
    char *oid = NULL;
    struct berval *value = NULL;
    struct sync_value_info info = {0};
    int done = 0;
    if (ldap_parse_intermediate(connection_handle(params->listing->connection), message, &oid, &value, NULL,
                                0) != LDAP_SUCCESS ||
        !oid)
        done = bad_answer("an intermediate answer", err);
    else if (strcmp(oid, LDAP_SYNC_INFO) == 0 && (!value || sync_value_parse_info(value, &info) != 0))
        done = bad_answer("its information", err);
    if (done == 0) {
        take_cookie(result, &info.cookie);
        result->had_present_list |= info.ends_present;
        *(info.are_deletes ? &result->deleted : &result->present) += info.uuids;
    }
    ber_memfree(info.cookie.bv_val);
    ber_bvfree(value);
    ldap_memfree(oid);
    return done;
}

static int take_done(const struct refresh_params *params, LDAPMessage *message, struct refresh_result *result,
                     struct err *err)
{
    struct connection *connection = params->listing->connection;
    LDAPControl **controls = NULL;
    struct sync_value_done ended = {0};
    char *words = NULL;
    int code = LDAP_OTHER, done = 0;
    if (ldap_parse_result(connection_handle(connection), message, &code, NULL, &words, NULL, &controls, 0) !=
        LDAP_SUCCESS)
        code = LDAP_DECODING_ERROR;
    LDAPControl *control = ldap_control_find(LDAP_CONTROL_SYNC_DONE, controls, NULL);
    if (code == LDAP_SYNC_REFRESH_REQUIRED)
        result->start_again = true;
    else if (code == LDAP_UNAVAILABLE_CRITICAL_EXTENSION)
        result->not_offered = result->start_again = true;
    else if (code != LDAP_SUCCESS)
        done = connection_fail(connection, code, words, err);
    else if (!control || sync_value_parse_done(&control->ldctl_value, &ended) != 0)
        done = bad_answer("its end", err);
    if (done == 0 && !result->start_again) {
        take_cookie(result, &ended.cookie);
        result->had_present_list |= !ended.refresh_deletes && result->present > 0;
    }
    ber_memfree(ended.cookie.bv_val);
    ldap_controls_free(controls);
    ldap_memfree(words);
    return done;
}

static int take_sync_message(const struct refresh_params *params, LDAPMessage *message,
                             struct refresh_result *result, struct err *err)
{
    switch (ldap_msgtype(message)) {
    case LDAP_RES_SEARCH_ENTRY:
        return take_sync_entry(params, message, result, err);
    case LDAP_RES_INTERMEDIATE:
        return take_info(params, message, result, err);
    case LDAP_RES_SEARCH_RESULT:
        return take_done(params, message, result, err);
    case LDAP_RES_SEARCH_REFERENCE:
        return err_set(err, ERR_SITE, ERR_RETRY_LATER,
                       "a part of it is at another server, which is not asked");
    default:
        return 0;
    }
}

static int run_syncrepl(const struct refresh_params *params, struct refresh_result *result, struct err *err)
{
    struct connection *connection = params->listing->connection;
    bool begins = params->mark->kind == STORE_MARK_NONE;
    char *none[] = {LDAP_NO_ATTRS, NULL};
    struct berval cookie = {.bv_len = params->mark->len, .bv_val = (char *)(uintptr_t)params->mark->bytes},
                  value = {0};
    int id, type = 0, done = 0;
    if (sync_value_print_request(begins ? NULL : &cookie, &value) != 0)
        return bad_answer("our own request", err);
    LDAPControl control = {
        .ldctl_oid = (char[]){LDAP_CONTROL_SYNC}, .ldctl_value = value, .ldctl_iscritical = 1};
    LDAPControl *controls[] = {&control, NULL};
    int code =
        ldap_search_ext(connection_handle(connection), params->listing->base, LDAP_SCOPE_SUBTREE,
                        params->listing->filter, begins ? none : NULL, 0, controls, NULL, NULL, 0, &id);
    ber_memfree(value.bv_val);
    if (code != LDAP_SUCCESS)
        return connection_fail(connection, code, "", err);
    result->mark = *params->mark;
    while (done == 0 && type != LDAP_RES_SEARCH_RESULT) {
        LDAPMessage *message = NULL;
        if (connection_wait(connection, id, &message, err) != 0)
            return -1;
        type = ldap_msgtype(message);
        done = take_sync_message(params, message, result, err);
        ldap_msgfree(message);
    }
    if (done != 0 && type != LDAP_RES_SEARCH_RESULT)
        ldap_abandon_ext(connection_handle(connection), id, NULL, NULL);
    return done;
}

int refresh_run(const struct refresh_params *params, struct refresh_result *result_out, struct err *err)
{
    *result_out = (struct refresh_result){0};
    int result = params->kind == STORE_MARK_SYNCREPL ? run_syncrepl(params, result_out, err)
                                                     : run_by_time(params, result_out, err);
    if (result == 0)
        return 0;
    if (err->scope < ERR_PROCESS)
        err_blame(err, ERR_SIDE_PRODUCTION);
    return err_prefix(err, "changes");
}
