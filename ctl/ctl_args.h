/*
 * The command line: commands and options from two tables, and errors that help. Pure: argv in, struct out.
 */
#ifndef MIRROR_CTL_CTL_ARGS_H
#define MIRROR_CTL_CTL_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ctl_exit { CTL_WELL = 0, CTL_NOT_WELL = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3 };

enum { CTL_MAX_ROUTES = 64, CTL_ERROR_BYTES = 512 };

/* id, option, name of its value or NULL, help */
#define CTL_OPTIONS(X)                                                                                       \
    X(CONFIG, "--config", "FILE", "the configuration, on the host itself (/etc/message-mirror/mirror.yaml)") \
    X(URL, "--url", "URL", "the API elsewhere, with --token-file")                                           \
    X(TOKEN_FILE, "--token-file", "FILE", "a copy of api.token, readable by you only")                       \
    X(CA_FILE, "--ca-file", "FILE", "certificate authority of --url (the system's)")                         \
    X(JSON, "--json", NULL, "print the API's JSON")                                                          \
    X(HELP, "--help", NULL, "this text")                                                                     \
    X(VERSION, "--version", NULL, "the version")                                                             \
    X(NAME, "--name", "TEXT", "the subscriber's name")                                                       \
    X(COS, "--cos", "TEXT", "class of service")                                                              \
    X(PRIORITY, "--priority", "1..8", "1 is the most urgent, 5 the default")                                 \
    X(ROUTE, "--route", "NAME", "on this route; may be repeated where mailboxes are added (all routes)")     \
    X(WITH_COPIES, "--with-copies", NULL, "remove its copies from the targets, too")                         \
    X(YES, "--yes", NULL, "don't ask")                                                                       \
    X(WAIT, "--wait", NULL, "wait until all is done, or a person is needed")                                 \
    X(TIMEOUT, "--timeout", "SECONDS", "with --wait: not longer than this")                                  \
    X(DEEP, "--deep", NULL, "read all messages back and compare the bytes")                                  \
    X(MAILBOX, "--mailbox", "NUMBER", "of this mailbox")                                                     \
    X(ALL, "--all", NULL, "those that were decided, too")                                                    \
    X(UP_TO, "--up-to", "PLAN", "with --route: all that were held up to this one, the last that you saw")    \
    X(REASON, "--reason", "TEXT", "why, for the record")                                                     \
    X(FULL, "--full", NULL, "compare both sides whole, not only what changed")                               \
    X(DRY_RUN, "--dry-run", NULL, "write nothing, and show what would be done, as directory diff does")      \
    X(LDIF, "--ldif", NULL, "as LDIF, without secrets")

enum ctl_option {
#define CTL_OPTION_ENUM(id, name, value, help) CTL_OPT_##id,
    CTL_OPTIONS(CTL_OPTION_ENUM)
#undef CTL_OPTION_ENUM
        CTL_OPT_COUNT
};

#define CTL_BIT(id) (1u << CTL_OPT_##id)

struct ctl;
struct ctl_args;

struct ctl_command {
    const char *name;  /* one or two words */
    const char *words; /* as shown: "NUMBER", "[MAILBOX…]" */
    const char *help;
    size_t min_words, max_words;
    unsigned options; /* bits of its own options; the common ones always hold */
    const char *(*check)(
        const struct ctl_args *args); /* what is wrong with its words and options together; NULL: nothing */
    enum ctl_exit (*run)(struct ctl *ctl, const struct ctl_args *args);
};

extern const struct ctl_command ctl_command_table[]; /* ctl_command.c; ends with an empty one */

struct ctl_args {
    unsigned given;                   /* bits of options */
    const char *value[CTL_OPT_COUNT]; /* borrowed; the last one given */
    const char *routes[CTL_MAX_ROUTES];
    size_t route_count;
    uint32_t timeout_seconds; /* 0: none */
    const struct ctl_command *command;
    const char **words; /* behind the command; into the array that was given */
    size_t word_count;
};

/* Fills *args_out; 0, or -1 and what is wrong in `error` (a line or two). `words` holds argc pointers. With --help or
 * --version the rest need not be right. */
int ctl_args_parse(const struct ctl_command *commands, int argc, char **argv, const char **words,
                   struct ctl_args *args_out, char error[CTL_ERROR_BYTES]);

bool ctl_args_has(const struct ctl_args *args, enum ctl_option option);

#endif
