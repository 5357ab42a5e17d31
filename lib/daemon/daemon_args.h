/*
 * The arguments that every daemon takes.
 */
#ifndef MIRROR_DAEMON_DAEMON_ARGS_H
#define MIRROR_DAEMON_DAEMON_ARGS_H

#include <stdbool.h>

struct daemon_args {
    const char *config; /* borrowed from argv */
    unsigned instance;
    bool pulse;
    bool check_config;
};

/* true: go on with *args_out. false: end with *exit_out (help, version, or wrong use, which was printed). */
bool daemon_args_parse(const char *program, int argc, char **argv, struct daemon_args *args_out,
                       int *exit_out);

#endif
