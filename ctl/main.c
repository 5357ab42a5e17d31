/*
 * mirrorctl: the operator's command line. Talks to the HTTP API and nothing else.
 */
#include "base/str.h"
#include "ctl/ctl.h"
#include "ctl/ctl_command.h"

#include <stdio.h>
#include <stdlib.h>

static enum ctl_exit run(const struct ctl_args *args)
{
    struct ctl ctl;
    enum ctl_exit exit = CTL_WELL;
    if (ctl_open(&ctl, args, &exit) == 0)
        exit = args->command->run(&ctl, args);
    ctl_close(&ctl);
    return exit;
}

int main(int argc, char **argv)
{
    const char **words = mem_new((size_t)(argc + 1) * sizeof *words);
    struct ctl_args args;
    char error[CTL_ERROR_BYTES];
    enum ctl_exit exit = CTL_WELL;

    if (ctl_args_parse(ctl_command_table, argc, argv, words, &args, error) < 0) {
        fprintf(stderr, "mirrorctl: %s\n", error);
        exit = CTL_USAGE;
    } else if (ctl_args_has(&args, CTL_OPT_HELP)) {
        ctl_command_help(stdout, args.command);
    } else if (ctl_args_has(&args, CTL_OPT_VERSION)) {
        puts("mirrorctl " MM_VERSION);
    } else {
        exit = run(&args);
    }
    if (fflush(stdout) != 0 && exit == CTL_WELL)
        exit = CTL_NOT_WELL;
    free(words);
    return (int)exit;
}
