/*
 * For the store's tests: a database of its own on the server behind MIRROR_TEST_SOCKET (tests/system/test_store.py
 * starts one), with the schema, two sites and two routes. Without that variable the tests skip themselves.
 */
#ifndef MIRROR_TESTS_STORE_FIXTURE_H
#define MIRROR_TESTS_STORE_FIXTURE_H

#include "base/config.h"
#include "store/store.h"

#include <stdint.h>

struct store_proxy;

struct store_fixture {
    struct config config;
    struct config_site sites[2];   /* "production", "dr" */
    struct config_route routes[2]; /* "dr", "vault" */
    char data_dir[64], database[64];
    struct store *store, *other; /* two connections */
    struct store_proxy *proxy;   /* NULL: connections go to the server itself */
    void *raw;
};

/* Makes the database and its schema. With a proxy all connections of `store` and `other` pass through it. */
struct store_fixture *store_fixture_new(bool with_proxy);
/* An empty database: not even made; no connections. */
struct store_fixture *store_fixture_new_empty(void);
void store_fixture_free(struct store_fixture *fixture);

/* cmocka's setup and teardown, skipping without a server: each test gets a fixture of its own in *state. */
int store_fixture_setup(void **state);
int store_fixture_setup_proxy(void **state);
int store_fixture_setup_empty(void **state);
int store_fixture_teardown(void **state);
/* With a `struct err err` in sight. */
#define ASSERT_OK(call)                                                                                      \
    do {                                                                                                     \
        if (call)                                                                                            \
            fail_msg("%s", err.text);                                                                        \
    } while (0)

/* First line of each test: skips it if there is no server. */
#define FIXTURE_OR_SKIP(state)                                                                               \
    if (!*(state))                                                                                           \
    skip()

/* On a connection of its own, behind the store's back. */
void store_fixture_sql(struct store_fixture *fixture, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
double store_fixture_number(struct store_fixture *fixture, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The first column of the first row; the caller frees. */
char *store_fixture_text(struct store_fixture *fixture, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds mailboxes "1001", "1002", ... on all routes or one. */
void store_fixture_mailboxes(struct store_fixture *fixture, unsigned count, const char *route);
/* KILLs the connections of the store, from outside. */
void store_fixture_kill_connections(struct store_fixture *fixture);

/* What the proxy does with the next COMMIT: lets it pass; drops it and the connection; passes it on and drops the
 * answer with the connection. Then it lets all pass again. */
enum store_proxy_mode { STORE_PROXY_PASS, STORE_PROXY_DROP_COMMIT, STORE_PROXY_DROP_ANSWER };
void store_fixture_proxy(struct store_fixture *fixture, enum store_proxy_mode mode);

#endif
