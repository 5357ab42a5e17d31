/*
 * Requests and connections of mirror-api.
 *
 * Deadlines are ours: the library knows only silence, and one byte a second is none. The tricky thing: a request whose
 * work takes long is suspended in the library, worked on in slices, and resumed to send its answer; a suspended one must
 * not be cut, nor the library be stopped before all are resumed.
 */
#include "api/api_exchange.h"

#include "api/api_gate.h"
#include "api/api_problem.h"
#include "api/api_route.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
    HEAD_MS = 20 * 1000,      /* from the connection, or the last answer, to the end of the next head */
    HURRY_HEAD_MS = 2 * 1000, /* the same while connections are scarce */
    TRANSFER_MS = 30 * 1000,  /* a body or an answer, and a second more for each SLOWEST_BYTES of it */
    SLOWEST_BYTES = 32 * 1024,
    SWALLOW_FACTOR =
        4, /* a body over its limit is read to its end up to so many times of it, to be told why */
    SWALLOW_BYTES = 1024 * 1024,
    REFUSED_LOG_MS = 10 * 1000,
};

enum phase { PHASE_HEAD, PHASE_TRANSFER, PHASE_WORK };

struct api_connection {
    struct api_connection *prev, *next;
    int fd;
    enum phase phase;
    int64_t since_ms, deadline_ms;
};

struct api_exchange {
    struct api_exchanges *all;
    struct MHD_Connection *mhd;
    struct api_connection *connection;
    const struct api_route *route;
    struct api_request request;
    struct api_answer answer;
    size_t body_size; /* allocated */
    size_t swallowed; /* bytes over the limit */
    bool sent;        /* the answer is with the library */
    int64_t started_ms;
    const char *method;
    struct api_exchange *next_later;
};

/* ---- connections ---- */

static void set_phase(struct api_connection *connection, enum phase phase, int64_t allowed_ms)
{
    connection->phase = phase;
    connection->since_ms = clock_boot_ms();
    connection->deadline_ms = phase == PHASE_WORK ? INT64_MAX : connection->since_ms + allowed_ms;
}

static int64_t transfer_ms(uint64_t bytes)
{
    return TRANSFER_MS + (int64_t)(bytes / SLOWEST_BYTES) * 1000;
}

static void connection_opened(struct api_exchanges *all, struct MHD_Connection *mhd, void **state)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct api_connection *connection = mem_new(sizeof *connection);
    connection->fd = info ? info->connect_fd : -1;
    connection->next = all->connections;
    if (connection->next)
        connection->next->prev = connection;
    all->connections = connection;
    all->connection_count++;
    set_phase(connection, PHASE_HEAD, HEAD_MS);
    *state = connection;
}

static void connection_closed(struct api_exchanges *all, struct api_connection *connection)
{
    if (connection->next)
        connection->next->prev = connection->prev;
    if (connection->prev)
        connection->prev->next = connection->next;
    else
        all->connections = connection->next;
    all->connection_count--;
    free(connection);
}

void api_exchange_on_connection(void *cls, struct MHD_Connection *mhd, void **state,
                                enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        connection_opened(cls, mhd, state);
    else if (*state)
        connection_closed(cls, *state);
}

void api_exchange_cut_slow(struct api_exchanges *exchanges)
{
    int64_t now = clock_boot_ms();
    bool scarce = exchanges->connection_count > API_EXCHANGE_MAX_CONNECTIONS * 3 / 4;
    for (struct api_connection *at = exchanges->connections; at; at = at->next) {
        bool hurry = scarce && at->phase == PHASE_HEAD && now - at->since_ms > HURRY_HEAD_MS;
        /* The library sees the end of the stream and closes it. */
        if ((now > at->deadline_ms || hurry) && at->fd >= 0)
            shutdown(at->fd, SHUT_RDWR);
    }
}

/* ---- reading the head ---- */

/* "%00" would end the text early: such a path or value stays as it is, and is refused as no name. */
size_t api_exchange_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

static const char *header(const struct api_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->mhd, MHD_HEADER_KIND, name);
}

static void say_who(struct api_exchange *exchange)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char host[NI_MAXHOST] = "?";
    if (info && info->client_addr) {
        socklen_t len = info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                                 : sizeof(struct sockaddr_in);
        getnameinfo(info->client_addr, len, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    }
    str_into(exchange->request.who, sizeof exchange->request.who, host);
}

static enum MHD_Result take_query(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct api_request *request = cls;
    if (request->query_count == API_MAX_QUERY)
        return MHD_NO;
    request->query[request->query_count++] = (struct api_query){.name = name, .value = value ? value : ""};
    return MHD_YES;
}

static struct api_exchange *begin(struct api_exchanges *all, struct MHD_Connection *mhd, const char *path,
                                  const char *method)
{
    struct api_exchange *exchange = mem_new(sizeof *exchange);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    *exchange =
        (struct api_exchange){.all = all, .mhd = mhd, .method = method, .started_ms = clock_boot_ms()};
    exchange->connection = info ? info->socket_context : NULL;
    exchange->request.path = path;
    exchange->request.body = mem_new(1);
    say_who(exchange);
    MHD_get_connection_values(mhd, MHD_GET_ARGUMENT_KIND, take_query, &exchange->request);
    all->open_count++;
    return exchange;
}

/* ---- the gate: everything that can be refused from the head alone ---- */

static void refuse_token(struct api_exchange *exchange)
{
    struct api_exchanges *all = exchange->all;
    int64_t now = clock_boot_ms();
    all->refused++;
    if (now - all->refused_logged_ms > REFUSED_LOG_MS || all->refused_logged_ms == 0) {
        log_info("requests without a good token", LOG_UINT("count", all->refused),
                 LOG_STR("last_from", exchange->request.who));
        all->refused = 0;
        all->refused_logged_ms = now;
    }
    exchange->answer.challenge = true;
    api_problem(&exchange->answer, 401,
                "send the token: Authorization: Bearer <content of api.token in data_dir>");
}

static bool media_type_is_ok(const struct api_exchange *exchange)
{
    const char *type = header(exchange, "Content-Type");
    const char *wanted = exchange->route->body == API_BODY_CSV ? "text/csv" : "application/json";
    size_t len = strlen(wanted);
    if (!type)
        return exchange->route->body == API_BODY_JSON && !header(exchange, "Content-Length") &&
               !header(exchange, "Transfer-Encoding");
    return strncasecmp(type, wanted, len) == 0 && (type[len] == '\0' || strchr("; \t", type[len]));
}

static uint64_t announced_bytes(const struct api_exchange *exchange)
{
    uint64_t bytes = 0;
    const char *length = header(exchange, "Content-Length");
    return length && str_to_u64(length, &bytes) < 0 ? UINT64_MAX : bytes;
}

static void check_body(struct api_exchange *exchange)
{
    uint64_t bytes = announced_bytes(exchange);
    const struct api_route *route = exchange->route;
    bool has_body = bytes > 0 || header(exchange, "Transfer-Encoding");
    if (route->body == API_BODY_NONE && has_body)
        api_problem(&exchange->answer, 413, "this path takes no body; leave it out");
    else if (route->body != API_BODY_NONE && bytes > route->max_bytes * SWALLOW_FACTOR + SWALLOW_BYTES)
        api_problem(&exchange->answer, 413, "the body may have %zu bytes at most", route->max_bytes);
    else if ((has_body || route->body == API_BODY_CSV) && route->body != API_BODY_NONE &&
             !media_type_is_ok(exchange))
        api_problem(&exchange->answer, 415, "the body must be %s, and Content-Type must say so",
                    route->body == API_BODY_CSV ? "text/csv" : "application/json");
}

/* Whoever has the token: that is all that is known of a person. */
static void say_token(struct api_exchange *exchange)
{
    char host[sizeof exchange->request.who];
    str_into(host, sizeof host, exchange->request.who);
    snprintf(exchange->request.who, sizeof exchange->request.who, "token@%.50s", host);
}

static void find_route(struct api_exchange *exchange)
{
    struct api_answer *answer = &exchange->answer;
    char allow[64];
    enum api_match match = api_route_find(exchange->method, exchange->request.path, &exchange->route,
                                          exchange->request.param, allow);
    bool is_open = exchange->route && exchange->route->is_open;
    if (!is_open && !api_gate_token_is_ok(exchange->all->token, header(exchange, "Authorization"))) {
        refuse_token(exchange);
        return;
    }
    if (!is_open)
        say_token(exchange);
    if (match == API_MATCH_NO_PATH) {
        api_problem(answer, 404,
                    "there is nothing at this path; those that there are begin with /api/v1/ or /health/");
    } else if (match == API_MATCH_NO_METHOD) {
        str_into(answer->allow, sizeof answer->allow, allow);
        api_problem(answer, 405, "this path answers to %s", allow);
    } else {
        check_body(exchange);
    }
}

static void pass_gate(struct api_exchange *exchange)
{
    struct api *api = exchange->all->api;
    if (!api_gate_host_is_ok(api->config->api.listen, header(exchange, "Host"))) {
        api_problem(&exchange->answer, 421, "%s", api_gate_host_words(api->config->api.listen));
    } else if (exchange->all->draining) {
        exchange->answer.retry_after_seconds = 5;
        api_problem(&exchange->answer, 503, "mirror-api is stopping");
    } else {
        find_route(exchange);
    }
}

/* ---- the body ---- */

static enum MHD_Result take_body(struct api_exchange *exchange, const char *upload, size_t *bytes)
{
    struct api_request *request = &exchange->request;
    size_t max = exchange->route->max_bytes, len = *bytes;
    *bytes = 0;
    if (exchange->swallowed > 0 || len > max - request->body_len) {
        exchange->swallowed += len;
        return exchange->swallowed > max * SWALLOW_FACTOR + SWALLOW_BYTES ? MHD_NO : MHD_YES;
    }
    if (request->body_len + len + 1 > exchange->body_size) {
        exchange->body_size = 2 * (request->body_len + len) + 1;
        request->body = mem_grow(request->body, exchange->body_size, 1);
    }
    memcpy(request->body + request->body_len, upload, len);
    request->body_len += len;
    request->body[request->body_len] = '\0';
    return MHD_YES;
}

/* ---- the answer ---- */

static void add_headers(const struct api_exchange *exchange, struct MHD_Response *response)
{
    const struct api_answer *answer = &exchange->answer;
    char seconds[16];
    MHD_add_response_header(response, "Content-Type", answer->type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (*answer->location)
        MHD_add_response_header(response, "Location", answer->location);
    if (*answer->allow)
        MHD_add_response_header(response, "Allow", answer->allow);
    if (answer->challenge)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"message-mirror\"");
    if (exchange->all->draining)
        MHD_add_response_header(response, "Connection", "close");
    if (answer->retry_after_seconds > 0) {
        snprintf(seconds, sizeof seconds, "%u", answer->retry_after_seconds);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
}

static void log_request(const struct api_exchange *exchange)
{
    bool changes = !str_equal(exchange->method, "GET") && exchange->answer.status < 400;
    if (changes)
        log_info("request", LOG_STR("method", exchange->method), LOG_STR("path", exchange->request.path),
                 LOG_UINT("status", exchange->answer.status), LOG_STR("who", exchange->request.who),
                 LOG_INT("ms", clock_boot_ms() - exchange->started_ms));
    else
        log_debug("request", LOG_STR("method", exchange->method), LOG_STR("path", exchange->request.path),
                  LOG_UINT("status", exchange->answer.status), LOG_STR("who", exchange->request.who),
                  LOG_INT("ms", clock_boot_ms() - exchange->started_ms));
}

static enum MHD_Result send_answer(struct api_exchange *exchange)
{
    struct api_answer *answer = &exchange->answer;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body_len, answer->body, MHD_RESPMEM_MUST_FREE);
    if (!response)
        return MHD_NO;
    answer->body = NULL;
    add_headers(exchange, response);
    log_request(exchange);
    if (exchange->connection)
        set_phase(exchange->connection, PHASE_TRANSFER, transfer_ms(answer->body_len));
    enum MHD_Result queued = MHD_queue_response(exchange->mhd, answer->status, response);
    MHD_destroy_response(response);
    exchange->sent = true;
    return queued;
}

/* ---- work that takes longer ---- */

static void postpone(struct api_exchange *exchange)
{
    struct api_exchange **end = &exchange->all->later;
    while (*end)
        end = &(*end)->next_later;
    *end = exchange;
    if (exchange->connection)
        set_phase(exchange->connection, PHASE_WORK, 0);
    MHD_suspend_connection(exchange->mhd);
}

static enum MHD_Result handle(struct api_exchange *exchange)
{
    struct api_answer *answer = &exchange->answer;
    if (exchange->swallowed > 0)
        api_problem(answer, 413, "the body may have %zu bytes at most", exchange->route->max_bytes);
    else
        exchange->route->handler(exchange->all->api, &exchange->request, answer);
    if (!answer->task.run)
        return send_answer(exchange);
    postpone(exchange);
    return MHD_YES;
}

static void end_task(struct api_exchange *exchange)
{
    struct api_task *task = &exchange->answer.task;
    exchange->all->later = exchange->next_later;
    exchange->next_later = NULL;
    if (task->free)
        task->free(task->state);
    *task = (struct api_task){0};
    MHD_resume_connection(exchange->mhd);
}

bool api_exchange_run_task(struct api_exchanges *exchanges, bool abandon)
{
    struct api_exchange *exchange = exchanges->later;
    if (!exchange)
        return false;
    struct api_task *task = &exchange->answer.task;
    if (task->run(exchanges->api, task->state, abandon, &exchange->answer))
        end_task(exchange);
    return true;
}

/* ---- the library's calls ---- */

enum MHD_Result api_exchange_on_request(void *cls, struct MHD_Connection *mhd, const char *path,
                                        const char *method, const char *version, const char *upload,
                                        size_t *upload_bytes, void **state)
{
    (void)version;
    struct api_exchange *exchange = *state;
    if (!exchange) {
        exchange = begin(cls, mhd, path, method);
        *state = exchange;
        pass_gate(exchange);
        if (exchange->answer.body)
            return send_answer(exchange);
        if (exchange->connection)
            set_phase(exchange->connection, PHASE_TRANSFER, transfer_ms(exchange->route->max_bytes));
        return MHD_YES;
    }
    if (exchange->sent)
        return MHD_YES;
    if (*upload_bytes > 0)
        return take_body(exchange, upload, upload_bytes);
    if (exchange->answer.body) /* resumed: the task is done */
        return send_answer(exchange);
    return exchange->answer.task.run ? MHD_YES : handle(exchange);
}

void api_exchange_on_end(void *cls, struct MHD_Connection *mhd, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)mhd;
    (void)code;
    struct api_exchanges *all = cls;
    struct api_exchange *exchange = *state;
    if (!exchange)
        return;
    if (exchange->connection)
        set_phase(exchange->connection, PHASE_HEAD, HEAD_MS);
    all->open_count--;
    api_answer_fini(&exchange->answer);
    free(exchange->request.body);
    free(exchange);
    *state = NULL;
}
