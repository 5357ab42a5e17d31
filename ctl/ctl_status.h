/*
 * The commands `status` and `why`.
 */
#ifndef MIRROR_CTL_CTL_STATUS_H
#define MIRROR_CTL_CTL_STATUS_H

#include "ctl/ctl_args.h"

/* 1 if a mirror, a site or the number of workers is not well. */
enum ctl_exit ctl_status_show(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_status_why(struct ctl *ctl, const struct ctl_args *args);

#endif
