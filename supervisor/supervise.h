/*
 * The supervision itself: one thread, one poll(). Starts what the table of services says, listens to its children and
 * their pulse, and ends when it was told to and all have ended.
 */
#ifndef MIRROR_SUPERVISOR_SUPERVISE_H
#define MIRROR_SUPERVISOR_SUPERVISE_H

#include "base/config.h"

struct supervise_parameters {
    struct config *config;   /* taken over */
    const char *config_path; /* absolute */
    const char *program_dir; /* where our programs are */
};

/* Until SIGTERM or SIGINT, and all have ended. 0, or -1 if that could not start or did not end well (logged). */
int supervise(const struct supervise_parameters *parameters);

#endif
