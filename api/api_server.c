/*
 * Driving libmicrohttpd from the daemon's step, in mirror-api. One epoll descriptor stands for all its sockets.
 */
#include "api/api_server.h"

#include "api/api_exchange.h"
#include "api/api_gate.h"
#include "api/api_listen.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEAD_BYTES =
        32 * 1024, /* memory of a connection: request line and headers, and the buffer of its answer */
    SILENCE_SECONDS = 30,
    PEM_BYTES = 256 * 1024,
};

struct api_server {
    struct api_exchanges exchanges;
    struct MHD_Daemon *mhd;
    int epoll_fd;
};

/* ---- start ---- */

static void on_library_words(void *cls, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void on_library_words(void *cls, const char *format, va_list args)
{
    (void)cls;
    char text[256];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    log_debug("http", LOG_STR("words", text));
}

/* The file's content, NUL-terminated; NULL on failure. The caller wipes and frees. */
static char *read_pem(const char *path, struct err *err)
{
    char *text = mem_new(PEM_BYTES);
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && len < PEM_BYTES - 1) {
        got = read(fd, text + len, PEM_BYTES - 1 - len);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            len += (size_t)got;
    }
    if (got < 0)
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "api: %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (got >= 0)
        return text;
    free(text);
    return NULL;
}

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, PEM_BYTES);
    free(text);
}

static int start_mhd(struct api_server *server, int listen_fd, const char *certificate, const char *key)
{
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags =
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (certificate ? MHD_USE_TLS : 0);
    struct api_exchanges *exchanges = &server->exchanges;
    server->mhd = MHD_start_daemon(
        flags, 0, NULL, NULL, api_exchange_on_request, exchanges, MHD_OPTION_EXTERNAL_LOGGER,
        on_library_words, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)API_EXCHANGE_MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_SECONDS,
        MHD_OPTION_NOTIFY_COMPLETED, api_exchange_on_end, exchanges, MHD_OPTION_NOTIFY_CONNECTION,
        api_exchange_on_connection, exchanges, MHD_OPTION_UNESCAPE_CALLBACK, api_exchange_unescape, NULL,
        MHD_OPTION_ARRAY, certificate ? tls : none, MHD_OPTION_END);
    if (!server->mhd)
        return -1;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    server->epoll_fd = info ? info->epoll_fd : -1;
    return server->epoll_fd < 0 ? -1 : 0;
}

static int start(struct api_server *server, const struct config *config, struct err *err)
{
    char *certificate = NULL, *key = NULL;
    int result = -1, listen_fd = -1;
    if (!config->api.cert_file && !config->api.allow_plain_http &&
        !api_gate_is_loopback(config->api.listen)) {
        err_set(err, ERR_PROCESS, ERR_RETRY_NEVER, "api.listen: %s is not loopback: that needs TLS",
                config->api.listen);
        goto out;
    }
    if (config->api.cert_file) {
        certificate = read_pem(config->api.cert_file, err);
        key = certificate ? read_pem(config->api.key_file, err) : NULL;
        if (!key)
            goto out;
    }
    listen_fd = api_listen_open(config->api.listen, err);
    if (listen_fd < 0)
        goto out;
    if (start_mhd(server, listen_fd, certificate, key) < 0) {
        err_set(err, ERR_PROCESS, ERR_RETRY_LATER, "api: the HTTP server does not start%s",
                certificate ? ": do cert_file and key_file belong together, in PEM?" : "");
        goto out;
    }
    listen_fd = -1; /* the library's now */
    result = 0;

out:
    if (listen_fd >= 0)
        close(listen_fd);
    wipe(certificate);
    wipe(key);
    return result;
}

struct api_server *api_server_open(struct api *api, struct secret **token, struct err *err)
{
    struct api_server *server = mem_new(sizeof *server);
    server->exchanges.api = api;
    server->exchanges.token = *token;
    *token = NULL;
    if (start(server, api->config, err) == 0) {
        log_info("listening", LOG_STR("address", api->config->api.listen),
                 LOG_STR("tls", api->config->api.cert_file ? "yes" : "no"));
        return server;
    }
    api_server_close(server, 0);
    return NULL;
}

void api_server_set_token(struct api_server *server, struct secret **token)
{
    secret_free(server->exchanges.token);
    server->exchanges.token = *token;
    *token = NULL;
}

/* ---- work ---- */

/* What the library has to do by its own clock, at most a tick. */
static int wait_ms(const struct api_server *server)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    if (server->exchanges.later)
        return 0;
    if (MHD_get_timeout(server->mhd, &timeout) != MHD_YES || timeout > DAEMON_TICK_MS)
        return DAEMON_TICK_MS;
    return (int)timeout;
}

static void work(struct api_server *server, bool abandon)
{
    struct pollfd poll = {.fd = server->epoll_fd, .events = POLLIN};
    daemon_wait(server->exchanges.api->daemon, &poll, 1, wait_ms(server));
    MHD_run(server->mhd);
    if (api_exchange_run_task(&server->exchanges, abandon))
        MHD_run(server->mhd); /* a resumed request does not wake the descriptor */
    api_exchange_cut_slow(&server->exchanges);
}

void api_server_step(struct api_server *server)
{
    work(server, false);
}

/* ---- end ---- */

/* A task gets the first half of the time; what is not done then is given up, and its client told so. */
static void drain(struct api_server *server, int grace_ms)
{
    int64_t now = clock_boot_ms(), give_up = now + grace_ms / 2, end = now + grace_ms;
    int listen_fd = MHD_quiesce_daemon(server->mhd);
    if (listen_fd >= 0)
        close(listen_fd);
    server->exchanges.draining = true;
    while (server->exchanges.open_count > 0 && clock_boot_ms() < end)
        work(server, clock_boot_ms() >= give_up);
    /* The library must not be stopped while a request is suspended. */
    while (api_exchange_run_task(&server->exchanges, true))
        MHD_run(server->mhd);
    MHD_run(server->mhd);
}

void api_server_close(struct api_server *server, int grace_ms)
{
    if (!server)
        return;
    if (server->mhd) {
        drain(server, grace_ms);
        MHD_stop_daemon(server->mhd);
    }
    secret_free(server->exchanges.token);
    free(server);
}
