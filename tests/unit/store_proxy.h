/*
 * For the store's tests: a proxy of MariaDB's unix socket, in a thread, that can lose a COMMIT or its answer.
 */
#ifndef MIRROR_TESTS_STORE_PROXY_H
#define MIRROR_TESTS_STORE_PROXY_H

#include "store_fixture.h"

struct store_proxy *store_proxy_new(const char *listen_path, const char *server_path);
void store_proxy_free(struct store_proxy *proxy);
void store_proxy_set(struct store_proxy *proxy, enum store_proxy_mode mode);

#endif
