/*
 * The key of all digests of entries: <data_dir>/ldapsync.key, made at the first start, for its owner only. It is not in the
 * database, so that nobody can find a password of five digits there by trying all (I8). Another host has another one: what
 * the target stores differently is written once more then.
 */
#ifndef MIRROR_LDAPSYNC_DIGEST_KEY_H
#define MIRROR_LDAPSYNC_DIGEST_KEY_H

#include "base/config.h"
#include "ldapsync/mapping.h"

int digest_key_read(const struct config *config, uint8_t key_out[MAPPING_KEY_BYTES], struct err *err);
void digest_key_wipe(uint8_t key[MAPPING_KEY_BYTES]);

#endif
