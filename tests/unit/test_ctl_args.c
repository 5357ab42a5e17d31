/*
 * The command line of mirrorctl: what is understood, what is refused, and in which words.
 */
#include "ctl/ctl_args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_ARGS = 12 };

static int parse(const char *const *line, const char **words, struct ctl_args *args,
                 char error[CTL_ERROR_BYTES])
{
    char *argv[MAX_ARGS + 2] = {(char[]){"mirrorctl"}};
    int argc = 1;
    for (; line[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)line[argc - 1];
    return ctl_args_parse(ctl_command_table, argc, argv, words, args, error);
}

static void test_good(void **state)
{
    (void)state;
    const struct {
        const char *line[MAX_ARGS];
        const char *command;
        size_t words;
        unsigned given;
    } table[] = {
        {{"status"}, "status", 0, 0},
        {{"--json", "status"}, "status", 0, CTL_BIT(JSON)},
        {{"status", "--json", "--route=dr"}, "status", 0, CTL_BIT(JSON) | CTL_BIT(ROUTE)},
        {{"--config", "/x", "mailbox", "add", "1001", "--name", "J\xc3\xb6rg", "--priority", "3"},
         "mailbox add",
         1,
         CTL_BIT(CONFIG) | CTL_BIT(NAME) | CTL_BIT(PRIORITY)},
        {{"mailbox", "import", "-"}, "mailbox import", 1, 0},
        {{"mailbox", "show", "--", "--odd"}, "mailbox show", 1, 0},
        {{"sync"}, "sync", 0, 0},
        {{"sync", "1", "2", "3", "--wait", "--timeout", "5"}, "sync", 3, CTL_BIT(WAIT) | CTL_BIT(TIMEOUT)},
        {{"held", "list", "--all", "--mailbox", "1001"}, "held list", 0, CTL_BIT(ALL) | CTL_BIT(MAILBOX)},
        {{"held", "show", "12"}, "held show", 1, 0},
        {{"held", "allow", "12", "13", "--reason", "moved"}, "held allow", 2, CTL_BIT(REASON)},
        {{"held", "refuse", "--route", "dr", "--up-to", "13", "--reason", "no"},
         "held refuse",
         0,
         CTL_BIT(ROUTE) | CTL_BIT(UP_TO) | CTL_BIT(REASON)},
        {{"--url", "https://h", "--token-file", "t", "why", "1"},
         "why",
         1,
         CTL_BIT(URL) | CTL_BIT(TOKEN_FILE)},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *words[MAX_ARGS + 2];
        struct ctl_args args;
        char error[CTL_ERROR_BYTES];
        if (parse(table[i].line, words, &args, error) < 0)
            fail_msg("%zu: %s", i, error);
        assert_string_equal(args.command->name, table[i].command);
        assert_int_equal(args.word_count, table[i].words);
        assert_int_equal(args.given, table[i].given);
    }
}

static void test_bad(void **state)
{
    (void)state;
    const struct {
        const char *line[MAX_ARGS];
        const char *words; /* in the error */
    } table[] = {
        {{NULL}, "--help lists the commands"},
        {{"stauts"}, "Did you mean 'status'?"},
        {{"mailbox"}, "add, remove, list, show or import"},
        {{"mailbox", "ad", "1"}, "Did you mean 'mailbox add'?"},
        {{"mailbox", "frobnicate"}, "add, remove, list, show or import"},
        {{"frobnicate"}, "there is no command 'frobnicate'"},
        {{"sync", "--wiat"}, "Did you mean '--wait'?"},
        {{"sync", "--frobnicate"}, "there is no option --frobnicate"},
        {{"status", "--deep"}, "status takes no --deep"},
        {{"why"}, "usage: mirrorctl why MAILBOX"},
        {{"why", "1", "2"}, "too many words"},
        {{"status", "--route"}, "--route needs a value"},
        {{"status", "--json=yes"}, "--json takes no value"},
        {{"sync", "--timeout", "0"}, "--timeout must be"},
        {{"sync", "--timeout", "1h"}, "--timeout must be"},
        {{"held"}, "list, show, allow or refuse"},
        {{"held", "lst"}, "Did you mean 'held list'?"},
        {{"held", "frobnicate", "1"}, "list, show, allow or refuse"},
        {{"held", "show"}, "usage: mirrorctl held show PLAN"},
        {{"held", "show", "all"}, "held show: say plans by their numbers"},
        {{"held", "show", "0"}, "by their numbers"},
        {{"held", "allow", "12"}, "held allow: --reason TEXT is needed"},
        {{"held", "allow", "12", "--reason", "  "}, "--reason TEXT is needed"},
        {{"held", "allow", "12", "1x", "--reason", "r"}, "by their numbers"},
        {{"held", "allow", "--reason", "r"}, "say which plans"},
        {{"held", "allow", "--route", "dr", "--reason", "r"}, "go together"},
        {{"held", "refuse", "--up-to", "13", "--reason", "r"}, "go together"},
        {{"held", "refuse", "12", "--route", "dr", "--up-to", "13", "--reason", "r"}, "not both"},
        {{"held", "allow", "--route", "dr", "--route", "x", "--up-to", "13", "--reason", "r"}, "one --route"},
        {{"held", "allow", "--route", "dr", "--up-to", "last", "--reason", "r"}, "--up-to must be"},
        {{"held", "list", "--reason", "r"}, "held list takes no --reason"},
        {{"status", "--url", "x"}, "--url needs --token-file"},
        {{"status", "--token-file", "x"}, "go with --url"},
        {{"status", "--url", "x", "--token-file", "y", "--config", "z"}, "not both"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *words[MAX_ARGS + 2];
        struct ctl_args args;
        char error[CTL_ERROR_BYTES];
        assert_int_equal(parse(table[i].line, words, &args, error), -1);
        if (!strstr(error, table[i].words))
            fail_msg("%zu: '%s' is not in '%s'", i, table[i].words, error);
    }
}

static void test_help(void **state)
{
    (void)state;
    const char *words[MAX_ARGS + 2];
    struct ctl_args args;
    char error[CTL_ERROR_BYTES];
    assert_int_equal(parse((const char *const[]){"--help", NULL}, words, &args, error), 0);
    assert_null(args.command);
    assert_int_equal(parse((const char *const[]){"why", "-h", NULL}, words, &args, error), 0);
    assert_string_equal(args.command->name, "why");
    assert_int_equal(parse((const char *const[]){"mailbox", "--help", NULL}, words, &args, error), 0);
}

static void test_very_long_words(void **state)
{
    (void)state;
    static char word[5000];
    const char *words[MAX_ARGS + 2];
    struct ctl_args args;
    char error[CTL_ERROR_BYTES];
    memset(word, 'x', sizeof word - 1);
    assert_int_equal(parse((const char *const[]){word, word, NULL}, words, &args, error), -1);
    memcpy(word, "--", 2);
    assert_int_equal(parse((const char *const[]){word, NULL}, words, &args, error), -1);
    assert_true(strlen(error) < CTL_ERROR_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_very_long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
