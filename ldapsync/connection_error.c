/*
 * Result codes and what they mean; see connection_error.h.
 */
#include "ldapsync/connection_error.h"

#include "base/str.h"

#include <ldap.h>
#include <string.h>

enum meaning { OF_ENTRY, OF_ATTRIBUTE, OF_SITE, OF_SECRET };

static const struct {
    int code;
    enum meaning meaning;
} meanings[] = {
    {LDAP_INVALID_CREDENTIALS, OF_SECRET},
    {LDAP_INAPPROPRIATE_AUTH, OF_SECRET},
    {LDAP_STRONG_AUTH_REQUIRED, OF_SECRET},
    {LDAP_CONFIDENTIALITY_REQUIRED, OF_SECRET},
    {LDAP_AUTH_METHOD_NOT_SUPPORTED, OF_SECRET},
    {LDAP_AUTH_UNKNOWN, OF_SECRET},
    {LDAP_BUSY, OF_SITE},
    {LDAP_UNAVAILABLE, OF_SITE},
    {LDAP_SERVER_DOWN, OF_SITE},
    {LDAP_CONNECT_ERROR, OF_SITE},
    {LDAP_TIMEOUT, OF_SITE},
    {LDAP_DECODING_ERROR, OF_SITE},
    {LDAP_ENCODING_ERROR, OF_SITE},
    {LDAP_LOCAL_ERROR, OF_SITE},
    {LDAP_UNDEFINED_TYPE, OF_ATTRIBUTE},
    {LDAP_CONSTRAINT_VIOLATION, OF_ATTRIBUTE},
    {LDAP_INVALID_SYNTAX, OF_ATTRIBUTE},
    {LDAP_INSUFFICIENT_ACCESS, OF_ATTRIBUTE},
    {LDAP_UNWILLING_TO_PERFORM, OF_ATTRIBUTE},
    {LDAP_OBJECT_CLASS_VIOLATION, OF_ATTRIBUTE},
    {LDAP_NO_OBJECT_CLASS_MODS, OF_ATTRIBUTE},
    {LDAP_NOT_ALLOWED_ON_RDN, OF_ATTRIBUTE},
    {LDAP_OTHER, OF_ATTRIBUTE},
};

static enum meaning meaning_of(int code)
{
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].code == code)
            return meanings[i].meaning;
    return code < 0 ? OF_SITE : OF_ENTRY;
}

int connection_error_set(int code, const char *words, struct err *err)
{
    enum meaning meaning = meaning_of(code);
    bool of_site = meaning == OF_SITE || meaning == OF_SECRET;
    bool says_more = words && *words;
    return err_set(err, of_site ? ERR_SITE : ERR_MESSAGE, ERR_RETRY_LATER, "%s%s%.400s%s",
                   ldap_err2string(code), says_more ? " (" : "", says_more ? words : "",
                   says_more ? ")" : "");
}

bool connection_error_is_refusal(int code)
{
    return meaning_of(code) == OF_SECRET;
}

bool connection_error_is_of_attribute(int code)
{
    return meaning_of(code) == OF_ATTRIBUTE;
}

/* TLS libraries say it each in their own way. */
static const char *advice(const struct connection_error_attempt *attempt)
{
    const char *words = attempt->words ? attempt->words : "";
    if (strcasestr(words, "hostname") || strcasestr(words, "does not match"))
        return "; the certificate must be made out to ldap.host";
    if (strcasestr(words, "verif") || strcasestr(words, "cert") || strcasestr(words, "issuer"))
        return "; ldap.ca_file must hold the CA that signed the directory's certificate";
    if (strcasestr(words, "version") || strcasestr(words, "handshake"))
        return "; the directory may speak only an older TLS: see ldap.tls_min_version";
    if (attempt->code == LDAP_CONNECT_ERROR && attempt->ldap->tls != CONFIG_TLS_NEVER)
        return "; TLS failed: ldap.ca_file must hold the CA that signed the directory's certificate, which "
               "must be made "
               "out to ldap.host, and both must speak ldap.tls_min_version";
    if (attempt->code == LDAP_SERVER_DOWN &&
        attempt->ldap->tls == CONFIG_TLS_ALWAYS) /* libldap tells no more */
        return "; check ldap.host and ldap.port; if those are right, TLS failed: ldap.ca_file must hold the "
               "CA that "
               "signed the directory's certificate, which must be made out to ldap.host";
    if (attempt->code == LDAP_PROTOCOL_ERROR || attempt->code == LDAP_UNAVAILABLE)
        return "; it may not offer StartTLS: see ldap.tls";
    return "; check ldap.host and ldap.port, the way there, and that LDAP access is allowed on the store";
}

int connection_error_connect(const struct connection_error_attempt *attempt, struct err *err)
{
    bool says_more = attempt->words && *attempt->words && !strstr(attempt->words, "unknown error code");
    const char *words = says_more ? attempt->words : NULL;
    return err_set(err, ERR_SITE, ERR_RETRY_LATER, "connect to %s port %u: %s%s%.300s%s%s",
                   attempt->ldap->host, attempt->ldap->port, ldap_err2string(attempt->code),
                   words ? " (" : "", words ? words : "", words ? ")" : "", advice(attempt));
}
