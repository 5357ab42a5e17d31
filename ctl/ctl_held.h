/*
 * The commands `held list` and `held show`: deletions that a brake stopped, and why.
 */
#ifndef MIRROR_CTL_CTL_HELD_H
#define MIRROR_CTL_CTL_HELD_H

#include "ctl/ctl_args.h"

#include <cjson/cJSON.h>

/* 1 while something waits for a person. */
enum ctl_exit ctl_held_list(struct ctl *ctl, const struct ctl_args *args);
enum ctl_exit ctl_held_show(struct ctl *ctl, const struct ctl_args *args);

/* The words are plans' numbers. */
const char *ctl_held_check(const struct ctl_args *args);

/* All pages of /api/v1/held, as {"held": […]}. `mailbox`, `route` NULL: all. */
struct ctl_held_wanted {
    const char *mailbox, *route;
    bool all; /* decided ones, too */
};
cJSON *ctl_held_all(struct ctl *ctl, const struct ctl_held_wanted *wanted, enum ctl_exit *exit_out);

/* It holds messages (not subscribers or COS), and nobody has decided yet: one of those that `--route --up-to` means. */
bool ctl_held_is_deletion(const cJSON *plan);

/* What the end of the list proposes: {route: {"plans", "messages", "last"}} of the held deletions. The caller deletes. */
cJSON *ctl_held_by_route(const cJSON *plans);

#endif
