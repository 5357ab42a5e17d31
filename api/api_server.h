/*
 * The HTTP server: libmicrohttpd, driven from the one thread of mirror-api. It keeps the limits of a request (size of head
 * and body, number of connections, time) and lets it through the gate; behind that, handlers take over.
 */
#ifndef MIRROR_API_SERVER_H
#define MIRROR_API_SERVER_H

#include "api/api.h"
#include "base/secret.h"

struct api_server;

/* Listens as the configuration says, with TLS if it names a certificate. `*token` is taken. */
struct api_server *api_server_open(struct api *api, struct secret **token, struct err *err);
/* Stops listening, ends what is in hand within `grace_ms`, closes all. */
void api_server_close(struct api_server *server, int grace_ms);

/* Waits for a request (at most DAEMON_TICK_MS) and works on what there is. */
void api_server_step(struct api_server *server);

/* Exchanges the token; taken. */
void api_server_set_token(struct api_server *server, struct secret **token);

#endif
