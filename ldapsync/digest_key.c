/*
 * The key file of ldapsync; see digest_key.h. Several processes may start at once: whoever links his file first wins.
 */
#include "ldapsync/digest_key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *path, const char *what, struct err *err)
{
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER,
                   "%s: %s; let it be readable for the programs' user only", path, what);
}

/* 1: read; 0: not there. */
static int read_key(const char *path, uint8_t key[MAPPING_KEY_BYTES], struct err *err)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    uint8_t more;
    if (file < 0)
        return errno == ENOENT ? 0 : fail(path, strerror(errno), err);
    bool whole = read(file, key, MAPPING_KEY_BYTES) == MAPPING_KEY_BYTES && read(file, &more, 1) == 0;
    close(file);
    return whole ? 1 : fail(path, "is not a key of 32 bytes; remove it, and a new one is made", err);
}

static int write_key(const char *path, struct err *err)
{
    char draft[4096];
    uint8_t key[MAPPING_KEY_BYTES];
    if (snprintf(draft, sizeof(draft), "%s.%ld", path, (long)getpid()) >= (int)sizeof(draft))
        return fail(path, "the name is too long", err);
    if (RAND_bytes(key, sizeof(key)) != 1)
        return fail(path, "no random numbers", err);
    int file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = file >= 0 && write(file, key, sizeof(key)) == sizeof(key) && fsync(file) == 0;
    int why = errno;
    digest_key_wipe(key);
    if (file >= 0)
        close(file);
    if (ok && link(draft, path) != 0 && errno != EEXIST)
        ok = false, why = errno;
    unlink(draft);
    return ok ? 0 : fail(path, strerror(why), err);
}

int digest_key_read(const struct config *config, uint8_t key_out[MAPPING_KEY_BYTES], struct err *err)
{
    char *path = config_path(config, "ldapsync.key");
    int got = read_key(path, key_out, err);
    if (got == 0 && write_key(path, err) == 0)
        got = read_key(path, key_out, err);
    if (got == 0)
        fail(path, "vanished", err);
    free(path);
    return got == 1 ? 0 : -1;
}

void digest_key_wipe(uint8_t key[MAPPING_KEY_BYTES])
{
    OPENSSL_cleanse(key, MAPPING_KEY_BYTES);
}
