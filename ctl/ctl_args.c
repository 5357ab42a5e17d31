/*
 * Reading the command line of mirrorctl.
 */
#include "ctl/ctl_args.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 64, MAX_TIMEOUT_SECONDS = 7 * 86400 };

#define COMMON                                                                                               \
    (CTL_BIT(CONFIG) | CTL_BIT(URL) | CTL_BIT(TOKEN_FILE) | CTL_BIT(CA_FILE) | CTL_BIT(JSON) |               \
     CTL_BIT(HELP) | CTL_BIT(VERSION))

static const struct {
    const char *name, *value;
} options[] = {
#define CTL_OPTION_ROW(id, name, value, help) {name, value},
    CTL_OPTIONS(CTL_OPTION_ROW)
#undef CTL_OPTION_ROW
};

bool ctl_args_has(const struct ctl_args *args, enum ctl_option option)
{
    return args->given & (1u << option);
}

/* ---- the nearest word to a mistyped one ---- */

static size_t least(size_t a, size_t b, size_t c)
{
    size_t min = a < b ? a : b;
    return min < c ? min : c;
}

/* How many letters must be changed, added or dropped. */
static size_t distance(const char *a, const char *b)
{
    size_t row[MAX_NAME + 1], len = strlen(b);
    if (strlen(a) > MAX_NAME || len > MAX_NAME)
        return MAX_NAME;
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(row[j] + 1, row[j - 1] + 1, replaced);
        }
    }
    return row[len];
}

static bool is_near(size_t distance_now, const char *word)
{
    return distance_now <= 1 + strlen(word) / 4;
}

static void suggest(char error[CTL_ERROR_BYTES], const char *nearest)
{
    size_t used = strlen(error);
    snprintf(error + used, CTL_ERROR_BYTES - used, "\nDid you mean '%s'?", nearest);
}

static int wrong_option(const char *name, char error[CTL_ERROR_BYTES])
{
    size_t best = MAX_NAME, place = 0;
    snprintf(error, CTL_ERROR_BYTES, "there is no option %.100s", name);
    for (size_t i = 0; i < CTL_OPT_COUNT; i++) {
        size_t now = distance(name, options[i].name);
        if (now < best) {
            best = now;
            place = i;
        }
    }
    if (is_near(best, name))
        suggest(error, options[place].name);
    return -1;
}

/* What may follow the first word of a command of two; NULL: it is none. */
static const char *second_word_of(const char *first)
{
    if (strcmp(first, "mailbox") == 0)
        return "say what to do with mailboxes: add, remove, list, show or import";
    if (strcmp(first, "held") == 0)
        return "say what to do with held deletions: list, show, allow or refuse";
    return NULL;
}

static int wrong_command(const struct ctl_command *commands, const char **words, size_t count,
                         char error[CTL_ERROR_BYTES])
{
    char both[2 * MAX_NAME + 2];
    size_t best = MAX_NAME;
    const char *nearest = NULL;
    snprintf(both, sizeof both, "%.*s %.*s", MAX_NAME, words[0], MAX_NAME, count > 1 ? words[1] : "");
    for (const struct ctl_command *command = commands; command->name; command++) {
        const char *said = strchr(command->name, ' ') && count > 1 ? both : words[0];
        size_t now = distance(said, command->name);
        if (now < best) {
            best = now;
            nearest = command->name;
        }
    }
    const char *what_to_do = second_word_of(words[0]);
    bool two = count > 1 && what_to_do;
    snprintf(error, CTL_ERROR_BYTES, "there is no command '%.*s'", 2 * MAX_NAME, two ? both : words[0]);
    if (nearest && is_near(best, nearest))
        suggest(error, nearest);
    else if (what_to_do)
        snprintf(error, CTL_ERROR_BYTES, "%s", what_to_do);
    return -1;
}

/* ---- options ---- */

static int option_of(const char *word, size_t len)
{
    for (int i = 0; i < CTL_OPT_COUNT; i++)
        if (strlen(options[i].name) == len && strncmp(options[i].name, word, len) == 0)
            return i;
    return -1;
}

static int add_route(struct ctl_args *args, const char *name, char error[CTL_ERROR_BYTES])
{
    if (args->route_count == CTL_MAX_ROUTES) {
        snprintf(error, CTL_ERROR_BYTES, "more than %d routes", CTL_MAX_ROUTES);
        return -1;
    }
    args->routes[args->route_count++] = name;
    return 0;
}

/* Takes the option at argv[*at], and its value. */
static int take_option(struct ctl_args *args, int argc, char **argv, int *at, char error[CTL_ERROR_BYTES])
{
    const char *word = strcmp(argv[*at], "-h") == 0 ? "--help" : argv[*at];
    size_t len = strcspn(word, "=");
    const char *value = word[len] ? word + len + 1 : NULL;
    int option = option_of(word, len);
    if (option < 0)
        return wrong_option(word, error);
    if (!options[option].value && value) {
        snprintf(error, CTL_ERROR_BYTES, "%s takes no value", options[option].name);
        return -1;
    }
    if (options[option].value && !value) {
        if (*at + 1 >= argc) {
            snprintf(error, CTL_ERROR_BYTES, "%s needs a value: %s %s", options[option].name,
                     options[option].name, options[option].value);
            return -1;
        }
        value = argv[++*at];
    }
    args->given |= 1u << option;
    args->value[option] = value;
    return option == CTL_OPT_ROUTE ? add_route(args, value, error) : 0;
}

static int split(struct ctl_args *args, int argc, char **argv, char error[CTL_ERROR_BYTES])
{
    bool only_words = false;
    for (int at = 1; at < argc; at++) {
        if (!only_words && strcmp(argv[at], "--") == 0)
            only_words = true;
        else if (!only_words && argv[at][0] == '-' && argv[at][1] != '\0') {
            if (take_option(args, argc, argv, &at, error) < 0)
                return -1;
        } else
            args->words[args->word_count++] = argv[at];
    }
    return 0;
}

/* ---- the command ---- */

/* How many of the words name this command; 0: another one. */
static size_t named_by(const struct ctl_command *command, const char **words, size_t count)
{
    const char *blank = strchr(command->name, ' ');
    if (!blank)
        return count > 0 && strcmp(words[0], command->name) == 0 ? 1 : 0;
    size_t first = (size_t)(blank - command->name);
    bool same = count > 1 && strlen(words[0]) == first && strncmp(words[0], command->name, first) == 0 &&
                strcmp(words[1], blank + 1) == 0;
    return same ? 2 : 0;
}

static int find_command(const struct ctl_command *commands, struct ctl_args *args,
                        char error[CTL_ERROR_BYTES])
{
    if (args->word_count == 0) {
        snprintf(error, CTL_ERROR_BYTES, "say what to do; mirrorctl --help lists the commands");
        return -1;
    }
    for (const struct ctl_command *command = commands; command->name; command++) {
        size_t used = named_by(command, args->words, args->word_count);
        if (used == 0)
            continue;
        args->command = command;
        args->words += used;
        args->word_count -= used;
        return 0;
    }
    return wrong_command(commands, args->words, args->word_count, error);
}

static int check_words(const struct ctl_args *args, char error[CTL_ERROR_BYTES])
{
    const struct ctl_command *command = args->command;
    if (args->word_count >= command->min_words && args->word_count <= command->max_words)
        return 0;
    snprintf(error, CTL_ERROR_BYTES, "%s: usage: mirrorctl %s%s%s",
             args->word_count < command->min_words ? "something is missing" : "too many words", command->name,
             *command->words ? " " : "", command->words);
    return -1;
}

static int check_options(struct ctl_args *args, char error[CTL_ERROR_BYTES])
{
    unsigned foreign = args->given & ~(COMMON | args->command->options);
    for (unsigned i = 0; i < CTL_OPT_COUNT; i++)
        if (foreign & (1u << i)) {
            snprintf(error, CTL_ERROR_BYTES, "%s takes no %s", args->command->name, options[i].name);
            return -1;
        }
    if (ctl_args_has(args, CTL_OPT_TIMEOUT) &&
        (str_to_u32(args->value[CTL_OPT_TIMEOUT], &args->timeout_seconds) < 0 || args->timeout_seconds < 1 ||
         args->timeout_seconds > MAX_TIMEOUT_SECONDS)) {
        snprintf(error, CTL_ERROR_BYTES, "--timeout must be a number of seconds, 1 to %d",
                 MAX_TIMEOUT_SECONDS);
        return -1;
    }
    return 0;
}

/* What only the command itself knows. */
static int check_together(const struct ctl_args *args, char error[CTL_ERROR_BYTES])
{
    const char *wrong = args->command->check ? args->command->check(args) : NULL;
    if (wrong)
        snprintf(error, CTL_ERROR_BYTES, "%s: %s", args->command->name, wrong);
    return wrong ? -1 : 0;
}

static int check_place(const struct ctl_args *args, char error[CTL_ERROR_BYTES])
{
    const char *wrong = NULL;
    if (ctl_args_has(args, CTL_OPT_URL) && ctl_args_has(args, CTL_OPT_CONFIG))
        wrong = "give --config or --url, not both";
    else if (ctl_args_has(args, CTL_OPT_URL) && !ctl_args_has(args, CTL_OPT_TOKEN_FILE))
        wrong = "--url needs --token-file";
    else if (!ctl_args_has(args, CTL_OPT_URL) &&
             (ctl_args_has(args, CTL_OPT_TOKEN_FILE) || ctl_args_has(args, CTL_OPT_CA_FILE)))
        wrong = "--token-file and --ca-file go with --url; with --config the token is found in data_dir";
    if (wrong)
        snprintf(error, CTL_ERROR_BYTES, "%s", wrong);
    return wrong ? -1 : 0;
}

int ctl_args_parse(const struct ctl_command *commands, int argc, char **argv, const char **words,
                   struct ctl_args *args_out, char error[CTL_ERROR_BYTES])
{
    *args_out = (struct ctl_args){.words = words};
    error[0] = '\0';
    if (split(args_out, argc, argv, error) < 0)
        return -1;
    bool only_text = ctl_args_has(args_out, CTL_OPT_HELP) || ctl_args_has(args_out, CTL_OPT_VERSION);
    if (only_text && args_out->word_count == 0)
        return 0;
    if (find_command(commands, args_out, error) < 0)
        return only_text ? 0 : -1;
    if (only_text)
        return 0;
    if (check_words(args_out, error) < 0 || check_options(args_out, error) < 0 ||
        check_together(args_out, error) < 0)
        return -1;
    return check_place(args_out, error);
}
