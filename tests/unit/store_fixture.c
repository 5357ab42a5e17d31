/*
 * A database a test, dropped after it. The store finds the server at <data_dir>/run-db/mariadb.sock, as in a managed
 * install: a symbolic link in a folder of the test's own, or the proxy's socket.
 */
#include "store_fixture.h"

#include "base/str.h"
#include "store/store_mailbox.h"
#include "store_proxy.h"

#include <mysql.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what, const char *words)
{
    fprintf(stderr, "%s: %s\n", what, words);
    abort();
}

/* ---- behind the store's back ---- */

static char *run_sql(struct store_fixture *fixture, const char *sql)
{
    MYSQL *raw = fixture->raw;
    char *first = NULL;
    if (mysql_real_query(raw, sql, strlen(sql)))
        die(sql, mysql_error(raw));
    MYSQL_RES *rows = mysql_store_result(raw);
    MYSQL_ROW row = rows ? mysql_fetch_row(rows) : NULL;
    if (row && row[0])
        first = str_copy(row[0]);
    if (rows)
        mysql_free_result(rows);
    return first;
}

static char *run_format(struct store_fixture *fixture, const char *format, va_list arguments)
{
    char sql[4096];
    vsnprintf(sql, sizeof(sql), format, arguments);
    return run_sql(fixture, sql);
}

void store_fixture_sql(struct store_fixture *fixture, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    free(run_format(fixture, format, arguments));
    va_end(arguments);
}

char *store_fixture_text(struct store_fixture *fixture, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = run_format(fixture, format, arguments);
    va_end(arguments);
    return text;
}

double store_fixture_number(struct store_fixture *fixture, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = run_format(fixture, format, arguments);
    va_end(arguments);
    double number = text ? strtod(text, NULL) : -1;
    free(text);
    return number;
}

void store_fixture_kill_connections(struct store_fixture *fixture)
{
    char *id;
    while ((id = store_fixture_text(fixture,
                                    "SELECT id FROM information_schema.PROCESSLIST WHERE db = '%s' AND id <> "
                                    "CONNECTION_ID() AND command <> 'Killed' LIMIT 1",
                                    fixture->database))) {
        store_fixture_sql(fixture, "KILL %s", id);
        free(id);
    }
}

void store_fixture_proxy(struct store_fixture *fixture, enum store_proxy_mode mode)
{
    store_proxy_set(fixture->proxy, mode);
}

/* ---- making ---- */

static void fill_config(struct store_fixture *fixture)
{
    static const char *const site_names[] = {"production", "dr"}, *const route_names[] = {"dr", "vault"};
    struct config *config = &fixture->config;
    config->data_dir = fixture->data_dir;
    config->database.mode = CONFIG_DATABASE_MANAGED;
    config->database.name = fixture->database;
    config->sites = fixture->sites;
    config->routes = fixture->routes;
    config->site_count = config->route_count = 2;
    config->copy.lease_seconds = 120;
    for (int i = 0; i < 2; i++) {
        struct config_site *site = &fixture->sites[i];
        site->name = str_copy(site_names[i]);
        site->imap = (struct config_imap){
            .max_sessions = 4, .max_logins_per_second = 100000, .connect_seconds = 10, .answer_seconds = 20};
        site->auth_failures_until_stop = 3;
        site->auth_retry_minutes = 15;
        fixture->routes[i] = (struct config_route){.name = str_copy(route_names[i]),
                                                   .from = str_copy("production"),
                                                   .to = str_copy("dr"),
                                                   .from_site = &fixture->sites[0],
                                                   .to_site = &fixture->sites[1],
                                                   .late_command_minutes = 10};
    }
}

static void make_socket(struct store_fixture *fixture, const char *server, bool with_proxy)
{
    char path[108];
    snprintf(path, sizeof(path), "%s/run-db", fixture->data_dir);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/run-db/mariadb.sock", fixture->data_dir);
    if (with_proxy)
        fixture->proxy = store_proxy_new(path, server);
    else if (symlink(server, path))
        die(path, "no link");
}

static struct store_fixture *make(bool with_proxy)
{
    static unsigned number;
    const char *server = getenv("MIRROR_TEST_SOCKET");
    if (!server || !*server)
        return NULL;
    struct store_fixture *fixture = mem_new(sizeof(*fixture));
    snprintf(fixture->data_dir, sizeof(fixture->data_dir), "/tmp/mirror-store-XXXXXX");
    if (!mkdtemp(fixture->data_dir))
        die(fixture->data_dir, "no folder");
    snprintf(fixture->database, sizeof(fixture->database), "test_%ld_%u", (long)getpid(), ++number);
    fill_config(fixture);
    make_socket(fixture, server, with_proxy);
    fixture->raw = mysql_init(NULL);
    if (!mysql_real_connect(fixture->raw, NULL, "root", NULL, NULL, 0, server, 0))
        die(server, mysql_error(fixture->raw));
    return fixture;
}

struct store_fixture *store_fixture_new_empty(void)
{
    return make(false);
}

struct store_fixture *store_fixture_new(bool with_proxy)
{
    struct store_fixture *fixture = make(with_proxy);
    struct err err = {0};
    if (!fixture)
        return NULL;
    if (store_migrate(&fixture->config, &err))
        die("migrate", err.text);
    fixture->store = store_open(&fixture->config, &err);
    fixture->other = store_open(&fixture->config, &err);
    if (!fixture->store || !fixture->other || store_config_apply(fixture->store, &fixture->config, &err))
        die("open", err.text);
    store_fixture_sql(fixture, "USE %s", fixture->database);
    store_fixture_sql(fixture, "SET time_zone = '+00:00'");
    return fixture;
}

static void remove_folder(struct store_fixture *fixture)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf -- '%s'", fixture->data_dir);
    if (system(command))
        die(fixture->data_dir, "not removed");
}

void store_fixture_free(struct store_fixture *fixture)
{
    if (!fixture)
        return;
    store_free(fixture->store);
    store_free(fixture->other);
    store_proxy_free(fixture->proxy);
    store_fixture_sql(fixture, "DROP DATABASE IF EXISTS %s", fixture->database);
    mysql_close(fixture->raw);
    for (int i = 0; i < 2; i++) {
        free(fixture->sites[i].name);
        free(fixture->routes[i].name);
        free(fixture->routes[i].from);
        free(fixture->routes[i].to);
    }
    remove_folder(fixture);
    free(fixture);
}

void store_fixture_mailboxes(struct store_fixture *fixture, unsigned count, const char *route)
{
    for (unsigned i = 1; i <= count; i++) {
        struct store_mailbox mailbox = {.priority = 5};
        enum store_added added;
        struct err err = {0};
        snprintf(mailbox.number, sizeof(mailbox.number), "%u", 1000 + i);
        if (store_mailbox_add(fixture->store, &mailbox, &route, route ? 1 : 0, &added, &err))
            die("add", err.text);
    }
}

/* ---- for cmocka ---- */

int store_fixture_setup(void **state)
{
    *state = store_fixture_new(false);
    return 0;
}

int store_fixture_setup_proxy(void **state)
{
    *state = store_fixture_new(true);
    return 0;
}

int store_fixture_setup_empty(void **state)
{
    *state = store_fixture_new_empty();
    return 0;
}

int store_fixture_teardown(void **state)
{
    store_fixture_free(*state);
    return 0;
}
