/*
 * The API's token, in mirror-api. It appears under its name whole or not at all (written beside it, then linked), and two
 * programs that start at once end up with the same one.
 */
#include "api/api_token.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 2 * API_TOKEN_BYTES + 2 }; /* line end and NUL */

static int random_text(char text[TEXT_BYTES], struct err *err)
{
    unsigned char bytes[API_TOKEN_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "no random bytes to be had");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    memcpy(text + TEXT_BYTES - 2, "\n", 2);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return 0;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        bytes += done;
        len -= (size_t)done;
    }
    return fsync(fd);
}

/* Makes the new name durable; a file system that can't is no reason to fail. */
static void sync_folder(const char *path)
{
    char *copy = str_copy(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(copy);
}

static int make(const char *path, struct err *err)
{
    char text[TEXT_BYTES];
    char *beside = str_format("%s.new.%ld", path, (long)getpid());
    int result = -1, fd = -1;

    if (random_text(text, err) < 0)
        goto out;
    unlink(beside); /* of a program that had our number and died */
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write_all(fd, text, TEXT_BYTES - 1) < 0 || (link(beside, path) < 0 && errno != EEXIST)) {
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "%s: %s", path, strerror(errno));
        goto out;
    }
    sync_folder(path);
    result = 0;

out:
    if (fd >= 0) {
        close(fd);
        unlink(beside);
    }
    OPENSSL_cleanse(text, sizeof text);
    free(beside);
    return result;
}

struct secret *api_token_open(const char *path, struct err *err)
{
    if (access(path, F_OK) < 0 && errno == ENOENT && make(path, err) < 0)
        return NULL;
    struct secret *token = secret_read(path, NULL, err);
    if (token && strlen(secret_reveal(token)) < API_TOKEN_BYTES) {
        err_set(err, ERR_PROCESS, ERR_RETRY_NEVER,
                "%s: too short for a token: remove the file, and a new one is made at the next start", path);
        secret_free(token);
        return NULL;
    }
    return token;
}
