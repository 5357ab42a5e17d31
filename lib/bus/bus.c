/*
 * Sockets of the bus; see bus.h. Used by every process.
 *
 * libzmq replaces an existing socket file without asking, also that of a living binder; so each binder holds a lock
 * beside its file as long as it lives, and whoever gets the lock knows that the file is stale.
 */
#include "bus/bus.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

enum {
    LINGER_MS = 200,
    RECONNECT_MS = 100,
    RECONNECT_MAX_MS = 1000,
    CUT_OFF_FACTOR = 4,
    ENDPOINT_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1
};

struct pipe {
    const char *name;
    int bind_type, connect_type, mark;
};

static const struct pipe pipes[PIPE_COUNT] = {
#define PIPE_ENTRY(id, name, bind, connect, mark) [PIPE_##id] = {name, bind, connect, mark},
    PIPES(PIPE_ENTRY)
#undef PIPE_ENTRY
};

struct bus {
    void *context;
    char *run_dir;
    struct bus_socket *sockets; /* all that are open */
};

struct bus_socket {
    struct bus *bus;
    struct bus_socket *next;
    enum pipe_id pipe;
    void *socket;
    char *endpoint;
    char *file; /* bound: the socket file, removed at the end */
    int lock;   /* bound: held as long as we live; else -1 */
    bool bound;
    uint64_t dropped;
};

static int fail(struct err *err, const char *what, const char *name, const char *why)
{
    return err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "bus: %s %s: %s", what, name, why);
}

static int check_directory(const char *run_dir, struct err *err)
{
    struct stat status;
    if (stat(run_dir, &status) < 0)
        return fail(err, "directory", run_dir, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return fail(err, "directory", run_dir, "is no directory");
    if (status.st_uid != geteuid())
        return fail(err, "directory", run_dir, "belongs to another user");
    if ((status.st_mode & 077) != 0)
        return fail(err, "directory", run_dir, "others may enter it: chmod 700");
    return 0;
}

static size_t longest_pipe_name(void)
{
    size_t longest = 0;
    for (size_t i = 0; i < PIPE_COUNT; i++)
        if (strlen(pipes[i].name) > longest)
            longest = strlen(pipes[i].name);
    return longest;
}

/* Said at start, not when the first scanner with a two-digit number binds. */
static int check_length(const char *run_dir, struct err *err)
{
    size_t need = strlen(run_dir) + strlen("/.1024") + longest_pipe_name();
    if (need > ENDPOINT_PATH_MAX)
        return err_set(err, ERR_PROCESS, ERR_RETRY_NEVER,
                       "bus: directory %s is %zu bytes too long for socket files (at most %d): choose a "
                       "shorter data_dir",
                       run_dir, need - ENDPOINT_PATH_MAX, ENDPOINT_PATH_MAX);
    return 0;
}

struct bus *bus_new(const char *run_dir, struct err *err)
{
    if (check_length(run_dir, err) < 0 || check_directory(run_dir, err) < 0)
        return NULL;
    void *context = zmq_ctx_new();
    if (context == NULL) {
        fail(err, "cannot start for", run_dir, zmq_strerror(errno));
        return NULL;
    }
    struct bus *bus = mem_new(sizeof(*bus));
    bus->context = context;
    bus->run_dir = str_copy(run_dir);
    return bus;
}

void bus_free(struct bus *bus)
{
    if (bus == NULL)
        return;
    while (bus->sockets != NULL)
        bus_socket_free(bus->sockets);
    while (zmq_ctx_term(bus->context) < 0 && errno == EINTR)
        continue;
    free(bus->run_dir);
    free(bus);
}

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value));
}

/* IMMEDIATE: nothing is queued for a peer that is not there, since a wake-up is worth nothing late. MAXMSGSIZE: a message
 * that is too long shall be counted and said; one that is far too long is not even read, and costs its sender the line. */
static int set_options(void *socket, int type, int mark)
{
    int64_t max_bytes = (int64_t)CUT_OFF_FACTOR * BUS_MAX_BYTES;
    if (type == ZMQ_SUB && zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0) < 0)
        return -1;
    if (type == ZMQ_PUSH && set_int(socket, ZMQ_IMMEDIATE, 1) < 0)
        return -1;
    if (set_int(socket, ZMQ_SNDHWM, mark) < 0 || set_int(socket, ZMQ_RCVHWM, mark) < 0)
        return -1;
    if (set_int(socket, ZMQ_LINGER, LINGER_MS) < 0 || set_int(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS) < 0)
        return -1;
    if (set_int(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) < 0)
        return -1;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof(max_bytes));
}

static struct bus_socket *new_socket(struct bus *bus, enum pipe_id pipe, int type, struct err *err)
{
    void *handle = zmq_socket(bus->context, type);
    if (handle == NULL || set_options(handle, type, pipes[pipe].mark) < 0) {
        fail(err, "socket of", pipes[pipe].name, zmq_strerror(errno));
        if (handle != NULL)
            zmq_close(handle);
        return NULL;
    }
    struct bus_socket *socket = mem_new(sizeof(*socket));
    *socket =
        (struct bus_socket){.bus = bus, .next = bus->sockets, .pipe = pipe, .socket = handle, .lock = -1};
    bus->sockets = socket;
    return socket;
}

static char *file_of(const struct bus *bus, enum pipe_id pipe, unsigned instance)
{
    return str_format("%s/%s.%u", bus->run_dir, pipes[pipe].name, instance);
}

static int check_file(const char *file, struct err *err)
{
    struct stat status;
    if (lstat(file, &status) < 0)
        return errno == ENOENT ? 0 : fail(err, "file", file, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return fail(err, "file", file, "is in the way: not a socket");
    if (status.st_uid != geteuid())
        return fail(err, "file", file, "belongs to another user");
    return 0;
}

static int take_lock(struct bus_socket *socket, struct err *err)
{
    int result = 0;
    char *name = str_format("%s.lock", socket->file);
    socket->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (socket->lock < 0)
        result = fail(err, "lock", name, strerror(errno));
    else if (flock(socket->lock, LOCK_EX | LOCK_NB) < 0)
        result = fail(err, "socket", socket->file,
                      errno == EWOULDBLOCK ? "another process serves it already" : strerror(errno));
    if (result < 0 && socket->lock >= 0) {
        close(socket->lock);
        socket->lock = -1;
    }
    free(name);
    return result;
}

static int bind_file(struct bus_socket *socket, struct err *err)
{
    if (take_lock(socket, err) < 0 || check_file(socket->file, err) < 0)
        return -1;
    if (unlink(socket->file) < 0 && errno != ENOENT)
        return fail(err, "file", socket->file, strerror(errno));
    if (zmq_bind(socket->socket, socket->endpoint) < 0)
        return fail(err, "bind", socket->endpoint, zmq_strerror(errno));
    socket->bound = true;
    return 0;
}

struct bus_socket *bus_bind(struct bus *bus, enum pipe_id pipe, unsigned instance, struct err *err)
{
    struct bus_socket *socket = new_socket(bus, pipe, pipes[pipe].bind_type, err);
    if (socket == NULL)
        return NULL;
    socket->file = file_of(bus, pipe, instance);
    socket->endpoint = str_format("ipc://%s", socket->file);
    if (bind_file(socket, err) == 0)
        return socket;
    bus_socket_free(socket);
    return NULL;
}

int bus_connect_more(struct bus_socket *socket, unsigned instance, struct err *err)
{
    char *file = file_of(socket->bus, socket->pipe, instance);
    char *endpoint = str_format("ipc://%s", file);
    int result = check_file(file, err);
    if (result == 0 && zmq_connect(socket->socket, endpoint) < 0)
        result = fail(err, "connect", endpoint, zmq_strerror(errno));
    free(file);
    free(endpoint);
    return result;
}

struct bus_socket *bus_connect(struct bus *bus, enum pipe_id pipe, unsigned instance, struct err *err)
{
    struct bus_socket *socket = new_socket(bus, pipe, pipes[pipe].connect_type, err);
    if (socket == NULL)
        return NULL;
    socket->endpoint = str_format("ipc://%s/%s.%u", bus->run_dir, pipes[pipe].name, instance);
    if (bus_connect_more(socket, instance, err) == 0)
        return socket;
    bus_socket_free(socket);
    return NULL;
}

static void unlink_from(struct bus *bus, const struct bus_socket *socket)
{
    struct bus_socket **place = &bus->sockets;
    while (*place != socket)
        place = &(*place)->next;
    *place = socket->next;
}

/* libzmq leaves the socket file behind. The lock file stays: without it two binders could hold locks on two files of
 * one name. */
void bus_socket_free(struct bus_socket *socket)
{
    if (socket == NULL)
        return;
    unlink_from(socket->bus, socket);
    zmq_close(socket->socket);
    if (socket->bound)
        unlink(socket->file);
    if (socket->lock >= 0)
        close(socket->lock);
    free(socket->endpoint);
    free(socket->file);
    free(socket);
}

const char *bus_endpoint(const struct bus_socket *socket)
{
    return socket->endpoint;
}

bool bus_send(struct bus_socket *socket, const char *bytes, size_t len)
{
    int sent = -1;
    if (len > 0 && len <= BUS_MAX_BYTES)
        do
            sent = zmq_send(socket->socket, bytes, len, ZMQ_DONTWAIT);
        while (sent < 0 && errno == EINTR);
    if (sent < 0)
        socket->dropped++;
    return sent >= 0;
}

/* Takes all frames of one message; the first is kept. Returns how many there were, 0 if no message is there. */
static unsigned receive_frames(struct bus_socket *socket, zmq_msg_t *first)
{
    zmq_msg_t further;
    unsigned count = 0;
    bool more = true;
    while (more) {
        zmq_msg_t *frame = count == 0 ? first : &further;
        if (count > 0)
            zmq_msg_init(&further);
        int got;
        do
            got = zmq_msg_recv(frame, socket->socket, ZMQ_DONTWAIT);
        while (got < 0 && errno == EINTR);
        more = got >= 0 && zmq_msg_more(frame);
        count += got >= 0;
        if (frame == &further)
            zmq_msg_close(&further);
    }
    return count;
}

int bus_receive(struct bus_socket *socket, char *buffer, size_t size)
{
    zmq_msg_t message;
    int result = 0;
    zmq_msg_init(&message);
    unsigned frames = receive_frames(socket, &message);
    size_t len = zmq_msg_size(&message);
    if (frames == 1 && len > 0 && len <= size && len <= BUS_MAX_BYTES) {
        memcpy(buffer, zmq_msg_data(&message), len);
        result = (int)len;
    } else if (frames > 0) {
        socket->dropped++;
        result = -1;
    }
    zmq_msg_close(&message);
    return result;
}

int bus_fd(const struct bus_socket *socket)
{
    int fd = -1;
    size_t size = sizeof(fd);
    if (zmq_getsockopt(socket->socket, ZMQ_FD, &fd, &size) < 0)
        BUG("ZMQ_FD");
    return fd;
}

const char *bus_pipe(const struct bus_socket *socket)
{
    return pipes[socket->pipe].name;
}

uint64_t bus_dropped(const struct bus_socket *socket)
{
    return socket->dropped;
}
