/*
 * Asking the API, in mirrorctl. The token is sent over TLS or within this host only; on the host itself a self-made
 * certificate needs no authority: the key must be the one of the configured certificate.
 */
#include "ctl/ctl_client.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ANSWER_BYTES = 256 * 1024 * 1024, CONNECT_SECONDS = 10, ANSWER_SECONDS = 30 };

struct ctl_client {
    CURL *curl;
    struct secret *token;
    char *url;
    char words[CURL_ERROR_SIZE];
};

/* "sha256//<base64>" of the certificate's public key, as curl compares it; NULL on failure. The caller frees. */
static char *pin_of(const char *cert_file)
{
    unsigned char digest[EVP_MAX_MD_SIZE], text[2 * EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    unsigned char *key = NULL;
    char *pin = NULL;
    FILE *file = fopen(cert_file, "re");
    X509 *certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    int key_len = certificate ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key) : -1;
    if (key_len > 0 && EVP_Digest(key, (size_t)key_len, digest, &digest_len, EVP_sha256(), NULL) == 1) {
        EVP_EncodeBlock(text, digest, (int)digest_len);
        pin = str_format("sha256//%s", (const char *)text);
    }
    OPENSSL_free(key);
    X509_free(certificate);
    if (file)
        fclose(file);
    return pin;
}

static int set_trust(CURL *curl, const struct ctl_client_place *place, struct err *err)
{
    if (place->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, place->ca_file);
    if (!place->cert_file)
        return 0;
    char *pin = pin_of(place->cert_file);
    if (!pin)
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "%s is not readable, or no certificate in PEM",
                       place->cert_file);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    CURLcode code = curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, pin);
    free(pin);
    return code == CURLE_OK ? 0 : err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "%s", curl_easy_strerror(code));
}

static bool is_loopback(const char *host)
{
    return str_equal_nocase(host, "localhost") || strncmp(host, "127.", 4) == 0 || str_equal(host, "[::1]");
}

/* Refuses what would send the token in the clear to another machine. */
static int check_url(const struct ctl_client_place *place, struct err *err)
{
    char *scheme = NULL, *host = NULL;
    CURLU *parts = curl_url();
    int result = -1;
    if (!parts || curl_url_set(parts, CURLUPART_URL, place->url, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "'%s' is no URL such as https://mirror.example:8443",
                place->url);
    else if (!str_equal(scheme, "https") && !str_equal(scheme, "http"))
        err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "'%s' is neither https:// nor http://", place->url);
    else if (str_equal(scheme, "http") && !is_loopback(host) && !place->plain_http_is_ok)
        err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "'%s': the token would be sent unprotected; use https://",
                place->url);
    else
        result = 0;
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parts);
    return result;
}

struct ctl_client *ctl_client_open(const struct ctl_client_place *place, struct secret **token,
                                   struct err *err)
{
    struct ctl_client *client = mem_new(sizeof *client);
    client->token = *token;
    *token = NULL;
    client->url = str_copy(place->url);
    size_t len = strlen(client->url);
    if (len > 0 && client->url[len - 1] == '/')
        client->url[len - 1] = '\0';
    if (check_url(place, err) == 0) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        client->curl = curl_easy_init();
        if (!client->curl)
            BUG("out of memory");
        if (set_trust(client->curl, place, err) == 0)
            return client;
    }
    ctl_client_close(client);
    return NULL;
}

void ctl_client_close(struct ctl_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    secret_free(client->token);
    free(client->url);
    free(client);
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *context)
{
    return buf_add(context, bytes, size * count) == 0 ? size * count : 0;
}

static void set_common(struct ctl_client *client, struct buf *answer)
{
    CURL *curl = client->curl;
    client->words[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->words);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "mirrorctl/" MM_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
}

static void set_request(CURL *curl, const struct ctl_request *request)
{
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)(request->seconds ? request->seconds : ANSWER_SECONDS));
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

static struct curl_slist *headers_for(const struct ctl_client *client, const struct ctl_request *request)
{
    char *token = str_format("Authorization: Bearer %s", secret_reveal(client->token));
    struct curl_slist *headers = curl_slist_append(NULL, token);
    explicit_bzero(token, strlen(token));
    free(token);
    if (request->body) {
        char *type = str_format("Content-Type: %s", request->type ? request->type : "application/json");
        headers = curl_slist_append(headers, type);
        free(type);
    }
    return headers;
}

static void free_headers(struct curl_slist *headers)
{
    if (headers)
        explicit_bzero(headers->data, strlen(headers->data));
    curl_slist_free_all(headers);
}

int ctl_client_ask(struct ctl_client *client, const struct ctl_request *request, long *status_out,
                   cJSON **document_out, struct err *err)
{
    struct buf answer;
    char *url = str_format("%s%s", client->url, request->path);
    struct curl_slist *headers = headers_for(client, request);
    buf_init(&answer, MAX_ANSWER_BYTES);
    set_common(client, &answer);
    set_request(client->curl, request);
    curl_easy_setopt(client->curl, CURLOPT_URL, url);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(client->curl);
    int result = 0;
    *status_out = 0;
    *document_out = NULL;
    if (code == CURLE_OK) {
        struct err ignored = {0};
        curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, status_out);
        *document_out = json_parse_object(buf_data(&answer), buf_len(&answer), MAX_ANSWER_BYTES, &ignored);
    } else {
        result = err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "%s is not reachable: %s%s", client->url,
                         client->words[0] ? client->words : curl_easy_strerror(code),
                         code == CURLE_COULDNT_CONNECT ? "; does mirror-supervisor run there?" : "");
    }
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    free_headers(headers);
    buf_fini(&answer);
    free(url);
    return result;
}
