/*
 * The commands `sync`, `verify`, `pause` and `resume`.
 */
#ifndef MIRROR_CTL_CTL_SYNC_H
#define MIRROR_CTL_CTL_SYNC_H

#include "ctl/ctl_args.h"

enum ctl_exit ctl_sync_now(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_sync_verify(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_sync_pause(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_sync_resume(struct ctl *ctl, const struct ctl_args *args);

#endif
