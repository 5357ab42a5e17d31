/*
 * libcurl's part; see imap_connect.h. CURLOPT_CONNECT_ONLY on an imap:// URL without a name ends after CAPABILITY;
 * curl_easy_recv() and curl_easy_send() then carry our own protocol. The greeting and the capabilities are listened to
 * through the debug callback, since libcurl itself does not tell a server's words.
 */
#include "imap/imap_connect.h"

#include "base/str.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { TCP_GONE_MS = 30000, WORDS_BYTES = 512, CAPABILITY_BYTES = 4096, MAX_LINE_BYTES = 8192 };

struct imap_connect {
    CURL *easy;
    char curl_words[CURL_ERROR_SIZE];
    bool greeted;
    char greeting[WORDS_BYTES];
    char last[WORDS_BYTES]; /* what the server said last */
    char capabilities[CAPABILITY_BYTES];
};

/* ---- listening ---- */

static void take_line(struct imap_connect *connect, const char *line)
{
    static const char untagged[] = "* CAPABILITY ";
    const char *rest = line + strcspn(line, " ");
    rest += strspn(rest, " ");
    str_into(connect->last, sizeof(connect->last), rest);
    if (!connect->greeted)
        str_into(connect->greeting, sizeof(connect->greeting),
                 strncasecmp(rest, "OK ", 3) == 0 ? rest + 3 : rest);
    else if (strncasecmp(line, untagged, sizeof(untagged) - 1) == 0)
        str_into(connect->capabilities, sizeof(connect->capabilities), line + sizeof(untagged) - 1);
    connect->greeted = true;
}

static int on_dialogue(CURL *easy, curl_infotype type, char *bytes, size_t len, void *context)
{
    char line[MAX_LINE_BYTES];
    (void)easy;
    if (type != CURLINFO_HEADER_IN)
        return 0;
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
        len--;
    snprintf(line, sizeof(line), "%.*s", (int)(len < sizeof(line) ? len : sizeof(line) - 1), bytes);
    take_line(context, line);
    return 0;
}

/* ---- options ---- */

/* A far side that is gone without a word is noticed while we write, too. */
static int on_socket(void *context, curl_socket_t fd, curlsocktype purpose)
{
    unsigned gone_ms = TCP_GONE_MS;
    (void)context;
    if (purpose == CURLSOCKTYPE_IPCXN)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &gone_ms, sizeof(gone_ms));
    return CURL_SOCKOPT_OK;
}

static void set_url(CURL *easy, const struct config_imap *imap)
{
    bool is_ipv6 = strchr(imap->host, ':') != NULL;
    char *url = str_format("%s://%s%s%s:%u/", imap->tls == CONFIG_TLS_ALWAYS ? "imaps" : "imap",
                           is_ipv6 ? "[" : "", imap->host, is_ipv6 ? "]" : "", imap->port);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    free(url);
}

static void set_tls(CURL *easy, const struct config_imap *imap)
{
    static const long versions[] = {
        [CONFIG_TLS_1_0] = CURL_SSLVERSION_TLSv1_0,
        [CONFIG_TLS_1_1] = CURL_SSLVERSION_TLSv1_1,
        [CONFIG_TLS_1_2] = CURL_SSLVERSION_TLSv1_2,
        [CONFIG_TLS_1_3] = CURL_SSLVERSION_TLSv1_3,
    };
    if (imap->tls == CONFIG_TLS_NEVER)
        return;
    curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, versions[imap->tls_min_version]);
    /* OpenSSL 3 speaks the old versions only at its lowest level of security. */
    if (imap->tls_min_version < CONFIG_TLS_1_2)
        curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, "DEFAULT@SECLEVEL=0");
    if (imap->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, imap->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

static void set_route(CURL *easy, const struct config_imap *imap)
{
    if (imap->source_address) {
        char *address = str_format("host!%s", imap->source_address);
        curl_easy_setopt(easy, CURLOPT_INTERFACE, address);
        free(address);
    }
    /* An empty proxy: none, whatever the environment says. */
    curl_easy_setopt(easy, CURLOPT_PROXY, imap->proxy ? imap->proxy : "");
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
}

/* libcurl's limits are the outer ones; the session's own are narrower. */
static void set_limits(CURL *easy, const struct config_imap *imap)
{
    long connect_ms = (long)imap->connect_seconds * 1000, answer_ms = (long)imap->answer_seconds * 1000;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms + answer_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, connect_ms + 2 * answer_ms);
    curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)imap->answer_seconds);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
}

struct imap_connect *imap_connect_new(const struct imap_session_params *params, void *owner, struct err *err)
{
    const struct config_imap *imap = &params->site->imap;
    struct imap_connect *connect;
    CURL *easy = imap->host ? curl_easy_init() : NULL;
    if (!easy) {
        err_set(err, ERR_SITE, ERR_RETRY_LATER,
                imap->host ? "libcurl cannot be started" : "it has no imap section");
        return NULL;
    }
    connect = mem_new(sizeof(*connect));
    connect->easy = easy;
    set_url(easy, imap);
    set_tls(easy, imap);
    set_route(easy, imap);
    set_limits(easy, imap);
    /* No name, and no mechanism that does without one (EXTERNAL): libcurl logs nobody in. */
    curl_easy_setopt(easy, CURLOPT_LOGIN_OPTIONS, "AUTH=PLAIN");
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)IMAP_CONNECT_READ_BYTES);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "imap,imaps");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, connect->curl_words);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_dialogue);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, connect);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, owner);
    return connect;
}

void imap_connect_free(struct imap_connect *connect)
{
    if (!connect)
        return;
    curl_easy_cleanup(connect->easy);
    free(connect);
}

CURL *imap_connect_handle(struct imap_connect *connect)
{
    return connect->easy;
}

int imap_connect_fd(struct imap_connect *connect)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (curl_easy_getinfo(connect->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK)
        return -1;
    return fd;
}

/* The key, not the certificate: one that is renewed for the same key is no other server. */
bool imap_connect_key_digest(const struct imap_connect *connect, uint8_t digest_out[DIGEST_BYTES])
{
    struct curl_tlssessioninfo *tls = NULL;
    X509 *certificate = NULL;
    unsigned len = DIGEST_BYTES;
    bool there = false;
    if (curl_easy_getinfo(connect->easy, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK && tls &&
        tls->backend == CURLSSLBACKEND_OPENSSL && tls->internals)
        certificate = SSL_get1_peer_certificate(tls->internals);
    if (certificate)
        there = X509_pubkey_digest(certificate, EVP_sha256(), digest_out, &len) == 1;
    X509_free(certificate);
    return there;
}

/* libcurl would say TLS's goodbye; after this there is nothing that it could be said to. */
void imap_connect_cut(struct imap_connect *connect)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    int fd = imap_connect_fd(connect);
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    shutdown(fd, SHUT_RDWR);
}

/* ---- how it ended ---- */

bool imap_connect_is_greeted(const struct imap_connect *connect)
{
    return connect->greeted;
}

static const struct {
    CURLcode code;
    const char *advice; /* after "what happened" in libcurl's words */
} advices[] = {
    {CURLE_COULDNT_RESOLVE_HOST, "; check imap.host and the name service"},
    {CURLE_COULDNT_CONNECT, "; is the server up, imap.port right, the firewall open?"},
    {CURLE_OPERATION_TIMEDOUT, ""},
    {CURLE_SSL_CONNECT_ERROR, "; the TLS handshake failed: the server may only speak an older version than "
                              "imap.tls_min_version allows, or no TLS on this port"},
    {CURLE_PEER_FAILED_VERIFICATION,
     "; its certificate was not accepted: imap.ca_file must hold the authority that "
     "signed it, and imap.host be the name that it is made out to"},
    {CURLE_SSL_CACERT_BADFILE, "; imap.ca_file cannot be used"},
    {CURLE_USE_SSL_FAILED,
     "; it offers no STARTTLS: enable it there, or set imap.tls to never (then passwords and "
     "voicemail travel in the clear)"},
    {CURLE_INTERFACE_FAILED, "; imap.source_address is no address of this machine"},
    {CURLE_COULDNT_RESOLVE_PROXY, "; check imap.proxy"},
    {CURLE_PROXY, "; check imap.proxy"},
};

static const char *advice_for(CURLcode code)
{
    for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
        if (advices[i].code == code)
            return advices[i].advice;
    return "";
}

int imap_connect_end(const struct imap_connect *connect, CURLcode code, struct err *err)
{
    const char *words = connect->curl_words[0] ? connect->curl_words : curl_easy_strerror(code);
    if (code == CURLE_OK)
        return 0;
    if (connect->last[0] && advice_for(code)[0] == 0)
        return err_set(err, ERR_SITE, ERR_RETRY_LATER, "connecting failed: %s; the server's last words: %s",
                       words, connect->last);
    return err_set(err, ERR_SITE, ERR_RETRY_LATER, "connecting failed: %s%s", words, advice_for(code));
}

const char *imap_connect_greeting(const struct imap_connect *connect)
{
    return connect->greeting;
}

const char *imap_connect_capabilities(const struct imap_connect *connect)
{
    return connect->capabilities;
}

/* ---- the byte stream ---- */

static int is_gone(const struct imap_connect *connect, CURLcode code, struct err *err)
{
    return err_set(err, ERR_SITE, ERR_RETRY_LATER, "the connection was lost: %s",
                   connect->curl_words[0] ? connect->curl_words : curl_easy_strerror(code));
}

ssize_t imap_connect_read(struct imap_connect *connect, char *bytes, size_t size, struct err *err)
{
    size_t got = 0;
    CURLcode code;
    connect->curl_words[0] = 0;
    code = curl_easy_recv(connect->easy, bytes, size, &got);
    if (code == CURLE_AGAIN)
        return 0;
    if (code != CURLE_OK)
        return is_gone(connect, code, err);
    if (got == 0)
        return err_set(err, ERR_SITE, ERR_RETRY_LATER, "the server closed the connection");
    return (ssize_t)got;
}

ssize_t imap_connect_write(struct imap_connect *connect, const char *bytes, size_t len, struct err *err)
{
    size_t sent = 0;
    CURLcode code;
    connect->curl_words[0] = 0;
    code = curl_easy_send(connect->easy, bytes, len, &sent);
    if (code == CURLE_AGAIN)
        return 0;
    return code == CURLE_OK ? (ssize_t)sent : is_gone(connect, code, err);
}
