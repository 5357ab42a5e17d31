/*
 * Who may ask at all: pure checks of the Host header and of the bearer token.
 */
#ifndef MIRROR_API_GATE_H
#define MIRROR_API_GATE_H

#include "base/secret.h"

#include <stdbool.h>

/* A server that listens on loopback answers to loopback's names only: a web page that had its own name resolved to
 * 127.0.0.1 is turned away. Elsewhere any well-formed name may be meant. `host` NULL: no such header. */
bool api_gate_host_is_ok(const char *listen, const char *host);

/* What to say of one that is not. */
const char *api_gate_host_words(const char *listen);

/* "Authorization: Bearer <token>", compared in constant time. `header` may be NULL. */
bool api_gate_token_is_ok(const struct secret *token, const char *header);

/* true for 127.0.0.0/8, ::1 and localhost; `address` is "host:port" or "[host]:port". */
bool api_gate_is_loopback(const char *address);

#endif
