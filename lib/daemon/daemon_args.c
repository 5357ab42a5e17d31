/*
 * Arguments of the daemons; see daemon_args.h.
 */
#include "daemon/daemon_args.h"

#include "base/str.h"
#include "daemon/daemon.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>

static const char default_config[] = "/etc/message-mirror/mirror.yaml";

enum { INSTANCE_MAX = 9999 };

enum option_id {
    OPTION_CONFIG = 1,
    OPTION_INSTANCE,
    OPTION_PULSE,
    OPTION_CHECK,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option options[] = {
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"instance", required_argument, NULL, OPTION_INSTANCE},
    {"pulse", no_argument, NULL, OPTION_PULSE},
    {"check-config", no_argument, NULL, OPTION_CHECK},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

static void print_help(FILE *out, const char *program)
{
    fprintf(out,
            "Usage: mirror-%s [--config FILE] [--instance N] [--pulse]\n"
            "       mirror-%s [--config FILE] --check-config\n"
            "\n"
            "  --config FILE   the configuration (%s)\n"
            "  --instance N    which one of several this is (0)\n"
            "  --pulse         started by mirror-supervisor: report to it, and end with it\n"
            "  --check-config  say whether the configuration is right, and end\n"
            "  --help, --version\n"
            "\n"
            "Message Mirror's programs are started by mirror-supervisor.\n",
            program, program, default_config);
}

static bool wrong_use(const char *program, const char *what, int *exit_out)
{
    fprintf(stderr, "mirror-%s: %s; see mirror-%s --help\n", program, what, program);
    *exit_out = DAEMON_EXIT_USAGE;
    return false;
}

static bool set_instance(const char *text, unsigned *instance_out)
{
    uint32_t value;
    if (str_to_u32(text, &value) < 0 || value > INSTANCE_MAX)
        return false;
    *instance_out = value;
    return true;
}

/* true: go on with the next. */
static bool take(const char *program, int option, struct daemon_args *args, int *exit_out)
{
    switch (option) {
    case OPTION_CONFIG:
        args->config = optarg;
        return true;
    case OPTION_INSTANCE:
        return set_instance(optarg, &args->instance) ||
               wrong_use(program, "--instance wants a number", exit_out);
    case OPTION_PULSE:
        args->pulse = true;
        return true;
    case OPTION_CHECK:
        args->check_config = true;
        return true;
    case OPTION_HELP:
        print_help(stdout, program);
        *exit_out = DAEMON_EXIT_OK;
        return false;
    case OPTION_VERSION:
        printf("mirror-%s %s\n", program, MM_VERSION);
        *exit_out = DAEMON_EXIT_OK;
        return false;
    default:
        return wrong_use(program, "unknown option, or one without its value", exit_out);
    }
}

bool daemon_args_parse(const char *program, int argc, char **argv, struct daemon_args *args_out,
                       int *exit_out)
{
    int option;
    *args_out = (struct daemon_args){.config = default_config};
    optind = 0; /* glibc: begin anew, also when called a second time */
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!take(program, option, args_out, exit_out))
            return false;
    return optind == argc || wrong_use(program, "it takes options only", exit_out);
}
