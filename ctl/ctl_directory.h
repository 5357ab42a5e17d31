/*
 * The directory on the command line: how subscribers and COS stand, asking for a sync, and what one would change.
 */
#ifndef MIRROR_CTL_DIRECTORY_H
#define MIRROR_CTL_DIRECTORY_H

#include "ctl/ctl.h"

enum ctl_exit ctl_directory_list(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_directory_sync(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_directory_diff(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_directory_handovers(struct ctl *ctl, const struct ctl_args *args);

/* For `status`: a table of the routes that have one; nothing if there is none. */
void ctl_directory_show(const struct ctl *ctl, const cJSON *routes);
/* All subscribers and COS of all routes are equal, and nothing failed. */
bool ctl_directory_is_well(const cJSON *routes);

#endif
