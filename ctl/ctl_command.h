/*
 * The table of commands (ctl_command_table, see ctl_args.h) and its help.
 */
#ifndef MIRROR_CTL_CTL_COMMAND_H
#define MIRROR_CTL_CTL_COMMAND_H

#include "ctl/ctl_args.h"

#include <stdio.h>

/* All commands and options; or one command's, if it is not NULL. */
void ctl_command_help(FILE *file, const struct ctl_command *command);

#endif
