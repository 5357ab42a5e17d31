/*
 * The token that lets people and mirrorctl use the API: <data_dir>/api.token, made on first start, readable by its
 * owner only. To change it, replace the file and send SIGHUP.
 */
#ifndef MIRROR_API_TOKEN_H
#define MIRROR_API_TOKEN_H

#include "base/err.h"
#include "base/secret.h"

enum { API_TOKEN_BYTES = 32 }; /* random ones; twice as many hexadecimal digits in the file */

/* Reads the file, and makes it first if it is not there. */
struct secret *api_token_open(const char *path, struct err *err);

#endif
