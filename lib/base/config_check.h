/*
 * What the configuration must be beyond the single value: names that are referred to, routes that lead somewhere and
 * never back (I6: a circle would double for ever), an API that is not open to everybody by mistake.
 */
#ifndef MIRROR_BASE_CONFIG_CHECK_H
#define MIRROR_BASE_CONFIG_CHECK_H

#include "base/config.h"
#include "base/config_marks.h"

/* Also fills what follows from the rest: ports, from_site and to_site. */
int config_check_all(struct config *config, const struct config_marks *marks, struct err *err);

#endif
