/*
 * A long line without a narrow place: passes bytes between clients and a server on 127.0.0.1, each piece a fixed time
 * after it came, in each direction. What is on its way is kept, so a longer way makes nothing slower but answers. (The
 * tests' Proxy sleeps with each piece: there a longer way is a narrower one too.) Started by bench/run; not installed.
 *
 *   bench-delay SERVER_PORT MICROSECONDS           its own port is the first line of its output; it ends with its input
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024, MAX_LINES = 200, MAX_ON_ITS_WAY = 64 * 1024 * 1024 };

struct piece {
    struct piece *next;
    int64_t due_us;
    size_t len, done;
    char bytes[];
};

/* One direction. Its end is passed on like a piece: with len 0, when its time has come. */
struct way {
    int from, to;
    struct piece *first, *last;
    size_t on_its_way;
    bool ended; /* nothing more is read */
    bool over;  /* and its end was passed on */
};

struct line {
    struct way up, down;
};

struct proxy {
    int listener;
    uint16_t server_port;
    int64_t delay_us;
    struct line *lines[MAX_LINES];
    size_t count;
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- one direction ---- */

static void add_piece(struct way *way, struct piece *piece)
{
    *(way->last ? &way->last->next : &way->first) = piece;
    way->last = piece;
    way->on_its_way += piece->len;
}

static void take(struct way *way, int64_t delay_us)
{
    struct piece *piece = malloc(sizeof(*piece) + PIECE_BYTES);
    ssize_t got;
    if (!piece)
        err(1, "memory");
    got = recv(way->from, piece->bytes, PIECE_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        free(piece);
        return;
    }
    way->ended = got <= 0;
    piece->next = NULL;
    piece->len = got > 0 ? (size_t)got : 0;
    piece->done = 0;
    piece->due_us = now_us() + delay_us;
    piece = realloc(piece, sizeof(*piece) + piece->len);
    add_piece(way, piece);
}

static void drop_first(struct way *way)
{
    struct piece *piece = way->first;
    way->first = piece->next;
    if (!way->first)
        way->last = NULL;
    way->on_its_way -= piece->len;
    free(piece);
}

/* false: the other end takes no more. */
static bool give_first(struct way *way)
{
    struct piece *piece = way->first;
    ssize_t done;
    if (piece->len == 0) {
        shutdown(way->to, SHUT_WR);
        way->over = true;
        drop_first(way);
        return true;
    }
    done = send(way->to, piece->bytes + piece->done, piece->len - piece->done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (done < 0)
        done = (ssize_t)(piece->len - piece->done); /* nobody is there to want it */
    piece->done += (size_t)done;
    if (piece->done < piece->len)
        return false;
    drop_first(way);
    return true;
}

static void give_due(struct way *way)
{
    while (way->first && way->first->due_us <= now_us() && give_first(way))
        continue;
}

/* ---- lines ---- */

static void set_nodelay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int reach(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        err(1, "port %u", port);
    set_nodelay(fd);
    return fd;
}

static void begin_line(struct proxy *proxy)
{
    int client = accept(proxy->listener, NULL, NULL), server;
    struct line *line = calloc(1, sizeof(*line));
    if (client < 0 || !line)
        err(1, "accept");
    set_nodelay(client);
    server = reach(proxy->server_port);
    line->up = (struct way){.from = client, .to = server};
    line->down = (struct way){.from = server, .to = client};
    proxy->lines[proxy->count++] = line;
}

static void end_lines(struct proxy *proxy)
{
    size_t kept = 0;
    for (size_t i = 0; i < proxy->count; i++) {
        struct line *line = proxy->lines[i];
        if (!line->up.over || !line->down.over) {
            proxy->lines[kept++] = line;
            continue;
        }
        close(line->up.from);
        close(line->down.from);
        free(line);
    }
    proxy->count = kept;
}

/* ---- the loop ---- */

/* What a direction waits for: bytes, room, or its time (which lowers *wait_us). */
static void watch(const struct way *way, struct pollfd *from, struct pollfd *to, int64_t *wait_us)
{
    if (!way->ended && way->on_its_way < MAX_ON_ITS_WAY)
        from->events |= POLLIN;
    if (!way->first)
        return;
    int64_t left = way->first->due_us - now_us();
    if (left <= 0)
        to->events |= POLLOUT;
    else if (*wait_us < 0 || left < *wait_us)
        *wait_us = left;
}

static void wait_for_work(struct proxy *proxy, struct pollfd *fds)
{
    int64_t wait_us = -1;
    struct timespec time;
    fds[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = proxy->listener, .events = proxy->count < MAX_LINES ? POLLIN : 0};
    for (size_t i = 0; i < proxy->count; i++) {
        struct line *line = proxy->lines[i];
        struct pollfd *client = &fds[2 + 2 * i], *server = client + 1;
        *client = (struct pollfd){.fd = line->up.from};
        *server = (struct pollfd){.fd = line->down.from};
        watch(&line->up, client, server, &wait_us);
        watch(&line->down, server, client, &wait_us);
        /* A closed socket wakes poll() without being asked for. */
        client->fd = client->events ? client->fd : -1;
        server->fd = server->events ? server->fd : -1;
    }
    time = (struct timespec){.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    if (ppoll(fds, 2 + 2 * proxy->count, wait_us < 0 ? NULL : &time, NULL) < 0 && errno != EINTR)
        err(1, "poll");
}

static void serve(struct proxy *proxy, const struct pollfd *fds)
{
    for (size_t i = 0; i < proxy->count; i++) {
        struct line *line = proxy->lines[i];
        const short broken = POLLIN | POLLHUP | POLLERR;
        if ((fds[2 + 2 * i].revents & broken) && !line->up.ended)
            take(&line->up, proxy->delay_us);
        if ((fds[3 + 2 * i].revents & broken) && !line->down.ended)
            take(&line->down, proxy->delay_us);
        give_due(&line->up);
        give_due(&line->down);
    }
    end_lines(proxy);
}

static int listen_here(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, MAX_LINES) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        err(1, "listen");
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    static struct pollfd fds[2 + 2 * MAX_LINES];
    static struct proxy proxy;
    if (argc != 3)
        errx(2, "usage: bench-delay SERVER_PORT MICROSECONDS");
    proxy.server_port = (uint16_t)strtoul(argv[1], NULL, 10);
    proxy.delay_us = strtoll(argv[2], NULL, 10);
    proxy.listener = listen_here();
    for (;;) {
        wait_for_work(&proxy, fds);
        if (fds[0].revents)
            return 0;
        serve(&proxy, fds);
        if (fds[1].revents)
            begin_line(&proxy);
    }
}
