/*
 * What the supervisor decides, without processes: back-off, order of services, a child's next move, cutting of lines.
 */
#include "base/str.h"
#include "supervisor/backoff.h"
#include "supervisor/child_state.h"
#include "supervisor/children.h"
#include "supervisor/said.h"
#include "supervisor/services.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* ---- back-off ---- */

static void backoff_doubles_to_its_cap(void **state)
{
    static const struct {
        unsigned failures;
        int64_t most_ms;
    } cases[] = {{0, 1000},  {1, 1000},  {2, 2000},  {3, 4000},    {4, 8000},          {5, 16000},
                 {6, 32000}, {7, 60000}, {8, 60000}, {100, 60000}, {UINT32_MAX, 60000}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(backoff_delay_ms(cases[i].failures, 0), cases[i].most_ms);
}

static void backoff_jitter_stays_in_its_quarter(void **state)
{
    (void)state;
    for (unsigned failures = 1; failures < 12; failures++) {
        int64_t most = backoff_delay_ms(failures, 0);
        for (uint32_t random = 0; random < 5000; random += 7) {
            int64_t delay = backoff_delay_ms(failures, random);
            assert_true(delay <= most && delay >= 1000 && delay >= most * 3 / 4);
        }
        if (failures > 1)
            assert_true(backoff_delay_ms(failures, 999) < most);
    }
}

static void backoff_health(void **state)
{
    (void)state;
    assert_false(backoff_was_healthy(0));
    assert_false(backoff_was_healthy(BACKOFF_HEALTHY_MS - 1));
    assert_true(backoff_was_healthy(BACKOFF_HEALTHY_MS));
}

/* ---- services ---- */

static void services_need_only_what_stands_above(void **state)
{
    (void)state;
    for (unsigned id = 0; id < SERVICE_COUNT; id++) {
        assert_non_null(services[id].name);
        assert_true(services[id].ready_seconds > 0);
        assert_true(services[id].needs < SERVICE_BIT(id));
        assert_int_equal(services[id].pulses, services[id].program && !services[id].runs_once);
    }
}

/* The order in which services could start, each as soon as it may. */
static void start_order(const unsigned count[SERVICE_COUNT], char *text, size_t size)
{
    bool ready[SERVICE_COUNT] = {false};
    size_t used = 0;

    for (int round = 0; round < SERVICE_COUNT; round++) {
        bool now[SERVICE_COUNT];
        memcpy(now, ready, sizeof now);
        for (unsigned id = 0; id < SERVICE_COUNT; id++) {
            if (count[id] == 0 || ready[id] || !services_needs_met((enum service_id)id, count, ready))
                continue;
            now[id] = true;
            used += (size_t)snprintf(text + used, size - used, "%d:%s ", round, services[id].name);
        }
        memcpy(ready, now, sizeof now);
    }
}

static void services_start_in_order(void **state)
{
    static const struct {
        enum config_database_mode mode;
        bool has_files;
        const char *order;
    } cases[] = {
        {CONFIG_DATABASE_MANAGED, false, "0:database-files 1:database 2:migrate 3:scanner 3:copier 3:api "},
        {CONFIG_DATABASE_MANAGED, true, "0:database 1:migrate 2:scanner 2:copier 2:api "},
        {CONFIG_DATABASE_SERVER, false, "0:migrate 1:scanner 1:copier 1:api "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config config = {.workers = {.scanner = 1, .copier = 4, .api = 1}};
        unsigned count[SERVICE_COUNT];
        char order[256];
        config.database.mode = cases[i].mode;
        services_plan(&config, cases[i].has_files, count);
        assert_int_equal(count[SERVICE_COPIER], 4);
        start_order(count, order, sizeof order);
        assert_string_equal(order, cases[i].order);
    }
}

static void services_wait_again_for_a_dead_database(void **state)
{
    struct config config = {.workers = {.scanner = 1, .copier = 1, .api = 1}};
    bool ready[SERVICE_COUNT] = {[SERVICE_MIGRATE] = true};
    unsigned count[SERVICE_COUNT];

    (void)state;
    config.database.mode = CONFIG_DATABASE_MANAGED;
    services_plan(&config, true, count);
    assert_false(services_needs_met(SERVICE_COPIER, count, ready));
    ready[SERVICE_DATABASE] = true;
    assert_true(services_needs_met(SERVICE_COPIER, count, ready));
}

/* ---- a child's next move ---- */

static void child_moves(void **state)
{
    static const struct {
        struct child_facts facts;
        enum child_move move;
    } cases[] = {
        /* state, wanted, needs met, now, due, silent from */
        {{CHILD_STOPPED, false, true, 0, 0, 0}, CHILD_STAY},
        {{CHILD_STOPPED, true, false, 0, 0, 0}, CHILD_WAIT},
        {{CHILD_WAITING, true, false, 0, 0, 0}, CHILD_STAY},
        {{CHILD_WAITING, true, true, 0, 0, 0}, CHILD_START},
        {{CHILD_WAITING, false, true, 0, 0, 0}, CHILD_REST},
        {{CHILD_STARTING, true, true, 9, 10, 10}, CHILD_STAY},
        {{CHILD_STARTING, true, false, 9, 10, 10},
         CHILD_STAY}, /* what it needs went away: it pauses by itself */
        {{CHILD_STARTING, true, true, 10, 10, 11}, CHILD_KILL_LATE},
        {{CHILD_STARTING, true, true, 10, 20, 10}, CHILD_KILL_SILENT},
        {{CHILD_STARTING, false, true, 5, 10, 10}, CHILD_TERM},
        {{CHILD_READY, true, true, 50, 10, 60}, CHILD_STAY}, /* being ready has no end */
        {{CHILD_READY, true, false, 50, 10, 60}, CHILD_STAY},
        {{CHILD_READY, true, true, 60, 10, 60}, CHILD_KILL_SILENT},
        {{CHILD_READY, false, true, 99, 10, 60}, CHILD_TERM},
        {{CHILD_DONE, true, true, 99, 0, 0}, CHILD_STAY},
        {{CHILD_DONE, false, true, 0, 0, 0}, CHILD_REST},
        {{CHILD_BACKOFF, true, true, 9, 10, 0}, CHILD_STAY},
        {{CHILD_BACKOFF, true, true, 10, 10, 0}, CHILD_WAIT},
        {{CHILD_BACKOFF, false, true, 0, 10, 0}, CHILD_REST},
        {{CHILD_DRAINING, false, true, 9, 10, 0}, CHILD_STAY}, /* silence is no crime any more */
        {{CHILD_DRAINING, true, true, 9, 10, 0}, CHILD_STAY},
        {{CHILD_DRAINING, false, true, 10, 10, 0}, CHILD_KILL_GRACE},
        {{CHILD_KILLED, true, true, 99, 0, 0}, CHILD_STAY},
        {{CHILD_KILLED, false, true, 99, 0, 0}, CHILD_STAY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (child_decide(&cases[i].facts) != cases[i].move)
            fail_msg("case %zu (%s): %d, not %d", i, child_state_name(cases[i].facts.state),
                     child_decide(&cases[i].facts), cases[i].move);
}

static void child_ends(void **state)
{
    static const struct {
        enum child_state before;
        bool wanted, well;
        enum child_state after;
    } cases[] = {
        {CHILD_STARTING, true, false, CHILD_BACKOFF},  {CHILD_STARTING, true, true, CHILD_DONE},
        {CHILD_STARTING, false, false, CHILD_STOPPED}, {CHILD_READY, true, false, CHILD_BACKOFF},
        {CHILD_DRAINING, false, false, CHILD_STOPPED}, {CHILD_DRAINING, true, false, CHILD_WAITING},
        {CHILD_KILLED, true, false, CHILD_BACKOFF},    {CHILD_KILLED, false, false, CHILD_STOPPED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(child_after_end(cases[i].before, cases[i].wanted, cases[i].well), cases[i].after);
}

/* ---- the set ---- */

static unsigned wanted(const struct children *children)
{
    unsigned count = 0;

    for (size_t i = 0; i < children->count; i++)
        count += children->items[i]->wanted;
    return count;
}

static void children_follow_the_plan(void **state)
{
    unsigned count[SERVICE_COUNT] = {[SERVICE_SCANNER] = 1, [SERVICE_COPIER] = 2, [SERVICE_API] = 1};
    struct children children = {0};

    (void)state;
    children_plan(&children, count);
    assert_int_equal(children.count, 4);
    count[SERVICE_COPIER] = 5;
    children_plan(&children, count);
    assert_int_equal(children.count, 7);
    assert_string_equal(children.items[0]->name, "scanner.0");
    assert_string_equal(children.items[5]->name, "copier.4");
    assert_string_equal(children.items[6]->name, "api.0");
    count[SERVICE_COPIER] = 1;
    children_plan(&children, count);
    assert_int_equal(wanted(&children), 3);
    assert_false(children.items[5]->wanted);
    children.items[5]->state = CHILD_DRAINING; /* the highest ones still end their work */
    children_drop_stopped(&children);
    assert_int_equal(children.count, 4);
    children.items[2]->state = CHILD_STOPPED;
    children_drop_stopped(&children);
    assert_int_equal(children.count, 3);
    children_fini(&children);
}

/* ---- lines ---- */

enum { COLLECTED_BYTES = 256 };

static void collect(void *context, const char *line, size_t len)
{
    char *all = context;
    size_t used = strlen(all);

    assert_int_equal(strlen(line), len);
    if (len < 100)
        snprintf(all + used, COLLECTED_BYTES - used, "[%s]", line);
    else
        snprintf(all + used, COLLECTED_BYTES - used, "[%zu]", len);
}

static void lines_are_cut(void **state)
{
    static struct said said;
    char all[COLLECTED_BYTES] = "", last[700], small[8];

    (void)state;
    said_feed(&said, "on", 2, collect, all);
    said_feed(&said, "e\n\n\r\ntwo\r\nth\0ree\nfour\nfi", 24, collect, all);
    said_end(&said, collect, all);
    assert_string_equal(all, "[one][two][th?ree][four][fi]");
    assert_string_equal(said_last(&said, last, sizeof last), "th?ree | four | fi");
    assert_string_equal(said_last(&said, small, sizeof small), "th?ree ");
    said_clear(&said);
    assert_string_equal(said_last(&said, last, sizeof last), "");
}

static void long_lines_come_in_pieces(void **state)
{
    static struct said said;
    static char bytes[10000];
    char all[COLLECTED_BYTES] = "", last[700];

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    said_feed(&said, bytes, sizeof bytes, collect, all);
    said_feed(&said, "\n", 1, collect, all);
    assert_string_equal(all, "[4095][4095][1810]");
    said_last(&said, last, sizeof last);
    assert_true(strlen(last) < sizeof last - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff_doubles_to_its_cap),
        cmocka_unit_test(backoff_jitter_stays_in_its_quarter),
        cmocka_unit_test(backoff_health),
        cmocka_unit_test(services_need_only_what_stands_above),
        cmocka_unit_test(services_start_in_order),
        cmocka_unit_test(services_wait_again_for_a_dead_database),
        cmocka_unit_test(child_moves),
        cmocka_unit_test(child_ends),
        cmocka_unit_test(children_follow_the_plan),
        cmocka_unit_test(lines_are_cut),
        cmocka_unit_test(long_lines_come_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
