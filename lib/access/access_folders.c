/* Used by scanner and copier, wherever a LIST or the store's folders are gone through. See the header. */
#include "access/access_folders.h"

#include "imap/imap_names.h"

#include <string.h>

static bool any_match(const struct config_strings *patterns, const char *name)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (imap_names_match(patterns->items[i], name))
            return true;
    }
    return false;
}

bool access_folders_is_wanted(const struct config_site *site, const char *name)
{
    if (any_match(&site->folders_exclude, name))
        return false;
    return site->folders_include.count == 0 || any_match(&site->folders_include, name);
}

bool access_folders_is_greeting(const struct config_site *site, const char *name)
{
    for (size_t i = 0; i < site->greetings_folders.count; i++) {
        if (strcmp(site->greetings_folders.items[i], name) == 0)
            return true;
    }
    return false;
}
