/*
 * The two SHA-256 of a message; see digest.h. Used by the copier, and by everything that compares bytes.
 */
#include "base/digest.h"

#include "base/err.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct digest {
    EVP_MD_CTX *raw, *normal;
    uint64_t raw_bytes, normal_bytes;
    bool
        after_cr; /* the last byte was a CR, already counted as a line end: a LF that follows belongs to it */
};

static void begin(EVP_MD_CTX *context)
{
    if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        BUG("SHA-256 is not available");
}

static EVP_MD_CTX *new_context(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL)
        BUG("out of memory");
    begin(context);
    return context;
}

struct digest *digest_new(void)
{
    struct digest *digest = mem_new(sizeof(*digest));
    digest->raw = new_context();
    digest->normal = new_context();
    return digest;
}

void digest_free(struct digest *digest)
{
    if (digest == NULL)
        return;
    EVP_MD_CTX_free(digest->raw);
    EVP_MD_CTX_free(digest->normal);
    free(digest);
}

void digest_reset(struct digest *digest)
{
    begin(digest->raw);
    begin(digest->normal);
    digest->raw_bytes = digest->normal_bytes = 0;
    digest->after_cr = false;
}

static void feed(EVP_MD_CTX *context, uint64_t *count, const char *bytes, size_t len)
{
    if (len > 0 && EVP_DigestUpdate(context, bytes, len) != 1)
        BUG("SHA-256 failed");
    *count += len;
}

/* Length of what needs no change: bytes other than line ends, and whole CRLFs (a message in canonical form is one
 * such run, and costs one call). */
static size_t plain_run(const char *bytes, size_t len)
{
    size_t at = 0;
    while (at < len) {
        if (bytes[at] == '\r' && at + 1 < len && bytes[at + 1] == '\n')
            at += 2;
        else if (bytes[at] != '\r' && bytes[at] != '\n')
            at++;
        else
            break;
    }
    return at;
}

static void add_normal(struct digest *digest, const char *bytes, size_t len)
{
    size_t at = digest->after_cr && len > 0 && bytes[0] == '\n' ? 1 : 0;
    while (at < len) {
        size_t run = plain_run(bytes + at, len - at);
        feed(digest->normal, &digest->normal_bytes, bytes + at, run);
        at += run;
        if (at < len) {
            feed(digest->normal, &digest->normal_bytes, "\r\n", 2);
            at++;
        }
    }
    if (len > 0)
        digest->after_cr = bytes[len - 1] == '\r';
}

void digest_add(struct digest *digest, const void *bytes, size_t len)
{
    feed(digest->raw, &digest->raw_bytes, bytes, len);
    add_normal(digest, bytes, len);
}

void digest_end(struct digest *digest, struct digest_pair *pair_out)
{
    pair_out->raw_bytes = digest->raw_bytes;
    pair_out->normal_bytes = digest->normal_bytes;
    if (EVP_DigestFinal_ex(digest->raw, pair_out->raw, NULL) != 1 ||
        EVP_DigestFinal_ex(digest->normal, pair_out->normal, NULL) != 1)
        BUG("SHA-256 failed");
}

void digest_of(const void *bytes, size_t len, struct digest_pair *pair_out)
{
    struct digest *digest = digest_new();
    digest_add(digest, bytes, len);
    digest_end(digest, pair_out);
    digest_free(digest);
}

char *digest_hex(const uint8_t digest[DIGEST_BYTES], char text[DIGEST_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[2 * DIGEST_BYTES] = 0;
    return text;
}
