/*
 * Opening the listening socket, in mirror-api.
 */
#include "api/api_listen.h"

#include "base/str.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 128 };

/* Cuts "host:port" in place; brackets of an IPv6 address go. */
static int split(char *address, char **host_out, char **port_out)
{
    char *colon = strrchr(address, ':');
    if (!colon)
        return -1;
    *colon = '\0';
    *port_out = colon + 1;
    *host_out = address;
    size_t len = strlen(address);
    if (address[0] == '[' && address[len - 1] == ']') {
        address[len - 1] = '\0';
        *host_out = address + 1;
    }
    return 0;
}

static int open_socket(const struct addrinfo *info)
{
    int on = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int api_listen_open(const char *address, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char *copy = str_copy(address), *host, *port;
    int fd = -1;
    if (split(copy, &host, &port) < 0) {
        err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "api.listen: '%s' is not address:port", address);
        goto out;
    }
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed) {
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "api.listen: %s: %s", address, gai_strerror(failed));
        goto out;
    }
    fd = open_socket(found);
    if (fd < 0)
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "api.listen: %s: %s%s", address, strerror(errno),
                errno == EADDRINUSE ? " (another program listens there: choose another port)" : "");

out:
    if (found)
        freeaddrinfo(found);
    free(copy);
    return fd;
}
