/*
 * The listening socket of the API.
 */
#ifndef MIRROR_API_LISTEN_H
#define MIRROR_API_LISTEN_H

#include "base/err.h"

/* Opens "127.0.0.1:8080", "[::1]:8080" or "localhost:8080"; not blocking. -1 on failure. */
int api_listen_open(const char *address, struct err *err);

#endif
