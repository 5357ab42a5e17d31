/*
 * A site's shared budget and login gate (in scanner and copiers, through lib/access). Everything that admits happens under
 * the lock of the site's row; the decisions of the gate are store_gate.c. The tricky thing: whoever holds the gate may
 * die, so it has a time limit, and a new process of the same instance knows that its predecessor is dead.
 */
#include "store/store_site.h"

#include "base/str.h"
#include "store/store_gate.h"
#include "store/store_query.h"
#include "store/store_tx.h"

#include <stdlib.h>

enum { GRACE_SECONDS = 60, GATE_SPARE_SECONDS = 10, WAIT_SESSION_MS = 500, WAIT_GATE_MS = 200 };

/* The site's row, and what its times mean now. */
struct site_row {
    uint32_t site_id;
    struct store_gate gate, recorded;
    char gate_owner[201], gate_mailbox[65];
    bool gate_alive; /* somebody took the gate and its time is not over */
    uint32_t stopped_seconds;
    uint64_t login_wait_us, cool_wait_us;
    char error[801], server_words[801];
};

static void read_row(struct store_query *query, struct site_row *row)
{
    row->site_id = store_query_u32(query);
    row->gate.state = store_gate_parse(store_query_text(query));
    row->gate.refusals = store_query_u32(query);
    row->gate.stops = store_query_u32(query);
    row->gate.troubles = store_query_u32(query);
    store_query_copy(query, row->gate.last_good, sizeof(row->gate.last_good));
    store_query_copy(query, row->gate_owner, sizeof(row->gate_owner));
    store_query_copy(query, row->gate_mailbox, sizeof(row->gate_mailbox));
    row->gate_alive = store_query_bool(query);
    row->stopped_seconds = store_query_u32(query);
    row->login_wait_us = store_query_u64(query);
    row->cool_wait_us = store_query_u64(query);
    store_query_copy(query, row->error, sizeof(row->error));
    store_query_copy(query, row->server_words, sizeof(row->server_words));
    row->recorded = row->gate;
    row->gate.retry_over = row->stopped_seconds == 0;
}

static int lock_site(struct store *store, const char *name, struct site_row *row, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT site_id, login_state, refusals, stops, troubles, last_good_mailbox, probe_owner, "
                   "probe_mailbox, "
                   "COALESCE(probe_until > UTC_TIMESTAMP(6), 0), "
                   "CAST(CEIL(GREATEST(COALESCE(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), stopped_until), "
                   "0), 0) / 1000000) "
                   "AS UNSIGNED), GREATEST(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), next_login_at), 0), "
                   "GREATEST(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), cool_until), 0), error, "
                   "server_words FROM site WHERE name = ? FOR UPDATE",
                   bind_text(name));
    *row = (struct site_row){0};
    if (query && store_query_next(query))
        read_row(query, row);
    if (store_query_end(query, err))
        return -1;
    if (row->site_id)
        return 0;
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER,
                   "store: site '%s' has no row yet: the supervisor has not taken over the configuration",
                   name);
}

static struct store_gate_rules rules_of(const struct config_site *site)
{
    return (struct store_gate_rules){.limit = site->auth_failures_until_stop,
                                     .test_mailboxes = (const char *const *)site->test_mailboxes.items,
                                     .test_count = site->test_mailboxes.count};
}

/* The bytes of "<host>:<program>:<instance>" in an owner's name. */
static size_t instance_len(const char *owner)
{
    const char *at = owner;
    for (int colons = 0; *at; at++)
        if (*at == ':' && ++colons == 3)
            break;
    return (size_t)(at - owner);
}

/* Another process of the same instance: it is dead, for there is one at a time. */
static bool is_predecessor(const char *former, const char *owner)
{
    size_t len = instance_len(owner);
    return owner[len] && len == instance_len(former) && !memcmp(former, owner, len) &&
           !str_equal(former, owner);
}

/* ---- admission ---- */

struct admitting {
    const struct store_admission_request *request;
    struct store_admission_answer *answer;
};

/* Records the version of the secret's file; true in *new_out if this host had another one before. */
static int see_secret(struct store *store, const struct admitting *admitting, uint32_t site_id, bool *new_out,
                      struct err *err)
{
    const struct store_admission_request *request = admitting->request;
    char host[101];
    struct store_query *query;
    str_into(host, sizeof(host), request->owner);
    host[strcspn(host, ":")] = '\0';
    query = STORE_ROWS(
        store, err,
        "SELECT COUNT(*), COALESCE(SUM(version = ?), 0) FROM site_secret WHERE site_id = ? AND host = ?",
        bind_u64(request->secret_version), bind_u64(site_id), bind_text(host));
    bool any = query && store_query_next(query) && store_query_u64(query) > 0;
    bool known = query && store_query_count(query) && store_query_u64(query) > 0;
    *new_out = any && !known;
    if (store_query_end(query, err))
        return -1;
    if (known)
        return 0;
    return STORE_EXEC(store, err, "INSERT INTO site_secret VALUES (?, ?, ?, UTC_TIMESTAMP(6))",
                      bind_u64(site_id), bind_text(host), bind_u64(request->secret_version)) < 0
               ? -1
               : 0;
}

/* Sessions that count: in use, or dead with the store perhaps still counting them. Rows that are over go. */
static int count_sessions(struct store *store, uint32_t site_id, uint32_t *count_out, struct err *err)
{
    struct store_query *query =
        STORE_ROWS(store, err,
                   "SELECT COALESCE(SUM(grace_until > UTC_TIMESTAMP(6)), 0), "
                   "COALESCE(SUM(grace_until <= UTC_TIMESTAMP(6)), 0) FROM site_session WHERE site_id = ?",
                   bind_u64(site_id));
    bool there = query && store_query_next(query);
    *count_out = there ? store_query_u32(query) : 0;
    bool any_over = there && store_query_u32(query) > 0;
    if (store_query_end(query, err))
        return -1;
    return any_over && STORE_EXEC(
                           store, err,
                           "DELETE FROM site_session WHERE site_id = ? AND grace_until <= UTC_TIMESTAMP(6)",
                           bind_u64(site_id)) < 0
               ? -1
               : 0;
}

static bool is_recorded(const struct store_gate *gate, const struct store_gate *recorded)
{
    return gate->state == recorded->state && gate->refusals == recorded->refusals &&
           gate->stops == recorded->stops && gate->troubles == recorded->troubles &&
           str_equal(gate->last_good, recorded->last_good);
}

static int save_gate(struct store *store, struct site_row *row, struct err *err)
{
    const struct store_gate *gate = &row->gate;
    if (is_recorded(gate, &row->recorded))
        return 0;
    row->recorded = *gate;
    int64_t rows = STORE_EXEC(
        store, err,
        "UPDATE site SET login_state = ?, refusals = ?, stops = ?, troubles = ?, last_good_mailbox = ? "
        "WHERE site_id = ?",
        bind_text(store_gate_word(gate->state)), bind_u64(gate->refusals), bind_u64(gate->stops),
        bind_u64(gate->troubles), bind_text(*gate->last_good ? gate->last_good : NULL),
        bind_u64(row->site_id));
    return rows < 0 ? -1 : 0;
}

/* GCRA with a burst of one: each login moves the next one's time by the interval. */
static int take_login(struct store *store, const struct config_site *site, uint32_t site_id, struct err *err)
{
    double rate = site->imap.max_logins_per_second;
    int64_t rows = STORE_EXEC(store, err,
                              "UPDATE site SET next_login_at = GREATEST(next_login_at, UTC_TIMESTAMP(6)) "
                              "+ INTERVAL ? MICROSECOND WHERE site_id = ?",
                              bind_u64(rate > 0 ? (uint64_t)(1e6 / rate) : 0), bind_u64(site_id));
    return rows < 0 ? -1 : 0;
}

static int take_gate(struct store *store, const struct store_admission_request *request, const char *mailbox,
                     uint32_t site_id, struct err *err)
{
    const struct config_imap *imap = &request->site->imap;
    int64_t rows =
        STORE_EXEC(store, err,
                   "UPDATE site SET probe_owner = ?, probe_mailbox = ?, "
                   "probe_until = UTC_TIMESTAMP(6) + INTERVAL ? SECOND WHERE site_id = ?",
                   bind_text(request->owner), bind_text(mailbox),
                   bind_u64((uint64_t)imap->connect_seconds + imap->answer_seconds + GATE_SPARE_SECONDS),
                   bind_u64(site_id));
    return rows < 0 ? -1 : 0;
}

static int take_session(struct store *store, const struct admitting *admitting, uint32_t site_id,
                        struct err *err)
{
    const struct store_admission_request *request = admitting->request;
    if (STORE_EXEC(
            store, err,
            "INSERT INTO site_session (site_id, owner, purpose, expires_at, grace_until) VALUES (?, ?, ?, "
            "UTC_TIMESTAMP(6) + INTERVAL ? SECOND, UTC_TIMESTAMP(6) + INTERVAL ? SECOND)",
            bind_u64(site_id), bind_text(request->owner), bind_cut(request->purpose, 20),
            bind_u64(request->session_seconds),
            bind_u64((uint64_t)request->session_seconds + GRACE_SECONDS)) < 0)
        return -1;
    admitting->answer->session_id = store_query_insert_id(store);
    return 0;
}

/* Nobody need wait for a site that could not be asked a moment ago. */
static void say_trouble(struct store_admission_answer *answer, const struct site_row *row)
{
    if (row->gate.troubles > 0)
        str_into(answer->error, sizeof(answer->error), row->error);
}

/* Spread, so that not all ask again at once; but where a login is to be had in a moment, nobody sleeps long for it. */
static int say_wait(struct store_admission_answer *answer, uint64_t wait_ms)
{
    uint32_t whole_ms = (uint32_t)(wait_ms < 60000 ? wait_ms : 60000);
    answer->admission = STORE_ADMIT_WAIT;
    answer->wait_ms = whole_ms + arc4random_uniform(whole_ms < WAIT_GATE_MS ? whole_ms + 1 : WAIT_GATE_MS);
    return 0;
}

/* The gate is open: is there a session and a login left? 0 with answer WAIT if not. */
static int check_budget(struct store *store, const struct admitting *admitting, const struct site_row *row,
                        struct err *err)
{
    uint32_t sessions;
    if (row->cool_wait_us || row->login_wait_us) {
        uint64_t wait_us = row->cool_wait_us > row->login_wait_us ? row->cool_wait_us : row->login_wait_us;
        if (row->cool_wait_us)
            say_trouble(admitting->answer, row);
        return say_wait(admitting->answer, wait_us / 1000 + 1);
    }
    if (count_sessions(store, row->site_id, &sessions, err))
        return -1;
    if (sessions >= admitting->request->site->imap.max_sessions)
        return say_wait(admitting->answer, WAIT_SESSION_MS);
    return 0;
}

static int let_in(struct store *store, const struct admitting *admitting, struct site_row *row,
                  const char *probe_mailbox, struct err *err)
{
    const struct store_admission_request *request = admitting->request;
    const char *mailbox = probe_mailbox ? probe_mailbox : request->mailbox;
    if (take_login(store, request->site, row->site_id, err) ||
        take_session(store, admitting, row->site_id, err))
        return -1;
    bool one_at_a_time = row->gate.state == STORE_GATE_UNPROVEN || row->gate.troubles > 0;
    if (one_at_a_time && take_gate(store, request, mailbox, row->site_id, err))
        return -1;
    admitting->answer->admission = probe_mailbox ? STORE_ADMIT_PROBE : STORE_ADMIT_GO;
    str_into(admitting->answer->probe_mailbox, sizeof(admitting->answer->probe_mailbox), probe_mailbox);
    return save_gate(store, row, err);
}

static int say_stopped(struct store_admission_answer *answer, const struct site_row *row)
{
    answer->admission = STORE_ADMIT_STOPPED;
    answer->stopped_seconds = row->stopped_seconds;
    str_into(answer->error, sizeof(answer->error), row->error);
    return 0;
}

static int decide(struct store *store, const struct admitting *admitting, struct site_row *row,
                  struct err *err)
{
    const struct store_gate_rules rules = rules_of(admitting->request->site);
    const char *probe = NULL;
    switch (store_gate_admit(&row->gate, &rules, admitting->request->mailbox, &probe)) {
    case STORE_GATE_STAY_STOPPED:
        return say_stopped(admitting->answer, row);
    case STORE_GATE_WAIT:
        say_trouble(admitting->answer, row);
        return say_wait(admitting->answer, WAIT_GATE_MS);
    case STORE_GATE_GO:
    case STORE_GATE_PROBE:
        break;
    }
    /* GO until the budget says WAIT. */
    admitting->answer->admission = STORE_ADMIT_GO;
    if (check_budget(store, admitting, row, err))
        return -1;
    if (admitting->answer->admission == STORE_ADMIT_WAIT)
        return 0;
    return let_in(store, admitting, row, probe, err);
}

static int reopen(struct store *store, struct site_row *row, struct err *err)
{
    store_gate_reopen(&row->gate);
    row->gate_alive = false;
    if (STORE_EXEC(
            store, err,
            "UPDATE site SET probe_owner = NULL, probe_until = NULL, stopped_until = NULL, error = '', "
            "error_at = NULL WHERE site_id = ?",
            bind_u64(row->site_id)) < 0)
        return -1;
    return save_gate(store, row, err);
}

static int admit_body(struct store *store, void *context, struct err *err)
{
    const struct admitting *admitting = context;
    struct site_row row;
    bool new_secret;
    *admitting->answer = (struct store_admission_answer){.admission = STORE_ADMIT_WAIT};
    if (lock_site(store, admitting->request->site->name, &row, err) ||
        see_secret(store, admitting, row.site_id, &new_secret, err))
        return -1;
    if (new_secret && reopen(store, &row, err))
        return -1;
    row.gate.gate_held = row.gate_alive && !is_predecessor(row.gate_owner, admitting->request->owner);
    return decide(store, admitting, &row, err);
}

int store_site_admit(struct store *store, const struct store_admission_request *request,
                     struct store_admission_answer *answer_out, struct err *err)
{
    struct admitting admitting = {.request = request, .answer = answer_out};
    return store_tx_run(store, admit_body, &admitting, err);
}

int store_site_inherit(struct store *store, const char *owner, struct err *err)
{
    return STORE_EXEC(
               store, err,
               "UPDATE site SET probe_owner = NULL, probe_mailbox = NULL, probe_until = NULL WHERE "
               "probe_owner <> ? AND SUBSTRING_INDEX(probe_owner, ':', 3) = SUBSTRING_INDEX(?, ':', 3)",
               bind_text(owner), bind_text(owner)) < 0
               ? -1
               : 0;
}

/* ---- the login's end ---- */

struct resulting {
    const struct store_login_result *result;
    bool stopped;
};

static int release_gate(struct store *store, const struct store_login_result *result,
                        const struct site_row *row, struct err *err)
{
    if (!str_equal(row->gate_owner, result->owner) || !str_equal(row->gate_mailbox, result->mailbox))
        return 0;
    return STORE_EXEC(store, err,
                      "UPDATE site SET probe_owner = NULL, probe_mailbox = NULL, probe_until = NULL WHERE "
                      "site_id = ?",
                      bind_u64(row->site_id)) < 0
               ? -1
               : 0;
}

/* A healthy site that says what it always says. */
static bool has_nothing_to_clear(const struct store_login_result *result, const struct site_row *row)
{
    return !row->error[0] && !row->cool_wait_us && !row->stopped_seconds &&
           (!result->server_words ||
            strncmp(result->server_words, row->server_words, sizeof(row->server_words) - 1) == 0);
}

static int save_accepted(struct store *store, const struct store_login_result *result,
                         const struct site_row *row, struct err *err)
{
    /* A stopped site keeps its reason: this login may be older. */
    if (row->gate.state == STORE_GATE_STOPPED || has_nothing_to_clear(result, row))
        return 0;
    int64_t rows =
        STORE_EXEC(store, err,
                   "UPDATE site SET error = '', error_at = NULL, stopped_until = NULL, "
                   "cool_until = '1970-01-01', server_words = COALESCE(?, server_words) WHERE site_id = ?",
                   bind_bytes_if(result->server_words != NULL, result->server_words,
                                 result->server_words ? strnlen(result->server_words, 800) : 0),
                   bind_u64(row->site_id));
    return rows < 0 ? -1 : 0;
}

static int save_trouble(struct store *store, const struct store_login_result *result,
                        const struct site_row *row, struct err *err)
{
    int64_t rows =
        STORE_EXEC(store, err, "UPDATE site SET error = ?, error_at = UTC_TIMESTAMP(6) WHERE site_id = ?",
                   bind_cut(result->words, 800), bind_u64(row->site_id));
    if (rows < 0 || result->refused)
        return rows < 0 ? -1 : 0;
    return STORE_EXEC(store, err,
                      "UPDATE site SET cool_until = UTC_TIMESTAMP(6) + INTERVAL ? SECOND WHERE site_id = ?",
                      bind_u64(store_gate_cooling(row->gate.troubles)), bind_u64(row->site_id)) < 0
               ? -1
               : 0;
}

static int save_stop(struct store *store, const struct config_site *site, const struct site_row *row,
                     struct err *err)
{
    int64_t rows = STORE_EXEC(store, err,
                              "UPDATE site SET stopped_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND "
                              "WHERE site_id = ?",
                              bind_u64((uint64_t)(site->auth_retry_minutes * 60e6)), bind_u64(row->site_id));
    return rows < 0 ? -1 : 0;
}

static int result_body(struct store *store, void *context, struct err *err)
{
    struct resulting *resulting = context;
    const struct store_login_result *result = resulting->result;
    const struct store_gate_rules rules = rules_of(result->site);
    struct site_row row;
    if (lock_site(store, result->site->name, &row, err))
        return -1;
    if (result->postponed)
        return release_gate(store, result, &row, err);
    enum store_gate_result what = result->accepted  ? STORE_GATE_ACCEPTED
                                  : result->refused ? STORE_GATE_REFUSED
                                                    : STORE_GATE_NOT_ASKED;
    bool was_stopped = row.gate.state == STORE_GATE_STOPPED;
    /* Logins that fail together are one trouble of the site, not one each. */
    if (what != STORE_GATE_NOT_ASKED || !row.cool_wait_us)
        resulting->stopped = store_gate_result(&row.gate, &rules, result->mailbox, result->probe, what);
    if (save_gate(store, &row, err) || release_gate(store, result, &row, err))
        return -1;
    if (resulting->stopped && save_stop(store, result->site, &row, err))
        return -1;
    if (what == STORE_GATE_ACCEPTED)
        return save_accepted(store, result, &row, err);
    return was_stopped ? 0 : save_trouble(store, result, &row, err);
}

int store_site_login_result(struct store *store, const struct store_login_result *result, bool *stopped_out,
                            struct err *err)
{
    struct resulting resulting = {.result = result};
    *stopped_out = false;
    if (store_tx_run(store, result_body, &resulting, err))
        return -1;
    *stopped_out = resulting.stopped;
    return 0;
}

/* ---- sessions ---- */

int store_site_session_renew(struct store *store, uint64_t session_id, uint32_t session_seconds,
                             bool *alive_out, struct err *err)
{
    /* Within its grace time the slot was still counted, so it is still ours. */
    int64_t rows = STORE_EXEC(store, err,
                              "UPDATE site_session SET expires_at = UTC_TIMESTAMP(6) + INTERVAL ? SECOND, "
                              "grace_until = UTC_TIMESTAMP(6) + INTERVAL ? SECOND "
                              "WHERE session_id = ? AND grace_until > UTC_TIMESTAMP(6)",
                              bind_u64(session_seconds), bind_u64((uint64_t)session_seconds + GRACE_SECONDS),
                              bind_u64(session_id));
    *alive_out = rows > 0;
    return rows < 0 ? -1 : 0;
}

int store_site_session_release(struct store *store, uint64_t session_id, bool clean, struct err *err)
{
    int64_t rows;
    if (clean)
        rows = STORE_EXEC(store, err, "DELETE FROM site_session WHERE session_id = ?", bind_u64(session_id));
    else
        rows = STORE_EXEC(store, err,
                          "UPDATE site_session SET expires_at = UTC_TIMESTAMP(6), "
                          "grace_until = UTC_TIMESTAMP(6) + INTERVAL ? SECOND WHERE session_id = ?",
                          bind_u64(GRACE_SECONDS), bind_u64(session_id));
    return rows < 0 ? -1 : 0;
}

/* ---- for people ---- */

static void read_status(struct store_query *query, struct store_site_status *status)
{
    store_query_copy(query, status->name, sizeof(status->name));
    store_query_copy(query, status->login_state, sizeof(status->login_state));
    store_query_copy(query, status->error, sizeof(status->error));
    status->error_age_seconds = store_query_is_null(query) ? -1 : 0;
    int64_t age = store_query_i64(query);
    if (!status->error_age_seconds)
        status->error_age_seconds = age > 0 ? age : 0;
    status->stopped_seconds = store_query_u32(query);
    status->sessions = store_query_u32(query);
}

int store_site_list(struct store *store, void (*on_site)(void *context, const struct store_site_status *site),
                    void *context, struct err *err)
{
    struct store_query *query = STORE_ROWS(
        store, err,
        "SELECT s.name, s.login_state, s.error, TIMESTAMPDIFF(SECOND, s.error_at, UTC_TIMESTAMP(6)), "
        "IF(s.login_state = 'stopped', "
        "GREATEST(COALESCE(TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), s.stopped_until), 0), 0), 0), "
        "(SELECT COUNT(*) FROM site_session e WHERE e.site_id = s.site_id AND e.grace_until > "
        "UTC_TIMESTAMP(6)) "
        "FROM site s ORDER BY s.name");
    while (query && store_query_next(query)) {
        struct store_site_status status;
        read_status(query, &status);
        on_site(context, &status);
    }
    return store_query_end(query, err);
}
