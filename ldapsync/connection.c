/*
 * One connection to a directory; see connection.h. libldap connects, does TLS and SASL; time limits are ours where its own
 * do not tick.
 */
#include "ldapsync/connection.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "ldapsync/connection_error.h"
#include "ldapsync/entry.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { SLICE_MS = 500, USER_TIMEOUT_MS = 30000, CONTROLS_MAX = 64, MESSAGE_MAX = 2 * ENTRY_BYTES_MAX };
/* What Debian's programs trust; the environment and ldap.conf have no say here (LDAPNOINIT, ldapsync.c). */
#define SYSTEM_CAS "/etc/ssl/certs/ca-certificates.crt"

struct connection {
    struct connection_params params;
    LDAP *handle; /* NULL: not open */
    struct schema_view *schema;
    char **controls; /* supportedControl */
};

struct connection *connection_new(const struct connection_params *params)
{
    struct connection *connection = mem_new(sizeof(*connection));
    connection->params = *params;
    return connection;
}

static const struct config_ldap *site_ldap(const struct connection *connection)
{
    return &connection->params.site->ldap;
}

void connection_close(struct connection *connection)
{
    if (connection->handle)
        ldap_unbind_ext(connection->handle, NULL, NULL);
    connection->handle = NULL;
    schema_view_free(connection->schema);
    connection->schema = NULL;
    for (size_t i = 0; connection->controls && connection->controls[i]; i++)
        free(connection->controls[i]);
    free(connection->controls);
    connection->controls = NULL;
}

void connection_free(struct connection *connection)
{
    if (!connection)
        return;
    connection_close(connection);
    free(connection);
}

bool connection_is_open(const struct connection *connection)
{
    return connection->handle != NULL;
}

LDAP *connection_handle(const struct connection *connection)
{
    return connection->handle;
}

int connection_fd(const struct connection *connection)
{
    int fd = -1;
    if (connection->handle)
        ldap_get_option(connection->handle, LDAP_OPT_DESC, &fd);
    return fd;
}

const struct schema_view *connection_schema(const struct connection *connection)
{
    return connection->schema;
}

bool connection_offers_control(const struct connection *connection, const char *oid)
{
    for (size_t i = 0; connection->controls && connection->controls[i]; i++)
        if (strcmp(connection->controls[i], oid) == 0)
            return true;
    return false;
}

int connection_secret(const struct connection *connection, struct secret **secret_out, uint64_t *version_out,
                      struct err *err)
{
    const char *path = site_ldap(connection)->password_file;
    *secret_out = secret_read(path ? path : connection->params.site->trusted_password_file, version_out, err);
    return *secret_out ? 0 : -1;
}

/* ---- answers ---- */

int connection_fail(const struct connection *connection, int result_code, const char *server_words,
                    struct err *err)
{
    connection_error_set(result_code, server_words, err);
    return err_blame(err, connection->params.side);
}

/* What libldap itself noticed last: lost, TLS, nonsense. */
static int fail_now(struct connection *connection, const char *what, struct err *err)
{
    int code = LDAP_OTHER;
    char *words = NULL;
    ldap_get_option(connection->handle, LDAP_OPT_RESULT_CODE, &code);
    ldap_get_option(connection->handle, LDAP_OPT_DIAGNOSTIC_MESSAGE, &words);
    connection_fail(connection, code == LDAP_SUCCESS ? LDAP_SERVER_DOWN : code, words, err);
    err->scope = ERR_SITE;
    ldap_memfree(words);
    connection_close(connection);
    return err_prefix(err, "%s", what);
}

static int stop(struct connection *connection, struct err *err)
{
    connection_close(connection);
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "stopped");
}

uint32_t connection_answer_seconds(const struct connection *connection)
{
    return site_ldap(connection)->answer_seconds;
}

bool connection_tick(struct connection *connection, struct err *err)
{
    if (connection->params.tick(connection->params.context))
        return true;
    stop(connection, err);
    return false;
}

int connection_is_silent(struct connection *connection, struct err *err)
{
    err_set(err, ERR_SITE, ERR_RETRY_LATER, "the directory said nothing for %u s, and was given up",
            site_ldap(connection)->answer_seconds);
    connection_close(connection);
    return err_blame(err, connection->params.side);
}

static struct timeval milliseconds(int ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

int connection_wait(struct connection *connection, int message_id, LDAPMessage **message_out, struct err *err)
{
    int64_t until = clock_boot_ms() + (int64_t)site_ldap(connection)->answer_seconds * 1000;
    *message_out = NULL;
    while (clock_boot_ms() < until) {
        struct timeval slice = milliseconds(SLICE_MS);
        int type = ldap_result(connection->handle, message_id, LDAP_MSG_ONE, &slice, message_out);
        if (type > 0)
            return 0;
        if (type < 0)
            return fail_now(connection, "connection lost", err);
        if (!connection->params.tick(connection->params.context))
            return stop(connection, err);
    }
    return connection_is_silent(connection, err);
}

int connection_any(struct connection *connection, int wait_ms, LDAPMessage **message_out, struct err *err)
{
    struct timeval wait = milliseconds(wait_ms);
    *message_out = NULL;
    int type = ldap_result(connection->handle, LDAP_RES_ANY, LDAP_MSG_ONE, &wait, message_out);
    return type < 0 ? fail_now(connection, "connection lost", err) : 0;
}

int connection_result(struct connection *connection, LDAPMessage *message, int *code_out,
                      char words[CONNECTION_WORDS_BYTES], struct err *err)
{
    char *text = NULL;
    words[0] = '\0';
    if (ldap_parse_result(connection->handle, message, code_out, NULL, &text, NULL, NULL, 0) != LDAP_SUCCESS)
        return fail_now(connection, "an answer that cannot be read", err);
    str_into(words, CONNECTION_WORDS_BYTES, text);
    str_make_plain(words);
    ldap_memfree(text);
    return 0;
}

int connection_finish(struct connection *connection, int message_id, int *code_out,
                      char words[CONNECTION_WORDS_BYTES], struct err *err)
{
    LDAPMessage *message = NULL;
    if (connection_wait(connection, message_id, &message, err) != 0)
        return -1;
    int result = connection_result(connection, message, code_out, words, err);
    ldap_msgfree(message);
    return result;
}

/* ---- opening ---- */

static int tls_version(enum config_tls_version version)
{
    static const int versions[] = {LDAP_OPT_X_TLS_PROTOCOL_TLS1_0, LDAP_OPT_X_TLS_PROTOCOL_TLS1_1,
                                   LDAP_OPT_X_TLS_PROTOCOL_TLS1_2, LDAP_OPT_X_TLS_PROTOCOL_TLS1_3};
    return versions[version];
}

static int set_tls(LDAP *handle, const struct config_ldap *ldap)
{
    int demand = LDAP_OPT_X_TLS_HARD, least = tls_version(ldap->tls_min_version), client = 0;
    int code = ldap_set_option(handle, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);
    if (code == 0)
        code = ldap_set_option(handle, LDAP_OPT_X_TLS_CACERTFILE, ldap->ca_file ? ldap->ca_file : SYSTEM_CAS);
    if (code == 0)
        code = ldap_set_option(handle, LDAP_OPT_X_TLS_PROTOCOL_MIN, &least);
    return code ? code : ldap_set_option(handle, LDAP_OPT_X_TLS_NEWCTX, &client);
}

static int set_options(struct connection *connection, struct err *err)
{
    const struct config_ldap *ldap = site_ldap(connection);
    LDAP *handle = connection->handle;
    struct timeval connect = milliseconds((int)ldap->connect_seconds * 1000);
    int version = LDAP_VERSION3;
    unsigned user_timeout = USER_TIMEOUT_MS;
    ber_len_t message_max = MESSAGE_MAX;
    Sockbuf *sockbuf = NULL;
    ldap_set_option(handle, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(handle, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    ldap_set_option(handle, LDAP_OPT_RESTART, LDAP_OPT_ON);
    ldap_set_option(handle, LDAP_OPT_NETWORK_TIMEOUT, &connect);
    ldap_set_option(handle, LDAP_OPT_TIMEOUT, &connect);
    ldap_set_option(handle, LDAP_OPT_X_KEEPALIVE_IDLE, &(int){60});
    ldap_set_option(handle, LDAP_OPT_TCP_USER_TIMEOUT, &user_timeout);
    /* A length that a server claims is not to decide what is allocated. */
    if (ldap_get_option(handle, LDAP_OPT_SOCKBUF, &sockbuf) == LDAP_OPT_SUCCESS)
        ber_sockbuf_ctrl(sockbuf, LBER_SB_OPT_SET_MAX_INCOMING, &message_max);
    if (ldap->tls == CONFIG_TLS_NEVER || set_tls(handle, ldap) == 0)
        return 0;
    err_set(err, ERR_SITE, ERR_RETRY_LATER,
            "TLS cannot be set up; check ldap.ca_file and ldap.tls_min_version");
    return -1;
}

static int connect_now(struct connection *connection, struct err *err)
{
    const struct config_ldap *ldap = site_ldap(connection);
    bool is_v6 = strchr(ldap->host, ':') != NULL;
    char *uri = str_format("%s://%s%s%s:%u", ldap->tls == CONFIG_TLS_ALWAYS ? "ldaps" : "ldap",
                           is_v6 ? "[" : "", ldap->host, is_v6 ? "]" : "", ldap->port);
    int code = ldap_initialize(&connection->handle, uri);
    free(uri);
    if (code != LDAP_SUCCESS)
        return err_set(err, ERR_SITE, ERR_RETRY_LATER, "ldap.host '%s': %s", ldap->host,
                       ldap_err2string(code));
    if (set_options(connection, err) != 0)
        return -1;
    code = ldap_connect(connection->handle);
    if (code == LDAP_SUCCESS && ldap->tls == CONFIG_TLS_STARTTLS)
        code = ldap_start_tls_s(connection->handle, NULL, NULL);
    if (code == LDAP_SUCCESS)
        return 0;
    char *words = NULL;
    ldap_get_option(connection->handle, LDAP_OPT_DIAGNOSTIC_MESSAGE, &words);
    connection_error_connect(&(struct connection_error_attempt){.ldap = ldap, .code = code, .words = words},
                             err);
    ldap_memfree(words);
    return -1;
}

struct sasl_answers {
    const struct config_ldap *ldap;
    const char *secret;
};

/* What SASL asks for; the texts stay ours. */
static int answer_sasl(LDAP *handle, unsigned flags, void *context, void *questions)
{
    const struct sasl_answers *answers = context;
    (void)handle;
    (void)flags;
    for (sasl_interact_t *ask = questions; ask->id != SASL_CB_LIST_END; ask++) {
        const char *answer = ask->id == SASL_CB_PASS       ? answers->secret
                             : ask->id == SASL_CB_AUTHNAME ? answers->ldap->sasl_user
                                                           : NULL;
        ask->result = answer ? answer : "";
        ask->len = (unsigned)strlen(ask->result);
    }
    return LDAP_SUCCESS;
}

static int bind_simple(struct connection *connection, const struct secret *secret, int *code_out,
                       char words[512], struct err *err)
{
    const char *text = secret_reveal(secret);
    struct berval password = {.bv_len = strlen(text), .bv_val = (char *)(uintptr_t)text};
    int id;
    int code = ldap_sasl_bind(connection->handle, site_ldap(connection)->bind_dn, LDAP_SASL_SIMPLE, &password,
                              NULL, NULL, &id);
    if (code != LDAP_SUCCESS)
        return fail_now(connection, "bind", err);
    return connection_finish(connection, id, code_out, words, err);
}

static enum connection_bound bind_now(struct connection *connection, const struct secret *secret,
                                      struct err *err)
{
    const struct config_ldap *ldap = site_ldap(connection);
    char words[512] = "";
    int code = LDAP_OTHER;
    if (ldap->sasl_mechanism) {
        struct sasl_answers answers = {ldap, secret_reveal(secret)};
        char *text = NULL;
        code = ldap_sasl_interactive_bind_s(connection->handle, ldap->bind_dn, ldap->sasl_mechanism, NULL,
                                            NULL, LDAP_SASL_QUIET, answer_sasl, &answers);
        ldap_get_option(connection->handle, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
        str_into(words, sizeof(words), text);
        ldap_memfree(text);
    } else if (bind_simple(connection, secret, &code, words, err) != 0) {
        return CONNECTION_FAILED;
    }
    if (code == LDAP_SUCCESS)
        return CONNECTION_BOUND;
    connection_fail(connection, code, words, err);
    err->scope = ERR_SITE;
    err_prefix(err, "bind as %s", ldap->sasl_mechanism ? ldap->sasl_mechanism : ldap->bind_dn);
    return connection_error_is_refusal(code) ? CONNECTION_REFUSED : CONNECTION_FAILED;
}

/* ---- root DSE and schema ---- */

/* The entry's values of an attribute; ldap_value_free_len(). NULL: not there, or not readable: no error here. */
static struct berval **read_values(struct connection *connection, const char *dn, const char *filter,
                                   const char *attribute, struct err *err)
{
    char *attributes[] = {(char *)(uintptr_t)attribute, NULL};
    struct berval **values = NULL;
    int id, type = 0;
    if (ldap_search_ext(connection->handle, dn, LDAP_SCOPE_BASE, filter, attributes, 0, NULL, NULL, NULL, 0,
                        &id) != LDAP_SUCCESS)
        return NULL;
    while (type != LDAP_RES_SEARCH_RESULT) {
        LDAPMessage *message = NULL;
        if (connection_wait(connection, id, &message, err) != 0) {
            ldap_value_free_len(values);
            return NULL;
        }
        type = ldap_msgtype(message);
        if (type == LDAP_RES_SEARCH_ENTRY && !values)
            values = ldap_get_values_len(connection->handle, message, attribute);
        ldap_msgfree(message);
    }
    return values;
}

static void take_controls(struct connection *connection, struct berval **values)
{
    connection->controls = mem_new((CONTROLS_MAX + 1) * sizeof(char *));
    for (size_t i = 0; values && values[i] && i < CONTROLS_MAX; i++)
        connection->controls[i] = str_copy_n(values[i]->bv_val, values[i]->bv_len);
}

static void read_types(struct connection *connection, const char *dn, struct err *err)
{
    struct berval **values = read_values(connection, dn, "(objectClass=subschema)", "attributeTypes", err);
    for (size_t i = 0; values && values[i]; i++) {
        char *text = str_copy_n(values[i]->bv_val, values[i]->bv_len);
        schema_view_add_type(connection->schema, text);
        free(text);
    }
    ldap_value_free_len(values);
}

static int read_server(struct connection *connection, struct err *err)
{
    struct berval **values = read_values(connection, "", "(objectClass=*)", "supportedControl", err);
    take_controls(connection, values);
    ldap_value_free_len(values);
    connection->schema = schema_view_new();
    if (!connection->handle)
        return -1;
    values = read_values(connection, "", "(objectClass=*)", "subschemaSubentry", err);
    if (values && values[0] && connection->handle) {
        char *dn = str_copy_n(values[0]->bv_val, values[0]->bv_len);
        read_types(connection, dn, err);
        free(dn);
    }
    ldap_value_free_len(values);
    return connection->handle ? 0 : -1;
}

enum connection_bound connection_open(struct connection *connection, const struct secret *secret,
                                      struct err *err)
{
    enum connection_bound bound = CONNECTION_FAILED;
    connection_close(connection);
    if (connect_now(connection, err) == 0)
        bound = bind_now(connection, secret, err);
    if (bound == CONNECTION_BOUND && read_server(connection, err) != 0)
        bound = CONNECTION_FAILED;
    if (bound != CONNECTION_BOUND) {
        err_blame(err, connection->params.side);
        connection_close(connection);
    }
    return bound;
}
