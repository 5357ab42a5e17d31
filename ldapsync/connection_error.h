/*
 * What a result code of LDAP (RFC 4511, appendix A) or of libldap means here: how far it reaches, whether to try again, and
 * what to do. Pure.
 */
#ifndef MIRROR_LDAPSYNC_CONNECTION_ERROR_H
#define MIRROR_LDAPSYNC_CONNECTION_ERROR_H

#include "base/config.h"
#include "base/err.h"

/* Names the code and the server's words. ERR_MESSAGE: this entry's own; ERR_SITE: the server can do nothing now. -1. */
int connection_error_set(int code, const char *words, struct err *err);
/* Our name or password, or the way of binding: the same again is no use. */
bool connection_error_is_refusal(int code);
/* The target refuses something of this very entry, by its schema or its rights: an attribute may be left out. */
bool connection_error_is_of_attribute(int code);

struct connection_error_attempt {
    const struct config_ldap *ldap;
    int code;
    const char *words; /* libldap's, may be NULL */
};
int connection_error_connect(const struct connection_error_attempt *attempt, struct err *err);

#endif
