/*
 * Connecting, by libcurl: TCP, proxy, TLS, STARTTLS, CAPABILITY; then the two ends of a byte stream. libcurl stays
 * inside, and never sees the secret: the login is the session's own.
 *
 * The process must ignore SIGPIPE. Nothing here blocks.
 */
#ifndef MIRROR_IMAP_CONNECT_H
#define MIRROR_IMAP_CONNECT_H

#include "base/digest.h"
#include "imap/imap_session.h"

#include <curl/curl.h>
#include <sys/types.h>

struct imap_connect;

enum { IMAP_CONNECT_READ_BYTES = 64 * 1024 }; /* at once */

/* `owner` comes back as CURLINFO_PRIVATE. NULL: the configuration cannot be used (ERR_SITE). */
struct imap_connect *imap_connect_new(const struct imap_session_params *params, void *owner, struct err *err);
/* Closes at once, without a word. The handle must not be in a multi handle any more. */
void imap_connect_free(struct imap_connect *connect);
/* Makes the end sure before libcurl closes: nothing further leaves this host, also not what the kernel still holds. */
void imap_connect_cut(struct imap_connect *connect);

CURL *imap_connect_handle(struct imap_connect *connect); /* for the multi handle */
int imap_connect_fd(struct imap_connect *connect);

/* Has the server said anything yet? */
bool imap_connect_is_greeted(const struct imap_connect *connect);
/* libcurl is done: 0 connected; -1 and why (ERR_SITE). */
int imap_connect_end(const struct imap_connect *connect, CURLcode code, struct err *err);

const char *imap_connect_greeting(const struct imap_connect *connect); /* without "* OK"; borrowed */
/* The words of the last CAPABILITY before the login, "" if none were told; borrowed. */
const char *imap_connect_capabilities(const struct imap_connect *connect);

/* SHA-256 of the public key of the server's certificate. false: no TLS. */
bool imap_connect_key_digest(const struct imap_connect *connect, uint8_t digest_out[DIGEST_BYTES]);

/* How many bytes; 0: none just now; -1: the connection is gone (ERR_SITE). */
ssize_t imap_connect_read(struct imap_connect *connect, char *bytes, size_t size, struct err *err);
ssize_t imap_connect_write(struct imap_connect *connect, const char *bytes, size_t len, struct err *err);

#endif
