/*
 * The parts that all commands of mirrorctl share.
 */
#include "ctl/ctl.h"

#include "base/config.h"
#include "base/json.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PAGE_MAILBOXES = 500, LINE_BYTES = 8192 };

static const char default_config[] = "/etc/message-mirror/mirror.yaml";

/* ---- output ---- */

static void print_line(FILE *file, const char *format, va_list args)
{
    char text[LINE_BYTES];
    struct buf line;
    vsnprintf(text, sizeof text, format, args);
    buf_init(&line, 4 * sizeof text);
    ctl_table_add_cut(&line, text, SIZE_MAX);
    fprintf(file, "%s\n", buf_data(&line));
    buf_fini(&line);
}

void ctl_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_line(stdout, format, args);
    va_end(args);
}

void ctl_say_wrapped(const struct ctl *ctl, const char *title, const char *text)
{
    enum { INDENT = 12, LEAST = 30 };
    size_t width = ctl->width > INDENT + LEAST ? ctl->width - INDENT : 0;
    bool first = true;
    while (*text) {
        size_t len = strlen(text), take = len;
        if (width > 0 && len > width) {
            take = width;
            while (take > width / 2 && text[take] != ' ')
                take--;
            if (text[take] != ' ') /* one long word */
                take += strcspn(text + take, " ");
        }
        ctl_say("%-*s%.*s", INDENT, first ? title : "", (int)take, text);
        text += take + strspn(text + take, " ");
        first = false;
    }
}

void ctl_complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fputs("mirrorctl: ", stderr);
    print_line(stderr, format, args);
    va_end(args);
}

void ctl_print_json(const cJSON *document)
{
    char *text = json_print(document);
    puts(text);
    free(text);
}

void ctl_print_table(const struct ctl *ctl, const struct ctl_table *table)
{
    struct buf out;
    buf_init(&out, 512 * 1024 * 1024);
    ctl_table_print(table, &out, ctl->width, ctl->colour);
    fwrite(buf_data(&out), 1, buf_len(&out), stdout);
    buf_fini(&out);
}

/* ---- reading answers ---- */

const char *ctl_text(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text ? text : "";
}

double ctl_number(const cJSON *object, const char *name, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

bool ctl_flag(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

char *ctl_age(double seconds, char text[16])
{
    if (!(seconds >= 0))
        return str_into(text, 16, "-");
    if (seconds < 120)
        snprintf(text, 16, "%.0fs", seconds);
    else if (seconds < 7200)
        snprintf(text, 16, "%.0fm", seconds / 60);
    else if (seconds < 2 * 86400)
        snprintf(text, 16, "%.0fh", seconds / 3600);
    else
        snprintf(text, 16, "%.0fd", seconds < 1e9 ? seconds / 86400 : 9999.0);
    return text;
}

enum ctl_colour ctl_state_colour(const char *state, bool well)
{
    static const char *const on_its_way[] = {"new", "waiting", "working", "paused"};
    if (well)
        return CTL_GREEN;
    for (size_t i = 0; i < sizeof on_its_way / sizeof *on_its_way; i++)
        if (str_equal(state, on_its_way[i]))
            return CTL_YELLOW;
    return CTL_RED;
}

/* ---- asking ---- */

static enum ctl_exit exit_for(long status)
{
    if (status == 401 || status == 403 || status == 421 || status >= 500)
        return CTL_UNREACHABLE;
    return status == 404 || status == 409 ? CTL_NOT_WELL : CTL_USAGE;
}

static void tell_problem(const struct ctl *ctl, long status, const cJSON *problem)
{
    const char *detail = ctl_text(problem, "detail");
    if (ctl->json && problem)
        ctl_print_json(problem);
    if (status == 401)
        ctl_complain(
            "not allowed: the token is not the API's (was the token file replaced without a reload?)");
    else
        ctl_complain("%s%s(HTTP %ld)", detail, *detail ? " " : "", status);
}

cJSON *ctl_ask(struct ctl *ctl, const struct ctl_request *request, enum ctl_exit *exit_out)
{
    struct err err = {0};
    cJSON *document;
    long status;
    if (ctl_client_ask(ctl->client, request, &status, &document, &err) < 0) {
        ctl_complain("%s", err.text);
        *exit_out = CTL_UNREACHABLE;
        return NULL;
    }
    if (status >= 200 && status < 300 && document)
        return document;
    if (status >= 200 && status < 300) {
        ctl_complain("the answer is not Message Mirror's");
        *exit_out = CTL_UNREACHABLE;
        return NULL;
    }
    tell_problem(ctl, status, document);
    cJSON_Delete(document);
    *exit_out = exit_for(status);
    return NULL;
}

cJSON *ctl_get(struct ctl *ctl, const char *path, enum ctl_exit *exit_out)
{
    return ctl_ask(ctl, &(struct ctl_request){.method = "GET", .path = path}, exit_out);
}

cJSON *ctl_post(struct ctl *ctl, const char *path, cJSON *body, enum ctl_exit *exit_out)
{
    char *text = json_print(body);
    cJSON_Delete(body);
    /* A sync or an addition of very many may take a while. */
    cJSON *answer =
        ctl_ask(ctl,
                &(struct ctl_request){
                    .method = "POST", .path = path, .body = text, .body_len = strlen(text), .seconds = 300},
                exit_out);
    free(text);
    return answer;
}

char *ctl_escape(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    char *escaped = mem_new(3 * strlen(name) + 1), *to = escaped;
    for (const char *at = name; *at; at++) {
        if (strchr(plain, *at))
            *to++ = *at;
        else
            to += snprintf(to, 4, "%%%02X", (unsigned)(unsigned char)*at);
    }
    return escaped;
}

static char *page_path(const char *after, const char *route)
{
    char *escaped_after = ctl_escape(after), *escaped_route = ctl_escape(route ? route : "");
    char *path = str_format("/api/v1/mailboxes?limit=%d%s%s%s%s", PAGE_MAILBOXES, *after ? "&after=" : "",
                            escaped_after, route ? "&route=" : "", escaped_route);
    free(escaped_after);
    free(escaped_route);
    return path;
}

cJSON *ctl_all_mailboxes(struct ctl *ctl, const char *route, enum ctl_exit *exit_out)
{
    cJSON *all = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(all, "mailboxes");
    char after[256] = "";
    do {
        char *path = page_path(after, route);
        cJSON *page = ctl_get(ctl, path, exit_out), *item;
        free(path);
        if (!page) {
            cJSON_Delete(all);
            return NULL;
        }
        cJSON *items = cJSON_GetObjectItemCaseSensitive(page, "mailboxes");
        while ((item = cJSON_DetachItemFromArray(items, 0)))
            cJSON_AddItemToArray(list, item);
        str_into(after, sizeof after, ctl_text(page, "next"));
        cJSON_Delete(page);
    } while (*after);
    return all;
}

/* ---- start ---- */

static void look_at_terminal(struct ctl *ctl)
{
    struct winsize size = {0};
    ctl->out_is_tty = isatty(STDOUT_FILENO);
    ctl->err_is_tty = isatty(STDERR_FILENO);
    ctl->colour = ctl->out_is_tty && !getenv("NO_COLOR") && !str_equal(getenv("TERM"), "dumb");
    if (!ctl->out_is_tty)
        return;
    ctl->width = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
        ctl->width = size.ws_col;
}

static struct ctl_client *open_url(const struct ctl_args *args, struct err *err)
{
    struct secret *token = secret_read(args->value[CTL_OPT_TOKEN_FILE], NULL, err);
    if (!token)
        return NULL;
    struct ctl_client_place place = {.url = args->value[CTL_OPT_URL],
                                     .ca_file = args->value[CTL_OPT_CA_FILE]};
    struct ctl_client *client = ctl_client_open(&place, &token, err);
    secret_free(token);
    return client;
}

/* An API that listens everywhere is asked on this host. */
static char *url_of(const struct config *config)
{
    const char *listen = config->api.listen, *port = strrchr(listen, ':');
    const char *scheme = config->api.cert_file ? "https" : "http";
    if (strncmp(listen, "0.0.0.0:", 8) == 0)
        return str_format("%s://127.0.0.1%s", scheme, port);
    if (strncmp(listen, "[::]:", 5) == 0)
        return str_format("%s://[::1]%s", scheme, port);
    return str_format("%s://%s", scheme, listen);
}

static struct ctl_client *open_config(const struct ctl_args *args, struct err *err)
{
    const char *path = ctl_args_has(args, CTL_OPT_CONFIG) ? args->value[CTL_OPT_CONFIG] : default_config;
    struct config *config = config_load(path, err);
    if (!config)
        return NULL;
    char *token_path = config_path(config, "api.token"), *url = url_of(config);
    struct secret *token = secret_read(token_path, NULL, err);
    struct ctl_client *client = NULL;
    if (token) {
        struct ctl_client_place place = {
            .url = url, .cert_file = config->api.cert_file, .plain_http_is_ok = config->api.allow_plain_http};
        client = ctl_client_open(&place, &token, err);
    } else {
        err_prefix(err, "the API's token (is mirror-supervisor running, and may you read it?)");
    }
    secret_free(token);
    free(token_path);
    free(url);
    config_free(config);
    return client;
}

int ctl_open(struct ctl *ctl, const struct ctl_args *args, enum ctl_exit *exit_out)
{
    struct err err = {0};
    *ctl = (struct ctl){.json = ctl_args_has(args, CTL_OPT_JSON)};
    look_at_terminal(ctl);
    ctl->client = ctl_args_has(args, CTL_OPT_URL) ? open_url(args, &err) : open_config(args, &err);
    if (ctl->client)
        return 0;
    ctl_complain("%s", err.text);
    *exit_out = CTL_UNREACHABLE;
    return -1;
}

void ctl_close(struct ctl *ctl)
{
    ctl_client_close(ctl->client);
}
