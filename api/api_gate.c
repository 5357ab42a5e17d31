/*
 * The gate of mirror-api: pure.
 */
#include "api/api_gate.h"

#include "base/str.h"

#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

enum { HOST_BYTES = 256 };

/* The host of "host:port", "[v6]:port" or "host", without brackets; false if it is no such thing. */
static bool host_of(const char *address, char host[HOST_BYTES])
{
    const char *begin = address, *end;
    if (*address == '[') {
        begin++;
        end = strchr(begin, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return false;
    } else {
        end = begin + strcspn(begin, ":");
    }
    const char *port = *end == ']' ? end + 1 : end;
    if (*port == ':' && port[1 + strspn(port + 1, "0123456789")] != '\0')
        return false;
    size_t len = (size_t)(end - begin);
    if (len == 0 || len >= HOST_BYTES ||
        strspn(begin, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:") < len)
        return false;
    memcpy(host, begin, len);
    host[len] = '\0';
    return true;
}

static bool is_loopback_host(const char *host)
{
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0)
        return true;
    return strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == '\0';
}

bool api_gate_is_loopback(const char *address)
{
    char host[HOST_BYTES];
    return host_of(address, host) && is_loopback_host(host);
}

bool api_gate_host_is_ok(const char *listen, const char *host)
{
    char name[HOST_BYTES];
    if (!host || !host_of(host, name))
        return false;
    return !api_gate_is_loopback(listen) || is_loopback_host(name);
}

const char *api_gate_host_words(const char *listen)
{
    return api_gate_is_loopback(listen)
               ? "the Host header names another server; this one listens on loopback and is "
                 "127.0.0.1, [::1] or localhost"
               : "the Host header is missing or no host name";
}

bool api_gate_token_is_ok(const struct secret *token, const char *header)
{
    static const char scheme[] = "Bearer ";
    if (!header || strncasecmp(header, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *given = header + sizeof scheme - 1;
    given += strspn(given, " ");
    const char *wanted = secret_reveal(token);
    size_t len = strlen(wanted);
    /* The length is no secret: it is always the same. */
    return strlen(given) == len && CRYPTO_memcmp(given, wanted, len) == 0;
}
