/*
 * The HTTP side of mirrorctl: libcurl, one request at a time.
 */
#ifndef MIRROR_CTL_CTL_CLIENT_H
#define MIRROR_CTL_CTL_CLIENT_H

#include "base/err.h"
#include "base/secret.h"

#include <cjson/cJSON.h>
#include <stddef.h>

struct ctl_client;

struct ctl_client_place {
    const char *url;     /* "http://127.0.0.1:8080", without a path */
    const char *ca_file; /* NULL: the system's */
    const char *
        cert_file; /* on the host itself: the server's own certificate, whose key must be the one used; or NULL */
    bool plain_http_is_ok; /* off loopback: the configuration allowed it in so many words */
};

/* `*token` is taken. */
struct ctl_client *ctl_client_open(const struct ctl_client_place *place, struct secret **token,
                                   struct err *err);
void ctl_client_close(struct ctl_client *client);

struct ctl_request {
    const char *method, *path; /* the path with its query, escaped */
    const char *type;          /* of the body; NULL: JSON */
    const char *body;          /* NULL: none */
    size_t body_len;
    unsigned seconds; /* limit; 0: 30 */
};

/* 0: there was an answer; *status_out is its HTTP status, *document_out its JSON object (NULL if it had none); the
 * caller deletes it. -1: not reachable, and why. */
int ctl_client_ask(struct ctl_client *client, const struct ctl_request *request, long *status_out,
                   cJSON **document_out, struct err *err);

#endif
