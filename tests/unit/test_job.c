/*
 * Messages of the bus: each type there and back, and everything that must be refused.
 */
#include "bus/job.h"

#include "base/str.h"
#include "bus/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct job samples[] = {
    {.type = JOB_MIRROR,
     .mirror_id = (uint64_t)1 << 53,
     .mailbox = "4711",
     .route = "dr",
     .wanted_seq = 17,
     .priority = 9,
     .results = "0"},
    {.type = JOB_VERIFY, .mirror_id = 1, .mailbox = "a+b@c", .route = "dr"},
    {.type = JOB_RESULT,
     .mirror_id = 2,
     .mailbox = "4711",
     .route = "dr",
     .wanted_seq = 3,
     .done = true,
     .text = "q\"\\"},
    {.type = JOB_LOOK, .mailbox = "4711"},
    {.type = JOB_WAKE},
    {.type = JOB_EVENT, .program = "copier", .mailbox = "4711", .route = "dr", .text = "h\xc3\xb6rt"},
    {.type = JOB_EVENT, .program = "copier"},
    {.type = JOB_PULSE,
     .program = "copier",
     .pid = UINT32_MAX,
     .instance = 3,
     .state = PULSE_DRAINING,
     .text = "x"},
};

static void test_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct job job;
        struct err err = {0};
        char *text = job_encode(&samples[i]);
        memset(&job, 0xff, sizeof(job));
        if (job_decode(text, strlen(text), &job, &err) < 0)
            fail_msg("%s: %s", text, err.text);
        char *again = job_encode(&job);
        assert_string_equal(text, again);
        assert_int_equal(job.type, samples[i].type);
        assert_true(job.mirror_id == samples[i].mirror_id && job.wanted_seq == samples[i].wanted_seq);
        assert_true(job.priority == samples[i].priority && job.done == samples[i].done);
        assert_true(job.pid == samples[i].pid && job.instance == samples[i].instance &&
                    job.state == samples[i].state);
        assert_string_equal(job.mailbox, samples[i].mailbox);
        assert_string_equal(job.route, samples[i].route);
        assert_string_equal(job.results, samples[i].results);
        assert_string_equal(job.text, samples[i].text);
        assert_string_equal(job.program, samples[i].program);
        free(text);
        free(again);
    }
}

/* What we send stays within what we take, whatever a server's words were. */
static void test_longest_and_oddest_fit(void **state)
{
    struct job job = {.type = JOB_RESULT, .mailbox = "1", .route = "r"}, back;
    static const char fillers[] = {'\x01', '"', '\xff', 'x'};
    (void)state;
    for (size_t i = 0; i < sizeof(fillers); i++) {
        struct err err = {0};
        memset(job.text, fillers[i], sizeof(job.text) - 1);
        char *text = job_encode(&job);
        assert_true(strlen(text) <= BUS_MAX_BYTES);
        assert_int_equal(job_decode(text, strlen(text), &back, &err), 0);
        assert_int_equal(strlen(back.text), sizeof(job.text) - 1);
        free(text);
    }
}

#define MIRROR(more) "{\"type\":\"mirror\",\"version\":1," more "}"
#define FIELDS "\"mirror_id\":1,\"mailbox\":\"1\",\"route\":\"r\",\"wanted_seq\":1"

static void test_refused(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "job: JSON: not an object, which begins with {"},
        {"[1]", "job: JSON: not an object, which begins with {"},
        {"{\"type\":\"mirror\"", "job: JSON: not well formed at byte 16"},
        {"{}", "job: field 'type': missing"},
        {"{\"type\":1}", "job: field 'type': must be a text in quotes"},
        {"{\"type\":\"bomb\",\"version\":1}", "job: field 'type': unknown"},
        {"{\"type\":\"wake\"}", "job: field 'version': missing"},
        {"{\"type\":\"wake\",\"version\":2}",
         "job: field 'version': not one that this program knows; are all programs of one release?"},
        {"{\"type\":\"wake\",\"version\":0}",
         "job: field 'version': not one that this program knows; are all programs of one release?"},
        {"{\"type\":\"wake\",\"version\":\"1\"}", "job: field 'version': must be a number, without quotes"},
        {"{\"type\":\"look\",\"version\":1}", "job: field 'mailbox': missing"},
        {"{\"type\":\"look\",\"version\":1,\"mailbox\":\"\"}", "job: field 'mailbox': not a mailbox number"},
        {"{\"type\":\"look\",\"version\":1,\"mailbox\":\"1*x\"}",
         "job: field 'mailbox': not a mailbox number"},
        {"{\"type\":\"look\",\"version\":1,\"mailbox\":"
         "\"12345678901234567890123456789012345678901234567890123456789012345\"}",
         "job: field 'mailbox': longer than 64 bytes; shorten it"},
        {MIRROR(FIELDS ",\"priority\":10"), "job: field 'priority': above 9"},
        {MIRROR(FIELDS ",\"priority\":-1"), "job: field 'priority': must be a whole number from 0 to 2^53"},
        {MIRROR(FIELDS ",\"priority\":true"), "job: field 'priority': must be a number, without quotes"},
        {MIRROR(FIELDS), "job: field 'priority': missing"},
        {MIRROR(FIELDS ",\"priority\":1,\"results\":7"), "job: field 'results': must be a text in quotes"},
        {MIRROR(FIELDS ",\"priority\":1,\"results\":\"a\\nb\""), "job: field 'results': control characters"},
        {MIRROR("\"mirror_id\":1e30,\"mailbox\":\"1\""),
         "job: field 'mirror_id': must be a whole number from 0 to 2^53"},
        {MIRROR("\"mirror_id\":1,\"mailbox\":\"1\",\"route\":\"\""), "job: field 'route': empty"},
        {MIRROR("\"mirror_id\":1,\"mailbox\":\"1\",\"route\":\"a\\u001bb\""),
         "job: field 'route': control characters"},
        {"{\"type\":\"result\",\"version\":1," FIELDS ",\"done\":1}",
         "job: field 'done': must be true or false, without quotes"},
        {"{\"type\":\"pulse\",\"version\":1,\"program\":\"x\",\"pid\":4294967296}",
         "job: field 'pid': above 4294967295"},
        {"{\"type\":\"pulse\",\"version\":1,\"program\":\"x\",\"pid\":1,\"instance\":0,\"state\":\"dead\"}",
         "job: field 'state': unknown"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct job job = {.priority = 77};
        struct err err = {0};
        assert_int_equal(job_decode(cases[i].text, strlen(cases[i].text), &job, &err), -1);
        assert_string_equal(err.text, cases[i].error);
        assert_int_equal(err.scope, ERR_MESSAGE);
        assert_int_equal(job.priority, 77);
    }
}

static void test_unknown_fields_are_ignored(void **state)
{
    static const char *const text = "{\"type\":\"wake\",\"version\":1,\"new\":{\"a\":[1,2]}}";
    struct job job;
    struct err err;
    (void)state;
    assert_int_equal(job_decode(text, strlen(text), &job, &err), 0);
    assert_int_equal(job.type, JOB_WAKE);
}

static void test_text_is_made_plain(void **state)
{
    static const char *const text =
        "{\"type\":\"event\",\"version\":1,\"program\":\"x\",\"text\":\"a\\u001b[31m\\nb\"}";
    struct job job;
    struct err err;
    (void)state;
    assert_int_equal(job_decode(text, strlen(text), &job, &err), 0);
    assert_string_equal(job.text, "a?[31m?b");
}

static void test_too_big(void **state)
{
    size_t len = BUS_MAX_BYTES + 1;
    char *text = mem_new(len);
    struct job job;
    struct err err;
    (void)state;
    memset(text, ' ', len);
    memcpy(text, "{\"type\":\"wake\",\"version\":1}", 27);
    assert_int_equal(job_decode(text, len, &job, &err), -1);
    assert_string_equal(err.text, "job: JSON: too long");
    assert_int_equal(job_decode(text, len - 1, &job, &err), 0);
    free(text);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(job_type_name(JOB_PULSE), "pulse");
    assert_string_equal(job_type_name(JOB_TYPE_COUNT), "unknown");
    assert_string_equal(job_pulse_state_name(PULSE_WORKING), "working");
    assert_string_equal(job_pulse_state_name((enum pulse_state)9), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_longest_and_oddest_fit),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unknown_fields_are_ignored),
        cmocka_unit_test(test_text_is_made_plain),
        cmocka_unit_test(test_too_big),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
