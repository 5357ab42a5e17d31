/*
 * Checks of single texts of the configuration; see config_wrong.h.
 */
#include "base/config_wrong.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool only(const char *text, const char *allowed, size_t max_bytes)
{
    size_t len = strlen(text);
    return len > 0 && len <= max_bytes && strspn(text, allowed) == len;
}

const char *config_wrong_name(const char *text)
{
    return only(text, LETTERS DIGITS "._-", 64) ? NULL : "write 1 to 64 letters, digits, '.', '_' or '-'";
}

static size_t count_of(const char *text, char c)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == c;
    return count;
}

const char *config_wrong_host(const char *text)
{
    static const char *const what = "write a host name, an IPv4 or an IPv6 address";
    struct in6_addr address;
    if (count_of(text, ':') == 1)
        return "write the host alone; the port has a key of its own, 'port'";
    if (strchr(text, ':') != NULL)
        return inet_pton(AF_INET6, text, &address) == 1 ? NULL : what;
    return only(text, LETTERS DIGITS "._-", 253) && *text != '-' ? NULL : what;
}

static bool is_port(const char *text)
{
    uint32_t port;
    return str_to_u32(text, &port) == 0 && port >= 1 && port <= 65535;
}

/* Takes "host:port" or "[v6]:port" apart; without a port, *port_out is NULL. */
static bool split(const char *text, char host[256], const char **port_out)
{
    const char *begin = text, *end = strrchr(text, ':');
    *port_out = end == NULL ? NULL : end + 1;
    if (*text == '[') {
        begin = text + 1;
        end = strchr(begin, ']');
        if (end == NULL || (end[1] != 0 && end[1] != ':'))
            return false;
        *port_out = end[1] == ':' ? end + 2 : NULL;
    }
    size_t len = end == NULL ? strlen(begin) : (size_t)(end - begin);
    if (len == 0 || len >= 256)
        return false;
    memcpy(host, begin, len);
    host[len] = 0;
    return *text == '[' || strchr(host, ':') == NULL;
}

const char *config_wrong_host_port(const char *text)
{
    char host[256];
    const char *port;
    bool good =
        split(text, host, &port) && config_wrong_host(host) == NULL && (port == NULL || is_port(port));
    return good ? NULL : "write host, host:port or [IPv6 address]:port";
}

const char *config_wrong_listen(const char *text)
{
    char host[256];
    const char *port;
    struct in_addr v4;
    struct in6_addr v6;
    bool good = split(text, host, &port) && port != NULL && is_port(port) &&
                (*text == '[' ? inet_pton(AF_INET6, host, &v6) == 1
                              : inet_pton(AF_INET, host, &v4) == 1 || str_equal(host, "localhost"));
    return good ? NULL : "write address:port, such as 127.0.0.1:8080 or [::1]:8080";
}

bool config_wrong_listen_is_loopback(const char *text)
{
    char host[256];
    const char *port;
    struct in_addr v4;
    struct in6_addr v6;
    if (!split(text, host, &port))
        return false;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return str_equal(host, "localhost");
}

const char *config_wrong_word(const char *text)
{
    return strpbrk(text, " \t") == NULL ? NULL : "write it without blanks";
}

/* A password in the file would be one that everybody who may read the file has (I8). */
const char *config_wrong_proxy(const char *text)
{
    if (strchr(text, '@') != NULL)
        return "a proxy with user and password is not supported; write scheme://host:port";
    return strstr(text, "://") != NULL && config_wrong_word(text) == NULL
               ? NULL
               : "write scheme://host:port, such as socks5h://10.1.1.1:1080";
}

const char *config_wrong_database_name(const char *text)
{
    return only(text, LETTERS DIGITS "_", 64) ? NULL : "write 1 to 64 letters, digits or '_'";
}

/* NULL, or the first {…} that is not one of ours. */
static const char *foreign_placeholder(const char *text)
{
    static const char *const known[] = {"{mailbox}", "{trusted}"};
    while ((text = strpbrk(text, "{}")) != NULL) {
        size_t i = 0;
        while (i < 2 && strncmp(text, known[i], strlen(known[i])) != 0)
            i++;
        if (i == 2)
            return text;
        text += strlen(known[i]);
    }
    return NULL;
}

const char *config_wrong_login(const char *text)
{
    if (str_equal(text, "sasl-plain") || str_equal(text, "proxyauth"))
        return NULL;
    if (strstr(text, "{mailbox}") == NULL)
        return "write a template that holds {mailbox}, such as \"{mailbox}*{trusted}\", or sasl-plain, or "
               "proxyauth";
    return foreign_placeholder(text) == NULL
               ? NULL
               : "only {mailbox} and {trusted} are filled in; write no other braces";
}

const char *config_wrong_mailbox(const char *text)
{
    return str_is_mailbox_number(text) ? NULL
                                       : "write a mailbox number: 1 to 64 digits, letters, '.', '_', '-', "
                                         "'@' or '+', not beginning with '-'";
}

const char *config_wrong_capability(const char *text)
{
    return only(text, LETTERS DIGITS "=+-._", 64)
               ? NULL
               : "write a name as in the server's CAPABILITY, such as LITERAL+";
}

const char *config_wrong_dn(const char *text)
{
    const char *equals = strchr(text, '=');
    return equals != NULL && equals != text && equals[1] != 0
               ? NULL
               : "write a DN, such as \"ou=People,dc=store,dc=example\"";
}

const char *config_wrong_filter(const char *text)
{
    int depth = 0;
    const char *at = text;
    for (; *at; at++) {
        depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
        if (depth <= 0)
            break;
    }
    bool one_whole = text[0] == '(' && depth == 0 && *at == ')' && at[1] == 0;
    return one_whole && strchr(text, '=') != NULL
               ? NULL
               : "write an LDAP filter in brackets (RFC 4515), such as \"(standinCos=12)\"";
}

const char *config_wrong_range(const char *text)
{
    size_t first = strspn(text, "0123456789");
    const char *second = text + first + 1;
    bool right = first > 0 && first <= 64 && text[first] == '-' && strspn(second, "0123456789") == first &&
                 second[first] == '\0' && strncmp(text, second, first) <= 0;
    return right ? NULL : "write the first and the last number, with as many digits, such as 4000-4999";
}

const char *config_wrong_attribute(const char *text)
{
    return only(text, LETTERS DIGITS "-.", 128) ? NULL : "write the name of an attribute, without options";
}
