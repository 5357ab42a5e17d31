/*
 * Checks of single texts for the table of keys. Each returns what is wrong and what to write instead, or NULL.
 */
#ifndef MIRROR_BASE_CONFIG_WRONG_H
#define MIRROR_BASE_CONFIG_WRONG_H

#include <stdbool.h>
#include <stdint.h>

const char *config_wrong_name(const char *text);
const char *config_wrong_host(const char *text);
const char *config_wrong_host_port(const char *text); /* "host" or "host:port" */
const char *config_wrong_listen(const char *text);    /* "address:port", "[v6]:port" */
const char *config_wrong_word(const char *text);      /* no blanks */
const char *config_wrong_proxy(const char *text);
const char *config_wrong_database_name(const char *text);
const char *config_wrong_login(const char *text);
const char *config_wrong_mailbox(const char *text);
const char *config_wrong_capability(const char *text);
const char *config_wrong_dn(const char *text);     /* only by its look: libldap is not linked everywhere */
const char *config_wrong_filter(const char *text); /* balanced brackets, RFC 4515 */
const char *config_wrong_range(const char *text);  /* "4000-4999": digits, as many on both sides, ascending */
const char *config_wrong_attribute(const char *text); /* a name or OID, without options */

/* Of a text that config_wrong_listen() accepted: can only this machine reach it? */
bool config_wrong_listen_is_loopback(const char *text);

#endif
