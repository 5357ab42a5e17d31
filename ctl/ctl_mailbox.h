/*
 * The commands `mailbox …`.
 */
#ifndef MIRROR_CTL_CTL_MAILBOX_H
#define MIRROR_CTL_CTL_MAILBOX_H

#include "ctl/ctl_args.h"

enum ctl_exit ctl_mailbox_add(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_mailbox_remove(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_mailbox_list(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_mailbox_show(struct ctl *ctl, const struct ctl_args *args);
/* The file goes to the API as it is: what it means is decided there. 1 if a line was refused. */
enum ctl_exit ctl_mailbox_import(struct ctl *ctl, const struct ctl_args *args);

#endif
