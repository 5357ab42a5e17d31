/*
 * Which route a path finds, who passes the gate, the token's file, and what a subscription may look like.
 */
#include "api/api_gate.h"
#include "api/api_route.h"
#include "api/api_subscribe.h"
#include "api/api_token.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_routes(void **state)
{
    (void)state;
    const struct {
        const char *method, *path;
        enum api_match match;
        const char *route, *param;
    } table[] = {
        {"GET", "/api/v1/status", API_MATCH, "/api/v1/status", ""},
        {"GET", "/api/v1/status/", API_MATCH_NO_PATH, NULL, ""},
        {"GET", "/api/v1/statu", API_MATCH_NO_PATH, NULL, ""},
        {"POST", "/api/v1/status", API_MATCH_NO_METHOD, "/api/v1/status", ""},
        {"HEAD", "/api/v1/status", API_MATCH_NO_METHOD, "/api/v1/status", ""},
        {"GET", "/api/v1/mailboxes/1001", API_MATCH, "/api/v1/mailboxes/{number}", "1001"},
        {"DELETE", "/api/v1/mailboxes/a@b-c", API_MATCH, "/api/v1/mailboxes/{number}", "a@b-c"},
        {"GET", "/api/v1/mailboxes/1001/why", API_MATCH, "/api/v1/mailboxes/{number}/why", "1001"},
        {"GET", "/api/v1/mailboxes/", API_MATCH_NO_PATH, NULL, ""},
        {"GET", "/api/v1/mailboxes//why", API_MATCH_NO_PATH, NULL, ""},
        {"GET", "/api/v1/mailboxes/10%00", API_MATCH_NO_PATH, NULL, ""},
        {"GET", "/api/v1/mailboxes/10 1", API_MATCH_NO_PATH, NULL, ""},
        {"GET", "/api/v1/mailboxes/../status", API_MATCH_NO_PATH, NULL, ""},
        {"POST", "/api/v1/routes/dr/pause", API_MATCH, "/api/v1/routes/{name}/pause", "dr"},
        {"POST", "/api/v1/routes/dr/stop", API_MATCH_NO_PATH, NULL, ""},
        {"GET", "", API_MATCH_NO_PATH, NULL, ""},
        {"GET", "*", API_MATCH_NO_PATH, NULL, ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct api_route *route;
        char param[API_PARAM_BYTES], allow[64];
        enum api_match match = api_route_find(table[i].method, table[i].path, &route, param, allow);
        if (match != table[i].match || !str_equal(route ? route->path : NULL, table[i].route))
            fail_msg("%s %s: %d", table[i].method, table[i].path, (int)match);
        if (match == API_MATCH)
            assert_string_equal(param, table[i].param);
    }
}

static void test_allow(void **state)
{
    (void)state;
    const struct api_route *route;
    char param[API_PARAM_BYTES], allow[64];
    assert_int_equal(api_route_find("PATCH", "/api/v1/mailboxes/7", &route, param, allow),
                     API_MATCH_NO_METHOD);
    assert_string_equal(allow, "GET, DELETE");
}

static void test_only_health_is_open(void **state)
{
    (void)state;
    for (const struct api_route *route = api_route_table; route->method; route++)
        assert_int_equal(route->is_open, strncmp(route->path, "/health/", 8) == 0);
}

static void test_hosts(void **state)
{
    (void)state;
    const struct {
        const char *listen, *host;
        bool ok;
    } table[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080", true},
        {"127.0.0.1:8080", "localhost", true},
        {"127.0.0.1:8080", "LocalHost:1", true},
        {"127.0.0.1:8080", "[::1]:8080", true},
        {"127.0.0.1:8080", "127.0.0.2", true},
        {"127.0.0.1:8080", "evil.example", false},
        {"127.0.0.1:8080", "127.0.0.1.evil.example", false},
        {"127.0.0.1:8080", "127.evil", false},
        {"127.0.0.1:8080", "", false},
        {"127.0.0.1:8080", NULL, false},
        {"127.0.0.1:8080", "localhost:x", false},
        {"127.0.0.1:8080", "localhost@evil", false},
        {"127.0.0.1:8080", "[::1", false},
        {"[::1]:8080", "evil.example", false},
        {"localhost:8080", "evil.example", false},
        {"10.1.1.1:8443", "mirror.example:8443", true},
        {"0.0.0.0:8443", "mirror.example", true},
        {"10.1.1.1:8443", "a b", false},
        {"10.1.1.1:8443", NULL, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (api_gate_host_is_ok(table[i].listen, table[i].host) != table[i].ok)
            fail_msg("%s at %s", table[i].host ? table[i].host : "none", table[i].listen);
}

static void test_tokens(void **state)
{
    (void)state;
    struct secret *token = secret_from("0123456789abcdef0123456789abcdef");
    assert_true(api_gate_token_is_ok(token, "Bearer 0123456789abcdef0123456789abcdef"));
    assert_true(api_gate_token_is_ok(token, "bearer  0123456789abcdef0123456789abcdef"));
    assert_false(api_gate_token_is_ok(token, "Bearer 0123456789abcdef0123456789abcdeF"));
    assert_false(api_gate_token_is_ok(token, "Bearer 0123456789abcdef0123456789abcde"));
    assert_false(api_gate_token_is_ok(token, "Bearer 0123456789abcdef0123456789abcdef "));
    assert_false(api_gate_token_is_ok(token, "Bearer "));
    assert_false(api_gate_token_is_ok(token, "Bearer"));
    assert_false(api_gate_token_is_ok(token, "Basic 0123456789abcdef0123456789abcdef"));
    assert_false(api_gate_token_is_ok(token, ""));
    assert_false(api_gate_token_is_ok(token, NULL));
    secret_free(token);
}

static void test_token_file(void **state)
{
    (void)state;
    char folder[] = "/tmp/test-api-XXXXXX";
    struct stat status;
    struct err err = {0};
    assert_non_null(mkdtemp(folder));
    char *path = str_format("%s/api.token", folder);
    struct secret *made = api_token_open(path, &err);
    assert_non_null(made);
    assert_int_equal(strlen(secret_reveal(made)), 2 * API_TOKEN_BYTES);
    assert_int_equal(strspn(secret_reveal(made), "0123456789abcdef"), 2 * API_TOKEN_BYTES);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    struct secret *again = api_token_open(path, &err);
    assert_string_equal(secret_reveal(again), secret_reveal(made));
    secret_free(made);
    secret_free(again);
    assert_int_equal(truncate(path, 5), 0);
    assert_null(api_token_open(path, &err));
    assert_non_null(strstr(err.text, "too short"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left in it */
    assert_null(api_token_open(path, &err));
    free(path);
}

static void test_subscriptions(void **state)
{
    (void)state;
    struct config_route routes[] = {{.name = (char[]){"dr"}}, {.name = (char[]){"vault"}}};
    struct config config = {.routes = routes, .route_count = 2};
    struct api_subscribe subscribe = {0};
    struct err err = {0};
    char list[] = "dr|vault dr", unknown[] = "dr nowhere", none[] = " | ";
    static char name[400];
    memset(name, 'x', sizeof name - 1);
    assert_int_equal(api_subscribe_number(&subscribe, "1001", &err), 0);
    assert_int_equal(api_subscribe_number(&subscribe, NULL, &err), -1);
    assert_int_equal(api_subscribe_number(&subscribe, "10 01", &err), -1);
    assert_int_equal(api_subscribe_name(&subscribe, "J\xc3\xb6rg Winter", &err), 0);
    assert_int_equal(api_subscribe_name(&subscribe, "two\nlines", &err), -1);
    assert_int_equal(api_subscribe_name(&subscribe, "J\xf6rg", &err), -1);
    assert_int_equal(api_subscribe_name(&subscribe, name, &err), -1);
    assert_int_equal(api_subscribe_cos(&subscribe, "12", &err), 0);
    assert_int_equal(api_subscribe_priority(&subscribe, "8", &err), 0);
    assert_int_equal(api_subscribe_priority(&subscribe, "0", &err), -1);
    assert_int_equal(api_subscribe_priority(&subscribe, "9", &err), -1);
    assert_int_equal(api_subscribe_priority(&subscribe, "1x", &err), -1);
    assert_int_equal(api_subscribe_routes(&subscribe, &config, list, &err), 0);
    assert_int_equal(subscribe.route_count, 2);
    assert_int_equal(api_subscribe_routes(&subscribe, &config, none, &err), 0);
    assert_int_equal(api_subscribe_routes(&subscribe, &config, NULL, &err), 0);
    assert_int_equal(api_subscribe_routes(&subscribe, &config, unknown, &err), -1);
    assert_non_null(strstr(err.text, "nowhere"));
}

static void test_what_is_said_of_a_host(void **state)
{
    (void)state;
    assert_string_equal(
        api_gate_host_words("127.0.0.1:8080"),
        "the Host header names another server; this one listens on loopback and is 127.0.0.1, [::1] or "
        "localhost");
    assert_string_equal(api_gate_host_words("10.0.0.1:8080"), "the Host header is missing or no host name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_allow),
        cmocka_unit_test(test_only_health_is_open),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_token_file),
        cmocka_unit_test(test_subscriptions),
        cmocka_unit_test(test_what_is_said_of_a_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
