/*
 * APPEND against a scripted server, in tables: each way of announcing literals, one message and several, and how it ends,
 * above all when it is not known how it ended (I3).
 */
#include "imap/imap_append.h"
#include "imap_client.h"

#include "base/clock.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_MESSAGES = 4 };

/* Messages given by their text; flags and date are those of flags_of(). */
struct one {
    const char *capabilities;
    const char *const *script;
    const char *messages[MAX_MESSAGES];
    enum imap_append_outcome outcome;
    const char *result; /* UIDs, or the error */
    bool dead;
};

#define DATE "17-Jul-1996 02:44:25 -0700"
#define SITE "site production, mailbox 4711: "

static const struct one with_literal_plus[] = {
    {.capabilities = "LITERAL+ UIDPLUS",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {5+}", "c: hello\r\n",
                           "S: $ OK [APPENDUID 7 12] done", "C: NOOP", "S: $ OK done"),
     .messages = {"hello"},
     .outcome = IMAP_APPEND_DONE,
     .result = "7: 12 "},
    {.capabilities = "LITERAL+",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {5+}", "c: hello\r\n",
                           "S: $ OK [APPENDUID 7 12] done", "C: NOOP", "S: $ OK done"),
     .messages = {"hello"},
     .outcome = IMAP_APPEND_DONE,
     .result = "0: "},
    {.capabilities = "LITERAL+ UIDPLUS",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {0+}", "c: \r\n", "S: $ OK done",
                           "C: NOOP", "S: $ OK done"),
     .messages = {""},
     .outcome = IMAP_APPEND_DONE,
     .result = "0: "},
    {.capabilities = "LITERAL+ UIDPLUS MULTIAPPEND",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {3+}",
                           "c: one () {3+}\r\ntwo (\\Seen kw) \"" DATE "\" ", "c: {5+}\r\nthree\r\n",
                           "S: $ OK [APPENDUID 7 12:13,20] done", "C: NOOP", "S: $ OK done"),
     .messages = {"one", "two", "three"},
     .outcome = IMAP_APPEND_DONE,
     .result = "7: 12 13 20 "},
    {.capabilities = "LITERAL+ UIDPLUS",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {5+}", "c: hello\r\n",
                           "S: $ NO [OVERQUOTA] full", "C: NOOP", "S: $ OK done"),
     .messages = {"hello"},
     .outcome = IMAP_APPEND_REFUSED,
     .result = "folder: APPEND: NO [OVERQUOTA] full"},
    {.capabilities = "LITERAL+ UIDPLUS",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {5+}", "c: hello\r\n", "S: $ BAD what?",
                           "C: NOOP", "S: $ OK done"),
     .messages = {"hello"},
     .outcome = IMAP_APPEND_REFUSED,
     .result = "mailbox: APPEND: BAD what?"},
    /* Death after a byte was sent. */
    {.capabilities = "LITERAL+ UIDPLUS",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {5+}", "c: hello\r\n", "bye"),
     .messages = {"hello"},
     .outcome = IMAP_APPEND_UNKNOWN,
     .result = "mailbox: " SITE "the server closed the connection",
     .dead = true},
    {.capabilities = "LITERAL+ UIDPLUS",
     .script =
         IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {5+}", "c: hello\r\n", "S: * BYE down", "bye"),
     .messages = {"hello"},
     .outcome = IMAP_APPEND_UNKNOWN,
     .result = "mailbox: " SITE "the server ended the connection: BYE down",
     .dead = true},
    {.capabilities = "LITERAL+ UIDPLUS",
     .script =
         IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {5+}", "c: hello\r\n", "S: nonsense OK done"),
     .messages = {"hello"},
     .outcome = IMAP_APPEND_UNKNOWN,
     .result = "mailbox: " SITE "the server's answer makes no sense: it is to a command that was not sent",
     .dead = true},
};

static const struct one synchronising[] = {
    {.capabilities = "UIDPLUS",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {5}", "S: + go on", "c: hello\r\n",
                           "S: $ OK [APPENDUID 7 12] done", "C: NOOP", "S: $ OK done"),
     .messages = {"hello"},
     .outcome = IMAP_APPEND_DONE,
     .result = "7: 12 "},
    {.capabilities = "UIDPLUS MULTIAPPEND",
     .script =
         IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {3}", "S: +", "c: one () {3}\r\n", "S: + next",
                     "c: two\r\n", "S: $ OK [APPENDUID 7 12:13] done", "C: NOOP", "S: $ OK done"),
     .messages = {"one", "two"},
     .outcome = IMAP_APPEND_DONE,
     .result = "7: 12 13 "},
    /* NO in place of "+": nothing of the message was sent, and the next command follows. */
    {.capabilities = "UIDPLUS",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {5}",
                           "S: $ NO [TRYCREATE] no such folder", "C: NOOP", "S: $ OK done"),
     .messages = {"hello"},
     .outcome = IMAP_APPEND_REFUSED,
     .result = "folder: APPEND: NO [TRYCREATE] no such folder"},
    {.capabilities = "UIDPLUS MULTIAPPEND",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {3}", "S: +", "c: one () {3}\r\n",
                           "S: $ NO too many", "C: NOOP", "S: $ OK done"),
     .messages = {"one", "two"},
     .outcome = IMAP_APPEND_REFUSED,
     .result = "folder: APPEND: NO too many"},
    {.capabilities = "",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {5}", "bye"),
     .messages = {"hello"},
     .outcome = IMAP_APPEND_UNKNOWN,
     .result = "mailbox: " SITE "the server closed the connection",
     .dead = true},
    /* OK before the end: what the server has now, a look will tell. */
    {.capabilities = "",
     .script = IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {5}", "S: $ OK done"),
     .messages = {"hello"},
     .outcome = IMAP_APPEND_UNKNOWN,
     .result = "mailbox: the server's answer makes no sense: OK to an APPEND before its end",
     .dead = true},
};

/* Codes that do not name each message once: as if none were told. */
static const struct {
    const char *code;
    const char *result;
} codes[] = {
    {"APPENDUID 7 12:13", "7: 12 13 "},
    {"appenduid 7 13,12", "7: 13 12 "},
    {"APPENDUID 7 12", "7: "},
    {"APPENDUID 7 12:14", "7: "},
    {"APPENDUID 7 1:4294967295", "7: "},
    {"APPENDUID 7 12:13,15", "7: "},
    {"APPENDUID 7 0:1", "7: "},
    {"APPENDUID 7 ", "7: "},
    {"APPENDUID 7", "7: "},
    {"APPENDUID", "0: "},
    {"HIGHESTMODSEQ 7", "0: "},
};

/* ---- one APPEND from beginning to end ---- */

static void flags_of(size_t message, struct imap_flags *flags)
{
    imap_flags_parse(message == 1 ? "" : "\\Seen kw", flags);
}

/* As there is room: a round begins by writing, and that may make some, before anything is waited for. False: the command
 * was over before. */
static bool give_bytes(struct imap_client *client, struct imap_append *append, const char *bytes, size_t len)
{
    bool going = true;
    while (going && len > 0 && imap_append_outcome(append, NULL) == IMAP_APPEND_RUNNING) {
        size_t taken = imap_append_bytes(append, bytes, len);
        bytes += taken;
        len -= taken;
        going = imap_reactor_run(client->reactor, NULL, 0, taken > 0 ? 0 : 200);
    }
    return len == 0;
}

static bool give_message(struct imap_client *client, struct imap_append *append, size_t number,
                         const char *bytes, size_t len)
{
    struct imap_flags flags;
    struct err err;
    flags_of(number, &flags);
    int result = imap_append_message(append, &flags, number == 1 ? NULL : DATE, len, &err);
    imap_flags_fini(&flags);
    return result == 0 && give_bytes(client, append, bytes, len);
}

static enum imap_append_outcome finish(struct imap_client *client, struct imap_append *append,
                                       struct err *err)
{
    struct err ignored;
    imap_append_end(append, &ignored);
    while (imap_append_outcome(append, err) == IMAP_APPEND_RUNNING && imap_client_run(client))
        ;
    return imap_append_outcome(append, err);
}

static void write_result(struct imap_client *client, const struct imap_append *append, const struct err *err)
{
    uint32_t uidvalidity, uids[MAX_MESSAGES];
    if (imap_append_outcome(append, NULL) != IMAP_APPEND_DONE) {
        buf_addf(&client->seen, "%s: %s", err_scope_name(err->scope), err->text);
        return;
    }
    size_t count = imap_append_uids(append, &uidvalidity, uids, MAX_MESSAGES);
    buf_addf(&client->seen, "%u: ", uidvalidity);
    for (size_t i = 0; i < count; i++)
        buf_addf(&client->seen, "%u ", uids[i]);
}

/* The connection goes on with the next command, if it goes on. */
static void check_next_command(struct imap_client *client, bool dead)
{
    struct err err = {0};
    assert_int_equal(imap_session_state(client->session), dead ? IMAP_SESSION_DEAD : IMAP_SESSION_READY);
    if (dead)
        return;
    assert_non_null(imap_session_send(client->session, &client->handlers, "NOOP"));
    assert_int_equal(imap_session_wait(client->session, &err), 0);
    assert_non_null(strstr(buf_data(&client->seen), "OK []\n"));
}

static void check_one(const struct one *one)
{
    struct imap_client client;
    struct imap_append *append;
    struct err err = {0};
    bool going = true;
    imap_client_log_in(&client, one->capabilities, one->script);
    append = imap_append_begin(client.session, "a");
    assert_non_null(append);
    for (size_t i = 0; i < MAX_MESSAGES && one->messages[i] && going; i++)
        going = give_message(&client, append, i, one->messages[i], strlen(one->messages[i]));
    assert_int_equal(finish(&client, append, &err), one->outcome);
    write_result(&client, append, &err);
    assert_string_equal(buf_data(&client.seen), one->result);
    imap_append_free(append);
    check_next_command(&client, one->dead);
    imap_client_end(&client);
}

static void test_literal_plus(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(with_literal_plus) / sizeof(with_literal_plus[0]); i++)
        check_one(&with_literal_plus[i]);
}

static void test_synchronising_literals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(synchronising) / sizeof(synchronising[0]); i++)
        check_one(&synchronising[i]);
}

static void test_codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        char *answer = str_format("S: $ OK [%s] done", codes[i].code);
        struct one one = {.capabilities = "LITERAL+ UIDPLUS MULTIAPPEND",
                          .script =
                              IMAP_SCRIPT("C: APPEND \"a\" (\\Seen kw) \"" DATE "\" {3+}",
                                          "c: one () {3+}\r\ntwo\r\n", answer, "C: NOOP", "S: $ OK done"),
                          .messages = {"one", "two"},
                          .outcome = IMAP_APPEND_DONE,
                          .result = codes[i].result};
        check_one(&one);
        free(answer);
    }
}

/* ---- big ones ---- */

enum { BIG_BYTES = 3000000 };

static void check_big(const char *const *script, enum imap_append_outcome outcome, const char *result,
                      bool dead)
{
    struct imap_client client;
    struct err err = {0};
    char *bytes = mem_new(BIG_BYTES);
    memset(bytes, 'x', BIG_BYTES);
    imap_client_log_in(&client, "LITERAL+ UIDPLUS", script);
    struct imap_append *append = imap_append_begin(client.session, "a");
    give_message(&client, append, 1, bytes, BIG_BYTES);
    assert_int_equal(finish(&client, append, &err), outcome);
    write_result(&client, append, &err);
    assert_non_null(strstr(buf_data(&client.seen), result));
    imap_append_free(append);
    check_next_command(&client, dead);
    imap_client_end(&client);
    free(bytes);
}

static void test_big_message(void **state)
{
    static const char *const script[] = {"C: APPEND \"a\" () {3000000+}",
                                         "C* 3000000",
                                         "c: \r\n",
                                         "S: $ OK [APPENDUID 7 12] done",
                                         "C: NOOP",
                                         "S: $ OK done",
                                         NULL};
    (void)state;
    check_big(script, IMAP_APPEND_DONE, "7: 12 ", false);
}

/* The server counts the announced bytes all the same, before it takes the next command. */
static void test_refused_in_the_middle(void **state)
{
    static const char *const script[] = {"C: APPEND \"a\" () {3000000+}",
                                         "C* 1000",
                                         "S: $ NO [OVERQUOTA] full",
                                         "C* 2999000",
                                         "c: \r\n",
                                         "C: NOOP",
                                         "S: $ OK done",
                                         NULL};
    (void)state;
    check_big(script, IMAP_APPEND_REFUSED, "folder: APPEND: NO [OVERQUOTA] full", false);
}

/* After a whole message, before the next one: the command still wants its end. */
static void test_refused_between_messages(void **state)
{
    static const char *const script[] = {"C: APPEND \"a\" () {3+}",
                                         "c: one",
                                         "S: $ NO [OVERQUOTA] full",
                                         "c: \r\n",
                                         "C: NOOP",
                                         "S: $ OK done",
                                         NULL};
    struct imap_client client;
    struct err err = {0};
    (void)state;
    imap_client_log_in(&client, "LITERAL+ MULTIAPPEND", script);
    struct imap_append *append = imap_append_begin(client.session, "a");
    assert_true(give_message(&client, append, 1, "one", 3));
    while (imap_append_outcome(append, &err) == IMAP_APPEND_RUNNING && imap_client_run(&client))
        ;
    assert_int_equal(imap_append_outcome(append, &err), IMAP_APPEND_REFUSED);
    assert_false(give_message(&client, append, 1, "two", 3));
    imap_append_free(append);
    check_next_command(&client, false);
    imap_client_end(&client);
}

static void test_cut_in_the_middle(void **state)
{
    static const char *const script[] = {"C: APPEND \"a\" () {3000000+}", "C* 1000", "bye", NULL};
    (void)state;
    check_big(script, IMAP_APPEND_UNKNOWN, "mailbox: " SITE, true);
}

/* ---- misuse, and giving up ---- */

static void test_exactly_the_announced_bytes(void **state)
{
    static const char *const script[] = {"C: APPEND \"a\" () {3+}", "c: abc\r\n", "S: $ OK done", NULL};
    struct imap_client client;
    struct imap_flags none = {0};
    struct err err = {0};
    (void)state;
    imap_client_log_in(&client, "LITERAL+", script);
    struct imap_append *append = imap_append_begin(client.session, "a");
    assert_int_equal(imap_append_room(append), 0); /* of no message yet */
    assert_int_equal(imap_append_message(append, &none, NULL, 3, &err), 0);
    assert_int_equal(imap_append_message(append, &none, NULL, 3, &err), -1);
    imap_reactor_run(client.reactor, NULL, 0, 0);
    assert_int_equal(imap_append_room(append), 3);
    assert_int_equal(imap_append_bytes(append, "ab", 2), 2);
    assert_int_equal(imap_append_end(append, &err), -1);
    assert_int_equal(imap_append_bytes(append, "cdef", 4), 1);
    assert_int_equal(finish(&client, append, &err), IMAP_APPEND_DONE);
    assert_int_equal(imap_append_message(append, &none, NULL, 3, &err), -1);
    imap_append_free(append);
    imap_append_free(NULL);
    assert_null(imap_append_begin(client.session, "a\r\nb"));
    imap_client_end(&client);
}

/* Given up before its turn: not a byte of it is sent. In the middle: only the connection's end undoes it. */
static void test_given_up(void **state)
{
    static const char *const script[] = {"C: UNSELECT", "S: $ OK done", "C: APPEND \"b\" () {3+}", "c: a",
                                         NULL};
    struct imap_client client;
    struct imap_flags none = {0};
    struct err err = {0};
    (void)state;
    imap_client_log_in(&client, "LITERAL+", script);
    assert_non_null(imap_session_send(client.session, &client.handlers, "UNSELECT"));
    struct imap_append *append = imap_append_begin(client.session, "a");
    assert_int_equal(imap_append_message(append, &none, NULL, 3, &err), 0);
    assert_int_equal(imap_append_room(append), 0);
    imap_append_free(append);
    assert_int_equal(imap_session_wait(client.session, &err), 0);
    append = imap_append_begin(client.session, "b");
    assert_int_equal(imap_append_message(append, &none, NULL, 3, &err), 0);
    assert_true(give_bytes(&client, append, "a", 1));
    for (int i = 0; i < 3; i++)
        imap_reactor_run(client.reactor, NULL, 0, 10);
    imap_append_free(append);
    assert_int_equal(imap_session_state(client.session), IMAP_SESSION_DEAD);
    assert_null(imap_append_begin(client.session, "c"));
    imap_client_end(&client);
}

/* While the server waits for us its silence is no fault of its own; once it has all, it is. */
static void test_whose_silence(void **state)
{
    static const char *const script[] = {"C: APPEND \"a\" () {3+}", "c: abc\r\n", NULL};
    struct imap_client client;
    struct imap_flags none = {0};
    struct err err = {0};
    (void)state;
    imap_client_log_in(&client, "LITERAL+", script);
    client.site.imap.answer_seconds = 1;
    struct imap_append *append = imap_append_begin(client.session, "a");
    assert_int_equal(imap_append_message(append, &none, NULL, 3, &err), 0);
    assert_true(give_bytes(&client, append, "a", 1));
    for (int64_t end_ms = clock_boot_ms() + 1300; clock_boot_ms() < end_ms;)
        assert_true(imap_client_run(&client));
    assert_int_equal(imap_session_state(client.session), IMAP_SESSION_READY);
    assert_true(give_bytes(&client, append, "bc", 2));
    assert_int_equal(finish(&client, append, &err), IMAP_APPEND_UNKNOWN);
    assert_string_equal(err.text, SITE "the server was silent for 1 s (imap.answer_seconds)");
    imap_append_free(append);
    imap_client_end(&client);
}

/* What comes after an APPEND waits until it is written. */
static void test_nothing_comes_between(void **state)
{
    static const char *const script[] = {"C: APPEND \"a\" () {3}", "S: +",         "c: abc\r\n", "C: NOOP",
                                         "S: $1 OK one",           "S: $2 OK two", NULL};
    struct imap_client client;
    struct imap_flags none = {0};
    struct err err = {0};
    (void)state;
    imap_client_log_in(&client, "", script);
    struct imap_append *append = imap_append_begin(client.session, "a");
    assert_int_equal(imap_append_message(append, &none, NULL, 3, &err), 0);
    assert_non_null(imap_session_send(client.session, &client.handlers, "NOOP"));
    assert_true(give_bytes(&client, append, "abc", 3));
    assert_int_equal(finish(&client, append, &err), IMAP_APPEND_DONE);
    assert_int_equal(imap_session_wait(client.session, &err), 0);
    imap_append_free(append);
    imap_client_end(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literal_plus),
        cmocka_unit_test(test_synchronising_literals),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_big_message),
        cmocka_unit_test(test_refused_in_the_middle),
        cmocka_unit_test(test_refused_between_messages),
        cmocka_unit_test(test_cut_in_the_middle),
        cmocka_unit_test(test_exactly_the_announced_bytes),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_whose_silence),
        cmocka_unit_test(test_nothing_comes_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
