/*
 * A connection to one site's directory: TLS with certificate checks, bind by DN and password or by SASL, time limits on
 * everything, and errors classified. Referrals are never followed. Runs in ldapsync; single-threaded: whatever waits calls
 * `tick` at least once a second, which may say stop.
 */
#ifndef MIRROR_LDAPSYNC_CONNECTION_H
#define MIRROR_LDAPSYNC_CONNECTION_H

#include "base/config.h"
#include "base/err.h"
#include "base/secret.h"
#include "ldapsync/schema_view.h"

#include <ldap.h>

struct connection;

struct connection_params {
    const struct config_site *site; /* borrowed until free */
    enum err_side side;             /* whom errors blame */
    bool (*tick)(void *context);    /* false: stop (drain, lease lost): ERR_PROCESS */
    void *context;
};

struct connection *connection_new(const struct connection_params *params);
void connection_free(struct connection *connection);

/* The secret that it binds with, and its version; the file is read at each open. */
int connection_secret(const struct connection *connection, struct secret **secret_out, uint64_t *version_out,
                      struct err *err);

enum connection_bound { CONNECTION_BOUND, CONNECTION_REFUSED, CONNECTION_FAILED };
/* Connects, StartTLS, binds, reads root DSE and schema (of the entry that subschemaSubentry names). REFUSED: invalid
 * credentials, or the like: trying again with the same secret is no use. */
enum connection_bound connection_open(struct connection *connection, const struct secret *secret,
                                      struct err *err);
void connection_close(struct connection *connection); /* unbind; harmless if it is not open */
bool connection_is_open(const struct connection *connection);

LDAP *connection_handle(const struct connection *connection);
int connection_fd(const struct connection *connection); /* for poll; -1 */
const struct schema_view *connection_schema(
    const struct connection *connection); /* may be empty, never NULL while open */
bool connection_offers_control(const struct connection *connection, const char *oid);

uint32_t connection_answer_seconds(const struct connection *connection);
/* For loops that wait by themselves: false and an error when it is time to stop. */
bool connection_tick(struct connection *connection, struct err *err);
/* Nothing came for answer_seconds: closes, -1. */
int connection_is_silent(struct connection *connection, struct err *err);

/* One answer to `message_id` (LDAP_MSG_ONE), waited for at most answer_seconds since the last one came; the caller frees
 * with ldap_msgfree(). -1: silence or lost (the connection is closed). */
int connection_wait(struct connection *connection, int message_id, LDAPMessage **message_out,
                    struct err *err);
/* Whatever came for any operation, waiting at most wait_ms; 0 and NULL: nothing. */
int connection_any(struct connection *connection, int wait_ms, LDAPMessage **message_out, struct err *err);

/* How far a result code reaches: ERR_MESSAGE (this entry: refused, not there, exists), ERR_SITE (busy, unavailable, lost,
 * no right at all), with the name of the code and the server's words, cut and cleaned. -1. */
int connection_fail(const struct connection *connection, int result_code, const char *server_words,
                    struct err *err);
/* The result of a message that ends an operation. *code_out also where it is no success; -1 if it could not be parsed. */
enum { CONNECTION_WORDS_BYTES = 512 };
int connection_result(struct connection *connection, LDAPMessage *message, int *code_out,
                      char words[CONNECTION_WORDS_BYTES], struct err *err);
/* The same, of an operation that was just sent and has one answer: waits for it. */
int connection_finish(struct connection *connection, int message_id, int *code_out,
                      char words[CONNECTION_WORDS_BYTES], struct err *err);

#endif
