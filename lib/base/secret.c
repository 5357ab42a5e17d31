/*
 * Secrets; see secret.h. Each process opens only the files of its own.
 *
 * All checks are made on the file behind links (container platforms mount secrets as links), and on the descriptor
 * that is then read, so that the file checked is the file used.
 */
#include "base/secret.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_MAX_BYTES = 1024, READ_BYTES = SECRET_MAX_BYTES + 3 };

static const char mounted_secrets[] = "/run/secrets/";

struct secret {
    size_t len;
    char bytes[];
};

static int refuse(struct err *err, const char *path, const char *why)
{
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "secret file %s: %s", path, why);
}

static bool is_private_directory(const char *real_path)
{
    char directory[PATH_MAX];
    struct stat status;
    str_into(directory, sizeof(directory), real_path);
    return stat(dirname(directory), &status) == 0 && (status.st_mode & 077) == 0;
}

static int check_place(const char *path, const char *real_path, const struct stat *status, struct err *err)
{
    if (!S_ISREG(status->st_mode))
        return refuse(err, path, "is not a regular file; name the file itself");
    if (status->st_size == 0)
        return refuse(err, path, "is empty; write the secret into it, on one line");
    if ((status->st_mode & 077) == 0 || is_private_directory(real_path) ||
        strncmp(real_path, mounted_secrets, strlen(mounted_secrets)) == 0)
        return 0;
    return err_set(
        err, ERR_PROCESS, ERR_RETRY_LATER,
        "secret file %s: others than its owner may use it (mode %04o): chmod 600 it, or keep it in a "
        "directory of mode 700",
        path, (unsigned)(status->st_mode & 07777));
}

/* The descriptor of the checked file, or -1. O_NONBLOCK: a FIFO in its place must not stop us. */
static int open_checked(const char *path, struct stat *status_out, struct err *err)
{
    char real_path[PATH_MAX];
    if (realpath(path, real_path) == NULL)
        return refuse(err, path, strerror(errno));
    int fd = open(real_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return refuse(err, path, strerror(errno));
    if (fstat(fd, status_out) < 0) {
        refuse(err, path, strerror(errno));
        goto fail;
    }
    if (check_place(path, real_path, status_out, err) == 0)
        return fd;
fail:
    close(fd);
    return -1;
}

int secret_check_file(const char *path, struct err *err)
{
    struct stat status;
    int fd = open_checked(path, &status, err);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

static ssize_t read_all(int fd, char *bytes, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t got = read(fd, bytes + len, size - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

/* FNV-1a of what changes when a file is written or exchanged. */
static uint64_t version_of(const struct stat *status)
{
    uint64_t parts[] = {(uint64_t)status->st_ino, (uint64_t)status->st_mtim.tv_sec,
                        (uint64_t)status->st_mtim.tv_nsec, (uint64_t)status->st_size};
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof(parts); i++)
        hash = (hash ^ ((const uint8_t *)parts)[i]) * 0x100000001b3u;
    return hash;
}

static struct secret *new_secret(const char *bytes, size_t len)
{
    struct secret *secret = mem_new(sizeof(*secret) + len + 1);
    secret->len = len;
    memcpy(secret->bytes, bytes, len);
    return secret;
}

static struct secret *from_content(const char *path, const char *bytes, size_t len, struct err *err)
{
    if (len > 0 && bytes[len - 1] == '\n')
        len -= len > 1 && bytes[len - 2] == '\r' ? 2 : 1;
    if (len == 0)
        refuse(err, path, "is empty; write the secret into it, on one line");
    else if (len > SECRET_MAX_BYTES)
        refuse(err, path, "is longer than 1024 bytes; write the secret alone into it, on one line");
    else if (memchr(bytes, 0, len) || memchr(bytes, '\n', len) || memchr(bytes, '\r', len))
        refuse(err, path,
               "holds more than one line, or a NUL byte; write the secret alone into it, on one line");
    else
        return new_secret(bytes, len);
    return NULL;
}

struct secret *secret_read(const char *path, uint64_t *version_out, struct err *err)
{
    struct secret *secret = NULL;
    struct stat status;
    char bytes[READ_BYTES];
    int fd = open_checked(path, &status, err);
    if (fd < 0)
        return NULL;
    ssize_t len = read_all(fd, bytes, sizeof(bytes));
    if (len < 0)
        refuse(err, path, strerror(errno));
    else
        secret = from_content(path, bytes, (size_t)len, err);
    if (secret != NULL && version_out != NULL)
        *version_out = version_of(&status);
    explicit_bzero(bytes, sizeof(bytes));
    close(fd);
    return secret;
}

struct secret *secret_from(const char *text)
{
    return new_secret(text, strlen(text));
}

void secret_free(struct secret *secret)
{
    if (secret == NULL)
        return;
    explicit_bzero(secret->bytes, secret->len);
    free(secret);
}

const char *secret_reveal(const struct secret *secret)
{
    return secret->bytes;
}
