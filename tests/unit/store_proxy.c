/*
 * One thread, few connections, each a pair of sockets. A COMMIT is recognised by its packet: COM_QUERY and the word, sent
 * in one piece by the client library.
 */
#include "store_proxy.h"

#include "base/str.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_PAIRS = 8 };

struct pair {
    int client, server; /* -1: unused */
    bool drop_answer;   /* the next bytes from the server are lost, with the connection */
};

struct store_proxy {
    char server_path[108];
    int listener;
    struct pair pairs[MAX_PAIRS];
    atomic_int mode;
    atomic_bool stop;
    pthread_t thread;
};

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    str_into(address.sun_path, sizeof(address.sun_path), path);
    return address;
}

static void close_pair(struct pair *pair)
{
    close(pair->client);
    close(pair->server);
    *pair = (struct pair){.client = -1, .server = -1};
}

static void accept_pair(struct store_proxy *proxy)
{
    struct sockaddr_un address = address_of(proxy->server_path);
    int client = accept(proxy->listener, NULL, NULL), server = socket(AF_UNIX, SOCK_STREAM, 0);
    for (int i = 0; i < MAX_PAIRS; i++)
        if (proxy->pairs[i].client < 0 && !connect(server, (struct sockaddr *)&address, sizeof(address))) {
            proxy->pairs[i] = (struct pair){.client = client, .server = server};
            return;
        }
    close(client);
    close(server);
}

static bool is_commit(const char *bytes, ssize_t len)
{
    return len == 11 && bytes[4] == 0x03 && !memcmp(bytes + 5, "COMMIT", 6);
}

/* Returns false if the pair is to be closed. */
static bool forward(int from, int to)
{
    char bytes[65536];
    ssize_t len = read(from, bytes, sizeof(bytes));
    return len > 0 && send(to, bytes, (size_t)len, MSG_NOSIGNAL) == len;
}

static bool from_client(struct store_proxy *proxy, struct pair *pair)
{
    char peeked[16];
    ssize_t len = recv(pair->client, peeked, sizeof(peeked), MSG_PEEK);
    int mode = atomic_load(&proxy->mode);
    if (is_commit(peeked, len) && mode != STORE_PROXY_PASS) {
        atomic_store(&proxy->mode, STORE_PROXY_PASS);
        if (mode == STORE_PROXY_DROP_COMMIT)
            return false;
        pair->drop_answer = true;
    }
    return forward(pair->client, pair->server);
}

static bool from_server(struct pair *pair)
{
    return !pair->drop_answer && forward(pair->server, pair->client);
}

static void serve_pairs(struct store_proxy *proxy, const struct pollfd *fds)
{
    for (int i = 0; i < MAX_PAIRS; i++) {
        struct pair *pair = &proxy->pairs[i];
        if (pair->client < 0)
            continue;
        if ((fds[1 + 2 * i].revents && !from_client(proxy, pair)) ||
            (fds[2 + 2 * i].revents && !from_server(pair)))
            close_pair(pair);
    }
}

static void *run(void *context)
{
    struct store_proxy *proxy = context;
    while (!atomic_load(&proxy->stop)) {
        struct pollfd fds[1 + 2 * MAX_PAIRS] = {{.fd = proxy->listener, .events = POLLIN}};
        for (int i = 0; i < MAX_PAIRS; i++) {
            fds[1 + 2 * i] = (struct pollfd){.fd = proxy->pairs[i].client, .events = POLLIN};
            fds[2 + 2 * i] = (struct pollfd){.fd = proxy->pairs[i].server, .events = POLLIN};
        }
        if (poll(fds, 1 + 2 * MAX_PAIRS, 50) <= 0)
            continue;
        serve_pairs(proxy, fds);
        if (fds[0].revents)
            accept_pair(proxy);
    }
    return NULL;
}

struct store_proxy *store_proxy_new(const char *listen_path, const char *server_path)
{
    struct store_proxy *proxy = mem_new(sizeof(*proxy));
    struct sockaddr_un address = address_of(listen_path);
    str_into(proxy->server_path, sizeof(proxy->server_path), server_path);
    for (int i = 0; i < MAX_PAIRS; i++)
        proxy->pairs[i] = (struct pair){.client = -1, .server = -1};
    proxy->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT(!bind(proxy->listener, (struct sockaddr *)&address, sizeof(address)) &&
           !listen(proxy->listener, 8));
    ASSERT(!pthread_create(&proxy->thread, NULL, run, proxy));
    return proxy;
}

void store_proxy_free(struct store_proxy *proxy)
{
    if (!proxy)
        return;
    atomic_store(&proxy->stop, true);
    pthread_join(proxy->thread, NULL);
    for (int i = 0; i < MAX_PAIRS; i++)
        if (proxy->pairs[i].client >= 0)
            close_pair(&proxy->pairs[i]);
    close(proxy->listener);
    free(proxy);
}

void store_proxy_set(struct store_proxy *proxy, enum store_proxy_mode mode)
{
    atomic_store(&proxy->mode, mode);
}
