/*
 * mirror-api: the HTTP API. Reads the store, writes what people ask for (and the audit), wakes the scanners. One thread;
 * a store that is away makes requests fail with 503, not the program.
 */
#include "api/api.h"
#include "api/api_server.h"
#include "api/api_token.h"
#include "api/api_wake.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

enum { MAX_DRAIN_MS = 10 * 1000 };

struct program {
    struct api api;
    struct api_server *server;
};

static struct secret *open_token(const struct config *config, struct err *err)
{
    char *path = config_path(config, "api.token");
    struct secret *token = api_token_open(path, err);
    free(path);
    return token;
}

static void stop(void *state)
{
    struct program *program = state;
    if (!program)
        return;
    double grace_ms = program->api.config->supervisor.grace_seconds * 1000 / 2;
    api_server_close(program->server, grace_ms < MAX_DRAIN_MS ? (int)grace_ms : MAX_DRAIN_MS);
    api_wake_free(program->api.wake);
    store_free(program->api.store);
    free(program);
}

/* The store's version must be ours, if it can be asked now. */
static int look_at_store(struct api *api, struct err *err)
{
    struct store *store = api_store(api, err);
    if (!store && err->retry == ERR_RETRY_NEVER)
        return -1;
    err_clear(err);
    return 0;
}

static int start(struct daemon *daemon, void **state_out, struct err *err)
{
    struct program *program = mem_new(sizeof *program);
    struct api *api = &program->api;
    *api = (struct api){.daemon = daemon, .config = daemon_config(daemon)};
    struct secret *token = open_token(api->config, err);
    if (token && look_at_store(api, err) == 0)
        api->wake = api_wake_new(daemon_bus(daemon), api->config, err);
    if (api->wake)
        program->server = api_server_open(api, &token, err);
    secret_free(token);
    if (program->server) {
        *state_out = program;
        return 0;
    }
    stop(program);
    return -1;
}

static int step(void *state, struct err *err)
{
    (void)err;
    api_server_step(((struct program *)state)->server);
    return 0;
}

static int reload(void *state, const struct config *config, struct err *err)
{
    struct program *program = state;
    struct api *api = &program->api;
    struct secret *token = open_token(config, err);
    struct api_wake *wake = token ? api_wake_new(daemon_bus(api->daemon), config, err) : NULL;
    if (!wake) {
        secret_free(token);
        return -1;
    }
    if (!str_equal(config->api.listen, api->config->api.listen) ||
        !str_equal(config->api.cert_file, api->config->api.cert_file) ||
        !str_equal(config->api.key_file, api->config->api.key_file))
        log_warning("a changed api.listen or certificate is used after a restart only");
    api_server_set_token(program->server, &token);
    api_wake_free(api->wake);
    api->wake = wake;
    api->config = config;
    return 0;
}

int main(int argc, char **argv)
{
    static const struct daemon_program program = {
        .name = "api", .start = start, .step = step, .reload = reload, .stop = stop};
    return daemon_main(&program, argc, argv);
}
