/*
 * The probe of the managed database.
 */
#define _GNU_SOURCE /* struct ucred */
#include "supervisor/database_probe.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { NEXT_MS = 5000, AGAIN_MS = 100, GIVE_UP_MS = 10000 };

void database_probe_init(struct database_probe *probe)
{
    probe->fd = -1;
    probe->due_ms = 0;
}

void database_probe_fini(struct database_probe *probe)
{
    if (probe->fd >= 0)
        close(probe->fd);
    probe->fd = -1;
}

void database_probe_reset(struct database_probe *probe)
{
    database_probe_fini(probe);
    probe->due_ms = 0;
}

static void end(struct database_probe *probe, int64_t due_ms)
{
    database_probe_fini(probe);
    probe->due_ms = due_ms;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (strlen(path) >= sizeof address.sun_path) {
        close(fd);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The kernel keeps who listens; a stale or foreign socket cannot answer for our child. */
static bool is_of(int fd, pid_t pid)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == pid;
}

static bool listen_for_greeting(struct database_probe *probe, int64_t now_ms)
{
    char greeting[256];
    ssize_t n = recv(probe->fd, greeting, sizeof greeting, MSG_DONTWAIT);

    if (n > 0) {
        end(probe, now_ms + NEXT_MS);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR) || now_ms >= probe->due_ms)
        end(probe, now_ms + AGAIN_MS);
    return false;
}

bool database_probe_step(struct database_probe *probe, const char *socket_path, pid_t pid, int64_t now_ms)
{
    if (probe->fd >= 0)
        return listen_for_greeting(probe, now_ms);
    if (now_ms < probe->due_ms)
        return false;
    probe->fd = connect_to(socket_path);
    if (probe->fd < 0 || !is_of(probe->fd, pid)) {
        end(probe, now_ms + AGAIN_MS);
        return false;
    }
    probe->due_ms = now_ms + GIVE_UP_MS;
    return false;
}
