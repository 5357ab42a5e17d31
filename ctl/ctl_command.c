/*
 * The commands of mirrorctl.
 */
#include "ctl/ctl_command.h"

#include "ctl/ctl_decide.h"
#include "ctl/ctl_directory.h"
#include "ctl/ctl_held.h"
#include "ctl/ctl_mailbox.h"
#include "ctl/ctl_status.h"
#include "ctl/ctl_sync.h"

#include <stddef.h>

#define MANY ((size_t)-1)

const struct ctl_command ctl_command_table[] = {
    {"status", "", "sites, routes, workers, and how every mirror is", 0, 0, CTL_BIT(ROUTE), NULL,
     ctl_status_show},
    {"why", "MAILBOX", "why its mirrors are as they are, and what to do", 1, 1, 0, NULL, ctl_status_why},
    {"mailbox add", "NUMBER", "subscribe a mailbox, or change it", 1, 1,
     CTL_BIT(NAME) | CTL_BIT(COS) | CTL_BIT(PRIORITY) | CTL_BIT(ROUTE), NULL, ctl_mailbox_add},
    {"mailbox remove", "NUMBER", "end the subscription; copies on the targets stay unless asked", 1, 1,
     CTL_BIT(WITH_COPIES) | CTL_BIT(YES), NULL, ctl_mailbox_remove},
    {"mailbox list", "", "what is subscribed", 0, 0, CTL_BIT(ROUTE), NULL, ctl_mailbox_list},
    {"mailbox show", "NUMBER", "one mailbox with its mirrors and folders", 1, 1, 0, NULL, ctl_mailbox_show},
    {"mailbox import", "FILE.csv|-", "subscribe many: columns mailbox,name,cos,priority,routes", 1, 1, 0,
     NULL, ctl_mailbox_import},
    {"sync", "[MAILBOX…]", "look at production now, and mirror what is new", 0, MANY,
     CTL_BIT(WAIT) | CTL_BIT(TIMEOUT), NULL, ctl_sync_now},
    {"verify", "[MAILBOX…]", "list both sides and compare them", 0, MANY,
     CTL_BIT(DEEP) | CTL_BIT(WAIT) | CTL_BIT(TIMEOUT), NULL, ctl_sync_verify},
    {"pause", "ROUTE", "stop mirroring on a route", 1, 1, CTL_BIT(REASON), NULL, ctl_sync_pause},
    {"resume", "ROUTE", "go on mirroring on it", 1, 1, CTL_BIT(REASON), NULL, ctl_sync_resume},
    {"held list", "", "deletions that wait for a person, and why", 0, 0,
     CTL_BIT(ROUTE) | CTL_BIT(MAILBOX) | CTL_BIT(ALL), NULL, ctl_held_list},
    {"held show", "PLAN", "one of them: its messages, what allow and what refuse will do", 1, 1, 0,
     ctl_held_check, ctl_held_show},
    {"held allow", "[PLAN…]", "let them be removed, after one more look; or --route with --up-to", 0, MANY,
     CTL_BIT(ROUTE) | CTL_BIT(UP_TO) | CTL_BIT(REASON), ctl_decide_check, ctl_decide_allow},
    {"held refuse", "[PLAN…]", "keep them on the backup for good; or --route with --up-to", 0, MANY,
     CTL_BIT(ROUTE) | CTL_BIT(UP_TO) | CTL_BIT(REASON), ctl_decide_check, ctl_decide_refuse},
    {"directory list", "", "subscribers and COS that are not equal, and why", 0, 0,
     CTL_BIT(ROUTE) | CTL_BIT(ALL), NULL, ctl_directory_list},
    {"directory sync", "", "make subscribers and COS equal now", 0, 0,
     CTL_BIT(ROUTE) | CTL_BIT(FULL) | CTL_BIT(DRY_RUN) | CTL_BIT(WAIT) | CTL_BIT(TIMEOUT), NULL,
     ctl_directory_sync},
    {"directory diff", "", "what a sync would change, attribute by attribute", 0, 0,
     CTL_BIT(ROUTE) | CTL_BIT(LDIF) | CTL_BIT(TIMEOUT), NULL, ctl_directory_diff},
    {"directory handovers", "",
     "numbers that became another person's, and where the former one's messages are", 0, 0, CTL_BIT(ROUTE),
     NULL, ctl_directory_handovers},
    {0},
};

static const struct {
    const char *name, *value, *help;
} options[] = {
#define CTL_OPTION_ROW(id, name, value, help) {name, value, help},
    CTL_OPTIONS(CTL_OPTION_ROW)
#undef CTL_OPTION_ROW
};

static void print_options(FILE *file, unsigned which)
{
    for (unsigned i = 0; i < CTL_OPT_COUNT; i++) {
        char name[40];
        if (!(which & (1u << i)))
            continue;
        snprintf(name, sizeof name, "%s %s", options[i].name, options[i].value ? options[i].value : "");
        fprintf(file, "  %-22s %s\n", name, options[i].help);
    }
}

/* Right behind its text: '…' has three bytes and one place. */
static void print_command(FILE *file, const struct ctl_command *command)
{
    int places = 0;
    char text[64];
    snprintf(text, sizeof text, "%s %s", command->name, command->words);
    for (const char *at = text; *at; at++)
        places += (*at & 0xc0) != 0x80;
    fprintf(file, "  %s%*s %s\n", text, places < 26 ? 26 - places : 0, "", command->help);
}

void ctl_command_help(FILE *file, const struct ctl_command *command)
{
    const unsigned common = CTL_BIT(CONFIG) | CTL_BIT(URL) | CTL_BIT(TOKEN_FILE) | CTL_BIT(CA_FILE) |
                            CTL_BIT(JSON) | CTL_BIT(HELP) | CTL_BIT(VERSION);
    if (command) {
        fprintf(file, "usage: mirrorctl %s [OPTION…]%s%s\n%s\n\n", command->name, *command->words ? " " : "",
                command->words, command->help);
        print_options(file, command->options & ~common); /* its own first */
        print_options(file, common);
        return;
    }
    fputs("usage: mirrorctl [--config FILE | --url URL --token-file FILE] [--json] COMMAND …\n\n", file);
    for (const struct ctl_command *each = ctl_command_table; each->name; each++)
        print_command(file, each);
    fputs("\nOptions everywhere (mirrorctl COMMAND --help names the others):\n", file);
    print_options(file, common);
    fputs(
        "\nExit: 0 done and all well, 1 done and something is not well, 2 wrong use, 3 not reachable or not "
        "allowed\n",
        file);
}
