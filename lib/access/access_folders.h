/*
 * Which folders of a site are mirrored, and which hold greetings: folders.include, folders.exclude and greetings.folders of
 * its configuration. One place for scanner and copier, so that both see the same mailbox. Pure.
 */
#ifndef MIRROR_ACCESS_ACCESS_FOLDERS_H
#define MIRROR_ACCESS_ACCESS_FOLDERS_H

#include "base/config.h"

#include <stdbool.h>

/* `name`: neutral (imap_names.h). Exclude wins; no include pattern at all means everything. */
bool access_folders_is_wanted(const struct config_site *site, const char *name);
/* Its very name is listed. */
bool access_folders_is_greeting(const struct config_site *site, const char *name);

#endif
