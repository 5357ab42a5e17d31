/*
 * The brake's decision in tables: at each limit, below and above it, and the words that people read.
 */
#include "store/store_brake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define LIMITS(messages, share, mailboxes_share, minutes)                                                    \
    {                                                                                                        \
        .mailbox_messages = (messages), .mailbox_share = (share), .route_messages = 100, .route_share = 0.2, \
        .route_mailboxes_share = (mailboxes_share), .window_minutes = (minutes)                              \
    }

static const struct config_deletions defaults = LIMITS(30, 0.5, 0.05, 60);

struct one {
    const char *what;
    const struct config_deletions *limits; /* NULL: defaults */
    struct store_brake_mailbox mailbox;
    struct store_brake_route route;
    enum store_brake_verdict verdict;
    const char *reason; /* "" with GO */
};

static void check(const struct one *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct one *one = &table[i];
        char reason[STORE_BRAKE_REASON_BYTES] = "left over";
        enum store_brake_verdict verdict =
            store_brake_decide(one->limits ? one->limits : &defaults, &one->mailbox, &one->route, reason);
        if (verdict != one->verdict || strcmp(reason, one->reason ? one->reason : "") != 0)
            fail_msg("%s: %d \"%s\"", one->what, verdict, reason);
    }
}

#define CHECK(table) check(table, sizeof(table) / sizeof(*(table)))

/* A route on which nothing else happens. */
#define QUIET .route = {.mailboxes = 1000, .left = 16000}
#define HOLD(words) .verdict = STORE_BRAKE_HOLD_MAILBOX, .reason = (words)
#define HOLD_ROUTE(words) .verdict = STORE_BRAKE_HOLD_ROUTE, .reason = (words)

static void test_mailbox(void **state)
{
    static const struct one table[] = {
        {"nothing is gone", NULL, {.left = 40}, QUIET},
        {"nothing is there at all", NULL, {0}, .route = {0}},
        {"all of the floor", NULL, {.going = 30}, QUIET},
        {"one more than the floor, all of it",
         NULL,
         {.going = 31},
         QUIET,
         HOLD("all 31 messages are gone from production: more than 30 and more than 50 %")},
        {"more than the floor, just the share", NULL, {.going = 40, .left = 40}, QUIET},
        {"more than the floor, a little less than the share", NULL, {.going = 40, .left = 41}, QUIET},
        {"one more than the share",
         NULL,
         {.going = 41, .left = 40},
         QUIET,
         HOLD("41 of 81 messages are gone from production: more than 30 and more than 50 %")},
        {"many, but a small share", NULL, {.going = 499, .left = 501}, QUIET},
        {"thousands are grouped",
         NULL,
         {.going = 1234567, .left = 433},
         QUIET,
         HOLD("1,234,567 of 1,235,000 messages are gone from production: more than 30 and more than 50 %")},
        {"four digits",
         NULL,
         {.going = 1000, .left = 0},
         QUIET,
         HOLD("all 1,000 messages are gone from production: more than 30 and more than 50 %")},
        {"the greatest figures",
         NULL,
         {.going = UINT32_MAX, .left = UINT32_MAX / 2},
         QUIET,
         HOLD("4,294,967,295 of 6,442,450,942 messages are gone from production: more than 30 and more than "
              "50 %")},
        {"the greatest, not going", NULL, {.going = 31, .left = UINT32_MAX}, QUIET},
    };

    (void)state;
    CHECK(table);
}

static void test_mailbox_limits(void **state)
{
    static const struct config_deletions strict = LIMITS(0, 0, 0.05, 60);
    static const struct config_deletions off = LIMITS(30, 1, 0.05, 60);
    static const struct config_deletions floor_only = LIMITS(30, 0, 0.05, 60);
    static const struct config_deletions share_only = LIMITS(0, 0.29, 0.05, 60);
    static const struct config_deletions odd = LIMITS(1200, 0.125, 0.05, 60);
    static const struct config_deletions third = LIMITS(1, 1 / 3.0, 0.05, 60);
    static const struct one table[] = {
        {"no floor and no share: any is held",
         &strict,
         {.going = 1, .left = 39},
         QUIET,
         HOLD("1 of 40 messages is gone from production: more than 0 and more than 0 %")},
        {"the only one",
         &strict,
         {.going = 1},
         QUIET,
         HOLD("the only message is gone from production: more than 0 and more than 0 %")},
        {"no floor and no share, nothing gone", &strict, {.left = 40}, QUIET},
        {"a share of 1 is never passed", &off, {.going = 4000}, QUIET},
        {"a share of 0: the floor alone counts",
         &floor_only,
         {.going = 31, .left = 100000},
         QUIET,
         HOLD("31 of 100,031 messages are gone from production: more than 30 and more than 0 %")},
        {"the same, all of the floor", &floor_only, {.going = 30, .left = 100000}, QUIET},
        {"just 0.29, which a double only comes near", &share_only, {.going = 29, .left = 71}, QUIET},
        {"a little more",
         &share_only,
         {.going = 30, .left = 71},
         QUIET,
         HOLD("30 of 101 messages are gone from production: more than 0 and more than 29 %")},
        {"a half per cent",
         &odd,
         {.going = 1201, .left = 8000},
         QUIET,
         HOLD("1,201 of 9,201 messages are gone from production: more than 1,200 and more than 12.5 %")},
        {"a third, just", &third, {.going = 3, .left = 6}, QUIET},
        {"a third",
         &third,
         {.going = 4, .left = 6},
         QUIET,
         HOLD("4 of 10 messages are gone from production: more than 1 and more than 33.33 %")},
    };

    (void)state;
    CHECK(table);
}

static void test_nameless_and_greetings(void **state)
{
    static const struct one table[] = {
        {"one message at a new UIDVALIDITY",
         NULL,
         {.going = 1, .nameless = 1, .left = 200},
         QUIET,
         HOLD("1 message is gone since the folder was made anew (UIDVALIDITY changed)")},
        {"several",
         NULL,
         {.going = 8, .nameless = 8, .left = 200},
         QUIET,
         HOLD("8 messages are gone since the folder was made anew (UIDVALIDITY changed)")},
        {"before any limit",
         NULL,
         {.going = 1234, .nameless = 1234, .greetings_gone = 1},
         QUIET,
         HOLD("1,234 messages are gone since the folder was made anew (UIDVALIDITY changed)")},
        {"the only greeting",
         NULL,
         {.greetings_gone = 1, .left = 12},
         QUIET,
         HOLD("the only greeting is gone")},
        {"all of two", NULL, {.greetings_gone = 2, .left = 12}, QUIET, HOLD("all 2 greetings are gone")},
        {"one of two", NULL, {.greetings_gone = 1, .greetings_left = 1, .left = 12}, QUIET},
        {"and most messages",
         NULL,
         {.going = 28, .greetings_gone = 2, .left = 3},
         QUIET,
         HOLD("all 2 greetings are gone, and 28 of 31 messages")},
        {"and the only message",
         NULL,
         {.going = 1, .greetings_gone = 1},
         QUIET,
         HOLD("the only greeting is gone, and the only message")},
        {"as many as there can be",
         NULL,
         {.going = UINT32_MAX, .greetings_gone = UINT32_MAX, .left = UINT32_MAX},
         QUIET,
         HOLD("all 4,294,967,295 greetings are gone, and 4,294,967,295 of 8,589,934,590 messages")},
        {"no greeting anyway", NULL, {.going = 3, .left = 12}, QUIET},
        {"greetings before the floor",
         NULL,
         {.going = 40, .greetings_gone = 1},
         QUIET,
         HOLD("the only greeting is gone, and all 40 messages")},
    };

    (void)state;
    CHECK(table);
}

static void test_all_folders(void **state)
{
    static const struct one table[] = {
        {"all folders",
         NULL,
         {.going = 3, .left = 200, .folders_gone = 2},
         QUIET,
         HOLD("all folders besides INBOX are gone from production, 2 of them with messages")},
        {"the only folder", NULL, {.going = 3, .left = 200, .folders_gone = 1}, QUIET},
        {"two of three folders",
         NULL,
         {.going = 3, .left = 200, .folders_gone = 2, .folders_left = 1},
         QUIET},
    };

    (void)state;
    CHECK(table);
}

static void test_route_messages(void **state)
{
    static const struct one table[] = {
        {"five for each mailbox", NULL, {.going = 5}, .route = {1000, 0, .left = 10000, .going = 5000}},
        {"one more",
         NULL,
         {.going = 5},
         .route = {1000, 0, .left = 10000, .going = 5001},
         HOLD_ROUTE("route: 5,001 of 15,001 messages are gone from production within 60 minutes: more than "
                    "5,000 and more than 20 %")},
        {"just the share", NULL, {.going = 5}, .route = {1000, 0, .left = 40000, .going = 10000}},
        {"one more",
         NULL,
         {.going = 5},
         .route = {1000, 0, .left = 40000, .going = 10001},
         HOLD_ROUTE("route: 10,001 of 50,001 messages are gone from production within 60 minutes: more than "
                    "5,000 and more than 20 %")},
        {"a small site: the floor", NULL, {.going = 5}, .route = {12, 0, .left = 150, .going = 100}},
        {"one more",
         NULL,
         {.going = 5},
         .route = {12, 0, .left = 150, .going = 101},
         HOLD_ROUTE("route: 101 of 251 messages are gone from production within 60 minutes: more than 100 "
                    "and more than 20 %")},
        {"as many as there can be", NULL, {.going = 5}, .route = {UINT32_MAX, 0, 1ull << 62, 1ull << 60}},
        {"more than a fifth of them",
         NULL,
         {.going = 5},
         .route = {UINT32_MAX, 0, 1ull << 62, 1ull << 61},
         HOLD_ROUTE("route: 2,305,843,009,213,693,952 of 6,917,529,027,641,081,856 messages are gone from "
                    "production within 60 minutes: more than 21,474,836,475 and more than 20 %")},
    };

    (void)state;
    CHECK(table);
}

static void test_route_wiped(void **state)
{
    static const struct one table[] = {
        {"a site that keeps little: nine tenths", NULL, {.going = 2}, .route = {1000, 0, 200, 1800}},
        {"nearly everything",
         NULL,
         {.going = 2},
         .route = {1000, 0, 199, 1801},
         HOLD_ROUTE("route: 1,801 of 2,000 messages are gone from production within 60 minutes: more than 30 "
                    "and more than 90 %")},
        {"everything of three mailboxes",
         NULL,
         {.going = 9},
         .route = {3, 0, 0, 31},
         HOLD_ROUTE("route: all 31 messages are gone from production within 60 minutes: more than 30 and "
                    "more than 90 %")},
        {"no more than one mailbox may lose", NULL, {.going = 9}, .route = {3, 0, 0, 30}},
        {"two mailboxes", NULL, {.going = 20}, .route = {2, 2, 0, 40}},
    };

    (void)state;
    CHECK(table);
}

static void test_route_emptied(void **state)
{
    static const struct config_deletions off = LIMITS(30, 0.5, 1, 60);
    static const struct config_deletions slow = LIMITS(30, 0.5, 0.025, 90.5);
    static const struct config_deletions minute = LIMITS(30, 0.5, 0.05, 1);
    static const struct one table[] = {
        {"one in twenty", NULL, {.going = 12}, .route = {1000, 50, 20000, 600}},
        {"one more",
         NULL,
         {.going = 12},
         .route = {1000, 51, 20000, 612},
         HOLD_ROUTE("route: 51 of 1,000 mailboxes were emptied within 60 minutes: more than 5 %")},
        {"many, of few messages", NULL, {.going = 12}, .route = {100, 9, 2000, 100}},
        {"two of a small site", NULL, {.going = 12}, .route = {20, 2, 2000, 101}},
        {"three of a small site",
         NULL,
         {.going = 12},
         .route = {20, 3, 2000, 101},
         HOLD_ROUTE("route: 3 of 20 mailboxes were emptied within 60 minutes: more than 5 %")},
        {"a share of 1 is never passed", &off, {.going = 12}, .route = {1000, 1000, 2000000, 1001}},
        {"other limits",
         &slow,
         {.going = 12},
         .route = {1000, 26, 20000, 612},
         HOLD_ROUTE("route: 26 of 1,000 mailboxes were emptied within 90.5 minutes: more than 2.5 %")},
        {"a minute",
         &minute,
         {.going = 12},
         .route = {1000, 51, 20000, 612},
         HOLD_ROUTE("route: 51 of 1,000 mailboxes were emptied within 1 minute: more than 5 %")},
        {"a mailbox's own limit comes first",
         NULL,
         {.going = 31},
         .route = {1000, 51, 20000, 612},
         HOLD("all 31 messages are gone from production: more than 30 and more than 50 %")},
    };

    (void)state;
    CHECK(table);
}

static void test_emptied(void **state)
{
    static const struct {
        const char *what;
        struct store_brake_mailbox mailbox;
        bool emptied;
    } table[] = {
        {"nothing there, nothing gone", {0}, false},
        {"few", {.going = STORE_BRAKE_EMPTIED_FROM - 1}, false},
        {"enough", {.going = STORE_BRAKE_EMPTIED_FROM}, true},
        {"one is left", {.going = 40, .left = 1}, false},
        {"greetings are left", {.going = 12, .greetings_left = 2}, true},
        {"a message beside the greetings", {.going = 12, .left = 1, .greetings_left = 2}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (store_brake_is_emptied(&table[i].mailbox) != table[i].emptied)
            fail_msg("%s", table[i].what);
}

static void test_many(void **state)
{
    static const struct {
        uint32_t signs, mailboxes;
        bool many;
    } table[] = {
        {0, 0, false},
        {2, 2, false},
        {2, 10, false},
        {3, 3, true},
        {3, 60, true},
        {3, 61, false},
        {49, 1000, false},
        {50, 1000, true},
        {UINT32_MAX, UINT32_MAX, true},
        {214748364, UINT32_MAX, false},
        {214748365, UINT32_MAX, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (store_brake_are_many(table[i].signs, table[i].mailboxes) != table[i].many)
            fail_msg("%u of %u", table[i].signs, table[i].mailboxes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mailbox),
        cmocka_unit_test(test_mailbox_limits),
        cmocka_unit_test(test_nameless_and_greetings),
        cmocka_unit_test(test_all_folders),
        cmocka_unit_test(test_route_messages),
        cmocka_unit_test(test_route_wiped),
        cmocka_unit_test(test_route_emptied),
        cmocka_unit_test(test_emptied),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
