/*
 * Inside lib/store: the one connection to MariaDB. Where it goes (first living host of the list, or the managed
 * socket), how its session is set up, and the one place where the server's errors are classified.
 */
#ifndef MIRROR_STORE_STORE_LINK_H
#define MIRROR_STORE_STORE_LINK_H

#include "store/store.h"

#include <mysql.h>
#include <stddef.h>

struct store_query_cache;

/* What a failed statement means for its caller's transaction. */
enum store_failure {
    STORE_FAILURE_NONE,
    STORE_FAILURE_CONFLICT, /* deadlock, lock wait, certification: the same again succeeds */
    STORE_FAILURE_LOST,     /* the connection is gone, and with it the transaction */
    STORE_FAILURE_DATA,     /* the values don't fit: only their owner (the mailbox) is harmed */
    STORE_FAILURE_OTHER,
};

/* Copied from the configuration, which may be reloaded under us. */
struct store_place {
    bool managed;
    char *socket;
    char **hosts;
    size_t host_count;
    char *user, *password_file, *tls_ca_file;
    char *database; /* NULL: none is chosen (migrations) */
    unsigned answer_seconds;
};

struct store {
    struct store_place place;
    MYSQL *mysql; /* NULL: not connected */
    struct store_query_cache *cache;
    enum store_failure failure; /* of the last failed statement */
    bool in_tx;
    struct store_claim *claim_unknown; /* a claim whose COMMIT had no answer, to be read back */
};

enum { STORE_CALL_SECONDS = 10, STORE_LOCK_WAIT_SECONDS = 4 };

/* A store that is not connected yet. */
struct store *store_link_new(const struct config *config);
/* Connects if it is not. May block for 10 s a host. */
int store_link_connect(struct store *store, struct err *err);
/* Drops the connection and all prepared statements. */
void store_link_close(struct store *store);

/* A statement without parameters and rows, not prepared (SET, START TRANSACTION, DDL). No retry. */
int store_link_run(struct store *store, const char *sql, struct err *err);

/* Pure: what a server's or client library's error number means. */
enum store_failure store_link_classify(unsigned number);
/* Sets store->failure and err "store: <words>"; a lost connection is closed. Returns -1. */
int store_link_fail(struct store *store, unsigned number, const char *words, struct err *err);

#endif
