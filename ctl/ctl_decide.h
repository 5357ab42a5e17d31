/*
 * The commands `held allow` and `held refuse`: just the plans that are named, or those of a route up to the last one that was
 * seen in the list, so that nothing is decided that nobody looked at.
 */
#ifndef MIRROR_CTL_CTL_DECIDE_H
#define MIRROR_CTL_CTL_DECIDE_H

#include "ctl/ctl_args.h"

/* 1 if one of them was not decided now: unknown, or somebody was first. The others are. */
enum ctl_exit ctl_decide_allow(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_decide_refuse(struct ctl *ctl, const struct ctl_args *args);

/* Plans, or --route with --up-to; and a reason in any case. */
const char *ctl_decide_check(const struct ctl_args *args);

#endif
